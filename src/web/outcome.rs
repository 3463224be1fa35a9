//! What became of a delivery's runs, for whoever waits for it (`Prefer: wait`).

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::id::{DeliveryId, RunId};
use crate::domain::lane;
use crate::domain::pause::PauseReason;
use crate::domain::run::RunStatus;
use crate::store::RunSummary;

use super::Web;

/// How soon a run is looked at again that another process may settle.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The runs with what became of them once all of them settled; none if the time is up first.
pub(super) async fn all(web: &Web, runs: &[RunId], wait: Duration) -> Option<Vec<Value>> {
    let all = async {
        let mut shown = Vec::with_capacity(runs.len());
        for run in runs {
            shown.push(settled(web, *run).await?);
        }
        Some(shown)
    };
    tokio::select! {
        shown = tokio::time::timeout(wait, all) => shown.ok().flatten(),
        () = web.stopping.cancelled() => None,
    }
}

async fn settled(web: &Web, id: RunId) -> Option<Value> {
    loop {
        // The waiting room first, the row second: a run that settles in between is seen.
        let watch = web.store.outcomes().watch(id);
        let (status, _) = web.store.run_status(id).await.ok().flatten()?;
        let status: RunStatus = status.parse().ok()?;
        if status.is_settled() {
            let run = web.store.run(id).await.ok().flatten()?.run;
            return Some(shown(&run));
        }
        // A closed room only means that somebody else's run settled meanwhile: look again.
        // Word from another process may be lost with a connection.
        let patience = web.store.is_shared().then_some(LOOK_AGAIN);
        let _ = tokio::time::timeout(patience.unwrap_or(Duration::MAX), watch).await;
    }
}

fn shown(run: &RunSummary) -> Value {
    let mut shown = json!({
        "id": run.id,
        "status": run.status,
        "error": run.error,
        "waiting_for": run.waiting_for,
        "next": next(run),
    });
    if let Some(note) = &run.note {
        shown["note"] = note.as_str().into();
    }
    if run.dry_run {
        shown["dry_run"] = true.into();
    }
    shown
}

/// What a person can do about a run that asks for one.
pub(super) fn next(run: &RunSummary) -> Option<String> {
    let paused = run.status == RunStatus::Paused.name();
    let reason = run.pause_reason.as_deref().filter(|_| paused);
    let reason = reason.and_then(PauseReason::from_name)?;
    Some(reason.next(&run.id.to_string()))
}

/// What a run has to wait behind that cannot begin.
pub(super) async fn blocked_by(web: &Web, runs: &[RunId]) -> Option<Value> {
    for id in runs {
        if let Some(blocker) = behind(web, *id).await {
            return Some(blocker);
        }
    }
    None
}

/// The run of its lane that one has to wait behind, with where that stands.
pub(super) async fn behind(web: &Web, id: RunId) -> Option<Value> {
    let own = web.store.run(id).await.ok().flatten()?.run;
    let lane = web.store.members(&own.lane).await.ok()?;
    let blocker = lane::blocker(&lane, id)?;
    let blocker = web.store.run(blocker).await.ok().flatten()?.run;
    let reason = blocker.error.as_ref().or(blocker.waiting_for.as_ref());
    let reason = reason
        .cloned()
        .unwrap_or_else(|| format!("it is {}", blocker.status));
    Some(json!({"run": blocker.id, "status": blocker.status, "reason": reason}))
}

/// The answer to whoever waited.
pub(super) fn waited(delivery: DeliveryId, runs: &[Value]) -> Value {
    let any = |wanted: &str| {
        runs.iter()
            .any(|run| run.get("status").is_some_and(|is| is == wanted))
    };
    let status = if any("paused") {
        "paused"
    } else if any("cancelled") {
        "cancelled"
    } else {
        "succeeded"
    };
    json!({"delivery_id": delivery, "status": status, "runs": runs})
}
