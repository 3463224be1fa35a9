//! A step: one upstream operation of a run, as data.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::Action;

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Not begun.
    Pending,
    /// An attempt was recorded and is under way.
    Running,
    /// Between two looks or two tries.
    Waiting,
    /// The request may have taken effect; a look decides.
    Unknown,
    /// Needs a person.
    Paused,
    /// Done.
    Succeeded,
    /// Not needed.
    Skipped,
    /// Not done because the run ended first.
    Cancelled,
}

impl StepStatus {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Running,
        Self::Waiting,
        Self::Unknown,
        Self::Paused,
        Self::Succeeded,
        Self::Skipped,
        Self::Cancelled,
    ];

    /// The name on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
            Self::Paused => "paused",
            Self::Succeeded => "succeeded",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the name back.
    pub fn from_name(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == text)
    }

    /// Whether the run may go on to the next step.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Skipped | Self::Cancelled)
    }
}

impl fmt::Display for StepStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A power action at Hivelocity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerAction {
    /// Switch on.
    Boot,
    /// Power cycle.
    Reboot,
    /// Switch off.
    Shutdown,
}

impl PowerAction {
    /// The value of Hivelocity's `action` parameter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Reboot => "reboot",
            Self::Shutdown => "shutdown",
        }
    }

    /// The power action that an event's action means; none for a reload.
    pub const fn of(action: Action) -> Option<Self> {
        match action {
            Action::Boot => Some(Self::Boot),
            Action::Reboot => Some(Self::Reboot),
            Action::Shutdown => Some(Self::Shutdown),
            Action::Reload => None,
        }
    }
}

/// Stands in a planned text for the IP that the device will have; put in when the step begins.
pub const DEVICE_IP: &str = "{device.ip}";
/// Stands in a planned text for the device's id.
pub const DEVICE_ID: &str = "{device.id}";

/// What a step does, with everything it needs. Executing chooses nothing any more.
///
/// The controlled client, the device and its IP are not here: they are state, filled in by
/// the steps before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum StepAction {
    /// Ensure the customer's controlled client.
    #[serde(rename = "hivelocity.create_client")]
    CreateClient {
        /// The primary account's address, used for every controlled client.
        email: String,
        /// Company with its mark: `<company or name> [<source>:<customer_id>]`.
        company: String,
        /// The mark alone: `[<source>:<customer_id>]`.
        mark: String,
    },
    /// Order the device, once.
    #[serde(rename = "hivelocity.deploy_device")]
    DeployDevice {
        /// Hivelocity's product.
        product_id: i64,
        /// Facility code.
        location: String,
        /// Operating system's name.
        os: String,
        /// Fully qualified host name.
        hostname: String,
        /// Billing period in Hivelocity's words.
        period: String,
        /// The device's mark: `billhook:<source>:<service_id>`.
        tag: String,
    },
    /// Wait until the device is up with an IP.
    #[serde(rename = "hivelocity.await_device")]
    AwaitDevice {
        /// The device's mark.
        tag: String,
    },
    /// Switch the device.
    #[serde(rename = "hivelocity.power")]
    Power {
        /// What to do.
        action: PowerAction,
        /// The device's mark.
        tag: String,
    },
    /// Null-route every public IPv4 of the device.
    #[serde(rename = "hivelocity.null_route")]
    NullRoute {
        /// The device's mark.
        tag: String,
    },
    /// Take the null routes away again.
    #[serde(rename = "hivelocity.remove_null_route")]
    RemoveNullRoute {
        /// The device's mark.
        tag: String,
    },
    /// Cancel the device.
    #[serde(rename = "hivelocity.cancel_device")]
    CancelDevice {
        /// The device's mark.
        tag: String,
    },
    /// Install the operating system anew.
    #[serde(rename = "hivelocity.reload_device")]
    ReloadDevice {
        /// Operating system's name.
        os: String,
        /// Host name.
        hostname: String,
        /// The device's mark.
        tag: String,
    },
    /// Deactivate the controlled client for ever.
    #[serde(rename = "hivelocity.deactivate_client")]
    DeactivateClient,
    /// Ensure the sub-user.
    #[serde(rename = "one_h.add_user")]
    AddUser {
        /// Name, derived from source and customer or service.
        username: String,
        /// The customer's address.
        email: String,
        /// The customer's name.
        name: String,
    },
    /// Bring the sub-user's address and name up to date.
    #[serde(rename = "one_h.update_user")]
    UpdateUser {
        /// Name of the sub-user.
        username: String,
        /// New address.
        email: String,
        /// New name.
        name: String,
    },
    /// Suspend the sub-user.
    #[serde(rename = "one_h.suspend_user")]
    SuspendUser {
        /// Name of the sub-user.
        username: String,
        /// Suspend only when no other service of it stays active.
        unless_shared: bool,
    },
    /// Unsuspend the sub-user.
    #[serde(rename = "one_h.unsuspend_user")]
    UnsuspendUser {
        /// Name of the sub-user.
        username: String,
    },
    /// Activate a licence.
    #[serde(rename = "one_h.add_license")]
    AddLicense {
        /// 1H product.
        product: String,
        /// IP, possibly [`DEVICE_IP`].
        ip: String,
        /// Sub-user; none: the master account.
        username: Option<String>,
        /// Description at 1H.
        label: String,
    },
    /// Remove a licence.
    #[serde(rename = "one_h.remove_license")]
    RemoveLicense {
        /// 1H product.
        product: String,
        /// IP.
        ip: String,
        /// Whether a suspension takes it away, so that it is given back later.
        suspension: bool,
        /// Whose it is, where that is not the sub-user that the service has by now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<String>,
    },
    /// Make the sub-user's portal.
    #[serde(rename = "one_h.add_portal")]
    AddPortal {
        /// Sub-user.
        username: String,
        /// IP, possibly [`DEVICE_IP`].
        ip: String,
        /// Domain.
        portal_domain: String,
    },
    /// Change the sub-user's portal.
    #[serde(rename = "one_h.update_portal")]
    UpdatePortal {
        /// Sub-user.
        username: String,
        /// IP, possibly [`DEVICE_IP`].
        ip: String,
        /// Domain.
        portal_domain: String,
    },
    /// Tell the billing platform how it went: in journals of older versions. Runs pass over it; what
    /// is told is in the outbox.
    #[serde(rename = "billing.report")]
    Report {
        /// The service's status to report.
        status: String,
    },
}

