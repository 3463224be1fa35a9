//! Waiting for the device: one look. IO.
//!
//! A new device answers 404 for a while, then has no IP, then is off. None of that is a
//! failure; only a cancelled order is.

use serde_json::{Map, Value, json};

use super::acting::Acting;
use super::devices::{Device, marked};
use super::order::{OrderStatus, cancelled};
use super::{Found, Hivelocity};
use crate::domain::{Again, Done, Outcome};
use crate::upstream::talk::Talk;
use crate::upstream::wire::Setback;

impl Hivelocity {
    /// Looks whether the device is up with an IP.
    pub(super) async fn await_device(&self, talk: &mut Talk<'_>, tag: &str) -> Found<Outcome> {
        let acting = self.acting_or_rejected(talk).await?;
        let Some((id, device)) = self.visible(talk, &acting, tag).await? else {
            let order_id = talk.scene.service.device_order_id;
            return self.not_visible(talk, &acting, order_id).await;
        };
        if !device.carries(tag) && !talk.only_looks() {
            match self.mark_device(talk, &acting, id, &device, tag).await {
                // A device that may not be marked is still the customer's device.
                Ok(()) | Err(Setback::Rejected(_)) => {}
                Err(other) => return Err(other),
            }
        }
        self.readiness(talk, &acting, id, device).await
    }

    /// The device by its id, else by its mark.
    async fn visible(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        tag: &str,
    ) -> Found<Option<(i64, Device)>> {
        if let Some(id) = talk.scene.service.device_id
            && let Some(device) = self.device(talk, acting, id).await?
            && device.other_mark(tag).is_none()
        {
            return Ok(Some((id, device)));
        }
        let found = marked(&self.devices(talk, acting).await?, tag);
        Ok(found.and_then(|device| Some((device.id?, device))))
    }

    async fn not_visible(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        order_id: Option<i64>,
    ) -> Found<Outcome> {
        let order = self.order(talk, acting, order_id).await?;
        if let OrderStatus::Cancelled(words) = &order {
            return Err(cancelled(order_id, words));
        }
        Ok(waiting(format!(
            "Hivelocity to show the ordered device{}",
            order.words()
        )))
    }

    async fn readiness(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        id: i64,
        device: Device,
    ) -> Found<Outcome> {
        if let Some(ip) = &device.ip
            && matches!(device.power.as_str(), "ON" | "")
        {
            return Ok(Outcome::Done(ready(talk, id, &device, ip)));
        }
        let order_id = talk.scene.service.device_order_id.or(device.order_id);
        let order = self.order(talk, acting, order_id).await?;
        match (&order, &device.ip) {
            (OrderStatus::Cancelled(words), _) => Err(cancelled(order_id, words)),
            // Built, and switched off by somebody since.
            (OrderStatus::Complete | OrderStatus::Unknown, Some(ip)) if device.power == "OFF" => {
                Ok(Outcome::Done(ready(talk, id, &device, ip)))
            }
            (_, Some(_)) => Ok(waiting(format!(
                "device {id} to be switched on{}",
                order.words()
            ))),
            (_, None) => Ok(waiting(format!(
                "device {id} to get its IP{}",
                order.words()
            ))),
        }
    }
}

fn waiting(waiting_for: String) -> Outcome {
    Outcome::NotYet {
        waiting_for,
        again: Again::Slow,
    }
}

fn ready(talk: &Talk<'_>, id: i64, device: &Device, ip: &str) -> Done {
    let known = talk.scene.service.hostname.as_deref().unwrap_or_default();
    let hostname = if device.hostname.is_empty() {
        known
    } else {
        &device.hostname
    };
    let mut service = Map::new();
    service.insert("ip".to_owned(), Value::from(ip));
    service.insert("device_id".to_owned(), Value::from(id));
    if !hostname.is_empty() {
        service.insert("hostname".to_owned(), Value::from(hostname));
    }
    if let Some(order_id) = device.order_id {
        service.insert("device_order_id".to_owned(), Value::from(order_id));
    }
    Done {
        output: json!({"ip": ip, "device_id": id, "hostname": hostname}),
        service: Value::Object(service),
        ..Done::default()
    }
}
