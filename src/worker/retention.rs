//! Letting go of old deliveries, slowly: a few now, a pause, the next few. IO.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::kept::{self, Seen};
use crate::domain::time::{Clock, Timestamp};
use crate::store::{Store, StoreError};

/// How often the store's time is carried on: a process that ends loses as much of it at most.
const CARRY_ON_EVERY: Duration = Duration::from_mins(5);
/// Once in so many of that it is looked whether something has become old.
const LOOK_EVERY: u32 = 12;
/// The pause between one transaction and the next; others come first.
const PAUSE: Duration = Duration::from_millis(50);

/// Lets go of what came and ended longer than `age` ago, until `stop`.
pub async fn let_go(store: Store, clock: Arc<dyn Clock>, age: Duration, stop: CancellationToken) {
    let mut history = History {
        store,
        clock,
        age,
        measured: None,
        warned: false,
    };
    let letting_go = async {
        for look in (0..LOOK_EVERY).cycle() {
            match history.look(look == 0).await {
                Ok(0) => {}
                Ok(gone) => tracing::info!(deliveries = gone, "old deliveries were let go"),
                Err(error) => tracing::warn!(%error, "old deliveries could not be let go"),
            }
            tokio::time::sleep(CARRY_ON_EVERY).await;
        }
    };
    tokio::select! {
        () = letting_go => {}
        () = stop.cancelled() => {}
    }
}

struct History {
    store: Store,
    clock: Arc<dyn Clock>,
    age: Duration,
    /// The store's time at the last look, and when that was by the steady clock.
    measured: Option<(Timestamp, Instant)>,
    warned: bool,
}

impl History {
    /// Carries the store's time on and, where it is time for that, lets go; answers of how much.
    async fn look(&mut self, sweeps: bool) -> Result<usize, StoreError> {
        let looked = Instant::now();
        let now = self.clock.now();
        let measured = self.measured.map(|(then, at)| then.plus(looked - at));
        let lived = self.store.lived(Seen { now, measured }).await?;
        self.measured = Some((lived, Instant::now()));
        if let Some(ahead) = kept::far_ahead(lived, now).filter(|_| !self.warned) {
            self.warned = true;
            let days = ahead.as_secs() / 86_400;
            tracing::warn!(
                days,
                clock = %now,
                "the clock is ahead of the time that this store has been served: nothing is let go \
                 before it was kept for store.retention of that time; if the clock is wrong, set it"
            );
        }
        if !sweeps {
            return Ok(0);
        }
        self.sweep(kept::old_before(lived, now, self.age)).await
    }

    async fn sweep(&self, before: Timestamp) -> Result<usize, StoreError> {
        let (mut after, mut gone) = (Some(0), 0);
        while let Some(last) = after {
            let retained = self.store.retain(before, last).await?;
            gone += retained.gone;
            after = retained.after;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(gone)
    }
}
