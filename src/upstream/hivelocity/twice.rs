//! Two things with one mark, of which one costs money for nothing: a person says which is kept,
//! and an approval ends the other. IO.

use serde_json::Value;

use super::acting::Acting;
use super::devices::Device;
use super::order::{Order, OrderStatus};
use super::{Call, Found, Hivelocity};
use crate::domain::{Allowance, Decision, PauseReason};
use crate::upstream::talk::Talk;
use crate::upstream::wire::Setback;

impl Hivelocity {
    /// The one of these devices that is the service's, once only one is left that is not being
    /// cancelled. Those that a person has approved are cancelled here.
    pub(super) async fn only_one(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        tag: &str,
        devices: Vec<Device>,
    ) -> Found<Device> {
        let mut left = Vec::new();
        for device in devices {
            let Some(id) = device.id else { continue };
            // One that only its order group names is too new to be asked for.
            if !device.is_read_whole() || !self.is_being_cancelled(talk, acting, id).await? {
                left.push((id, device));
            }
        }
        let known = talk.scene.service.device_id;
        left.sort_by_key(|(id, _)| (Some(*id) != known, *id));
        let approved = talk.scene.allowed.map_or(&[][..], Allowance::devices);
        let mut surplus = Vec::new();
        for (id, device) in left.iter().skip(1) {
            if !approved.contains(id) {
                surplus.push(*id);
            } else if device.is_read_whole() {
                self.delete(talk, acting, *id).await?;
            } else {
                return Err(Setback::unavailable(format!(
                    "device {id}, which is to be cancelled, is not visible yet"
                )));
            }
        }
        if !surplus.is_empty() {
            return Err(self.ask_which(talk, acting, tag, &left, surplus).await);
        }
        let kept = left.into_iter().next().map(|(_, device)| device);
        kept.ok_or_else(|| {
            Setback::Rejected(format!(
                "every device that carries {tag} is being cancelled at Hivelocity"
            ))
        })
    }

    async fn ask_which(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        tag: &str,
        devices: &[(i64, Device)],
        surplus: Vec<i64>,
    ) -> Setback {
        let mut shown = Vec::new();
        for (id, device) in devices {
            shown.push(self.described(talk, acting, *id, device).await);
        }
        let kept = devices.first().map_or(0, |(id, _)| *id);
        let others: Vec<String> = surplus.iter().map(i64::to_string).collect();
        let (shown, others) = (shown.join(" and "), others.join(", "));
        Setback::NeedsPerson(Decision {
            why: PauseReason::DeviceTwice,
            sentence: format!(
                "{} devices carry {tag} at Hivelocity, and all are paid for: {shown}. To keep device {kept} \
                 and cancel {others}: `billhook runs approve {{run}}`. To keep another one: cancel \
                 device {kept} at Hivelocity, then `billhook runs retry {{run}}`",
                devices.len()
            ),
            allows: Some(Allowance::CancelDevices(surplus)),
        })
    }

    /// The device with what it costs; what cannot be learned is left out.
    async fn described(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        id: i64,
        device: &Device,
    ) -> String {
        let mut parts = Vec::new();
        if let Some(ip) = &device.ip {
            parts.push(ip.clone());
        }
        if let Some(order) = device.order_id {
            parts.push(format!("order {order}"));
            let page = self.order_page(talk, acting, order).await;
            if let Ok((_, Some(total))) = page {
                let period = if device.period.is_empty() {
                    "a period"
                } else {
                    &device.period
                };
                parts.push(format!("{total:.2} {period}"));
            }
        }
        if parts.is_empty() {
            format!("device {id}")
        } else {
            format!("device {id} ({})", parts.join(", "))
        }
    }

    /// Asks what becomes of several controlled clients with one mark. Those that a person has
    /// approved, and that hold nothing, are deactivated; the oldest stays.
    pub(super) async fn only_one_client(
        &self,
        talk: &mut Talk<'_>,
        mark: &str,
        kept: i64,
        others: &[i64],
    ) -> Found<()> {
        let approved = talk.scene.allowed.map_or(&[][..], Allowance::clients);
        let mut surplus = Vec::new();
        for other in others {
            if !approved.contains(other) {
                surplus.push(*other);
                continue;
            }
            let devices = self.devices(talk, &Acting::Query(*other)).await?;
            if !devices.is_empty() {
                return Err(Setback::Rejected(format!(
                    "controlled client {other} is not deactivated: it has {} devices at Hivelocity; \
                     move or cancel them there first",
                    devices.len()
                )));
            }
            // A device that was ordered is in no list before its order is over.
            let orders = self.orders(talk, &Acting::Query(*other)).await?;
            let over = |order: &Order| {
                matches!(
                    order.status,
                    OrderStatus::Complete | OrderStatus::Cancelled(_)
                )
            };
            if !orders.is_some_and(|orders| orders.iter().all(over)) {
                return Err(Setback::Rejected(format!(
                    "controlled client {other} is not deactivated: it has orders at Hivelocity that are not over, \
                     or that may not be read"
                )));
            }
            self.deactivate(talk, *other).await?;
        }
        if surplus.is_empty() {
            return Ok(());
        }
        let named: Vec<String> = surplus.iter().map(i64::to_string).collect();
        let named = named.join(", ");
        Err(Setback::NeedsPerson(Decision {
            why: PauseReason::ClientTwice,
            sentence: format!(
                "{} controlled clients carry {mark} at Hivelocity: {kept} and {named}. A client costs nothing, but \
                 what is in one is not seen from the other. To use {kept} and deactivate {named} for ever \
                 (only where it holds no device): `billhook runs approve {{run}}`. To use another one: \
                 deactivate {kept} at Hivelocity, then `billhook runs retry {{run}}`",
                others.len() + 1
            ),
            allows: Some(Allowance::DeactivateClients(surplus)),
        }))
    }

    /// Whether a device that the list shows is being cancelled; one that cannot be asked for by its
    /// id yet is not.
    async fn is_being_cancelled(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        id: i64,
    ) -> Found<bool> {
        let cancellation = self.cancellation(talk, acting, id).await?;
        Ok(cancellation == Some(true))
    }

    /// Whether the device is being cancelled, or gone.
    pub(super) async fn has_cancellation(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        id: i64,
    ) -> Found<bool> {
        let cancellation = self.cancellation(talk, acting, id).await?;
        Ok(cancellation != Some(false))
    }

    /// Whether the device's page says that it is being cancelled; none without a page.
    pub(super) async fn cancellation(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        id: i64,
    ) -> Found<Option<bool>> {
        let call = Call::get(format!("/device/{id}")).meaning(&[404]);
        let answer = self.call(talk, acting, call).await?;
        let said = answer.body.get("hasCancellation").and_then(Value::as_bool);
        Ok((answer.status != 404).then_some(said == Some(true)))
    }
}
