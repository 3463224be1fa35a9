//! Tests of the store by its own interface: deliveries and their keys, claims and fences, writes.

use std::time::Duration;

use serde_json::json;

use super::tests_scene::{Backend, advance, on_every_backend, scene};
use super::{Intervened, Intervention, NewDelivery, Receipt, Recovery, Store, StoreError};
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, RunId};
use crate::domain::pause::PauseReason;
use crate::domain::run::RunStatus;
use crate::domain::state::ServiceStatus;
use crate::domain::step::{Step, StepAction};

async fn the_same_key_makes_a_duplicate_or_a_conflict_and_both_are_kept(on: Backend) {
    let mut scene = scene(on).await;
    let first = scene.delivery(EventType::OrderPaid, "501", 1);
    let mut again = scene.delivery(EventType::OrderPaid, "501", 1);
    (again.dedupe, again.body) = (first.dedupe, first.body.clone());
    let mut other = again.clone();
    (other.id, other.body) = (DeliveryId(scene.next()), b"another".to_vec());
    assert_eq!(
        scene.store.accept(first.clone()).await.unwrap(),
        Receipt::Stored
    );
    let duplicate = Receipt::Duplicate {
        of: first.id,
        runs: vec![first.runs[0].id],
    };
    assert_eq!(scene.store.accept(again.clone()).await.unwrap(), duplicate);
    assert_eq!(
        scene.store.accept(other.clone()).await.unwrap(),
        Receipt::Conflict { of: first.id }
    );
    for (id, verdict) in [
        (first.id, "accepted"),
        (again.id, "duplicate"),
        (other.id, "rejected"),
    ] {
        assert_eq!(
            scene.store.delivery(id).await.unwrap().unwrap().verdict,
            verdict
        );
    }
    assert_eq!(
        scene.due().await,
        [first.runs[0].id],
        "only the first makes a run"
    );
}

async fn copies_that_share_a_transaction_are_told_apart(on: Backend) {
    let mut scene = scene(on).await;
    let first = scene.delivery(EventType::OrderPaid, "501", 1);
    let copies: Vec<NewDelivery> = (0..20)
        .map(|_| {
            let mut copy = first.clone();
            copy.id = DeliveryId(scene.next());
            copy.runs[0].id = RunId(scene.next());
            copy
        })
        .collect();
    let sending = copies.into_iter().map(|copy| scene.store.accept(copy));
    let receipts = futures_util::future::join_all(sending).await;
    let stored = receipts
        .iter()
        .filter(|receipt| receipt.as_ref().is_ok_and(Receipt::is_stored))
        .count();
    assert_eq!((stored, scene.claim().await.len()), (1, 1));
}

async fn a_write_with_an_old_fence_changes_nothing(on: Backend) {
    let mut scene = scene(on).await;
    let run = scene.accept(EventType::OrderPaid, "501", 1).await;
    let old = scene.claim_one().await;
    scene.now = scene.now.plus(Duration::from_secs(601));
    let new = scene.claim_one().await;
    assert_eq!((new.id, new.fence), (run, old.fence + 1), "the lease ended");
    let patch = json!({"status": "active", "device_id": 7});
    let mut late = advance(&old, RunStatus::Succeeded, scene.now);
    late.service_patch = patch.clone();
    late.steps = vec![Step::new(1, StepAction::DeactivateClient)];
    assert!(!scene.write(late).await.applied);
    assert_eq!(scene.status(run).await, "running");
    assert!(scene.store.service("whmcs", "501").await.unwrap().is_none());
    assert!(
        scene
            .store
            .run(run)
            .await
            .unwrap()
            .unwrap()
            .steps
            .is_empty()
    );
    let mut right = advance(&new, RunStatus::Succeeded, scene.now);
    right.service_patch = patch;
    assert!(scene.write(right).await.applied);
    let state = scene
        .store
        .service("whmcs", "501")
        .await
        .unwrap()
        .unwrap()
        .state;
    assert_eq!(
        (state.status, state.device_id),
        (ServiceStatus::Active, Some(7))
    );
}

async fn an_old_claims_write_beside_the_new_ones_changes_nothing(on: Backend) {
    let mut scene = scene(on).await;
    scene.accept(EventType::OrderPaid, "501", 1).await;
    let old = scene.claim_one().await;
    scene.now = scene.now.plus(Duration::from_secs(601));
    let new = scene.claim_one().await;
    let (mut late, mut right) = (
        advance(&old, RunStatus::Running, scene.now),
        advance(&new, RunStatus::Running, scene.now),
    );
    for (write, device) in [(&mut late, 1), (&mut right, 2)] {
        write.due_at = Some(scene.now.plus(Duration::from_secs(600)));
        write.steps = vec![Step::new(1, StepAction::DeactivateClient)];
        write.service_patch = json!({"device_id": device});
    }
    let (late, right) = tokio::join!(scene.store.advance(late), scene.store.advance(right));
    assert!(!late.unwrap().applied && right.unwrap().applied);
    let state = scene.store.service("whmcs", "501").await.unwrap().unwrap();
    assert_eq!(state.state.device_id, Some(2));
}

