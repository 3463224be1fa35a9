//! What a refusal of the account means for whoever was refused, and what an attempt tells of it.

use std::time::Duration;

use super::Upstreams;
use super::line::Line;
use super::talk::Talk;
use super::wire::{Answer, Expect, Setback};
use crate::domain::{Away, Because, Outcome, StepAction};

/// A run that was refused when others were taken again tries again after this long.
const REFUSED_MEANWHILE: Duration = Duration::from_secs(5);

impl Line {
    /// What is only read is refused to the account as a whole. A change that is refused although
    /// what was read before it was not may be refused alone: then only steps of its kind wait.
    pub(super) fn account_refused(
        &self,
        talk: &Talk<'_>,
        expect: &Expect,
        result: Result<Answer, Setback>,
        masked: &str,
    ) -> Result<Answer, Setback> {
        let (refusal, error) = match result {
            Err(Setback::Refused { refusal, error }) if expect.intent.writes() => (refusal, error),
            other => return other,
        };
        let step = (talk.kind, expect.credentials.client());
        let alone = self
            .gate()
            .step_refused(step, refusal, masked, talk.now(), talk.scene.entropy);
        Err(if alone {
            Setback::ClientRefused { refusal, error }
        } else {
            Setback::Refused { refusal, error }
        })
    }
}

impl Upstreams {
    /// What an attempt tells of steps of its kind, and what becomes of one that was refused because
    /// the account is.
    pub(super) fn of_the_account(
        &self,
        talk: &Talk<'_>,
        action: &StepAction,
        outcome: Result<Outcome, Setback>,
    ) -> Outcome {
        let (kind, run, now) = (action.kind(), talk.scene.run, talk.now());
        let Some(gate) = self.gate(action) else {
            return outcome.unwrap_or_else(Outcome::from);
        };
        match outcome {
            Err(Setback::Refused { refusal, error }) => {
                let away = gate.refuses(kind, now).unwrap_or(Away {
                    because: Because::Refused(refusal),
                    until: now.plus(REFUSED_MEANWHILE),
                    error: None,
                });
                Outcome::Held(Away {
                    error: Some(error),
                    ..away
                })
            }
            Ok(outcome @ (Outcome::Done(_) | Outcome::NotYet { .. })) if talk.has_changed() => {
                gate.step_went_well(kind, talk.changed_for, now);
                outcome
            }
            // Its request leaves next.
            Ok(Outcome::Prepared) => Outcome::Prepared,
            outcome => {
                if !talk.only_looks() {
                    gate.step_says_nothing(kind, run, now);
                }
                outcome.unwrap_or_else(Outcome::from)
            }
        }
    }
}
