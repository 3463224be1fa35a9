//! What Hivelocity sells: products, facilities, operating systems. Fixed tables. Pure.

use serde_json::{Map, Value, json};

use super::fields::{Answer, Refusal};
use super::wire::Response;

/// Code, id, city, state.
const FACILITIES: [(&str, u64, &str, &str); 4] = [
    ("TPA1", 1, "Tampa", "FL"),
    ("NYC1", 2, "New York", "NY"),
    ("LAX2", 3, "Los Angeles", "CA"),
    ("AMS1", 4, "Amsterdam", ""),
];

/// Id, cores, memory, dollars a month.
const PRODUCTS: [(u64, &str, &str, f64); 4] = [
    (525, "4 Cores / 8 Threads", "32GB", 79.0),
    (570, "6 Cores / 12 Threads", "64GB", 99.0),
    (580, "8 Cores / 16 Threads", "64GB", 129.0),
    (584, "16 Cores / 32 Threads", "128GB", 199.0),
];

const SYSTEMS: [(u64, &str); 8] = [
    (12_001, "Ubuntu 22.04"),
    (12_002, "Ubuntu 24.04"),
    (12_003, "Ubuntu 20.x"),
    (12_004, "Debian 12"),
    (12_005, "Debian 13"),
    (12_006, "AlmaLinux 9"),
    (12_007, "Rocky Linux 9"),
    (12_008, "Windows Server 2022"),
];

/// `inventory/product`, by facility.
pub(super) fn products(method: &str) -> Option<Answer> {
    let facility = |(code, id, ..): &(&str, u64, &str, &str)| {
        let stock = PRODUCTS.iter().map(|product| stock(code, *id, product));
        ((*code).to_owned(), stock.collect::<Value>())
    };
    let stock: Map<String, Value> = FACILITIES.iter().map(facility).collect();
    (method == "GET").then(|| Ok(Response::json(200, &Value::Object(stock))))
}

/// `inventory/locations`.
pub(super) fn locations(method: &str) -> Option<Answer> {
    let facility = |(code, id, city, state): &(&str, u64, &str, &str)| {
        json!({
            "id": id,
            "code": code,
            "title": format!("{city} ({code})"),
            "location": {
                "city": city,
                "state": state,
                "country": if state.is_empty() { "NL" } else { "US" },
            },
            "core": true,
            "edge": false,
            "location_option_ids": [9000 + id],
        })
    };
    let facilities: Value = FACILITIES.iter().map(facility).collect();
    (method == "GET").then(|| Ok(Response::json(200, &facilities)))
}

/// `product/{id}/operating-systems`.
pub(super) fn operating_systems(method: &str, product: &str) -> Option<Answer> {
    if method != "GET" {
        return None;
    }
    if product.parse::<u64>().is_err() {
        return Some(Err(Refusal::malformed(
            404,
            "the product id is not a number",
        )));
    }
    let system = |(id, name): &(u64, &str)| {
        json!({
            "id": id,
            "name": name,
            "monthlyPrice": 0.0,
            "currency": "USD",
            "operatingSystemFeatures": {"sshKey": true, "postInstall": true, "cloudInit": true},
        })
    };
    Some(Ok(Response::json(
        200,
        &SYSTEMS.iter().map(system).collect(),
    )))
}

/// The name of the operating system with this option id.
pub(super) fn operating_system(id: u64) -> Option<&'static str> {
    SYSTEMS
        .iter()
        .find(|(known, _)| *known == id)
        .map(|(_, name)| *name)
}

/// What a product costs a month, in dollars.
pub(super) fn monthly_price(product: u64) -> f64 {
    let mut products = PRODUCTS.iter();
    let found = products.find(|(id, ..)| *id == product);
    found.map_or(100.0, |(.., price)| *price)
}

fn stock(code: &str, facility: u64, (id, cores, memory, price): &(u64, &str, &str, f64)) -> Value {
    json!({
        "product_id": id,
        "product_name": format!("Server {id}"),
        "product_cpu_cores": cores,
        "product_memory": memory,
        "product_monthly_price": price,
        "product_hourly_price": price / 730.0,
        "product_disabled_billing_periods": [],
        "data_center": code,
        "location_option_id": 9000 + facility,
        "stock": "available",
        "is_sps": true,
        "is_vps": false,
        "core": true,
        "edge": false,
    })
}
