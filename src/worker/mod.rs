//! The one claim loop: takes what is due, carries it out beside its neighbours, sleeps until the
//! next due time or until somebody wakes it. IO.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::id::RunId;
use crate::execute::{Engine, LEASE};
use crate::store::StoreError;

/// How long to wait before asking a store again that did not answer.
const AFTER_AN_ERROR: Duration = Duration::from_secs(1);
/// The longest sleep: what a lost wake-up could cost at most.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// Claims and carries out runs until `stop`; what is under way then is in `running`.
pub async fn work(
    engine: Arc<Engine>,
    concurrency: usize,
    stop: CancellationToken,
    running: TaskTracker,
) {
    let slots = Arc::new(Semaphore::new(concurrency));
    loop {
        // Waits for a free slot; a round itself is never cut off, or its claims would be lost.
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            slot = slots.acquire() => drop(slot),
        }
        match one_round(&engine, &slots, &running).await {
            Ok(None) => {}
            Ok(Some(sleep)) => {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = engine.store.something_due() => {}
                    () = tokio::time::sleep(sleep) => {}
                }
            }
            Err(error) => {
                tracing::error!(%error, "no runs can be taken from the store");
                tokio::time::sleep(AFTER_AN_ERROR).await;
            }
        }
    }
}

/// Gives a run back whose state could not be written, as soon as the store writes again. If the
/// process ends first, the next start finds the run.
async fn give_back(engine: &Engine, run: RunId, fence: i64) {
    while !engine.stopping.is_cancelled() {
        tokio::time::sleep(AFTER_AN_ERROR).await;
        if engine
            .store
            .give_back(run, fence, engine.clock.now())
            .await
            .is_ok()
        {
            return;
        }
    }
}

/// Takes what is due now; answers how long nothing will be, if nothing was.
async fn one_round(
    engine: &Arc<Engine>,
    slots: &Arc<Semaphore>,
    running: &TaskTracker,
) -> Result<Option<Duration>, StoreError> {
    let now = engine.clock.now();
    match engine.store.next_due().await? {
        Some(due) if due <= now => {}
        Some(due) => return Ok(Some(due.since(now).min(LONGEST_SLEEP))),
        None => return Ok(Some(LONGEST_SLEEP)),
    }
    let claimed = engine
        .store
        .claim(slots.available_permits(), now, now.plus(LEASE))
        .await?;
    for run in claimed {
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else {
            continue;
        };
        let engine = Arc::clone(engine);
        running.spawn(async move {
            let (id, fence) = (run.id, run.fence);
            if let Err(error) = engine.drive(run).await {
                tracing::error!(run = %id, %error, "a run could not be written; it is given back");
                give_back(&engine, id, fence).await;
            }
            drop(slot);
        });
    }
    Ok(None)
}
