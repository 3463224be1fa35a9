//! What a person does to a run, and what a start does to runs that a stop cut off.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::id::RunId;
use crate::domain::pause::PauseReason;
use crate::domain::run::RunStatus;
use crate::domain::step::{Step, StepStatus};
use crate::domain::time::Timestamp;
use crate::store::pull_in::LONGEST_WAIT;
use crate::store::{Intervened, Intervention, Recovery};

use super::rows::Rows;
use crate::domain::lane::Because;

/// How long a request whose end is unknown may still take effect, at the most.
const LATE_EFFECT: Duration = Duration::from_secs(120);

impl Rows {
    /// Does it, if the run's status allows it.
    pub(super) fn intervene(
        &mut self,
        id: RunId,
        what: Intervention,
        now: Timestamp,
    ) -> Intervened {
        let Some(run) = self.runs.get(&id) else {
            return Intervened::NotFound;
        };
        let status = run.status;
        let allowed = match what {
            Intervention::Retry => {
                run.blocks && matches!(status, RunStatus::Paused | RunStatus::Waiting)
            }
            Intervention::Approve => run.blocks && status == RunStatus::Paused,
            Intervention::Cancel => !status.is_final(),
        };
        if !allowed {
            return Intervened::NotNow(status);
        }
        match what {
            Intervention::Approve if !self.asks_for_approval(id) => {
                return Intervened::NoApproval;
            }
            Intervention::Retry => self.wake(id, now),
            Intervention::Approve => {
                self.approve(id);
                self.wake(id, now);
            }
            Intervention::Cancel if self.unclear_until(id) > Some(now) => {
                return Intervened::Unclear;
            }
            Intervention::Cancel => self.cancel(id, now),
        }
        Intervened::Done
    }

    /// Whether an approval is a way out of the pause.
    pub fn asks_for_approval(&self, id: RunId) -> bool {
        let run = self.runs.get(&id);
        let reason = run.and_then(|run| run.pause_reason);
        reason == Some(PauseReason::Approval.name()) || self.steps_of(id).any(Step::offers_approval)
    }

    fn approve(&mut self, id: RunId) {
        for step in self.steps.range_mut((id, 0)..=(id, u32::MAX)) {
            step.1.approved |= step.1.status == StepStatus::Paused;
        }
    }

    /// A run with a plan goes on where it stopped; one without goes back into its lane's order.
    fn wake(&mut self, id: RunId, now: Timestamp) {
        let Some(run) = self.run_mut(id) else {
            return;
        };
        run.status = if run.planned {
            RunStatus::Waiting
        } else {
            RunStatus::Pending
        };
        (run.due_at, run.overtaken) = (None, 0);
        run.blocks = true;
        run.fence += 1;
        run.claim_wait = None;
        (run.error, run.waiting_for, run.pause_reason) = (None, None, None);
        run.updated_at = now;
        let lane = run.lane.clone();
        self.settle(&lane, Because::RunCame, now);
    }

    /// Until when something that the run sent may still come true without anyone knowing.
    pub(super) fn unclear_until(&self, id: RunId) -> Option<Timestamp> {
        let run = self.runs.get(&id)?;
        // A worker's lease is extended for as long as a call takes.
        let lease_end = run.due_at.filter(|_| run.status == RunStatus::Running);
        let busy_until = lease_end.max(Some(run.updated_at));
        let open = self.steps_of(id).filter(|step| !step.status.is_over());
        open.filter_map(|step| {
            let busy = busy_until.filter(|_| step.status == StepStatus::Running);
            step.unknown_since.max(busy)
        })
        .map(|since| since.plus(LATE_EFFECT))
        .max()
    }

    fn cancel(&mut self, id: RunId, now: Timestamp) {
        for (_, step) in self.steps.range_mut((id, 0)..=(id, u32::MAX)) {
            if !step.status.is_over() {
                step.status = StepStatus::Cancelled;
            }
        }
        let Some(run) = self.run_mut(id) else {
            return;
        };
        (run.status, run.blocks, run.due_at) = (RunStatus::Cancelled, false, None);
        run.fence += 1;
        (run.claim_wait, run.waiting_for) = (None, None);
        run.updated_at = now;
        let (lane, customer) = (run.lane.clone(), run.customer());
        self.pause_is_over(id, now);
        self.release(customer, id, now);
        self.settle(&lane, Because::RunEnded, now);
    }

    fn pull_in(&mut self, now: Timestamp) {
        let ahead = |due: Option<Timestamp>| due > Some(now.plus(LONGEST_WAIT));
        for (id, run) in &mut self.runs {
            if ahead(run.due_at) && run.status != RunStatus::Running {
                run.due_at = Some(now);
                self.touched.insert(*id);
            }
        }
        self.pull_in_reports(now);
    }

    /// Answers how many runs are due again.
    pub(super) fn recover(&mut self, what: Recovery, now: Timestamp) -> u64 {
        if !matches!(what, Recovery::GivenBack(_)) {
            self.pull_in(now);
            let open = self.runs.values().filter(|run| run.blocks);
            let lanes: BTreeSet<String> = open.map(|run| run.lane.clone()).collect();
            for lane in lanes {
                if self.lane(&lane).len() > 1 {
                    self.settle(&lane, Because::RunCame, now);
                }
            }
        }
        if matches!(what, Recovery::StartAlone) {
            self.recover_reports(now);
        }
        let mut count = 0;
        for (id, run) in &mut self.runs {
            let meant = match what {
                Recovery::StartBesideOthers => false,
                Recovery::StartAlone => true,
                Recovery::GivenBack(held) => (held.run, held.fence) == (run.id, run.fence),
            };
            let cut_off = run.status == RunStatus::Running && run.due_at > Some(now);
            if meant && cut_off {
                run.due_at = Some(now);
                self.touched.insert(*id);
                count += 1;
            }
        }
        count
    }
}
