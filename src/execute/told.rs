//! What attempts and runs say of themselves, in the journal and in the log.

use crate::domain::outcome::Outcome;
use crate::domain::pause::PauseReason;
use crate::domain::run::RunStatus;
use crate::plan::Plan;
use crate::store::Claimed;

use super::pending::Stand;

/// Why an attempt did not succeed; none when nothing is wrong.
pub(super) fn why(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Done(_) | Outcome::AlreadySo(_) | Outcome::NotYet { .. } | Outcome::Prepared => {
            None
        }
        Outcome::NeedsPerson(decision) => Some(decision.sentence.clone()),
        Outcome::Absent => Some("the mark is not there".to_owned()),
        Outcome::Held(away) => away.error.clone(),
        Outcome::Rejected(error)
        | Outcome::Ambiguous(error)
        | Outcome::Unavailable { error, .. } => Some(error.clone()),
    }
}

/// What the log says of a plan that leaves aside what its event asks for.
pub(super) fn log_notes(run: &Claimed, plan: &Plan) {
    if plan.aside.is_empty() {
        return;
    }
    let service = run.service_id.as_deref().unwrap_or("-");
    tracing::warn!(
        run = %run.id, event = %run.kind, source = run.source, service,
        note = plan.notes.join("; "), "a run leaves aside what its event asks for"
    );
}

/// What the log says of a run that stops.
pub(super) fn log(run: &Claimed, stand: &Stand) {
    let service = run.service_id.as_deref().unwrap_or("-");
    match stand.status {
        RunStatus::Paused => tracing::warn!(
            run = %run.id, event = %run.kind, source = run.source, service,
            reason = stand.pause_reason.map_or("", PauseReason::name),
            error = stand.error.as_deref().unwrap_or_default(), "a run needs a person"
        ),
        RunStatus::Succeeded | RunStatus::Superseded | RunStatus::Cancelled => tracing::info!(
            run = %run.id, event = %run.kind, source = run.source, service,
            status = %stand.status, "a run ended"
        ),
        RunStatus::Pending | RunStatus::Running | RunStatus::Waiting => {}
    }
}
