//! `order.paid` after what happened before it.

use serde_json::json;

use crate::catalogue::{DeviceOnSuspend, DeviceOnTerminate, LicenceOnSuspend, SubUserPer};
use crate::domain::{
    CustomerState, EventType, PauseReason, ServiceState, ServiceStatus, StepAction,
};

use super::super::{Verdict, username};
use super::fixtures::{BOTH, LICENCE, NONE, Shape, World, at, product, state, user};
use super::{active_sibling, held, held_for, superseded};
use EventType::OrderPaid;
use ServiceStatus::{Active, Building, Suspended, Terminated, Unknown};

#[test]
fn a_first_order_is_planned_whole() {
    let plan = World::new(OrderPaid, Unknown, BOTH).plan();
    insta::assert_json_snapshot!(
        "first_order",
        json!({
            "steps": plan.steps,
            "service_now": plan.service_now,
            "customer_now": plan.customer_now,
            "service_end": plan.service_end,
            "customer_end": plan.customer_end,
        })
    );
}

#[test]
fn an_order_of_an_unknown_product_is_nothing_unless_the_service_is_known() {
    let mut world = World::new(OrderPaid, Unknown, BOTH);
    world.ordered().product_id = "43".into();
    assert_eq!(
        world.verdict(),
        Verdict::Nothing("product 43 is not in the catalogue".into())
    );
    world.service = state(Building, BOTH);
    assert!(held(&world).contains("product 43"));
}

#[test]
fn several_at_once_as_one_service_wait_for_a_person() {
    let mut world = World::new(OrderPaid, Unknown, BOTH);
    world.ordered().quantity = 3;
    assert!(held(&world).contains("ordered 3 times as one"));
    assert_eq!(held_for(&world), PauseReason::Event);
    let mut world = World::new(OrderPaid, Unknown, NONE);
    world.ordered().quantity = 3;
    assert!(world.steps().is_empty());
}

#[test]
fn what_cannot_be_rendered_is_found_before_anything_is_bought() {
    let mut world = World::new(OrderPaid, Unknown, BOTH);
    world.ordered().hostname = String::new();
    assert!(held(&world).contains("hostname"), "{}", held(&world));
    let mut world = World::new(OrderPaid, Unknown, LICENCE);
    world.ordered().options.clear();
    assert!(held(&world).contains("no IP"), "{}", held(&world));
    let mut world = World::new(OrderPaid, Unknown, BOTH);
    world.event.customer.as_mut().unwrap().email = String::new();
    assert!(held(&world).contains("e-mail"), "{}", held(&world));
}

#[test]
fn an_order_without_a_customer_waits_for_a_person() {
    let mut world = World::new(OrderPaid, Unknown, BOTH);
    world.event.customer = None;
    assert!(held(&world).contains("names no customer"));
}

#[test]
fn a_service_that_moved_to_another_customer_gets_no_second_device() {
    let mut world = World::new(OrderPaid, Active, BOTH);
    world.event.customer.as_mut().unwrap().id = "78".into();
    assert!(held(&world).contains("built for customer 77, the order names customer 78"));
}

#[test]
fn an_order_paid_again_after_a_suspension_brings_the_service_back() {
    let shape = Shape {
        device: Some((
            DeviceOnSuspend::ShutdownAndNullRoute,
            DeviceOnTerminate::Cancel,
        )),
        licence: Some(LicenceOnSuspend::RemoveLicense),
    };
    let mut world = World::new(OrderPaid, Suspended, shape);
    let steps = world.steps();
    assert_eq!(
        steps,
        [
            "create_client",
            "deploy_device",
            "await_device",
            "remove_null_route",
            "power:boot",
            "add_user",
            "unsuspend_user",
            "add_license:Hive@203.0.113.7",
        ]
    );
    // The run stood still half-way and is planned anew: the device must not stay dark.
    let plan = world.plan();
    world.store(&plan, false);
    assert_eq!(world.service.status, Active);
    assert!(world.steps().contains(&"power:boot".to_owned()));
}

#[test]
fn a_terminated_service_that_is_paid_again_does_not_adopt_its_dying_device() {
    let world = World::new(OrderPaid, Terminated, BOTH);
    assert!(held(&world).contains("billhook:whmcs:501"));
    assert_eq!(held_for(&world), PauseReason::WrongState);
    let licence_only = World::new(OrderPaid, Terminated, LICENCE);
    assert!(
        licence_only
            .steps()
            .contains(&"add_license:Hive@203.0.113.7".to_owned())
    );
}

#[test]
fn replaying_the_order_of_a_terminated_service_buys_nothing() {
    let world = World::new(OrderPaid, Terminated, BOTH).at_minute(-10);
    assert!(superseded(&world).contains("made the service terminated"));
}

