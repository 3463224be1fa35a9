//! Tests: the Hivelocity steps against a scripted server.

mod cancelling;
mod clients;
mod description;
mod devices;
mod keys;
mod ordering;
mod switching;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::upstream::Upstreams;
use crate::upstream::stage::{Heard, Reply, Stage, settings};

/// A server that answers by `GET /path`, from a table that the test may change as it goes.
/// What is not in the table answers 404.
struct Table {
    stage: Stage,
    rows: Arc<Mutex<Vec<(String, u16, Value)>>>,
}

impl Table {
    async fn new(rows: &[(&str, u16, Value)]) -> Self {
        let rows: Vec<_> = rows
            .iter()
            .map(|(line, status, body)| ((*line).to_owned(), *status, body.clone()))
            .collect();
        let rows = Arc::new(Mutex::new(rows));
        let script = Arc::clone(&rows);
        let stage = Stage::new(move |heard: &Heard| {
            let rows = script.lock().unwrap();
            match rows.iter().find(|row| row.0 == heard.line()) {
                Some((_, status, Value::Null)) => crate::upstream::stage::empty(*status),
                Some((_, status, body)) => Reply::Json(*status, body.clone()),
                None => Reply::Json(404, json!({"message": "Not Found"})),
            }
        })
        .await;
        Self { stage, rows }
    }

    fn set(&self, line: &str, status: u16, body: Value) {
        let mut rows = self.rows.lock().unwrap();
        rows.retain(|row| row.0 != line);
        rows.push((line.to_owned(), status, body));
    }

    fn upstreams(&self) -> Upstreams {
        Upstreams::new(settings(&self.stage.base)).unwrap()
    }

    fn token_upstreams(&self) -> Upstreams {
        let mut settings = settings(&self.stage.base);
        settings.hivelocity.act_as_token = true;
        Upstreams::new(settings).unwrap()
    }

    /// The requests of this method and path.
    fn sent(&self, line: &str) -> Vec<Heard> {
        self.stage
            .heard()
            .into_iter()
            .filter(|heard| heard.line() == line)
            .collect()
    }
}
