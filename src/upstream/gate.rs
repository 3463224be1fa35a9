//! One upstream's breaker with its lock and its log: told by the line how requests end, asked
//! before a step begins.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::breaker::{Admission, Breaker, BreakerRules, Change};
use super::wire::Health;
use crate::domain::{Away, Entropy, Timestamp};

/// Whether an upstream can be asked.
pub(super) struct Gate {
    upstream: String,
    breaker: Mutex<Breaker>,
}

impl Gate {
    pub(super) fn new(
        upstream: &str,
        rules: BreakerRules,
        per_second: u32,
        timeout: Duration,
    ) -> Self {
        // A look, its repetition, and their turns.
        let patience = timeout.saturating_mul(4);
        Self {
            upstream: upstream.to_owned(),
            breaker: Mutex::new(Breaker::new(rules, per_second, patience)),
        }
    }

    /// Whether a step may begin.
    pub(super) fn admit(&self, now: Timestamp) -> Admission {
        self.breaker().admit(now)
    }

    /// That the upstream as a whole does not answer.
    pub(super) fn silent(&self, now: Timestamp) -> Option<Away> {
        self.breaker().silent(now)
    }

    /// How long the upstream still wants to be left alone.
    pub(super) fn held(&self, now: Timestamp) -> Duration {
        self.breaker().held(now)
    }

    /// Whether nothing is begun at present.
    pub(super) fn is_away(&self, now: Timestamp) -> bool {
        self.breaker().is_away(now)
    }

    /// Since when the upstream as a whole does not answer, if so, and what went wrong last.
    pub(super) fn outage(&self) -> Option<(Timestamp, Option<String>)> {
        self.breaker().outage()
    }

    /// Notes what a request says of the upstream as a whole; `error` is masked.
    pub(super) fn heard(&self, health: Health, error: &str, now: Timestamp, entropy: &dyn Entropy) {
        let mut breaker = self.breaker();
        let change = match health {
            Health::Answers => breaker.answered(now),
            Health::Limits(pause) => breaker.limited(error.to_owned(), now, pause),
            Health::Fails => breaker.failed(error.to_owned(), now, entropy.fraction()),
        };
        drop(breaker);
        self.tell(change, error);
    }

    fn tell(&self, change: Option<Change>, error: &str) {
        let upstream = self.upstream.as_str();
        match change {
            Some(Change::Opened { until }) => tracing::warn!(
                upstream, error, %until,
                "an upstream does not answer; nothing is begun there until it does"
            ),
            Some(Change::Held { until }) => tracing::info!(
                upstream, %until,
                "an upstream limits requests; it is left alone until then"
            ),
            Some(Change::Closed { after }) => {
                let seconds = after.as_secs();
                tracing::info!(upstream, seconds, "an upstream answers again");
            }
            None => {}
        }
    }

    /// A thread that broke off leaves whole state behind: nothing here is changed in two parts.
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
