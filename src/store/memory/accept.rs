//! Keeping deliveries, making runs.

use std::collections::BTreeSet;

use crate::domain::id::{DeliveryId, RunId};
use crate::domain::lane::Because;
use crate::domain::run::RunStatus;
use crate::domain::time::Timestamp;
use crate::store::accept::by_its_replay;
use crate::store::{DeliveryVerdict, NewDelivery, NewRun, Receipt};

use super::rows::{DeliveryRow, Rows, RunRow};

impl Rows {
    /// Keeps a delivery with its runs.
    pub(super) fn accept(&mut self, new: NewDelivery) -> Receipt {
        if let Some(first) = new.dedupe.and_then(|key| self.keys.get(&key)) {
            return self.repeated(DeliveryId(*first), new);
        }
        if let Some(key) = new.dedupe {
            self.keys.insert(key, new.id.0);
        }
        let (id, source, now) = (new.id, new.source.to_string(), new.received_at);
        let runs = new.runs.clone();
        self.keep_early(&new);
        self.keep(new, None);
        let lanes: BTreeSet<String> = runs.iter().map(|run| run.lane.clone()).collect();
        self.add_runs(runs, id, &source, now);
        if lanes.iter().any(|lane| self.lane(lane).len() > 1) {
            Receipt::StoredBehind
        } else {
            Receipt::Stored
        }
    }

    fn keep(&mut self, new: NewDelivery, duplicate_of: Option<DeliveryId>) {
        self.deliveries
            .insert(new.id.0, DeliveryRow { new, duplicate_of });
    }

    /// The key is taken: the same body makes a duplicate, another body a conflict.
    fn repeated(&mut self, of: DeliveryId, mut new: NewDelivery) -> Receipt {
        let first = self.deliveries.get(&of.0).map(|row| &row.new);
        let same = first.is_some_and(|first| first.body == new.body);
        let runs = first.map(|first| first.runs.iter().map(|run| run.id).collect());
        (new.dedupe, new.runs, new.early) = (None, Vec::new(), Vec::new());
        let (verdict, cause, receipt) = if same {
            let runs = runs.unwrap_or_default();
            let receipt = Receipt::Duplicate { of, runs };
            let cause = "the same delivery again";
            (DeliveryVerdict::Duplicate, cause, receipt)
        } else {
            let cause = "the id was used before with another body";
            let receipt = Receipt::Conflict { of };
            (DeliveryVerdict::Rejected, cause, receipt)
        };
        (new.verdict, new.cause) = (verdict, Some(cause.to_owned()));
        self.keep(new, Some(of));
        receipt
    }

    /// Makes runs for a delivery that is kept already. They end the paused runs of the same event.
    pub(super) fn replay(
        &mut self,
        delivery: DeliveryId,
        source: &str,
        runs: Vec<NewRun>,
        now: Timestamp,
    ) {
        let mut begin = None;
        for new in &runs {
            for id in self.lane(&new.lane) {
                let Some(run) = self.runs.get(&id) else {
                    continue;
                };
                if run.order.origin != new.order.origin || run.status != RunStatus::Paused {
                    continue;
                }
                let customer = run.customer();
                begin = begin.max(self.unclear_until(id));
                self.end_replaced(id, new.id, now);
                self.pause_is_over(id, now);
                // Or the replay would wait for the claim of the run whose place it takes.
                self.release(customer, id, now);
            }
        }
        let ids: Vec<RunId> = runs.iter().map(|run| run.id).collect();
        self.add_runs(runs, delivery, source, now);
        // What the passed run sent may still take effect: the look that comes first must see it.
        let Some(begin) = begin.filter(|begin| *begin > now) else {
            return;
        };
        for id in ids {
            if let Some(run) = self.run_mut(id) {
                run.due_at = run.due_at.map(|_| begin);
            }
        }
    }

    fn end_replaced(&mut self, id: RunId, by: RunId, now: Timestamp) {
        let Some(run) = self.run_mut(id) else {
            return;
        };
        (run.status, run.blocks, run.due_at) = (RunStatus::Superseded, false, None);
        run.fence += 1;
        run.error = Some(by_its_replay(by));
        (run.waiting_for, run.pause_reason) = (None, None);
        run.updated_at = now;
    }

    pub(super) fn add_runs(
        &mut self,
        runs: Vec<NewRun>,
        delivery: DeliveryId,
        source: &str,
        now: Timestamp,
    ) {
        let lanes: BTreeSet<String> = runs.iter().map(|run| run.lane.clone()).collect();
        for run in runs {
            self.touched.insert(run.id);
            self.runs
                .insert(run.id, RunRow::new(run, delivery, source, now));
        }
        for lane in &lanes {
            self.settle(lane, Because::RunCame, now);
        }
    }
}
