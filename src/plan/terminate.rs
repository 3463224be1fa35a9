//! `service.terminated`: the service stops costing money. Pure.

use crate::catalogue::{DeactivateClient, Product};
use crate::domain::{ServiceStatus, StepAction};

use super::case::Case;
use super::patch::Patch;
use super::{Plan, Planned, Stop, device, licence, suspend, user};

/// The plan that ends a service, known or not, once or again.
///
/// It is planned anew each time: ending what has ended finds nothing and changes nothing, while
/// believing a record that is wrong would cost money every month. Even a service that was never
/// heard of is noted as terminated, so that its order, should it come late, buys nothing.
pub(super) fn plan(case: &Case<'_>) -> Planned {
    case.refuse_protected("terminate")?;
    let product = product(case)?;
    let mut steps = Vec::new();
    if let Some(hivelocity) = product.and_then(|product| product.hivelocity.as_ref()) {
        device::end(case, hivelocity, &mut steps);
    }
    steps.extend(
        licence::to_end(case, product)
            .iter()
            .map(|licence| licence::remove(licence, false)),
    );
    if case.moved().is_none() {
        end_shared(case, product, &mut steps);
    }
    Ok(patches(case, steps))
}

/// The product says what ending means; without it a device is nothing to guess about.
fn product<'a>(case: &Case<'a>) -> Result<Option<&'a Product>, Stop> {
    let ordered = case.service().device_product_id.is_some() && case.status().exists();
    let unclear = case.service().pending_order.is_some();
    if case.has_device() || ordered || unclear {
        return case.known_product().map(Some);
    }
    Ok(case.product())
}

/// What the customer's services share ends with the last of them; each of these steps looks
/// again when it begins.
fn end_shared(case: &Case<'_>, product: Option<&Product>, steps: &mut Vec<StepAction>) {
    if let Some(username) = user::made(case) {
        steps.push(StepAction::SuspendUser {
            username,
            unless_shared: true,
        });
    }
    let last = !case
        .situation
        .siblings
        .iter()
        .any(|sibling| sibling.state.status.exists());
    let wanted = matches!(
        case.situation.rules.deactivate_client,
        DeactivateClient::AfterLastService
    );
    let has_client = case.situation.customer.hivelocity_client_id.is_some()
        && product.is_some_and(|product| product.hivelocity.is_some());
    if case.multi() && wanted && last && has_client {
        steps.push(StepAction::DeactivateClient);
    }
}

fn patches(case: &Case<'_>, steps: Vec<StepAction>) -> Plan {
    let mut now = case.settled(ServiceStatus::Terminated);
    suspend::forget_unmade_user(case, &mut now);
    let suspended = steps.iter().find_map(|step| match step {
        StepAction::SuspendUser { username, .. } => Some(username),
        _ => None,
    });
    if let Some(username) = suspended {
        // Though this service may never have used it, it is why another one finds it suspended.
        now.set_text("one_h_user", username);
    }
    let mut end = Patch::default();
    end.remove("licenses_suspended");
    if steps
        .iter()
        .any(|step| matches!(step, StepAction::CancelDevice { .. }))
    {
        // The IP will be somebody else's; no later event may touch licences on it.
        end.remove("ip");
    }
    end.remove("suspension").remove("unbuilt");
    Plan {
        service_end: end.done(),
        ..Plan::of(steps, now)
    }
}
