//! The 1H client: one form field `request` that holds JSON, answered with numbers. IO.

mod errors;
mod licences;
mod portals;
mod users;

use std::sync::Arc;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use url::Url;

use self::errors::{Command, Meaning, meaning};
use super::carrier::Carrier;
use super::fields::{integer, text};
use super::gate::Gate;
use super::line::{Ask, Cargo, Line, Terms, address};
use super::pace::Pace;
use super::refusals::Credentials;
use super::settings::{OneHSettings, UpstreamError};
use super::talk::Talk;
use super::wire::{Answer, Body, Expect, Intent, Setback, said};
use crate::domain::step::{DEVICE_ID, DEVICE_IP};
use crate::domain::{Outcome, Secret, StepAction};

/// How a step may end early.
type Found<T> = Result<T, Setback>;

/// The 1H client.
pub(super) struct OneH {
    line: Line,
    url: Url,
    auth_code: Secret,
    api_key: Secret,
}

/// What 1H said to a command.
#[derive(Debug)]
enum Reply {
    /// Done; the response.
    Yes(Value),
    /// Not done, for a reason that the step has a use for.
    No(Meaning, String),
}

impl OneH {
    /// A client for the account; none where no credentials are set.
    pub(super) fn new(
        settings: &OneHSettings,
        pace: &Arc<dyn Pace>,
        carrier: &Carrier,
    ) -> Result<Option<Self>, UpstreamError> {
        if settings.auth_code.is_empty() || settings.api_key.is_empty() {
            return Ok(None);
        }
        let url = address("one_h.base_url", &settings.base_url)?;
        let terms = Terms {
            upstream: "one_h".to_owned(),
            who: "1H",
            per_second: settings.requests_per_second,
            timeout: settings.timeout,
            breaker: settings.breaker,
            budget: None,
        };
        Ok(Some(Self {
            line: Line::new(terms, &url, pace, carrier)?,
            url,
            auth_code: settings.auth_code.clone(),
            api_key: settings.api_key.clone(),
        }))
    }

    /// Does one of the 1H steps; none for a step of another upstream.
    pub(super) async fn perform(
        &self,
        talk: &mut Talk<'_>,
        action: &StepAction,
    ) -> Option<Found<Outcome>> {
        Some(match action {
            StepAction::AddUser {
                username,
                email,
                name,
            } => self.add_user(talk, username, email, name).await,
            StepAction::UpdateUser {
                username,
                email,
                name,
            } => self.update_user(talk, username, email, name).await,
            StepAction::SuspendUser { username, .. } => {
                self.switch_user(talk, Command::SuspendUser, username).await
            }
            StepAction::UnsuspendUser { username } => {
                self.switch_user(talk, Command::UnsuspendUser, username)
                    .await
            }
            StepAction::AddLicense {
                product,
                ip,
                username,
                label,
            } => {
                self.add_license(talk, product, ip, username.as_deref(), label)
                    .await
            }
            StepAction::RemoveLicense {
                product,
                ip,
                suspension,
                holder,
            } => {
                let user = holder.as_ref().or(talk.scene.service.one_h_user.as_ref());
                let user = user.cloned();
                self.remove_license(talk, product, ip, user.as_deref(), *suspension)
                    .await
            }
            StepAction::AddPortal { .. } | StepAction::UpdatePortal { .. } => {
                self.portal(talk, action).await
            }
            StepAction::CreateClient { .. }
            | StepAction::DeployDevice { .. }
            | StepAction::AwaitDevice { .. }
            | StepAction::Power { .. }
            | StepAction::NullRoute { .. }
            | StepAction::RemoveNullRoute { .. }
            | StepAction::CancelDevice { .. }
            | StepAction::ReloadDevice { .. }
            | StepAction::DeactivateClient
            | StepAction::Report { .. } => return None,
        })
    }

    /// Whether 1H can be asked.
    pub(super) const fn gate(&self) -> &Gate {
        self.line.gate()
    }

    /// One harmless read; the line notes what came of it.
    pub(super) async fn knock(&self, talk: &mut Talk<'_>) {
        let _ = self.licences(talk, None).await;
    }

    /// A harmless read.
    pub(super) async fn probe(&self, talk: &mut Talk<'_>) -> (String, Found<String>) {
        let licences = self.licences(talk, None).await;
        let count =
            licences.map(|list| format!("{} licences visible", list.map_or(0, |l| l.len())));
        ("get_licenses".to_owned(), count)
    }

