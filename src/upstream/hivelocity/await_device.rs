//! Waiting for the device: one look. IO.
//!
//! Ready means: the order complete, the device in use where Hivelocity says so, an IP, power on.
//! Until the order is complete no list shows the device, so the order alone is looked at.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::acting::Acting;
use super::dead::{Over, over};
use super::devices::{Device, marked};
use super::order::OrderStatus;
use super::{Call, Found, Hivelocity};
use crate::domain::{Again, Decision, Done, Outcome, PauseReason, Timestamp};
use crate::upstream::fields::text;
use crate::upstream::talk::Talk;
use crate::upstream::wire::Setback;

const COMPLETE: &str = "complete";
/// After so long a complete order that shows no device is a person's case.
const NEVER_SHOWN: Duration = Duration::from_hours(3);
/// For so many of the shortest pauses between looks a device that was seen must not show before it
/// counts as gone: three minutes.
const MISSING_LOOKS: u32 = 9;
/// And after so long one whose order is not known.
const NEVER_HEARD: Duration = Duration::from_hours(24);

impl Hivelocity {
    /// Looks whether the device is up with an IP.
    pub(super) async fn await_device(&self, talk: &mut Talk<'_>, tag: &str) -> Found<Outcome> {
        let state = talk.scene.service;
        let just_ordered = state
            .device_ordered_at
            .is_some_and(|at| at <= talk.now() && talk.now().since(at) < self.poll_interval);
        if just_ordered && state.ip.is_none() {
            return Ok(waiting("Hivelocity to build the device".to_owned()));
        }
        if state.is_dead() {
            return Err(over(talk, "what was ordered for this service is over"));
        }
        let acting = self.acting_or_rejected(talk).await?;
        match self.order_under_way(talk, &acting).await? {
            Progress::UnderWay(status) => {
                return Ok(waiting(format!(
                    "Hivelocity to build the device{}",
                    status.words()
                )));
            }
            Progress::Dead(over) => return self.bury_or_wait(talk, &acting, tag, &over).await,
            Progress::Over => {}
        }
        let Some((id, device)) = self.shown(talk, &acting, tag).await? else {
            if let Some(outcome) = self.missing(talk, &acting, tag).await? {
                return Ok(outcome);
            }
            if let Some(setback) = never_shown(talk, tag) {
                return Err(setback);
            }
            return Ok(waiting(format!(
                "Hivelocity to show the ordered device{}",
                known_status(talk).words()
            )));
        };
        if !device.carries(tag) && !talk.only_looks() {
            match self.mark_device(talk, &acting, id, &device, tag).await {
                // A device that may not be marked is still the customer's device.
                Ok(()) | Err(Setback::Rejected(_)) => {}
                Err(other) => return Err(other),
            }
        }
        saw(talk, id);
        self.readiness(talk, &acting, tag, (id, &device)).await
    }

    /// A device that was seen and does not show any more: gone, where it stays so for a few looks.
    async fn missing(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        tag: &str,
    ) -> Found<Option<Outcome>> {
        let state = talk.scene.service;
        let Some(id) = state
            .device_seen
            .filter(|seen| state.device_id == Some(*seen))
        else {
            return Ok(None);
        };
        let page = self.cancellation(talk, acting, id).await?;
        let since = state.device_missing_since.unwrap_or_else(|| talk.now());
        let long = talk.now().since(since) >= self.poll_interval * MISSING_LOOKS;
        let gone = match page {
            Some(true) => "is being cancelled at Hivelocity, and no list shows it any more",
            None if long => "was at Hivelocity and is gone: neither its page nor any list shows it",
            Some(false) | None => {
                let service = &mut talk.learned.service;
                service.insert("device_missing_since".to_owned(), json!(since));
                return Ok(Some(Outcome::NotYet {
                    waiting_for: format!("device {id}, which was seen before, to show again"),
                    again: Again::Slow,
                }));
            }
        };
        let over = of_device(talk, id, None, gone);
        self.bury_or_wait(talk, acting, tag, &over).await.map(Some)
    }

