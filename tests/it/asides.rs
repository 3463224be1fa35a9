//! Nothing becomes a default, stays as it was or is left out without being said.

use billhook::app::SystemClock;
use billhook::domain::time::Clock as _;
use serde_json::{Value, json};

use crate::support::events::event;
use crate::support::reader::{shown, step};
use crate::support::sender::{Message, Reply};
use crate::support::world::device;
use crate::support::{App, Setup, Story, spawn_app};

/// The story's event with other members of its service.
fn with(story: &Story, second: u64, kind: &str, members: &Value) -> Value {
    let mut event = story.at(second, kind);
    for (name, value) in members.as_object().unwrap() {
        event["services"][0][name] = value.clone();
    }
    event
}

async fn metrics(app: &App) -> String {
    let url = format!("{}/metrics", app.base);
    app.http
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}

async fn dry(app: &App, delivery: &str) -> Value {
    let path = format!("/deliveries/{delivery}/replay");
    let reply = app.api.post(&path, &json!({"dry_run": true})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["plans"][0].clone()
}

async fn waited(app: &App, event: &Value) -> Reply {
    app.send(&Message::of(event).header("prefer", "wait=20"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_that_misses_its_name_is_told_in_the_run_the_answer_and_the_metrics() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    let options =
        json!({"Operating Systems": "Windows 2022", "location": "NYC1", "LICENSE  ip ": ""});
    let paid = with(&story, 1, "order.paid", &json!({"options": options}));
    let reply = waited(&app, &paid).await;
    assert_eq!(reply.text("/status"), "succeeded", "{reply:?}");
    let note = "option 'Operating Systems' is not read; did you mean 'Operating System'?";
    assert_eq!(reply.text("/runs/0/note"), note, "{reply:?}");
    app.settle().await;
    let run = app.api.run(&reply.runs()[0]).await;
    assert_eq!(run["note"], note, "{}", shown(&run));
    let built = device(&app.suppliers.snapshot(), &story.tag()).clone();
    assert_eq!(
        (built.location.as_str(), built.os.as_str()),
        ("NYC1", "Ubuntu 22.04")
    );
    let metrics = metrics(&app).await;
    let counted = "billhook_unread_options_total{source=\"whmcs\",what=\"option\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    let plan = dry(&app, &reply.delivery()).await;
    assert_eq!(plan["unread_options"], json!(["Operating Systems"]));
    assert!(
        plan["notes"].as_array().unwrap().contains(&json!(note)),
        "{plan}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_none_of_whose_options_is_read_says_that_defaults_were_taken() {
    let app = spawn_app(Setup::default()).await;
    let options = json!({"Betriebssystem": "Debian 12"});
    let paid = with(&Story::new(), 1, "order.paid", &json!({"options": options}));
    let run = app.succeed(&paid).await;
    let note = run["note"].as_str().unwrap();
    assert!(
        note.contains("option 'Betriebssystem' is not read by product 42"),
        "{note}"
    );
    assert!(
        note.contains("none of the order's options is read") && note.contains("'Operating System'"),
        "{note}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_change_that_changes_nothing_says_what_the_device_keeps() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    let wanted = json!({
        "hostname": "renamed.example.com",
        "options": {"Location": "TPA1", "Operating System": "Debian 12"},
    });
    let changed = with(&story, 4, "service.package_changed", &wanted);
    let reply = waited(&app, &changed).await;
    assert_eq!(reply.text("/status"), "succeeded", "{reply:?}");
    for part in [
        "the device keeps Ubuntu 22.04, the event asks for Debian 12; reload it with service.action reload",
        "the device keeps srv501.example.com, the event asks for renamed.example.com",
    ] {
        assert!(reply.text("/runs/0/note").contains(part), "{reply:?}");
    }
    app.settle().await;
    let service = app.api.service("501").await;
    assert_eq!(
        (&service["device_os"], &service["hostname"]),
        (&json!("Ubuntu 22.04"), &json!("srv501.example.com"))
    );
    let metrics = metrics(&app).await;
    for what in ["os", "hostname"] {
        let counted =
            format!("billhook_differences_kept_total{{source=\"whmcs\",what=\"{what}\"}} 1");
        assert!(metrics.contains(&counted), "{metrics}");
    }
    let plan = dry(&app, &reply.delivery()).await;
    assert_eq!(plan["notes"].as_array().unwrap().len(), 2, "{plan}");
    // What it says to do does it, and only then the state has it.
    let mut reload = with(
        &story,
        5,
        "service.action",
        &json!({
            "hostname": "renamed.example.com",
            "options": {"Operating System": "Debian 12"},
        }),
    );
    reload["action"] = json!("reload");
    app.succeed(&reload).await;
    let service = app.api.service("501").await;
    assert_eq!(
        (&service["device_os"], &service["hostname"]),
        (&json!("Debian 12"), &json!("renamed.example.com"))
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_order_of_a_running_device_leaves_its_state_true() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    let wanted = json!({
        "hostname": "renamed.example.com",
        "options": {"Location": "NYC1", "Operating System": "Debian 12"},
    });
    let run = app.succeed(&with(&story, 2, "order.paid", &wanted)).await;
    assert!(
        run["note"]
            .as_str()
            .unwrap()
            .contains("keeps TPA1, the event asks for NYC1"),
        "{run}"
    );
    let service = app.api.service("501").await;
    let built = device(&app.suppliers.snapshot(), &story.tag()).clone();
    assert_eq!(
        (
            &service["device_os"],
            &service["hostname"],
            &service["device_location"]
        ),
        (
            &json!(built.os),
            &json!(built.hostname),
            &json!(built.location)
        )
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_names_that_no_server_can_have_are_refused_before_anything_is_bought() {
    let app = spawn_app(Setup::default()).await;
    let long = format!("{}.example.com", "a".repeat(64));
    let names = [
        "srv1..example.com",
        "-bad.example.com",
        "192.0.2.5",
        "12345",
        &long,
        "srv_1.example.com",
    ];
    for (number, name) in (600..).zip(names) {
        let story = Story::of(&number.to_string(), "77", "42");
        let reply = waited(
            &app,
            &with(&story, 1, "order.paid", &json!({"hostname": name})),
        )
        .await;
        assert_eq!(reply.text("/status"), "paused", "{name}: {reply:?}");
        let error = reply.text("/runs/0/error");
        assert!(
            error.starts_with(&format!("the host name \"{name}\"")),
            "{error}"
        );
        assert!(
            error.contains("send it again with a full name such as srv1.example.com"),
            "{error}"
        );
        let run = app.api.run(&reply.runs()[0]).await;
        assert_eq!(run["pause_reason"], "event");
    }
    assert_eq!(app.suppliers.snapshot().devices.len(), 0);
    assert_eq!(
        app.suppliers.snapshot().clients.len(),
        0,
        "nothing at all was made"
    );
    app.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_name_that_can_be_mended_is_ordered_and_kept_as_mended() {
    let app = spawn_app(Setup::default()).await;
    let names = [
        ("srv1.example.com.", "srv1.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("  SRV2.Example.COM ", "srv2.example.com"),
    ];
    for (number, (given, mended)) in (600..).zip(names) {
        let story = Story::of(&number.to_string(), "77", "42");
        let run = app
            .succeed(&with(&story, 1, "order.paid", &json!({"hostname": given})))
            .await;
        assert_eq!(
            step(&run, "hivelocity.deploy_device")["input"]["hostname"],
            mended
        );
        assert_eq!(step(&run, "one_h.add_license")["input"]["label"], mended);
        assert_eq!(app.api.service(&story.service).await["hostname"], mended);
        assert_eq!(
            device(&app.suppliers.snapshot(), &story.tag()).hostname,
            mended
        );
        assert_eq!(run["note"], json!(null), "{}", shown(&run));
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_order_that_nothing_in_the_catalogue_matches_is_counted_and_told() {
    let app = spawn_app(Setup::default()).await;
    let stats = app.api.get("/stats").await;
    assert_eq!(stats["paid_orders_unmatched"]["count"], 0, "{stats}");
    assert!(
        metrics(&app)
            .await
            .contains("billhook_paid_orders_unmatched_total{source=\"whmcs\"} 0")
    );
    let story = Story::of("501", "77", "999");
    let message = Message::of(&story.paid());
    let reply = app.send(&message).await;
    assert_eq!(
        (reply.status, reply.text("/status")),
        (200, "ignored"),
        "{reply:?}"
    );
    assert!(
        reply
            .text("/reason")
            .contains("product 999 is not in the catalogue"),
        "{reply:?}"
    );
    let missed = json!([{"service_id": "501", "product_id": "999"}]);
    assert_eq!(reply.body["unmatched"], missed, "{reply:?}");
    assert_eq!(app.send(&message).await.text("/status"), "duplicate");
    // What is no order is none of it, and what another module provisions is not missed.
    app.send(&Message::of(&story.at(2, "service.suspended")))
        .await;
    let other = app
        .send(&Message::of(&Story::of("502", "77", "pid:7").paid()))
        .await;
    assert_eq!(other.text("/status"), "ignored");
    let stats = app.api.get("/stats").await;
    let unmatched = &stats["paid_orders_unmatched"];
    assert_eq!(
        (&unmatched["count"], &unmatched["by_source"]["whmcs"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        unmatched["last"]["delivery_id"],
        reply.delivery(),
        "{stats}"
    );
    assert_eq!(unmatched["last"]["services"], missed, "{stats}");
    assert!(
        metrics(&app)
            .await
            .contains("billhook_paid_orders_unmatched_total{source=\"whmcs\"} 1")
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_which_a_part_matches_names_the_others_in_its_answer() {
    let app = spawn_app(Setup::default()).await;
    let (one, other) = (Story::of("501", "77", "44"), Story::of("502", "77", "999"));
    let paid = event("order.paid", 1, &[&one, &other]);
    let missed = json!([{"service_id": "502", "product_id": "999"}]);
    let reply = app.accept(&paid).await;
    assert_eq!(
        (reply.runs().len(), &reply.body["unmatched"]),
        (1, &missed),
        "{reply:?}"
    );
    let mut again = paid.clone();
    again["order_id"] = json!("1002");
    let reply = waited(&app, &again).await;
    assert_eq!(
        (reply.text("/status"), &reply.body["unmatched"]),
        ("succeeded", &missed)
    );
    let whole = app.accept(&one.at(3, "order.paid")).await;
    assert_eq!(whole.body.get("unmatched"), None, "{whole:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_of_each_step_whether_it_exists_is_looked_for_is_bought_or_changed() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.suppliers.fail_next(
        "one_h add_license",
        billhook::sandbox::Fault::Refused400("No money left.".to_owned()),
        1,
    );
    let refused = app.accept(&story.paid()).await;
    app.settle().await;
    let effects = |plan: &Value| -> Vec<(String, String)> {
        let text = |step: &Value, key: &str| step[key].as_str().unwrap_or_default().to_owned();
        let steps = plan["steps"].as_array().unwrap().iter();
        steps
            .map(|step| (text(step, "kind"), text(step, "effect")))
            .collect()
    };
    let plan = dry(&app, &refused.delivery()).await;
    let effects = effects(&plan);
    let effect = |kind: &str| {
        effects
            .iter()
            .find(|(known, _)| known == kind)
            .unwrap()
            .1
            .clone()
    };
    for kind in [
        "hivelocity.create_client",
        "hivelocity.deploy_device",
        "hivelocity.await_device",
        "one_h.add_user",
    ] {
        assert_eq!(effect(kind), "exists", "{plan}");
    }
    assert_eq!(effect("hivelocity.power"), "changed", "{plan}");
    assert_eq!(effect("one_h.add_license"), "bought", "{plan}");
    let deploy = &plan["steps"][1];
    assert_eq!(
        (&deploy["kind"], &deploy["mark"]),
        (&json!("hivelocity.deploy_device"), &json!(story.tag()))
    );
    app.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_service_is_suspended_is_shown_until_it_is_back() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    let mut suspended = story.at(2, "service.suspended");
    suspended["reason"] = json!("Overdue on Payment");
    let run = app.succeed(&suspended).await;
    assert_eq!(
        run["note"],
        "suspended for: Overdue on Payment",
        "{}",
        shown(&run)
    );
    let reason = app.api.service("501").await["suspend_reason"].clone();
    assert_eq!(reason, "Overdue on Payment");
    app.succeed(&story.at(3, "service.unsuspended")).await;
    assert_eq!(app.api.service("501").await["suspend_reason"], json!(null));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_zero_is_a_422_with_its_place() {
    let app = spawn_app(Setup::default()).await;
    let paid = Story::new().paid();
    for value in [json!(0), json!("0"), json!("")] {
        for pointer in ["/customer/id", "/services/0/id"] {
            let mut wrong = paid.clone();
            *wrong.pointer_mut(pointer).unwrap() = value.clone();
            let reply = app.send(&Message::of(&wrong)).await;
            reply.is_problem(422);
            assert_eq!(reply.text("/pointer"), pointer, "{value}");
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_target_takes_a_slash_at_its_end_and_nothing_more() {
    let app = spawn_app(Setup::default()).await;
    let message = Message::of(&Story::of("501", "77", "44").paid());
    let slashed = Message {
        source: "whmcs/".to_owned(),
        ..message.clone()
    };
    let reply = app.send(&slashed).await;
    assert_eq!(
        (reply.status, reply.text("/status")),
        (202, "accepted"),
        "{reply:?}"
    );
    assert_eq!(
        app.send(&message).await.text("/status"),
        "duplicate",
        "it is the same target"
    );
    let unknown = Message {
        source: "nobody/".to_owned(),
        ..message.clone()
    };
    app.send(&unknown).await.is_problem(404);
    for path in ["/webhooks/whmcs", "/webhooks/whmcs/"] {
        let got = app
            .http
            .get(format!("{}{path}", app.base))
            .send()
            .await
            .unwrap();
        Reply::read(got).await.is_problem(405);
    }
    for path in ["whmcs//", "whmcs/more"] {
        let other = Message {
            source: path.to_owned(),
            signed: SystemClock.now(),
            ..message.clone()
        };
        assert_eq!(app.send(&other).await.status, 405, "{path}");
    }
    app.finish().await;
}
