//! A sender that signs as our plugins do, and one that may get anything wrong. IO.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use billhook::app::SystemClock;
use billhook::domain::secret::Secret;
use billhook::domain::time::{Clock as _, Timestamp};
use billhook::verify::{self, Keys};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::settings::SECRET;

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// A client with the tests' time-out.
pub fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(70))
        .build()
        .unwrap()
}

/// A message id that no other message has.
pub fn fresh_id() -> String {
    format!(
        "msg_{}_{}",
        std::process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    )
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body, null where it is no JSON.
    pub body: Value,
    /// The body's type.
    pub content_type: String,
    /// Every header in small letters.
    pub headers: Vec<(String, String)>,
}

impl Reply {
    /// Reads an answer.
    pub async fn read(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let text =
            |value: &reqwest::header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        let content_type = headers.iter().find(|(name, _)| name == "content-type");
        let content_type = content_type
            .map(|(_, value)| value.clone())
            .unwrap_or_default();
        let body = response.text().await.unwrap_or_default();
        Self {
            status,
            body: serde_json::from_str(&body).unwrap_or_default(),
            content_type,
            headers,
        }
    }

    /// A text of the body.
    pub fn text(&self, pointer: &str) -> &str {
        self.body
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The delivery's id.
    pub fn delivery(&self) -> String {
        self.text("/delivery_id").to_owned()
    }

    /// The ids of its runs.
    pub fn runs(&self) -> Vec<String> {
        let runs = self.body["runs"].as_array().cloned().unwrap_or_default();
        let id = |run: &Value| {
            run.as_str()
                .or(run["id"].as_str())
                .unwrap_or_default()
                .to_owned()
        };
        runs.iter().map(id).collect()
    }

    /// That it is a problem document of this status.
    pub fn is_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.content_type, "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], status, "{self:?}");
        assert!(
            !self.text("/title").is_empty() && !self.text("/detail").is_empty(),
            "{self:?}"
        );
    }
}

/// One message, signed rightly unless told otherwise.
#[derive(Clone, Debug)]
pub struct Message {
    /// The source it goes to.
    pub source: String,
    /// Its `webhook-id`.
    pub id: String,
    /// The bytes.
    pub body: Vec<u8>,
    /// The secret that signs it.
    pub secret: String,
    /// When it says it was signed.
    pub signed: Timestamp,
    /// Further headers; one with the name of a signature header replaces that.
    pub headers: Vec<(String, String)>,
    /// The type of its content, if it says so.
    pub content_type: Option<String>,
}

impl Message {
    /// An event for the source `whmcs`.
    pub fn of(event: &Value) -> Self {
        Self::bytes(event.to_string())
    }

    /// Any bytes for the source `whmcs`.
    pub fn bytes(body: impl Into<Vec<u8>>) -> Self {
        Self {
            source: "whmcs".to_owned(),
            id: fresh_id(),
            body: body.into(),
            secret: SECRET.to_owned(),
            signed: SystemClock.now(),
            headers: Vec::new(),
            content_type: Some("application/json".to_owned()),
        }
    }

    /// The same with another header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The headers that sign it.
    pub fn signature(&self) -> [(&'static str, String); 3] {
        let keys = Keys::parse(&[Secret::new(&self.secret)]).unwrap();
        let signature = verify::sign(&keys, &self.id, self.signed, &self.body);
        [
            (verify::ID_HEADER, self.id.clone()),
            (verify::TIMESTAMP_HEADER, self.signed.seconds().to_string()),
            (verify::SIGNATURE_HEADER, signature),
        ]
    }

    /// The request, ready to be sent.
    pub fn request(&self, http: &reqwest::Client, base: &str) -> reqwest::RequestBuilder {
        let mut request = http
            .post(format!("{base}/webhooks/{}", self.source))
            .body(self.body.clone());
        if let Some(content_type) = &self.content_type {
            request = request.header("content-type", content_type);
        }
        for (name, value) in self.signature() {
            if !self.headers.iter().any(|(other, _)| other == name) {
                request = request.header(name, value);
            }
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }

    /// Sends it.
    pub async fn send(&self, http: &reqwest::Client, base: &str) -> reqwest::Result<Reply> {
        Ok(Reply::read(self.request(http, base).send().await?).await)
    }
}

/// Writes these bytes to the server and reads whatever it answers until it hangs up.
pub async fn raw(base: &str, bytes: &[u8]) -> String {
    let mut stream = tokio::net::TcpStream::connect(base.trim_start_matches("http://"))
        .await
        .unwrap();
    // A server that has heard enough may hang up in the middle.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(10), reading).await;
    String::from_utf8_lossy(&answer).into_owned()
}
