//! Paid orders that nothing in the catalogue matches: a customer paid, and nothing will be built.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::catalogue::Catalogue;
use crate::domain::event::{Event, EventType};
use crate::domain::id::DeliveryId;
use crate::domain::time::Timestamp;

/// What our plugins put before the id of a product that another module provisions.
const OF_ANOTHER_MODULE: &str = "pid:";

/// A paid service whose product is not in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unmatched {
    /// The platform's id of the service.
    pub service_id: String,
    /// The platform's id of the product.
    pub product_id: String,
}

/// The services of a paid order that the catalogue does not know.
pub(super) fn unmatched(catalogue: &Catalogue, source: &str, event: &Event) -> Vec<Unmatched> {
    if event.kind != EventType::OrderPaid {
        return Vec::new();
    }
    let unknown = event
        .services
        .iter()
        .filter(|service| catalogue.find(source, &service.product_id).is_none());
    unknown
        .map(|service| Unmatched {
            service_id: service.id.clone(),
            product_id: service.product_id.clone(),
        })
        .collect()
}

/// One of those orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnmatchedOrder {
    /// The delivery that brought it.
    pub delivery_id: DeliveryId,
    /// Its source.
    pub source: String,
    /// When it came.
    pub received_at: Timestamp,
    /// Its services.
    pub services: Vec<Unmatched>,
}

/// How many there were since the start, and the last of them.
#[derive(Clone, Debug, Default)]
pub struct UnmatchedOrders {
    /// How many, by source.
    pub by_source: BTreeMap<String, u64>,
    /// The last one.
    pub last: Option<UnmatchedOrder>,
}

/// Counts them.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<UnmatchedOrders>);

impl Tally {
    /// Says what of an order will not be built; `whole` where that is all of it. What another
    /// module provisions is missed by nobody.
    pub(super) fn note(&self, mut order: UnmatchedOrder, whole: bool) {
        order
            .services
            .retain(|service| !service.product_id.starts_with(OF_ANOTHER_MODULE));
        if order.services.is_empty() {
            return;
        }
        for Unmatched {
            service_id,
            product_id,
        } in &order.services
        {
            tracing::warn!(
                source = order.source, service = service_id, product = product_id,
                delivery = %order.delivery_id,
                "a service was paid whose product is not in the catalogue; nothing is built for it"
            );
        }
        if whole {
            let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *orders.by_source.entry(order.source.clone()).or_default() += 1;
            orders.last = Some(order);
        }
    }

    pub(super) fn all(&self) -> UnmatchedOrders {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(products: &[&str]) -> UnmatchedOrder {
        let service = |product: &&str| Unmatched {
            service_id: format!("s{product}"),
            product_id: (*product).to_owned(),
        };
        UnmatchedOrder {
            delivery_id: DeliveryId(7),
            source: "whmcs".to_owned(),
            received_at: Timestamp::default(),
            services: products.iter().map(service).collect(),
        }
    }

    #[test]
    fn whole_orders_are_counted_by_source_and_the_last_is_kept() {
        let tally = Tally::default();
        tally.note(order(&["9"]), true);
        tally.note(order(&["10", "pid:3"]), true);
        tally.note(order(&["11"]), false);
        let all = tally.all();
        assert_eq!(all.by_source, BTreeMap::from([("whmcs".to_owned(), 2)]));
        assert_eq!(all.last, Some(order(&["10"])));
    }

    #[test]
    fn what_another_module_provisions_is_not_missed() {
        let tally = Tally::default();
        tally.note(order(&["pid:3", "pid:4"]), true);
        assert_eq!(tally.all().last, None);
    }
}
