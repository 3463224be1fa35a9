//! Switching a device. IO.
//!
//! A switched device takes a while to get there and may say PENDING meanwhile. A request that
//! was accepted is not sent again at each look, only when it seems to have got lost.

use std::sync::PoisonError;
use std::time::Duration;

use serde_json::{Value, json};

use super::acting::Acting;
use super::devices::gone;
use super::{Call, Found, Hivelocity};
use crate::domain::step::PowerAction;
use crate::domain::{Again, Done, Outcome, Timestamp};
use crate::upstream::fields::text;
use crate::upstream::talk::Talk;
use crate::upstream::wire::{Setback, said};

/// How long an accepted request is given before it counts as lost.
const PATIENCE: Duration = Duration::from_mins(2);
/// Or how many looks.
const LOOKS: u32 = 5;

/// A power request that Hivelocity accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted {
    action: PowerAction,
    at: Timestamp,
    attempt: u32,
}

impl Hivelocity {
    /// Switches the device.
    pub(super) async fn power(
        &self,
        talk: &mut Talk<'_>,
        action: PowerAction,
        tag: &str,
    ) -> Found<Outcome> {
        let acting = self.acting_or_rejected(talk).await?;
        let Some(wanted) = wanted(action) else {
            let (id, _) = self.located(talk, &acting, tag).await?;
            return self.reboot(talk, &acting, id).await;
        };
        if let Some(id) = self.switching(talk, action) {
            // Ours, and asked a moment ago: its power is all that is left to see.
            return Ok(match self.power_status(talk, &acting, id).await? {
                power if power == wanted => {
                    self.forget(id, action);
                    Outcome::Done(switched_to(id, wanted))
                }
                _ => waiting(id, wanted),
            });
        }
        let (id, device) = self.located(talk, &acting, tag).await?;
        let shown = device.map(|device| device.power).unwrap_or_default();
        // The device's page may be behind: only its power decides that there is nothing to do.
        let power = if shown.is_empty() || shown == wanted {
            self.power_status(talk, &acting, id).await?
        } else {
            shown
        };
        if power == wanted {
            return Ok(if self.forget(id, action) {
                Outcome::Done(switched_to(id, wanted))
            } else {
                already(talk, id, action, wanted)
            });
        }
        if power == "PENDING" {
            return Ok(waiting(id, wanted));
        }
        self.switch(talk, &acting, id, action, wanted).await
    }

    async fn switch(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        id: i64,
        action: PowerAction,
        wanted: &'static str,
    ) -> Found<Outcome> {
        let call = power_call(id, action).meaning(&[400, 404, 409, 422]);
        let answer = self.call(talk, acting, call).await?;
        match answer.status {
            200..=299 if power_of(&answer.body) == wanted => {
                self.forget(id, action);
                Ok(Outcome::Done(switched_to(id, wanted)))
            }
            200..=299 => {
                self.remember(talk, id, action);
                Ok(waiting(id, wanted))
            }
            404 => Err(gone(id)),
            status => {
                let words = said(&answer.body);
                if says_already(action, &words) {
                    return Ok(already(talk, id, action, wanted));
                }
                Err(refused(status, &words))
            }
        }
    }

    /// A power cycle has no state to look at: it is sent once, and again after an unclear end.
    async fn reboot(&self, talk: &mut Talk<'_>, acting: &Acting, id: i64) -> Found<Outcome> {
        let call = power_call(id, PowerAction::Reboot).meaning(&[400, 404, 409, 422]);
        let answer = self.call(talk, acting, call).await?;
        match answer.status {
            200..=299 => Ok(Outcome::Done(Done {
                output: json!({"device_id": id, "power": "reboot"}),
                ..Done::default()
            })),
            404 => Err(gone(id)),
            status => Err(refused(status, &said(&answer.body))),
        }
    }

    async fn power_status(&self, talk: &mut Talk<'_>, acting: &Acting, id: i64) -> Found<String> {
        let call = Call::get(format!("/device/{id}/power")).meaning(&[404]);
        let answer = self.call(talk, acting, call).await?;
        if answer.status == 404 {
            Err(gone(id))
        } else {
            Ok(power_of(&answer.body))
        }
    }

    /// The service's device, where this step's request was accepted a moment ago.
    fn switching(&self, talk: &Talk<'_>, action: PowerAction) -> Option<i64> {
        let id = talk.scene.service.device_id?;
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let (attempt, now) = (talk.scene.attempt, talk.scene.now);
        let last = accepted.get(&id)?;
        // A lower attempt is another step's: it sends its own request.
        let same_step = last.action == action && attempt > last.attempt;
        let fresh = now.since(last.at) < PATIENCE && attempt < last.attempt + LOOKS;
        (same_step && fresh).then_some(id)
    }

    fn remember(&self, talk: &Talk<'_>, id: i64, action: PowerAction) {
        let (at, attempt) = (talk.scene.now, talk.scene.attempt);
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        accepted.insert(
            id,
            Accepted {
                action,
                at,
                attempt,
            },
        );
    }

    /// What was asked of this device is over; whether it was this.
    fn forget(&self, id: i64, action: PowerAction) -> bool {
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let last = accepted.remove(&id);
        last.is_some_and(|last| last.action == action)
    }
}

const fn wanted(action: PowerAction) -> Option<&'static str> {
    match action {
        PowerAction::Boot => Some("ON"),
        PowerAction::Shutdown => Some("OFF"),
        PowerAction::Reboot => None,
    }
}

fn power_call(id: i64, action: PowerAction) -> Call {
    Call::post(format!("/device/{id}/power")).query("action", action.name())
}

fn power_of(body: &Value) -> String {
    text(body, "powerStatus").to_ascii_uppercase()
}

/// Whether a refusal says that the device is as wanted already.
fn says_already(action: PowerAction, words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    let any = |texts: &[&str]| texts.iter().any(|text| words.contains(text));
    match action {
        PowerAction::Shutdown => any(&[
            "while server is powered off",
            "already off",
            "already powered off",
        ]),
        PowerAction::Boot => any(&[
            "while server is powered on",
            "already on",
            "already powered on",
        ]),
        PowerAction::Reboot => false,
    }
}

fn refused(status: u16, words: &str) -> Setback {
    let words = if words.is_empty() {
        "no reason given"
    } else {
        words
    };
    Setback::Rejected(format!("Hivelocity answered {status}: {words}"))
}

/// It is as wanted, and stays so unless the opposite was asked a moment ago.
fn already(talk: &Talk<'_>, id: i64, action: PowerAction, wanted: &str) -> Outcome {
    let scene = talk.scene;
    let asked = scene.service.asked.as_ref();
    if asked.is_some_and(|asked| asked.may_undo_power(action, scene.now)) {
        let wanted = wanted.to_ascii_lowercase();
        return Outcome::NotYet {
            waiting_for: format!("device {id} to stay {wanted}: the opposite was asked before"),
            again: Again::Soon,
        };
    }
    Outcome::AlreadySo(switched_to(id, wanted))
}

fn waiting(id: i64, wanted: &str) -> Outcome {
    let waiting_for = format!("device {id} to be {}", wanted.to_ascii_lowercase());
    Outcome::NotYet {
        waiting_for,
        again: Again::Soon,
    }
}

fn switched_to(id: i64, power: &str) -> Done {
    Done {
        output: json!({"device_id": id, "power": power}),
        ..Done::default()
    }
}
