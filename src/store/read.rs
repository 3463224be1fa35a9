//! Reading for people and programs: lists, one delivery, one run, one service, one customer.

use sqlx::Row as _;
use sqlx::query_builder::QueryBuilder;
use sqlx::sqlite::{Sqlite, SqliteRow};

use serde_json::Value;

use crate::domain::id::{DeliveryId, RunId};
use crate::domain::state::{CustomerState, ServiceState};
use crate::domain::time::Timestamp;

use super::accept::read_run_ids;
use super::claim::document;
use super::views::{
    DeliveryFilter, DeliveryView, Page, RunFilter, RunSummary, RunView, StateView, StepView,
};
use super::{Database, StoreError};

const RUN_COLUMNS: &str = "SELECT id, delivery_id, origin, occurred_at, lane, source, type, \
     customer_id, service_id, status, planned, due_at, waiting_for, error, replay_of, created_at, \
     updated_at, at_end ->> '$.note' AS note FROM runs";
const DELIVERY_COLUMNS: &str = "SELECT id, received_at, source, verdict, cause, type, \
     duplicate_of, customer_id, service_ids, run_ids, signed_at, verification, headers, ";

impl Database {
    /// Lists deliveries, newest first, without their bytes.
    pub async fn deliveries(
        &self,
        filter: &DeliveryFilter,
    ) -> Result<Page<DeliveryView>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(DELIVERY_COLUMNS);
        query.push("x'' AS body FROM deliveries WHERE 1 = 1");
        equals(&mut query, "source", filter.source.as_ref());
        equals(&mut query, "verdict", filter.verdict.as_ref());
        equals(&mut query, "type", filter.kind.as_ref());
        equals(&mut query, "customer_id", filter.customer.as_ref());
        if let Some(service) = &filter.service {
            query.push(" AND EXISTS (SELECT 1 FROM json_each(service_ids) WHERE value = ");
            query.push_bind(service.clone()).push(")");
        }
        if let Some(text) = &filter.text {
            query
                .push(" AND instr(CAST(body AS TEXT), ")
                .push_bind(text.clone())
                .push(") > 0");
        }
        between(&mut query, "received_at", filter.since, filter.until);
        newest_first(&mut query, filter.before, filter.limit);
        let rows = query.build().fetch_all(&self.reads).await?;
        page(rows.iter().map(delivery), filter.limit, |delivery| {
            delivery.id.0
        })
    }

    /// One delivery with its bytes.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryView>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(DELIVERY_COLUMNS);
        query
            .push("body FROM deliveries WHERE id = ")
            .push_bind(id.0);
        let row = query.build().fetch_optional(&self.reads).await?;
        Ok(row.as_ref().map(delivery).transpose()?)
    }

    /// The runs of a delivery, replays included, oldest first.
    pub async fn runs_of(&self, delivery: &DeliveryView) -> Result<Vec<RunSummary>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(RUN_COLUMNS);
        query.push(" WHERE id IN (SELECT value FROM json_each(");
        let ids: Vec<i64> = delivery.run_ids.iter().map(|run| run.0).collect();
        query.push_bind(serde_json::json!(ids).to_string());
        query.push(")) OR (delivery_id = ").push_bind(delivery.id.0);
        query.push(" AND replay_of IS NOT NULL) ORDER BY id");
        let rows = query.build().fetch_all(&self.reads).await?;
        Ok(rows.iter().map(run).collect::<Result<_, _>>()?)
    }

    /// Lists runs, newest first.
    pub async fn runs(&self, filter: &RunFilter) -> Result<Page<RunSummary>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(RUN_COLUMNS);
        query.push(" WHERE 1 = 1");
        equals(&mut query, "status", filter.status.as_ref());
        equals(&mut query, "source", filter.source.as_ref());
        equals(&mut query, "service_id", filter.service.as_ref());
        equals(&mut query, "customer_id", filter.customer.as_ref());
        equals(&mut query, "type", filter.kind.as_ref());
        if let Some(delivery) = filter.delivery {
            query.push(" AND delivery_id = ").push_bind(delivery.0);
        }
        between(&mut query, "created_at", filter.since, filter.until);
        newest_first(&mut query, filter.before, filter.limit);
        let rows = query.build().fetch_all(&self.reads).await?;
        page(rows.iter().map(run), filter.limit, |run| run.id.0)
    }

    /// One run with its journal.
    pub async fn run(&self, id: RunId) -> Result<Option<RunView>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(RUN_COLUMNS);
        query.push(" WHERE id = ").push_bind(id.0);
        let Some(row) = query.build().fetch_optional(&self.reads).await? else {
            return Ok(None);
        };
        Ok(Some(RunView {
            run: run(&row)?,
            steps: self.steps(id).await?,
        }))
    }

    async fn steps(&self, id: RunId) -> Result<Vec<StepView>, StoreError> {
        let rows = sqlx::query("SELECT seq, doc FROM steps WHERE run_id = ? ORDER BY seq")
            .bind(id.0)
            .fetch_all(&self.reads)
            .await?;
        let attempts = sqlx::query(
            "SELECT seq, n, started_at, duration_ms, exchanges, error FROM attempts \
             WHERE run_id = ? ORDER BY seq, n",
        )
        .bind(id.0)
        .fetch_all(&self.reads)
        .await?;
        let mut steps = Vec::with_capacity(rows.len());
        for row in &rows {
            let seq: i64 = row.try_get(0)?;
            let mut own = Vec::new();
            for attempt in &attempts {
                if attempt.try_get::<i64, _>(0)? == seq {
                    own.push(read_attempt(attempt)?);
                }
            }
            steps.push(StepView {
                doc: document(&row.try_get::<String, _>(1)?)?,
                attempts: own,
            });
        }
        Ok(steps)
    }

    /// The status and error of a run, for whoever waits for it.
    pub async fn run_status(
        &self,
        id: RunId,
    ) -> Result<Option<(String, Option<String>)>, StoreError> {
        let row = sqlx::query("SELECT status, error FROM runs WHERE id = ?")
            .bind(id.0)
            .fetch_optional(&self.reads)
            .await?;
        Ok(row
            .map(|row| Ok::<_, sqlx::Error>((row.try_get(0)?, row.try_get(1)?)))
            .transpose()?)
    }

    /// Whether anything is known of a service: a state, or a run in its lane.
    pub async fn knows_service(
        &self,
        source: &str,
        service_id: &str,
        lane: &str,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT EXISTS (SELECT 1 FROM services WHERE source = ? AND service_id = ?) \
             OR EXISTS (SELECT 1 FROM runs WHERE lane = ?)",
        )
        .bind(source.to_owned())
        .bind(service_id.to_owned())
        .bind(lane.to_owned())
        .fetch_one(&self.reads)
        .await?;
        Ok(row.try_get::<i64, _>(0)? == 1)
    }

    /// A service's state.
    pub async fn service(
        &self,
        source: &str,
        id: &str,
    ) -> Result<Option<StateView<ServiceState>>, StoreError> {
        let row = sqlx::query(
            "SELECT doc, customer_id, updated_at FROM services WHERE source = ? AND service_id = ?",
        )
        .bind(source.to_owned())
        .bind(id.to_owned())
        .fetch_optional(&self.reads)
        .await?;
        Ok(row.as_ref().map(state).transpose()?)
    }

    /// A customer's state.
    pub async fn customer(
        &self,
        source: &str,
        id: &str,
    ) -> Result<Option<StateView<CustomerState>>, StoreError> {
        let row = sqlx::query(
            "SELECT doc, NULL, updated_at FROM customers WHERE source = ? AND customer_id = ?",
        )
        .bind(source.to_owned())
        .bind(id.to_owned())
        .fetch_optional(&self.reads)
        .await?;
        Ok(row.as_ref().map(state).transpose()?)
    }

    /// The services of a customer.
    pub async fn services_of(
        &self,
        source: &str,
        customer: &str,
    ) -> Result<Vec<(String, ServiceState)>, StoreError> {
        let rows = sqlx::query(
            "SELECT service_id, doc FROM services WHERE source = ? AND customer_id = ? ORDER BY service_id",
        )
        .bind(source.to_owned())
        .bind(customer.to_owned())
        .fetch_all(&self.reads)
        .await?;
        let read = |row: &SqliteRow| Ok((row.try_get(0)?, known_state(row.try_get(1)?)?));
        Ok(rows.iter().map(read).collect::<Result<_, sqlx::Error>>()?)
    }

    /// The latest runs of a lane, newest first.
    pub async fn history(&self, lane: &str, limit: i64) -> Result<Vec<RunSummary>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(RUN_COLUMNS);
        query.push(" WHERE lane = ").push_bind(lane.to_owned());
        query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.reads).await?;
        Ok(rows.iter().map(run).collect::<Result<_, _>>()?)
    }

    /// Every known service or customer id of a source, in order.
    pub async fn known(
        &self,
        customers: bool,
        filter: &RunFilter,
    ) -> Result<Vec<(String, String, Value)>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(if customers {
            "SELECT source, customer_id, doc FROM customers WHERE 1 = 1"
        } else {
            "SELECT source, service_id, doc FROM services WHERE 1 = 1"
        });
        equals(&mut query, "source", filter.source.as_ref());
        if !customers {
            equals(&mut query, "customer_id", filter.customer.as_ref());
        }
        query.push(" ORDER BY 1, 2 LIMIT ").push_bind(filter.limit);
        let rows = query.build().fetch_all(&self.reads).await?;
        let read = |row: &SqliteRow| {
            Ok((
                row.try_get(0)?,
                row.try_get(1)?,
                document(&row.try_get::<String, _>(2)?)?,
            ))
        };
        Ok(rows.iter().map(read).collect::<Result<_, sqlx::Error>>()?)
    }

    /// How many rows there are by status or verdict: `("runs", "paused", 3)`.
    pub async fn counts(&self) -> Result<Vec<(String, String, i64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT 'runs', status, count(*) FROM runs GROUP BY status \
             UNION ALL SELECT 'deliveries', verdict, count(*) FROM deliveries GROUP BY verdict",
        )
        .fetch_all(&self.reads)
        .await?;
        let read = |row: &SqliteRow| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        Ok(rows.iter().map(read).collect::<Result<_, sqlx::Error>>()?)
    }

    /// The earliest due time of all runs.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query("SELECT min(due_at) FROM runs WHERE due_at IS NOT NULL")
            .fetch_one(&self.reads)
            .await?;
        Ok(row
            .try_get::<Option<i64>, _>(0)?
            .map(Timestamp::from_micros))
    }

    /// The highest id in use.
    pub async fn highest_id(&self) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT max(coalesce((SELECT max(id) FROM deliveries), 0), \
             coalesce((SELECT max(id) FROM runs), 0))",
        )
        .fetch_one(&self.reads)
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Whether the database answers.
    pub async fn reachable(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").fetch_one(&self.reads).await?;
        Ok(())
    }
}

