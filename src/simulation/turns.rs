//! Tasks that take turns. Whoever pauses says until when; who is next among those whose time has
//! come is for the caller to say. Nothing runs beside anything else.

use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::domain::time::{Clock as _, Timestamp};

use super::control::{Control, Turn};

/// What a time-out needs to be there; it runs nothing.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_current_thread();
        // Only the simulation's own clock goes on.
        let built = builder.enable_time().start_paused(true).build();
        built.expect("a runtime can be made")
    })
}

/// How soon a task is asked again that waits for another one's lock.
const SPIN: Duration = Duration::from_millis(1);

/// What a task is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Taking what is due.
    Round,
    /// Carrying a run on.
    Drive,
    /// Receiving a message of the billing platform.
    Receive(usize),
    /// Telling the billing platform what became of a service.
    Report,
    /// Doing what a person asked for.
    Person,
}

/// Something under way in a process.
pub(super) struct Task {
    pub(super) turn: Turn,
    pub(super) errand: Errand,
    /// When it can go on.
    pub(super) wake: Timestamp,
    /// Where it stands.
    pub(super) place: &'static str,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

impl Task {
    pub(super) fn new(
        turn: Turn,
        errand: Errand,
        wake: Timestamp,
        future: impl Future<Output = ()> + 'static,
    ) -> Self {
        Self {
            turn,
            errand,
            wake,
            place: "at its beginning",
            future: Box::pin(future),
        }
    }

    /// Gives it its turn; whether it has ended.
    pub(super) fn go_on(&mut self, control: &Control) -> bool {
        {
            let mut inner = control.inner();
            inner.turn = Some(self.turn);
            inner.paused = None;
        }
        // Time-outs may be set in here; nobody drives them, so none ever strikes.
        let _inside = runtime().enter();
        let mut context = Context::from_waker(Waker::noop());
        let ended = self.future.as_mut().poll(&mut context) == Poll::Ready(());
        let mut inner = control.inner();
        inner.turn = None;
        let paused = inner.paused.take();
        (self.wake, self.place) =
            paused.unwrap_or((control.now().plus(SPIN), "waiting for another"));
        ended
    }
}
