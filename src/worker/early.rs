//! What came before the order of its service: an order looks for it when it is planned. This is the
//! net below, for what came in the very moment in which the order did. IO.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::execute::Engine;
use crate::store::StoreError;

/// How often services are looked for that are known by now.
const EVERY: Duration = Duration::from_secs(10);

/// Looks until `stop`.
pub async fn take_early(engine: Arc<Engine>, stop: CancellationToken) {
    let looking = async {
        loop {
            if let Err(error) = take_known(&engine).await {
                tracing::warn!(%error, "events that came before their orders cannot be read");
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::select! {
        () = looking => {}
        () = stop.cancelled() => {}
    }
}

/// Makes runs of what came early for services that are known by now.
pub async fn take_known(engine: &Engine) -> Result<(), StoreError> {
    for (source, service) in engine.store.early_known().await? {
        let now = engine.clock.now();
        engine.store.take_early(source, service, now).await?;
    }
    Ok(())
}
