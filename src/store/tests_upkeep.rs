//! Tests of what a store knows of itself: whether it is new, who serves it, and how old its history
//! is under clocks that are wrong.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::tests_scene::{Backend, Scene, advance, scene};
use super::{Store, StoreError};
use crate::domain::event::EventType;
use crate::domain::kept::Seen;
use crate::domain::run::RunStatus;
use crate::domain::sharing::Agreement;
use crate::domain::time::{Clock, Timestamp};
use crate::domain::vault::Vault;
use crate::worker;

const DAY: Duration = Duration::from_hours(24);

#[derive(Debug)]
struct Says(Timestamp);

impl Clock for Says {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn right_now() -> Timestamp {
    Timestamp::parse("2026-11-21T12:00:00Z").unwrap()
}

/// One look of a process that came up with this clock, history being kept for a year.
async fn start_with(clock: Timestamp, scene: &Scene) -> i64 {
    let stop = CancellationToken::new();
    let letting_go = worker::let_go(
        scene.store.clone(),
        Arc::new(Says(clock)),
        365 * DAY,
        stop.clone(),
    );
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.cancel();
    };
    tokio::join!(letting_go, stopping);
    let counts = scene.store.counts().await.unwrap();
    let kept = counts.iter().find(|(kind, _, _)| kind == "deliveries");
    kept.map_or(0, |(_, _, n)| *n)
}

async fn history(scene: &mut Scene, age: Duration) {
    scene.now = right_now().minus(age);
    scene.accept(EventType::OrderPaid, "501", 1).await;
    let run = scene.claim_one().await;
    scene
        .write(advance(&run, RunStatus::Succeeded, scene.now))
        .await;
}

#[tokio::test]
async fn a_start_with_a_clock_years_ahead_lets_nothing_go() {
    let mut scene = scene(Backend::Database).await;
    history(&mut scene, 400 * DAY).await;
    history(&mut scene, 300 * DAY).await;
    history(&mut scene, DAY).await;
    // A store of an older version, first opened under the wrong clock; and again.
    for _ in 0..3 {
        assert_eq!(start_with(right_now().plus(730 * DAY), &scene).await, 2);
    }
    // What is a year old under the right clock, too, is all that went.
    assert_eq!(start_with(right_now(), &scene).await, 2);
    let lived = Seen {
        now: right_now().plus(70 * DAY),
        measured: Some(right_now().plus(70 * DAY)),
    };
    scene.store.lived(lived).await.unwrap();
    assert_eq!(start_with(right_now().plus(70 * DAY), &scene).await, 1);
    assert_eq!(start_with(right_now().minus(20_000 * DAY), &scene).await, 1);
}

#[tokio::test]
async fn a_store_says_whether_it_was_made_at_this_start() {
    let scene = scene(Backend::Database).await;
    assert!(scene.is_new());
    assert!(!scene.reopen().await.is_new());
}

#[tokio::test]
async fn a_store_is_ready_and_its_own_settings_are_nobody_elses() {
    let scene = scene(Backend::Database).await;
    scene.store.ready().await.unwrap();
    let vault = Vault::new([1; 32]);
    for value in ["one", "two"] {
        let settings = Agreement::default().on("setting", value);
        scene.store.join(settings, &vault, false).await.unwrap();
    }
}

#[tokio::test]
async fn a_second_process_must_have_the_same_settings() {
    let first = scene(Backend::Database).await;
    if !first.store.is_shared() {
        return; // nobody else serves a file
    }
    let vault = Vault::new([1; 32]);
    let settings = |value: &str| Agreement::default().on("setting", value);
    let store = &first.store;
    store.join(settings("one"), &vault, false).await.unwrap();
    let url = &first.database.as_ref().unwrap().url;
    let (second, guard) = Store::open(url).await.unwrap();
    second.join(settings("one"), &vault, false).await.unwrap();
    let refused = second.join(settings("two"), &vault, false).await;
    assert!(
        matches!(&refused, Err(StoreError::Unlike(how)) if how.contains("\"two\" here")),
        "{refused:?}"
    );
    drop(second);
    guard.closed().await;
    // The second one's row is still there; it is not alive.
    store.join(settings("three"), &vault, false).await.unwrap();
}
