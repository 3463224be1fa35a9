//! What is known of services and customers: documents that runs change by patches.
//!
//! A service is changed by the one run that holds its lane. A customer may be changed by runs of
//! several services at once, so its rows are locked while patches are merged in.

use std::collections::BTreeMap;

use serde_json::Value;

use super::rows::Advance;
use super::sql::{Bulk, Kind, Link, Row, Rows, SqlError};
use crate::domain::state::merge;
use crate::domain::time::Timestamp;

/// Merges the patches of these writes, in their order.
pub(super) async fn write(link: &mut Link<'_>, live: &[&Advance]) -> Result<(), SqlError> {
    let services = changes(live, |write| {
        Some((write.service_id.as_ref()?, &write.service_patch))
    });
    if !services.is_empty() {
        let merged = merged(link, &SERVICES, services).await?;
        KEEP_SERVICES.execute(link, &merged, service_row).await?;
    }
    let customers = changes(live, |write| {
        Some((write.customer_id.as_ref()?, &write.customer_patch))
    });
    if !customers.is_empty() {
        // There must be a row before it can be locked.
        NEW_CUSTOMERS
            .execute(link, &customers, new_customer)
            .await?;
        let known = link.pick(&CUSTOMERS, &CUSTOMERS_LOCKED);
        let merged = merged(link, known, customers).await?;
        KEEP_CUSTOMERS.execute(link, &merged, customer_row).await?;
    }
    Ok(())
}

/// The patches for one document.
struct Change<'a> {
    source: &'a str,
    id: &'a str,
    customer_id: Option<&'a String>,
    patches: Vec<&'a Value>,
    now: Timestamp,
}

fn changes<'a>(
    live: &[&'a Advance],
    of: impl Fn(&'a Advance) -> Option<(&'a String, &'a Value)>,
) -> Vec<Change<'a>> {
    // In the order of their keys: two who change the same rows do not wait for each other.
    let mut changes: BTreeMap<(&str, &str), Change<'a>> = BTreeMap::new();
    for write in live {
        let Some((id, patch)) = of(write).filter(|(_, patch)| is_patch(patch)) else {
            continue;
        };
        let change = changes
            .entry((&write.source, id))
            .or_insert_with(|| Change {
                source: &write.source,
                id,
                customer_id: None,
                patches: Vec::new(),
                now: write.now,
            });
        change.customer_id = change.customer_id.or(write.customer_id.as_ref());
        change.patches.push(patch);
    }
    changes.into_values().collect()
}

fn is_patch(value: &Value) -> bool {
    value.as_object().is_some_and(|patch| !patch.is_empty())
}

struct Merged<'a> {
    change: Change<'a>,
    /// Whose it is by the document; by the write where that does not say.
    customer_id: Option<String>,
    doc: String,
}

async fn merged<'a>(
    link: &mut Link<'_>,
    known: &'static Bulk,
    changes: Vec<Change<'a>>,
) -> Result<Vec<Merged<'a>>, SqlError> {
    let rows = known.fetch(link, &changes, key).await?;
    let mut docs = BTreeMap::new();
    for row in &rows {
        docs.insert(name(row)?, row.text("doc")?);
    }
    let merge = |change: Change<'a>| {
        let doc = docs.get(&(change.source.to_owned(), change.id.to_owned()));
        let mut doc = read(doc.map_or("{}", String::as_str));
        for patch in &change.patches {
            merge(&mut doc, patch);
        }
        if let Some(doc) = doc.as_object_mut() {
            doc.retain(|_, value| !value.is_null());
        }
        let owner = doc.get("customer_id").and_then(Value::as_str);
        let customer_id = owner.or(change.customer_id.map(String::as_str));
        Merged {
            customer_id: customer_id.map(str::to_owned),
            doc: doc.to_string(),
            change,
        }
    };
    Ok(changes.into_iter().map(merge).collect())
}

fn name(row: &Row) -> Result<(String, String), SqlError> {
    Ok((row.text("source")?, row.text("id")?))
}

fn read(doc: &str) -> Value {
    serde_json::from_str(doc).unwrap_or_else(|error| {
        tracing::error!(%error, "what was known could not be read and is begun anew");
        Value::Null
    })
}

fn key<'v>(row: &mut Rows<'v>, change: &Change<'v>) {
    row.push(change.source).push(change.id);
}

fn new_customer<'v>(row: &mut Rows<'v>, change: &Change<'v>) {
    key(row, change);
    row.push(change.now.micros());
}

fn service_row<'v>(
    row: &mut Rows<'v>,
    Merged {
        change,
        customer_id,
        doc,
    }: &'v Merged<'v>,
) {
    key(row, change);
    row.push(customer_id).push(doc).push(change.now.micros());
}

fn customer_row<'v>(row: &mut Rows<'v>, Merged { change, doc, .. }: &'v Merged<'v>) {
    key(row, change);
    row.push(doc).push(change.now.micros());
}

const KEY: &[(&str, Kind)] = &[("source", Kind::Text), ("id", Kind::Text)];

static SERVICES: Bulk = Bulk::new(
    KEY,
    "SELECT s.source, s.service_id AS id, s.doc FROM services s, w \
         WHERE s.source = w.source AND s.service_id = w.id",
);

static CUSTOMERS: Bulk = Bulk::new(
    KEY,
    "SELECT c.source, c.customer_id AS id, c.doc FROM customers c, w \
         WHERE c.source = w.source AND c.customer_id = w.id",
);

static CUSTOMERS_LOCKED: Bulk = Bulk::new(
    KEY,
    "SELECT c.source, c.customer_id AS id, c.doc FROM customers c, w \
         WHERE c.source = w.source AND c.customer_id = w.id \
         ORDER BY c.source, c.customer_id FOR UPDATE OF c",
);

static KEEP_SERVICES: Bulk = Bulk::new(
    &[
        ("source", Kind::Text),
        ("id", Kind::Text),
        ("customer_id", Kind::Text),
        ("doc", Kind::Text),
        ("now_at", Kind::Int),
    ],
    "INSERT INTO services (source, service_id, customer_id, doc, updated_at) \
         SELECT * FROM w WHERE true ON CONFLICT (source, service_id) DO UPDATE SET \
         doc = excluded.doc, customer_id = coalesce(excluded.customer_id, services.customer_id), \
         updated_at = excluded.updated_at",
);

static NEW_CUSTOMERS: Bulk = Bulk::new(
    &[
        ("source", Kind::Text),
        ("id", Kind::Text),
        ("now_at", Kind::Int),
    ],
    "INSERT INTO customers (source, customer_id, doc, updated_at) \
         SELECT w.source, w.id, '{}', w.now_at FROM w WHERE true ON CONFLICT DO NOTHING",
);

static KEEP_CUSTOMERS: Bulk = Bulk::new(
    &[
        ("source", Kind::Text),
        ("id", Kind::Text),
        ("doc", Kind::Text),
        ("now_at", Kind::Int),
    ],
    "UPDATE customers SET doc = w.doc, updated_at = w.now_at FROM w \
         WHERE customers.source = w.source AND customers.customer_id = w.id",
);
