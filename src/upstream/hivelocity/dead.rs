//! Orders that ended without a device, and devices that were cancelled or are gone: once it is sure
//! that nothing of what was ordered is left, the state says so, and a later order of the service
//! orders afresh. IO.

use serde_json::json;

use super::acting::Acting;
use super::devices::Device;
use super::lookup::{Account, Doubt, Trace};
use super::order::OrderStatus;
use super::{Found, Hivelocity};
use crate::domain::{Again, Allowance, Dead, Decision, Outcome, PauseReason, PendingOrder};
use crate::upstream::talk::Talk;
use crate::upstream::wire::Setback;

/// What seems to be over.
pub(super) struct Over {
    /// The orders.
    pub(super) orders: Vec<i64>,
    /// The device, where one was seen.
    pub(super) device: Option<i64>,
    /// What Hivelocity says of it.
    pub(super) words: String,
}

impl Over {
    /// An order that Hivelocity cancelled, among these of one request.
    pub(super) fn order(orders: &[i64], order: i64, words: &str) -> Self {
        Self {
            orders: orders.to_vec(),
            device: None,
            words: format!("Hivelocity cancelled order {order}: {words}"),
        }
    }
}

/// That a person has to order again, once what was ordered is over.
pub(super) fn over(talk: &Talk<'_>, words: &str) -> Setback {
    let (source, service) = (talk.scene.source, talk.scene.service_id.unwrap_or("ID"));
    Setback::Rejected(format!(
        "{words}; it is over: send order.paid again (corrected), or order the same afresh with \
         `billhook services rebuild {source} {service} --reason …`; `billhook runs cancel` ends this run"
    ))
}

impl Hivelocity {
    /// What becomes of a service whose order or device seems to be over. Where nothing of the request
    /// is left, the state keeps that, and there is no outcome; whatever may be alive is waited for,
    /// or a person's case.
    pub(super) async fn bury(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        tag: &str,
        over_now: &Over,
    ) -> Found<Option<Outcome>> {
        let mut account = self.account(talk, acting).await?;
        let groups = self
            .leave_dead(talk, acting, tag, &mut account, over_now)
            .await?;
        let hostname = talk.scene.service.hostname.clone().unwrap_or_default();
        let pending = request_of(&account, over_now, &hostname, talk);
        let names = (tag, hostname.as_str());
        match self
            .trace_request(talk, acting, names, &account, Some(&pending))
            .await?
        {
            Trace::Nothing => {
                let dead = Dead {
                    orders: over_now.orders.clone(),
                    groups,
                    devices: over_now.device.into_iter().collect(),
                };
                let change = talk.scene.service.buried(&dead);
                talk.learned.service.extend(change);
                Ok(None)
            }
            Trace::Found { device, orders } => Ok(Some(alive(talk, &device, &orders))),
            Trace::Several(devices) => {
                let kept = self.only_one(talk, acting, tag, devices).await?;
                Ok(Some(alive(talk, &kept, &[])))
            }
            Trace::Doubtful(doubt) if doubt.over => Err(not_sure(tag, doubt, &over_now.words)),
            Trace::Doubtful(doubt) => Ok(Some(Outcome::NotYet {
                waiting_for: format!(
                    "{}, which could be part of this service's order, to show whose it is ({})",
                    doubt.seen, over_now.words
                ),
                again: Again::Build,
            })),
        }
    }

    /// The same for a run that waits for the device: where nothing is left, a person orders again.
    pub(super) async fn bury_or_wait(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        tag: &str,
        over_now: &Over,
    ) -> Found<Outcome> {
        let left = self.bury(talk, acting, tag, over_now).await?;
        left.ok_or_else(|| over(talk, &over_now.words))
    }

    /// Takes out of what the account shows everything that Hivelocity says is cancelled or gone, of
    /// what seems to be over; answers the order groups of the service.
    async fn leave_dead(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        tag: &str,
        account: &mut Account,
        over_now: &Over,
    ) -> Found<Vec<i64>> {
        let mut devices = Vec::new();
        for device in std::mem::take(&mut account.devices) {
            let of_order = device
                .order_id
                .is_some_and(|of| over_now.orders.contains(&of));
            let meant = of_order || device.id.is_some() && device.id == over_now.device;
            if !(meant && self.is_gone(talk, acting, &device).await?) {
                devices.push(device);
            }
        }
        account.devices = devices;
        let mut own = Vec::new();
        for group in account.groups.iter_mut().flatten() {
            if group.name != tag {
                continue;
            }
            own.push(group.id);
            let mut left = Vec::new();
            for id in std::mem::take(&mut group.devices) {
                if self.cancellation(talk, acting, id).await? == Some(false) {
                    left.push(id);
                }
            }
            group.devices = left;
        }
        Ok(own)
    }

