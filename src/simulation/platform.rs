//! The billing platform that is reported to: how it answers at present, and what it has heard.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::sandbox::{Fault, Reply};

/// How it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    /// It takes what it is told.
    #[default]
    Takes,
    /// It lets nobody in: 403, in JSON.
    Refuses,
    /// It shows a web page.
    ShowsPage,
    /// It answers 503.
    Away,
    /// It takes the request and says nothing.
    Hangs,
}

/// The billing platform.
#[derive(Debug, Default)]
pub(super) struct Platform {
    pub(super) mood: Mood,
    /// The latest report of each service.
    heard: BTreeMap<String, Value>,
}

impl Platform {
    /// What it was told last of a service.
    pub(super) fn latest(&self, service: &str) -> Option<&Value> {
        self.heard.get(service)
    }

    /// What it answers to a report that gets there; none where it says nothing.
    pub(super) fn answer(&mut self, fault: Option<&Fault>, body: &[u8]) -> Option<Reply> {
        // Of a success only the status counts here, so this is none of its faults.
        let fault = fault.filter(|fault| !matches!(fault, Fault::ErrorUnder200 { .. }));
        let done = fault.is_none_or(|fault| {
            // What a gateway says after the request has passed.
            matches!(
                fault,
                Fault::DoneThenHtmlPage502
                    | Fault::DoneThenUnavailable503 { .. }
                    | Fault::DoneThenEmptyBody
                    | Fault::DoneThenNullIds
            )
        });
        if done && self.mood == Mood::Takes {
            self.hear(body);
        }
        match (fault, self.mood) {
            (Some(fault), _) => fault.reply(),
            (None, Mood::Takes) => Some(reply(200, "application/json", "{}")),
            (None, Mood::Refuses) => {
                let said = r#"{"result": "error", "message": "Invalid IP 198.51.100.7"}"#;
                Some(reply(403, "application/json", said))
            }
            (None, Mood::ShowsPage) => Some(reply(200, "text/html", "<html>Maintenance</html>")),
            (None, Mood::Away) => Some(reply(503, "application/json", "{}")),
            (None, Mood::Hangs) => None,
        }
    }

    /// As a receiver does that keeps to `seq`: an older state than the last is dropped.
    fn hear(&mut self, body: &[u8]) {
        let report: Value = serde_json::from_slice(body).unwrap_or_default();
        let service = report["service_id"].as_str().unwrap_or_default().to_owned();
        let seq = |report: &Value| report["seq"].as_i64().unwrap_or(0);
        let known = self.heard.get(&service).map_or(0, seq);
        if seq(&report) >= known {
            self.heard.insert(service, report);
        }
    }
}

fn reply(status: u16, content_type: &'static str, body: &str) -> Reply {
    Reply {
        status,
        content_type,
        retry_after: None,
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    }
}
