//! Whether a newer event has settled what an older one is about. Pure.

use crate::domain::{EventType, OrderKey, ServiceState, ServiceStatus};

/// Why an event in its place `order` has nothing to say about the service any more, if so.
///
/// Asked when a run is planned, and again whenever one that stood still goes on: a newer run of the
/// lane may have passed it. Customers' events are judged when they are planned.
pub fn superseded(kind: EventType, order: &OrderKey, service: &ServiceState) -> Option<String> {
    match kind {
        EventType::OrderPaid => order_after(order, service),
        EventType::ServiceSuspended
        | EventType::ServiceUnsuspended
        | EventType::ServiceTerminated => settled_after(order, service),
        EventType::ServicePackageChanged => ended_after(order, service)
            .or_else(|| package_settled_after(order, service))
            .or_else(|| ordered_after(order, service)),
        EventType::ServiceRenewed => {
            ended_after(order, service).or_else(|| renewed_after(order, service))
        }
        EventType::ServiceAction => dark_after(order, service),
        EventType::ServiceMoved => {
            ended_after(order, service).or_else(|| moved_after(order, service))
        }
        EventType::CustomerCreated
        | EventType::CustomerUpdated
        | EventType::CustomerClosed
        | EventType::CustomerReopened
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

/// An order is over once a newer order, or the end of the service, was heard of. A suspension that
/// is newer does not make it pointless while there is something to build: it ends dark.
fn order_after(order: &OrderKey, service: &ServiceState) -> Option<String> {
    let ended = ended_after(order, service).or_else(|| ordered_after(order, service));
    if service.is_unbuilt() || service.status == ServiceStatus::Unknown {
        return ended;
    }
    ended
        .or_else(|| settled_after(order, service))
        .or_else(|| package_after(order, service))
}

fn ordered_after(order: &OrderKey, service: &ServiceState) -> Option<String> {
    // An older version noted one place for all that settles a service.
    let unsaid = service.status == ServiceStatus::Building && !service.unbuilt;
    let ordered = service.ordered.or(service.settled.filter(|_| unsaid));
    let newer = ordered.filter(|ordered| ordered > order)?;
    Some(format!("by the newer order of {}", newer.occurred_at))
}

/// An order that was carried out before the package changed would bring the old package's
/// licences back. While the build is unfinished a person decides instead, and one that pays for
/// a suspended service again brings it back as what it has become.
fn package_after(order: &OrderKey, service: &ServiceState) -> Option<String> {
    package_settled_after(order, service).filter(|_| service.status != ServiceStatus::Suspended)
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

fn moved_after(order: &OrderKey, service: &ServiceState) -> Option<String> {
    let newer = service.moved.filter(|moved| moved > order)?;
    Some(format!("by the newer move of {}", newer.occurred_at))
}
