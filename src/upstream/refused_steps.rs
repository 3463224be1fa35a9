//! Steps of a kind that a supplier refuses for the account although it answers what is read: an
//! account that may look and not order. Only steps of that kind wait; no read tells when it is over,
//! so one of them finds out, one at a time, at growing distances. Pure: the time and chance are
//! arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::breaker::{BreakerRules, cool_down, place};
use crate::domain::{Away, Because, Refusal, Timestamp};

/// The pauses grow longer than those of the breaker: each attempt is a request that is refused.
const LONGER: u32 = 5;
/// For so long a client counts as refused for itself, once others were not.
const REMEMBERED: Duration = Duration::from_hours(1);

/// What is refused at one supplier.
#[derive(Debug)]
pub(super) struct RefusedSteps {
    rules: BreakerRules,
    per_second: u32,
    /// How long finding out may take before another step may try.
    patience: Duration,
    kinds: BTreeMap<&'static str, Refused>,
    /// Clients that were refused while others were not, by kind, and when that was seen.
    alone: BTreeMap<(&'static str, i64), Timestamp>,
    /// Kinds that went well since they were refused last.
    well: BTreeSet<&'static str>,
}

#[derive(Debug)]
struct Refused {
    refusal: Refusal,
    error: String,
    since: Timestamp,
    until: Timestamp,
    /// How often it was asked in vain.
    asked: u32,
    /// The run that finds out.
    asker: Option<i64>,
    /// The controlled clients that were refused.
    clients: BTreeSet<i64>,
    turned_away: u32,
}

/// A kind of step that is refused, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedStep {
    /// The kind.
    pub kind: &'static str,
    /// Why.
    pub refusal: Refusal,
    /// Since when.
    pub since: Timestamp,
    /// The supplier's words.
    pub error: String,
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// Every step of its kind waits from now on.
    Kind {
        /// When it is asked again.
        until: Timestamp,
        /// Whether that is news.
        is_new: bool,
    },
    /// Only this client is refused: others were not.
    ClientAlone,
}

impl RefusedSteps {
    pub(super) const fn new(rules: BreakerRules, per_second: u32, patience: Duration) -> Self {
        Self {
            rules: BreakerRules {
                longest: rules.longest.saturating_mul(LONGER),
                ..rules
            },
            per_second,
            patience,
            kinds: BTreeMap::new(),
            alone: BTreeMap::new(),
            well: BTreeSet::new(),
        }
    }

    /// Whether a step of this kind may not begin; the run that asks when the time has come is the
    /// one that finds out, and may go on with that.
    pub(super) fn admit(&mut self, kind: &str, run: i64, now: Timestamp) -> Option<Away> {
        let first = self.rules.first;
        let refused = self.kinds.get_mut(kind)?;
        if now >= refused.until {
            // Nobody said how it went: it was asked in vain.
            let in_vain = refused.asker.is_some();
            refused.asked = refused.asked.saturating_add(u32::from(in_vain));
            refused.asker = Some(run);
            refused.until = now.plus(self.patience);
            return None;
        }
        match refused.asker {
            Some(asker) if asker == run => None,
            Some(_) => {
                let until = refused.until.min(now.plus(first));
                Some(refused.turn_away(until, self.per_second))
            }
            None => Some(refused.turn_away(refused.until, self.per_second)),
        }
    }

    /// Why a step of this kind waits, for a run whose attempt was just refused.
    pub(super) fn away(&mut self, kind: &str) -> Option<Away> {
        let refused = self.kinds.get_mut(kind)?;
        Some(refused.turn_away(refused.until, self.per_second))
    }

    /// A step of this kind was refused for the account, acting for `client`.
    pub(super) fn refused(
        &mut self,
        (kind, client): (&'static str, Option<i64>),
        (refusal, error): (Refusal, String),
        now: Timestamp,
        chance: f64,
    ) -> Meant {
        self.alone.retain(|_, seen| now.since(*seen) < REMEMBERED);
        if client.is_some_and(|client| self.alone.contains_key(&(kind, client))) {
            self.release(kind, now);
            return Meant::ClientAlone;
        }
        self.well.remove(kind);
        let rules = self.rules;
        let is_new = !self.kinds.contains_key(kind);
        let refused = self.kinds.entry(kind).or_insert_with(|| Refused {
            refusal,
            error: String::new(),
            since: now,
            until: now,
            asked: 0,
            asker: None,
            clients: BTreeSet::new(),
            turned_away: 0,
        });
        refused.clients.extend(client);
        refused.refusal = refusal;
        refused.error = error;
        let found_out = refused.asker.take().is_some();
        if found_out || is_new {
            refused.asked = refused.asked.saturating_add(u32::from(found_out));
            refused.until = now.plus(cool_down(&rules, refused.asked, chance));
            refused.turned_away = 0;
        }
        let until = refused.until;
        Meant::Kind { until, is_new }
    }

    /// A step of this kind went well, acting for `client`; since when it had been refused.
    pub(super) fn went_well(
        &mut self,
        kind: &'static str,
        client: Option<i64>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.well.insert(kind);
        if let Some(client) = client {
            self.alone.remove(&(kind, client));
        }
        let refused = self.kinds.remove(kind)?;
        let others = refused.clients.into_iter().filter(|of| Some(*of) != client);
        self.alone
            .extend(others.map(|client| ((kind, client), now)));
        Some(refused.since)
    }

    /// The run's attempt ended without saying anything of that: another may find out soon.
    pub(super) fn says_nothing(&mut self, kind: &str, run: i64, now: Timestamp) {
        let asks = |refused: &Refused| refused.asker == Some(run);
        if self.kinds.get(kind).is_some_and(asks) {
            self.release(kind, now);
        }
    }

    fn release(&mut self, kind: &str, now: Timestamp) {
        let soon = now.plus(self.rules.first);
        if let Some(refused) = self.kinds.get_mut(kind) {
            refused.asker = None;
            refused.until = refused.until.min(soon);
        }
    }

    /// What is refused at present.
    pub(super) fn all(&self) -> Vec<RefusedStep> {
        let shown = |(kind, refused): (&&'static str, &Refused)| RefusedStep {
            kind,
            refusal: refused.refusal,
            since: refused.since,
            error: refused.error.clone(),
        };
        self.kinds.iter().map(shown).collect()
    }

    /// The kinds that went well since they were refused last, if they were.
    pub(super) fn well(&self) -> Vec<&'static str> {
        self.well.iter().copied().collect()
    }
}

