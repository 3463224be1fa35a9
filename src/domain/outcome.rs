//! An attempt at a step: whether it may send, what was exchanged, how it ended. Plain data.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::away::Away;

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
    /// Surely not done, and for no fault of the step's: its upstream is left alone for now, or
    /// limits requests.
    Held(Away),
}

/// How soon to look again at something that takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Minutes to hours: at the configured poll interval.
    Slow,
    /// Seconds: soon, then ever more slowly, up to the poll interval.
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
