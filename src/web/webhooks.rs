//! `POST /webhooks/{source}`: bytes in, a committed delivery or a refusal out.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::domain::id::{DeliveryId, RunId};
use crate::domain::run::RunStatus;
use crate::receive::{Incoming, Reception, Refused, Source, Unmatched};

use super::body::{self, NoBody};
use super::{Problem, Web};

/// The longest wait that `Prefer: wait=N` may ask for, in seconds.
const LONGEST_WAIT: u64 = 60;
/// How soon a run is looked at again that another process may settle.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Takes one request in.
pub(super) async fn receive(
    web: web::Data<Web>,
    request: HttpRequest,
    source: web::Path<String>,
    mut payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let Some(source) = web.receiver.source(&source) else {
        body::drain(&mut payload).await;
        web.metrics.refused("unknown_source");
        return Err(Problem::not_found(
            "no source of this name is configured; the path is /webhooks/ and the name in [sources.NAME]",
        ));
    };
    let remote = request
        .peer_addr()
        .map_or([0, 0, 0, 0].into(), |address| address.ip());
    if !source.allows(remote) {
        body::drain(&mut payload).await;
        return Err(refuse(&web, source, &request, Refused::Address).await);
    }
    let body = match body::read(&web, &request, payload).await {
        Ok(body) => body,
        Err(NoBody::Problem(problem)) => return Err(problem),
        Err(NoBody::Refused(refused)) => return Err(refuse(&web, source, &request, refused).await),
    };
    let incoming = incoming(&request, remote, body.bytes);
    let received = web.receiver.receive(source, incoming).await;
    drop(body.room);
    match received {
        Ok(reception) => {
            web.metrics.received(&reception);
            Ok(answer(&web, reception, wait(&request)).await)
        }
        Err(refused) => {
            web.metrics.refused(refused.cause());
            Err(refused.into())
        }
    }
}

async fn refuse(web: &Web, source: &Source, request: &HttpRequest, refused: Refused) -> Problem {
    web.metrics.refused(refused.cause());
    let remote = request
        .peer_addr()
        .map_or([0, 0, 0, 0].into(), |address| address.ip());
    web.receiver
        .keep_refused(source, incoming(request, remote, Vec::new()), &refused)
        .await;
    refused.into()
}

fn incoming(request: &HttpRequest, remote: std::net::IpAddr, body: Vec<u8>) -> Incoming<'_> {
    let headers = request.headers().iter();
    let headers = headers
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    Incoming {
        remote,
        headers,
        body,
    }
}

/// How long the sender is ready to wait for the outcome (RFC 7240).
fn wait(request: &HttpRequest) -> Option<Duration> {
    let preferences = request
        .headers()
        .get_all("prefer")
        .filter_map(|value| value.to_str().ok());
    for preference in preferences.flat_map(|line| line.split([',', ';'])) {
        let Some((name, value)) = preference.split_once('=') else {
            continue;
        };
        if name.trim().eq_ignore_ascii_case("wait")
            && let Ok(seconds) = value.trim().trim_matches('"').parse::<u64>()
        {
            return (seconds > 0).then(|| Duration::from_secs(seconds.min(LONGEST_WAIT)));
        }
    }
    None
}

/// The usual answer; the others are rare enough to be put together as values.
#[derive(serde::Serialize)]
struct Accepted {
    delivery_id: DeliveryId,
    status: &'static str,
    runs: Vec<RunId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unmatched: Vec<Unmatched>,
}

async fn answer(web: &Web, reception: Reception, wait: Option<Duration>) -> HttpResponse {
    match reception {
        Reception::Accepted {
            delivery,
            runs,
            unmatched,
        } => {
            let settled = match wait {
                Some(wait) => Box::pin(outcome(web, &runs, wait)).await,
                None => None,
            };
            match settled {
                Some(shown) => HttpResponse::Ok().json(with(&unmatched, waited(delivery, &shown))),
                None => HttpResponse::Accepted().json(Accepted {
                    delivery_id: delivery,
                    status: "accepted",
                    runs,
                    unmatched,
                }),
            }
        }
        Reception::Duplicate { of, runs } => {
            let known = match wait {
                Some(wait) => Box::pin(outcome(web, &runs, wait)).await,
                None => None,
            };
            let runs = known.map_or_else(|| json!(runs), |shown| json!(shown));
            HttpResponse::build(StatusCode::OK)
                .json(json!({"delivery_id": of, "status": "duplicate", "runs": runs}))
        }
        Reception::Ignored {
            delivery,
            reason,
            unmatched,
        } => {
            let ignored =
                json!({"delivery_id": delivery, "status": "ignored", "reason": reason, "runs": []});
            HttpResponse::Ok().json(with(&unmatched, ignored))
        }
    }
}

/// Says beside the rest what was paid and is not built.
fn with(unmatched: &[Unmatched], mut answer: Value) -> Value {
    if let Some(members) = answer.as_object_mut().filter(|_| !unmatched.is_empty()) {
        members.insert("unmatched".to_owned(), json!(unmatched));
    }
    answer
}

/// The runs with their status and error once all of them settled; none if the time is up first.
async fn outcome(web: &Web, runs: &[RunId], wait: Duration) -> Option<Vec<Value>> {
    let all = async {
        let mut shown = Vec::with_capacity(runs.len());
        for run in runs {
            shown.push(settled(web, *run).await?);
        }
        Some(shown)
    };
    tokio::select! {
        shown = tokio::time::timeout(wait, all) => shown.ok().flatten(),
        () = web.stopping.cancelled() => None,
    }
}

async fn settled(web: &Web, run: RunId) -> Option<Value> {
    loop {
        // The waiting room first, the row second: a run that settles in between is seen.
        let watch = web.store.outcomes().watch(run);
        let (status, error) = web.store.run_status(run).await.ok().flatten()?;
        let status: RunStatus = status.parse().ok()?;
        if status.is_settled() {
            let mut shown = json!({"id": run, "status": status, "error": error});
            if let Some(note) = note(web, run, status).await {
                shown["note"] = note.into();
            }
            return Some(shown);
        }
        // A closed room only means that somebody else's run settled meanwhile: look again.
        // Word from another process may be lost with a connection.
        let patience = web.store.is_shared().then_some(LOOK_AGAIN);
        let _ = tokio::time::timeout(patience.unwrap_or(Duration::MAX), watch).await;
    }
}

/// What whoever waits should know of a success.
async fn note(web: &Web, run: RunId, status: RunStatus) -> Option<String> {
    if status != RunStatus::Succeeded {
        return None;
    }
    web.store.run(run).await.ok().flatten()?.run.note
}

fn waited(delivery: DeliveryId, runs: &[Value]) -> Value {
    let any = |wanted: &str| {
        runs.iter()
            .any(|run| run.get("status").is_some_and(|is| is == wanted))
    };
    let status = if any("paused") {
        "paused"
    } else if any("cancelled") {
        "cancelled"
    } else {
        "succeeded"
    };
    json!({"delivery_id": delivery, "status": status, "runs": runs})
}
