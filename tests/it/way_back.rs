//! A connection test that waits is told whether its source's platform takes reports.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::reports::{posting, reporting};
use crate::support::platform::{Mood, Platform};
use crate::support::sender::{Message, Reply};
use crate::support::{App, Setup, Story, spawn_app};

fn ping() -> Message {
    Message::of(&json!({"type": "test.ping"}))
}

/// What a ping that waits so many seconds is told of the way back.
async fn report(app: &App, wait: u64) -> Value {
    let message = ping().header("prefer", &format!("wait={wait}"));
    let reply = app.send(&message).await;
    let status = (reply.status, reply.text("/status"));
    assert_eq!(status, (200, "ignored"), "{reply:?}");
    reply.body["report"].clone()
}

async fn app_of(platform: &Platform) -> App {
    spawn_app(reporting(Setup::default(), "whmcs", platform)).await
}

/// The sentence about a platform in this mood; it names no secret.
async fn complaint(mood: Mood) -> String {
    let platform = Platform::start(mood).await;
    let app = app_of(&platform).await;
    let report = report(&app, 5).await;
    app.finish().await;
    let tried = (&report["configured"], &report["ok"]);
    assert_eq!(tried, (&json!(true), &json!(false)), "{report}");
    let error = report["error"].as_str().unwrap().to_owned();
    assert!(!error.contains("of-whmcs"), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_that_waits_finds_an_api_that_takes_reports_and_stores_none() {
    let platform = Platform::start(Mood::Takes).await;
    let app = app_of(&platform).await;
    let works = json!({"configured": true, "ok": true, "error": null});
    assert_eq!(report(&app, 5).await, works);
    let heard = platform.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0].field("action"), "GetStats");
    assert!(app.api.all("/reports").await.is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_that_waits_sends_a_receiver_of_webhooks_a_signed_ping() {
    let platform = Platform::start(Mood::Takes).await;
    let app = spawn_app(posting(Setup::default(), &platform)).await;
    assert_eq!(report(&app, 5).await["ok"], true);
    let heard = platform.heard();
    assert_eq!(heard[0].json()["type"], "test.ping");
    assert!(heard[0].header("webhook-signature").starts_with("v1,"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_reports_out_is_said_with_what_to_do() {
    let refused = complaint(Mood::Refuses).await;
    let remedy = "add 198.51.100.7 in WHMCS under General Settings → Security → API IP Access";
    assert!(refused.contains(remedy), "{refused}");
    for mood in [Mood::ShowsPage, Mood::Away] {
        let error = complaint(mood).await;
        let look = "look whether sources.whmcs.report.url is right";
        assert!(error.contains(look), "{mood:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_without_a_report_says_so_whatever_another_one_has() {
    let platform = Platform::start(Mood::Refuses).await;
    let app = spawn_app(reporting(Setup::default(), "other", &platform)).await;
    let none = json!({"configured": false, "ok": null, "error": null});
    assert_eq!(report(&app, 5).await, none);
    assert!(platform.heard().is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_verified_ping_that_waits_tries_the_way_back() {
    let platform = Platform::start(Mood::Hangs).await;
    let app = app_of(&platform).await;
    let waits = |message: Message| message.header("prefer", "wait=20");
    let unknown = Message::of(&json!({"type": "test.pong"}));
    let mut forged = waits(ping());
    forged.secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned();
    let began = Instant::now();
    for message in [ping(), waits(unknown)] {
        let reply = app.send(&message).await;
        assert_eq!(reply.text("/status"), "ignored", "{reply:?}");
        assert!(reply.body.get("report").is_none(), "{reply:?}");
    }
    app.send(&forged).await.is_problem(401);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(platform.heard().is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_hangs_is_waited_for_as_long_as_was_asked_and_delays_nothing() {
    let platform = Platform::start(Mood::Hangs).await;
    let app = app_of(&platform).await;
    let began = Instant::now();
    let short = report(&app, 1).await;
    assert!(began.elapsed() < Duration::from_secs(5));
    let error = short["error"].as_str().unwrap();
    assert!(error.contains("no answer within 1s"), "{error}");

    let began = Instant::now();
    let order = async {
        let paid = Message::of(&Story::new().paid()).header("prefer", "wait=20");
        let reply = app.send(&paid).await;
        assert_eq!(reply.text("/status"), "succeeded", "{reply:?}");
        began.elapsed()
    };
    let (long, ordered) = tokio::join!(report(&app, 60), order);
    assert!(ordered < Duration::from_secs(8), "{ordered:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "at most ten");
    let error = long["error"].as_str().unwrap();
    assert!(error.contains("no answer within 10s"), "{error}");
    platform.turn(Mood::Takes);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_that_waits_is_answered_at_once_when_the_process_ends() {
    let platform = Platform::start(Mood::Hangs).await;
    let mut app = app_of(&platform).await;
    let request = ping()
        .header("prefer", "wait=10")
        .request(&app.http, &app.base);
    let asked = tokio::spawn(async move { Reply::read(request.send().await.unwrap()).await });
    while platform.heard().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let began = Instant::now();
    app.stop().await;
    let reply = asked.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{reply:?}");
    let stopped =
        json!({"configured": true, "ok": null, "error": "Billhook is stopping; try again"});
    assert_eq!(reply.body["report"], stopped);
}
