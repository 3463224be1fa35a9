//! Reading for people and programs: lists, one delivery, one run, one service, one customer.

use serde_json::Value;

use crate::domain::headers;
use crate::domain::id::{DeliveryId, RunId};
use crate::domain::lane::Member;
use crate::domain::run::RunStatus;
use crate::domain::state::{CustomerState, ServiceState};
use crate::domain::time::Timestamp;

use super::accept::read_run_ids;
use super::claim::document;
use super::counts;
use super::filters::{
    about, between, equals, has_status, has_verdict, in_lanes, newest_first, of_customer, rare,
};
use super::lanes;
use super::sql::{Link, Row, SqlError, statement};
use super::views::{
    DeliveryFilter, DeliveryView, KnownFilter, Named, Page, RunFilter, RunSummary, RunView,
    StateView, StepView,
};
use super::{Database, StoreError};

const RUN_COLUMNS: &str = "SELECT id, delivery_id, origin, occurred_at, lane, source, type, \
     customer_id, service_id, status, planned, due_at, waiting_for, error, replay_of, created_at, \
     updated_at, note, pause_reason, \
     CAST(CASE WHEN at_end LIKE '%\"dry_run\":true%' THEN 1 ELSE 0 END AS BIGINT) AS dry_run FROM runs";
const DELIVERY_COLUMNS: &str = "SELECT id, received_at, source, verdict, cause, type, \
     duplicate_of, customer_id, service_ids, run_ids, signed_at, verification, headers, ";

