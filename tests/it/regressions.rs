//! Cases that went wrong once, or would have been dear.

use std::time::Duration;

use billhook::sandbox::Fault;
use serde_json::json;

use crate::support::reader::shown;
use crate::support::settings::TOO_LONG;
use crate::support::world::{device, twice};
use crate::support::{Setup, Story, event, spawn_app};

#[tokio::test(flavor = "multi_thread")]
async fn ending_a_service_that_was_never_ordered_leaves_its_lane_and_all_others_working() {
    let app = spawn_app(Setup::default()).await;
    let never = Story::of("900", "77", "44");
    app.accept_early(&never.at(4, "service.terminated")).await;
    let late = app.accept(&never.paid()).await;
    let other = app.accept(&Story::of("501", "78", "44").paid()).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let run = app.api.run(&late.runs()[0]).await;
    assert_eq!(run["status"], "superseded", "{}", shown(&run));
    let run = app.api.run(&other.runs()[0]).await;
    assert_eq!(run["status"], "succeeded", "{}", shown(&run));
    assert_eq!(app.api.service("900").await["status"], "terminated");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_termination_that_comes_while_a_call_is_under_way_is_not_held_up_by_a_pause_after_it() {
    let app =
        spawn_app(Setup::default().with("policy.require_approval", "one_h.add_license")).await;
    let story = Story::new();
    app.suppliers.fail_next(
        "one_h add_user",
        Fault::DoneThenStalled(Duration::from_millis(600)),
        1,
    );
    let paid = app.accept(&story.paid()).await;
    app.until_step(&paid.runs()[0], "one_h.add_user", &["running"])
        .await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    let ended = app.accept(&story.at(2, "service.terminated")).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let run = app.api.run(&ended.runs()[0]).await;
    assert_eq!(run["status"], "succeeded", "{}", shown(&run));
    assert!(device(&app.suppliers.snapshot(), &story.tag()).cancelled);
    assert_eq!(app.api.run(&paid.runs()[0]).await["status"], "superseded");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_termination_is_not_held_up_by_a_refusal_of_the_call_that_was_under_way() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.suppliers.fail_next(
        "one_h get_licenses",
        Fault::DoneThenStalled(Duration::from_millis(600)),
        1,
    );
    app.suppliers
        .fail_next("one_h add_user", Fault::Refused400("No.".to_owned()), 1);
    let paid = app.accept(&story.paid()).await;
    app.until_step(&paid.runs()[0], "one_h.add_user", &["running"])
        .await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    let ended = app.accept(&story.at(2, "service.terminated")).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let run = app.api.run(&ended.runs()[0]).await;
    assert_eq!(run["status"], "succeeded", "{}", shown(&run));
    assert!(device(&app.suppliers.snapshot(), &story.tag()).cancelled);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_licence_that_two_services_share_stays_until_the_second_ends() {
    let app = spawn_app(Setup::default()).await;
    let (first, second) = (Story::of("501", "77", "44"), Story::of("502", "77", "44"));
    let mut orders = event("order.paid", 1, &[&first, &second]);
    for service in orders["services"].as_array_mut().unwrap() {
        service["options"]["License IP"] = json!("198.51.100.7");
    }
    app.carry_out(&orders).await;
    assert_eq!(app.suppliers.snapshot().licences.len(), 1);
    app.succeed(&first.at(2, "service.terminated")).await;
    assert_eq!(
        app.suppliers.snapshot().licences.len(),
        1,
        "service 502 still pays for it"
    );
    app.succeed(&second.at(3, "service.terminated")).await;
    assert_eq!(app.suppliers.snapshot().licences.len(), 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_the_order_never_orders_twice_however_late_it_takes_effect() {
    let app = spawn_app(Setup::default().with("hivelocity.absent_after", "2s")).await;
    let story = Story::new();
    // The request takes effect while it is already being looked for, and the first looks fail.
    app.suppliers.fail_next(
        "POST /bare-metal-devices/batch",
        Fault::DoneThenStalled(TOO_LONG),
        1,
    );
    app.suppliers
        .fail_next("GET /bare-metal-devices/", Fault::Refuse500, 2);
    let run = app.succeed(&story.paid()).await;
    let step = crate::support::reader::step(&run, "hivelocity.deploy_device");
    assert!(
        step["attempts"].as_array().unwrap().len() >= 2,
        "{}",
        shown(&run)
    );
    assert_eq!(twice(&app.suppliers.snapshot()), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_ends_while_it_is_suspended_keeps_no_licence() {
    for (per, product) in [
        ("customer", "42"),
        ("service", "42"),
        ("customer", "44"),
        ("customer", "43"),
    ] {
        let app = spawn_app(Setup::default().with("one_h.sub_user_per", per)).await;
        let story = Story::of("501", "77", product);
        app.succeed(&story.paid()).await;
        app.succeed(&story.at(2, "service.suspended")).await;
        app.succeed(&story.at(3, "service.terminated")).await;
        let snapshot = app.suppliers.snapshot();
        assert_eq!(
            snapshot.licences,
            [],
            "product {product}, a sub-user per {per}"
        );
        assert!(snapshot.devices.iter().all(|device| device.cancelled));
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_is_closed_while_a_service_is_built_has_no_usable_sub_user() {
    let app = spawn_app(Setup::slow(Duration::from_millis(400))).await;
    let story = Story::new();
    app.accept(&story.paid()).await;
    while app.suppliers.snapshot().devices.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    app.succeed(&event("customer.closed", 2, &[&story])).await;
    let users = app.suppliers.snapshot().sub_users;
    assert!(users.len() == 1 && users[0].suspended, "{users:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_service_keeps_the_sub_user_that_its_build_makes_after_the_closing() {
    // 502 shares the customer's sub-user with 501.
    for (per, ordered) in [("service", &["501"][..]), ("customer", &["501", "502"])] {
        let setup = Setup::slow(Duration::from_millis(400))
            .with("policy.protected_services", "501")
            .with("one_h.sub_user_per", per);
        let app = spawn_app(setup).await;
        let stories: Vec<Story> = ordered.iter().map(|id| Story::of(id, "77", "42")).collect();
        for story in &stories {
            app.accept(&story.paid()).await;
        }
        while app.suppliers.snapshot().devices.len() < stories.len() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let all: Vec<&Story> = stories.iter().collect();
        app.succeed(&event("customer.closed", 2, &all)).await;
        app.settle().await;
        let users = app.suppliers.snapshot().sub_users;
        assert!(users.len() == 1 && !users[0].suspended, "{per}: {users:?}");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_licence_of_a_customer_who_was_closed_goes_with_its_service() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    app.succeed(&event("customer.closed", 2, &[&story])).await;
    app.succeed(&story.at(3, "service.terminated")).await;
    assert_eq!(app.suppliers.snapshot().licences, []);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_service_that_is_paid_for_again_comes_back_with_its_licence() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    app.succeed(&story.at(2, "service.suspended")).await;
    app.succeed(&story.at(3, "order.paid")).await;
    let snapshot = app.suppliers.snapshot();
    assert_eq!(device(&snapshot, &story.tag()).power_status, "ON");
    assert!(!snapshot.sub_users[0].suspended && snapshot.licences[0].active);
    assert_eq!(twice(&snapshot), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_service_of_a_customer_who_is_all_dark_is_built_and_the_first_stays_dark() {
    let app = spawn_app(Setup::default()).await;
    let (first, second) = (Story::of("501", "77", "42"), Story::of("502", "77", "42"));
    app.succeed(&first.paid()).await;
    app.succeed(&first.at(2, "service.suspended")).await;
    app.succeed(&second.at(3, "order.paid")).await;
    let snapshot = app.suppliers.snapshot();
    assert_eq!(device(&snapshot, &first.tag()).power_status, "OFF");
    assert!(
        !snapshot.sub_users[0].suspended,
        "the new service's licence must work"
    );
    assert_eq!(
        snapshot
            .licences
            .iter()
            .filter(|licence| licence.active)
            .count(),
        2
    );
    app.finish().await;
}
