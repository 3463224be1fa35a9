//! Whether a supplier as a whole can be asked at present. A state machine; pure: the time and
//! chance are arguments.
//!
//! ```text
//!            `after` failures in a row, or one refusal of the account
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

use crate::domain::{Away, Because, Refusal, Timestamp};

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
    /// The last refusal of the account that was over, and when: one that comes again soon goes on.
    over: Option<(Outage, Timestamp)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open(Outage),
    Asking(Outage),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outage {
    /// It is silent, or refuses the account.
    because: Because,
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
        /// Why.
        because: Because,
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
            over: None,
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
                return Admission::Wait(self.turn_away(outage.because, until));
            }
            State::Asking(outage) if now < outage.until => {
                let until = outage.until.min(now.plus(self.rules.first));
                return Admission::Wait(self.turn_away(outage.because, until));
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

    /// It answered: whatever it said, it is there. An account that it refused is taken again only
    /// where the answer `vouches` for the account's own credentials.
    pub(super) fn answered(&mut self, now: Timestamp, vouches: bool) -> Option<Change> {
        self.limited = 0;
        self.is_there(now, vouches)
    }

    fn is_there(&mut self, now: Timestamp, vouches: bool) -> Option<Change> {
        let outage = match self.state {
            State::Closed { .. } => None,
            State::Open(outage) | State::Asking(outage) => Some(outage),
        };
        let refused = outage.filter(|outage| outage.because != Because::Silent);
        if refused.is_some() && !vouches {
            return None;
        }
        self.error = None;
        self.state = State::Closed { failures: 0 };
        self.over = refused.map(|outage| (outage, now)).or(self.over);
        outage.map(|outage| Change::Closed {
            after: now.since(outage.since),
        })
    }

    /// It refuses the account: nothing is begun from now on. `chance` is in `0.0..1.0`.
    pub(super) fn refused(
        &mut self,
        refusal: Refusal,
        error: String,
        now: Timestamp,
        chance: f64,
    ) -> Option<Change> {
        self.error = Some(error);
        self.limited = 0;
        let because = Because::Refused(refusal);
        let begins = Outage {
            because,
            since: now,
            until: now,
            asked: 0,
        };
        let (outage, is_new) = match self.state {
            // It was under way when the breaker opened, and says nothing new.
            State::Open(outage) if outage.because != Because::Silent => return None,
            State::Asking(outage) if outage.because != Because::Silent => {
                let asked = outage.asked.saturating_add(1);
                (
                    Outage {
                        because,
                        asked,
                        ..outage
                    },
                    false,
                )
            }
            State::Open(_) | State::Asking(_) => (begins, true),
            State::Closed { .. } => (self.begun_again(begins, now), true),
        };
        let until = self.open(outage, now, chance);
        is_new.then_some(Change::Opened { because, until })
    }

    /// A supplier that refuses some requests and not others: the pauses go on growing.
    fn begun_again(&self, begins: Outage, now: Timestamp) -> Outage {
        let recent = self.over.filter(|(outage, at)| {
            let same = outage.because == begins.because;
            same && now.since(*at) < self.rules.longest
        });
        recent.map_or(begins, |(outage, _)| Outage {
            asked: outage.asked.saturating_add(1),
            ..outage
        })
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
                let because = Because::Silent;
                let begins = Outage {
                    because,
                    since: now,
                    until: now,
                    asked: 0,
                };
                let until = self.open(begins, now, chance);
                Some(Change::Opened { because, until })
            }
            // It was under way when the breaker opened, and says nothing new.
            State::Open(_) => None,
            State::Asking(outage) => {
                let asked = outage.asked.saturating_add(1);
                self.open(Outage { asked, ..outage }, now, chance);
                None
            }
        }
    }

    fn open(&mut self, outage: Outage, now: Timestamp, chance: f64) -> Timestamp {
        let until = now.plus(cool_down(&self.rules, outage.asked, chance));
        self.state = State::Open(Outage { until, ..outage });
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
        // A request may be limited before anybody looks whose it is.
        let change = self.is_there(now, false);
        if change.is_some() || self.outage().is_none() {
            self.error = Some(error);
        }
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

    /// Why and since when nothing is begun there, if so, and what went wrong last.
    pub(super) fn outage(&self) -> Option<(Because, Timestamp, Option<String>)> {
        match self.state {
            State::Closed { .. } => None,
            State::Open(outage) | State::Asking(outage) => {
                Some((outage.because, outage.since, self.error.clone()))
            }
        }
    }

    /// When a refusal of the account was over last.
    pub(super) fn over(&self) -> Option<Timestamp> {
        self.over.map(|(_, at)| at)
    }

    /// That the supplier as a whole is away, for a run whose attempt has just failed.
    pub(super) fn silent(&mut self, now: Timestamp) -> Option<Away> {
        let (because, until) = match self.state {
            State::Closed { .. } => return None,
            State::Open(outage) => (outage.because, outage.until.max(self.held_until)),
            State::Asking(outage) => {
                let until = outage.until.min(now.plus(self.rules.first));
                (outage.because, until)
            }
        };
        Some(self.turn_away(because, until))
    }

    fn turn_away(&mut self, because: Because, until: Timestamp) -> Away {
        let number = self.turned_away;
        self.turned_away = self.turned_away.wrapping_add(1);
        Away {
            because,
            until: until.plus(place(self.per_second, number)),
            error: self.error.clone(),
        }
    }
}

/// Each run that is held back gets a place of its own after the pause, at the distance at which the
/// supplier takes them: it must not meet all of them at once when it is back.
pub(super) fn place(per_second: u32, number: u32) -> Duration {
    let place = Duration::from_secs(1) * REQUESTS_OF_A_RUN / per_second.max(1);
    let places = u32::try_from(LONGEST_SPREAD.as_nanos() / place.as_nanos().max(1));
    place * (number % places.unwrap_or(u32::MAX).max(1))
}

/// Twice as long each time, and somewhere between half of that and all of it, so that several
/// processes do not ask at the same moment.
pub(super) fn cool_down(rules: &BreakerRules, asked: u32, chance: f64) -> Duration {
    let doubled = rules.first.saturating_mul(1 << asked.min(MOST_DOUBLINGS));
    let whole = doubled.min(rules.longest);
    whole.mul_f64(f64::midpoint(1.0, chance.clamp(0.0, 1.0)))
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
