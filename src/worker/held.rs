//! The runs in this worker's hands, and keeping their leases from ending while it has them. IO.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::id::RunId;
use crate::domain::lease::Lease;
use crate::execute::Engine;
use crate::store::Held;

/// How often it is looked whether the last run has ended, once the worker stops.
const AT_THE_END: Duration = Duration::from_millis(50);

/// The runs that are being carried out here.
#[derive(Debug, Default)]
pub(super) struct HeldRuns(Mutex<HashMap<RunId, (i64, Arc<Lease>)>>);

impl HeldRuns {
    pub(super) fn add(&self, held: Held, lease: &Arc<Lease>) {
        if let Ok(mut runs) = self.0.lock() {
            runs.insert(held.run, (held.fence, Arc::clone(lease)));
        }
    }

    pub(super) fn remove(&self, held: Held) {
        if let Ok(mut runs) = self.0.lock()
            && runs
                .get(&held.run)
                .is_some_and(|(fence, _)| *fence == held.fence)
        {
            runs.remove(&held.run);
        }
    }

    fn all(&self) -> Vec<(Held, Arc<Lease>)> {
        let Ok(runs) = self.0.lock() else {
            return Vec::new();
        };
        let held = |(run, (fence, lease)): (&RunId, &(i64, Arc<Lease>))| {
            let held = Held {
                run: *run,
                fence: *fence,
            };
            (held, Arc::clone(lease))
        };
        runs.iter().map(held).collect()
    }
}

/// Extends the leases of held runs until `stop`, and after it for as long as there are any.
pub(super) async fn keep_leases(engine: Arc<Engine>, runs: Arc<HeldRuns>, stop: CancellationToken) {
    // Three chances before a lease ends.
    let pause = engine.lease / 3;
    let mut last = Instant::now();
    loop {
        if stop.is_cancelled() {
            tokio::time::sleep(AT_THE_END).await;
        } else {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        let held = runs.all();
        if held.is_empty() && stop.is_cancelled() {
            return;
        }
        if !held.is_empty() && last.elapsed() >= pause {
            last = Instant::now();
            extend(&engine, held).await;
        }
    }
}

/// Extends the leases at once where one has ended by the clock although its run is in hand: the
/// clock was set forward, or this process stood still. Else it would take its own runs from
/// itself, and a request under way would count as unclear.
pub(super) async fn renew_ended(engine: &Engine, runs: &HeldRuns) {
    let (held, now) = (runs.all(), engine.clock.now());
    if held.iter().any(|(_, lease)| lease.has_run_out(now)) {
        extend(engine, held).await;
    }
}

async fn extend(engine: &Engine, held: Vec<(Held, Arc<Lease>)>) {
    // Measured from before the question: the lease never seems longer than it is.
    let until = engine.clock.now().plus(engine.lease);
    let asked = held.iter().map(|(held, _)| *held).collect();
    match engine.store.extend(asked, until).await {
        Ok(kept) => {
            for (held, lease) in held {
                if kept.contains(&held.run.0) {
                    lease.extend(until);
                } else {
                    // Somebody else has it, or ended it: nothing more is sent.
                    lease.lose();
                }
            }
        }
        Err(error) => tracing::warn!(%error, "leases could not be extended"),
    }
}
