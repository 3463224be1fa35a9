//! What the suppliers hold at one moment, for tests, the demo and comparisons. Plain data.

use std::collections::BTreeMap;

use serde::Serialize;

/// Everything both suppliers hold, and what took effect so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SandboxSnapshot {
    /// The controlled clients in the order of their ids.
    pub clients: Vec<ClientSnapshot>,
    /// The devices ever ordered, those that are gone included, in the order of their ids.
    pub devices: Vec<DeviceSnapshot>,
    /// The orders ever placed, in the order of their ids.
    pub orders: Vec<OrderSnapshot>,
    /// The order groups that are there, in the order of their ids.
    pub order_groups: Vec<OrderGroupSnapshot>,
    /// 1H's sub-users by name.
    pub sub_users: Vec<SubUserSnapshot>,
    /// 1H's present licences; a removed one is not among them.
    pub licences: Vec<LicenceSnapshot>,
    /// 1H's portals by sub-user.
    pub portals: Vec<PortalSnapshot>,
    /// How often each thing took effect.
    pub effects: EffectCounts,
    /// Requests that the real supplier would refuse as malformed, in plain words.
    pub violations: Vec<String>,
    /// Requests received, those that met a fault included.
    pub requests: u64,
    /// Requests that met a fault.
    pub faults_met: u64,
    /// Requests that Hivelocity turned away because of its limit.
    pub rate_limited: u64,
}

/// A controlled client account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientSnapshot {
    /// The account's id.
    pub id: u64,
    /// Its e-mail address.
    pub email: String,
    /// Its company, which carries our mark.
    pub company: String,
    /// False once deactivated, which is for good.
    pub active: bool,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceSnapshot {
    /// The device's id.
    pub device_id: u64,
    /// Its order's id.
    pub order_id: u64,
    /// The account that owns it.
    pub client_id: u64,
    /// Its host name.
    pub hostname: String,
    /// Its tags, which carry our mark.
    pub tags: Vec<String>,
    /// `ON`, `OFF` or `PENDING`.
    pub power_status: String,
    /// The primary address, once it has one.
    pub primary_ip: Option<String>,
    /// Whether its cancellation was asked for.
    pub cancelled: bool,
    /// Whether it can no longer be seen: cancelled and collected, or its order failed.
    pub gone: bool,
    /// Whether Hivelocity shows it to its owner.
    pub visible: bool,
    /// Its addresses that are null-routed.
    pub null_routed: Vec<String>,
    /// The product ordered.
    pub product_id: u64,
    /// The facility code.
    pub location: String,
    /// The operating system's name.
    pub os: String,
    /// The billing period.
    pub period: String,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderSnapshot {
    /// The order's id.
    pub order_id: u64,
    /// The account that placed it.
    pub client_id: u64,
    /// `verification`, `lead`, `provisioning`, `assembling`, `complete` or `cancelled`.
    pub status: String,
    /// The name of the order group it went into.
    pub group: Option<String>,
    /// The devices it brings, also those that nobody can see yet.
    pub device_ids: Vec<u64>,
    /// The tags of these devices.
    pub tags: Vec<String>,
}

/// An order group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderGroupSnapshot {
    /// The group's id.
    pub id: u64,
    /// The account it belongs to.
    pub client_id: u64,
    /// Its name, which carries our mark.
    pub name: String,
}

/// A 1H sub-user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubUserSnapshot {
    /// The unique name.
    pub username: String,
    /// The e-mail address.
    pub email: String,
    /// The full name.
    pub name: String,
    /// Whether it is suspended.
    pub suspended: bool,
}

/// A 1H licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LicenceSnapshot {
    /// The software.
    pub product: String,
    /// The address it is bound to.
    pub ip: String,
    /// The sub-user, or the master user.
    pub user: String,
    /// The label given.
    pub label: Option<String>,
    /// False while its sub-user is suspended.
    pub active: bool,
}

/// A 1H portal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortalSnapshot {
    /// The sub-user.
    pub username: String,
    /// The portal's address.
    pub ip: String,
    /// The portal's domain.
    pub portal_domain: String,
}

/// How often each thing took effect, by our mark; anything above one is a thing done twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EffectCounts {
    /// Devices ordered, by tag; an order without tags counts under the empty tag.
    pub devices: BTreeMap<String, u64>,
    /// Controlled clients created, by company.
    pub clients: BTreeMap<String, u64>,
    /// Sub-users created, by name.
    pub users: BTreeMap<String, u64>,
    /// Licences activated, by `product@ip`.
    pub licences: BTreeMap<String, u64>,
    /// Portals created, by sub-user.
    pub portals: BTreeMap<String, u64>,
    /// Everything else that changed something, by verb and target: `shutdown 50001`,
    /// `cancel 50001`, `null_route 45.0.0.2`, `suspend_user bh1`, `remove_license Hive@45.0.0.2`.
    pub actions: BTreeMap<String, u64>,
}

/// Effects and violations as they come about.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) effects: EffectCounts,
    pub(super) violations: Vec<String>,
}

impl Ledger {
    /// Counts an effect that is not a create.
    pub(super) fn acted(&mut self, verb: &str, target: impl std::fmt::Display) {
        *self
            .effects
            .actions
            .entry(format!("{verb} {target}"))
            .or_default() += 1;
    }
}
