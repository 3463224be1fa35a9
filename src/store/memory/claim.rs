//! Taking runs that are due, with everything a decision needs.

use std::collections::HashSet;
use std::sync::Arc;

use crate::domain::event::EventType;
use crate::domain::id::RunId;
use crate::domain::lane::Member;
use crate::domain::lease::Lease;
use crate::domain::pause::PauseReason;
use crate::domain::run::RunStatus;
use crate::domain::time::Timestamp;
use crate::store::{Claimed, Held};

use super::read::known;
use super::rows::{Rows, RunRow};

impl Rows {
    /// Takes up to `limit` due runs until `lease_end`.
    pub(super) fn claim(
        &mut self,
        limit: usize,
        now: Timestamp,
        lease_end: Timestamp,
    ) -> Vec<Claimed> {
        let mut due: Vec<(Timestamp, RunId)> = self
            .runs
            .values()
            .filter_map(|run| Some((run.due_at.filter(|due| *due <= now)?, run.id)))
            .collect();
        due.sort_unstable();
        due.truncate(limit);
        let claimed: Vec<Claimed> = due
            .iter()
            .filter_map(|(_, id)| Some(self.claimed(self.runs.get(id)?, lease_end)))
            .collect();
        for (_, id) in due {
            if let Some(run) = self.run_mut(id) {
                run.status = RunStatus::Running;
                run.fence += 1;
                run.due_at = Some(lease_end);
                run.overtaken = if run.overtaken > 0 { 2 } else { 0 };
                (run.claim_wait, run.waiting_for) = (None, None);
            }
        }
        claimed
    }

    /// Extends the leases of runs that a worker still has; answers which.
    pub(super) fn extend(&mut self, held: &[Held], until: Timestamp) -> HashSet<i64> {
        let mut kept = HashSet::new();
        for held in held {
            if let Some(run) = self.run_mut(held.run)
                && run.fence == held.fence
                && run.status == RunStatus::Running
            {
                run.due_at = Some(until);
                kept.insert(held.run.0);
            }
        }
        kept
    }

    fn claimed(&self, run: &RunRow, lease_end: Timestamp) -> Claimed {
        let named = |id: &Option<String>| Some((run.source.clone(), id.clone()?));
        let service = named(&run.service_id).and_then(|key| self.services.get(&key));
        let owner = service.and_then(|service| service.customer_id.clone());
        let customer_id = match run.kind {
            EventType::ServiceMoved => run.customer_id.clone(),
            _ => owner.or_else(|| run.customer_id.clone()),
        };
        let customer = named(&customer_id).and_then(|key| self.customers.get(&key));
        let delivery = self.deliveries.get(&run.delivery.0).map(|row| &row.new);
        let received_at = delivery.map_or(run.created_at, |new| new.received_at);
        let journal = self.steps_of(run.id).filter(|_| run.planned);
        Claimed {
            id: run.id,
            delivery_id: run.delivery,
            order: run.order,
            lane: run.lane.clone(),
            source: run.source.clone(),
            kind: run.kind,
            customer_id,
            service_id: run.service_id.clone(),
            fence: run.fence + 1,
            lease: Arc::new(Lease::until(lease_end)),
            planned: run.planned,
            paused: run.pause_reason.and_then(|reason| {
                let error = run.error.clone().unwrap_or_default();
                Some((PauseReason::from_name(reason)?, error))
            }),
            replay: run.replay_of.is_some(),
            touched: run.touched,
            newer: {
                let newer = |other: &Member| other.order > run.order;
                self.members(&run.lane).iter().any(newer)
            },
            at_end: run.at_end.clone().unwrap_or_default(),
            received_at,
            signed_at: delivery
                .and_then(|new| new.signed_at)
                .unwrap_or(received_at),
            body: delivery.map(|new| new.body.clone()).unwrap_or_default(),
            steps: journal.cloned().map(Ok).collect(),
            service: service.map(|row| known(&row.doc)).unwrap_or_default(),
            customer: customer.map(|row| known(&row.doc)).unwrap_or_default(),
        }
    }
}
