//! What Billhook knows of a service and of a customer: the state that plans start from.
//!
//! Kept as one flat document each, changed by patches: a step's success and the change it made
//! to the state are stored together.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::asked::Asked;
use super::order::PendingOrder;
use super::run::OrderKey;

/// Where a service stands, as the last planned lifecycle event wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceStatus {
    /// Never heard of, or nothing was ordered yet.
    #[default]
    Unknown,
    /// Being built.
    Building,
    /// Up.
    Active,
    /// Dark.
    Suspended,
    /// Ended.
    Terminated,
}

impl ServiceStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [
        Self::Unknown,
        Self::Building,
        Self::Active,
        Self::Suspended,
        Self::Terminated,
    ];

    /// Whether a sub-user must stay usable because of this service.
    pub const fn keeps_user_active(self) -> bool {
        matches!(self, Self::Building | Self::Active)
    }

    /// Whether the service still exists at the suppliers.
    pub const fn exists(self) -> bool {
        matches!(self, Self::Building | Self::Active | Self::Suspended)
    }

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Building => "building",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Terminated => "terminated",
        }
    }
}

impl fmt::Display for ServiceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A licence that a service holds at 1H, known there by product and IP.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Licence {
    /// The 1H product, e.g. `Hive`.
    pub product: String,
    /// The IP it is active on.
    pub ip: String,
}

/// What a suspension did, or may have done, beside taking licences: what is to be undone, whatever
/// the catalogue says by then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Suspension {
    /// The device was switched off.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub powered_off: bool,
    /// The device's public addresses were null-routed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub null_routed: bool,
    /// The 1H sub-user that was suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// A service as the store knows it. A field that is absent is not known (yet).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceState {
    /// Where it stands, as last planned.
    pub status: ServiceStatus,
    /// The event that last settled the lifecycle; older ones are superseded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<OrderKey>,
    /// The newest `order.paid` that was planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordered: Option<OrderKey>,
    /// Whether its order has still to be carried out to the end, whatever its status says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unbuilt: bool,
    /// The event that last settled the package (product and options).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package_settled: Option<OrderKey>,
    /// The event that last said whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<OrderKey>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The billing platform's product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// The server's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The controlled client that the device belongs to; absent in the single account model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hivelocity_client_id: Option<i64>,
    /// Hivelocity's device; absent before one was ordered and after it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<i64>,
    /// The device as it was seen at Hivelocity: one that was and answers 404 is gone, not new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_seen: Option<i64>,
    /// Hivelocity's order of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_order_id: Option<i64>,
    /// Every order that the request became, where Hivelocity made several of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_orders: Vec<i64>,
    /// When the device was ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_ordered_at: Option<super::time::Timestamp>,
    /// Where Hivelocity's order stood when it was last looked at, in Hivelocity's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_order_status: Option<String>,
    /// When that order was first seen to be complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_order_complete_at: Option<super::time::Timestamp>,
    /// An order whose request may have left and of which nothing is known yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_order: Option<PendingOrder>,
    /// Since when the device, which was seen before, does not show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_missing_since: Option<super::time::Timestamp>,
    /// Earlier orders of the service that are over and brought nothing that is left.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dead_orders: Vec<i64>,
    /// The order groups that they went into.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dead_groups: Vec<i64>,
    /// The devices that they brought, which are cancelled or gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dead_devices: Vec<i64>,
    /// The Hivelocity product that was ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_product_id: Option<i64>,
    /// The location that was ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_location: Option<String>,
    /// The operating system that was ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_os: Option<String>,
    /// The device's primary public IP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The 1H sub-user that the licences belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_h_user: Option<String>,
    /// The sub-user that a build of this service ensured at 1H.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_h_user_made: Option<String>,
    /// The licences held now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<Licence>,
    /// Licences that a suspension took away, to be given back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub licenses_suspended: Vec<Licence>,
    /// What its suspension did; none: it is not suspended, or by a version that did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspension: Option<Suspension>,
    /// What its device was last asked to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// The customer whose the service is by the newest event, where that is not the one that it
    /// was built for and nothing has said that it was moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said_customer_id: Option<String>,
    /// The domain of the sub-user's 1H portal, where one was made for this service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub portal_domain: Option<String>,
    /// Why the service is suspended, in the billing platform's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend_reason: Option<String>,
    /// When the service was last renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewed_at: Option<super::time::Timestamp>,
}

