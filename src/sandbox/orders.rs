//! Hivelocity's routes for orders, for order groups and for several devices at once. Pure.

use serde_json::{Map, Value, json};

use super::bare_metal::{place, specification};
use super::device::Device;
use super::fields::{Answer, Fields, Refusal};
use super::hivelocity::{Call, NOT_GRANTED};
use super::order::{Order, OrderGroup};
use super::wire::Response;
use super::{DevicesShow, GroupsNameDevices, OrdersShow};

/// `order/`, `order/in-progress` and `order/{id}`.
pub(super) fn order(call: &Call<'_>, method: &str, which: &str) -> Option<Answer> {
    Some(match (method, which) {
        ("GET", "") => Ok(orders(call, false)),
        ("GET", "in-progress") => Ok(orders(call, true)),
        ("GET", id) => one_order(call, id),
        _ => return None,
    })
}

fn orders(call: &Call<'_>, only_in_progress: bool) -> Response {
    let now = call.now;
    let wanted = |order: &&Order| {
        let listed = !(only_in_progress && order.is_over(now));
        order.client == call.acting && listed && is_shown(call, order)
    };
    let own = call.estate.book.orders().iter().filter(wanted);
    Response::json(200, &own.map(|order| order.shown(now)).collect())
}

fn is_shown(call: &Call<'_>, order: &Order) -> bool {
    match call.estate.orders_show {
        OrdersShow::AtOnce => true,
        OrdersShow::WhenOver => order.is_over(call.now),
    }
}

fn one_order(call: &Call<'_>, id: &str) -> Answer {
    let Ok(id) = id.parse() else {
        return Err(Refusal::malformed(404, "the order id is not a number"));
    };
    let order = call.estate.book.order(id);
    match order.filter(|order| order.client == call.acting && is_shown(call, order)) {
        Some(order) => Ok(Response::json(200, &order.shown(call.now))),
        None => Err(Refusal::of(404, "Order not found.")),
    }
}

/// `order-groups/`.
pub(super) fn groups(call: &mut Call<'_>, method: &str) -> Option<Answer> {
    if !matches!(method, "GET" | "POST") {
        return None;
    }
    Some(granted(call).and_then(|()| match method {
        "GET" => {
            let own = call.estate.book.groups();
            let own = own.filter(|group| group.client == call.acting);
            Ok(Response::json(
                200,
                &own.map(|group| shown(group, call)).collect(),
            ))
        }
        _ => create(call),
    }))
}

/// `order-groups/{id}`.
pub(super) fn group(call: &mut Call<'_>, method: &str, id: &str) -> Option<Answer> {
    if !matches!(method, "GET" | "PUT" | "DELETE") {
        return None;
    }
    Some(granted(call).and_then(|()| {
        let id = own_group(call, id)?;
        match method {
            "GET" => page(call, id, 200),
            "PUT" => rename(call, id),
            _ => Ok(delete(call, id)),
        }
    }))
}

fn granted(call: &Call<'_>) -> Result<(), Refusal> {
    if call.estate.order_groups {
        Ok(())
    } else {
        Err(Refusal::of(403, NOT_GRANTED))
    }
}

fn own_group(call: &Call<'_>, id: &str) -> Result<u64, Refusal> {
    let Ok(id) = id.parse() else {
        return Err(Refusal::malformed(
            404,
            "the order group id is not a number",
        ));
    };
    match call.estate.book.group(id) {
        None => Err(no_group()),
        Some(group) if group.client != call.acting => {
            Err(Refusal::of(401, "Access to Order Group not Allowed."))
        }
        Some(_own) => Ok(id),
    }
}

fn no_group() -> Refusal {
    Refusal::of(404, "Order Group Not Found.")
}

fn create(call: &mut Call<'_>) -> Answer {
    let fields = Fields::of(call.request, &["name", "same_rack"])?;
    let (name, same_rack) = (fields.text("name")?, fields.flag("same_rack")?);
    call.ledger.acted("create_order_group", &name);
    let acting = call.acting;
    let id = call.estate.book.create_group(acting, name, same_rack);
    page(call, id, 201)
}

fn rename(call: &mut Call<'_>, id: u64) -> Answer {
    let name = Fields::of(call.request, &["name"])?.text("name")?;
    let group = call.estate.book.group_mut(id).ok_or_else(no_group)?;
    group.name = name;
    call.ledger.acted("rename_order_group", id);
    page(call, id, 200)
}

fn delete(call: &mut Call<'_>, id: u64) -> Response {
    if let Some(group) = call.estate.book.group_mut(id) {
        group.deleted = true;
    }
    call.ledger.acted("delete_order_group", id);
    Response::empty(204)
}

fn page(call: &Call<'_>, id: u64, status: u16) -> Answer {
    let group = call.estate.book.group(id).ok_or_else(no_group)?;
    Ok(Response::json(status, &shown(group, call)))
}

fn shown(group: &OrderGroup, call: &Call<'_>) -> Value {
    let id = group.id();
    let orders = call.estate.book.orders().iter();
    let orders = orders.filter(|order| order.group == Some(id));
    let named = |device: &&Device| {
        let built = match call.estate.groups_name_devices {
            GroupsNameDevices::WhenBuilt => device.is_visible(DevicesShow::WhenComplete, call.now),
            GroupsNameDevices::AtOnce => true,
            GroupsNameDevices::Never => false,
        };
        built && !device.is_gone(call.now)
    };
    let devices: Vec<u64> = orders
        .flat_map(|order| &order.devices)
        .filter_map(|number| call.estate.device(*number))
        .filter(named)
        .map(Device::id)
        .collect();
    json!({
        "id": id,
        "name": group.name,
        "same_rack": group.same_rack,
        "device_ids": devices,
    })
}

/// `bare-metal-devices/batch`.
pub(super) fn batch(call: &mut Call<'_>, method: &str) -> Option<Answer> {
    (method == "POST").then(|| granted(call).and_then(|()| place_all(call)))
}

fn place_all(call: &mut Call<'_>) -> Answer {
    let fields = Fields::of(call.request, &["orderGroupId", "devices"])?;
    let group = fields.optional_number("orderGroupId")?;
    if let Some(id) = group {
        match call.estate.book.group(id) {
            None => return Err(no_group()),
            Some(group) if group.client != call.acting => {
                return Err(Refusal::of(400, "Invalid Order Group."));
            }
            Some(_own) => {}
        }
    }
    let wanted = fields.objects("devices", &super::bare_metal::CREATE)?;
    let wanted: Result<Vec<_>, Refusal> = wanted.iter().map(specification).collect();
    let devices = place(call, group, wanted?)?;
    let mut answer = Map::new();
    if let Some(group) = group {
        answer.insert("orderGroupId".to_owned(), json!(group));
    }
    answer.insert("devices".to_owned(), devices);
    Ok(Response::json(201, &Value::Object(answer)))
}
