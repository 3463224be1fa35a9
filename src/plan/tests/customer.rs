//! The customer's own events.

use serde_json::json;

use crate::catalogue::{AccountModel, CreateClientOn};
use crate::domain::{CustomerState, EventType, ServiceStatus, StepAction};

use super::super::{Verdict, after_a_closing};
use super::fixtures::{BOTH, LICENCE, World, at, state, user};
use super::{active_sibling, held, superseded};
use EventType::{CustomerClosed, CustomerCreated, CustomerUpdated};
use ServiceStatus::{Active, Suspended, Terminated, Unknown};

#[test]
fn a_client_is_made_at_sign_up_only_where_that_is_wanted() {
    let mut world = World::new(CustomerCreated, Unknown, BOTH);
    assert!(matches!(world.verdict(), Verdict::Nothing(_)));
    world.rules.create_client_on = CreateClientOn::Signup;
    assert_eq!(world.steps(), ["create_client"]);
    // An update that came first does not make the client unnecessary.
    world.customer.settled = Some(at(20));
    assert_eq!(world.steps(), ["create_client"]);
    assert_eq!(world.plan().customer_now, json!({}));
    world.customer.closed = true;
    superseded(&world);
    world.rules.account_model = AccountModel::Single;
    world.customer = CustomerState::default();
    assert!(matches!(world.verdict(), Verdict::Nothing(_)));
}

#[test]
fn a_customers_new_address_reaches_every_sub_user_in_use() {
    let mut world = World::new(CustomerUpdated, Unknown, BOTH);
    assert!(world.plan().steps.is_empty());
    assert_eq!(world.plan().customer_now["email"], json!("ann@example.com"));
    world.siblings.push(active_sibling("501"));
    let mut own = state(Suspended, LICENCE);
    own.one_h_user = Some("bhown".into());
    world.siblings.push(("502".into(), own.clone()));
    own.status = Terminated;
    own.one_h_user = Some("bhgone".into());
    world.siblings.push(("503".into(), own));
    let users: Vec<String> = world
        .plan()
        .steps
        .iter()
        .map(|step| match step {
            StepAction::UpdateUser { username, .. } => username.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(users.len(), 2);
    assert!(users.contains(&user()) && users.contains(&"bhown".to_owned()));
    world.customer.settled = Some(at(20));
    superseded(&world);
}

#[test]
fn a_closing_is_carried_out_even_behind_a_newer_update() {
    let mut world = World::new(CustomerClosed, Unknown, BOTH);
    world.siblings.push(active_sibling("501"));
    world.customer.settled = Some(at(20));
    assert_eq!(world.steps(), ["suspend_user"]);
    let plan = world.plan();
    world.store(&plan, true);
    assert!(world.customer.closed);
    world.siblings[0].1.settled = Some(at(15));
    assert!(superseded(&world).contains("service 501"));
}

#[test]
fn an_update_of_a_closed_customer_does_not_open_it() {
    let mut world = World::new(CustomerUpdated, Unknown, BOTH).at_minute(30);
    world.customer = CustomerState {
        closed: true,
        settled: Some(at(20)),
        ..CustomerState::default()
    };
    let plan = world.plan();
    world.store(&plan, true);
    assert!(world.customer.closed);
    assert_eq!(world.customer.settled, Some(at(20)));
}

#[test]
fn the_sub_user_of_a_protected_service_is_not_suspended_by_a_closing() {
    let mut world = World::new(CustomerClosed, Unknown, BOTH);
    world.siblings.push(active_sibling("501"));
    world.rules.protected_services = vec!["501".into()];
    assert!(held(&world).contains("service 501 is protected"));
    world.siblings[0].1.status = Suspended;
    assert_eq!(world.steps(), ["suspend_user"]);
}

#[test]
fn a_build_ends_with_a_suspension_where_its_customer_was_closed_after_it_was_ordered() {
    let mut service = state(Active, BOTH);
    let closed = |minute| CustomerState {
        closed: true,
        settled: Some(at(minute)),
        ..CustomerState::default()
    };
    assert_eq!(after_a_closing(&at(10), &service, &closed(20)), None);
    service.one_h_user_made = Some(user());
    let wanted = Some(StepAction::SuspendUser {
        username: user(),
        unless_shared: false,
    });
    assert_eq!(after_a_closing(&at(10), &service, &closed(20)), wanted);
    assert_eq!(after_a_closing(&at(30), &service, &closed(20)), None);
    let mut open = closed(20);
    open.closed = false;
    assert_eq!(after_a_closing(&at(10), &service, &open), None);
}