    /// Where the order stands, as long as it is not complete; an order that is over without a
    /// device ends the wait.
    async fn order_under_way(&self, talk: &mut Talk<'_>, acting: &Acting) -> Found<Progress> {
        let state = talk.scene.service;
        if state.device_order_status.as_deref() == Some(COMPLETE) || state.ip.is_some() {
            return Ok(Progress::Over);
        }
        let mut orders = state.order_ids();
        if orders.is_empty() {
            orders = self.orders_since(talk, acting).await?;
            let Some(first) = orders.first() else {
                return Ok(Progress::Over);
            };
            let found = [
                ("device_order_id", json!(first)),
                ("device_orders", json!(orders)),
            ];
            let found = found.map(|(name, value)| (name.to_owned(), value));
            talk.learned.service.extend(found);
        }
        let seen = self.in_progress(talk, acting, self.poll_interval).await?;
        if let Some((_, status)) = seen.iter().find(|(id, _)| orders.contains(id)) {
            learn_status(talk, status);
            let status = OrderStatus::UnderWay(status.to_ascii_lowercase());
            return Ok(Progress::UnderWay(status));
        }
        self.order_over(talk, acting, &orders).await
    }

    /// The same where no order of the service's is in progress any more.
    async fn order_over(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        orders: &[i64],
    ) -> Found<Progress> {
        let mut none = None;
        for order in orders {
            let status = self.order(talk, acting, Some(*order)).await?;
            match status {
                OrderStatus::Cancelled(words) => {
                    none.get_or_insert_with(|| Over::order(orders, *order, &words));
                }
                // What may not be read does not keep a device that is there from being seen.
                OrderStatus::Unknown => return Ok(Progress::Over),
                OrderStatus::Complete => {
                    learn_status(talk, COMPLETE);
                    return Ok(Progress::Over);
                }
                OrderStatus::UnderWay(_) => {
                    learn_status(talk, status.word());
                    return Ok(Progress::UnderWay(status));
                }
            }
        }
        Ok(none.map_or(Progress::Over, Progress::Dead))
    }

    /// The device by its mark, else by its id, else by its order.
    async fn shown(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        tag: &str,
    ) -> Found<Option<(i64, Device)>> {
        let devices = self.devices(talk, acting).await?;
        // What an earlier order brought may carry the mark for a while.
        let devices = self.living(talk, acting, devices).await?;
        let state = talk.scene.service;
        let ours: Vec<Device> = devices
            .iter()
            .filter(|device| device.carries(tag))
            .cloned()
            .collect();
        if ours.len() > 1 {
            let kept = self.only_one(talk, acting, tag, ours).await?;
            return Ok(kept.id.map(|id| (id, kept)));
        }
        let known = |device: &&Device| {
            let by_id = device.id.is_some() && device.id == state.device_id;
            let by_order = device.order_id.is_some_and(|order| {
                state.device_order_id == Some(order) || state.device_orders.contains(&order)
            });
            (by_id || by_order) && device.other_mark(tag).is_none()
        };
        let found = marked(&devices, tag).or_else(|| devices.iter().find(known).cloned());
        let Some((id, device)) = found.and_then(|device| Some((device.id?, device))) else {
            return Ok(None);
        };
        if !device.carries(tag) && state.device_id != Some(id) && !is_as_ordered(talk, &device) {
            return Err(other_device(talk, id, &device));
        }
        Ok(Some((id, device)))
    }

    async fn readiness(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        tag: &str,
        (id, device): (i64, &Device),
    ) -> Found<Outcome> {
        if talk.scene.service.device_order_id.is_none()
            && let Some(order) = device.order_id
        {
            match self.order_over(talk, acting, &[order]).await? {
                Progress::UnderWay(status) => {
                    let words = status.words();
                    return Ok(waiting(format!("device {id} to be delivered{words}")));
                }
                Progress::Dead(over) => {
                    let over = Over {
                        device: Some(id),
                        ..over
                    };
                    return self.bury_or_wait(talk, acting, tag, &over).await;
                }
                Progress::Over => {}
            }
        }
        // A build that failed never gets an address or power.
        match self.phase(talk, acting, id).await? {
            Phase::InUse => {}
            Phase::UnderWay(phase) => {
                return Ok(waiting(format!("device {id} to be in use ({phase})")));
            }
            Phase::Failed(phase) => return Err(failed(id, &phase)),
            Phase::Cancelled => {
                let over = of_device(talk, id, device.order_id, "was cancelled at Hivelocity");
                return self.bury_or_wait(talk, acting, tag, &over).await;
            }
        }
        let Some(ip) = &device.ip else {
            return Ok(waiting(format!("device {id} to get its IP")));
        };
        // One that was up before may have been switched off by its owner since.
        let was_up = talk.scene.service.ip.as_ref() == Some(ip);
        let up = match device.power.as_str() {
            "ON" | "" => true,
            "OFF" => was_up,
            _ => false,
        };
        if !up {
            return Ok(waiting(format!("device {id} to be switched on")));
        }
        Ok(Outcome::Done(ready(talk, id, device, ip)))
    }

