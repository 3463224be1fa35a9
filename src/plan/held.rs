//! What becomes of a step whose upstream is left alone for now: it waits, and nothing is counted.
//! Pure.
//!
//! A supplier that is down fails every step alike. If that were counted, an hour's outage would
//! spend the attempts of every run, and a person would have to set each going again.

use crate::domain::{Away, Because, Outcome, Rank, Repeat, Step, StepStatus, Timestamp};

use super::settle::{SHORTEST, Settled, at};
use super::words::upstream;

/// The step that cannot begin, or whose attempt came to nothing, because its upstream is away.
pub fn held(mut step: Step, away: &Away, now: Timestamp) -> Settled {
    let unclear = step.unknown_since.is_some();
    let delay = away.until.since(now).max(SHORTEST);
    if unclear && away.because.is_outage() && step.action.repeat() == Repeat::Create {
        // Nobody knows what it does until then (an account that is refused may have its orders
        // stand still), so this time does not prove that nothing was created. One that is only busy
        // goes on with what it took.
        step.unknown_since = Some(now.plus(delay));
    }
    if away.because != Because::Asked {
        step.limited_since = None;
    }
    // Nor was it the step that took so long.
    step.began_at = step.began_at.map(|_| now);
    step.status = match step.status {
        StepStatus::Running if unclear => StepStatus::Unknown,
        StepStatus::Running => StepStatus::Waiting,
        other => other,
    };
    step.error = away.error.clone().or(step.error);
    let waiting_for = words(&step, away.because, now.plus(delay));
    at(step, delay, now, waiting_for)
}

fn words(step: &Step, because: Because, due: Timestamp) -> String {
    let who = upstream(step);
    let due = Timestamp::from_seconds(due.seconds().saturating_add(1));
    match because {
        Because::Silent => format!("{who} does not answer; tried again at {due}"),
        Because::Asked => format!("{who} asked for patience; tried again at {due}"),
        Because::Crowded => {
            format!("more requests wait for {who} than may be sent; tried again at {due}")
        }
        Because::HourSpent { most: 0 } => {
            format!("{who}'s requests of this hour are used up; tried again at {due}")
        }
        Because::HourSpent { most } => {
            format!("{who}'s hour of {most} requests is used up; tried again at {due}")
        }
        Because::HourKept => {
            let others = match Rank::of(&step.action) {
                Rank::Urgent | Rank::Order => "suspensions",
                Rank::Look | Rank::Other => "suspensions and orders",
            };
            format!("the rest of {who}'s hour is kept for {others}; tried again at {due}")
        }
        Because::Refused(refusal) => {
            let remedy = refusal.remedy(step.action.upstream());
            format!("{who} {}: {remedy}; tried again at {due}", refusal.words())
        }
    }
}

/// An attempt's end, where its upstream turned out to be `away` as a whole: what failed for that
/// reason alone is none of the step's failures. A create or a destructive step that may have taken
/// effect keeps its outcome, and so does everything that an upstream answered.
pub fn spared(step: &Step, outcome: Outcome, away: Option<Away>, now: Timestamp) -> Outcome {
    let Some(mut away) = away else {
        return outcome;
    };
    match outcome {
        Outcome::Unavailable { error, retry_after } => {
            away.until = away.until.max(now.plus(retry_after.unwrap_or_default()));
            away.error = Some(error);
            Outcome::Held(away)
        }
        Outcome::Ambiguous(error) if step.action.repeat() == Repeat::Harmless => {
            away.error = Some(error);
            Outcome::Held(away)
        }
        Outcome::Ambiguous(_)
        | Outcome::Done(_)
        | Outcome::AlreadySo(_)
        | Outcome::NotYet { .. }
        | Outcome::Prepared
        | Outcome::Absent
        | Outcome::Rejected(_)
        | Outcome::NeedsPerson(_)
        | Outcome::Held(_) => outcome,
    }
}
