//! One run under way: the loop of plan, next step, perform, settle, write.

use std::time::Instant;

use serde_json::{Value, json};

use crate::domain::event::Event;
use crate::domain::run::RunStatus;
use crate::domain::state::patched;
use crate::domain::step::{Outcome, Permit, Repeat, Step, StepAction, StepStatus};
use crate::domain::time::Timestamp;
use crate::normalise;
use crate::plan::{self, Guard, Next, Plan, Verdict};
use crate::store::{Advanced, AtEnd, AttemptRow, Claimed, StoreError};
use crate::upstream::{Learned, Scene};

use super::pending::{Pending, Stand};
use super::planning::{Facts, as_siblings};
use super::told::{log, why};
use super::{Engine, LEASE};

/// A run in a worker's hands.
pub(super) struct Drive<'e> {
    engine: &'e Engine,
    run: Claimed,
    steps: Vec<Step>,
    pending: Pending,
    overtaken: bool,
    protected: bool,
}

/// What to do with the step that is next.
enum Prepared {
    /// Begin an attempt.
    Begin(Permit),
    /// It is settled without one; look at the next.
    Settled,
    /// The run stops here.
    Stop(Stand),
}

impl<'e> Drive<'e> {
    pub(super) fn new(engine: &'e Engine, run: Claimed) -> Self {
        let protected = run
            .service_id
            .as_deref()
            .is_some_and(|id| plan::is_protected(&engine.rules, &run.source, id));
        let mut run = run;
        // A termination that will be held for a person ends nothing before.
        run.terminated_later &= !protected;
        let overtaken = run.terminated_later;
        Self {
            protected,
            engine,
            run,
            steps: Vec::new(),
            pending: Pending::default(),
            overtaken,
        }
    }

    pub(super) async fn carry_on(mut self) -> Result<(), StoreError> {
        for step in std::mem::take(&mut self.run.steps) {
            match step {
                Ok(step) => self.steps.push(step),
                // A journal that cannot be read is not carried on by guessing.
                Err(reason) => return self.stop(Stand::paused(reason)).await,
            }
        }
        self.note_interruption();
        if !self.run.planned
            && let Some(stand) = self.make_plan().await?
        {
            return self.stop(stand).await;
        }
        self.step_by_step().await
    }

