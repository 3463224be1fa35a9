//! The planner's tests: stories by kind of event, the life-cycle table, guards, settling.

mod aside;
mod change;
mod customer;
mod dark;
mod end;
mod fixtures;
mod guard;
mod held;
mod ordering;
mod paid;
mod settle;
mod settle_once;
mod table;

use crate::domain::{PauseReason, ServiceState, ServiceStatus};

use super::Verdict;
use fixtures::{BOTH, World, state};

/// Why the plan is held; fails the test when it is not.
fn held(world: &World) -> String {
    match world.verdict() {
        Verdict::Hold(_, reason) => reason,
        other => panic!("{other:?}"),
    }
}

/// The same in a word.
fn held_for(world: &World) -> PauseReason {
    match world.verdict() {
        Verdict::Hold(why, _) => why,
        other => panic!("{other:?}"),
    }
}

/// Why the event is superseded; fails the test when it is not.
fn superseded(world: &World) -> String {
    match world.verdict() {
        Verdict::Superseded(reason) => reason,
        other => panic!("{other:?}"),
    }
}

/// Another service of the customer, up.
fn active_sibling(id: &str) -> (String, ServiceState) {
    (id.to_owned(), state(ServiceStatus::Active, BOTH))
}
