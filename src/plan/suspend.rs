//! `service.suspended` and `service.unsuspended`: dark, and back. Pure.

use crate::catalogue::{LicenceOnSuspend, OneHProduct, Product, SubUserPer};
use crate::domain::{PauseReason, ServiceStatus, StepAction};

use super::case::Case;
use super::patch::Patch;
use super::{Plan, Planned, Stop, device, licence, user};

/// The plan that darkens a service.
pub(super) fn suspended(case: &Case<'_>) -> Planned {
    case.refuse_protected("suspend")?;
    match case.status() {
        ServiceStatus::Unknown => return Err(never_ordered(case, "suspended")),
        ServiceStatus::Terminated => {
            return Err(Stop::Nothing(format!(
                "service {} is terminated already; nothing to suspend",
                case.id()
            )));
        }
        ServiceStatus::Building | ServiceStatus::Active | ServiceStatus::Suspended => {}
    }
    let product = case.known_product()?;
    let mut steps = Vec::new();
    if let Some(hivelocity) = &product.hivelocity {
        device::darken(hivelocity.on_suspend, &case.tag(), &mut steps);
    }
    if let Some(one_h) = &product.one_h {
        darken_one_h(case, one_h, &mut steps)?;
    }
    let mut now = case.settled(ServiceStatus::Suspended);
    forget_unmade_user(case, &mut now);
    Ok(Plan {
        steps,
        service_now: now.done(),
        customer_now: Patch::default().done(),
        service_end: Patch::default().done(),
        customer_end: Patch::default().done(),
    })
}

/// The plan that brings a service back.
pub(super) fn unsuspended(case: &Case<'_>) -> Planned {
    match case.status() {
        ServiceStatus::Unknown => return Err(never_ordered(case, "unsuspended")),
        ServiceStatus::Terminated => return Err(ended(case, "unsuspended")),
        ServiceStatus::Building | ServiceStatus::Active | ServiceStatus::Suspended => {}
    }
    let product = case.known_product()?;
    let mut steps = Vec::new();
    if let Some(hivelocity) = &product.hivelocity {
        device::lighten(case, hivelocity.on_suspend, &mut steps);
    }
    lighten_one_h(case, product, &mut steps);
    // A build that stands still is not finished by being unsuspended.
    let building = case.status() == ServiceStatus::Building;
    let status = if building {
        ServiceStatus::Building
    } else {
        ServiceStatus::Active
    };
    let mut customer_now = Patch::default();
    case.reopen(&mut customer_now);
    let mut end = Patch::default();
    end.remove("licenses_suspended");
    Ok(Plan {
        steps,
        service_now: case.settled(status).done(),
        customer_now: customer_now.done(),
        service_end: end.done(),
        customer_end: Patch::default().done(),
    })
}

fn darken_one_h(
    case: &Case<'_>,
    one_h: &OneHProduct,
    steps: &mut Vec<StepAction>,
) -> Result<(), Stop> {
    match one_h.on_suspend {
        LicenceOnSuspend::SuspendUser => {
            refuse_wrong_user(case)?;
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
    Ok(())
}

/// `suspend_user` has to find the right sub-user. Where there is none there is none to suspend,
/// which is no reason to leave the device up; the start-up check warns of such a catalogue.
fn refuse_wrong_user(case: &Case<'_>) -> Result<(), Stop> {
    if let Some((was, is)) = case.moved() {
        return Err(Stop::Hold(
            PauseReason::Difference,
            format!(
                "service {} was built for customer {was}, the event names customer {is}; whose 1H sub-user is to be \
             suspended is for a person to say: do it by hand and cancel this run",
                case.id()
            ),
        ));
    }
    Ok(())
}

/// Gives back what a suspension took, whatever the catalogue says by now.
fn lighten_one_h(case: &Case<'_>, product: &Product, steps: &mut Vec<StepAction>) {
    let user = user::made(case);
    let by_user = product
        .one_h
        .as_ref()
        .is_some_and(|one_h| matches!(one_h.on_suspend, LicenceOnSuspend::SuspendUser));
    if let Some(username) = user
        .clone()
        .filter(|user| by_user || user::perhaps_suspended(case, user))
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

/// A licence's label is for people; where the template cannot give one the host name will do.
fn label(case: &Case<'_>, product: &Product) -> String {
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

/// Why nothing can be done for a service that Billhook never built.
pub(super) fn never_ordered(case: &Case<'_>, what: &str) -> Stop {
    Stop::Hold(
        PauseReason::WrongState,
        format!(
            "service {} was {what}, but it was never ordered through Billhook, so nothing is known of it; send its \
         order.paid first and retry, or set it right by hand and cancel this run",
            case.id()
        ),
    )
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
