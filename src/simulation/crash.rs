//! Every point of every plan, struck one by one. Each scenario is lived through once unharmed;
//! the points that it passes (each commit, each request) are then struck, one in each further
//! life, by everything that can go wrong there. A new step brings its points with it.
//!
//! However it was struck, the end is the same: what the suppliers hold, what is known of the
//! services, and nothing made twice; nor does the same delivery again or a replay make more.
//! `BILLHOOK_STRIKES=1` strikes every point in every way, 3 (unless said) every third time.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::catalogue::{CreateClientOn, DeactivateClient};
use crate::config::Config;
use crate::domain::StepAction;
use crate::domain::event::{Action, EventType as E};
use crate::domain::time::Clock as _;

use super::billing::{Event, Sold};
use super::chance::try_again;
use super::control::BEGINNING;
use super::points::{Blow, Point, Script, each};
use super::seeds::{in_a_runtime, number};
use super::settings::settings;
use super::stage::{Happening, Stage};
use super::wanted;

/// One strike of so many is made unless more are asked for.
const USUAL: u64 = 3;

/// What happened before, and the event whose plan is struck.
struct Scenario {
    name: String,
    config: Config,
    before: Vec<Event>,
    struck: Event,
}

pub(super) fn sold(product: &'static str) -> Sold {
    Sold {
        id: "501".to_owned(),
        customer: "77".to_owned(),
        product,
        location: "TPA1",
    }
}

pub(super) fn event(kind: E, product: &'static str, second: i64) -> Event {
    Event::of(&sold(product), kind, product, second)
}

pub(super) fn action(action: Action, second: i64) -> Event {
    Event {
        action: Some(action),
        ..event(E::ServiceAction, "42", second)
    }
}

fn of_customer(kind: E, second: i64) -> Event {
    Event {
        services: Vec::new(),
        ..event(kind, "42", second)
    }
}

/// Every type of event, in every state and for every product in which its plan has other steps.
fn scenarios() -> Vec<Scenario> {
    let paid = |product| event(E::OrderPaid, product, 1);
    let dark = |product| event(E::ServiceSuspended, product, 2);
    let package = |to| Event::of(&sold("42"), E::ServicePackageChanged, to, 2);
    let mut all = Vec::new();
    for product in ["42", "43", "44"] {
        all.push((vec![], paid(product)));
        all.push((vec![paid(product)], dark(product)));
        let back = event(E::ServiceUnsuspended, product, 3);
        all.push((vec![paid(product), dark(product)], back));
        let again = event(E::OrderPaid, product, 3);
        all.push((vec![paid(product), dark(product)], again));
        all.push((vec![paid(product)], event(E::ServiceTerminated, product, 3)));
    }
    all.push((vec![paid("42")], package("43")));
    all.push((
        vec![paid("42"), package("43")],
        event(E::ServicePackageChanged, "42", 3),
    ));
    all.push((vec![paid("42")], event(E::ServiceRenewed, "42", 2)));
    for one in [Action::Reboot, Action::Shutdown, Action::Reload] {
        all.push((vec![paid("42")], action(one, 2)));
    }
    all.push((
        vec![paid("42"), action(Action::Shutdown, 2)],
        action(Action::Boot, 3),
    ));
    all.push((vec![], of_customer(E::CustomerCreated, 1)));
    all.push((vec![paid("42")], of_customer(E::CustomerUpdated, 2)));
    all.push((vec![paid("42")], of_customer(E::CustomerClosed, 2)));
    all.push((vec![], of_customer(E::TestPing, 1)));
    all.into_iter().map(scenario).collect()
}

fn scenario((before, struck): (Vec<Event>, Event)) -> Scenario {
    let mut config = settings();
    config.hivelocity.create_client_on = CreateClientOn::Signup;
    config.policy.deactivate_client = DeactivateClient::AfterLastService;
    let product = struck.services.first().map_or("-", |(_, product)| product);
    let name = format!("{} of {product} after {} events", struck.kind, before.len());
    Scenario {
        name,
        config,
        before,
        struck,
    }
}

/// How a life ended.
struct Life {
    points: Vec<Point>,
    kinds: BTreeSet<String>,
    /// What the suppliers hold and what is known of the services.
    end: Value,
    broken: Option<String>,
    story: Vec<String>,
}