impl Database {
    /// Lists deliveries, newest first, without their bytes.
    pub async fn deliveries(
        &self,
        filter: &DeliveryFilter,
    ) -> Result<Page<DeliveryView>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let link = &mut reader.link();
        let mut query = statement(DELIVERY_COLUMNS);
        query.push(link.pick("x'' AS body", "''::bytea AS body"));
        query.push(" FROM deliveries WHERE 1 = 1");
        equals(&mut query, "source", filter.source.as_ref());
        has_verdict(&mut query, filter.verdict.as_deref());
        equals(&mut query, "type", filter.kind.as_ref());
        about(&mut query, filter);
        if let Some(text) = &filter.text {
            // Bytes in bytes: a body need not be a text.
            query
                .push(" AND ")
                .push(link.pick("instr(body, ", "position("));
            query.bind(text.clone().into_bytes());
            query.push(link.pick(") > 0", " in body) > 0"));
        }
        between(&mut query, "received_at", filter.since, filter.until);
        newest_first(&mut query, filter.before, filter.limit);
        let rows = query.all(link).await?;
        page(rows.iter().map(delivery), filter.limit, |delivery| {
            delivery.id.0
        })
    }

    /// One delivery with its bytes.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryView>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let mut query = statement(DELIVERY_COLUMNS);
        query.push("body FROM deliveries WHERE id = ").bind(id.0);
        let row = query.first(&mut reader.link()).await?;
        Ok(row.as_ref().map(delivery).transpose()?)
    }

    /// The runs of a delivery, replays included, oldest first.
    pub async fn runs_of(&self, delivery: &DeliveryView) -> Result<Vec<RunSummary>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let mut query = statement(RUN_COLUMNS);
        query.push(" WHERE id IN (-1");
        for run in &delivery.run_ids {
            query.push(", ").bind(run.0);
        }
        query.push(") OR (delivery_id = ").bind(delivery.id.0);
        query.push(" AND replay_of IS NOT NULL) ORDER BY id");
        let rows = query.all(&mut reader.link()).await?;
        Ok(rows.iter().map(run).collect::<Result<_, _>>()?)
    }

    /// Lists runs, newest first.
    pub async fn runs(&self, filter: &RunFilter) -> Result<Page<RunSummary>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let mut query = statement(RUN_COLUMNS);
        query.push(" WHERE 1 = 1");
        // Only what is paused has a reason; with that the index finds it.
        let paused = filter.reason.as_ref().map(|_| RunStatus::Paused.name());
        has_status(&mut query, filter.status.as_deref().or(paused));
        equals(&mut query, "pause_reason", filter.reason.as_ref());
        equals(&mut query, "source", filter.source.as_ref());
        equals(&mut query, "service_id", filter.service.as_ref());
        in_lanes(&mut query, &filter.lanes);
        of_customer(&mut query, filter.customer.as_ref());
        equals(&mut query, "type", filter.kind.as_ref());
        if let Some(delivery) = filter.delivery {
            query.push(" AND delivery_id = ").bind(delivery.0);
        }
        between(&mut query, "created_at", filter.since, filter.until);
        newest_first(&mut query, filter.before, filter.limit);
        let rows = query.all(&mut reader.link()).await?;
        page(rows.iter().map(run), filter.limit, |run| run.id.0)
    }

    /// One run with its journal.
    pub async fn run(&self, id: RunId) -> Result<Option<RunView>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let link = &mut reader.link();
        let mut query = statement(RUN_COLUMNS);
        query.push(" WHERE id = ").bind(id.0);
        let Some(row) = query.first(link).await? else {
            return Ok(None);
        };
        Ok(Some(RunView {
            run: run(&row)?,
            steps: steps(link, id).await?,
        }))
    }

    /// The status and error of a run, for whoever waits for it.
    pub async fn run_status(
        &self,
        id: RunId,
    ) -> Result<Option<(String, Option<String>)>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let row = statement("SELECT status, error FROM runs WHERE id = $1")
            .with(id.0)
            .first(&mut reader.link())
            .await?;
        let read = |row: &Row| Ok::<_, SqlError>((row.text("status")?, row.maybe_text("error")?));
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// The unfinished runs of a lane.
    pub async fn members(&self, lane: &str) -> Result<Vec<Member>, StoreError> {
        let mut reader = self.reads.reader().await?;
        Ok(lanes::members(&mut reader.link(), lane).await?)
    }

    /// Whether anything is known of a service: a state, or a run in its lane. What was only planned
    /// in a dry run counts in dry runs alone.
    pub async fn knows_service(
        &self,
        source: &str,
        service_id: &str,
        lane: &str,
        in_dry_runs: bool,
    ) -> Result<bool, StoreError> {
        let mut reader = self.reads.reader().await?;
        let row = statement(
            "SELECT 1 AS known FROM services WHERE source = $1 AND service_id = $2 \
             UNION ALL SELECT 1 AS known FROM runs WHERE lane = $3 AND blocks = 1 \
             UNION ALL SELECT 1 AS known FROM runs WHERE lane = $3 AND blocks = 0 \
                 AND (CAST($4 AS BIGINT) = 1 OR at_end IS NULL OR at_end NOT LIKE '%\"dry_run\":true%') LIMIT 1",
        )
        .with(source.to_owned())
        .with(service_id.to_owned())
        .with(lane.to_owned())
        .with(i64::from(in_dry_runs))
        .first(&mut reader.link())
        .await?;
        Ok(row.is_some())
    }

    /// A service's state.
    pub async fn service(
        &self,
        source: &str,
        id: &str,
    ) -> Result<Option<StateView<ServiceState>>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let row = statement(
            "SELECT doc, customer_id, updated_at FROM services \
             WHERE source = $1 AND service_id = $2",
        )
        .with(source.to_owned())
        .with(id.to_owned())
        .first(&mut reader.link())
        .await?;
        Ok(row.as_ref().map(state).transpose()?)
    }

    /// A customer's state.
    pub async fn customer(
        &self,
        source: &str,
        id: &str,
    ) -> Result<Option<StateView<CustomerState>>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let row = statement(
            "SELECT doc, customer_id, updated_at FROM customers \
             WHERE source = $1 AND customer_id = $2",
        )
        .with(source.to_owned())
        .with(id.to_owned())
        .first(&mut reader.link())
        .await?;
        Ok(row.as_ref().map(state).transpose()?)
    }

    /// The services of a customer.
    pub async fn services_of(
        &self,
        source: &str,
        customer: &str,
    ) -> Result<Vec<(String, ServiceState)>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let rows = statement(
            "SELECT service_id, doc FROM services WHERE source = $1 AND customer_id = $2 \
             ORDER BY service_id",
        )
        .with(source.to_owned())
        .with(customer.to_owned())
        .all(&mut reader.link())
        .await?;
        let read = |row: &Row| Ok((row.text("service_id")?, known_state(&row.text("doc")?)?));
        Ok(rows.iter().map(read).collect::<Result<_, SqlError>>()?)
    }

    /// The latest runs of a lane, newest first.
    pub async fn history(&self, lane: &str, limit: i64) -> Result<Vec<RunSummary>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let mut query = statement(RUN_COLUMNS);
        query.push(" WHERE 1 = 1");
        in_lanes(&mut query, &[lane.to_owned()]);
        query.push(" ORDER BY id DESC LIMIT ").bind(limit);
        let rows = query.all(&mut reader.link()).await?;
        Ok(rows.iter().map(run).collect::<Result<_, _>>()?)
    }

    /// Known services or customers with their documents, by source and id.
    pub async fn known(
        &self,
        customers: bool,
        filter: &KnownFilter,
    ) -> Result<Page<(Named, Value), Named>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let link = &mut reader.link();
        let mut query = statement(if customers {
            "SELECT source, customer_id AS id, doc FROM customers WHERE 1 = 1"
        } else {
            "SELECT source, service_id AS id, doc FROM services WHERE 1 = 1"
        });
        equals(&mut query, "source", filter.source.as_ref());
        if !customers {
            equals(&mut query, "customer_id", filter.customer.as_ref());
            let status = link.pick(
                "coalesce(json_extract(doc, '$.status'), 'unknown')",
                "coalesce(doc::json ->> 'status', 'unknown')",
            );
            equals(&mut query, status, filter.status.as_ref());
        }
        if let Some((source, id)) = &filter.after {
            query.push(if customers {
                " AND (source, customer_id) > ("
            } else {
                " AND (source, service_id) > ("
            });
            query.bind(source.clone()).push(", ");
            query.bind(id.clone()).push(")");
        }
        // One more than asked tells whether there is a next page.
        query.push(" ORDER BY 1, 2 LIMIT ").bind(filter.limit + 1);
        let rows = query.all(link).await?;
        let read = |row: &Row| {
            let doc = document(&row.text("doc")?)?;
            Ok(((row.text("source")?, row.text("id")?), doc))
        };
        page(rows.iter().map(read), filter.limit, |(name, _)| {
            name.clone()
        })
    }

    /// How many rows there are by status or verdict: `("runs", "paused", 3)`.
    pub async fn counts(&self) -> Result<Vec<(String, String, i64)>, StoreError> {
        let mut reader = self.reads.reader().await?;
        Ok(counts::read(&mut reader.link()).await?)
    }

    /// How many runs are paused, by the word that says why.
    pub async fn paused_by_reason(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let rows = statement(concat!(
            "SELECT coalesce(pause_reason, 'unknown') AS reason, CAST(count(*) AS BIGINT) AS n \
             FROM runs WHERE ",
            rare!(),
            " AND status = 'paused' GROUP BY 1 ORDER BY 1",
        ))
        .all(&mut reader.link())
        .await?;
        let read = |row: &Row| Ok((row.text("reason")?, row.int("n")?));
        Ok(rows.iter().map(read).collect::<Result<_, SqlError>>()?)
    }

    /// When the next alert is due.
    pub async fn next_alert(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let row = statement("SELECT min(due_at) AS due FROM alerts")
            .one(&mut reader.link())
            .await?;
        Ok(row.maybe_int("due")?.map(Timestamp::from_micros))
    }

    /// The earliest due time of all runs.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let row = statement("SELECT min(due_at) AS due FROM runs WHERE due_at IS NOT NULL")
            .one(&mut reader.link())
            .await?;
        Ok(row.maybe_int("due")?.map(Timestamp::from_micros))
    }

    /// The highest id in use.
    pub async fn highest_id(&self) -> Result<i64, StoreError> {
        let mut reader = self.reads.reader().await?;
        let row = statement(
            "SELECT max(id) AS highest FROM (SELECT max(id) AS id FROM deliveries \
             UNION ALL SELECT max(id) AS id FROM runs) AS both_tables",
        )
        .one(&mut reader.link())
        .await?;
        Ok(row.maybe_int("highest")?.unwrap_or(0))
    }

    /// Whether the database answers.
    pub async fn reachable(&self) -> Result<(), StoreError> {
        let mut reader = self.reads.reader().await?;
        statement("SELECT 1 AS one").one(&mut reader.link()).await?;
        Ok(())
    }
}

