//! How it stands with each supplier, for people and metrics. Reads only.

use super::Upstreams;
use super::gate::Gate;
use super::hivelocity::Hivelocity;
use super::one_h::OneH;
use super::refused_steps::RefusedStep;
use crate::domain::{Because, Cause, Hour, Refusal, Timestamp};

/// One supplier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `hivelocity` or `one_h`.
    pub upstream: &'static str,
    /// Since when nothing is begun there, if so.
    pub away_since: Option<Timestamp>,
    /// Why: it does not answer, or refuses the account.
    pub because: Option<Because>,
    /// What went wrong last, secrets masked.
    pub error: Option<String>,
    /// Kinds of steps that it refuses to the account although it can be asked.
    pub refused_steps: Vec<RefusedStep>,
    /// How many requests an hour takes; none where they are not counted.
    pub per_hour: Option<u32>,
    /// The present window; none before its first request.
    pub hour: Option<Hour>,
}

/// An account that a supplier refuses: as a whole, or steps of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRefused {
    /// `hivelocity` or `one_h`.
    pub upstream: &'static str,
    /// The kind of step, where only that is refused.
    pub kind: Option<&'static str>,
    /// Why.
    pub refusal: Refusal,
    /// Since when.
    pub since: Timestamp,
    /// The supplier's words, secrets masked.
    pub error: String,
}

/// How many of an hour's requests are used and left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requests {
    /// Used, or in the hands of a process.
    pub used: u32,
    /// Left.
    pub left: u32,
}

impl Standing {
    /// The present hour's requests; none where they are not counted.
    pub fn requests(&self) -> Option<Requests> {
        let most = self.per_hour?;
        let used = self.hour.map_or(0, |hour| hour.used.min(most));
        let left = most.saturating_sub(used);
        Some(Requests { used, left })
    }
}

impl Upstreams {
    /// Each configured supplier, and whether nothing is begun there at present.
    pub fn standing(&self, now: Timestamp) -> Vec<(&'static str, bool)> {
        let gates = self.gates().into_iter();
        gates
            .map(|(name, gate)| (name, gate.is_away(now)))
            .collect()
    }

    /// Each configured supplier with its hour's requests; an error says why those are not known.
    pub async fn standings(&self, now: Timestamp) -> Result<Vec<Standing>, String> {
        let mut standings = Vec::new();
        for (upstream, gate) in self.gates() {
            let outage = gate.outage();
            let mut standing = Standing {
                upstream,
                away_since: outage.as_ref().map(|(_, since, _)| *since),
                because: outage.as_ref().map(|(because, ..)| *because),
                error: outage.and_then(|(.., error)| error),
                refused_steps: gate.refused_steps(),
                per_hour: None,
                hour: None,
            };
            if let Some(budget) = self.budget(upstream) {
                standing.hour = budget.hour(now).await?;
                standing.per_hour = Some(standing.hour.map_or(budget.most(), |hour| hour.most));
            }
            standings.push(standing);
        }
        Ok(standings)
    }

    /// Why nothing is begun at each configured supplier, in words of which each is there once;
    /// whether that is so now.
    pub fn reasons(&self, now: Timestamp) -> Vec<(&'static str, &'static str, bool)> {
        let mut reasons = Vec::new();
        for (upstream, gate) in self.gates() {
            let because = gate.outage().map(|(because, ..)| because);
            let steps = gate.refused_steps();
            reasons.push((upstream, "silent", because == Some(Because::Silent)));
            reasons.push((upstream, "limited", !gate.held(now).is_zero()));
            for cause in Cause::ALL {
                let is_whole = matches!(because, Some(Because::Refused(of)) if of.cause == cause);
                let is_part = steps.iter().any(|step| step.refusal.cause == cause);
                reasons.push((upstream, cause.name(), is_whole || is_part));
            }
        }
        reasons
    }

    /// Every refusal of an account at present.
    pub fn refusals(&self) -> Vec<AccountRefused> {
        let mut refusals = Vec::new();
        for (upstream, gate) in self.gates() {
            if let Some((Because::Refused(refusal), since, error)) = gate.outage() {
                refusals.push(AccountRefused {
                    upstream,
                    kind: None,
                    refusal,
                    since,
                    error: error.unwrap_or_default(),
                });
                continue;
            }
            let steps = gate.refused_steps().into_iter();
            refusals.extend(steps.map(|step| AccountRefused {
                upstream,
                kind: Some(step.kind),
                refusal: step.refusal,
                since: step.since,
                error: step.error,
            }));
        }
        refusals
    }

    /// What is surely not refused: accounts as a whole (without a kind), and kinds of steps.
    pub fn sound(&self, now: Timestamp) -> Vec<(&'static str, Option<&'static str>)> {
        let gates = self.gates().into_iter();
        gates
            .flat_map(|(name, gate)| gate.sound(now).into_iter().map(move |kind| (name, kind)))
            .collect()
    }

    fn gates(&self) -> Vec<(&'static str, &Gate)> {
        let gates = [
            ("hivelocity", self.hivelocity.as_ref().map(Hivelocity::gate)),
            ("one_h", self.one_h.as_ref().map(OneH::gate)),
        ];
        let known = gates.into_iter();
        known
            .filter_map(|(name, gate)| Some((name, gate?)))
            .collect()
    }
}
