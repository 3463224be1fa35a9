//! Every point of every plan, interrupted there by what billing wants next: while all goes well,
//! while the older run is stuck because a supplier refused what it asked, and while the suppliers
//! are away. Once they answer and nobody intervenes, the service is as the newest event says.
//!
//! `BILLHOOK_CUTS=1` interrupts at every point, `BILLHOOK_SCENARIO` names what to interrupt.

use std::time::Duration;

use crate::domain::event::{Action, EventType as E};
use crate::domain::run::RunStatus;
use crate::domain::time::Clock as _;
use crate::sandbox::Fault;
use crate::store::RunRow;

use super::billing::Event;
use super::crash::{action, event, sold, tell_of};
use super::points::{Interrupt, Point, Script, each};
use super::seeds::{in_a_runtime, number, text};
use super::settings::settings;
use super::stage::Stage;
use super::wanted;

/// One interruption of so many is made unless more are asked for.
const USUAL: u64 = 12;

/// What keeps the older run up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nothing.
    Nothing,
    /// What it asks is refused; it waits for a person when the newer event comes.
    Refused,
    /// No supplier answers; the newer event comes meanwhile.
    Away,
    /// The same for so long that it has given up when the newer event comes.
    LongAway,
}

impl Hold {
    pub(super) const ALL: [Self; 4] = [Self::Nothing, Self::Refused, Self::Away, Self::LongAway];

    /// Whether it makes a difference at this point.
    pub(super) fn fits(self, point: &Point) -> bool {
        match self {
            Self::Nothing => true,
            Self::Refused => matches!(point, Point::Call { writes: true, .. }),
            Self::Away | Self::LongAway => matches!(point, Point::Call { .. }),
        }
    }

    fn interrupt(self, at: usize, letters: Vec<usize>) -> Interrupt {
        let minutes = Duration::from_mins;
        let refused = (
            Fault::Refused400("This is not possible.".to_owned()),
            Fault::OneHError(30),
        );
        let away = (Fault::Refuse500, Fault::Refuse500);
        let (after, lasts, faults) = match self {
            Self::Nothing => (Duration::ZERO, Duration::ZERO, None),
            Self::Refused => (minutes(20), minutes(19), Some(refused)),
            Self::Away => (minutes(3), minutes(45), Some(away)),
            Self::LongAway => (minutes(420), minutes(430), Some(away)),
        };
        Interrupt {
            at,
            letters,
            after,
            faults,
            lasts,
            only_writes: self == Self::Refused,
        }
    }
}

/// What happened before, the event whose run is interrupted, and what comes then.
pub(super) struct Scenario {
    before: Vec<Event>,
    pub(super) older: Event,
    pub(super) newer: Vec<Event>,
}

impl Scenario {
    pub(super) fn name(&self) -> String {
        let newer = self.newer.iter().map(|event| event.kind.name());
        let product = self
            .older
            .services
            .first()
            .map_or("-", |(_, product)| product);
        format!(
            "{} of {product} after {} events, then {}",
            self.older.kind,
            self.before.len(),
            newer.collect::<Vec<_>>().join(", ")
        )
    }
}

/// The older events, with what happened before; from second 10 on the newer ones follow.
fn older() -> Vec<(Vec<Event>, Event)> {
    let paid = |product| event(E::OrderPaid, product, 1);
    let dark = |product| event(E::ServiceSuspended, product, 2);
    let mut all = Vec::new();
    for product in ["42", "43", "44"] {
        all.push((vec![], paid(product)));
        all.push((vec![paid(product)], dark(product)));
        let back = event(E::ServiceUnsuspended, product, 3);
        all.push((vec![paid(product), dark(product)], back));
    }
    for (from, to) in [("42", "43"), ("43", "42")] {
        let change = Event::of(&sold(from), E::ServicePackageChanged, to, 2);
        all.push((vec![paid(from)], change));
    }
    all.push((vec![paid("42")], event(E::ServiceTerminated, "42", 2)));
    all.push((vec![paid("42")], action(Action::Reboot, 2)));
    all.push((vec![paid("42")], action(Action::Reload, 2)));
    all
}

/// What billing may want next of a service of this product.
fn newer(product: &'static str) -> Vec<Vec<Event>> {
    let one = |kind, second| event(kind, product, second);
    let (dark, bright) = (E::ServiceSuspended, E::ServiceUnsuspended);
    let mut all: Vec<Vec<Event>> = [
        dark,
        bright,
        E::ServiceTerminated,
        E::OrderPaid,
        E::ServiceRenewed,
    ]
    .into_iter()
    .map(|kind| vec![one(kind, 10)])
    .collect();
    all.push(vec![one(dark, 10), one(bright, 11)]);
    all.push(vec![one(bright, 10), one(dark, 11)]);
    // The post does not keep the order.
    all.push(vec![one(bright, 11), one(dark, 10)]);
    if product != "44" {
        let to = if product == "42" { "43" } else { "42" };
        let change = Event::of(&sold(product), E::ServicePackageChanged, to, 10);
        all.push(vec![change.clone()]);
        all.push(vec![change, Event::of(&sold(product), dark, to, 11)]);
        all.push(vec![action(Action::Boot, 10)]);
    }
    all
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let of = |(before, older): (Vec<Event>, Event)| {
        let product = older.services.first().map_or("42", |(_, product)| *product);
        let newer = newer(product).into_iter();
        newer.map(move |newer| Scenario {
            before: before.clone(),
            older: older.clone(),
            newer,
        })
    };
    older().into_iter().flat_map(of).collect()
}

