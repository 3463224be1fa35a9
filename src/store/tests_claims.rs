//! Tests of the customer's claim: who may change what a customer's services share.

use std::time::Duration;

use super::tests_scene::{Backend, acquiring, advance, on_every_backend, scene};
use super::{ClaimChange, Intervened, Intervention, NewRun};
use crate::domain::event::EventType;
use crate::domain::id::RunId;
use crate::domain::run::RunStatus;

async fn one_run_has_the_customers_claim_and_the_next_is_woken_when_it_is_given_back(on: Backend) {
    let mut scene = scene(on).await;
    let first = scene.accept(EventType::OrderPaid, "501", 1).await;
    let second = scene.accept(EventType::OrderPaid, "502", 1).await;
    let claimed = scene.claim().await;
    assert_eq!(
        claimed.iter().map(|run| run.id).collect::<Vec<_>>(),
        [first, second]
    );
    assert!(scene.write(acquiring(&claimed[0], scene.now)).await.claimed);
    let refused = scene.write(acquiring(&claimed[1], scene.now)).await;
    assert!(refused.applied && !refused.claimed);
    assert_eq!(scene.status(second).await, "waiting");
    assert!(
        scene
            .store
            .run(second)
            .await
            .unwrap()
            .unwrap()
            .steps
            .is_empty(),
        "its step has not begun"
    );
    assert_eq!(scene.due().await, [], "it is not polled for");
    let mut release = advance(&claimed[0], RunStatus::Running, scene.now);
    release.claim = ClaimChange::Release;
    release.due_at = Some(scene.now.plus(Duration::from_mins(10)));
    scene.write(release).await;
    let again = scene.claim_one().await;
    assert_eq!(again.id, second);
    assert!(scene.write(acquiring(&again, scene.now)).await.claimed);
}

async fn a_claim_ends_with_its_run_however_that_ends(on: Backend) {
    for cancelled in [false, true] {
        let mut scene = scene(on).await;
        let first = scene.accept(EventType::OrderPaid, "501", 1).await;
        let second = scene.accept(EventType::OrderPaid, "502", 1).await;
        let claimed = scene.claim().await;
        scene.write(acquiring(&claimed[0], scene.now)).await;
        scene.write(acquiring(&claimed[1], scene.now)).await;
        if cancelled {
            // A call is under way: what it makes would be nobody's.
            let too_early = scene
                .store
                .intervene(first, Intervention::Cancel, scene.now)
                .await
                .unwrap();
            assert_eq!(too_early, Intervened::Unclear);
            // Its worker may go on until the lease ends, and what it sent may take effect later still.
            scene.now = scene.now.plus(Duration::from_mins(13));
            let done = scene
                .store
                .intervene(first, Intervention::Cancel, scene.now)
                .await
                .unwrap();
            assert_eq!(done, Intervened::Done);
        } else {
            scene
                .write(advance(&claimed[0], RunStatus::Superseded, scene.now))
                .await;
        }
        assert_eq!(scene.due().await, [second], "cancelled: {cancelled}");
    }
}

async fn a_replay_takes_the_claim_of_the_paused_run_that_it_replaces(on: Backend) {
    let mut scene = scene(on).await;
    let delivery = scene.delivery(EventType::OrderPaid, "501", 1);
    scene.store.accept(delivery.clone()).await.unwrap();
    let run = scene.claim_one().await;
    scene.write(acquiring(&run, scene.now)).await;
    scene
        .write(advance(&run, RunStatus::Paused, scene.now))
        .await;
    let replayed = NewRun {
        id: RunId(scene.next()),
        replay_of: Some(run.id.0),
        ..delivery.runs[0].clone()
    };
    scene
        .store
        .replay(
            delivery.id,
            "whmcs".to_owned(),
            vec![replayed.clone()],
            scene.now,
        )
        .await
        .unwrap();
    assert_eq!(
        scene.due().await,
        [],
        "what the paused run sent may still take effect"
    );
    // Its worker may go on until the lease ends, and what it sent may take effect later still.
    scene.now = scene.now.plus(Duration::from_mins(13));
    let again = scene.claim_one().await;
    assert_eq!(again.id, replayed.id);
    assert!(
        scene.write(acquiring(&again, scene.now)).await.claimed,
        "the paused run will never go on"
    );
    assert_eq!(scene.status(run.id).await, "superseded");
}

on_every_backend! {
    one_run_has_the_customers_claim_and_the_next_is_woken_when_it_is_given_back,
    a_claim_ends_with_its_run_however_that_ends,
    a_replay_takes_the_claim_of_the_paused_run_that_it_replaces,
    whoever_has_the_claim_keeps_it_when_others_ask_at_the_same_moment,
}

async fn whoever_has_the_claim_keeps_it_when_others_ask_at_the_same_moment(on: Backend) {
    let mut scene = scene(on).await;
    for service in ["501", "502", "503"] {
        scene.accept(EventType::OrderPaid, service, 1).await;
    }
    let claimed = scene.claim().await;
    assert!(scene.write(acquiring(&claimed[2], scene.now)).await.claimed);
    let all = claimed
        .iter()
        .map(|run| scene.write(acquiring(run, scene.now)));
    let answers = futures_util::future::join_all(all).await;
    let had: Vec<bool> = answers.iter().map(|answer| answer.claimed).collect();
    assert_eq!(had, [false, false, true]);
}
