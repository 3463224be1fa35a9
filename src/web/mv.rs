//! Handing a service over to another customer by hand: a `service.moved` made here.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::event::Event;
use crate::domain::state::ServiceState;
use crate::domain::time::Timestamp;
use crate::normalise::{self, NotAnEvent, Wrong};
use crate::receive::{ByHand, Refused};

use super::{Problem, Web, replay};

/// What is asked. What goes into the event is judged there, as if its source had sent it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    customer_id: Value,
    #[serde(default)]
    email: Value,
    #[serde(default)]
    name: Value,
    #[serde(default)]
    company: Value,
    #[serde(default)]
    keeps_device: bool,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

/// `POST /services/{source}/{id}/move`.
pub(super) async fn hand_over(
    web: web::Data<Web>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    web.check_admin(&request)?;
    let (source, id) = path.into_inner();
    let asked = read(&body)?;
    let view = web.store.service(&source, &id).await?;
    let view = view.ok_or_else(|| Problem::not_found("no such service"))?;
    let now = web.clock.now();
    let body = event_of(&asked, &id, &view.state, now).to_string();
    let body = body.into_bytes();
    let event = understood(&body, now)?;
    let delivery = web.receiver.next_delivery(now);
    let preview = web.engine.preview(&source, &event, Some(&id), delivery);
    let preview = preview.await?;
    if asked.dry_run {
        return Ok(replay::previewed(None, &event, &[preview]));
    }
    if preview.verdict != "do" {
        let reason = preview.reason.unwrap_or_default();
        return Err(Problem::conflict(format!("nothing was changed: {reason}")));
    }
    let by_hand = ByHand {
        delivery,
        event,
        body,
        reason: asked.reason.trim(),
        now,
    };
    keep(&web, &source, by_hand).await
}

fn read(body: &[u8]) -> Result<Asked, Problem> {
    let asked: Asked = serde_json::from_slice(body).map_err(|wrong| {
        Problem::bad_request(format!(
            "the body must be {{\"customer_id\": \"…\", \"reason\": \"…\"}}, with email, name, company, \
             keeps_device and dry_run where wanted: {wrong}"
        ))
    })?;
    if asked.reason.trim().is_empty() {
        return Err(Problem::bad_request(
            "a move needs a reason: it changes whose a service is",
        ));
    }
    Ok(asked)
}

/// The native event. What it leaves out of the customer is filled from what is known when it is
/// planned.
fn event_of(asked: &Asked, id: &str, state: &ServiceState, now: Timestamp) -> Value {
    json!({
        "type": "service.moved",
        "occurred_at": now,
        "customer": {
            "id": asked.customer_id,
            "email": asked.email,
            "name": asked.name,
            "company": asked.company,
        },
        "services": [{
            "id": id,
            "product_id": state.product_id,
            "hostname": state.hostname,
            "options": {},
            "fields": {},
        }],
        "keeps_device": asked.keeps_device,
    })
}

fn understood(body: &[u8], now: Timestamp) -> Result<Event, Refused> {
    normalise::native(body, now, now).map_err(|wrong| match wrong {
        NotAnEvent::Wrong(Wrong { pointer, detail }) => Refused::Wrong {
            pointer: asked_pointer(&pointer),
            detail,
        },
        NotAnEvent::NotJson(what) | NotAnEvent::UnknownType(what) => Refused::NotJson(what),
    })
}

/// Where the member of the event stood in the request.
fn asked_pointer(pointer: &str) -> String {
    match pointer.strip_prefix("/customer/") {
        Some("id") => "/customer_id".to_owned(),
        Some(member) => format!("/{member}"),
        None => pointer.to_owned(),
    }
}

async fn keep(web: &Web, name: &str, by_hand: ByHand<'_>) -> Result<HttpResponse, Problem> {
    let source = web.receiver.source(name).ok_or_else(|| {
        Problem::conflict(format!(
            "source {name} is not configured any more, so nothing is carried out for it"
        ))
    })?;
    let (delivery, kind, reason) = (by_hand.delivery, by_hand.event.kind, by_hand.reason);
    let runs = web.receiver.keep_by_hand(source, by_hand).await?;
    tracing::info!(source = name, %delivery, reason, "a service is moved by hand");
    Ok(replay::begun(delivery, kind, &runs))
}
