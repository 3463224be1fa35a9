//! What an answer, or its absence, means: done, surely not done, or perhaps done. Pure.
//!
//! Every request of every upstream is judged by [`classify`] and by nothing else. A write whose
//! end is not known is ambiguous, always; a read can simply be made again.

use std::time::Duration;

use serde_json::Value;

use super::refusals::{About, Credentials, about};
pub(super) use super::said::said;
use super::said::shorten;
use crate::domain::{Away, Because, Decision, Outcome, RateLimit, Refusal, Timestamp};

/// The longest Retry-After that is believed.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// How long a request waits that was limited without a Retry-After.
const UNNAMED_PAUSE: Duration = Duration::from_secs(1);

/// Whether a request changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    /// It only asks.
    Read,
    /// It changes something; twice is the same as once.
    Write,
    /// It changes something, and twice is not the same as once: only the supplier's own refusal
    /// shows that it was not done. Everything that a proxy can say leaves that open.
    Once,
}

impl Intent {
    /// Whether the request changes something.
    pub(super) const fn writes(self) -> bool {
        match self {
            Self::Read => false,
            Self::Write | Self::Once => true,
        }
    }
}

/// What a good answer's body must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// JSON.
    Json,
    /// JSON or nothing at all.
    JsonOrNothing,
    /// JSON that holds at least one of these (JSON Pointers): what the next step needs. A success
    /// without it is none.
    Holds(&'static [&'static str]),
    /// Anything; it is not looked at.
    Anything,
}

/// What the step expects of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expect {
    /// Whether the request changes something.
    pub intent: Intent,
    /// What the body must be.
    pub body: Body,
    /// The 4xx statuses that the step has a meaning for.
    pub meanings: &'static [u16],
    /// With whose credentials it is made.
    pub credentials: Credentials,
}

/// What came of a request, before anything is made of it.
#[derive(Clone, Debug)]
pub enum Received {
    /// It never left: no connection, no name, no TLS.
    Unsent(String),
    /// It left, and no whole answer came.
    Lost(String),
    /// An answer came.
    Answered(Raw),
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Raw {
    /// Status.
    pub status: u16,
    /// Content-Type, lower case.
    pub content_type: String,
    /// Retry-After as it stands.
    pub retry_after: Option<String>,
    /// What the upstream says of its limit, where it has one that is kept to.
    pub rate: Option<RateLimit>,
    /// The body.
    pub body: String,
    /// The body as JSON, read once; null for an empty one, nothing for anything else.
    pub(super) json: Option<Value>,
}

/// An answer that the step can go on with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// A 2xx, or a status that the step has a meaning for.
    pub status: u16,
    /// The body; null when there was none.
    pub body: Value,
}

/// Why a request did not bring what it was for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Setback {
    /// A key that is not the account's own was refused: surely not done.
    KeyRefused(String),
    /// The account as a whole is refused: surely not done, and nobody's order is at fault.
    Refused {
        /// Why.
        refusal: Refusal,
        /// In the supplier's words.
        error: String,
    },
    /// The same of a controlled client, as far as the words go.
    ClientRefused {
        /// Why.
        refusal: Refusal,
        /// In the supplier's words.
        error: String,
    },
    /// Surely not done, and not to be tried again.
    Rejected(String),
    /// Surely not done; later perhaps.
    Unavailable {
        /// Why.
        error: String,
        /// How long to wait at least.
        retry_after: Option<Duration>,
    },
    /// Perhaps done.
    Ambiguous(String),
    /// Not sent, because only looking is allowed.
    Withheld,
    /// Surely not done, for no fault of its own: not sent, or sent and limited.
    Held(Away),
    /// A person has to decide.
    NeedsPerson(Decision),
}

impl Setback {
    /// Surely not done; later it may work.
    pub(super) fn unavailable(error: impl Into<String>) -> Self {
        Self::Unavailable {
            error: error.into(),
            retry_after: None,
        }
    }

