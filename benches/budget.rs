//! `cargo bench --bench budget`: whether Hivelocity's hour of requests is enough. An hour in
//! virtual time under the real limits (3,600 requests an hour, 5 a second): sixty builds of 17
//! minutes by sixty customers, and two cron minutes: two hundred suspensions, later two hundred
//! unsuspensions, of services that were there before. In both account models, beside a plain
//! poller (computed).
//!
//! Receiver, worker, engine, clients and the store are the real ones with the settings as shipped.
//! The suppliers are the stand-ins, handed over within the process: real sockets know no virtual
//! time. After `--`: `--builds`, `--services`, `--every` (seconds from order to order), `--power`
//! (seconds that a server takes to switch).

#[path = "support/hour.rs"]
mod hour;
#[path = "support/poller.rs"]
mod poller;
#[path = "support/stopped.rs"]
mod stopped;
mod support;
#[path = "support/tables.rs"]
mod tables;
#[path = "support/wire.rs"]
mod wire;

use std::io::{Write as _, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use billhook::catalogue::AccountModel;
use hour::Plan;
use support::{Folder, argument, machine};

/// How long a build takes, from its order until the server is in use.
const BUILD: Duration = Duration::from_mins(17);

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = if support::called_by_cargo_bench() {
        bench()
    } else {
        writeln!(stdout(), "run with: cargo bench --bench budget").map_err(Into::into)
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do if even this cannot be said.
            let _ = writeln!(std::io::stderr(), "budget: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> anyhow::Result<()> {
    let plan = Plan {
        builds: argument("--builds", 60)?,
        services: argument("--services", 200)?,
        every: Duration::from_secs(argument("--every", 40)?),
        power: Duration::from_secs(argument("--power", 30)?),
    };
    writeln!(
        stdout(),
        "an hour in virtual time: {} orders, one every {:?}, builds of {BUILD:?}; {} suspensions at once after 20 \
         minutes,\nas many unsuspensions after 40; a server takes {:?} to switch; the limit is 3600 an hour, 5 a second",
        plan.builds,
        plan.every,
        plan.services,
        plan.power
    )?;
    writeln!(stdout(), "{}", machine::line(&Folder::new("budget")?.0)?)?;
    let polled = poller::compute(plan);
    for (name, model) in [
        ("multi", AccountModel::Multi),
        ("single", AccountModel::Single),
    ] {
        let began = Instant::now();
        let result = hour::live(model, plan)?;
        let took = began.elapsed();
        writeln!(stdout(), "\naccount model {name} (computed in {took:.0?})")?;
        tables::print(&result, &polled, plan)?;
    }
    Ok(())
}
