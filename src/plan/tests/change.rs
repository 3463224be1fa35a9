//! Package changes, renewals and actions.

use serde_json::json;

use crate::catalogue::LicenceOnSuspend;
use crate::domain::{Action, EventType, Licence, PauseReason, ServiceStatus, StepAction};

use super::super::Verdict;
use super::fixtures::{BOTH, DEVICE, LICENCE, Shape, World, at, product};
use super::{held, held_for, superseded};
use EventType::{ServiceAction, ServicePackageChanged, ServiceRenewed};
use ServiceStatus::{Active, Suspended, Terminated};

fn changed(
    edit: impl FnOnce(&mut crate::catalogue::ProductSettings),
    status: ServiceStatus,
    shape: Shape,
) -> World {
    let mut other = product("43", shape);
    edit(&mut other);
    let mut world =
        World::new(ServicePackageChanged, status, shape).selling(vec![product("42", shape), other]);
    world.ordered().product_id = "43".into();
    world
}

#[test]
fn other_hardware_pauses_with_the_difference_shown() {
    let mut world = changed(
        |other| other.hivelocity.as_mut().unwrap().product_id = 585,
        Active,
        BOTH,
    );
    world
        .ordered()
        .options
        .insert("Location".into(), "NYC1".into());
    assert!(
        held(&world).contains("product 584 → 585, location TPA1 → NYC1"),
        "{}",
        held(&world)
    );
    let loses = changed(|other| other.hivelocity = None, Active, DEVICE);
    assert!(held(&loses).contains("the new package has no device"));
    assert_eq!(held_for(&loses), PauseReason::Difference);
}

#[test]
fn other_licences_are_added_and_removed_to_match() {
    let other = |other: &mut crate::catalogue::ProductSettings| {
        other.one_h.as_mut().unwrap().licenses = vec!["Guardian".into()];
    };
    let mut world = changed(other, Active, BOTH);
    assert_eq!(
        world.steps(),
        [
            "remove_license:Hive@203.0.113.7",
            "add_user",
            "add_license:Guardian@203.0.113.7",
        ]
    );
    let plan = world.plan();
    assert_eq!(plan.service_end["product_id"], json!("43"));
    world.store(&plan, true);
    assert_eq!(world.service.status, Active);
    world.order = at(8);
    assert!(superseded(&world).contains("package change"));
}

#[test]
fn a_package_change_gives_a_dark_service_no_licences_before_it_is_back() {
    let dark = Shape {
        licence: Some(LicenceOnSuspend::RemoveLicense),
        ..BOTH
    };
    let other = |other: &mut crate::catalogue::ProductSettings| {
        other.one_h.as_mut().unwrap().licenses = vec!["Guardian".into()];
    };
    let world = changed(other, Suspended, dark);
    assert!(world.steps().is_empty());
    let expected = vec![Licence {
        product: "Guardian".into(),
        ip: "203.0.113.7".into(),
    }];
    assert_eq!(
        world.plan().service_end["licenses_suspended"],
        serde_json::to_value(expected).unwrap()
    );
}

#[test]
fn a_licence_moves_with_its_ip() {
    let mut world = World::new(ServicePackageChanged, Active, LICENCE);
    world
        .ordered()
        .options
        .insert("License IP".into(), "203.0.113.9".into());
    assert_eq!(
        world.steps(),
        [
            "remove_license:Hive@203.0.113.7",
            "add_user",
            "add_license:Hive@203.0.113.9"
        ]
    );
}

#[test]
fn a_package_that_is_not_sold_waits_for_a_person() {
    let mut world = World::new(ServicePackageChanged, Active, BOTH);
    world.ordered().product_id = "43".into();
    assert!(held(&world).contains("product 43"));
    assert_eq!(held_for(&world), PauseReason::Catalogue);
}

#[test]
fn a_renewal_is_recorded_and_an_older_one_does_not_go_back() {
    let mut world = World::new(ServiceRenewed, Suspended, BOTH);
    let plan = world.plan();
    assert!(plan.steps.is_empty());
    world.store(&plan, true);
    assert_eq!(
        (world.service.status, world.service.renewed_at),
        (Suspended, Some(at(10).occurred_at))
    );
    assert!(superseded(&world.at_minute(5)).contains("renewal"));
    held(&World::new(ServiceRenewed, Terminated, BOTH));
}

#[test]
fn a_suspended_device_is_not_switched_on_by_an_action() {
    let mut world = World::new(ServiceAction, Suspended, BOTH);
    for action in [Action::Boot, Action::Reboot, Action::Reload] {
        world.event.action = Some(action);
        assert!(matches!(world.verdict(), Verdict::Refused(_)), "{action:?}");
    }
    world.event.action = Some(Action::Shutdown);
    assert_eq!(world.steps(), ["power:shutdown"]);
    superseded(&world.at_minute(-5));
}

#[test]
fn a_reload_without_options_installs_what_was_there() {
    let mut world = World::new(ServiceAction, Active, DEVICE);
    world.event.action = Some(Action::Reload);
    world.service.device_os = Some("Debian 12".into());
    let os = |world: &World| match &world.plan().steps[0] {
        StepAction::ReloadDevice { os, .. } => os.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(os(&world), "Debian 12");
    world
        .ordered()
        .options
        .insert("Operating System".into(), "AlmaLinux 9".into());
    assert_eq!(os(&world), "AlmaLinux 9");
}

#[test]
fn a_reload_that_names_another_option_keeps_the_system_that_was_there() {
    let mut world = World::new(ServiceAction, Active, DEVICE);
    world.event.action = Some(Action::Reload);
    world.service.device_os = Some("Debian 12".into());
    world
        .ordered()
        .options
        .insert("Location".into(), "NYC1".into());
    assert!(
        matches!(&world.plan().steps[0], StepAction::ReloadDevice { os, .. } if os == "Debian 12")
    );
}
