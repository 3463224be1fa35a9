//! Who goes on in a lane: the newest intent wins. Every store asks here. Pure.
//!
//! A lane is what its unfinished runs are. Of two, what the newer one asks decides what becomes of
//! the older ([`bearing`]); of all of them one at most is due ([`arrange`]).

use super::event::EventType;
use super::id::RunId;
use super::run::{OrderKey, RunStatus};
use super::time::Timestamp;

/// One unfinished run of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a row's columns")]
pub struct Member {
    /// The run.
    pub id: RunId,
    /// Its event's place in the lane.
    pub order: OrderKey,
    /// What its event asks.
    pub kind: EventType,
    /// Its status; none that is final.
    pub status: RunStatus,
    /// Whether its plan is stored.
    pub planned: bool,
    /// Whether a step of it has, or may have, taken effect at a supplier.
    pub touched: bool,
    /// Whether it waits for another run that changes the same customer.
    pub waits_for_claim: bool,
    /// Whether a person will have to allow what it asks (a protected service): it ends nothing.
    pub weak: bool,
    /// When a worker takes it; while it runs, when the lease ends.
    pub due: Option<Timestamp>,
    /// Whether it was told to give way: 0 no, 1 yes, 2 it was carried on since. One that is paused
    /// all the same cannot yet: what it sent is unclear, and a person is asked.
    pub told: u8,
}

/// How far a run got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// In the queue: nothing was done, nothing holds it back but the order of events.
    Queued,
    /// Nothing was done, and a person or a supplier holds it back.
    Held,
    /// A worker has it.
    Running,
    /// Something was done, and it goes on by itself.
    Waiting,
    /// Something was done, and a person is asked.
    Stuck,
}

impl Progress {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Held,
        Self::Running,
        Self::Waiting,
        Self::Stuck,
    ];

    /// Whether it waits for no timer, so that others may go ahead of it.
    const fn is_parked(self) -> bool {
        matches!(self, Self::Held | Self::Stuck)
    }
}

/// What a newer run means for an older one of its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearing {
    /// It makes the older one pointless: that one ends `superseded` at its next safe point.
    Ends,
    /// It goes ahead, and the older one stays as it is.
    Passes,
    /// It waits until the older one has ended.
    Waits,
}

impl Member {
    /// How far it got.
    pub const fn progress(&self) -> Progress {
        match (self.status, self.touched || self.waits_for_claim) {
            (RunStatus::Running, _) => Progress::Running,
            (RunStatus::Waiting, true) => Progress::Waiting,
            (RunStatus::Waiting | RunStatus::Paused, false) => Progress::Held,
            (RunStatus::Paused, true) => Progress::Stuck,
            (
                RunStatus::Pending
                | RunStatus::Succeeded
                | RunStatus::Cancelled
                | RunStatus::Superseded,
                _,
            ) => Progress::Queued,
        }
    }

    /// Its place among the others.
    const fn place(&self) -> (OrderKey, RunId) {
        (self.order, self.id)
    }

    /// Whether a person was asked before it had a plan: what it asks may never be carried out.
    const fn is_in_doubt(&self) -> bool {
        matches!(self.status, RunStatus::Paused) && !self.planned
    }

    /// Whether this newer one makes `older` pointless.
    pub fn ends(&self, older: &Self) -> bool {
        self.order > older.order
            && !self.is_in_doubt()
            && !self.weak
            && bearing(older.kind, older.progress(), self.kind) == Bearing::Ends
    }
}

/// The table: what becomes of an older run, by how far it got and what the newer one asks.
pub fn bearing(older: EventType, progress: Progress, newer: EventType) -> Bearing {
    #[cfg(test)]
    if let Some(wrong) = planted(older, newer) {
        return wrong;
    }
    if ends(older, progress, newer) {
        Bearing::Ends
    } else if progress.is_parked() && !needs(newer, older) {
        Bearing::Passes
    } else {
        Bearing::Waits
    }
}

#[cfg(test)]
thread_local! {
    /// A rule that is wrong on purpose in this thread: older, newer, and what the table then says.
    pub static PLANTED: std::cell::Cell<Option<(EventType, EventType, Bearing)>> =
        const { std::cell::Cell::new(None) };
}

#[cfg(test)]
fn planted(older: EventType, newer: EventType) -> Option<Bearing> {
    let (of, by, wrong) = PLANTED.get()?;
    ((older, newer) == (of, by)).then_some(wrong)
}

/// Whether the newer one answers the same question, or takes the older one's ground away.
fn ends(older: EventType, progress: Progress, newer: EventType) -> bool {
    use EventType as E;
    let untouched = matches!(progress, Progress::Queued | Progress::Held);
    match newer {
        E::ServiceTerminated => older.concerns_services(),
        E::OrderPaid => match older {
            E::OrderPaid | E::ServiceSuspended | E::ServiceUnsuspended => true,
            // What was not ended yet lives on; what was does not come back.
            E::ServiceTerminated => untouched,
            _ => false,
        },
        E::ServiceSuspended | E::ServiceUnsuspended => match older {
            E::ServiceSuspended | E::ServiceUnsuspended => true,
            E::ServiceTerminated => untouched,
            // Nobody boots what is overdue.
            E::ServiceAction => newer == E::ServiceSuspended,
            _ => false,
        },
        E::ServicePackageChanged
        | E::ServiceRenewed
        | E::ServiceMoved
        | E::CustomerCreated
        | E::CustomerUpdated => older == newer,
        E::CustomerClosed | E::CustomerReopened => {
            matches!(older, E::CustomerClosed | E::CustomerReopened)
        }
        // Each action is a wish of its own.
        E::ServiceAction | E::TestPing => false,
    }
}

