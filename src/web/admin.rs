//! The admin API: lists, single rows, and what a person may do to a run.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use crate::domain::id::{DeliveryId, RunId};
use crate::domain::pause::PauseReason;
use crate::domain::run::{Lane, RunStatus};
use crate::store::{Intervened, Intervention, KnownFilter, Named, Page};

use super::query::Query;
use super::{Problem, Web, outcome, shown};

/// How many runs the history of a service or customer shows.
const HISTORY: i64 = 50;
/// How many characters of a person's reason are kept.
const LONGEST_REASON: usize = 500;

pub(super) type Answer = Result<HttpResponse, Problem>;

pub(super) fn query(web: &Web, request: &HttpRequest) -> Result<Query, Problem> {
    web.check_admin(request)?;
    Ok(Query::read(request.query_string(), web.clock.now()))
}

pub(super) async fn deliveries(web: web::Data<Web>, request: HttpRequest) -> Answer {
    let mut filter = query(&web, &request)?.deliveries()?;
    filter.lanes = lanes(&web, filter.source.as_deref(), filter.service.as_deref());
    let page = web.store.deliveries(&filter).await?;
    let mut total = page.whole(filter.before.is_none());
    if total.is_none() && filter.is_counted() {
        total = Some(counted(&web, "deliveries", filter.verdict.as_deref()).await?);
    }
    Ok(HttpResponse::Ok().json(shown::page(&page, total, shown::delivery)))
}

/// How many rows the store has counted, of one status or verdict or of all.
async fn counted(web: &Web, table: &str, name: Option<&str>) -> Result<i64, Problem> {
    let counts = web.store.counts().await?.into_iter();
    let wanted = counts.filter(|(of, is, _)| of == table && name.is_none_or(|name| name == is));
    Ok(wanted.map(|(.., count)| count).sum())
}

/// The lanes that a service of this id may have: the store finds runs by them.
fn lanes(web: &Web, source: Option<&str>, service: Option<&str>) -> Vec<String> {
    let Some(service) = service else {
        return Vec::new();
    };
    let sources: Vec<&str> = match source {
        Some(source) => vec![source],
        None => web.receiver.source_names().collect(),
    };
    let lane = |source: &str| Lane::Service {
        source: source.to_owned(),
        service_id: service.to_owned(),
    };
    sources
        .into_iter()
        .map(|source| lane(source).key())
        .collect()
}

