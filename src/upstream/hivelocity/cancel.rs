//! Cancelling the device, so that it stops costing money. IO.
//!
//! Two mistakes would be dear: cancelling hardware that belongs to another service by now, and
//! taking "404" for "gone" while a device that was ordered is only not visible yet.

use serde_json::{Value, json};

use super::acting::Acting;
use super::devices::{Device, Located};
use super::lookup::{Trace, not_tellable};
use super::order::OrderStatus;
use super::{Call, Found, Hivelocity};
use crate::domain::{Again, Done, Outcome, Rank};
use crate::upstream::talk::Talk;
use crate::upstream::wire::Setback;

/// After so many looks an invisible device whose order is not known either is a person's case.
const LOOKS: u32 = 40;
/// What is noted of a device that answers 404.
const GONE: &str = "gone";

/// What else there is at Hivelocity when a device is to be cancelled.
struct Rest {
    /// The other devices with the mark, cancelled by now; or why nobody knows.
    cancelled: Value,
    /// Whether the device itself is in the list.
    own_is_listed: bool,
}

impl Default for Rest {
    fn default() -> Self {
        Self {
            cancelled: json!([]),
            own_is_listed: false,
        }
    }
}

impl Hivelocity {
    /// Cancels the device; being cancelled already, and being gone, count as done.
    pub(super) async fn cancel(&self, talk: &mut Talk<'_>, tag: &str) -> Found<Outcome> {
        let state = talk.scene.service;
        let known = state.device_id.is_some() || state.device_order_id.is_some();
        let unclear = state
            .pending_order
            .as_ref()
            .is_some_and(|order| order.sent_at.is_some());
        let ordered = known || unclear;
        let Some(acting) = self.acting(talk).await? else {
            // Nobody to own a device, and none that is known of.
            if !ordered {
                return Ok(Outcome::AlreadySo(cancelled(None, "nothing was ordered")));
            }
            return self.acting_or_rejected(talk).await.map(|_| Outcome::Absent);
        };
        if unclear && !known {
            return self.cancel_unclear(talk, &acting, tag).await;
        }
        let mut located = self.locate(talk, &acting, tag).await?;
        if let (Located::Nowhere, Some(id)) = (&located, state.device_seen) {
            located = self.locate_by_id(talk, &acting, id, tag).await?;
            if matches!(&located, Located::Here(_, device) if !device.carries(tag)) {
                return Err(Setback::Rejected(format!(
                    "device {id} was the service's and carries no mark of it any more; look at \
                     Hivelocity whose it is; if the service's, cancel it there by hand and retry \
                     this run, else remove the service's licences by hand and cancel this run"
                )));
            }
        }
        let building = state.ip.is_none();
        if let Located::Here(id, _) = located
            && building
            && state.device_seen != Some(id)
        {
            // Should the next answer be lost, 404 has to mean that it is gone.
            return Ok(Outcome::Prepared);
        }
        let rest = match located {
            Located::Here(id, _) | Located::Hidden(id) | Located::Another { id, .. } => {
                self.cancel_others(talk, &acting, tag, id).await?
            }
            Located::Nowhere => Rest::default(),
        };
        let outcome = match located {
            Located::Here(id, _) => self.cancel_seen(talk, &acting, id, true).await?,
            Located::Hidden(id) if !building || state.device_seen == Some(id) => {
                self.cancel_seen(talk, &acting, id, rest.own_is_listed)
                    .await?
            }
            Located::Hidden(id) => self.cancel_invisible(talk, &acting, Some(id)).await?,
            Located::Another { id, tag } => {
                let note = format!("the hardware belongs to another service now ({tag})");
                Outcome::AlreadySo(cancelled(Some(id), &note))
            }
            Located::Nowhere if ordered => self.cancel_invisible(talk, &acting, None).await?,
            Located::Nowhere => Outcome::AlreadySo(cancelled(None, "no device carries the tag")),
        };
        Ok(with_others(outcome, rest.cancelled))
    }

    /// A request for a device may have left and nothing is known of it: this ends only once it is
    /// certain what became of it, for a device that turns up later would be paid for.
    async fn cancel_unclear(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        tag: &str,
    ) -> Found<Outcome> {
        // Nothing is ended by looking: that must not use up what is kept for what ends something.
        talk.rank = Rank::Order;
        let account = self.account(talk, acting).await?;
        let trace = self.trace_order(talk, acting, (tag, ""), &account).await?;
        let final_look = talk.scene.order_settled;
        let wait = |waiting_for: String| Outcome::NotYet {
            waiting_for,
            again: Again::Build,
        };
        let (device, orders) = match trace {
            Trace::Nothing if final_look => {
                return Ok(Outcome::AlreadySo(cancelled(
                    None,
                    "the order whose answer was lost left no trace",
                )));
            }
            Trace::Nothing => {
                return Ok(wait(
                    "certainty whether the device was ordered, whose order's answer was lost; what turns \
                     up is cancelled"
                        .to_owned(),
                ));
            }
            Trace::Doubtful(doubt) if doubt.over && final_look => {
                return Err(not_tellable(tag, doubt));
            }
            Trace::Doubtful(doubt) => {
                return Ok(wait(format!("{} to show whose it is", doubt.seen)));
            }
            Trace::Several(devices) if !devices.iter().all(Device::is_read_whole) => {
                return Ok(wait("several ordered devices to be visible".to_owned()));
            }
            Trace::Several(devices) => {
                let first = devices.into_iter().next();
                (first.unwrap_or_default(), Vec::new())
            }
            Trace::Found { device, orders } => (device, orders),
        };
        let found = json!({
            "device_id": device.id,
            "device_order_id": device.order_id,
            "device_orders": orders,
            "hivelocity_client_id": acting.client(),
            "pending_order": null,
        });
        if let Value::Object(found) = found {
            talk.learned.service.extend(found);
        }
        Ok(Outcome::Prepared)
    }

