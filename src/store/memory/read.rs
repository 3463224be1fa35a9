//! Reading for people and programs.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::headers;
use crate::domain::id::DeliveryId;
use crate::domain::id::RunId;
use crate::domain::lane::Member;
use crate::domain::run::RunStatus;
use crate::domain::state::{CustomerState, ServiceState};
use crate::domain::step::StepStatus;
use crate::domain::time::Timestamp;
use crate::store::{
    AttemptRow, DeliveryFilter, DeliveryView, KnownFilter, Named, Page, RunFilter, RunSummary,
    RunView, StateView, StepView, StoreError,
};

use super::rows::{DeliveryRow, Rows, RunRow};
use super::{Memory, Passing};

impl Memory {
    pub(super) async fn read<T>(
        &self,
        what: &'static str,
        look: impl FnOnce(&Rows) -> T + Send,
    ) -> Result<T, StoreError> {
        self.gate.pass(Passing::Read(what)).await?;
        Ok(look(&self.rows()))
    }

    pub(in crate::store) async fn deliveries(
        &self,
        filter: &DeliveryFilter,
    ) -> Result<Page<DeliveryView>, StoreError> {
        let all = self
            .read("deliveries", |rows| {
                let found = rows.deliveries.values().rev();
                let found = found.filter(|row| is_wanted(row, filter));
                found.map(delivery).collect::<Vec<_>>()
            })
            .await?;
        let bare = all.into_iter().map(|view| DeliveryView {
            body: Vec::new(),
            ..view
        });
        Ok(page(bare, filter.limit, |view| view.id.0))
    }

    pub(in crate::store) async fn delivery(
        &self,
        id: DeliveryId,
    ) -> Result<Option<DeliveryView>, StoreError> {
        self.read("delivery", |rows| rows.deliveries.get(&id.0).map(delivery))
            .await
    }

    pub(in crate::store) async fn orders_of_others(
        &self,
        source: &str,
        service_id: &str,
        orders: Vec<i64>,
    ) -> Result<HashSet<i64>, StoreError> {
        let own = (source.to_owned(), service_id.to_owned());
        self.read("orders_of_others", |rows| {
            let anothers = |order: &i64| rows.orders.get(order).is_some_and(|whose| *whose != own);
            orders.into_iter().filter(anothers).collect()
        })
        .await
    }

    pub(in crate::store) async fn last_builds(
        &self,
        product: i64,
    ) -> Result<Vec<Duration>, StoreError> {
        self.read("last_builds", |rows| {
            let builds = rows.builds.get(&product).into_iter().flatten();
            builds.rev().map(|(_, took)| *took).collect()
        })
        .await
    }

    pub(in crate::store) async fn runs_of(
        &self,
        delivery: &DeliveryView,
    ) -> Result<Vec<RunSummary>, StoreError> {
        self.read("runs_of", |rows| {
            let its = |run: &&RunRow| {
                let again = run.delivery == delivery.id && run.replay_of.is_some();
                delivery.run_ids.contains(&run.id) || again
            };
            rows.runs.values().filter(its).map(summary).collect()
        })
        .await
    }

    pub(in crate::store) async fn runs(
        &self,
        filter: &RunFilter,
    ) -> Result<Page<RunSummary>, StoreError> {
        let all = self
            .read("runs", |rows| {
                let found = rows.runs.values().rev().filter(|run| fits(run, filter));
                found.map(summary).collect::<Vec<_>>()
            })
            .await?;
        Ok(page(all.into_iter(), filter.limit, |run| run.id.0))
    }

    pub(in crate::store) async fn run(&self, id: RunId) -> Result<Option<RunView>, StoreError> {
        self.read("run", |rows| {
            let run = summary(rows.runs.get(&id)?);
            let steps = rows.steps_of(id).map(|step| StepView {
                doc: json!(step),
                attempts: rows
                    .attempts_of(id)
                    .filter(|attempt| attempt.seq == step.seq)
                    .map(attempt)
                    .collect(),
            });
            let steps = steps.collect();
            Some(RunView { run, steps })
        })
        .await
    }

    pub(in crate::store) async fn run_status(
        &self,
        id: RunId,
    ) -> Result<Option<(String, Option<String>)>, StoreError> {
        self.read("run_status", |rows| {
            let run = rows.runs.get(&id)?;
            Some((run.status.name().to_owned(), run.error.clone()))
        })
        .await
    }

    pub(in crate::store) async fn members(&self, lane: &str) -> Result<Vec<Member>, StoreError> {
        self.read("members", |rows| rows.members(lane)).await
    }

