//! Lives of services, and the billing platform that tells of them: each event is one letter, sent
//! as often as it takes, and sometimes oftener.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::domain::event::{Action, EventType};
use crate::domain::id::DeliveryId;
use crate::domain::time::Timestamp;

use super::control::BEGINNING;

/// A service of the billing platform.
#[derive(Clone, Debug)]
pub(super) struct Sold {
    pub(super) id: String,
    pub(super) customer: String,
    /// The product it was ordered as.
    pub(super) product: &'static str,
    /// Where it is; at Hivelocity's stand-in some places are special.
    pub(super) location: &'static str,
}

impl Sold {
    /// The address that an order of a licence alone names.
    pub(super) fn address(&self) -> String {
        format!("198.51.100.{}", self.id.trim_start_matches("50"))
    }

    fn shown(&self, product: &str) -> Value {
        json!({
            "id": self.id,
            "product_id": product,
            "hostname": format!("srv{}.example.com", self.id),
            "billing_cycle": "monthly",
            "quantity": 1,
            "options": {"License IP": self.address(), "Location": self.location},
            "fields": {},
        })
    }
}

/// Something that happened at the billing platform.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) kind: EventType,
    pub(super) occurred: Timestamp,
    pub(super) customer: String,
    /// The services, each with its product from then on.
    pub(super) services: Vec<(Sold, &'static str)>,
    pub(super) action: Option<Action>,
}

impl Event {
    /// What happened to one service.
    pub(super) fn of(sold: &Sold, kind: EventType, product: &'static str, second: i64) -> Self {
        Self {
            kind,
            occurred: BEGINNING.plus(Duration::from_secs(u64::try_from(second).unwrap_or(0))),
            customer: sold.customer.clone(),
            services: vec![(sold.clone(), product)],
            action: None,
        }
    }

    /// As a plugin writes it.
    pub(super) fn body(&self) -> Vec<u8> {
        let customer = &self.customer;
        let services: Vec<Value> = self
            .services
            .iter()
            .map(|(sold, product)| sold.shown(product))
            .collect();
        let mut event = json!({
            "type": self.kind.name(),
            "occurred_at": self.occurred,
            "order_id": "1001",
            "customer": {
                "id": customer,
                "email": format!("c{customer}@example.com"),
                "name": format!("Customer {customer}"),
                "company": format!("Example {customer}"),
            },
            "services": services,
        });
        if let Some(action) = self.action {
            event["action"] = json!(action);
        }
        event.to_string().into_bytes()
    }
}

/// A message of the billing platform.
#[derive(Debug)]
struct Letter {
    id: String,
    body: Vec<u8>,
    event: Event,
    delivery: Option<DeliveryId>,
}

/// Everything that the billing platform sends.
#[derive(Debug, Default)]
pub(super) struct Mail(Vec<Letter>);

impl Mail {
    /// A letter that tells of an event; answers its number.
    pub(super) fn write(&mut self, event: Event) -> usize {
        let number = self.0.len();
        self.0.push(Letter {
            id: format!("msg_{number}"),
            body: event.body(),
            event,
            delivery: None,
        });
        number
    }

    /// A letter under another one's id and with other bytes: of the two only the first to come is
    /// taken in.
    pub(super) fn forge(&mut self, other: usize) -> usize {
        let number = self.0.len();
        let letter = &self.0[other];
        let mut body = letter.body.clone();
        body.push(b' ');
        self.0.push(Letter {
            id: letter.id.clone(),
            body,
            event: letter.event.clone(),
            delivery: None,
        });
        number
    }

    /// What is sent: id and body.
    pub(super) fn letter(&self, number: usize) -> (String, Vec<u8>) {
        let letter = &self.0[number];
        (letter.id.clone(), letter.body.clone())
    }

    /// Notes that it was acknowledged.
    pub(super) fn acknowledged(&mut self, number: usize, delivery: DeliveryId) {
        self.0[number].delivery = Some(delivery);
    }

    /// The delivery that a letter became.
    pub(super) fn delivery(&self, number: usize) -> Option<DeliveryId> {
        self.0[number].delivery
    }

    /// Whether this letter shares its id with another one, so that one of them is refused.
    pub(super) fn expects_conflict(&self, number: usize) -> bool {
        let same = |letter: &&Letter| letter.id == self.0[number].id;
        self.0.iter().filter(same).count() > 1
    }

    /// What was told and taken in, with the delivery that brought it.
    pub(super) fn told(&self) -> impl Iterator<Item = (&Event, DeliveryId)> {
        self.0
            .iter()
            .filter_map(|letter| Some((&letter.event, letter.delivery?)))
    }

    /// Letters that nobody has acknowledged, nor another one with their id.
    pub(super) fn unheard(&self) -> Vec<usize> {
        let heard = |id: &str| {
            let mut same = self.0.iter().filter(|letter| letter.id == id);
            same.any(|letter| letter.delivery.is_some())
        };
        let all = self.0.iter().enumerate();
        let unheard = all.filter(|(_, letter)| !heard(&letter.id));
        unheard.map(|(number, _)| number).collect()
    }
}

