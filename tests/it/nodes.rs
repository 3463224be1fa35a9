//! Several processes on one `PostgreSQL`: fed at the same time, killed at random, with suppliers
//! that fail, and a database that is restarted under them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use billhook::domain::time::Timestamp;
use billhook::sandbox::Sandbox;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use crate::support::binary::{Serving, billhook};
use crate::support::database;
use crate::support::reader::shown;
use crate::support::sender::{Message, http};
use crate::support::world::bought_twice;
use crate::support::{Setup, Story};

const NODES: usize = 3;
const CLOCKS_AGREE: Duration = Duration::from_millis(50);

/// Whether there is a `PostgreSQL` to share; said by name when not.
#[expect(clippy::print_stderr, reason = "what is skipped is said")]
fn has_server(test: &str) -> bool {
    let has = database::server().is_some();
    if !has {
        eprintln!("skipped: {test}: needs BILLHOOK_TEST_POSTGRES (scripts/test sets it)");
    }
    has
}

/// The processes, some of which may be dead at the moment.
struct Nodes<'a> {
    folder: &'a Path,
    setup: &'a Setup,
    suppliers: &'a Sandbox,
    running: Vec<Option<Serving>>,
}

impl<'a> Nodes<'a> {
    fn start(folder: &'a Path, setup: &'a Setup, suppliers: &'a Sandbox) -> Self {
        let mut nodes = Self {
            folder,
            setup,
            suppliers,
            running: Vec::new(),
        };
        for _ in 0..NODES {
            let serving = nodes.one();
            nodes.running.push(Some(serving));
        }
        nodes
    }

    fn one(&self) -> Serving {
        Serving::start(billhook(self.folder, self.setup, self.suppliers))
    }

    fn kill(&mut self, place: usize) {
        if let Some(serving) = self.running[place].take() {
            serving.kill();
        }
    }

    fn revive(&mut self) {
        for place in 0..NODES {
            if self.running[place].is_none() {
                self.running[place] = Some(self.one());
            }
        }
    }

    fn alive(&self) -> &Serving {
        self.running.iter().flatten().next().unwrap()
    }

    fn base(&self, place: usize) -> Option<String> {
        self.running[place].as_ref().map(|node| node.base.clone())
    }
}

/// Sends a message to one node after the other until one has taken it.
async fn send(nodes: &Nodes<'_>, message: &Message, first: usize) -> Option<String> {
    let http = http();
    for place in (first..first + NODES).map(|place| place % NODES) {
        let Some(base) = nodes.base(place) else {
            continue;
        };
        if let Ok(reply) = message.send(&http, &base).await
            && reply.status < 300
        {
            return Some(reply.delivery());
        }
    }
    None
}

fn lives(services: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    for n in 0..services {
        let customer = (70 + n / 3).to_string();
        let story = Story::of(&(500 + n).to_string(), &customer, "43");
        messages.push(Message::of(&story.paid()));
        messages.push(Message::of(&story.at(2, "service.suspended")));
        messages.push(Message::of(&story.at(3, "service.unsuspended")));
        if n % 3 == 0 {
            messages.push(Message::of(&story.at(4, "service.terminated")));
        }
    }
    messages
}

