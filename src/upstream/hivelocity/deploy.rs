//! Ordering the device, once. IO.
//!
//! Whatever speaks for an order that was placed already (an id in the state, the mark on a
//! device) means that nothing is sent.

use serde_json::{Map, Value, json};

use super::acting::Acting;
use super::devices::{Device, marked};
use super::{Call, Found, Hivelocity};
use crate::domain::{Done, Outcome, StepAction};
use crate::upstream::fields::id;
use crate::upstream::talk::Talk;

impl Hivelocity {
    /// Orders the device unless that was done before.
    pub(super) async fn deploy(&self, talk: &mut Talk<'_>, action: &StepAction) -> Found<Outcome> {
        let StepAction::DeployDevice { tag, .. } = action else {
            return Ok(Outcome::Absent);
        };
        let acting = self.acting_or_rejected(talk).await?;
        let devices = self.devices(talk, &acting).await?;
        if let Some(device) = marked(&devices, tag) {
            let several = devices.iter().filter(|device| device.carries(tag)).count() > 1;
            return Ok(Outcome::AlreadySo(ordered(
                talk, action, &acting, &device, several,
            )));
        }
        let state = talk.scene.service;
        if state.device_id.is_some() || state.device_order_id.is_some() {
            // A device that was just ordered may not be in the list yet.
            let known = Device {
                id: state.device_id,
                order_id: state.device_order_id,
                ..Device::default()
            };
            return Ok(Outcome::AlreadySo(ordered(
                talk, action, &acting, &known, false,
            )));
        }
        let call = Call::post("/bare-metal-devices/").body(order_body(action));
        let answer = self.call(talk, &acting, call).await?;
        let device = self.answered(talk, &acting, &answer.body, tag).await;
        Ok(Outcome::Done(ordered(
            talk, action, &acting, &device, false,
        )))
    }

    /// The device that a good answer speaks of. The order is placed, whatever can be learned of
    /// it now: what stays unknown is found by the mark while waiting for the device.
    async fn answered(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        body: &Value,
        tag: &str,
    ) -> Device {
        let device = Device {
            id: id(body, "deviceId"),
            order_id: id(body, "orderId"),
            ..Device::default()
        };
        if device.id.is_some() || device.order_id.is_some() {
            return device;
        }
        let listed = self.devices(talk, acting).await.unwrap_or_default();
        marked(&listed, tag).unwrap_or(device)
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
    several: bool,
) -> Done {
    let StepAction::DeployDevice {
        product_id,
        location,
        os,
        hostname,
        tag,
        ..
    } = action
    else {
        return Done::default();
    };
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
    set("device_location", json!(location));
    set("device_os", json!(os));
    set("hostname", json!(hostname));
    set("hivelocity_client_id", json!(acting.client()));
    if talk.scene.service.device_id.is_none() || talk.scene.service.device_id != device.id {
        // Another device than before: an IP that is left from an earlier one is not its IP.
        service.insert("ip".to_owned(), json!(device.ip));
    }
    let mut output = json!({"device_id": device.id, "order_id": device.order_id});
    if several {
        let note = format!("several devices carry the tag {tag}; look whether one is too many");
        output["note"] = Value::from(note);
    }
    Done {
        output,
        service: Value::Object(service),
        ..Done::default()
    }
}