async fn a_service_stays_with_the_customer_that_its_state_names(on: Backend) {
    let mut scene = scene(on).await;
    for (customer, patch) in [
        ("77", json!({"customer_id": "77", "status": "active"})),
        ("88", json!({"renewed_until": "2027-01-01"})),
    ] {
        scene.accept(EventType::ServiceRenewed, "501", 1).await;
        let run = scene.claim_one().await;
        let mut write = advance(&run, RunStatus::Succeeded, scene.now);
        write.customer_id = Some(customer.to_owned());
        write.service_patch = patch;
        scene.write(write).await;
    }
    let of = async |customer| scene.store.services_of("whmcs", customer).await.unwrap();
    assert_eq!((of("77").await.len(), of("88").await.len()), (1, 0));
}

async fn a_pause_is_told_to_whoever_takes_the_run_until_a_person_lets_it_go_on(on: Backend) {
    let mut scene = scene(on).await;
    let run = scene.accept(EventType::OrderPaid, "501", 1).await;
    let taken = scene.claim_one().await;
    assert_eq!(taken.paused, None);
    let mut pause = advance(&taken, RunStatus::Paused, scene.now);
    pause.pause_reason = Some(PauseReason::UnknownOutcome.name());
    pause.error = Some("nobody knows".to_owned());
    pause.planned = true;
    scene.write(pause).await;
    // A termination wakes it to make it give way.
    scene.accept(EventType::ServiceTerminated, "501", 2).await;
    let woken = scene.claim_one().await;
    assert_eq!(woken.id, run);
    let why = (PauseReason::UnknownOutcome, "nobody knows".to_owned());
    assert_eq!(woken.paused, Some(why));
    let mut again = advance(&woken, RunStatus::Paused, scene.now);
    again.pause_reason = Some(PauseReason::UnknownOutcome.name());
    scene.write(again).await;
    let retry = scene
        .store
        .intervene(run, Intervention::Retry, scene.now)
        .await;
    assert_eq!(retry.unwrap(), Intervened::Done);
    assert_eq!(scene.claim_one().await.paused, None);
}

async fn a_run_is_taken_by_one_worker_and_again_only_after_its_lease(on: Backend) {
    let mut scene = scene(on).await;
    scene.accept(EventType::OrderPaid, "501", 1).await;
    assert_eq!(scene.claim().await.len(), 1);
    assert_eq!(scene.claim().await.len(), 0);
    scene.now = scene.now.plus(Duration::from_secs(599));
    assert_eq!(scene.claim().await.len(), 0);
    scene.now = scene.now.plus(Duration::from_secs(2));
    assert_eq!(scene.claim().await.len(), 1);
}

async fn a_patch_with_nulls_makes_a_state_that_can_be_read_whether_it_is_new_or_not(on: Backend) {
    let mut scene = scene(on).await;
    let patch =
        json!({"status": "terminated", "ip": null, "licenses_suspended": null, "licenses": null});
    for _ in 0..2 {
        scene.accept(EventType::ServiceTerminated, "501", 1).await;
        let run = scene.claim_one().await;
        let mut write = advance(&run, RunStatus::Succeeded, scene.now);
        write.service_patch = patch.clone();
        write.customer_patch = json!({"hivelocity_client_id": null});
        scene.write(write).await;
        let state = scene
            .store
            .service("whmcs", "501")
            .await
            .expect("the state can be read")
            .unwrap()
            .state;
        assert_eq!(
            (state.status, state.licenses),
            (ServiceStatus::Terminated, Vec::new())
        );
        scene.store.customer("whmcs", "77").await.unwrap();
    }
}

async fn what_a_stop_cut_off_is_due_at_the_next_start_and_what_waits_keeps_its_time(on: Backend) {
    let mut scene = scene(on).await;
    let cut_off = scene.accept(EventType::OrderPaid, "501", 1).await;
    let waiting = scene.accept(EventType::OrderPaid, "502", 1).await;
    let claimed = scene.claim().await;
    let mut wait = advance(&claimed[1], RunStatus::Waiting, scene.now);
    wait.due_at = Some(scene.now.plus(Duration::from_secs(50)));
    scene.write(wait).await;
    let mut scene = scene.reopen().await;
    assert_eq!(scene.due().await, [], "the lease still holds");
    assert_eq!(
        scene
            .store
            .recover(Recovery::StartAlone, scene.now)
            .await
            .unwrap(),
        1
    );
    assert_eq!(scene.due().await, [cut_off]);
    scene.now = scene.now.plus(Duration::from_secs(51));
    assert_eq!(scene.due().await, [waiting]);
}