pub(super) async fn delivery(
    web: web::Data<Web>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Answer {
    query(&web, &request)?.nothing()?;
    let id: DeliveryId = id
        .parse()
        .map_err(|_| Problem::not_found("no such delivery"))?;
    let delivery = web
        .store
        .delivery(id)
        .await?
        .ok_or_else(|| Problem::not_found("no such delivery"))?;
    let runs = web.store.runs_of(&delivery).await?;
    Ok(HttpResponse::Ok().json(shown::whole_delivery(&delivery, &runs)))
}

pub(super) async fn runs(web: web::Data<Web>, request: HttpRequest) -> Answer {
    let mut filter = query(&web, &request)?.runs()?;
    filter.lanes = lanes(&web, filter.source.as_deref(), filter.service.as_deref());
    let page = web.store.runs(&filter).await?;
    let mut total = page.whole(filter.before.is_none());
    if total.is_none() && filter.is_counted() {
        total = Some(counted(&web, "runs", filter.status.as_deref()).await?);
    }
    // A run has its steps everywhere; a page is short enough to read them one by one.
    let mut items = Vec::with_capacity(page.items.len());
    for summary in &page.items {
        items.extend(web.store.run(summary.id).await?);
    }
    let page = Page {
        items,
        next: page.next,
    };
    Ok(HttpResponse::Ok().json(shown::page(&page, total, shown::whole_run)))
}

pub(super) async fn run(
    web: web::Data<Web>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Answer {
    query(&web, &request)?.nothing()?;
    let id: RunId = id.parse().map_err(|_| Problem::not_found("no such run"))?;
    let view = web
        .store
        .run(id)
        .await?
        .ok_or_else(|| Problem::not_found("no such run"))?;
    let mut shown = shown::whole_run(&view);
    if let Some(blocker) = outcome::behind(&web, id).await {
        shown["blocked_by"] = blocker;
    }
    Ok(HttpResponse::Ok().json(shown))
}

pub(super) async fn intervene(
    web: web::Data<Web>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    body: web::Bytes,
) -> Answer {
    web.check_admin(&request)?;
    let (id, what) = path.into_inner();
    let why = why(&body);
    let id: RunId = id.parse().map_err(|_| Problem::not_found("no such run"))?;
    let what = match what.as_str() {
        "retry" | "resume" => Intervention::Retry,
        "approve" => Intervention::Approve,
        "cancel" => Intervention::Cancel,
        _ => {
            return Err(Problem::not_found(
                "a run can be told: retry, resume, approve, cancel",
            ));
        }
    };
    match web.store.intervene(id, what, web.clock.now()).await? {
        Intervened::Done => {
            tracing::info!(run = %id, ?what, why, "a person stepped in");
            let view = web
                .store
                .run(id)
                .await?
                .ok_or_else(|| Problem::not_found("no such run"))?;
            Ok(HttpResponse::Ok().json(shown::whole_run(&view)))
        }
        Intervened::Unclear => Err(Problem::conflict(
            "the outcome of a request that this run sent is not known yet; look again in two minutes",
        )),
        Intervened::NotFound => Err(Problem::not_found("no such run")),
        Intervened::NoApproval => Err(no_approval(&web, id).await?),
        Intervened::NotNow(status) => Err(not_now(&web, id, what, status).await?),
    }
}

/// What the run waits for instead of an approval, and what to do.
async fn no_approval(web: &Web, id: RunId) -> Result<Problem, Problem> {
    let view = web.store.run(id).await?;
    let run = view.ok_or_else(|| Problem::not_found("no such run"))?.run;
    let reason = run.pause_reason.as_deref();
    let next = reason
        .and_then(PauseReason::from_name)
        .map_or_else(String::new, |reason| {
            reason.next_without_approval(&id.to_string())
        });
    Ok(Problem::conflict(format!(
        "the run asks for no approval; it is paused because: {} – {next}",
        run.error.unwrap_or_default(),
    )))
}

async fn not_now(
    web: &Web,
    id: RunId,
    what: Intervention,
    status: RunStatus,
) -> Result<Problem, Problem> {
    let allowed = match what {
        Intervention::Retry => "only a paused or waiting run is retried",
        Intervention::Approve => "only a paused run that asks for it is approved",
        Intervention::Cancel => "only a run that has not ended is cancelled",
    };
    let by = match status {
        // An older version left a run paused whose place a replay had taken.
        RunStatus::Paused => Some("and a replay took its place".to_owned()),
        RunStatus::Superseded => web.store.run_status(id).await?.and_then(|(_, why)| why),
        _ => None,
    };
    let by = by.map_or_else(String::new, |by| format!(" {by}"));
    Ok(Problem::conflict(format!(
        "the run is {status}{by}; {allowed}"
    )))
}

/// Why a person steps in, `{"reason": "…"}`, on one line; empty where nothing is said.
fn why(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let reason = body
        .get("reason")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    reason.chars().take(LONGEST_REASON).map(plain).collect()
}

async fn known(web: &Web, customers: bool, filter: &KnownFilter) -> Answer {
    let page = web.store.known(customers, filter).await?;
    let total = page.whole(filter.after.is_none());
    let show = |row: &(Named, Value)| shown::known(customers, row);
    Ok(HttpResponse::Ok().json(shown::page(&page, total, show)))
}

pub(super) async fn services(web: web::Data<Web>, request: HttpRequest) -> Answer {
    let filter = query(&web, &request)?.services()?;
    known(&web, false, &filter).await
}

pub(super) async fn customers(web: web::Data<Web>, request: HttpRequest) -> Answer {
    let filter = query(&web, &request)?.customers()?;
    known(&web, true, &filter).await
}

pub(super) async fn service(
    web: web::Data<Web>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Answer {
    query(&web, &request)?.nothing()?;
    let (source, id) = path.into_inner();
    let lane = Lane::Service {
        source: source.clone(),
        service_id: id.clone(),
    }
    .key();
    let history = web.store.history(&lane, HISTORY).await?;
    let view = match web.store.service(&source, &id).await? {
        Some(view) => view,
        // Known by its runs alone: nothing of it is planned yet.
        None => match history.first() {
            None => return Err(Problem::not_found("no such service")),
            Some(run) => crate::store::StateView {
                state: crate::domain::state::ServiceState::default(),
                customer_id: run.customer_id.clone(),
                updated_at: run.updated_at,
            },
        },
    };
    Ok(HttpResponse::Ok().json(shown::service(&source, &id, &view, &history)))
}

pub(super) async fn customer(
    web: web::Data<Web>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Answer {
    query(&web, &request)?.nothing()?;
    let (source, id) = path.into_inner();
    let lane = Lane::Customer {
        source: source.clone(),
        customer_id: id.clone(),
    }
    .key();
    let history = web.store.history(&lane, HISTORY).await?;
    let view = web.store.customer(&source, &id).await?;
    let view = view.ok_or_else(|| Problem::not_found("no such customer"))?;
    let services = web.store.services_of(&source, &id).await?;
    Ok(HttpResponse::Ok().json(shown::customer(&source, &id, &view, &services, &history)))
}

pub(super) async fn stats(web: web::Data<Web>, request: HttpRequest) -> Answer {
    query(&web, &request)?.nothing()?;
    let mut tables: Map<String, Value> = Map::new();
    tables.insert("mode".to_owned(), json!(web.engine.mode.name()));
    for (table, name, count) in web.store.counts().await? {
        let counts = tables.entry(table).or_insert_with(|| json!({}));
        if let Some(counts) = counts.as_object_mut() {
            counts.insert(name, json!(count));
        }
    }
    for table in ["runs", "deliveries"] {
        tables.entry(table.to_owned()).or_insert_with(|| json!({}));
    }
    let unmatched = web.receiver.unmatched_orders();
    tables.insert(
        "paid_orders_unmatched".to_owned(),
        json!({
            "count": unmatched.by_source.values().sum::<u64>(),
            "by_source": unmatched.by_source,
            "last": unmatched.last,
        }),
    );
    tables.insert("next_due_at".to_owned(), json!(web.store.next_due().await?));
    let installations: BTreeMap<&str, &str> = web.receiver.installations().collect();
    tables.insert("installations".to_owned(), json!(installations));
    let unheard = web.reports.unheard().await?;
    tables.insert("reports_unheard".to_owned(), json!(unheard));
    tables.insert(
        "waiting_writes".to_owned(),
        json!(web.store.waiting_writes()),
    );
    Ok(HttpResponse::Ok().json(tables))
}

pub(super) async fn upstreams(web: web::Data<Web>, request: HttpRequest) -> Answer {
    query(&web, &request)?.nothing()?;
    let standings = web.engine.upstreams.standings(web.clock.now()).await;
    let standings = standings.map_err(|_| Problem::unavailable("the store does not answer"))?;
    let waiting = web.store.oldest_waiting().await?;
    let items: Vec<Value> = standings
        .iter()
        .map(|standing| {
            let oldest = waiting
                .iter()
                .find(|(upstream, ..)| upstream == standing.upstream);
            shown::upstream(standing, oldest)
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({"items": items, "next_cursor": null})))
}
