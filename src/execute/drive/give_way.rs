//! Giving way: a newer event of the lane makes what is left of a run pointless.

use serde_json::{Value, json};

use crate::domain::event::EventType;
use crate::domain::lane::Member;
use crate::domain::pause::PauseReason;
use crate::domain::run::RunStatus;
use crate::domain::step::{DEVICE_IP, Step, StepAction, StepStatus};
use crate::domain::{Licence, ServiceState, ServiceStatus};
use crate::plan::{self, Verdict};
use crate::store::StoreError;

use super::super::pending::Stand;
use super::{Drive, Prepared};

impl Drive<'_> {
    /// Looks whether a newer event makes this run pointless: one that is still to come (`crowded`:
    /// there may be some), or one that settled the state while this run stood still.
    pub(super) async fn find_newer(&mut self, crowded: bool) -> Result<(), StoreError> {
        if self.overtaken.is_some() {
            return Ok(());
        }
        if self.run.planned {
            let (kind, order) = (self.run.kind, &self.run.order);
            self.overtaken = plan::superseded(kind, order, &self.without_own_word());
        }
        if !crowded || self.overtaken.is_some() {
            return Ok(());
        }
        let lane = self.engine.store.members(&self.run.lane).await?;
        let own = self.as_member();
        let newer = lane.iter().filter(|newer| newer.ends(&own));
        if let Some(newer) = newer.max_by_key(|newer| newer.order) {
            self.give_way_to(newer);
        }
        Ok(())
    }

    /// The state as others left it: what this run itself made of a suspended service says nothing
    /// about what is newer than its event.
    fn without_own_word(&self) -> ServiceState {
        let mut service = self.run.service.clone();
        let own = service.settled == Some(self.run.order);
        if let Some(before) = self.run.at_end.before.filter(|_| own) {
            service.status = before;
        }
        service
    }

    /// Suspending and ending a protected service is for a person to allow: nothing gives way to it.
    fn give_way_to(&mut self, newer: &Member) {
        let darkens = matches!(
            newer.kind,
            EventType::ServiceSuspended | EventType::ServiceTerminated
        );
        if self.protected && darkens {
            self.pending.weakens(newer.id);
            return;
        }
        let Member {
            kind, id, order, ..
        } = newer;
        self.overtaken = Some(format!(
            "by the newer {kind} of {} ({id})",
            order.occurred_at
        ));
    }

    /// The run as its lane sees it between two steps.
    fn as_member(&self) -> Member {
        Member {
            id: self.run.id,
            order: self.run.order,
            kind: self.run.kind,
            status: RunStatus::Waiting,
            planned: self.run.planned,
            touched: self.run.touched || plan::touched(&self.steps),
            waits_for_claim: false,
            weak: false,
            due: None,
            told: 0,
        }
    }

    /// A newer event wakes what is paused to make it give way. Where it does not have to, it goes
    /// on waiting for a person, who was told already.
    pub(super) fn stays_paused(&mut self) -> Option<(PauseReason, String)> {
        let paused = self.run.paused.take()?;
        (self.run.planned && self.overtaken.is_none()).then_some(paused)
    }

    /// What is left is not done any more.
    pub(super) fn give_way(&mut self, reason: String) -> Prepared {
        self.undo_status();
        self.drop_what_is_left();
        Prepared::Stop(Stand::ended(RunStatus::Superseded, Some(reason)))
    }

    fn drop_what_is_left(&mut self) {
        self.keep_in_doubt();
        for step in self.steps.iter_mut().filter(|step| !step.status.is_over()) {
            step.status = StepStatus::Cancelled;
            self.pending.step(step);
        }
    }

    /// Plans the rest of a package change anew whose service went dark, or came back, since it was
    /// planned: another run passed it while it stood still. Answers where the run stops, if it does.
    pub(super) async fn plan_anew(&mut self) -> Result<Option<Stand>, StoreError> {
        let passed = self.run.at_end.before != Some(self.run.service.status);
        let left = || self.steps.iter().filter(|step| !step.status.is_over());
        let safe = left().all(plan::may_give_way);
        let changes = self.run.kind == EventType::ServicePackageChanged;
        let begun = self.run.at_end.before.is_some() && !self.run.at_end.dry_run;
        if !(changes && begun && passed && safe) || self.overtaken.is_some() {
            return Ok(None);
        }
        let event = match self.event() {
            Ok(event) => event,
            Err(reason) => return Ok(Some(Stand::paused(PauseReason::CannotRead, reason))),
        };
        self.keep_in_doubt();
        let verdict = self.engine.verdict(&self.facts(&event)).await?;
        Ok(match verdict {
            Verdict::Do(plan) => {
                self.drop_what_is_left();
                self.lay_out(plan);
                None
            }
            Verdict::Hold(why, reason) => Some(Stand::paused(why, reason)),
            Verdict::Superseded(reason) | Verdict::Refused(reason) | Verdict::Nothing(reason) => {
                self.drop_what_is_left();
                Some(Stand::ended(RunStatus::Superseded, Some(reason)))
            }
        })
    }

    /// A termination that goes on ends the service, as its plan says.
    pub(super) fn ends_now(&mut self) {
        let ended = self.run.service.status == ServiceStatus::Terminated;
        if self.run.kind == EventType::ServiceTerminated && !ended {
            self.patch(&json!({"status": ServiceStatus::Terminated}), &Value::Null);
        }
    }

    /// A termination of which nothing was done, and which a person may yet refuse, has not ended the
    /// service.
    pub(super) fn undo_status(&mut self) {
        let touched = self.run.touched || plan::touched(&self.steps);
        if self.run.kind == EventType::ServiceTerminated
            && !touched
            && let Some(before) = self.run.at_end.before
        {
            self.patch(&json!({"status": before}), &Value::Null);
        }
    }

    /// A licence that was asked for may yet be there, or hidden because its sub-user is suspended:
    /// it counts as held, so that a termination removes it, which looks first.
    pub(super) fn keep_in_doubt(&mut self) {
        let Some(device_ip) = self.run.service.ip.clone() else {
            return;
        };
        let mut held = self.run.service.licenses.clone();
        // One that was refused at its only attempt is surely not there.
        let refused = |step: &Step| {
            step.status == StepStatus::Paused && step.attempts == 1 && step.unknown_since.is_none()
        };
        let begun = self.steps.iter().filter(|step| step.attempts > 0);
        let begun = begun.filter(|step| !step.status.is_over() && !refused(step));
        for step in begun {
            if let StepAction::AddLicense { product, ip, .. } = &step.action {
                held.push(Licence {
                    product: product.clone(),
                    ip: ip.replace(DEVICE_IP, &device_ip),
                });
            }
        }
        held.sort();
        held.dedup();
        if held != self.run.service.licenses {
            self.patch(&json!({"licenses": held}), &Value::Null);
        }
    }
}
