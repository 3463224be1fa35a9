//! Telling the billing platform how it went: WHMCS's API, or a signed webhook. IO.
//!
//! A report may be sent twice without harm, so an unclear end is simply tried again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::breaker::BreakerRules;
use super::carrier::Carrier;
use super::fields::text;
use super::gate::Gate;
use super::line::{Ask, Cargo, Line, Terms, address};
use super::pace::Pace;
use super::refusals::Credentials;
use super::settings::{ReportKind, ReportSettings, UpstreamError};
use super::talk::Talk;
use super::wire::{Body, Expect, Intent, Setback, said};
use crate::domain::{Done, Outcome, Secret, Timestamp};
use crate::verify::{ID_HEADER, Keys, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign};

/// Reports per second to one billing installation.
const PER_SECOND: u32 = 10;
const TIMEOUT: Duration = Duration::from_secs(30);

/// How a step may end early.
type Found<T> = Result<T, Setback>;

/// The ways back, by source.
pub(super) struct Billing {
    ways: BTreeMap<String, Way>,
}

struct Way {
    line: Line,
    url: Url,
    protocol: Protocol,
}

/// How a report is written, with what it takes.
enum Protocol {
    Whmcs { identifier: Secret, secret: Secret },
    Webhook { keys: Keys },
}

impl Billing {
    /// A way back for each source that has one.
    pub(super) fn new(
        reports: &BTreeMap<String, ReportSettings>,
        pace: &Arc<dyn Pace>,
        carrier: &Carrier,
    ) -> Result<Self, UpstreamError> {
        let mut ways = BTreeMap::new();
        for (source, settings) in reports {
            ways.insert(source.clone(), Way::new(source, settings, pace, carrier)?);
        }
        Ok(Self { ways })
    }

    /// Whether the source's billing platform can be told.
    pub(super) fn gate(&self, source: &str) -> Option<&Gate> {
        self.ways.get(source).map(|way| way.line.gate())
    }

    /// Reports the service's status.
    pub(super) async fn report(&self, talk: &mut Talk<'_>, status: &str) -> Found<Outcome> {
        let Some(way) = self.ways.get(talk.scene.source) else {
            let output = json!({"note": "no report is configured for this source"});
            return Ok(Outcome::AlreadySo(Done {
                output,
                ..Done::default()
            }));
        };
        let reported = match &way.protocol {
            Protocol::Whmcs { .. } => way.tell_whmcs(talk).await,
            Protocol::Webhook { keys } => way.post_webhook(talk, keys, status).await,
        };
        reported.map(Outcome::Done).map_err(Setback::of_a_means)
    }

