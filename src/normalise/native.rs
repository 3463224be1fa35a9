//! The native event: which members each type needs, and the event made of them. Pure.

use std::collections::HashSet;

use super::place::Place;
use super::raw::{self, Object, Raw};
use super::{NotAnEvent, Wrong, field, moment};
use crate::domain::{Action, Customer, Event, EventType, OrderedService, Timestamp};

const LONGEST_TYPE: usize = 128;
const MOST_SERVICES: usize = 500;

/// Reads the body of a verified delivery. `now` is when the delivery came and `signed_at` when
/// it was signed; reading a kept delivery again wants the same two, so that the same event
/// comes out.
pub fn native(body: &[u8], now: Timestamp, signed_at: Timestamp) -> Result<Event, NotAnEvent> {
    let raw = raw::object(body)?;
    let kind = kind(&raw)?;
    Ok(event(kind, &raw, now, signed_at)?)
}

fn kind(raw: &Object<'_>) -> Result<EventType, NotAnEvent> {
    let place = Place::ROOT.member("type");
    let Some(value) = raw.get("type") else {
        return Err(place
            .wrong("is missing; every event has one, such as order.paid")
            .into());
    };
    let Raw::Text(text) = value else {
        return Err(place
            .wrong(format!("must be a string, not {}", value.kind()))
            .into());
    };
    let word = text.bytes().all(|byte| byte.is_ascii_graphic());
    // A known type with a space behind it must not pass for one that means nothing to us.
    if text.is_empty() || text.len() > LONGEST_TYPE || !word {
        return Err(place
            .wrong("must be a word such as order.paid, without spaces")
            .into());
    }
    text.parse()
        .map_err(|_| NotAnEvent::UnknownType(text.clone().into_owned()))
}

fn event(
    kind: EventType,
    raw: &Object<'_>,
    now: Timestamp,
    signed_at: Timestamp,
) -> Result<Event, Wrong> {
    let root = Place::ROOT;
    let occurred_at = occurred_at(kind, raw, now, signed_at)?;
    let mut event = Event {
        kind,
        installation: field::id(raw.get("installation"), &root.member("installation"))?,
        occurred_at,
        order_id: None,
        customer: None,
        services: Vec::new(),
        action: None,
        keeps_device: false,
        reason: None,
    };
    if kind == EventType::TestPing {
        return Ok(event);
    }
    // PHP writes 0 where there is no such row.
    let order_id = field::id(raw.get("order_id"), &root.member("order_id"))?;
    event.order_id = order_id.filter(|id| id != "0");
    event.customer = customer(kind, raw.get("customer"))?;
    if kind.concerns_services() {
        event.services = services(kind, raw.get("services"))?;
    }
    if kind == EventType::ServiceSuspended {
        event.reason = field::remark(raw.get("reason"));
    }
    if kind == EventType::ServiceAction {
        event.action = Some(action(raw.get("action"))?);
    }
    if kind == EventType::ServiceMoved {
        event.keeps_device = matches!(raw.get("keeps_device"), Some(Raw::Bool(true)));
    }
    Ok(event)
}

fn occurred_at(
    kind: EventType,
    raw: &Object<'_>,
    now: Timestamp,
    signed_at: Timestamp,
) -> Result<Timestamp, Wrong> {
    let place = Place::ROOT.member("occurred_at");
    match raw.get("occurred_at") {
        Some(value) => moment::read(value, &place, now, signed_at),
        None if kind == EventType::TestPing => Ok(signed_at),
        None => Err(place.wrong("is missing; send the time at which it happened")),
    }
}

/// What an event of this type must say about its customer.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Nothing,
    Id,
    Email,
}

const fn need(kind: EventType) -> Need {
    match kind {
        EventType::OrderPaid | EventType::CustomerCreated | EventType::CustomerUpdated => {
            Need::Email
        }
        EventType::ServiceMoved | EventType::CustomerClosed | EventType::CustomerReopened => {
            Need::Id
        }
        EventType::ServiceSuspended
        | EventType::ServiceUnsuspended
        | EventType::ServiceTerminated
        | EventType::ServiceRenewed
        | EventType::ServicePackageChanged
        | EventType::ServiceAction
        | EventType::TestPing => Need::Nothing,
    }
}

