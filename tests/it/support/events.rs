//! Events as a billing plugin writes them. Pure, but for the clock.

use std::net::Ipv4Addr;
use std::time::Duration;

use billhook::app::SystemClock;
use billhook::domain::time::Clock as _;
use serde_json::{Value, json};

/// A customer's service and the moments of its events: later numbers are later.
#[derive(Clone, Debug)]
pub struct Story {
    /// The service.
    pub service: String,
    /// Its customer.
    pub customer: String,
    /// Its product.
    pub product: String,
}

impl Story {
    /// Service 501 of customer 77, product 42.
    pub fn new() -> Self {
        Self::of("501", "77", "42")
    }

    /// This service of this customer with this product.
    pub fn of(service: &str, customer: &str, product: &str) -> Self {
        Self {
            service: service.into(),
            customer: customer.into(),
            product: product.into(),
        }
    }

    /// The service's tag at Hivelocity.
    pub fn tag(&self) -> String {
        format!("billhook:whmcs:{}", self.service)
    }

    /// The company of the customer's controlled client.
    pub fn company(&self) -> String {
        format!("Example {0} [whmcs:{0}]", self.customer)
    }

    /// `kind` happened at `second`.
    pub fn at(&self, second: u64, kind: &str) -> Value {
        event(kind, second, &[self])
    }

    /// The order, which came first.
    pub fn paid(&self) -> Value {
        self.at(1, "order.paid")
    }

    /// The events of a whole life, in their order.
    pub fn life(&self) -> Vec<Value> {
        let kinds = [
            "order.paid",
            "service.suspended",
            "service.unsuspended",
            "service.terminated",
        ];
        (1..)
            .zip(kinds)
            .map(|(second, kind)| self.at(second, kind))
            .collect()
    }

    fn ordered(&self) -> Value {
        json!({
            "id": self.service,
            "product_id": self.product,
            "hostname": format!("srv{}.example.com", self.service),
            "billing_cycle": "monthly",
            "quantity": 1,
            "options": {"Location": "TPA1", "License IP": self.licence_ip().to_string()},
            "fields": {},
        })
    }

    /// An address of 198.18.0.0/15 that no other service named by a number below 131,072 has.
    fn licence_ip(&self) -> Ipv4Addr {
        let number = self.service.bytes().fold(0_u32, |number, byte| {
            number
                .wrapping_mul(10)
                .wrapping_add(u32::from(byte.wrapping_sub(b'0')))
        });
        Ipv4Addr::from_bits(0xC612_0000 | (number & 0x0001_FFFF))
    }
}

/// An event about these services, all of the first one's customer, at a second of the story.
pub fn event(kind: &str, second: u64, stories: &[&Story]) -> Value {
    let customer = stories
        .first()
        .map(|story| story.customer.clone())
        .unwrap_or_default();
    json!({
        "type": kind,
        "occurred_at": moment(second),
        "order_id": "1001",
        "customer": {
            "id": customer,
            "email": format!("c{customer}@example.com"),
            "name": "Ann Lee",
            "company": format!("Example {customer}"),
        },
        "services": stories.iter().map(|story| story.ordered()).collect::<Vec<_>>(),
    })
}

/// A moment of yesterday; later seconds are later.
pub fn moment(second: u64) -> String {
    let now = SystemClock.now().seconds();
    // The same yesterday within one test, whatever time its steps take.
    let day = now - now.rem_euclid(86_400) - 2 * 86_400;
    let moment = billhook::domain::time::Timestamp::from_seconds(day);
    moment.plus(Duration::from_secs(second)).to_string()
}
