//! Hivelocity's routes for a device that exists: its page, power, tags, addresses, reinstallation,
//! first credentials and events. Pure.

use serde_json::{Value, json};

use super::device::{Device, PowerStatus};
use super::fields::{Answer, Fields, Refusal};
use super::hivelocity::Call;
use super::inventory;
use super::wire::Response;

const RELOAD: [&str; 7] = [
    "controlPanelId",
    "ignitionId",
    "publicSshKeyIds",
    "body",
    "operatingSystemId",
    "customIPXEScriptUrl",
    "script",
];

/// `device/{id}`.
pub(super) fn device(call: &Call<'_>, method: &str, id: &str) -> Option<Answer> {
    if method != "GET" {
        return None;
    }
    Some(
        call.present(id, 403)
            .map(|device| Response::json(200, &page(device, call))),
    )
}

/// `device/{id}/{aspect}`.
pub(super) fn aspect(call: &mut Call<'_>, method: &str, id: &str, aspect: &str) -> Option<Answer> {
    Some(match (method, aspect) {
        ("GET", "power") => power(call, id),
        ("POST", "power") => press(call, id),
        ("GET", "tags") => tags(call, id),
        ("PUT", "tags") => replace_tags(call, id),
        ("GET", "ips") => addresses(call, id),
        ("POST", "reload") => reload(call, id),
        ("GET", "initial-creds") => credentials(call, id),
        ("GET", "events") => events(call, id),
        _ => return None,
    })
}

fn page(device: &Device, call: &Call<'_>) -> Value {
    let now = call.now;
    let wanted = &device.specification;
    let built = device.is_in_use(now);
    let mut page = json!({
        "deviceId": device.id(),
        "name": wanted.hostname,
        "hostname": wanted.hostname,
        "status": if built { "active" } else { "inactive" },
        "deviceType": "1U Server",
        "hasCancellation": device.is_cancelled(),
        "isReload": device.is_reloading(now),
        "tags": wanted.tags,
        "location": {"facility": {"code": wanted.location}},
        "servicePlan": device.service_id(),
        "selfProvisioning": true,
        "clientId": device.client,
        "metadata": {"is_reload": if device.is_reloading(now) { "true" } else { "" }},
    });
    // Some devices tell it in one place, some in the other, each in its own spelling.
    let (plain, spaced) = provisioning_status(device, call);
    if device.id().is_multiple_of(2) {
        page["metadata"]["sps_status"] = json!(spaced);
    } else {
        page["spsStatus"] = json!(plain);
    }
    if device.has_addresses(now) {
        page["primaryIp"] = json!(device.address(2));
    }
    page
}

/// How far its provisioning is, in both spellings.
fn provisioning_status(device: &Device, call: &Call<'_>) -> (&'static str, &'static str) {
    let now = call.now;
    if device.is_broken(now) {
        ("FAILED", "Failed")
    } else if device.is_reloading(now) {
        ("RELOADING", "Reloading")
    } else if device.is_in_use(now) {
        ("IN_USE", "InUse")
    } else if device.is_complete(now) {
        ("WAIT_FOR_HARDWARE_SCAN", "WaitForHardwareScan")
    } else {
        ("PROVISION_STARTED", "ProvisionStarted")
    }
}

fn power(call: &Call<'_>, id: &str) -> Answer {
    let status = call.present(id, 403)?.power_status(call.now);
    Ok(Response::json(200, &json!({"powerStatus": status.name()})))
}

fn press(call: &mut Call<'_>, id: &str) -> Answer {
    let Some(action @ ("boot" | "reboot" | "shutdown")) = call.request.argument("action") else {
        return Err(Refusal::malformed(
            400,
            "action: is not boot, reboot or shutdown",
        ));
    };
    let now = call.now;
    let device = call.change(id, 403)?;
    if !device.is_in_use(now) {
        return Err(Refusal::of(400, "This device is still being provisioned."));
    }
    let status = device.power_status(now);
    let going_off = status == PowerStatus::Pending && device.is_switched_off();
    if (status == PowerStatus::Off || going_off) && action != "boot" {
        return Err(Refusal::of(
            400,
            "Can't do this while server is powered off.",
        ));
    }
    if action == "boot" && device.power_status(now) == PowerStatus::On {
        return Err(Refusal::of(
            400,
            "Can't do this while server is powered on.",
        ));
    }
    device.switch(action != "shutdown", action, now);
    let (device_id, status) = (device.id(), PowerStatus::Pending.name());
    call.ledger.acted(action, device_id);
    Ok(Response::json(202, &json!({"powerStatus": status})))
}

