//! Who is next in a lane. A blocked run has no due time, so claiming never looks at it.
//!
//! A lane is held by its planned run until that ends. Among the others the one whose event
//! occurred first is next; the rest have no due time.

use sqlx::sqlite::SqliteConnection;

use crate::domain::time::Timestamp;

use super::sql::for_rows;

/// Why the lanes are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Because {
    /// A run came in.
    RunCame,
    /// A run ended: one that was paused before it had a plan is planned anew.
    RunEnded,
}

/// Gives each lane's next run a due time and takes it from the others.
pub(super) async fn rebalance(
    connection: &mut SqliteConnection,
    lanes: &[String],
    because: Because,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let tail = match because {
        Because::RunCame => RUN_CAME,
        Because::RunEnded => RUN_ENDED,
    };
    let now = now.micros();
    for_rows(
        connection,
        "WITH l (lane, at) AS (",
        tail,
        lanes,
        |row, lane| {
            row.push_bind(lane.clone());
            row.push_bind(now);
        },
    )
    .await?;
    Ok(())
}

/// A termination does not wait for a run that only waits or is paused: that one is woken to
/// give way. One whose call is under way learns of it when the call has ended.
pub(super) async fn overtake(
    connection: &mut SqliteConnection,
    lanes: &[String],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let now = now.micros();
    for_rows(
        connection,
        "WITH l (lane, at) AS (",
        OVERTAKE,
        lanes,
        |row, lane| {
            row.push_bind(lane.clone());
            row.push_bind(now);
        },
    )
    .await?;
    Ok(())
}

// A paused run without a plan keeps its place, but is not due by itself.
const RUN_CAME: &str = ") UPDATE runs SET due_at = CASE \
     WHEN EXISTS (SELECT 1 FROM runs o WHERE o.lane = runs.lane AND o.blocks = 1 AND o.id <> runs.id \
        AND (o.planned = 1 OR o.status = 'running' \
             OR (o.occurred_at, o.origin, o.id) < (runs.occurred_at, runs.origin, runs.id))) \
     THEN NULL WHEN status = 'paused' THEN due_at ELSE coalesce(due_at, l.at) END \
     FROM l WHERE runs.lane = l.lane AND runs.blocks = 1 AND runs.planned = 0 \
     AND runs.status IN ('pending', 'paused')";

const RUN_ENDED: &str = ") UPDATE runs SET due_at = CASE \
     WHEN EXISTS (SELECT 1 FROM runs o WHERE o.lane = runs.lane AND o.blocks = 1 AND o.id <> runs.id \
        AND (o.planned = 1 OR o.status = 'running' \
             OR (o.occurred_at, o.origin, o.id) < (runs.occurred_at, runs.origin, runs.id))) \
     THEN NULL ELSE coalesce(due_at, l.at) END \
     FROM l WHERE runs.lane = l.lane AND runs.blocks = 1 AND runs.planned = 0 \
     AND runs.status IN ('pending', 'paused')";

const OVERTAKE: &str = ") UPDATE runs SET overtaken = 1, \
     due_at = CASE WHEN status IN ('waiting', 'paused', 'pending') THEN l.at ELSE due_at END \
     FROM l WHERE runs.lane = l.lane AND runs.blocks = 1 \
     AND EXISTS (SELECT 1 FROM runs o WHERE o.lane = runs.lane AND o.blocks = 1 \
        AND o.type = 'service.terminated' \
        AND (o.occurred_at, o.origin) > (runs.occurred_at, runs.origin)) \
     AND (runs.planned = 1 OR runs.status IN ('paused', 'running'))";
