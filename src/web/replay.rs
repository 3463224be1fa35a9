//! Replaying a kept delivery: planned again from its bytes and today's catalogue.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::event::{Event, EventType};
use crate::domain::id::DeliveryId;
use crate::execute::Preview;
use crate::normalise;
use crate::store::{DeliveryView, NewRun};

use super::{Problem, Web};

/// What a replay is asked with; an absent body asks for the real thing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    dry_run: bool,
}

/// `POST /deliveries/{id}/replay`.
pub(super) async fn replay(
    web: web::Data<Web>,
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    web.check_admin(&request)?;
    let asked: Asked = if body.iter().all(u8::is_ascii_whitespace) {
        Asked::default()
    } else {
        serde_json::from_slice(&body).map_err(|wrong| {
            Problem::bad_request(format!("the body must be {{\"dry_run\": false}}: {wrong}"))
        })?
    };
    let id: DeliveryId = id
        .parse()
        .map_err(|_| Problem::not_found("no such delivery"))?;
    let asked = Again {
        delivery: id,
        service: None,
        dry_run: asked.dry_run,
    };
    again(&web, &asked).await
}

/// What is to be carried out again.
pub(super) struct Again<'a> {
    /// The delivery.
    pub(super) delivery: DeliveryId,
    /// Only this service of it.
    pub(super) service: Option<&'a str>,
    /// Whether only the plans are shown.
    pub(super) dry_run: bool,
}

/// Carries a kept delivery out again, or shows what that would do.
pub(super) async fn again(web: &Web, asked: &Again<'_>) -> Result<HttpResponse, Problem> {
    let delivery = original(web, asked.delivery).await?;
    let (event, mut parts) = read_again(web, &delivery).await?;
    if let Some(wanted) = asked.service {
        parts.retain(|part| service_id(&event, *part) == Some(wanted));
    }
    if asked.dry_run {
        return dry(web, &delivery, &event, &parts).await;
    }
    real(web, &delivery, &event, &parts).await
}

/// The delivery, or for a duplicate the first one.
async fn original(web: &Web, id: DeliveryId) -> Result<DeliveryView, Problem> {
    let missing = || Problem::not_found("no such delivery");
    let delivery = web.store.delivery(id).await?.ok_or_else(missing)?;
    match (delivery.verdict.as_str(), delivery.duplicate_of) {
        ("duplicate", Some(first)) => web.store.delivery(first).await?.ok_or_else(missing),
        _ => Ok(delivery),
    }
}

async fn read_again(
    web: &Web,
    delivery: &DeliveryView,
) -> Result<(Event, Vec<Option<usize>>), Problem> {
    let Some(signed_at) = delivery.signed_at else {
        return Err(Problem::conflict(
            "this delivery was never verified, so it is not replayed; have the billing platform send it again",
        ));
    };
    if delivery.duplicate_of.is_some() {
        return Err(Problem::conflict(
            "this delivery used an id that another one had; have the billing platform send it again with its own id",
        ));
    }
    let event = normalise::native(&delivery.body, delivery.received_at, signed_at)
        .map_err(|wrong| Problem::conflict(format!("the kept bytes are not an event: {wrong}")))?;
    if delivery.verdict == "rejected" {
        web.receiver.still_refused(&delivery.source, &event).await?;
    }
    let parts = web.receiver.parts_today(&delivery.source, &event).await?;
    Ok((event, parts))
}

fn service_id(event: &Event, part: Option<usize>) -> Option<&str> {
    part.and_then(|index| event.services.get(index))
        .map(|service| service.id.as_str())
}

async fn dry(
    web: &Web,
    delivery: &DeliveryView,
    event: &Event,
    parts: &[Option<usize>],
) -> Result<HttpResponse, Problem> {
    let mut plans = Vec::with_capacity(parts.len());
    for part in parts {
        let service = service_id(event, *part);
        plans.push(
            web.engine
                .preview(&delivery.source, event, service, delivery.id)
                .await?,
        );
    }
    Ok(previewed(Some(delivery.id), event, &plans))
}

/// The answer that only shows plans; without a delivery where none was kept yet.
pub(super) fn previewed(
    delivery: Option<DeliveryId>,
    event: &Event,
    plans: &[Preview],
) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "delivery_id": delivery,
        "dry_run": true,
        "type": event.kind,
        "runs": [],
        "plans": plans,
    }))
}

/// The answer that names the runs that were made.
pub(super) fn begun(delivery: DeliveryId, kind: EventType, runs: &[NewRun]) -> HttpResponse {
    let ids: Vec<_> = runs.iter().map(|run| run.id).collect();
    let details: Vec<Value> = runs
        .iter()
        .map(|run| json!({"id": run.id, "service_id": run.service_id, "status": "pending"}))
        .collect();
    HttpResponse::Accepted().json(json!({
        "delivery_id": delivery,
        "dry_run": false,
        "type": kind,
        "runs": ids,
        "details": details,
    }))
}

async fn real(
    web: &Web,
    delivery: &DeliveryView,
    event: &Event,
    parts: &[Option<usize>],
) -> Result<HttpResponse, Problem> {
    let now = web.clock.now();
    let earlier = web.store.runs_of(delivery).await?;
    let mut runs = web
        .receiver
        .runs_for(&delivery.source, event, parts, delivery.id, now);
    for run in &mut runs {
        let first = earlier
            .iter()
            .find(|known| known.service_id == run.service_id);
        run.replay_of = Some(first.map_or(delivery.id.0, |run| run.id.0));
    }
    let (answer, count) = (begun(delivery.id, event.kind, &runs), runs.len());
    if !runs.is_empty() {
        web.store
            .replay(delivery.id, delivery.source.clone(), runs, now)
            .await?;
    }
    tracing::info!(delivery = %delivery.id, runs = count, "a delivery is replayed");
    Ok(answer)
}
