//! Writing what became true of runs, many at once, inside one transaction.
//!
//! Every write is fenced: one whose claim is no longer the newest changes nothing.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use crate::domain::run::RunStatus;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;

use super::lanes::{self, Because};
use super::rows::{Advance, Advanced, AttemptRow, ClaimChange};
use super::sql::{for_rows, returning};

const RUN_HEAD: &str = "WITH w (id, fence, status, blocks, planned, due_at, waiting_for, error, \
     at_end, customer_id, now) AS (";
const RUN_TAIL: &str = ") UPDATE runs SET status = w.status, blocks = w.blocks, \
     planned = max(runs.planned, w.planned), \
     due_at = CASE WHEN runs.overtaken = 1 AND w.status IN ('waiting', 'paused') THEN w.now ELSE w.due_at END, \
     overtaken = CASE WHEN runs.overtaken = 1 THEN 2 ELSE runs.overtaken END, \
     waiting_for = w.waiting_for, error = w.error, at_end = coalesce(w.at_end, runs.at_end), \
     customer_id = coalesce(runs.customer_id, w.customer_id), updated_at = w.now \
     FROM w WHERE runs.id = w.id AND runs.fence = w.fence RETURNING runs.id, runs.overtaken";

/// Writes the advances; one answer each, in their order.
pub(super) async fn advance(
    connection: &mut SqliteConnection,
    writes: &[Advance],
) -> Result<Vec<Advanced>, sqlx::Error> {
    let applied = update_runs(connection, writes).await?;
    let live: Vec<&Advance> = writes
        .iter()
        .filter(|write| applied.contains_key(&write.run.0))
        .collect();
    let refused = acquire_claims(connection, &live).await?;
    write_journal(connection, &live, &refused).await?;
    write_states(connection, &live).await?;
    release_claims(connection, &live).await?;
    end_runs(connection, &live).await?;
    Ok(writes
        .iter()
        .map(|write| Advanced {
            applied: applied.contains_key(&write.run.0),
            claimed: !refused.contains(&write.run.0),
            overtaken: applied.get(&write.run.0).copied().unwrap_or(false),
        })
        .collect())
}

async fn update_runs(
    connection: &mut SqliteConnection,
    writes: &[Advance],
) -> Result<HashMap<i64, bool>, sqlx::Error> {
    let rows = returning(connection, RUN_HEAD, RUN_TAIL, writes, |row, write| {
        row.push_bind(write.run.0);
        row.push_bind(write.fence);
        row.push_bind(write.status.name());
        row.push_bind(i64::from(!write.status.is_final()));
        row.push_bind(i64::from(write.planned));
        row.push_bind(write.due_at.map(Timestamp::micros));
        row.push_bind(write.waiting_for.clone());
        row.push_bind(write.error.clone());
        row.push_bind(
            write
                .at_end
                .as_ref()
                .and_then(|end| serde_json::to_string(end).ok()),
        );
        row.push_bind(write.customer_id.clone());
        row.push_bind(write.now.micros());
    })
    .await?;
    let mut applied = HashMap::new();
    for row in rows {
        applied.insert(row.try_get(0)?, row.try_get::<i64, _>(1)? > 0);
    }
    Ok(applied)
}

/// Takes the claims that are wanted; answers the runs that did not get theirs and now wait.
async fn acquire_claims(
    connection: &mut SqliteConnection,
    live: &[&Advance],
) -> Result<HashSet<i64>, sqlx::Error> {
    let mut refused = HashSet::new();
    for write in live
        .iter()
        .filter(|write| write.claim == ClaimChange::Acquire)
    {
        let Some(customer_id) = &write.customer_id else {
            continue;
        };
        let taken = sqlx::query(
            "INSERT INTO customers (source, customer_id, doc, claimed_by, updated_at) \
             VALUES (?, ?, '{}', ?, ?) ON CONFLICT (source, customer_id) DO UPDATE \
             SET claimed_by = excluded.claimed_by \
             WHERE claimed_by IS NULL OR claimed_by = excluded.claimed_by",
        )
        .bind(write.source.clone())
        .bind(customer_id.clone())
        .bind(write.run.0)
        .bind(write.now.micros())
        .execute(&mut *connection)
        .await?
        .rows_affected();
        if taken == 0 {
            wait_for_claim(connection, write, customer_id).await?;
            refused.insert(write.run.0);
        }
    }
    Ok(refused)
}

