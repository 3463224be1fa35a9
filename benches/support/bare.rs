//! The same requests as bare calls: no plan, no journal, no store, nothing to recover from.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use billhook::config::Config;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::support::SOURCE;

/// How long `orders` sequences take, `concurrency` of them at a time.
pub async fn all(config: &Config, orders: usize, concurrency: usize) -> anyhow::Result<Duration> {
    let (calls, next) = (Arc::new(Calls::new(config)?), Arc::new(AtomicUsize::new(0)));
    let (began, mut callers) = (Instant::now(), JoinSet::new());
    for _ in 0..concurrency.min(orders) {
        let (calls, next) = (Arc::clone(&calls), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= orders {
                    return anyhow::Ok(());
                }
                Order {
                    calls: &calls,
                    number,
                    requests: Vec::new(),
                }
                .carry_out()
                .await?;
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.context("a caller ended badly")??;
    }
    Ok(began.elapsed())
}

/// The requests that one order makes here.
pub async fn requests_of_one(config: &Config) -> anyhow::Result<Vec<String>> {
    let calls = Calls::new(config)?;
    Order {
        calls: &calls,
        number: 0,
        requests: Vec::new(),
    }
    .carry_out()
    .await
}

/// Method and path, with a number for every number; which order it was plays no part.
pub fn path_shape(method: &str, url: &str) -> String {
    let path = url.split_once("/v2").map_or(url, |(_, path)| path);
    let mut shape = format!("{method} ");
    for letter in path.chars() {
        if !letter.is_ascii_digit() {
            shape.push(letter);
        } else if !shape.ends_with('0') {
            shape.push('0');
        }
    }
    shape
}

/// A plain client with both suppliers' addresses and keys.
struct Calls {
    client: Client,
    hivelocity: String,
    key: String,
    one_h: String,
    code: String,
    one_h_key: String,
}

impl Calls {
    #[expect(
        clippy::disallowed_methods,
        reason = "what the engine's client is measured against"
    )]
    fn new(config: &Config) -> anyhow::Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .timeout(config.hivelocity.timeout)
            .build()?;
        Ok(Self {
            client,
            hivelocity: config.hivelocity.base_url.clone(),
            key: config.hivelocity.api_key.reveal().to_owned(),
            one_h: config.one_h.base_url.clone(),
            code: config.one_h.auth_code.reveal().to_owned(),
            one_h_key: config.one_h.api_key.reveal().to_owned(),
        })
    }

    async fn hivelocity(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.hivelocity);
        let mut request = self
            .client
            .request(method, url)
            .header("x-api-key", &self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        ensure!(
            response.status().is_success(),
            "{path} was answered with {}",
            response.status()
        );
        Ok(response.json().await?)
    }

    async fn one_h(&self, command: &str, params: &Value) -> anyhow::Result<Value> {
        let request = json!({
            "auth_code": self.code,
            "api_key": self.one_h_key,
            "payload": {"command": command, "params": params},
        });
        let form = [("request", request.to_string())];
        Ok(self
            .client
            .post(&self.one_h)
            .form(&form)
            .send()
            .await?
            .json()
            .await?)
    }
}

/// One order's calls, one after the other.
struct Order<'c> {
    calls: &'c Calls,
    number: usize,
    requests: Vec<String>,
}

impl Order<'_> {
    async fn carry_out(mut self) -> anyhow::Result<Vec<String>> {
        let client = self.client().await?;
        let ip = self.device(client).await?;
        self.licence(&ip).await?;
        Ok(self.requests)
    }

    async fn client(&mut self) -> anyhow::Result<i64> {
        let path = "/account/controlled-client";
        self.call(Method::GET, path, None).await?;
        let body = json!({
            "email": "owner@example.com",
            "company": format!("Example Ltd [{SOURCE}:{}]", self.number),
        });
        let made = self.call(Method::POST, path, Some(body)).await?;
        made.get("id")
            .and_then(Value::as_i64)
            .context("no client id")
    }

    async fn device(&mut self, client: i64) -> anyhow::Result<String> {
        let path = format!("/bare-metal-devices/?controlledClientId={client}");
        self.call(Method::GET, &path, None).await?;
        let body = json!({
            "productId": 584,
            "locationName": "TPA1",
            "osName": "Ubuntu 22.04",
            "hostname": format!("srv{}.example.com", self.number),
            "period": "monthly",
            "tags": [format!("billhook:{SOURCE}:{}", 5000 + self.number)],
        });
        let ordered = self.call(Method::POST, &path, Some(body)).await?;
        let device = ordered
            .get("deviceId")
            .and_then(Value::as_i64)
            .context("no device id")?;
        let path = format!("/bare-metal-devices/{device}?controlledClientId={client}");
        let built = self.call(Method::GET, &path, None).await?;
        let ip = built
            .get("primaryIp")
            .and_then(Value::as_str)
            .context("no IP")?;
        Ok(ip.to_owned())
    }

    async fn licence(&mut self, ip: &str) -> anyhow::Result<()> {
        let username = format!("bare{}", self.number);
        self.command("get_licenses", &json!({"username": username}))
            .await?;
        let user = json!({
            "username": username,
            "password": "Benchmark-password-1",
            "email": format!("customer{}@example.com", self.number),
            "name": "Ann Lee",
        });
        self.command("add_user", &user).await?;
        self.command("get_licenses", &json!({"username": username}))
            .await?;
        let label = format!("srv{}.example.com", self.number);
        let licence = json!({"product": "Hive", "ip": ip, "username": username, "label": label});
        let added = self.command("add_license", &licence).await?;
        ensure!(
            added.get("response_code") == Some(&json!(1)),
            "no licence: {added}"
        );
        Ok(())
    }

    async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        self.requests.push(path_shape(method.as_str(), path));
        self.calls.hivelocity(method, path, body).await
    }

    async fn command(&mut self, command: &str, params: &Value) -> anyhow::Result<Value> {
        self.requests.push(format!("1H {command}"));
        self.calls.one_h(command, params).await
    }
}
