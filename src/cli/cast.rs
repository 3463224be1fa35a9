//! Who appears in the demonstration, and what happens to them. Pure but for the present time.

use serde_json::{Value, json};

use crate::app::SystemClock;
use crate::domain::time::Clock as _;

/// One ordered server of the cast.
#[derive(Clone, Copy)]
pub(super) struct Server {
    pub(super) service: &'static str,
    pub(super) hostname: &'static str,
}

/// One customer of the cast.
pub(super) struct Customer {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) email: &'static str,
    pub(super) company: &'static str,
    pub(super) servers: &'static [Server],
    /// What happens to each server after it was paid.
    pub(super) life: &'static [&'static str],
}

pub(super) const CAST: [Customer; 3] = [
    Customer {
        id: "77",
        name: "Ann Lee",
        email: "ann@example.com",
        company: "Example Ltd",
        servers: &[Server {
            service: "501",
            hostname: "web1.example.com",
        }],
        life: &[
            "service.suspended",
            "service.unsuspended",
            "service.terminated",
        ],
    },
    Customer {
        id: "78",
        name: "Bo Chen",
        email: "bo@example.net",
        company: "",
        servers: &[
            Server {
                service: "502",
                hostname: "db1.example.net",
            },
            Server {
                service: "503",
                hostname: "db2.example.net",
            },
        ],
        life: &["service.suspended", "service.unsuspended"],
    },
    Customer {
        id: "79",
        name: "Cy Diaz",
        email: "cy@example.org",
        company: "Diaz & Sons",
        servers: &[Server {
            service: "504",
            hostname: "mail.example.org",
        }],
        life: &["service.suspended", "service.terminated"],
    },
];

/// The same for the same event, so that sending it again is seen; no dots, as the scheme demands.
pub(super) fn message_id(customer: &Customer, kind: &str) -> String {
    format!("demo-{}-{}", customer.id, kind.replace('.', "-"))
}

/// The event as WHMCS would send it.
pub(super) fn event(customer: &Customer, kind: &str) -> Value {
    let services: Vec<Value> = customer
        .servers
        .iter()
        .map(|server| {
            json!({
                "id": server.service,
                "product_id": "example",
                "hostname": server.hostname,
                "billing_cycle": "monthly",
                "quantity": 1,
                "options": {"Location": "TPA1", "Operating System": "Ubuntu 22.04"},
                "fields": {},
            })
        })
        .collect();
    json!({
        "type": kind,
        "occurred_at": SystemClock.now(),
        "order_id": format!("10{}", customer.id),
        "customer": {
            "id": customer.id,
            "email": customer.email,
            "name": customer.name,
            "company": customer.company,
        },
        "services": services,
    })
}
