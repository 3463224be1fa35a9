//! What the clients need to know to reach the upstreams. Plain data; reading and checking the
//! configuration is not done here.

use std::collections::BTreeMap;
use std::time::Duration;

pub use super::breaker::BreakerRules;
use super::carrier::Carrier;
use crate::domain::Secret;

/// Where and how to reach every upstream.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Hivelocity.
    pub hivelocity: HivelocitySettings,
    /// 1H.
    pub one_h: OneHSettings,
    /// How outcomes go back to the billing platform, by source.
    pub reports: BTreeMap<String, ReportSettings>,
    /// How long an attempt at a step may take, with all its requests and their turns.
    pub step_timeout: Duration,
    /// How requests travel.
    pub carrier: Carrier,
}

/// How to reach Hivelocity.
#[derive(Clone, Debug)]
pub struct HivelocitySettings {
    /// Address of the API, e.g. `https://core.hivelocity.net/api/v2`.
    pub base_url: String,
    /// The primary account's API key; empty where Hivelocity is not used.
    pub api_key: Secret,
    /// One controlled client per customer rather than everything in the one account.
    pub multi: bool,
    /// Use the controlled client's own API key rather than `?controlledClientId=`.
    pub act_as_token: bool,
    /// Order into an order group named after the service.
    pub order_groups: bool,
    /// The shortest time between two looks at what is being built.
    pub poll_interval: Duration,
    /// Requests per second, and as many at once.
    pub requests_per_second: u32,
    /// Requests per hour, where its answers do not say so themselves; 0: not counted.
    pub requests_per_hour: u32,
    /// How long a request may take.
    pub timeout: Duration,
    /// When it counts as away, and how soon it is asked again.
    pub breaker: BreakerRules,
}

/// How to reach 1H.
#[derive(Clone, Debug)]
pub struct OneHSettings {
    /// Address of the API, e.g. `https://api.1h.com/partners`.
    pub base_url: String,
    /// The API code; empty where 1H is not used.
    pub auth_code: Secret,
    /// The API key.
    pub api_key: Secret,
    /// Requests per second, and as many at once.
    pub requests_per_second: u32,
    /// How long a request may take.
    pub timeout: Duration,
    /// When it counts as away, and how soon it is asked again.
    pub breaker: BreakerRules,
}

/// How one source is told of outcomes.
#[derive(Clone, Debug)]
pub struct ReportSettings {
    /// Which protocol.
    pub kind: ReportKind,
    /// Where to.
    pub url: String,
    /// WHMCS's API identifier.
    pub identifier: Secret,
    /// WHMCS's API secret, or the webhook's `whsec_…`.
    pub secret: Secret,
}

/// The protocols of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    /// WHMCS's API.
    WhmcsApi,
    /// A signed webhook (Standard Webhooks).
    Webhook,
}

/// Why the clients cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// An address that is none.
    #[error("{key} is not a usable http or https address: {why}")]
    Address {
        /// The setting.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// A key that cannot be sent as a header.
    #[error("{key} holds characters that cannot be sent; paste the key again, without line breaks")]
    Key {
        /// The setting.
        key: String,
    },
    /// A webhook secret that is not in the form of one.
    #[error("{key} cannot sign a webhook: {why}")]
    WebhookSecret {
        /// The setting.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made: {0}")]
    Client(String),
}
