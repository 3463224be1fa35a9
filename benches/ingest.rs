//! `cargo bench --bench ingest`: how many signed events a second are received, kept on disk with
//! their runs and answered, beside how many are only verified and parsed by the same HTTP server.
//!
//! One run measures both in turns, several times; the ratio of the medians is what counts, since
//! the load generator takes its share of the same cores. Each connection waits for its answer, so
//! there must be enough of them to keep the cores busy while a commit is on its way to the disk:
//! 256; half of them leave a fifth of the time unused. After `--`: `--seconds`, `--rounds`,
//! `--connections`, `--scattered` (ids in no order, where most senders' grow with time).

#[path = "support/load.rs"]
mod load;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/served.rs"]
mod served;
mod support;

use std::io::{Write as _, stdout};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use anyhow::ensure;
use billhook::store::Store;
use load::{Figures, Phase, Requests};
use postgres::Postgres;
use served::{Mode, Served};
use support::{Folder, SECRET, SOURCE, argument, machine, median};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match served::serve_if_asked() {
        Ok(false) if support::called_by_cargo_bench() => bench(),
        Ok(false) => writeln!(stdout(), "run with: cargo bench --bench ingest").map_err(Into::into),
        other => other.map(drop),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do if even this cannot be said.
            let _ = writeln!(std::io::stderr(), "ingest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A server that keeps what it receives, and what was measured of it.
struct Kept {
    name: &'static str,
    /// The ratio to aim at.
    aim: f64,
    server: Served,
    store: String,
    figures: Vec<Figures>,
    accepted: usize,
}

/// All servers and what was measured of them.
struct Bench {
    verify_only: Served,
    verified: Vec<Figures>,
    durable: Vec<Kept>,
    phase: Duration,
    connections: usize,
    /// How many events were made so far: none is sent to a store twice.
    made: usize,
    scattered: bool,
}

fn bench() -> anyhow::Result<()> {
    let seconds: f64 = argument("--seconds", 3.0)?;
    let rounds: usize = argument("--rounds", 5)?;
    let connections: usize = argument("--connections", 256)?;
    let folder = Folder::new("ingest")?;
    let postgres = Postgres::start();
    let mut bench = Bench {
        verify_only: Served::start(Mode::VerifyOnly, &folder.0, "")?,
        verified: Vec::new(),
        durable: vec![Kept::start(
            "SQLite",
            0.6,
            &folder,
            support::store_in(&folder.0),
        )?],
        phase: Duration::from_secs_f64(seconds),
        connections,
        made: 0,
        scattered: std::env::args().any(|argument| argument == "--scattered"),
    };
    match &postgres {
        Some(postgres) => {
            let url = postgres.url.clone();
            bench
                .durable
                .push(Kept::start("PostgreSQL", 0.4, &folder, url)?);
        }
        None => writeln!(stdout(), "skipped: PostgreSQL: its server is not installed")?,
    }
    writeln!(stdout(), "{}", machine::line(&folder.0)?)?;
    let first = bench.requests(20_000)?;
    writeln!(
        stdout(),
        "order.paid with one service, {} bytes, {connections} connections, {rounds} rounds of {seconds} s each; \
         generator and servers share the cores",
        first.body_bytes
    )?;
    // The first round warms up and is not counted.
    bench.round(&first)?;
    let mut rate = bench.fastest();
    for round in 1..=rounds {
        // More than will be sent: a faster round must not run dry.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is positive and small"
        )]
        let wanted = (rate * seconds * 1.5) as usize + 10_000;
        let requests = bench.requests(wanted)?;
        bench.round(&requests)?;
        rate = bench.fastest();
        writeln!(stdout(), "round {round}: {}", bench.last())?;
    }
    bench.finish()
}

impl Kept {
    fn start(name: &'static str, aim: f64, folder: &Folder, store: String) -> anyhow::Result<Self> {
        let own = folder.0.join(name);
        std::fs::create_dir_all(&own)?;
        Ok(Self {
            name,
            aim,
            server: Served::start(Mode::Durable, &own, &store)?,
            store,
            figures: Vec::new(),
            accepted: 0,
        })
    }
}

