//! Telling people of paused runs and of suppliers that refuse the account: what the store kept for them is posted until somebody heard it.
//! IO.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::execute::Engine;
use crate::store::{Alert, StoreError};
use crate::upstream::Herald;

use super::refusals::Noted;

/// How often it is looked whether there is something to tell.
const EVERY: Duration = Duration::from_secs(1);
/// How long one process has an alert to itself.
const HOLD: Duration = Duration::from_mins(2);
/// The longest pause before an alert is told again.
const LONGEST: Duration = Duration::from_mins(15);

/// Tells until `stop`. What could not be told stays and is told again.
pub async fn tell(engine: Arc<Engine>, herald: Herald, stop: CancellationToken) {
    let telling = async {
        let mut noted = Noted::default();
        loop {
            if let Err(error) = noted.changes(&engine).await {
                tracing::warn!(%error, "a supplier's refusal cannot be noted for an alert");
            }
            if let Err(error) = one_round(&engine, &herald).await {
                tracing::warn!(%error, "alerts cannot be read");
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::select! {
        () = telling => {}
        () = stop.cancelled() => {}
    }
}

async fn one_round(engine: &Engine, herald: &Herald) -> Result<(), StoreError> {
    let now = engine.clock.now();
    if engine.store.next_alert().await?.is_none_or(|due| due > now) {
        return Ok(());
    }
    for alert in engine.store.take_alerts(now, now.plus(HOLD)).await? {
        let now = engine.clock.now();
        let again = match herald.tell(&alert.doc, now, &*engine.entropy).await {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(run = %alert.run, error, "an alert could not be delivered");
                Some(now.plus(pause(&alert)))
            }
        };
        engine.store.alert_told(alert, again).await?;
    }
    Ok(())
}

fn pause(alert: &Alert) -> Duration {
    let doubled = 2_u32.saturating_pow(alert.attempts.min(16));
    Duration::from_secs(1).saturating_mul(doubled).min(LONGEST)
}
