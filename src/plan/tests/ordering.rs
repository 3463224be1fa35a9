//! A request for a device, from before it leaves until it is known what became of it.

use std::time::Duration;

use serde_json::Value;

use super::super::{inherit, may_leave, order_settled, request_leaves, settled_order};
use super::settle::{RULES, create, harmless, now};
use crate::domain::state::patched;
use crate::domain::{PendingOrder, Permit, ServiceState, Step, Timestamp};

fn service(sent_at: Option<Timestamp>) -> ServiceState {
    ServiceState {
        pending_order: Some(PendingOrder {
            read_at: now(),
            sent_at,
            used: sent_at.is_some(),
            ..PendingOrder::default()
        }),
        ..ServiceState::default()
    }
}

fn after(service: &ServiceState, patch: &Value) -> ServiceState {
    patched(service, patch).unwrap()
}

#[test]
fn an_order_leaves_only_on_what_is_stored_and_fresh() {
    let step = create();
    let leaves = |service: &ServiceState, permit, after| {
        let now = now().plus(Duration::from_secs(after));
        may_leave(&step.action, permit, service, now)
    };
    assert!(leaves(&service(None), Permit::Send, 1));
    assert!(!leaves(&service(None), Permit::Send, 61), "read anew first");
    assert!(!leaves(&service(None), Permit::LookOnly, 1));
    assert!(
        !leaves(&service(Some(now())), Permit::Send, 1),
        "one has left"
    );
    assert!(!leaves(&ServiceState::default(), Permit::Send, 1));
    let other = harmless().action;
    assert!(!may_leave(&other, Permit::Send, &service(None), now()));
}

#[test]
fn the_state_says_when_an_order_may_last_have_left_until_that_is_cleared_up() {
    let before = service(None);
    let left = request_leaves(&before, now());
    assert_eq!(after(&before, &left), service(Some(now())));
    let mut step = create();
    let done = settled_order(&step, &before, false);
    assert_eq!(after(&before, &done).pending_order, None, "surely not done");
    assert_eq!(settled_order(&step, &before, true), Value::Null);
    let later = now().plus(Duration::from_secs(9));
    step.unknown_since = Some(later);
    let unclear = settled_order(&step, &before, false);
    let kept = after(&before, &unclear).pending_order.unwrap();
    assert_eq!(kept.sent_at, Some(later));
    let older = settled_order(&step, &ServiceState::default(), false);
    let kept = after(&ServiceState::default(), &older)
        .pending_order
        .unwrap();
    assert_eq!(
        (kept.sent_at, kept.known_orders, kept.used),
        (Some(later), None, true),
        "an older version stored nothing of what was there"
    );
    let other = settled_order(&harmless(), &before, false);
    assert_eq!(other, Value::Null);
}

#[test]
fn the_next_run_of_the_service_looks_for_an_order_that_is_out() {
    let fresh = Step::new(1, create().action);
    assert_eq!(inherit(fresh.clone(), &service(None)).unknown_since, None);
    let step = inherit(fresh, &service(Some(now())));
    assert_eq!(step.unknown_since, Some(now()));
    let settled = |after| {
        let now = now().plus(after);
        order_settled(&service(Some(self::now())), now, &RULES)
    };
    assert!(!settled(
        RULES.absent_after.saturating_sub(Duration::from_secs(1))
    ));
    assert!(settled(RULES.absent_after));
    assert!(order_settled(&service(None), now(), &RULES));
}
