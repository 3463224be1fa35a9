//! Keeping deliveries and the runs they make, many at once, inside one transaction.

use std::collections::{HashMap, HashSet};

use crate::domain::id::{DeliveryId, RunId};
use crate::domain::run::RunStatus;
use crate::domain::time::Timestamp;

use super::claims::release;
use super::counts::Counts;
use super::early;
use super::intervene::unclear_until;
use super::lanes::{self, Because};
use super::reports;
use super::rows::{DeliveryVerdict, NewDelivery, NewRun, Receipt};
use super::sql::{Bulk, Kind, Link, Rows, SqlError, statement};

/// Keeps the deliveries; one receipt each, in their order. `clashed`: the transaction is repeated
/// because something in it was there already.
pub(super) async fn accept(
    link: &mut Link<'_>,
    deliveries: &[NewDelivery],
    clashed: bool,
    counts: &mut Counts,
) -> Result<Vec<Receipt>, SqlError> {
    let kept = match link {
        Link::Sqlite(_) | Link::Aside(_) => keep_at_once(link, deliveries, counts).await?,
        Link::Postgres(_) => keep(link, deliveries, clashed, counts).await?,
    };
    let is_new = |new: &&NewDelivery| {
        let stored = kept.stored.as_ref();
        stored.is_none_or(|stored| stored.contains(&new.id.0))
    };
    early::keep(link, deliveries.iter().filter(is_new)).await?;
    let mut receipts = Vec::with_capacity(deliveries.len());
    for new in deliveries {
        receipts.push(if is_new(&new) {
            counts.came(new.verdict, 1);
            let behind = |run: &NewRun| kept.crowded.contains(&run.lane);
            if new.runs.iter().any(behind) {
                Receipt::StoredBehind
            } else {
                Receipt::Stored
            }
        } else {
            repeated(link, new, counts).await?
        });
    }
    Ok(receipts)
}

/// What became of deliveries.
struct Kept {
    /// Which were stored; none: all of them.
    stored: Option<HashSet<i64>>,
    /// The lanes in which another run is unfinished.
    crowded: HashSet<String>,
}

/// Nobody else writes: everything goes in at once, each run as if its lane were idle. Lanes that
/// were not are put in order before the transaction ends.
async fn keep_at_once(
    link: &mut Link<'_>,
    deliveries: &[NewDelivery],
    counts: &mut Counts,
) -> Result<Kept, SqlError> {
    let rows: Vec<(&NewDelivery, Option<i64>)> = deliveries.iter().map(|new| (new, None)).collect();
    let made: Vec<Made<'_>> = deliveries.iter().flat_map(runs_of).collect();
    let ids = made.iter().map(|new| new.run.id.0);
    let range = ids.clone().min().zip(ids.max());
    let ranges: Vec<(i64, i64)> = range.into_iter().collect();
    let kept = DELIVERIES.execute(link, &rows, delivery_row).await?;
    let runs = INSERT_KEPT
        .execute(link, &made, |row, new| run_row(row, new, true))
        .await?;
    counts.made(i64::try_from(runs).unwrap_or(0));
    let range = |row: &mut Rows<'_>, (first, last): &(i64, i64)| {
        row.push(*first).push(*last);
    };
    let crowded = CROWDED.fetch(link, &ranges, range).await?;
    let crowded = crowded.iter().map(|row| row.text("lane"));
    let crowded = crowded.collect::<Result<Vec<_>, _>>()?;
    settle_lanes(link, &crowded, &made).await?;
    let stored = if kept == deliveries.len() as u64 {
        None
    } else {
        Some(stored_among(link, deliveries).await?)
    };
    let crowded = crowded.into_iter().collect();
    Ok(Kept { stored, crowded })
}

/// Others write, too: a run is due at once only where they cannot have made one in its lane.
async fn keep(
    link: &mut Link<'_>,
    deliveries: &[NewDelivery],
    clashed: bool,
    counts: &mut Counts,
) -> Result<Kept, SqlError> {
    let rows: Vec<(&NewDelivery, Option<i64>)> = deliveries.iter().map(|new| (new, None)).collect();
    // Repetitions are rare, and looking for them costs every delivery a write more.
    let insert = if clashed {
        &DELIVERIES
    } else {
        &DELIVERIES_ALL_NEW
    };
    let kept = insert.execute(link, &rows, delivery_row).await?;
    let stored = if kept == deliveries.len() as u64 {
        None
    } else {
        Some(stored_among(link, deliveries).await?)
    };
    let is_stored = |new: &&NewDelivery| {
        stored
            .as_ref()
            .is_none_or(|stored| stored.contains(&new.id.0))
    };
    let made: Vec<Made<'_>> = deliveries
        .iter()
        .filter(is_stored)
        .flat_map(runs_of)
        .collect();
    let crowded = make(link, &made, counts).await?;
    Ok(Kept { stored, crowded })
}

