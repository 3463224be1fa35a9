//! One run under way: the loop of plan, next step, perform, settle, write.

mod attempt;
mod closed;
mod dark;
mod give_way;
mod hold;
mod lay_out;
mod reports;

use serde_json::{Value, json};

use crate::domain::event::{Event, EventType};
use crate::domain::outcome::Permit;
use crate::domain::pause::PauseReason;
use crate::domain::run::RunStatus;
use crate::domain::state::patched;
use crate::domain::step::{Step, StepAction, StepStatus};
use crate::domain::time::Timestamp;
use crate::normalise;
use crate::plan::{self, Verdict};
use crate::store::{Advanced, AtEnd, AttemptRow, Claimed, StoreError};

use super::Engine;
use super::pending::{Pending, Stand};
use super::planning::Facts;
use super::told::log;
use reports::Reported;

/// Why the step of an older version that reported to the billing platform is passed over.
const REPORTED_OTHERWISE: &str = "the report went to the outbox: billhook reports list";

/// A run in a worker's hands.
pub(super) struct Drive<'e> {
    engine: &'e Engine,
    run: Claimed,
    steps: Vec<Step>,
    pending: Pending,
    /// Why a newer event of the lane makes the run pointless, if one does.
    overtaken: Option<String>,
    protected: bool,
    /// Why it was paused when it was taken.
    was_paused: Option<(PauseReason, String)>,
    /// The service's orders at Hivelocity that the store has noted as its own.
    noted_orders: Vec<i64>,
    reported: Reported,
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
        Self {
            noted_orders: run.service.order_ids(),
            reported: Reported::nothing(run.service.ip.clone()),
            protected,
            engine,
            was_paused: run.paused.clone(),
            run,
            steps: Vec::new(),
            pending: Pending::default(),
            overtaken: None,
        }
    }

    pub(super) async fn carry_on(mut self) -> Result<(), StoreError> {
        for step in std::mem::take(&mut self.run.steps) {
            match step {
                Ok(step) => self.steps.push(step),
                // A journal that cannot be read is not carried on by guessing.
                Err(reason) => {
                    let stand = Stand::paused(PauseReason::CannotRead, reason);
                    return self.stop(stand).await;
                }
            }
        }
        self.note_interruption();
        self.find_newer(self.run.newer).await?;
        if let Some((why, reason)) = self.stays_paused() {
            return self
                .write(Stand::paused(why, reason), None, false)
                .await
                .map(drop);
        }
        if !self.run.planned
            && let Some(stand) = self.make_plan().await?
        {
            return self.stop(stand).await;
        }
        Box::pin(self.step_by_step()).await
    }

    async fn step_by_step(mut self) -> Result<(), StoreError> {
        loop {
            if let Some(stand) = self.plan_anew().await? {
                return self.stop(stand).await;
            }
            self.darken_at_once().await?;
            let Some(index) = self.next_step() else {
                if self.ends_closed().await? || self.ends_dark().await? {
                    continue;
                }
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
                    if let Some(stand) = self.hold_back(index, permit).await {
                        return self.stop(stand).await;
                    }
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
        let mut cut_off = Vec::new();
        for step in &mut self.steps {
            if step.status == StepStatus::Running {
                let n = step.attempts;
                *step = plan::interrupted(step.clone(), now);
                cut_off.push(step.clone());
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
        for step in cut_off {
            self.keep_pending_order(&step, false);
        }
        // A step of an older version is unclear without the state's knowing.
        let unclear = |step: &&Step| !step.status.is_over() && step.unknown_since.is_some();
        for step in self.steps.clone().iter().filter(unclear) {
            if self.run.service.pending_order.is_none() {
                self.keep_pending_order(step, false);
            }
        }
    }

    /// Plans the run; answers where it stops if there is nothing to carry out.
    async fn make_plan(&mut self) -> Result<Option<Stand>, StoreError> {
        let event = match self.event() {
            Ok(event) => event,
            Err(reason) => return Ok(Some(Stand::paused(PauseReason::CannotRead, reason))),
        };
        self.take_early().await?;
        let verdict = self.engine.verdict(&self.facts(&event)).await?;
        Ok(match verdict {
            Verdict::Do(plan) => {
                self.lay_out(plan);
                None
            }
            Verdict::Hold(why, reason) => Some(self.hold(&event, why, reason)),
            Verdict::Superseded(reason) => Some(Stand::ended(RunStatus::Superseded, Some(reason))),
            Verdict::Refused(reason) => Some(Stand::ended(RunStatus::Cancelled, Some(reason))),
            Verdict::Nothing(reason) => Some(self.nothing_to_do(reason)),
        })
    }

    /// What came before the order of its service has its turn from now on.
    async fn take_early(&mut self) -> Result<(), StoreError> {
        let (store, source) = (&self.engine.store, &self.run.source);
        let Some(service) = self.run.service_id.clone() else {
            return Ok(());
        };
        if self.run.kind != EventType::OrderPaid || !store.has_early(source, &service).await? {
            return Ok(());
        }
        let taken = store
            .take_early(source.clone(), service, self.now())
            .await?;
        self.find_newer(taken > 0).await
    }

    fn nothing_to_do(&mut self, note: String) -> Stand {
        self.pending.at_end(AtEnd {
            note: Some(note),
            ..AtEnd::default()
        });
        Stand::ended(RunStatus::Succeeded, None)
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
            newer: self.overtaken.as_deref(),
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
        let engine = self.engine;
        if let Some(reason) = self.is_bright_again(index) {
            return self.skip(index, json!({"skipped": reason}));
        }
        let Some(step) = self.steps.get_mut(index) else {
            return Prepared::Settled;
        };
        if matches!(step.action, StepAction::Report { .. }) {
            // Planned by an older version, in which a run waited for the billing platform.
            return self.skip(index, json!({"skipped": REPORTED_OTHERWISE}));
        }
        let safe = plan::may_give_way(step);
        if step.status == StepStatus::Paused {
            *step = plan::retry(step.clone());
        }
        if safe && let Some(reason) = self.overtaken.clone() {
            return self.give_way(reason);
        }
        if engine.mode.dry_run || self.run.at_end.dry_run {
            if self.run.at_end.dry_run {
                return self.skip(index, json!({"dry_run": true}));
            }
            let reason =
                "policy.dry_run is on, but this run was begun for real; retry it once it is off";
            return Prepared::Stop(Stand::paused(PauseReason::DryRun, reason.to_owned()));
        }
        if engine.waits_for_approval(step, self.run.replay) {
            let reason = format!(
                "{} waits for approval; allow it with: billhook runs approve {} (or end it with: runs cancel)",
                step.action.kind(),
                self.run.id
            );
            step.status = StepStatus::Paused;
            step.error = Some(reason.clone());
            // This asks for the step alone: what was shown before is not allowed with it.
            step.allows = None;
            let step = step.clone();
            self.pending.step(&step);
            return Prepared::Stop(Stand::paused(PauseReason::Approval, reason));
        }
        if matches!(step.action, StepAction::CreateClient { .. })
            && let Some(id) = self.run.customer.hivelocity_client_id
        {
            return self.skip(index, json!({"hivelocity_client_id": id, "already": true}));
        }
        let permit = if self.overtaken.is_some() {
            Permit::LookOnly
        } else {
            let proven = engine.proven(step.unknown_since);
            plan::permit(step, proven, &engine.retry)
        };
        self.ends_now();
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

    async fn succeed(mut self) -> Result<(), StoreError> {
        if !self.run.at_end.dry_run {
            let at_end = self.run.at_end.clone();
            self.ends_now();
            let (kind, order) = (self.run.kind, &self.run.order);
            let service = plan::at_end(kind, order, &self.run.service, at_end.service);
            self.patch(&service, &at_end.customer);
        }
        self.stop(Stand::ended(RunStatus::Succeeded, None)).await
    }

    async fn stop(mut self, stand: Stand) -> Result<(), StoreError> {
        let next = self.steps.iter().find(|step| !step.status.is_over());
        if let Some(step) = next.cloned() {
            self.give_up_preparation(&step);
        }
        if stand.pause_reason.is_some() {
            // A person may end the run where nobody can look any more.
            self.keep_in_doubt();
            self.undo_status();
        }
        let told = stand.clone();
        if let Some(alert) = self.alert(&stand) {
            self.pending.alert(alert);
        }
        let advanced = self.write(stand, None, false).await?;
        // Where another has the claim by now, nothing came of it.
        if advanced.applied {
            log(&self.run, &told);
            if let Some(reason) = told.pause_reason {
                self.engine.pauses.count(reason);
            }
        }
        Ok(())
    }

    /// What people are told of a run that is paused, where they want to be told.
    fn alert(&self, stand: &Stand) -> Option<String> {
        let reason = stand.pause_reason.filter(|_| self.engine.alerts)?;
        let (known, error) = self
            .was_paused
            .as_ref()
            .map(|(why, error)| (why, error))
            .unzip();
        if known == Some(&reason) && error == stand.error.as_ref() {
            return None; // they were told
        }
        Some(self.alert_of("run.paused", Some(reason), stand.error.as_deref()))
    }

    fn alert_of(&self, kind: &str, reason: Option<PauseReason>, error: Option<&str>) -> String {
        let run = &self.run;
        let alert = json!({
            "type": kind,
            "occurred_at": self.now(),
            "run_id": run.id,
            "delivery_id": run.delivery_id,
            "source": run.source,
            "customer_id": run.customer_id,
            "service_id": run.service_id,
            "event": run.kind.name(),
            "reason": reason.map(PauseReason::name),
            "error": error,
        });
        alert.to_string()
    }

    /// An order that has become known to be this service's is noted as such with the next write.
    fn note_known_orders(&mut self) {
        for order in self.run.service.order_ids() {
            if !self.noted_orders.contains(&order) {
                self.noted_orders.push(order);
                self.pending.order(order);
            }
        }
    }

    async fn write(
        &mut self,
        stand: Stand,
        begins: Option<(Step, AttemptRow)>,
        acquire: bool,
    ) -> Result<Advanced, StoreError> {
        self.note_known_orders();
        let report = self.report(&stand);
        self.pending.report(report);
        let pending = std::mem::take(&mut self.pending);
        let running_until = stand.running_until();
        let begins_touching = begins.as_ref().map(|(step, _)| step);
        let touched = plan::touched(self.steps.iter().chain(begins_touching));
        self.run.touched |= touched;
        let write = pending.into_write(&self.run, stand, begins, acquire, self.now());
        let advanced = self.engine.store.advance(write).await?;
        match running_until {
            Some(end) if advanced.applied => self.run.lease.extend(end),
            Some(_) | None => self.run.lease.lose(),
        }
        if !advanced.applied {
            tracing::warn!(
                run = %self.run.id, service = self.run.service_id.as_deref().unwrap_or("-"),
                "another worker has the run by now, or a person ended it; what came of the last \
                 call is not written"
            );
        }
        if advanced.applied {
            self.find_newer(advanced.overtaken).await?;
        }
        Ok(advanced)
    }
}

impl Engine {
    /// That moment and the time that has surely passed since then; now where there is none.
    fn proven(&self, since: Option<Timestamp>) -> Timestamp {
        match since {
            Some(since) => since.plus(self.clock.surely_since(since)),
            None => self.clock.now(),
        }
    }

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
