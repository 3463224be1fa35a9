//! The line to one upstream: an HTTP client with its pace and its time-outs. IO.
//!
//! It sends one request, once, writes the exchange down with secrets masked, and lets
//! [`classify`] say what it means. It repeats nothing by itself and follows no redirects.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use url::Url;

use super::breaker::BreakerRules;
use super::budget::Budget;
use super::carrier::{Carrier, Carry, Parcel};
use super::gate::{Gate, Heard};
use super::pace::{Pace, Rate, Turn};
use super::settings::UpstreamError;
use super::talk::Talk;
use super::wire::{
    Answer, Expect, Health, Intent, Raw, Received, Setback, classify, health, vouches,
};
use crate::domain::{Away, Because, RateLimit};

/// The longest answer that is read.
const LONGEST_ANSWER: usize = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A request that was limited waits within its attempt for no longer than this, and no less than
/// that: a longer pause is not a worker's to sit out.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// What a request carries.
#[derive(Clone, Debug)]
pub(super) enum Cargo {
    /// Nothing.
    Nothing,
    /// JSON.
    Json(Value),
    /// A form; `shown` is what the journal keeps of it.
    Form {
        /// The fields.
        fields: Vec<(&'static str, String)>,
        /// What is kept of them.
        shown: Value,
    },
    /// JSON whose bytes were signed, with the headers that say so.
    Signed {
        /// The very bytes.
        text: String,
        /// Signature headers.
        headers: Vec<(&'static str, String)>,
    },
}

/// One request.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    /// Headers that hold keys; never written down.
    pub(super) keys: HeaderMap,
    pub(super) cargo: Cargo,
    pub(super) expect: Expect,
}

/// What a line keeps to.
pub(super) struct Terms {
    /// The upstream's name for the pace and the breaker.
    pub(super) upstream: String,
    /// Its name as people know it.
    pub(super) who: &'static str,
    /// Requests a second.
    pub(super) per_second: u32,
    /// How long a request may take.
    pub(super) timeout: Duration,
    /// When it counts as away.
    pub(super) breaker: BreakerRules,
    /// Its hour of requests, where that is counted.
    pub(super) budget: Option<Budget>,
}

/// How its requests get there.
enum Way {
    Http(Client),
    InProcess(Arc<dyn Carry>),
}

impl Way {
    /// Whether tokio's clock is what passes on the way.
    fn sleeps(&self) -> bool {
        match self {
            Self::Http(_) => true,
            Self::InProcess(carry) => carry.sleeps(),
        }
    }
}

/// The line to one upstream.
pub(super) struct Line {
    terms: Terms,
    way: Way,
    pace: Arc<dyn Pace>,
    gate: Gate,
    timeout: Duration,
}

impl Line {
    /// A line to the upstream at `address`.
    pub(super) fn new(
        terms: Terms,
        address: &Url,
        pace: &Arc<dyn Pace>,
        carrier: &Carrier,
    ) -> Result<Self, UpstreamError> {
        let timeout = terms.timeout;
        let way = match carrier {
            Carrier::Network => Way::Http(client(address, timeout)?),
            Carrier::InProcess(carry) => Way::InProcess(Arc::clone(carry)),
        };
        let gate = Gate::new(&terms.upstream, terms.breaker, terms.per_second, timeout);
        Ok(Self {
            terms,
            way,
            pace: Arc::clone(pace),
            gate,
            timeout,
        })
    }

    /// The upstream's name as people know it.
    pub(super) const fn who(&self) -> &'static str {
        self.terms.who
    }

    /// Whether the upstream can be asked.
    pub(super) const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Its hour of requests, where that is counted.
    pub(super) const fn budget(&self) -> Option<&Budget> {
        self.terms.budget.as_ref()
    }

    /// How long a request may take.
    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends a request and says what came of it: a write once, a look that failed once more, and
    /// what was limited again after the pause that was asked for.
    ///
    /// A look changes nothing, so repeating it hides nothing; nor does a request that was turned
    /// away. All are in the trace. An attempt makes several requests, and without this a supplier
    /// that fails or limits one in three would hardly ever let a whole attempt through.
    pub(super) async fn send(&self, talk: &mut Talk<'_>, ask: Ask) -> Result<Answer, Setback> {
        if talk.only_looks() && ask.expect.intent.writes() {
            return Err(Setback::Withheld);
        }
        match self.send_patiently(talk, &ask).await {
            Err(Setback::Unavailable {
                retry_after: None, ..
            }) if ask.expect.intent == Intent::Read => self.send_patiently(talk, &ask).await,
            result => result,
        }
    }

