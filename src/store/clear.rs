//! Keeping deliveries whose lanes are clear, on `PostgreSQL`: in one statement, which is a
//! transaction by itself. Nearly all deliveries are of this kind, and round trips to the database
//! are a large part of what one costs.
//!
//! What asks for more than new rows (a lane that holds a run already, a repetition, a refusal)
//! goes the long way, in a transaction of `accept`.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use sqlx::Arguments as _;
use sqlx::postgres::{PgArguments, PgConnection};

use crate::domain::time::Timestamp;

use super::accept::{Made, RUNS, json_list, run_ids, run_row, runs_of};
use super::bulk::{Columns, Kind, Rows};
use super::rows::{DeliveryVerdict, NewDelivery};
use super::sql::{SqlError, ask_postgres};

/// Those that may be kept this way: they make runs, in lanes that no other of them touches.
pub(super) fn among(deliveries: &[NewDelivery]) -> Vec<&NewDelivery> {
    let mut touched: HashMap<&str, usize> = HashMap::with_capacity(deliveries.len());
    for run in deliveries.iter().flat_map(|new| &new.runs) {
        *touched.entry(&run.lane).or_default() += 1;
    }
    let only = |new: &&NewDelivery| {
        let mut lanes = new.runs.iter().map(|run| run.lane.as_str());
        lanes.all(|lane| touched.get(lane) == Some(&1))
    };
    let plain = |new: &&NewDelivery| {
        let accepted = new.verdict == DeliveryVerdict::Accepted && new.cause.is_none();
        accepted && !new.runs.is_empty() && new.early.is_empty()
    };
    let mut clear: Vec<_> = deliveries.iter().filter(plain).filter(only).collect();
    // As below: two processes may get the same deliveries in different orders.
    clear.sort_by_key(|new| new.dedupe);
    clear
}

/// Keeps them; answers the ids of those that were left out, because another run of their lane is
/// unfinished. Fails, and keeps none, where one was there already or a lane got a run meanwhile.
pub(super) async fn keep(
    connection: &mut PgConnection,
    deliveries: &[&NewDelivery],
    shard: i64,
) -> Result<HashSet<i64>, SqlError> {
    let mut given = PgArguments::default();
    let mut rows = Rows::default();
    for new in deliveries {
        delivery_row(&mut rows, new);
    }
    DELIVERY.add(&mut given, &rows)?;
    let mut rows = Rows::default();
    let mut runs: Vec<Made<'_>> = deliveries.iter().flat_map(|new| runs_of(new)).collect();
    // By lane, so that two processes that make runs of the same lanes do not wait for each other.
    runs.sort_by(|one, other| one.run.lane.cmp(&other.run.lane));
    for made in &runs {
        run_row(&mut rows, made, true);
    }
    Columns(RUNS).add(&mut given, &rows)?;
    given.add(shard).map_err(sqlx::Error::Encode)?;
    let brought = ask_postgres(connection, KEEP.as_str(), given).await?;
    brought
        .rows
        .iter()
        .map(|row| row.int("delivery_id"))
        .collect()
}

const DELIVERY: Columns = Columns(&[
    ("id", Kind::Int),
    ("received_at", Kind::Int),
    ("source", Kind::Text),
    ("type", Kind::Text),
    ("dedupe", Kind::Blob),
    ("customer_id", Kind::Text),
    ("service_ids", Kind::Text),
    ("run_ids", Kind::Text),
    ("signed_at", Kind::Int),
    ("verification", Kind::Text),
    ("headers", Kind::Text),
    ("body", Kind::Blob),
]);

fn delivery_row<'v>(row: &mut Rows<'v>, new: &'v NewDelivery) {
    row.push(new.id.0)
        .push(new.received_at.micros())
        .push(&new.source)
        .push(new.kind)
        .push(&new.dedupe)
        .push(&new.customer_id)
        .push(json_list(&new.service_ids))
        .push(run_ids(&new.runs))
        .push(new.signed_at.map(Timestamp::micros))
        .push(&new.verification)
        .push(&new.headers)
        .push(&new.body);
}

/// Nobody is kept from making a run of the same lane meanwhile: both runs would be due, and the
/// database lets only one of the two through (`runs_next`).
static KEEP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH {}, {}, \
         taken AS MATERIALIZED (SELECT lane FROM runs \
            WHERE lane = ANY (ARRAY(SELECT lane FROM r)) AND blocks = 1), \
         busy AS MATERIALIZED (SELECT delivery_id FROM r WHERE lane IN (SELECT lane FROM taken)), \
         kept AS (INSERT INTO deliveries (id, received_at, source, verdict, type, dedupe, \
            customer_id, service_ids, run_ids, signed_at, verification, headers, body) \
            SELECT id, received_at, source, 'accepted', type, dedupe, customer_id, service_ids, \
            run_ids, signed_at, verification, headers, body FROM d \
            WHERE id NOT IN (SELECT delivery_id FROM busy) RETURNING 1), \
         made AS (INSERT INTO runs (id, delivery_id, origin, occurred_at, lane, source, type, \
            customer_id, service_id, replay_of, due_at, created_at, updated_at, status, blocks, \
            planned, fence, overtaken) \
            SELECT id, delivery_id, origin, occurred_at, lane, source, type, customer_id, \
            service_id, replay_of, due_at, now_at, now_at, 'pending', 1, 0, 0, 0 FROM r \
            WHERE delivery_id NOT IN (SELECT delivery_id FROM busy) RETURNING 1), \
         counted AS (INSERT INTO counts (kind, name, shard, n) \
            SELECT 'deliveries', 'accepted', ${shard}, count(*) FROM kept HAVING count(*) > 0 \
            UNION ALL SELECT 'runs', 'pending', ${shard}, count(*) FROM made \
            HAVING count(*) > 0 \
            ON CONFLICT (kind, name, shard) DO UPDATE SET n = counts.n + excluded.n) \
         SELECT DISTINCT delivery_id FROM busy",
        DELIVERY.table("d", 1),
        Columns(RUNS).table("r", DELIVERY.0.len() + 1),
        shard = DELIVERY.0.len() + RUNS.len() + 1,
    )
});
