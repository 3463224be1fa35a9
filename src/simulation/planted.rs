//! Are the wishes of `newer` sharp enough? Each rule of the lanes' table is made wrong in turn, and
//! some interrupted life must end otherwise than the newest event says.

use crate::domain::event::EventType as E;
use crate::domain::lane::{Bearing, PLANTED};

use super::newer::{Hold, Scenario, live, scenarios};
use super::seeds::in_a_runtime;

/// What the table says wrongly of an older and a newer run.
const WRONG: [(E, E, Bearing); 11] = [
    // A faulty order, a stuck suspension or a stuck return waits for a person, and nothing ends it.
    (E::OrderPaid, E::OrderPaid, Bearing::Waits),
    (E::ServiceSuspended, E::ServiceUnsuspended, Bearing::Waits),
    (E::ServiceUnsuspended, E::ServiceSuspended, Bearing::Waits),
    (E::ServiceSuspended, E::OrderPaid, Bearing::Waits),
    (
        E::ServicePackageChanged,
        E::ServicePackageChanged,
        Bearing::Waits,
    ),
    (E::OrderPaid, E::ServiceTerminated, Bearing::Waits),
    (E::ServiceSuspended, E::ServiceTerminated, Bearing::Waits),
    (
        E::ServicePackageChanged,
        E::ServiceTerminated,
        Bearing::Waits,
    ),
    // What is still wanted is ended.
    (E::OrderPaid, E::ServiceSuspended, Bearing::Ends),
    (E::OrderPaid, E::ServiceUnsuspended, Bearing::Ends),
    (E::ServicePackageChanged, E::ServiceSuspended, Bearing::Ends),
];

/// So many cuts of a scenario are passed over for each that is tried.
const EVERY: usize = 5;

/// The life that shows it, if any does.
fn found(scenarios: &[Scenario], (older, newer, wrong): (E, E, Bearing)) -> Option<String> {
    let meant = |scenario: &&Scenario| {
        let comes = scenario.newer.iter().any(|event| event.kind == newer);
        comes && scenario.older.kind == older
    };
    for scenario in scenarios.iter().filter(meant) {
        PLANTED.set(None);
        let points = live(scenario, None, false).points;
        PLANTED.set(Some((older, newer, wrong)));
        let cuts = points.iter().enumerate().flat_map(|(at, point)| {
            let holds = Hold::ALL.into_iter().filter(|hold| hold.fits(point));
            holds.map(move |hold| (at, hold))
        });
        for cut in cuts.step_by(EVERY) {
            if let Some(broken) = live(scenario, Some(cut), false).broken {
                return Some(format!("{}, {cut:?}: {broken}", scenario.name()));
            }
        }
    }
    None
}

#[test]
fn every_rule_that_is_planted_wrong_is_found() {
    let missed: Vec<String> = in_a_runtime(|| {
        let scenarios = scenarios();
        let missed = WRONG.into_iter().filter(|wrong| {
            let shown = found(&scenarios, *wrong);
            println!("{wrong:?}: {shown:?}");
            shown.is_none()
        });
        missed.map(|wrong| format!("{wrong:?}")).collect()
    });
    PLANTED.set(None);
    assert!(missed.is_empty(), "not found: {missed:#?}");
}
