//! Before and after every commit: where others go first, transactions fail and processes die.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::store::{Gate, Passing, Rows, StoreError};

use super::control::Control;
use super::points::{Blow, Point};

/// How long a transaction may take.
const COMMIT: Duration = Duration::from_millis(3);
const READ: Duration = Duration::from_micros(300);

/// One process's door to the store.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) control: Arc<Control>,
}

impl Gate for Door {
    fn pass(
        &self,
        at: Passing,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + '_>> {
        Box::pin(self.let_through(at))
    }

    fn committed(&self, what: &'static str, rows: &mut Rows) {
        let broken = self.control.inner().laws.check(what, rows);
        if let Some(words) = broken {
            self.control.break_law(words);
        }
    }
}

impl Door {
    async fn let_through(&self, at: Passing) -> Result<(), StoreError> {
        let control = &*self.control;
        match at {
            Passing::Read(what) => {
                control.pause(control.up_to(READ), "before a read").await;
                self.perhaps_fails(0.3, || format!("reading ({what}) failed"))
            }
            Passing::BeforeCommit(what) => {
                if let Some(blow) = Point::BeforeCommit(what).reached(control) {
                    return self.struck(blow, "before a commit").await;
                }
                control
                    .pause(control.up_to(COMMIT), "before a commit")
                    .await;
                self.perhaps_fails(1.0, || format!("the transaction of {what} failed"))
            }
            Passing::AfterCommit(what) => {
                if let Some(blow) = Point::AfterCommit(what).reached(control) {
                    return self.struck(blow, "after a commit").await;
                }
                control.pause(control.up_to(COMMIT), "after a commit").await;
                self.perhaps_fails(0.3, || format!("{what} was committed, the answer is lost"))
            }
        }
    }

    async fn struck(&self, blow: Blow, place: &'static str) -> Result<(), StoreError> {
        let control = &*self.control;
        match blow {
            Blow::Refused => Err(StoreError::Unavailable("the disk is full".into())),
            Blow::LeaseLost => {
                control.rob();
                control.pause(Duration::ZERO, place).await;
                Ok(())
            }
            _ => {
                control.doom();
                control.pause(Duration::MAX, place).await;
                Ok(())
            }
        }
    }

    fn perhaps_fails(&self, share: f64, words: impl FnOnce() -> String) -> Result<(), StoreError> {
        let rate = self.control.inner().rates.store * share;
        if !self.control.happens(rate) {
            return Ok(());
        }
        self.control.tell(words);
        Err(StoreError::Unavailable("simulated".into()))
    }
}

impl Control {
    /// The process whose turn it is dies with the turn.
    pub(super) fn doom(&self) {
        let mut inner = self.inner();
        if let Some(turn) = inner.turn {
            inner.doomed.push(turn.process);
        }
    }

    /// The run whose turn it is loses its lease, and its process stands still until another one
    /// has carried it on.
    pub(super) fn rob(&self) {
        let mut inner = self.inner();
        if let Some(turn) = inner.turn
            && let Some((run, _)) = turn.run
        {
            inner.robbed.push((turn.process, run));
        }
    }
}
