//! Suppliers under stress: gone for a while, asking for patience, out of stock, or refusing one
//! request for ever. No run is spent on what is the supplier's trouble, none is lost, and nothing
//! is bought twice.

use std::time::{Duration, Instant};

use billhook::sandbox::Fault;
use serde_json::Value;

use crate::support::reader::{shown, step};
use crate::support::sender::Message;
use crate::support::world::twice;
use crate::support::{App, Setup, Story, spawn_app};

/// Few attempts: whoever counted an outage would soon have spent them.
fn impatient() -> Setup {
    Setup::default().with("retry.max_attempts", "5")
}

fn stories(count: usize) -> Vec<Story> {
    let story = |n| Story::of(&format!("7{n:03}"), &format!("9{:02}", n % 8), "42");
    (0..count).map(story).collect()
}

async fn metrics(app: &App) -> String {
    let request = app.http.get(format!("{}/metrics", app.base));
    request.send().await.unwrap().text().await.unwrap()
}

fn open(upstream: &str, open: u8) -> String {
    away(upstream, "silent", open)
}

fn away(upstream: &str, reason: &str, open: u8) -> String {
    format!("billhook_supplier_open{{upstream=\"{upstream}\",reason=\"{reason}\"}} {open}")
}

async fn until_metric(app: &App, line: &str) {
    let began = Instant::now();
    while !metrics(app).await.contains(line) {
        let text = metrics(app).await;
        assert!(began.elapsed() < Duration::from_secs(20), "{line}: {text}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until so many runs say at once what they wait for.
async fn until_told(app: &App, least: usize, words: &str) {
    let began = Instant::now();
    loop {
        let waiting = app.api.all("/runs?status=waiting").await;
        let says = |run: &&Value| {
            run["waiting_for"]
                .as_str()
                .is_some_and(|told| told.starts_with(words))
        };
        if waiting.iter().filter(says).count() >= least {
            return;
        }
        let told: Vec<String> = waiting.iter().map(shown).collect();
        let late = began.elapsed() > Duration::from_secs(20);
        assert!(!late, "{}", told.join("\n"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// That each order was carried out, once.
async fn all_built_once(app: &App, count: usize) {
    app.settle().await;
    let runs = app.api.all("/runs").await;
    let unfinished: Vec<String> = runs
        .iter()
        .filter(|run| run["status"] != "succeeded")
        .map(shown)
        .collect();
    assert!(unfinished.is_empty(), "{}", unfinished.join("\n"));
    assert_eq!(runs.len(), count);
    let snapshot = app.suppliers.snapshot();
    let built = (snapshot.devices.len(), snapshot.licences.len());
    assert_eq!(built, (count, count));
    assert_eq!(twice(&snapshot), Vec::<String>::new());
}

async fn attempts(app: &App) -> usize {
    let mut count = 0;
    for run in app.api.all("/runs").await {
        let run = app.api.run(run["id"].as_str().unwrap()).await;
        let steps = run["steps"].as_array().unwrap().clone();
        let tries = |step: &Value| step["attempts"].as_array().map_or(0, Vec::len);
        count += steps.iter().map(tries).sum::<usize>();
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supplier_that_is_down_for_a_while_spends_no_run_and_all_finish_once_it_is_back() {
    let setup = impatient()
        .with("retry.initial", "60ms")
        .with("retry.max", "1s");
    let app = spawn_app(setup).await;
    app.suppliers
        .fail_next("*", Fault::DroppedBefore, usize::MAX);
    let orders = stories(40);
    for story in &orders {
        app.accept(&story.paid()).await;
    }
    until_metric(&app, &open("hivelocity", 1)).await;
    let before = attempts(&app).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;

    until_told(&app, 30, "Hivelocity does not answer; tried again at ").await;
    let paused = app.api.all("/runs?status=paused").await;
    assert!(paused.is_empty(), "{}", shown(&paused[0]));
    // Every second time a run finds out whether it is back; all others leave no trace.
    let meanwhile = attempts(&app).await.saturating_sub(before);
    assert!(meanwhile < 10, "{meanwhile} attempts were made in vain");
    let ready = app.http.get(format!("{}/readyz", app.base));
    assert_eq!(ready.send().await.unwrap().status().as_u16(), 200);

    app.suppliers.clear_faults();
    all_built_once(&app, 40).await;
    let text = metrics(&app).await;
    assert!(text.contains(&open("hivelocity", 0)), "{text}");
    assert!(
        !text.contains("runs_paused_total{reason=\"retries_spent\"} 1"),
        "{text}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_with_lost_answers_and_a_restart_in_it_buys_nothing_twice() {
    let setup = Setup::default()
        .with("retry.max_attempts", "25")
        .failing(0.9);
    let mut app = spawn_app(setup.clone()).await;
    for story in stories(12) {
        app.accept(&story.paid()).await;
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    app.restart(&setup).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    app.suppliers.clear_faults();
    all_built_once(&app, 12).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_supplier_is_away_a_sender_that_waits_is_told_that_it_is_under_way() {
    let app = spawn_app(impatient()).await;
    app.suppliers
        .fail_next("*", Fault::DroppedBefore, usize::MAX);
    for story in stories(4) {
        app.accept(&story.paid()).await;
    }
    until_metric(&app, &open("hivelocity", 1)).await;
    let message = Message::of(&Story::new().paid()).header("prefer", "wait=1");
    let reply = app.send(&message).await;
    assert_eq!((reply.status, reply.text("/status")), (202, "accepted"));
    app.suppliers.clear_faults();
    all_built_once(&app, 5).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_supplier_that_is_away_does_not_keep_the_other_from_its_work() {
    let app = spawn_app(impatient()).await;
    app.suppliers
        .fail_next("one_h *", Fault::DroppedBefore, usize::MAX);
    for story in stories(6) {
        app.accept(&story.paid()).await;
    }
    until_metric(&app, &open("one_h", 1)).await;
    let began = Instant::now();
    while app.suppliers.snapshot().devices.len() < 6 {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(metrics(&app).await.contains(&open("hivelocity", 0)));
    app.suppliers.clear_faults();
    all_built_once(&app, 6).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_429_holds_all_runs_back_and_spends_none() {
    let app = spawn_app(impatient()).await;
    let storm = Fault::RateLimited429 {
        retry_after_secs: 1,
    };
    app.suppliers.fail_next("*", storm, 8);
    let began = Instant::now();
    for story in stories(20) {
        app.accept(&story.paid()).await;
    }
    until_metric(&app, &away("hivelocity", "limited", 1)).await;
    all_built_once(&app, 20).await;
    assert!(began.elapsed() >= Duration::from_millis(950));
    let requests = app.suppliers.snapshot().faults_met;
    assert_eq!(requests, 8);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_meets_one_request_holds_up_only_that_one() {
    let app = spawn_app(impatient()).await;
    let limit = Fault::RateLimited429 {
        retry_after_secs: 600,
    };
    app.suppliers
        .fail_next("POST /bare-metal-devices/batch", limit, 1);
    for story in stories(12) {
        app.accept(&story.paid()).await;
    }
    until_told(&app, 1, "Hivelocity asked for patience").await;
    let began = Instant::now();
    while app.api.all("/runs?status=succeeded").await.len() < 11 {
        assert!(began.elapsed() < Duration::from_secs(60), "held up too");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(metrics(&app).await.contains(&open("hivelocity", 0)));
    let held_up = app.api.all("/runs?status=waiting").await;
    assert_eq!(held_up.len(), 1);
    assert_eq!(twice(&app.suppliers.snapshot()), Vec::<String>::new());
    let cancel = format!("/runs/{}/cancel", held_up[0]["id"].as_str().unwrap());
    app.api.post(&cancel, &serde_json::json!({})).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_meet_single_requests_spend_no_run() {
    let app = spawn_app(impatient()).await;
    let limit = Fault::RateLimited429 {
        retry_after_secs: 1,
    };
    for path in [
        "POST /account/controlled-client",
        "POST /bare-metal-devices/batch",
        "one_h add_license",
    ] {
        app.suppliers.fail_next(path, limit.clone(), 7);
    }
    for story in stories(12) {
        app.accept(&story.paid()).await;
    }
    all_built_once(&app, 12).await;
    assert_eq!(app.suppliers.snapshot().faults_met, 21);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_out_of_stock_or_refused_pauses_with_the_suppliers_own_words() {
    let app = spawn_app(Setup::slow(Duration::from_millis(80))).await;
    for (service, location, words) in [
        (
            "501",
            "NOSTOCK",
            "hivelocity.deploy_device was refused: Hivelocity answered 400: \
             This product is out of stock at this location.",
        ),
        ("502", "CANCELLED", ": The order did not pass verification."),
    ] {
        let mut event = Story::of(service, "77", "42").paid();
        event["services"][0]["options"]["Location"] = location.into();
        let run = app.carry_out(&event).await.remove(0);
        assert_eq!(run["status"], "paused", "{}", shown(&run));
        let error = run["error"].as_str().unwrap();
        assert!(error.contains(words), "{error}");
    }
    let text = metrics(&app).await;
    let line = "billhook_runs_paused_total{reason=\"refused\"} 2";
    assert!(text.contains(line), "{text}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_spent_its_attempts_is_paused_with_the_last_error_and_stays() {
    let app = spawn_app(Setup::default().with("retry.max_attempts", "3")).await;
    app.suppliers
        .fail_next("POST /account/controlled-client", Fault::HtmlPage502, 1);
    app.suppliers
        .fail_next("one_h add_license", Fault::OneHError(36), usize::MAX);
    let run = app.carry_out(&Story::new().paid()).await.remove(0);
    assert_eq!(run["status"], "paused", "{}", shown(&run));
    let error = run["error"].as_str().unwrap();
    let begins = "gave up after 3 attempts: 1H refused add_license: error 36: Some internal error";
    assert!(error.starts_with(begins), "{error}");
    let text = metrics(&app).await;
    // It may have been activated, so that is what a person has to know.
    let line = "billhook_runs_paused_total{reason=\"unknown_outcome\"} 1";
    assert!(text.contains(line), "{text}");

    app.suppliers.clear_faults();
    let id = run["id"].as_str().unwrap();
    app.api
        .post(&format!("/runs/{id}/retry"), &serde_json::json!({}))
        .await;
    all_built_once(&app, 1).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_alone_fails_for_ever_is_paused_although_the_breaker_opened_for_it() {
    let app = spawn_app(impatient()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    // No look comes before this one: it looks like an outage until the supplier is asked.
    app.suppliers
        .fail_next("one_h suspend_user", Fault::Refuse500, usize::MAX);
    let run = app
        .carry_out(&story.at(2, "service.suspended"))
        .await
        .remove(0);
    assert_eq!(run["status"], "paused", "{}", shown(&run));
    let tries = step(&run, "one_h.suspend_user")["attempts"].as_array();
    assert!(tries.map_or(0, Vec::len) >= 5, "{}", shown(&run));
    let error = run["error"].as_str().unwrap();
    assert!(
        error.starts_with("gave up after 5 attempts: 1H answered 500"),
        "{error}"
    );
    let text = metrics(&app).await;
    let line = "billhook_runs_paused_total{reason=\"retries_spent\"} 1";
    assert!(
        text.contains(line) && text.contains(&open("one_h", 0)),
        "{text}"
    );
    app.suppliers.clear_faults();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_needs_no_supplier() {
    let app = spawn_app(impatient().with("policy.dry_run", "true")).await;
    app.suppliers
        .fail_next("*", Fault::DroppedBefore, usize::MAX);
    app.succeed(&Story::new().paid()).await;
    assert_eq!(app.suppliers.snapshot().requests, 0);
    app.finish().await;
}
