//! Whether an event about a service deserves a run at all: the receiver's question. Pure.

use crate::catalogue::{AccountModel, Catalogue, CreateClientOn};
use crate::domain::{EventType, OrderedService};

use super::Rules;

/// What the receiver does with a service (or the customer) of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concern {
    /// Make a run.
    Run,
    /// Make a run if the store knows the service: its product may have left the catalogue, and
    /// a service that costs money is never ignored. Else the reason for ignoring it.
    RunIfKnown(String),
    /// Make none, for this reason.
    Ignore(String),
}

/// Whether an event of `kind` about `service` (none: about the customer) is for Billhook.
pub fn concerns(
    source: &str,
    kind: EventType,
    service: Option<&OrderedService>,
    catalogue: &Catalogue,
    rules: &Rules,
) -> Concern {
    match kind {
        EventType::TestPing => Concern::Ignore("a connection test; nothing to do".to_owned()),
        EventType::CustomerCreated => created(rules),
        EventType::CustomerUpdated | EventType::CustomerClosed => Concern::Run,
        EventType::OrderPaid
        | EventType::ServiceSuspended
        | EventType::ServiceUnsuspended
        | EventType::ServiceTerminated
        | EventType::ServiceRenewed
        | EventType::ServicePackageChanged
        | EventType::ServiceAction => of_service(source, kind, service, catalogue),
    }
}

fn created(rules: &Rules) -> Concern {
    match (&rules.account_model, &rules.create_client_on) {
        (AccountModel::Multi, CreateClientOn::Signup) => Concern::Run,
        (AccountModel::Multi, CreateClientOn::FirstOrder) | (AccountModel::Single, _) => {
            Concern::Ignore(
                "customer.created needs nothing here: create_client_on is not \"signup\""
                    .to_owned(),
            )
        }
    }
}

fn of_service(
    source: &str,
    kind: EventType,
    service: Option<&OrderedService>,
    catalogue: &Catalogue,
) -> Concern {
    let Some(service) = service else {
        return Concern::Ignore(format!("{kind} names no service"));
    };
    let id = &service.product_id;
    if id.is_empty() || catalogue.find(source, id).is_some() {
        return Concern::Run;
    }
    let reason = format!("product {id} is not in the catalogue");
    // Orders are known services only when they are paid again; the planner sorts that out.
    Concern::RunIfKnown(reason)
}
