//! Who is next in a lane. A blocked run has no due time, so claiming never looks at it.
//!
//! A lane is held by its planned run until that ends. Among the others the one whose event
//! occurred first is next; the rest have no due time. Where several processes write, whoever
//! changes a lane first locks its unfinished runs.

use std::collections::HashSet;

use crate::domain::time::Timestamp;

use super::sql::{Bulk, Kind, Link, Rows, SqlError};

/// Why the lanes are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Because {
    /// A run came in.
    RunCame,
    /// A run ended: one that was paused before it had a plan is planned anew.
    RunEnded,
}

/// Locks the unfinished runs of the lanes until the transaction ends, where others write, too.
/// Always in the same order, so that two who want the same lanes do not wait for each other.
pub(super) async fn lock(link: &mut Link<'_>, lanes: &[&str]) -> Result<(), SqlError> {
    if link.pick(false, true) {
        LOCK.execute(link, lanes, name).await?;
    }
    Ok(())
}

/// Which of the lanes have an unfinished run.
pub(super) async fn busy(link: &mut Link<'_>, lanes: &[&str]) -> Result<HashSet<String>, SqlError> {
    let look = link.pick(&BUSY, &BUSY_AT_ONCE);
    let rows = look.fetch(link, lanes, name).await?;
    rows.iter().map(|row| row.text("lane")).collect()
}

fn name<'v>(row: &mut Rows<'v>, lane: &&'v str) {
    row.push(*lane);
}

/// Gives each lane's next run a due time and takes it from the others.
pub(super) async fn rebalance(
    link: &mut Link<'_>,
    lanes: &[String],
    because: Because,
    now: Timestamp,
) -> Result<(), SqlError> {
    if lanes.is_empty() {
        return Ok(());
    }
    // First taken, then given: at no moment are two runs of a lane due.
    TAKE.execute(link, lanes, |row, lane| at(row, lane, now))
        .await?;
    let give = match because {
        Because::RunCame => &GIVE_PENDING,
        Because::RunEnded => &GIVE_PENDING_AND_PAUSED,
    };
    give.execute(link, lanes, |row, lane| at(row, lane, now))
        .await?;
    Ok(())
}

/// A termination does not wait for a run that only waits or is paused: that one is woken to
/// give way. One whose call is under way learns of it when the call has ended.
pub(super) async fn overtake(
    link: &mut Link<'_>,
    lanes: &[String],
    now: Timestamp,
) -> Result<(), SqlError> {
    OVERTAKE
        .execute(link, lanes, |row, lane| at(row, lane, now))
        .await?;
    Ok(())
}

fn at<'v>(row: &mut Rows<'v>, lane: &'v str, now: Timestamp) {
    row.push(lane).push(now.micros());
}

const LANE: &[(&str, Kind)] = &[("lane", Kind::Text)];
const LANE_NOW: &[(&str, Kind)] = &[("lane", Kind::Text), ("now_at", Kind::Int)];

static BUSY: Bulk = Bulk::new(
    LANE,
    "SELECT w.lane AS lane FROM w WHERE EXISTS \
         (SELECT 1 FROM runs r WHERE r.lane = w.lane AND r.blocks = 1)",
);

// Asked as above, `PostgreSQL` may read every unfinished run.
static BUSY_AT_ONCE: Bulk = Bulk::new(
    LANE,
    "SELECT DISTINCT r.lane FROM runs r WHERE r.lane = ANY (ARRAY(SELECT lane FROM w)) \
         AND r.blocks = 1",
);

static LOCK: Bulk = Bulk::new(
    LANE,
    "SELECT r.lane FROM runs r WHERE r.lane = ANY (ARRAY(SELECT lane FROM w)) \
         AND r.blocks = 1 ORDER BY r.lane, r.id FOR UPDATE",
);

/// Another run of the lane that must end before this one begins.
macro_rules! blocked {
    () => {
        "EXISTS (SELECT 1 FROM runs o WHERE o.lane = runs.lane AND o.blocks = 1 \
         AND o.id <> runs.id AND (o.planned = 1 OR o.status = 'running' \
             OR (o.occurred_at, o.origin, o.id) < (runs.occurred_at, runs.origin, runs.id)))"
    };
}

static TAKE: Bulk = Bulk::new(
    LANE_NOW,
    concat!(
        "UPDATE runs SET due_at = NULL FROM w WHERE runs.lane = w.lane AND runs.blocks = 1 \
         AND runs.planned = 0 AND runs.due_at IS NOT NULL \
         AND runs.status IN ('pending', 'paused') AND ",
        blocked!()
    ),
);

// A paused run without a plan keeps its place, but is not due by itself.
static GIVE_PENDING: Bulk = Bulk::new(
    LANE_NOW,
    concat!(
        "UPDATE runs SET due_at = w.now_at FROM w WHERE runs.lane = w.lane AND runs.blocks = 1 \
         AND runs.planned = 0 AND runs.due_at IS NULL AND runs.status = 'pending' AND NOT ",
        blocked!()
    ),
);

static GIVE_PENDING_AND_PAUSED: Bulk = Bulk::new(
    LANE_NOW,
    concat!(
        "UPDATE runs SET due_at = w.now_at FROM w WHERE runs.lane = w.lane AND runs.blocks = 1 \
         AND runs.planned = 0 AND runs.due_at IS NULL \
         AND runs.status IN ('pending', 'paused') AND NOT ",
        blocked!()
    ),
);

static OVERTAKE: Bulk = Bulk::new(
    LANE_NOW,
    concat!(
        "UPDATE runs SET overtaken = 1, due_at = CASE \
           WHEN runs.status IN ('waiting', 'paused', 'pending') \
             AND (runs.planned = 1 OR NOT ",
        blocked!(),
        ") THEN w.now_at ELSE runs.due_at END \
         FROM w WHERE runs.lane = w.lane AND runs.blocks = 1 \
         AND EXISTS (SELECT 1 FROM runs o WHERE o.lane = runs.lane AND o.blocks = 1 \
            AND o.type = 'service.terminated' \
            AND (o.occurred_at, o.origin) > (runs.occurred_at, runs.origin)) \
         AND (runs.planned = 1 OR runs.status IN ('paused', 'running'))"
    ),
);
