//! What a step finds when its turn comes.

use crate::domain::step::PowerAction;
use crate::domain::{CustomerState, ServiceState, ServiceStatus, StepAction};

use super::super::{Guard, Sibling, guard};
use super::fixtures::{BOTH, hive, state, user};

use ServiceStatus::{Active, Building, Suspended, Terminated, Unknown};

fn skipped(action: &StepAction, own: ServiceStatus, others: &[ServiceState]) -> bool {
    let siblings: Vec<Sibling<'_>> = others
        .iter()
        .map(|state| Sibling {
            service_id: "502",
            state,
        })
        .collect();
    guard(
        action,
        &state(own, BOTH),
        &CustomerState::default(),
        &siblings,
    ) != Guard::Proceed
}

fn tag() -> String {
    "billhook:whmcs:501".to_owned()
}

#[test]
fn a_shared_sub_user_is_suspended_only_when_no_other_service_needs_it() {
    let suspend = StepAction::SuspendUser {
        username: user(),
        unless_shared: true,
    };
    assert!(!skipped(&suspend, Suspended, &[]));
    assert!(skipped(&suspend, Suspended, &[state(Active, BOTH)]));
    assert!(
        skipped(&suspend, Suspended, &[state(Building, BOTH)]),
        "it is about to use it"
    );
    assert!(!skipped(
        &suspend,
        Terminated,
        &[state(Suspended, BOTH), state(Terminated, BOTH)]
    ));
    let mut other = state(Active, BOTH);
    other.one_h_user = Some("bhother".into());
    assert!(!skipped(&suspend, Suspended, &[other]));
    assert!(
        skipped(&suspend, Active, &[]),
        "a newer unsuspension has passed it"
    );
    let close = StepAction::SuspendUser {
        username: user(),
        unless_shared: false,
    };
    assert!(!skipped(&close, Unknown, &[state(Active, BOTH)]));
}

#[test]
fn of_two_suspensions_at_once_the_later_one_suspends_the_sub_user() {
    // Both were planned, so both are down as suspended before either looks.
    let suspend = StepAction::SuspendUser {
        username: user(),
        unless_shared: true,
    };
    assert!(!skipped(&suspend, Suspended, &[state(Suspended, BOTH)]));
}

#[test]
fn a_run_that_stood_still_cannot_deploy_for_a_service_that_ended() {
    let deploy = StepAction::DeployDevice {
        product_id: 584,
        location: "TPA1".into(),
        os: "Ubuntu 22.04".into(),
        hostname: "srv1.example.com".into(),
        period: "monthly".into(),
        tag: tag(),
    };
    assert!(skipped(&deploy, Terminated, &[]));
    assert!(!skipped(&deploy, Building, &[]));
    let add = StepAction::AddLicense {
        product: "Hive".into(),
        ip: "203.0.113.7".into(),
        username: None,
        label: String::new(),
    };
    assert!(skipped(&add, Terminated, &[]));
}

#[test]
fn power_follows_what_the_service_is_by_now() {
    let power = |action| StepAction::Power { action, tag: tag() };
    assert!(skipped(&power(PowerAction::Boot), Suspended, &[]));
    assert!(skipped(&power(PowerAction::Reboot), Terminated, &[]));
    assert!(!skipped(&power(PowerAction::Boot), Active, &[]));
    assert!(!skipped(&power(PowerAction::Shutdown), Terminated, &[]));
    assert!(skipped(&StepAction::NullRoute { tag: tag() }, Active, &[]));
    assert!(skipped(
        &StepAction::RemoveNullRoute { tag: tag() },
        Suspended,
        &[]
    ));
}

#[test]
fn a_device_is_cancelled_only_for_a_service_that_is_to_end() {
    let cancel = StepAction::CancelDevice { tag: tag() };
    assert!(!skipped(&cancel, Terminated, &[]));
    assert!(skipped(&cancel, Active, &[]));
}

#[test]
fn a_client_is_made_once_and_ends_only_after_its_last_service() {
    let create = StepAction::CreateClient {
        email: String::new(),
        company: String::new(),
        mark: "[whmcs:77]".into(),
    };
    let mut customer = CustomerState::default();
    assert_eq!(
        guard(&create, &state(Building, BOTH), &customer, &[]),
        Guard::Proceed
    );
    customer.hivelocity_client_id = Some(35476);
    assert!(
        matches!(guard(&create, &state(Building, BOTH), &customer, &[]), Guard::Skip(reason) if reason.contains("35476"))
    );
    assert!(skipped(
        &StepAction::DeactivateClient,
        Terminated,
        &[state(Suspended, BOTH)]
    ));
    assert!(skipped(
        &StepAction::DeactivateClient,
        Terminated,
        &[state(Building, BOTH)]
    ));
    assert!(!skipped(
        &StepAction::DeactivateClient,
        Terminated,
        &[state(Terminated, BOTH)]
    ));
}

#[test]
fn a_licence_that_another_service_holds_on_the_same_ip_stays() {
    let remove = |suspension| StepAction::RemoveLicense {
        product: hive().product,
        ip: hive().ip,
        suspension,
        holder: None,
    };
    assert!(skipped(&remove(false), Terminated, &[state(Active, BOTH)]));
    assert!(skipped(
        &remove(false),
        Terminated,
        &[state(Suspended, BOTH)]
    ));
    assert!(!skipped(
        &remove(true),
        Suspended,
        &[state(Suspended, BOTH)]
    ));
    assert!(!skipped(
        &remove(false),
        Terminated,
        &[state(Terminated, BOTH)]
    ));
    assert!(
        skipped(&remove(true), Active, &[]),
        "a newer unsuspension has passed it"
    );
}

#[test]
fn a_closed_customers_sub_user_stays_suspended() {
    let unsuspend = StepAction::UnsuspendUser { username: user() };
    let closed = CustomerState {
        closed: true,
        ..CustomerState::default()
    };
    assert!(matches!(
        guard(&unsuspend, &state(Active, BOTH), &closed, &[]),
        Guard::Skip(_)
    ));
    assert!(!skipped(&unsuspend, Active, &[]));
}
