//! A small client of our own admin API and webhook target.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::Value;

use crate::config::Config;
use crate::domain::secret::Secret;

use super::{ConfigFile, Failure};

/// Which server, and how to sign in.
#[derive(Clone, Debug, Args)]
pub(crate) struct Server {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    #[expect(clippy::struct_field_names, reason = "the option is called --server")]
    /// The server's address [default: from the configuration's server.listen]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The admin token [default: from the configuration]
    #[arg(
        long,
        value_name = "TOKEN",
        env = "BILLHOOK_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
}

/// A client that is signed in.
#[derive(Debug)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    token: Secret,
}

impl Server {
    /// The client; the configuration is only read for what was not given.
    pub(crate) fn api(&self) -> Result<Api, Failure> {
        let (base, token) = match (&self.server, &self.token) {
            (Some(server), Some(token)) => (server.clone(), Secret::new(token)),
            (server, token) => {
                let config = self.config.load(true)?;
                let base = server.clone().unwrap_or_else(|| address(&config));
                (
                    base,
                    token
                        .as_deref()
                        .map_or_else(|| config.admin.token.clone(), Secret::new),
                )
            }
        };
        Ok(Api {
            http: client()?,
            base: base.trim_end_matches('/').to_owned(),
            token,
        })
    }

    /// The server's address alone.
    pub(crate) fn base(&self, config: &Config) -> String {
        let base = self.server.clone().unwrap_or_else(|| address(config));
        base.trim_end_matches('/').to_owned()
    }
}

fn address(config: &Config) -> String {
    let mut listen = config.server.listen;
    if listen.ip().is_unspecified() {
        listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    format!("http://{listen}")
}

/// The HTTP client of the command line; longer patience than the longest `Prefer: wait`.
#[expect(clippy::disallowed_methods, reason = "the time-outs are set here")]
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(75))
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

impl Api {
    /// For a server whose address and token are known.
    pub(crate) fn at(base: String, token: Secret) -> Result<Self, reqwest::Error> {
        Ok(Self {
            http: client()?,
            base,
            token,
        })
    }

    /// Reads one address below `/api/v1`.
    pub(crate) async fn get(
        &self,
        path: &str,
        query: &[(String, String)],
    ) -> anyhow::Result<Value> {
        let request = self
            .http
            .get(format!("{}/api/v1{path}", self.base))
            .query(query);
        self.call(request).await
    }

    /// Posts to one address below `/api/v1`.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(
            self.http
                .post(format!("{}/api/v1{path}", self.base))
                .json(body),
        )
        .await
    }

    /// Every item of a list, page by page.
    pub(crate) async fn all(
        &self,
        path: &str,
        query: &[(String, String)],
    ) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut query = query.to_vec();
        loop {
            let mut page = self.get(path, &query).await?;
            if let Some(rows) = page.get_mut("items").and_then(Value::as_array_mut) {
                items.append(rows);
            }
            let Some(next) = page.get("next_cursor").and_then(Value::as_str) else {
                return Ok(items);
            };
            query.retain(|(name, _)| name != "cursor");
            query.push(("cursor".to_owned(), next.to_owned()));
        }
    }

    async fn call(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let response = request
            .bearer_auth(self.token.reveal())
            .send()
            .await
            .map_err(reqwest::Error::without_url)
            .with_context(|| format!("no answer from {}; does billhook run there?", self.base))?;
        read(response).await
    }
}

/// The answer's JSON, or its problem as an error.
pub(crate) async fn read(response: reqwest::Response) -> anyhow::Result<Value> {
    let status = response.status();
    let text = response.text().await.context("the answer broke off")?;
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if status.is_success() {
        return Ok(body);
    }
    let detail = body
        .get("detail")
        .and_then(Value::as_str)
        .unwrap_or("no details given");
    let pointer = body
        .get("pointer")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Err(anyhow!("{} {detail} {pointer}", status.as_u16()))
}
