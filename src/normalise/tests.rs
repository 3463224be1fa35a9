//! The reader by example: the body, its type, time and ids, and what each type needs.

use serde_json::{Value, json};

use super::generated::{NOW, sample};
use super::{NotAnEvent, native};
use crate::domain::{Action, Event, EventType, Timestamp};

pub(super) fn read(body: &Value) -> Result<Event, NotAnEvent> {
    native(body.to_string().as_bytes(), NOW, signed_at())
}

fn signed_at() -> Timestamp {
    Timestamp::from_seconds(NOW.seconds() - 7)
}

/// A good body of that type with one member set.
pub(super) fn with(kind: EventType, pointer: &str, value: Value) -> Value {
    let mut body = sample(kind);
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[name] = value;
    body
}

/// A good body of that type without one member.
pub(super) fn without(kind: EventType, pointer: &str) -> Value {
    let mut body = sample(kind);
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(name);
    body
}

/// The pointer of what is wrong.
pub(super) fn wrong(body: &Value) -> String {
    match read(body) {
        Err(NotAnEvent::Wrong(wrong)) => wrong.pointer,
        other => format!("not wrong: {other:?}"),
    }
}

fn not_json(body: &[u8]) -> String {
    match native(body, NOW, NOW) {
        Err(NotAnEvent::NotJson(detail)) => detail,
        other => format!("taken: {other:?}"),
    }
}

#[test]
fn the_documented_event_is_read_whole() {
    let event = read(&sample(EventType::OrderPaid)).unwrap();
    assert_eq!(event.kind, EventType::OrderPaid);
    assert_eq!(event.occurred_at.to_string(), "2026-11-21T21:49:59.123456Z");
    assert_eq!(event.order_id.as_deref(), Some("1001"));
    let customer = event.customer.unwrap();
    assert_eq!((&*customer.id, &*customer.email), ("77", "ann@example.com"));
    assert_eq!(
        (&*customer.name, &*customer.company),
        ("Ann Lee", "Example Ltd")
    );
    let service = &event.services[0];
    assert_eq!((&*service.id, &*service.product_id), ("501", "42"));
    assert_eq!(service.options["Operating System"], "Ubuntu 22.04");
    assert_eq!((service.quantity, service.fields.len()), (1, 0));
}

#[test]
fn every_type_is_read_and_unknown_members_are_left_alone() {
    for kind in EventType::ALL {
        let mut body = sample(kind);
        body["new"] = json!({"deep": [1, {"er": null}]});
        body["customer"]["vat"] = json!([[]]);
        let event = read(&body).unwrap();
        assert_eq!(event.kind, kind);
        assert_eq!(event.services.is_empty(), !kind.concerns_services());
        assert_eq!(
            event.action,
            (kind == EventType::ServiceAction).then_some(Action::Reboot)
        );
    }
    assert_eq!(
        read(&json!({"type": "test.ping"})).unwrap().occurred_at,
        signed_at()
    );
}