impl Refused {
    fn turn_away(&mut self, until: Timestamp, per_second: u32) -> Away {
        let number = self.turned_away;
        self.turned_away = self.turned_away.wrapping_add(1);
        Away {
            because: Because::Refused(self.refusal),
            until: until.plus(place(per_second, number)),
            error: Some(self.error.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Cause;

    const ORDER: &str = "hivelocity.deploy_device";

    fn at(second: u64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000).plus(Duration::from_secs(second))
    }

    fn steps() -> RefusedSteps {
        let rules = BreakerRules {
            after: 3,
            first: Duration::from_secs(5),
            longest: Duration::from_secs(60),
        };
        RefusedSteps::new(rules, 3, Duration::from_secs(120))
    }

    fn refuse(steps: &mut RefusedSteps, client: i64, second: u64) -> Meant {
        let refusal = Refusal {
            cause: Cause::Payment,
            number: 402,
        };
        let refused = (refusal, "no".to_owned());
        steps.refused((ORDER, Some(client)), refused, at(second), 1.0)
    }

    fn kind(until: u64, is_new: bool) -> Meant {
        let until = at(until);
        Meant::Kind { until, is_new }
    }

    #[test]
    fn only_steps_of_its_kind_wait_and_one_of_them_finds_out_at_growing_distances() {
        let mut steps = steps();
        assert_eq!(refuse(&mut steps, 35, 0), kind(5, true));
        assert_eq!(refuse(&mut steps, 36, 1), kind(5, false), "was under way");
        assert!(steps.admit("hivelocity.power", 1, at(1)).is_none());
        assert!(steps.admit(ORDER, 1, at(4)).is_some());
        assert!(steps.admit(ORDER, 1, at(6)).is_none());
        assert!(steps.admit(ORDER, 2, at(6)).is_some(), "one alone");
        assert!(steps.admit(ORDER, 1, at(7)).is_none(), "its second attempt");
        for (second, pause) in [
            (7, 10),
            (20, 20),
            (50, 40),
            (100, 80),
            (200, 160),
            (500, 300),
        ] {
            assert!(steps.admit(ORDER, 1, at(second)).is_none());
            let until = second + pause;
            assert_eq!(refuse(&mut steps, 35, second), kind(until, false));
        }
        assert_eq!(steps.went_well(ORDER, Some(35), at(900)), Some(at(0)));
        assert!(steps.admit(ORDER, 2, at(900)).is_none());
        assert_eq!((steps.all(), steps.well()), (vec![], vec![ORDER]));
    }

    #[test]
    fn a_client_that_is_refused_again_after_others_were_not_holds_up_nobody_else() {
        let mut steps = steps();
        refuse(&mut steps, 35, 0);
        assert!(steps.admit(ORDER, 2, at(6)).is_none());
        steps.went_well(ORDER, Some(36), at(7));
        assert_eq!(refuse(&mut steps, 35, 8), Meant::ClientAlone);
        assert!(steps.admit(ORDER, 3, at(8)).is_none());
        steps.went_well(ORDER, Some(35), at(9));
        assert_eq!(refuse(&mut steps, 35, 10), kind(15, true));
    }

    #[test]
    fn an_attempt_that_says_nothing_lets_another_find_out_soon() {
        let mut steps = steps();
        refuse(&mut steps, 35, 0);
        assert!(steps.admit(ORDER, 1, at(6)).is_none());
        steps.says_nothing(ORDER, 2, at(7));
        assert!(steps.admit(ORDER, 2, at(13)).is_some(), "another's word");
        steps.says_nothing(ORDER, 1, at(14));
        assert!(steps.admit(ORDER, 2, at(18)).is_some());
        assert!(steps.admit(ORDER, 2, at(19)).is_none());
    }
}
