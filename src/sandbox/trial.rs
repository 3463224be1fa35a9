//! A caller for the tests of the stand-ins.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{Reply, Sandbox, SandboxOptions, Suppliers};
use crate::domain::Timestamp;

/// A client of both suppliers.
pub(super) struct Caller {
    pub(super) http: Client,
    pub(super) sandbox: Sandbox,
    pub(super) key: String,
}

pub(super) async fn caller(options: SandboxOptions) -> Caller {
    let key = options.hivelocity_api_key.clone();
    #[expect(clippy::disallowed_methods, reason = "a test's own client")]
    let builder = Client::builder();
    let http = builder
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    Caller {
        http,
        sandbox: Sandbox::start(options).await.unwrap(),
        key,
    }
}

impl Caller {
    pub(super) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<(u16, String)> {
        let url = format!("{}{path}", self.sandbox.hivelocity_url());
        let mut request = self
            .http
            .request(method, url)
            .header("X-API-KEY", &self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// Places an order; answers the device's id and the order's.
    pub(super) async fn orders(&self, location: &str) -> (u64, u64) {
        let (status, device) = self.post("/bare-metal-devices/", server(location)).await;
        assert_eq!(status, 201, "{device}");
        let id = |name: &str| device[name].as_u64().unwrap();
        (id("deviceId"), id("orderId"))
    }

    /// The headers of an answer.
    pub(super) async fn headers(&self, path: &str) -> reqwest::header::HeaderMap {
        let url = format!("{}{path}", self.sandbox.hivelocity_url());
        let request = self.http.get(url).header("X-API-KEY", &self.key);
        request.send().await.unwrap().headers().clone()
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let (status, text) = self.try_send(method, path, body).await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    pub(super) async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(super) async fn one_h_raw(&self, call: &Value) -> Value {
        let form = [("request", call.to_string())];
        let response = self
            .http
            .post(self.sandbox.one_h_url())
            .form(&form)
            .send()
            .await
            .unwrap();
        response.json().await.unwrap()
    }

    /// Zero for success, else the error number.
    pub(super) async fn one_h(&self, command: &str, params: Value) -> u64 {
        let answer = self.one_h_raw(&call(command, &params)).await;
        match answer["response_code"].as_u64() {
            Some(1) => 0,
            _ => answer["response"]["err_no"].as_u64().unwrap(),
        }
    }

    pub(super) async fn eventually(
        &self,
        path: &str,
        wanted: impl Fn(u16, &Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let (status, body) = self.get(path).await;
            if wanted(status, &body) {
                return body;
            }
            assert!(Instant::now() < deadline, "{path} stays {status} {body}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Both suppliers in a time that is told, for what depends on the very moment.
pub(super) struct Told {
    pub(super) suppliers: Suppliers,
    elapsed: Arc<AtomicU64>,
}

impl Told {
    pub(super) fn new(options: &SandboxOptions) -> Self {
        let elapsed = Arc::new(AtomicU64::new(0));
        let watch = Arc::clone(&elapsed);
        let watch = move || Duration::from_millis(watch.load(Ordering::Relaxed));
        let suppliers = Suppliers::new(options, Timestamp::from_seconds(0), watch);
        Self { suppliers, elapsed }
    }

    /// It is so many milliseconds after the beginning.
    pub(super) fn at(&self, millis: u64) -> &Self {
        self.elapsed.store(millis, Ordering::Relaxed);
        self
    }

    pub(super) fn ask(&self, method: &str, path: &str, body: &Value) -> (Reply, Value) {
        let headers = vec![
            ("x-api-key".to_owned(), "sandbox-hivelocity-key".to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        let body = body.to_string().into_bytes();
        let target = format!("/api/v2{path}");
        let reply = self.suppliers.perform(method, &target, headers, body);
        let body = serde_json::from_slice(&reply.body).unwrap_or_default();
        (reply, body)
    }

    pub(super) fn get(&self, path: &str) -> Value {
        self.ask("GET", path, &Value::Null).1
    }

    /// Places an order; answers the device's id and the order's.
    pub(super) fn orders(&self, location: &str) -> (u64, u64) {
        let device = self
            .ask("POST", "/bare-metal-devices/", &server(location))
            .1;
        let id = |name: &str| device[name].as_u64().unwrap();
        (id("deviceId"), id("orderId"))
    }
}

pub(super) fn call(command: &str, params: &Value) -> Value {
    json!({
        "auth_code": "sandbox-1h-code",
        "api_key": "sandbox-1h-key",
        "payload": {"command": command, "params": params},
    })
}

pub(super) fn server(location: &str) -> Value {
    json!({
        "productId": 584,
        "locationName": location,
        "osName": "Ubuntu 22.04",
        "hostname": "srv1.example.com",
        "period": "monthly",
        "tags": ["billhook:whmcs:501"],
    })
}

pub(super) fn quick() -> SandboxOptions {
    SandboxOptions {
        build_time: Duration::from_millis(400),
        network_time: Duration::from_millis(80),
        power_time: Duration::from_millis(80),
        ..SandboxOptions::default()
    }
}
