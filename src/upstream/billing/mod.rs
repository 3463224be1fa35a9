//! Telling the billing platforms what became of services: WHMCS's API, or a signed webhook. IO.
//!
//! A report may be sent twice without harm, so an unclear end is simply tried again, by whoever
//! keeps the outbox.

mod unheard;
mod webhook;
mod whmcs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::breaker::BreakerRules;
use super::carrier::Carrier;
use super::line::{Line, Terms, address};
use super::mask::Mask;
use super::pace::Pace;
use super::probe::Nothing;
use super::settings::{ReportKind, ReportSettings, UpstreamError};
use super::talk::{Learned, Talk};
use crate::domain::{Entropy, Permit, Timestamp};
use crate::verify::Keys;
pub use unheard::{Fault, Unheard};
pub(super) use webhook::signature;
use whmcs::Credential;

/// Reports per second to one billing installation.
const PER_SECOND: u32 = 10;
const TIMEOUT: Duration = Duration::from_secs(30);

/// The ways back, by source.
pub struct Billing {
    ways: BTreeMap<String, Way>,
    /// The secrets of the configuration: no platform may make one known.
    secrets: Mask,
}

impl std::fmt::Debug for Billing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.ways.keys()).finish()
    }
}

/// One state of one service, to be told.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The message's id: the same whenever this state is sent.
    pub id: &'a str,
    /// The service.
    pub service_id: &'a str,
    /// What is told.
    pub body: &'a Value,
}

struct Way {
    source: String,
    line: Line,
    url: Url,
    protocol: Protocol,
}

/// How a report is written, with what it takes.
enum Protocol {
    Whmcs(Credential),
    Webhook(Keys),
}

impl Billing {
    /// A way back for each source that has one.
    pub(super) fn new(
        reports: &BTreeMap<String, ReportSettings>,
        pace: &Arc<dyn Pace>,
        carrier: &Carrier,
        secrets: Mask,
    ) -> Result<Self, UpstreamError> {
        let mut ways = BTreeMap::new();
        for (source, settings) in reports {
            ways.insert(source.clone(), Way::new(source, settings, pace, carrier)?);
        }
        Ok(Self { ways, secrets })
    }

    /// The sources that are told.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.ways.keys().map(String::as_str)
    }

    /// Tells a source's platform once.
    pub async fn tell(
        &self,
        source: &str,
        told: &Told<'_>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(), Unheard> {
        let Some(way) = self.ways.get(source) else {
            return Err(Unheard::new(Fault::Door, not_told(source), None));
        };
        let nobody = Nothing::default();
        let scene = nobody.scene(now, entropy);
        let (mut trace, mut learned) = (Vec::new(), Learned::default());
        let secrets = self.secrets.clone();
        let mut talk = Talk::new(&scene, Permit::Send, &mut trace, &mut learned, secrets);
        let result = match &way.protocol {
            Protocol::Whmcs(key) => way.tell_whmcs(&mut talk, key, told).await,
            Protocol::Webhook(keys) => way.post_webhook(&mut talk, keys, told).await,
        };
        result.map_err(|unheard| self.masked(unheard))
    }

    /// Something harmless to each platform, to see whether it would take a report.
    pub(super) async fn probe(&self, talk: &mut Talk<'_>) -> Vec<(String, Result<String, String>)> {
        let mut results = Vec::new();
        for (source, way) in &self.ways {
            let (what, result) = way.probe(talk).await;
            let result = result.map_err(|unheard| self.masked(unheard).error);
            results.push((format!("{source}: {what}"), result));
        }
        results
    }

    /// The same to one source's platform: why it would take no report, without secrets.
    pub async fn probe_one(
        &self,
        source: &str,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(), String> {
        let Some(way) = self.ways.get(source) else {
            return Err(not_told(source));
        };
        let nobody = Nothing::default();
        let scene = nobody.scene(now, entropy);
        let (mut trace, mut learned) = (Vec::new(), Learned::default());
        let secrets = self.secrets.clone();
        let mut talk = Talk::new(&scene, Permit::LookOnly, &mut trace, &mut learned, secrets);
        let (_, result) = way.probe(&mut talk).await;
        result
            .map(drop)
            .map_err(|unheard| self.masked(unheard).error)
    }

    fn masked(&self, mut unheard: Unheard) -> Unheard {
        unheard.error = self.secrets.text(&unheard.error);
        unheard
    }
}

impl Way {
    fn new(
        source: &str,
        settings: &ReportSettings,
        pace: &Arc<dyn Pace>,
        carrier: &Carrier,
    ) -> Result<Self, UpstreamError> {
        let url = address(&format!("sources.{source}.report.url"), &settings.url)?;
        let protocol = match settings.kind {
            ReportKind::WhmcsApi => Protocol::Whmcs(Credential {
                identifier: settings.identifier.clone(),
                secret: settings.secret.clone(),
            }),
            ReportKind::Webhook => {
                let keys = Keys::parse(std::slice::from_ref(&settings.secret));
                Protocol::Webhook(keys.map_err(|error| UpstreamError::WebhookSecret {
                    key: format!("sources.{source}.report.secret"),
                    why: error.to_string(),
                })?)
            }
        };
        Ok(Self {
            source: source.to_owned(),
            line: Line::new(terms(format!("billing:{source}")), &url, pace, carrier)?,
            url,
            protocol,
        })
    }

    /// Asks something harmless: what it was, and what it brought.
    async fn probe(&self, talk: &mut Talk<'_>) -> (&'static str, Result<String, Unheard>) {
        match &self.protocol {
            Protocol::Whmcs(key) => ("GetStats", self.probe_whmcs(talk, key).await),
            Protocol::Webhook(keys) => ("test.ping", self.probe_webhook(talk, keys).await),
        }
    }
}

fn not_told(source: &str) -> String {
    format!("source {source} has no report in this configuration")
}

/// A line without a breaker: an outage of a billing platform is the outbox's to sit out.
pub(super) fn terms(upstream: impl Into<String>) -> Terms {
    Terms {
        upstream: upstream.into(),
        who: "the billing platform",
        per_second: PER_SECOND,
        timeout: TIMEOUT,
        breaker: BreakerRules::OFF,
        budget: None,
    }
}

#[cfg(test)]
mod tests;
