//! `cargo bench --bench growth`: whether history slows the present down. Fills a store with a
//! year's deliveries, then measures receiving, claiming, lists and the start against an empty
//! store in the same run; and the memory with many runs pending.
//!
//! After `--`: `--deliveries` (default: 10 million, or as many as half of the free disk holds),
//! `--pending`, `--seconds`, `--rounds`.

#[path = "support/filled.rs"]
mod filled;
#[path = "support/load.rs"]
mod load;
#[path = "support/served.rs"]
mod served;
mod support;

use std::io::{Write as _, stdout};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use billhook::app::SystemClock;
use billhook::domain::time::Clock as _;
use billhook::store::Store;
use load::{Figures, Phase, Requests};
use served::{Mode, Served};
use support::{Folder, SECRET, SOURCE, argument, machine, median, store_in};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What one delivery with its run, its step and its attempt takes on the disk, in bytes.
const ONE: u64 = 3000;

fn main() -> ExitCode {
    let outcome = match served::serve_if_asked() {
        Ok(false) if support::called_by_cargo_bench() => bench(),
        Ok(false) => writeln!(stdout(), "run with: cargo bench --bench growth").map_err(Into::into),
        other => other.map(drop),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do if even this cannot be said.
            let _ = writeln!(std::io::stderr(), "growth: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> anyhow::Result<()> {
    let (empty, full) = (Folder::new("growth-empty")?, Folder::new("growth-full")?);
    let room = free_disk(&full.0)? / 2 / ONE;
    let deliveries: u64 = argument("--deliveries", room.min(10_000_000))?;
    let pending: u64 = argument("--pending", deliveries.min(1_000_000))?;
    writeln!(stdout(), "{}", machine::line(&full.0)?)?;
    for folder in [&empty, &full] {
        wait(async { open_once(&store_in(&folder.0)).await })?;
    }
    let began = Instant::now();
    filled::fill(&store_in(&full.0), deliveries, pending)?;
    writeln!(
        stdout(),
        "{deliveries} deliveries with their runs, {pending} of them pending: filled in {:.0} s, {:.1} GiB{}",
        began.elapsed().as_secs_f64(),
        size_gib(&full),
        if deliveries < 10_000_000 {
            " (what the disk allows)"
        } else {
            ""
        },
    )?;
    receiving(&empty, &full)?;
    starting_and_listing(&full, deliveries)?;
    claiming(&empty, &full)?;
    Ok(())
}

async fn open_once(url: &str) -> anyhow::Result<()> {
    let (store, guard) = Store::open(url).await?;
    drop(store);
    guard.closed().await;
    Ok(())
}

fn wait<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// The same load on both stores, in turns.
fn receiving(empty: &Folder, full: &Folder) -> anyhow::Result<()> {
    let seconds: f64 = argument("--seconds", 3.0)?;
    let rounds: usize = argument("--rounds", 5)?;
    let servers = [
        Served::start(Mode::Durable, &empty.0, &store_in(&empty.0))?,
        Served::start(Mode::Durable, &full.0, &store_in(&full.0))?,
    ];
    let (mut ratios, mut figures) = (Vec::new(), [Vec::new(), Vec::new()]);
    let mut made = 0;
    for round in 0..=rounds {
        let count = if round == 0 { 20_000 } else { 150_000 };
        let requests = Rc::new(Requests::signed(SOURCE, SECRET, made, count, false)?);
        made += count;
        let mut rates = Vec::new();
        for (server, all) in servers.iter().zip(&mut figures) {
            let phase = Phase {
                address: server.address,
                connections: 128,
                lasts: Duration::from_secs_f64(seconds),
                again: false,
            };
            let before = server.cpu_micros()?;
            let mut one = load::run(phase, &requests)?;
            one.cpu = (server.cpu_micros()? - before) / f64::from(u32::try_from(one.accepted)?);
            rates.push(one.rate);
            all.push(one);
        }
        if let ([small, large], true) = (rates.as_slice(), round > 0) {
            ratios.push(large / small);
        }
        if round == rounds {
            writeln!(stdout(), "events of {} bytes:", requests.body_bytes)?;
        }
    }
    for (name, all) in ["empty", "full"].iter().zip(&figures) {
        // The first round warmed up.
        let of = |value: fn(&Figures) -> f64| median(all.iter().skip(1).map(value));
        writeln!(
            stdout(),
            "receiving, {name}: {:.0}/s, p50 {:.1} ms, p99 {:.1} ms, {:.0} us of processor each",
            of(|figures| figures.rate),
            of(|figures| figures.p50),
            of(|figures| figures.p99),
            of(|figures| figures.cpu)
        )?;
    }
    writeln!(
        stdout(),
        "receiving, full to empty: {:.2} (aim 0.90)",
        median(ratios)
    )?;
    for server in servers {
        server.stop()?;
    }
    Ok(())
}

/// How soon a start answers, how long pages take, and the memory of all that.
fn starting_and_listing(full: &Folder, deliveries: u64) -> anyhow::Result<()> {
    let began = Instant::now();
    let server = Served::start(Mode::Durable, &full.0, &store_in(&full.0))?;
    writeln!(
        stdout(),
        "start: {:.0} ms (aim 200)",
        began.elapsed().as_secs_f64() * 1000.0
    )?;
    let service = deliveries / filled::EVENTS_OF_A_SERVICE / 2;
    let pages = [
        "/deliveries?limit=50".to_owned(),
        "/deliveries?verdict=rejected&limit=50".to_owned(),
        format!("/deliveries?service={service}&limit=50"),
        "/deliveries?customer=7&limit=50".to_owned(),
        "/runs?limit=50".to_owned(),
        "/runs?status=pending&limit=50".to_owned(),
        "/runs?status=paused&limit=50".to_owned(),
        format!("/runs?service={service}&limit=50"),
        "/runs?customer=7&limit=50".to_owned(),
        "/runs?since=24h&limit=50".to_owned(),
        "/stats".to_owned(),
    ];
    for page in pages {
        let mut times = Vec::new();
        for _ in 0..5 {
            let began = Instant::now();
            get(&server, &format!("/api/v1{page}"))?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        writeln!(stdout(), "GET {page}: {:.1} ms (aim 20)", median(times))?;
    }
    let peak = server.peak_mib()?;
    writeln!(
        stdout(),
        "peak memory with all of it: {peak:.0} MiB (aim 100)"
    )?;
    server.stop()
}

fn get(server: &Served, path: &str) -> anyhow::Result<()> {
    use std::io::Read as _;
    let mut stream = std::net::TcpStream::connect(server.address)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        support::TOKEN
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(
        answer.starts_with("HTTP/1.1 200"),
        "{path}: {}",
        answer.lines().next().unwrap_or_default()
    );
    Ok(())
}

/// How long taking 64 due runs takes.
fn claiming(empty: &Folder, full: &Folder) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for folder in [empty, full] {
        let each = wait(async {
            let (store, guard) = Store::open(&store_in(&folder.0)).await?;
            let mut each = Vec::new();
            for _ in 0..50 {
                let now = SystemClock.now();
                let began = Instant::now();
                let claimed = store
                    .claim(64, now, now.plus(Duration::from_hours(1)))
                    .await?;
                ensure!(claimed.len() == 64, "only {} were due", claimed.len());
                each.push(began.elapsed().as_secs_f64() * 1000.0);
            }
            drop(store);
            guard.closed().await;
            Ok(median(each))
        })?;
        times.push(each);
    }
    let [small, large] = times.as_slice() else {
        return Ok(());
    };
    writeln!(
        stdout(),
        "claiming 64 runs: empty {small:.2} ms, full {large:.2} ms, ratio {:.2} (aim 0.90)",
        small / large
    )?;
    Ok(())
}

fn size_gib(folder: &Folder) -> f64 {
    let files = std::fs::read_dir(&folder.0).into_iter().flatten().flatten();
    let bytes: u64 = files
        .filter_map(|file| Some(file.metadata().ok()?.len()))
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    let gib = bytes as f64 / f64::from(1 << 30);
    gib
}

fn free_disk(folder: &std::path::Path) -> anyhow::Result<u64> {
    let output = std::process::Command::new("df")
        .args(["--output=avail", "-B1"])
        .arg(folder)
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let free = text.lines().last().context("df said nothing")?;
    Ok(free.trim().parse()?)
}
