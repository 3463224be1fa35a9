//! `cargo bench --bench execute`: how many paid orders a second the engine carries out against
//! suppliers that take no time, beside bare calls that make the same requests and keep nothing.
//!
//! Both have a fresh supplier each time, the same concurrency and the same runtime, in turns in
//! one process; the ratio of the medians is what counts. After `--`: `--runs`, `--rounds`,
//! `--concurrency`.

#[path = "support/bare.rs"]
mod bare;
#[path = "support/carried.rs"]
mod carried;
mod support;

use std::io::{Write as _, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use billhook::app::with_sandbox;
use billhook::config::Config;
use billhook::sandbox::{Sandbox, SandboxOptions};
use support::{Folder, argument, configuration, machine, median, store_in};

/// More than can be reached: the pace is not what is measured.
const UNLIMITED: u32 = 1_000_000;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = if support::called_by_cargo_bench() {
        bench()
    } else {
        writeln!(stdout(), "run with: cargo bench --bench execute").map_err(Into::into)
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do if even this cannot be said.
            let _ = writeln!(std::io::stderr(), "execute: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(rounds())
}

async fn rounds() -> anyhow::Result<()> {
    let runs: usize = argument("--runs", 200)?;
    let rounds: usize = argument("--rounds", 9)?;
    let concurrency: usize = argument("--concurrency", 64)?;
    let folder = Folder::new("execute")?;
    writeln!(stdout(), "{}", machine::line(&folder.0)?)?;
    let requests = same_requests().await?;
    writeln!(
        stdout(),
        "{runs} orders of as many new customers, {} requests each, {concurrency} at once, {rounds} rounds; \
         the suppliers share the cores",
        requests.len()
    )?;
    let mut all = Vec::new();
    for round in 0..=rounds {
        let plain = bare_rate(runs, concurrency).await?;
        let engine = engine_rate(runs, concurrency).await?;
        // The first round warms up.
        if round > 0 {
            writeln!(
                stdout(),
                "round {round}: bare {plain:>5.0} runs/s, engine {engine:>5.0} runs/s, ratio {:.2}",
                engine / plain
            )?;
            all.push((plain, engine));
        }
    }
    let bare = median(all.iter().map(|(bare, _)| *bare));
    let engine = median(all.iter().map(|(_, engine)| *engine));
    let ratio = median(all.iter().map(|(bare, engine)| engine / bare));
    writeln!(
        stdout(),
        "\nmedians: bare {bare:.0} runs/s, engine {engine:.0} runs/s, ratio {ratio:.2} (aim 0.70)"
    )?;
    Ok(())
}

/// A fresh folder, suppliers that take no time, and a configuration that points at them.
async fn stage(name: &str) -> anyhow::Result<(Folder, Sandbox, Config)> {
    let folder = Folder::new(name)?;
    let mut config = configuration(&folder.0, &store_in(&folder.0))?;
    config.hivelocity.requests_per_second = UNLIMITED;
    config.hivelocity.requests_per_hour = UNLIMITED;
    config.one_h.requests_per_second = UNLIMITED;
    config.hivelocity.poll_interval = Duration::from_millis(1);
    let sandbox = with_sandbox(&mut config, SandboxOptions::instant()).await?;
    Ok((folder, sandbox, config))
}

/// The requests that one order costs; those of the engine must be those of the bare calls.
async fn same_requests() -> anyhow::Result<Vec<String>> {
    let (_folder, sandbox, config) = stage("execute-one-engine").await?;
    let engine = carried::requests_of_one(&config).await?;
    sandbox.stop().await;
    let (_folder, sandbox, config) = stage("execute-one-bare").await?;
    let bare = bare::requests_of_one(&config).await?;
    sandbox.stop().await;
    ensure!(
        engine == bare,
        "the requests differ:\nengine {engine:#?}\nbare {bare:#?}"
    );
    Ok(engine)
}

async fn engine_rate(runs: usize, concurrency: usize) -> anyhow::Result<f64> {
    let (_folder, sandbox, config) = stage("execute-engine").await?;
    let took = carried::all(&config, runs, concurrency).await?;
    judged(sandbox, runs).await?;
    Ok(rate(runs, took))
}

async fn bare_rate(runs: usize, concurrency: usize) -> anyhow::Result<f64> {
    let (_folder, sandbox, config) = stage("execute-bare").await?;
    let took = bare::all(&config, runs, concurrency).await?;
    judged(sandbox, runs).await?;
    Ok(rate(runs, took))
}

fn rate(runs: usize, took: Duration) -> f64 {
    f64::from(u32::try_from(runs).unwrap_or(u32::MAX)) / took.as_secs_f64()
}

/// The suppliers must hold one of everything for every order.
async fn judged(sandbox: Sandbox, runs: usize) -> anyhow::Result<()> {
    let snapshot = sandbox.snapshot();
    sandbox.stop().await;
    let effects = &snapshot.effects;
    let made = [
        &effects.clients,
        &effects.devices,
        &effects.users,
        &effects.licences,
    ];
    for (what, made) in ["clients", "devices", "users", "licences"]
        .into_iter()
        .zip(made)
    {
        let once = made.len() == runs && made.values().all(|times| *times == 1);
        ensure!(once, "{} {what} were made for {runs} orders", made.len());
    }
    ensure!(
        snapshot.violations.is_empty(),
        "malformed requests: {:?}",
        snapshot.violations
    );
    Ok(())
}
