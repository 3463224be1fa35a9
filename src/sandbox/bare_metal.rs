//! Hivelocity's routes for instant devices and their orders. Pure.

use serde_json::{Value, json};

use super::device::{Device, PowerStatus, Specification};
use super::fields::{Answer, Fields, Refusal};
use super::hivelocity::Call;
use super::wire::Response;

const PERIODS: [&str; 7] = [
    "hourly",
    "monthly",
    "quarterly",
    "semi-annually",
    "annually",
    "biennial",
    "triennial",
];

const CREATE: [&str; 14] = [
    "locationName",
    "vlanId",
    "forceDeviceId",
    "osName",
    "hostname",
    "customIPXEScriptContents",
    "period",
    "tags",
    "ignitionId",
    "productId",
    "publicSshKeyId",
    "script",
    "customIPXEScriptURL",
    "bondingSupport",
];

const UPDATE: [&str; 9] = [
    "forceReload",
    "osName",
    "hostname",
    "customIPXEScriptContents",
    "tags",
    "ignitionId",
    "publicSshKeyId",
    "script",
    "customIPXEScriptURL",
];

/// `bare-metal-devices/`.
pub(super) fn all(call: &mut Call<'_>, method: &str) -> Option<Answer> {
    Some(match method {
        "GET" => Ok(list(call)),
        "POST" => place(call),
        _ => return None,
    })
}

/// `bare-metal-devices/{id}`.
pub(super) fn one(call: &mut Call<'_>, method: &str, id: &str) -> Option<Answer> {
    Some(match method {
        "GET" => {
            let now = call.now;
            call.visible(id, 401)
                .map(|device| Response::json(200, &device.bare_metal(now)))
        }
        "PUT" => update(call, id),
        "DELETE" => cancel(call, id),
        _ => return None,
    })
}

/// `order/`, `order/in-progress` and `order/{id}`.
pub(super) fn order(call: &Call<'_>, method: &str, which: &str) -> Option<Answer> {
    Some(match (method, which) {
        ("GET", "") => Ok(orders(call, |_| true)),
        ("GET", "in-progress") => Ok(orders(call, |status| {
            !matches!(status, "complete" | "cancelled")
        })),
        ("GET", id) => one_order(call, id),
        _ => return None,
    })
}

fn list(call: &Call<'_>) -> Response {
    let now = call.now;
    let present = call
        .estate
        .devices_of(call.acting)
        .filter(|device| !device.is_gone(now));
    Response::json(200, &present.map(|device| device.bare_metal(now)).collect())
}

fn place(call: &mut Call<'_>) -> Answer {
    let fields = Fields::of(call.request, &CREATE)?;
    let wanted = Specification {
        product_id: fields.number("productId")?,
        location: fields.text("locationName")?,
        os: fields.text("osName")?,
        hostname: hostname(&fields)?,
        period: fields
            .optional_text("period")?
            .unwrap_or_else(|| "hourly".to_owned()),
        tags: fields.texts("tags")?.unwrap_or_default(),
    };
    fields.optional_text("script")?;
    fields.optional_number("publicSshKeyId")?;
    fields.optional_number("vlanId")?;
    fields.optional_number("forceDeviceId")?;
    if !PERIODS.contains(&wanted.period.as_str()) {
        return Err(Refusal::malformed(
            400,
            "period: is not one of the billing periods",
        ));
    }
    if wanted.product_id == 0 || wanted.location == "NOSTOCK" {
        return Err(Refusal::of(
            400,
            "This product is out of stock at this location.",
        ));
    }
    let device = call
        .estate
        .order(call.acting, wanted, call.ledger, call.now);
    let device = device.ok_or_else(|| Refusal::of(500, "Internal error."))?;
    Ok(Response::json(201, &device.bare_metal(call.now)))
}

fn update(call: &mut Call<'_>, id: &str) -> Answer {
    let fields = Fields::of(call.request, &UPDATE)?;
    let (hostname, os) = (hostname(&fields)?, fields.text("osName")?);
    let (tags, force) = (fields.texts("tags")?, fields.flag("forceReload")?);
    let unchecked = call.request.argument("skipPowerCheck") == Some("true");
    let now = call.now;
    let device = call.change(id, 401)?;
    let reload = force || os != device.specification.os;
    if reload && !unchecked && device.power_status(now) != PowerStatus::Off {
        return Err(Refusal::of(
            400,
            "Power the device off before it is reloaded.",
        ));
    }
    device.specification.hostname = hostname;
    device.specification.tags = tags.unwrap_or_else(|| device.specification.tags.clone());
    if reload {
        device.reload(os, now);
    }
    let (device_id, shown) = (device.id(), device.bare_metal(now));
    call.ledger
        .acted(if reload { "reload" } else { "update" }, device_id);
    Ok(Response::json(200, &shown))
}

fn cancel(call: &mut Call<'_>, id: &str) -> Answer {
    let now = call.now;
    let device = call.owned(id, 401)?;
    if device.is_just_gone(now) {
        return Ok(Response::empty(204));
    }
    if device.is_cancelled() && !device.is_gone(now) {
        return Err(Refusal::of(409, "This device is already being cancelled."));
    }
    let device = call.change(id, 401)?;
    device.cancel(now);
    let (device_id, addresses) = (device.id(), device.usable());
    for ip in addresses {
        call.estate.null_routes.remove(&ip);
    }
    call.ledger.acted("cancel", device_id);
    Ok(Response::json(
        201,
        &json!({"message": "Cancellation started."}),
    ))
}

fn orders(call: &Call<'_>, wanted: impl Fn(&str) -> bool) -> Response {
    let all = call.estate.devices_of(call.acting);
    let found = all.filter(|device| wanted(device.order_status(call.now)));
    Response::json(200, &found.map(|device| order_of(device, call)).collect())
}

fn one_order(call: &Call<'_>, id: &str) -> Answer {
    let Ok(id) = id.parse() else {
        return Err(Refusal::malformed(404, "the order id is not a number"));
    };
    let device = Device::number_of_order(id).and_then(|number| call.estate.device(number));
    match device.filter(|device| device.client == call.acting) {
        Some(device) => Ok(Response::json(200, &order_of(device, call))),
        None => Err(Refusal::of(404, "Order not found.")),
    }
}

fn order_of(device: &Device, call: &Call<'_>) -> Value {
    json!({
        "orderId": device.order_id(),
        "status": device.order_status(call.now),
        "info": device.order_info(call.now),
        "total": 100.0,
        "owner": device.client.to_string(),
    })
}

fn hostname(fields: &Fields) -> Result<String, Refusal> {
    let name = fields.text("hostname")?;
    let label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(known)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() <= 253 && name.contains('.') && name.split('.').all(label) {
        Ok(name)
    } else {
        Err(Refusal::malformed(
            400,
            "hostname: is not a fully qualified domain name",
        ))
    }
}
