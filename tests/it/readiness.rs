//! A store that cannot be written, is damaged or was removed under the running service: `/readyz`
//! and every answer say so, nothing that was acknowledged is lost, and it goes on by itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use billhook::sandbox::Sandbox;
use rusqlite::Connection;
use serde_json::json;

use crate::support::binary::{Serving, billhook, outliving_limits, printed, refused};
use crate::support::sender::{Message, Reply, http};
use crate::support::{Setup, Story, database};

/// A service of its own on a file.
struct OnFile {
    folder: tempfile::TempDir,
    suppliers: Sandbox,
    setup: Setup,
    store: PathBuf,
    /// The deliveries that were acknowledged.
    acknowledged: BTreeSet<String>,
}

impl OnFile {
    async fn new() -> Self {
        Self::within("").await
    }

    /// With the store in a folder of its own.
    async fn within(sub: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join(sub).join("billhook.db");
        let setup = Setup::default();
        let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
        Self {
            setup: setup.with("store.url", &format!("sqlite://{}", store.display())),
            folder,
            suppliers,
            store,
            acknowledged: BTreeSet::new(),
        }
    }

    fn command(&self) -> Command {
        billhook(self.folder.path(), &self.setup, &self.suppliers)
    }

    fn serve(&self) -> Serving {
        Serving::start(self.command())
    }

    /// Sends an order of a service's own and notes whether it was taken.
    async fn send(&mut self, serving: &Serving, service: usize) -> Reply {
        let reply = order(service).send(&http(), &serving.base).await.unwrap();
        if reply.status == 202 {
            self.acknowledged.insert(reply.delivery());
        }
        reply
    }

    /// That whatever was acknowledged is in the store, by its API.
    async fn all_there(&self, serving: &Serving) {
        let kept = serving.api.all("/deliveries").await;
        let kept: BTreeSet<String> = kept
            .iter()
            .map(|delivery| delivery["id"].as_str().unwrap().to_owned())
            .collect();
        let lost: Vec<&String> = self.acknowledged.difference(&kept).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    }
}

/// Large enough to need room of its own.
fn order(service: usize) -> Message {
    let story = Story::of(&(500 + service).to_string(), "77", "44");
    let mut event = story.paid();
    event["filler"] = json!("x".repeat(40_000));
    Message::of(&event)
}

async fn readiness(serving: &Serving) -> Reply {
    let answer = http().get(format!("{}/readyz", serving.base)).send();
    Reply::read(answer.await.unwrap()).await
}

