//! Copies of a billing installation: a staging system has the same secret and the same ids, and must not reach
//! what belongs to the real one.

use serde_json::{Value, json};

use crate::support::sender::{Message, Reply};
use crate::support::{App, Setup, Story, spawn_app};

fn of(mut event: Value, installation: &str) -> Value {
    event["installation"] = json!(installation);
    event
}

async fn send(app: &App, event: Value) -> Reply {
    app.send(&Message::of(&event)).await
}

fn is_of_a_copy(reply: &Reply, theirs: &str, ours: &str) {
    reply.is_problem(409);
    assert_eq!(reply.text("/cause"), "other_installation");
    let detail = reply.text("/detail");
    assert!(detail.contains(theirs) && detail.contains(ours), "{detail}");
    assert!(detail.contains("[sources.whmcs]"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_installation_is_refused_and_cancels_nothing() {
    let setup = Setup::default();
    let mut app = spawn_app(setup.clone()).await;
    let story = Story::new();
    app.succeed(&of(story.paid(), "real")).await;
    let terminated = story.at(2, "service.terminated");
    let refused = send(&app, of(terminated.clone(), "copy")).await;
    is_of_a_copy(&refused, "copy", "real");
    // What it belongs to outlives the process.
    app.restart(&setup).await;
    is_of_a_copy(
        &send(&app, of(terminated.clone(), "copy")).await,
        "copy",
        "real",
    );
    let ping = json!({"type": "test.ping", "installation": "copy"});
    is_of_a_copy(&send(&app, ping).await, "copy", "real");
    let refused = app.api.all("/deliveries?verdict=rejected").await;
    assert_eq!(refused.len(), 3, "{refused:?}");
    let cause = refused[0]["cause"].as_str().unwrap();
    assert!(cause.starts_with("other_installation: "), "{cause}");
    let running = app.suppliers.snapshot();
    assert!(
        running.devices.iter().all(|device| !device.cancelled),
        "{running:?}"
    );
    // A sender that does not tell its copies apart is heard as ever.
    let unnamed = app.succeed(&story.at(3, "service.suspended")).await;
    assert_eq!(unnamed["type"], "service.suspended");
    app.succeed(&of(story.at(4, "service.terminated"), "real"))
        .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_really_moved_is_written_into_the_configuration() {
    let mut app = spawn_app(Setup::default()).await;
    app.succeed(&of(Story::new().paid(), "old place")).await;
    let moved = Setup::default().with("sources.whmcs.installation", "new place");
    app.restart(&moved).await;
    let suspended = Story::new().at(2, "service.suspended");
    app.succeed(&of(suspended.clone(), "new place")).await;
    let of_the_old = send(&app, of(suspended, "old place")).await;
    is_of_a_copy(&of_the_old, "old place", "new place");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_is_no_text_is_refused_by_name() {
    let app = spawn_app(Setup::default()).await;
    let mut event = Story::new().paid();
    event["installation"] = json!({"id": 1});
    let refused = send(&app, event.clone()).await;
    refused.is_problem(422);
    assert_eq!(refused.text("/pointer"), "/installation");
    event["installation"] = json!("");
    app.succeed(&event).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_not_replayed_before_the_configuration_says_that_it_is_the_sources() {
    let mut app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.succeed(&of(story.paid(), "real")).await;
    let terminated = of(story.at(2, "service.terminated"), "copy");
    is_of_a_copy(&send(&app, terminated).await, "copy", "real");
    let listed = app
        .api
        .all("/deliveries?verdict=rejected&type=service.terminated&service=501");
    let refused = listed.await[0]["id"].as_str().unwrap().to_owned();
    for dry_run in [true, false] {
        let path = format!("/deliveries/{refused}/replay");
        let reply = app.api.post(&path, &json!({"dry_run": dry_run})).await;
        is_of_a_copy(&reply, "copy", "real");
    }
    assert_eq!(app.api.service("501").await["status"], "active");
    let moved = Setup::default().with("sources.whmcs.installation", "copy");
    app.restart(&moved).await;
    let reply = app
        .api
        .post(&format!("/deliveries/{refused}/replay"), &json!({}))
        .await;
    let run = reply.runs().remove(0);
    app.until(&run, &["succeeded"]).await;
    assert_eq!(app.api.service("501").await["status"], "terminated");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_pins_nothing_and_what_was_configured_stays_true() {
    let mut app = spawn_app(Setup::default()).await;
    let ping = |of: &str| json!({"type": "test.ping", "installation": of});
    assert_eq!(send(&app, ping("tried")).await.status, 200);
    assert_eq!(app.api.get("/stats").await["installations"], json!({}));
    app.succeed(&of(Story::new().paid(), "first")).await;
    app.restart(&Setup::default().with("sources.whmcs.installation", "second"))
        .await;
    app.restart(&Setup::default()).await;
    let known = app.api.get("/stats").await["installations"].clone();
    assert_eq!(known, json!({"whmcs": "second"}));
    is_of_a_copy(&send(&app, ping("first")).await, "first", "second");
    app.finish().await;
}