/// How a life ended.
pub(super) struct Life {
    pub(super) points: Vec<Point>,
    pub(super) broken: Option<String>,
    story: Vec<String>,
}

pub(super) fn live(scenario: &Scenario, cut: Option<(usize, Hold)>, told: bool) -> Life {
    let mut stage = Stage::with_a_spare(7, told, settings());
    for event in &scenario.before {
        tell_of(&mut stage, event);
    }
    let letters = scenario.newer.iter();
    let letters: Vec<usize> = letters
        .map(|event| stage.mail.write(event.clone()))
        .collect();
    let interrupts = cut.map(|(at, hold)| hold.interrupt(at, letters));
    stage.control.inner().script = Some(Script {
        interrupts,
        ..Script::default()
    });
    tell_of(&mut stage, &scenario.older);
    let script = stage.control.inner().script.take().unwrap_or_default();
    stage.come_to_rest();
    let later = stage.control.now().plus(Duration::from_hours(1));
    stage.control.advance_to(later);
    let broken = stage.control.inner().broken.take();
    let broken = broken.or_else(|| cut.and_then(|(_, hold)| wrong(&stage, hold)));
    stage.tell_ends();
    Life {
        points: script.points,
        broken,
        story: stage.control.inner().story.take().unwrap_or_default(),
    }
}

/// Whatever the suppliers answer, these are for a person: a reinstallation destroys what is there,
/// and what was ended does not come back.
const FOR_A_PERSON: [&str; 2] = ["doing it twice would destroy data", "was terminated on"];

/// What is not as the newest event says. Only a run that was refused may still ask a person.
fn wrong(stage: &Stage, hold: Hold) -> Option<String> {
    let mut wrong = wanted::differences(stage);
    let rows = stage.memory.rows();
    let paused = rows.runs().filter(|run| run.status == RunStatus::Paused);
    for run in paused.filter(|_| hold != Hold::Refused) {
        let error = run.error.as_deref().unwrap_or_default();
        if FOR_A_PERSON.iter().any(|words| error.contains(words)) {
            continue;
        }
        wrong.push(format!("{} ({}) asks a person: {error}", run.id, run.kind));
    }
    let for_a_person = |run: &&RunRow| {
        let error = run.error.as_deref().unwrap_or_default();
        FOR_A_PERSON.iter().any(|words| error.contains(words))
    };
    let open = rows.runs().filter(|run| !run.status.is_final());
    for run in open.filter(|run| !for_a_person(run)) {
        let done = |newer: &&RunRow| newer.status == RunStatus::Succeeded;
        let newer = rows.runs().filter(done);
        if let Some(newer) = newer.into_iter().find(|newer| answers(newer, run)) {
            wrong.push(format!(
                "{} ({}) is {} though {} answered it",
                run.id, run.kind, run.status, newer.kind
            ));
        }
    }
    (!wrong.is_empty()).then(|| wrong.join("\n"))
}

/// Whether nobody wants the older run any more once the newer one is done.
fn answers(newer: &RunRow, older: &RunRow) -> bool {
    let switches = |kind| matches!(kind, E::ServiceSuspended | E::ServiceUnsuspended);
    let same = newer.lane == older.lane && newer.order > older.order;
    same && match newer.kind {
        E::ServiceTerminated => true,
        E::ServiceSuspended | E::ServiceUnsuspended => switches(older.kind),
        E::OrderPaid => older.kind == E::OrderPaid || switches(older.kind),
        E::ServicePackageChanged => older.kind == E::ServicePackageChanged,
        _ => false,
    }
}

/// What went wrong in an interrupted life, in words.
fn interrupted(scenario: &Scenario, points: &[Point], at: usize, hold: Hold) -> Option<String> {
    let broken = live(scenario, Some((at, hold)), false).broken?;
    let story = live(scenario, Some((at, hold)), true).story.join("\n");
    let (name, point) = (scenario.name(), &points[at]);
    Some(format!(
        "{story}\n{name}: {hold:?} at point {at}, {point:?}: {broken}"
    ))
}

#[test]
fn whenever_a_newer_event_comes_the_service_ends_as_it_says() {
    let mut scenarios = scenarios();
    if let Some(words) = text("BILLHOOK_SCENARIO") {
        scenarios.retain(|scenario| scenario.name().contains(&words));
    }
    let unharmed: Vec<Vec<Point>> = in_a_runtime(|| {
        let lives = scenarios.iter().map(|scenario| live(scenario, None, false));
        lives.map(|life| life.points).collect()
    });
    let mut cuts = Vec::new();
    for (number, points) in unharmed.iter().enumerate() {
        for (at, point) in points.iter().enumerate() {
            let holds = Hold::ALL.into_iter().filter(|hold| hold.fits(point));
            cuts.extend(holds.map(|hold| (number, at, hold)));
        }
    }
    let every = number("BILLHOOK_CUTS").map_or(USUAL, |every| every.max(1));
    let every = usize::try_from(every).unwrap();
    let cuts: Vec<_> = cuts.into_iter().step_by(every).collect();
    let broken = each(&cuts, |(number, at, hold)| {
        interrupted(&scenarios[*number], &unharmed[*number], *at, *hold)
    });
    assert!(broken.is_none(), "{}", broken.unwrap_or_default());
}
