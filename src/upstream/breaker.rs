//! Whether a supplier as a whole can be asked at present. A state machine; pure: the time and
//! chance are arguments.
//!
//! ```text
//!            `after` failures in a row
//!   closed ────────────────────────────▶ open ◀──────────┐
//!     ▲                                    │ a cool-down │ it failed again: a longer one
//!     │ any answer                         ▼             │
//!     └───────────────────────────────── asking ─────────┘
//! ```
//!
//! While it is open nothing is begun. After the cool-down one request finds out: a harmless read
//! and, every second time, a run that waits for the supplier. Each makes up for a weakness of the
//! other: a supplier may answer what runs ask and not the read; and a run that fails for a reason
//! of its own is told from an outage by the read that succeeds.

use std::time::Duration;

use crate::domain::{Away, Because, Timestamp};

/// How many requests a run that was held back makes, about, when it goes on.
const REQUESTS_OF_A_RUN: u32 = 3;
/// Runs that were held back are spread over no more than this.
const LONGEST_SPREAD: Duration = Duration::from_mins(15);
/// No cool-down doubles more often.
const MOST_DOUBLINGS: u32 = 16;
/// How long all requests wait where a supplier limits them without saying for how long; doubling.
const FIRST_HOLD: Duration = Duration::from_secs(1);
/// The longest such wait.
const LONGEST_HOLD: Duration = Duration::from_mins(5);

/// When a supplier counts as away, and how soon it is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRules {
    /// Failures in a row after which nothing is begun any more; 0: never.
    pub after: u32,
    /// The first cool-down.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl BreakerRules {
    /// A breaker that never opens.
    pub const OFF: Self = Self {
        after: 0,
        first: Duration::ZERO,
        longest: Duration::ZERO,
    };
}

/// The state of one upstream.
#[derive(Debug)]
pub(super) struct Breaker {
    rules: BreakerRules,
    per_second: u32,
    /// How long finding out may take before somebody else may try.
    patience: Duration,
    state: State,
    held_until: Timestamp,
    /// Requests in a row that were limited (429), those left out that were under way while
    /// everything was held.
    limited: u32,
    /// How many runs were held back since the present pause began.
    turned_away: u32,
    error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open(Outage),
    Asking(Outage),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outage {
    since: Timestamp,
    /// The end of the cool-down; while asking, of the patience with it.
    until: Timestamp,
    /// How often it was asked in vain.
    asked: u32,
}

/// Whether a step may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Yes; it may be the one that finds out.
    Go,
    /// Make a harmless read first, then ask once more.
    Knock,
    /// Not now.
    Wait(Away),
}

/// What is worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// From now on nothing is begun.
    Opened {
        /// When it is asked again.
        until: Timestamp,
    },
    /// It limits requests: until then none leaves.
    Held {
        /// When the next may leave.
        until: Timestamp,
    },
    /// It answers again.
    Closed {
        /// How long it did not.
        after: Duration,
    },
}

impl Breaker {
    pub(super) fn new(rules: BreakerRules, per_second: u32, patience: Duration) -> Self {
        Self {
            rules,
            per_second: per_second.max(1),
            patience,
            state: State::Closed { failures: 0 },
            held_until: Timestamp::default(),
            limited: 0,
            turned_away: 0,
            error: None,
        }
    }

    /// Whether a step may begin at this moment.
    pub(super) fn admit(&mut self, now: Timestamp) -> Admission {
        let outage = match self.state {
            State::Closed { .. } if self.held_until <= now => return Admission::Go,
            State::Closed { .. } => {
                return Admission::Wait(self.turn_away(Because::Asked, self.held_until));
            }
            State::Open(outage) if now < outage.until.max(self.held_until) => {
                let until = outage.until.max(self.held_until);
                return Admission::Wait(self.turn_away(Because::Silent, until));
            }
            State::Asking(outage) if now < outage.until => {
                let until = outage.until.min(now.plus(self.rules.first));
                return Admission::Wait(self.turn_away(Because::Silent, until));
            }
            State::Open(outage) => outage,
            // Nobody said how it went: it was asked in vain.
            State::Asking(outage) => Outage {
                asked: outage.asked.saturating_add(1),
                ..outage
            },
        };
        self.state = State::Asking(Outage {
            until: now.plus(self.patience),
            ..outage
        });
        if outage.asked.is_multiple_of(2) {
            Admission::Knock
        } else {
            Admission::Go
        }
    }

    /// It answered: whatever it said, it is there.
    pub(super) fn answered(&mut self, now: Timestamp) -> Option<Change> {
        self.limited = 0;
        self.is_there(now)
    }