    pub(in crate::store) async fn knows_service(
        &self,
        source: &str,
        service_id: &str,
        lane: &str,
        in_dry_runs: bool,
    ) -> Result<bool, StoreError> {
        self.read("knows_service", |rows| {
            let known = (source.to_owned(), service_id.to_owned());
            let dry = |run: &RunRow| run.at_end.as_ref().is_some_and(|end| end.dry_run);
            let counts = |run: &RunRow| run.blocks || in_dry_runs || !dry(run);
            let mut runs = rows.runs.values();
            rows.services.contains_key(&known) || runs.any(|run| run.lane == lane && counts(run))
        })
        .await
    }

    pub(in crate::store) async fn service(
        &self,
        source: &str,
        id: &str,
    ) -> Result<Option<StateView<ServiceState>>, StoreError> {
        self.read("service", |rows| {
            let row = rows.services.get(&(source.to_owned(), id.to_owned()))?;
            Some(StateView {
                state: known(&row.doc),
                customer_id: row.customer_id.clone(),
                updated_at: row.updated_at,
            })
        })
        .await
    }

    pub(in crate::store) async fn customer(
        &self,
        source: &str,
        id: &str,
    ) -> Result<Option<StateView<CustomerState>>, StoreError> {
        self.read("customer", |rows| {
            let row = rows.customers.get(&(source.to_owned(), id.to_owned()))?;
            Some(StateView {
                state: known(&row.doc),
                customer_id: None,
                updated_at: row.updated_at,
            })
        })
        .await
    }

    pub(in crate::store) async fn services_of(
        &self,
        source: &str,
        customer: &str,
    ) -> Result<Vec<(String, ServiceState)>, StoreError> {
        self.read("services_of", |rows| {
            let all = rows.services.iter();
            let its = all.filter(|((of, _), row)| {
                of == source && row.customer_id.as_deref() == Some(customer)
            });
            its.map(|((_, id), row)| (id.clone(), known(&row.doc)))
                .collect()
        })
        .await
    }

    pub(in crate::store) async fn history(
        &self,
        lane: &str,
        limit: i64,
    ) -> Result<Vec<RunSummary>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.read("history", |rows| {
            let its = rows.runs.values().rev().filter(|run| run.lane == lane);
            its.take(limit).map(summary).collect()
        })
        .await
    }

    pub(in crate::store) async fn known(
        &self,
        customers: bool,
        filter: &KnownFilter,
    ) -> Result<Page<(Named, Value), Named>, StoreError> {
        let all: Vec<_> = self
            .read("known", |rows| {
                if customers {
                    let all = rows.customers.iter();
                    all.map(|(key, row)| (key.clone(), None, row.doc.clone()))
                        .collect()
                } else {
                    let all = rows.services.iter();
                    all.map(|(key, row)| (key.clone(), row.customer_id.clone(), row.doc.clone()))
                        .collect::<Vec<_>>()
                }
            })
            .await?;
        let wanted = all.into_iter().filter(|(name, customer, doc)| {
            let status = doc.get("status").map_or(Some("unknown"), Value::as_str);
            fits_text(filter.source.as_ref(), Some(&name.0))
                && fits_text(filter.customer.as_ref(), customer.as_deref())
                && fits_text(filter.status.as_ref(), status)
                && filter.after.as_ref().is_none_or(|after| name > after)
        });
        let wanted = wanted.map(|(name, _, doc)| (name, doc));
        Ok(page(wanted, filter.limit, |(name, _)| name.clone()))
    }

    pub(in crate::store) async fn counts(&self) -> Result<Vec<(String, String, i64)>, StoreError> {
        self.read("counts", |rows| {
            let runs = rows.runs.values().map(|run| ("runs", run.status.name()));
            let verdicts = rows.deliveries.values();
            let verdicts = verdicts.map(|row| ("deliveries", row.new.verdict.name()));
            let mut counts = BTreeMap::new();
            for key in runs.chain(verdicts) {
                *counts.entry(key).or_insert(0) += 1;
            }
            let told = |((what, name), count): ((&str, &str), i64)| {
                (what.to_owned(), name.to_owned(), count)
            };
            counts.into_iter().map(told).collect()
        })
        .await
    }

    pub(in crate::store) async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read("next_due", Rows::next_due).await
    }

    pub(in crate::store) async fn highest_id(&self) -> Result<i64, StoreError> {
        self.read("highest_id", Rows::highest_id).await
    }

    pub(in crate::store) async fn reachable(&self) -> Result<(), StoreError> {
        self.read("reachable", |_| ()).await
    }

    pub(in crate::store) async fn oldest_waiting(
        &self,
    ) -> Result<Vec<(String, RunId, Timestamp)>, StoreError> {
        self.read("oldest_waiting", |rows| {
            let waiting = rows.runs.values();
            let waiting = waiting.filter(|run| run.status == RunStatus::Waiting);
            let stands = waiting.filter_map(|run| {
                let steps = rows.steps.range((run.id, 0)..=(run.id, u32::MAX));
                let open = [
                    StepStatus::Pending,
                    StepStatus::Running,
                    StepStatus::Waiting,
                    StepStatus::Unknown,
                ];
                let (_, step) = steps
                    .into_iter()
                    .find(|(_, step)| open.contains(&step.status))?;
                Some((step.clone(), run.id, run.created_at))
            });
            super::super::waiting::oldest(stands)
        })
        .await
    }
}

