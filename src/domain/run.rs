//! A run's status, its lane, and its place in the lane's order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::id::DeliveryId;
use super::time::Timestamp;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Not begun.
    Pending,
    /// A worker has it.
    Running,
    /// A timer or a slow device.
    Waiting,
    /// Needs a person.
    Paused,
    /// Done.
    Succeeded,
    /// Ended by a person.
    Cancelled,
    /// Made pointless by a later event.
    Superseded,
}

impl RunStatus {
    /// Every status.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Running,
        Self::Waiting,
        Self::Paused,
        Self::Succeeded,
        Self::Cancelled,
        Self::Superseded,
    ];

    /// The name on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Succeeded => "succeeded",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }

    /// Whether nothing more will happen to the run.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Cancelled | Self::Superseded)
    }

    /// Whether nothing more will happen by itself: final, or waiting for a person.
    pub const fn is_settled(self) -> bool {
        self.is_final() || matches!(self, Self::Paused)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no status.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown status; one of {known}")]
pub struct UnknownStatus {
    known: &'static str,
}

impl FromStr for RunStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL
            .into_iter()
            .find(|status| status.name() == text)
            .ok_or(UnknownStatus {
                known: "pending, running, waiting, paused, succeeded, cancelled, superseded",
            })
    }
}

/// One service or one customer of one source; runs of one lane never overlap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// A service's lane.
    Service {
        /// The source's name.
        source: String,
        /// The platform's service id.
        service_id: String,
    },
    /// A customer's lane.
    Customer {
        /// The source's name.
        source: String,
        /// The platform's customer id.
        customer_id: String,
    },
}

impl Lane {
    /// The lane's key in the store. A source's name holds no `:`, so keys cannot collide.
    pub fn key(&self) -> String {
        match self {
            Self::Service { source, service_id } => format!("s:{source}:{service_id}"),
            Self::Customer {
                source,
                customer_id,
            } => format!("c:{source}:{customer_id}"),
        }
    }
}

/// A run's place in its lane: when its event occurred, then when that first came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OrderKey {
    /// When the event occurred at the billing platform.
    pub occurred_at: Timestamp,
    /// The delivery that first brought the event; a replay keeps it.
    pub origin: DeliveryId,
}
