//! How rows look in the admin API.

use base64::Engine as _;
use serde_json::{Map, Value, json};

use crate::domain::away::Because;
use crate::domain::id::{DeliveryId, RunId};
use crate::domain::state::{CustomerState, ServiceState};
use crate::domain::time::Timestamp;
use crate::normalise;
use crate::store::{DeliveryView, Named, Page, RunSummary, RunView, StateView, StepView};
use crate::upstream::{RefusedStep, Standing};

use super::outcome;
use super::query::Cursor;

/// A page of a list; `total` is how many there are in all, where that is known.
pub(super) fn page<T, C: Cursor>(
    page: &Page<T, C>,
    total: Option<i64>,
    show: impl FnMut(&T) -> Value,
) -> Value {
    json!({
        "items": page.items.iter().map(show).collect::<Vec<_>>(),
        "next_cursor": page.next.as_ref().map(C::write),
        "total": total,
    })
}

pub(super) fn delivery(delivery: &DeliveryView) -> Value {
    json!({
        "id": delivery.id,
        "received_at": delivery.received_at,
        "source": delivery.source,
        "verdict": delivery.verdict,
        "cause": delivery.cause,
        "type": delivery.kind,
        "duplicate_of": delivery.duplicate_of,
        "customer_id": delivery.customer_id,
        "service_ids": delivery.service_ids,
        "runs": delivery.run_ids,
    })
}

/// One delivery with everything that is kept of it.
pub(super) fn whole_delivery(delivery: &DeliveryView, runs: &[RunSummary]) -> Value {
    let mut shown = self::delivery(delivery);
    let Some(object) = shown.as_object_mut() else {
        return shown;
    };
    let (body, encoding) = if let Ok(text) = std::str::from_utf8(&delivery.body) {
        (text.to_owned(), "text")
    } else {
        (
            base64::engine::general_purpose::STANDARD.encode(&delivery.body),
            "base64",
        )
    };
    object.insert("body".to_owned(), json!(body));
    object.insert("body_encoding".to_owned(), json!(encoding));
    object.insert("headers".to_owned(), delivery.headers.clone());
    object.insert("verification".to_owned(), delivery.verification.clone());
    let signed_at = delivery.signed_at.unwrap_or(delivery.received_at);
    let event = normalise::native(&delivery.body, delivery.received_at, signed_at).ok();
    object.insert("event".to_owned(), json!(event));
    object.insert("runs".to_owned(), runs.iter().map(run).collect());
    shown
}

/// A run as lists show it: without its steps' attempts.
pub(super) fn run(run: &RunSummary) -> Value {
    json!({
        "id": run.id,
        "delivery_id": run.delivery_id,
        "source": run.source,
        "customer_id": run.customer_id,
        "service_id": run.service_id,
        "type": run.kind,
        "status": run.status,
        "occurred_at": run.occurred_at,
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "next_attempt_at": next_attempt(run),
        "waiting_for": waiting_for(run),
        "error": run.error,
        "note": run.note,
        "pause_reason": run.pause_reason,
        "dry_run": run.dry_run,
        "next": outcome::next(run),
        "replay_of": replayed(run),
    })
}

/// While a run is under way its due time is its lease's end, which is nobody's concern.
fn next_attempt(run: &RunSummary) -> Option<Timestamp> {
    if run.status == "running" {
        None
    } else {
        run.due_at
    }
}

fn waiting_for(run: &RunSummary) -> Option<String> {
    if run.waiting_for.is_some() {
        return run.waiting_for.clone();
    }
    match (run.status.as_str(), run.due_at) {
        ("pending", None) => Some("an earlier run of the same service or customer".to_owned()),
        ("pending", Some(_)) => Some("a free worker".to_owned()),
        _ => None,
    }
}

/// What a replay repeats: the run, or the delivery where that had made none.
fn replayed(run: &RunSummary) -> Option<String> {
    let of = run.replay_of?;
    let delivery = of == run.delivery_id.0;
    Some(if delivery {
        DeliveryId(of).to_string()
    } else {
        RunId(of).to_string()
    })
}

/// One run with its journal.
pub(super) fn whole_run(view: &RunView) -> Value {
    let mut shown = run(&view.run);
    if let Some(object) = shown.as_object_mut() {
        object.insert("steps".to_owned(), view.steps.iter().map(step).collect());
    }
    shown
}

