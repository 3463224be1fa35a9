//! The points of a plan at which something can go wrong, found by carrying the plan out, and what
//! can go wrong there.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::domain::time::{Clock as _, Timestamp};
use crate::sandbox::Fault;

use super::control::{Control, Refusals};
use super::seeds::{THREADS, in_a_runtime};
use super::stage::Happening;

/// A point that was passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// A change is about to be committed.
    BeforeCommit(&'static str),
    /// It is committed, and its caller does not know yet.
    AfterCommit(&'static str),
    /// A request is about to leave.
    Call {
        /// Method and path, or the command.
        operation: String,
        /// Whether it changes something.
        writes: bool,
        /// Whether it creates something that can be found by its mark.
        creates: bool,
    },
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blow {
    /// The process is killed before.
    Killed,
    /// The transaction fails, or its answer is lost.
    Refused,
    /// The lease ends, another process carries the run on, then this one goes on.
    LeaseLost,
    /// The request never leaves.
    Unsent,
    /// It leaves and is lost; nothing happens.
    LostBefore,
    /// It takes effect; its answer is lost.
    LostAfter,
    /// It takes effect; a gateway answers in its place.
    Gateway,
    /// Its answer is lost, and a while later it takes effect.
    Late,
    /// It leaves, the process is killed and starts again, and only then it takes effect.
    KilledLate,
    /// It is refused for the moment.
    Unavailable,
    /// It takes effect; a proxy says 503 and names the time to come back.
    DoneThenUnavailable,
    /// It takes effect; its answer has no body.
    EmptyBody,
    /// It takes effect; its answer has no ids.
    NullIds,
    /// Nothing happens; its answer says so under the status of a success.
    ErrorUnder200,
    /// It takes effect, and the process is killed before it learns of it.
    KilledAfter,
    /// It takes effect, is answered, and the lease is lost before that is recorded.
    LeaseLostAfter,
}

impl Point {
    /// Everything that can go wrong here.
    pub(super) fn blows(&self) -> &'static [Blow] {
        match self {
            Self::BeforeCommit("advance") => &[Blow::Killed, Blow::Refused, Blow::LeaseLost],
            Self::BeforeCommit(_) | Self::AfterCommit(_) => &[Blow::Killed, Blow::Refused],
            Self::Call { creates: true, .. } => &[
                Blow::Killed,
                Blow::Unsent,
                Blow::LostBefore,
                Blow::LostAfter,
                Blow::Gateway,
                Blow::Late,
                Blow::KilledLate,
                Blow::Unavailable,
                Blow::DoneThenUnavailable,
                Blow::EmptyBody,
                Blow::NullIds,
                Blow::ErrorUnder200,
                Blow::KilledAfter,
                Blow::LeaseLostAfter,
            ],
            Self::Call { writes: true, .. } => &[
                Blow::Killed,
                Blow::Unsent,
                Blow::LostBefore,
                Blow::LostAfter,
                Blow::Gateway,
                Blow::Unavailable,
                Blow::KilledAfter,
                Blow::LeaseLostAfter,
            ],
            Self::Call { .. } => &[Blow::Killed, Blow::LostBefore],
        }
    }

    /// Notes that the point was reached; answers what is to happen here by the script.
    pub(super) fn reached(self, control: &Control) -> Option<Blow> {
        let now = control.now();
        let mut inner = control.inner();
        let script = inner.script.as_mut()?;
        let index = script.points.len();
        script.points.push(self);
        if script
            .interrupts
            .as_ref()
            .is_some_and(|one| one.at == index)
            && let Some(interrupt) = script.interrupts.take()
        {
            inner.refusals = interrupt.refusals(now);
            inner.called = interrupt.letters(now);
            return None;
        }
        let (at, blow) = script.strike?;
        (at == index).then_some(blow)
    }
}

/// What comes in between at a point: letters, and suppliers that do not do what they are asked.
#[derive(Clone, Debug)]
pub(super) struct Interrupt {
    pub(super) at: usize,
    /// In which order they come, and how long after the point.
    pub(super) letters: Vec<usize>,
    pub(super) after: Duration,
    /// How both suppliers answer for how long: Hivelocity, 1H.
    pub(super) faults: Option<(Fault, Fault)>,
    pub(super) lasts: Duration,
    pub(super) only_writes: bool,
}

impl Interrupt {
    fn refusals(&self, now: Timestamp) -> Vec<Refusals> {
        let one = |hivelocity, fault: &Fault| Refusals {
            from: now,
            until: now.plus(self.lasts),
            hivelocity,
            only_writes: self.only_writes,
            fault: fault.clone(),
        };
        let faults = self.faults.iter();
        let both = faults.flat_map(|(first, second)| [one(true, first), one(false, second)]);
        both.collect()
    }

    fn letters(&self, now: Timestamp) -> Vec<(Timestamp, Happening)> {
        let first = now.plus(self.after);
        let letters = self.letters.iter().enumerate();
        let letters = letters.map(|(place, letter)| {
            let moment = first.plus(Duration::from_millis(u64::try_from(place).unwrap_or(0)));
            (moment, Happening::Sends(*letter))
        });
        letters.collect()
    }
}

/// Which point is struck or interrupted, and the points that were passed.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    pub(super) strike: Option<(usize, Blow)>,
    pub(super) interrupts: Option<Interrupt>,
    pub(super) points: Vec<Point>,
}

/// Lives through every one of these, in as many threads as there are cores; what went wrong, the
/// first with its story and the others by their points, if anything did.
pub(super) fn each<T: Sync>(
    cases: &[T],
    live: impl Fn(&T) -> Option<String> + Sync,
) -> Option<String> {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let began = std::time::Instant::now();
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let failure = live(case);
            failures.lock().unwrap().extend(failure);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| in_a_runtime(work));
        }
    });
    println!("{} lives in {:?}", cases.len(), began.elapsed());
    let failures: Vec<String> = failures.into_inner().unwrap();
    let first = failures.first()?;
    let named = failures.iter();
    let named = named.filter_map(|text| text.lines().rfind(|words| words.contains(" at point ")));
    let points: Vec<&str> = named.collect();
    Some(format!("{first}\n\n{}", points.join("\n")))
}
