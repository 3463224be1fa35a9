//! Suspensions and what brings a service back.

use serde_json::json;

use crate::catalogue::{LicenceOnSuspend, SubUserPer};
use crate::domain::{CustomerState, EventType, PauseReason, ServiceStatus};

use super::super::Verdict;
use super::fixtures::{BOTH, DEVICE, LICENCE, Shape, World, at, hive, state};
use super::{held, held_for, superseded};
use EventType::{
    ServiceAction, ServicePackageChanged, ServiceSuspended, ServiceTerminated, ServiceUnsuspended,
};
use ServiceStatus::{Active, Building, Suspended, Unknown};

#[test]
fn suspending_what_was_never_ordered_waits_for_a_person() {
    for kind in [
        ServiceSuspended,
        ServiceUnsuspended,
        ServiceAction,
        ServicePackageChanged,
    ] {
        assert!(
            held(&World::new(kind, Unknown, BOTH)).contains("never ordered through Billhook"),
            "{kind}"
        );
    }
}

#[test]
fn protected_services_are_neither_suspended_nor_terminated() {
    for kind in [ServiceSuspended, ServiceTerminated] {
        for name in ["501", "whmcs:501"] {
            let mut world = World::new(kind, Active, BOTH);
            world.rules.protected_services = vec![name.into()];
            assert!(held(&world).contains("protected"), "{kind}");
            assert_eq!(held_for(&world), PauseReason::Protected);
            world.rules.protected_services = vec!["50".into(), "other:501".into()];
            assert!(matches!(world.verdict(), Verdict::Do(_)), "{kind}");
        }
    }
}

#[test]
fn a_sub_user_that_cannot_exist_does_not_keep_the_device_up() {
    let mut world = World::new(ServiceSuspended, Active, LICENCE);
    world.rules.sub_user_per = SubUserPer::None;
    world.service.one_h_user = None;
    assert!(
        world
            .plan()
            .steps
            .iter()
            .all(|step| step.upstream() != "one_h")
    );
}

#[test]
fn a_sub_user_that_was_planned_and_never_made_is_not_suspended() {
    let mut world = World::new(ServiceSuspended, Building, LICENCE);
    assert!(world.steps().is_empty());
    assert_eq!(world.plan().service_now["one_h_user"], json!(null));
    world.service.one_h_user_made = Some("bhsomebodyelse".to_owned());
    assert!(world.steps().is_empty());
    let mut made = World::new(ServiceSuspended, Building, LICENCE);
    made.service.one_h_user_made = made.service.one_h_user.clone();
    assert_eq!(made.steps(), ["suspend_user:unless_shared"]);
    world.service.licenses.push(hive());
    assert_eq!(world.steps(), ["suspend_user:unless_shared"]);
}

#[test]
fn licences_taken_by_a_suspension_come_back_whatever_the_catalogue_says_by_then() {
    let taken = Shape {
        licence: Some(LicenceOnSuspend::RemoveLicense),
        ..LICENCE
    };
    let mut world = World::new(ServiceUnsuspended, Suspended, LICENCE);
    world.service = state(Suspended, taken);
    assert_eq!(
        world.steps(),
        ["unsuspend_user", "add_license:Hive@203.0.113.7"]
    );
    assert_eq!(
        world.plan().service_end,
        json!({"licenses_suspended": null})
    );
}

#[test]
fn what_went_dark_in_the_way_of_another_package_comes_back_from_every_darkness() {
    let mut world = World::new(ServiceUnsuspended, Suspended, DEVICE);
    assert_eq!(world.steps(), ["power:boot"]);
    let all = ["remove_null_route", "power:boot"];
    world.service.package_settled = Some(at(5));
    assert_eq!(world.steps(), all);
    world.service.package_settled = None;
    world.service.product_id = Some("41".into());
    assert_eq!(
        world.steps(),
        all,
        "the news of the change are not here yet"
    );
}

#[test]
fn an_old_unsuspension_does_not_open_what_a_closing_shut() {
    let mut world = World::new(ServiceUnsuspended, Suspended, LICENCE);
    world.customer = CustomerState {
        closed: true,
        settled: Some(at(20)),
        ..CustomerState::default()
    };
    assert!(world.steps().is_empty());
}

#[test]
fn a_late_suspension_behind_a_newer_unsuspension_is_superseded() {
    let mut world = World::new(ServiceUnsuspended, Suspended, BOTH);
    let plan = world.plan();
    world.store(&plan, false);
    world.event.kind = ServiceSuspended;
    world.order = at(9);
    assert!(superseded(&world).contains("made the service active"));
}

#[test]
fn at_equal_times_the_one_that_came_later_counts() {
    let mut world = World::new(ServiceSuspended, Active, BOTH).at_minute(0);
    world.order.origin = crate::domain::DeliveryId(999);
    superseded(&world);
    world.order.origin = crate::domain::DeliveryId(1001);
    assert!(matches!(world.verdict(), Verdict::Do(_)));
}