async fn what_a_clock_that_was_ahead_put_off_for_years_is_due_at_the_next_start(on: Backend) {
    let mut scene = scene(on).await;
    let put_off = scene.accept(EventType::OrderPaid, "501", 1).await;
    let claimed = scene.claim().await;
    let mut wait = advance(&claimed[0], RunStatus::Waiting, scene.now);
    wait.due_at = Some(scene.now.plus(Duration::from_hours(24 * 400)));
    scene.write(wait).await;
    let scene = scene.reopen().await;
    assert_eq!(scene.due().await, []);
    for start in [Recovery::StartBesideOthers, Recovery::StartAlone] {
        scene.store.recover(start, scene.now).await.unwrap();
    }
    assert_eq!(scene.due().await, [put_off]);
}

#[tokio::test]
async fn a_store_is_served_by_one_process_and_opened_by_its_address_alone() {
    let scene = scene(Backend::Database).await;
    if !scene.store.is_shared() {
        let url = &scene.database.as_ref().unwrap().url;
        let second = Store::open(url).await;
        assert!(matches!(second, Err(StoreError::InUse(_))), "{second:?}");
    }
    for wrong in [
        "postgres://[",
        "sqlite://",
        "sqlite://:memory:",
        "file.db",
        "sqlite://a?mode=ro",
    ] {
        assert!(
            matches!(Store::open(wrong).await, Err(StoreError::Address(_))),
            "{wrong}"
        );
    }
    let scene = scene.reopen().await;
    scene.store.reachable().await.unwrap();
}

/// Two processes on one database; on `SQLite`, which only one opens, the one twice.
#[tokio::test]
async fn two_that_receive_the_same_lanes_and_the_same_deliveries_make_one_run_due_in_each_lane() {
    let mut scene = scene(Backend::Database).await;
    let second = match &scene.database {
        Some(database) if scene.store.is_shared() => {
            Some(Store::open(&database.url).await.unwrap())
        }
        _ => None,
    };
    let other = second
        .as_ref()
        .map_or(&scene.store, |(store, _)| store)
        .clone();
    let mut crowd = Vec::new();
    for service in 0..40 {
        let service = service.to_string();
        crowd.push(scene.delivery(EventType::OrderPaid, &service, 1));
        crowd.push(scene.delivery(EventType::ServiceSuspended, &service, 2));
    }
    let copies = crowd.iter().rev().map(|new| {
        let mut copy = new.clone();
        copy.id = DeliveryId(new.id.0 + 1_000);
        copy.runs[0].id = RunId(new.runs[0].id.0 + 1_000);
        copy.runs[0].order.origin = copy.id;
        copy
    });
    let sending = copies.map(|copy| other.accept(copy));
    let (one, two) = futures_util::future::join(
        futures_util::future::join_all(
            crowd.clone().into_iter().map(|new| scene.store.accept(new)),
        ),
        futures_util::future::join_all(sending),
    )
    .await;
    let stored = one.iter().chain(&two);
    let stored = stored.filter(|receipt| receipt.as_ref().is_ok_and(Receipt::is_stored));
    assert_eq!(stored.count(), 80);
    assert!(one.iter().chain(&two).all(Result::is_ok));
    for kind in [EventType::OrderPaid, EventType::ServiceSuspended] {
        let due = scene.claim().await;
        assert_eq!(due.len(), 40);
        for run in due {
            assert_eq!(run.kind, kind);
            scene
                .write(advance(&run, RunStatus::Succeeded, scene.now))
                .await;
        }
    }
    drop(other);
    if let Some((store, guard)) = second {
        drop(store);
        guard.closed().await;
    }
}

on_every_backend! {
    the_same_key_makes_a_duplicate_or_a_conflict_and_both_are_kept,
    copies_that_share_a_transaction_are_told_apart,
    a_write_with_an_old_fence_changes_nothing,
    an_old_claims_write_beside_the_new_ones_changes_nothing,
    a_service_stays_with_the_customer_that_its_state_names,
    a_pause_is_told_to_whoever_takes_the_run_until_a_person_lets_it_go_on,
    a_run_is_taken_by_one_worker_and_again_only_after_its_lease,
    a_patch_with_nulls_makes_a_state_that_can_be_read_whether_it_is_new_or_not,
    what_a_stop_cut_off_is_due_at_the_next_start_and_what_waits_keeps_its_time,
    what_a_clock_that_was_ahead_put_off_for_years_is_due_at_the_next_start,
}
