//! Tests of who is next in a lane.

use std::time::Duration;

use super::tests_scene::{Backend, Scene, advance, on_every_backend, scene};
use super::{
    Advance, Claimed, DeliveryVerdict, Intervened, Intervention, NewDelivery, NewRun, Receipt,
};
use crate::domain::event::EventType as E;
use crate::domain::id::RunId;
use crate::domain::run::RunStatus;

async fn end(scene: &Scene, run: &Claimed, status: RunStatus) {
    assert!(scene.write(advance(run, status, scene.now)).await.applied);
}

/// Pauses a run that has no plan: a person was asked before anything was done.
async fn hold(scene: &Scene, run: &Claimed) {
    let write = Advance {
        planned: false,
        ..advance(run, RunStatus::Paused, scene.now)
    };
    assert!(scene.write(write).await.applied);
}

async fn the_event_that_occurred_first_is_next_whatever_came_first(on: Backend) {
    let mut scene = scene(on).await;
    let late = scene.accept(E::ServicePackageChanged, "501", 30).await;
    let early = scene.accept(E::OrderPaid, "501", 10).await;
    let middle = scene.accept(E::ServiceSuspended, "501", 20).await;
    for expected in [early, middle, late] {
        let run = scene.claim_one().await;
        assert_eq!(run.id, expected);
        assert_eq!(
            scene.due().await,
            [],
            "no other run of the lane is due meanwhile"
        );
        end(&scene, &run, RunStatus::Succeeded).await;
    }
    assert_eq!(scene.due().await, []);
}

async fn with_equal_times_the_first_to_come_is_next(on: Backend) {
    let mut scene = scene(on).await;
    let (first, second) = (
        scene.accept(E::OrderPaid, "501", 5).await,
        scene.accept(E::ServiceSuspended, "501", 5).await,
    );
    let run = scene.claim_one().await;
    assert_eq!(run.id, first);
    end(&scene, &run, RunStatus::Succeeded).await;
    assert_eq!(scene.due().await, [second]);
}

async fn lanes_do_not_wait_for_each_other(on: Backend) {
    let mut scene = scene(on).await;
    let runs = [
        scene.accept(E::OrderPaid, "501", 1).await,
        scene.accept(E::OrderPaid, "502", 1).await,
    ];
    assert_eq!(scene.due().await, runs);
}

async fn an_older_event_does_not_pass_a_run_that_is_under_way_or_planned(on: Backend) {
    let mut scene = scene(on).await;
    let newer = scene.accept(E::ServiceSuspended, "501", 20).await;
    let run = scene.claim_one().await;
    let older = scene.accept(E::OrderPaid, "501", 10).await;
    assert_eq!(scene.due().await, []);
    let waiting = Advance {
        due_at: Some(scene.now),
        ..advance(&run, RunStatus::Waiting, scene.now)
    };
    scene.write(waiting).await;
    let run = scene.claim_one().await;
    assert_eq!((run.id, run.planned), (newer, true));
    end(&scene, &run, RunStatus::Succeeded).await;
    assert_eq!(scene.due().await, [older]);
}

async fn a_paused_run_without_a_plan_is_asked_again_after_an_older_one_ended(on: Backend) {
    let mut scene = scene(on).await;
    let early = scene.accept(E::ServiceSuspended, "501", 20).await;
    let run = scene.claim_one().await;
    hold(&scene, &run).await;
    assert_eq!(scene.due().await, [], "a person was asked");
    let order = scene.accept(E::OrderPaid, "501", 10).await;
    let run = scene.claim_one().await;
    assert_eq!(run.id, order);
    end(&scene, &run, RunStatus::Succeeded).await;
    assert_eq!(scene.due().await, [early]);
}

async fn a_termination_wakes_what_only_waits_or_is_paused_and_is_next_after_it(on: Backend) {
    for status in [RunStatus::Waiting, RunStatus::Paused] {
        let mut scene = scene(on).await;
        let order = scene.accept(E::OrderPaid, "501", 10).await;
        let run = scene.claim_one().await;
        let far = scene.now.plus(Duration::from_mins(15));
        let due_at = (status == RunStatus::Waiting).then_some(far);
        scene
            .write(Advance {
                due_at,
                ..advance(&run, status, scene.now)
            })
            .await;
        let termination = scene.accept(E::ServiceTerminated, "501", 20).await;
        let woken = scene.claim_one().await;
        assert_eq!((woken.id, woken.newer), (order, true), "{status}");
        end(&scene, &woken, RunStatus::Superseded).await;
        assert_eq!(scene.due().await, [termination]);
    }
}

