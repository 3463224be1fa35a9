//! The suppliers, seen from here: the only place that knows an HTTP client. IO.
//!
//! [`Upstreams::perform`] makes one attempt at one step and says how it ended; it chooses
//! nothing, keeps nothing between attempts that matters, and repeats nothing by itself. Every
//! create looks for its mark before it sends. What an answer means is decided in [`wire`], for
//! all upstreams alike.

mod account;
mod billing;
mod breaker;
mod budget;
mod carrier;
mod counted;
mod fields;
mod gate;
mod herald;
mod hivelocity;
mod line;
mod mask;
mod one_h;
mod pace;
mod probe;
mod refusals;
mod refused_steps;
mod said;
mod settings;
#[cfg(test)]
mod stage;
mod standing;
mod talk;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

pub use self::billing::{Billing, Fault, Told, Unheard};
use self::breaker::Admission;
use self::budget::Budget;
pub use self::budget::{Counting, Hours, OwnHours};
pub use self::carrier::{Carrier, Carry, Parcel, RateLimit, Raw, Received};
use self::gate::Gate;
pub use self::herald::Herald;
use self::hivelocity::Hivelocity;
use self::mask::Mask;
use self::one_h::OneH;
pub use self::pace::{OwnPace, Pace, Paced, Rate, Turn};
pub use self::probe::Probe;
pub use self::refused_steps::RefusedStep;
pub use self::settings::{
    BreakerRules, HivelocitySettings, OneHSettings, ReportKind, ReportSettings, UpstreamError,
    UpstreamSettings,
};
pub use self::standing::{AccountRefused, Standing};
use self::talk::Talk;
pub use self::talk::{Learned, OrderLedger, Scene};
use self::wire::Setback;
use crate::domain::{Away, Done, Entropy, Exchange, Outcome, Permit, Rank, StepAction, Timestamp};

/// The clients of all upstreams, with their pace; one for the process.
pub struct Upstreams {
    hivelocity: Option<Hivelocity>,
    one_h: Option<OneH>,
    billing: Arc<Billing>,
    /// The secrets of the configuration: no upstream may make another's known.
    secrets: Mask,
    step_timeout: Duration,
    /// Whether time passes while a request is under way.
    real_time: bool,
}

impl Upstreams {
    /// Makes the clients, with a pace of their own. An upstream without credentials is left out;
    /// a step that needs it is rejected.
    pub fn new(settings: UpstreamSettings) -> Result<Self, UpstreamError> {
        let pace: Arc<dyn Pace> = Arc::new(OwnPace::default());
        Self::paced(settings, &pace)
    }

    /// The same, with a pace that may be shared with other processes.
    pub fn paced(settings: UpstreamSettings, pace: &Arc<dyn Pace>) -> Result<Self, UpstreamError> {
        let hours: Arc<dyn Hours> = Arc::new(OwnHours::default());
        Self::counted(settings, pace, &hours)
    }

    /// The same, with a count of the hour's requests that outlives this process and may be shared,
    /// too.
    pub fn counted(
        settings: UpstreamSettings,
        pace: &Arc<dyn Pace>,
        hours: &Arc<dyn Hours>,
    ) -> Result<Self, UpstreamError> {
        let UpstreamSettings {
            hivelocity,
            one_h,
            reports,
            step_timeout,
            carrier,
        } = settings;
        let mut secrets = Mask::default();
        for secret in [&hivelocity.api_key, &one_h.auth_code, &one_h.api_key] {
            secrets.add(secret);
        }
        for report in reports.values() {
            secrets.add(&report.identifier);
            secrets.add(&report.secret);
        }
        Ok(Self {
            hivelocity: Hivelocity::new(&hivelocity, pace, hours, &carrier)?,
            one_h: OneH::new(&one_h, pace, &carrier)?,
            billing: Arc::new(Billing::new(&reports, pace, &carrier, secrets.clone())?),
            secrets,
            step_timeout,
            real_time: matches!(carrier, Carrier::Network),
        })
    }

