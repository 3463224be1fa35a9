//! A reader of the admin API. IO.

use serde_json::Value;

use super::sender::Reply;
use super::settings::TOKEN;

/// Reads and steps in with the admin token.
#[derive(Clone, Debug)]
pub struct Reader {
    http: reqwest::Client,
    base: String,
}

impl Reader {
    /// A reader of the API at `base`.
    pub fn new(http: reqwest::Client, base: &str) -> Self {
        Self {
            http,
            base: base.to_owned(),
        }
    }

    /// Reads an address below `/api/v1`.
    pub async fn get(&self, path: &str) -> Value {
        let reply = self
            .try_get(path)
            .await
            .unwrap_or_else(|error| panic!("GET {path}: {error}"));
        assert_eq!(reply.status, 200, "GET {path}: {reply:?}");
        reply.body
    }

    /// Reads an address below `/api/v1`, whatever its status.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<Reply> {
        let request = self
            .http
            .get(format!("{}/api/v1{path}", self.base))
            .bearer_auth(TOKEN);
        Ok(Reply::read(request.send().await?).await)
    }

    /// Posts to an address below `/api/v1`.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        let request = self
            .http
            .post(format!("{}/api/v1{path}", self.base))
            .bearer_auth(TOKEN)
            .json(body);
        Reply::read(request.send().await.unwrap()).await
    }

    /// Every item of a list.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            let page = self
                .get(&format!(
                    "{path}{}limit=500{next}",
                    if path.contains('?') { "&" } else { "?" }
                ))
                .await;
            items.extend(page["items"].as_array().cloned().unwrap());
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return items,
            }
        }
    }

    /// One run.
    pub async fn run(&self, id: &str) -> Value {
        self.get(&format!("/runs/{id}")).await
    }

    /// A service of the source `whmcs`.
    pub async fn service(&self, id: &str) -> Value {
        self.get(&format!("/services/whmcs/{id}")).await
    }

    /// A customer of the source `whmcs`.
    pub async fn customer(&self, id: &str) -> Value {
        self.get(&format!("/customers/whmcs/{id}")).await
    }
}

/// A run in one line, for failures.
pub fn shown(run: &Value) -> String {
    let steps = run["steps"].as_array().cloned().unwrap_or_default();
    let steps: Vec<String> = steps
        .iter()
        .map(|step| {
            let tries = step["attempts"].as_array().map_or(0, Vec::len);
            format!(
                "{} {} after {tries} ({})",
                step["kind"], step["status"], step["error"]
            )
        })
        .collect();
    format!(
        "{} {} of {}: {} waiting_for {} error {} [{}]",
        run["id"],
        run["type"],
        run["service_id"],
        run["status"],
        run["waiting_for"],
        run["error"],
        steps.join("; ")
    )
}

/// The step of that kind.
pub fn step<'a>(run: &'a Value, kind: &str) -> &'a Value {
    let steps = run["steps"].as_array().unwrap();
    steps
        .iter()
        .find(|step| step["kind"] == kind)
        .unwrap_or_else(|| panic!("no step {kind}: {}", shown(run)))
}

/// The kinds of a run's steps, in order.
pub fn kinds(run: &Value) -> Vec<&str> {
    run["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["kind"].as_str().unwrap())
        .collect()
}