/// What a repeated attempt could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It makes something that costs money: look for the mark first, and look again for a
    /// while after an unclear answer before it is ever sent again.
    Create,
    /// Doing it twice is the same as doing it once.
    Harmless,
    /// Doing it twice destroys something: an unclear answer that a look cannot settle goes to a
    /// person.
    Destructive,
}

impl StepAction {
    /// The step's kind, as operators and policies name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::CreateClient { .. } => "hivelocity.create_client",
            Self::DeployDevice { .. } => "hivelocity.deploy_device",
            Self::AwaitDevice { .. } => "hivelocity.await_device",
            Self::Power { .. } => "hivelocity.power",
            Self::NullRoute { .. } => "hivelocity.null_route",
            Self::RemoveNullRoute { .. } => "hivelocity.remove_null_route",
            Self::CancelDevice { .. } => "hivelocity.cancel_device",
            Self::ReloadDevice { .. } => "hivelocity.reload_device",
            Self::DeactivateClient => "hivelocity.deactivate_client",
            Self::AddUser { .. } => "one_h.add_user",
            Self::UpdateUser { .. } => "one_h.update_user",
            Self::SuspendUser { .. } => "one_h.suspend_user",
            Self::UnsuspendUser { .. } => "one_h.unsuspend_user",
            Self::AddLicense { .. } => "one_h.add_license",
            Self::RemoveLicense { .. } => "one_h.remove_license",
            Self::AddPortal { .. } => "one_h.add_portal",
            Self::UpdatePortal { .. } => "one_h.update_portal",
            Self::Report { .. } => "billing.report",
        }
    }

    /// Every kind that is planned, and that a policy may name.
    pub const KINDS: [&'static str; 17] = [
        "hivelocity.create_client",
        "hivelocity.deploy_device",
        "hivelocity.await_device",
        "hivelocity.power",
        "hivelocity.null_route",
        "hivelocity.remove_null_route",
        "hivelocity.cancel_device",
        "hivelocity.reload_device",
        "hivelocity.deactivate_client",
        "one_h.add_user",
        "one_h.update_user",
        "one_h.suspend_user",
        "one_h.unsuspend_user",
        "one_h.add_license",
        "one_h.remove_license",
        "one_h.add_portal",
        "one_h.update_portal",
    ];

    /// Which upstream it concerns: `hivelocity`, `one_h` or `billing`.
    pub fn upstream(&self) -> &'static str {
        self.kind()
            .split_once('.')
            .map_or("billing", |(upstream, _)| upstream)
    }

    /// What a repeated attempt could do.
    pub const fn repeat(&self) -> Repeat {
        match self {
            Self::CreateClient { .. }
            | Self::DeployDevice { .. }
            | Self::AddUser { .. }
            | Self::AddLicense { .. } => Repeat::Create,
            Self::ReloadDevice { .. } => Repeat::Destructive,
            Self::AwaitDevice { .. }
            | Self::Power { .. }
            | Self::NullRoute { .. }
            | Self::RemoveNullRoute { .. }
            | Self::CancelDevice { .. }
            | Self::DeactivateClient
            | Self::UpdateUser { .. }
            | Self::SuspendUser { .. }
            | Self::UnsuspendUser { .. }
            | Self::RemoveLicense { .. }
            | Self::AddPortal { .. }
            | Self::UpdatePortal { .. }
            | Self::Report { .. } => Repeat::Harmless,
        }
    }

    /// Whether two services of one customer could get in each other's way here; such a step
    /// begins only while its run holds the customer's claim.
    pub const fn needs_customer_claim(&self) -> bool {
        matches!(
            self,
            Self::CreateClient { .. }
                | Self::DeployDevice { .. }
                | Self::DeactivateClient
                | Self::AddUser { .. }
                | Self::UpdateUser { .. }
                | Self::SuspendUser { .. }
                | Self::UnsuspendUser { .. }
                | Self::AddPortal { .. }
                | Self::UpdatePortal { .. }
        )
    }
}