#[test]
fn an_order_replayed_after_a_package_change_does_not_bring_old_licences_back() {
    let mut world = World::new(OrderPaid, Active, BOTH).at_minute(0);
    assert!(matches!(world.verdict(), Verdict::Do(_)));
    world.service.package_settled = Some(at(5));
    assert!(superseded(&world).contains("package change"));
    world.service.status = Building;
    assert!(held(&world).contains("changed on"));
}

#[test]
fn a_suspended_service_that_is_paid_again_comes_back_as_what_its_package_has_become() {
    let order = World::new(OrderPaid, Suspended, BOTH);
    let mut late = World::new(OrderPaid, Suspended, BOTH);
    late.service.package_settled = Some(at(15));
    let unsuspended = World::new(EventType::ServiceUnsuspended, Suspended, BOTH);
    assert_ne!(order.steps(), unsuspended.steps());
    late.order = at(12);
    assert_eq!(
        late.steps(),
        ["remove_null_route", "power:boot", "unsuspend_user"]
    );
}

#[test]
fn another_product_paid_for_a_service_that_has_a_device_is_no_success() {
    let mut bigger = product("43", BOTH);
    bigger.hivelocity.as_mut().unwrap().product_id = 585;
    let mut world = World::new(OrderPaid, Active, BOTH).selling(vec![product("42", BOTH), bigger]);
    world.ordered().product_id = "43".into();
    assert!(held(&world).contains("product 584 → 585"));
}

#[test]
fn an_order_that_comes_in_after_its_customer_was_closed_ends_as_it_would_have_in_order() {
    let mut world = World::new(OrderPaid, Unknown, LICENCE);
    world.customer = CustomerState {
        closed: true,
        settled: Some(at(20)),
        ..CustomerState::default()
    };
    assert_eq!(
        world.steps(),
        ["add_user", "add_license:Hive@203.0.113.7", "suspend_user"]
    );
    let plan = world.plan();
    assert_eq!(plan.customer_now.get("closed"), None);
    assert_eq!(
        plan.customer_now.get("email"),
        None,
        "the closing knew the customer's data better"
    );
    // In order, the closing would have spared the sub-user of a protected service.
    world.rules.protected_services = vec!["501".into()];
    assert_eq!(world.steps(), ["add_user", "add_license:Hive@203.0.113.7"]);
    world.rules.protected_services = vec!["502".into()];
    assert_eq!(world.steps().len(), 3);
    world.siblings.push(active_sibling("502"));
    assert!(!world.steps().contains(&"suspend_user".to_owned()));
}

#[test]
fn an_order_after_the_closing_opens_the_customer_again() {
    let mut world = World::new(OrderPaid, Unknown, LICENCE);
    world.customer = CustomerState {
        closed: true,
        settled: Some(at(5)),
        ..CustomerState::default()
    };
    assert_eq!(
        world.steps(),
        ["add_user", "unsuspend_user", "add_license:Hive@203.0.113.7"]
    );
    assert_eq!(world.plan().customer_now["closed"], json!(false));
}

#[test]
fn a_sub_user_suspended_with_another_service_is_usable_for_a_new_one() {
    let mut world = World::new(OrderPaid, Unknown, LICENCE);
    world
        .siblings
        .push(("502".into(), state(Suspended, LICENCE)));
    assert!(world.steps().contains(&"unsuspend_user".to_owned()));
    // What is active may only be on its way back, and be terminated before it is.
    world.siblings.push(active_sibling("503"));
    assert!(world.steps().contains(&"unsuspend_user".to_owned()));
    world.siblings.clear();
    assert!(!world.steps().contains(&"unsuspend_user".to_owned()));
}

#[test]
fn what_was_made_under_other_rules_keeps_its_name() {
    let mut world = World::new(OrderPaid, Active, LICENCE);
    world.rules.sub_user_per = SubUserPer::Service;
    world.rules.username_prefix = "other".into();
    let named = |world: &World| {
        world.plan().steps.iter().find_map(|step| match step {
            StepAction::AddUser { username, .. } => Some(username.clone()),
            _ => None,
        })
    };
    assert_eq!(named(&world), Some(user()));
    world.service = ServiceState::default();
    assert_eq!(
        named(&world),
        Some(username("other", "whmcs", "501", SubUserPer::Service))
    );
    assert_eq!(world.plan().customer_now.get("one_h_user"), None);
}

#[test]
fn portals_are_made_once_and_changed_afterwards() {
    let mut sold = product("42", LICENCE);
    sold.one_h.as_mut().unwrap().portal_domain = "1h.{{ service.hostname }}".into();
    let mut world = World::new(OrderPaid, Unknown, LICENCE).selling(vec![sold]);
    assert!(world.steps().contains(&"add_portal".to_owned()));
    world.service.portal_domain = Some("1h.old.example.com".into());
    assert!(world.steps().contains(&"update_portal".to_owned()));
    world.rules.sub_user_per = SubUserPer::None;
    assert!(!world.steps().iter().any(|step| step.ends_with("portal")));
}