fn step(view: &StepView) -> Value {
    let doc = &view.doc;
    let kind = doc
        .pointer("/action/kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut input = doc.get("action").cloned().unwrap_or_default();
    if let Some(input) = input.as_object_mut() {
        input.remove("kind");
    }
    json!({
        "seq": doc.get("seq"),
        "kind": kind,
        "upstream": kind.split_once('.').map(|(upstream, _)| upstream),
        "status": doc.get("status"),
        "input": input,
        "output": doc.get("output"),
        "error": doc.get("error"),
        "attempts": view.attempts,
    })
}

pub(super) fn service(
    source: &str,
    id: &str,
    view: &StateView<ServiceState>,
    history: &[RunSummary],
) -> Value {
    let state = &view.state;
    json!({
        "source": source,
        "service_id": id,
        "customer_id": view.customer_id,
        "status": state.status,
        "product_id": state.product_id,
        "hostname": state.hostname,
        "hivelocity_client_id": state.hivelocity_client_id,
        "device_id": state.device_id,
        "device_order_id": state.device_order_id,
        "dead_orders": state.dead_orders,
        "device_product_id": state.device_product_id,
        "device_location": state.device_location,
        "device_os": state.device_os,
        "ip": state.ip,
        "one_h_user": state.one_h_user,
        "licenses": state.licenses,
        "licenses_suspended": state.licenses_suspended,
        "portal_domain": state.portal_domain,
        "suspend_reason": state.suspend_reason,
        "settled_by": state.settled,
        "renewed_at": state.renewed_at,
        "updated_at": view.updated_at,
        "history": history.iter().map(run).collect::<Vec<_>>(),
    })
}

pub(super) fn customer(
    source: &str,
    id: &str,
    view: &StateView<CustomerState>,
    services: &[(String, ServiceState)],
    history: &[RunSummary],
) -> Value {
    let state = &view.state;
    let services: Vec<Value> = services
        .iter()
        .map(|(id, state)| brief(id, state))
        .collect();
    json!({
        "source": source,
        "customer_id": id,
        "status": if state.closed { "closed" } else { "active" },
        "email": state.email,
        "name": state.name,
        "company": state.company,
        "hivelocity_client_id": state.hivelocity_client_id,
        "one_h_user": state.one_h_user,
        "services": services,
        "updated_at": view.updated_at,
        "history": history.iter().map(run).collect::<Vec<_>>(),
    })
}

fn brief(id: &str, state: &ServiceState) -> Value {
    json!({
        "service_id": id,
        "status": state.status,
        "product_id": state.product_id,
        "hostname": state.hostname,
        "device_id": state.device_id,
        "ip": state.ip,
        "one_h_user": state.one_h_user,
        "licenses": state.licenses,
    })
}

/// A row of the list of services or customers: its document without what is sealed.
pub(super) fn known(customers: bool, row: &(Named, Value)) -> Value {
    let ((source, id), doc) = row;
    let mut shown = Map::new();
    shown.insert("source".to_owned(), json!(source));
    shown.insert(
        if customers {
            "customer_id"
        } else {
            "service_id"
        }
        .to_owned(),
        json!(id),
    );
    for (key, value) in doc.as_object().into_iter().flatten() {
        let sealed = key.contains("token") || key.contains("password");
        if !sealed && key != "settled" && key != "package_settled" {
            shown.insert(key.clone(), value.clone());
        }
    }
    Value::Object(shown)
}

/// A supplier, with the run that has waited for it the longest.
pub(super) fn upstream(standing: &Standing, oldest: Option<&(String, RunId, Timestamp)>) -> Value {
    let requests = standing.requests();
    json!({
        "upstream": standing.upstream,
        "reachable": standing.away_since.is_none(),
        "since": standing.away_since,
        "reason": standing.because.map(Because::name),
        "remedy": standing.because.and_then(|because| because.remedy(standing.upstream)),
        "error": standing.error,
        "refused": standing.refused_steps.iter().map(|step| refused(standing.upstream, step)).collect::<Vec<_>>(),
        "requests_per_hour": standing.per_hour,
        "requests_used": requests.map(|requests| requests.used),
        "requests_left": requests.map(|requests| requests.left),
        "window_ends_at": standing.hour.map(|hour| hour.ends_at),
        "oldest_waiting": oldest.map(|(_, run, since)| json!({"run": run, "since": since})),
    })
}

/// Steps of one kind that wait, because the account may not do them.
fn refused(upstream: &str, step: &RefusedStep) -> Value {
    json!({
        "step": step.kind,
        "since": step.since,
        "reason": step.refusal.cause.name(),
        "remedy": step.refusal.remedy(upstream),
        "error": step.error,
    })
}