fn customer(kind: EventType, value: Option<&Raw<'_>>) -> Result<Option<Customer>, Wrong> {
    let root = Place::ROOT;
    let place = root.member("customer");
    let need = need(kind);
    let Some(raw) = field::object(value, &place)? else {
        return match need {
            Need::Nothing => Ok(None),
            Need::Id | Need::Email => Err(place.wrong(format!("is missing; {kind} needs it"))),
        };
    };
    let id = field::naming_id(raw.get("id"), &place.member("id"))?;
    let email = field::email(raw.get("email"), &place.member("email"))?;
    if email.is_empty() && need == Need::Email {
        return Err(place
            .member("email")
            .wrong(format!("is missing or empty; {kind} needs it")));
    }
    let name = field::text(raw.get("name"), &place.member("name"))?;
    let company = field::text(raw.get("company"), &place.member("company"))?;
    Ok(Some(Customer {
        id,
        email,
        name,
        company,
    }))
}

fn services(kind: EventType, value: Option<&Raw<'_>>) -> Result<Vec<OrderedService>, Wrong> {
    let root = Place::ROOT;
    let place = root.member("services");
    let list = match value {
        Some(Raw::List(list)) if !list.is_empty() => list,
        None | Some(Raw::Null | Raw::List(_)) => {
            return Err(place.wrong(format!("is missing or empty; {kind} needs at least one")));
        }
        Some(other) => {
            return Err(place.wrong(format!("must be a list of objects, not {}", other.kind())));
        }
    };
    if list.len() > MOST_SERVICES {
        let limit = format!("must not have more than {MOST_SERVICES} items; send several events");
        return Err(place.wrong(limit));
    }
    let mut services: Vec<OrderedService> = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        services.push(service(kind, value, &place.item(index))?);
    }
    refuse_twice(&services, &place)?;
    Ok(services)
}

/// One event says one thing about a service; two different hostnames would leave us guessing.
fn refuse_twice(services: &[OrderedService], place: &Place<'_>) -> Result<(), Wrong> {
    if services.len() < 2 {
        return Ok(());
    }
    let mut seen = HashSet::with_capacity(services.len());
    for (index, service) in services.iter().enumerate() {
        if !seen.insert(service.id.as_str()) {
            let item = place.item(index);
            return Err(item
                .member("id")
                .wrong("is the id of an earlier service in this event"));
        }
    }
    Ok(())
}

fn service(kind: EventType, value: &Raw<'_>, place: &Place<'_>) -> Result<OrderedService, Wrong> {
    let Raw::Object(raw) = value else {
        return Err(place.wrong(format!("must be an object, not {}", value.kind())));
    };
    let id = field::naming_id(raw.get("id"), &place.member("id"))?;
    let product = place.member("product_id");
    let product_id = if needs_product(kind) {
        field::required_id(raw.get("product_id"), &product)?
    } else {
        field::id(raw.get("product_id"), &product)?.unwrap_or_default()
    };
    Ok(OrderedService {
        id,
        product_id,
        hostname: field::text(raw.get("hostname"), &place.member("hostname"))?,
        billing_cycle: field::text(raw.get("billing_cycle"), &place.member("billing_cycle"))?,
        quantity: field::quantity(raw.get("quantity"), &place.member("quantity"))?,
        options: field::pairs(raw.get("options"), &place.member("options"))?,
        fields: field::pairs(raw.get("fields"), &place.member("fields"))?,
    })
}

const fn needs_product(kind: EventType) -> bool {
    matches!(
        kind,
        EventType::OrderPaid | EventType::ServicePackageChanged
    )
}

fn action(value: Option<&Raw<'_>>) -> Result<Action, Wrong> {
    let word = if let Some(Raw::Text(text)) = value {
        text.as_ref()
    } else {
        ""
    };
    match word {
        "boot" => Ok(Action::Boot),
        "reboot" => Ok(Action::Reboot),
        "shutdown" => Ok(Action::Shutdown),
        "reload" => Ok(Action::Reload),
        _ => Err(Place::ROOT
            .member("action")
            .wrong("must be boot, reboot, shutdown or reload")),
    }
}
