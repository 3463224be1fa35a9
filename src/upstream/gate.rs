//! One upstream's breaker with its lock and its log: told by the line how requests end, asked
//! before a step begins.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::breaker::{Admission, Breaker, BreakerRules, Change};
use super::refused_steps::{Meant, RefusedStep, RefusedSteps};
use super::wire::Health;
use crate::domain::{Away, Because, Entropy, Refusal, Timestamp};

/// Whether an upstream can be asked.
pub(super) struct Gate {
    upstream: String,
    breaker: Mutex<Breaker>,
    steps: Mutex<RefusedSteps>,
    /// Whether an answer showed that the account is not refused as a whole.
    vouched: AtomicBool,
    /// How long the account must not have been refused before that counts as over.
    quiet: Duration,
}

/// What an exchange showed.
pub(super) struct Heard<'a> {
    /// What it says of the upstream as a whole.
    pub(super) health: Health,
    /// Whether it shows that the account's own credentials are taken.
    pub(super) vouches: bool,
    /// What went wrong, masked.
    pub(super) error: &'a str,
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
            steps: Mutex::new(RefusedSteps::new(rules, per_second, patience)),
            vouched: AtomicBool::new(false),
            quiet: rules.longest,
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

    /// Why and since when nothing is begun there, if so, and what went wrong last.
    pub(super) fn outage(&self) -> Option<(Because, Timestamp, Option<String>)> {
        self.breaker().outage()
    }

    /// Notes what a request says of the upstream as a whole.
    pub(super) fn heard(&self, heard: &Heard<'_>, now: Timestamp, entropy: &dyn Entropy) {
        let Heard {
            health,
            vouches,
            error,
        } = heard;
        let mut breaker = self.breaker();
        let words = || (*error).to_owned();
        let change = match *health {
            Health::Answers => breaker.answered(now, *vouches),
            Health::Limits(pause) => breaker.limited(words(), now, pause),
            Health::Fails => breaker.failed(words(), now, entropy.fraction()),
            Health::Refuses(refusal) => breaker.refused(refusal, words(), now, entropy.fraction()),
        };
        drop(breaker);
        match health {
            Health::Refuses(_) => self.vouched.store(false, Ordering::Relaxed),
            _ if *vouches => self.vouched.store(true, Ordering::Relaxed),
            Health::Answers | Health::Limits(_) | Health::Fails => {}
        }
        self.tell(change, error);
    }

    /// Why a step of this kind does not begin although the upstream can be asked.
    pub(super) fn admit_step(&self, kind: &str, run: i64, now: Timestamp) -> Option<Away> {
        self.steps().admit(kind, run, now)
    }

    /// A step's request that changes something was refused for the account; whether that concerns
    /// the client alone for which it was made.
    pub(super) fn step_refused(
        &self,
        step: (&'static str, Option<i64>),
        refusal: Refusal,
        error: &str,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> bool {
        let refused = (refusal, error.to_owned());
        let meant = self.steps().refused(step, refused, now, entropy.fraction());
        let (upstream, kind) = (self.upstream.as_str(), step.0);
        match meant {
            Meant::ClientAlone => true,
            Meant::Kind { until, is_new } => {
                if is_new {
                    let remedy = refusal.remedy(upstream);
                    tracing::warn!(
                        upstream, kind, error, remedy, %until,
                        "an upstream refuses the account; no step of this kind is begun until it \
                         does not"
                    );
                }
                false
            }
        }
    }

    /// A step's request that changes something was carried out.
    pub(super) fn step_went_well(&self, kind: &'static str, client: Option<i64>, now: Timestamp) {
        if let Some(since) = self.steps().went_well(kind, client, now) {
            let (upstream, seconds) = (self.upstream.as_str(), now.since(since).as_secs());
            tracing::info!(
                upstream,
                kind,
                seconds,
                "an upstream takes the account again"
            );
        }
    }

    /// An attempt ended without saying whether steps of its kind are still refused.
    pub(super) fn step_says_nothing(&self, kind: &str, run: i64, now: Timestamp) {
        self.steps().says_nothing(kind, run, now);
    }

    /// That the account is refused, for a run whose attempt has just been.
    pub(super) fn refuses(&self, kind: &str, now: Timestamp) -> Option<Away> {
        let whole = self.breaker().silent(now);
        whole.or_else(|| self.steps().away(kind))
    }

    /// Kinds of steps that are refused.
    pub(super) fn refused_steps(&self) -> Vec<RefusedStep> {
        self.steps().all()
    }

    /// What is surely not refused: the account as a whole (none), and kinds of steps.
    pub(super) fn sound(&self, now: Timestamp) -> Vec<Option<&'static str>> {
        let breaker = self.breaker();
        let over = breaker.over();
        let whole = breaker.outage().is_none()
            && self.vouched.load(Ordering::Relaxed)
            && over.is_none_or(|at| now.since(at) >= self.quiet);
        drop(breaker);
        let kinds = self.steps().well().into_iter().map(Some);
        whole.then_some(None).into_iter().chain(kinds).collect()
    }

    fn tell(&self, change: Option<Change>, error: &str) {
        let upstream = self.upstream.as_str();
        match change {
            Some(Change::Opened {
                because: Because::Refused(refusal),
                until,
            }) => {
                let remedy = refusal.remedy(upstream);
                tracing::warn!(
                    upstream, error, remedy, %until,
                    "an upstream refuses the account; nothing is begun there until it does not"
                );
            }
            Some(Change::Opened { until, .. }) => tracing::warn!(
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

    fn steps(&self) -> MutexGuard<'_, RefusedSteps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread that broke off leaves whole state behind: nothing here is changed in two parts.
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