impl ServiceState {
    /// Whether the order of it has still to be carried out to the end. Older versions said so by the
    /// status alone.
    pub fn is_unbuilt(&self) -> bool {
        self.unbuilt || self.status == ServiceStatus::Building
    }

    /// Its orders at Hivelocity, each once.
    pub fn order_ids(&self) -> Vec<i64> {
        let first = self.device_order_id;
        let others = self.device_orders.iter().copied();
        let mut orders: Vec<i64> = first.into_iter().collect();
        orders.extend(others.filter(|order| Some(*order) != first));
        orders
    }
}

/// A customer as the store knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CustomerState {
    /// `closed` once `customer.closed` was carried out.
    pub closed: bool,
    /// The event that last settled the customer's data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<OrderKey>,
    /// The newest `customer.reopened`: an older closing that comes late closes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reopened: Option<OrderKey>,
    /// E-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Full name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Company.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// Hivelocity's controlled client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hivelocity_client_id: Option<i64>,
    /// That client's own API key, sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hivelocity_token: Option<String>,
    /// The sub-users that the customer's closing suspended, or may have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub closed_users: Vec<String>,
    /// The customer's 1H sub-user (`sub_user_per = "customer"`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_h_user: Option<String>,
}

/// Sets the patch's top-level keys in a state; null removes one (RFC 7396).
pub fn patched<T>(state: &T, patch: &serde_json::Value) -> Result<T, serde_json::Error>
where
    T: Serialize + serde::de::DeserializeOwned,
{
    let mut document = serde_json::to_value(state)?;
    merge(&mut document, patch);
    from_document(document)
}

/// Reads a stored document. A first patch is stored as it is, so a key may be null: that is the
/// same as none.
pub fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    from_document(serde_json::from_str(text)?)
}

fn from_document<T>(mut document: serde_json::Value) -> Result<T, serde_json::Error>
where
    T: serde::de::DeserializeOwned,
{
    if let Some(object) = document.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    serde_json::from_value(document)
}

/// Merges a patch into a document or into another patch whose nulls must survive.
pub fn merge(target: &mut serde_json::Value, patch: &serde_json::Value) {
    let Some(changes) = patch.as_object() else {
        return;
    };
    if !target.is_object() {
        *target = serde_json::Value::Object(serde_json::Map::new());
    }
    if let Some(object) = target.as_object_mut() {
        for (key, value) in changes {
            object.insert(key.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_sets_and_removes_top_level_keys() {
        let state = ServiceState {
            device_id: Some(7),
            ip: Some("45.0.0.1".into()),
            ..Default::default()
        };
        let state = patched(&state, &json!({"device_id": null, "status": "active"})).unwrap();
        assert_eq!(
            (state.device_id, state.status),
            (None, ServiceStatus::Active)
        );
        assert_eq!(state.ip.as_deref(), Some("45.0.0.1"));
    }

    #[test]
    fn a_null_is_the_same_as_nothing_in_a_patch_and_in_a_stored_document() {
        let patch = json!({"licenses_suspended": null, "device_id": null, "status": "terminated"});
        let state = patched(&ServiceState::default(), &patch).unwrap();
        assert_eq!(state.status, ServiceStatus::Terminated);
        assert_eq!(read::<ServiceState>(&patch.to_string()).unwrap(), state);
    }

    #[test]
    fn nothing_is_no_patch() {
        let state = ServiceState {
            device_id: Some(7),
            ..Default::default()
        };
        assert_eq!(patched(&state, &serde_json::Value::Null).unwrap(), state);
    }
}
