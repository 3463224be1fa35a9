//! Why a run needs a person, in one fixed word beside the sentence. Plain data.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The reasons for a pause: what metrics and alerts are sorted by. The sentence for people is the
/// run's `error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// `retry.max_attempts` failures in a row, or a day of nothing but limits (429).
    RetriesSpent,
    /// The upstream said no, or a setting that the step needs is missing.
    Refused,
    /// It may have been done, and neither a look nor trying again can tell.
    UnknownOutcome,
    /// Nothing went wrong, but it has taken longer than it ever should.
    TooSlow,
    /// The policy wants a person's approval.
    Approval,
    /// The service is protected by the policy.
    Protected,
    /// What is asked for differs from what is there in a way that costs money or data to change.
    Difference,
    /// The catalogue lacks the product, or a template of it fails for this order.
    Catalogue,
    /// The event lacks something, or asks for what is not done as one.
    Event,
    /// The service is not in a state in which this can be done.
    WrongState,
    /// The journal, the state or the kept event cannot be read by this version.
    CannotRead,
    /// It was begun for real, and `policy.dry_run` was switched on since.
    DryRun,
    /// Two devices carry one service's mark.
    DeviceTwice,
    /// Two controlled clients carry one customer's mark.
    ClientTwice,
}

impl PauseReason {
    /// Every reason.
    pub const ALL: [Self; 14] = [
        Self::RetriesSpent,
        Self::Refused,
        Self::UnknownOutcome,
        Self::TooSlow,
        Self::Approval,
        Self::Protected,
        Self::Difference,
        Self::Catalogue,
        Self::Event,
        Self::WrongState,
        Self::CannotRead,
        Self::DryRun,
        Self::DeviceTwice,
        Self::ClientTwice,
    ];

    /// The word on the wire, in metrics and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RetriesSpent => "retries_spent",
            Self::Refused => "refused",
            Self::UnknownOutcome => "unknown_outcome",
            Self::TooSlow => "too_slow",
            Self::Approval => "approval",
            Self::Protected => "protected",
            Self::Difference => "difference",
            Self::Catalogue => "catalogue",
            Self::Event => "event",
            Self::WrongState => "wrong_state",
            Self::CannotRead => "cannot_read",
            Self::DryRun => "dry_run",
            Self::DeviceTwice => "device_twice",
            Self::ClientTwice => "client_twice",
        }
    }

    /// What a person can do about a run that is paused for it.
    pub fn next(self, run: &str) -> String {
        match self {
            Self::Approval => {
                format!("billhook runs approve {run}, or end it: billhook runs cancel {run}")
            }
            // A retry plans the same event again.
            Self::Event => {
                format!("send it again corrected, or end it: billhook runs cancel {run}")
            }
            Self::Difference | Self::WrongState => {
                format!("do what it says, then end it: billhook runs cancel {run}")
            }
            Self::DeviceTwice | Self::ClientTwice | Self::UnknownOutcome => format!(
                "look at the supplier, then billhook runs retry {run}, approve {run} or cancel {run}"
            ),
            // Settings are read at the start.
            Self::Protected | Self::DryRun => format!(
                "change the configuration and restart billhook, then billhook runs retry {run}, \
                 or end it: billhook runs cancel {run}"
            ),
            Self::Catalogue => format!(
                "what the order lacks is put right in billing, then send it again; what the catalogue lacks in the \
                 configuration, then restart billhook and billhook runs retry {run}; or end it: billhook runs cancel {run}"
            ),
            Self::Refused => format!(
                "what was ordered wrongly is put right in billing, then send it again; any other cause where it is, \
                 then billhook runs retry {run}; or end it: billhook runs cancel {run}"
            ),
            Self::RetriesSpent | Self::TooSlow | Self::CannotRead => format!(
                "put the cause right, then billhook runs retry {run}, or end it: billhook runs cancel {run}"
            ),
        }
    }

    /// The same where an approval was tried and is none of the ways out.
    pub fn next_without_approval(self, run: &str) -> String {
        match self {
            Self::Approval | Self::DeviceTwice | Self::ClientTwice | Self::UnknownOutcome => {
                format!("look at the supplier, then billhook runs retry {run} or cancel {run}")
            }
            Self::RetriesSpent
            | Self::Refused
            | Self::TooSlow
            | Self::Protected
            | Self::Difference
            | Self::Catalogue
            | Self::Event
            | Self::WrongState
            | Self::CannotRead
            | Self::DryRun => self.next(run),
        }
    }

    /// Reads the word back.
    pub fn from_name(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == text)
    }
}

impl fmt::Display for PauseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_word_of_its_own_that_is_read_back() {
        for reason in PauseReason::ALL {
            assert_eq!(PauseReason::from_name(reason.name()), Some(reason));
            let json = serde_json::to_value(reason).unwrap();
            assert_eq!(json, reason.name());
        }
        assert_eq!(PauseReason::from_name("bored"), None);
    }
}
