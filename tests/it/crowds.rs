//! Many at once: services of one new customer, copies of one delivery, orders of a busy hour.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use crate::support::sender::{Message, Reply};
use crate::support::world::{device, twice};
use crate::support::{App, Setup, Story, event, spawn_app};

async fn all_at_once(app: &App, messages: Vec<Message>) -> Vec<Reply> {
    let mut sending = JoinSet::new();
    for message in messages {
        let (http, base) = (app.http.clone(), app.base.clone());
        sending.spawn(async move { message.send(&http, &base).await.unwrap() });
    }
    sending.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_of_a_new_customer_at_once_share_one_client_and_one_sub_user() {
    for act_as in ["query", "token"] {
        let app = spawn_app(Setup::default().with("hivelocity.act_as", act_as)).await;
        let stories = [Story::of("501", "77", "42"), Story::of("502", "77", "42")];
        let replies = all_at_once(
            &app,
            stories
                .iter()
                .map(|story| Message::of(&story.paid()))
                .collect(),
        )
        .await;
        assert!(replies.iter().all(|reply| reply.status == 202));
        app.settle().await;
        let snapshot = app.suppliers.snapshot();
        assert_eq!(
            (snapshot.clients.len(), snapshot.sub_users.len()),
            (1, 1),
            "{act_as}"
        );
        for story in &stories {
            assert_eq!(
                device(&snapshot, &story.tag()).client_id,
                snapshot.clients[0].id
            );
            assert_eq!(app.api.service(&story.service).await["status"], "active");
        }
        assert_eq!(twice(&snapshot), Vec::<String>::new());
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn six_services_of_a_new_customer_in_one_order_share_one_client() {
    let app = spawn_app(Setup::default()).await;
    let stories: Vec<Story> = (1..=6)
        .map(|n| Story::of(&format!("90{n}"), "77", "42"))
        .collect();
    let runs = app
        .carry_out(&event("order.paid", 1, &stories.iter().collect::<Vec<_>>()))
        .await;
    assert!(runs.len() == 6 && runs.iter().all(|run| run["status"] == "succeeded"));
    let snapshot = app.suppliers.snapshot();
    assert_eq!(
        (
            snapshot.clients.len(),
            snapshot.sub_users.len(),
            snapshot.devices.len()
        ),
        (1, 1, 6)
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_copies_of_a_delivery_at_once_are_one() {
    let app = spawn_app(Setup::default()).await;
    let message = Message::of(&Story::new().paid());
    let replies = all_at_once(&app, vec![message; 50]).await;
    let accepted = replies.iter().filter(|reply| reply.status == 202).count();
    let duplicates = replies
        .iter()
        .filter(|reply| reply.text("/status") == "duplicate")
        .count();
    assert_eq!((accepted, duplicates), (1, 49));
    let ids: BTreeSet<String> = replies.iter().map(Reply::delivery).collect();
    let runs: BTreeSet<Vec<String>> = replies.iter().map(Reply::runs).collect();
    assert_eq!(
        (ids.len(), runs.len()),
        (1, 1),
        "all name the first one and its run"
    );
    app.settle().await;
    assert_eq!(app.api.all("/runs").await.len(), 1);
    assert_eq!(app.api.all("/deliveries").await.len(), 50);
    assert_eq!(twice(&app.suppliers.snapshot()), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_order_under_many_ids_is_built_once() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    let messages = (0..12).map(|_| Message::of(&story.paid())).collect();
    let replies = all_at_once(&app, messages).await;
    assert!(replies.iter().all(|reply| reply.status == 202));
    app.settle().await;
    let snapshot = app.suppliers.snapshot();
    assert_eq!(
        (
            snapshot.devices.len(),
            snapshot.clients.len(),
            snapshot.licences.len()
        ),
        (1, 1, 1)
    );
    assert_eq!(twice(&snapshot), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_orders_at_once_are_all_built_beside_each_other() {
    let app = spawn_app(
        Setup::slow(std::time::Duration::from_millis(800)).with("execution.concurrency", "8"),
    )
    .await;
    let stories: Vec<Story> = (100..130)
        .map(|n| Story::of(&n.to_string(), &(1 + n % 7).to_string(), "42"))
        .collect();
    let replies = all_at_once(
        &app,
        stories
            .iter()
            .map(|story| Message::of(&story.paid()))
            .collect(),
    )
    .await;
    assert!(replies.iter().all(|reply| reply.status == 202));
    app.settle().await;
    let snapshot = app.suppliers.snapshot();
    assert_eq!(
        (
            snapshot.devices.len(),
            snapshot.clients.len(),
            snapshot.sub_users.len()
        ),
        (30, 7, 7)
    );
    assert_eq!(snapshot.licences.len(), 30);
    assert_eq!(twice(&snapshot), Vec::<String>::new());
    for story in &stories {
        let (built, known) = (
            device(&snapshot, &story.tag()),
            app.api.service(&story.service).await,
        );
        assert_eq!(
            (&known["status"], &known["device_id"]),
            (&"active".into(), &built.device_id.into())
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_one_lane_never_overlap_and_start_in_order() {
    let app = spawn_app(Setup::slow(std::time::Duration::from_millis(200))).await;
    let story = Story::new();
    for event in story.life().iter().take(3) {
        app.accept(event).await;
    }
    app.settle().await;
    let mut runs = app.api.all("/runs").await;
    runs.reverse();
    let mut last = String::new();
    for run in &runs {
        // The suspension was over before its turn came.
        let pointless = run["type"] == "service.suspended";
        let wanted = if pointless { "superseded" } else { "succeeded" };
        assert_eq!(run["status"], wanted);
        let attempts = run["steps"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|step| step["attempts"].as_array().unwrap());
        for attempt in attempts {
            let started = attempt["started_at"].as_str().unwrap().to_owned();
            assert!(time(&started) >= time(&last), "{started} after {last}");
            last = started;
        }
    }
    assert_eq!(
        device(&app.suppliers.snapshot(), &story.tag()).power_status,
        "ON"
    );
    app.finish().await;
}

fn time(text: &str) -> i64 {
    billhook::domain::time::Timestamp::parse(text)
        .map_or(0, billhook::domain::time::Timestamp::micros)
}
