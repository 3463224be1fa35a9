//! Ordering a service afresh whose order is dead: its last order is carried out once more.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use crate::domain::event::EventType;
use crate::domain::id::DeliveryId;
use crate::domain::run::{Lane, RunStatus};
use crate::domain::state::{ServiceState, ServiceStatus};
use crate::store::RunSummary;

use super::replay::{self, Again};
use super::{Problem, Web};

/// How far back the last order is looked for.
const HISTORY: i64 = 500;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

/// `POST /services/{source}/{id}/rebuild`.
pub(super) async fn rebuild(
    web: web::Data<Web>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    web.check_admin(&request)?;
    let (source, id) = path.into_inner();
    let asked: Asked = serde_json::from_slice(&body).map_err(|wrong| {
        Problem::bad_request(format!(
            "the body must be {{\"reason\": \"…\", \"dry_run\": false}}: {wrong}"
        ))
    })?;
    let reason = asked.reason.trim();
    if reason.is_empty() {
        return Err(Problem::bad_request(
            "a rebuild needs a reason: it orders a server",
        ));
    }
    let view = web.store.service(&source, &id).await?;
    let view = view.ok_or_else(|| Problem::not_found("no such service"))?;
    refuse(&id, &view.state)?;
    let delivery = last_order(&web, &source, &id).await?;
    let again = Again {
        delivery,
        service: Some(&id),
        dry_run: asked.dry_run,
    };
    let answer = replay::again(&web, &again).await?;
    if !asked.dry_run {
        tracing::info!(source, service = id, %delivery, reason, "a dead order is placed afresh");
    }
    Ok(answer)
}

/// Only what is known to be over is ordered afresh.
fn refuse(id: &str, state: &ServiceState) -> Result<(), Problem> {
    if state.status == ServiceStatus::Terminated {
        return Err(Problem::conflict(format!(
            "service {id} was terminated; a new order has a service of its own"
        )));
    }
    if state.is_dead() {
        return Ok(());
    }
    let what = match (state.device_id, state.device_order_id, &state.pending_order) {
        (Some(device), ..) => format!("device {device}"),
        (None, Some(order), _) => format!("order {order}"),
        (None, None, Some(_)) => "an order whose outcome is not known yet".to_owned(),
        (None, None, None) => {
            return Err(Problem::conflict(format!(
                "service {id} has no order that is over: nothing is known to have been ordered for it"
            )));
        }
    };
    Err(Problem::conflict(format!(
        "service {id} has {what}, and nothing shows that it is over: a second server would be \
         bought. Once Hivelocity says that it is cancelled or gone, its run pauses and says so; \
         `billhook runs retry` looks again"
    )))
}

/// The delivery of the service's last order; refused while a run of it is under way.
async fn last_order(web: &Web, source: &str, id: &str) -> Result<DeliveryId, Problem> {
    let lane = Lane::Service {
        source: source.to_owned(),
        service_id: id.to_owned(),
    };
    let history = web.store.history(&lane.key(), HISTORY).await?;
    let of_order = |run: &&RunSummary| run.kind == EventType::OrderPaid.name();
    let unfinished = [RunStatus::Pending, RunStatus::Running, RunStatus::Waiting];
    let under_way = |run: &&RunSummary| {
        let waits = unfinished.iter().any(|status| status.name() == run.status);
        waits && run.due_at.is_some()
    };
    if let Some(run) = history.iter().filter(of_order).find(under_way) {
        return Err(Problem::conflict(format!(
            "{} orders this service and is {}; look at what becomes of it",
            run.id, run.status
        )));
    }
    let last = history.iter().filter(of_order);
    let last = last.max_by_key(|run| (run.occurred_at, run.origin));
    last.map(|run| run.origin).ok_or_else(|| {
        Problem::conflict(format!(
            "no order.paid of service {id} is kept; have the billing platform send it again"
        ))
    })
}