fn equals(query: &mut QueryBuilder<Sqlite>, column: &'static str, wanted: Option<&String>) {
    if let Some(wanted) = wanted {
        query
            .push(" AND ")
            .push(column)
            .push(" = ")
            .push_bind(wanted.clone());
    }
}

fn between(
    query: &mut QueryBuilder<Sqlite>,
    column: &'static str,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) {
    if let Some(since) = since {
        query
            .push(" AND ")
            .push(column)
            .push(" >= ")
            .push_bind(since.micros());
    }
    if let Some(until) = until {
        query
            .push(" AND ")
            .push(column)
            .push(" < ")
            .push_bind(until.micros());
    }
}

fn newest_first(query: &mut QueryBuilder<Sqlite>, before: Option<i64>, limit: i64) {
    if let Some(before) = before {
        query.push(" AND id < ").push_bind(before);
    }
    // One more than asked tells whether there is a next page.
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit + 1);
}

fn page<T>(
    rows: impl Iterator<Item = Result<T, sqlx::Error>>,
    limit: i64,
    id: impl Fn(&T) -> i64,
) -> Result<Page<T>, StoreError> {
    let mut items = rows.collect::<Result<Vec<T>, _>>()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(id) } else { None };
    Ok(Page { items, next })
}

fn time(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    Ok(row
        .try_get::<Option<i64>, _>(column)?
        .map(Timestamp::from_micros))
}