async fn wait_for_claim(
    connection: &mut SqliteConnection,
    write: &Advance,
    customer_id: &str,
) -> Result<(), sqlx::Error> {
    // No due time: whoever gives the claim back wakes it.
    sqlx::query(
        "UPDATE runs SET status = 'waiting', claim_wait = ?, \
         due_at = CASE WHEN overtaken > 0 THEN ? END, waiting_for = ? WHERE id = ?",
    )
    .bind(claim_key(&write.source, customer_id))
    .bind(write.now.micros())
    .bind(format!(
        "another run of customer {customer_id} that is changing the same account"
    ))
    .bind(write.run.0)
    .execute(connection)
    .await?;
    Ok(())
}

fn claim_key(source: &str, customer_id: &str) -> String {
    format!("{source}:{customer_id}")
}

async fn write_journal(
    connection: &mut SqliteConnection,
    live: &[&Advance],
    refused: &HashSet<i64>,
) -> Result<(), sqlx::Error> {
    let mut steps: Vec<(i64, &Step)> = Vec::new();
    let mut attempts: Vec<(i64, &AttemptRow)> = Vec::new();
    for write in live {
        steps.extend(write.steps.iter().map(|step| (write.run.0, step)));
        attempts.extend(write.attempts.iter().map(|attempt| (write.run.0, attempt)));
        if let Some((step, attempt)) = &write.begins
            && !refused.contains(&write.run.0)
        {
            steps.push((write.run.0, step));
            attempts.push((write.run.0, attempt));
        }
    }
    write_steps(connection, &steps).await?;
    write_attempts(connection, &attempts).await
}

async fn write_steps(
    connection: &mut SqliteConnection,
    steps: &[(i64, &Step)],
) -> Result<(), sqlx::Error> {
    let tail =
        " ON CONFLICT (run_id, seq) DO UPDATE SET status = excluded.status, doc = excluded.doc";
    for_rows(
        connection,
        "INSERT INTO steps (run_id, seq, status, doc)",
        tail,
        steps,
        |row, (run, step)| {
            row.push_bind(*run);
            row.push_bind(i64::from(step.seq));
            row.push_bind(step.status.name());
            row.push_bind(serde_json::to_string(step).unwrap_or_default());
        },
    )
    .await?;
    Ok(())
}

async fn write_attempts(
    connection: &mut SqliteConnection,
    attempts: &[(i64, &AttemptRow)],
) -> Result<(), sqlx::Error> {
    let head = "INSERT INTO attempts (run_id, seq, n, started_at, duration_ms, exchanges, error)";
    let tail = " ON CONFLICT (run_id, seq, n) DO UPDATE SET duration_ms = excluded.duration_ms, \
         exchanges = excluded.exchanges, error = excluded.error";
    for_rows(connection, head, tail, attempts, |row, (run, attempt)| {
        row.push_bind(*run);
        row.push_bind(i64::from(attempt.seq));
        row.push_bind(i64::from(attempt.n));
        row.push_bind(attempt.started_at.micros());
        row.push_bind(attempt.duration_ms.and_then(|ms| i64::try_from(ms).ok()));
        row.push_bind(serde_json::to_string(&attempt.exchanges).unwrap_or_default());
        row.push_bind(attempt.error.clone());
    })
    .await?;
    Ok(())
}

fn is_patch(value: &Value) -> bool {
    value.as_object().is_some_and(|patch| !patch.is_empty())
}

