//! Liveness, readiness, and the schema of the native event.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::json;

use super::{Problem, Web};

/// The process answers.
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// What is sent can be committed (the store is opened only with its migrations done), and no stop is
/// under way.
pub(super) async fn ready(web: web::Data<Web>) -> Result<HttpResponse, Problem> {
    if web.stopping.is_cancelled() {
        return Err(Problem::unavailable("billhook is stopping"));
    }
    web.store.ready().await?;
    Ok(HttpResponse::Ok().json(json!({"status": "ready"})))
}

/// The description of the admin API; it holds no secret, so it is for everyone.
pub(super) async fn openapi() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(include_str!("openapi.json"))
}

/// The JSON Schema of the native event.
pub(super) async fn event_schema() -> HttpResponse {
    HttpResponse::build(StatusCode::OK)
        .content_type("application/schema+json")
        .body(crate::normalise::EVENT_SCHEMA)
}
