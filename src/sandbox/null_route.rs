//! Hivelocity's routes for addresses whose traffic is thrown away. Pure.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::device::Device;
use super::estate::NullRoute;
use super::fields::{Answer, Fields, Refusal};
use super::hivelocity::Call;
use super::wire::Response;

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

fn list(call: &Call<'_>) -> Response {
    let owner = call
        .request
        .argument("clientId")
        .and_then(|text| text.parse().ok());
    let wanted = owner.unwrap_or(call.acting);
    let routes = call.estate.null_routes.iter();
    let own = routes.filter(|(_, route)| route.client == call.acting && route.client == wanted);
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
    let route = NullRoute {
        client: call.acting,
        comment,
        created: call.now,
    };
    call.estate.null_routes.entry(ip).or_insert(route);
    call.ledger.acted("null_route", ip);
    Ok(task(call, device_id, ip))
}

fn find(call: &Call<'_>, ip: &str) -> Answer {
    let ip = address(ip)?;
    owner_of(call, ip)?;
    match call.estate.null_routes.get(&ip) {
        Some(route) => Ok(Response::json(200, &shown(ip, route, call))),
        None => Err(not_routed()),
    }
}

fn remove(call: &mut Call<'_>, ip: &str) -> Answer {
    let ip = address(ip)?;
    let device_id = owner_of(call, ip)?;
    if call.estate.null_routes.remove(&ip).is_none() {
        return Err(not_routed());
    }
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
            && !device.is_gone(call.now)
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

fn task(call: &Call<'_>, device_id: u64, ip: Ipv4Addr) -> Response {
    let body = json!({
        "taskId": format!("{}-{}", ip.to_bits(), call.now.as_micros()),
        "result": "Success",
        "clientId": call.acting,
        "deviceId": device_id,
        "metaData": json!({"ip": ip}).to_string(),
    });
    Response::json(201, &body)
}
