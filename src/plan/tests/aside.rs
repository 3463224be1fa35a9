//! What events ask for and plans leave aside: said, and never done silently.

use crate::domain::{Action, EventType, PauseReason, ServiceStatus, StepAction};

use super::super::{Aside, Verdict};
use super::fixtures::{BOTH, DEVICE, LICENCE, World};
use super::{held, held_for};
use EventType::{
    OrderPaid, ServiceAction, ServicePackageChanged, ServiceSuspended, ServiceTerminated,
    ServiceUnsuspended,
};
use ServiceStatus::{Active, Suspended, Unknown};

fn with_options(mut world: World, options: &[(&str, &str)]) -> World {
    for (name, value) in options {
        world
            .ordered()
            .options
            .insert((*name).into(), (*value).into());
    }
    world
}

#[test]
fn an_option_that_misses_its_name_is_told_with_the_plan() {
    let options = [("Operating Systems", "Windows 2022"), ("location", "NYC1")];
    let plan = with_options(World::new(OrderPaid, Unknown, DEVICE), &options).plan();
    assert_eq!(
        plan.notes,
        ["option 'Operating Systems' is not read; did you mean 'Operating System'?"]
    );
    assert_eq!(plan.aside, [Aside::Option]);
    let [_, StepAction::DeployDevice { location, os, .. }, _] = plan.steps.as_slice() else {
        panic!("{:?}", plan.steps)
    };
    assert_eq!((location.as_str(), os.as_str()), ("NYC1", "Ubuntu 22.04"));
}

#[test]
fn options_of_which_none_is_read_say_that_defaults_were_taken() {
    let plan = with_options(
        World::new(OrderPaid, Unknown, DEVICE),
        &[("System", "Debian 12")],
    )
    .plan();
    assert_eq!(
        plan.notes,
        [
            "option 'System' is not read by product 42",
            "none of the order's options is read, while product 42 reads 'Location' and 'Operating \
             System': its defaults were taken"
        ]
    );
}

#[test]
fn who_is_asked_about_a_template_is_told_which_option_missed_its_name() {
    let mut world = with_options(
        World::new(OrderPaid, Unknown, LICENCE),
        &[("Licence IP", "203.0.113.9")],
    );
    world.ordered().options.remove("License IP");
    assert!(
        held(&world).ends_with("option 'Licence IP' is not read; did you mean 'License IP'?"),
        "{}",
        held(&world)
    );
}

#[test]
fn options_that_a_platform_merely_repeats_are_not_told() {
    for (kind, status) in [
        (ServiceSuspended, Active),
        (ServiceUnsuspended, Suspended),
        (ServiceTerminated, Active),
        (ServiceAction, Active),
    ] {
        let plan = with_options(World::new(kind, status, BOTH), &[("Colour", "red")]).plan();
        assert!(plan.notes.is_empty() && plan.aside.is_empty(), "{kind}");
    }
    let mut reload = with_options(
        World::new(ServiceAction, Active, BOTH),
        &[("Colour", "red")],
    );
    reload.event.action = Some(Action::Reload);
    assert_eq!(reload.plan().aside, [Aside::Option]);
}

#[test]
fn a_package_change_says_what_the_device_keeps_and_keeps_it_in_the_state() {
    let mut world = with_options(
        World::new(ServicePackageChanged, Active, DEVICE),
        &[("Operating System", "Debian 12"), ("Location", "TPA1")],
    );
    world.ordered().hostname = "renamed.example.com".into();
    assert!(world.steps().is_empty());
    let plan = world.plan();
    assert_eq!(
        plan.notes,
        [
            "the operating system of a running device is not changed by a package change: the device keeps \
             Ubuntu 22.04, the event asks for Debian 12; reload it with service.action reload (wipes the disks)",
            "the host name of a running device is not changed by a package change: the device keeps \
             srv1.example.com, the event asks for renamed.example.com; service.action reload sets it (wipes the disks)",
        ]
    );
    assert_eq!(plan.aside, [Aside::Os, Aside::Hostname]);
    world.store(&plan, true);
    assert_eq!(world.service.hostname.as_deref(), Some("srv1.example.com"));
    assert_eq!(world.service.device_os.as_deref(), Some("Ubuntu 22.04"));
}

#[test]
fn a_package_change_that_asks_for_what_is_there_says_nothing() {
    let mut world = with_options(
        World::new(ServicePackageChanged, Active, DEVICE),
        &[("Operating System", "ubuntu 22.04"), ("Location", "TPA1")],
    );
    world.ordered().hostname = "SRV1.example.com.".into();
    assert!(world.plan().notes.is_empty(), "{:?}", world.plan().notes);
    // A default of the template is nothing that anybody asked for.
    let mut world = World::new(ServicePackageChanged, Active, DEVICE);
    world.service.device_os = Some("Debian 12".into());
    world.ordered().hostname = String::new();
    assert!(world.plan().notes.is_empty(), "{:?}", world.plan().notes);
}