async fn a_run_that_waits_or_pauses_after_a_termination_came_is_woken_at_once(on: Backend) {
    for status in [RunStatus::Waiting, RunStatus::Paused] {
        let mut scene = scene(on).await;
        let order = scene.accept(E::OrderPaid, "501", 10).await;
        let run = scene.claim_one().await;
        // Its plan is stored and its call is under way.
        let lease = Some(scene.now.plus(Duration::from_mins(10)));
        scene
            .write(Advance {
                due_at: lease,
                ..advance(&run, RunStatus::Running, scene.now)
            })
            .await;
        scene.accept(E::ServiceTerminated, "501", 20).await;
        let far = scene.now.plus(Duration::from_mins(15));
        let due_at = (status == RunStatus::Waiting).then_some(far);
        let told = scene
            .write(Advance {
                due_at,
                ..advance(&run, status, scene.now)
            })
            .await;
        assert!(told.overtaken);
        assert_eq!(scene.due().await, [order], "{status}");
    }
}

async fn an_older_termination_overtakes_nothing(on: Backend) {
    let mut scene = scene(on).await;
    scene.accept(E::OrderPaid, "501", 20).await;
    let run = scene.claim_one().await;
    let far = scene.now.plus(Duration::from_mins(15));
    scene
        .write(Advance {
            due_at: Some(far),
            ..advance(&run, RunStatus::Waiting, scene.now)
        })
        .await;
    scene.accept(E::ServiceTerminated, "501", 10).await;
    assert_eq!(scene.due().await, []);
}

async fn a_replay_takes_the_place_of_its_paused_run_and_of_no_other(on: Backend) {
    let mut scene = scene(on).await;
    let delivery = scene.delivery(E::OrderPaid, "501", 10);
    scene.store.accept(delivery.clone()).await.unwrap();
    let paused = scene.claim_one().await;
    end(&scene, &paused, RunStatus::Paused).await;
    let behind = scene.accept(E::ServicePackageChanged, "501", 20).await;
    assert_eq!(scene.due().await, [], "what it changes is not built");
    let replayed = NewRun {
        id: RunId(1000),
        replay_of: Some(paused.id.0),
        ..delivery.runs[0].clone()
    };
    scene
        .store
        .replay(delivery.id, "whmcs".to_owned(), vec![replayed], scene.now)
        .await
        .unwrap();
    let run = scene.claim_one().await;
    assert_eq!(run.id, RunId(1000));
    end(&scene, &run, RunStatus::Succeeded).await;
    assert_eq!(
        (scene.status(paused.id).await.as_str(), scene.due().await),
        ("superseded", vec![behind]),
        "it needs nobody any more"
    );
    let counts = scene.store.counts().await.unwrap();
    let paused_now = counts
        .iter()
        .find(|(table, name, _)| table == "runs" && name == "paused");
    assert_eq!(paused_now, None, "{counts:?}");
    let retry = scene
        .store
        .intervene(paused.id, Intervention::Retry, scene.now)
        .await
        .unwrap();
    assert_eq!(
        retry,
        Intervened::NotNow(RunStatus::Superseded),
        "two runs of one lane must not go on"
    );
}

async fn interventions_are_allowed_by_status_and_wake_or_end_the_run(on: Backend) {
    let mut scene = scene(on).await;
    let first = scene.accept(E::OrderPaid, "501", 10).await;
    let second = scene.accept(E::ServiceSuspended, "501", 20).await;
    let store = scene.store.clone();
    let intervene = async |run, what| store.intervene(run, what, scene.now).await.unwrap();
    assert_eq!(
        intervene(RunId(999), Intervention::Retry).await,
        Intervened::NotFound
    );
    let run = scene.claim_one().await;
    assert_eq!(
        intervene(first, Intervention::Retry).await,
        Intervened::NotNow(RunStatus::Running)
    );
    end(&scene, &run, RunStatus::Paused).await;
    assert_eq!(
        intervene(first, Intervention::Retry).await,
        Intervened::Done
    );
    let run = scene.claim_one().await;
    assert_eq!((run.id, run.planned), (first, true));
    assert_eq!(
        intervene(first, Intervention::Cancel).await,
        Intervened::Done
    );
    assert!(
        !scene
            .write(advance(&run, RunStatus::Succeeded, scene.now))
            .await
            .applied,
        "the worker lost it"
    );
    assert_eq!(
        (scene.status(first).await.as_str(), scene.due().await),
        ("cancelled", vec![second])
    );
    assert_eq!(
        intervene(first, Intervention::Cancel).await,
        Intervened::NotNow(RunStatus::Cancelled)
    );
}

