//! The Hivelocity client: one file per step, this one for what they share. IO.

mod acting;
mod await_device;
mod cancel;
mod clients;
mod dead;
mod deploy;
mod devices;
mod looks;
mod lookup;
mod null_route;
mod order;
mod power;
mod reload;
mod twice;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;
use url::Url;

use self::acting::{Acting, Keyring};
use self::looks::Looks;
use self::power::Accepted;
use super::budget::{Budget, Hours};
use super::carrier::Carrier;
use super::gate::Gate;
use super::line::{Ask, Cargo, Line, Terms, address, key_header};
use super::pace::Pace;
use super::refusals::Credentials;
use super::settings::{HivelocitySettings, UpstreamError};
use super::talk::Talk;
use super::wire::{Answer, Body, Expect, Intent, Setback};
use crate::domain::{Outcome, StepAction};

/// How a step may end early.
type Found<T> = Result<T, Setback>;

/// The Hivelocity client.
pub(super) struct Hivelocity {
    line: Line,
    base: Url,
    key: HeaderValue,
    multi: bool,
    act_as_token: bool,
    keyring: Keyring,
    accepted: Mutex<HashMap<i64, Accepted>>,
    /// Whether an order goes into an order group named after its service.
    order_groups: bool,
    groups_refused: AtomicBool,
    /// The shortest time between two looks at what is being built.
    poll_interval: Duration,
    looks: Looks,
}

/// One call of the API.
struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    expect: Expect,
}

impl Call {
    fn new(method: Method, path: impl Into<String>, intent: Intent) -> Self {
        let body = match intent {
            Intent::Read => Body::Json,
            Intent::Write | Intent::Once => Body::JsonOrNothing,
        };
        let expect = Expect {
            intent,
            body,
            meanings: &[],
            credentials: Credentials::Hivelocity,
        };
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            expect,
        }
    }

    fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Intent::Read)
    }

    fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path, Intent::Write)
    }

    fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path, Intent::Write)
    }

    fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, Intent::Write)
    }

    /// It must not be sent twice, and a success holds at least one of these.
    const fn once(mut self, holds: &'static [&'static str]) -> Self {
        self.expect.intent = Intent::Once;
        self.expect.body = Body::Holds(holds);
        self
    }

    /// A success holds at least one of these.
    const fn holds(mut self, holds: &'static [&'static str]) -> Self {
        self.expect.body = Body::Holds(holds);
        self
    }

    fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    fn query(mut self, name: &'static str, value: &str) -> Self {
        self.query.push((name, value.to_owned()));
        self
    }

    /// The 4xx statuses that the step has a meaning for.
    const fn meaning(mut self, statuses: &'static [u16]) -> Self {
        self.expect.meanings = statuses;
        self
    }
}

impl Hivelocity {
    /// A client for the account; none where no key is set.
    pub(super) fn new(
        settings: &HivelocitySettings,
        pace: &Arc<dyn Pace>,
        hours: &Arc<dyn Hours>,
        carrier: &Carrier,
    ) -> Result<Option<Self>, UpstreamError> {
        if settings.api_key.is_empty() {
            return Ok(None);
        }
        let base = address("hivelocity.base_url", &settings.base_url)?;
        let key = key_header(settings.api_key.reveal()).ok_or_else(|| UpstreamError::Key {
            key: "hivelocity.api_key".to_owned(),
        })?;
        let terms = Terms {
            upstream: "hivelocity".to_owned(),
            who: "Hivelocity",
            per_second: settings.requests_per_second,
            timeout: settings.timeout,
            breaker: settings.breaker,
            budget: Budget::new(
                "hivelocity",
                "Hivelocity",
                settings.requests_per_hour,
                hours,
            ),
        };
        Ok(Some(Self {
            line: Line::new(terms, &base, pace, carrier)?,
            base,
            key,
            multi: settings.multi,
            act_as_token: settings.act_as_token,
            keyring: Keyring::default(),
            accepted: Mutex::default(),
            order_groups: settings.order_groups,
            groups_refused: AtomicBool::new(false),
            poll_interval: settings.poll_interval,
            looks: Looks::default(),
        }))
    }

    /// Does one of the Hivelocity steps; none for a step of another upstream. What was refused in a
    /// controlled client that is not active any more is told as that.
    pub(super) async fn perform(
        &self,
        talk: &mut Talk<'_>,
        action: &StepAction,
    ) -> Option<Found<Outcome>> {
        Some(match self.one_step(talk, action).await? {
            Err(setback) => Err(self.name_deactivated(talk, setback).await),
            done => done,
        })
    }

