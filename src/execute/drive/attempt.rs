//! One attempt at a step: whether it may begin, the write before it, the call, and what follows.

use std::collections::HashSet;
use std::pin::Pin;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::catalogue::AccountModel;
use crate::domain::outcome::{Again, Done, Exchange, Outcome, Permit};
use crate::domain::step::{Step, StepAction, StepStatus};
use crate::domain::time::Timestamp;
use crate::domain::{PendingOrder, ServiceState, ServiceStatus};
use crate::plan::{self, Build, Guard, Moment, Next, Settled};
use crate::store::{AttemptRow, Store, StoreError};
use crate::upstream::{Learned, OrderLedger, Scene};

use super::super::pending::Stand;
use super::super::planning::as_siblings;
use super::super::told::why;
use super::Drive;

impl Drive<'_> {
    /// Whether the step has to wait for its upstream as a whole; answers where the run stops, if
    /// so. No attempt is begun then, and none is counted.
    pub(super) async fn hold_back(&mut self, index: usize, permit: Permit) -> Option<Stand> {
        let step = self.steps.get(index)?.clone();
        let engine = self.engine;
        let away = engine
            .upstreams
            .admit(
                (&step.action, permit),
                self.run.id.0,
                self.now(),
                &*engine.entropy,
            )
            .await?;
        let held = plan::held(step, &away, self.now());
        self.pending.step(&held.step);
        self.give_up_preparation(&held.step);
        match held.next {
            Next::At { due, waiting_for } => {
                Some(Stand::waiting(due, waiting_for, held.step.error))
            }
            Next::Go | Next::Again => None,
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
        let before = self.note_change(&step.action, began);
        let (step, leaves) = self.begin(step, permit, began);
        let mut row = AttemptRow {
            seq: step.seq,
            n: step.attempts,
            started_at: began,
            duration_ms: None,
            exchanges: Vec::new(),
            error: None,
        };
        let claims = self.needs_claim(&step.action);
        let stand = Stand::running(began.plus(self.engine.lease));
        let overtaken_before = self.overtaken.is_some();
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
        let unclear = step.unknown_since.is_some();
        if self.overtaken.is_some() && !overtaken_before && (leaves || !unclear) {
            // A newer event came in the last moment: nothing is sent that it would undo.
            row.error = Some("not sent: a newer event came first".to_owned());
            self.not_made(row, &step, &before);
            return Ok(None);
        }
        // Licences are known by their IP alone, which another service may hold too, and a suspension
        // may have taken what a run that it passed still adds.
        let by_ip = match step.action {
            StepAction::RemoveLicense { .. } => true,
            StepAction::AddLicense { .. } => self.run.service.status == ServiceStatus::Suspended,
            _ => false,
        };
        let guarded = claims || by_ip;
        let looks_for_order = unclear && matches!(step.action, StepAction::DeployDevice { .. });
        let guarded = guarded && !looks_for_order;
        if guarded && let Guard::Skip(reason) = self.guard(&step.action).await? {
            self.not_made(row, &step, &before);
            self.skip(index, json!({"skipped": reason}));
            return Ok(None);
        }
        let clock = Instant::now();
        let (outcome, exchanges) = self.perform(&step, permit, leaves).await;
        let outcome = self.addressed(self.spare(&step, outcome));
        row.exchanges = exchanges;
        row.duration_ms = Some(u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX));
        row.error = why(&outcome);
        self.pending.attempt(row);
        self.keep_note(&step.action, Some(&outcome), &before);
        let build = self.build_waited_for(&step, &outcome).await;
        Ok(self.settle(index, step, &outcome, build))
    }

    /// The attempt was written down and nothing was sent.
    fn not_made(&mut self, mut row: AttemptRow, step: &Step, before: &ServiceState) {
        row.duration_ms = Some(0);
        self.pending.attempt(row);
        self.keep_note(&step.action, None, before);
        self.keep_pending_order(step, false);
        self.pending.release_claim();
    }

    /// Whether the step begins only under the customer's claim. In one account for all a claim on
    /// a customer tells nothing of who else orders there.
    fn needs_claim(&self, action: &StepAction) -> bool {
        let single = self.engine.rules.account_model == AccountModel::Single;
        let is_order = matches!(action, StepAction::DeployDevice { .. });
        let needs = action.needs_customer_claim() && !(single && is_order);
        needs && self.run.customer_id.is_some()
    }

    /// The step as it is recorded before the attempt, and whether an order leaves in it, which the
    /// state then says, too.
    fn begin(&mut self, step: Step, permit: Permit, now: Timestamp) -> (Step, bool) {
        let leaves = plan::may_leave(&step.action, permit, &self.run.service, now);
        let is_order = matches!(step.action, StepAction::DeployDevice { .. });
        let sends = permit == Permit::Send && (leaves || !is_order);
        let mut step = plan::begin(step, sends, now);
        if leaves {
            let left = plan::request_leaves(&self.run.service, now);
            self.patch(&left, &Value::Null);
            // What a person has said was about the look before, and about one order.
            step.allows = None;
        }
        (step, leaves)
    }

    /// What a person is to type names the run.
    fn addressed(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::NeedsPerson(mut decision) => {
                decision.sentence = decision.sentence.replace("{run}", &self.run.id.to_string());
                Outcome::NeedsPerson(decision)
            }
            other => other,
        }
    }

    /// How long the device has been building, where that is waited for, and how long its product
    /// usually takes.
    async fn build_waited_for(&self, step: &Step, outcome: &Outcome) -> Option<Build> {
        let waits = matches!(
            outcome,
            Outcome::NotYet {
                again: Again::Build,
                ..
            }
        );
        let ordered = match step.action {
            StepAction::AwaitDevice { .. } => self.run.service.device_ordered_at,
            _ => None,
        };
        let ordered = ordered.or(step.began_at).filter(|_| waits)?;
        // What the store does not tell now is no reason to lose what the attempt brought.
        let took = match self.run.service.device_product_id {
            Some(product) => self.engine.store.last_builds(product).await,
            None => Ok(Vec::new()),
        };
        Some(Build {
            age: self.now().since(ordered),
            measured: self.engine.clock.surely_since(ordered),
            usual: plan::usual_build(took.unwrap_or_default()),
        })
    }

    /// What an order's look saw is of no use once others may order: the claim is given back with it.
    pub(super) fn give_up_preparation(&mut self, step: &Step) {
        self.keep_pending_order(step, false);
        let is_order = matches!(step.action, StepAction::DeployDevice { .. });
        if is_order && step.unknown_since.is_none() {
            self.pending.release_claim();
        }
    }

    /// Keeps the state's word on an order that is out as the step stands.
    pub(super) fn keep_pending_order(&mut self, step: &Step, prepared: bool) {
        let order = plan::settled_order(step, &self.run.service, prepared);
        self.patch(&order, &Value::Null);
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
        order_may_leave: bool,
    ) -> (Outcome, Vec<Exchange>) {
        let mut exchanges = Vec::new();
        let mut learned = Learned::default();
        let ledger = Ledger {
            store: &self.engine.store,
            source: &self.run.source,
            service_id: self.run.service_id.as_deref().unwrap_or_default(),
            customer_id: self.run.customer_id.as_deref(),
        };
        let pending = self.run.service.pending_order.as_ref();
        let proven = self.engine.proven(pending.and_then(|order| order.sent_at));
        let (lease, clock) = (&*self.run.lease, &self.engine.clock);
        let still_held = || lease.holds(clock.now());
        let scene = Scene {
            run: self.run.id.0,
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
            order_may_leave,
            order_settled: plan::order_settled(&self.run.service, proven, &self.engine.retry),
            allowed: step.allows.as_ref().filter(|_| step.approved),
            ledger: &ledger,
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
                engine.upstreams.silent(&step.action, now)
            }
            Outcome::Done(_)
            | Outcome::AlreadySo(_)
            | Outcome::NotYet { .. }
            | Outcome::Prepared
            | Outcome::Absent
            | Outcome::Rejected(_)
            | Outcome::NeedsPerson(_)
            | Outcome::Held(_) => None,
        };
        plan::spared(step, outcome, away, now)
    }

    fn settle(
        &mut self,
        index: usize,
        step: Step,
        outcome: &Outcome,
        build: Option<Build>,
    ) -> Option<Stand> {
        let (engine, now) = (self.engine, self.now());
        let moment = Moment {
            now,
            proven: engine.proven(step.unknown_since),
            waited: step.began_at.map(|began| engine.clock.surely_since(began)),
            build,
        };
        let absent = plan::surely_absent(&step, outcome, moment.proven, &engine.retry);
        let mut settled = plan::settle(step, outcome, moment, &*engine.entropy, &engine.retry);
        if let Outcome::Done(done) | Outcome::AlreadySo(done) = outcome {
            self.note_build(&settled.step.action, done);
            self.patch(&done.service, &done.customer);
            self.darken_otherwise(&settled.step.action, done);
        }
        let slow = plan::tell_slow(&mut settled.step, build);
        if let Some(words) = slow {
            self.tell_slow(&words);
        }
        let overtaken = self.overtaken.is_some();
        if overtaken && absent {
            settled.step.unknown_since = None;
        }
        let prepared = settled.next == Next::Again;
        self.keep_pending_order(&settled.step, prepared);
        self.pending.step(&settled.step);
        self.give_back_claim(&settled);
        let unclear = settled.step.status == StepStatus::Unknown && !(overtaken && absent);
        let error = settled.step.error.clone();
        if let Some(place) = self.steps.get_mut(index) {
            *place = settled.step;
        }
        match settled.next {
            Next::Go | Next::Again => None,
            Next::Pause { why, reason } => Some(Stand::paused(why, reason)),
            Next::At { .. } if overtaken && !unclear => None,
            Next::At { due, waiting_for } => Some(Stand::waiting(due, waiting_for, error)),
        }
    }

    /// The customer's claim is kept while a create is unclear, or between what an order's look saw
    /// and the order. An order that waits for a person lets the customer's other services go on:
    /// they see it among the account's orders.
    fn give_back_claim(&mut self, settled: &Settled) {
        let step = &settled.step;
        let is_order = matches!(step.action, StepAction::DeployDevice { .. });
        let paused = matches!(settled.next, Next::Pause { .. });
        let over = step.unknown_since.is_none() && settled.next != Next::Again;
        if step.action.needs_customer_claim() && (over || is_order && paused) {
            self.pending.release_claim();
        }
    }

    /// A device that came up for the first time tells how long its product takes.
    fn note_build(&mut self, action: &StepAction, done: &Done) {
        let service = &self.run.service;
        let came_up = matches!(action, StepAction::AwaitDevice { .. })
            && service.ip.is_none()
            && done.service.get("ip").is_some_and(Value::is_string);
        if let (true, Some(product), Some(ordered)) = (
            came_up,
            service.device_product_id,
            service.device_ordered_at,
        ) {
            let measured = self.engine.clock.surely_since(ordered);
            if let Some(took) = plan::learned_build(self.now().since(ordered), measured) {
                self.pending.built(product, took);
            }
        }
    }

    fn tell_slow(&mut self, words: &str) {
        let run = &self.run;
        let service = run.service_id.as_deref().unwrap_or("-");
        tracing::warn!(run = %run.id, source = run.source, service, "{words}");
        if self.engine.alerts {
            let alert = self.alert_of("run.slow", None, Some(words));
            self.pending.alert(alert);
        }
    }
}

/// The store's word on whose orders there are.
struct Ledger<'a> {
    store: &'a Store,
    source: &'a str,
    service_id: &'a str,
    customer_id: Option<&'a str>,
}

impl OrderLedger for Ledger<'_> {
    fn of_others(
        &self,
        orders: Vec<i64>,
    ) -> Pin<Box<dyn Future<Output = Option<HashSet<i64>>> + Send + '_>> {
        Box::pin(async move {
            let known = self
                .store
                .orders_of_others(self.source, self.service_id, orders);
            known.await.ok()
        })
    }

    fn another_is_out(&self) -> Pin<Box<dyn Future<Output = Option<bool>> + Send + '_>> {
        Box::pin(async move {
            let Some(customer) = self.customer_id else {
                return Some(false);
            };
            let services = self.store.services_of(self.source, customer).await.ok()?;
            let out = |order: &PendingOrder| order.sent_at.is_some();
            let mut others = services.iter().filter(|(id, _)| id != self.service_id);
            Some(others.any(|(_, service)| service.pending_order.as_ref().is_some_and(out)))
        })
    }
}