#[test]
fn what_is_not_a_json_object_is_said_with_its_place() {
    for (body, said) in [
        (&b""[..], "empty"),
        (b" \n", "empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"{\"type\":\"\xff\"}", "byte at 9"),
        (b"[]", "not a JSON object but a list"),
        (b"null", "but null"),
        (b"\"order.paid\"", "but a string"),
        (b"17", "but a number"),
        (b"{\"type\": \"order.paid\",}", "line 1 column 23"),
        (b"{} {}", "trailing characters"),
        (b"{\n\"type\": order.paid}", "line 2 column 9"),
        (b"{\"type\":\"\\ud800\"}", "line 1"),
        (b"{\"a\":\"\n\"}", "control character"),
        (b"webhook_id=5", "line 1 column 1"),
        (b"\x1f\x8b\x08\x00", "not UTF-8"),
        (b"{\"a\":1e999}", "number out of range"),
        (b"{\"a\":NaN}", "line 1"),
    ] {
        let detail = not_json(body);
        assert!(detail.contains(said), "{said}: {detail}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    assert!(
        not_json(deep.as_bytes()).contains("recursion"),
        "{}",
        not_json(deep.as_bytes())
    );
}

#[test]
fn a_member_given_twice_is_refused_since_readers_differ_on_which_counts() {
    let twice = r#"{"type":"order.paid","services":[{"id":"501","id":"502"}]}"#;
    assert!(
        not_json(twice.as_bytes()).contains("\"id\" is given twice"),
        "{}",
        not_json(twice.as_bytes())
    );
    let spelled = r#"{"type":"test.ping","ty\u0070e":"order.paid"}"#;
    assert!(not_json(spelled.as_bytes()).contains("twice"));
    let many: Vec<String> = (0..40).map(|n| format!("\"k{n}\":1")).collect();
    let body = format!("{{\"type\":\"test.ping\",{},\"k7\":2}}", many.join(","));
    assert!(not_json(body.as_bytes()).contains("\"k7\""));
    let body = format!("{{\"type\":\"test.ping\",{}}}", many.join(","));
    assert!(native(body.as_bytes(), NOW, NOW).is_ok());
}

#[test]
fn a_type_is_needed_and_an_unknown_one_is_no_error_of_the_sender() {
    for value in [
        json!(null),
        json!(""),
        json!(5),
        json!([]),
        json!("order.paid "),
        json!("a\nb"),
    ] {
        assert_eq!(
            wrong(&with(EventType::OrderPaid, "/type", value.clone())),
            "/type",
            "{value}"
        );
    }
    assert_eq!(wrong(&json!({})), "/type");
    assert_eq!(wrong(&json!({"type": "x".repeat(129)})), "/type");
    // The rest of an unknown event is not ours to judge.
    let unknown = json!({"type": "invoice.created", "services": 7});
    assert_eq!(
        read(&unknown),
        Err(NotAnEvent::UnknownType("invoice.created".to_owned()))
    );
    assert_eq!(
        read(&json!({"type": "Order.Paid"}))
            .unwrap_err()
            .to_string()
            .matches("Order.Paid")
            .count(),
        1
    );
}

#[test]
fn a_time_is_read_in_every_spelling_that_senders_use() {
    for (text, time) in [
        ("2026-11-21T21:50:00Z", "2026-11-21T21:50:00Z"),
        ("2026-11-21 21:50:00", "2026-11-21T21:50:00Z"),
        ("2026-11-21T22:50:00+01:00", "2026-11-21T21:50:00Z"),
        ("2026-11-21t21:50:00z", "2026-11-21T21:50:00Z"),
        (
            " 2026-11-21T21:50:00.1234569Z ",
            "2026-11-21T21:50:00.123456Z",
        ),
        ("2026-11-21T16:50:00.5-05", "2026-11-21T21:50:00.5Z"),
        ("2026-11-21T21:50:00,25Z", "2026-11-21T21:50:00.25Z"),
        ("2026-11-22T21:50:00Z", "2026-11-22T21:50:00Z"),
        ("2000-01-01T00:00:00Z", "2000-01-01T00:00:00Z"),
    ] {
        let event = read(&with(EventType::OrderPaid, "/occurred_at", json!(text))).unwrap();
        assert_eq!(event.occurred_at.to_string(), time, "{text}");
    }
}

#[test]
fn an_unset_date_is_the_moment_of_signing() {
    for value in [
        json!("0000-00-00"),
        json!("0000-00-00 00:00:00"),
        json!(""),
        json!(null),
        json!("-0001-11-30T00:00:00+00:00"),
    ] {
        let event = read(&with(EventType::OrderPaid, "/occurred_at", value)).unwrap();
        assert_eq!(event.occurred_at, signed_at());
    }
}

#[test]
fn a_time_that_would_put_events_in_the_wrong_order_is_refused() {
    for value in [
        json!("yesterday"),
        json!(1_795_297_800),
        json!("1795297800"),
        json!(true),
        json!({}),
        json!("2026-11-21"),
        json!("2026-13-01T00:00:00Z"),
        json!("2026-02-30 00:00:00"),
        json!("2026-11-22T21:50:00.000001Z"),
        json!("9999-12-31T23:59:59Z"),
        json!("1970-01-01 00:00:00"),
        json!("1999-12-31T23:59:59Z"),
        json!("21.11.2026 21:50:00"),
        json!("2026-11-21T21:50:00[Europe/Berlin]"),
        json!("2026-11-21T21:50:00Z x"),
        json!("2026-11-21T21:50:00+99:00"),
        json!("2026-11-21T21:50:00+01:60"),
        json!("2026-11-21 21:50:00 +0100"),
        json!("2026-11-21T25:50:00Z"),
    ] {
        let body = with(EventType::OrderPaid, "/occurred_at", value.clone());
        assert_eq!(wrong(&body), "/occurred_at", "{value}");
    }
    assert_eq!(
        wrong(&without(EventType::OrderPaid, "/occurred_at")),
        "/occurred_at"
    );
    assert_eq!(
        wrong(&json!({"type": "test.ping", "occurred_at": "x"})),
        "/occurred_at"
    );
}

#[test]
fn ids_are_texts_or_whole_numbers_and_nothing_else() {
    let ids = ["/customer/id", "/services/0/id", "/services/0/product_id"];
    for pointer in ids {
        for (value, id) in [
            (json!(501), "501"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(9_007_199_254_740_993_i64), "9007199254740993"),
            (json!(" svc 7 "), "svc 7"),
            (json!("007"), "007"),
            (json!("&amp;"), "&amp;"),
        ] {
            let event = read(&with(EventType::OrderPaid, pointer, value)).unwrap();
            let service = &event.services[0];
            let found = [
                &event.customer.as_ref().unwrap().id,
                &service.id,
                &service.product_id,
            ];
            assert!(found.iter().any(|found| *found == id), "{pointer} {id}");
        }
        for value in [
            json!(501.0),
            json!(true),
            json!(null),
            json!(""),
            json!("  "),
            json!([]),
            json!({}),
            json!("a\nb"),
            json!("a\u{0}b"),
            json!("x".repeat(129)),
            json!("a\u{2028}b"),
            json!(1e30),
        ] {
            let body = with(EventType::OrderPaid, pointer, value.clone());
            assert_eq!(wrong(&body), pointer, "{value}");
        }
        assert_eq!(wrong(&without(EventType::OrderPaid, pointer)), pointer);
    }
}

#[test]
fn an_order_id_may_be_absent_and_zero_means_absent() {
    for value in [json!(null), json!(""), json!(0), json!("0")] {
        let event = read(&with(EventType::OrderPaid, "/order_id", value)).unwrap();
        assert_eq!(event.order_id, None);
    }
    assert_eq!(
        wrong(&with(EventType::OrderPaid, "/order_id", json!([]))),
        "/order_id"
    );
    assert_eq!(
        wrong(&with(EventType::OrderPaid, "/order_id", json!(1.5))),
        "/order_id"
    );
}

#[test]
fn an_id_of_zero_names_nobody_and_is_refused_by_its_place() {
    let kinds = EventType::ALL.into_iter();
    for kind in kinds.filter(|kind| *kind != EventType::TestPing) {
        for value in [json!(0), json!("0"), json!(" 0 "), json!("")] {
            assert_eq!(
                wrong(&with(kind, "/customer/id", value.clone())),
                "/customer/id"
            );
            if kind.concerns_services() {
                let body = with(kind, "/services/0/id", value);
                assert_eq!(wrong(&body), "/services/0/id");
            }
        }
    }
    for value in [json!("00"), json!(10), json!("guest:ann@example.com")] {
        assert!(read(&with(EventType::OrderPaid, "/customer/id", value)).is_ok());
    }
    let body = with(EventType::OrderPaid, "/services/0/product_id", json!("0"));
    assert!(
        read(&body).is_ok(),
        "whose product that is, is the catalogue's to say"
    );
}

#[test]
fn a_suspension_says_why_and_is_never_refused_for_it() {
    let reason = |value: Value| {
        read(&with(EventType::ServiceSuspended, "/reason", value))
            .unwrap()
            .reason
    };
    assert_eq!(
        reason(json!(" Overdue &amp; unpaid ")).as_deref(),
        Some("Overdue & unpaid")
    );
    assert_eq!(reason(json!("a\nb")).as_deref(), Some("a b"));
    assert_eq!(
        reason(json!("é".repeat(5000))).unwrap().chars().count(),
        200
    );
    for value in [
        json!(null),
        json!(""),
        json!("  "),
        json!(7),
        json!({"a": 1}),
        json!([]),
    ] {
        assert_eq!(reason(value), None);
    }
    let body = with(EventType::ServiceTerminated, "/reason", json!("x"));
    assert_eq!(read(&body).unwrap().reason, None);
}

#[test]
fn each_type_asks_for_the_customer_it_needs() {
    use EventType::{
        CustomerClosed, CustomerCreated, CustomerUpdated, OrderPaid, ServiceSuspended,
    };
    for kind in [OrderPaid, CustomerCreated, CustomerUpdated] {
        for value in [json!(null), json!(""), json!("  ")] {
            assert_eq!(
                wrong(&with(kind, "/customer/email", value)),
                "/customer/email"
            );
        }
        assert_eq!(wrong(&without(kind, "/customer/email")), "/customer/email");
    }
    assert!(read(&without(CustomerClosed, "/customer/email")).is_ok());
    for kind in [OrderPaid, CustomerCreated, CustomerUpdated, CustomerClosed] {
        for value in [json!(null), json!([]), json!("77"), json!(["77"])] {
            assert_eq!(wrong(&with(kind, "/customer", value)), "/customer");
        }
        assert_eq!(wrong(&with(kind, "/customer", json!({}))), "/customer/id");
    }
    for value in [json!(null), json!([])] {
        assert_eq!(
            read(&with(ServiceSuspended, "/customer", value))
                .unwrap()
                .customer,
            None
        );
    }
    assert!(read(&with(ServiceSuspended, "/customer/email", json!(""))).is_ok());
    assert_eq!(
        wrong(&with(ServiceSuspended, "/customer/id", json!(""))),
        "/customer/id"
    );
    assert_eq!(
        wrong(&with(ServiceSuspended, "/customer/email", json!("x"))),
        "/customer/email"
    );
}

#[test]
fn an_address_is_one_address() {
    for (value, email) in [
        ("o&#039;brien@example.com", "o'brien@example.com"),
        (" ann@example.com ", "ann@example.com"),
        ("ann+x@localhost", "ann+x@localhost"),
    ] {
        let event = read(&with(EventType::OrderPaid, "/customer/email", json!(value))).unwrap();
        assert_eq!(event.customer.unwrap().email, email);
    }
    for value in [
        "ann",
        "@",
        "ann@",
        "@example.com",
        "a@b@c",
        "ann lee@example.com",
        "a@b\r\nBcc: c@d",
        "a@b&#10;c",
        "a@b&nbsp;c",
        "&#64;",
        &format!("{}@example.com", "x".repeat(250)),
    ] {
        let body = with(EventType::OrderPaid, "/customer/email", json!(value));
        assert_eq!(wrong(&body), "/customer/email", "{value}");
    }
}

#[test]
fn services_are_a_list_of_different_ones() {
    let kind = EventType::ServiceSuspended;
    for value in [
        json!(null),
        json!([]),
        json!({}),
        json!("501"),
        json!({"0": {"id": 501}}),
    ] {
        assert_eq!(wrong(&with(kind, "/services", value)), "/services");
    }
    assert_eq!(wrong(&without(kind, "/services")), "/services");
    for value in [json!(null), json!(501), json!([])] {
        assert_eq!(
            wrong(&with(kind, "/services", json!([value]))),
            "/services/0"
        );
    }
}

#[test]
fn a_service_named_twice_in_one_event_is_refused_however_it_is_spelled() {
    let kind = EventType::ServiceSuspended;
    let body = with(
        kind,
        "/services",
        json!([{"id": "501"}, {"id": 502}, {"id": 501}]),
    );
    assert_eq!(wrong(&body), "/services/2/id");
    let many: Vec<_> = (1..=500).map(|id| json!({"id": id})).collect();
    assert_eq!(
        read(&with(kind, "/services", json!(many)))
            .unwrap()
            .services
            .len(),
        500
    );
    let more: Vec<_> = (1..=501).map(|id| json!({"id": id})).collect();
    assert_eq!(wrong(&with(kind, "/services", json!(more))), "/services");
}

#[test]
fn only_types_that_need_a_product_insist_on_one() {
    for kind in [EventType::OrderPaid, EventType::ServicePackageChanged] {
        assert_eq!(
            wrong(&without(kind, "/services/0/product_id")),
            "/services/0/product_id"
        );
    }
    for value in [json!(null), json!("")] {
        let event = read(&with(
            EventType::ServiceRenewed,
            "/services/0/product_id",
            value,
        ))
        .unwrap();
        assert_eq!(event.services[0].product_id, "");
    }
    let body = with(
        EventType::ServiceRenewed,
        "/services/0/product_id",
        json!([]),
    );
    assert_eq!(wrong(&body), "/services/0/product_id");
}

#[test]
fn an_action_is_one_of_four_and_a_wiping_one_is_never_guessed() {
    let kind = EventType::ServiceAction;
    assert_eq!(
        read(&with(kind, "/action", json!("reload")))
            .unwrap()
            .action,
        Some(Action::Reload)
    );
    for value in [
        json!(null),
        json!(""),
        json!("Reload"),
        json!("reinstall"),
        json!(1),
        json!([]),
    ] {
        assert_eq!(wrong(&with(kind, "/action", value)), "/action");
    }
    assert_eq!(wrong(&without(kind, "/action")), "/action");
    assert_eq!(
        read(&with(EventType::OrderPaid, "/action", json!("x")))
            .unwrap()
            .action,
        None
    );
}

#[test]
fn a_refusal_reads_as_a_sentence_with_its_place_and_without_the_value() {
    let error = read(&with(
        EventType::OrderPaid,
        "/customer/email",
        json!("s3cret"),
    ))
    .unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text,
        "/customer/email must be one e-mail address such as ann@example.com"
    );
    assert_eq!(
        native(b"[]", NOW, NOW).unwrap_err().to_string(),
        "the body is not a JSON object but a list"
    );
}