pub(super) fn runs_of(new: &NewDelivery) -> impl Iterator<Item = Made<'_>> {
    new.runs.iter().map(|run| Made {
        run,
        delivery: new.id,
        source: &new.source,
        now: new.received_at,
    })
}

const DELIVERY: &[(&str, Kind)] = &[
    ("id", Kind::Int),
    ("received_at", Kind::Int),
    ("source", Kind::Text),
    ("verdict", Kind::Text),
    ("cause", Kind::Text),
    ("type", Kind::Text),
    ("dedupe", Kind::Blob),
    ("duplicate_of", Kind::Int),
    ("customer_id", Kind::Text),
    ("service_ids", Kind::Text),
    ("run_ids", Kind::Text),
    ("signed_at", Kind::Int),
    ("verification", Kind::Text),
    ("headers", Kind::Text),
    ("body", Kind::Blob),
];

macro_rules! insert_deliveries {
    () => {
        "INSERT INTO deliveries (id, received_at, source, verdict, cause, type, dedupe, \
         duplicate_of, customer_id, service_ids, run_ids, signed_at, verification, headers, body) \
         SELECT * FROM w WHERE true"
    };
}

/// Passes over those whose key is taken.
static DELIVERIES: Bulk = Bulk::new(
    DELIVERY,
    concat!(
        insert_deliveries!(),
        " ON CONFLICT (dedupe) WHERE dedupe IS NOT NULL DO NOTHING"
    ),
);

/// Fails where a key is taken.
static DELIVERIES_ALL_NEW: Bulk = Bulk::new(DELIVERY, insert_deliveries!());

fn delivery_row<'v>(row: &mut Rows<'v>, (new, duplicate_of): &(&'v NewDelivery, Option<i64>)) {
    row.push(new.id.0)
        .push(new.received_at.micros())
        .push(&new.source)
        .push(new.verdict.name())
        .push(&new.cause)
        .push(new.kind)
        .push(&new.dedupe)
        .push(*duplicate_of)
        .push(&new.customer_id)
        .push(json_list(&new.service_ids))
        .push(run_ids(&new.runs))
        .push(new.signed_at.map(Timestamp::micros))
        .push(&new.verification)
        .push(&new.headers)
        .push(&new.body);
}

pub(super) fn json_list(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| serde_json::to_string(texts).unwrap_or_default())
}

pub(super) fn run_ids(runs: &[NewRun]) -> Option<String> {
    let ids: Vec<i64> = runs.iter().map(|run| run.id.0).collect();
    (!ids.is_empty()).then(|| serde_json::to_string(&ids).unwrap_or_default())
}

/// Reads the column that [`run_ids`] wrote.
pub(super) fn read_run_ids(text: Option<&str>) -> Vec<RunId> {
    let ids: Vec<i64> = text
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    ids.into_iter().map(RunId).collect()
}

static STORED: Bulk = Bulk::of_ids("SELECT d.id FROM deliveries d, w WHERE d.id = w.id");

async fn stored_among(
    link: &mut Link<'_>,
    deliveries: &[NewDelivery],
) -> Result<HashSet<i64>, SqlError> {
    let rows = STORED
        .fetch(link, deliveries, |row, new| {
            row.push(new.id.0);
        })
        .await?;
    rows.iter().map(|row| row.int("id")).collect()
}