/// The lives of a few services of a few customers.
pub(super) fn lives(chance: &mut StdRng) -> Vec<Event> {
    let mut events = Vec::new();
    let customers = chance.random_range(1..=2);
    let services = [1, 1, 1, 2, 2, 3][chance.random_range(0..6)];
    let apart = [1, 20, 300, 1_800][chance.random_range(0..4)];
    let mut sold = Vec::new();
    for number in 1..=services {
        let customer = 77 + chance.random_range(0..customers);
        sold.push(Sold {
            id: format!("50{number}"),
            customer: customer.to_string(),
            product: ["42", "42", "43", "44"][chance.random_range(0..4)],
            location: match chance.random_range(0..40) {
                0..=2 => "SPLIT",
                3..=4 => "VERIFICATION",
                5 => "CANCELLED",
                6 => "FAILED",
                _ => "TPA1",
            },
        });
    }
    for one in &sold {
        life(chance, one, apart, &mut events);
    }
    for customer in 77..77 + customers {
        of_customer(chance, &customer.to_string(), apart, &mut events);
    }
    events
}

fn life(chance: &mut StdRng, sold: &Sold, apart: i64, events: &mut Vec<Event>) {
    use EventType as E;
    let mut second = chance.random_range(0..apart * 3);
    let mut product = sold.product;
    events.push(Event::of(sold, E::OrderPaid, product, second));
    if sold.location == "CANCELLED" && chance.random_range(0..3) > 0 {
        // Somebody sees that nothing comes of it, and orders where there is a server.
        second += chance.random_range(1..=apart);
        let corrected = Sold {
            location: "TPA1",
            ..sold.clone()
        };
        events.push(Event::of(&corrected, E::OrderPaid, product, second));
    }
    if chance.random_range(0..12) == 0 {
        storm(chance, sold, &mut second, events);
    }
    for _ in 0..chance.random_range(0..5) {
        // Now and then two things happen in the same second.
        second += chance.random_range(1..=apart) * i64::from(chance.random_range(0..8) > 0);
        let kind = match chance.random_range(0..12) {
            0..=3 => E::ServiceSuspended,
            4..=6 => E::ServiceUnsuspended,
            7 => E::ServiceRenewed,
            8 => E::OrderPaid,
            9 if product != "44" => {
                product = if product == "42" { "43" } else { "42" };
                E::ServicePackageChanged
            }
            _ if product != "44" => E::ServiceAction,
            _ => E::ServiceRenewed,
        };
        // The first order and a change of package have their second for themselves: with equal
        // times it would be the post that decides which product was paid for.
        let alone = |kind| matches!(kind, E::ServicePackageChanged);
        let crowded = events.last().is_some_and(|last| alone(last.kind)) || alone(kind);
        second += i64::from(crowded || Some(second) == first_second(events, sold));
        let mut event = Event::of(sold, kind, product, second);
        if kind == E::ServiceAction {
            let actions = [
                Action::Boot,
                Action::Reboot,
                Action::Shutdown,
                Action::Reload,
            ];
            event.action = Some(actions[chance.random_range(0..4)]);
        }
        events.push(event);
    }
    if chance.random_range(0..2) == 0 {
        second += chance.random_range(1..=apart);
        events.push(Event::of(sold, E::ServiceTerminated, product, second));
    }
}

/// A customer who pays and does not pay, or a billing platform that cannot make up its mind.
fn storm(chance: &mut StdRng, sold: &Sold, second: &mut i64, events: &mut Vec<Event>) {
    let apart = [1, 5, 40][chance.random_range(0..3)];
    for _ in 0..chance.random_range(6..30) {
        *second += chance.random_range(1..=apart);
        let kind = if chance.random_range(0..2) == 0 {
            EventType::ServiceSuspended
        } else {
            EventType::ServiceUnsuspended
        };
        events.push(Event::of(sold, kind, sold.product, *second));
    }
}

fn first_second(events: &[Event], sold: &Sold) -> Option<i64> {
    let own = |event: &&Event| event.services.iter().any(|(one, _)| one.id == sold.id);
    let first = events.iter().find(own)?;
    Some(first.occurred.seconds() - BEGINNING.seconds())
}

fn of_customer(chance: &mut StdRng, customer: &str, apart: i64, events: &mut Vec<Event>) {
    let odds = [
        (EventType::CustomerCreated, 3),
        (EventType::CustomerUpdated, 3),
        (EventType::CustomerClosed, 12),
        (EventType::CustomerReopened, 12),
    ];
    for (kind, one_of) in odds {
        if chance.random_range(0..one_of) == 0 {
            let second = u64::try_from(chance.random_range(0..apart * 8)).unwrap_or(0);
            events.push(Event {
                kind,
                occurred: BEGINNING.plus(Duration::from_secs(second)),
                customer: customer.to_owned(),
                services: Vec::new(),
                action: None,
            });
        }
    }
}
