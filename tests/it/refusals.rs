//! A supplier that refuses the account: nobody's order is at fault, so runs wait, people hear of it
//! once, and everything goes on by itself once the account is taken again.

use std::time::{Duration, Instant};

use billhook::sandbox::Fault;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::alerts::{SECRET, hear};
use crate::support::reader::shown;
use crate::support::world::twice;
use crate::support::{App, Setup, Story, spawn_app};

fn orders() -> [Story; 2] {
    [Story::of("501", "77", "42"), Story::of("502", "78", "42")]
}

/// Waits until so many runs wait for this; answers them.
async fn until_waiting(app: &App, count: usize, words: &[&str]) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let waiting = app.api.all("/runs?status=waiting").await;
        let says = |run: &&Value| {
            let told = run["waiting_for"].as_str().unwrap_or_default();
            words.iter().all(|words| told.contains(words))
        };
        let found: Vec<Value> = waiting.iter().filter(says).cloned().collect();
        if found.len() >= count {
            return found;
        }
        let told: Vec<String> = app.api.all("/runs").await.iter().map(shown).collect();
        let late = began.elapsed() > Duration::from_secs(20);
        assert!(!late, "wanted {words:?}:\n{}", told.join("\n"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// That both orders were carried out, once, and that no run ever needed a person.
async fn both_built(app: &App) {
    app.settle().await;
    for run in app.api.all("/runs").await {
        assert_eq!(run["status"], "succeeded", "{}", shown(&run));
        let retried = run["steps"].as_array().unwrap().iter();
        let failed = retried.filter(|step| step["status"] == "paused");
        assert_eq!(failed.count(), 0, "{}", shown(&run));
    }
    let snapshot = app.suppliers.snapshot();
    assert_eq!((snapshot.devices.len(), snapshot.licences.len()), (2, 2));
    assert_eq!(twice(&snapshot), Vec::<String>::new());
    let metrics = app.http.get(format!("{}/metrics", app.base));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    let none = "billhook_runs_paused_total{reason=\"refused\"} 0";
    assert!(metrics.contains(none), "{metrics}");
}

/// How one supplier stands.
async fn upstream(app: &App, name: &str) -> Value {
    let list = app.api.get("/upstreams").await;
    let mut items = list["items"].as_array().unwrap().iter();
    items.find(|item| item["upstream"] == name).unwrap().clone()
}

/// Who waits is tried again now and then, and is no run that waits at that moment.
async fn until_oldest_waiting(app: &App) {
    for _ in 0..100 {
        if !upstream(app, "hivelocity").await["oldest_waiting"].is_null() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody is shown as waiting for Hivelocity");
}

/// Both orders meet this until it is over; what they wait for meanwhile holds these words.
async fn outage(matcher: &str, fault: Fault, words: &[&str]) {
    let setup = Setup::default()
        .with("retry.max_attempts", "3")
        .with("retry.max", "200ms");
    let app = spawn_app(setup).await;
    app.suppliers.fail_next(matcher, fault, usize::MAX);
    for story in orders() {
        app.accept(&story.paid()).await;
    }
    until_waiting(&app, 2, words).await;
    // Long enough for more attempts than a run has.
    tokio::time::sleep(Duration::from_millis(800)).await;
    until_waiting(&app, 2, words).await;
    app.suppliers.clear_faults();
    both_built(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_told_once_and_both_orders_go_on_by_themselves_once_it_is_repaired() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/alert", listener.local_addr().unwrap());
    let setup = Setup::default()
        .with("retry.max_attempts", "3")
        .with("retry.max", "200ms")
        .with("alerts.url", &address)
        .with("alerts.secret", SECRET);
    let mut app = spawn_app(setup.clone()).await;
    let everything = ["GET", "POST", "PUT", "DELETE"].map(|method| format!("{method} *"));
    for matcher in &everything {
        app.suppliers
            .fail_next(matcher, Fault::KeyRefused, usize::MAX);
    }
    let [first, second] = orders();
    app.accept(&first.paid()).await;
    app.accept(&second.paid()).await;
    let words = [
        "Hivelocity refuses the API key (401): put the right key into hivelocity.api_key and restart",
        "tried again at",
    ];
    until_waiting(&app, 2, &words).await;
    let (_, body) = tokio::time::timeout(Duration::from_secs(20), hear(&listener, "204 Yes"))
        .await
        .unwrap();
    let alert: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(alert["type"], "supplier.refused", "{alert}");
    assert_eq!(alert["upstream"], "hivelocity");
    assert_eq!(alert["reason"], "key_refused");
    assert!(alert["remedy"].as_str().unwrap().contains("api_key"));
    let shown = upstream(&app, "hivelocity").await;
    assert_eq!(shown["reachable"], false, "{shown}");
    assert_eq!(shown["reason"], "key_refused");
    assert_eq!(shown["remedy"], alert["remedy"]);
    until_oldest_waiting(&app).await;

    // A restart finds it still so, and tells nobody again.
    app.restart(&setup).await;
    until_waiting(&app, 2, &words[..1]).await;
    let again = tokio::time::timeout(Duration::from_secs(3), hear(&listener, "204 Yes")).await;
    assert!(again.is_err(), "it was told twice: {:?}", again.unwrap());

    app.suppliers.clear_faults();
    let (_, body) = tokio::time::timeout(Duration::from_secs(20), hear(&listener, "204 Yes"))
        .await
        .unwrap();
    let alert: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(alert["type"], "supplier.back", "{alert}");
    both_built(&app).await;
    let shown = upstream(&app, "hivelocity").await;
    assert_eq!(shown["reachable"], true, "{shown}");
    assert_eq!(shown["refused"], json!([]));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_look_and_not_order_waits_until_it_has_paid() {
    let words = ["Hivelocity wants the account's payment first (402): settle"];
    outage(
        "POST /bare-metal-devices/batch",
        Fault::PaymentRequired,
        &words,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_refused_is_no_orders_fault() {
    let words = ["Hivelocity refuses this server's IP address (403): allow"];
    outage("GET *", Fault::AddressRefused, &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_1h_says_of_the_account_is_no_licences_fault() {
    let all = [
        (
            6,
            "1H refuses the API key (error 6): put the right credentials",
        ),
        (
            7,
            "1H refuses the API key (error 7): put the right credentials",
        ),
        (
            8,
            "1H refuses the API key (error 8): put the right credentials",
        ),
        (9, "1H refuses the API key (error 9): enable the API anew"),
        (10, "1H refuses this server's IP address (error 10): add"),
        (12, "1H refuses the account (error 12): write"),
        (13, "1H refuses the account (error 13): write"),
    ];
    let each = all.map(|(number, words)| async move {
        outage("one_h *", Fault::OneHError(number), &[words]).await;
    });
    futures_util::future::join_all(each).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_waits_for_payment_leaves_suspensions_alone() {
    let setup = Setup::default().with("retry.max", "200ms");
    let app = spawn_app(setup).await;
    let [first, second] = orders();
    app.succeed(&first.paid()).await;
    app.suppliers.fail_next(
        "POST /bare-metal-devices/batch",
        Fault::PaymentRequired,
        usize::MAX,
    );
    app.accept(&second.paid()).await;
    until_waiting(&app, 1, &["payment first"]).await;
    let shown = upstream(&app, "hivelocity").await;
    assert_eq!(shown["reachable"], true, "{shown}");
    assert_eq!(shown["refused"][0]["step"], "hivelocity.deploy_device");
    let run = app.accept(&first.at(2, "service.suspended")).await;
    app.until(&run.runs()[0], &["succeeded"]).await;
    app.suppliers.clear_faults();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_may_not_order_is_one_customers_matter_and_a_foreign_object_is_none_at_all() {
    let app = spawn_app(Setup::default()).await;
    let [first, second] = orders();
    app.suppliers
        .fail_next("POST /bare-metal-devices/batch", Fault::AccountRefused, 1);
    let runs = app.carry_out(&first.paid()).await;
    assert_eq!(runs[0]["status"], "paused", "{}", shown(&runs[0]));
    let error = runs[0]["error"].as_str().unwrap();
    assert!(error.contains("Your account is suspended."), "{error}");
    assert!(error.contains("about the one customer"), "{error}");
    app.succeed(&second.paid()).await;
    let device = upstream(&app, "hivelocity").await;
    assert_eq!(
        (&device["reachable"], &device["refused"]),
        (&json!(true), &json!([]))
    );
    app.leave().await;
}
