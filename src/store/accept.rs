//! Keeping deliveries and the runs they make, many at once, inside one transaction.

use std::collections::{HashMap, HashSet};

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, RunId};
use crate::domain::time::Timestamp;

use super::advance::release;
use super::intervene::unclear_until;
use super::lanes::{self, Because};
use super::rows::{DeliveryVerdict, NewDelivery, NewRun, Receipt};
use super::sql::{for_rows, returning};

const DELIVERIES: &str = "INSERT INTO deliveries (id, received_at, source, verdict, cause, type, \
     dedupe, duplicate_of, customer_id, service_ids, run_ids, signed_at, verification, headers, body)";

/// Keeps the deliveries; one receipt each, in their order.
pub(super) async fn accept(
    connection: &mut SqliteConnection,
    deliveries: &[NewDelivery],
) -> Result<Vec<Receipt>, sqlx::Error> {
    let rows: Vec<Row<'_>> = deliveries
        .iter()
        .map(|new| Row {
            new,
            duplicate_of: None,
        })
        .collect();
    let inserted = insert(connection, &rows).await?;
    if inserted == deliveries.len() as u64 {
        add_runs(connection, deliveries.iter()).await?;
        return Ok(vec![Receipt::Stored; deliveries.len()]);
    }
    let stored = stored_among(connection, deliveries).await?;
    let fresh = deliveries.iter().filter(|new| stored.contains(&new.id.0));
    add_runs(connection, fresh).await?;
    let mut receipts = Vec::with_capacity(deliveries.len());
    for new in deliveries {
        receipts.push(if stored.contains(&new.id.0) {
            Receipt::Stored
        } else {
            repeated(connection, new).await?
        });
    }
    Ok(receipts)
}

struct Row<'a> {
    new: &'a NewDelivery,
    duplicate_of: Option<i64>,
}

async fn insert(connection: &mut SqliteConnection, rows: &[Row<'_>]) -> Result<u64, sqlx::Error> {
    for_rows(
        connection,
        DELIVERIES,
        " ON CONFLICT DO NOTHING",
        rows,
        |row, Row { new, duplicate_of }| {
            row.push_bind(new.id.0);
            row.push_bind(new.received_at.micros());
            row.push_bind(new.source.to_string());
            row.push_bind(new.verdict.name());
            row.push_bind(new.cause.clone());
            row.push_bind(new.kind.clone());
            row.push_bind(new.dedupe.map(Vec::from));
            row.push_bind(*duplicate_of);
            row.push_bind(new.customer_id.clone());
            row.push_bind(json_list(&new.service_ids));
            row.push_bind(run_ids(&new.runs));
            row.push_bind(new.signed_at.map(Timestamp::micros));
            row.push_bind(new.verification.clone());
            row.push_bind(new.headers.clone());
            row.push_bind(new.body.clone());
        },
    )
    .await
}

fn json_list(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| serde_json::json!(texts).to_string())
}

fn run_ids(runs: &[NewRun]) -> Option<String> {
    let ids: Vec<i64> = runs.iter().map(|run| run.id.0).collect();
    (!ids.is_empty()).then(|| serde_json::json!(ids).to_string())
}

