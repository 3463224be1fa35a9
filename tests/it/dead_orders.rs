//! Orders that Hivelocity cancelled, devices that are gone, and answers without what was ordered: a
//! dead order can be replaced, and what may be alive is never bought twice.

use std::time::Duration;

use billhook::sandbox::Fault;
use serde_json::{Value, json};

use crate::support::reader::{shown, step};
use crate::support::world::{device, twice};
use crate::support::{App, Setup, Story, spawn_app};

/// The order of service 501, to this location.
fn order(second: u64, location: &str) -> Value {
    let mut event = Story::new().at(second, "order.paid");
    event["services"][0]["options"] = json!({"Location": location});
    event
}

/// An app whose service 501 has an order that Hivelocity cancelled; the run that paused for it.
async fn with_dead_order() -> (App, String) {
    let app = spawn_app(Setup::default()).await;
    let runs = app.carry_out(&order(1, "CANCELLED")).await;
    assert_eq!(runs[0]["status"], "paused", "{}", shown(&runs[0]));
    let error = runs[0]["error"].as_str().unwrap();
    for words in [
        "did not pass verification",
        "send order.paid again (corrected)",
        "billhook services rebuild whmcs 501",
    ] {
        assert!(error.contains(words), "{error}");
    }
    (app, runs[0]["id"].as_str().unwrap().to_owned())
}

async fn rebuild(app: &App, body: &Value) -> (u16, Value) {
    let reply = app.api.post("/services/whmcs/501/rebuild", body).await;
    (reply.status, reply.body)
}

/// Ends a paused run, unless a newer one took its place.
async fn cancelled(app: &App, run: &str) {
    app.api
        .post(&format!("/runs/{run}/cancel"), &json!({"reason": "over"}))
        .await;
}