    /// Hardware may have been exchanged, and an order whose answer was lost may have come true so
    /// late that another was placed: whatever else carries the mark costs money for nothing. It
    /// comes first: once the service's own device is cancelled, nothing may keep that from being
    /// known.
    async fn cancel_others(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        tag: &str,
        own: i64,
    ) -> Found<Rest> {
        let devices = match self.devices(talk, acting).await {
            Ok(devices) => devices,
            // The service's own is cancelled all the same.
            Err(Setback::Rejected(words)) => {
                return Ok(Rest {
                    cancelled: json!(format!("not looked for: {words}")),
                    own_is_listed: true,
                });
            }
            Err(setback) => return Err(setback),
        };
        let own_is_listed = devices.iter().any(|device| device.id == Some(own));
        let marked = devices.iter().filter(|device| device.carries(tag));
        let others: Vec<i64> = marked
            .filter_map(|device| device.id)
            .filter(|id| *id != own)
            .collect();
        for id in &others {
            self.delete(talk, acting, *id).await?;
        }
        Ok(Rest {
            cancelled: json!(others),
            own_is_listed,
        })
    }

    async fn cancel_seen(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        id: i64,
        listed: bool,
    ) -> Found<Outcome> {
        if talk.only_looks() && self.has_cancellation(talk, acting, id).await? {
            return Ok(Outcome::AlreadySo(cancelled(
                Some(id),
                "already being cancelled",
            )));
        }
        let outcome = self.delete(talk, acting, id).await?;
        let gone = matches!(&outcome, Outcome::AlreadySo(done) if done.output["note"] == GONE);
        let building = talk.scene.service.ip.is_none();
        if gone && listed && building && talk.looks() < LOOKS {
            // It is still being built: a 404 may only mean that it cannot be cancelled by its id
            // yet. Once it is listed no more, it is gone.
            return Ok(Outcome::NotYet {
                waiting_for: format!("device {id} to be gone from the list or visible by its id"),
                again: Again::Soon,
            });
        }
        Ok(outcome)
    }

    pub(super) async fn delete(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        id: i64,
    ) -> Found<Outcome> {
        let call = Call::delete(format!("/bare-metal-devices/{id}")).meaning(&[404, 409]);
        let answer = self.call(talk, acting, call).await?;
        Ok(match answer.status {
            404 => Outcome::AlreadySo(cancelled(Some(id), GONE)),
            409 => Outcome::AlreadySo(cancelled(Some(id), "already being cancelled")),
            _ => Outcome::Done(cancelled(Some(id), "cancelled")),
        })
    }

    /// A device was ordered and was never seen with an IP: its orders tell what to expect.
    async fn cancel_invisible(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        id: Option<i64>,
    ) -> Found<Outcome> {
        let mut outlook = OrderStatus::Unknown;
        for order in talk.scene.service.order_ids() {
            outlook = self.order(talk, acting, Some(order)).await?;
            if !matches!(outlook, OrderStatus::Cancelled(_)) {
                break;
            }
        }
        let patient = talk.looks() < LOOKS;
        match &outlook {
            OrderStatus::Cancelled(_) => {
                Ok(Outcome::AlreadySo(cancelled(id, "the order was cancelled")))
            }
            OrderStatus::UnderWay(_) => Ok(not_visible(&outlook)),
            OrderStatus::Unknown | OrderStatus::Complete if patient => Ok(not_visible(&outlook)),
            OrderStatus::Unknown | OrderStatus::Complete => Err(Setback::Rejected(format!(
                "the ordered device{} never became visible at Hivelocity{}; look there whether \
                 it exists and cancel it by hand, then retry this run",
                id.map(|id| format!(" {id}")).unwrap_or_default(),
                outlook.words()
            ))),
        }
    }
}

fn not_visible(order: &OrderStatus) -> Outcome {
    let waiting_for = format!(
        "the ordered device, which is not visible yet; it is cancelled as soon as it is{}",
        order.words()
    );
    Outcome::NotYet {
        waiting_for,
        again: Again::Build,
    }
}

/// Says what else was cancelled, if anything was.
fn with_others(mut outcome: Outcome, others: Value) -> Outcome {
    if let Outcome::Done(done) | Outcome::AlreadySo(done) = &mut outcome
        && others != json!([])
    {
        done.output["also_cancelled"] = others;
    }
    outcome
}

/// The IP stays in the state: the licences are known by it.
fn cancelled(id: Option<i64>, note: &str) -> Done {
    Done {
        output: json!({"device_id": id, "note": note}),
        service: json!({
            "device_id": null,
            "device_order_id": null,
            "device_orders": null,
            "device_order_status": null,
            "device_order_complete_at": null,
            "device_ordered_at": null,
            "device_seen": null,
            "pending_order": null,
        }),
        ..Done::default()
    }
}
