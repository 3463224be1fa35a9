//! What an hour came to, for people.

use std::io::{Write as _, stdout};
use std::time::Duration;

use billhook::domain::time::Timestamp;

use super::hour::{Cause, Ended, HOUR, Plan, Result};
use super::poller::Polled;
use super::support::median;
use super::wire::{Seen, by_route, most_in_a_second};

/// Hivelocity's limits.
const AN_HOUR: f64 = 3_600.0;
const A_SECOND: f64 = 5.0;

/// The aims.
const MOST_A_BUILD: usize = 20;
const MOST_A_SWITCH: usize = 4;
const TIMES_THE_LIMIT: f64 = 2.0;

/// Runs of one kind, summed up.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    all: usize,
    mean: f64,
    middle: f64,
    max: usize,
}

/// How a switching of many servers went.
#[derive(Clone, Copy, Debug)]
struct Switched {
    /// Until the last request that switches arrived.
    asked: Duration,
    /// Until the last server was switched.
    done: Duration,
    /// Until Billhook had seen it.
    known: Duration,
    /// The least that their requests take.
    limit: Duration,
}

impl Switched {
    fn times(&self) -> f64 {
        self.done.as_secs_f64() / self.limit.as_secs_f64()
    }
}

/// Prints tables and aims.
pub fn print(result: &Result, polled: &Polled, plan: Plan) -> anyhow::Result<()> {
    let of = |cause| result.runs.get(&cause).map_or(&[][..], Vec::as_slice);
    let (build, before) = (sum(of(Cause::Build)), sum(of(Cause::Before)));
    let (suspension, lifted) = (sum(of(Cause::Suspension)), sum(of(Cause::Unsuspension)));
    let dark = switched(result, Cause::Suspension, "shutdown", plan);
    let bright = switched(result, Cause::Unsuspension, "boot", plan);
    let until = result.from.plus(HOUR);
    let within = result.seen.iter().filter(|one| one.at < until).count();
    let limited = result.seen.iter().filter(|one| one.status == 429).count();
    let mut out = stdout();
    row(["", "mean", "median, max", "plain poller (computed)"])?;
    requests_row("requests per build", build, polled.per_build)?;
    requests_row("  never built before", before, polled.per_build)?;
    requests_row("requests per suspension", suspension, polled.per_switch)?;
    requests_row("requests per unsuspension", lifted, polled.per_switch)?;
    let share = |requests: f64| format!("{:.0} %", requests / AN_HOUR * 100.0);
    let spent = match polled.spent {
        Some(at) => format!("100 % after {} min", at.as_secs() / 60),
        None => "less".to_owned(),
    };
    row(["share of the hour used", &share(count(within)), "", &spent])?;
    let turned_away = (limited.to_string(), polled.turned_away.to_string());
    row(["429s met", &turned_away.0, "", &turned_away.1])?;
    switched_row("last one dark after", dark, polled.dark)?;
    switched_row("last one bright after", bright, polled.bright)?;
    writeln!(
        out,
        "the last switch was asked for after {:.0?} and {:.0?}, the last run ended after {:.0?} and {:.0?}\n\
         most requests in one second: {}; 429s before the hour: {}",
        dark.asked,
        bright.asked,
        dark.known,
        bright.known,
        most_in_a_second(&result.seen),
        result.turned_away.saturating_sub(limited as u64),
    )?;
    writeln!(out, "requests by route, {} in all:", result.seen.len())?;
    for (route, times) in by_route(&result.seen) {
        writeln!(out, "  {times:>6}  {route}")?;
    }
    let most = build.max.max(before.max);
    aim(
        "at most 20 requests a build, the first of a product included",
        most <= MOST_A_BUILD,
    )?;
    let switches = suspension.max.max(lifted.max) <= MOST_A_SWITCH;
    aim("at most 4 requests a suspension", switches)?;
    aim("no 429 ever", result.turned_away == 0)?;
    let soon = dark.times() <= TIMES_THE_LIMIT;
    aim("the last one dark within twice the physical limit", soon)
}

fn row(cells: [&str; 4]) -> std::io::Result<()> {
    let [what, mean, max, poller] = cells;
    writeln!(stdout(), "{what:<28} {mean:>12} {max:>22}   {poller:>24}")
}

fn requests_row(what: &str, sum: Sum, polled: u32) -> std::io::Result<()> {
    let mean = format!("{:.1}", sum.mean);
    let max = format!("{:.0}, {}", sum.middle, sum.max);
    row([what, &mean, &max, &polled.to_string()])
}

fn switched_row(what: &str, switched: Switched, polled: Duration) -> std::io::Result<()> {
    let seconds = |time: Duration| format!("{:.0} s", time.as_secs_f64());
    let limit = format!(
        "limit {}: x{:.2}",
        seconds(switched.limit),
        switched.times()
    );
    row([what, &seconds(switched.done), &limit, &seconds(polled)])
}

fn aim(what: &str, reached: bool) -> anyhow::Result<()> {
    let word = if reached { "ok    " } else { "missed" };
    Ok(writeln!(stdout(), "{word}  {what}")?)
}

fn sum(runs: &[Ended]) -> Sum {
    let requests = runs.iter().map(|run| run.requests);
    let all: usize = requests.clone().sum();
    Sum {
        all,
        mean: count(all) / count(runs.len()),
        middle: median(requests.clone().map(count)),
        max: requests.max().unwrap_or(0),
    }
}

fn switched(result: &Result, cause: Cause, action: &str, plan: Plan) -> Switched {
    let runs = result.runs.get(&cause).map_or(&[][..], Vec::as_slice);
    let first = runs.iter().map(|run| run.came).min().unwrap_or_default();
    let ended = runs.iter().map(|run| run.over).max().unwrap_or_default();
    let query = format!("?action={action}");
    let asks = |one: &&Seen| one.at >= first && one.route.ends_with(&query) && one.status < 300;
    let asked = result.seen.iter().filter(asks).map(|one| one.at).max();
    let after = |moment: Timestamp| moment.since(first);
    let asked = after(asked.unwrap_or_default());
    Switched {
        asked,
        done: asked + plan.power,
        known: after(ended),
        limit: Duration::from_secs_f64(count(sum(runs).all) / A_SECOND),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn count(number: usize) -> f64 {
    number as f64
}
