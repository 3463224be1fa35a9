//! `service.suspended` and `service.unsuspended`: dark, and back. Pure.

use crate::catalogue::{LicenceOnSuspend, OneHProduct, Product, SubUserPer};
use crate::domain::{PauseReason, ServiceStatus, StepAction};

use super::case::Case;
use super::patch::Patch;
use super::{Plan, Planned, Stop, device, licence, suspension, user};

/// The plan that darkens a service. What is not built yet goes dark at the end of its order.
pub(super) fn suspended(case: &Case<'_>) -> Planned {
    case.refuse_protected("suspend")?;
    if case.status() == ServiceStatus::Terminated {
        return Err(Stop::Nothing(format!(
            "service {} is terminated already; nothing to suspend",
            case.id()
        )));
    }
    let mut notes = Vec::new();
    let mut steps = Vec::new();
    if case.status() != ServiceStatus::Unknown {
        steps = darken(case, case.known_product()?);
    }
    if case.status() == ServiceStatus::Unknown || case.service().is_unbuilt() && !is_there(case) {
        notes.push(format!(
            "service {} is not built yet; it goes dark as soon as it is",
            case.id()
        ));
    }
    notes.extend(case.moved_note());
    let mut now = case.settled(ServiceStatus::Suspended);
    if let Some(reason) = case.situation.event.reason.as_deref() {
        now.set_text("suspend_reason", reason);
        notes.push(format!("suspended for: {reason}"));
    }
    now.set("suspension", suspension::record(case));
    if case.status() == ServiceStatus::Unknown || case.service().is_unbuilt() {
        now.set("unbuilt", true);
    }
    forget_unmade_user(case, &mut now);
    Ok(Plan {
        notes,
        ..Plan::of(steps, now)
    })
}

/// The steps that darken what is there.
pub(super) fn darken(case: &Case<'_>, product: &Product) -> Vec<StepAction> {
    let mut steps = Vec::new();
    if let Some(hivelocity) = product.hivelocity.as_ref().filter(|_| is_there(case)) {
        device::darken(hivelocity.on_suspend, &case.tag(), &mut steps);
    }
    if let Some(one_h) = &product.one_h {
        darken_one_h(case, one_h, &mut steps);
    }
    steps
}

/// Whether there is a device to darken: one that is being built goes dark when it is up.
fn is_there(case: &Case<'_>) -> bool {
    let service = case.service();
    !service.is_unbuilt() || service.ip.is_some() || service.device_seen.is_some()
}

/// The plan that brings a service back.
pub(super) fn unsuspended(case: &Case<'_>) -> Planned {
    if case.status() == ServiceStatus::Terminated {
        return Err(ended(case, "unsuspended"));
    }
    let mut steps = Vec::new();
    if case.status() != ServiceStatus::Unknown {
        let product = case.known_product()?;
        if let Some(hivelocity) = product.hivelocity.as_ref().filter(|_| is_there(case)) {
            device::lighten(case, hivelocity.on_suspend, &mut steps);
        }
        lighten_one_h(case, product, &mut steps);
    }
    let mut customer_now = Patch::default();
    case.reopen(&mut customer_now);
    let mut now = case.settled(back(case));
    // Should this stop half-way, what is still dark is known.
    now.set("suspension", suspension::record(case));
    let mut end = Patch::default();
    end.remove("licenses_suspended").remove("suspension");
    Ok(Plan {
        customer_now: customer_now.done(),
        service_end: end.done(),
        notes: case.moved_note().into_iter().collect(),
        ..Plan::of(steps, now)
    })
}

/// What a service is that is not dark any more. A build that stands still is not finished by being
/// unsuspended.
fn back(case: &Case<'_>) -> ServiceStatus {
    let service = case.service();
    let was_ordered = service.ordered.is_some() || service.status == ServiceStatus::Building;
    match (service.is_unbuilt(), was_ordered) {
        _ if service.status == ServiceStatus::Unknown => ServiceStatus::Unknown,
        (true, false) => ServiceStatus::Unknown,
        (true, true) => ServiceStatus::Building,
        (false, _) => ServiceStatus::Active,
    }
}

fn darken_one_h(case: &Case<'_>, one_h: &OneHProduct, steps: &mut Vec<StepAction>) {
    match one_h.on_suspend {
        LicenceOnSuspend::SuspendUser => {
            // Where there is none there is none to suspend, which is no reason to leave the device
            // up; the start-up check warns of such a catalogue.
            if let Some(username) = user::made(case) {
                steps.push(StepAction::SuspendUser {
                    username,
                    unless_shared: true,
                });
            }
        }
        LicenceOnSuspend::RemoveLicense => {
            steps.extend(
                licence::to_suspend(case, one_h)
                    .iter()
                    .map(|licence| licence::remove(licence, true)),
            );
        }
        LicenceOnSuspend::None => {}
    }
}

/// Gives back what a suspension took, whatever the catalogue says by now.
fn lighten_one_h(case: &Case<'_>, product: &Product, steps: &mut Vec<StepAction>) {
    let user = user::made(case);
    if let Some(username) = user.clone().filter(|user| took(case, product, user))
        && !case.closed_since()
    {
        steps.push(StepAction::UnsuspendUser { username });
    }
    let label = label(case, product);
    let licences = &case.service().licenses_suspended;
    steps.extend(
        licences
            .iter()
            .map(|licence| licence::add(licence, user.as_deref(), &label)),
    );
}

/// Whether the sub-user may be suspended: by this service's suspension, or because of another.
fn took(case: &Case<'_>, product: &Product, user: &str) -> bool {
    let by_user = product
        .one_h
        .as_ref()
        .is_some_and(|one_h| matches!(one_h.on_suspend, LicenceOnSuspend::SuspendUser));
    match &case.service().suspension {
        Some(record) => record.user.is_some() || user::others_may_have_suspended(case, user),
        None => by_user || user::perhaps_suspended(case, user),
    }
}

/// A licence's label is for people; where the template cannot give one the host name will do.
pub(super) fn label(case: &Case<'_>, product: &Product) -> String {
    let rendered = product.one_h.as_ref().and_then(|one_h| {
        case.render(product.hivelocity.as_ref(), |variables| {
            one_h.render(variables)
        })
        .ok()
    });
    rendered.map_or_else(|| case.ordered.hostname.clone(), |spec| spec.label)
}

/// A sub-user that was planned for the service and never made is none to keep in mind.
pub(super) fn forget_unmade_user(case: &Case<'_>, patch: &mut Patch) {
    // Without sub-users in the rules there would be no other to take its place.
    let replaceable = !matches!(case.situation.rules.sub_user_per, SubUserPer::None);
    if replaceable && case.service().one_h_user.is_some() && user::made(case).is_none() {
        patch.remove("one_h_user");
    }
}

/// Nothing is done for a service that Billhook never built, and nobody is waited for.
pub(super) fn never_ordered(case: &Case<'_>, what: &str) -> Stop {
    Stop::Refuse(format!(
        "service {} was {what}, but it was never ordered through Billhook, so nothing is known of it; send its \
         order.paid first, then this again",
        case.id()
    ))
}

/// Why nothing can be done for a service that ended.
pub(super) fn ended(case: &Case<'_>, what: &str) -> Stop {
    let when = case
        .service()
        .settled
        .map(|settled| format!(" on {}", settled.occurred_at))
        .unwrap_or_default();
    Stop::Hold(
        PauseReason::WrongState,
        format!(
            "service {} was terminated{when} and {what} after that; what is gone does not come back: \
         order it as a new service and cancel this run",
            case.id()
        ),
    )
}
