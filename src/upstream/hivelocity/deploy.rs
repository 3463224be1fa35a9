//! Ordering the device, once. IO.
//!
//! Two attempts: the first reads the account (devices, order group, orders) and makes sure of the
//! order group; what it saw is stored. Only on that the second sends the order. Whatever speaks
//! for an order that was placed already means that nothing is sent.

use serde_json::{Map, Value, json};

use super::acting::Acting;
use super::devices::Device;
use super::lookup::{Account, Trace, not_tellable};
use super::order::OrderStatus;
use super::{Call, Found, Hivelocity};
use crate::domain::{Again, Done, Outcome, PendingOrder, ServiceState, StepAction};
use crate::upstream::fields::id;
use crate::upstream::talk::Talk;
use crate::upstream::wire::{Answer, Setback};

/// What is ordered, out of the step's action.
struct Wish<'a> {
    action: &'a StepAction,
    tag: &'a str,
    hostname: &'a str,
}

impl<'a> Wish<'a> {
    fn of(action: &'a StepAction) -> Option<Self> {
        match action {
            StepAction::DeployDevice { tag, hostname, .. } => Some(Self {
                action,
                tag,
                hostname,
            }),
            _ => None,
        }
    }
}

impl Hivelocity {
    /// Orders the device unless that was done before.
    pub(super) async fn deploy(&self, talk: &mut Talk<'_>, action: &StepAction) -> Found<Outcome> {
        let Some(wish) = Wish::of(action) else {
            return Ok(Outcome::Absent);
        };
        let acting = self.acting_or_rejected(talk).await?;
        let pending = talk.scene.service.pending_order.clone();
        if let Some(pending) = pending.filter(|_| talk.scene.order_may_leave) {
            return self.place(talk, &acting, &wish, &pending).await;
        }
        self.look_first(talk, &acting, &wish).await
    }

    async fn look_first(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        wish: &Wish<'_>,
    ) -> Found<Outcome> {
        if talk.scene.service.pending_order.is_none()
            && let Some(over) = self.all_cancelled(talk, acting).await?
        {
            // What is over is kept in the state, and on that it is ordered afresh.
            let left = self.bury(talk, acting, wish.tag, &over).await?;
            return Ok(left.unwrap_or(Outcome::Prepared));
        }
        let account = self.account(talk, acting).await?;
        let names = (wish.tag, wish.hostname);
        let trace = self.trace_order(talk, acting, names, &account).await?;
        let already = |talk: &Talk<'_>, device: &Device, orders: &[i64]| {
            Outcome::AlreadySo(ordered(talk, wish.action, acting, device, orders))
        };
        match trace {
            Trace::Found { device, orders } => Ok(already(talk, &device, &orders)),
            Trace::Several(devices) => {
                let kept = self.only_one(talk, acting, wish.tag, devices).await?;
                Ok(already(talk, &kept, &[]))
            }
            Trace::Doubtful(doubt) if doubt.over && talk.scene.order_settled => {
                Err(not_tellable(wish.tag, doubt))
            }
            Trace::Doubtful(doubt) => Ok(Outcome::NotYet {
                waiting_for: format!(
                    "{}, which could be this service's order, to show whose it is",
                    doubt.seen
                ),
                again: Again::Build,
            }),
            Trace::Nothing => self.nothing_found(talk, acting, wish, account).await,
        }
    }

    async fn nothing_found(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        wish: &Wish<'_>,
        account: Account,
    ) -> Found<Outcome> {
        let state = talk.scene.service;
        let known = state.device_id.is_some() || state.device_order_id.is_some();
        if known && !self.is_over(talk, acting).await? {
            // A device that was ordered is in no list before its order is complete.
            let known = Device {
                id: state.device_id,
                order_id: state.device_order_id,
                ..Device::default()
            };
            let orders = state.order_ids();
            let done = ordered(talk, wish.action, acting, &known, &orders);
            return Ok(Outcome::AlreadySo(done));
        }
        if talk.only_looks() {
            return Err(Setback::Withheld);
        }
        let sent_at = state.pending_order.as_ref().and_then(|order| order.sent_at);
        let group = self.ensure_group(talk, acting, wish.tag, &account).await?;
        let orders = account
            .orders
            .map(|orders| orders.iter().map(|order| order.id).collect());
        let pending = PendingOrder {
            read_at: talk.now(),
            used: false,
            sent_at,
            group,
            known_orders: orders,
            hostname: wish.hostname.to_owned(),
        };
        talk.learned
            .service
            .insert("pending_order".to_owned(), json!(pending));
        Ok(Outcome::Prepared)
    }

    /// Whether Hivelocity cancelled the orders that the service is known to have: then a new order
    /// of the billing platform is one.
    async fn is_over(&self, talk: &mut Talk<'_>, acting: &Acting) -> Found<bool> {
        let orders = talk.scene.service.order_ids();
        for order in &orders {
            let status = self.order(talk, acting, Some(*order)).await?;
            if !matches!(status, OrderStatus::Cancelled(_)) {
                return Ok(false);
            }
        }
        Ok(!orders.is_empty())
    }

    /// The service's order group, where the account may have one.
    async fn ensure_group(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        tag: &str,
        account: &Account,
    ) -> Found<Option<i64>> {
        let group = match &account.groups {
            None => None,
            Some(groups) => match groups.iter().find(|group| group.name == tag) {
                Some(group) => Some(group.id),
                None => self.make_group(talk, acting, tag).await?,
            },
        };
        if group.is_none() && self.order_groups {
            self.say_groups_refused();
        }
        Ok(group)
    }

    /// Sends the order, into its group where it has one.
    async fn place(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        wish: &Wish<'_>,
        pending: &PendingOrder,
    ) -> Found<Outcome> {
        let device = match pending.group {
            Some(group) => self.place_in_group(talk, acting, wish, group).await?,
            None => self.place_alone(talk, acting, wish).await?,
        };
        if device.id.or(device.order_id).is_none() {
            return Err(Setback::Ambiguous(
                "Hivelocity accepted the order without a usable id".to_owned(),
            ));
        }
        Ok(Outcome::Done(ordered(
            talk,
            wish.action,
            acting,
            &device,
            &[],
        )))
    }

    async fn place_in_group(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        wish: &Wish<'_>,
        group: i64,
    ) -> Found<Device> {
        let body = json!({"orderGroupId": group, "devices": [order_body(wish.action)]});
        let call = Call::post("/bare-metal-devices/batch")
            .body(body)
            .once(&["/devices/0/deviceId", "/devices/0/orderId"])
            .meaning(&[403, 404, 405]);
        let answer = self.call(talk, acting, call).await?;
        if answer.status >= 400 {
            // Surely not done: the account may not order so, and the guide's way is left.
            self.say_groups_refused();
            return self.place_alone(talk, acting, wish).await;
        }
        Ok(placed(answer.body.pointer("/devices/0")))
    }

    async fn place_alone(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        wish: &Wish<'_>,
    ) -> Found<Device> {
        let call = Call::post("/bare-metal-devices/")
            .body(order_body(wish.action))
            .once(&["/deviceId", "/orderId"]);
        let Answer { body, .. } = self.call(talk, acting, call).await?;
        Ok(placed(Some(&body)))
    }
}

