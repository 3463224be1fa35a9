//! An order at Hivelocity whose answer may be lost, as the service's state keeps it. Plain data.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// A request for a device leaves only on what was read of the account within this time.
const FRESH: Duration = Duration::from_secs(60);

/// What the account held before a request for a device could leave. It is stored before the
/// request, so that after a lost answer an order that came of it is told from all others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingOrder {
    /// When the account was read.
    pub read_at: Timestamp,
    /// Whether a request has left on it: each needs a look of its own.
    #[serde(default = "yes")]
    pub used: bool,
    /// The last moment at which a request may have left that may have taken effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// The order group that the order goes into; none where it is ordered singly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<i64>,
    /// The ids of the account's orders; none where Hivelocity does not let them be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_orders: Option<Vec<i64>>,
    /// The host name that is ordered.
    #[serde(default)]
    pub hostname: String,
}

/// What is not known counts as used.
const fn yes() -> bool {
    true
}

impl PendingOrder {
    /// Whether a request may leave on it: read a moment ago (by a clock that may have been set
    /// since), and none has left.
    pub fn allows_request(&self, now: Timestamp) -> bool {
        let apart = now.since(self.read_at).max(self.read_at.since(now));
        !self.used && apart < FRESH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_leaves_only_once_on_what_was_read_a_moment_ago() {
        let at = Timestamp::from_seconds;
        let mut order = PendingOrder {
            read_at: at(100),
            ..PendingOrder::default()
        };
        assert!(order.allows_request(at(100)) && order.allows_request(at(159)));
        assert!(!order.allows_request(at(160)));
        assert!(order.allows_request(at(99)), "the clock goes a little slow");
        assert!(!order.allows_request(at(40)), "it was set back");
        order.used = true;
        assert!(!order.allows_request(at(101)));
    }
}
