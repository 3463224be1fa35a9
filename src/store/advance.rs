//! Writing what became true of runs, many at once, inside one transaction.
//!
//! Every write is fenced: one whose claim is no longer the newest changes nothing.

use std::collections::{HashMap, HashSet};

use crate::domain::run::RunStatus;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;

use super::alerts;
use super::bulk::id;
use super::claims;
use super::counts::Counts;
use super::lanes::{self, Because};
use super::orders;
use super::reports;
use super::rows::{Advance, Advanced, AttemptRow, Held};
use super::sql::{Bulk, Kind, Link, SqlError};
use super::states;

/// Writes the advances; one answer each, in their order.
pub(super) async fn advance(
    link: &mut Link<'_>,
    writes: &[Advance],
    counts: &mut Counts,
) -> Result<Vec<Advanced>, SqlError> {
    let applied = update_runs(link, writes).await?;
    let live: Vec<&Advance> = writes
        .iter()
        .filter(|write| applied.contains_key(&(write.run.0, write.fence)))
        .collect();
    let refused = claims::acquire(link, &live).await?;
    for write in &live {
        let waits = refused.contains(&write.run.0);
        let status = if waits {
            RunStatus::Waiting
        } else {
            write.status
        };
        counts.moved(RunStatus::Running, status);
    }
    write_journal(link, &live, &refused).await?;
    states::write(link, &live).await?;
    orders::keep(link, &live).await?;
    alerts::keep(link, &live).await?;
    reports::keep(link, &live).await?;
    claims::give_back(link, &live).await?;
    weaken(link, &live).await?;
    settle_lanes(link, &live).await?;
    Ok(writes
        .iter()
        .map(|write| Advanced {
            applied: applied.contains_key(&(write.run.0, write.fence)),
            claimed: !refused.contains(&write.run.0),
            overtaken: applied
                .get(&(write.run.0, write.fence))
                .copied()
                .unwrap_or(false),
        })
        .collect())
}

static UPDATE: Bulk = Bulk::new(
    &[
        ("id", Kind::Int),
        ("fence", Kind::Int),
        ("status", Kind::Text),
        ("blocks", Kind::Int),
        ("planned", Kind::Int),
        ("touched", Kind::Int),
        ("due_at", Kind::Int),
        ("waiting_for", Kind::Text),
        ("error", Kind::Text),
        ("pause_reason", Kind::Text),
        ("at_end", Kind::Text),
        ("note", Kind::Text),
        ("customer_id", Kind::Text),
        ("now_at", Kind::Int),
    ],
    "UPDATE runs SET status = w.status, blocks = w.blocks, \
         planned = CASE WHEN w.planned = 1 THEN 1 ELSE runs.planned END, \
         touched = CASE WHEN w.touched = 1 THEN 1 ELSE runs.touched END, \
         due_at = CASE WHEN runs.overtaken = 1 AND w.status IN ('waiting', 'paused') \
             THEN w.now_at ELSE w.due_at END, \
         waiting_for = w.waiting_for, error = w.error, pause_reason = w.pause_reason, \
         at_end = coalesce(w.at_end, runs.at_end), note = coalesce(w.note, runs.note), \
         customer_id = coalesce(w.customer_id, runs.customer_id), updated_at = w.now_at \
         FROM w WHERE runs.id = w.id AND runs.fence = w.fence AND runs.status = 'running' \
         RETURNING runs.id, runs.fence, runs.overtaken",
);

/// Which of them were written, by run and claim (a worker that lost its claim may write beside the
/// one that has it now), and whether a termination waits behind the run.
async fn update_runs(
    link: &mut Link<'_>,
    writes: &[Advance],
) -> Result<HashMap<(i64, i64), bool>, SqlError> {
    let rows = UPDATE
        .fetch(link, writes, |row, write| {
            let at_end = write.at_end.as_ref();
            row.push(write.run.0)
                .push(write.fence)
                .push(write.status.name())
                .push(!write.status.is_final())
                .push(write.planned)
                .push(write.touched)
                .push(write.due_at.map(Timestamp::micros))
                .push(&write.waiting_for)
                .push(&write.error)
                .push(write.pause_reason)
                .push(at_end.and_then(|end| serde_json::to_string(end).ok()))
                .push(at_end.and_then(|end| end.note.as_deref()))
                .push(&write.customer_id)
                .push(write.now.micros());
        })
        .await?;
    rows.iter()
        .map(|row| Ok(((row.int("id")?, row.int("fence")?), row.flag("overtaken")?)))
        .collect()
}

static EXTEND: Bulk = Bulk::new(
    &[
        ("id", Kind::Int),
        ("fence", Kind::Int),
        ("until_at", Kind::Int),
    ],
    "UPDATE runs SET due_at = w.until_at FROM w \
         WHERE runs.id = w.id AND runs.fence = w.fence AND runs.status = 'running' \
         RETURNING runs.id",
);

