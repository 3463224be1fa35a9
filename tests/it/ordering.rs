//! Orders at a Hivelocity as it really is: what was ordered is invisible while it is built, and
//! the answer to the order may be anything or nothing.

use std::time::Duration;

use billhook::sandbox::Fault;
use serde_json::json;

use crate::support::reader::shown;
use crate::support::world::twice;
use crate::support::{App, Setup, Story, spawn_app};

const BATCH: &str = "POST /bare-metal-devices/batch";
const SINGLE: &str = "POST /bare-metal-devices/";

/// Builds that take far longer than an order without a trace is only looked for.
fn slow() -> Setup {
    Setup::slow(Duration::from_secs(2))
}

async fn until_device(app: &App) {
    while app.suppliers.snapshot().devices.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_the_orders_answer_one_device_is_bought() {
    let faults = [
        Fault::DoneThenDropped,
        Fault::DoneThenHtmlPage502,
        Fault::DoneThenUnavailable503 {
            retry_after_secs: 1,
        },
        Fault::DoneThenEmptyBody,
        Fault::DoneThenNullIds,
        Fault::LateEffect(Duration::from_millis(150)),
    ];
    for model in ["multi", "single"] {
        for (order_with, path) in [("order_group", BATCH), ("single", SINGLE)] {
            let setup = slow()
                .with("hivelocity.account_model", model)
                .with("hivelocity.order_with", order_with);
            let app = spawn_app(setup).await;
            for (number, fault) in (501..).zip(&faults) {
                app.suppliers.fail_next(path, fault.clone(), 1);
                let story = Story::of(&number.to_string(), "77", "46");
                let paid = app.accept(&story.paid()).await;
                // The next fault is for the next service's order.
                app.until_step(
                    &paid.runs()[0],
                    "hivelocity.deploy_device",
                    &["unknown", "succeeded"],
                )
                .await;
            }
            app.settle().await;
            let snapshot = app.suppliers.snapshot();
            assert_eq!(
                twice(&snapshot),
                Vec::<String>::new(),
                "{model} {order_with}"
            );
            assert_eq!(snapshot.devices.len(), faults.len(), "{model} {order_with}");
            app.finish().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_never_arrived_is_sent_again_once_it_left_no_trace_for_long_enough() {
    let app = spawn_app(slow()).await;
    app.suppliers.fail_next(BATCH, Fault::DroppedBefore, 1);
    let began = std::time::Instant::now();
    let run = app.succeed(&Story::new().paid()).await;
    assert!(
        began.elapsed() >= Duration::from_millis(2_300),
        "{}",
        shown(&run)
    );
    assert_eq!(twice(&app.suppliers.snapshot()), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_termination_while_the_order_is_unclear_leaves_nothing_alive() {
    for (model, fault) in [
        ("multi", Fault::DoneThenDropped),
        ("single", Fault::DoneThenDropped),
        ("multi", Fault::LateEffect(Duration::from_millis(200))),
        ("single", Fault::LateEffect(Duration::from_millis(200))),
        ("multi", Fault::DroppedBefore),
    ] {
        let app = spawn_app(slow().with("hivelocity.account_model", model)).await;
        app.suppliers.fail_next(BATCH, fault.clone(), 1);
        let story = Story::of("501", "77", "42");
        let paid = app.accept(&story.paid()).await;
        app.until_step(&paid.runs()[0], "hivelocity.deploy_device", &["unknown"])
            .await;
        app.accept(&story.at(2, "service.terminated")).await;
        app.settle().await;
        let snapshot = app.suppliers.snapshot();
        let alive = snapshot.devices.iter().filter(|device| !device.cancelled);
        assert_eq!(
            alive.count(),
            0,
            "{model} {fault:?}: {:?}",
            snapshot.devices
        );
        assert_eq!(app.api.service("501").await["status"], "terminated");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_with_one_mark_pause_the_run_and_an_approval_ends_the_surplus_one() {
    // The order takes effect when it counts as lost: no look can guard against that.
    let app = spawn_app(Setup::default()).await;
    app.suppliers
        .fail_next(BATCH, Fault::LateEffect(Duration::from_secs(2)), 1);
    // Both orders wait for people, so both devices are there when somebody looks.
    let mut event = Story::of("501", "77", "42").paid();
    event["services"][0]["options"] = json!({"Location": "VERIFICATION"});
    let paid = app.accept(&event).await;
    let ordered = || {
        let effects = app.suppliers.snapshot().effects;
        effects.devices.values().sum::<u64>()
    };
    while ordered() < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    app.suppliers.verify_orders();
    let run = app.until(&paid.runs()[0], &["paused"]).await;
    let error = run["error"].as_str().unwrap();
    for words in [
        "2 devices carry billhook:whmcs:501",
        "50001",
        "50002",
        "199.00 monthly",
        "runs approve run_",
    ] {
        assert!(error.contains(words), "{error}");
    }
    app.api
        .post(
            &format!("/runs/{}/approve", paid.runs()[0]),
            &json!({"reason": "one is enough"}),
        )
        .await;
    app.settle().await;
    let snapshot = app.suppliers.snapshot();
    let alive: Vec<_> = snapshot
        .devices
        .iter()
        .filter(|device| !device.cancelled)
        .collect();
    assert_eq!(alive.len(), 1, "{:?}", snapshot.devices);
    let service = app.api.service("501").await;
    assert_eq!(service["status"], "active");
    assert_eq!(service["device_id"], alive[0].device_id);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_order_groups_are_refused_orders_go_singly_and_are_found_all_the_same() {
    let mut setup = slow();
    setup.suppliers.order_groups = false;
    let app = spawn_app(setup).await;
    app.suppliers.fail_next(SINGLE, Fault::DoneThenDropped, 1);
    app.succeed(&Story::new().paid()).await;
    assert_eq!(twice(&app.suppliers.snapshot()), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_splits_or_waits_for_people_is_waited_for_and_a_failed_one_is_told() {
    let app = spawn_app(slow()).await;
    let at = |service: &str, location: &str| {
        let mut event = Story::of(service, "77", "42").paid();
        event["services"][0]["options"] = json!({"Location": location});
        event
    };
    app.succeed(&at("501", "SPLIT")).await;
    let held = app.accept(&at("502", "VERIFICATION")).await;
    for (service, location, words) in [
        ("503", "CANCELLED", "did not pass verification"),
        ("504", "FAILED", "could not provision"),
    ] {
        let paid = app.accept(&at(service, location)).await;
        let run = app.until(&paid.runs()[0], &["paused"]).await;
        let error = run["error"].as_str().unwrap();
        assert!(error.contains(words), "{location}: {error}");
    }
    until_device(&app).await;
    let waiting = app.api.run(&held.runs()[0]).await;
    assert!(
        shown(&waiting).contains("(order: verification)"),
        "{}",
        shown(&waiting)
    );
    app.suppliers.verify_orders();
    app.until(&held.runs()[0], &["succeeded"]).await;
    assert_eq!(twice(&app.suppliers.snapshot()), Vec::<String>::new());
    app.leave().await;
}