/// The key is taken: the same body makes a duplicate, another body a conflict. Both are kept,
/// without the key.
async fn repeated(
    link: &mut Link<'_>,
    new: &NewDelivery,
    counts: &mut Counts,
) -> Result<Receipt, SqlError> {
    let first = statement("SELECT id, body, run_ids FROM deliveries WHERE dedupe = $1")
        .with(&new.dedupe)
        .one(link)
        .await?;
    let of = DeliveryId(first.int("id")?);
    let mut again = NewDelivery {
        dedupe: None,
        runs: Vec::new(),
        early: Vec::new(),
        ..new.clone()
    };
    let receipt = if first.blob("body")? == new.body {
        again.verdict = DeliveryVerdict::Duplicate;
        again.cause = Some("the same delivery again".to_owned());
        let runs = read_run_ids(first.maybe_text("run_ids")?.as_deref());
        Receipt::Duplicate { of, runs }
    } else {
        again.verdict = DeliveryVerdict::Rejected;
        again.cause = Some("the id was used before with another body".to_owned());
        Receipt::Conflict { of }
    };
    DELIVERIES
        .execute(link, &[(&again, Some(of.0))], delivery_row)
        .await?;
    counts.came(again.verdict, 1);
    Ok(receipt)
}

/// A run to be made, with what its delivery says.
pub(super) struct Made<'a> {
    pub(super) run: &'a NewRun,
    pub(super) delivery: DeliveryId,
    pub(super) source: &'a str,
    pub(super) now: Timestamp,
}

/// Makes runs for a delivery that is kept already: a replay. It takes the place of a paused run of
/// the same event, which waits for nobody from then on; its journal stays as it is.
pub(super) async fn replay(
    link: &mut Link<'_>,
    delivery: DeliveryId,
    source: &str,
    runs: &[NewRun],
    now: Timestamp,
    counts: &mut Counts,
) -> Result<(), SqlError> {
    let lanes: Vec<&str> = runs.iter().map(|run| run.lane.as_str()).collect();
    lanes::lock(link, &lanes).await?;
    let mut begin = None;
    for run in runs {
        begin = begin.max(replace(link, source, run, now, counts).await?);
    }
    lanes::lock(link, &lanes).await?;
    let made: Vec<Made<'_>> = runs
        .iter()
        .map(|run| Made {
            run,
            delivery,
            source,
            now,
        })
        .collect();
    make(link, &made, counts).await?;
    let Some(begin) = begin.filter(|begin| *begin > now) else {
        return Ok(());
    };
    for run in runs {
        // What the passed run sent may still take effect: the look that comes first must see it.
        statement("UPDATE runs SET due_at = $1 WHERE id = $2 AND due_at IS NOT NULL")
            .with(begin.micros())
            .with(run.id.0)
            .execute(link)
            .await?;
    }
    Ok(())
}

/// Ends the paused runs of the event; answers until when something that they sent may still take
/// effect.
async fn replace(
    link: &mut Link<'_>,
    source: &str,
    run: &NewRun,
    now: Timestamp,
    counts: &mut Counts,
) -> Result<Option<Timestamp>, SqlError> {
    let replaced = statement(
        "SELECT id, customer_id FROM runs \
         WHERE lane = $1 AND origin = $2 AND blocks = 1 AND status = 'paused'",
    )
    .with(&run.lane)
    .with(run.order.origin.0)
    .all(link)
    .await?;
    let mut until = None;
    for row in replaced {
        let id = row.int("id")?;
        // Asked first: it looks at when the run last changed.
        until = until.max(unclear_until(link, RunId(id)).await?);
        end_replaced(link, id, run.id, now).await?;
        counts.moved(RunStatus::Paused, RunStatus::Superseded);
        reports::pause_is_over(link, RunId(id), now).await?;
        // Or the replay would wait for the claim of the run whose place it takes.
        if let Some(customer_id) = row.maybe_text("customer_id")? {
            release(link, source, &customer_id, id, now).await?;
        }
    }
    Ok(until)
}

async fn end_replaced(
    link: &mut Link<'_>,
    run: i64,
    by: RunId,
    now: Timestamp,
) -> Result<(), SqlError> {
    statement(
        "UPDATE runs SET status = 'superseded', blocks = 0, due_at = NULL, fence = fence + 1, \
         error = $1, waiting_for = NULL, pause_reason = NULL, updated_at = $2 WHERE id = $3",
    )
    .with(by_its_replay(by))
    .with(now.micros())
    .with(run)
    .execute(link)
    .await
    .map(drop)
}

/// Why a run ended whose place a replay took.
pub(super) fn by_its_replay(replay: RunId) -> String {
    format!("by its replay {replay}")
}