    async fn one_step(&self, talk: &mut Talk<'_>, action: &StepAction) -> Option<Found<Outcome>> {
        Some(match action {
            StepAction::CreateClient {
                email,
                company,
                mark,
            } => self.create_client(talk, email, company, mark).await,
            StepAction::DeactivateClient => self.deactivate_client(talk).await,
            StepAction::DeployDevice { .. } => self.deploy(talk, action).await,
            StepAction::AwaitDevice { tag } => self.await_device(talk, tag).await,
            StepAction::Power { action, tag } => self.power(talk, *action, tag).await,
            StepAction::NullRoute { tag } => self.null_route(talk, tag).await,
            StepAction::RemoveNullRoute { tag } => self.remove_null_route(talk, tag).await,
            StepAction::CancelDevice { tag } => self.cancel(talk, tag).await,
            StepAction::ReloadDevice { os, hostname, tag } => {
                self.reload(talk, os, hostname, tag).await
            }
            StepAction::AddUser { .. }
            | StepAction::UpdateUser { .. }
            | StepAction::SuspendUser { .. }
            | StepAction::UnsuspendUser { .. }
            | StepAction::AddLicense { .. }
            | StepAction::RemoveLicense { .. }
            | StepAction::AddPortal { .. }
            | StepAction::UpdatePortal { .. }
            | StepAction::Report { .. } => return None,
        })
    }

    /// Whether Hivelocity can be asked.
    pub(super) const fn gate(&self) -> &Gate {
        self.line.gate()
    }

    /// Its hour of requests, where that is counted.
    pub(super) const fn budget(&self) -> Option<&Budget> {
        self.line.budget()
    }

    /// One harmless read; the line notes what came of it.
    pub(super) async fn knock(&self, talk: &mut Talk<'_>) {
        let _ = self.list(talk, &Acting::Primary, self.harmless().0).await;
    }

    /// What is read to see whether the key works, and what that shows.
    const fn harmless(&self) -> (&'static str, &'static str) {
        if self.multi {
            ("/account/controlled-client", "controlled clients visible")
        } else {
            ("/bare-metal-devices/", "devices visible")
        }
    }

    /// A harmless read each of what the steps need.
    pub(super) async fn probe(&self, talk: &mut Talk<'_>) -> Vec<(String, Found<String>)> {
        let (path, what) = self.harmless();
        let listed = self.list(talk, &Acting::Primary, path).await;
        let count = listed.map(|list| format!("{} {what}", list.len()));
        let mut results = vec![(format!("GET {path}"), count)];
        let path = "/inventory/product";
        let stock = self.call(talk, &Acting::Primary, Call::get(path)).await;
        results.push((
            format!("GET {path}"),
            stock.map(|_| "the inventory answers".to_owned()),
        ));
        results
    }

    /// Said once: orders are placed one by one where Hivelocity gives an account no order groups.
    fn say_groups_refused(&self) {
        if !self.groups_refused.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "Hivelocity refuses order groups to this account: orders are placed by POST \
                 /bare-metal-devices/ (set hivelocity.order_with = \"single\" to leave them out)"
            );
        }
    }

    /// Makes one call as the primary account or as a controlled client.
    async fn call(&self, talk: &mut Talk<'_>, acting: &Acting, call: Call) -> Found<Answer> {
        let mut keys = HeaderMap::new();
        let key = match acting {
            Acting::Primary | Acting::Query(_) => Some(self.key.clone()),
            Acting::Own(own) => key_header(own.key.reveal()),
        };
        // A client's key was tried as a header when it was chosen.
        keys.insert("x-api-key", key.unwrap_or_else(|| self.key.clone()));
        let ask = Ask {
            method: call.method,
            url: self.url(&call.path, &call.query, acting),
            keys,
            cargo: call.body.map_or(Cargo::Nothing, Cargo::Json),
            expect: Expect {
                credentials: acting.credentials(),
                ..call.expect
            },
        };
        match self.line.send(talk, ask).await {
            Err(Setback::KeyRefused(error)) => Err(self.key_refused(talk, acting, error)),
            Err(Setback::ClientRefused { error, .. }) => {
                Err(Box::pin(self.client_refused(talk, error)).await)
            }
            other => other,
        }
    }

    fn url(&self, path: &str, query: &[(&'static str, String)], acting: &Acting) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        let client = match acting {
            Acting::Query(client) => Some(*client),
            Acting::Primary | Acting::Own(_) => None,
        };
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        if let Some(client) = client {
            url.query_pairs_mut()
                .append_pair("controlledClientId", &client.to_string());
        }
        url
    }

    /// Reads a list; anything else in its place is no list to draw conclusions from.
    async fn list(&self, talk: &mut Talk<'_>, acting: &Acting, path: &str) -> Found<Vec<Value>> {
        let answer = self.call(talk, acting, Call::get(path)).await?;
        match answer.body {
            Value::Array(list) => Ok(list),
            _other => Err(Setback::unavailable(format!(
                "{} answered GET {path} with something that is not a list",
                self.line.who()
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
