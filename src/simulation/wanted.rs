//! What the suppliers must hold in the end, from nothing but what the billing platform told: no
//! more than once, and as the newest events ask for it. Written without a look at the planner.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::catalogue::SubUserPer;
use crate::domain::event::{Action, EventType};
use crate::domain::id::DeliveryId;
use crate::domain::run::RunStatus;
use crate::domain::time::Timestamp;
use crate::domain::{ServiceState, ServiceStatus};
use crate::plan;
use crate::report;
use crate::sandbox::{DeviceSnapshot, SandboxSnapshot, SubUserSnapshot};
use crate::store::Rows;

use super::billing::{Event, Sold};
use super::settings::SOURCE;
use super::stage::Stage;

/// What a service is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Up,
    Dark,
    Gone,
}

/// What the newest events ask for.
#[derive(Clone, Debug)]
struct Service {
    sold: Sold,
    wish: Wish,
    product: &'static str,
    /// The delivery that said so.
    said: DeliveryId,
    /// Whether a person has switched its device by hand, in whatever order.
    switched: bool,
    /// Whether its package changed, so that it may have gone dark in the way of another one.
    changed: bool,
}

type Told<'e> = ((Timestamp, DeliveryId), &'e Event);

/// `ended_for_good`: whether what was told after an end counts for nothing.
fn services(stage: &Stage, ended_for_good: bool) -> Vec<Service> {
    let mut told: BTreeMap<String, Vec<Told<'_>>> = BTreeMap::new();
    for (event, delivery) in stage.mail.told() {
        for (sold, _) in &event.services {
            let place = (event.occurred, delivery);
            told.entry(sold.id.clone())
                .or_default()
                .push((place, event));
        }
    }
    told.into_iter()
        .filter_map(|(id, mut events)| {
            events.sort_by_key(|(place, _)| *place);
            folded(&id, &events, ended_for_good)
        })
        .collect()
}

