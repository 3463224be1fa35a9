//! Whether a source's platform takes reports, for whoever tests its connection and waits. IO.

use std::time::Duration;

use serde_json::{Value, json};

use super::Web;
use crate::report::WayBack;

/// The longest that a platform is waited for: people sit in front of it.
const LONGEST: Duration = Duration::from_secs(10);

/// Tries the way back of a source and says what came of it.
pub(super) async fn tried(web: &Web, source: &str, wait: Duration) -> Value {
    let trying = web.reports.probe(source, wait.min(LONGEST));
    let found = tokio::select! {
        biased;
        found = trying => Some(found),
        () = web.stopping.cancelled() => None,
    };
    match found {
        Some(WayBack::NotConfigured) => shown(false, None, None),
        Some(WayBack::Works) => shown(true, Some(true), None),
        Some(WayBack::Fails(error)) => shown(true, Some(false), Some(&error)),
        None => shown(true, None, Some("Billhook is stopping; try again")),
    }
}

fn shown(configured: bool, ok: Option<bool>, error: Option<&str>) -> Value {
    json!({"configured": configured, "ok": ok, "error": error})
}
