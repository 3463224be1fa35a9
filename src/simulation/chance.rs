//! One seed: random lives on a random stage, until everything is at rest; then without faults,
//! until everything that was paused has been tried again; then the suppliers are looked at.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::catalogue::{AccountModel, ActAs, CreateClientOn};
use crate::config::Config;
use crate::domain::run::RunStatus;
use crate::domain::time::Clock as _;
use crate::sandbox::Fault;
use crate::store::{Intervention, RunRow};

use super::billing::lives;
use super::control::{BEGINNING, Rates, Refusals};
use super::platform::Mood;
use super::settings::settings;
use super::stage::{Happening, Stage};
use super::wanted;

/// How often a person tries again what is paused before it counts as stuck.
const PATIENCE: usize = 6;

/// What a seed came to.
pub(super) struct Ending {
    /// What was broken; none where all is well.
    pub(super) broken: Option<String>,
    /// How many turns it took.
    pub(super) turns: u32,
    /// The story, where it was asked for.
    pub(super) story: Vec<String>,
}

/// Lives through a seed.
pub(super) fn live_through(seed: u64, told: bool) -> Ending {
    let mut chance = StdRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let processes = [1, 1, 1, 2, 3][chance.random_range(0..5)];
    let mut stage = Stage::new(seed, told, varied(&mut chance), processes);
    let rates = rates(&mut chance);
    stage
        .control
        .tell(|| format!("seed {seed}: {processes} processes, {rates:?}"));
    send(&mut chance, &mut stage);
    stage.control.inner().refusals = refusals(&mut chance);
    stage.control.inner().rates = rates;
    stage.come_to_rest();
    stage.control.inner().rates = Rates::default();
    stage.control.inner().billing.mood = Mood::Takes;
    for _ in 0..PATIENCE {
        stage.come_to_rest();
        if !try_again(&mut stage) {
            break;
        }
    }
    stage.come_to_rest();
    // What was switched last gets there.
    let later = stage.control.now().plus(Duration::from_hours(1));
    stage.control.advance_to(later);
    let broken = stage.control.inner().broken.clone();
    let broken = broken.or_else(|| {
        let wrong = wanted::differences(&stage);
        (!wrong.is_empty()).then(|| wrong.join("\n"))
    });
    stage.tell_ends();
    let story = stage.control.inner().story.take().unwrap_or_default();
    Ending {
        broken,
        turns: stage.turns,
        story,
    }
}

fn varied(chance: &mut StdRng) -> Config {
    let mut config = settings();
    if chance.random_range(0..4) == 0 {
        config.hivelocity.account_model = AccountModel::Single;
    }
    if chance.random_range(0..3) == 0 {
        config.hivelocity.act_as = ActAs::Token;
    }
    if chance.random_range(0..3) == 0 {
        config.hivelocity.create_client_on = CreateClientOn::Signup;
    }
    config
}

fn rates(chance: &mut StdRng) -> Rates {
    let mut one_of = |rates: [f64; 4]| rates[chance.random_range(0..4)];
    Rates {
        call: one_of([0.0, 0.02, 0.06, 0.15]),
        store: one_of([0.0, 0.0, 0.01, 0.04]),
        kill: one_of([0.0, 0.002, 0.006, 0.02]),
        stall: one_of([0.0, 0.003, 0.01, 0.03]),
    }
}

/// In one seed of three a supplier refuses the account for some minutes, once or twice.
fn refusals(chance: &mut StdRng) -> Vec<Refusals> {
    if chance.random_range(0..3) != 0 {
        return Vec::new();
    }
    let one = |chance: &mut StdRng| {
        let hivelocity = chance.random_range(0..3) != 0;
        let from = BEGINNING.plus(Duration::from_secs(chance.random_range(0..3_600)));
        let one_h = [6, 7, 8, 9, 10, 12, 13][chance.random_range(0..7)];
        Refusals {
            from,
            until: from.plus(Duration::from_secs(chance.random_range(60..1_800))),
            hivelocity,
            only_writes: chance.random_range(0..3) == 0,
            fault: match chance.random_range(0..3) {
                _ if !hivelocity => Fault::OneHError(one_h),
                0 => Fault::KeyRefused,
                1 => Fault::AddressRefused,
                _ => Fault::PaymentRequired,
            },
        }
    };
    (0..chance.random_range(1..3))
        .map(|_| one(chance))
        .collect()
}

/// Every event is sent soon after it happened, or late; some twice, some under a stolen id.
fn send(chance: &mut StdRng, stage: &mut Stage) {
    let late = [1, 60, 3_600, 3_600][chance.random_range(0..4)];
    for event in lives(chance) {
        let occurred = event.occurred;
        let letter = stage.mail.write(event);
        let mut moment = || {
            let late = if chance.random_range(0..3) == 0 {
                late
            } else {
                1
            };
            occurred.plus(Duration::from_millis(
                chance.random_range(1..late * 1_000 + 1),
            ))
        };
        let (first, second, third) = (moment(), moment(), moment());
        stage.at(first, Happening::Sends(letter));
        if chance.random_range(0..4) == 0 {
            stage.at(second, Happening::Sends(letter));
        }
        if chance.random_range(0..20) == 0 {
            let forged = stage.mail.forge(letter);
            stage.at(
                third.max(first.plus(Duration::from_mins(10))),
                Happening::Sends(forged),
            );
        }
    }
    for _ in 0..chance.random_range(0..4) {
        let moment = Duration::from_secs(chance.random_range(0..3_600));
        stage.at(BEGINNING.plus(moment), Happening::Meddles);
    }
    if chance.random_range(0..4) == 0 {
        let moment = Duration::from_secs(chance.random_range(0..1_200));
        stage.at(BEGINNING.plus(moment), Happening::SetsClock);
    }
    answer_reports(chance, stage);
}

/// The billing platform's own moods, until it takes reports in the end.
fn answer_reports(chance: &mut StdRng, stage: &mut Stage) {
    let mut moment = 0;
    for _ in 0..chance.random_range(0..5) {
        let moods = [
            Mood::Refuses,
            Mood::ShowsPage,
            Mood::Away,
            Mood::Hangs,
            Mood::Takes,
        ];
        let mood = moods[chance.random_range(0..moods.len())];
        moment += chance.random_range(0..900);
        let at = BEGINNING.plus(Duration::from_secs(moment));
        stage.at(at, Happening::Answers(mood));
    }
    let last = BEGINNING.plus(Duration::from_secs(moment + chance.random_range(1..1_800)));
    stage.at(last, Happening::Answers(Mood::Takes));
}

/// A person approves what asks for that, and tries again whatever else is paused; whether there
/// was anything.
pub(super) fn try_again(stage: &mut Stage) -> bool {
    let dead = |error: Option<&str>| error.is_some_and(|error| error.contains("it is over"));
    let paused: Vec<_> = {
        let rows = stage.memory.rows();
        let what = |run: &RunRow| match dead(run.error.as_deref()) {
            // What waits behind an order that is over can only go on without it.
            true => Intervention::Cancel,
            false if rows.asks_for_approval(run.id) => Intervention::Approve,
            false => Intervention::Retry,
        };
        let paused = rows
            .runs()
            .filter(|run| run.status == RunStatus::Paused && run.blocks);
        paused.map(|run| (run.id, what(run))).collect()
    };
    let now = stage.control.now();
    for (run, what) in &paused {
        stage.at(now, Happening::Intervenes(*run, *what));
    }
    !paused.is_empty()
}
