//! Reading fields out of suppliers' JSON, which writes numbers as texts and the other way
//! round. Pure.

use serde_json::Value;

/// A whole number, written as a number or as a text.
pub(super) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// An id: a whole number above zero.
pub(super) fn id(value: &Value, field: &str) -> Option<i64> {
    value.get(field).and_then(integer).filter(|id| *id > 0)
}

/// A text, trimmed; empty when there is none. Numbers are taken for texts.
pub(super) fn text(value: &Value, field: &str) -> String {
    match value.get(field) {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
            String::new()
        }
    }
}

/// The texts of a list; empty when there is none.
pub(super) fn texts(value: &Value, field: &str) -> Vec<String> {
    let list = value.get(field).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
