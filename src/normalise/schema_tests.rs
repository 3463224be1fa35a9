//! The published schema and the reader say the same.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::generated::{NOW, as_php_sends, event, sample};
use super::{EVENT_SCHEMA, native};
use crate::domain::EventType;

fn schema() -> Value {
    serde_json::from_str(EVENT_SCHEMA).unwrap()
}

fn validator() -> &'static jsonschema::Validator {
    static VALIDATOR: LazyLock<jsonschema::Validator> =
        LazyLock::new(|| jsonschema::draft202012::new(&schema()).unwrap());
    &VALIDATOR
}

/// A ping is read for its type and time alone; there the reader takes more than the schema.
fn compared() -> impl Iterator<Item = EventType> {
    EventType::ALL
        .into_iter()
        .filter(|kind| *kind != EventType::TestPing)
}

fn is_read(body: &Value) -> bool {
    native(&serde_json::to_vec(body).unwrap(), NOW, NOW).is_ok()
}

#[test]
fn the_schema_is_a_valid_schema_and_its_examples_are_events() {
    assert!(jsonschema::meta::is_valid(&schema()));
    for example in schema()["examples"].as_array().unwrap() {
        assert!(validator().is_valid(example), "{example}");
        let later = crate::domain::Timestamp::parse("2026-12-01T00:00:00Z").unwrap();
        let body = serde_json::to_vec(example).unwrap();
        native(&body, later, later).unwrap();
    }
}

#[test]
fn the_schema_knows_every_type() {
    let types: Vec<_> = EventType::ALL
        .iter()
        .map(|kind| json!(kind.name()))
        .collect();
    assert_eq!(schema()["properties"]["type"]["enum"], json!(types));
}

#[test]
fn every_member_of_the_schema_is_described() {
    fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            if member["description"].as_str().is_none_or(str::is_empty) {
                found.push(path.clone());
            }
            undescribed(member, &path, found);
        }
    }
    let schema = schema();
    let mut found = Vec::new();
    undescribed(&schema, "", &mut found);
    for (name, part) in schema["$defs"].as_object().unwrap() {
        undescribed(part, name, &mut found);
    }
    assert!(found.is_empty(), "{found:?}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn schema_and_reader_agree_on_what_is_missing_and_wrong() {
    let validator = validator();
    let places = [
        "/type",
        "/occurred_at",
        "/order_id",
        "/customer",
        "/customer/id",
        "/customer/email",
        "/customer/name",
        "/services",
        "/services/0",
        "/services/0/id",
        "/services/0/product_id",
        "/services/0/hostname",
        "/services/0/quantity",
        "/services/0/options",
        "/services/0/options/Location",
        "/action",
    ];
    let values = [
        json!(null),
        json!(""),
        json!("x"),
        json!("0"),
        json!(0),
        json!(7),
        json!(-1),
        json!(true),
        json!(1001),
        json!("1001"),
        json!("007"),
        json!([]),
        json!({}),
        json!(["a"]),
        json!([{}]),
        json!("a\nb"),
        json!("a\u{7}b"),
        json!("0000-00-00 00:00:00"),
        json!("2026-11-21"),
        json!("2026-11-21 21:50:00"),
        json!("2026-11-21T21:50:00+0100"),
        json!("tomorrow"),
        json!("2026-11-21T21:50:00+01"),
        json!("2026-11-21T21:50:00,25Z"),
        json!("2026-11-21 21:50:00 +0100"),
        json!("2026-11-21T21:50:00[Europe/Berlin]"),
        json!("a@b"),
        json!("a@b@c"),
        json!("@"),
        json!("  501 "),
        json!("x".repeat(129)),
        json!("reload"),
        json!("1999-12-31T23:59:59Z"),
        json!(" a@b "),
        json!([{"id": "5"}]),
    ];
    for kind in compared() {
        let body = sample(kind);
        for place in places {
            if body.pointer(place).is_none() {
                continue;
            }
            for value in &values {
                let mut body = body.clone();
                *body.pointer_mut(place).unwrap() = value.clone();
                assert_eq!(validator.is_valid(&body), is_read(&body), "{place}: {body}");
            }
        }
    }
}

#[test]
fn schema_and_reader_agree_on_what_may_be_left_out() {
    let validator = validator();
    assert!(validator.is_valid(&json!({"type": "test.ping"})));
    for kind in compared() {
        let whole = sample(kind);
        for place in [
            "type",
            "occurred_at",
            "order_id",
            "customer",
            "services",
            "action",
        ] {
            let mut body = whole.clone();
            body.as_object_mut().unwrap().remove(place);
            assert_eq!(
                validator.is_valid(&body),
                is_read(&body),
                "{kind} without {place}"
            );
        }
        for parent in ["/customer", "/services/0"] {
            let names: Vec<String> = match whole.pointer(parent).and_then(Value::as_object) {
                Some(members) => members.keys().cloned().collect(),
                None => continue,
            };
            for name in names {
                let mut body = whole.clone();
                body.pointer_mut(parent)
                    .unwrap()
                    .as_object_mut()
                    .unwrap()
                    .remove(&name);
                assert_eq!(
                    validator.is_valid(&body),
                    is_read(&body),
                    "{kind}: {parent}/{name}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_event_we_write_fits_the_schema(event in event()) {
        let validator = validator();
        for body in [serde_json::to_value(&event).unwrap(), as_php_sends(&event)] {
            let errors: Vec<_> = validator.iter_errors(&body).map(|e| e.to_string()).collect();
            prop_assert!(errors.is_empty(), "{errors:?}");
        }
    }
}
