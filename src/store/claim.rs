//! Taking runs that are due, with everything a decision needs.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, RunId};
use crate::domain::lease::Lease;
use crate::domain::pause::PauseReason;
use crate::domain::run::RunStatus;
use crate::domain::state::{self, CustomerState, ServiceState};
use crate::domain::step::Step;
use crate::domain::time::Timestamp;

use super::bulk::id;
use super::counts::Counts;
use super::lanes;
use super::rows::{AtEnd, Claimed};
use super::sql::{Bulk, Kind, Link, Row, SqlError, statement};

// What another process has at this moment is passed over, not waited for. So is a run beside
// another one that is under way in the lane: there should be none, but one would keep all others from being
// taken with it (`runs_held`).
const DUE: &str = "SELECT id, status FROM runs WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2";
const DUE_LOCKED: &str = "SELECT id, status FROM runs WHERE due_at <= $1 \
     AND (SELECT 1 FROM runs o WHERE o.lane = runs.lane AND o.id <> runs.id AND o.blocks = 1 \
        AND o.status = 'running' LIMIT 1) IS NULL \
     ORDER BY due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED";

static TAKE: Bulk = Bulk::new(
    &[("id", Kind::Int), ("until_at", Kind::Int)],
    "UPDATE runs SET status = 'running', fence = fence + 1, due_at = w.until_at, \
         claim_wait = NULL, waiting_for = NULL, \
         overtaken = CASE WHEN runs.overtaken > 0 THEN 2 ELSE 0 END \
         FROM w WHERE runs.id = w.id",
);

/// Whose the run is: the service's owner, whoever the event names; of a move the one who gets it.
macro_rules! whose {
    () => {
        "CASE WHEN r.type = 'service.moved' THEN r.customer_id \
         ELSE coalesce(s.customer_id, r.customer_id) END"
    };
}

static READ: Bulk = Bulk::of_ids(concat!(
    "SELECT r.id, r.delivery_id, r.origin, r.occurred_at, r.lane, r.source, r.type, ",
    whose!(),
    " AS customer, r.service_id, r.fence, \
         r.planned, r.touched, r.replay_of, r.at_end, r.pause_reason, r.error, coalesce(d.received_at, r.created_at) AS received_at, \
         coalesce(d.signed_at, d.received_at, r.created_at) AS signed_at, d.body, \
         coalesce(s.doc, '{}') AS service_doc, coalesce(c.doc, '{}') AS customer_doc, \
         CAST(CASE WHEN EXISTS (SELECT 1 FROM runs o WHERE o.lane = r.lane AND o.blocks = 1 \
            AND (o.occurred_at, o.origin) > (r.occurred_at, r.origin)) \
            THEN 1 ELSE 0 END AS BIGINT) AS newer \
         FROM runs r LEFT JOIN deliveries d ON d.id = r.delivery_id \
         LEFT JOIN services s ON s.source = r.source AND s.service_id = r.service_id \
         LEFT JOIN customers c ON c.source = r.source \
            AND c.customer_id = ",
    whose!(),
    ", w WHERE r.id = w.id",
));

static JOURNALS: Bulk = Bulk::of_ids(
    "SELECT s.run_id, s.doc FROM steps s, w WHERE s.run_id = w.id \
         ORDER BY s.run_id, s.seq",
);

/// Takes up to `limit` due runs until `lease_end`.
pub(super) async fn claim(
    link: &mut Link<'_>,
    limit: usize,
    now: Timestamp,
    lease_end: Timestamp,
    counts: &mut Counts,
) -> Result<Vec<Claimed>, SqlError> {
    let due = statement(link.pick(DUE, DUE_LOCKED))
        .with(now.micros())
        .with(i64::try_from(limit).unwrap_or(i64::MAX))
        .all(link)
        .await?;
    let mut ids = Vec::with_capacity(due.len());
    for row in &due {
        ids.push(row.int("id")?);
        let from: Result<RunStatus, _> = row.text("status")?.parse();
        counts.moved(from.unwrap_or(RunStatus::Running), RunStatus::Running);
    }
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    TAKE.execute(link, &ids, |row, id| {
        row.push(*id).push(lease_end.micros());
    })
    .await?;
    let rows = READ.fetch(link, &ids, id).await?;
    let mut claimed = Vec::with_capacity(rows.len());
    for row in &rows {
        claimed.push(read(row, lease_end)?);
    }
    // Rows come back in no particular order; those that waited longest go first.
    let place: HashMap<i64, usize> = ids.iter().copied().zip(0..).collect();
    claimed.sort_by_key(|run| place.get(&run.id.0).copied());
    add_journals(link, &mut claimed).await?;
    Ok(claimed)
}

