//! What is answered to those who wait, look and list.

use std::time::{Duration, Instant};

use billhook::sandbox::Fault;
use serde_json::{Value, json};

use crate::support::reader::shown;
use crate::support::sender::{Message, Reply};
use crate::support::{Setup, Story, spawn_app};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_prefers_to_wait_is_told_the_outcome() {
    let app = spawn_app(Setup::slow(Duration::from_millis(300))).await;
    let story = Story::new();
    let waiting = |event: &Value, wait: &str| Message::of(event).header("prefer", wait);
    let reply = app
        .send(&waiting(&story.paid(), "respond-async, wait=20"))
        .await;
    assert_eq!(
        (
            reply.status,
            reply.text("/status"),
            reply.text("/runs/0/status")
        ),
        (200, "succeeded", "succeeded")
    );
    assert_eq!(reply.body["runs"][0]["error"], Value::Null);

    let late = app
        .send(&waiting(&story.at(0, "service.suspended"), "wait=20"))
        .await;
    assert_eq!(
        (
            late.status,
            late.text("/status"),
            late.text("/runs/0/status")
        ),
        (200, "succeeded", "superseded")
    );

    let other = Story::of("502", "77", "42");
    for path in [
        "POST /bare-metal-devices/batch",
        "POST /bare-metal-devices/",
    ] {
        app.suppliers.fail_next(path, Fault::Forbidden403, 1);
    }
    let paused = app.send(&waiting(&other.paid(), "wait=20")).await;
    assert_eq!(
        (
            paused.status,
            paused.text("/status"),
            paused.text("/runs/0/status")
        ),
        (200, "paused", "paused")
    );
    assert!(paused.text("/runs/0/error").contains("403"), "{paused:?}");

    let third = Story::of("503", "77", "42");
    app.suppliers.fail_next(
        "POST /bare-metal-devices/batch",
        Fault::StalledBefore(Duration::from_secs(3)),
        1,
    );
    let began = Instant::now();
    let unfinished = app.send(&waiting(&third.paid(), "wait=1")).await;
    assert_eq!(
        (unfinished.status, unfinished.text("/status")),
        (202, "accepted"),
        "{unfinished:?}"
    );
    assert!(began.elapsed() >= Duration::from_millis(950));
    assert_eq!(unfinished.runs().len(), 1);
    app.settle().await;
    for wait in ["wait=0", "wait=", "wait=x", "nothing"] {
        let reply = app
            .send(&waiting(&third.at(2, "service.suspended"), wait))
            .await;
        assert_eq!(reply.status, 202, "{wait}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_that_prefers_to_wait_is_told_the_first_ones_outcome() {
    let app = spawn_app(Setup::default()).await;
    let message = Message::of(&Story::new().paid()).header("prefer", "wait=20");
    let first = app.send(&message).await;
    assert_eq!(first.text("/status"), "succeeded");
    let again = app.send(&message).await;
    assert_eq!(
        (
            again.status,
            again.text("/status"),
            again.text("/runs/0/status")
        ),
        (200, "duplicate", "succeeded")
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_readiness_metrics_and_the_schema_answer_without_a_token() {
    let app = spawn_app(Setup::default()).await;
    app.succeed(&Story::new().paid()).await;
    let get = async |path: &str| {
        let response = app
            .http
            .get(format!("{}{path}", app.base))
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(get("/healthz").await.0, 200);
    assert_eq!(get("/readyz").await.0, 200);
    let (status, metrics) = get("/metrics").await;
    assert_eq!(status, 200);
    assert!(
        metrics.contains("billhook_runs{status=\"succeeded\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("billhook_deliveries_total{verdict=\"accepted\",cause=\"\"} 1"),
        "{metrics}"
    );
    let (status, schema) = get("/schemas/event.json").await;
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(status, 200);
    assert!(jsonschema::is_valid(&schema, &Story::new().paid()));
    assert!(!jsonschema::is_valid(
        &schema,
        &json!({"type": "order.paid"})
    ));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_api_wants_its_token_and_names_wrong_parameters() {
    let app = spawn_app(Setup::default()).await;
    let run = app.succeed(&Story::new().paid()).await;
    let paths = [
        "/deliveries",
        "/runs",
        "/services",
        "/customers",
        "/stats",
        "/upstreams",
        "/services/whmcs/501",
        "/nothing",
    ];
    for path in paths {
        for token in [None, Some("wrong-token-wrong-token"), Some("")] {
            let mut request = app.http.get(format!("{}/api/v1{path}", app.base));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let reply = Reply::read(request.send().await.unwrap()).await;
            assert!([401, 404].contains(&reply.status), "{path}: {reply:?}");
            assert_eq!(reply.status == 404, path == "/nothing", "{reply:?}");
        }
    }
    let upstreams = app.api.get("/upstreams").await;
    let hivelocity = &upstreams["items"][0];
    assert_eq!(hivelocity["upstream"], "hivelocity", "{upstreams}");
    assert_eq!(hivelocity["reachable"], true);
    assert!(hivelocity["requests_used"].as_u64().unwrap() > 0);
    assert!(hivelocity["window_ends_at"].is_string() && hivelocity["oldest_waiting"].is_null());
    assert!(upstreams["items"][1]["requests_left"].is_null());
    for (path, status) in [
        ("/runs?stauts=paused", 400),
        ("/runs?status=pausd", 400),
        ("/runs?limit=0", 400),
        ("/upstreams?limit=1", 400),
        ("/stats?source=whmcs", 400),
        ("/services/whmcs/501?limit=1", 400),
        ("/services?status=paused", 400),
        ("/services?type=order.paid", 400),
        ("/services?cursor=c1", 400),
        ("/customers?status=active", 400),
        ("/customers?since=1h", 400),
        ("/deliveries?since=never", 400),
        ("/deliveries?cursor=xyz", 400),
        ("/runs/run_0000000000000", 404),
        ("/runs/nonsense", 404),
        ("/deliveries/dlv_0000000000000", 404),
        ("/services/whmcs/999", 404),
        ("/customers/whmcs/999", 404),
    ] {
        let reply = app.api.try_get(path).await.unwrap();
        reply.is_problem(status);
    }
    let unknown = app.api.try_get("/customers?status=active").await.unwrap();
    let said = "unknown query parameter \"status\"; known are source, cursor, limit";
    assert_eq!(unknown.text("/detail"), said);
    for key in [
        "id",
        "delivery_id",
        "source",
        "customer_id",
        "service_id",
        "type",
        "status",
        "created_at",
        "updated_at",
        "next_attempt_at",
        "waiting_for",
        "error",
        "replay_of",
        "steps",
    ] {
        assert!(run.get(key).is_some(), "a run has {key}: {}", shown(&run));
    }
    for key in [
        "seq", "kind", "upstream", "status", "attempts", "output", "error",
    ] {
        assert!(run["steps"][0].get(key).is_some(), "a step has {key}");
    }
    for key in ["started_at", "duration_ms", "request", "response", "error"] {
        assert!(
            run["steps"][0]["attempts"][0].get(key).is_some(),
            "an attempt has {key}"
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_paged() {
    let app = spawn_app(Setup::default()).await;
    for number in 0..7 {
        app.accept(&Story::of(&format!("80{number}"), "77", "44").paid())
            .await;
    }
    app.settle().await;
    let first = app.api.get("/runs?limit=3").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = app.api.get(&format!("/runs?limit=3&cursor={cursor}")).await;
    let ids = |page: &Value| {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["id"].to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!((ids(&first).len(), ids(&second).len()), (3, 3));
    assert!(
        ids(&first).last() > ids(&second).first(),
        "newest first, without overlap"
    );
    assert_eq!(app.api.all("/runs?service=803").await.len(), 1);
    assert_eq!(
        app.api
            .all("/runs?status=succeeded&customer=77&type=order.paid&source=whmcs")
            .await
            .len(),
        7
    );
    assert_eq!(app.api.all("/runs?since=1h&status=paused").await.len(), 0);
    assert_eq!(
        app.api.all("/deliveries?q=srv803.example.com").await.len(),
        1
    );
    assert_eq!(
        app.api
            .all("/deliveries?service=803&verdict=accepted")
            .await
            .len(),
        1
    );
    assert_eq!(app.api.all("/deliveries?until=1h").await.len(), 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_say_how_many_there_are_and_go_on_to_the_end() {
    let app = spawn_app(Setup::default()).await;
    for number in 0..5 {
        let story = Story::of(&format!("80{number}"), &format!("7{number}"), "44");
        app.accept(&story.paid()).await;
        app.settle().await;
        if number < 2 {
            app.accept(&story.at(2, "service.suspended")).await;
        }
    }
    app.settle().await;
    let total = async |path: &str| app.api.get(path).await["total"].clone();
    assert_eq!(total("/runs?limit=2").await, 7);
    assert_eq!(total("/runs?limit=2&status=succeeded").await, 7);
    assert_eq!(total("/runs?status=paused").await, 0);
    assert_eq!(
        total("/runs?type=service.suspended").await,
        2,
        "all are on the page"
    );
    assert_eq!(total("/runs?limit=2&type=order.paid").await, Value::Null);
    assert_eq!(total("/deliveries?limit=1&verdict=accepted").await, 7);
    assert_eq!(total("/services").await, 5);
    assert_eq!(total("/services?limit=2").await, Value::Null);

    for (list, key) in [("/services", "service_id"), ("/customers", "customer_id")] {
        let mut path = format!("{list}?limit=2&source=whmcs");
        let mut seen = Vec::new();
        loop {
            let page = app.api.get(&path).await;
            let ids = page["items"].as_array().unwrap().iter();
            seen.extend(ids.map(|row| row[key].as_str().unwrap().to_owned()));
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            path = format!("{list}?limit=2&source=whmcs&cursor={cursor}");
        }
        let all: Vec<String> = (0..5)
            .map(|n| format!("{}{n}", if list == "/services" { "80" } else { "7" }))
            .collect();
        assert_eq!(seen, all, "{list}");
    }
    let status = async |status: &str| {
        let found = app.api.all(&format!("/services?status={status}")).await;
        assert!(found.iter().all(|row| row["status"] == status), "{found:?}");
        found.len()
    };
    assert_eq!((status("suspended").await, status("active").await), (2, 3));
    assert_eq!(status("building").await, 0);
    app.finish().await;
}