    /// Where provisioning stands; where nothing is said, nothing speaks against it.
    async fn phase(&self, talk: &mut Talk<'_>, acting: &Acting, id: i64) -> Found<Phase> {
        let call = Call::get(format!("/device/{id}")).meaning(&[404]);
        let answer = self.call(talk, acting, call).await?;
        if answer.status == 404 {
            return Ok(Phase::UnderWay("not visible by its id yet".to_owned()));
        }
        Ok(Phase::of(&answer.body))
    }
}

/// Where provisioning stands.
#[derive(Debug, PartialEq)]
pub(super) enum Phase {
    InUse,
    UnderWay(String),
    Failed(String),
    /// It is being cancelled, or was.
    Cancelled,
}

/// How far the service's orders are.
enum Progress {
    /// One is on its way.
    UnderWay(OrderStatus),
    /// None is, or nothing is known: what there is, the devices show.
    Over,
    /// All of them were cancelled.
    Dead(Over),
}

impl Phase {
    /// Hivelocity spells it `spsStatus` `IN_USE` and `metadata.sps_status` `InUse`.
    pub(super) fn of(page: &Value) -> Self {
        let status = text(page, "status").to_ascii_lowercase();
        let ended = ["cancelled", "canceled", "terminated"].contains(&status.as_str());
        if ended || page.get("hasCancellation").and_then(Value::as_bool) == Some(true) {
            return Self::Cancelled;
        }
        let metadata = page.get("metadata").unwrap_or(&Value::Null);
        let said = [text(page, "spsStatus"), text(metadata, "sps_status")];
        let plain = |word: &String| {
            let letters = word.chars().filter(char::is_ascii_alphanumeric);
            letters.collect::<String>().to_ascii_uppercase()
        };
        for word in said.iter().filter(|word| !word.is_empty()) {
            match plain(word).as_str() {
                "INUSE" => {}
                failed if failed.contains("FAILED") => return Self::Failed(word.clone()),
                _ => return Self::UnderWay(word.clone()),
            }
        }
        Self::InUse
    }
}

fn known_status(talk: &Talk<'_>) -> OrderStatus {
    let learned = talk.learned.service.get("device_order_status");
    let learned = learned.and_then(Value::as_str);
    match learned.or(talk.scene.service.device_order_status.as_deref()) {
        Some(COMPLETE) => OrderStatus::Complete,
        _ => OrderStatus::Unknown,
    }
}

fn failed(id: i64, phase: &str) -> Setback {
    Setback::Rejected(format!(
        "Hivelocity could not provision device {id} (status {phase}); ask their support, then retry \
         this run"
    ))
}

/// A complete order whose device does not show brought none, or was not this service's. Where the
/// order is not known, nothing tells that it was cancelled.
fn never_shown(talk: &Talk<'_>, tag: &str) -> Option<Setback> {
    let state = talk.scene.service;
    let passed = |since: Option<Timestamp>, patience| {
        since.filter(|since| talk.now().since(*since) > patience)
    };
    let complete = state
        .device_order_id
        .zip(passed(state.device_order_complete_at, NEVER_SHOWN));
    let what = match (complete, state.device_order_id) {
        (Some((order, since)), _) => {
            format!("Hivelocity's order {order} is complete since {since}")
        }
        (None, None) => {
            let since = passed(state.device_ordered_at, NEVER_HEARD)?;
            format!("the device was ordered at {since}, by an order that is not known")
        }
        (None, Some(_)) => return None,
    };
    Some(Setback::NeedsPerson(Decision {
        why: PauseReason::TooSlow,
        sentence: format!(
            "{what}, and no device with the tag {tag} shows; look at Hivelocity what it brought and put \
             the tag on it, then `billhook runs retry {{run}}`"
        ),
        allows: None,
    }))
}