async fn until_ready(serving: &Serving) {
    let began = Instant::now();
    loop {
        let reply = readiness(serving).await;
        if reply.status == 200 {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{reply:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a sender is told, who need not know why.
const NO_WORD: &str = "send it again";

/// That nothing is taken, and that everybody is told why.
async fn all_say(on: &mut OnFile, serving: &Serving, service: usize, why: &str) {
    let refused = on.send(serving, service).await;
    is_unavailable(&refused, NO_WORD);
    is_unavailable(&readiness(serving).await, why);
    let retry = serving.api.post("/runs/run_1/retry", &json!({})).await;
    if retry.status != 400 && retry.status != 404 {
        is_unavailable(&retry, why);
    }
}

fn is_unavailable(reply: &Reply, why: &str) {
    reply.is_problem(503);
    assert!(reply.text("/detail").contains(why), "{why}: {reply:?}");
    let waits = |(name, _): &(String, String)| name == "retry-after";
    assert!(reply.headers.iter().any(waits), "{reply:?}");
}

async fn until_all_succeeded(serving: &Serving) {
    let began = Instant::now();
    loop {
        let runs = serving.api.all("/runs").await;
        if runs.iter().all(|run| run["status"] == "succeeded") {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{runs:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A small disk of a test's own, where the system lets us have one.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
            .arg(at)
            .output();
        let mounted = mounted.is_ok_and(|mounted| mounted.status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[expect(clippy::print_stderr, reason = "what is skipped is said")]
pub fn skipped(test: &str, needs: &str) {
    eprintln!("skipped: {test}: needs {needs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_gets_over_itself() {
    let mut on = OnFile::within("disk").await;
    let disk = on.store.parent().unwrap().to_owned();
    let Some(_disk) = Disk::mount(&disk) else {
        return skipped("a_full_disk", "to be allowed to mount a small disk");
    };
    let serving = on.serve();
    assert_eq!(on.send(&serving, 0).await.status, 202);
    assert_eq!(readiness(&serving).await.status, 200);
    let filler = disk.join("filler");
    // Whatever is left of it; the write ends when there is no more room.
    let _ = std::fs::write(&filler, vec![0; 8 << 20]);
    let mut service = 1;
    while on.send(&serving, service).await.status == 202 {
        service += 1;
        assert!(service < 300, "it never was full");
    }
    all_say(&mut on, &serving, service, "disk is full").await;
    std::fs::remove_file(&filler).unwrap();
    until_ready(&serving).await;
    assert_eq!(on.send(&serving, service).await.status, 202);
    on.all_there(&serving).await;
    until_all_succeeded(&serving).await;
    serving.kill();
    on.all_there(&on.serve()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_refuses_writes_is_said_and_gets_over_itself() {
    let mut on = OnFile::new().await;
    let serving = Serving::start(outliving_limits(&on.command()));
    let limit = |size: &str| {
        Command::new("prlimit")
            .args(["--pid", &serving.id().to_string()])
            .arg(format!("--fsize={size}:"))
            .status()
            .is_ok_and(|status| status.success())
    };
    assert_eq!(on.send(&serving, 0).await.status, 202);
    until_all_succeeded(&serving).await;
    if !limit("1") {
        return skipped("a_disk_that_refuses_writes", "prlimit");
    }
    // Nobody sends anything: the question itself finds out.
    let began = Instant::now();
    while readiness(&serving).await.status == 200 {
        assert!(began.elapsed() < Duration::from_secs(10), "still ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    all_say(&mut on, &serving, 1, "disk refuses").await;
    // What is known can be read.
    on.all_there(&serving).await;
    assert!(limit("unlimited"));
    until_ready(&serving).await;
    assert_eq!(on.send(&serving, 1).await.status, 202);
    until_all_succeeded(&serving).await;
    let (_, log) = serving.terminate();
    let said = log.iter().filter(|line| line.contains("cannot be written"));
    assert_eq!(said.count(), 1, "once, however many meet it: {log:?}");
    assert!(log.iter().any(|line| line.contains("written again")));
    on.all_there(&on.serve()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_said_and_refused_at_the_next_start() {
    let mut on = OnFile::new().await;
    let serving = on.serve();
    for service in 0..20 {
        assert_eq!(on.send(&serving, service).await.status, 202);
    }
    until_all_succeeded(&serving).await;
    let beside = Connection::open(&on.store).unwrap();
    beside
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(beside);
    let mut bytes = std::fs::read(&on.store).unwrap();
    bytes[16_384..].fill(0xa5);
    // In place: it stays the same file.
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(&on.store)
        .unwrap();
    std::io::Write::write_all(&mut file, &bytes).unwrap();
    // The writer knows its pages by heart; who reads after the next write finds it.
    on.acknowledged.clear();
    let _ = on.send(&serving, 30).await;
    let began = Instant::now();
    loop {
        let reply = serving.api.try_get("/deliveries").await.unwrap();
        if reply.status == 503 {
            is_unavailable(&reply, "damaged");
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{reply:?}");
    }
    all_say(&mut on, &serving, 31, "damaged").await;
    serving.kill();
    let refused = refused(on.command());
    assert_eq!(refused.status.code(), Some(1), "{}", printed(&refused));
    assert!(
        printed(&refused).contains("backup"),
        "{}",
        printed(&refused)
    );
}

/// The files of a store under second names, so that what is removed can be looked into.
fn saved(store: &Path) -> [(PathBuf, PathBuf); 2] {
    ["", "-wal"].map(|ending| {
        let name = PathBuf::from(format!("{}{ending}", store.display()));
        let aside = store.with_file_name(format!("saved{ending}"));
        std::fs::hard_link(&name, &aside).unwrap();
        (name, aside)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_removed_under_load_loses_nothing_acknowledged() {
    let mut on = OnFile::new().await;
    let serving = on.serve();
    assert_eq!(on.send(&serving, 0).await.status, 202);
    let files = saved(&on.store);
    let removed = AtomicBool::new(false);
    let sender = |first: usize| {
        let (base, removed) = (serving.base.clone(), &removed);
        async move {
            let (http, mut taken) = (http(), Vec::new());
            for service in first..first + 10_000 {
                let late = removed.load(Ordering::SeqCst);
                let reply = order(service).send(&http, &base).await.unwrap();
                if reply.status == 202 {
                    assert!(!late, "acknowledged after the store was removed");
                    taken.push(reply.delivery());
                } else {
                    is_unavailable(&reply, NO_WORD);
                    break;
                }
            }
            taken
        }
    };
    let remove = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        // The log's name stays: the file alone is missed.
        std::fs::remove_file(&on.store).unwrap();
        removed.store(true, Ordering::SeqCst);
    };
    let (one, two, three, ()) = tokio::join!(sender(1_000), sender(20_000), sender(40_000), remove);
    on.acknowledged.extend([one, two, three].concat());
    assert!(on.acknowledged.len() > 3, "there was no load");
    all_say(&mut on, &serving, 1, "the file is gone").await;
    is_unavailable(
        &serving.api.try_get("/deliveries").await.unwrap(),
        "the file is gone",
    );
    serving.kill();
    // It does not begin anew without a word.
    let refused = refused(on.command());
    assert_eq!(refused.status.code(), Some(1), "{}", printed(&refused));
    assert!(
        printed(&refused).contains("is gone"),
        "{}",
        printed(&refused)
    );
    assert!(!on.store.exists());
    for (name, aside) in &files {
        std::fs::rename(aside, name).unwrap();
    }
    let serving = on.serve();
    on.all_there(&serving).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_moved_away_and_back_goes_on_by_itself() {
    let mut on = OnFile::new().await;
    let serving = on.serve();
    assert_eq!(on.send(&serving, 0).await.status, 202);
    let aside = on.store.with_file_name("aside");
    std::fs::rename(&on.store, &aside).unwrap();
    is_unavailable(&readiness(&serving).await, "the file is gone");
    all_say(&mut on, &serving, 1, "the file is gone").await;
    // Another one in its place is not it.
    std::fs::copy(&aside, &on.store).unwrap();
    all_say(&mut on, &serving, 1, "the file is gone").await;
    std::fs::rename(&aside, &on.store).unwrap();
    until_ready(&serving).await;
    assert_eq!(on.send(&serving, 2).await.status, 202);
    until_all_succeeded(&serving).await;
    serving.kill();
    on.all_there(&on.serve()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_removed_is_folded_in_by_a_stop_in_order() {
    let mut on = OnFile::new().await;
    let serving = on.serve();
    for service in 0..5 {
        assert_eq!(on.send(&serving, service).await.status, 202);
    }
    std::fs::remove_file(format!("{}-wal", on.store.display())).unwrap();
    let why = "write-ahead log";
    is_unavailable(&on.send(&serving, 6).await, NO_WORD);
    all_say(&mut on, &serving, 7, why).await;
    let (status, _) = serving.terminate();
    assert!(status.success());
    let serving = on.serve();
    on.all_there(&serving).await;
    until_all_succeeded(&serving).await;
}

async fn server(test: &str) -> Option<(tempfile::TempDir, Sandbox, Setup)> {
    if database::server().is_none() {
        skipped(test, "BILLHOOK_TEST_POSTGRES (scripts/test sets it)");
        return None;
    }
    let setup = Setup::default();
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    Some((tempfile::tempdir().unwrap(), suppliers, setup))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_reads_is_said_and_gets_over_itself() {
    let Some((folder, suppliers, setup)) = server("a_server_that_only_reads").await else {
        return;
    };
    let folder = folder.path();
    let serving = Serving::start(billhook(folder, &setup, &suppliers));
    let http = http();
    let first = order(0).send(&http, &serving.base).await.unwrap();
    assert_eq!(first.status, 202, "{first:?}");
    until_all_succeeded(&serving).await;
    for (only_reads, status) in [("on", 503), ("off", 200)] {
        database::only_reads(folder, only_reads).await;
        database::cut_connections(folder).await;
        let began = Instant::now();
        loop {
            let reply = readiness(&serving).await;
            // The connections that were cut are told of first.
            if reply.status == status && (status == 200 || reply.text("/detail").contains("only")) {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{reply:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if status == 503 {
            let refused = order(1).send(&http, &serving.base).await.unwrap();
            is_unavailable(&refused, NO_WORD);
        }
    }
    let again = order(1).send(&http, &serving.base).await.unwrap();
    assert_eq!(again.status, 202, "{again:?}");
    until_all_succeeded(&serving).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_is_said_and_gets_over_itself() {
    let Some((folder, suppliers, setup)) = server("a_server_that_is_stopped").await else {
        return;
    };
    let folder = folder.path();
    let mut cluster = database::Cluster::start(folder);
    let serving = Serving::start(billhook(folder, &setup, &suppliers));
    let http = http();
    let first = order(0).send(&http, &serving.base).await.unwrap();
    assert_eq!(first.status, 202, "{first:?}");
    cluster.crash();
    is_unavailable(&order(1).send(&http, &serving.base).await.unwrap(), NO_WORD);
    is_unavailable(&readiness(&serving).await, "does not answer");
    let listed = serving.api.try_get("/runs").await.unwrap();
    is_unavailable(&listed, "does not answer");
    cluster.revive();
    until_ready(&serving).await;
    let again = order(1).send(&http, &serving.base).await.unwrap();
    assert_eq!(again.status, 202, "{again:?}");
    until_all_succeeded(&serving).await;
    serving.kill();
}