    /// The same setback where the write was only a means (a key, a tag): the step itself was
    /// surely not done.
    pub(super) fn of_a_means(self) -> Self {
        match self {
            Self::Ambiguous(error) => Self::unavailable(error),
            other => other,
        }
    }
}

impl From<Setback> for Outcome {
    fn from(setback: Setback) -> Self {
        match setback {
            Setback::KeyRefused(error)
            | Setback::Rejected(error)
            | Setback::Refused { error, .. }
            | Setback::ClientRefused { error, .. } => Self::Rejected(error),
            Setback::Unavailable { error, retry_after } => Self::Unavailable { error, retry_after },
            Setback::Ambiguous(error) => Self::Ambiguous(error),
            Setback::Withheld => Self::Absent,
            Setback::Held(away) => Self::Held(away),
            Setback::NeedsPerson(decision) => Self::NeedsPerson(decision),
        }
    }
}

/// The one decision: what `received` means for a request that expected `expect`.
pub(super) fn classify(
    who: &str,
    expect: &Expect,
    received: Received,
    now: Timestamp,
) -> Result<Answer, Setback> {
    match received {
        Received::Unsent(why) => Err(Setback::unavailable(format!(
            "{who} could not be reached: {why}"
        ))),
        Received::Lost(why) => Err(unclear(
            expect,
            format!("{who} gave no whole answer: {why}"),
            None,
        )),
        Received::Answered(raw) => answered(who, expect, raw, now),
    }
}

fn answered(who: &str, expect: &Expect, raw: Raw, now: Timestamp) -> Result<Answer, Setback> {
    let pause = raw.retry_after.as_deref().and_then(|text| pause(text, now));
    if raw.status == 429 && refusal_is_believed(expect, &raw) {
        return Err(Setback::Held(turned_away(who, &raw, pause, now)));
    }
    if raw.is_html() {
        // A proxy, a firewall or a maintenance page: nobody knows what happened behind it.
        let what = format!("answered {} with a web page instead of its API", raw.status);
        return Err(unclear(expect, format!("{who} {what}"), pause));
    }
    if let Some(about) = refusal(expect, &raw) {
        return Err(refused_as_a_whole(who, expect, &raw, about));
    }
    if !(200..=299).contains(&raw.status) {
        return refused(who, expect, raw, pause);
    }
    match error_code(&raw, expect) {
        Some(429) => Err(Setback::Held(turned_away(who, &raw, pause, now))),
        Some(status) => refused(who, expect, Raw { status, ..raw }, pause),
        None => succeeded(who, expect, raw),
    }
}

/// A 2xx that carries no error.
fn succeeded(who: &str, expect: &Expect, mut raw: Raw) -> Result<Answer, Setback> {
    let status = raw.status;
    let unclear = |what: &str| {
        Err(unclear(
            expect,
            format!("{who} answered {status} {what}"),
            None,
        ))
    };
    match (expect.body, &raw.json) {
        (Body::Anything, _) => Ok(Answer {
            status,
            body: Value::Null,
        }),
        (_, None) => unclear("with a body that is not JSON"),
        (Body::Json, Some(Value::Null)) => unclear("without a body"),
        (Body::Holds(pointers), Some(body)) if !holds(body, pointers) => {
            unclear("without what was asked for")
        }
        (Body::Json | Body::JsonOrNothing | Body::Holds(_), Some(_)) => Ok(Answer {
            status,
            body: raw.json.take().unwrap_or_default(),
        }),
    }
}

fn holds(body: &Value, pointers: &[&str]) -> bool {
    let there = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => true,
    };
    pointers
        .iter()
        .any(|pointer| body.pointer(pointer).is_some_and(there))
}

/// The status that the body of a 2xx speaks of: Hivelocity's own WHMCS module goes by the body's
/// `code`, whatever HTTP says.
fn error_code(raw: &Raw, expect: &Expect) -> Option<u16> {
    if expect.body == Body::Anything {
        return None;
    }
    let code = raw.json.as_ref()?.get("code")?;
    let code = code.as_u64().or_else(|| code.as_str()?.trim().parse().ok());
    code.and_then(|code| u16::try_from(code).ok())
        .filter(|code| (400..=599).contains(code))
}