    fn is_there(&mut self, now: Timestamp) -> Option<Change> {
        self.error = None;
        let closed = State::Closed { failures: 0 };
        match std::mem::replace(&mut self.state, closed) {
            State::Closed { .. } => None,
            State::Open(outage) | State::Asking(outage) => {
                let after = now.since(outage.since);
                Some(Change::Closed { after })
            }
        }
    }

    /// It failed as a whole. `chance` is in `0.0..1.0`.
    pub(super) fn failed(&mut self, error: String, now: Timestamp, chance: f64) -> Option<Change> {
        self.error = Some(error);
        self.limited = 0;
        match self.state {
            State::Closed { failures } => {
                let failures = failures.saturating_add(1);
                if self.rules.after == 0 || failures < self.rules.after {
                    self.state = State::Closed { failures };
                    return None;
                }
                let until = self.open(now, now, 0, chance);
                Some(Change::Opened { until })
            }
            // It was under way when the breaker opened, and says nothing new.
            State::Open(_) => None,
            State::Asking(outage) => {
                let asked = outage.asked.saturating_add(1);
                self.open(outage.since, now, asked, chance);
                None
            }
        }
    }

    fn open(&mut self, since: Timestamp, now: Timestamp, asked: u32, chance: f64) -> Timestamp {
        let until = now.plus(self.cool_down(asked, chance));
        let outage = Outage {
            since,
            until,
            asked,
        };
        self.state = State::Open(outage);
        self.turned_away = 0;
        until
    }

    /// It limited a request (429), for `pause` where it said so; it is there.
    ///
    /// One alone may be meant for that request only, which waits in any case. With the second in a
    /// row nothing leaves any more: the whole account has to wait.
    pub(super) fn limited(
        &mut self,
        error: String,
        now: Timestamp,
        pause: Option<Duration>,
    ) -> Option<Change> {
        let change = self.is_there(now);
        self.error = Some(error);
        let held = self.held_until > now;
        if held {
            // It was under way when the hold began, and can only make it longer.
            let until = now.plus(pause.unwrap_or_default());
            self.held_until = self.held_until.max(until);
            return change;
        }
        self.limited = self.limited.saturating_add(1);
        if self.limited < 2 {
            return change;
        }
        let doublings = (self.limited - 2).min(MOST_DOUBLINGS);
        let unnamed = FIRST_HOLD.saturating_mul(1 << doublings).min(LONGEST_HOLD);
        let until = now.plus(pause.unwrap_or(unnamed));
        if until <= now {
            return change;
        }
        self.held_until = until;
        self.turned_away = 0;
        Some(Change::Held { until })
    }

    /// How long it still wants to be left alone.
    pub(super) fn held(&self, now: Timestamp) -> Duration {
        self.held_until.since(now)
    }

    /// Whether nothing is begun at present.
    pub(super) fn is_away(&self, now: Timestamp) -> bool {
        self.held_until > now || !matches!(self.state, State::Closed { .. })
    }

    /// Since when the supplier as a whole does not answer, if so, and what went wrong last.
    pub(super) fn outage(&self) -> Option<(Timestamp, Option<String>)> {
        match self.state {
            State::Closed { .. } => None,
            State::Open(outage) | State::Asking(outage) => Some((outage.since, self.error.clone())),
        }
    }

    /// That the supplier as a whole does not answer, for a run whose attempt has just failed.
    pub(super) fn silent(&mut self, now: Timestamp) -> Option<Away> {
        let until = match self.state {
            State::Closed { .. } => return None,
            State::Open(outage) => outage.until.max(self.held_until),
            State::Asking(outage) => outage.until.min(now.plus(self.rules.first)),
        };
        Some(self.turn_away(Because::Silent, until))
    }

    /// Each run that is held back gets a place of its own after `until`, at the distance at which
    /// the supplier takes them: it must not meet all of them at once when it is back.
    fn turn_away(&mut self, because: Because, until: Timestamp) -> Away {
        let place = Duration::from_secs(1) * REQUESTS_OF_A_RUN / self.per_second;
        let places = u32::try_from(LONGEST_SPREAD.as_nanos() / place.as_nanos().max(1));
        let number = self.turned_away % places.unwrap_or(u32::MAX).max(1);
        self.turned_away = self.turned_away.wrapping_add(1);
        Away {
            because,
            until: until.plus(place * number),
            error: self.error.clone(),
        }
    }

    /// Twice as long each time, and somewhere between half of that and all of it, so that several
    /// processes do not ask at the same moment.
    fn cool_down(&self, asked: u32, chance: f64) -> Duration {
        let doubled = self
            .rules
            .first
            .saturating_mul(1 << asked.min(MOST_DOUBLINGS));
        let whole = doubled.min(self.rules.longest);
        whole.mul_f64(f64::midpoint(1.0, chance.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
