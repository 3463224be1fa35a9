//! Hivelocity's routes for instant devices. Pure.

use serde_json::{Value, json};

use super::device::{PowerStatus, Specification};
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

/// The fields of an ordered device.
pub(super) const CREATE: [&str; 14] = [
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
        "POST" => place_one(call),
        _ => return None,
    })
}

/// `bare-metal-devices/{id}`.
pub(super) fn one(call: &mut Call<'_>, method: &str, id: &str) -> Option<Answer> {
    Some(match method {
        "GET" => {
            let now = call.now;
            call.present(id, 401)
                .map(|device| Response::json(200, &device.bare_metal(now)))
        }
        "PUT" => update(call, id),
        "DELETE" => cancel(call, id),
        _ => return None,
    })
}

fn list(call: &Call<'_>) -> Response {
    let now = call.now;
    let present = call
        .estate
        .devices_of(call.acting)
        .filter(|device| device.is_visible(call.estate.devices_show, now));
    Response::json(200, &present.map(|device| device.bare_metal(now)).collect())
}

fn place_one(call: &mut Call<'_>) -> Answer {
    let wanted = specification(&Fields::of(call.request, &CREATE)?)?;
    let devices = place(call, None, vec![wanted])?;
    let device = devices.get(0).ok_or_else(internal)?;
    Ok(Response::json(201, device))
}

/// Reads what is ordered.
pub(super) fn specification(fields: &Fields) -> Result<Specification, Refusal> {
    let wanted = Specification {
        product_id: fields.number("productId")?,
        location: fields.text("locationName")?,
        os: fields.text("osName")?,
        hostname: hostname(fields)?,
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
    Ok(wanted)
}

/// Orders devices, all or none; answers them as a list.
pub(super) fn place(
    call: &mut Call<'_>,
    group: Option<u64>,
    wanted: Vec<Specification>,
) -> Result<Value, Refusal> {
    let none_left = |wanted: &Specification| wanted.product_id == 0 || wanted.location == "NOSTOCK";
    if wanted.iter().any(none_left) {
        return Err(Refusal::of(
            400,
            "This product is out of stock at this location.",
        ));
    }
    let placed = (call.acting, group);
    let ordered = call.estate.order(placed, wanted, call.ledger, call.now);
    let numbers = ordered.ok_or_else(internal)?;
    let devices = numbers
        .iter()
        .filter_map(|number| call.estate.device(*number));
    Ok(devices.map(|device| device.bare_metal(call.now)).collect())
}

fn internal() -> Refusal {
    Refusal::of(500, "Internal error.")
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
    let device = call.known(id, 401)?;
    if device.is_just_gone(now) {
        return Ok(Response::empty(204));
    }
    if device.is_cancelled() && !device.is_gone(now) {
        return Err(Refusal::of(409, "This device is already being cancelled."));
    }
    let device = call.change(id, 401)?;
    device.cancel(now);
    let withdrawn = (!device.is_complete(now)).then_some(device.order_id);
    let (device_id, addresses) = (device.id(), device.usable());
    if let Some(order) = withdrawn.and_then(|id| call.estate.book.order_mut(id)) {
        order.withdrawn = true;
    }
    for ip in addresses {
        call.estate.null_routes.remove(&ip);
    }
    call.ledger.acted("cancel", device_id);
    Ok(Response::json(
        201,
        &json!({"message": "Cancellation started."}),
    ))
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
    // An address is digits and dots, too.
    let number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let domain = name.rsplit_once('.').is_some_and(|(_, last)| !number(last));
    if name.len() <= 253 && domain && name.split('.').all(label) {
        Ok(name)
    } else {
        Err(Refusal::malformed(
            400,
            "hostname: is not a fully qualified domain name",
        ))
    }
}
