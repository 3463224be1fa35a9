//! That what a service ordered is over and nothing of it is left, as the service's state keeps it.
//! Plain data.

use serde_json::{Map, Value, json};

use super::state::ServiceState;

/// What is known to be over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dead {
    /// Orders that Hivelocity cancelled, or whose device is gone.
    pub orders: Vec<i64>,
    /// Their order groups.
    pub groups: Vec<i64>,
    /// Their devices.
    pub devices: Vec<i64>,
}

impl ServiceState {
    /// Whether what was ordered is known to be over, and nothing was ordered since.
    pub const fn is_dead(&self) -> bool {
        let knew = !self.dead_orders.is_empty() || !self.dead_devices.is_empty();
        let knows = self.device_id.is_some()
            || self.device_order_id.is_some()
            || !self.device_orders.is_empty()
            || self.pending_order.is_some();
        knew && !knows
    }

    /// The change by which the state forgets what is over, so that a later order orders afresh, and
    /// keeps what it was: the old may carry the service's mark for a while.
    pub fn buried(&self, dead: &Dead) -> Map<String, Value> {
        let joined = |known: &[i64], new: &[i64]| {
            let mut all = [known, new].concat();
            all.sort_unstable();
            all.dedup();
            json!(all)
        };
        let mut change = Map::new();
        for forgotten in [
            "device_id",
            "device_seen",
            "device_missing_since",
            "device_order_id",
            "device_orders",
            "device_ordered_at",
            "device_order_status",
            "device_order_complete_at",
            "device_product_id",
            "device_location",
            "device_os",
            "pending_order",
            "ip",
        ] {
            change.insert(forgotten.to_owned(), Value::Null);
        }
        let kept = [
            ("dead_orders", joined(&self.dead_orders, &dead.orders)),
            ("dead_groups", joined(&self.dead_groups, &dead.groups)),
            ("dead_devices", joined(&self.dead_devices, &dead.devices)),
        ];
        change.extend(kept.map(|(name, value)| (name.to_owned(), value)));
        // Its order may be carried out anew, although something newer settled it.
        change.insert("unbuilt".to_owned(), json!(true));
        change
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::patched;
    use super::*;

    #[test]
    fn what_is_over_is_forgotten_and_kept_apart() {
        let state = ServiceState {
            device_id: Some(9),
            device_order_id: Some(8),
            dead_orders: vec![3],
            ip: Some("192.0.2.5".to_owned()),
            ..ServiceState::default()
        };
        assert!(!state.is_dead());
        let dead = Dead {
            orders: vec![8, 7],
            groups: vec![4],
            devices: vec![9],
        };
        let change = Value::Object(state.buried(&dead));
        let state = patched(&state, &change).unwrap();
        assert!(state.is_dead());
        assert_eq!(state.dead_orders, [3, 7, 8]);
        assert_eq!((state.ip, state.device_id), (None, None));
    }
}
