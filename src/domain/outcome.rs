//! An attempt at a step: whether it may send, what was exchanged, how it ended. Plain data.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::away::Away;
use super::pause::PauseReason;

/// Whether an attempt may send the request that changes something, or may only look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Look first, then send when the look found nothing.
    Send,
    /// Only look: an earlier request may still take effect.
    LookOnly,
}

/// One request and what came back, secrets masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// `{"method", "url", "body"}`
    pub request: Value,
    /// `{"status", "body"}`; null when no answer came.
    pub response: Value,
    /// How long it took.
    pub duration_ms: u64,
}

/// How one attempt at a step ended. Decided by the upstream client, once.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is true now.
    Done(Done),
    /// Not needed: it was so already.
    AlreadySo(Done),
    /// Nothing wrong, not finished: look again.
    NotYet {
        /// What is waited for, in plain words.
        waiting_for: String,
        /// When to look again.
        again: Again,
    },
    /// It looked, found nothing, and what it saw is to be stored; then the request may leave.
    Prepared,
    /// A look-only attempt found no mark.
    Absent,
    /// Surely not done, and trying again will not help: a person.
    Rejected(String),
    /// Surely not done; later it may work.
    Unavailable {
        /// Why.
        error: String,
        /// What the upstream's Retry-After said.
        retry_after: Option<Duration>,
    },
    /// Perhaps done.
    Ambiguous(String),
    /// Nothing failed, but a person has to decide.
    NeedsPerson(Decision),
    /// Surely not done, and for no fault of the step's: its upstream is left alone for now, or
    /// limits requests.
    Held(Away),
}

/// What a person has to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Why, in a word.
    pub why: PauseReason,
    /// What was seen and what the ways out are. `{run}` stands for the run's id.
    pub sentence: String,
    /// What an approval allows, where there is such a way out.
    pub allows: Option<Allowance>,
}

/// What an approval allows at a supplier: exactly what the person was shown, by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowance {
    /// These devices are cancelled.
    CancelDevices(Vec<i64>),
    /// These controlled clients are deactivated.
    DeactivateClients(Vec<i64>),
    /// None of these orders is the service's.
    IgnoreOrders(Vec<i64>),
}

impl Allowance {
    /// The devices that may be cancelled.
    pub fn devices(&self) -> &[i64] {
        match self {
            Self::CancelDevices(ids) => ids,
            Self::DeactivateClients(_) | Self::IgnoreOrders(_) => &[],
        }
    }

    /// The controlled clients that may be deactivated.
    pub fn clients(&self) -> &[i64] {
        match self {
            Self::DeactivateClients(ids) => ids,
            Self::CancelDevices(_) | Self::IgnoreOrders(_) => &[],
        }
    }

    /// The orders that are not the service's; none where nothing was said of orders.
    pub fn ignored_orders(&self) -> Option<&[i64]> {
        match self {
            Self::IgnoreOrders(ids) => Some(ids),
            Self::CancelDevices(_) | Self::DeactivateClients(_) => None,
        }
    }
}

/// How soon to look again at something that takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// A device that is being built: by how long its product usually takes.
    Build,
    /// Minutes to hours: at the configured poll interval.
    Slow,
    /// Seconds: after half a poll interval, then ever more slowly.
    Soon,
}

/// What a finished step brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// For people and for the API.
    pub output: Value,
    /// Top-level keys to set in the service's state; null removes one.
    pub service: Value,
    /// The same for the customer's state.
    pub customer: Value,
}
