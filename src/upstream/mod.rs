//! The suppliers, seen from here: the only place that knows an HTTP client. IO.
//!
//! [`Upstreams::perform`] makes one attempt at one step and says how it ended; it chooses
//! nothing, keeps nothing between attempts that matters, and repeats nothing by itself. Every
//! create looks for its mark before it sends. What an answer means is decided in [`wire`], for
//! all upstreams alike.

mod billing;
mod carrier;
mod fields;
mod hivelocity;
mod line;
mod mask;
mod one_h;
mod probe;
mod settings;
#[cfg(test)]
mod stage;
mod talk;
mod wire;

use self::billing::Billing;
pub use self::carrier::{Carrier, Carry, Parcel, Raw, Received};
use self::hivelocity::Hivelocity;
use self::mask::Mask;
use self::one_h::OneH;
pub use self::probe::Probe;
pub use self::settings::{
    HivelocitySettings, OneHSettings, ReportKind, ReportSettings, UpstreamError, UpstreamSettings,
};
use self::talk::Talk;
pub use self::talk::{Learned, Scene};
use self::wire::Setback;
use crate::domain::{Exchange, Outcome, Permit, StepAction};

/// The clients of all upstreams, with their pace; one for the process.
pub struct Upstreams {
    hivelocity: Option<Hivelocity>,
    one_h: Option<OneH>,
    billing: Billing,
    /// The secrets of the configuration: no upstream may make another's known.
    secrets: Mask,
}

impl Upstreams {
    /// Makes the clients. An upstream without credentials is left out; a step that needs it is
    /// rejected.
    pub fn new(settings: UpstreamSettings) -> Result<Self, UpstreamError> {
        let UpstreamSettings {
            hivelocity,
            one_h,
            reports,
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
            hivelocity: Hivelocity::new(&hivelocity, &carrier)?,
            one_h: OneH::new(&one_h, &carrier)?,
            billing: Billing::new(&reports, &carrier)?,
            secrets,
        })
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
        let mut talk = Talk {
            scene,
            permit,
            trace,
            learned,
            mask: self.secrets.clone(),
        };
        let outcome = self
            .attempt(&mut talk, action)
            .await
            .unwrap_or_else(Outcome::from);
        talk.mask.outcome(outcome)
    }

    async fn attempt(&self, talk: &mut Talk<'_>, action: &StepAction) -> Result<Outcome, Setback> {
        if let StepAction::Report { status } = action {
            return self.billing.report(talk, status).await;
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
