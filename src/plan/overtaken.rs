//! Whether a newer event has settled what an older one is about. Pure.

use crate::domain::{EventType, OrderKey, ServiceState, ServiceStatus};

/// Why an event in its place `order` has nothing to say about the service any more, if so.
///
/// Asked when a run is planned; worth asking again whenever a run that stood still goes on,
/// because a newer run of the lane may have passed it meanwhile: what it would still do, and the
/// status that it would leave behind, are not wanted any more. Customers' events are judged when
/// they are planned.
pub(super) fn overtaken(
    kind: EventType,
    order: &OrderKey,
    service: &ServiceState,
) -> Option<String> {
    match kind {
        EventType::OrderPaid => {
            settled_after(order, service).or_else(|| package_after(order, service))
        }
        EventType::ServiceSuspended
        | EventType::ServiceUnsuspended
        | EventType::ServiceTerminated => settled_after(order, service),
        EventType::ServicePackageChanged => {
            ended_after(order, service).or_else(|| package_settled_after(order, service))
        }
        EventType::ServiceRenewed => {
            ended_after(order, service).or_else(|| renewed_after(order, service))
        }
        EventType::ServiceAction => dark_after(order, service),
        EventType::CustomerCreated
        | EventType::CustomerUpdated
        | EventType::CustomerClosed
        | EventType::TestPing => None,
    }
}

fn settled_after(order: &OrderKey, service: &ServiceState) -> Option<String> {
    let newer = service.settled.filter(|settled| settled > order)?;
    Some(format!(
        "by a newer event of {} that made the service {}",
        newer.occurred_at, service.status
    ))
}

/// An order that was carried out before the package changed would bring the old package's
/// licences back. While the build is unfinished a person decides instead, and one that pays for
/// a suspended service again brings it back as what it has become.
fn package_after(order: &OrderKey, service: &ServiceState) -> Option<String> {
    let open = matches!(
        service.status,
        ServiceStatus::Building | ServiceStatus::Suspended
    );
    package_settled_after(order, service).filter(|_| !open)
}

fn package_settled_after(order: &OrderKey, service: &ServiceState) -> Option<String> {
    let newer = service.package_settled.filter(|settled| settled > order)?;
    Some(format!(
        "by the newer package change of {}",
        newer.occurred_at
    ))
}

fn ended_after(order: &OrderKey, service: &ServiceState) -> Option<String> {
    (service.status == ServiceStatus::Terminated)
        .then(|| settled_after(order, service))
        .flatten()
}

/// An action that was asked for before the service went dark is not wanted any more.
fn dark_after(order: &OrderKey, service: &ServiceState) -> Option<String> {
    let dark = matches!(
        service.status,
        ServiceStatus::Suspended | ServiceStatus::Terminated
    );
    dark.then(|| settled_after(order, service)).flatten()
}

fn renewed_after(order: &OrderKey, service: &ServiceState) -> Option<String> {
    let newer = service
        .renewed_at
        .filter(|renewed| *renewed > order.occurred_at)?;
    Some(format!("by the newer renewal of {newer}"))
}