    /// Whether a step may begin now; if not, why and until when. Where the time has come to see
    /// whether a supplier is back, this does so. An attempt that only looks sends nothing that may be
    /// refused while looks are not.
    pub async fn admit(
        &self,
        (action, permit): (&StepAction, Permit),
        run: i64,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Option<Away> {
        let gate = self.gate(action)?;
        let began = Instant::now();
        let rank = Rank::of(action);
        if let Some(budget) = self.budget(action.upstream())
            && let Some(away) = budget.admit(rank, now, entropy).await
        {
            return Some(away);
        }
        let step = |now| match permit {
            Permit::Send => gate.admit_step(action.kind(), run, now),
            Permit::LookOnly => None,
        };
        match gate.admit(now) {
            Admission::Go => return step(now),
            Admission::Wait(away) => return Some(away),
            Admission::Knock => {}
        }
        // What it brings, the gate knows by now; a read that is cut off brings nothing.
        let _ = timeout(
            self.step_timeout,
            self.knock(action.upstream(), rank, now, entropy),
        )
        .await;
        let now = now.plus(self.passed(began));
        match gate.admit(now) {
            Admission::Go | Admission::Knock => step(now),
            Admission::Wait(away) => Some(away),
        }
    }

    /// How long that was ago; nothing where the carrier keeps a time of its own.
    fn passed(&self, began: Instant) -> Duration {
        if self.real_time {
            began.elapsed()
        } else {
            Duration::ZERO
        }
    }

    /// That the step's upstream does not answer as a whole, if so: then an attempt that failed
    /// tells nothing of its step.
    pub fn silent(&self, action: &StepAction, now: Timestamp) -> Option<Away> {
        self.gate(action)?.silent(now)
    }

    /// The ways back to the billing platforms.
    pub fn billing(&self) -> Arc<Billing> {
        Arc::clone(&self.billing)
    }

    fn budget(&self, upstream: &str) -> Option<&Budget> {
        let hivelocity = self
            .hivelocity
            .as_ref()
            .filter(|_| upstream == "hivelocity");
        hivelocity.and_then(Hivelocity::budget)
    }

    fn gate(&self, action: &StepAction) -> Option<&Gate> {
        match action.upstream() {
            "hivelocity" => self.hivelocity.as_ref().map(Hivelocity::gate),
            "one_h" => self.one_h.as_ref().map(OneH::gate),
            _ => None,
        }
    }

    /// Makes one attempt at a step.
    ///
    /// Every request is written to `trace`, secrets masked. `learned` is to be stored whatever
    /// the outcome. With [`Permit::LookOnly`] no request that changes something is sent, and
    /// [`Outcome::Absent`] means that the look found no mark.
    pub async fn perform(
        &self,
        action: &StepAction,
        permit: Permit,
        scene: &Scene<'_>,
        trace: &mut Vec<Exchange>,
        learned: &mut Learned,
    ) -> Outcome {
        let secrets = self.secrets.clone();
        let mut talk = Talk::new(scene, permit, trace, learned, secrets)
            .ranked(Rank::of(action))
            .of_kind(action.kind());
        let outcome = timeout(self.step_timeout, self.attempt(&mut talk, action))
            .await
            .unwrap_or_else(|_| Err(talk.cut_off(self.step_timeout)));
        let outcome = self.of_the_account(&talk, action, outcome);
        talk.mask.outcome(outcome)
    }

    async fn attempt(&self, talk: &mut Talk<'_>, action: &StepAction) -> Result<Outcome, Setback> {
        if let StepAction::Report { .. } = action {
            // Of an older version; the outbox tells the billing platform.
            return Ok(Outcome::AlreadySo(Done::default()));
        }
        let (missing, outcome) = match (action.upstream(), &self.hivelocity, &self.one_h) {
            ("hivelocity", Some(client), _) => ("", client.perform(talk, action).await),
            ("one_h", _, Some(client)) => ("", client.perform(talk, action).await),
            ("one_h", _, None) => ("one_h.auth_code and one_h.api_key", None),
            _ => ("hivelocity.api_key", None),
        };
        outcome.unwrap_or_else(|| {
            Err(Setback::Rejected(format!(
                "{} needs {missing}, which is not set",
                action.kind()
            )))
        })
    }
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod stress_tests;