fn placed(body: Option<&Value>) -> Device {
    let number = |field| body.and_then(|body| id(body, field));
    Device {
        id: number("deviceId"),
        order_id: number("orderId"),
        ..Device::default()
    }
}

fn order_body(action: &StepAction) -> Value {
    let StepAction::DeployDevice {
        product_id,
        location,
        os,
        hostname,
        period,
        tag,
    } = action
    else {
        return Value::Null;
    };
    json!({
        "productId": product_id,
        "locationName": location,
        "osName": os,
        "hostname": hostname,
        "period": period,
        "tags": [tag],
    })
}

fn ordered(
    talk: &Talk<'_>,
    action: &StepAction,
    acting: &Acting,
    device: &Device,
    orders: &[i64],
) -> Done {
    let StepAction::DeployDevice {
        product_id,
        location,
        os,
        hostname,
        ..
    } = action
    else {
        return Done::default();
    };
    let state = talk.scene.service;
    let mut service = Map::new();
    let mut set = |name: &str, value: Value| {
        // What is not known must not wipe out what the state knows.
        if !value.is_null() {
            service.insert(name.to_owned(), value);
        }
    };
    set("device_id", json!(device.id));
    set("device_order_id", json!(device.order_id));
    set("device_product_id", json!(product_id));
    // Another order of a device that is up changes nothing of it.
    let up = device.id.is_some() && state.device_id == device.id && state.ip.is_some();
    if !up || state.device_location.is_none() {
        set("device_location", json!(location));
    }
    if !up || state.device_os.is_none() {
        set("device_os", json!(os));
    }
    if !up || state.hostname.is_none() {
        set("hostname", json!(hostname));
    }
    set("hivelocity_client_id", json!(acting.client()));
    if state.device_ordered_at.is_none() || device.order_id != state.device_order_id {
        let sent_at = state.pending_order.as_ref().and_then(|order| order.sent_at);
        let ordered_at = json!(sent_at.unwrap_or_else(|| talk.now()));
        set("device_ordered_at", ordered_at);
        for of_an_earlier in ["device_order_status", "device_order_complete_at"] {
            service.insert(of_an_earlier.to_owned(), Value::Null);
        }
    }
    let several = (orders.len() > 1).then_some(orders);
    service.insert("device_orders".to_owned(), json!(several));
    service.insert("pending_order".to_owned(), left_pending(state, device));
    if state.device_id.is_none() || state.device_id != device.id {
        // Another device than before: an IP that is left from an earlier one is not its IP.
        service.insert("ip".to_owned(), json!(device.ip));
    }
    Done {
        output: json!({"device_id": device.id, "order_id": device.order_id}),
        service: Value::Object(service),
        ..Done::default()
    }
}

/// What was read of the account stays where the device's order is not known yet: by that it is
/// told from the others once it shows, for it may still be cancelled.
fn left_pending(state: &ServiceState, device: &Device) -> Value {
    match &state.pending_order {
        Some(order) if device.order_id.or(state.device_order_id).is_none() => json!(PendingOrder {
            sent_at: None,
            ..order.clone()
        }),
        Some(_) | None => Value::Null,
    }
}
