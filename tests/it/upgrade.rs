//! A store that another version has written to.

use billhook::sandbox::Fault;

use crate::support::database::change;
use crate::support::reader::shown;
use crate::support::{Setup, Story, spawn_app};

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_an_unknown_kind_pauses_its_run_by_name_and_disturbs_no_other() {
    let setup = Setup::slow(std::time::Duration::from_secs(20));
    let mut app = spawn_app(setup.clone()).await;
    let paid = app.accept(&Story::new().paid()).await;
    app.until_step(&paid.runs()[0], "hivelocity.await_device", &["waiting"])
        .await;
    app.stop().await;
    let changed = change(
        app.folder(),
        "UPDATE steps SET doc = replace(doc, 'hivelocity.await_device', 'hivelocity.polish_device') \
         WHERE doc LIKE '%hivelocity.await_device%'",
    )
    .await;
    assert_eq!(changed, 1);
    app.restart(&setup).await;
    let run = app.until(&paid.runs()[0], &["paused"]).await;
    assert!(
        run["error"]
            .as_str()
            .unwrap()
            .contains("hivelocity.polish_device"),
        "{}",
        shown(&run)
    );
    app.succeed(&Story::of("502", "78", "44").paid()).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_a_newer_version_added_to_states_survive() {
    let setup = Setup::default();
    let mut app = spawn_app(setup.clone()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    app.stop().await;
    let changed = change(
        app.folder(),
        "UPDATE services SET doc = '{\"polished\":\"very\",' || substr(doc, 2)",
    )
    .await;
    assert_eq!(changed, 1);
    app.restart(&setup).await;
    app.succeed(&story.at(2, "service.suspended")).await;
    let list = app.api.all("/services").await;
    assert_eq!(list[0]["polished"], "very");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_be_read_stops_no_other() {
    let setup = Setup::default();
    let mut app = spawn_app(setup.clone()).await;
    app.succeed(&Story::new().paid()).await;
    app.stop().await;
    let changed = change(
        app.folder(),
        "INSERT INTO runs (id, delivery_id, origin, occurred_at, lane, source, type, service_id, status, blocks, \
         planned, due_at, fence, overtaken, created_at, updated_at) \
         SELECT id + 1, delivery_id, origin, occurred_at, 's:whmcs:900', source, 'service.polished', '900', 'pending', 1, \
         0, 1, 0, 0, created_at, updated_at FROM runs",
    )
    .await;
    assert_eq!(changed, 1);
    app.restart(&setup).await;
    let reply = app.accept(&Story::of("502", "78", "44").paid()).await;
    app.until(&reply.runs()[0], &["succeeded"]).await;
    let unread = app.api.all("/runs?status=paused").await;
    assert_eq!(unread.len(), 1, "a person is asked: {unread:?}");
    assert_ne!(unread[0]["error"], serde_json::Value::Null);
    app.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_an_older_version_left_blocked_comes_free_by_itself() {
    let setup = Setup::default();
    let mut app = spawn_app(setup.clone()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    app.suppliers
        .fail_next("one_h suspend_user", Fault::OneHError(22), 1);
    let stuck = app
        .carry_out(&story.at(2, "service.suspended"))
        .await
        .remove(0);
    assert_eq!(stuck["status"], "paused", "{}", shown(&stuck));
    let behind = app.succeed(&story.at(3, "service.unsuspended")).await;
    app.stop().await;
    // As it was: the unsuspension has no turn behind the suspension that a person is asked about.
    for statement in [
        "UPDATE runs SET status = 'paused', blocks = 1, overtaken = 0, due_at = NULL, pause_reason = 'refused', \
         error = 'one_h.suspend_user was refused' WHERE type = 'service.suspended'",
        "UPDATE steps SET status = 'paused', \
         doc = replace(doc, '\"status\":\"cancelled\"', '\"status\":\"paused\"') \
         WHERE status = 'cancelled'",
        "DELETE FROM attempts WHERE run_id IN (SELECT id FROM runs WHERE type = 'service.unsuspended')",
        "DELETE FROM steps WHERE run_id IN (SELECT id FROM runs WHERE type = 'service.unsuspended')",
        "UPDATE runs SET status = 'pending', blocks = 1, planned = 0, touched = 0, due_at = NULL \
         WHERE type = 'service.unsuspended'",
    ] {
        assert_ne!(change(app.folder(), statement).await, 0, "{statement}");
    }
    app.restart(&setup).await;
    let id = |run: &serde_json::Value| run["id"].as_str().unwrap().to_owned();
    app.until(&id(&behind), &["succeeded"]).await;
    app.until(&id(&stuck), &["superseded"]).await;
    app.leave().await;
}