/// Anything but a success, by the status and by who says it.
fn refused(
    who: &str,
    expect: &Expect,
    mut raw: Raw,
    pause: Option<Duration>,
) -> Result<Answer, Setback> {
    let status = raw.status;
    let unclear = |what: &str| Err(unclear(expect, format!("{who} {what}"), pause));
    match status {
        408 => unclear("answered 408: the request took too long"),
        // Who names the time to come back has turned the request away; where that has to be
        // certain it is not enough, for a proxy says so, too.
        503 if pause.is_some() && expect.intent != Intent::Once => Err(Setback::Unavailable {
            error: format!("{who} answered 503: {}", words(&raw)),
            retry_after: pause,
        }),
        400..=499 if !refusal_is_believed(expect, &raw) => unclear(&format!(
            "answered {status} without a word of its API: {}",
            words(&raw)
        )),
        400..=499 if expect.meanings.contains(&status) => match raw.json.take() {
            Some(body) => Ok(Answer { status, body }),
            None => unclear(&format!(
                "answered {status} with a body that is not its API's"
            )),
        },
        401 => Err(Setback::KeyRefused(format!(
            "API key refused by {who} (401): {}",
            words(&raw)
        ))),
        400..=499 => Err(Setback::Rejected(format!(
            "{who} answered {status}: {}",
            words(&raw)
        ))),
        300..=399 => unclear(&format!(
            "answered {status}: a redirect, which is not followed"
        )),
        _ => unclear(&format!("answered {status}: {}", words(&raw))),
    }
}

/// Whether a 4xx shows that nothing was done. Where twice is not the same as once only a body as
/// the supplier's API writes it does.
fn refusal_is_believed(expect: &Expect, raw: &Raw) -> bool {
    const FIELDS: [&str; 7] = [
        "code",
        "message",
        "description",
        "schema_errors",
        "errors",
        "error",
        "response_code",
    ];
    let own_words = |body: &Value| FIELDS.iter().any(|field| body.get(field).is_some());
    expect.intent != Intent::Once
        || raw.spent_hour().is_some()
        || raw.json.as_ref().is_some_and(own_words)
}

/// Whom the answer is about, where it refuses more than what was asked, in words that are believed.
fn refusal(expect: &Expect, raw: &Raw) -> Option<About> {
    let status = error_code(raw, expect).unwrap_or(raw.status);
    if status >= 500 || !refusal_is_believed(expect, raw) {
        return None;
    }
    let body = raw.json.as_ref().unwrap_or(&Value::Null);
    about(expect.credentials, status, body, &words(raw))
}

fn refused_as_a_whole(who: &str, expect: &Expect, raw: &Raw, about: About) -> Setback {
    let (About::Account(refusal) | About::Client(refusal)) = about;
    let (what, said) = (refusal.words(), words(raw));
    match about {
        About::Account(refusal) => Setback::Refused {
            refusal,
            error: format!("{who} {what}: {said}"),
        },
        About::Client(refusal) => {
            let client = expect.credentials.client().unwrap_or_default();
            let number = refusal.number;
            Setback::ClientRefused {
                refusal,
                error: format!("{who} refused controlled client {client} ({number}): {said}"),
            }
        }
    }
}

/// What a 429 means. Turned away unseen, by the API or by a firewall before it: that says nothing
/// of the request, only of how many there were before.
fn turned_away(who: &str, raw: &Raw, pause: Option<Duration>, now: Timestamp) -> Away {
    if let Some(rate) = raw.spent_hour() {
        let most = rate.limit.unwrap_or(0);
        return Away {
            because: Because::HourSpent { most },
            until: now.plus(rate.pause().or(named(pause)).unwrap_or(UNNAMED_PAUSE)),
            error: Some(format!("{who} answered 429: {}", words(raw))),
        };
    }
    Away {
        because: Because::Asked,
        until: now.plus(named(pause).unwrap_or(UNNAMED_PAUSE)),
        error: Some(format!("{who} answered 429: too many requests")),
    }
}