fn folded(id: &str, events: &[Told<'_>], ended_for_good: bool) -> Option<Service> {
    let mut service: Option<Service> = None;
    for ((_, delivery), event) in events {
        let (sold, product) = event.services.iter().find(|(sold, _)| sold.id == id)?;
        let known = service.get_or_insert_with(|| Service {
            sold: sold.clone(),
            wish: Wish::Up,
            said: *delivery,
            product,
            switched: false,
            changed: false,
        });
        if known.wish == Wish::Gone && ended_for_good {
            continue;
        }
        let mut says = |wish| (known.wish, known.said) = (wish, *delivery);
        match event.kind {
            EventType::OrderPaid | EventType::ServiceUnsuspended => says(Wish::Up),
            EventType::ServiceSuspended => says(Wish::Dark),
            EventType::ServiceTerminated => says(Wish::Gone),
            EventType::ServicePackageChanged => (known.product, known.changed) = (product, true),
            EventType::ServiceAction => known.switched |= event.action == Some(Action::Shutdown),
            EventType::ServiceRenewed
            | EventType::CustomerCreated
            | EventType::CustomerUpdated
            | EventType::CustomerClosed
            | EventType::CustomerReopened
            | EventType::ServiceMoved
            | EventType::TestPing => {}
        }
    }
    service
}

/// Everything that is not as it must be. An end that was under way when something newer came may
/// have been carried out.
pub(super) fn differences(stage: &Stage) -> Vec<String> {
    let wrong = differences_if(stage, false);
    if wrong.is_empty() || differences_if(stage, true).is_empty() {
        return Vec::new();
    }
    wrong
}

fn differences_if(stage: &Stage, ended_for_good: bool) -> Vec<String> {
    let held = stage.suppliers.snapshot();
    let mut wrong = Vec::new();
    for number in stage.mail.unheard() {
        wrong.push(format!("message {number} was never acknowledged"));
    }
    wrong.extend(
        held.violations
            .iter()
            .map(|words| format!("malformed: {words}")),
    );
    // By a clock that is set forward the hour is over before it is for Hivelocity.
    if held.rate_limited > 0 && !stage.control.was_set() {
        let count = held.rate_limited;
        wrong.push(format!(
            "over the hour's limit: {count} requests were answered 429"
        ));
    }
    twice(&held, &mut wrong);
    let untouched = settled_by_themselves(stage, &mut wrong);
    let mut services = services(stage, ended_for_good);
    let is_wanted = |one: &&Service| untouched(&one.sold.id) || said_and_done(stage, one);
    for service in services.iter().filter(is_wanted) {
        switched(service, &held, &mut wrong);
    }
    ended_users(&services, &untouched, &held, &mut wrong);
    services.retain(|service| untouched(&service.sold.id));
    for service in &services {
        one(service, &held, &mut wrong);
    }
    users(stage, &services, &held, &mut wrong);
    reports(stage, &mut wrong);
    wrong
}

/// The billing platform has heard of the latest state of every service that somebody built.
fn reports(stage: &Stage, wrong: &mut Vec<String>) {
    let rows = stage.memory.rows();
    let inner = stage.control.inner();
    for report in rows.reports() {
        let (id, seq) = (&report.service_id, report.seq);
        let latest = inner.billing.latest(id);
        if report.status() != "heard" || latest != Some(&report::body(report)) {
            wrong.push(format!(
                "report {seq} of service {id} is {}, the billing platform knows {latest:?}",
                report.status()
            ));
        }
    }
    for (id, doc) in rows.service_docs() {
        let known: ServiceState = serde_json::from_value(doc.clone()).unwrap_or_default();
        if known.status == ServiceStatus::Unknown || has_paused(&rows, id) {
            continue;
        }
        let latest = inner.billing.latest(id).cloned().unwrap_or_default();
        for (field, is) in [
            ("status", json!(known.status)),
            ("ip", json!(known.ip)),
            ("hostname", json!(known.hostname)),
            ("error", Value::Null),
        ] {
            if latest[field] != is {
                let told = &latest[field];
                wrong.push(format!(
                    "{field} of service {id} is {is}, the billing platform heard {told}"
                ));
            }
        }
    }
}

/// Whether a run of the service waits for a person, or a person ended one: then its state is not
/// that of a run's end.
fn has_paused(rows: &Rows, service: &str) -> bool {
    let left = [RunStatus::Paused, RunStatus::Cancelled];
    let mut own = rows
        .runs()
        .filter(|run| run.service_id.as_deref() == Some(service));
    own.any(|run| left.contains(&run.status))
}

/// Nothing that leaves a mark was made twice.
fn twice(held: &SandboxSnapshot, wrong: &mut Vec<String>) {
    let effects = &held.effects;
    let mut clients: BTreeMap<&str, u64> = BTreeMap::new();
    for (company, count) in &effects.clients {
        let mark = company.rfind('[').map_or("", |at| &company[at..]);
        *clients.entry(mark).or_default() += count;
    }
    let cancelled = effects.actions.iter();
    let cancelled = cancelled.filter(|(action, _)| action.starts_with("cancel "));
    // What the supplier cancelled is over: a later order of the service orders afresh.
    let mut devices: BTreeMap<String, u64> = BTreeMap::new();
    let built = held
        .devices
        .iter()
        .filter(|device| device.location != "CANCELLED");
    for mark in built.flat_map(|device| &device.tags) {
        *devices.entry(mark.clone()).or_default() += 1;
    }
    let marks = (devices.iter())
        .chain(&effects.users)
        .chain(&effects.portals)
        .chain(cancelled)
        .map(|(mark, count)| (mark.as_str(), *count))
        .chain(clients);
    wrong.extend(
        marks
            .filter(|(_, count)| *count > 1)
            .map(|(mark, count)| format!("{mark}: {count} times")),
    );
    for (licence, count) in &effects.licences {
        let removed = effects.actions.get(&format!("remove_license {licence}"));
        if *count > removed.copied().unwrap_or(0) + 1 {
            wrong.push(format!("licence {licence}: {count} times"));
        }
    }
}

/// Reasons for which a person is asked although nothing is broken.
const HUMAN: [&str; 8] = [
    "changed on",
    "was terminated on",
    "doing it twice would destroy data",
    "was refused",
    "hardware differs",
    "is not active",
    "cannot be told",
    "look at Hivelocity what it brought",
];

/// Words of a supplier that refuses the account.
const OUTAGE: [&str; 4] = [
    "refuses the API key",
    "refuses this server's IP address",
    "refuses the account",
    "wants the account's payment",
];

/// No run is left unfinished, but for those that rightly ask a person; answers which services
/// came through without a person's decision.
fn settled_by_themselves(stage: &Stage, wrong: &mut Vec<String>) -> impl Fn(&str) -> bool + use<> {
    let rows = stage.memory.rows();
    let mut touched = BTreeSet::new();
    for run in rows.runs() {
        let held_back = run.status == RunStatus::Paused && run.blocks;
        let error = run.error.clone().unwrap_or_default();
        // That the account is refused is nobody's order, so it pauses none.
        let outage = OUTAGE.iter().any(|words| error.contains(words));
        let human = !outage && HUMAN.iter().any(|words| error.contains(words));
        let cancelled = run.status == RunStatus::Cancelled && run.kind != EventType::ServiceAction;
        if held_back && human || cancelled {
            touched.extend(run.service_id.clone());
        }
    }
    for run in rows
        .runs()
        .filter(|run| run.blocks && !run.status.is_final())
    {
        let service = run.service_id.clone().unwrap_or_default();
        if !touched.contains(&service) {
            let (id, kind, status) = (run.id, run.kind, run.status);
            let error = run.error.as_deref().unwrap_or_default();
            let waiting = run.waiting_for.as_deref().unwrap_or_default();
            wrong.push(format!(
                "{id} ({kind} of {service}) is {status}: {error} {waiting}"
            ));
        }
    }
    move |service| !touched.contains(service)
}

fn devices<'h>(id: &str, held: &'h SandboxSnapshot) -> impl Iterator<Item = &'h DeviceSnapshot> {
    let tag = format!("billhook:{SOURCE}:{id}");
    let all = held.devices.iter();
    all.filter(move |device| device.tags.contains(&tag))
}