    /// Sends a request as often as it is limited and the pause is worth waiting for.
    async fn send_patiently(&self, talk: &mut Talk<'_>, ask: &Ask) -> Result<Answer, Setback> {
        loop {
            let result = self.send_once(talk, ask).await;
            let Err(Setback::Held(away)) = &result else {
                return result;
            };
            let pause = away.until.since(talk.now()).max(SHORTEST_PAUSE);
            let too_long = pause > LONGEST_PAUSE || talk.elapsed() + pause > self.timeout;
            if too_long || !self.way.sleeps() {
                return result;
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn send_once(&self, talk: &mut Talk<'_>, ask: &Ask) -> Result<Answer, Setback> {
        self.turn(talk).await?;
        let taken = self.take(talk).await?;
        if ask.expect.intent.writes() && !talk.still_held() {
            // Another worker may have the run by now, and may be looking for what this one sent.
            let error =
                "not sent: this worker had the run for too long without word from the store";
            return Err(Setback::unavailable(error.to_owned()));
        }
        let before = talk.sends(shown_request(talk, ask), ask.expect.intent);
        if ask.expect.intent.writes() {
            talk.changed_for = ask.expect.credentials.client();
        }
        let asked_at = talk.now();
        let mut received = self.exchange(ask).await;
        let now = talk.now();
        let said = self.said_of_hour(&mut received);
        let shown = shown_response(talk, ask, &received);
        let health = health(&ask.expect, &received, now);
        let vouches = vouches(&ask.expect, &received);
        let result = classify(self.who(), &ask.expect, received, now);
        // What was surely not done leaves nothing behind.
        let undone = match &result {
            Ok(answer) => answer.status >= 400,
            Err(setback) => !matches!(setback, Setback::Ambiguous(_)),
        };
        let wrote = ask.expect.intent.writes() && !undone;
        talk.ends(shown, before || wrote);
        self.hear(taken, said, asked_at, now).await;
        let error = failure(talk, &result);
        let result = self.account_refused(talk, &ask.expect, result, &error);
        let heard = Heard {
            health: match health {
                // That holds up its kind alone.
                Health::Refuses(_) if ask.expect.intent.writes() => Health::Answers,
                health => health,
            },
            vouches,
            error: &error,
        };
        self.gate.heard(&heard, now, talk.scene.entropy);
        let held = self.gate.held(now);
        if matches!(health, Health::Limits(_)) && !held.is_zero() {
            self.pace.hold(self.rate(), held).await;
        }
        self.in_turn_again(talk, result).await
    }

    fn rate(&self) -> Rate<'_> {
        Rate {
            upstream: &self.terms.upstream,
            per_second: self.terms.per_second,
        }
    }

    /// Waits for the request's turn, if that is not too far away.
    async fn turn(&self, talk: &Talk<'_>) -> Result<(), Setback> {
        let held = self.gate.held(talk.now());
        if !self.way.sleeps() {
            // The time in which turns are counted is not the carrier's: nothing waits here.
            return if held.is_zero() {
                Ok(())
            } else {
                Err(self.not_sent(talk, held))
            };
        }
        match self
            .pace
            .reserve(self.rate(), self.longest_turn(talk))
            .await
        {
            Turn::After(wait) => tokio::time::sleep(wait).await,
            Turn::TooLate(wait) => return Err(self.not_sent(talk, wait)),
        }
        // A limit that was named meanwhile is for those in the queue, too.
        let held = self.gate.held(talk.now());
        if held > self.timeout {
            return Err(self.not_sent(talk, held));
        }
        tokio::time::sleep(held).await;
        Ok(())
    }

    fn not_sent(&self, talk: &Talk<'_>, wait: Duration) -> Setback {
        let now = talk.now();
        let (because, why) = if self.gate.held(now).is_zero() {
            (
                Because::Crowded,
                "more requests wait for it than may be sent",
            )
        } else {
            (Because::Asked, "it asked for patience")
        };
        // Not all at once again.
        let chance = talk.scene.entropy.fraction().clamp(0.0, 1.0);
        Setback::Held(Away {
            because,
            until: now.plus(wait).plus(self.timeout.mul_f64(chance)),
            error: Some(format!("not sent to {}: {why}", self.who())),
        })
    }

    async fn exchange(&self, ask: &Ask) -> Received {
        let client = match &self.way {
            Way::Http(client) => client,
            Way::InProcess(carry) => return carry.carry(Parcel::of(ask)).await,
        };
        let response = match request(client, ask).send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => {
                return Received::Unsent(chain(&error.without_url()));
            }
            Err(error) => return Received::Lost(self.lost(error)),
        };
        let status = response.status().as_u16();
        let content_type = header(&response, CONTENT_TYPE).unwrap_or_default();
        let retry_after = header(&response, RETRY_AFTER);
        let rate = rate_limit(&response);
        match read(response).await {
            Ok(body) => Received::Answered(
                Raw::new(status, content_type.to_lowercase(), retry_after, body).with_rate(rate),
            ),
            Err(Unread::TooLong) => {
                Received::Lost(format!("it is longer than {} MiB", LONGEST_ANSWER >> 20))
            }
            Err(Unread::Broken(error)) => Received::Lost(self.lost(error)),
        }
    }

    fn lost(&self, error: reqwest::Error) -> String {
        if error.is_timeout() {
            return format!("nothing came within {:?}", self.timeout);
        }
        chain(&error.without_url())
    }
}

fn client(address: &Url, timeout: Duration) -> Result<Client, UpstreamError> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    let mut client = Client::builder()
        .user_agent(concat!("billhook/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        // A request that is sent twice may be a server that is paid for twice.
        .retry(reqwest::retry::never())
        .referer(false)
        // The connection's own limit comes first, so that it is known that nothing left.
        .connect_timeout(CONNECT_TIMEOUT.min(timeout.mul_f64(0.8)))
        .timeout(timeout);
    if is_loopback(address) {
        client = client.no_proxy();
    }
    if address.scheme() == "http" {
        // Never any TLS, as no redirect is followed: the system's certificates stay unread.
        client = client.tls_certs_only(std::iter::empty());
    }
    client
        .build()
        .map_err(|error| UpstreamError::Client(chain(&error)))
}

fn request(client: &Client, ask: &Ask) -> RequestBuilder {
    let request = client
        .request(ask.method.clone(), ask.url.clone())
        .headers(ask.keys.clone())
        .header(
            reqwest::header::ACCEPT,
            HeaderValue::from_static("application/json"),
        );
    match &ask.cargo {
        Cargo::Nothing => request,
        Cargo::Json(value) => request.json(value),
        Cargo::Form { fields, .. } => request.form(fields),
        Cargo::Signed { text, headers } => headers
            .iter()
            .fold(request, |request, (name, value)| {
                request.header(*name, value)
            })
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(text.clone()),
    }
}

enum Unread {
    TooLong,
    Broken(reqwest::Error),
}

async fn read(mut response: Response) -> Result<String, Unread> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Unread::Broken)? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err(Unread::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn header(response: &Response, name: reqwest::header::HeaderName) -> Option<String> {
    let value = response.headers().get(name)?;
    value.to_str().ok().map(str::to_owned)
}

/// What the upstream says of its limit.
fn rate_limit(response: &Response) -> Option<RateLimit> {
    let text = |name: &str| response.headers().get(name)?.to_str().ok();
    RateLimit::read(
        text("x-ratelimit-limit"),
        text("x-ratelimit-remaining"),
        text("x-ratelimit-reset"),
    )
}

/// An error with all its causes: the outermost one alone says next to nothing.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// A stand-in on this machine is never reached through a proxy.
fn is_loopback(address: &Url) -> bool {
    match address.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// What went wrong, without secrets; empty when nothing did.
fn failure(talk: &Talk<'_>, result: &Result<Answer, Setback>) -> String {
    match result {
        Err(
            Setback::KeyRefused(error)
            | Setback::Refused { error, .. }
            | Setback::ClientRefused { error, .. }
            | Setback::Rejected(error)
            | Setback::Ambiguous(error)
            | Setback::Unavailable { error, .. }
            | Setback::Held(Away {
                error: Some(error), ..
            }),
        ) => talk.mask.text(error),
        Ok(_) | Err(Setback::Withheld | Setback::Held(_) | Setback::NeedsPerson(_)) => {
            String::new()
        }
    }
}

fn shown_request(talk: &Talk<'_>, ask: &Ask) -> Value {
    let body = match &ask.cargo {
        Cargo::Nothing => Value::Null,
        Cargo::Json(value) | Cargo::Form { shown: value, .. } => kept(talk, value),
        Cargo::Signed { text, .. } => kept(talk, &serde_json::from_str(text).unwrap_or_default()),
    };
    let mut url = ask.url.clone();
    // Neither fails for an http address; a name and a password have no place in a journal.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    json!({"method": ask.method.as_str(), "url": talk.mask.text(url.as_str()), "body": body})
}

fn kept(talk: &Talk<'_>, body: &Value) -> Value {
    talk.mask.kept(body, body.to_string().len())
}

fn shown_response(talk: &Talk<'_>, ask: &Ask, received: &Received) -> Value {
    let Received::Answered(raw) = received else {
        return Value::Null;
    };
    let body = match &raw.json {
        Some(value) => talk.mask.kept(value, raw.body.len()),
        // What is about keys and not readable as fields cannot be masked by field.
        None if ask.url.path().contains("/token") => Value::from(super::mask::MASKED),
        None => talk
            .mask
            .kept(&Value::from(raw.body.as_str()), raw.body.len()),
    };
    json!({"status": raw.status, "body": body})
}

/// Reads a setting as an address.
pub(super) fn address(key: &str, text: &str) -> Result<Url, UpstreamError> {
    let wrong = |why: String| UpstreamError::Address {
        key: key.to_owned(),
        why,
    };
    let url = Url::parse(text.trim()).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong(format!("its scheme is {}", url.scheme())));
    }
    Ok(url)
}

/// A key as the value of a header that no log shows.
pub(super) fn key_header(key: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(key).ok()?;
    value.set_sensitive(true);
    Some(value)
}
