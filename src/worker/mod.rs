//! The one claim loop: takes what is due, carries it out beside its neighbours, sleeps until the
//! next due time or until somebody wakes it. IO.

mod alerts;
mod early;
mod held;
mod refusals;
mod retention;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::execute::Engine;
use crate::store::{Held, StoreError};

pub use alerts::tell;
pub use early::take_early;
#[cfg(test)]
pub use early::take_known;
use held::HeldRuns;
pub use retention::let_go;

/// How long to wait before asking a store again that did not answer.
const AFTER_AN_ERROR: Duration = Duration::from_secs(1);
/// The longest sleep: what a lost wake-up could cost at most.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// The same where other processes write, too, whose word may be lost with a connection.
const LONGEST_SLEEP_SHARED: Duration = Duration::from_secs(1);

/// Claims and carries out runs until `stop`; what is under way then is in `running`.
pub async fn work(
    engine: Arc<Engine>,
    concurrency: usize,
    stop: CancellationToken,
    running: TaskTracker,
) {
    let worker = Worker {
        slots: Arc::new(Semaphore::new(concurrency)),
        held: Arc::new(HeldRuns::default()),
        running,
        engine,
    };
    // Runs that go on after the stop keep their leases until they end.
    worker.running.spawn(held::keep_leases(
        Arc::clone(&worker.engine),
        Arc::clone(&worker.held),
        stop.clone(),
    ));
    worker.claim_until(&stop).await;
}

struct Worker {
    engine: Arc<Engine>,
    slots: Arc<Semaphore>,
    held: Arc<HeldRuns>,
    running: TaskTracker,
}

impl Worker {
    async fn claim_until(&self, stop: &CancellationToken) {
        let mut said = false;
        loop {
            // Waits for a free slot; a round itself is never cut off, or its claims would be lost.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                slot = self.slots.acquire() => drop(slot),
            }
            let round = self.one_round().await;
            let failed_before = std::mem::replace(&mut said, round.is_err());
            match round {
                Ok(None) => {}
                Ok(Some(sleep)) => {
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = self.engine.store.something_due() => {}
                        () = tokio::time::sleep(sleep) => {}
                    }
                }
                Err(error) => {
                    // It is asked every second, and said once.
                    if !failed_before {
                        tracing::error!(%error, "no runs can be taken from the store");
                    }
                    tokio::time::sleep(AFTER_AN_ERROR).await;
                }
            }
        }
    }

    /// Takes what is due now; answers how long nothing will be, if nothing was.
    async fn one_round(&self) -> Result<Option<Duration>, StoreError> {
        let engine = &self.engine;
        let longest = if engine.store.is_shared() {
            LONGEST_SLEEP_SHARED
        } else {
            LONGEST_SLEEP
        };
        let now = engine.clock.now();
        match engine.store.next_due().await? {
            Some(due) if due <= now => {}
            Some(due) => return Ok(Some(due.since(now).min(longest))),
            None => return Ok(Some(longest)),
        }
        held::renew_ended(engine, &self.held).await;
        let free = self.slots.available_permits();
        let claimed = engine
            .store
            .claim(free, now, now.plus(engine.lease))
            .await?;
        if claimed.is_empty() {
            // Another process was faster, or has it in hand at this moment.
            return Ok(Some(Duration::from_millis(20)));
        }
        for run in claimed {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
                continue;
            };
            let held = Held {
                run: run.id,
                fence: run.fence,
            };
            self.held.add(held, &run.lease);
            let (engine, all) = (Arc::clone(engine), Arc::clone(&self.held));
            self.running.spawn(async move {
                let driven = engine.drive(run).await;
                all.remove(held);
                if let Err(error) = driven {
                    tracing::error!(run = %held.run, %error, "a run could not be written; it is given back");
                    give_back(&engine, held).await;
                }
                drop(slot);
            });
        }
        Ok(None)
    }
}

/// Gives a run back whose state could not be written, as soon as the store writes again. If the
/// process ends first, the next start finds the run, or another process once its lease is over.
async fn give_back(engine: &Engine, held: Held) {
    while !engine.stopping.is_cancelled() {
        tokio::time::sleep(AFTER_AN_ERROR).await;
        if engine
            .store
            .give_back(held, engine.clock.now())
            .await
            .is_ok()
        {
            return;
        }
    }
}