    /// Sends one command and reads 1H's verdict.
    async fn command(&self, talk: &mut Talk<'_>, command: Command, params: Value) -> Found<Reply> {
        let payload = json!({"command": command.name(), "params": params});
        let request = json!({
            "auth_code": self.auth_code.reveal(),
            "api_key": self.api_key.reveal(),
            "payload": payload,
        });
        let intent = command.intent();
        let ask = Ask {
            method: Method::POST,
            url: self.url.clone(),
            keys: HeaderMap::new(),
            cargo: Cargo::Form {
                fields: vec![("request", request.to_string())],
                shown: json!({"request": request}),
            },
            // Whatever the status, a body in 1H's form is what counts.
            expect: Expect {
                intent,
                body: Body::Json,
                meanings: &[400, 402, 403, 404, 409, 422],
                credentials: Credentials::OneH,
            },
        };
        let answer = self.line.send(talk, ask).await?;
        verdict(command, intent, &answer)
    }

    /// The same, where every "no" ends the step.
    async fn command_or_rejected(
        &self,
        talk: &mut Talk<'_>,
        command: Command,
        params: Value,
    ) -> Found<Value> {
        match self.command(talk, command, params).await? {
            Reply::Yes(response) => Ok(response),
            Reply::No(_, words) => Err(Setback::Rejected(words)),
        }
    }
}

/// Reads `response_code` and `err_no`; whatever is neither is no answer of 1H's.
fn verdict(command: Command, intent: Intent, answer: &Answer) -> Found<Reply> {
    let response = answer.body.get("response").cloned().unwrap_or_default();
    match answer.body.get("response_code").and_then(integer) {
        Some(1) => Ok(Reply::Yes(response)),
        Some(0) => refusal(command, &response),
        _ if answer.status >= 400 => {
            let status = answer.status;
            Err(Setback::Rejected(format!(
                "1H answered {status}: {}",
                said(&answer.body)
            )))
        }
        _ => {
            let error = format!("1H answered {} without a response_code", command.name());
            Err(match intent {
                Intent::Read => Setback::unavailable(error),
                Intent::Write | Intent::Once => Setback::Ambiguous(error),
            })
        }
    }
}

fn refusal(command: Command, response: &Value) -> Found<Reply> {
    let number = response.get("err_no").and_then(integer).unwrap_or(0);
    let string = text(response, "err_string");
    let words = format!("1H refused {}: error {number}: {string}", command.name());
    match meaning(command, number) {
        Meaning::Refused => Err(Setback::Rejected(words)),
        Meaning::Later => Err(Setback::unavailable(words)),
        Meaning::Unclear => Err(Setback::Ambiguous(words)),
        known @ (Meaning::NotOurs
        | Meaning::NameTaken
        | Meaning::Licensed
        | Meaning::NoLicence
        | Meaning::PortalExists
        | Meaning::NoPortal) => Ok(Reply::No(known, words)),
    }
}

/// Puts the device's IP and id into a planned text.
fn filled(talk: &Talk<'_>, what: &str, planned: &str) -> Found<String> {
    let state = talk.scene.service;
    let id = state.device_id.map(|id| id.to_string());
    let mut filled = planned.trim().to_owned();
    let places = [(DEVICE_IP, &state.ip, "IP"), (DEVICE_ID, &id, "id")];
    for (place, value, name) in places {
        if !filled.contains(place) {
            continue;
        }
        let Some(value) = value else {
            return Err(Setback::Rejected(format!(
                "the {what} needs the device's {name}, and the service has no device with one"
            )));
        };
        filled = filled.replace(place, value);
    }
    Ok(filled)
}

/// The IPv4 that 1H knows something by.
fn filled_ip(talk: &Talk<'_>, what: &str, planned: &str) -> Found<String> {
    let ip = filled(talk, what, planned)?;
    match ip.parse::<std::net::Ipv4Addr>() {
        Ok(parsed) if !parsed.is_unspecified() && !parsed.is_loopback() => Ok(parsed.to_string()),
        _ => Err(Setback::Rejected(format!(
            "the {what} needs an IPv4 address, and \"{ip}\" is none; \
             look at products.one_h.ip in the configuration"
        ))),
    }
}

#[cfg(test)]
mod tests;