/// A delivery about two services.
fn of_two(scene: &mut Scene, services: [&str; 2], second: i64) -> NewDelivery {
    let mut one = scene.delivery(E::OrderPaid, services[0], second);
    let other = scene.delivery(E::OrderPaid, services[1], second);
    one.service_ids.extend(other.service_ids);
    one.runs.extend(other.runs);
    one.runs[1].order = one.runs[0].order;
    one
}

async fn a_crowd_of_all_kinds_is_kept_as_if_each_had_come_alone(on: Backend) {
    let mut scene = scene(on).await;
    let first = scene.accept(E::OrderPaid, "500", 1).await;
    let mut crowd: Vec<NewDelivery> = (510..530)
        .map(|service| scene.delivery(E::OrderPaid, &service.to_string(), 10))
        .collect();
    let mut due: Vec<RunId> = crowd.iter().map(|new| new.runs[0].id).collect();
    due.push(first);
    let clear = of_two(&mut scene, ["601", "602"], 10);
    due.extend(clear.runs.iter().map(|run| run.id));
    let half = of_two(&mut scene, ["603", "500"], 10);
    due.push(half.runs[0].id);
    let later = [
        scene.delivery(E::ServiceSuspended, "500", 20),
        scene.delivery(E::ServiceSuspended, "510", 20),
    ];
    let mut refused = scene.delivery(E::OrderPaid, "700", 10);
    refused.verdict = DeliveryVerdict::Rejected;
    (refused.cause, refused.dedupe) = (Some("no".to_owned()), None);
    refused.runs.clear();
    let mut copy = scene.delivery(E::OrderPaid, "529", 10);
    (copy.dedupe, copy.body) = (crowd[19].dedupe, crowd[19].body.clone());
    let blocked = [half.runs[1].id, later[0].runs[0].id, later[1].runs[0].id];
    crowd.extend([clear, half, refused]);
    let new = scene.delivery(E::OrderPaid, "530", 10);
    due.push(new.runs[0].id);
    crowd.extend(later);

    let keep = |new: &NewDelivery| scene.store.accept(new.clone());
    let receipts = futures_util::future::join_all(crowd.iter().map(keep)).await;
    assert!(
        receipts
            .iter()
            .all(|it| it.as_ref().is_ok_and(Receipt::is_stored)),
        "{receipts:?}"
    );
    // Both share a transaction, so the repetition must not cost the other its place.
    let (new, copy) = futures_util::future::join(keep(&new), keep(&copy)).await;
    let duplicate = Receipt::Duplicate {
        of: crowd[19].id,
        runs: vec![crowd[19].runs[0].id],
    };
    assert_eq!((new.unwrap(), copy.unwrap()), (Receipt::Stored, duplicate));
    let mut claimed = scene.due().await;
    claimed.sort_unstable();
    due.sort_unstable();
    assert_eq!(claimed, due);
    for run in blocked {
        assert_eq!(scene.status(run).await, "pending");
    }
}

on_every_backend! {
    a_crowd_of_all_kinds_is_kept_as_if_each_had_come_alone,
    the_event_that_occurred_first_is_next_whatever_came_first,
    with_equal_times_the_first_to_come_is_next,
    lanes_do_not_wait_for_each_other,
    an_older_event_does_not_pass_a_run_that_is_under_way_or_planned,
    a_paused_run_without_a_plan_is_asked_again_after_an_older_one_ended,
    a_termination_wakes_what_only_waits_or_is_paused_and_is_next_after_it,
    a_run_that_waits_or_pauses_after_a_termination_came_is_woken_at_once,
    an_older_termination_overtakes_nothing,
    a_replay_takes_the_place_of_its_paused_run_and_of_no_other,
    interventions_are_allowed_by_status_and_wake_or_end_the_run,
}
