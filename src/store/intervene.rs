//! What a person does to a run, and what a start does to runs that a stop cut off.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use crate::domain::id::RunId;
use crate::domain::run::RunStatus;
use crate::domain::time::Timestamp;

use super::advance::release;
use super::lanes::{self, Because};
use super::rows::{Intervened, Intervention};

struct Found {
    status: RunStatus,
    lane: String,
    source: String,
    customer_id: Option<String>,
    planned: bool,
    /// Whether it still has its place in the lane; not once a replay took it over.
    blocks: bool,
}

/// Does it, if the run's status allows it.
pub(super) async fn intervene(
    connection: &mut SqliteConnection,
    run: RunId,
    what: Intervention,
    now: Timestamp,
) -> Result<Intervened, sqlx::Error> {
    let Some(found) = find(connection, run).await? else {
        return Ok(Intervened::NotFound);
    };
    let allowed = match what {
        Intervention::Retry => {
            found.blocks && matches!(found.status, RunStatus::Paused | RunStatus::Waiting)
        }
        Intervention::Approve => found.blocks && found.status == RunStatus::Paused,
        Intervention::Cancel => !found.status.is_final(),
    };
    if !allowed {
        return Ok(Intervened::NotNow(found.status));
    }
    if what == Intervention::Cancel
        && unclear_until(connection, run)
            .await?
            .is_some_and(|end| end > now)
    {
        return Ok(Intervened::Unclear);
    }
    match what {
        Intervention::Retry => wake(connection, run, &found, now).await?,
        Intervention::Approve => {
            sqlx::query(
                "UPDATE steps SET doc = json_set(doc, '$.approved', json('true')) \
                 WHERE run_id = ? AND status = 'paused'",
            )
            .bind(run.0)
            .execute(&mut *connection)
            .await?;
            wake(connection, run, &found, now).await?;
        }
        Intervention::Cancel => cancel(connection, run, &found, now).await?,
    }
    Ok(Intervened::Done)
}

async fn find(connection: &mut SqliteConnection, run: RunId) -> Result<Option<Found>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT status, lane, source, customer_id, planned, blocks FROM runs WHERE id = ?",
    )
    .bind(run.0)
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let status: String = row.try_get(0)?;
    Ok(Some(Found {
        status: status
            .parse()
            .map_err(|wrong| sqlx::Error::Decode(Box::new(wrong)))?,
        lane: row.try_get(1)?,
        source: row.try_get(2)?,
        customer_id: row.try_get(3)?,
        planned: row.try_get::<i64, _>(4)? == 1,
        blocks: row.try_get::<i64, _>(5)? == 1,
    }))
}

/// A run with a plan goes on at once; one without goes back into its lane's order.
async fn wake(
    connection: &mut SqliteConnection,
    run: RunId,
    found: &Found,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let (status, due) = if found.planned {
        (RunStatus::Waiting, Some(now.micros()))
    } else {
        (RunStatus::Pending, None)
    };
    sqlx::query(
        "UPDATE runs SET status = ?, due_at = ?, blocks = 1, fence = fence + 1, claim_wait = NULL, \
         error = NULL, waiting_for = NULL, updated_at = ? WHERE id = ?",
    )
    .bind(status.name())
    .bind(due)
    .bind(now.micros())
    .bind(run.0)
    .execute(&mut *connection)
    .await?;
    lanes::rebalance(
        connection,
        std::slice::from_ref(&found.lane),
        Because::RunCame,
        now,
    )
    .await
}

/// How long a request whose end is unknown may still take effect, at the most.
const LATE_EFFECT: Duration = Duration::from_secs(120);

/// Until when something that the run sent may still come true without anyone knowing. A run is
/// not given up before: nobody would look for what it made.
pub(super) async fn unclear_until(
    connection: &mut SqliteConnection,
    run: RunId,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT doc ->> '$.unknown_since', s.status = 'running', r.updated_at \
         FROM steps s JOIN runs r ON r.id = s.run_id \
         WHERE s.run_id = ? AND s.status NOT IN ('succeeded', 'skipped', 'cancelled')",
    )
    .bind(run.0)
    .fetch_all(connection)
    .await?;
    let mut end = None;
    for row in rows {
        let since: Option<String> = row.try_get(0)?;
        let running: i64 = row.try_get(1)?;
        let since = since.and_then(|text| Timestamp::parse(&text).ok());
        let began = (running == 1).then_some(Timestamp::from_micros(row.try_get(2)?));
        end = end.max(since.max(began).map(|since| since.plus(LATE_EFFECT)));
    }
    Ok(end)
}

async fn cancel(
    connection: &mut SqliteConnection,
    run: RunId,
    found: &Found,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE runs SET status = 'cancelled', blocks = 0, due_at = NULL, fence = fence + 1, \
         claim_wait = NULL, waiting_for = NULL, updated_at = ? WHERE id = ?",
    )
    .bind(now.micros())
    .bind(run.0)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE steps SET status = 'cancelled', doc = json_set(doc, '$.status', 'cancelled') \
         WHERE run_id = ? AND status NOT IN ('succeeded', 'skipped', 'cancelled')",
    )
    .bind(run.0)
    .execute(&mut *connection)
    .await?;
    // Whoever was to give way to it need not any more.
    sqlx::query("UPDATE runs SET overtaken = 0 WHERE lane = ? AND blocks = 1")
        .bind(found.lane.clone())
        .execute(&mut *connection)
        .await?;
    if let Some(customer_id) = &found.customer_id {
        release(connection, &found.source, customer_id, run.0, now).await?;
    }
    lanes::rebalance(
        connection,
        std::slice::from_ref(&found.lane),
        Because::RunEnded,
        now,
    )
    .await
}

/// Makes every run that was under way when the process ended due at once, or only the one that
/// its worker gives back. The former only where no other process can have it, i.e. on `SQLite`,
/// whose file one process at a time may serve.
pub(super) async fn recover(
    connection: &mut SqliteConnection,
    only: Option<(RunId, i64)>,
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE runs SET due_at = ? WHERE status = 'running' AND due_at > ? \
         AND (? IS NULL OR (id = ? AND fence = ?))",
    )
    .bind(now.micros())
    .bind(now.micros())
    .bind(only.map(|(run, _)| run.0))
    .bind(only.map(|(run, _)| run.0))
    .bind(only.map(|(_, fence)| fence))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