fn live(scenario: &Scenario, strike: Option<(usize, Blow)>, told: bool) -> Life {
    let mut stage = Stage::with_a_spare(7, told, scenario.config.clone());
    for event in &scenario.before {
        tell_of(&mut stage, event);
    }
    stage.control.inner().script = Some(Script {
        strike,
        ..Script::default()
    });
    let letter = tell_of(&mut stage, &scenario.struck);
    let script = stage.control.inner().script.take().unwrap_or_default();
    finish(&mut stage);
    let now = stage.control.now();
    for once_more in [Happening::Sends(letter), Happening::Replays(letter)] {
        stage.at(now, once_more);
    }
    finish(&mut stage);
    let later = stage.control.now().plus(Duration::from_hours(1));
    stage.control.advance_to(later);
    let broken = stage.control.inner().broken.take();
    let broken = broken.or_else(|| {
        let wrong = wanted::differences(&stage);
        (!wrong.is_empty()).then(|| wrong.join("\n"))
    });
    Life {
        points: script.points,
        kinds: kinds(&stage),
        end: end(&stage),
        broken,
        story: stage.control.inner().story.take().unwrap_or_default(),
    }
}

pub(super) fn tell_of(stage: &mut Stage, event: &Event) -> usize {
    let letter = stage.mail.write(event.clone());
    let moment = stage
        .control
        .now()
        .max(event.occurred)
        .plus(Duration::from_secs(1));
    stage.at(moment.max(BEGINNING), Happening::Sends(letter));
    stage.come_to_rest();
    letter
}

/// Until nothing is left that a person could allow or try again.
fn finish(stage: &mut Stage) {
    for _ in 0..4 {
        stage.come_to_rest();
        if !try_again(stage) {
            return;
        }
    }
    stage.come_to_rest();
}

fn kinds(stage: &Stage) -> BTreeSet<String> {
    let rows = stage.memory.rows();
    let steps = rows.runs().flat_map(|run| rows.steps_of(run.id));
    steps.map(|step| step.action.kind().to_owned()).collect()
}

fn end(stage: &Stage) -> Value {
    let held = stage.suppliers.snapshot();
    let rows = stage.memory.rows();
    let services: Vec<Value> = rows
        .service_docs()
        .map(|(_, doc)| {
            let mut doc = doc.clone();
            // They name a delivery, whose id depends on when it came in, or a time.
            for place in [
                "settled",
                "package_settled",
                "ordered",
                "moved",
                "device_ordered_at",
                "asked",
            ] {
                doc[place] = Value::Null;
            }
            doc
        })
        .collect();
    json!({
        "clients": held.clients,
        "devices": held.devices,
        "sub_users": held.sub_users,
        "licences": held.licences,
        "portals": held.portals,
        "services": services,
    })
}

/// What went wrong in a struck life, in words.
fn struck(scenario: &Scenario, unharmed: &Life, index: usize, blow: Blow) -> Option<String> {
    let life = live(scenario, Some((index, blow)), false);
    let broken = life.broken.or_else(|| {
        let (end, wanted) = (&life.end, &unharmed.end);
        (end != wanted).then(|| format!("it ended as\n{end}\ninstead of\n{wanted}"))
    })?;
    let story = live(scenario, Some((index, blow)), true).story.join("\n");
    let (name, point) = (&scenario.name, &unharmed.points[index]);
    Some(format!(
        "{story}\n{name}: {blow:?} at point {index}, {point:?}: {broken}"
    ))
}

#[test]
fn however_any_point_of_any_plan_is_struck_the_end_is_the_same_and_nothing_is_made_twice() {
    let scenarios = scenarios();
    let unharmed: Vec<Life> = in_a_runtime(|| {
        let lives = scenarios.iter().map(|scenario| live(scenario, None, true));
        lives.collect()
    });
    let mut strikes = Vec::new();
    for (number, life) in unharmed.iter().enumerate() {
        let (name, story) = (&scenarios[number].name, life.story.join("\n"));
        assert_eq!(life.broken, None, "{name}, unharmed:\n{story}");
        for (index, point) in life.points.iter().enumerate() {
            strikes.extend(point.blows().iter().map(|blow| (number, index, *blow)));
        }
    }
    let kinds: BTreeSet<&str> = unharmed
        .iter()
        .flat_map(|life| life.kinds.iter().map(String::as_str))
        .collect();
    let missing: Vec<&str> = StepAction::KINDS
        .into_iter()
        .filter(|kind| !kinds.contains(kind))
        .collect();
    assert!(missing.is_empty(), "no scenario has a step {missing:?}");
    let every = number("BILLHOOK_STRIKES").unwrap_or(USUAL).max(1);
    let strikes: Vec<_> = strikes
        .into_iter()
        .step_by(usize::try_from(every).unwrap())
        .collect();
    let broken = each(&strikes, |(number, index, blow)| {
        struck(&scenarios[*number], &unharmed[*number], *index, *blow)
    });
    assert!(broken.is_none(), "{}", broken.unwrap_or_default());
}
