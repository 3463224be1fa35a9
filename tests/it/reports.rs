//! What the billing platform is told, and that nothing waits for it.

use std::time::{Duration, Instant};

use billhook::domain::{Secret, Timestamp};
use billhook::sandbox::Fault;
use billhook::verify::{self, Headers, Keys};
use serde_json::{Value, json};

use crate::support::binary::{billhook, printed, run as command};
use crate::support::database::change;
use crate::support::platform::{Mood, Platform};
use crate::support::reader::{kinds, shown, step};
use crate::support::sender::Message;
use crate::support::world::device;
use crate::support::{App, Setup, Story, spawn_app};

const SIGNING: &str = "whsec_cmVwb3J0cy1hcmUtc2lnbmVkLXdpdGgtdGhpcy1rZXk=";
/// What a step of a life may take; a report that was waited for would take far longer.
const SOON: Duration = Duration::from_secs(8);

/// With a report of this source to a WHMCS API.
pub(crate) fn reporting(setup: Setup, source: &str, platform: &Platform) -> Setup {
    let key = |name: &str| format!("sources.{source}.report.{name}");
    setup
        .with(&key("kind"), "whmcs_api")
        .with(&key("url"), &platform.url)
        .with(&key("identifier"), "identifier-of-whmcs")
        .with(&key("secret"), "secret-of-whmcs")
}

/// With a report of the source `whmcs` to a webhook.
pub(crate) fn posting(setup: Setup, platform: &Platform) -> Setup {
    setup
        .with("sources.whmcs.report.kind", "webhook")
        .with("sources.whmcs.report.url", &platform.url)
        .with("sources.whmcs.report.secret", SIGNING)
}

/// The report of a service of the source `whmcs`.
async fn report(app: &App, service: &str) -> Value {
    let path = format!("/reports?source=whmcs&service={service}");
    let reports = app.api.all(&path).await;
    assert_eq!(reports.len(), 1, "{reports:?}");
    reports[0].clone()
}

