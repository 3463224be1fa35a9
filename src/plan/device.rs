//! Hivelocity's part of a plan: building a device, darkening it, ending it. Pure.

use crate::catalogue::{
    DeviceOnSuspend, DeviceOnTerminate, DeviceSpec, HivelocityProduct, RenderError,
};
use crate::domain::step::PowerAction;
use crate::domain::{PauseReason, ServiceStatus, StepAction};

use super::case::Case;
use super::{Stop, marks};

/// The step that ensures the customer's controlled client.
pub(super) fn create_client(
    owner_email: &str,
    customer: &crate::domain::Customer,
    source: &str,
) -> StepAction {
    StepAction::CreateClient {
        email: owner_email.to_owned(),
        company: marks::client_company(customer, source),
        mark: marks::client_mark(source, &customer.id),
    }
}

/// What the catalogue makes of the order, or a person is asked.
pub(super) fn spec(case: &Case<'_>, device: &HivelocityProduct) -> Result<DeviceSpec, Stop> {
    case.render(Some(device), |variables| device.render(variables))
        .map_err(|error| refused(&error))
}

fn refused(error: &RenderError) -> Stop {
    // No catalogue can mend what the event says.
    let why = match error {
        RenderError::Hostname { .. } => PauseReason::Event,
        RenderError::Text { .. }
        | RenderError::Empty { .. }
        | RenderError::Unfit { .. }
        | RenderError::Cycle { .. } => PauseReason::Catalogue,
    };
    Stop::Hold(why, format!("{error}; nothing was done"))
}

/// The same in the event's words, for what orders nothing: a name that no server can have is no
/// reason to hold it up.
pub(super) fn asked(case: &Case<'_>, device: &HivelocityProduct) -> Result<DeviceSpec, Stop> {
    case.render(Some(device), |variables| device.asked(variables))
        .map_err(|error| refused(&error))
}

/// The steps that build the device.
pub(super) fn build(case: &Case<'_>, spec: DeviceSpec, steps: &mut Vec<StepAction>) {
    let rules = case.situation.rules;
    if case.multi() {
        steps.push(create_client(
            &rules.owner_email,
            &case.customer,
            case.situation.source,
        ));
    }
    steps.push(StepAction::DeployDevice {
        product_id: spec.product_id,
        location: spec.location,
        os: spec.os,
        hostname: spec.hostname,
        period: spec.period,
        tag: case.tag(),
    });
    steps.push(StepAction::AwaitDevice { tag: case.tag() });
}

/// The steps that darken the device. The null route comes first: should the shutdown get stuck,
/// the service is dark all the same.
pub(super) fn darken(on_suspend: DeviceOnSuspend, tag: &str, steps: &mut Vec<StepAction>) {
    let null_route = StepAction::NullRoute {
        tag: tag.to_owned(),
    };
    let shutdown = StepAction::Power {
        action: PowerAction::Shutdown,
        tag: tag.to_owned(),
    };
    match on_suspend {
        DeviceOnSuspend::Shutdown => steps.push(shutdown),
        DeviceOnSuspend::NullRoute => steps.push(null_route),
        DeviceOnSuspend::ShutdownAndNullRoute => steps.extend([null_route, shutdown]),
        DeviceOnSuspend::None => {}
    }
}

/// The steps that bring the device back: what its suspension did is undone.
pub(super) fn lighten(case: &Case<'_>, on_suspend: DeviceOnSuspend, steps: &mut Vec<StepAction>) {
    let on_suspend = darkened(case, on_suspend);
    let tag = case.tag();
    let open = StepAction::RemoveNullRoute { tag: tag.clone() };
    let boot = StepAction::Power {
        action: PowerAction::Boot,
        tag,
    };
    match on_suspend {
        DeviceOnSuspend::Shutdown => steps.push(boot),
        DeviceOnSuspend::NullRoute => steps.push(open),
        DeviceOnSuspend::ShutdownAndNullRoute => steps.extend([open, boot]),
        DeviceOnSuspend::None => {}
    }
}

/// How the device went dark. An older version kept no record of it. Then it went the product's way;
/// where the package has changed, or is another one than the event says because the news of the
/// change is late, it may have gone the way of another product: undoing what was not done finds
/// nothing to do.
fn darkened(case: &Case<'_>, on_suspend: DeviceOnSuspend) -> DeviceOnSuspend {
    let service = case.service();
    let another = service.product_id.as_ref() != Some(&case.ordered.product_id);
    let record = service.suspension.as_ref();
    match record.map(|record| (record.powered_off, record.null_routed)) {
        Some((true, true)) => DeviceOnSuspend::ShutdownAndNullRoute,
        Some((true, false)) => DeviceOnSuspend::Shutdown,
        Some((false, true)) => DeviceOnSuspend::NullRoute,
        Some((false, false)) => DeviceOnSuspend::None,
        None if service.package_settled.is_some() || another => {
            DeviceOnSuspend::ShutdownAndNullRoute
        }
        None => on_suspend,
    }
}

/// The step that ends the device, by the product's rule.
///
/// Cancelling looks for the device's mark and is content to find nothing, so it is planned
/// even where nothing is known of a device: an order may have gone out whose answer was lost.
/// A shutdown wants a device that exists.
pub(super) fn end(case: &Case<'_>, device: &HivelocityProduct, steps: &mut Vec<StepAction>) {
    match device.on_terminate {
        DeviceOnTerminate::Cancel if findable(case) => {
            steps.push(StepAction::CancelDevice { tag: case.tag() });
        }
        DeviceOnTerminate::Shutdown
            if case.has_device() || case.status() == ServiceStatus::Building =>
        {
            steps.push(StepAction::Power {
                action: PowerAction::Shutdown,
                tag: case.tag(),
            });
        }
        DeviceOnTerminate::Cancel | DeviceOnTerminate::Shutdown | DeviceOnTerminate::None => {}
    }
}

/// Whether Billhook would know where to look for the device.
fn findable(case: &Case<'_>) -> bool {
    let known_client = case.service().hivelocity_client_id.is_some()
        || case.situation.customer.hivelocity_client_id.is_some();
    !case.multi() || known_client || !case.customer.id.is_empty() || case.has_device()
}

/// In words how the wanted hardware differs from what was ordered, if it does.
pub(super) fn difference(
    case: &Case<'_>,
    was: Option<&HivelocityProduct>,
    wanted: &DeviceSpec,
) -> Option<String> {
    let service = case.service();
    let mut differences = Vec::new();
    let product = service
        .device_product_id
        .or_else(|| was.map(|device| device.product_id));
    if let Some(product) = product.filter(|product| *product != wanted.product_id) {
        differences.push(format!("product {product} → {}", wanted.product_id));
    }
    if let Some(location) = service
        .device_location
        .as_deref()
        .filter(|known| *known != wanted.location)
    {
        differences.push(format!("location {location} → {}", wanted.location));
    }
    (!differences.is_empty()).then(|| differences.join(", "))
}
