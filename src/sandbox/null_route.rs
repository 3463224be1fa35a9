//! Hivelocity's routes for addresses whose traffic is thrown away, and for what was asked of the
//! network: a change is accepted at once and takes effect a while later. Pure.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};

use super::device::Device;
use super::fields::{Answer, Fields, Refusal};
use super::hivelocity::Call;
use super::wire::Response;

/// An address whose traffic is, was or will be thrown away.
#[derive(Debug)]
pub(super) struct NullRoute {
    client: u64,
    comment: Option<String>,
    created: Duration,
    /// From when on it is on or off, in order.
    changes: Vec<(Duration, bool)>,
}

impl NullRoute {
    /// Whether the traffic is thrown away now.
    pub(super) fn is_on(&self, now: Duration) -> bool {
        let mut begun = self.changes.iter().rev();
        begun
            .find(|(from, _)| *from <= now)
            .is_some_and(|(_, on)| *on)
    }

    /// Whether it is once everything that was asked has taken effect.
    fn will_be_on(&self) -> bool {
        self.changes.last().is_some_and(|(_, on)| *on)
    }
}

/// A change in the network.
#[derive(Debug)]
pub(super) struct NetworkTask {
    number: usize,
    client: u64,
    device_id: u64,
    ip: Ipv4Addr,
    /// When it has taken effect.
    ends: Duration,
}

impl NetworkTask {
    fn id(&self) -> String {
        format!("task-{}", self.number + 1)
    }

    /// Every other one says "pending" by saying nothing.
    fn shown(&self, now: Duration) -> Value {
        let result = if now >= self.ends {
            json!("Success")
        } else if self.number.is_multiple_of(2) {
            json!("Pending")
        } else {
            Value::Null
        };
        json!({
            "taskId": self.id(),
            "result": result,
            "clientId": self.client,
            "deviceId": self.device_id,
            "metaData": json!({"ip": self.ip}).to_string(),
        })
    }
}

/// `network/null-route`.
pub(super) fn all(call: &mut Call<'_>, method: &str) -> Option<Answer> {
    Some(match method {
        "GET" => Ok(list(call)),
        "POST" => add(call),
        _ => return None,
    })
}

/// `network/null-route/{ip}`.
pub(super) fn one(call: &mut Call<'_>, method: &str, ip: &str) -> Option<Answer> {
    Some(match method {
        "GET" => find(call, ip),
        "DELETE" => remove(call, ip),
        _ => return None,
    })
}

/// `network/status/{id}`, by the task's id or the device's.
pub(super) fn status(call: &Call<'_>, method: &str, id: &str) -> Option<Answer> {
    let device = id.parse().ok();
    let meant = |task: &&NetworkTask| {
        task.client == call.acting && (task.id() == id || Some(task.device_id) == device)
    };
    let task = call.estate.network_tasks.iter().rev().find(meant);
    (method == "GET").then(|| match task {
        Some(task) => Ok(Response::json(200, &task.shown(call.now))),
        None => Err(Refusal::of(404, "Network task not found.")),
    })
}

fn list(call: &Call<'_>) -> Response {
    let owner = call
        .request
        .argument("clientId")
        .and_then(|text| text.parse().ok());
    let wanted = owner.unwrap_or(call.acting);
    let routes = call.estate.null_routes.iter();
    let own = routes.filter(|(_, route)| {
        route.client == call.acting && route.client == wanted && route.is_on(call.now)
    });
    Response::json(
        200,
        &own.map(|(ip, route)| shown(*ip, route, call)).collect(),
    )
}

fn add(call: &mut Call<'_>) -> Answer {
    let fields = Fields::of(call.request, &["ip", "comment"])?;
    let (ip, comment) = (
        address(&fields.text("ip")?)?,
        fields.optional_text("comment")?,
    );
    let device_id = owner_of(call, ip)?;
    let new = NullRoute {
        client: call.acting,
        comment: comment.clone(),
        created: call.now,
        changes: Vec::new(),
    };
    let from = call.now + call.estate.pace.network;
    let route = call.estate.null_routes.entry(ip).or_insert(new);
    if !route.will_be_on() {
        (route.comment, route.created) = (comment, call.now);
        route.changes.push((from, true));
    }
    call.ledger.acted("null_route", ip);
    Ok(task(call, device_id, ip))
}

fn find(call: &Call<'_>, ip: &str) -> Answer {
    let ip = address(ip)?;
    owner_of(call, ip)?;
    match call.estate.null_routes.get(&ip) {
        Some(route) if route.is_on(call.now) => Ok(Response::json(200, &shown(ip, route, call))),
        _ => Err(not_routed()),
    }
}

fn remove(call: &mut Call<'_>, ip: &str) -> Answer {
    let ip = address(ip)?;
    let device_id = owner_of(call, ip)?;
    let until = call.now + call.estate.pace.network;
    let route = call.estate.null_routes.get_mut(&ip);
    let route = route.filter(|route| route.will_be_on());
    route.ok_or_else(not_routed)?.changes.push((until, false));
    call.ledger.acted("remove_null_route", ip);
    Ok(task(call, device_id, ip))
}

/// The device of the acting account that uses this address.
fn owner_of(call: &Call<'_>, ip: Ipv4Addr) -> Result<u64, Refusal> {
    let device = Device::number_of_address(ip).and_then(|number| call.estate.device(number));
    let own = device.filter(|device| {
        device.client == call.acting
            && device.usable().contains(&ip)
            && device.has_addresses(call.now)
            && device.is_visible(call.estate.devices_show, call.now)
    });
    own.map(Device::id)
        .ok_or_else(|| Refusal::of(403, "This address is not yours."))
}

fn address(text: &str) -> Result<Ipv4Addr, Refusal> {
    text.parse()
        .map_err(|_| Refusal::malformed(400, "ip: is not an IPv4 address"))
}

fn not_routed() -> Refusal {
    Refusal::of(404, "This address is not null-routed.")
}

fn shown(ip: Ipv4Addr, route: &NullRoute, call: &Call<'_>) -> Value {
    let mut shown = json!({
        "ip": ip,
        "clientId": route.client,
        "created": call.calendar.date_time(route.created),
    });
    if let Some(comment) = &route.comment {
        shown["comment"] = json!(comment);
    }
    shown
}

fn task(call: &mut Call<'_>, device_id: u64, ip: Ipv4Addr) -> Response {
    let task = NetworkTask {
        number: call.estate.network_tasks.len(),
        client: call.acting,
        device_id,
        ip,
        ends: call.now + call.estate.pace.network,
    };
    let response = Response::json(201, &task.shown(call.now));
    call.estate.network_tasks.push(task);
    response
}
