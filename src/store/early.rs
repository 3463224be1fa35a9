//! Events that came before the order of their service. Each question that is asked of a service
//! (dark or not, which package, renewed) keeps its newest; a run is made of it once the order is
//! there.

use crate::domain::event::EventType;
use crate::domain::id::RunId;
use crate::domain::run::Lane;
use crate::domain::time::Timestamp;

use super::accept::{Made, make};
use super::counts::Counts;
use super::lanes;
use super::rows::{NewDelivery, NewRun};
use super::sql::{Bulk, Kind, Link, Row, SqlError, statement};
use super::{Database, StoreError};

/// How many are looked for at once.
const AT_ONCE: i64 = 200;

/// What an early event asks of its service; the newest of those that ask the same is kept.
pub(super) const fn question(kind: EventType) -> &'static str {
    match kind {
        EventType::ServicePackageChanged => "package",
        EventType::ServiceRenewed => "renewal",
        _ => "lifecycle",
    }
}

static KEEP: Bulk = Bulk::new(
    &[
        ("source", Kind::Text),
        ("service_id", Kind::Text),
        ("question", Kind::Text),
        ("occurred_at", Kind::Int),
        ("delivery_id", Kind::Int),
        ("run_id", Kind::Int),
        ("type", Kind::Text),
        ("customer_id", Kind::Text),
    ],
    "INSERT INTO early (source, service_id, question, occurred_at, delivery_id, run_id, type, \
         customer_id) SELECT * FROM w WHERE true \
         ON CONFLICT (source, service_id, question) DO UPDATE SET \
         occurred_at = excluded.occurred_at, delivery_id = excluded.delivery_id, \
         run_id = excluded.run_id, type = excluded.type, customer_id = excluded.customer_id \
         WHERE (early.occurred_at, early.delivery_id) < (excluded.occurred_at, excluded.delivery_id)",
);

/// Keeps what came too early in these deliveries.
pub(super) async fn keep(
    link: &mut Link<'_>,
    deliveries: impl Iterator<Item = &NewDelivery>,
) -> Result<(), SqlError> {
    let early: Vec<(&NewDelivery, &NewRun)> = deliveries
        .flat_map(|new| new.early.iter().map(move |run| (new, run)))
        .collect();
    // One after the other: a statement may not change a row twice.
    for one in early.chunks(1) {
        KEEP.execute(link, one, |row, (new, run)| {
            row.push(&new.source)
                .push(&run.service_id)
                .push(question(run.kind))
                .push(run.order.occurred_at.micros())
                .push(run.order.origin.0)
                .push(run.id.0)
                .push(run.kind.name())
                .push(&run.customer_id);
        })
        .await?;
    }
    Ok(())
}

/// Makes runs of what came before the order of a service; answers how many.
pub(super) async fn take(
    link: &mut Link<'_>,
    source: &str,
    service_id: &str,
    now: Timestamp,
    counts: &mut Counts,
) -> Result<usize, SqlError> {
    let lane = Lane::Service {
        source: source.to_owned(),
        service_id: service_id.to_owned(),
    };
    let lane = lane.key();
    lanes::lock(link, &[&lane]).await?;
    let rows = statement(
        "DELETE FROM early WHERE source = $1 AND service_id = $2 \
         RETURNING service_id, occurred_at, delivery_id AS origin, run_id, type, customer_id",
    )
    .with(source.to_owned())
    .with(service_id.to_owned())
    .all(link)
    .await?;
    let runs = rows.iter().map(|row| run(row, &lane));
    let runs = runs.collect::<Result<Vec<_>, _>>()?;
    let made: Vec<Made<'_>> = runs
        .iter()
        .map(|run| Made {
            run,
            delivery: run.order.origin,
            source,
            now,
        })
        .collect();
    make(link, &made, counts).await?;
    Ok(made.len())
}

fn run(row: &Row, lane: &str) -> Result<NewRun, SqlError> {
    let kind = row.text("type")?.parse().map_err(SqlError::unreadable)?;
    Ok(NewRun {
        id: RunId(row.int("run_id")?),
        order: lanes::order(row)?,
        lane: lane.to_owned(),
        kind,
        customer_id: row.maybe_text("customer_id")?,
        service_id: row.maybe_text("service_id")?,
        replay_of: None,
    })
}

/// Drops what was kept of deliveries that are let go.
pub(super) async fn drop_of(link: &mut Link<'_>, deliveries: &[i64]) -> Result<(), SqlError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let newest = deliveries.iter().max().copied().unwrap_or(0);
    statement("DELETE FROM early WHERE delivery_id <= $1")
        .with(newest)
        .execute(link)
        .await
        .map(drop)
}

impl Database {
    /// Whether something came before the order of this service.
    pub async fn has_early(&self, source: &str, service_id: &str) -> Result<bool, StoreError> {
        let mut reader = self.reads.reader().await?;
        let row =
            statement("SELECT 1 AS early FROM early WHERE source = $1 AND service_id = $2 LIMIT 1")
                .with(source.to_owned())
                .with(service_id.to_owned())
                .first(&mut reader.link())
                .await?;
        Ok(row.is_some())
    }

    /// Services of which something came early and that are known by now.
    pub async fn early_known(&self) -> Result<Vec<(String, String)>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let rows = statement(
            "SELECT DISTINCT e.source, e.service_id FROM early e WHERE EXISTS \
             (SELECT 1 FROM services s WHERE s.source = e.source AND s.service_id = e.service_id) \
             OR EXISTS (SELECT 1 FROM runs r WHERE r.blocks = 1 \
                AND r.lane = 's:' || e.source || ':' || e.service_id) LIMIT $1",
        )
        .with(AT_ONCE)
        .all(&mut reader.link())
        .await?;
        let read = |row: &Row| Ok::<_, SqlError>((row.text("source")?, row.text("service_id")?));
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }
}
