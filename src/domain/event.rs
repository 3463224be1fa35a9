//! The normalised lifecycle event inside an accepted delivery (the native event).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// What a billing platform can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventType {
    /// An order was paid: its services are to exist.
    #[serde(rename = "order.paid")]
    OrderPaid,
    /// A service is overdue: it goes dark.
    #[serde(rename = "service.suspended")]
    ServiceSuspended,
    /// A service was paid again: it comes back.
    #[serde(rename = "service.unsuspended")]
    ServiceUnsuspended,
    /// A service ended: it stops costing money.
    #[serde(rename = "service.terminated")]
    ServiceTerminated,
    /// A service was renewed; recorded only.
    #[serde(rename = "service.renewed")]
    ServiceRenewed,
    /// A service has another product or other options.
    #[serde(rename = "service.package_changed")]
    ServicePackageChanged,
    /// A person asked for a power action or a reload.
    #[serde(rename = "service.action")]
    ServiceAction,
    /// A service belongs to another customer from now on.
    #[serde(rename = "service.moved")]
    ServiceMoved,
    /// A customer signed up.
    #[serde(rename = "customer.created")]
    CustomerCreated,
    /// A customer's name or address changed.
    #[serde(rename = "customer.updated")]
    CustomerUpdated,
    /// A customer left.
    #[serde(rename = "customer.closed")]
    CustomerClosed,
    /// A customer who had left is back.
    #[serde(rename = "customer.reopened")]
    CustomerReopened,
    /// A connection test.
    #[serde(rename = "test.ping")]
    TestPing,
}

impl EventType {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::OrderPaid,
        Self::ServiceSuspended,
        Self::ServiceUnsuspended,
        Self::ServiceTerminated,
        Self::ServiceRenewed,
        Self::ServicePackageChanged,
        Self::ServiceAction,
        Self::ServiceMoved,
        Self::CustomerCreated,
        Self::CustomerUpdated,
        Self::CustomerClosed,
        Self::CustomerReopened,
        Self::TestPing,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OrderPaid => "order.paid",
            Self::ServiceSuspended => "service.suspended",
            Self::ServiceUnsuspended => "service.unsuspended",
            Self::ServiceTerminated => "service.terminated",
            Self::ServiceRenewed => "service.renewed",
            Self::ServicePackageChanged => "service.package_changed",
            Self::ServiceAction => "service.action",
            Self::ServiceMoved => "service.moved",
            Self::CustomerCreated => "customer.created",
            Self::CustomerUpdated => "customer.updated",
            Self::CustomerClosed => "customer.closed",
            Self::CustomerReopened => "customer.reopened",
            Self::TestPing => "test.ping",
        }
    }

    /// Whether it is about services (one run each) rather than about the customer.
    pub const fn concerns_services(self) -> bool {
        !self.concerns_customer() && !matches!(self, Self::TestPing)
    }

    /// Whether it is about the customer (one run in the customer's lane).
    pub const fn concerns_customer(self) -> bool {
        matches!(
            self,
            Self::CustomerCreated
                | Self::CustomerUpdated
                | Self::CustomerClosed
                | Self::CustomerReopened
        )
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A type that Billhook does not know.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown event type")]
pub struct UnknownEventType;

impl FromStr for EventType {
    type Err = UnknownEventType;

    fn from_str(text: &str) -> Result<Self, UnknownEventType> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or(UnknownEventType)
    }
}

/// What `service.action` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Power on.
    Boot,
    /// Power cycle.
    Reboot,
    /// Power off.
    Shutdown,
    /// Install the operating system anew; the disks are wiped.
    Reload,
}

/// The billing platform's client. Texts may be empty, the id never is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// The platform's id of the client.
    pub id: String,
    /// E-mail address.
    #[serde(default)]
    pub email: String,
    /// Full name.
    #[serde(default)]
    pub name: String,
    /// Company, where there is one.
    #[serde(default)]
    pub company: String,
}

/// One ordered product instance as the event describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedService {
    /// The platform's id of the service.
    pub id: String,
    /// The platform's id of the product; empty where the event does not say.
    #[serde(default)]
    pub product_id: String,
    /// The server's name; may be empty.
    #[serde(default)]
    pub hostname: String,
    /// The platform's word for the billing cycle, e.g. `monthly`, `Semi-Annually`.
    #[serde(default)]
    pub billing_cycle: String,
    /// How many were ordered as one service.
    #[serde(default = "one")]
    pub quantity: u32,
    /// Configurable options by name.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Custom fields by name.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

const fn one() -> u32 {
    1
}

/// One normalised event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// Which copy of the billing platform says so, where it tells them apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<String>,
    /// When it happened at the billing platform.
    pub occurred_at: Timestamp,
    /// The platform's id of the order, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// Whose event it is; always there for `order.paid` and `customer.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Customer>,
    /// The services it is about; never empty where the type concerns services.
    #[serde(default)]
    pub services: Vec<OrderedService>,
    /// Only for `service.action`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Only for `service.moved`: a person has decided that the device stays in the controlled
    /// client that it was ordered in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps_device: bool,
    /// Why a service is suspended, in the platform's words; only for `service.suspended`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for kind in EventType::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