fn read(row: &Row, lease_end: Timestamp) -> Result<Claimed, SqlError> {
    let kind = row.text("type")?;
    let at_end = row.maybe_text("at_end")?;
    let service = state::read::<ServiceState>(&row.text("service_doc")?);
    let customer = state::read::<CustomerState>(&row.text("customer_doc")?);
    // One row that cannot be read must not keep all others from being carried out.
    let known_kind = kind.parse::<EventType>();
    let at_end = at_end
        .map(|text| serde_json::from_str::<AtEnd>(&text))
        .transpose();
    let mut steps = Vec::new();
    if known_kind.is_err() {
        steps.push(Err(format!(
            "this version does not know the event type {kind}"
        )));
    }
    for why in [
        service.as_ref().err(),
        customer.as_ref().err(),
        at_end.as_ref().err(),
    ] {
        steps.extend(why.map(|why| {
            Err(format!(
                "what is known of the service cannot be read: {why}"
            ))
        }));
    }
    Ok(Claimed {
        id: RunId(row.int("id")?),
        delivery_id: DeliveryId(row.int("delivery_id")?),
        order: lanes::order(row)?,
        lane: row.text("lane")?,
        source: row.text("source")?,
        kind: known_kind.unwrap_or(EventType::TestPing),
        customer_id: row.maybe_text("customer")?,
        service_id: row.maybe_text("service_id")?,
        fence: row.int("fence")?,
        lease: Arc::new(Lease::until(lease_end)),
        planned: row.flag("planned")?,
        paused: paused(row)?,
        replay: row.maybe_int("replay_of")?.is_some(),
        newer: row.flag("newer")?,
        touched: row.flag("touched")?,
        at_end: at_end.ok().flatten().unwrap_or_default(),
        received_at: Timestamp::from_micros(row.int("received_at")?),
        signed_at: Timestamp::from_micros(row.int("signed_at")?),
        body: row.maybe_blob("body")?.unwrap_or_default(),
        steps,
        service: service.unwrap_or_default(),
        customer: customer.unwrap_or_default(),
    })
}

/// A run keeps the reason for its pause until a person lets it go on, or a worker did.
fn paused(row: &Row) -> Result<Option<(PauseReason, String)>, SqlError> {
    let Some(reason) = row.maybe_text("pause_reason")? else {
        return Ok(None);
    };
    let error = row.maybe_text("error")?.unwrap_or_default();
    Ok(PauseReason::from_name(&reason).map(|reason| (reason, error)))
}

/// Parses a stored document.
pub(super) fn document<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, SqlError> {
    serde_json::from_str(text).map_err(SqlError::unreadable)
}

async fn add_journals(link: &mut Link<'_>, claimed: &mut [Claimed]) -> Result<(), SqlError> {
    let planned: Vec<i64> = claimed
        .iter()
        .filter(|run| run.planned)
        .map(|run| run.id.0)
        .collect();
    let rows = JOURNALS.fetch(link, &planned, id).await?;
    let mut journals: HashMap<i64, Vec<Result<Step, String>>> = HashMap::new();
    for row in rows {
        let doc = row.text("doc")?;
        journals
            .entry(row.int("run_id")?)
            .or_default()
            .push(read_step(&doc));
    }
    for run in claimed {
        run.steps
            .extend(journals.remove(&run.id.0).unwrap_or_default());
    }
    Ok(())
}

/// A step that this version cannot read was planned by a newer one; its kind says which.
pub(super) fn read_step(doc: &str) -> Result<Step, String> {
    serde_json::from_str(doc).map_err(|wrong| {
        let value: serde_json::Value = serde_json::from_str(doc).unwrap_or_default();
        match value.pointer("/action/kind").and_then(|kind| kind.as_str()) {
            Some(kind) => format!("this version cannot carry out the step {kind}: {wrong}"),
            None => format!("a step in the journal cannot be read: {wrong}"),
        }
    })
}