async fn write_states(
    connection: &mut SqliteConnection,
    live: &[&Advance],
) -> Result<(), sqlx::Error> {
    // `json_patch` onto '{}' keeps nulls out of a new document.
    let tail = " ON CONFLICT (source, service_id) DO UPDATE SET \
         doc = json_patch(services.doc, excluded.doc), \
         customer_id = coalesce(excluded.customer_id, services.customer_id), \
         updated_at = excluded.updated_at";
    let head = "INSERT INTO services (source, service_id, customer_id, doc, updated_at)";
    let services: Vec<&&Advance> = live
        .iter()
        .filter(|write| write.service_id.is_some() && is_patch(&write.service_patch))
        .collect();
    for_rows(connection, head, tail, &services, |row, write| {
        row.push_bind(write.source.clone());
        row.push_bind(write.service_id.clone());
        row.push_bind(write.customer_id.clone());
        row.push_bind(write.service_patch.to_string());
        row.push_bind(write.now.micros());
    })
    .await?;
    let tail = " ON CONFLICT (source, customer_id) DO UPDATE SET \
         doc = json_patch(customers.doc, excluded.doc), updated_at = excluded.updated_at";
    let head = "INSERT INTO customers (source, customer_id, doc, updated_at)";
    let customers: Vec<&&Advance> = live
        .iter()
        .filter(|write| write.customer_id.is_some() && is_patch(&write.customer_patch))
        .collect();
    for_rows(connection, head, tail, &customers, |row, write| {
        row.push_bind(write.source.clone());
        row.push_bind(write.customer_id.clone());
        row.push_bind(write.customer_patch.to_string());
        row.push_bind(write.now.micros());
    })
    .await?;
    Ok(())
}

/// Gives claims back where a write says so and where a run ended, and wakes who waits for them.
async fn release_claims(
    connection: &mut SqliteConnection,
    live: &[&Advance],
) -> Result<(), sqlx::Error> {
    let released = live
        .iter()
        .filter(|write| write.claim == ClaimChange::Release || write.status.is_final());
    for write in released {
        let Some(customer_id) = &write.customer_id else {
            continue;
        };
        release(
            connection,
            &write.source,
            customer_id,
            write.run.0,
            write.now,
        )
        .await?;
    }
    Ok(())
}

/// Gives one claim back, if the run has it.
pub(super) async fn release(
    connection: &mut SqliteConnection,
    source: &str,
    customer_id: &str,
    run: i64,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let held = sqlx::query(
        "UPDATE customers SET claimed_by = NULL \
         WHERE source = ? AND customer_id = ? AND claimed_by = ?",
    )
    .bind(source.to_owned())
    .bind(customer_id.to_owned())
    .bind(run)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if held > 0 {
        sqlx::query("UPDATE runs SET due_at = ?, claim_wait = NULL WHERE claim_wait = ?")
            .bind(now.micros())
            .bind(claim_key(source, customer_id))
            .execute(connection)
            .await?;
    }
    Ok(())
}

async fn end_runs(connection: &mut SqliteConnection, live: &[&Advance]) -> Result<(), sqlx::Error> {
    // A run held before it had a plan lets an earlier one that came meanwhile go first.
    let held = |write: &&&Advance| write.status == RunStatus::Paused && !write.planned;
    let held: Vec<&&Advance> = live.iter().filter(held).collect();
    if let Some(last) = held.last() {
        let lanes: Vec<String> = held.iter().map(|write| write.lane.clone()).collect();
        lanes::rebalance(connection, &lanes, Because::RunCame, last.now).await?;
    }
    let ended: Vec<&&Advance> = live
        .iter()
        .filter(|write| write.status.is_final())
        .collect();
    let Some(last) = ended.last() else {
        return Ok(());
    };
    let now = last.now;
    let lanes: Vec<String> = ended.iter().map(|write| write.lane.clone()).collect();
    lanes::rebalance(connection, &lanes, Because::RunEnded, now).await
}
