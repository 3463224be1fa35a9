//! Letting go of old deliveries, slowly: a few now, a pause, the next few. IO.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::time::Clock;
use crate::store::{Store, StoreError};

/// How often it is looked whether something has become old.
const EVERY: Duration = Duration::from_hours(1);
/// The pause between one transaction and the next; others come first.
const PAUSE: Duration = Duration::from_millis(50);

/// Lets go of what came and ended longer than `age` ago, until `stop`.
pub async fn let_go(store: Store, clock: Arc<dyn Clock>, age: Duration, stop: CancellationToken) {
    let letting_go = async {
        loop {
            match sweep(&store, &*clock, age).await {
                Ok(0) => {}
                Ok(gone) => tracing::info!(deliveries = gone, "old deliveries were let go"),
                Err(error) => tracing::warn!(%error, "old deliveries could not be let go"),
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::select! {
        () = letting_go => {}
        () = stop.cancelled() => {}
    }
}

async fn sweep(store: &Store, clock: &dyn Clock, age: Duration) -> Result<usize, StoreError> {
    let before = clock.now().minus(age);
    let (mut after, mut gone) = (Some(0), 0);
    while let Some(last) = after {
        let retained = store.retain(before, last).await?;
        gone += retained.gone;
        after = retained.after;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(gone)
}