/// What an exchange says of the upstream as a whole, whatever it means for the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It is there, be its answer yes or no.
    Answers,
    /// Nothing, or nothing of its API: everything else would fail, too.
    Fails,
    /// It takes no more requests for now; how long, if it says so.
    Limits(Option<Duration>),
    /// It is there and refuses the account.
    Refuses(Refusal),
}

/// Whether an answer shows that the account as a whole is not refused.
pub(super) fn vouches(expect: &Expect, received: &Received) -> bool {
    let Received::Answered(raw) = received else {
        return false;
    };
    let own = raw.status < 500 && raw.status != 429 && raw.json.is_some() && !raw.is_html();
    own && expect.credentials.are_the_accounts() && refusal(expect, raw).is_none()
}

/// Whether the upstream as a whole is there.
pub(super) fn health(expect: &Expect, received: &Received, now: Timestamp) -> Health {
    let Received::Answered(raw) = received else {
        return Health::Fails;
    };
    let strange = expect.body != Body::Anything && raw.json.is_none();
    match raw.status {
        // What is to be waited for is counted elsewhere, and it is there.
        429 if raw.spent_hour().is_some() => Health::Answers,
        429 => {
            let pause = raw.retry_after.as_deref().and_then(|text| pause(text, now));
            Health::Limits(named(pause))
        }
        408 | 500.. => Health::Fails,
        _ if raw.is_html() => Health::Fails,
        200..=299 if strange => Health::Fails,
        _ => match refusal(expect, raw) {
            Some(About::Account(refusal)) => Health::Refuses(refusal),
            Some(About::Client(_)) | None => Health::Answers,
        },
    }
}

fn unclear(expect: &Expect, error: String, retry_after: Option<Duration>) -> Setback {
    match expect.intent {
        Intent::Read => Setback::Unavailable { error, retry_after },
        Intent::Write | Intent::Once => Setback::Ambiguous(error),
    }
}

impl Raw {
    /// An answer with this body.
    pub fn new(
        status: u16,
        content_type: String,
        retry_after: Option<String>,
        body: String,
    ) -> Self {
        let json = parse(&body);
        Self {
            status,
            content_type,
            retry_after,
            rate: None,
            body,
            json,
        }
    }

    /// The same with what its headers say of the upstream's limit.
    #[must_use]
    pub const fn with_rate(mut self, rate: Option<RateLimit>) -> Self {
        self.rate = rate;
        self
    }

    /// Whether it turned the request away because the hour is used up; what it said of that.
    pub(super) fn spent_hour(&self) -> Option<RateLimit> {
        self.rate
            .filter(|rate| self.status == 429 && rate.is_spent())
    }

    fn is_html(&self) -> bool {
        let text = self.body.trim_start_matches('\u{feff}').trim_start();
        let announced = self.content_type.starts_with("text/html")
            || self.content_type.starts_with("application/xhtml");
        // PHP announces HTML unless told otherwise: JSON under that name is the API all the same.
        text.starts_with('<') || (announced && !text.starts_with(['{', '[']))
    }
}

/// The body as JSON; null for an empty one, nothing for anything else.
fn parse(body: &str) -> Option<Value> {
    let text = body.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        Some(Value::Null)
    } else {
        serde_json::from_str(text).ok()
    }
}

/// A pause of no length names none: the clock of whoever gave the date may be behind.
fn named(pause: Option<Duration>) -> Option<Duration> {
    pause.filter(|pause| !pause.is_zero())
}

/// How long a Retry-After asks to wait: seconds, or an HTTP date.
fn pause(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let pause = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = jiff::fmt::rfc2822::parse(text).ok()?;
        Timestamp::from_micros(date.timestamp().as_microsecond()).since(now)
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// The supplier's own words in an answer.
fn words(raw: &Raw) -> String {
    let said = raw.json.as_ref().map(said).unwrap_or_default();
    if !said.is_empty() {
        return said;
    }
    let text = shorten(&raw.body);
    if text.is_empty() {
        "no reason given".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
