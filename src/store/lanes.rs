//! The lanes' rows: read, put in order by [`arrange`], written back where something changed.
//!
//! A run that has to wait for others of its lane has no due time, so claiming never looks at it.
//! Where several processes write, whoever changes a lane first locks its unfinished runs.

use std::collections::{BTreeMap, HashSet};

use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, RunId};
pub(super) use crate::domain::lane::Because;
use crate::domain::lane::{Member, arrange};
use crate::domain::run::{OrderKey, RunStatus};
use crate::domain::time::Timestamp;

use super::sql::{Bulk, Kind, Link, Row, Rows, SqlError, statement};

macro_rules! members {
    () => {
        "SELECT r.lane, r.id, r.occurred_at, r.origin, r.type, r.status, r.planned, r.touched, r.weak, \
         CAST(CASE WHEN r.claim_wait IS NULL THEN 0 ELSE 1 END AS BIGINT) AS waits, r.due_at, r.overtaken \
         FROM runs r"
    };
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

/// Decides who goes on in each of the lanes, and who is to give way.
pub(super) async fn settle(
    link: &mut Link<'_>,
    lanes: &[&str],
    because: Because,
    now: Timestamp,
) -> Result<(), SqlError> {
    let mut lanes = lanes.to_vec();
    lanes.sort_unstable();
    lanes.dedup();
    let look = link.pick(&MEMBERS, &MEMBERS_LOCKED);
    let rows = look.fetch(link, &lanes, name).await?;
    let mut members: BTreeMap<String, Vec<Member>> = BTreeMap::new();
    for row in &rows {
        let lane = members.entry(row.text("lane")?).or_default();
        lane.push(member(row)?);
    }
    let mut changed = Vec::new();
    for lane in members.values_mut() {
        lane.sort_by_key(|member| member.id);
        let before = lane.clone();
        arrange(lane, because, now);
        lane.sort_by_key(|member| member.id);
        let pairs = before.iter().zip(lane.iter());
        changed.extend(pairs.filter(|(was, is)| was != is).map(|(_, is)| *is));
    }
    // First taken, then given: at no moment are two runs of a lane due.
    changed.sort_by_key(|member| (member.due.is_some(), member.id));
    let (taken, given): (Vec<Member>, Vec<Member>) =
        changed.into_iter().partition(|member| member.due.is_none());
    WRITE.execute(link, &taken, place).await?;
    WRITE.execute(link, &given, place).await?;
    Ok(())
}

/// Every lane in which several runs are unfinished: as an older version left them.
pub(super) async fn settle_all(link: &mut Link<'_>, now: Timestamp) -> Result<(), SqlError> {
    let rows =
        statement("SELECT lane FROM runs WHERE blocks = 1 GROUP BY lane HAVING count(*) > 1")
            .all(link)
            .await?;
    let lanes = rows.iter().map(|row| row.text("lane"));
    let lanes = lanes.collect::<Result<Vec<_>, _>>()?;
    for some in lanes.chunks(500) {
        let some: Vec<&str> = some.iter().map(String::as_str).collect();
        settle(link, &some, Because::RunCame, now).await?;
    }
    Ok(())
}

fn place<'v>(row: &mut Rows<'v>, member: &'v Member) {
    row.push(member.id.0)
        .push(member.due.map(Timestamp::micros))
        .push(i64::from(member.told));
}

/// A run whose event this version does not know waits for the version that does.
fn member(row: &Row) -> Result<Member, SqlError> {
    let status: RunStatus = row.text("status")?.parse().map_err(SqlError::unreadable)?;
    let kind = row.text("type")?.parse::<EventType>();
    Ok(Member {
        id: RunId(row.int("id")?),
        order: order(row)?,
        kind: kind.unwrap_or(EventType::TestPing),
        status,
        planned: row.flag("planned")?,
        touched: row.flag("touched")?,
        waits_for_claim: row.flag("waits")?,
        weak: row.flag("weak")?,
        due: row.maybe_int("due_at")?.map(Timestamp::from_micros),
        told: u8::try_from(row.int("overtaken")?).unwrap_or(1),
    })
}

pub(super) fn order(row: &Row) -> Result<OrderKey, SqlError> {
    Ok(OrderKey {
        occurred_at: Timestamp::from_micros(row.int("occurred_at")?),
        origin: DeliveryId(row.int("origin")?),
    })
}

/// The unfinished runs of a lane, as they are.
pub(super) async fn members(link: &mut Link<'_>, lane: &str) -> Result<Vec<Member>, SqlError> {
    let rows = statement(concat!(members!(), " WHERE r.lane = $1 AND r.blocks = 1"))
        .with(lane.to_owned())
        .all(link)
        .await?;
    rows.iter().map(member).collect()
}

const LANE: &[(&str, Kind)] = &[("lane", Kind::Text)];

static MEMBERS: Bulk = Bulk::new(
    LANE,
    concat!(members!(), ", w WHERE r.lane = w.lane AND r.blocks = 1"),
);

// Locked in the same order as by `LOCK`.
static MEMBERS_LOCKED: Bulk = Bulk::new(
    LANE,
    concat!(
        members!(),
        " WHERE r.lane = ANY (ARRAY(SELECT lane FROM w)) AND r.blocks = 1 \
         ORDER BY r.lane, r.id FOR UPDATE"
    ),
);

static WRITE: Bulk = Bulk::new(
    &[
        ("id", Kind::Int),
        ("due_at", Kind::Int),
        ("overtaken", Kind::Int),
    ],
    "UPDATE runs SET due_at = w.due_at, overtaken = w.overtaken FROM w WHERE runs.id = w.id",
);

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
