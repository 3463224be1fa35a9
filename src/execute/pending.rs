//! What became true of a run since the last write, gathered so that one write takes it all.

use std::time::Duration;

use serde_json::Value;

use crate::domain::id::RunId;
use crate::domain::pause::PauseReason;
use crate::domain::report::NewReport;
use crate::domain::run::RunStatus;
use crate::domain::state::merge;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::store::{Advance, AtEnd, AttemptRow, ClaimChange, Claimed};

/// Changes that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    steps: Vec<Step>,
    attempts: Vec<AttemptRow>,
    service: Value,
    customer: Value,
    at_end: Option<AtEnd>,
    alert: Option<String>,
    report: Option<NewReport>,
    release_claim: bool,
    orders: Vec<i64>,
    built: Option<(i64, Duration)>,
    weakens: Option<RunId>,
}

/// Where the run stands after a write.
#[derive(Clone, Debug)]
pub(super) struct Stand {
    pub(super) status: RunStatus,
    pub(super) due_at: Option<Timestamp>,
    pub(super) waiting_for: Option<String>,
    pub(super) error: Option<String>,
    /// Why it is paused, in a word.
    pub(super) pause_reason: Option<PauseReason>,
}

impl Stand {
    pub(super) fn running(lease_end: Timestamp) -> Self {
        Self {
            status: RunStatus::Running,
            due_at: Some(lease_end),
            waiting_for: None,
            error: None,
            pause_reason: None,
        }
    }

    /// When the lease ends, where the run goes on.
    pub(super) fn running_until(&self) -> Option<Timestamp> {
        self.due_at.filter(|_| self.status == RunStatus::Running)
    }

    pub(super) fn waiting(due: Timestamp, waiting_for: String, error: Option<String>) -> Self {
        Self {
            status: RunStatus::Waiting,
            due_at: Some(due),
            waiting_for: Some(waiting_for),
            error,
            pause_reason: None,
        }
    }

    pub(super) fn paused(why: PauseReason, reason: String) -> Self {
        Self {
            status: RunStatus::Paused,
            due_at: None,
            waiting_for: Some("a person".to_owned()),
            error: Some(reason),
            pause_reason: Some(why),
        }
    }

    pub(super) fn ended(status: RunStatus, error: Option<String>) -> Self {
        Self {
            status,
            due_at: None,
            waiting_for: None,
            error,
            pause_reason: None,
        }
    }
}

impl Pending {
    pub(super) fn step(&mut self, step: &Step) {
        self.steps.retain(|known| known.seq != step.seq);
        self.steps.push(step.clone());
    }

    pub(super) fn attempt(&mut self, attempt: AttemptRow) {
        self.attempts.push(attempt);
    }

    pub(super) fn patch(&mut self, service: &Value, customer: &Value) {
        merge(&mut self.service, service);
        merge(&mut self.customer, customer);
    }

    pub(super) fn at_end(&mut self, at_end: AtEnd) {
        self.at_end = Some(at_end);
    }

    /// What people are told.
    pub(super) fn alert(&mut self, alert: String) {
        self.alert = Some(alert);
    }

    /// What the billing platform is told.
    pub(super) fn report(&mut self, report: Option<NewReport>) {
        self.report = report;
    }

    /// An order at Hivelocity that is the service's.
    pub(super) fn order(&mut self, order: i64) {
        self.orders.push(order);
    }

    /// A device of this product came up after this long.
    pub(super) fn built(&mut self, product: i64, took: Duration) {
        self.built = Some((product, took));
    }

    /// A newer run of the lane is no reason to give way.
    pub(super) fn weakens(&mut self, newer: RunId) {
        self.weakens = Some(newer);
    }

    pub(super) fn release_claim(&mut self) {
        self.release_claim = true;
    }

    /// The write that stores all of it.
    pub(super) fn into_write(
        self,
        run: &Claimed,
        stand: Stand,
        begins: Option<(Step, AttemptRow)>,
        acquire: bool,
        now: Timestamp,
    ) -> Advance {
        let claim = match (acquire, self.release_claim) {
            (true, _) => ClaimChange::Acquire,
            (false, true) => ClaimChange::Release,
            (false, false) => ClaimChange::Keep,
        };
        Advance {
            run: run.id,
            fence: run.fence,
            lane: run.lane.clone(),
            source: run.source.clone(),
            service_id: run.service_id.clone(),
            customer_id: run.customer_id.clone(),
            status: stand.status,
            planned: run.planned,
            touched: run.touched,
            due_at: stand.due_at,
            waiting_for: stand.waiting_for,
            error: stand.error,
            alert: self.alert,
            report: self.report,
            pause_reason: stand.pause_reason.map(PauseReason::name),
            at_end: self.at_end,
            steps: self.steps,
            attempts: self.attempts,
            begins,
            service_patch: self.service,
            customer_patch: self.customer,
            orders: self.orders,
            built: self.built,
            weakens: self.weakens,
            claim,
            now,
        }
    }
}
