//! Strict reading of what a client sends to the hardware supplier, and its refusals. Pure.

use serde_json::{Map, Value, json};

use super::wire::{Request, Response};

/// Why the hardware supplier refuses.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    message: String,
    malformed: bool,
}

/// What a route gives back.
pub(super) type Answer = Result<Response, Refusal>;

impl Refusal {
    /// A well-formed request that cannot be granted.
    pub(super) fn of(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            malformed: false,
        }
    }

    /// A request that should never have been sent like this.
    pub(super) fn malformed(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            malformed: true,
        }
    }

    /// What is wrong, where the request itself is.
    pub(super) fn violation(&self) -> Option<&str> {
        self.malformed.then_some(self.message.as_str())
    }

    /// The answer on the wire, in one of the four shapes that the supplier uses: by what is wrong
    /// where a field or a conflict is, else in turn.
    pub(super) fn response(&self, turn: u64) -> Response {
        let (code, words) = (self.status, &self.message);
        let body = match self.message.split_once(": ") {
            Some((field, problem)) if self.malformed && code == 400 => {
                json!({"schema_errors": {field: [problem]}})
            }
            _ if code == 409 => json!({"code": code, "description": words}),
            _ => match turn % 4 {
                0 => json!({"code": code, "description": words}),
                1 => json!({"code": code, "message": words}),
                2 => json!({"code": code, "message": [words]}),
                _ => json!({"errors": {"request": words}}),
            },
        };
        Response::json(code, &body)
    }
}

/// A JSON object of which every key is known.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads the body; keys that are not `known` are refused.
    pub(super) fn of(request: &Request, known: &[&str]) -> Result<Self, Refusal> {
        if !request.is_of("application/json") {
            return Err(bad("the content type is not application/json"));
        }
        let Ok(Value::Object(map)) = serde_json::from_slice(&request.body) else {
            return Err(bad("the body is not a JSON object"));
        };
        Self::known(map, known)
    }

    fn known(map: Map<String, Value>, known: &[&str]) -> Result<Self, Refusal> {
        match map.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(bad(format!("{key}: unknown field"))),
            None => Ok(Self(map)),
        }
    }

    /// A list of such objects that must be there and not be empty.
    pub(super) fn objects(&self, name: &str, known: &[&str]) -> Result<Vec<Self>, Refusal> {
        let list = match self.0.get(name) {
            None => return Err(bad(format!("{name}: is missing"))),
            Some(value) => value.as_array().filter(|list| !list.is_empty()),
        };
        let list = list.ok_or_else(|| bad(format!("{name}: is not a list of objects")))?;
        let object = |value: &Value| match value {
            Value::Object(map) => Self::known(map.clone(), known),
            _ => Err(bad(format!("{name}: is not a list of objects"))),
        };
        list.iter().map(object).collect()
    }

    /// A text that must be there and not be empty.
    pub(super) fn text(&self, name: &str) -> Result<String, Refusal> {
        match self.optional_text(name)? {
            Some(text) if !text.trim().is_empty() => Ok(text),
            Some(_) => Err(bad(format!("{name}: is empty"))),
            None => Err(bad(format!("{name}: is missing"))),
        }
    }

    /// A text that may be absent but not null.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<String>, Refusal> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(bad(format!("{name}: is not a string"))),
        }
    }

    /// A whole number that must be there.
    pub(super) fn number(&self, name: &str) -> Result<u64, Refusal> {
        self.optional_number(name)?
            .ok_or_else(|| bad(format!("{name}: is missing")))
    }

    /// A whole number that may be absent but not null.
    pub(super) fn optional_number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(bad(format!("{name}: is not a whole number"))),
            },
        }
    }

    /// A whole number, or a text of digits as the supplier's guide shows it.
    pub(super) fn loose_number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        match self.0.get(name) {
            Some(Value::String(text)) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(bad(format!("{name}: is not a whole number"))),
            },
            _ => self.optional_number(name),
        }
    }

    /// A flag, false when absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.0.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(bad(format!("{name}: is not true or false"))),
        }
    }

    /// A list of texts that may be absent.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let texts = value.as_array().and_then(|list| {
            list.iter()
                .map(|text| text.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
        });
        texts
            .map(Some)
            .ok_or_else(|| bad(format!("{name}: is not a list of strings")))
    }
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::malformed(400, message)
}
