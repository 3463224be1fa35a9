//! Writing what became true of a run.

use std::collections::btree_map::Entry;

use serde_json::{Value, json};

use crate::domain::id::RunId;
use crate::domain::run::RunStatus;
use crate::domain::state::merge;
use crate::domain::time::Timestamp;
use crate::store::orders::BUILDS;
use crate::store::{Advance, Advanced, AttemptRow, ClaimChange};

use super::rows::{CustomerRow, Named, Rows, ServiceRow};

impl Rows {
    /// Writes the advance, unless its fence is old.
    pub(super) fn advance(&mut self, write: &Advance) -> Advanced {
        let Some(overtaken) = self.write_run(write) else {
            return Advanced {
                applied: false,
                claimed: true,
                overtaken: false,
            };
        };
        let claimed = self.acquire(write);
        self.write_journal(write, claimed);
        self.write_states(write);
        self.write_orders(write);
        self.write_report(write);
        if write.claim == ClaimChange::Release || write.status.is_final() {
            self.release(customer_of(write), write.run, write.now);
        }
        if let Some(newer) = write.weakens.and_then(|newer| self.run_mut(newer)) {
            newer.weak = true;
        }
        if let Some(because) = write.frees_its_lane() {
            self.settle(&write.lane, because, write.now);
        }
        Advanced {
            applied: true,
            claimed,
            overtaken,
        }
    }

    /// Whether it is to give way; none where the fence is old.
    fn write_run(&mut self, write: &Advance) -> Option<bool> {
        let run = self.run_mut(write.run)?;
        if run.fence != write.fence || run.status != RunStatus::Running {
            return None;
        }
        let stops = matches!(write.status, RunStatus::Waiting | RunStatus::Paused);
        run.due_at = if run.overtaken == 1 && stops {
            Some(write.now)
        } else {
            write.due_at
        };
        run.status = write.status;
        run.blocks = !write.status.is_final();
        run.planned |= write.planned;
        run.touched |= write.touched;
        run.waiting_for.clone_from(&write.waiting_for);
        run.error.clone_from(&write.error);
        run.pause_reason = write.pause_reason;
        run.updated_at = write.now;
        if write.at_end.is_some() {
            run.at_end.clone_from(&write.at_end);
        }
        if write.customer_id.is_some() {
            run.customer_id.clone_from(&write.customer_id);
        }
        Some(run.overtaken > 0)
    }

    /// Takes the customer's claim if it is wanted; whether the step may begin.
    fn acquire(&mut self, write: &Advance) -> bool {
        let Some(key) = customer_of(write).filter(|_| write.claim == ClaimChange::Acquire) else {
            return true;
        };
        let customer = self.customer_row(key.clone(), write.now);
        if customer.claimed_by.is_none_or(|holder| holder == write.run) {
            customer.claimed_by = Some(write.run);
            return true;
        }
        if let Some(run) = self.run_mut(write.run) {
            run.status = RunStatus::Waiting;
            // No due time: whoever gives the claim back wakes it.
            run.due_at = (run.overtaken > 0).then_some(write.now);
            run.waiting_for = Some(format!(
                "another run of customer {} that is changing the same account",
                key.1
            ));
            run.claim_wait = Some(key);
        }
        false
    }

    fn customer_row(&mut self, key: Named, now: Timestamp) -> &mut CustomerRow {
        self.customers.entry(key).or_insert_with(|| CustomerRow {
            doc: json!({}),
            claimed_by: None,
            updated_at: now,
        })
    }

    /// Gives the customer's claim back, if the run has it, and wakes whoever waits for it.
    pub(super) fn release(&mut self, key: Option<Named>, run: RunId, now: Timestamp) {
        let Some(key) = key else { return };
        let Some(customer) = self.customers.get_mut(&key) else {
            return;
        };
        if customer.claimed_by != Some(run) {
            return;
        }
        customer.claimed_by = None;
        for (id, waiting) in &mut self.runs {
            if waiting.claim_wait.as_ref() == Some(&key) {
                (waiting.due_at, waiting.claim_wait) = (Some(now), None);
                self.touched.insert(*id);
            }
        }
    }

    fn write_journal(&mut self, write: &Advance, claimed: bool) {
        let begins = write.begins.as_ref().filter(|_| claimed);
        for step in write.steps.iter().chain(begins.map(|(step, _)| step)) {
            self.steps.insert((write.run, step.seq), step.clone());
        }
        let begun = begins.map(|(_, attempt)| attempt);
        for attempt in write.attempts.iter().chain(begun) {
            self.write_attempt(write.run, attempt);
        }
    }

    fn write_attempt(&mut self, run: RunId, attempt: &AttemptRow) {
        match self.attempts.entry((run, attempt.seq, attempt.n)) {
            Entry::Vacant(place) => {
                place.insert(attempt.clone());
            }
            Entry::Occupied(mut known) => {
                let started_at = known.get().started_at;
                *known.get_mut() = AttemptRow {
                    started_at,
                    ..attempt.clone()
                };
            }
        }
    }

    fn write_orders(&mut self, write: &Advance) {
        let service = write.service_id.clone().unwrap_or_default();
        for order in &write.orders {
            let whose = (write.source.clone(), service.clone());
            self.orders.entry(*order).or_insert(whose);
        }
        if let Some((product, took)) = write.built {
            let builds = self.builds.entry(product).or_default();
            if !builds.iter().any(|(run, _)| *run == write.run) {
                builds.push((write.run, took));
                builds.sort_unstable();
                let most = usize::try_from(BUILDS).unwrap_or(usize::MAX);
                builds.drain(..builds.len().saturating_sub(most));
            }
        }
    }

    fn write_states(&mut self, write: &Advance) {
        if let Some(id) = write
            .service_id
            .clone()
            .filter(|_| is_patch(&write.service_patch))
        {
            let row = self
                .services
                .entry((write.source.clone(), id))
                .or_insert_with(|| ServiceRow {
                    customer_id: None,
                    doc: json!({}),
                    updated_at: write.now,
                });
            patch(&mut row.doc, &write.service_patch);
            row.updated_at = write.now;
            let owner = row.doc.get("customer_id").and_then(Value::as_str);
            let owner = owner.or(write.customer_id.as_deref());
            if let Some(owner) = owner.map(str::to_owned) {
                row.customer_id = Some(owner);
            }
        }
        if let Some(key) = customer_of(write).filter(|_| is_patch(&write.customer_patch)) {
            let row = self.customer_row(key, write.now);
            patch(&mut row.doc, &write.customer_patch);
            row.updated_at = write.now;
        }
    }
}

fn customer_of(write: &Advance) -> Option<Named> {
    let customer = write.customer_id.clone()?;
    Some((write.source.clone(), customer))
}

fn is_patch(value: &Value) -> bool {
    value.as_object().is_some_and(|patch| !patch.is_empty())
}

/// Sets the patch's keys; null removes one.
fn patch(doc: &mut Value, changes: &Value) {
    merge(doc, changes);
    if let Some(keys) = doc.as_object_mut() {
        keys.retain(|_, value| !value.is_null());
    }
}