    /// Takes out of what the account shows what earlier orders of the service have left.
    pub(super) async fn without_dead(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        mut account: Account,
    ) -> Found<Account> {
        let state = talk.scene.service;
        if let Some(groups) = &mut account.groups {
            groups.retain(|group| !state.dead_groups.contains(&group.id));
        }
        account.devices = self.living(talk, acting, account.devices).await?;
        Ok(account)
    }

    /// These devices without those that an earlier order of the service brought and that Hivelocity
    /// says are cancelled or gone.
    pub(super) async fn living(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        devices: Vec<Device>,
    ) -> Found<Vec<Device>> {
        let state = talk.scene.service;
        let mut living = Vec::with_capacity(devices.len());
        for device in devices {
            let known = |list: &[i64], id: Option<i64>| id.is_some_and(|id| list.contains(&id));
            let dead =
                known(&state.dead_orders, device.order_id) || known(&state.dead_devices, device.id);
            if !(dead && self.is_gone(talk, acting, &device).await?) {
                living.push(device);
            }
        }
        Ok(living)
    }

    /// Whether Hivelocity says of a listed device that it is being cancelled, or shows no page of it.
    async fn is_gone(&self, talk: &mut Talk<'_>, acting: &Acting, device: &Device) -> Found<bool> {
        match device.id {
            Some(id) => self.has_cancellation(talk, acting, id).await,
            None => Ok(false),
        }
    }

    /// Whether Hivelocity cancelled all orders that the service is known to have.
    pub(super) async fn all_cancelled(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
    ) -> Found<Option<Over>> {
        let orders = talk.scene.service.order_ids();
        let mut seen = None;
        for order in &orders {
            match self.order(talk, acting, Some(*order)).await? {
                OrderStatus::Cancelled(words) => {
                    seen.get_or_insert_with(|| Over::order(&orders, *order, &words));
                }
                OrderStatus::Unknown | OrderStatus::UnderWay(_) | OrderStatus::Complete => {
                    return Ok(None);
                }
            }
        }
        Ok(seen)
    }
}

/// The request whose orders seem to be over, as if its answer had been lost: whatever came since its
/// first order and is not known to be another's may be a part of it, for one request may become
/// several orders.
fn request_of(account: &Account, over: &Over, hostname: &str, talk: &Talk<'_>) -> PendingOrder {
    let first = over.orders.iter().min().copied().unwrap_or(i64::MAX);
    let before = |id: &i64| *id < first || over.orders.contains(id);
    let known = account.orders.as_ref().map(|orders| {
        let ids = orders.iter().map(|order| order.id);
        ids.filter(|id| before(id) || talk.scene.service.dead_orders.contains(id))
            .collect()
    });
    PendingOrder {
        read_at: talk.now(),
        used: true,
        sent_at: talk.scene.service.device_ordered_at.or(Some(talk.now())),
        group: None,
        known_orders: known,
        hostname: hostname.to_owned(),
    }
}

/// That a person has to say whether anything of the request is alive.
fn not_sure(tag: &str, doubt: Doubt, words: &str) -> Setback {
    let seen = doubt.seen;
    Setback::NeedsPerson(Decision {
        why: PauseReason::UnknownOutcome,
        sentence: format!(
            "{words}; whether anything else came of the same request cannot be told: there is {seen}. Look at \
             Hivelocity. If a device of it is this service's: put the tag {tag} on it, then `billhook runs \
             retry {{run}}`. If nothing is left of it: `billhook runs approve {{run}}`"
        ),
        allows: Some(Allowance::IgnoreOrders(doubt.orders)),
    })
}

/// Something of the request is alive: that is the service's from now on.
fn alive(talk: &mut Talk<'_>, device: &Device, orders: &[i64]) -> Outcome {
    let several = (orders.len() > 1).then_some(orders);
    let found = [
        ("device_id", json!(device.id)),
        ("device_order_id", json!(device.order_id)),
        ("device_orders", json!(several)),
        ("device_order_status", json!(null)),
        ("device_order_complete_at", json!(null)),
    ];
    let found = found.map(|(name, value)| (name.to_owned(), value));
    talk.learned.service.extend(found);
    let what = match (device.id, device.order_id) {
        (Some(id), _) => format!("device {id}"),
        (None, Some(order)) => format!("order {order}"),
        (None, None) => "the rest of the order".to_owned(),
    };
    Outcome::NotYet {
        waiting_for: format!("{what}, which is left of the order, to be of use"),
        again: Again::Soon,
    }
}
