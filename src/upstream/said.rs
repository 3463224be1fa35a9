//! What a supplier's JSON says went wrong, in whatever shape it says so. Pure.

use serde_json::Value;

/// How much of a supplier's text is repeated in an error.
const WORDS: usize = 300;

/// What a JSON body says went wrong; empty when it says nothing.
pub(super) fn said(body: &Value) -> String {
    const FIELDS: [&str; 9] = [
        "message",
        "error",
        "error_description",
        "detail",
        "description",
        "err_string",
        "schema_errors",
        "errors",
        "reason",
    ];
    if let Value::String(text) = body {
        return shorten(text);
    }
    let mut parts: Vec<String> = Vec::new();
    for field in FIELDS {
        let part = match body.get(field) {
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(value @ (Value::Object(_) | Value::Array(_))) => value.to_string(),
            Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => continue,
        };
        if !part.is_empty() && part != "{}" && part != "[]" && !parts.contains(&part) {
            parts.push(part);
        }
    }
    if parts.is_empty()
        && let Some(inner) = body.get("response")
    {
        return said(inner);
    }
    shorten(&parts.join("; "))
}

/// As much of a text as is worth repeating.
pub(super) fn shorten(text: &str) -> String {
    text.trim().chars().take(WORDS).collect()
}