fn live<'h>(id: &str, held: &'h SandboxSnapshot) -> impl Iterator<Item = &'h DeviceSnapshot> {
    devices(id, held).filter(|device| !device.cancelled && !device.gone)
}

fn one(service: &Service, held: &SandboxSnapshot, wrong: &mut Vec<String>) {
    let id = &service.sold.id;
    let own: Vec<&DeviceSnapshot> = devices(id, held).collect();
    let live = live(id, held).count();
    licences(service, &own, held, wrong);
    let has_device = service.product != "44";
    let wanted = usize::from(has_device && service.wish != Wish::Gone);
    if live != wanted {
        let wish = service.wish;
        wrong.push(format!(
            "service {id} is to be {wish:?} and has {live} devices"
        ));
    }
}

/// Whether the newest event about whether it is up was carried out.
fn said_and_done(stage: &Stage, service: &Service) -> bool {
    let rows = stage.memory.rows();
    rows.runs().any(|run| {
        let own = run.service_id.as_deref() == Some(service.sold.id.as_str());
        own && run.delivery == service.said && run.status == RunStatus::Succeeded
    })
}

/// Its device is on or off as the newest event says, whatever else of the service asks a person.
fn switched(service: &Service, held: &SandboxSnapshot, wrong: &mut Vec<String>) {
    let id = &service.sold.id;
    // One whose build failed is never on.
    for device in live(id, held).filter(|device| device.location != "FAILED") {
        let power = device.power_status.as_str();
        let fits = match service.wish {
            Wish::Up => (power == "ON" || service.switched) && device.null_routed.is_empty(),
            Wish::Dark => power == "OFF",
            Wish::Gone => true,
        };
        if !fits {
            let routes = &device.null_routed;
            wrong.push(format!(
                "service {id} is to be {:?}, its device is {power}, null-routed {routes:?}",
                service.wish
            ));
        }
    }
}