/// Whether what the newer one asks can only be carried out on what the older one builds.
const fn needs(newer: EventType, older: EventType) -> bool {
    matches!(older, EventType::OrderPaid)
        && matches!(
            newer,
            EventType::ServicePackageChanged | EventType::ServiceRenewed | EventType::ServiceMoved
        )
}

/// Why a lane is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// A run came in, was held back or was let go on.
    RunCame,
    /// A run ended: one about which a person was asked before it had a plan is planned anew.
    RunEnded,
}

/// Puts a lane in order: sets what is due, and what is told to give way. Of runs that a worker has
/// the due time is their lease and stays.
pub fn arrange(lane: &mut [Member], because: Because, now: Timestamp) {
    lane.sort_by_key(Member::place);
    let pointless: Vec<bool> = lane
        .iter()
        .map(|older| lane.iter().any(|newer| newer.ends(older)))
        .collect();
    for (member, pointless) in lane.iter_mut().zip(pointless) {
        member.told = if pointless { member.told.max(1) } else { 0 };
    }
    let next = next(lane, because);
    for (index, member) in lane.iter_mut().enumerate() {
        let gives_way = member.told == 1;
        if member.status == RunStatus::Running {
            continue;
        }
        let chosen = next == Some(index);
        member.due = match (chosen, gives_way) {
            (false, _) => None,
            (true, true) => Some(member.due.map_or(now, |due| due.min(now))),
            // Whoever gives the claim back wakes it.
            (true, false) if member.waits_for_claim => member.due,
            (true, false) => member.due.or(Some(now)),
        };
    }
}

/// Which run goes on: one that is under way; else one that is to give way; else, in the order of
/// events, the first that needs nothing of those that are held up.
fn next(lane: &[Member], because: Because) -> Option<usize> {
    let gives_way = |member: &Member| {
        member.told == 1 || member.told == 2 && member.status != RunStatus::Paused
    };
    let progress: Vec<Progress> = lane.iter().map(Member::progress).collect();
    if progress.contains(&Progress::Running) {
        return None;
    }
    under_way(lane, &progress)
        .or_else(|| lane.iter().position(gives_way))
        .or_else(|| queued(lane, &progress))
        .or_else(|| held(lane, because))
}

/// A run that goes on by itself; the one that had its turn before one that was let go on again.
fn under_way(lane: &[Member], progress: &[Progress]) -> Option<usize> {
    let waiting =
        || (0..lane.len()).filter(|index| progress.get(*index) == Some(&Progress::Waiting));
    let had_turn = |index: &usize| {
        lane.get(*index)
            .is_some_and(|member| member.due.is_some() || member.waits_for_claim)
    };
    waiting().find(had_turn).or_else(|| waiting().next())
}

/// The first of the queue that has not to wait for what is held up before it. One that has to is
/// held up itself.
fn queued(lane: &[Member], progress: &[Progress]) -> Option<usize> {
    let mut held_up: Vec<EventType> = Vec::new();
    for (index, (member, progress)) in lane.iter().zip(progress).enumerate() {
        // One that is to be planned anew has its turn as if it had just come.
        let asked_again = member.is_in_doubt() && member.due.is_some();
        let in_queue = *progress == Progress::Queued || asked_again;
        if in_queue && !held_up.iter().any(|older| needs(member.kind, *older)) {
            return Some(index);
        }
        held_up.push(member.kind);
    }
    None
}

/// Behind which run of its lane one has to wait, if it cannot go on now.
pub fn blocker(lane: &[Member], id: RunId) -> Option<RunId> {
    let own = lane.iter().find(|member| member.id == id)?;
    let waits = matches!(own.status, RunStatus::Pending | RunStatus::Waiting);
    if !waits || own.due.is_some() || own.waits_for_claim {
        return None;
    }
    let has_turn = |other: &&Member| other.due.is_some() || other.waits_for_claim;
    let needed = |other: &&Member| other.order < own.order && needs(own.kind, other.kind);
    let others = || {
        lane.iter()
            .filter(|other| other.id != id && !own.ends(other))
    };
    others()
        .find(needed)
        .or_else(|| others().find(has_turn))
        .map(|other| other.id)
}

/// What is held back: by a supplier it has its own time; by a person before it had a plan it is
/// planned anew once another run of the lane has ended.
fn held(lane: &[Member], because: Because) -> Option<usize> {
    let by_supplier = |member: &Member| member.status == RunStatus::Waiting;
    // An action that was refused long ago is not wanted at some later moment.
    let again = |member: &Member| {
        let action = member.kind == EventType::ServiceAction;
        because == Because::RunEnded && member.is_in_doubt() && !action
    };
    let position = |test: &dyn Fn(&Member) -> bool| lane.iter().position(test);
    position(&by_supplier).or_else(|| position(&again))
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
