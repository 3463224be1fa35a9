//! Taking secrets out of what is kept and shown. Pure.
//!
//! Two nets: fields whose name says that they hold a secret, and every secret that this attempt
//! knows, wherever a supplier may have repeated it.

use serde_json::{Map, Value};

use crate::domain::{Away, Decision, Done, Outcome, Secret};

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
            let value = if hides(name, value) {
                Value::from(MASKED)
            } else {
                self.value(value)
            };
            (self.text(name), value)
        };
        fields.iter().map(masked).collect()
    }

    /// The value as it is kept in an exchange: masked, then cut. `bytes` is how long the text was
    /// that it was read from.
    pub(super) fn kept(&self, value: &Value, bytes: usize) -> Value {
        // A supplier may list thousands of things; only what is kept is masked and written.
        let mut text = String::new();
        self.write(value, &mut text);
        if text.len() <= KEPT_BYTES {
            self.value(value)
        } else {
            Value::String(cut(&text, bytes))
        }
    }

    /// Writes the masked value as JSON, a text as it is, until there is more than is kept.
    fn write(&self, value: &Value, to: &mut String) {
        match value {
            Value::String(text) if to.is_empty() => to.push_str(&self.text(text)),
            Value::Array(values) => {
                let mut between = '[';
                for value in values {
                    if to.len() > KEPT_BYTES {
                        return;
                    }
                    to.push(between);
                    between = ',';
                    self.write(value, to);
                }
                to.push_str(if between == '[' { "[]" } else { "]" });
            }
            Value::Object(fields) => {
                let mut between = '{';
                for (name, value) in fields {
                    if to.len() > KEPT_BYTES {
                        return;
                    }
                    to.push(between);
                    between = ',';
                    to.push_str(&Value::from(self.text(name)).to_string());
                    to.push(':');
                    if hides(name, value) {
                        to.push_str("\"***\"");
                    } else {
                        self.write(value, to);
                    }
                }
                to.push_str(if between == '{' { "{}" } else { "}" });
            }
            scalar => to.push_str(&self.value(scalar).to_string()),
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
            Outcome::Prepared => Outcome::Prepared,
            Outcome::Rejected(error) => Outcome::Rejected(self.text(&error)),
            Outcome::Unavailable { error, retry_after } => Outcome::Unavailable {
                error: self.text(&error),
                retry_after,
            },
            Outcome::Ambiguous(error) => Outcome::Ambiguous(self.text(&error)),
            Outcome::NeedsPerson(decision) => Outcome::NeedsPerson(Decision {
                sentence: self.text(&decision.sentence),
                ..decision
            }),
            Outcome::Held(away) => Outcome::Held(Away {
                error: away.error.map(|error| self.text(&error)),
                ..away
            }),
        }
    }
}

/// Whether a field with this name holds a secret.
fn hides(name: &str, value: &Value) -> bool {
    names_a_secret(name) && !value.is_null()
}

fn names_a_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    plain == "identifier" || NAMES.iter().any(|known| plain.contains(known))
}

/// The text's first kilobytes, ended at a character, and how long the whole was.
fn cut(text: &str, bytes: usize) -> String {
    let mut end = KEPT_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let start = text.get(..end).unwrap_or_default();
    format!("{start}… ({bytes} bytes in all)")
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
        let kept = mask().kept(&Value::from(long.as_str()), long.len());
        let text = kept.as_str().unwrap();
        let ends = format!("({} bytes in all)", long.len());
        assert!(!text.contains("key-") && text.ends_with(&ends), "{text}");
    }

    #[test]
    fn of_a_long_list_the_begin_is_kept_as_it_would_be_whole() {
        let client = json!({"name": "Ann \"A\" Lee", "apiToken": "t", "tags": [], "more": {},
            "note": "by key-1234", "id": 7, "secret": null});
        let clients = Value::from(vec![client; 2000]);
        let kept = mask().kept(&clients, 200_000);
        let (begin, end) = kept.as_str().unwrap().split_once('…').unwrap();
        assert!(mask().value(&clients).to_string().starts_with(begin));
        assert_eq!(end, " (200000 bytes in all)");
        assert!(begin.len() > KEPT_BYTES - 4 && begin.len() <= KEPT_BYTES);
        let few = json!({"list": [1, "two", null, true, {"password": "p"}]});
        assert_eq!(mask().kept(&few, 50), mask().value(&few));
    }
}
