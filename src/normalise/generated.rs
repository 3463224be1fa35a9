//! Events for tests: one good body of each type, and any number of generated ones.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::domain::{Action, Customer, Event, EventType, OrderedService, Timestamp};

/// When deliveries come in these tests: 2026-11-21T21:50:00Z.
pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_795_297_800);

/// A good body of that type, as our own plugin would send it.
pub(super) fn sample(kind: EventType) -> Value {
    let mut body = json!({
        "type": kind.name(),
        "occurred_at": "2026-11-21T21:49:59.123456Z",
        "order_id": "1001",
        "customer": {"id": "77", "email": "ann@example.com", "name": "Ann Lee", "company": "Example Ltd"},
    });
    if kind.concerns_services() {
        body["services"] = json!([{
            "id": "501", "product_id": "42", "hostname": "srv1.example.com",
            "billing_cycle": "monthly", "quantity": 1,
            "options": {"Location": "TPA1", "Operating System": "Ubuntu 22.04"}, "fields": {},
        }]);
    }
    if kind == EventType::ServiceAction {
        body["action"] = json!("reboot");
    }
    body
}

fn id() -> impl Strategy<Value = String> {
    "[!-~]([ -~ä-ü]{0,40}[!-~])?"
        .prop_map(|text| text.trim().to_owned())
        .prop_filter("0 names nobody", |id| id != "0")
}

/// Any line without control characters, with escapes and look-alikes of escapes in it.
fn line() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,12}",
        Just("&amp;".to_owned()),
        Just("&#039;".to_owned())
    ];
    vec(piece, 0..4).prop_map(|pieces| {
        let text = pieces.concat().replace(['\u{2028}', '\u{2029}'], "");
        text.trim().to_owned()
    })
}

fn value() -> impl Strategy<Value = String> {
    (line(), line()).prop_map(|(a, b)| format!(" {a}\r\n\t{b}"))
}

fn customer() -> impl Strategy<Value = Customer> {
    let email = "[!-?A-Za-z&']{1,20}@[a-z.-]{1,20}";
    (id(), email, line(), line()).prop_map(|(id, email, name, company)| Customer {
        id,
        email,
        name,
        company,
    })
}

prop_compose! {
    fn service()(
        id in id(),
        product_id in id(),
        hostname in line(),
        billing_cycle in line(),
        quantity in 1_u32..=1000,
        options in btree_map(line(), value(), 0..4),
        fields in btree_map(line(), value(), 0..20),
    ) -> OrderedService {
        OrderedService { id, product_id, hostname, billing_cycle, quantity, options, fields }
    }
}

fn action() -> impl Strategy<Value = Action> {
    prop::sample::select(vec![
        Action::Boot,
        Action::Reboot,
        Action::Shutdown,
        Action::Reload,
    ])
}

prop_compose! {
    /// A right event of any type with members to carry.
    pub(super) fn event()(
        kind in prop::sample::select(EventType::ALL.to_vec()),
        micros in 946_684_800_000_000_i64..=NOW.micros() + 86_400_000_000,
        order_id in prop::option::of(id()),
        customer in customer(),
        with_customer in any::<bool>(),
        services in vec(service(), 1..5),
        action in action(),
    ) -> Event {
        let needs_customer = kind.concerns_customer()
            || matches!(kind, EventType::OrderPaid | EventType::ServiceMoved);
        let mut event = Event {
            kind,
            installation: None,
            occurred_at: Timestamp::from_micros(micros),
            order_id: None,
            customer: None,
            services: Vec::new(),
            action: (kind == EventType::ServiceAction).then_some(action),
            keeps_device: kind == EventType::ServiceMoved && with_customer,
            reason: (kind == EventType::ServiceSuspended).then(|| "Overdue on Payment".to_owned()),
        };
        if kind == EventType::TestPing {
            return event;
        }
        event.order_id = order_id;
        event.customer = (needs_customer || with_customer).then_some(customer);
        if kind.concerns_services() {
            event.services = services;
            event.services.sort_by(|a, b| a.id.cmp(&b.id));
            event.services.dedup_by(|a, b| a.id == b.id);
        }
        event
    }
}

/// The event as PHP sends it: texts escaped once, empty objects as `[]`.
pub(super) fn as_php_sends(event: &Event) -> Value {
    let mut body = serde_json::to_value(event).unwrap();
    for text in ["email", "name", "company"] {
        if let Some(member) = body["customer"].get_mut(text) {
            escape(member);
        }
    }
    for service in body["services"].as_array_mut().into_iter().flatten() {
        escape(&mut service["hostname"]);
        escape(&mut service["billing_cycle"]);
        for map in ["options", "fields"] {
            escape_pairs(&mut service[map]);
        }
    }
    body
}

fn escape(value: &mut Value) {
    *value = json!(escaped(value.as_str().unwrap()));
}

fn escape_pairs(map: &mut Value) {
    let pairs = map.as_object().unwrap();
    *map = if pairs.is_empty() {
        json!([])
    } else {
        let pairs = pairs
            .iter()
            .map(|(k, v)| (escaped(k), json!(escaped(v.as_str().unwrap()))));
        Value::Object(pairs.collect())
    };
}

fn escaped(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#039;")
}