fn licences(
    service: &Service,
    devices: &[&DeviceSnapshot],
    held: &SandboxSnapshot,
    wrong: &mut Vec<String>,
) {
    let mut addresses: BTreeSet<String> = devices
        .iter()
        .filter_map(|device| device.primary_ip.clone())
        .collect();
    addresses.insert(service.sold.address());
    let present: BTreeSet<&str> = (held.licences.iter())
        .filter(|licence| addresses.contains(&licence.ip))
        .map(|licence| licence.product.as_str())
        .collect();
    let (products, removed_when_dark): (&[&str], bool) = match service.product {
        "42" => (&["Hive"], false),
        "43" => (&["Hawk", "Guardian"], true),
        _ => (&["Hive"], true),
    };
    let wanted: BTreeSet<&str> = match service.wish {
        Wish::Gone => BTreeSet::new(),
        Wish::Dark if removed_when_dark => BTreeSet::new(),
        Wish::Dark if service.changed && present.is_empty() => BTreeSet::new(),
        Wish::Up | Wish::Dark => products.iter().copied().collect(),
    };
    if present != wanted {
        let (id, wish) = (&service.sold.id, service.wish);
        wrong.push(format!(
            "service {id} is to be {wish:?} with licences {wanted:?}, it has {present:?}"
        ));
    }
}

/// A sub-user is usable as long as a service of it is up, unless its customer was closed.
fn users(stage: &Stage, services: &[Service], held: &SandboxSnapshot, wrong: &mut Vec<String>) {
    let mut told: Vec<(&Event, DeliveryId)> = stage.mail.told().collect();
    told.sort_by_key(|(event, delivery)| (event.occurred, *delivery));
    let mut closed: BTreeSet<&str> = BTreeSet::new();
    for (event, _) in told {
        match event.kind {
            EventType::CustomerClosed => closed.insert(&event.customer),
            EventType::CustomerReopened => closed.remove(event.customer.as_str()),
            _ => false,
        };
    }
    let up = services.iter().filter(|service| service.wish == Wish::Up);
    for service in up.filter(|service| !closed.contains(service.sold.customer.as_str())) {
        if user(&service.sold.customer, held).is_some_and(|user| user.suspended) {
            let id = &service.sold.id;
            wrong.push(format!(
                "service {id} is to be up, its sub-user is suspended"
            ));
        }
    }
}

/// The sub-user of a customer without any service left is suspended, were it made at all.
fn ended_users(
    services: &[Service],
    untouched: &impl Fn(&str) -> bool,
    held: &SandboxSnapshot,
    wrong: &mut Vec<String>,
) {
    let kept: BTreeSet<&str> = services
        .iter()
        .filter(|service| service.wish != Wish::Gone || !untouched(&service.sold.id))
        .map(|service| service.sold.customer.as_str())
        .collect();
    let customers: BTreeSet<&str> = services
        .iter()
        .map(|service| service.sold.customer.as_str())
        .collect();
    for customer in customers.difference(&kept) {
        if user(customer, held).is_some_and(|user| !user.suspended) {
            wrong.push(format!(
                "customer {customer} has no service left, the sub-user is not suspended"
            ));
        }
    }
}

fn user<'h>(customer: &str, held: &'h SandboxSnapshot) -> Option<&'h SubUserSnapshot> {
    let name = plan::username("bh", SOURCE, customer, SubUserPer::Customer);
    held.sub_users.iter().find(|user| user.username == name)
}