pub(super) const RUNS: &[(&str, Kind)] = &[
    ("id", Kind::Int),
    ("delivery_id", Kind::Int),
    ("origin", Kind::Int),
    ("occurred_at", Kind::Int),
    ("lane", Kind::Text),
    ("source", Kind::Text),
    ("type", Kind::Text),
    ("customer_id", Kind::Text),
    ("service_id", Kind::Text),
    ("due_at", Kind::Int),
    ("replay_of", Kind::Int),
    ("now_at", Kind::Int),
];

macro_rules! insert_runs {
    () => {
        "INSERT INTO runs (id, delivery_id, origin, occurred_at, lane, source, type, customer_id, \
         service_id, due_at, replay_of, created_at, updated_at, status, blocks, planned, fence, \
         overtaken) SELECT w.*, w.now_at, 'pending', 1, 0, 0, 0 FROM w WHERE true"
    };
}

static INSERT: Bulk = Bulk::new(RUNS, insert_runs!());

/// For the deliveries that were stored a moment ago.
static INSERT_KEPT: Bulk = Bulk::new(
    RUNS,
    concat!(
        insert_runs!(),
        " AND EXISTS (SELECT 1 FROM deliveries d WHERE d.id = w.delivery_id)"
    ),
);

/// The lanes of new runs in which another run is unfinished.
static CROWDED: Bulk = Bulk::new(
    &[("first", Kind::Int), ("last", Kind::Int)],
    "SELECT DISTINCT r.lane FROM runs r, w \
         WHERE r.id BETWEEN w.first AND w.last AND EXISTS (SELECT 1 FROM runs o \
            WHERE o.lane = r.lane AND o.blocks = 1 AND o.id <> r.id)",
);

/// Makes the runs; answers the lanes in which they are not alone.
pub(super) async fn make(
    link: &mut Link<'_>,
    made: &[Made<'_>],
    counts: &mut Counts,
) -> Result<HashSet<String>, SqlError> {
    counts.made(i64::try_from(made.len()).unwrap_or(0));
    let mut shared: HashMap<&str, usize> = HashMap::with_capacity(made.len());
    for new in made {
        *shared.entry(&new.run.lane).or_default() += 1;
    }
    // Looked at only now: while the locks were waited for, an idle lane may have got a run.
    let lanes: Vec<&str> = shared.keys().copied().collect();
    let busy = lanes::busy(link, &lanes).await?;
    // By lane, so that two processes that make runs of the same lanes do not wait for each other.
    let (mut idle, late): (Vec<&Made<'_>>, Vec<&Made<'_>>) = made.iter().partition(|new| {
        !busy.contains(&new.run.lane) && shared.get(new.run.lane.as_str()) == Some(&1)
    });
    idle.sort_by(|one, other| one.run.lane.cmp(&other.run.lane));
    // Where another process makes a run of the same idle lane at this moment, the database lets
    // one of the two through; the other's transaction is repeated and finds the lane busy.
    insert_runs(link, &idle, true).await?;
    insert_runs(link, &late, false).await?;
    let lanes: Vec<String> = late.iter().map(|new| new.run.lane.clone()).collect();
    settle_lanes(link, &lanes, made).await?;
    Ok(lanes.into_iter().collect())
}

async fn insert_runs(link: &mut Link<'_>, made: &[&Made<'_>], due: bool) -> Result<(), SqlError> {
    let insert = INSERT.execute(link, made, |row, new| run_row(row, new, due));
    insert.await.map(drop)
}

pub(super) fn run_row<'v>(row: &mut Rows<'v>, new: &Made<'v>, due: bool) {
    row.push(new.run.id.0)
        .push(new.delivery.0)
        .push(new.run.order.origin.0)
        .push(new.run.order.occurred_at.micros())
        .push(&new.run.lane)
        .push(new.source)
        .push(new.run.kind.name())
        .push(&new.run.customer_id)
        .push(&new.run.service_id)
        .push(due.then_some(new.now.micros()))
        .push(new.run.replay_of)
        .push(new.now.micros());
}

/// Puts the lanes that got runs beside others in order.
async fn settle_lanes(
    link: &mut Link<'_>,
    lanes: &[String],
    made: &[Made<'_>],
) -> Result<(), SqlError> {
    let Some(now) = made.iter().map(|new| new.now).max() else {
        return Ok(());
    };
    let lanes: Vec<&str> = lanes.iter().map(String::as_str).collect();
    lanes::settle(link, &lanes, Because::RunCame, now).await
}
