//! What an event asks for and its plan leaves aside, so that nothing becomes a default or stays as
//! it was without anybody's knowing: options that no template reads, and what a running device
//! keeps. Pure.

use crate::catalogue::{Catalogue, DeviceSpec, HivelocityProduct, Unread};
use crate::domain::hostname::mended;
use crate::domain::{Action, Event, EventType, OrderedService, PauseReason, ServiceState};

use super::Stop;
use super::case::Case;

/// One thing that a plan leaves aside, by its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aside {
    /// An option that no template of the product reads.
    Option,
    /// A field likewise.
    Field,
    /// The device keeps its operating system.
    Os,
    /// The device keeps its host name.
    Hostname,
    /// The device stays where it is.
    Location,
}

impl Aside {
    /// Its name in the metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Option => "option",
            Self::Field => "field",
            Self::Os => "os",
            Self::Hostname => "hostname",
            Self::Location => "location",
        }
    }

    /// Whether nothing reads it; else a device keeps what it has.
    pub const fn is_unread(self) -> bool {
        matches!(self, Self::Option | Self::Field)
    }
}

/// What no template of the event's product reads, with the product's id; none where the event
/// is not about what the templates make of it.
pub fn unread<'a>(
    catalogue: &Catalogue,
    source: &str,
    event: &Event,
    ordered: &'a OrderedService,
    service: &'a ServiceState,
) -> Option<(&'a str, Unread)> {
    let known = service.product_id.as_deref().unwrap_or_default();
    let product = match event.kind {
        EventType::OrderPaid | EventType::ServicePackageChanged => ordered.product_id.as_str(),
        EventType::ServiceAction if event.action == Some(Action::Reload) => known,
        // Their options are repeated by the platform and asked for by nobody.
        EventType::ServiceAction
        | EventType::ServiceSuspended
        | EventType::ServiceUnsuspended
        | EventType::ServiceTerminated
        | EventType::ServiceRenewed
        | EventType::ServiceMoved
        | EventType::CustomerCreated
        | EventType::CustomerUpdated
        | EventType::CustomerClosed
        | EventType::CustomerReopened
        | EventType::TestPing => return None,
    };
    let product = if product.is_empty() { known } else { product };
    let unread = catalogue.find(source, product)?.unread(ordered);
    (unread.count() > 0).then_some((product, unread))
}

/// Notes with the plan what is not read; a person who is asked about a template is told of it,
/// since a name that is missed leaves that empty.
pub(super) fn note_unread(case: &Case<'_>, planned: super::Planned) -> super::Planned {
    let situation = case.situation;
    let ordered = &case.ordered;
    let found = unread(
        situation.catalogue,
        situation.source,
        situation.event,
        ordered,
        situation.service,
    );
    let Some((product, unread)) = found else {
        return planned;
    };
    match planned {
        Ok(mut plan) => {
            plan.notes.append(&mut unread.sentences(product));
            let options = unread.options.iter().map(|_| Aside::Option);
            let fields = unread.fields.iter().map(|_| Aside::Field);
            plan.aside.extend(options.chain(fields));
            Ok(plan)
        }
        Err(Stop::Hold(PauseReason::Catalogue, reason)) => Err(Stop::Hold(
            PauseReason::Catalogue,
            format!("{reason}; {}", unread.names(product).join("; ")),
        )),
        Err(other) => Err(other),
    }
}

/// Whether there is a device that a new order or package does not change.
pub(super) fn is_up(case: &Case<'_>) -> bool {
    let service = case.service();
    service.status.exists() && service.device_id.is_some() && service.ip.is_some()
}

/// What the device keeps although the event asks for something else, each with a sentence;
/// `by` names what does not change it.
pub(super) fn kept(
    case: &Case<'_>,
    device: &HivelocityProduct,
    asked: &DeviceSpec,
    by: &str,
) -> Vec<(Aside, String)> {
    if !is_up(case) {
        return Vec::new();
    }
    let service = case.service();
    let mut kept = Vec::new();
    let mut note = |aside, what: &str, has: &str, wanted: &str, way: &str| {
        let sentence = format!(
            "the {what} of a running device is not changed by {by}: the device keeps {has}, the event asks for {wanted}; {way}"
        );
        kept.push((aside, sentence));
    };
    if let Some(os) = service.device_os.as_deref()
        && !os.eq_ignore_ascii_case(&asked.os)
        && asks_for(case, device, asked, |spec| &spec.os)
    {
        let way = "reload it with service.action reload (wipes the disks)";
        note(Aside::Os, "operating system", os, &asked.os, way);
    }
    if let Some(name) = service.hostname.as_deref()
        && !is_same_name(name, &asked.hostname)
    {
        let way = "service.action reload sets it (wipes the disks)";
        note(Aside::Hostname, "host name", name, &asked.hostname, way);
    }
    if let Some(location) = service.device_location.as_deref()
        && location != asked.location
        && asks_for(case, device, asked, |spec| &spec.location)
    {
        let way = "a device elsewhere is another service";
        note(Aside::Location, "location", location, &asked.location, way);
    }
    kept
}

fn is_same_name(known: &str, asked: &str) -> bool {
    match (mended(known), mended(asked)) {
        (Ok(known), Ok(asked)) => known == asked,
        _ => known.eq_ignore_ascii_case(asked),
    }
}

/// Whether the event's options say so, rather than a default of the template: they hold the
/// value, or without them another would come out.
pub(super) fn asks_for(
    case: &Case<'_>,
    device: &HivelocityProduct,
    asked: &DeviceSpec,
    part: impl Fn(&DeviceSpec) -> &String,
) -> bool {
    let ordered = &case.ordered;
    let wanted = part(asked);
    let mut texts = ordered.options.values().chain(ordered.fields.values());
    if texts.any(|text| text.trim() == wanted) {
        return true;
    }
    let bare = Case::new(
        case.situation,
        &OrderedService {
            options: std::collections::BTreeMap::new(),
            fields: std::collections::BTreeMap::new(),
            ..ordered.clone()
        },
    );
    let default = bare.render(Some(device), |variables| device.asked(variables));
    default.is_ok_and(|default| part(&default) != wanted)
}
