//! The settings as they are after checking: plain values that need no second look. Pure data.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::catalogue::{
    AccountModel, ActAs, Catalogue, CreateClientOn, DeactivateClient, OrderWith, SubUserPer,
};
use crate::domain::Secret;

/// Everything that the configuration says.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[store]`
    pub store: Store,
    /// `[admin]`
    pub admin: Admin,
    /// `[execution]`
    pub execution: Execution,
    /// `[alerts]`; none where nobody is to be told.
    pub alerts: Option<Alerts>,
    /// `[retry]`
    pub retry: Retry,
    /// `[hivelocity]`
    pub hivelocity: Hivelocity,
    /// `[one_h]`
    pub one_h: OneH,
    /// `[sources.*]` by name.
    pub sources: BTreeMap<String, Source>,
    /// `[[products]]`, compiled.
    pub catalogue: Catalogue,
    /// `[policy]`
    pub policy: Policy,
    /// Whether the suppliers are stand-ins in this process.
    pub sandbox: bool,
    /// What is allowed but probably not meant, one line each.
    pub warnings: Vec<String>,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The largest body read, in bytes.
    pub body_limit: usize,
}

/// `[store]`
#[derive(Clone, Debug)]
pub struct Store {
    /// `sqlite:…` or `postgres://…`; a secret, since it may hold a password.
    pub url: Secret,
    /// How long deliveries and their runs are kept; none: for ever.
    pub retention: Option<Duration>,
}

/// `[admin]`
#[derive(Clone)]
pub struct Admin {
    /// Bearer token of the API.
    pub token: Secret,
    /// Seals secrets in the store.
    pub encryption_key: [u8; 32],
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admin [redacted]")
    }
}

/// `[execution]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Runs in flight in this process.
    pub concurrency: usize,
    /// How long a worker's claim on a run holds without word from it.
    pub lease: Duration,
    /// How long one attempt at a step may take.
    pub step_timeout: Duration,
}

/// `[alerts]`
#[derive(Clone, Debug)]
pub struct Alerts {
    /// Where to.
    pub url: String,
    /// What they are signed with.
    pub secret: Secret,
}

/// `[retry]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first delay's upper end.
    pub initial: Duration,
    /// Every delay's upper end.
    pub max: Duration,
    /// Failures in a row after which the run is paused.
    pub max_attempts: u32,
}

/// `[hivelocity]`
#[derive(Clone, Debug)]
pub struct Hivelocity {
    /// The API's address without a last slash.
    pub base_url: String,
    /// The primary account's key; empty where no product needs one.
    pub api_key: Secret,
    /// Whose account the devices are in.
    pub account_model: AccountModel,
    /// How calls are made for a controlled client.
    pub act_as: ActAs,
    /// The primary account's address; empty where nothing needs one.
    pub owner_email: String,
    /// When a controlled client is made.
    pub create_client_on: CreateClientOn,
    /// How a device is ordered.
    pub order_with: OrderWith,
    /// The shortest time between two looks at a device being built.
    pub poll_interval: Duration,
    /// How long the mark must stay absent after an unclear answer before a create is sent again.
    pub absent_after: Duration,
    /// Requests a second.
    pub requests_per_second: u32,
    /// Requests an hour, where the answers do not say so themselves.
    pub requests_per_hour: u32,
    /// How long one request may take.
    pub timeout: Duration,
    /// Failures in a row after which nothing is begun there until it answers; 0: never.
    pub breaker_after: u32,
}

/// `[one_h]`
#[derive(Clone, Debug)]
pub struct OneH {
    /// The API's address without a last slash.
    pub base_url: String,
    /// API code; empty where no product needs one.
    pub auth_code: Secret,
    /// API key; empty where no product needs one.
    pub api_key: Secret,
    /// What has a sub-user of its own.
    pub sub_user_per: SubUserPer,
    /// What sub-users' names begin with.
    pub username_prefix: String,
    /// Requests a second.
    pub requests_per_second: u32,
    /// How long one request may take.
    pub timeout: Duration,
    /// Failures in a row after which nothing is begun there until it answers; 0: never.
    pub breaker_after: u32,
}

/// A billing platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is a product's own name")]
pub enum Platform {
    Native,
    Whmcs,
    Fossbilling,
    Paymenter,
    Blesta,
    Hostbill,
    Upmind,
    Woocommerce,
    Stripe,
    Paddle,
    Chargebee,
    Lago,
    Killbill,
    Custom,
}

impl Platform {
    /// Every platform with its word.
    pub const ALL: [(&'static str, Self); 14] = [
        ("native", Self::Native),
        ("whmcs", Self::Whmcs),
        ("fossbilling", Self::Fossbilling),
        ("paymenter", Self::Paymenter),
        ("blesta", Self::Blesta),
        ("hostbill", Self::Hostbill),
        ("upmind", Self::Upmind),
        ("woocommerce", Self::Woocommerce),
        ("stripe", Self::Stripe),
        ("paddle", Self::Paddle),
        ("chargebee", Self::Chargebee),
        ("lago", Self::Lago),
        ("killbill", Self::Killbill),
        ("custom", Self::Custom),
    ];

    /// The word as it is written in the configuration.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, platform)| *platform == self)
            .map_or("", |(name, _)| name)
    }

    /// Whether this version can receive from it.
    pub const fn is_supported(self) -> bool {
        matches!(self, Self::Native | Self::Whmcs)
    }
}

/// `[sources.<name>]`
#[derive(Clone, Debug)]
pub struct Source {
    /// The billing platform.
    pub platform: Platform,
    /// The signature scheme, where it is not the platform's own.
    pub scheme: Option<String>,
    /// Newest first; never empty.
    pub secrets: Vec<Secret>,
    /// How far a signature's time may be from ours.
    pub tolerance: Duration,
    /// Who may send; empty: anyone.
    pub allow_ips: Vec<IpNet>,
    /// The installation that it belongs to; empty: the first one heard.
    pub installation: String,
    /// How outcomes go back.
    pub report: Option<Report>,
}

/// How a report is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    /// WHMCS's own API.
    WhmcsApi,
    /// A signed request.
    Webhook,
}

/// `[sources.<name>.report]`
#[derive(Clone)]
pub struct Report {
    /// How it is sent.
    pub kind: ReportKind,
    /// Where to.
    pub url: String,
    /// The API credential's identifier; empty for a webhook.
    pub identifier: Secret,
    /// The API credential's secret, or the webhook's.
    pub secret: Secret,
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a password.
        f.debug_struct("Report")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// `[policy]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Step kinds that wait for an operator.
    pub require_approval: Vec<String>,
    /// Whether controlled clients are deactivated.
    pub deactivate_client: DeactivateClient,
    /// Services that no event suspends or terminates: `501` or `whmcs:501`.
    pub protected_services: Vec<String>,
    /// Nothing is sent to a supplier.
    pub dry_run: bool,
}
