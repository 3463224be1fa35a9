//! Terminations, of the known and of the unknown.

use crate::catalogue::{AccountModel, DeactivateClient, DeviceOnSuspend, DeviceOnTerminate};
use crate::domain::{EventType, ServiceStatus};

use super::fixtures::{BOTH, DEVICE, LICENCE, Shape, World, at, state};
use super::held;
use EventType::ServiceTerminated;
use ServiceStatus::{Active, Building, Suspended, Terminated, Unknown};

#[test]
fn a_termination_ends_what_an_unfinished_build_may_have_left() {
    let mut world = World::new(ServiceTerminated, Building, BOTH);
    assert_eq!(world.steps(), ["cancel_device"]);
    world.service.ip = Some("203.0.113.7".into());
    assert_eq!(
        world.steps(),
        ["cancel_device", "remove_license:Hive@203.0.113.7"]
    );
    // Without a device the IP is only in the event.
    let world = World::new(ServiceTerminated, Building, LICENCE);
    assert_eq!(world.steps(), ["remove_license:Hive@203.0.113.7"]);
}

#[test]
fn a_second_termination_touches_no_licence_on_an_ip_that_was_given_up() {
    let mut world = World::new(ServiceTerminated, Active, BOTH);
    let plan = world.plan();
    world.store(&plan, true);
    world.service.licenses.clear();
    world.service.device_id = None;
    let world = world.at_minute(20);
    assert_eq!(
        world.steps(),
        ["cancel_device", "suspend_user:unless_shared"]
    );
    assert_eq!(
        world.plan().service_now["settled"],
        serde_json::to_value(at(20)).unwrap()
    );
    let again = World::new(ServiceTerminated, Terminated, LICENCE);
    assert_eq!(again.steps(), ["suspend_user:unless_shared"]);
}

#[test]
fn a_device_that_is_only_shut_down_keeps_its_ip_on_record() {
    let shape = Shape {
        device: Some((DeviceOnSuspend::Shutdown, DeviceOnTerminate::Shutdown)),
        licence: None,
    };
    let plan = World::new(ServiceTerminated, Active, shape).plan();
    assert_eq!(plan.service_end.get("ip"), None);
    let world = World::new(ServiceTerminated, Unknown, shape);
    assert!(world.steps().is_empty(), "there is nothing to shut down");
}

#[test]
fn ending_a_device_whose_product_left_the_catalogue_is_not_guessed() {
    let world = World::new(ServiceTerminated, Active, BOTH).selling(Vec::new());
    assert!(held(&world).contains("product 42"));
    let world = World::new(ServiceTerminated, Active, LICENCE).selling(Vec::new());
    assert_eq!(
        world.steps(),
        [
            "remove_license:Hive@203.0.113.7",
            "suspend_user:unless_shared"
        ],
        "what is held is known without the catalogue"
    );
}

#[test]
fn a_termination_of_nothing_known_is_noted_and_touches_nothing() {
    let mut world = World::new(ServiceTerminated, Unknown, BOTH);
    world.ordered().product_id = String::new();
    world.event.customer = None;
    assert!(world.steps().is_empty());
    world.ordered().product_id = "42".into();
    assert!(
        world.steps().is_empty(),
        "no customer, so no client to look in"
    );
    world.rules.account_model = AccountModel::Single;
    assert_eq!(world.steps(), ["cancel_device"]);
}

#[test]
fn a_client_ends_with_its_last_service_only_where_that_is_wanted() {
    let mut world = World::new(ServiceTerminated, Active, DEVICE);
    world.customer.hivelocity_client_id = Some(35476);
    let deactivates = |world: &World| world.steps().contains(&"deactivate_client".to_owned());
    assert!(!deactivates(&world));
    world.rules.deactivate_client = DeactivateClient::AfterLastService;
    assert!(deactivates(&world));
    world
        .siblings
        .push(("502".into(), state(Suspended, DEVICE)));
    assert!(!deactivates(&world));
    world.siblings.clear();
    world.rules.account_model = AccountModel::Single;
    assert!(!deactivates(&world));
}

#[test]
fn a_moved_service_ends_without_touching_what_its_new_customer_shares() {
    let mut world = World::new(ServiceTerminated, Active, BOTH);
    world.event.customer.as_mut().unwrap().id = "78".into();
    assert_eq!(
        world.steps(),
        ["cancel_device", "remove_license:Hive@203.0.113.7"]
    );
}