fn learn_status(talk: &mut Talk<'_>, status: &str) {
    if status == COMPLETE && talk.scene.service.device_order_complete_at.is_none() {
        let now = json!(talk.now());
        talk.learned
            .service
            .insert("device_order_complete_at".to_owned(), now);
    }
    if talk.scene.service.device_order_status.as_deref() != Some(status) {
        let status = Value::from(status);
        talk.learned
            .service
            .insert("device_order_status".to_owned(), status);
    }
}

/// That the device shows, kept whatever becomes of the attempt.
fn saw(talk: &mut Talk<'_>, id: i64) {
    let state = talk.scene.service;
    let service = &mut talk.learned.service;
    if state.device_seen != Some(id) {
        service.insert("device_seen".to_owned(), id.into());
    }
    if state.device_id != Some(id) {
        service.insert("device_id".to_owned(), id.into());
    }
    if state.device_missing_since.is_some() {
        service.insert("device_missing_since".to_owned(), Value::Null);
    }
}

/// A device that is over, with the orders that brought it.
fn of_device(talk: &Talk<'_>, id: i64, order: Option<i64>, what: &str) -> Over {
    let mut orders = talk.scene.service.order_ids();
    orders.extend(order.filter(|order| !orders.contains(order)));
    Over {
        orders,
        device: Some(id),
        words: format!("device {id} {what}"),
    }
}

/// Whether a device that came without our mark is named as was ordered.
fn is_as_ordered(talk: &Talk<'_>, device: &Device) -> bool {
    let ordered = talk.scene.service.hostname.as_deref().unwrap_or_default();
    device.hostname.is_empty() || device.is_named(ordered)
}

fn other_device(talk: &Talk<'_>, id: i64, device: &Device) -> Setback {
    let ordered = talk.scene.service.hostname.as_deref().unwrap_or("unknown");
    let order = device.order_id.unwrap_or_default();
    Setback::NeedsPerson(Decision {
        why: PauseReason::UnknownOutcome,
        sentence: format!(
            "order {order} brought device {id} named {}, which does not carry this service's mark, and {ordered} \
             was ordered; look at Hivelocity whose it is: put the mark on it as a tag and \
             `billhook runs retry {{run}}`, or `billhook runs cancel {{run}}`",
            device.hostname
        ),
        allows: None,
    })
}

fn waiting(waiting_for: String) -> Outcome {
    Outcome::NotYet {
        waiting_for,
        again: Again::Build,
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
    // It told how the build went, which is over.
    for over in [
        "device_order_status",
        "device_order_complete_at",
        "pending_order",
    ] {
        service.insert(over.to_owned(), Value::Null);
    }
    Done {
        output: json!({"ip": ip, "device_id": id, "hostname": hostname}),
        service: Value::Object(service),
        ..Done::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_phase_are_read_and_a_failure_is_one() {
        let under_way = |word: &str| Phase::UnderWay(word.to_owned());
        for (page, phase) in [
            (json!({}), Phase::InUse),
            (json!({"spsStatus": null, "metadata": null}), Phase::InUse),
            (json!({"spsStatus": "IN_USE"}), Phase::InUse),
            (json!({"metadata": {"sps_status": "InUse"}}), Phase::InUse),
            (json!({"spsStatus": "RELOADING"}), under_way("RELOADING")),
            (
                json!({"metadata": {"sps_status": "Reloading"}}),
                under_way("Reloading"),
            ),
            (
                json!({"spsStatus": "IN_USE", "metadata": {"sps_status": "WaitForPxe"}}),
                under_way("WaitForPxe"),
            ),
            (
                json!({"metadata": {"sps_status": "Failed"}}),
                Phase::Failed("Failed".to_owned()),
            ),
            (
                json!({"spsStatus": "CLEANUP_MOVE_TO_FAILED"}),
                Phase::Failed("CLEANUP_MOVE_TO_FAILED".to_owned()),
            ),
        ] {
            assert_eq!(Phase::of(&page), phase, "{page}");
        }
    }
}
