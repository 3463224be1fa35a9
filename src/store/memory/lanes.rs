//! The lanes' rows, put in order as in the databases.

use crate::domain::lane::{Because, Member, arrange};
use crate::domain::time::Timestamp;

use super::rows::{Rows, RunRow};

impl Rows {
    /// Decides who goes on in the lane, and who is to give way.
    pub(super) fn settle(&mut self, lane: &str, because: Because, now: Timestamp) {
        let mut members = self.members(lane);
        arrange(&mut members, because, now);
        for member in members {
            let same = |run: &&RunRow| run.due_at == member.due && run.overtaken == member.told;
            if self.runs.get(&member.id).as_ref().is_some_and(same) {
                continue;
            }
            if let Some(run) = self.run_mut(member.id) {
                (run.due_at, run.overtaken) = (member.due, member.told);
            }
        }
    }

    /// The unfinished runs of a lane.
    pub(super) fn members(&self, lane: &str) -> Vec<Member> {
        let members = self.lane(lane);
        let members = members.iter().filter_map(|id| self.runs.get(id));
        members.map(RunRow::member).collect()
    }
}

impl RunRow {
    /// What its lane is arranged by.
    pub(crate) fn member(&self) -> Member {
        Member {
            id: self.id,
            order: self.order,
            kind: self.kind,
            status: self.status,
            planned: self.planned,
            touched: self.touched,
            waits_for_claim: self.claim_wait.is_some(),
            weak: self.weak,
            due: self.due_at,
            told: self.overtaken,
        }
    }
}
