//! Replays by the API: at any time, of anything, they create nothing twice.

use billhook::sandbox::Fault;
use serde_json::{Value, json};

use crate::support::reader::shown;
use crate::support::sender::{Message, Reply};
use crate::support::world::{device, held, twice};
use crate::support::{App, Setup, Story, spawn_app};

async fn replay(app: &App, delivery: &str) -> Reply {
    app.api
        .post(
            &format!("/deliveries/{delivery}/replay"),
            &json!({"dry_run": false}),
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn replaying_everything_after_every_event_creates_and_ends_nothing_more() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    let mut deliveries = Vec::new();
    for event in story.life() {
        deliveries.push(app.accept(&event).await.delivery());
        app.settle().await;
        let before = held(&app.suppliers.snapshot());
        for delivery in deliveries.iter().chain(deliveries.iter().rev()) {
            let reply = replay(&app, delivery).await;
            assert_eq!(reply.status, 202, "{reply:?}");
            app.settle().await;
            for run in app.runs(&reply).await {
                assert!(
                    ["succeeded", "superseded"].contains(&run["status"].as_str().unwrap()),
                    "{}",
                    shown(&run)
                );
                assert!(
                    run["replay_of"].as_str().unwrap().starts_with("run_"),
                    "{}",
                    shown(&run)
                );
            }
        }
        assert_eq!(
            held(&app.suppliers.snapshot()),
            before,
            "after {}",
            event["type"]
        );
    }
    assert_eq!(twice(&app.suppliers.snapshot()), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replaying_an_order_while_it_is_carried_out_builds_one_server() {
    let app = spawn_app(Setup::slow(std::time::Duration::from_millis(400))).await;
    let paid = app.accept(&Story::new().paid()).await;
    for _ in 0..5 {
        assert_eq!(replay(&app, &paid.delivery()).await.status, 202);
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    }
    app.settle().await;
    let shown = app
        .api
        .get(&format!("/deliveries/{}", paid.delivery()))
        .await;
    assert_eq!(
        shown["runs"].as_array().unwrap().len(),
        6,
        "the delivery lists its replays"
    );
    assert_eq!(twice(&app.suppliers.snapshot()), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_run_that_is_replayed_waits_for_nobody_however_the_replay_fares() {
    let app = spawn_app(Setup::default()).await;
    let refused = Fault::Refused400("No money left.".to_owned());
    app.suppliers.fail_next("one_h add_license", refused, 3);
    let paid = app.accept(&Story::new().paid()).await;
    app.settle().await;
    let mut last = paid.runs()[0].clone();
    for _ in 0..2 {
        let reply = replay(&app, &paid.delivery()).await;
        let next = reply.runs()[0].clone();
        let replaced = app.api.run(&last).await;
        assert_eq!(replaced["status"], "superseded", "{}", shown(&replaced));
        assert_eq!(replaced["error"], format!("by its replay {next}"));
        app.settle().await;
        assert_eq!(app.api.run(&next).await["status"], "paused");
        let paused = &app.api.get("/stats").await["runs"]["paused"];
        assert_eq!(paused, 1, "one order needs one person");
        last = next;
    }
    let again = format!("/runs/{}/retry", paid.runs()[0]);
    let retry = app.api.post(&again, &json!({})).await;
    retry.is_problem(409);
    let said = retry.text("/detail");
    assert!(
        said.starts_with("the run is superseded by its replay run_"),
        "{said}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_a_paused_run_goes_on_and_supersedes_the_original() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.suppliers.fail_next(
        "one_h add_license",
        Fault::Refused400("No money left.".to_owned()),
        1,
    );
    let paid = app.accept(&story.paid()).await;
    app.settle().await;
    let original = app.api.run(&paid.runs()[0]).await;
    assert_eq!(original["status"], "paused");
    // What the customer no longer pays for goes dark meanwhile, and stays so.
    let behind = app.accept(&story.at(2, "service.suspended")).await;
    app.settle().await;
    let reply = replay(&app, &paid.delivery()).await;
    app.settle().await;
    let replayed = app.api.run(&reply.runs()[0]).await;
    assert_eq!(replayed["status"], "succeeded", "{}", shown(&replayed));
    assert_eq!(replayed["replay_of"], original["id"]);
    let superseded = app.api.run(&paid.runs()[0]).await;
    assert_eq!(
        (&superseded["status"], &superseded["steps"]),
        (&json!("superseded"), &original["steps"]),
        "its journal stays as it was"
    );
    let by = format!("by its replay {}", reply.runs()[0]);
    assert_eq!(superseded["error"], by, "{}", shown(&superseded));
    assert_eq!(app.api.all("/runs?status=paused").await.len(), 0);
    assert_eq!(app.api.get("/stats").await["runs"].get("paused"), None);
    let behind = app.api.run(&behind.runs()[0]).await;
    assert_eq!(behind["status"], "succeeded", "{}", shown(&behind));
    assert_eq!(
        device(&app.suppliers.snapshot(), &story.tag()).power_status,
        "OFF"
    );
    assert_eq!(twice(&app.suppliers.snapshot()), Vec::<String>::new());
    let retry = app
        .api
        .post(&format!("/runs/{}/retry", paid.runs()[0]), &json!({}))
        .await;
    retry.is_problem(409);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_replay_shows_the_plan_and_does_nothing() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    let paid = app.accept(&story.paid()).await;
    app.settle().await;
    let before = app.suppliers.snapshot();
    let dry = app
        .api
        .post(
            &format!("/deliveries/{}/replay", paid.delivery()),
            &json!({"dry_run": true}),
        )
        .await;
    assert_eq!((dry.status, &dry.body["runs"]), (200, &json!([])));
    let plan = &dry.body["plans"][0];
    assert_eq!(
        (&plan["service_id"], &plan["verdict"]),
        (&json!("501"), &json!("do"))
    );
    assert_eq!(plan["steps"][1]["kind"], "hivelocity.deploy_device");
    app.succeed(&story.at(4, "service.terminated")).await;
    let before_dry = app.suppliers.snapshot().requests;
    let dry = app
        .api
        .post(
            &format!("/deliveries/{}/replay", paid.delivery()),
            &json!({"dry_run": true}),
        )
        .await;
    assert_eq!(dry.body["plans"][0]["verdict"], "superseded");
    assert_eq!(app.suppliers.snapshot().requests, before_dry);
    assert_eq!(before.devices.len(), 1);
    assert_eq!(app.api.all("/runs").await.len(), 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_verified_is_not_replayed_and_a_duplicate_stands_for_its_first() {
    let app = spawn_app(Setup::default()).await;
    let message = Message::of(&Story::new().paid());
    let first = app.send(&message).await;
    app.settle().await;
    app.send(&message).await;
    let mut other = message.clone();
    other.body.push(b' ');
    app.send(&other).await.is_problem(409);
    app.send(&Message::of(&Story::new().paid()).header("webhook-signature", "v1,AAAA"))
        .await
        .is_problem(401);
    let deliveries = app.api.all("/deliveries").await;
    let ids: Vec<&str> = deliveries
        .iter()
        .map(|delivery| delivery["id"].as_str().unwrap())
        .collect();
    let [unsigned, conflict, duplicate, _] = ids.as_slice() else {
        panic!("{ids:?}")
    };
    replay(&app, unsigned).await.is_problem(409);
    replay(&app, conflict).await.is_problem(409);
    let reply = replay(&app, duplicate).await;
    assert_eq!((reply.status, reply.delivery()), (202, first.delivery()));
    app.settle().await;
    app.api
        .post("/deliveries/dlv_0000000000000/replay", &json!({}))
        .await
        .is_problem(404);
    let wrong = app
        .api
        .post(
            &format!("/deliveries/{}/replay", first.delivery()),
            &json!({"dryrun": true}),
        )
        .await;
    wrong.is_problem(400);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ignored_order_is_built_by_a_replay_once_its_product_is_sold() {
    let setup = Setup::default();
    let mut app = spawn_app(setup.clone().with("products", "[]")).await;
    let reply = app.send(&Message::of(&Story::new().paid())).await;
    assert_eq!(reply.text("/status"), "ignored");
    app.restart(&setup).await;
    let replayed = replay(&app, &reply.delivery()).await;
    assert_eq!(replayed.runs().len(), 1, "{replayed:?}");
    app.settle().await;
    let run: Value = app.api.run(&replayed.runs()[0]).await;
    assert_eq!(
        (&run["status"], &run["replay_of"]),
        (&json!("succeeded"), &json!(reply.delivery()))
    );
    app.finish().await;
}