fn delivery(row: &SqliteRow) -> Result<DeliveryView, sqlx::Error> {
    let services: Option<String> = row.try_get("service_ids")?;
    let runs: Option<String> = row.try_get("run_ids")?;
    Ok(DeliveryView {
        id: DeliveryId(row.try_get("id")?),
        received_at: Timestamp::from_micros(row.try_get("received_at")?),
        source: row.try_get("source")?,
        verdict: row.try_get("verdict")?,
        cause: row.try_get("cause")?,
        kind: row.try_get("type")?,
        duplicate_of: row
            .try_get::<Option<i64>, _>("duplicate_of")?
            .map(DeliveryId),
        customer_id: row.try_get("customer_id")?,
        service_ids: services
            .map(|text| document(&text))
            .transpose()?
            .unwrap_or_default(),
        run_ids: read_run_ids(runs.as_deref()),
        signed_at: time(row, "signed_at")?,
        verification: document(&row.try_get::<String, _>("verification")?)?,
        headers: document(&row.try_get::<String, _>("headers")?)?,
        body: row.try_get("body")?,
    })
}

fn run(row: &SqliteRow) -> Result<RunSummary, sqlx::Error> {
    Ok(RunSummary {
        id: RunId(row.try_get("id")?),
        delivery_id: DeliveryId(row.try_get("delivery_id")?),
        origin: DeliveryId(row.try_get("origin")?),
        occurred_at: Timestamp::from_micros(row.try_get("occurred_at")?),
        lane: row.try_get("lane")?,
        source: row.try_get("source")?,
        kind: row.try_get("type")?,
        customer_id: row.try_get("customer_id")?,
        service_id: row.try_get("service_id")?,
        status: row.try_get("status")?,
        planned: row.try_get::<i64, _>("planned")? == 1,
        due_at: time(row, "due_at")?,
        waiting_for: row.try_get("waiting_for")?,
        error: row.try_get("error")?,
        note: row.try_get("note")?,
        replay_of: row.try_get("replay_of")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        updated_at: Timestamp::from_micros(row.try_get("updated_at")?),
    })
}