    /// A harmless read of each billing API that has one.
    pub(super) async fn probe(&self, talk: &mut Talk<'_>) -> Vec<(String, Found<String>)> {
        let mut results = Vec::new();
        for (source, way) in &self.ways {
            let (what, result) = match &way.protocol {
                Protocol::Whmcs { .. } => {
                    let fields = vec![("action", "GetStats".to_owned())];
                    let stats = way.whmcs(talk, fields, Intent::Read).await;
                    (
                        "GetStats",
                        stats.map(|_| "the WHMCS API answers".to_owned()),
                    )
                }
                Protocol::Webhook { .. } => (
                    "webhook",
                    Ok("not asked: a webhook has no harmless read".to_owned()),
                ),
            };
            results.push((format!("{source}: {what}"), result));
        }
        results
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
            ReportKind::WhmcsApi => Protocol::Whmcs {
                identifier: settings.identifier.clone(),
                secret: settings.secret.clone(),
            },
            ReportKind::Webhook => Protocol::Webhook {
                keys: Keys::parse(std::slice::from_ref(&settings.secret)).map_err(|error| {
                    let key = format!("sources.{source}.report.secret");
                    UpstreamError::WebhookSecret {
                        key,
                        why: error.to_string(),
                    }
                })?,
            },
        };
        Ok(Self {
            line: Line::new(terms(format!("billing:{source}")), &url, pace, carrier)?,
            url,
            protocol,
        })
    }

    async fn tell_whmcs(&self, talk: &mut Talk<'_>) -> Found<Done> {
        let Some(service_id) = talk.scene.service_id else {
            let output = json!({"note": "a customer's event has nothing to report to WHMCS"});
            return Ok(Done {
                output,
                ..Done::default()
            });
        };
        let mut fields = vec![
            ("action", "UpdateClientProduct".to_owned()),
            ("serviceid", service_id.to_owned()),
        ];
        // An empty field would wipe out what WHMCS has.
        let state = talk.scene.service;
        let known = [("dedicatedip", &state.ip), ("domain", &state.hostname)];
        for (name, value) in known {
            if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                fields.push((name, value.clone()));
            }
        }
        self.whmcs(talk, fields, Intent::Write).await?;
        let output = json!({"reported": {"ip": state.ip, "hostname": state.hostname}});
        Ok(Done {
            output,
            ..Done::default()
        })
    }

    /// One call of WHMCS's API, which says in the body how it went.
    async fn whmcs(
        &self,
        talk: &mut Talk<'_>,
        mut fields: Vec<(&'static str, String)>,
        intent: Intent,
    ) -> Found<Value> {
        fields.push(("responsetype", "json".to_owned()));
        if let Protocol::Whmcs { identifier, secret } = &self.protocol {
            fields.push(("identifier", identifier.reveal().to_owned()));
            fields.push(("secret", secret.reveal().to_owned()));
        }
        let shown: Map<String, Value> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
            .collect();
        let ask = Ask {
            method: Method::POST,
            url: self.url.clone(),
            keys: HeaderMap::new(),
            cargo: Cargo::Form {
                fields,
                shown: Value::Object(shown),
            },
            expect: Expect {
                intent,
                body: Body::Json,
                meanings: &[400, 401, 403, 404],
                credentials: Credentials::Platform,
            },
        };
        let answer = self.line.send(talk, ask).await?;
        match text(&answer.body, "result").as_str() {
            "success" => Ok(answer.body),
            "error" => Err(Setback::Rejected(format!(
                "WHMCS refused: {}",
                said(&answer.body)
            ))),
            _ => Err(Setback::unavailable(format!(
                "the billing platform answered {} without a result; is {} WHMCS's API?",
                answer.status, "sources.….report.url"
            ))),
        }
    }

    async fn post_webhook(&self, talk: &mut Talk<'_>, keys: &Keys, status: &str) -> Found<Done> {
        let scene = talk.scene;
        let body = json!({
            "type": "service.reported",
            "occurred_at": scene.now,
            "source": scene.source,
            "service_id": scene.service_id,
            "customer_id": scene.customer_id,
            "status": status,
            "ip": scene.service.ip,
            "hostname": scene.service.hostname,
            "error": null,
        });
        let text = body.to_string();
        let headers = signature(keys, &text, scene.now);
        let ask = Ask {
            method: Method::POST,
            url: self.url.clone(),
            keys: HeaderMap::new(),
            cargo: Cargo::Signed { text, headers },
            // Receivers answer with whatever they like; the status is what counts.
            expect: Expect {
                intent: Intent::Write,
                body: Body::Anything,
                meanings: &[],
                credentials: Credentials::Platform,
            },
        };
        self.line.send(talk, ask).await?;
        Ok(Done {
            output: json!({"reported": status}),
            ..Done::default()
        })
    }
}

/// Whoever is told something has no breaker: there is no harmless read to see whether it is back.
pub(super) fn terms(upstream: impl Into<String>) -> Terms {
    Terms {
        upstream: upstream.into(),
        who: "the billing platform",
        per_second: PER_SECOND,
        timeout: TIMEOUT,
        // A receiver that fails with one message tells nothing of others, and most have no
        // harmless read that could.
        breaker: BreakerRules::OFF,
        budget: None,
    }
}

/// The headers of Standard Webhooks, over the very bytes.
pub(super) fn signature(keys: &Keys, text: &str, now: Timestamp) -> Vec<(&'static str, String)> {
    // The id is made of the report itself: sent twice in one second it is the same message.
    let digest = Sha256::digest(text.as_bytes());
    let id = format!(
        "msg_{}",
        hex::encode(digest.iter().take(16).copied().collect::<Vec<u8>>())
    );
    let signature = sign(keys, &id, now, text.as_bytes());
    vec![
        (ID_HEADER, id),
        (TIMESTAMP_HEADER, now.seconds().to_string()),
        (SIGNATURE_HEADER, signature),
    ]
}

#[cfg(test)]
#[path = "billing_tests.rs"]
mod tests;
