//! A request's headers as they are kept: a line each, and what could be a secret masked.

use serde_json::{Map, Value};

/// What stands in a secret's place.
const MASKED: &str = "***";

/// The headers in lines `name: value`. Beside the names that any secret may hide behind, the
/// value of `secret` is masked.
pub fn keep(headers: &[(&str, &[u8])], secret: Option<&str>) -> String {
    let mut kept = String::with_capacity(768);
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        kept.push_str(&name);
        kept.push_str(": ");
        if is_secret(&name) || secret == Some(name.as_str()) {
            kept.push_str(MASKED);
        } else {
            push_line(&mut kept, value);
        }
        kept.push('\n');
    }
    kept
}

/// A value may hold any bytes; what is no text is shown as such.
fn push_line(kept: &mut String, value: &[u8]) {
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains('\n') => kept.push_str(text),
        _ => kept.push_str(&String::from_utf8_lossy(value).replace('\n', " ")),
    }
}

/// For people to read: one entry a name, in their order. Stores of an earlier version kept JSON.
pub fn show(kept: &str) -> Value {
    if kept.starts_with('{') {
        return serde_json::from_str(kept).unwrap_or_default();
    }
    let mut shown = Map::new();
    for (name, value) in kept.lines().filter_map(|line| line.split_once(": ")) {
        match shown.get_mut(name) {
            Some(Value::String(before)) => {
                before.push_str(", ");
                before.push_str(value);
            }
            _ => {
                shown.insert(name.to_owned(), value.into());
            }
        }
    }
    Value::Object(shown)
}

/// Each place is looked at once: this is done for every header of every request.
fn is_secret(name: &str) -> bool {
    let begins =
        |rest: &[u8], parts: &[&str]| parts.iter().any(|part| rest.starts_with(part.as_bytes()));
    let bytes = name.as_bytes();
    (0..bytes.len()).any(|place| {
        let rest = bytes.get(place..).unwrap_or_default();
        match rest.first() {
            Some(b'a') => begins(rest, &["authorization", "api-key", "apikey"]),
            Some(b'c') => begins(rest, &["cookie"]),
            Some(b'p') => begins(rest, &["password"]),
            Some(b's') => begins(rest, &["secret"]),
            Some(b't') => begins(rest, &["token"]),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_shown_once_a_name_in_their_order_and_without_secrets() {
        let headers: [(&str, &[u8]); 6] = [
            ("Accept", b"a"),
            ("x-api-key", b"hidden"),
            ("accept", b"b: c"),
            ("host", b"\xffh\n{"),
            ("X-Api-Key", b"too"),
            ("empty", b""),
        ];
        let kept = keep(&headers, None);
        assert!(!kept.contains("hidden") && !kept.contains("too"), "{kept}");
        let expected = "{\"accept\":\"a, b: c\",\"x-api-key\":\"***, ***\",\"host\":\"\u{fffd}h {\",\"empty\":\"\"}";
        assert_eq!(show(&kept).to_string(), expected);
        assert_eq!(
            show(expected).to_string(),
            expected,
            "of an earlier version"
        );
        assert_eq!(show("").to_string(), "{}");
    }

    #[test]
    fn one_more_name_may_be_a_secret() {
        let headers: [(&str, &[u8]); 2] = [("webhook-signature", b"v1,abc"), ("webhook-id", b"1")];
        let kept = keep(&headers, Some("webhook-signature"));
        assert_eq!(kept, "webhook-signature: ***\nwebhook-id: 1\n");
        assert!(keep(&headers, None).contains("v1,abc"));
    }

    #[test]
    fn a_header_is_a_secret_wherever_its_name_says_so() {
        for secret in [
            "authorization",
            "proxy-authorization",
            "cookie",
            "set-cookie2",
            "x-auth-token",
            "x-secret-thing",
            "password",
            "x-api-key",
            "apikey",
            "aapikey",
        ] {
            assert!(is_secret(secret), "{secret}");
        }
        for harmless in [
            "",
            "accept",
            "host",
            "webhook-signature",
            "x-api-ke",
            "toke",
        ] {
            assert!(!is_secret(harmless), "{harmless}");
        }
    }
}
