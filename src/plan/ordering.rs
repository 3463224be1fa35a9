//! A request for a device from before it leaves until it is known what became of it. It is kept in
//! the service's state, so that whatever run comes next (a replay, a termination) knows of it. Pure.

use serde_json::{Value, json};

use crate::domain::{PendingOrder, Permit, ServiceState, Step, StepAction, Timestamp};

use super::settle::RetryRules;

/// Whether the attempt that begins now sends the order: what was read of the account for it is
/// stored, and recent.
pub fn may_leave(
    action: &StepAction,
    permit: Permit,
    service: &ServiceState,
    now: Timestamp,
) -> bool {
    let read = service.pending_order.as_ref();
    matches!(action, StepAction::DeployDevice { .. })
        && permit == Permit::Send
        && read.is_some_and(|order| order.allows_request(now))
}

/// The change of the service's state by which that is stored before the request leaves.
pub fn request_leaves(service: &ServiceState, now: Timestamp) -> Value {
    let order = PendingOrder {
        used: true,
        sent_at: Some(now),
        ..service.pending_order.clone().unwrap_or_default()
    };
    json!({"pending_order": order})
}

/// The change of the service's state after an attempt at the order whose step now stands like
/// this: the last moment at which a request left that may have taken effect, or nothing where none
/// did. What was only just read stays for the request that leaves next.
pub fn settled_order(step: &Step, service: &ServiceState, prepared: bool) -> Value {
    let StepAction::DeployDevice { hostname, .. } = &step.action else {
        return Value::Null;
    };
    match (step.unknown_since, &service.pending_order) {
        _ if prepared => Value::Null,
        (None, None) => Value::Null,
        (None, Some(_)) => json!({"pending_order": null}),
        (Some(since), Some(order)) => json!({"pending_order": PendingOrder {
            sent_at: Some(since),
            ..order.clone()
        }}),
        // The attempt of an older version, which stored nothing of what was there before.
        (Some(since), None) => json!({"pending_order": PendingOrder {
            read_at: since,
            used: true,
            sent_at: Some(since),
            group: None,
            known_orders: None,
            hostname: hostname.clone(),
        }}),
    }
}

/// A step that has not begun, where an order of the service is out whose end nobody knows: it
/// looks for that one first, as if its own answer had been lost.
#[must_use]
pub fn inherit(mut step: Step, service: &ServiceState) -> Step {
    let sent_at = service
        .pending_order
        .as_ref()
        .and_then(|order| order.sent_at);
    if matches!(step.action, StepAction::DeployDevice { .. }) && step.attempts == 0 {
        step.unknown_since = step.unknown_since.max(sent_at);
    }
    step
}

/// Whether a request for a device that left no trace by now surely did nothing. `now` is when the
/// request left and the time that has surely passed since.
pub fn order_settled(service: &ServiceState, now: Timestamp, rules: &RetryRules) -> bool {
    let sent_at = service
        .pending_order
        .as_ref()
        .and_then(|order| order.sent_at);
    sent_at.is_none_or(|sent_at| now >= sent_at.plus(rules.absent_after))
}
