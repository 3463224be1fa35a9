//! What must hold after every commit, whatever was committed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize as _;
use serde_json::Value;

use crate::domain::event::EventType;
use crate::domain::id::RunId;
use crate::domain::run::{OrderKey, RunStatus};
use crate::domain::step::{Step, StepAction};
use crate::store::{Rows, RunRow};

/// What was seen after the commit before.
#[derive(Default)]
pub(super) struct Laws {
    seen: BTreeMap<RunId, RunRow>,
    settled: BTreeMap<(String, &'static str), (Value, OrderKey)>,
}

impl Laws {
    /// What the commit broke, if anything. Only the lanes in which something changed are looked
    /// at, and whoever waits for another lane.
    pub(super) fn check(&mut self, what: &'static str, rows: &mut Rows) -> Option<String> {
        let touched = rows.touched();
        let changed = || touched.iter().filter_map(|id| rows.run(*id));
        let lanes: BTreeSet<&str> = changed().map(|run| run.lane.as_str()).collect();
        let near = |run: &&RunRow| run.claim_wait.is_some() || lanes.contains(run.lane.as_str());
        let near: Vec<&RunRow> = rows.runs().filter(near).collect();
        let broken = one_run_a_lane(&near)
            .or_else(|| near.iter().find_map(|run| can_go_on(rows, run)))
            .or_else(|| changed().find_map(|run| waits_for_no_report(rows, run)))
            .or_else(|| changed().find_map(|run| self.history_stays(what, run)));
        for run in changed() {
            self.seen.insert(run.id, run.clone());
        }
        let broken = broken.or_else(|| {
            let states = what == "advance";
            states.then(|| self.older_undoes_nothing(rows)).flatten()
        });
        broken.map(|broken| format!("after {what}: {broken}"))
    }

    /// What ended stays as it ended; a claim's number never goes down; a replay changes nothing
    /// of what it repeats but its place in the lane, and ends it where it was paused.
    fn history_stays(&self, what: &'static str, run: &RunRow) -> Option<String> {
        let before = self.seen.get(&run.id)?;
        let id = run.id;
        if before.fence > run.fence {
            return Some(format!("the fence of {id} went down"));
        }
        if before.status.is_final() && before != run {
            return Some(format!("{id} had ended and changed: {before:?} → {run:?}"));
        }
        let same = RunRow {
            blocks: before.blocks,
            due_at: before.due_at,
            overtaken: before.overtaken,
            claim_wait: before.claim_wait.clone(),
            ..run.clone()
        };
        let ended = (before.status, run.status) == (RunStatus::Paused, RunStatus::Superseded);
        let same = if ended {
            paused_again(before, same)
        } else {
            same
        };
        if what == "replay" && same != *before {
            return Some(format!("a replay changed {id}: {before:?} → {run:?}"));
        }
        None
    }

    /// What settled a state is never followed by something older.
    fn older_undoes_nothing(&mut self, rows: &Rows) -> Option<String> {
        for (id, doc) in rows.service_docs() {
            for field in ["settled", "package_settled"] {
                let key = (id.to_owned(), field);
                let (value, before) = (doc.get(field), self.settled.get(&key));
                if value == before.map(|(value, _)| value) {
                    continue;
                }
                let (value, before) = (value.cloned(), before.map(|(_, settled)| *settled));
                let settled = value
                    .as_ref()
                    .and_then(|value| OrderKey::deserialize(value).ok());
                if settled < before {
                    return Some(format!(
                        "{field} of service {id} went back: {before:?} → {settled:?}"
                    ));
                }
                self.settled
                    .extend(value.zip(settled).map(|now| (key, now)));
            }
        }
        None
    }
}

fn one_run_a_lane(near: &[&RunRow]) -> Option<String> {
    let mut running: BTreeMap<&str, RunId> = BTreeMap::new();
    let running_now = near.iter().filter(|run| run.status == RunStatus::Running);
    for run in running_now {
        if let Some(other) = running.insert(&run.lane, run.id) {
            return Some(format!(
                "{other} and {} run at once in {}",
                run.id, run.lane
            ));
        }
    }
    None
}

/// An unfinished run has a due time, a lease, somebody it waits for who has one of these, or a reason
/// for a person.
fn can_go_on(rows: &Rows, run: &RunRow) -> Option<String> {
    let fine = match run.status {
        RunStatus::Succeeded | RunStatus::Cancelled | RunStatus::Superseded => !run.blocks,
        RunStatus::Running => run.due_at.is_some(),
        RunStatus::Paused => run.error.as_ref().is_some_and(|error| !error.is_empty()),
        RunStatus::Pending => has_turn(rows, run) || needs_another(rows, run),
        RunStatus::Waiting => has_turn(rows, run),
    };
    (!fine).then(|| format!("nothing will ever carry {} on: {run:?}", run.id))
}

/// Whether it, or another run of its lane, goes on by itself.
fn has_turn(rows: &Rows, run: &RunRow) -> bool {
    let mut lane = rows.runs().filter(|one| one.lane == run.lane && one.blocks);
    lane.any(|one| one.due_at.is_some() || waits_for_a_claim(rows, one))
}

/// Whether it has to wait for an order about which a person was asked.
fn needs_another(rows: &Rows, run: &RunRow) -> bool {
    let order = |other: &RunRow| {
        other.lane == run.lane && other.blocks && other.kind == EventType::OrderPaid
    };
    let depends = matches!(
        run.kind,
        EventType::ServicePackageChanged | EventType::ServiceRenewed | EventType::ServiceMoved
    );
    depends && rows.runs().any(order)
}

/// What the billing platform is told is no step of any run, and nothing that one waits for.
fn waits_for_no_report(rows: &Rows, run: &RunRow) -> Option<String> {
    let reports = |step: &Step| matches!(step.action, StepAction::Report { .. });
    let waiting = run.waiting_for.as_deref().unwrap_or_default();
    let waits = waiting.contains("the billing platform") || rows.steps_of(run.id).any(reports);
    waits.then(|| format!("{} waits for a report: {waiting}", run.id))
}

fn waits_for_a_claim(rows: &Rows, run: &RunRow) -> bool {
    let Some((source, customer)) = &run.claim_wait else {
        return false;
    };
    let holder = rows.claimed_by(source, customer);
    holder
        .and_then(|holder| rows.run(holder))
        .is_some_and(|holder| !holder.status.is_final() && holder.blocks)
}

/// The run as it was while it was paused, in what its end changes.
fn paused_again(before: &RunRow, ended: RunRow) -> RunRow {
    RunRow {
        status: before.status,
        fence: before.fence,
        error: before.error.clone(),
        waiting_for: before.waiting_for.clone(),
        pause_reason: before.pause_reason,
        updated_at: before.updated_at,
        ..ended
    }
}
