//! The newest intent wins: what a run that waits for a person or a supplier holds up, and what not.
//! Each situation is from the field.

use std::time::{Duration, Instant};

use billhook::sandbox::Fault;
use serde_json::{Value, json};

use crate::support::reader::{shown, step};
use crate::support::sender::Message;
use crate::support::settings::HIVELOCITY_KEY;
use crate::support::world::{acted, device, twice};
use crate::support::{App, Setup, Story, spawn_app};

const ALWAYS: usize = 1000;

fn with_hostname(mut event: Value, name: &str) -> Value {
    event["services"][0]["hostname"] = json!(name);
    event
}

fn to(mut event: Value, location: &str) -> Value {
    event["services"][0]["options"] = json!({"Location": location});
    event
}

fn power(app: &App, story: &Story) -> String {
    device(&app.suppliers.snapshot(), &story.tag())
        .power_status
        .clone()
}

async fn status(app: &App, run: &str) -> String {
    app.api.run(run).await["status"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_order_takes_the_place_of_the_one_that_a_person_was_asked_about() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    let faulty = with_hostname(story.at(1, "order.paid"), "");
    let first = app.carry_out(&faulty).await.remove(0);
    assert_eq!(first["status"], "paused", "{}", shown(&first));
    app.succeed(&story.at(2, "order.paid")).await;
    let first = app.api.run(first["id"].as_str().unwrap()).await;
    assert_eq!(first["status"], "superseded", "{}", shown(&first));
    assert_eq!(app.suppliers.snapshot().devices.len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_sold_out_is_replaced_by_one_to_another_place() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    let fault = Fault::Refused400("Product 584 is out of stock in SOLD1".to_owned());
    app.suppliers
        .fail_next("POST /bare-metal-devices/batch", fault, 1);
    let first = app
        .carry_out(&to(story.at(1, "order.paid"), "SOLD1"))
        .await
        .remove(0);
    assert_eq!(first["status"], "paused", "{}", shown(&first));
    app.succeed(&to(story.at(2, "order.paid"), "TPA1")).await;
    assert_eq!(
        status(&app, first["id"].as_str().unwrap()).await,
        "superseded"
    );
    let snapshot = app.suppliers.snapshot();
    assert_eq!(device(&snapshot, &story.tag()).location, "TPA1");
    assert_eq!(twice(&snapshot), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsuspension_ends_a_suspension_that_is_stuck_half_way() {
    for fault in [
        Fault::OneHError(22),
        Fault::Unavailable503 {
            retry_after_secs: 60,
        },
    ] {
        let app = spawn_app(Setup::default()).await;
        let story = Story::new();
        app.succeed(&story.paid()).await;
        app.suppliers.fail_next("one_h suspend_user", fault, ALWAYS);
        let dark = app.accept(&story.at(3, "service.suspended")).await;
        let dark = dark.runs().remove(0);
        app.until_step(&dark, "one_h.suspend_user", &["paused", "waiting"])
            .await;
        assert_eq!(power(&app, &story), "OFF");
        let reply = app
            .send(&Message::of(&story.at(4, "service.unsuspended")).header("prefer", "wait=20"))
            .await;
        assert_eq!(reply.text("/status"), "succeeded", "{reply:?}");
        assert_eq!(power(&app, &story), "ON");
        assert_eq!(status(&app, &dark).await, "superseded");
        assert_eq!(app.api.service("501").await["status"], "active");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boot_of_a_suspended_server_is_refused_and_over() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    app.succeed(&story.at(1, "service.suspended")).await;
    let mut boot = story.at(2, "service.action");
    boot["action"] = json!("boot");
    let boot = app.carry_out(&boot).await.remove(0);
    assert_eq!(boot["status"], "cancelled", "{}", shown(&boot));
    assert!(boot["error"].as_str().unwrap().contains("suspended"));
    app.succeed(&story.at(3, "service.unsuspended")).await;
    assert_eq!(power(&app, &story), "ON");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_a_person_was_asked_about_keeps_nobody_bright() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    let mut change = story.at(1, "service.package_changed");
    change["services"][0]["product_id"] = json!("43");
    let change = app.carry_out(&change).await.remove(0);
    assert_eq!(change["status"], "paused", "{}", shown(&change));
    let reply = app
        .send(&Message::of(&story.at(30, "service.suspended")).header("prefer", "wait=20"))
        .await;
    assert_eq!(reply.text("/status"), "succeeded", "{reply:?}");
    assert_eq!(power(&app, &story), "OFF");
    app.until(change["id"].as_str().unwrap(), &["paused"]).await;
    app.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_the_event_says_owns_a_service_keeps_nothing_bright_and_a_move_hands_it_over() {
    let app = spawn_app(Setup::default()).await;
    let (story, heir) = (Story::new(), Story::of("501", "88", "42"));
    app.succeed(&story.paid()).await;
    let run = app.succeed(&heir.at(1, "service.suspended")).await;
    assert!(
        run["note"].as_str().unwrap().contains("customer 88"),
        "{run}"
    );
    assert_eq!(power(&app, &story), "OFF");
    app.succeed(&heir.at(2, "service.unsuspended")).await;
    assert_eq!(power(&app, &story), "ON");
    let moved = app.carry_out(&heir.at(3, "service.moved")).await.remove(0);
    assert_eq!(moved["status"], "paused", "{}", shown(&moved));
    let error = moved["error"].as_str().unwrap();
    assert!(error.contains("keeps_device"), "{error}");
    let mut kept = heir.at(4, "service.moved");
    kept["keeps_device"] = json!(true);
    app.succeed(&kept).await;
    assert_eq!(
        status(&app, moved["id"].as_str().unwrap()).await,
        "superseded"
    );
    let known = app.api.service("501").await;
    assert_eq!(known["customer_id"], "88", "{known}");
    let snapshot = app.suppliers.snapshot();
    assert_eq!(snapshot.licences.len(), 1);
    assert_eq!(
        snapshot.licences[0].user,
        known["one_h_user"].as_str().unwrap()
    );
    // The old owner's closing does not concern it any more.
    app.succeed(&story.at(5, "customer.closed")).await;
    let snapshot = app.suppliers.snapshot();
    let user = snapshot.sub_users.iter();
    let mut user = user.filter(|user| user.username == known["one_h_user"]);
    assert!(!user.next().unwrap().suspended);
    app.succeed(&heir.at(6, "service.terminated")).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_comes_back_is_let_in_again() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    app.succeed(&story.at(2, "customer.closed")).await;
    assert!(app.suppliers.snapshot().sub_users[0].suspended);
    app.succeed(&story.at(3, "customer.reopened")).await;
    assert!(!app.suppliers.snapshot().sub_users[0].suspended);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_address_takes_the_place_of_the_one_that_was_refused() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    app.suppliers
        .fail_next("one_h update_user", Fault::OneHError(18), 1);
    let mut taken = story.at(2, "customer.updated");
    taken["customer"]["email"] = json!("taken@example.com");
    let taken = app.carry_out(&taken).await.remove(0);
    assert_eq!(taken["status"], "paused", "{}", shown(&taken));
    let mut fine = story.at(3, "customer.updated");
    fine["customer"]["email"] = json!("fine@example.com");
    app.succeed(&fine).await;
    assert_eq!(
        status(&app, taken["id"].as_str().unwrap()).await,
        "superseded"
    );
    let snapshot = app.suppliers.snapshot();
    assert_eq!(snapshot.sub_users[0].email, "fine@example.com");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_behind_an_order_that_a_person_was_asked_about_says_so() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    let faulty = with_hostname(story.at(1, "order.paid"), "");
    let first = app.carry_out(&faulty).await.remove(0);
    let change = Message::of(&story.at(2, "service.package_changed"));
    for message in [
        change,
        Message::of(&story.at(3, "service.renewed")).header("prefer", "wait=1"),
    ] {
        let reply = app.send(&message).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        assert_eq!(reply.body["blocked_by"]["run"], first["id"], "{reply:?}");
        assert_eq!(reply.body["blocked_by"]["status"], "paused");
        let reason = reply.body["blocked_by"]["reason"].as_str().unwrap();
        assert!(reason.contains("no hostname"), "{reason}");
    }
    // What is overdue goes dark all the same, as soon as it is there.
    app.accept(&story.at(4, "service.suspended")).await;
    app.succeed(&story.at(2, "order.paid")).await;
    app.settle().await;
    assert_eq!(power(&app, &story), "OFF");
    assert_eq!(app.api.service("501").await["status"], "suspended");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_shuffled_suspensions_switch_the_server_a_few_times_and_end_right() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    let before = acted(&app.suppliers.snapshot(), "power");
    let mut order: Vec<u64> = (0..500).collect();
    // A fixed shuffle.
    for (index, other) in (0..500)
        .rev()
        .zip((0_usize..).map(|n| (n * 7919 + 13) % 500))
    {
        order.swap(index, other.min(index));
    }
    let began = Instant::now();
    let kind = |n: u64| {
        if n.is_multiple_of(2) {
            "service.suspended"
        } else {
            "service.unsuspended"
        }
    };
    for n in order {
        app.accept(&story.at(10 + n, kind(n))).await;
    }
    app.settle().await;
    assert!(
        began.elapsed() < Duration::from_secs(40),
        "{:?}",
        began.elapsed()
    );
    let snapshot = app.suppliers.snapshot();
    let switched = acted(&snapshot, "power") - before;
    assert!(switched <= 20, "switched {switched} times");
    assert_eq!(power(&app, &story), "ON", "the newest is an unsuspension");
    assert_eq!(app.api.service("501").await["status"], "active");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_termination_that_nobody_has_approved_ends_nothing_once_the_service_is_wanted_again() {
    let setup = Setup::default().with("policy.require_approval", "hivelocity.cancel_device");
    let app = spawn_app(setup).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    let end = app
        .carry_out(&story.at(2, "service.terminated"))
        .await
        .remove(0);
    assert_eq!(end["status"], "paused", "{}", shown(&end));
    app.succeed(&story.at(3, "service.unsuspended")).await;
    let end = app.api.run(end["id"].as_str().unwrap()).await;
    assert_eq!(end["status"], "superseded", "{}", shown(&end));
    assert_eq!(
        step(&end, "hivelocity.cancel_device")["status"],
        "cancelled"
    );
    assert_eq!(app.api.service("501").await["status"], "active");
    assert!(!device(&app.suppliers.snapshot(), &story.tag()).cancelled);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_deactivated_elsewhere_is_named_and_the_next_order_gets_a_new_one() {
    let app = spawn_app(Setup::default()).await;
    app.succeed(&Story::new().paid()).await;
    let client = app.suppliers.snapshot().clients[0].id;
    let url = format!(
        "{}/account/controlled-client",
        app.suppliers.hivelocity_url()
    );
    let reply = reqwest::Client::new()
        .put(url)
        .header("X-API-KEY", HIVELOCITY_KEY)
        .json(&json!({"clientId": client}))
        .send()
        .await
        .unwrap();
    assert!(reply.status().is_success(), "{reply:?}");
    let other = Story::of("502", "77", "42");
    let refused = app.carry_out(&other.at(2, "order.paid")).await.remove(0);
    assert_eq!(refused["status"], "paused", "{}", shown(&refused));
    let error = refused["error"].as_str().unwrap();
    for words in [
        &format!("controlled client {client} of customer 77"),
        "send order.paid again",
    ] {
        assert!(error.contains(words), "{error}");
    }
    app.succeed(&other.at(3, "order.paid")).await;
    let dark = app
        .carry_out(&Story::new().at(4, "service.suspended"))
        .await
        .remove(0);
    let error = dark["error"].as_str().unwrap();
    assert!(
        error.contains("ask Hivelocity what became of its devices"),
        "{error}"
    );
    app.leave().await;
}
