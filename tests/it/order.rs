//! Events that come late, twice or in another order than they occurred.

use std::time::Duration;

use billhook::sandbox::Fault;
use serde_json::Value;

use crate::support::life::known;
use crate::support::reader::{shown, step};
use crate::support::sender::Message;
use crate::support::world::{acted, device, held, twice};
use crate::support::{Setup, Story, spawn_app};

#[tokio::test(flavor = "multi_thread")]
async fn a_late_suspension_after_a_newer_unsuspension_is_superseded() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    app.succeed(&story.at(4, "service.unsuspended")).await;
    let before = held(&app.suppliers.snapshot());
    let run = app
        .carry_out(&story.at(3, "service.suspended"))
        .await
        .remove(0);
    assert_eq!(run["status"], "superseded", "{}", shown(&run));
    assert_eq!(run["steps"].as_array().unwrap().len(), 0);
    assert_eq!(held(&app.suppliers.snapshot()), before);
    assert_eq!(app.api.service("501").await["status"], "active");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_equal_times_the_order_of_arrival_counts() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    for (kind, power) in [
        ("service.suspended", "OFF"),
        ("service.unsuspended", "ON"),
        ("service.suspended", "OFF"),
    ] {
        if power == "OFF" && app.api.all("/runs").await.is_empty() {
            app.succeed(&story.paid()).await;
        }
        app.succeed(&story.at(5, kind)).await;
        assert_eq!(
            device(&app.suppliers.snapshot(), &story.tag()).power_status,
            power
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_comes_after_its_termination_buys_nothing() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    let early = app.accept_early(&story.at(4, "service.terminated")).await;
    assert_eq!(early.text("/status"), "unknown_service");
    let run = app.carry_out(&story.paid()).await.remove(0);
    assert_eq!(run["status"], "superseded", "{}", shown(&run));
    assert_eq!(app.api.service("501").await["status"], "terminated");
    let snapshot = app.suppliers.snapshot();
    assert_eq!(
        (
            snapshot.devices.len(),
            snapshot.clients.len(),
            snapshot.licences.len()
        ),
        (0, 0, 0)
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_that_comes_before_its_order_takes_effect_after_it() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    let early = app.accept_early(&story.at(2, "service.suspended")).await;
    assert_eq!(early.status, 200);
    assert_eq!(early.text("/status"), "unknown_service");
    assert!(early.text("/reason").contains("never ordered"), "{early:?}");
    app.succeed(&story.paid()).await;
    assert_eq!(
        device(&app.suppliers.snapshot(), &story.tag()).power_status,
        "OFF"
    );
    let known = app.api.service("501").await;
    assert_eq!(known["status"], "suspended", "{known}");
    app.succeed(&story.at(3, "service.unsuspended")).await;
    assert_eq!(
        device(&app.suppliers.snapshot(), &story.tag()).power_status,
        "ON"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_while_the_server_is_built_waits_for_it() {
    let app = spawn_app(Setup::slow(Duration::from_millis(700))).await;
    let story = Story::new();
    let paid = app.accept(&story.paid()).await;
    app.until_step(&paid.runs()[0], "hivelocity.await_device", &["waiting"])
        .await;
    let suspended = app.accept(&story.at(2, "service.suspended")).await;
    let waiting = app.api.run(&suspended.runs()[0]).await;
    assert_eq!(waiting["status"], "pending", "{}", shown(&waiting));
    assert!(
        waiting["waiting_for"]
            .as_str()
            .unwrap()
            .contains("earlier run"),
        "{}",
        shown(&waiting)
    );
    app.settle().await;
    for reply in [&paid, &suspended] {
        let run = app.api.run(&reply.runs()[0]).await;
        assert_eq!(run["status"], "succeeded", "{}", shown(&run));
    }
    let snapshot = app.suppliers.snapshot();
    assert_eq!(device(&snapshot, &story.tag()).power_status, "OFF");
    assert!(snapshot.sub_users[0].suspended);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_termination_while_the_server_is_built_ends_the_wait() {
    let app = spawn_app(Setup::slow(Duration::from_millis(2500))).await;
    let story = Story::new();
    let paid = app.accept(&story.paid()).await;
    app.until_step(&paid.runs()[0], "hivelocity.await_device", &["waiting"])
        .await;
    let suspended = app.accept(&story.at(2, "service.suspended")).await;
    let terminated = app.accept(&story.at(3, "service.terminated")).await;
    app.settle().await;
    let run = app.api.run(&paid.runs()[0]).await;
    assert_eq!(run["status"], "superseded", "{}", shown(&run));
    assert_eq!(step(&run, "hivelocity.await_device")["status"], "cancelled");
    assert_eq!(
        app.api.run(&suspended.runs()[0]).await["status"],
        "superseded"
    );
    let run = app.api.run(&terminated.runs()[0]).await;
    assert_eq!(run["status"], "succeeded", "{}", shown(&run));
    let snapshot = app.suppliers.snapshot();
    assert!(device(&snapshot, &story.tag()).cancelled);
    assert_eq!((snapshot.licences.len(), snapshot.sub_users.len()), (0, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_termination_while_the_order_is_on_the_wire_cancels_what_was_ordered() {
    for fault in [
        Fault::DoneThenStalled(Duration::from_millis(500)),
        Fault::DoneThenDropped,
        Fault::StalledBefore(Duration::from_millis(1500)),
    ] {
        let app = spawn_app(Setup::default()).await;
        let story = Story::new();
        app.suppliers
            .fail_next("POST /bare-metal-devices/batch", fault.clone(), 1);
        let paid = app.accept(&story.paid()).await;
        app.until_step(
            &paid.runs()[0],
            "hivelocity.deploy_device",
            &["running", "unknown"],
        )
        .await;
        app.accept(&story.at(2, "service.terminated")).await;
        app.settle().await;
        let snapshot = app.suppliers.snapshot();
        let left: Vec<_> = snapshot
            .devices
            .iter()
            .filter(|device| !device.cancelled)
            .collect();
        assert!(left.is_empty(), "{fault:?}: {left:?}");
        assert!(snapshot.licences.is_empty(), "{fault:?}");
        assert_eq!(twice(&snapshot), Vec::<String>::new());
        assert_eq!(app.api.service("501").await["status"], "terminated");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_termination_ends_a_paused_order() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.suppliers
        .fail_next("one_h add_license", Fault::Forbidden403, 1);
    let paid = app.carry_out(&story.paid()).await.remove(0);
    assert_eq!(paid["status"], "paused");
    app.succeed(&story.at(2, "service.terminated")).await;
    let paid = app.api.run(paid["id"].as_str().unwrap()).await;
    assert_eq!(paid["status"], "superseded", "{}", shown(&paid));
    let snapshot = app.suppliers.snapshot();
    assert!(device(&snapshot, &story.tag()).cancelled && snapshot.licences.is_empty());
    app.finish().await;
}

/// All orders in which four things can come in.
fn permutations(items: &[Value]) -> Vec<Vec<Value>> {
    if items.len() < 2 {
        return vec![items.to_vec()];
    }
    let mut all = Vec::new();
    for (place, first) in items.iter().enumerate() {
        let mut rest = items.to_vec();
        rest.remove(place);
        for mut tail in permutations(&rest) {
            tail.insert(0, first.clone());
            all.push(tail);
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn paid_suspended_and_unsuspended_end_alike_in_whatever_order_they_come() {
    let app = spawn_app(Setup::default()).await;
    let names = Story::of("1", "1", "42").life();
    for (number, _) in permutations(&names[..3]).iter().enumerate() {
        let story = Story::of(&format!("5{number}"), &format!("7{number}"), "42");
        let events = permutations(&story.life()[..3]).swap_remove(number);
        let order: Vec<String> = events
            .iter()
            .map(|event| event["type"].to_string())
            .collect();
        for event in &events {
            app.accept_early(event).await;
            app.accept_early(event).await;
            tokio::time::sleep(Duration::from_millis(80)).await;
        }
        app.settle().await;
        let known = known(&app, &story.service).await;
        assert_eq!(known["status"], "active", "{order:?}");
        let snapshot = app.suppliers.snapshot();
        assert_eq!(
            device(&snapshot, &story.tag()).power_status,
            "ON",
            "{order:?}"
        );
        let user = snapshot
            .sub_users
            .iter()
            .find(|user| user.username == known["one_h_user"])
            .unwrap();
        assert!(!user.suspended, "{order:?}");
    }
    assert_eq!(twice(&app.suppliers.snapshot()), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_sent_at_once_in_any_order_never_leaves_anything_that_costs_money() {
    let app = spawn_app(Setup::slow(Duration::from_millis(150))).await;
    let count = permutations(&Story::new().life()).len();
    for number in 0..count {
        let story = Story::of(&format!("6{number}"), &format!("8{number}"), "42");
        for event in permutations(&story.life()).swap_remove(number) {
            app.accept_early(&event).await;
        }
    }
    app.settle().await;
    for number in 0..count {
        let story = Story::of(&format!("6{number}"), &format!("8{number}"), "42");
        let order: Vec<String> = permutations(&story.life())
            .swap_remove(number)
            .iter()
            .map(|event| event["type"].to_string())
            .collect();
        assert_eq!(
            app.api.service(&story.service).await["status"],
            "terminated",
            "{order:?}"
        );
        let snapshot = app.suppliers.snapshot();
        let left = snapshot
            .devices
            .iter()
            .filter(|d| d.tags.contains(&story.tag()) && !d.cancelled)
            .count();
        assert_eq!(left, 0, "{order:?}");
    }
    let snapshot = app.suppliers.snapshot();
    assert_eq!(snapshot.licences, []);
    assert_eq!(twice(&snapshot), Vec::<String>::new());
    let paused = app.api.all("/runs?status=paused").await;
    assert!(
        paused.is_empty(),
        "{:?}",
        paused.iter().map(shown).collect::<Vec<_>>()
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_termination_twice_at_once_cancels_once() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    let (first, second) = (
        Message::of(&story.at(4, "service.terminated")),
        Message::of(&story.at(4, "service.terminated")),
    );
    let (one, two) = tokio::join!(app.send(&first), app.send(&second));
    assert_eq!((one.status, two.status), (202, 202));
    app.settle().await;
    let snapshot = app.suppliers.snapshot();
    let id = device(&snapshot, &story.tag()).device_id;
    assert_eq!(acted(&snapshot, &format!("cancel {id}")), 1);
    app.finish().await;
}
