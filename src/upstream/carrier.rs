//! How requests travel: over the network, or carried within the process to stand-ins. Only the
//! way differs; what is sent and what an answer means is the same. No IO here.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use reqwest::header::HeaderMap;
use url::Url;

use super::line::{Ask, Cargo};
pub use super::wire::{Raw, Received};
pub use crate::domain::RateLimit;

/// The way of all requests.
#[derive(Clone, Debug, Default)]
pub enum Carrier {
    /// HTTP over the network.
    #[default]
    Network,
    /// Handed over within the process, so that a simulation decides what befalls each of them.
    InProcess(Arc<dyn Carry>),
}

/// Who carries requests within the process.
pub trait Carry: Send + Sync + fmt::Debug {
    /// Carries one request, once.
    fn carry(&self, parcel: Parcel) -> Pin<Box<dyn Future<Output = Received> + Send>>;

    /// Whether tokio's clock is what passes for whoever carries: then requests wait for their turns
    /// and sit out short pauses as they do over the network. Where the time is told in another way
    /// a sleep of tokio's would never end, so nothing waits.
    fn sleeps(&self) -> bool {
        false
    }
}

/// A request as it would go over the wire.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The method, in capitals.
    pub method: String,
    /// Where to.
    pub url: Url,
    /// Names in lower case with their values.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub body: Vec<u8>,
    /// Whether it changes something.
    pub writes: bool,
}

impl Parcel {
    /// The request that `ask` asks for.
    pub(super) fn of(ask: &Ask) -> Self {
        let mut headers = written(&ask.keys);
        let mut typed = |kind: &str| headers.push(("content-type".to_owned(), kind.to_owned()));
        let body = match &ask.cargo {
            Cargo::Nothing => Vec::new(),
            Cargo::Json(value) => {
                typed("application/json");
                value.to_string().into_bytes()
            }
            Cargo::Form { fields, .. } => {
                typed("application/x-www-form-urlencoded");
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(fields);
                form.finish().into_bytes()
            }
            Cargo::Signed { text, headers: own } => {
                typed("application/json");
                let own = own
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone()));
                headers.extend(own);
                text.clone().into_bytes()
            }
        };
        Self {
            method: ask.method.as_str().to_owned(),
            url: ask.url.clone(),
            headers,
            body,
            writes: ask.expect.intent.writes(),
        }
    }
}

fn written(headers: &HeaderMap) -> Vec<(String, String)> {
    let pair = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    };
    headers.iter().map(pair).collect()
}