fn tags(call: &Call<'_>, id: &str) -> Answer {
    let device = call.present(id, 403)?;
    Ok(Response::json(
        200,
        &json!({"tags": device.specification.tags}),
    ))
}

fn replace_tags(call: &mut Call<'_>, id: &str) -> Answer {
    let tags = Fields::of(call.request, &["tags"])?.texts("tags")?;
    let tags = tags.ok_or_else(|| Refusal::malformed(400, "tags: is missing"))?;
    let device = call.change(id, 403)?;
    device.specification.tags.clone_from(&tags);
    let device_id = device.id();
    call.ledger.acted("replace_tags", device_id);
    Ok(Response::json(200, &json!({"tags": tags})))
}

fn addresses(call: &Call<'_>, id: &str) -> Answer {
    let device = call.present(id, 403)?;
    if !device.has_addresses(call.now) {
        return Ok(Response::json(200, &json!([])));
    }
    Ok(Response::json(200, &json!([ipv4(device), ipv6(device)])))
}

fn ipv4(device: &Device) -> Value {
    let [first, .., last] = device.usable();
    json!({
        "version": 4,
        "assignmentId": device.id() * 10,
        "clientId": device.client,
        "deviceId": device.id(),
        "subnet": format!("{}/29", device.address(0)),
        "netmask": "255.255.255.248",
        "broadcastIp": device.address(7),
        "gatewayIp": device.address(1),
        "firstUsableIp": first,
        "lastUsableIp": last,
        "usableIps": device.usable(),
        "facilityCode": device.specification.location,
        "description": "Primary",
    })
}

fn ipv6(device: &Device) -> Value {
    let network = device.network6();
    json!({
        "version": 6,
        "assignmentId": device.id() * 10 + 1,
        "clientId": device.client,
        "deviceId": device.id(),
        "subnet": format!("{network}/64"),
        "gatewayIp": format!("{network}1"),
        "firstUsableIp": format!("{network}2"),
        "usableIps": [],
        "facilityCode": device.specification.location,
    })
}

fn reload(call: &mut Call<'_>, id: &str) -> Answer {
    let fields = Fields::of(call.request, &RELOAD)?;
    let number = fields.number("operatingSystemId")?;
    let now = call.now;
    let device = call.change(id, 403)?;
    if !device.is_in_use(now) || device.is_reloading(now) {
        return Err(Refusal::of(400, "This device is still being provisioned."));
    }
    let known = inventory::operating_system(number).map(str::to_owned);
    let os = known.unwrap_or_else(|| device.specification.os.clone());
    device.reload(os.clone(), now);
    let device_id = device.id();
    call.ledger.acted("reload", device_id);
    Ok(Response::json(
        202,
        &json!({"optionId": number, "optionName": os}),
    ))
}

fn credentials(call: &Call<'_>, id: &str) -> Answer {
    let device = call.present(id, 403)?;
    if !device.is_in_use(call.now) {
        return Err(Refusal::of(
            400,
            "There are no credentials for this device yet.",
        ));
    }
    let week = std::time::Duration::from_hours(7 * 24);
    let body = json!({
        "user": "root",
        "password": format!("first-{}", device.id()),
        "port": 22,
        "passwordReturnsUntil": call.calendar.unix(call.now + week),
    });
    Ok(Response::json(200, &body))
}

fn events(call: &Call<'_>, id: &str) -> Answer {
    let device = call.present(id, 403)?;
    let shown = device
        .events
        .iter()
        .map(|(time, action)| json!({"time": call.calendar.unix(*time), "action": action}));
    Ok(Response::json(200, &shown.collect()))
}