impl Rows {
    /// The earliest due time of all runs.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.runs.values().filter_map(|run| run.due_at).min()
    }
}

fn fits_text(wanted: Option<&String>, given: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| given == Some(wanted))
}

fn between(at: Timestamp, since: Option<Timestamp>, until: Option<Timestamp>) -> bool {
    since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until)
}

fn is_wanted(row: &DeliveryRow, filter: &DeliveryFilter) -> bool {
    let new = &row.new;
    let body = String::from_utf8_lossy(&new.body);
    let text = filter.text.as_ref();
    let service = filter.service.as_ref();
    fits_text(filter.source.as_ref(), Some(&new.source))
        && fits_text(filter.verdict.as_ref(), Some(new.verdict.name()))
        && fits_text(filter.kind.as_ref(), new.kind)
        && fits_text(filter.customer.as_ref(), new.customer_id.as_deref())
        && service.is_none_or(|service| new.service_ids.contains(service))
        && text.is_none_or(|text| body.contains(text))
        && between(new.received_at, filter.since, filter.until)
        && filter.before.is_none_or(|before| new.id.0 < before)
}

fn fits(run: &RunRow, filter: &RunFilter) -> bool {
    fits_text(filter.status.as_ref(), Some(run.status.name()))
        && fits_text(filter.reason.as_ref(), run.pause_reason)
        && fits_text(filter.source.as_ref(), Some(&run.source))
        && fits_text(filter.service.as_ref(), run.service_id.as_deref())
        && fits_text(filter.customer.as_ref(), run.customer_id.as_deref())
        && fits_text(filter.kind.as_ref(), Some(run.kind.name()))
        && filter.delivery.is_none_or(|id| run.delivery == id)
        && between(run.created_at, filter.since, filter.until)
        && filter.before.is_none_or(|before| run.id.0 < before)
}

pub(super) fn page<T, C>(
    all: impl Iterator<Item = T>,
    limit: i64,
    id: impl Fn(&T) -> C,
) -> Page<T, C> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut items: Vec<T> = all.take(limit.saturating_add(1)).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(id);
    Page { items, next }
}

fn delivery(row: &DeliveryRow) -> DeliveryView {
    let new = &row.new;
    let read = |text: &str| serde_json::from_str(text).unwrap_or_default();
    DeliveryView {
        id: new.id,
        received_at: new.received_at,
        source: new.source.to_string(),
        verdict: new.verdict.name().to_owned(),
        cause: new.cause.clone(),
        kind: new.kind.map(str::to_owned),
        duplicate_of: row.duplicate_of,
        customer_id: new.customer_id.clone(),
        service_ids: new.service_ids.clone(),
        run_ids: new.runs.iter().map(|run| run.id).collect(),
        signed_at: new.signed_at,
        verification: read(&new.verification),
        headers: headers::show(&new.headers),
        body: new.body.clone(),
    }
}

fn summary(run: &RunRow) -> RunSummary {
    RunSummary {
        id: run.id,
        delivery_id: run.delivery,
        origin: run.order.origin,
        occurred_at: run.order.occurred_at,
        lane: run.lane.clone(),
        source: run.source.clone(),
        kind: run.kind.name().to_owned(),
        customer_id: run.customer_id.clone(),
        service_id: run.service_id.clone(),
        status: run.status.name().to_owned(),
        planned: run.planned,
        due_at: run.due_at,
        waiting_for: run.waiting_for.clone(),
        error: run.error.clone(),
        note: run.at_end.as_ref().and_then(|end| end.note.clone()),
        pause_reason: run.pause_reason.map(str::to_owned),
        dry_run: run.at_end.as_ref().is_some_and(|end| end.dry_run),
        replay_of: run.replay_of,
        created_at: run.created_at,
        updated_at: run.updated_at,
    }
}

fn attempt(attempt: &AttemptRow) -> Value {
    // The last exchange is the one that decided.
    let last = attempt.exchanges.last().map(|last| json!(last));
    let last = last.unwrap_or_default();
    json!({
        "n": attempt.n,
        "started_at": attempt.started_at,
        "duration_ms": attempt.duration_ms,
        "request": last.get("request"),
        "response": last.get("response"),
        "error": attempt.error,
        "exchanges": attempt.exchanges,
    })
}

/// A state as it was written; nulls were left out.
pub(super) fn known<T: serde::de::DeserializeOwned>(doc: &Value) -> T {
    T::deserialize(doc).expect("it was written")
}
