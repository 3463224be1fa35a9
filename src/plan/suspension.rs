//! What a suspension did, noted before it is done, so that it is undone as it was done. Pure.

use serde_json::{Value, json};

use crate::domain::step::PowerAction;
use crate::domain::{
    EventType, Licence, OrderKey, Outcome, ServiceState, ServiceStatus, StepAction, Suspension,
};

use super::case::Case;
use super::{Situation, Subject, licence, suspend};

/// The change of the service's state that is stored before the step's request leaves: from then on
/// it may be done.
pub fn begins(kind: EventType, action: &StepAction, service: &ServiceState) -> Value {
    if !matches!(kind, EventType::ServiceSuspended | EventType::OrderPaid) {
        return Value::Null;
    }
    let mut record = service.suspension.clone().unwrap_or_default();
    match action {
        StepAction::Power {
            action: PowerAction::Shutdown,
            ..
        } => record.powered_off = true,
        StepAction::NullRoute { .. } => record.null_routed = true,
        StepAction::SuspendUser {
            username,
            unless_shared: true,
        } => record.user = Some(username.clone()),
        StepAction::RemoveLicense {
            product,
            ip,
            suspension: true,
            ..
        } => {
            let (product, ip) = (product.clone(), ip.clone());
            let mut taken = service.licenses_suspended.clone();
            licence::push_new(&mut taken, Licence { product, ip });
            return json!({"licenses_suspended": taken});
        }
        _ => return Value::Null,
    }
    json!({"suspension": record})
}

/// The change after an attempt: what was surely not done is noted as before it, and what was undone
/// is noted no more. A refused null route may have followed others that were set.
pub fn undone(
    action: &StepAction,
    outcome: &Outcome,
    before: &ServiceState,
    service: &ServiceState,
) -> Value {
    let done = matches!(outcome, Outcome::Done(_) | Outcome::AlreadySo(_));
    let mut record = service.suspension.clone().unwrap_or_default();
    match action {
        StepAction::Power {
            action: PowerAction::Boot,
            ..
        } if done => record.powered_off = false,
        StepAction::RemoveNullRoute { .. } if done => record.null_routed = false,
        StepAction::UnsuspendUser { .. } if done => record.user = None,
        StepAction::NullRoute { .. } => return Value::Null,
        _ if matches!(outcome, Outcome::Rejected(_)) => return as_before(before, service),
        _ => return Value::Null,
    }
    if service.suspension.is_none() {
        return Value::Null;
    }
    json!({"suspension": record})
}

/// The change after an attempt of what the device was asked for: what was seen is over, and what was
/// surely not done was not asked for. A null route is one request per address, of which some may
/// have been heard.
pub fn asked(action: &StepAction, outcome: &Outcome, before: &ServiceState) -> Value {
    let known = before.asked.clone().unwrap_or_default();
    let asked = match (outcome, action) {
        (Outcome::Done(_) | Outcome::AlreadySo(_), _) => known.seen(action),
        (Outcome::Rejected(_) | Outcome::Unavailable { .. }, StepAction::Power { .. }) => {
            before.asked.clone()
        }
        _ => return Value::Null,
    };
    asked.map_or(Value::Null, |asked| json!({"asked": asked}))
}

/// A step that was not carried out after all has noted nothing.
pub fn as_before(before: &ServiceState, service: &ServiceState) -> Value {
    let same = before.suspension == service.suspension
        && before.licenses_suspended == service.licenses_suspended
        && before.asked == service.asked;
    if same {
        return Value::Null;
    }
    json!({
        "suspension": before.suspension,
        "licenses_suspended": before.licenses_suspended,
        "asked": before.asked,
    })
}

/// The record that a suspension begins with. Of one by a version that kept none everything may
/// have been done.
pub(super) fn record(case: &Case<'_>) -> Suspension {
    let service = case.service();
    let unsaid = service.suspension.is_none() && service.status == ServiceStatus::Suspended;
    let everything = Suspension {
        powered_off: true,
        null_routed: true,
        user: service.one_h_user.clone(),
    };
    let known = service.suspension.clone().unwrap_or_default();
    if unsaid { everything } else { known }
}

/// The steps that an order ends with whose service was suspended by a newer event before it was
/// carried out.
pub fn darken_what_was_built(situation: &Situation<'_>) -> Vec<StepAction> {
    let service = situation.service;
    let newer = service
        .settled
        .is_some_and(|settled| settled > situation.order);
    let Subject::Service(ordered) = situation.subject else {
        return Vec::new();
    };
    if service.status != ServiceStatus::Suspended || !newer {
        return Vec::new();
    }
    let case = Case::new(situation, ordered);
    let product = case.known_product();
    product.map_or_else(|_| Vec::new(), |product| suspend::darken(&case, product))
}

/// What an order leaves at its end: whether its service is up or dark is for a newer event to say.
pub fn at_end(
    kind: EventType,
    order: &OrderKey,
    service: &ServiceState,
    mut patch: Value,
) -> Value {
    let newer = service.settled.is_some_and(|settled| settled > *order);
    if kind == EventType::OrderPaid
        && newer
        && service.status != ServiceStatus::Building
        && let Some(patch) = patch.as_object_mut()
    {
        for key in ["status", "suspension", "licenses_suspended"] {
            patch.remove(key);
        }
    }
    patch
}
