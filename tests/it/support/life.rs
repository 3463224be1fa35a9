//! A whole life of a service, with what both sides know after each event. IO.

use serde_json::{Value, json};

use super::app::App;
use super::world::held;

/// What is known after one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The event's type.
    pub kind: String,
    /// What the suppliers hold.
    pub held: Value,
    /// What Billhook says of the service.
    pub known: Value,
    /// The run's status.
    pub status: String,
}

/// Carries out one event and tells what is known then; the run itself comes along.
pub async fn stage(app: &App, event: &Value) -> (Stage, Value) {
    let runs = app.carry_out(event).await;
    let run = runs.into_iter().next().unwrap();
    let stage = Stage {
        kind: event["type"].as_str().unwrap().to_owned(),
        held: held(&app.suppliers.snapshot()),
        known: known(app, event["services"][0]["id"].as_str().unwrap()).await,
        status: run["status"].as_str().unwrap().to_owned(),
    };
    (stage, run)
}

/// What Billhook knows of a service, without times and history.
pub async fn known(app: &App, service: &str) -> Value {
    let service = app.api.service(service).await;
    let keys = [
        "status",
        "product_id",
        "hostname",
        "hivelocity_client_id",
        "device_id",
        "ip",
        "one_h_user",
        "licenses",
        "licenses_suspended",
        "portal_domain",
        "customer_id",
    ];
    keys.iter()
        .map(|key| ((*key).to_owned(), service[*key].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A request to a supplier by the name that a fault is scripted with.
pub fn requests(run: &Value) -> Vec<Request> {
    let mut found: Vec<Request> = Vec::new();
    for step in run["steps"].as_array().unwrap() {
        for attempt in step["attempts"].as_array().unwrap() {
            for exchange in attempt["exchanges"].as_array().into_iter().flatten() {
                let request = Request::of(&exchange["request"]);
                if !found.contains(&request) {
                    found.push(request);
                }
            }
        }
    }
    found
}

/// A kind of request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// How a fault is told which request is meant.
    pub matcher: String,
    /// Whether it changes something.
    pub writes: bool,
}

impl Request {
    fn of(request: &Value) -> Self {
        let body = &request["body"]["request"]["payload"]["command"];
        if let Some(command) = body.as_str() {
            return Self {
                matcher: format!("one_h {command}"),
                writes: command != "get_licenses",
            };
        }
        let method = request["method"].as_str().unwrap();
        let url = url::Url::parse(request["url"].as_str().unwrap()).unwrap();
        let path = url
            .path()
            .strip_prefix("/api/v2")
            .expect("a path of Hivelocity");
        let segments: Vec<&str> = path.split('/').map(segment).collect();
        Self {
            matcher: format!("{method} {}", segments.join("/")),
            writes: method != "GET",
        }
    }
}

/// Ids and addresses stand for any.
fn segment(text: &str) -> &str {
    let numeric = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if numeric { "{any}" } else { text }
}

/// The outcome of a stage in a form for messages.
pub fn told(stage: &Stage) -> Value {
    json!({"after": stage.kind, "status": stage.status, "held": stage.held, "known": stage.known})
}
