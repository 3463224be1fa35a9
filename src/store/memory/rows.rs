//! The tables. Each is a map in the order of its key, so that nothing depends on chance.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::reports::ReportRow;
use crate::domain::budget::Hour;
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, RunId};
use crate::domain::run::{OrderKey, RunStatus};
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::store::{AtEnd, AttemptRow, DedupeKey, NewDelivery, NewRun};

/// A source and the id of something of it.
pub(super) use crate::store::Named;

/// Everything that is kept.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    pub(super) deliveries: BTreeMap<i64, DeliveryRow>,
    pub(super) keys: BTreeMap<DedupeKey, i64>,
    /// The runs that were changed since somebody last asked.
    pub(super) touched: BTreeSet<RunId>,
    pub(super) runs: BTreeMap<RunId, RunRow>,
    pub(super) steps: BTreeMap<(RunId, u32), Step>,
    pub(super) attempts: BTreeMap<(RunId, u32, u32), AttemptRow>,
    pub(super) services: BTreeMap<Named, ServiceRow>,
    pub(super) customers: BTreeMap<Named, CustomerRow>,
    /// What came before the order of its service: source, service, what it asks.
    pub(super) early: BTreeMap<(String, String, &'static str), NewRun>,
    /// Whose Hivelocity's orders are.
    pub(super) orders: BTreeMap<i64, Named>,
    /// How long a product's devices took, oldest first.
    pub(super) builds: BTreeMap<i64, Vec<(RunId, Duration)>>,
    pub(super) budgets: BTreeMap<String, Hour>,
    /// What the billing platforms are told, by service.
    pub(super) reports: BTreeMap<Named, ReportRow>,
    /// Which installation a source belongs to.
    pub(super) installations: BTreeMap<String, String>,
    /// The sources whose platforms take no reports.
    pub(super) outages: BTreeSet<String>,
}

/// A request as it is kept.
#[derive(Clone, Debug)]
pub(super) struct DeliveryRow {
    pub(super) new: NewDelivery,
    pub(super) duplicate_of: Option<DeliveryId>,
}

/// A run as it is kept.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "a row's columns")]
pub struct RunRow {
    pub(crate) id: RunId,
    pub(crate) delivery: DeliveryId,
    pub(crate) order: OrderKey,
    pub(crate) lane: String,
    pub(crate) source: String,
    pub(crate) kind: EventType,
    pub(crate) customer_id: Option<String>,
    pub(crate) service_id: Option<String>,
    pub(crate) status: RunStatus,
    pub(crate) blocks: bool,
    pub(crate) planned: bool,
    pub(crate) touched: bool,
    pub(crate) weak: bool,
    pub(crate) due_at: Option<Timestamp>,
    pub(crate) fence: i64,
    pub(crate) overtaken: u8,
    pub(crate) claim_wait: Option<(String, String)>,
    pub(crate) waiting_for: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) pause_reason: Option<&'static str>,
    pub(crate) replay_of: Option<i64>,
    pub(crate) at_end: Option<AtEnd>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl RunRow {
    /// A run that nobody has looked at.
    pub(super) fn new(run: NewRun, delivery: DeliveryId, source: &str, now: Timestamp) -> Self {
        Self {
            id: run.id,
            delivery,
            order: run.order,
            lane: run.lane,
            source: source.to_owned(),
            kind: run.kind,
            customer_id: run.customer_id,
            service_id: run.service_id,
            status: RunStatus::Pending,
            blocks: true,
            planned: false,
            touched: false,
            weak: false,
            due_at: None,
            fence: 0,
            overtaken: 0,
            claim_wait: None,
            waiting_for: None,
            error: None,
            pause_reason: None,
            replay_of: run.replay_of,
            at_end: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Whose claim it would need, where the customer is known.
    pub(super) fn customer(&self) -> Option<Named> {
        let customer = self.customer_id.clone()?;
        Some((self.source.clone(), customer))
    }
}

/// What is known of a service.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ServiceRow {
    pub(super) customer_id: Option<String>,
    pub(super) doc: Value,
    pub(super) updated_at: Timestamp,
}

/// What is known of a customer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CustomerRow {
    pub(super) doc: Value,
    pub(super) claimed_by: Option<RunId>,
    pub(super) updated_at: Timestamp,
}

impl Rows {
    /// All runs, oldest first.
    pub fn runs(&self) -> impl Iterator<Item = &RunRow> {
        self.runs.values()
    }

    /// A run, to be changed.
    pub(super) fn run_mut(&mut self, id: RunId) -> Option<&mut RunRow> {
        let run = self.runs.get_mut(&id)?;
        self.touched.insert(id);
        Some(run)
    }

    /// The runs that were changed since this was last asked.
    pub fn touched(&mut self) -> BTreeSet<RunId> {
        std::mem::take(&mut self.touched)
    }

    /// One run.
    pub fn run(&self, id: RunId) -> Option<&RunRow> {
        self.runs.get(&id)
    }

    /// A run's steps in their order.
    pub fn steps_of(&self, run: RunId) -> impl Iterator<Item = &Step> {
        let range = (run, 0)..=(run, u32::MAX);
        self.steps.range(range).map(|(_, step)| step)
    }

    /// A run's attempts in their order.
    pub fn attempts_of(&self, run: RunId) -> impl Iterator<Item = &AttemptRow> {
        let range = (run, 0, 0)..=(run, u32::MAX, u32::MAX);
        self.attempts.range(range).map(|(_, attempt)| attempt)
    }

    /// Whether this delivery is kept.
    pub fn keeps(&self, delivery: DeliveryId) -> bool {
        self.deliveries.contains_key(&delivery.0)
    }

    /// The highest id in use.
    pub fn highest_id(&self) -> i64 {
        let delivery = self.deliveries.keys().next_back().copied();
        let run = self.runs.keys().next_back().map(|run| run.0);
        delivery.max(run).unwrap_or(0)
    }

    /// The run that has the customer's claim.
    pub fn claimed_by(&self, source: &str, customer: &str) -> Option<RunId> {
        let key = (source.to_owned(), customer.to_owned());
        self.customers.get(&key)?.claimed_by
    }

    /// Every service's document by its id.
    pub fn service_docs(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.services
            .iter()
            .map(|((_, id), row)| (id.as_str(), &row.doc))
    }

    /// Every customer's document by its id.
    pub fn customer_docs(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.customers
            .iter()
            .map(|((_, id), row)| (id.as_str(), &row.doc))
    }

    pub(super) fn lane(&self, lane: &str) -> Vec<RunId> {
        let in_it = |run: &&RunRow| run.lane == lane && run.blocks;
        self.runs.values().filter(in_it).map(|run| run.id).collect()
    }
}