impl Bench {
    fn requests(&mut self, count: usize) -> anyhow::Result<Rc<Requests>> {
        let requests = Requests::signed(SOURCE, SECRET, self.made, count, self.scattered)?;
        self.made += count;
        Ok(Rc::new(requests))
    }

    /// The same requests to one server after the other.
    fn round(&mut self, requests: &Rc<Requests>) -> anyhow::Result<()> {
        let (connections, lasts) = (self.connections, self.phase);
        let phase = |server: &Served, again| Phase {
            address: server.address,
            connections,
            lasts,
            again,
        };
        let server = &self.verify_only;
        let verified = measured(server, phase(server, true), requests)?;
        self.verified.push(verified);
        for kept in &mut self.durable {
            let figures = measured(&kept.server, phase(&kept.server, false), requests)?;
            kept.accepted += figures.accepted;
            kept.figures.push(figures);
        }
        Ok(())
    }

    fn fastest(&self) -> f64 {
        let last = |kept: &Kept| kept.figures.last().map_or(0.0, |figures| figures.rate);
        self.durable.iter().map(last).fold(0.0, f64::max)
    }

    fn last(&self) -> String {
        let verified = self
            .verified
            .last()
            .map_or(f64::NAN, |figures| figures.rate);
        let ratios = self.durable.iter().map(|kept| {
            let rate = kept.figures.last().map_or(f64::NAN, |figures| figures.rate);
            format!(", {} {rate:>7.0}/s ({:.2})", kept.name, rate / verified)
        });
        format!(
            "verify-only {verified:>7.0}/s{}",
            ratios.collect::<String>()
        )
    }

    fn finish(self) -> anyhow::Result<()> {
        writeln!(
            stdout(),
            "\nmedians         events/s   p50 ms   p99 ms   peak MiB   CPU us/event"
        )?;
        let verified = self.verified.get(1..).unwrap_or_default();
        show("verify-only", verified, self.verify_only.peak_mib()?)?;
        self.verify_only.stop()?;
        for kept in self.durable {
            let figures = kept.figures.get(1..).unwrap_or_default();
            show(kept.name, figures, kept.server.peak_mib()?)?;
            kept.server.stop()?;
            let stored = stored(&kept.store)?;
            ensure!(
                stored == (kept.accepted, kept.accepted),
                "{} events were answered with 202, but (deliveries, runs) in {} are {stored:?}",
                kept.accepted,
                kept.name
            );
            let ratio = median(
                verified
                    .iter()
                    .zip(figures)
                    .map(|(verified, kept)| kept.rate / verified.rate),
            );
            writeln!(
                stdout(),
                "{} ratio {ratio:.2} (aim {:.2}); all {} deliveries and their runs are on disk",
                kept.name,
                kept.aim,
                kept.accepted
            )?;
        }
        Ok(())
    }
}

/// A phase's figures with what the server's processor time was for each event.
fn measured(server: &Served, phase: Phase, requests: &Rc<Requests>) -> anyhow::Result<Figures> {
    let before = server.cpu_micros()?;
    let mut figures = load::run(phase, requests)?;
    let accepted = f64::from(u32::try_from(figures.accepted)?);
    figures.cpu = (server.cpu_micros()? - before) / accepted;
    Ok(figures)
}

fn show(name: &str, figures: &[Figures], peak: f64) -> anyhow::Result<()> {
    let of = |value: fn(&Figures) -> f64| median(figures.iter().map(value));
    writeln!(
        stdout(),
        "{name:<14} {:>9.0} {:>8.2} {:>8.2} {peak:>10.1} {:>14.1}",
        of(|f| f.rate),
        of(|f| f.p50),
        of(|f| f.p99),
        of(|f| f.cpu)
    )?;
    Ok(())
}

/// How many deliveries and runs the store holds, read once its server has ended.
fn stored(store: &str) -> anyhow::Result<(usize, usize)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let counts = runtime.block_on(async { Store::peek(store).await?.counts().await })?;
    let sum = |table: &str| {
        counts
            .iter()
            .filter(|(name, ..)| name == table)
            .map(|(.., count)| *count)
            .sum::<i64>()
    };
    Ok((
        usize::try_from(sum("deliveries"))?,
        usize::try_from(sum("runs"))?,
    ))
}
