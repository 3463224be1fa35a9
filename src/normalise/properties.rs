//! What must hold for any body: nothing panics, right events survive, wrong members are named.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::generated::{NOW, as_php_sends, event, sample};
use super::{NotAnEvent, native};
use crate::domain::{Event, EventType, Secret};
use crate::verify::{Headers, Keys, sign, verify};

/// Any JSON, with the names that matter among its members.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        Just(json!("0000-00-00")),
        Just(json!("a\n\0b")),
        Just(json!("501")),
    ];
    let name = prop::sample::select(vec![
        "id",
        "product_id",
        "email",
        "name",
        "hostname",
        "quantity",
        "options",
        "fields",
        "x/~y",
    ]);
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..5)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_and_never_a_panic(body in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = native(&body, NOW, NOW);
    }

    #[test]
    fn a_good_body_with_some_bytes_changed_is_an_answer_and_never_a_panic(
        kind in prop::sample::select(EventType::ALL.to_vec()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut body = serde_json::to_vec(&sample(kind)).unwrap();
        for (place, byte) in changes {
            let place = place.index(body.len());
            body[place] = byte;
        }
        let _ = native(&body, NOW, NOW);
        let _ = native(&body[..cut.index(body.len())], NOW, NOW);
    }

    #[test]
    fn any_json_in_any_member_is_taken_or_named_by_a_pointer_into_that_member(
        kind in prop::sample::select(EventType::ALL.to_vec()),
        place in prop::sample::select(vec![
            "/type", "/occurred_at", "/order_id", "/customer", "/customer/id", "/customer/email",
            "/customer/name", "/customer/company", "/services", "/services/0", "/services/0/id",
            "/services/0/product_id", "/services/0/hostname", "/services/0/billing_cycle",
            "/services/0/quantity", "/services/0/options", "/services/0/fields",
            "/services/0/options/Location", "/action",
        ]),
        value in any_json(),
    ) {
        let mut body = sample(kind);
        let Some(member) = body.pointer_mut(place) else { return Ok(()) };
        *member = value;
        match native(&serde_json::to_vec(&body).unwrap(), NOW, NOW) {
            Ok(_) => {}
            Err(NotAnEvent::Wrong(wrong)) => {
                prop_assert!(wrong.pointer.starts_with(place), "{wrong} for {place}");
                prop_assert!(!wrong.detail.is_empty() && !wrong.detail.contains(['\n', '\0']));
            }
            Err(NotAnEvent::UnknownType(_)) => prop_assert_eq!(place, "/type"),
            Err(NotAnEvent::NotJson(detail)) => prop_assert!(false, "{}", detail),
        }
    }

    #[test]
    fn the_same_ids_as_numbers_are_the_same_event(service in 1_u64.., customer in 1_u64..) {
        let mut as_text = sample(EventType::OrderPaid);
        as_text["services"][0]["id"] = json!(format!("  {service} "));
        as_text["customer"]["id"] = json!(customer.to_string());
        let mut as_number = as_text.clone();
        as_number["services"][0]["id"] = json!(service);
        as_number["customer"]["id"] = json!(customer);
        let read = |body: &Value| native(&serde_json::to_vec(body).unwrap(), NOW, NOW);
        prop_assert_eq!(read(&as_text)?.services[0].id.clone(), service.to_string());
        prop_assert_eq!(read(&as_text), read(&as_number));
    }
}

// Generating whole events is slow in a debug build; fewer of them do.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_right_event_survives_being_escaped_by_php_and_read_again(event in event()) {
        let body = serde_json::to_vec(&as_php_sends(&event)).unwrap();
        prop_assert_eq!(native(&body, NOW, NOW), Ok(event));
    }

    #[test]
    fn reading_its_own_output_again_changes_nothing_where_nothing_looks_escaped(event in event()) {
        let text = serde_json::to_string(&event).unwrap().replace('&', "+");
        let event: Event = serde_json::from_str(&text).unwrap();
        // Two ids that differed only in that sign are the same now.
        let ids: HashSet<&str> = event.services.iter().map(|service| service.id.as_str()).collect();
        prop_assume!(ids.len() == event.services.len());
        prop_assert_eq!(native(text.as_bytes(), NOW, NOW), Ok(event));
    }

    #[test]
    fn a_signed_event_with_one_byte_changed_never_gets_here(
        event in event(),
        place in any::<prop::sample::Index>(),
        by in 1_u8..,
    ) {
        let keys = Keys::parse(&[Secret::new("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]).unwrap();
        let mut body = serde_json::to_vec(&event).unwrap();
        let (at, signature) = (NOW.seconds().to_string(), sign(&keys, "evt-1", NOW, &body));
        let headers = Headers {
            id: Some(b"evt-1"),
            timestamp: Some(at.as_bytes()),
            signature: Some(signature.as_bytes()),
        };
        let tolerance = Duration::from_mins(5);
        prop_assert!(verify(&keys, &headers, &body, NOW, tolerance).is_ok());
        let place = place.index(body.len());
        body[place] = body[place].wrapping_add(by);
        prop_assert!(verify(&keys, &headers, &body, NOW, tolerance).is_err());
    }
}
