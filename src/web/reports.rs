//! The admin API of the outbox to the billing platforms.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::domain::id::ReportId;
use crate::report;
use crate::store::Report;

use super::admin::{Answer, query};
use super::{Problem, Web, shown};

pub(super) async fn list(web: web::Data<Web>, request: HttpRequest) -> Answer {
    let filter = query(&web, &request)?.reports()?;
    let page = web.store.reports(&filter).await?;
    let total = page.whole(filter.before.is_none());
    Ok(HttpResponse::Ok().json(shown::page(&page, total, one)))
}

pub(super) async fn show(
    web: web::Data<Web>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Answer {
    query(&web, &request)?.nothing()?;
    let report = web.store.report(read(&id)?).await?;
    Ok(HttpResponse::Ok().json(one(&report.ok_or_else(nothing)?)))
}

/// Sends a report now, also one that was heard, and ends the wait for its platform.
pub(super) async fn retry(
    web: web::Data<Web>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Answer {
    web.check_admin(&request)?;
    let id = read(&id)?;
    let report = web.reports.retry(id).await?.ok_or_else(nothing)?;
    tracing::info!(report = %id, "a person wants a report to be sent now");
    Ok(HttpResponse::Ok().json(one(&report)))
}

fn read(id: &str) -> Result<ReportId, Problem> {
    id.parse().map_err(|_| nothing())
}

fn nothing() -> Problem {
    Problem::not_found("no such report")
}

fn one(report: &Report) -> Value {
    json!({
        "id": report.id,
        "source": report.source,
        "service_id": report.service_id,
        "customer_id": report.customer_id,
        "type": report.kind,
        "status": report.status(),
        "seq": report.seq,
        "attempts": report.attempts,
        "error": report.error,
        // While it is under way its due time is its lease's end, which is nobody's concern.
        "next_attempt_at": report.due_at.filter(|_| !report.sending),
        "created_at": report.created_at,
        "heard_at": report.heard_at,
        "document": report::body(report),
    })
}