async fn until_heard(app: &App, service: &str) -> Value {
    let began = Instant::now();
    loop {
        let report = report(app, service).await;
        if report["status"] == "heard" {
            return report;
        }
        let late = began.elapsed() > Duration::from_secs(45);
        assert!(!late, "it is not heard: {report:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_tried(app: &App, service: &str) -> Value {
    let began = Instant::now();
    loop {
        let report = report(app, service).await;
        if !report["error"].is_null() {
            return report;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{report:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An order, a suspension and its end are as fast as without a report, whatever the platform does,
/// and it hears of them once it answers.
async fn nothing_waits_for(mood: Mood) {
    let platform = Platform::start(mood).await;
    let app = spawn_app(reporting(Setup::default(), "whmcs", &platform)).await;
    let story = Story::new();
    let events = [
        story.paid(),
        story.at(2, "service.suspended"),
        story.at(3, "service.unsuspended"),
    ];
    for (event, status) in events.iter().zip(["active", "suspended", "active"]) {
        let began = Instant::now();
        let reply = app
            .send(&Message::of(event).header("prefer", "wait=20"))
            .await;
        assert_eq!(reply.text("/status"), "succeeded", "{mood:?}: {reply:?}");
        assert!(began.elapsed() < SOON, "{mood:?}: {:?}", began.elapsed());
        assert_eq!(app.api.service("501").await["status"], status, "{mood:?}");
    }
    assert_eq!(report(&app, "501").await["status"], "waiting", "{mood:?}");
    platform.turn(Mood::Takes);
    let heard = until_heard(&app, "501").await;
    let ip = app.api.service("501").await["ip"].clone();
    assert_eq!(heard["document"]["ip"], ip);
    let told = platform.until_taken(|_| true).await;
    assert_eq!(told.field("action"), "UpdateClientProduct");
    assert_eq!(
        (told.field("serviceid"), json!(told.field("dedicatedip"))),
        ("501".into(), ip)
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_a_platform_that_refuses() {
    nothing_waits_for(Mood::Refuses).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_a_platform_that_shows_a_page() {
    nothing_waits_for(Mood::ShowsPage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_a_platform_that_is_away() {
    nothing_waits_for(Mood::Away).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_a_platform_that_hangs() {
    nothing_waits_for(Mood::Hangs).await;
}

/// An API that does not know our address kept a service "building" and its suspension waiting.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_refuses_our_address_leaves_services_as_they_are_and_says_what_to_do() {
    let platform = Platform::start(Mood::Refuses).await;
    let people = Platform::start(Mood::Takes).await;
    let setup = reporting(Setup::default(), "whmcs", &platform)
        .with("alerts.url", &people.url)
        .with("alerts.secret", SIGNING);
    let app = spawn_app(setup).await;
    let story = Story::new();
    let paid = app.succeed(&story.paid()).await;
    assert!(
        !kinds(&paid).contains(&"billing.report"),
        "{}",
        shown(&paid)
    );
    assert_eq!(app.api.service("501").await["status"], "active");
    app.succeed(&story.at(3, "service.suspended")).await;
    assert_eq!(app.api.service("501").await["status"], "suspended");
    let snapshot = app.suppliers.snapshot();
    assert_eq!(device(&snapshot, &story.tag()).power_status, "OFF");
    let waiting = until_tried(&app, "501").await;
    let remedy = "add 198.51.100.7 in WHMCS under General Settings → Security → API IP Access";
    assert!(
        waiting["error"].as_str().unwrap().contains(remedy),
        "{waiting:#}"
    );
    assert_eq!(app.api.get("/stats").await["reports_unheard"]["whmcs"], 1);
    let alert = people
        .until_taken(|alert| alert.json()["type"] == "report.unheard")
        .await;
    assert_eq!(alert.json()["source"], "whmcs");
    assert!(alert.json()["error"].as_str().unwrap().contains(remedy));
    platform.turn(Mood::Takes);
    until_heard(&app, "501").await;
    people
        .until_taken(|alert| alert.json()["type"] == "report.heard")
        .await;
    let unheard = people.taken().into_iter();
    let unheard = unheard.filter(|alert| alert.json()["type"] == "report.unheard");
    assert_eq!(unheard.count(), 1, "one alert an outage");
    assert_eq!(app.api.get("/stats").await["reports_unheard"]["whmcs"], 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_one_service_holds_back_no_other() {
    let platform = Platform::start(Mood::KnowsNoService).await;
    let app = spawn_app(reporting(Setup::default(), "whmcs", &platform)).await;
    app.succeed(&Story::of("501", "77", "44").paid()).await;
    let waiting = until_tried(&app, "501").await;
    assert_eq!(waiting["error"], "WHMCS refused: Service ID Not Found");
    platform.turn(Mood::Takes);
    app.succeed(&Story::of("502", "77", "44").paid()).await;
    until_heard(&app, "502").await;
    until_heard(&app, "501").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_hangs_delays_no_other_ones_reports() {
    let (hangs, takes) = (
        Platform::start(Mood::Hangs).await,
        Platform::start(Mood::Takes).await,
    );
    let setup = reporting(Setup::default(), "whmcs", &hangs);
    let app = spawn_app(reporting(setup, "other", &takes)).await;
    for service in ["501", "502", "503", "504", "505", "506"] {
        app.accept(&Story::of(service, "77", "44").paid()).await;
    }
    app.settle().await;
    let mut other = Message::of(&Story::of("601", "78", "44").paid());
    "other".clone_into(&mut other.source);
    assert_eq!(app.send(&other).await.status, 202);
    let began = Instant::now();
    takes
        .until_taken(|told| told.field("serviceid") == "601")
        .await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(hangs.taken().len(), 0);
    hangs.turn(Mood::Takes);
    for service in ["501", "506"] {
        until_heard(&app, service).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_tells_the_ip_before_the_rest_and_a_pause_with_its_reason() {
    let platform = Platform::start(Mood::Takes).await;
    let setup =
        posting(Setup::default(), &platform).with("policy.require_approval", "one_h.add_license");
    let app = spawn_app(setup).await;
    let runs = app.carry_out(&Story::new().paid()).await;
    assert_eq!(runs[0]["status"], "paused", "{}", shown(&runs[0]));
    let id = runs[0]["id"].as_str().unwrap();
    let paused = platform
        .until_taken(|told| told.json()["type"] == "run.paused")
        .await;
    verified(&paused);
    let body = paused.json();
    let service = app.api.service("501").await;
    assert_eq!(body["error"], runs[0]["error"]);
    assert_eq!(body["next"], format!("billhook runs approve {id}"));
    assert_eq!(
        (&body["status"], &body["ip"]),
        (&json!("building"), &service["ip"])
    );
    assert_eq!(body["hostname"], "srv501.example.com");
    assert_eq!(
        (&body["source"], &body["service_id"], &body["customer_id"]),
        (&json!("whmcs"), &json!("501"), &json!("77"))
    );

    let stall = Fault::StalledBefore(Duration::from_millis(700));
    app.suppliers.fail_next("one_h add_license", stall, 1);
    let approved = app
        .api
        .post(&format!("/runs/{id}/approve"), &json!({}))
        .await;
    assert_eq!(approved.status, 200);
    let active = platform
        .until_taken(|told| told.json()["status"] == "active")
        .await;
    verified(&active);
    let body = active.json();
    assert_eq!(
        (&body["type"], &body["error"]),
        (&json!("service.updated"), &Value::Null)
    );
    let told = platform.taken();
    let seqs: Vec<i64> = told
        .iter()
        .map(|one| one.json()["seq"].as_i64().unwrap())
        .collect();
    assert!(seqs.is_sorted(), "{seqs:?}");
    let types: Vec<Value> = told.iter().map(|one| one.json()["type"].clone()).collect();
    assert!(types.contains(&json!("run.resumed")), "{types:?}");
    let report = until_heard(&app, "501").await;
    assert_eq!(report["document"], body);

    // The same state sent again is the same message.
    let retry = format!("/reports/{}/retry", report["id"].as_str().unwrap());
    assert_eq!(app.api.post(&retry, &json!({})).await.status, 200);
    let again = until_heard(&app, "501").await;
    assert_eq!(again["seq"], report["seq"]);
    let sent = platform.taken();
    let last = sent
        .iter()
        .rev()
        .take(2)
        .map(|one| (one.header("webhook-id"), &one.body));
    let last: Vec<_> = last.collect();
    assert_eq!(last[0], last[1]);
    app.finish().await;
}

fn verified(heard: &crate::support::platform::Heard) {
    let keys = Keys::parse(&[Secret::new(SIGNING)]).unwrap();
    let sent = Timestamp::from_seconds(heard.header("webhook-timestamp").parse().unwrap());
    let headers = Headers {
        id: Some(heard.header("webhook-id").as_bytes()),
        timestamp: Some(heard.header("webhook-timestamp").as_bytes()),
        signature: Some(heard.header("webhook-signature").as_bytes()),
    };
    let minute = Duration::from_secs(60);
    verify::verify(&keys, &headers, heard.body.as_bytes(), sent, minute).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ip_is_told_while_the_build_goes_on() {
    let platform = Platform::start(Mood::Takes).await;
    let app = spawn_app(posting(Setup::default(), &platform)).await;
    let stall = Fault::StalledBefore(Duration::from_millis(900));
    app.suppliers.fail_next("one_h add_license", stall, 1);
    app.accept(&Story::new().paid()).await;
    let told = platform
        .until_taken(|told| told.json()["ip"].is_string())
        .await;
    assert_eq!(told.json()["status"], "building");
    app.settle().await;
    until_heard(&app, "501").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_listed_shown_and_counted() {
    let platform = Platform::start(Mood::Takes).await;
    let setup = reporting(Setup::default(), "whmcs", &platform);
    let app = spawn_app(setup.clone()).await;
    app.succeed(&Story::of("501", "77", "44").paid()).await;
    let report = until_heard(&app, "501").await;
    let id = report["id"].as_str().unwrap();
    assert!(id.starts_with("rep_"));
    for key in [
        "id",
        "source",
        "service_id",
        "customer_id",
        "type",
        "status",
        "seq",
        "attempts",
        "error",
        "next_attempt_at",
        "created_at",
        "heard_at",
        "document",
    ] {
        assert!(report.get(key).is_some(), "a report has {key}: {report:#}");
    }
    assert_eq!(app.api.get(&format!("/reports/{id}")).await["id"], id);
    assert!(app.api.all("/reports?status=waiting").await.is_empty());
    assert_eq!(
        app.api
            .all("/reports?status=heard&source=whmcs")
            .await
            .len(),
        1
    );
    for (path, status) in [
        ("/reports?stauts=heard", 400),
        ("/reports?status=herd", 400),
        ("/reports?limit=0", 400),
        ("/reports/rep_0000000000000", 404),
        ("/reports/nonsense", 404),
    ] {
        app.api.try_get(path).await.unwrap().is_problem(status);
    }
    let nobody = app
        .api
        .post("/reports/rep_0000000000000/retry", &json!({}))
        .await;
    nobody.is_problem(404);
    let metrics = app
        .http
        .get(format!("{}/metrics", app.base))
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    for line in [
        "billhook_reports_unheard{source=\"whmcs\"} 0",
        "billhook_reports_sent_total{source=\"whmcs\",outcome=\"heard\"} ",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    let list = [
        "reports", "list", "--status", "heard", "--server", &app.base,
    ];
    let output = command(billhook(app.folder(), &setup, &app.suppliers), &list);
    let printed = printed(&output);
    assert!(
        printed.starts_with("ID ") && printed.contains(id),
        "{printed}"
    );
    let retry = ["reports", "retry", id, "--json", "--server", &app.base];
    let output = command(billhook(app.folder(), &setup, &app.suppliers), &retry);
    assert_eq!(output.status.code(), Some(0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_nobody() {
    let platform = Platform::start(Mood::Takes).await;
    let setup = reporting(Setup::default(), "whmcs", &platform).with("policy.dry_run", "true");
    let app = spawn_app(setup).await;
    app.succeed(&Story::new().paid()).await;
    assert!(app.api.all("/reports").await.is_empty());
    assert!(platform.heard().is_empty());
    app.finish().await;
}

/// In an older version reporting was the last step: a run that stood still there goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_an_older_version_left_at_its_report_ends_by_itself() {
    let mut app = spawn_app(Setup::default()).await;
    let run = app.succeed(&Story::new().paid()).await;
    app.stop().await;
    let folder = app.folder().to_owned();
    for statement in [
        "INSERT INTO steps (run_id, seq, status, doc) SELECT id, 99, 'paused', \
         '{\"seq\":99,\"action\":{\"kind\":\"billing.report\",\"status\":\"active\"},\
         \"status\":\"paused\",\"attempts\":1,\"failures\":1,\"approved\":false,\"output\":null,\"error\":\"WHMCS refused: Invalid IP\"}' FROM runs",
        "UPDATE runs SET status = 'paused', blocks = 1, pause_reason = 'refused', \
         error = 'WHMCS refused: Invalid IP'",
        "UPDATE services SET doc = replace(doc, '\"status\":\"active\"', '\"status\":\"building\"')",
    ] {
        assert_eq!(change(&folder, statement).await, 1, "{statement}");
    }
    let platform = Platform::start(Mood::Takes).await;
    app.restart(&reporting(Setup::default(), "whmcs", &platform))
        .await;
    let run = app.until(run["id"].as_str().unwrap(), &["succeeded"]).await;
    assert_eq!(
        step(&run, "billing.report")["status"],
        "skipped",
        "{}",
        shown(&run)
    );
    assert_eq!(app.api.service("501").await["status"], "active");
    until_heard(&app, "501").await;
    app.leave().await;
}
