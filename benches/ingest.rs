//! `cargo bench --bench ingest`: how many signed events a second are received, kept on disk with
//! their runs and answered, beside how many are only verified and parsed by the same HTTP server.
//!
//! One run measures both in turns, several times; the ratio of the medians is what counts, since
//! the load generator takes its share of the same cores. After `--`: `--seconds`, `--rounds`,
//! `--connections`.

#[path = "support/load.rs"]
mod load;
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

/// Both servers and what was measured of them.
struct Bench {
    verify_only: Served,
    durable: Served,
    phase: Duration,
    connections: usize,
    /// How many events were made so far: none is sent to the store twice.
    made: usize,
    scattered: bool,
    kept: usize,
}

fn bench() -> anyhow::Result<()> {
    let seconds: f64 = argument("--seconds", 3.0)?;
    let rounds: usize = argument("--rounds", 5)?;
    let connections: usize = argument("--connections", 128)?;
    let folder = Folder::new("ingest")?;
    let mut bench = Bench {
        verify_only: Served::start(Mode::VerifyOnly, &folder.0)?,
        durable: Served::start(Mode::Durable, &folder.0)?,
        phase: Duration::from_secs_f64(seconds),
        connections,
        made: 0,
        scattered: std::env::args().any(|argument| argument == "--scattered"),
        kept: 0,
    };
    writeln!(stdout(), "{}", machine::line(&folder.0)?)?;
    let first = bench.requests(20_000)?;
    writeln!(
        stdout(),
        "order.paid with one service, {} bytes, {connections} connections, {rounds} rounds of {seconds} s each; \
         generator and server share the cores",
        first.body_bytes
    )?;
    let mut rate = bench.round(&first)?.1.rate;
    let mut all = Vec::new();
    for round in 1..=rounds {
        // More than will be sent: a faster round must not run dry.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is positive and small"
        )]
        let wanted = (rate * seconds * 1.5) as usize + 10_000;
        let requests = bench.requests(wanted)?;
        let (verified, kept) = bench.round(&requests)?;
        writeln!(
            stdout(),
            "round {round}: verify-only {:>7.0}/s, durable {:>7.0}/s, ratio {:.2}",
            verified.rate,
            kept.rate,
            kept.rate / verified.rate
        )?;
        rate = kept.rate;
        all.push((verified, kept));
    }
    bench.finish(&folder, &all)
}

impl Bench {
    fn requests(&mut self, count: usize) -> anyhow::Result<Rc<Requests>> {
        let requests = Requests::signed(SOURCE, SECRET, self.made, count, self.scattered)?;
        self.made += count;
        Ok(Rc::new(requests))
    }

    /// The same requests to one server, then to the other.
    fn round(&mut self, requests: &Rc<Requests>) -> anyhow::Result<(Figures, Figures)> {
        let phase = |address, again| Phase {
            address,
            connections: self.connections,
            lasts: self.phase,
            again,
        };
        let verified = measured(
            &self.verify_only,
            phase(self.verify_only.address, true),
            requests,
        )?;
        let kept = measured(&self.durable, phase(self.durable.address, false), requests)?;
        self.kept += kept.accepted;
        Ok((verified, kept))
    }

    fn finish(self, folder: &Folder, all: &[(Figures, Figures)]) -> anyhow::Result<()> {
        let peaks = (self.verify_only.peak_mib()?, self.durable.peak_mib()?);
        self.verify_only.stop()?;
        self.durable.stop()?;
        let stored = stored(folder)?;
        ensure!(
            stored == (self.kept, self.kept),
            "{} events were answered with 202, but (deliveries, runs) on disk are {stored:?}",
            self.kept
        );
        let verified: Vec<Figures> = all.iter().map(|(verified, _)| *verified).collect();
        let kept: Vec<Figures> = all.iter().map(|(_, kept)| *kept).collect();
        writeln!(
            stdout(),
            "\nmedians         events/s   p50 ms   p99 ms   peak MiB   CPU us/event"
        )?;
        show("verify-only", &verified, peaks.0)?;
        show("durable", &kept, peaks.1)?;
        let ratio = median(all.iter().map(|(verified, kept)| kept.rate / verified.rate));
        writeln!(
            stdout(),
            "ratio {ratio:.2} (aim 0.60); all {} deliveries and their runs are on disk",
            self.kept
        )?;
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

/// How many deliveries and runs the store holds, read from the file once the server has ended.
fn stored(folder: &Folder) -> anyhow::Result<(usize, usize)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let counts = runtime.block_on(async {
        Store::peek(&support::store_in(&folder.0))
            .await?
            .counts()
            .await
    })?;
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
