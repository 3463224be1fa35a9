//! Tests: the hour's requests, on every backend.

use std::time::Duration;

use super::tests_scene::{Backend, Scene, on_every_backend, scene};
use crate::domain::budget::{Counted, Demand, Heard, Hour, Rank, RateLimit};

const LEASE: Demand = Demand::Lease {
    rank: Rank::Look,
    most: 3600,
};

on_every_backend! {
    what_was_taken_is_kept_across_a_restart,
    all_who_take_at_once_share_one_hour,
    what_an_answer_said_is_kept_for_all,
    nothing_is_counted_where_it_is_only_looked_at,
    the_oldest_waiting_run_is_found_for_each_upstream,
}

async fn count(scene: &Scene, demand: Demand) -> Counted {
    let counted = scene.store.count_requests("hivelocity", demand, scene.now);
    counted.await.unwrap()
}

async fn hour(scene: &Scene) -> Hour {
    count(scene, Demand::Look).await.hour.unwrap()
}

async fn what_was_taken_is_kept_across_a_restart(on: Backend) {
    let scene = scene(on).await;
    assert_eq!(count(&scene, LEASE).await.granted, 16);
    let scene = scene.reopen().await;
    assert_eq!(count(&scene, LEASE).await.granted, 16);
    let kept = hour(&scene).await;
    assert_eq!((kept.most, kept.leased, kept.used), (3600, 32, 32));
    // Another upstream has an hour of its own.
    let other = scene.store.count_requests("other", LEASE, scene.now).await;
    assert_eq!(other.unwrap().hour.unwrap().used, 16);
}

async fn all_who_take_at_once_share_one_hour(on: Backend) {
    let scene = scene(on).await;
    let demand = Demand::Lease {
        rank: Rank::Urgent,
        most: 100,
    };
    let mut granted = 0;
    for _ in 0..6 {
        let asks = (0..8).map(|_| count(&scene, demand));
        let counted = futures_util::future::join_all(asks).await;
        granted += counted.iter().map(|counted| counted.granted).sum::<u32>();
    }
    assert_eq!(granted, 100);
    assert_eq!(hour(&scene).await.used, 100);
}

async fn what_an_answer_said_is_kept_for_all(on: Backend) {
    let scene = scene(on).await;
    let known = count(&scene, LEASE).await.hour.unwrap();
    let heard = Heard {
        rate: RateLimit {
            limit: Some(200),
            remaining: Some(0),
            reset: Some(Duration::from_secs(900)),
        },
        refused: true,
        asked_at: known.began_at,
        known,
        unspent: 15,
    };
    count(&scene, Demand::Heard(heard)).await;
    let scene = scene.reopen().await;
    let kept = hour(&scene).await;
    assert_eq!((kept.most, kept.used), (200, 201));
    let left = kept.ends_at.since(kept.began_at).as_secs();
    assert!((901..960).contains(&left), "{left}");
    assert_eq!(count(&scene, LEASE).await.granted, 0);
}

async fn nothing_is_counted_where_it_is_only_looked_at(on: Backend) {
    let scene = scene(on).await;
    assert_eq!(count(&scene, Demand::Look).await, Counted::default());
    count(&scene, LEASE).await;
    assert_eq!(hour(&scene).await, hour(&scene).await);
}

async fn the_oldest_waiting_run_is_found_for_each_upstream(on: Backend) {
    use super::tests_scene::advance;
    use crate::domain::event::EventType;
    use crate::domain::run::RunStatus;
    use crate::domain::step::{Step, StepAction, StepStatus};
    let mut scene = scene(on).await;
    assert!(scene.store.oldest_waiting().await.unwrap().is_empty());
    let mut runs = Vec::new();
    for service in ["501", "502", "503"] {
        runs.push(scene.accept(EventType::OrderPaid, service, 10).await);
    }
    let user = || StepAction::SuspendUser {
        username: "bh1".to_owned(),
        unless_shared: false,
    };
    for run in scene.claim().await {
        let mut steps = vec![
            Step::new(1, StepAction::DeactivateClient),
            Step::new(2, user()),
        ];
        if run.id == runs[2] {
            steps[0].status = StepStatus::Succeeded;
        }
        let mut write = advance(&run, RunStatus::Waiting, scene.now);
        write.steps = steps;
        write.due_at = Some(scene.now);
        assert!(scene.write(write).await.applied);
    }
    let waiting = scene.store.oldest_waiting().await.unwrap();
    let expected = [
        ("hivelocity".to_owned(), runs[0], scene.now),
        ("one_h".to_owned(), runs[2], scene.now),
    ];
    assert_eq!(waiting, expected);
}