/// One step of a run, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its place in the run, from 1.
    pub seq: u32,
    /// What it does.
    pub action: StepAction,
    /// Where it stands.
    pub status: StepStatus,
    /// How many attempts were begun.
    pub attempts: u32,
    /// How many of them failed in a row; a look that found nothing new is no failure.
    pub failures: u32,
    /// Whether a person allowed it, where the policy asks for that.
    pub approved: bool,
    /// When the last attempt with an unclear end ended, as far as that is known, until it is clear
    /// what came of it; where the step was held since then, when that ends.
    pub unknown_since: Option<super::time::Timestamp>,
    /// When the first attempt was made; counted anew when the step was held, or when a person let
    /// it go on.
    pub began_at: Option<super::time::Timestamp>,
    /// Whether the last attempt was allowed to send what creates or destroys something.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub sends: bool,
    /// What an approval allows at the supplier, as the person who is asked was shown it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allows: Option<super::outcome::Allowance>,
    /// Whether people were told that it takes far longer than usual.
    #[serde(default, skip_serializing_if = "is_no")]
    pub told_slow: bool,
    /// How many attempts came to nothing because the upstream was left alone or limits requests.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub in_vain: u32,
    /// Since when nothing but limits (429) came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_since: Option<super::time::Timestamp>,
    /// What came of it.
    pub output: Value,
    /// Why it is not done.
    pub error: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Steps of older versions did not say; what is not known counts as sent.
const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_yes(flag: &bool) -> bool {
    *flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_no(flag: &bool) -> bool {
    !*flag
}

impl Step {
    /// Whether it is paused with a way out that an approval would open.
    pub fn offers_approval(&self) -> bool {
        self.status == StepStatus::Paused && self.allows.is_some()
    }

    /// A step that has not begun.
    pub fn new(seq: u32, action: StepAction) -> Self {
        Self {
            seq,
            action,
            status: StepStatus::Pending,
            attempts: 0,
            failures: 0,
            approved: false,
            unknown_since: None,
            began_at: None,
            sends: true,
            allows: None,
            told_slow: false,
            in_vain: 0,
            limited_since: None,
            output: Value::Null,
            error: None,
        }
    }
}
