//! HTTP: routes, the webhook target, the admin API. Types of actix stay in here.

mod admin;
mod body;
mod health;
mod metrics;
mod mv;
mod outcome;
mod problem;
mod query;
mod rebuild;
mod replay;
mod reports;
mod shown;
mod way_back;
mod webhooks;
mod wrong_tokens;

use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpServer, web};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::domain::secret::Secret;
use crate::domain::time::Clock;
use crate::execute::Engine;
use crate::receive::Receiver;
use crate::report::Reports;
use crate::store::Store;
use body::Rooms;
use wrong_tokens::WrongTokens;

pub use metrics::Metrics;
pub use problem::Problem;

/// What the routes need.
#[derive(Debug)]
pub struct Web {
    /// Takes deliveries in.
    pub receiver: Receiver,
    /// The rows.
    pub store: Store,
    /// Plans for dry runs.
    pub engine: Arc<Engine>,
    /// The outbox to the billing platforms.
    pub reports: Arc<Reports>,
    /// The largest body accepted, in bytes.
    pub body_limit: usize,
    /// SHA-256 of the admin token.
    admin_token: [u8; 32],
    /// Requests with another one.
    wrong_tokens: WrongTokens,
    /// Room for bodies in memory.
    rooms: Rooms,
    /// Counters.
    pub metrics: Metrics,
    /// The present moment.
    pub clock: Arc<dyn Clock>,
    /// Set when the process is to end: whoever waits is answered at once.
    pub stopping: CancellationToken,
}

impl Web {
    /// The routes' needs.
    pub fn new(
        receiver: Receiver,
        engine: Arc<Engine>,
        reports: Arc<Reports>,
        body_limit: usize,
        admin_token: &Secret,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            receiver,
            store: engine.store.clone(),
            reports,
            body_limit,
            admin_token: Sha256::digest(admin_token.reveal().as_bytes()).into(),
            wrong_tokens: WrongTokens::default(),
            rooms: Rooms::new(body_limit),
            metrics: Metrics::default(),
            clock: Arc::clone(&engine.clock),
            engine,
            stopping,
        }
    }

    /// Whether the request carries the admin token. Digests are compared, so that the time it
    /// takes tells nothing about the token.
    fn check_admin(&self, request: &HttpRequest) -> Result<(), Problem> {
        let given = request
            .headers()
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        match given {
            Some(token)
                if <[u8; 32]>::from(Sha256::digest(token.as_bytes())) == self.admin_token =>
            {
                Ok(())
            }
            Some(_) => {
                let from = request.peer_addr().map(|address| address.ip());
                Err(self.wrong_tokens.refuse(from))
            }
            None => Err(Problem::unauthorized()),
        }
    }
}

/// Starts the server on an open socket.
pub fn serve(
    web: Arc<Web>,
    listener: std::net::TcpListener,
    workers: usize,
    patience: u64,
) -> std::io::Result<Server> {
    let data = web::Data::from(web);
    let server = HttpServer::new(move || App::new().app_data(data.clone()).configure(routes))
        .workers(workers)
        .disable_signals()
        .shutdown_timeout(patience)
        .listen(listener)?
        .run();
    Ok(server)
}

/// Every route there is.
fn routes(app: &mut web::ServiceConfig) {
    app.route("/webhooks/{source}", web::post().to(webhooks::receive))
        .route("/webhooks/{source}/", web::post().to(webhooks::receive))
        .route("/healthz", web::get().to(health::live))
        .route("/readyz", web::get().to(health::ready))
        .route("/metrics", web::get().to(metrics::show))
        .route("/schemas/event.json", web::get().to(health::event_schema))
        .service(
            web::scope("/api/v1")
                .route("/deliveries", web::get().to(admin::deliveries))
                .route("/deliveries/{id}", web::get().to(admin::delivery))
                .route("/deliveries/{id}/replay", web::post().to(replay::replay))
                .route("/runs", web::get().to(admin::runs))
                .route("/runs/{id}", web::get().to(admin::run))
                .route("/runs/{id}/{what}", web::post().to(admin::intervene))
                .route("/services", web::get().to(admin::services))
                .route("/services/{source}/{id}", web::get().to(admin::service))
                .route(
                    "/services/{source}/{id}/rebuild",
                    web::post().to(rebuild::rebuild),
                )
                .route(
                    "/services/{source}/{id}/move",
                    web::post().to(mv::hand_over),
                )
                .route("/customers", web::get().to(admin::customers))
                .route("/customers/{source}/{id}", web::get().to(admin::customer))
                .route("/reports", web::get().to(reports::list))
                .route("/reports/{id}", web::get().to(reports::show))
                .route("/reports/{id}/retry", web::post().to(reports::retry))
                .route("/upstreams", web::get().to(admin::upstreams))
                .route("/stats", web::get().to(admin::stats))
                .route("/openapi.json", web::get().to(health::openapi))
                .default_service(web::to(nothing_here)),
        )
        .default_service(web::to(nothing_here));
}

async fn nothing_here(request: HttpRequest) -> Result<&'static str, Problem> {
    let known_with_other_method = request.path().starts_with("/webhooks/")
        || ["/healthz", "/readyz", "/metrics", "/schemas/event.json"].contains(&request.path());
    if known_with_other_method {
        return Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Method not allowed",
            "webhooks are sent with POST, everything else here is read with GET",
        ));
    }
    Err(Problem::not_found("there is nothing at this address"))
}
