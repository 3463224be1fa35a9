//! What a device was last asked to change that shows only a while later. Until that is over, a look
//! that shows the opposite proves nothing: a server that is still on may be about to go off.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::step::{PowerAction, StepAction};
use super::time::Timestamp;

/// How long after a request its effect may still come. Hivelocity's own clients look at a power
/// action every 30 seconds and do not repeat it for two minutes; most show within seconds.
const MAY_STILL_COME: Duration = Duration::from_mins(1);

/// When each change was last asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    #[serde(skip_serializing_if = "Option::is_none")]
    boot: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shutdown: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    null_route: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remove_null_route: Option<Timestamp>,
}

impl Asked {
    /// The same once the step's request may have left; none for a step that asks for no such change.
    pub fn begun(&self, action: &StepAction, now: Timestamp) -> Option<Self> {
        self.with(action, Some(now))
    }

    /// The same once what the step asked for was seen.
    pub fn seen(&self, action: &StepAction) -> Option<Self> {
        self.with(action, None)
    }

    fn with(&self, action: &StepAction, at: Option<Timestamp>) -> Option<Self> {
        let mut asked = self.clone();
        let place = match action {
            StepAction::Power { action, .. } => match action {
                PowerAction::Boot => &mut asked.boot,
                PowerAction::Shutdown => &mut asked.shutdown,
                PowerAction::Reboot => return None,
            },
            StepAction::NullRoute { .. } => &mut asked.null_route,
            StepAction::RemoveNullRoute { .. } => &mut asked.remove_null_route,
            _ => return None,
        };
        *place = at;
        Some(asked)
    }

    /// Whether the device may still go off, or on, because of what was asked before `action`.
    pub fn may_undo_power(&self, action: PowerAction, now: Timestamp) -> bool {
        may_still_come(
            match action {
                PowerAction::Boot => self.shutdown,
                PowerAction::Shutdown => self.boot,
                PowerAction::Reboot => None,
            },
            now,
        )
    }

    /// Whether a null route may still be set.
    pub fn may_null_route(&self, now: Timestamp) -> bool {
        may_still_come(self.null_route, now)
    }

    /// Whether a null route may still be taken away.
    pub fn may_remove_null_route(&self, now: Timestamp) -> bool {
        may_still_come(self.remove_null_route, now)
    }
}

fn may_still_come(asked: Option<Timestamp>, now: Timestamp) -> bool {
    asked.is_some_and(|asked| now.since(asked) < MAY_STILL_COME)
}