fn live(app: &App) -> usize {
    let snapshot = app.suppliers.snapshot();
    let live = snapshot.devices.iter();
    live.filter(|device| !device.gone && !device.cancelled)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_order_after_a_dead_one_orders_afresh() {
    let (app, run) = with_dead_order().await;
    let state = app.api.service("501").await;
    assert_eq!(state["dead_orders"].as_array().unwrap().len(), 1, "{state}");
    assert_eq!(state["device_order_id"], Value::Null);
    let corrected = app.accept(&order(2, "TPA1")).await;
    cancelled(&app, &run).await;
    let run = app
        .until(&corrected.runs()[0], &["succeeded", "paused"])
        .await;
    assert_eq!(run["status"], "succeeded", "{}", shown(&run));
    assert_eq!(live(&app), 1);
    assert_eq!(app.api.service("501").await["status"], "active");
    // What is built is not rebuilt, and a third order finds it.
    let (status, body) = rebuild(&app, &json!({"reason": "once more"})).await;
    assert_eq!(status, 409, "{body}");
    assert!(body.to_string().contains("has device"), "{body}");
    app.succeed(&order(3, "TPA1")).await;
    assert_eq!(live(&app), 1);
    app.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_orders_the_same_afresh_and_only_what_is_dead() {
    let (app, run) = with_dead_order().await;
    let (status, body) = rebuild(&app, &json!({"dry_run": true})).await;
    assert_eq!(status, 400, "a reason is needed: {body}");
    let (status, body) = rebuild(&app, &json!({"reason": "r", "dry_run": true})).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["runs"], json!([]));
    assert_eq!(app.suppliers.snapshot().orders.len(), 1);
    let (status, body) = rebuild(&app, &json!({"reason": "verified by phone"})).await;
    assert_eq!(status, 202, "{body}");
    let fresh = body["runs"][0].as_str().unwrap().to_owned();
    let fresh = app.until(&fresh, &["paused", "succeeded"]).await;
    assert_eq!(fresh["replay_of"], run.as_str());
    // The same location: Hivelocity cancels that one, too.
    assert_eq!(fresh["status"], "paused", "{}", shown(&fresh));
    assert_eq!(app.suppliers.snapshot().orders.len(), 2, "ordered afresh");
    let state = app.api.service("501").await;
    assert_eq!(state["dead_orders"].as_array().unwrap().len(), 2, "{state}");
    app.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_terminated_or_alive_is_not_rebuilt() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    let (status, _) = rebuild(&app, &json!({"reason": "r"})).await;
    assert_eq!(status, 404);
    app.succeed(&story.paid()).await;
    let (status, body) = rebuild(&app, &json!({"reason": "r"})).await;
    assert_eq!(status, 409, "{body}");
    app.succeed(&story.at(2, "service.terminated")).await;
    let (status, body) = rebuild(&app, &json!({"reason": "r"})).await;
    assert_eq!(status, 409, "{body}");
    assert!(body.to_string().contains("terminated"), "{body}");
    assert_eq!(app.suppliers.snapshot().orders.len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_of_no_use_is_not_dead_before_hivelocity_says_so() {
    let app = spawn_app(Setup::default()).await;
    let runs = app.carry_out(&order(1, "FAILED")).await;
    assert_eq!(runs[0]["status"], "paused", "{}", shown(&runs[0]));
    let (status, body) = rebuild(&app, &json!({"reason": "r"})).await;
    assert_eq!(status, 409, "{body}");
    cancelled(&app, runs[0]["id"].as_str().unwrap()).await;
    let corrected = app.carry_out(&order(2, "FAILED")).await;
    assert_eq!(corrected[0]["status"], "paused", "{}", shown(&corrected[0]));
    assert_eq!(app.suppliers.snapshot().orders.len(), 1, "ordered twice");
    app.leave().await;
}

/// Hivelocity answers an order with 200 and this.
async fn answered(body: &str) -> (App, Value) {
    let app = spawn_app(Setup::default()).await;
    app.suppliers.fail_next(
        "POST /bare-metal-devices/batch",
        Fault::Answered200(body.to_owned()),
        1,
    );
    let runs = app.carry_out(&order(1, "TPA1")).await;
    let run = runs[0].clone();
    (app, run)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_under_200_pauses_with_the_suppliers_words() {
    let words = "Product 584 is out of stock in TPA1";
    let body = json!({"code": 400, "message": words}).to_string();
    let (app, run) = answered(&body).await;
    assert_eq!(run["status"], "paused", "{}", shown(&run));
    assert!(
        run["error"].as_str().unwrap().contains(words),
        "{}",
        shown(&run)
    );
    assert_eq!(step(&run, "hivelocity.deploy_device")["status"], "paused");
    assert_eq!(app.suppliers.snapshot().orders.len(), 0);
    app.leave().await;
}

/// An answer that says nothing: the mark is looked for, then the order is sent again.
async fn looked_for_and_sent_again(body: &str) {
    let (app, run) = answered(body).await;
    assert_eq!(run["status"], "succeeded", "{}", shown(&run));
    let deploy = step(&run, "hivelocity.deploy_device");
    let attempts = deploy["attempts"].as_array().unwrap();
    assert!(attempts.len() > 3, "{body}: {}", shown(&run));
    let snapshot = app.suppliers.snapshot();
    assert_eq!(twice(&snapshot), Vec::<String>::new());
    device(&snapshot, &Story::new().tag());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_to_an_order_is_unclear() {
    looked_for_and_sent_again("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_as_the_answer_to_an_order_is_unclear() {
    looked_for_and_sent_again("[]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_an_order_with_ids_of_null_is_unclear() {
    looked_for_and_sent_again(r#"{"deviceId":null,"orderId":null}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_cancelled_by_hand_while_it_is_built_is_noticed() {
    let mut setup = Setup::slow(Duration::from_millis(1500));
    setup.suppliers.devices_show = billhook::sandbox::DevicesShow::AtOnce;
    let app = spawn_app(setup).await;
    let paid = app.accept(&order(1, "TPA1")).await;
    app.until_step(&paid.runs()[0], "hivelocity.await_device", &["waiting"])
        .await;
    let id = app.suppliers.snapshot().devices[0].device_id;
    let url = format!("{}/bare-metal-devices/{id}", app.suppliers.hivelocity_url());
    let client = app.suppliers.snapshot().devices[0].client_id;
    let deleted = app
        .http
        .delete(format!("{url}?controlledClientId={client}"))
        .header("x-api-key", crate::support::settings::HIVELOCITY_KEY);
    let deleted = deleted.send().await.unwrap();
    assert!(deleted.status().is_success(), "{deleted:?}");
    let run = app.until(&paid.runs()[0], &["paused"]).await;
    assert!(
        run["error"].as_str().unwrap().contains("it is over"),
        "{}",
        shown(&run)
    );
    let (status, body) = rebuild(&app, &json!({"reason": "cancelled by mistake"})).await;
    assert_eq!(status, 202, "{body}");
    let fresh = app
        .until(body["runs"][0].as_str().unwrap(), &["succeeded", "paused"])
        .await;
    assert_eq!(fresh["status"], "succeeded", "{}", shown(&fresh));
    assert_eq!(live(&app), 1);
    app.leave().await;
}