fn read_attempt(row: &SqliteRow) -> Result<Value, sqlx::Error> {
    let exchanges: Option<String> = row.try_get("exchanges")?;
    let exchanges: Value = exchanges
        .map(|text| document(&text))
        .transpose()?
        .unwrap_or_default();
    // The last exchange is the one that decided.
    let last = exchanges
        .as_array()
        .and_then(|all| all.last())
        .cloned()
        .unwrap_or_default();
    Ok(serde_json::json!({
        "n": row.try_get::<i64, _>("n")?,
        "started_at": Timestamp::from_micros(row.try_get("started_at")?),
        "duration_ms": row.try_get::<Option<i64>, _>("duration_ms")?,
        "request": last.get("request"),
        "response": last.get("response"),
        "error": row.try_get::<Option<String>, _>("error")?,
        "exchanges": exchanges,
    }))
}

fn known_state<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    crate::domain::state::read(text).map_err(|wrong| sqlx::Error::Decode(Box::new(wrong)))
}

fn state<T: serde::de::DeserializeOwned>(row: &SqliteRow) -> Result<StateView<T>, sqlx::Error> {
    Ok(StateView {
        state: known_state(row.try_get(0)?)?,
        customer_id: row.try_get(1)?,
        updated_at: Timestamp::from_micros(row.try_get(2)?),
    })
}
