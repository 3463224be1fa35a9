//! What a suspension asks for beside its plan: it is noted before it is done, a build whose service
//! was suspended meanwhile ends dark, and a device that cannot be null-routed is switched off.

use serde_json::{Value, json};

use crate::domain::event::EventType;
use crate::domain::outcome::{Done, Outcome};
use crate::domain::step::{PowerAction, Step, StepAction};
use crate::domain::time::Timestamp;
use crate::domain::{ServiceState, ServiceStatus};
use crate::plan;
use crate::store::StoreError;

use super::Drive;

impl Drive<'_> {
    /// Notes what the attempt that begins may change at the device and darken; answers the state
    /// before.
    pub(super) fn note_change(&mut self, action: &StepAction, now: Timestamp) -> ServiceState {
        let before = self.run.service.clone();
        let asked = before.asked.clone().unwrap_or_default();
        if let Some(asked) = asked.begun(action, now) {
            self.patch(&json!({"asked": asked}), &Value::Null);
        }
        let begins = plan::suspension_begins(self.run.kind, action, &before);
        self.patch(&begins, &Value::Null);
        before
    }

    /// Sets the note right once the attempt has ended, or was not made after all.
    pub(super) fn keep_note(
        &mut self,
        action: &StepAction,
        outcome: Option<&Outcome>,
        before: &ServiceState,
    ) {
        let patch = match outcome {
            Some(outcome) => plan::undone(action, outcome, before, &self.run.service),
            None => plan::as_before(before, &self.run.service),
        };
        self.patch(&patch, &Value::Null);
        if let Some(outcome) = outcome {
            self.patch(&plan::asked(action, outcome, before), &Value::Null);
        }
    }

    /// A null route needs a public IPv4. A device without one is switched off instead.
    pub(super) fn darken_otherwise(&mut self, action: &StepAction, done: &Done) {
        let StepAction::NullRoute { tag } = action else {
            return;
        };
        let routed = done.output.get("null_routed").and_then(Value::as_array);
        if routed.is_none_or(|ips| !ips.is_empty()) {
            return;
        }
        let shutdown = StepAction::Power {
            action: PowerAction::Shutdown,
            tag: tag.clone(),
        };
        if !self.steps.iter().any(|step| step.action == shutdown) {
            self.append(shutdown);
        }
    }

    /// Adds the steps that darken a device that has just come up for a service that was suspended
    /// meanwhile: what is left of its order may wait long, for 1H or for a person.
    pub(super) async fn darken_at_once(&mut self) -> Result<(), StoreError> {
        let dark = self.run.service.status == ServiceStatus::Suspended;
        // One that has its address already may still be being built, and off for that reason.
        let built = |step: &Step| {
            step.status.is_over() || !matches!(step.action, StepAction::AwaitDevice { .. })
        };
        let is_up = self.run.service.ip.is_some() && self.steps.iter().all(built);
        let order = self.run.kind == EventType::OrderPaid;
        if !(order && dark && is_up) || self.run.at_end.device_darkened {
            return Ok(());
        }
        let Ok(event) = self.event() else {
            return Ok(());
        };
        let steps = self.engine.darkening(&self.facts(&event)).await?;
        self.run.at_end.device_darkened = true;
        self.pending.at_end(self.run.at_end.clone());
        for action in steps.into_iter().filter(is_of_device) {
            self.append(action);
        }
        Ok(())
    }

    /// The step whose turn it is: what darkens a device goes first.
    pub(super) fn next_step(&self) -> Option<usize> {
        let open = |step: &Step| !step.status.is_over();
        let order = self.run.kind == EventType::OrderPaid;
        let darkens = |step: &Step| order && open(step) && is_of_device(&step.action);
        let first = self.steps.iter().position(darkens);
        first.or_else(|| self.steps.iter().position(open))
    }

    /// Why a step with which an order darkens the device is not wanted any more, if so: the service
    /// was brought back while the order stood still.
    pub(super) fn is_bright_again(&self, index: usize) -> Option<String> {
        let step = self.steps.get(index)?;
        let (kind, status) = (self.run.kind, self.run.service.status);
        let own = kind == EventType::OrderPaid && is_of_device(&step.action);
        (own && status != ServiceStatus::Suspended)
            .then(|| format!("the service is {status} meanwhile"))
    }

    /// Adds the steps that darken what was built for a service that was suspended meanwhile;
    /// answers whether there were any.
    pub(super) async fn ends_dark(&mut self) -> Result<bool, StoreError> {
        if self.run.kind != EventType::OrderPaid || self.run.at_end.darkened {
            return Ok(false);
        }
        let Ok(event) = self.event() else {
            return Ok(false);
        };
        let steps = self.engine.darkening(&self.facts(&event)).await?;
        if steps.is_empty() {
            return Ok(false);
        }
        self.run.at_end.darkened = true;
        self.pending.at_end(self.run.at_end.clone());
        for action in steps {
            self.append(action);
        }
        Ok(true)
    }

    pub(super) fn append(&mut self, action: StepAction) {
        let seq = self.steps.last().map_or(1, |step| step.seq + 1);
        let step = plan::inherit(Step::new(seq, action), &self.run.service);
        self.pending.step(&step);
        self.steps.push(step);
    }
}

/// Whether the step darkens the device itself.
const fn is_of_device(action: &StepAction) -> bool {
    matches!(
        action,
        StepAction::NullRoute { .. }
            | StepAction::Power {
                action: PowerAction::Shutdown,
                ..
            }
    )
}
