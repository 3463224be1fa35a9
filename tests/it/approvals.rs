//! What waits for a person: approvals, protections, cancelling by hand.

use serde_json::json;

use crate::support::reader::{shown, step};
use crate::support::sender::Message;
use crate::support::world::{acted, device};
use crate::support::{Setup, Story, spawn_app};

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_needs_approval_waits_for_it() {
    let app =
        spawn_app(Setup::default().with("policy.require_approval", "hivelocity.cancel_device"))
            .await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    let run = app
        .carry_out(&story.at(2, "service.terminated"))
        .await
        .remove(0);
    assert_eq!(run["status"], "paused");
    assert!(
        run["error"]
            .as_str()
            .unwrap()
            .contains("hivelocity.cancel_device waits for approval"),
        "{}",
        shown(&run)
    );
    assert!(!device(&app.suppliers.snapshot(), &story.tag()).cancelled);
    let id = run["id"].as_str().unwrap();
    assert_eq!(
        app.api
            .post(&format!("/runs/{id}/approve"), &json!({"reason": "ok"}))
            .await
            .status,
        200
    );
    app.settle().await;
    let run = app.api.run(id).await;
    assert_eq!(run["status"], "succeeded", "{}", shown(&run));
    assert!(device(&app.suppliers.snapshot(), &story.tag()).cancelled);
    app.api
        .post(&format!("/runs/{id}/approve"), &json!({}))
        .await
        .is_problem(409);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deactivating_a_client_always_waits_for_approval_and_only_after_the_last_service() {
    let app =
        spawn_app(Setup::default().with("policy.deactivate_client", "after_last_service")).await;
    let (first, second) = (Story::of("501", "77", "42"), Story::of("502", "77", "42"));
    app.succeed(&first.paid()).await;
    app.succeed(&second.paid()).await;
    app.succeed(&first.at(3, "service.terminated")).await;
    assert!(app.suppliers.snapshot().clients[0].active);
    let run = app
        .carry_out(&second.at(4, "service.terminated"))
        .await
        .remove(0);
    assert_eq!(run["status"], "paused", "{}", shown(&run));
    assert_eq!(
        step(&run, "hivelocity.deactivate_client")["status"],
        "paused"
    );
    assert!(app.suppliers.snapshot().clients[0].active);
    app.api
        .post(
            &format!("/runs/{}/approve", run["id"].as_str().unwrap()),
            &json!({}),
        )
        .await;
    app.settle().await;
    let snapshot = app.suppliers.snapshot();
    assert!(!snapshot.clients[0].active);
    assert_eq!(
        acted(
            &snapshot,
            &format!("deactivate_client {}", snapshot.clients[0].id)
        ),
        1
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_service_is_neither_suspended_nor_terminated() {
    let app = spawn_app(Setup::default().with("policy.protected_services", "whmcs:501")).await;
    let (kept, other) = (Story::of("501", "77", "42"), Story::of("502", "77", "42"));
    app.succeed(&kept.paid()).await;
    app.succeed(&other.paid()).await;
    let run = app
        .carry_out(&kept.at(2, "service.suspended"))
        .await
        .remove(0);
    assert_eq!(run["status"], "paused");
    assert!(
        run["error"].as_str().unwrap().contains("protected"),
        "{}",
        shown(&run)
    );
    let cancelled = app
        .api
        .post(
            &format!("/runs/{}/cancel", run["id"].as_str().unwrap()),
            &json!({"reason": "no"}),
        )
        .await;
    assert_eq!(
        (cancelled.status, cancelled.text("/status")),
        (200, "cancelled")
    );
    let run = app
        .carry_out(&kept.at(3, "service.terminated"))
        .await
        .remove(0);
    assert_eq!(run["status"], "paused");
    app.succeed(&other.at(3, "service.terminated")).await;
    let snapshot = app.suppliers.snapshot();
    assert_eq!(device(&snapshot, &kept.tag()).power_status, "ON");
    assert!(!device(&snapshot, &kept.tag()).cancelled && device(&snapshot, &other.tag()).cancelled);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_for_no_approval_is_not_approved() {
    let app = spawn_app(Setup::default().with("policy.protected_services", "501")).await;
    let (kept, other) = (Story::new(), Story::of("502", "77", "42"));
    app.succeed(&kept.paid()).await;
    let refused = billhook::sandbox::Fault::Refused400("No money left.".to_owned());
    app.suppliers.fail_next("one_h add_license", refused, 1);
    let mut impossible = Story::of("503", "77", "42").paid();
    impossible["services"][0]["hostname"] = json!("srv_1");
    let paused = [
        app.carry_out(&kept.at(2, "service.suspended")).await,
        app.carry_out(&other.paid()).await,
        app.carry_out(&impossible).await,
    ]
    .concat();
    for (run, (waits, then)) in paused.iter().zip([
        ("is protected", "runs retry"),
        ("No money left", "runs retry"),
        ("underscore", "send it again corrected"),
    ]) {
        let id = run["id"].as_str().unwrap();
        let reply = app
            .api
            .post(&format!("/runs/{id}/approve"), &json!({}))
            .await;
        reply.is_problem(409);
        let detail = reply.text("/detail").to_owned();
        assert!(detail.contains("asks for no approval"), "{detail}");
        assert!(detail.contains(waits) && detail.contains(then), "{detail}");
        assert_eq!(&app.api.run(id).await, run, "nothing was changed");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_waits_before_its_first_step_is_found_by_service_and_customer() {
    let app = spawn_app(Setup::default()).await;
    let mut order = Story::new().paid();
    order["services"][0]["hostname"] = json!("srv_1");
    let paused = app.carry_out(&order).await.remove(0);
    assert_eq!(paused["status"], "paused", "{}", shown(&paused));
    let listed = app.api.all("/services?customer=77&status=unknown").await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(
        (&listed[0]["service_id"], &listed[0]["hostname"]),
        (&json!("501"), &json!("srv_1"))
    );
    let service = app.api.service("501").await;
    assert_eq!(
        (&service["customer_id"], &service["history"][0]["id"]),
        (&json!("77"), &paused["id"])
    );
    let customer = app.api.get("/customers/whmcs/77").await;
    assert_eq!(customer["email"], order["customer"]["email"]);
    assert_eq!(customer["services"][0]["service_id"], "501");
    // The corrected order is built like any other.
    let mut corrected = Story::new().paid();
    corrected["occurred_at"] = json!(crate::support::events::moment(1));
    let built = app.succeed(&corrected).await;
    assert_eq!(built["status"], "succeeded", "{}", shown(&built));
    assert_eq!(app.api.service("501").await["status"], "active");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_termination_of_a_protected_service_sets_nothing_going_that_waits_for_a_person() {
    let app = spawn_app(Setup::default().with("policy.protected_services", "501")).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    app.suppliers.fail_next(
        "POST /device/{id}/power",
        billhook::sandbox::Fault::Forbidden403,
        1,
    );
    let mut reboot = story.at(2, "service.action");
    reboot["action"] = json!("reboot");
    let paused = app.carry_out(&reboot).await.remove(0);
    assert_eq!(paused["status"], "paused", "{}", shown(&paused));
    let ended = app.accept(&story.at(3, "service.terminated")).await;
    app.settle().await;
    let still = app.api.run(paused["id"].as_str().unwrap()).await;
    for what in ["status", "error", "pause_reason"] {
        assert_eq!(still[what], paused[what], "{}", shown(&still));
    }
    assert_eq!(still["steps"], paused["steps"]);
    let snapshot = app.suppliers.snapshot();
    assert!(!device(&snapshot, &story.tag()).cancelled);
    for run in [paused["id"].as_str().unwrap(), &ended.runs()[0]] {
        app.api
            .post(&format!("/runs/{run}/cancel"), &json!({}))
            .await;
    }
    app.settle().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_a_run_that_is_stuck_half_way_lets_its_unfinished_steps_be() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    app.suppliers.fail_next(
        "POST /device/{id}/power",
        billhook::sandbox::Fault::Forbidden403,
        1,
    );
    let paused = app
        .carry_out(&story.at(2, "service.suspended"))
        .await
        .remove(0);
    assert_eq!(paused["status"], "paused", "{}", shown(&paused));
    app.api
        .post(
            &format!("/runs/{}/cancel", paused["id"].as_str().unwrap()),
            &json!({}),
        )
        .await;
    let next = app.succeed(&story.at(3, "service.unsuspended")).await;
    assert_eq!(next["status"], "succeeded", "{}", shown(&next));
    let cancelled = app.api.run(paused["id"].as_str().unwrap()).await;
    assert_eq!(step(&cancelled, "hivelocity.power")["status"], "cancelled");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_termination_that_a_person_refuses_has_not_ended_the_service() {
    let app =
        spawn_app(Setup::default().with("policy.require_approval", "hivelocity.cancel_device"))
            .await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    let run = app.carry_out(&story.at(2, "service.terminated")).await;
    let id = run[0]["id"].as_str().unwrap();
    assert_eq!(app.api.service("501").await["status"], "active");
    let refused = app
        .api
        .post(&format!("/runs/{id}/cancel"), &json!({}))
        .await;
    assert_eq!(refused.status, 200, "{refused:?}");
    app.succeed(&story.at(3, "service.suspended")).await;
    assert_eq!(
        device(&app.suppliers.snapshot(), &story.tag()).power_status,
        "OFF"
    );
    app.succeed(&story.at(4, "service.unsuspended")).await;
    let run = app.carry_out(&story.at(5, "service.terminated")).await;
    let id = run[0]["id"].as_str().unwrap();
    app.api
        .post(&format!("/runs/{id}/approve"), &json!({}))
        .await;
    app.until(id, &["succeeded"]).await;
    assert_eq!(app.api.service("501").await["status"], "terminated");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_behind_a_paused_run_has_its_turn_at_once() {
    let setup = Setup::default()
        .with("policy.protected_services", "whmcs:501")
        .with("policy.require_approval", "one_h.add_license");
    let app = spawn_app(setup).await;
    let story = Story::new();
    let run = app.carry_out(&story.paid()).await.remove(0);
    assert_eq!(run["status"], "paused", "{}", shown(&run));
    // Shorter than the worker sleeps where nobody wakes it.
    let message = Message::of(&story.at(2, "service.terminated")).header("prefer", "wait=3");
    let reply = app.send(&message).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.text("/status"), "paused");
    app.leave().await;
}
