//! The reader by example: texts, options and counts, PHP's habits with them, and the limits.

use serde_json::{Value, json};

use super::tests::{read, with, without, wrong};
use crate::domain::EventType;

#[test]
fn texts_are_taken_as_php_writes_them_and_decoded_once() {
    for (value, text) in [
        (
            json!("Smith &amp; Sons &quot;Ltd&quot;"),
            "Smith & Sons \"Ltd\"",
        ),
        (json!("&amp;amp;"), "&amp;"),
        (json!("AT&T"), "AT&T"),
        (json!(" Ann  Lee "), "Ann  Lee"),
        (json!("אבג 😀"), "אבג 😀"),
        (json!(null), ""),
        (json!(false), ""),
        (json!(true), "1"),
        (json!(12), "12"),
        (json!(-1), "-1"),
        (json!(10.50), "10.5"),
        (json!(10.0), "10"),
    ] {
        for pointer in ["/customer/name", "/customer/company"] {
            let event = read(&with(EventType::OrderPaid, pointer, value.clone())).unwrap();
            let customer = event.customer.unwrap();
            let found = if pointer.ends_with("name") {
                customer.name
            } else {
                customer.company
            };
            assert_eq!(found, text);
        }
    }
    assert!(read(&without(EventType::OrderPaid, "/customer/name")).is_ok());
}

#[test]
fn a_line_break_or_control_character_in_a_line_is_refused_even_when_escaped() {
    for pointer in [
        "/customer/name",
        "/customer/company",
        "/services/0/hostname",
        "/services/0/billing_cycle",
    ] {
        for value in [
            "srv1\nX-Evil: 1",
            "srv1\r",
            "a\u{0}",
            "a\tb",
            "a\u{7f}",
            "a\u{85}b",
            "a\u{2028}b",
            "a&#10;b",
            "a&#x0;",
            "a&#13;",
            &"x".repeat(1025),
            &"ä".repeat(513),
        ] {
            assert_eq!(
                wrong(&with(EventType::OrderPaid, pointer, json!(value))),
                pointer,
                "{value:?}"
            );
        }
        for value in [json!([]), json!({}), json!(1e300)] {
            assert_eq!(wrong(&with(EventType::OrderPaid, pointer, value)), pointer);
        }
        // The limit counts what the text means, not how it is escaped.
        let long = "&amp;".repeat(1024);
        assert!(read(&with(EventType::OrderPaid, pointer, json!(long))).is_ok());
    }
}

#[test]
fn options_and_fields_are_objects_and_an_empty_php_array_is_one() {
    for name in ["options", "fields"] {
        let pointer = format!("/services/0/{name}");
        for value in [json!([]), json!({}), json!(null)] {
            assert!(read(&with(EventType::OrderPaid, &pointer, value)).is_ok());
        }
        for value in [json!(["TPA1"]), json!("TPA1"), json!(0), json!(false)] {
            assert_eq!(wrong(&with(EventType::OrderPaid, &pointer, value)), pointer);
        }
        let many: Value = (0..201).map(|n| (n.to_string(), json!(n))).collect();
        assert_eq!(wrong(&with(EventType::OrderPaid, &pointer, many)), pointer);
        let most: Value = (0..200).map(|n| (n.to_string(), json!(n))).collect();
        assert!(read(&with(EventType::OrderPaid, &pointer, most)).is_ok());
    }
}

#[test]
fn option_values_keep_their_lines_and_names_are_one_line() {
    let options = json!({
        "SSH &amp; key": "ssh-ed25519 AAAA\n\tann ", "RAM": 64, "Backup": true, "IPv6": null, "0": "x",
    });
    let event = read(&with(EventType::OrderPaid, "/services/0/options", options)).unwrap();
    let options = &event.services[0].options;
    assert_eq!(options["SSH & key"], "ssh-ed25519 AAAA\n\tann ");
    let short = ["RAM", "Backup", "IPv6", "0"].map(|name| options[name].as_str());
    assert_eq!(short, ["64", "1", "", "x"]);
    for (options, pointer) in [
        (json!({"a/b~c": {}}), "/services/0/options/a~1b~0c"),
        (json!({"a": "\u{1b}[2J"}), "/services/0/options/a"),
        (json!({"a": "&#27;"}), "/services/0/options/a"),
        (
            json!({"a": "x".repeat(16 * 1024 + 1)}),
            "/services/0/options/a",
        ),
        (json!({"a&#10;b": "x"}), "/services/0/options"),
        (json!({"a\nb": "x"}), "/services/0/options"),
        (json!({"x".repeat(1025): "x"}), "/services/0/options"),
        (
            json!({"a&b": 1, "a&amp;b": 2}),
            "/services/0/options/a&amp;b",
        ),
    ] {
        assert_eq!(
            wrong(&with(EventType::OrderPaid, "/services/0/options", options)),
            pointer
        );
    }
}

#[test]
fn a_quantity_is_a_small_whole_number_and_phps_nothing_is_one() {
    let pointer = "/services/0/quantity";
    for (value, quantity) in [
        (json!(1), 1),
        (json!("3"), 3),
        (json!("003"), 3),
        (json!("2.00"), 2),
        (json!(2.0), 2),
        (json!(0), 1),
        (json!("0"), 1),
        (json!(""), 1),
        (json!(null), 1),
        (json!(1000), 1000),
    ] {
        let event = read(&with(EventType::OrderPaid, pointer, value)).unwrap();
        assert_eq!(event.services[0].quantity, quantity);
    }
    assert_eq!(
        read(&without(EventType::OrderPaid, pointer))
            .unwrap()
            .services[0]
            .quantity,
        1
    );
    for value in [
        json!(-1),
        json!("-1"),
        json!("NaN"),
        json!(1.5),
        json!("1.5"),
        json!("1e3"),
        json!(1001),
        json!("99999999999999999999"),
        json!(1e18),
        json!("+1"),
        json!("1."),
        json!("two"),
        json!(true),
        json!([]),
        json!({}),
        json!(-0.5),
    ] {
        let body = with(EventType::OrderPaid, pointer, value.clone());
        assert_eq!(wrong(&body), pointer, "{value}");
    }
}
