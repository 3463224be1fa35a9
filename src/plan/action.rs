//! `service.action` and `service.renewed`: what touches no lifecycle. Pure.

use std::collections::BTreeMap;

use crate::catalogue::DeviceSpec;
use crate::domain::step::PowerAction;
use crate::domain::{Action, OrderedService, PauseReason, ServiceStatus, StepAction};

use super::case::Case;
use super::patch::Patch;
use super::{Plan, Planned, Stop, suspend};

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
    if case.service().device_id.is_none() {
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
    let rendered = rendered(case);
    let asked = rendered
        .as_ref()
        .map(|spec| spec.os.clone())
        .filter(|os| was_asked_for(case, os));
    let known = case.service().device_os.clone();
    let os = asked
        .or(known)
        .or_else(|| rendered.as_ref().map(|spec| spec.os.clone()));
    let hostname = rendered.map_or_else(|| case.ordered.hostname.clone(), |spec| spec.hostname);
    match os {
        Some(os) if !os.is_empty() && !hostname.is_empty() => Ok(StepAction::ReloadDevice {
            os,
            hostname,
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

fn rendered(case: &Case<'_>) -> Option<DeviceSpec> {
    let device = case.product()?.hivelocity.as_ref()?;
    case.render(Some(device), |variables| device.render(variables))
        .ok()
}

/// Whether the event's options say so, rather than a default of the template: they name the
/// system, or without them another would come out.
fn was_asked_for(case: &Case<'_>, os: &str) -> bool {
    let ordered = &case.ordered;
    let mut texts = ordered.options.values().chain(ordered.fields.values());
    if texts.any(|text| text.trim() == os) {
        return true;
    }
    let (options, fields) = (BTreeMap::new(), BTreeMap::new());
    let bare = Case::new(
        case.situation,
        &OrderedService {
            options,
            fields,
            ..ordered.clone()
        },
    );
    rendered(&bare).is_some_and(|default| default.os != os)
}
