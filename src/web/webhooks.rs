//! `POST /webhooks/{source}`: bytes in, a committed delivery or a refusal out.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, RunId};
use crate::receive::{Incoming, Reception, Refused, Source, Unmatched};

use super::body::{self, NoBody};
use super::{Problem, Web, outcome, way_back};

/// The longest wait that `Prefer: wait=N` may ask for, in seconds.
const LONGEST_WAIT: u64 = 60;
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
    // Whoever cannot be right by the headers alone is given no room for a large body.
    if body::is_large(&web, &request) {
        let headers = incoming(&request, remote, Vec::new());
        if let Err(refused) = web.receiver.glance(source, &headers) {
            body::drain(&mut payload).await;
            return Err(refuse(&web, source, &request, refused).await);
        }
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
            Ok(answer(&web, source, reception, wait(&request)).await)
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
    /// What a run of it has to wait behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_by: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown_services: Vec<String>,
    /// Whether nothing of it will be sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

async fn answer(
    web: &Web,
    source: &Source,
    reception: Reception,
    wait: Option<Duration>,
) -> HttpResponse {
    let dry_run = web.engine.mode.dry_run;
    match reception {
        Reception::Accepted {
            delivery,
            runs,
            crowded,
            unmatched,
            unknown,
        } => {
            let settled = match wait {
                Some(wait) => Box::pin(outcome::all(web, &runs, wait)).await,
                None => None,
            };
            if let Some(shown) = settled {
                let mut shown = with(&unmatched, &unknown, outcome::waited(delivery, &shown));
                if dry_run {
                    shown["dry_run"] = json!(true);
                }
                return HttpResponse::Ok().json(shown);
            }
            let blocked_by = if crowded {
                Box::pin(outcome::blocked_by(web, &runs)).await
            } else {
                None
            };
            HttpResponse::Accepted().json(Accepted {
                delivery_id: delivery,
                status: "accepted",
                runs,
                unmatched,
                blocked_by,
                unknown_services: unknown,
                dry_run,
            })
        }
        Reception::Duplicate { of, runs } => {
            let known = match wait {
                Some(wait) => Box::pin(outcome::all(web, &runs, wait)).await,
                None => None,
            };
            let runs = known.map_or_else(|| json!(runs), |shown| json!(shown));
            HttpResponse::build(StatusCode::OK)
                .json(json!({"delivery_id": of, "status": "duplicate", "runs": runs}))
        }
        Reception::Ignored {
            delivery,
            kind,
            reason,
            unmatched,
            unknown,
        } => {
            let mut ignored = ignored(delivery, &reason, &unmatched, &unknown);
            // Whoever tests the connection and waits is told of both directions.
            if let (Some(EventType::TestPing), Some(wait)) = (kind, wait) {
                ignored["report"] = Box::pin(way_back::tried(web, &source.name, wait)).await;
            }
            HttpResponse::Ok().json(ignored)
        }
    }
}

fn ignored(
    delivery: DeliveryId,
    reason: &str,
    unmatched: &[Unmatched],
    unknown: &[String],
) -> Value {
    let status = if unknown.is_empty() {
        "ignored"
    } else {
        "unknown_service"
    };
    let answer = json!({"delivery_id": delivery, "status": status, "reason": reason, "runs": []});
    with(unmatched, unknown, answer)
}

/// Says beside the rest what was paid and is not built, and what was never ordered.
fn with(unmatched: &[Unmatched], unknown: &[String], mut answer: Value) -> Value {
    if let Some(members) = answer.as_object_mut() {
        if !unmatched.is_empty() {
            members.insert("unmatched".to_owned(), json!(unmatched));
        }
        if !unknown.is_empty() {
            members.insert("unknown_services".to_owned(), json!(unknown));
        }
    }
    answer
}