async fn steps(link: &mut Link<'_>, id: RunId) -> Result<Vec<StepView>, StoreError> {
    let rows = statement("SELECT seq, doc FROM steps WHERE run_id = $1 ORDER BY seq")
        .with(id.0)
        .all(link)
        .await?;
    let attempts = statement(
        "SELECT seq, n, started_at, duration_ms, exchanges, error FROM attempts \
         WHERE run_id = $1 ORDER BY seq, n",
    )
    .with(id.0)
    .all(link)
    .await?;
    let mut steps = Vec::with_capacity(rows.len());
    for row in &rows {
        let seq = row.int("seq")?;
        let mut own = Vec::new();
        for attempt in &attempts {
            if attempt.int("seq")? == seq {
                own.push(read_attempt(attempt)?);
            }
        }
        steps.push(StepView {
            doc: document(&row.text("doc")?)?,
            attempts: own,
        });
    }
    Ok(steps)
}

pub(super) fn page<T, C>(
    rows: impl Iterator<Item = Result<T, SqlError>>,
    limit: i64,
    id: impl Fn(&T) -> C,
) -> Result<Page<T, C>, StoreError> {
    let mut items = rows.collect::<Result<Vec<T>, _>>()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(id) } else { None };
    Ok(Page { items, next })
}