/// Extends the leases of runs that a worker still has; answers which.
pub(super) async fn extend(
    link: &mut Link<'_>,
    held: &[Held],
    until: Timestamp,
) -> Result<HashSet<i64>, SqlError> {
    let rows = EXTEND
        .fetch(link, held, |row, held| {
            row.push(held.run.0).push(held.fence).push(until.micros());
        })
        .await?;
    rows.iter().map(|row| row.int("id")).collect()
}

async fn write_journal(
    link: &mut Link<'_>,
    live: &[&Advance],
    refused: &HashSet<i64>,
) -> Result<(), SqlError> {
    let mut steps: Vec<(i64, &Step)> = Vec::new();
    let mut attempts: Vec<(i64, &AttemptRow)> = Vec::new();
    for write in live {
        let begins = write
            .begins
            .as_ref()
            .filter(|_| !refused.contains(&write.run.0));
        // The step that begins is written as it is now, not as it was before as well.
        let begun = begins.map(|(step, _)| step.seq);
        let others = write.steps.iter().filter(|step| Some(step.seq) != begun);
        steps.extend(others.map(|step| (write.run.0, step)));
        attempts.extend(write.attempts.iter().map(|attempt| (write.run.0, attempt)));
        if let Some((step, attempt)) = begins {
            steps.push((write.run.0, step));
            attempts.push((write.run.0, attempt));
        }
    }
    write_steps(link, &steps).await?;
    write_attempts(link, &attempts).await
}

static STEPS: Bulk = Bulk::new(
    &[
        ("run_id", Kind::Int),
        ("seq", Kind::Int),
        ("status", Kind::Text),
        ("doc", Kind::Text),
    ],
    "INSERT INTO steps (run_id, seq, status, doc) SELECT * FROM w WHERE true \
         ON CONFLICT (run_id, seq) DO UPDATE SET status = excluded.status, doc = excluded.doc",
);

pub(super) async fn write_steps(
    link: &mut Link<'_>,
    steps: &[(i64, &Step)],
) -> Result<(), SqlError> {
    STEPS
        .execute(link, steps, |row, (run, step)| {
            row.push(*run)
                .push(i64::from(step.seq))
                .push(step.status.name())
                .push(serde_json::to_string(step).unwrap_or_default());
        })
        .await?;
    Ok(())
}

static ATTEMPTS: Bulk = Bulk::new(
    &[
        ("run_id", Kind::Int),
        ("seq", Kind::Int),
        ("n", Kind::Int),
        ("started_at", Kind::Int),
        ("duration_ms", Kind::Int),
        ("exchanges", Kind::Text),
        ("error", Kind::Text),
    ],
    "INSERT INTO attempts (run_id, seq, n, started_at, duration_ms, exchanges, error) \
         SELECT * FROM w WHERE true ON CONFLICT (run_id, seq, n) DO UPDATE SET \
         duration_ms = excluded.duration_ms, exchanges = excluded.exchanges, error = excluded.error",
);

async fn write_attempts(
    link: &mut Link<'_>,
    attempts: &[(i64, &AttemptRow)],
) -> Result<(), SqlError> {
    ATTEMPTS
        .execute(link, attempts, |row, (run, attempt)| {
            row.push(*run)
                .push(i64::from(attempt.seq))
                .push(i64::from(attempt.n))
                .push(attempt.started_at.micros())
                .push(attempt.duration_ms.and_then(|ms| i64::try_from(ms).ok()))
                .push(serde_json::to_string(&attempt.exchanges).unwrap_or_default())
                .push(&attempt.error);
        })
        .await?;
    Ok(())
}

static WEAKEN: Bulk = Bulk::of_ids("UPDATE runs SET weak = 1 FROM w WHERE runs.id = w.id");

async fn weaken(link: &mut Link<'_>, live: &[&Advance]) -> Result<(), SqlError> {
    let runs = live.iter().filter_map(|write| Some(write.weakens?.0));
    WEAKEN
        .execute(link, &runs.collect::<Vec<_>>(), id)
        .await
        .map(drop)
}

/// Where a run ended, or is held up, others of its lane may go on.
async fn settle_lanes(link: &mut Link<'_>, live: &[&Advance]) -> Result<(), SqlError> {
    for because in [Because::RunCame, Because::RunEnded] {
        let because_of = |write: &&&Advance| write.frees_its_lane() == Some(because);
        let stopped: Vec<&&Advance> = live.iter().filter(because_of).collect();
        let lanes: Vec<&str> = stopped.iter().map(|write| write.lane.as_str()).collect();
        if let Some(last) = stopped.last() {
            lanes::settle(link, &lanes, because, last.now).await?;
        }
    }
    Ok(())
}
