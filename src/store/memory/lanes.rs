//! Who is next in a lane.

use crate::domain::event::EventType;
use crate::domain::id::RunId;
use crate::domain::run::RunStatus;
use crate::domain::time::Timestamp;

use super::rows::{Rows, RunRow};

/// Why a lane is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Because {
    /// A run came in.
    RunCame,
    /// A run ended: one that was paused before it had a plan is planned anew.
    RunEnded,
}

impl Rows {
    /// Gives the lane's next run a due time and takes it from the others.
    pub(super) fn rebalance(&mut self, lane: &str, because: Because, now: Timestamp) {
        let members = self.lane(lane);
        for id in &members {
            let blocked = self.is_blocked(*id, &members);
            let Some(run) = self.run_mut(*id) else {
                continue;
            };
            let open = matches!(run.status, RunStatus::Pending | RunStatus::Paused);
            if run.planned || !open {
                continue;
            }
            // A paused run without a plan keeps its place, but is not due by itself.
            let asked = run.status == RunStatus::Paused && because == Because::RunCame;
            run.due_at = match (blocked, asked) {
                (true, _) => None,
                (false, true) => run.due_at,
                (false, false) => run.due_at.or(Some(now)),
            };
        }
    }

    /// Whether another run of the lane is planned, under way or earlier.
    fn is_blocked(&self, id: RunId, members: &[RunId]) -> bool {
        let Some(run) = self.runs.get(&id) else {
            return true;
        };
        let goes_first = |other: &RunRow| {
            let holds = other.planned || other.status == RunStatus::Running;
            other.id != id && (holds || other.place() < run.place())
        };
        let others = members.iter().filter_map(|other| self.runs.get(other));
        others.into_iter().any(goes_first)
    }

    /// Whether a later termination waits in the lane of the run.
    pub(super) fn ended_later(&self, run: &RunRow) -> bool {
        let ends =
            |other: &RunRow| other.kind == EventType::ServiceTerminated && other.order > run.order;
        let lane = self.lane(&run.lane);
        let mut others = lane.iter().filter_map(|id| self.runs.get(id));
        others.any(ends)
    }

    /// A termination does not wait for a run that only waits or is paused.
    pub(super) fn overtake(&mut self, lane: &str, now: Timestamp) {
        let members = self.lane(lane);
        for id in members.iter().copied() {
            let Some(run) = self.runs.get(&id) else {
                continue;
            };
            let begun = run.planned || matches!(run.status, RunStatus::Paused | RunStatus::Running);
            if !begun || !self.ended_later(run) {
                continue;
            }
            // One that was held before it had a plan still waits for whoever holds the lane.
            let held_up = !run.planned && self.is_blocked(id, &members);
            if let Some(run) = self.run_mut(id) {
                run.overtaken = 1;
                if run.status != RunStatus::Running && !held_up {
                    run.due_at = Some(now);
                }
            }
        }
    }
}