    async fn step_by_step(mut self) -> Result<(), StoreError> {
        loop {
            let Some(index) = self.steps.iter().position(|step| !step.status.is_over()) else {
                return self.succeed().await;
            };
            if self.engine.stopping.is_cancelled() {
                let now = self.now();
                return self
                    .stop(Stand::waiting(
                        now,
                        "the next start of billhook".to_owned(),
                        None,
                    ))
                    .await;
            }
            match self.prepare(index) {
                Prepared::Settled => {}
                Prepared::Stop(stand) => return self.stop(stand).await,
                Prepared::Begin(permit) => {
                    if let Some(stand) = self.attempt(index, permit).await? {
                        return self.stop(stand).await;
                    }
                    if !self.run.planned {
                        return Ok(()); // the claim was lost; whoever has it goes on
                    }
                }
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.engine.clock.now()
    }

    /// A step found running was cut off: its request may have left.
    fn note_interruption(&mut self) {
        let now = self.now();
        for step in &mut self.steps {
            if step.status == StepStatus::Running {
                let n = step.attempts;
                *step = plan::interrupted(step.clone(), now);
                self.pending.step(step);
                self.pending.attempt(AttemptRow {
                    seq: step.seq,
                    n,
                    started_at: now,
                    duration_ms: None,
                    exchanges: Vec::new(),
                    error: Some("billhook stopped before the answer was recorded".to_owned()),
                });
            }
        }
    }

    /// Plans the run; answers where it stops if there is nothing to carry out.
    async fn make_plan(&mut self) -> Result<Option<Stand>, StoreError> {
        let event = match self.event() {
            Ok(event) => event,
            Err(reason) => return Ok(Some(Stand::paused(reason))),
        };
        let verdict = self.engine.verdict(&self.facts(&event)).await?;
        Ok(match verdict {
            Verdict::Do(plan) => {
                self.lay_out(plan);
                None
            }
            Verdict::Hold(reason) => Some(Stand::paused(reason)),
            Verdict::Superseded(reason) => Some(Stand::ended(RunStatus::Superseded, Some(reason))),
            Verdict::Nothing(reason) => {
                self.pending.at_end(AtEnd {
                    note: Some(reason),
                    ..AtEnd::default()
                });
                Some(Stand::ended(RunStatus::Succeeded, None))
            }
        })
    }

    fn event(&self) -> Result<Event, String> {
        normalise::native(&self.run.body, self.run.received_at, self.run.signed_at)
            .map_err(|wrong| format!("the kept event cannot be read by this version: {wrong}"))
    }

    fn facts<'a>(&'a self, event: &'a Event) -> Facts<'a> {
        Facts {
            source: &self.run.source,
            event,
            service_id: self.run.service_id.as_deref(),
            customer_id: self.run.customer_id.as_deref(),
            order: self.run.order,
            service: &self.run.service,
            customer: &self.run.customer,
            terminated_later: self.run.terminated_later,
        }
    }

    fn lay_out(&mut self, plan: Plan) {
        self.run.planned = true;
        self.run.at_end = AtEnd {
            service: plan.service_end,
            customer: plan.customer_end,
            dry_run: self.engine.dry_run,
            note: None,
        };
        self.pending.at_end(self.run.at_end.clone());
        if !self.engine.dry_run {
            self.patch(&plan.service_now, &plan.customer_now);
        }
        for (seq, action) in (1..).zip(plan.steps) {
            let step = Step::new(seq, action);
            self.pending.step(&step);
            self.steps.push(step);
        }
    }

    /// Changes the states in memory and notes the change for the next write.
    fn patch(&mut self, service: &Value, customer: &Value) {
        self.pending.patch(service, customer);
        match (
            patched(&self.run.service, service),
            patched(&self.run.customer, customer),
        ) {
            (Ok(service), Ok(customer)) => {
                self.run.service = service;
                self.run.customer = customer;
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(run = %self.run.id, %error, "a patch does not fit the state");
            }
        }
    }

    fn prepare(&mut self, index: usize) -> Prepared {
        let (now, engine) = (self.now(), self.engine);
        let Some(step) = self.steps.get_mut(index) else {
            return Prepared::Settled;
        };
        if step.status == StepStatus::Paused {
            *step = plan::retry(step.clone());
        }
        let unclear = step.unknown_since.is_some() && step.action.repeat() == Repeat::Create;
        if self.overtaken && !unclear {
            return self.give_way();
        }
        if engine.dry_run || self.run.at_end.dry_run {
            if self.run.at_end.dry_run {
                return self.skip(index, json!({"dry_run": true}));
            }
            let reason =
                "policy.dry_run is on, but this run was begun for real; retry it once it is off";
            return Prepared::Stop(Stand::paused(reason.to_owned()));
        }
        if engine.waits_for_approval(step, self.run.replay) {
            let reason = format!(
                "{} waits for approval; allow it with: billhook runs approve {} (or end it with: runs cancel)",
                step.action.kind(),
                self.run.id
            );
            step.status = StepStatus::Paused;
            step.error = Some(reason.clone());
            let step = step.clone();
            self.pending.step(&step);
            return Prepared::Stop(Stand::paused(reason));
        }
        if matches!(step.action, StepAction::CreateClient { .. })
            && let Some(id) = self.run.customer.hivelocity_client_id
        {
            return self.skip(index, json!({"hivelocity_client_id": id, "already": true}));
        }
        let permit = if self.overtaken {
            Permit::LookOnly
        } else {
            plan::permit(step, now, &engine.retry)
        };
        Prepared::Begin(permit)
    }

    fn skip(&mut self, index: usize, output: Value) -> Prepared {
        if let Some(step) = self.steps.get_mut(index) {
            step.status = StepStatus::Skipped;
            step.output = output;
            step.error = None;
            let step = step.clone();
            self.pending.step(&step);
        }
        Prepared::Settled
    }

    /// A later termination waits behind this run: what is left is not done any more.
    fn give_way(&mut self) -> Prepared {
        for step in self.steps.iter_mut().filter(|step| !step.status.is_over()) {
            step.status = StepStatus::Cancelled;
            self.pending.step(step);
        }
        let reason = "the service was terminated before this was finished".to_owned();
        Prepared::Stop(Stand::ended(RunStatus::Superseded, Some(reason)))
    }

    /// Writes that the attempt begins, makes it, settles it; answers where the run stops, if it
    /// does.
    async fn attempt(&mut self, index: usize, permit: Permit) -> Result<Option<Stand>, StoreError> {
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
        let stand = Stand::running(began.plus(LEASE));
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
        let (outcome, exchanges) = self.perform(&step, permit, began.plus(LEASE)).await;
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

    async fn perform(
        &mut self,
        step: &Step,
        permit: Permit,
        lease_end: Timestamp,
    ) -> (Outcome, Vec<crate::domain::step::Exchange>) {
        let mut exchanges = Vec::new();
        let mut learned = Learned::default();
        let clock = &self.engine.clock;
        let still_held = || clock.now() < lease_end;
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
            still_held: &still_held,
        };
        let outcome = self
            .engine
            .upstreams
            .perform(&step.action, permit, &scene, &mut exchanges, &mut learned)
            .await;
        let learned = Value::Object(learned.customer);
        self.patch(&Value::Null, &learned);
        (outcome, exchanges)
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
            Next::Pause { reason } => Some(Stand::paused(reason)),
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

    async fn succeed(mut self) -> Result<(), StoreError> {
        if !self.run.at_end.dry_run {
            let at_end = self.run.at_end.clone();
            self.patch(&at_end.service, &at_end.customer);
        }
        self.stop(Stand::ended(RunStatus::Succeeded, None)).await
    }

    async fn stop(mut self, stand: Stand) -> Result<(), StoreError> {
        log(&self.run, &stand);
        self.write(stand, None, false).await?;
        Ok(())
    }

    async fn write(
        &mut self,
        stand: Stand,
        begins: Option<(Step, AttemptRow)>,
        acquire: bool,
    ) -> Result<Advanced, StoreError> {
        let pending = std::mem::take(&mut self.pending);
        let write = pending.into_write(&self.run, stand, begins, acquire, self.now());
        let advanced = self.engine.store.advance(write).await?;
        self.overtaken |= advanced.overtaken && !self.protected;
        Ok(advanced)
    }
}

impl Engine {
    fn waits_for_approval(&self, step: &Step, replayed: bool) -> bool {
        // Deactivating a client cannot be undone at Hivelocity: never without a person. Nor is a
        // server wiped once more because somebody replays what happened last week.
        let always = match step.action {
            StepAction::DeactivateClient => true,
            StepAction::ReloadDevice { .. } => replayed,
            _ => false,
        };
        !step.approved && (always || self.require_approval.contains(step.action.kind()))
    }
}
