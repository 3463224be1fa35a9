//! Taking runs that are due, with everything a decision needs.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, RunId};
use crate::domain::run::OrderKey;
use crate::domain::state::{self, CustomerState, ServiceState};
use crate::domain::step::Step;
use crate::domain::time::Timestamp;

use super::rows::{AtEnd, Claimed};
use super::sql::{for_rows, returning};

const DUE: &str = "SELECT r.id, r.delivery_id, r.origin, r.occurred_at, r.lane, r.source, r.type, \
     coalesce(r.customer_id, s.customer_id) AS customer, r.service_id, r.fence + 1 AS fence, \
     r.planned, r.replay_of IS NOT NULL AS replay, r.at_end, d.received_at, coalesce(d.signed_at, d.received_at) AS signed_at, \
     d.body, coalesce(s.doc, '{}') AS service_doc, coalesce(c.doc, '{}') AS customer_doc, \
     EXISTS (SELECT 1 FROM runs o WHERE o.lane = r.lane AND o.blocks = 1 \
        AND o.type = 'service.terminated' \
        AND (o.occurred_at, o.origin) > (r.occurred_at, r.origin)) AS ended_later \
     FROM runs r JOIN deliveries d ON d.id = r.delivery_id \
     LEFT JOIN services s ON s.source = r.source AND s.service_id = r.service_id \
     LEFT JOIN customers c ON c.source = r.source \
        AND c.customer_id = coalesce(r.customer_id, s.customer_id) \
     WHERE r.due_at <= ? ORDER BY r.due_at LIMIT ?";

/// Takes up to `limit` due runs until `lease_end`.
pub(super) async fn claim(
    connection: &mut SqliteConnection,
    limit: usize,
    now: Timestamp,
    lease_end: Timestamp,
) -> Result<Vec<Claimed>, sqlx::Error> {
    let rows = sqlx::query(DUE)
        .bind(now.micros())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *connection)
        .await?;
    let mut claimed = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let lease = lease_end.micros();
    let tail = ") UPDATE runs SET status = 'running', fence = fence + 1, due_at = w.due_at, \
         claim_wait = NULL, waiting_for = NULL, overtaken = 0 FROM w WHERE runs.id = w.id";
    for_rows(
        connection,
        "WITH w (id, due_at) AS (",
        tail,
        &claimed,
        |row, run| {
            row.push_bind(run.id.0);
            row.push_bind(lease);
        },
    )
    .await?;
    add_journals(connection, &mut claimed).await?;
    Ok(claimed)
}

fn read(row: &SqliteRow) -> Result<Claimed, sqlx::Error> {
    let kind: String = row.try_get("type")?;
    let at_end: Option<String> = row.try_get("at_end")?;
    let service = state::read::<ServiceState>(row.try_get("service_doc")?);
    let customer = state::read::<CustomerState>(row.try_get("customer_doc")?);
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
        id: RunId(row.try_get("id")?),
        delivery_id: DeliveryId(row.try_get("delivery_id")?),
        order: OrderKey {
            occurred_at: Timestamp::from_micros(row.try_get("occurred_at")?),
            origin: DeliveryId(row.try_get("origin")?),
        },
        lane: row.try_get("lane")?,
        source: row.try_get("source")?,
        kind: known_kind.unwrap_or(EventType::TestPing),
        customer_id: row.try_get("customer")?,
        service_id: row.try_get("service_id")?,
        fence: row.try_get("fence")?,
        planned: row.try_get::<i64, _>("planned")? == 1,
        replay: row.try_get::<i64, _>("replay")? == 1,
        terminated_later: row.try_get::<i64, _>("ended_later")? == 1,
        at_end: at_end.ok().flatten().unwrap_or_default(),
        received_at: Timestamp::from_micros(row.try_get("received_at")?),
        signed_at: Timestamp::from_micros(row.try_get("signed_at")?),
        body: row.try_get("body")?,
        steps,
        service: service.unwrap_or_default(),
        customer: customer.unwrap_or_default(),
    })
}

/// Parses a stored document.
pub(super) fn document<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|wrong| sqlx::Error::Decode(Box::new(wrong)))
}

async fn add_journals(
    connection: &mut SqliteConnection,
    claimed: &mut [Claimed],
) -> Result<(), sqlx::Error> {
    let planned: Vec<i64> = claimed
        .iter()
        .filter(|run| run.planned)
        .map(|run| run.id.0)
        .collect();
    let tail = ") SELECT s.run_id, s.doc FROM steps s JOIN w ON w.id = s.run_id \
         ORDER BY s.run_id, s.seq";
    let rows = returning(connection, "WITH w (id) AS (", tail, &planned, |row, id| {
        row.push_bind(*id);
    })
    .await?;
    let mut journals: HashMap<i64, Vec<Result<Step, String>>> = HashMap::new();
    for row in rows {
        let doc: String = row.try_get(1)?;
        journals
            .entry(row.try_get(0)?)
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
fn read_step(doc: &str) -> Result<Step, String> {
    serde_json::from_str(doc).map_err(|wrong| {
        let value: serde_json::Value = serde_json::from_str(doc).unwrap_or_default();
        match value.pointer("/action/kind").and_then(|kind| kind.as_str()) {
            Some(kind) => format!("this version cannot carry out the step {kind}: {wrong}"),
            None => format!("a step in the journal cannot be read: {wrong}"),
        }
    })
}
