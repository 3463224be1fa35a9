//! One attempt at a step: whether it may begin, the write before it, the call, and what follows.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::domain::outcome::{Exchange, Outcome, Permit};
use crate::domain::step::{Step, StepAction, StepStatus};
use crate::plan::{self, Guard, Next};
use crate::store::{AttemptRow, StoreError};
use crate::upstream::{Learned, Scene};

use super::super::pending::Stand;
use super::super::planning::as_siblings;
use super::super::told::why;
use super::Drive;

impl Drive<'_> {
    /// Whether the step has to wait for its upstream as a whole; answers where the run stops, if
    /// so. No attempt is begun then, and none is counted.
    pub(super) async fn hold_back(&mut self, index: usize) -> Option<Stand> {
        let step = self.steps.get(index)?.clone();
        let (engine, source) = (self.engine, &self.run.source);
        let away = engine
            .upstreams
            .admit(&step.action, source, self.now(), &*engine.entropy)
            .await?;
        let held = plan::held(step, &away, self.now());
        self.pending.step(&held.step);
        match held.next {
            Next::At { due, waiting_for } => {
                Some(Stand::waiting(due, waiting_for, held.step.error))
            }
            Next::Go => None,
            Next::Pause { why, reason } => Some(Stand::paused(why, reason)),
        }
    }

    /// Writes that the attempt begins, makes it, settles it; answers where the run stops, if it
    /// does.
    pub(super) async fn attempt(
        &mut self,
        index: usize,
        permit: Permit,
    ) -> Result<Option<Stand>, StoreError> {
        let Some(step) = self.steps.get(index).cloned() else {
            return Ok(None);
        };
        let began = self.now();
        let step = plan::begin(step, began);
        let mut row = AttemptRow {
            seq: step.seq,
            n: step.attempts,
            started_at: began,
            duration_ms: None,
            exchanges: Vec::new(),
            error: None,
        };
        let claims = step.action.needs_customer_claim() && self.run.customer_id.is_some();
        let stand = Stand::running(began.plus(self.engine.lease));
        let overtaken_before = self.overtaken;
        let advanced = self
            .write(stand, Some((step.clone(), row.clone())), claims)
            .await?;
        if !advanced.applied || !advanced.claimed {
            self.run.planned = false;
            return Ok(None);
        }
        if let Some(place) = self.steps.get_mut(index) {
            place.clone_from(&step);
        }
        if self.overtaken && !overtaken_before && step.attempts == 1 {
            // A termination came in the last moment: nothing is sent that it would undo.
            row.duration_ms = Some(0);
            row.error = Some("not sent: a termination came first".to_owned());
            self.pending.attempt(row);
            self.pending.release_claim();
            return Ok(None);
        }
        // Licences are known by their IP alone, which another service may hold too.
        let guarded = claims || matches!(step.action, StepAction::RemoveLicense { .. });
        if guarded && let Guard::Skip(reason) = self.guard(&step.action).await? {
            row.duration_ms = Some(0);
            self.pending.attempt(row);
            self.pending.release_claim();
            self.skip(index, json!({"skipped": reason}));
            return Ok(None);
        }
        let clock = Instant::now();
        let (outcome, exchanges) = self.perform(&step, permit).await;
        let outcome = self.spare(&step, outcome);
        row.exchanges = exchanges;
        row.duration_ms = Some(u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX));
        row.error = why(&outcome);
        self.pending.attempt(row);
        Ok(self.settle(index, step, &outcome, claims))
    }

    /// Asks, with fresh state and under the customer's claim, whether the step is still needed.
    async fn guard(&mut self, action: &StepAction) -> Result<Guard, StoreError> {
        let (source, customer) = (self.run.source.clone(), self.run.customer_id.clone());
        if let Some(customer) = &customer
            && let Some(fresh) = self.engine.store.customer(&source, customer).await?
        {
            self.run.customer = fresh.state;
        }
        let service_id = self.run.service_id.clone();
        let siblings = self
            .engine
            .siblings(&source, customer.as_deref(), service_id.as_deref())
            .await?;
        Ok(plan::guard(
            action,
            &self.run.service,
            &self.run.customer,
            &as_siblings(&siblings),
        ))
    }

    async fn perform(&mut self, step: &Step, permit: Permit) -> (Outcome, Vec<Exchange>) {
        let mut exchanges = Vec::new();
        let mut learned = Learned::default();
        let (lease, clock) = (&*self.run.lease, &self.engine.clock);
        let still_held = || lease.holds(clock.now());
        let scene = Scene {
            source: &self.run.source,
            service_id: self.run.service_id.as_deref(),
            customer_id: self.run.customer_id.as_deref(),
            service: &self.run.service,
            customer: &self.run.customer,
            vault: &self.engine.vault,
            entropy: &*self.engine.entropy,
            now: self.now(),
            attempt: step.attempts,
            in_vain: step.in_vain,
            still_held: &still_held,
        };
        let outcome = self
            .engine
            .upstreams
            .perform(&step.action, permit, &scene, &mut exchanges, &mut learned)
            .await;
        self.patch(
            &Value::Object(learned.service),
            &Value::Object(learned.customer),
        );
        (outcome, exchanges)
    }

    /// What failed because its supplier as a whole does not answer is not the step's failure.
    fn spare(&self, step: &Step, outcome: Outcome) -> Outcome {
        let (engine, now) = (self.engine, self.now());
        let away = match outcome {
            Outcome::Unavailable { .. } | Outcome::Ambiguous(_) => {
                engine.upstreams.silent(&step.action, &self.run.source, now)
            }
            Outcome::Done(_)
            | Outcome::AlreadySo(_)
            | Outcome::NotYet { .. }
            | Outcome::Absent
            | Outcome::Rejected(_)
            | Outcome::Held(_) => None,
        };
        plan::spared(step, outcome, away, now)
    }

    fn settle(
        &mut self,
        index: usize,
        step: Step,
        outcome: &Outcome,
        claims: bool,
    ) -> Option<Stand> {
        let now = self.now();
        let absent = plan::surely_absent(&step, outcome, now, &self.engine.retry);
        let settled = plan::settle(
            step,
            outcome,
            now,
            &*self.engine.entropy,
            &self.engine.retry,
        );
        if let Outcome::Done(done) | Outcome::AlreadySo(done) = outcome {
            self.patch(&done.service, &done.customer);
        }
        self.pending.step(&settled.step);
        let unclear = settled.step.status == StepStatus::Unknown;
        if claims && settled.step.unknown_since.is_none() {
            self.pending.release_claim();
        }
        let error = settled.step.error.clone();
        if let Some(place) = self.steps.get_mut(index) {
            *place = settled.step;
        }
        match settled.next {
            Next::Go => None,
            Next::Pause { why, reason } => Some(Stand::paused(why, reason)),
            Next::At { .. } if self.overtaken && !unclear => None,
            Next::At { .. } if self.overtaken && absent => {
                if let Some(place) = self.steps.get_mut(index) {
                    place.unknown_since = None;
                }
                None
            }
            Next::At { due, waiting_for } => Some(Stand::waiting(due, waiting_for, error)),
        }
    }
}