async fn stored_among(
    connection: &mut SqliteConnection,
    deliveries: &[NewDelivery],
) -> Result<HashSet<i64>, sqlx::Error> {
    let head = "WITH wanted (id) AS (";
    let tail = ") SELECT id FROM deliveries WHERE id IN (SELECT id FROM wanted)";
    let rows = returning(connection, head, tail, deliveries, |row, new| {
        row.push_bind(new.id.0);
    })
    .await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// The key is taken: the same body makes a duplicate, another body a conflict. Both are kept,
/// without the key.
async fn repeated(
    connection: &mut SqliteConnection,
    new: &NewDelivery,
) -> Result<Receipt, sqlx::Error> {
    let first = sqlx::query("SELECT id, body, run_ids FROM deliveries WHERE dedupe = ?")
        .bind(new.dedupe.map(Vec::from))
        .fetch_one(&mut *connection)
        .await?;
    let of: i64 = first.try_get(0)?;
    let body: Vec<u8> = first.try_get(1)?;
    let runs: Option<String> = first.try_get(2)?;
    let mut again = NewDelivery {
        dedupe: None,
        runs: Vec::new(),
        ..new.clone()
    };
    let receipt = if body == new.body {
        again.verdict = DeliveryVerdict::Duplicate;
        again.cause = Some("the same delivery again".to_owned());
        Receipt::Duplicate {
            of: DeliveryId(of),
            runs: read_run_ids(runs.as_deref()),
        }
    } else {
        again.verdict = DeliveryVerdict::Rejected;
        again.cause = Some("the id was used before with another body".to_owned());
        Receipt::Conflict { of: DeliveryId(of) }
    };
    insert(
        connection,
        &[Row {
            new: &again,
            duplicate_of: Some(of),
        }],
    )
    .await?;
    Ok(receipt)
}

/// Reads the column that [`run_ids`] wrote.
pub(super) fn read_run_ids(text: Option<&str>) -> Vec<RunId> {
    let ids: Vec<i64> = text
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    ids.into_iter().map(RunId).collect()
}

const RUNS: &str = "INSERT INTO runs (id, delivery_id, origin, occurred_at, lane, source, type, \
     customer_id, service_id, status, blocks, planned, due_at, fence, overtaken, replay_of, \
     created_at, updated_at)";

async fn add_runs(
    connection: &mut SqliteConnection,
    deliveries: impl Iterator<Item = &NewDelivery>,
) -> Result<(), sqlx::Error> {
    let mut runs = Vec::new();
    for new in deliveries {
        runs.extend(
            new.runs
                .iter()
                .map(|run| (run, new.id, &*new.source, new.received_at)),
        );
    }
    insert_runs(connection, &runs).await
}

/// Makes runs for a delivery that is kept already: a replay. A paused run of the same event
/// no longer holds its lane up; it stays as it is.
pub(super) async fn replay(
    connection: &mut SqliteConnection,
    delivery: DeliveryId,
    source: &str,
    runs: &[NewRun],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let mut begin = None;
    for run in runs {
        let passed = sqlx::query(
            "UPDATE runs SET blocks = 0, due_at = NULL \
             WHERE lane = ? AND origin = ? AND blocks = 1 AND status = 'paused' \
             RETURNING id, customer_id",
        )
        .bind(run.lane.clone())
        .bind(run.order.origin.0)
        .fetch_all(&mut *connection)
        .await?;
        for row in passed {
            // Or the replay would wait for the claim of the run whose place it takes.
            let (id, customer_id): (i64, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
            begin = begin.max(unclear_until(connection, RunId(id)).await?);
            if let Some(customer_id) = customer_id {
                release(connection, source, &customer_id, id, now).await?;
            }
        }
    }
    let rows: Vec<_> = runs
        .iter()
        .map(|run| (run, delivery, source, now))
        .collect();
    insert_runs(connection, &rows).await?;
    let Some(begin) = begin.filter(|begin| *begin > now) else {
        return Ok(());
    };
    for run in runs {
        // What the passed run sent may still take effect: the look that comes first must see it.
        sqlx::query("UPDATE runs SET due_at = ? WHERE id = ? AND due_at IS NOT NULL")
            .bind(begin.micros())
            .bind(run.id.0)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn insert_runs(
    connection: &mut SqliteConnection,
    runs: &[(&NewRun, DeliveryId, &str, Timestamp)],
) -> Result<(), sqlx::Error> {
    let busy = busy_lanes(connection, runs).await?;
    for_rows(
        connection,
        RUNS,
        "",
        runs,
        |row, (run, delivery, source, now)| {
            let due = (!busy.contains(&run.lane)).then_some(now.micros());
            row.push_bind(run.id.0);
            row.push_bind(delivery.0);
            row.push_bind(run.order.origin.0);
            row.push_bind(run.order.occurred_at.micros());
            row.push_bind(run.lane.clone());
            row.push_bind((*source).to_owned());
            row.push_bind(run.kind.name());
            row.push_bind(run.customer_id.clone());
            row.push_bind(run.service_id.clone());
            row.push("'pending', 1, 0");
            row.push_bind(due);
            row.push("0, 0");
            row.push_bind(run.replay_of);
            row.push_bind(now.micros());
            row.push_bind(now.micros());
        },
    )
    .await?;
    let Some((_, _, _, now)) = runs.first() else {
        return Ok(());
    };
    let busy: Vec<String> = busy.into_iter().collect();
    lanes::rebalance(connection, &busy, Because::RunCame, *now).await?;
    let ended: HashSet<&String> = runs
        .iter()
        .filter(|(run, ..)| run.kind == EventType::ServiceTerminated)
        .map(|(run, ..)| &run.lane)
        .collect();
    let ended: Vec<String> = busy
        .into_iter()
        .filter(|lane| ended.contains(lane))
        .collect();
    lanes::overtake(connection, &ended, *now).await
}

/// The lanes that hold an unfinished run, or that two of these runs share.
async fn busy_lanes(
    connection: &mut SqliteConnection,
    runs: &[(&NewRun, DeliveryId, &str, Timestamp)],
) -> Result<HashSet<String>, sqlx::Error> {
    let mut seen: HashMap<&String, usize> = HashMap::new();
    for (run, ..) in runs {
        *seen.entry(&run.lane).or_default() += 1;
    }
    let lanes: Vec<&String> = seen.keys().copied().collect();
    let head = "WITH wanted (lane) AS (";
    let tail = ") SELECT lane FROM wanted WHERE EXISTS \
         (SELECT 1 FROM runs WHERE runs.lane = wanted.lane AND runs.blocks = 1)";
    let rows = returning(connection, head, tail, &lanes, |row, lane| {
        row.push_bind((*lane).clone());
    })
    .await?;
    let mut busy = HashSet::new();
    for row in rows {
        busy.insert(row.try_get::<String, _>(0)?);
    }
    busy.extend(
        seen.into_iter()
            .filter(|(_, count)| *count > 1)
            .map(|(lane, _)| lane.clone()),
    );
    Ok(busy)
}
