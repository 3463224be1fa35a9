//! How it stands with each supplier, for people and metrics. Reads only.

use super::Upstreams;
use super::gate::Gate;
use super::hivelocity::Hivelocity;
use super::one_h::OneH;
use crate::domain::{Hour, Timestamp};

/// One supplier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `hivelocity` or `one_h`.
    pub upstream: &'static str,
    /// Since when it does not answer, if so.
    pub silent_since: Option<Timestamp>,
    /// What went wrong last while it does not answer, secrets masked.
    pub error: Option<String>,
    /// How many requests an hour takes; none where they are not counted.
    pub per_hour: Option<u32>,
    /// The present window; none before its first request.
    pub hour: Option<Hour>,
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
            let (silent_since, error) = gate.outage().unzip();
            let mut standing = Standing {
                upstream,
                silent_since,
                error: error.flatten(),
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