async fn until_settled(nodes: &Nodes<'_>, seed: u64) {
    let began = Instant::now();
    loop {
        let api = &nodes.alive().api;
        let runs = api.all("/runs").await;
        let open: Vec<&Value> = runs
            .iter()
            .filter(|run| {
                ["pending", "running", "waiting"].contains(&run["status"].as_str().unwrap())
            })
            .collect();
        if open.is_empty() {
            let paused = runs.iter().filter(|run| run["status"] == "paused");
            let paused: Vec<String> = paused.map(shown).collect();
            assert!(paused.is_empty(), "seed {seed}: {paused:?}");
            return;
        }
        let all: Vec<String> = open.iter().map(|run| shown(run)).collect();
        assert!(
            began.elapsed() < Duration::from_mins(2),
            "seed {seed}: hung: {all:#?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// No two attempts of a service may have been under way at the same moment, by clocks that agree to
/// within a question to the database. Whole runs may lie between one another's: a newer one goes ahead
/// of an older one that a supplier holds up.
fn check_order(runs: &[Value], seed: u64) {
    let mut lanes: BTreeMap<&str, Vec<(Timestamp, Timestamp, &str)>> = BTreeMap::new();
    for run in runs {
        let lane = run["service_id"].as_str().unwrap();
        let kind = run["type"].as_str().unwrap();
        let steps = run["steps"].as_array().unwrap().iter();
        let attempts = steps.flat_map(|step| step["attempts"].as_array().unwrap());
        for attempt in attempts {
            let began: Timestamp = attempt["started_at"].as_str().unwrap().parse().unwrap();
            // That of a process that died has no end.
            let took = attempt["duration_ms"].as_u64().unwrap_or(0);
            let ended = began.plus(Duration::from_millis(took));
            lanes.entry(lane).or_default().push((began, ended, kind));
        }
    }
    for (lane, mut attempts) in lanes {
        attempts.sort_unstable();
        for pair in attempts.windows(2) {
            assert!(
                pair[0].1 <= pair[1].0.plus(CLOCKS_AGREE),
                "seed {seed}: service {lane}: {pair:?}"
            );
        }
    }
}

fn check_suppliers(suppliers: &Sandbox, services: usize, seed: u64) {
    let snapshot = suppliers.snapshot();
    assert_eq!(bought_twice(&snapshot), [""; 0], "seed {seed}");
    let kept = (0..services).filter(|n| n % 3 != 0);
    for n in kept {
        let tag = format!("billhook:whmcs:{}", 500 + n);
        let carries = |tags: &[String]| tags.contains(&tag);
        let devices = snapshot
            .devices
            .iter()
            .filter(|device| carries(&device.tags));
        // The last word about each of these was that the customer has paid.
        let bright: Vec<bool> = devices
            .map(|device| device.power_status == "ON" && device.null_routed.is_empty())
            .collect();
        assert_eq!(bright, [true], "seed {seed}: {tag}");
    }
}

fn setup() -> Setup {
    let mut setup = Setup::slow(Duration::from_millis(300))
        .with("retry.max_attempts", "200")
        .with("execution.lease", "2s")
        .failing(0.05);
    setup.suppliers.power_time = Duration::ZERO;
    setup
}

/// Sends until somebody has taken it; answers the delivery.
async fn send_until_taken(nodes: &Nodes<'_>, message: &Message, first: usize) -> String {
    loop {
        if let Some(delivery) = send(nodes, message, first).await {
            return delivery;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Nothing acknowledged is lost, lanes kept their order, nothing was bought twice.
async fn check(
    nodes: &Nodes<'_>,
    acknowledged: &[String],
    suppliers: &Sandbox,
    services: usize,
    seed: u64,
) {
    until_settled(nodes, seed).await;
    let api = &nodes.alive().api;
    for delivery in acknowledged {
        let kept = api.try_get(&format!("/deliveries/{delivery}")).await;
        assert_eq!(kept.unwrap().status, 200, "seed {seed}: {delivery} is lost");
    }
    check_order(&api.all("/runs").await, seed);
    check_suppliers(suppliers, services, seed);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_killed_at_random_lose_nothing_and_do_nothing_twice() {
    if !has_server("three_nodes_killed_at_random_lose_nothing_and_do_nothing_twice") {
        return;
    }
    let seed = 11;
    let mut random = StdRng::seed_from_u64(seed);
    let setup = setup();
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = Nodes::start(folder.path(), &setup, &suppliers);
    let services = 12;
    let mut acknowledged = Vec::new();
    for (n, message) in lives(services).iter().enumerate() {
        let delivery = send(&nodes, message, n).await.expect("one node is alive");
        acknowledged.push(delivery);
        // A billing platform that saw no answer sends again, to whichever node answers.
        if n % 5 == 0 {
            send(&nodes, message, n + 1).await;
        }
        if n % 4 == 3 {
            nodes.kill(random.random_range(0..NODES));
            tokio::time::sleep(Duration::from_millis(random.random_range(0..150))).await;
            nodes.revive();
        }
    }
    check(&nodes, &acknowledged, &suppliers, services, seed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_drops_every_connection_again_and_again_loses_nothing() {
    if !has_server("a_database_that_drops_every_connection_again_and_again_loses_nothing") {
        return;
    }
    let seed = 12;
    let setup = setup();
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let nodes = Nodes::start(folder.path(), &setup, &suppliers);
    let services = 6;
    let mut acknowledged = Vec::new();
    for (n, message) in lives(services).iter().enumerate() {
        if n % 3 == 1 {
            database::cut_connections(folder.path()).await;
        }
        acknowledged.push(send_until_taken(&nodes, message, n).await);
    }
    check(&nodes, &acknowledged, &suppliers, services, seed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_crashes_and_comes_back_loses_nothing_and_senders_are_told_to_come_again() {
    if !has_server(
        "a_database_that_crashes_and_comes_back_loses_nothing_and_senders_are_told_to_come_again",
    ) {
        return;
    }
    let seed = 13;
    let setup = setup();
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = database::Cluster::start(folder.path());
    let mut nodes = Nodes::start(folder.path(), &setup, &suppliers);
    let services = 9;
    let mut acknowledged = Vec::new();
    for (n, message) in lives(services).iter().enumerate() {
        if n % 9 == 4 {
            cluster.crash();
            let reply = message.send(&http(), &nodes.alive().base).await.unwrap();
            assert_eq!(reply.status, 503, "{reply:?}");
            assert!(
                reply.headers.iter().any(|(name, _)| name == "retry-after"),
                "{reply:?}"
            );
            let ready = http().get(format!("{}/readyz", nodes.alive().base));
            assert_eq!(ready.send().await.unwrap().status().as_u16(), 503);
            // A node that dies meanwhile comes back with the database.
            nodes.kill(n % NODES);
            cluster.revive();
            nodes.revive();
        }
        acknowledged.push(send_until_taken(&nodes, message, n).await);
    }
    check(&nodes, &acknowledged, &suppliers, services, seed).await;
    drop(nodes);
    drop(cluster);
}
