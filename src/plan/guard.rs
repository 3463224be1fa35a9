//! Whether a step still makes sense in the moment it begins. Pure.
//!
//! A plan may be hours old when a step's turn comes: another service of the customer was
//! ordered meanwhile, or a newer run of the lane has passed one that stood still.

use crate::domain::step::{DEVICE_IP, PowerAction};
use crate::domain::{CustomerState, Licence, ServiceState, ServiceStatus, StepAction};

use super::{Sibling, user};

/// What is to become of a step that is about to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Begin it.
    Proceed,
    /// It is not needed (any more), for this reason.
    Skip(String),
}

/// Asked when a step begins, with fresh state (under the customer's claim where the step needs
/// it). In a customer's lane `service` is the default and `siblings` are all of its services.
pub fn guard(
    action: &StepAction,
    service: &ServiceState,
    customer: &CustomerState,
    siblings: &[Sibling<'_>],
) -> Guard {
    reason_to_skip(action, service, customer, siblings).map_or(Guard::Proceed, Guard::Skip)
}

fn reason_to_skip(
    action: &StepAction,
    service: &ServiceState,
    customer: &CustomerState,
    siblings: &[Sibling<'_>],
) -> Option<String> {
    match action {
        StepAction::CreateClient { .. } => client_known(customer).or_else(|| ended(service)),
        StepAction::DeployDevice { .. }
        | StepAction::AwaitDevice { .. }
        | StepAction::AddUser { .. }
        | StepAction::AddPortal { .. }
        | StepAction::UpdatePortal { .. } => ended(service),
        StepAction::AddLicense { product, ip, .. } => {
            ended(service).or_else(|| kept_back(product, ip, service))
        }
        StepAction::Power {
            action: PowerAction::Boot | PowerAction::Reboot,
            ..
        }
        | StepAction::RemoveNullRoute { .. }
        | StepAction::ReloadDevice { .. } => dark(service),
        StepAction::NullRoute { .. } => light(service),
        StepAction::CancelDevice { .. } => not_ended(service),
        StepAction::DeactivateClient => not_ended(service).or_else(|| client_needed(siblings)),
        StepAction::SuspendUser {
            unless_shared: true,
            username,
        } => light(service).or_else(|| kept(username, siblings)),
        StepAction::UnsuspendUser { .. } => closed(customer).or_else(|| dark(service)),
        StepAction::RemoveLicense {
            product,
            ip,
            suspension,
            ..
        } => {
            let licence = Licence {
                product: product.clone(),
                ip: ip.clone(),
            };
            let revived = if *suspension { light(service) } else { None };
            revived.or_else(|| held(&licence, *suspension, siblings))
        }
        StepAction::Power {
            action: PowerAction::Shutdown,
            ..
        }
        | StepAction::SuspendUser {
            unless_shared: false,
            ..
        }
        | StepAction::UpdateUser { .. }
        | StepAction::Report { .. } => None,
    }
}

fn client_known(customer: &CustomerState) -> Option<String> {
    customer
        .hivelocity_client_id
        .map(|id| format!("the customer has controlled client {id} already"))
}

fn ended(service: &ServiceState) -> Option<String> {
    (service.status == ServiceStatus::Terminated)
        .then(|| "the service was terminated meanwhile".to_owned())
}

/// A suspension took the licence; unsuspending gives it back.
fn kept_back(product: &str, ip: &str, service: &ServiceState) -> Option<String> {
    let device_ip = service.ip.as_deref().unwrap_or(DEVICE_IP);
    let licence = Licence {
        product: product.to_owned(),
        ip: ip.replace(DEVICE_IP, device_ip),
    };
    let dark = service.status == ServiceStatus::Suspended;
    (dark && service.licenses_suspended.contains(&licence))
        .then(|| "the service is suspended meanwhile and gets it back with the rest".to_owned())
}

fn not_ended(service: &ServiceState) -> Option<String> {
    service.status.exists().then(|| {
        format!(
            "the service is not terminated any more, it is {}",
            service.status
        )
    })
}

fn dark(service: &ServiceState) -> Option<String> {
    let dark = matches!(
        service.status,
        ServiceStatus::Suspended | ServiceStatus::Terminated
    );
    dark.then(|| format!("the service is {} meanwhile", service.status))
}

fn light(service: &ServiceState) -> Option<String> {
    service
        .status
        .keeps_user_active()
        .then(|| format!("the service is {} meanwhile", service.status))
}

fn closed(customer: &CustomerState) -> Option<String> {
    customer
        .closed
        .then(|| "the customer was closed".to_owned())
}

fn kept(username: &str, siblings: &[Sibling<'_>]) -> Option<String> {
    user::kept_by(username, siblings)
        .map(|id| format!("service {id} of the same sub-user stays active"))
}

fn client_needed(siblings: &[Sibling<'_>]) -> Option<String> {
    let other = siblings
        .iter()
        .find(|sibling| sibling.state.status.exists())?;
    Some(format!(
        "service {} of the customer still exists",
        other.service_id
    ))
}

/// 1H knows a licence by product and IP alone: two services on one IP share it.
fn held(licence: &Licence, suspension: bool, siblings: &[Sibling<'_>]) -> Option<String> {
    let needs = |status: ServiceStatus| {
        if suspension {
            status.keeps_user_active()
        } else {
            status.exists()
        }
    };
    let other = siblings
        .iter()
        .find(|sibling| needs(sibling.state.status) && sibling.state.licenses.contains(licence))?;
    Some(format!(
        "service {} holds {} on {} too",
        other.service_id, licence.product, licence.ip
    ))
}
