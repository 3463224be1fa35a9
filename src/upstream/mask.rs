//! Taking secrets out of what is kept and shown. Pure.
//!
//! Two nets: fields whose name says that they hold a secret, and every secret that this attempt
//! knows, wherever a supplier may have repeated it.

use serde_json::{Map, Value};

use crate::domain::{Away, Done, Outcome, Secret};

/// What stands in a secret's place.
pub(super) const MASKED: &str = "***";
/// How much of a body is kept.
const KEPT_BYTES: usize = 4096;
/// Anything shorter is no secret, and taking it out would garble every text.
const SHORTEST: usize = 4;

const NAMES: [&str; 9] = [
    "password",
    "passwd",
    "token",
    "apikey",
    "authcode",
    "secret",
    "authorization",
    "accesskey",
    "credential",
];

/// The secrets of one attempt.
#[derive(Clone, Default)]
pub(super) struct Mask {
    secrets: Vec<String>,
}

impl Mask {
    /// From now on this text is a secret too.
    pub(super) fn add(&mut self, secret: &Secret) {
        let text = secret.reveal();
        if text.len() >= SHORTEST && !self.secrets.iter().any(|known| known == text) {
            self.secrets.push(text.to_owned());
            // The longest first, or a secret that begins like another would show its rest.
            self.secrets
                .sort_by_key(|known| std::cmp::Reverse(known.len()));
        }
    }

    /// The text without secrets.
    pub(super) fn text(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for secret in &self.secrets {
            if masked.contains(secret.as_str()) {
                masked = masked.replace(secret.as_str(), MASKED);
            }
        }
        masked
    }

    /// The value without secrets, by name and by content.
    pub(super) fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(values) => values.iter().map(|value| self.value(value)).collect(),
            Value::Object(fields) => Value::Object(self.fields(fields)),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn fields(&self, fields: &Map<String, Value>) -> Map<String, Value> {
        let masked = |(name, value): (&String, &Value)| {
            let secret = names_a_secret(name) && !value.is_null();
            let value = if secret {
                Value::from(MASKED)
            } else {
                self.value(value)
            };
            (self.text(name), value)
        };
        fields.iter().map(masked).collect()
    }

    /// The value as it is kept in an exchange: masked, then cut.
    pub(super) fn kept(&self, value: &Value) -> Value {
        let masked = self.value(value);
        let text = match &masked {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if text.len() <= KEPT_BYTES {
            masked
        } else {
            Value::String(cut(&text))
        }
    }

    /// The outcome with its words and its output masked. Patches stay: what is secret in them
    /// is sealed already.
    pub(super) fn outcome(&self, outcome: Outcome) -> Outcome {
        let done = |done: Done| Done {
            output: self.value(&done.output),
            ..done
        };
        match outcome {
            Outcome::Done(found) => Outcome::Done(done(found)),
            Outcome::AlreadySo(found) => Outcome::AlreadySo(done(found)),
            Outcome::NotYet { waiting_for, again } => Outcome::NotYet {
                waiting_for: self.text(&waiting_for),
                again,
            },
            Outcome::Absent => Outcome::Absent,
            Outcome::Rejected(error) => Outcome::Rejected(self.text(&error)),
            Outcome::Unavailable { error, retry_after } => Outcome::Unavailable {
                error: self.text(&error),
                retry_after,
            },
            Outcome::Ambiguous(error) => Outcome::Ambiguous(self.text(&error)),
            Outcome::Held(away) => Outcome::Held(Away {
                error: away.error.map(|error| self.text(&error)),
                ..away
            }),
        }
    }
}

fn names_a_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    plain == "identifier" || NAMES.iter().any(|known| plain.contains(known))
}

/// The text's first kilobytes, ended at a character, with its whole length.
fn cut(text: &str) -> String {
    let mut end = KEPT_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let start = text.get(..end).unwrap_or_default();
    format!("{start}… ({} bytes in all)", text.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mask() -> Mask {
        let mut mask = Mask::default();
        for secret in ["key-12", "key-1234", "ab", ""] {
            mask.add(&Secret::new(secret));
        }
        mask
    }

    #[test]
    fn fields_named_like_secrets_are_masked_however_they_are_written() {
        let value = json!({"password": "p", "X-API-KEY": 5, "auth_code": ["x"], "apiToken": {"a": 1},
            "token": null, "list": [{"Secret": "s"}], "name": "ann"});
        let expected = json!({"password": "***", "X-API-KEY": "***", "auth_code": "***",
            "apiToken": "***", "token": null, "list": [{"Secret": "***"}], "name": "ann"});
        assert_eq!(mask().value(&value), expected);
    }

    #[test]
    fn known_secrets_are_masked_wherever_they_stand() {
        let value = json!({"message": "no such key: key-1234 (key-12)", "key-1234": "ab"});
        assert_eq!(
            mask().value(&value),
            json!({"message": "no such key: *** (***)", "***": "ab"})
        );
    }

    #[test]
    fn what_is_kept_is_masked_before_it_is_cut() {
        let long = format!("{}key-1234{}", "x".repeat(KEPT_BYTES - 4), "ü".repeat(99));
        let kept = mask().kept(&Value::from(long));
        let text = kept.as_str().unwrap();
        assert!(
            !text.contains("key-") && text.ends_with("bytes in all)"),
            "{text}"
        );
        let many: Vec<Value> = (0..2000).map(Value::from).collect();
        assert!(mask().kept(&Value::from(many)).as_str().unwrap().len() < KEPT_BYTES + 40);
    }
}