#[test]
fn a_package_change_is_not_held_up_by_a_name_that_no_server_can_have() {
    let mut world = World::new(ServicePackageChanged, Active, DEVICE);
    world.ordered().hostname = "my_server".into();
    assert!(world.plan().notes[0].contains("keeps srv1.example.com, the event asks for my_server"));
}

#[test]
fn another_order_of_a_running_device_changes_nothing_of_it_and_says_so() {
    let mut world = with_options(
        World::new(OrderPaid, Active, DEVICE),
        &[("Operating System", "Debian 12"), ("Location", "NYC1")],
    );
    world.ordered().hostname = "renamed.example.com".into();
    let plan = world.plan();
    assert_eq!(plan.aside, [Aside::Os, Aside::Hostname, Aside::Location]);
    assert!(
        plan.notes[2].contains("keeps TPA1, the event asks for NYC1"),
        "{:?}",
        plan.notes
    );
    world.store(&plan, true);
    assert_eq!(world.service.hostname.as_deref(), Some("srv1.example.com"));
}

#[test]
fn a_host_name_that_no_server_can_have_is_refused_before_anything_is_bought() {
    for (name, wrong) in [
        ("srv1..example.com", "has an empty part"),
        (
            "-bad.example.com",
            "has a part that begins or ends with a dash",
        ),
        ("192.0.2.5", "is an IP address"),
        ("12345", "ends in a number"),
        ("srv_1.example.com", "has an underscore"),
        ("srv1", "has no domain"),
    ] {
        let mut world = World::new(OrderPaid, Unknown, DEVICE);
        world.ordered().hostname = name.into();
        let sentence = held(&world);
        assert!(
            sentence.starts_with(&format!("the host name \"{name}\" {wrong}")),
            "{sentence}"
        );
        assert!(
            sentence.contains("send it again with a full name"),
            "{sentence}"
        );
        assert_eq!(held_for(&world), PauseReason::Event);
    }
}

#[test]
fn a_mended_name_is_what_is_ordered_kept_and_written_on_licences() {
    let mut world = World::new(OrderPaid, Unknown, BOTH);
    world.ordered().hostname = "BÜCHER.example.".into();
    let plan = world.plan();
    let name = "xn--bcher-kva.example";
    let mut ordered = plan.steps.iter().filter_map(|step| match step {
        StepAction::DeployDevice { hostname, .. } => Some(hostname.as_str()),
        StepAction::AddLicense { label, .. } => Some(label.as_str()),
        _ => None,
    });
    assert!(ordered.all(|ordered| ordered == name), "{:?}", plan.steps);
    assert_eq!(plan.service_now["hostname"], name);
}

#[test]
fn a_reload_goes_under_a_name_that_a_server_can_have_or_not_at_all() {
    let mut world = World::new(ServiceAction, Active, DEVICE);
    world.event.action = Some(Action::Reload);
    world.ordered().hostname = "New.Example.com.".into();
    let step = &world.plan().steps[0];
    assert!(
        matches!(step, StepAction::ReloadDevice { hostname, .. } if hostname == "new.example.com")
    );
    world.ordered().hostname = "new_name".into();
    assert!(
        held(&world).contains("has an underscore"),
        "{}",
        held(&world)
    );
}

#[test]
fn why_a_service_is_suspended_is_kept_until_it_is_back() {
    let mut world = World::new(ServiceSuspended, Active, BOTH);
    world.event.reason = Some("Overdue on Payment".into());
    let plan = world.plan();
    assert_eq!(plan.notes, ["suspended for: Overdue on Payment"]);
    world.store(&plan, true);
    assert_eq!(
        world.service.suspend_reason.as_deref(),
        Some("Overdue on Payment")
    );
    let mut again = world.at_minute(11);
    again.event.reason = None;
    let Verdict::Do(plan) = again.verdict() else {
        panic!()
    };
    again.store(&plan, true);
    assert_eq!(
        again.service.suspend_reason, None,
        "not what an older suspension said"
    );
    again.service.suspend_reason = Some("Abuse".into());
    let mut back = again.at_minute(12);
    back.event.kind = ServiceUnsuspended;
    let plan = back.plan();
    back.store(&plan, true);
    assert_eq!(back.service.suspend_reason, None);
}
