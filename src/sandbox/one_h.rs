//! 1H's Partners API: one address, one form field, ten commands, numbered errors. Reading the call
//! and its rights is here; what the commands do stands beside it. Pure.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::calendar::Calendar;
use super::registry::Registry;
use super::snapshot::Ledger;
use super::wire::{Request, Response};

/// The key pair that 1H knows.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) auth_code: String,
    pub(super) api_key: String,
}

/// One of 1H's numbered errors with its text.
#[derive(Debug)]
pub(super) struct Failure {
    number: u16,
    text: String,
}

impl Failure {
    /// The error of this number.
    pub(super) fn of(number: u16, text: impl Into<String>) -> Self {
        Self {
            number,
            text: text.into(),
        }
    }

    /// Whether the call itself was wrong, not what it asked for.
    fn is_violation(&self) -> bool {
        matches!(self.number, 1..=6 | 11 | 14 | 15)
    }
}

/// The parameters of a command.
#[derive(Debug)]
pub(super) struct Params(Map<String, Value>);

impl Params {
    /// A text that must be there.
    pub(super) fn text(&self, name: &str) -> Result<&str, Failure> {
        match self.optional(name)? {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(Failure::of(14, format!("Missing param: {name}"))),
        }
    }

    /// A text that may be absent or null.
    pub(super) fn optional(&self, name: &str) -> Result<Option<&str>, Failure> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(name, "a string is expected")),
        }
    }
}

/// What 1H knows besides the call.
pub(super) struct Office<'a> {
    pub(super) registry: &'a mut Registry,
    pub(super) ledger: &'a mut Ledger,
    pub(super) credentials: &'a Credentials,
    pub(super) now: Duration,
    pub(super) calendar: Calendar,
}

/// Answers one call.
pub(super) fn answer(office: Office<'_>, request: &Request) -> Response {
    let Office {
        registry,
        ledger,
        credentials,
        now,
        calendar,
    } = office;
    let result = read(request, credentials)
        .and_then(|(command, params)| registry.perform(&command, &params, ledger, now, calendar));
    match result {
        Ok(response) => Response::json(200, &json!({"response_code": 1, "response": response})),
        Err(problem) => {
            if problem.is_violation() {
                let command = command_of(request);
                ledger
                    .violations
                    .push(format!("one_h {command}: {}", problem.text));
            }
            failure(problem.number, &problem.text)
        }
    }
}

/// The answer that carries an error number.
pub(super) fn failure(number: u16, text: &str) -> Response {
    let response = json!({"err_no": number, "err_string": text});
    Response::json(200, &json!({"response_code": 0, "response": response}))
}

/// The command that a request names, or a dash.
pub(super) fn command_of(request: &Request) -> String {
    let posted = posted(request).unwrap_or_default();
    let call: Value = serde_json::from_str(&posted).unwrap_or_default();
    call.pointer("/payload/command")
        .and_then(Value::as_str)
        .unwrap_or("-")
        .to_owned()
}

/// Error 15.
pub(super) fn invalid(name: &str, why: &str) -> Failure {
    Failure::of(15, format!("Invalid param value for {name}: {why}"))
}

fn posted(request: &Request) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(&request.body);
    pairs
        .find(|(name, _)| name == "request")
        .map(|(_, value)| value.into_owned())
}

fn read(request: &Request, known: &Credentials) -> Result<(String, Params), Failure> {
    if request.method != "POST" {
        return Err(Failure::of(1, "Invalid post"));
    }
    if !request.is_of("application/x-www-form-urlencoded") {
        return Err(Failure::of(2, "Invalid post data"));
    }
    let posted = posted(request).ok_or_else(|| Failure::of(2, "Invalid post data"))?;
    let Ok(Value::Object(mut call)) = serde_json::from_str(&posted) else {
        return Err(Failure::of(3, "Invalid request (not JSON)"));
    };
    let Some(Value::Object(mut payload)) = call.remove("payload") else {
        return Err(Failure::of(4, "No payload"));
    };
    let Some(Value::String(command)) = payload.remove("command") else {
        return Err(Failure::of(5, "No payload command"));
    };
    admit(&call, known)?;
    Ok((command, params(payload.remove("params"))?))
}

fn admit(call: &Map<String, Value>, known: &Credentials) -> Result<(), Failure> {
    let given = |name: &str| {
        let value = call.get(name).and_then(Value::as_str);
        value.ok_or_else(|| Failure::of(6, format!("Missing auth info: {name}")))
    };
    let (code, key) = (given("auth_code")?, given("api_key")?);
    if code != known.auth_code {
        return Err(Failure::of(7, format!("Invalid auth code: {code}")));
    }
    if key != known.api_key {
        return Err(Failure::of(8, "Invalid key"));
    }
    Ok(())
}

/// The parameters; a list without members is how PHP writes none.
fn params(value: Option<Value>) -> Result<Params, Failure> {
    match value {
        Some(Value::Object(map)) => Ok(Params(map)),
        Some(Value::Array(list)) if list.is_empty() => Ok(Params(Map::new())),
        None | Some(Value::Null) => Ok(Params(Map::new())),
        Some(_) => Err(invalid("params", "an object is expected")),
    }
}
