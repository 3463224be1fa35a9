//! A change to a state: top-level keys to set, null to remove. Pure.

use serde::Serialize;
use serde_json::{Map, Value};

/// A patch under construction.
#[derive(Debug, Default)]
pub(super) struct Patch(Map<String, Value>);

impl Patch {
    /// Sets `key`. A value that JSON cannot hold is left out rather than stored as null, which
    /// would remove what is there.
    pub(super) fn set(&mut self, key: &str, value: impl Serialize) -> &mut Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.0.insert(key.to_owned(), value);
        }
        self
    }

    /// Sets `key` unless the text is empty: an event that leaves a field out erases nothing.
    pub(super) fn set_text(&mut self, key: &str, text: &str) -> &mut Self {
        if text.is_empty() {
            self
        } else {
            self.set(key, text)
        }
    }

    /// Removes `key`.
    pub(super) fn remove(&mut self, key: &str) -> &mut Self {
        self.0.insert(key.to_owned(), Value::Null);
        self
    }

    /// The finished patch.
    pub(super) fn done(self) -> Value {
        Value::Object(self.0)
    }
}
