//! `service.action` and `service.renewed`: what touches no lifecycle. Pure.

use crate::domain::hostname::mended;
use crate::domain::step::PowerAction;
use crate::domain::{Action, PauseReason, ServiceStatus, StepAction};

use super::case::Case;
use super::patch::Patch;
use super::{Plan, Planned, Stop, aside, device, suspend};

/// A renewal is recorded; that a terminated service was renewed is for a person to see.
pub(super) fn renewed(case: &Case<'_>) -> Planned {
    if case.status() == ServiceStatus::Terminated {
        return Err(suspend::ended(case, "renewed"));
    }
    let mut now = Patch::default();
    now.set("renewed_at", case.situation.event.occurred_at);
    if case.service().customer_id.is_none() {
        now.set_text("customer_id", &case.customer.id);
    }
    Ok(Plan::of(Vec::new(), now))
}

/// What a person asked for: power, or the operating system anew.
pub(super) fn plan(case: &Case<'_>) -> Planned {
    let Some(action) = case.situation.event.action else {
        return Err(Stop::Hold(
            PauseReason::Event,
            "the event does not say which action is wanted; cancel this run".to_owned(),
        ));
    };
    match case.status() {
        ServiceStatus::Unknown => return Err(suspend::never_ordered(case, "to be switched")),
        ServiceStatus::Terminated => {
            return Err(Stop::Refuse(format!(
                "service {} is terminated; there is no device to switch",
                case.id()
            )));
        }
        ServiceStatus::Suspended => refuse_dark(case, action)?,
        ServiceStatus::Building | ServiceStatus::Active => {}
    }
    let service = case.service();
    if service.device_id.is_none() || service.is_unbuilt() && service.ip.is_none() {
        return Err(Stop::Refuse(format!(
            "service {} has no device (yet); send it again once it has one",
            case.id()
        )));
    }
    let step = match PowerAction::of(action) {
        Some(power) => StepAction::Power {
            action: power,
            tag: case.tag(),
        },
        None => reload(case)?,
    };
    Ok(Plan::of(vec![step], Patch::default()))
}

fn refuse_dark(case: &Case<'_>, action: Action) -> Result<(), Stop> {
    match action {
        Action::Shutdown => Ok(()),
        Action::Boot | Action::Reboot | Action::Reload => Err(Stop::Refuse(format!(
            "service {} is suspended and this would bring its device up; unsuspend it first",
            case.id()
        ))),
    }
}

/// The disks are wiped, so the system is the one that was asked for or the one that was there;
/// a template's default serves only where nothing else is known.
fn reload(case: &Case<'_>) -> Result<StepAction, Stop> {
    let product = case
        .product()
        .and_then(|product| product.hivelocity.as_ref());
    let rendered = product.and_then(|device| Some((device, device::asked(case, device).ok()?)));
    let asked = rendered
        .as_ref()
        .filter(|(device, spec)| aside::asks_for(case, device, spec, |spec| &spec.os));
    let asked = asked.map(|(_, spec)| spec.os.clone());
    let known = case.service().device_os.clone();
    let default = rendered.as_ref().map(|(_, spec)| spec.os.clone());
    let name = rendered.map_or_else(|| case.ordered.hostname.clone(), |(_, spec)| spec.hostname);
    match asked.or(known).or(default) {
        Some(os) if !os.is_empty() && !name.is_empty() => Ok(StepAction::ReloadDevice {
            os,
            hostname: usable(case, &name)?,
            tag: case.tag(),
        }),
        Some(_) | None => Err(Stop::Hold(
            PauseReason::Event,
            format!(
                "which operating system or host name service {} is to get is not known; reload it by hand and \
             cancel this run",
                case.id()
            ),
        )),
    }
}

/// A name that a server can have, asked for before its disks are wiped.
fn usable(case: &Case<'_>, name: &str) -> Result<String, Stop> {
    mended(name).map_err(|wrong| {
        Stop::Hold(
            PauseReason::Event,
            format!(
                "service {} cannot be reloaded under the host name {name:?}, which {wrong}; send the action again \
             with a full name such as srv1.example.com, and cancel this run",
                case.id()
            ),
        )
    })
}
