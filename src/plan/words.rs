//! How a step's upstream and its mark are called in sentences for people. Pure.

use crate::domain::step::DEVICE_IP;
use crate::domain::{Step, StepAction as A};

/// What an unclear step waits for.
pub(super) fn looking(step: &Step) -> String {
    format!(
        "{}'s answer was unclear; looking for {} before anything is sent again",
        upstream(step),
        sought(step)
    )
}

/// The upstream's name as people know it.
pub(super) fn upstream(step: &Step) -> &'static str {
    match step.action.upstream() {
        "hivelocity" => "Hivelocity",
        "one_h" => "1H",
        _ => "the billing platform",
    }
}

/// The mark that tells whether the step took effect.
pub(super) fn sought(step: &Step) -> String {
    match &step.action {
        A::CreateClient { mark, .. } => format!("the controlled client marked {mark}"),
        A::DeployDevice { tag, .. } => format!("the device tagged {tag}"),
        A::ReloadDevice { tag, .. } => format!("the reload of the device tagged {tag}"),
        A::AddUser { username, .. } => format!("the sub-user {username}"),
        A::AddLicense { product, ip, .. } => {
            let ip = ip.replace(DEVICE_IP, "the device's IP");
            format!("the {product} licence on {ip}")
        }
        A::AwaitDevice { .. }
        | A::Power { .. }
        | A::NullRoute { .. }
        | A::RemoveNullRoute { .. }
        | A::CancelDevice { .. }
        | A::DeactivateClient
        | A::UpdateUser { .. }
        | A::SuspendUser { .. }
        | A::UnsuspendUser { .. }
        | A::RemoveLicense { .. }
        | A::AddPortal { .. }
        | A::UpdatePortal { .. }
        | A::Report { .. } => "its effect".to_owned(),
    }
}