fn time(row: &Row, column: &str) -> Result<Option<Timestamp>, SqlError> {
    Ok(row.maybe_int(column)?.map(Timestamp::from_micros))
}

fn delivery(row: &Row) -> Result<DeliveryView, SqlError> {
    let services = row.maybe_text("service_ids")?;
    let runs = row.maybe_text("run_ids")?;
    Ok(DeliveryView {
        id: DeliveryId(row.int("id")?),
        received_at: Timestamp::from_micros(row.int("received_at")?),
        source: row.text("source")?,
        verdict: row.text("verdict")?,
        cause: row.maybe_text("cause")?,
        kind: row.maybe_text("type")?,
        duplicate_of: row.maybe_int("duplicate_of")?.map(DeliveryId),
        customer_id: row.maybe_text("customer_id")?,
        service_ids: services
            .map(|text| document(&text))
            .transpose()?
            .unwrap_or_default(),
        run_ids: read_run_ids(runs.as_deref()),
        signed_at: time(row, "signed_at")?,
        verification: document(&row.text("verification")?)?,
        headers: headers::show(&row.text("headers")?),
        body: row.blob("body")?,
    })
}

fn run(row: &Row) -> Result<RunSummary, SqlError> {
    Ok(RunSummary {
        id: RunId(row.int("id")?),
        delivery_id: DeliveryId(row.int("delivery_id")?),
        origin: DeliveryId(row.int("origin")?),
        occurred_at: Timestamp::from_micros(row.int("occurred_at")?),
        lane: row.text("lane")?,
        source: row.text("source")?,
        kind: row.text("type")?,
        customer_id: row.maybe_text("customer_id")?,
        service_id: row.maybe_text("service_id")?,
        status: row.text("status")?,
        planned: row.flag("planned")?,
        due_at: time(row, "due_at")?,
        waiting_for: row.maybe_text("waiting_for")?,
        error: row.maybe_text("error")?,
        note: row.maybe_text("note")?,
        pause_reason: row.maybe_text("pause_reason")?,
        dry_run: row.flag("dry_run")?,
        replay_of: row.maybe_int("replay_of")?,
        created_at: Timestamp::from_micros(row.int("created_at")?),
        updated_at: Timestamp::from_micros(row.int("updated_at")?),
    })
}

fn read_attempt(row: &Row) -> Result<Value, SqlError> {
    let exchanges = row.maybe_text("exchanges")?;
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
        "n": row.int("n")?,
        "started_at": Timestamp::from_micros(row.int("started_at")?),
        "duration_ms": row.maybe_int("duration_ms")?,
        "request": last.get("request"),
        "response": last.get("response"),
        "error": row.maybe_text("error")?,
        "exchanges": exchanges,
    }))
}

fn known_state<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, SqlError> {
    crate::domain::state::read(text).map_err(SqlError::unreadable)
}

fn state<T: serde::de::DeserializeOwned>(row: &Row) -> Result<StateView<T>, SqlError> {
    Ok(StateView {
        state: known_state(&row.text("doc")?)?,
        customer_id: row.maybe_text("customer_id")?,
        updated_at: Timestamp::from_micros(row.int("updated_at")?),
    })
}
