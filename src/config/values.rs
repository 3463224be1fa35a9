//! Durations, sizes, addresses and lists as people write them. Pure.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

/// A whole number followed by a unit; gives the number and the unit.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// `200ms`, `30s`, `15m`, `2h`, `1d`.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text.trim())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// A duration as it would be written.
pub(super) fn written(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, length) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
    ] {
        if millis >= length && millis.is_multiple_of(length) {
            return format!("{}{unit}", millis / length);
        }
    }
    format!("{millis}ms")
}

/// `512KiB`, `1MiB`, `10MB`, `100B`.
pub(super) fn size(text: &str) -> Option<usize> {
    let (number, unit) = number_and_unit(text.trim())?;
    let bytes: u64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    usize::try_from(number.checked_mul(bytes)?).ok()
}

/// A CIDR range, or a single address as a range of one.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse::<IpNet>()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// An http or https address with a host; without its last slash.
pub(super) fn web_address(text: &str) -> Option<String> {
    let text = text.trim();
    let parsed = url::Url::parse(text).ok()?;
    let known = matches!(parsed.scheme(), "http" | "https");
    (known && parsed.host_str().is_some_and(|host| !host.is_empty()))
        .then(|| text.trim_end_matches('/').to_owned())
}

/// The address of an API, to which paths are added: no password, no query.
pub(super) fn base_address(text: &str) -> Option<String> {
    let address = web_address(text)?;
    let url = url::Url::parse(&address).ok()?;
    let bare = url.username().is_empty() && url.password().is_none();
    (bare && url.query().is_none() && url.fragment().is_none()).then_some(address)
}

/// A list: as it is, or from the environment as a JSON array or separated by commas.
pub(super) fn list(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items.clone()),
        Value::String(text) => {
            let text = text.trim();
            if text.starts_with('[') {
                return serde_json::from_str(text).ok();
            }
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Some(items.map(Value::from).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit_and_not_without() {
        for (text, millis) in [
            ("200ms", 200),
            ("30s", 30_000),
            ("15m", 900_000),
            ("2h", 7_200_000),
            ("0s", 0),
        ] {
            assert_eq!(
                duration(text),
                Some(Duration::from_millis(millis)),
                "{text}"
            );
        }
        assert_eq!(duration(" 1 d "), Some(Duration::from_hours(24)));
        for wrong in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "1w",
            "1 hour",
            "99999999999999999999s",
        ] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        assert_eq!(
            duration(&format!("{}d", u64::MAX)),
            None,
            "too long to count"
        );
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["200ms", "30s", "15m", "2h", "1d", "90s", "0ms"] {
            assert_eq!(written(duration(text).unwrap()), text);
        }
    }

    #[test]
    fn sizes_know_both_kinds_of_thousands() {
        for (text, bytes) in [
            ("1MiB", 1_048_576),
            ("512KiB", 524_288),
            ("10MB", 10_000_000),
            ("7 B", 7),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for wrong in [
            "",
            "1",
            "MiB",
            "1TB",
            "-1MB",
            "1.5MB",
            "99999999999999999999GB",
        ] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn single_addresses_are_ranges_of_one() {
        assert_eq!(
            network("203.0.113.7").unwrap().to_string(),
            "203.0.113.7/32"
        );
        assert_eq!(
            network("2001:db8::1").unwrap().to_string(),
            "2001:db8::1/128"
        );
        assert_eq!(network("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        for wrong in ["", "10.0.0.0/33", "billing.example", "10.0.0"] {
            assert_eq!(network(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn web_addresses_have_a_scheme_and_a_host() {
        assert_eq!(
            web_address("https://a.example/v2/"),
            Some("https://a.example/v2".to_owned())
        );
        for wrong in [
            "",
            "a.example",
            "ftp://a.example",
            "https://",
            "file:///etc/passwd",
        ] {
            assert_eq!(web_address(wrong), None, "{wrong}");
        }
        assert!(web_address("https://u:p@a.example/x?y=z").is_some());
        assert!(base_address("http://127.0.0.1:9/api/").is_some());
        for wrong in [
            "https://u:p@a.example",
            "https://a.example/?y",
            "https://a.example/#y",
        ] {
            assert_eq!(base_address(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn lists_come_from_arrays_commas_and_json() {
        let items = vec![Value::from("a"), Value::from("b")];
        assert_eq!(list(&Value::Array(items.clone())), Some(items.clone()));
        assert_eq!(list(&"a, b,".into()), Some(items.clone()));
        assert_eq!(list(&r#"["a", "b"]"#.into()), Some(items));
        assert_eq!(list(&"".into()), Some(Vec::new()));
        assert_eq!(list(&"[\"a\"".into()), None);
        assert_eq!(list(&5.into()), None);
    }
}
