//! The real binary, killed at any moment and started again on the same store; and stopped in
//! order under load.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use billhook::sandbox::Sandbox;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::binary::{Serving, billhook};
use crate::support::reader::{Reader, shown};
use crate::support::sender::{Message, http};
use crate::support::world::{activations, bought_twice, device, held, twice};
use crate::support::{Setup, Story, spawn_app};

/// How often a life is cut off.
const KILLS: usize = 9;

/// Seeds of the moments at which the process is killed; a failure prints its own.
const SEEDS: [u64; 3] = [1, 2, 3];

async fn settled(api: &Reader, patience: Duration) -> bool {
    let began = std::time::Instant::now();
    while began.elapsed() < patience {
        if let Ok(stats) = api.try_get("/stats").await {
            let count = |status: &str| stats.body["runs"][status].as_i64().unwrap_or(0);
            if count("pending") + count("running") + count("waiting") == 0 {
                return true;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

async fn open_runs(api: &Reader) -> String {
    let runs = api.all("/runs").await;
    let open = |run: &&Value| {
        !["succeeded", "superseded", "cancelled"].contains(&run["status"].as_str().unwrap())
    };
    runs.iter()
        .filter(open)
        .map(shown)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Everything that was acknowledged: delivery by message id.
type Acknowledged = BTreeMap<String, String>;

/// Sends what is not acknowledged yet, as a billing platform does that repeats what failed.
async fn send_all(base: &str, messages: &[Message], acknowledged: &mut Acknowledged) {
    let http = http();
    for message in messages {
        if acknowledged.contains_key(&message.id) {
            continue;
        }
        match message.send(&http, base).await {
            Ok(reply) if reply.status < 300 => {
                acknowledged.insert(message.id.clone(), reply.delivery());
            }
            Ok(reply) => assert_eq!(reply.status, 503, "{reply:?}"),
            // The process was killed under the request.
            Err(_) => return,
        }
    }
}

/// Kills the process at random moments until all is sent, then lets it finish.
async fn killed_often(
    folder: &Path,
    setup: &Setup,
    suppliers: &Sandbox,
    messages: &[Message],
    seed: u64,
) -> Acknowledged {
    let mut random = StdRng::seed_from_u64(seed);
    let mut acknowledged = Acknowledged::new();
    for _ in 0..KILLS {
        let serving = Serving::start(billhook(folder, setup, suppliers));
        let moment = Duration::from_millis(random.random_range(3..450));
        let sending = send_all(&serving.base, messages, &mut acknowledged);
        let _ = tokio::time::timeout(moment, sending).await;
        if random.random_range(0..3) > 0 {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..150))).await;
        }
        serving.kill();
    }
    let serving = Serving::start(billhook(folder, setup, suppliers));
    send_all(&serving.base, messages, &mut acknowledged).await;
    assert!(
        settled(&serving.api, Duration::from_mins(1)).await,
        "seed {seed}: hung:\n{}",
        open_runs(&serving.api).await
    );
    check_kept(&serving.api, messages, &acknowledged, seed).await;
    let (status, log) = serving.terminate();
    assert!(status.success(), "seed {seed}: {status:?} {log:?}");
    acknowledged
}

async fn check_kept(api: &Reader, messages: &[Message], acknowledged: &Acknowledged, seed: u64) {
    for message in messages {
        let id = acknowledged
            .get(&message.id)
            .unwrap_or_else(|| panic!("seed {seed}: {} was never taken", message.id));
        let kept = api.try_get(&format!("/deliveries/{id}")).await.unwrap();
        assert_eq!(
            kept.status, 200,
            "seed {seed}: the acknowledged delivery {id} is lost"
        );
        assert_eq!(kept.text("/body").as_bytes(), message.body);
        for run in kept.body["runs"].as_array().unwrap() {
            let status = run["status"].as_str().unwrap();
            assert!(
                ["succeeded", "superseded"].contains(&status),
                "seed {seed}: {run}"
            );
        }
    }
}

fn quick() -> Setup {
    let mut setup = Setup::slow(Duration::from_millis(250)).with("retry.max_attempts", "60");
    setup.suppliers.power_time = Duration::ZERO;
    setup
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_of_its_lives_it_ends_as_if_nothing_had_happened() {
    let stories = [
        Story::of("501", "77", "42"),
        Story::of("502", "77", "43"),
        Story::of("503", "78", "43"),
    ];
    let events: Vec<Value> = stories
        .iter()
        .flat_map(|story| story.life().into_iter().take(3))
        .collect();
    let undisturbed = spawn_app(quick()).await;
    for event in &events {
        undisturbed.carry_out(event).await;
    }
    let wanted = undisturbed.suppliers.snapshot();
    undisturbed.finish().await;

    let mut lives = JoinSet::new();
    for seed in SEEDS {
        let (events, wanted) = (events.clone(), wanted.clone());
        lives.spawn(async move {
            let setup = quick();
            let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
            let folder = tempfile::tempdir().unwrap();
            let messages: Vec<Message> = events.iter().map(Message::of).collect();
            killed_often(folder.path(), &setup, &suppliers, &messages, seed).await;
            let found = suppliers.snapshot();
            assert_eq!(bought_twice(&found), Vec::<String>::new(), "seed {seed}");
            // A suspension that a newer event made pointless takes no licence, which then need not
            // be given back.
            let (found_times, wanted_times) = (activations(&found), activations(&wanted));
            assert_eq!(found_times.len(), wanted_times.len(), "seed {seed}");
            let pairs = found_times.iter().zip(&wanted_times);
            for (found, wanted) in pairs {
                assert!(
                    (1..=*wanted).contains(found),
                    "seed {seed}: {found_times:?}"
                );
            }
            assert_eq!(found.violations, Vec::<String>::new(), "seed {seed}");
            for story in [
                Story::of("501", "77", "42"),
                Story::of("502", "77", "43"),
                Story::of("503", "78", "43"),
            ] {
                let (one, other) = (device(&found, &story.tag()), device(&wanted, &story.tag()));
                assert_eq!(
                    (
                        &one.power_status,
                        one.cancelled,
                        one.null_routed.len(),
                        &one.location,
                        &one.hostname
                    ),
                    (
                        &other.power_status,
                        other.cancelled,
                        other.null_routed.len(),
                        &other.location,
                        &other.hostname
                    ),
                    "seed {seed}"
                );
            }
            assert_eq!(found.clients.len(), wanted.clients.len(), "seed {seed}");
            assert_eq!(found.sub_users, wanted.sub_users, "seed {seed}");
            assert_eq!(found.licences.len(), wanted.licences.len(), "seed {seed}");
            assert!(
                found.licences.iter().all(|licence| licence.active),
                "seed {seed}"
            );
        });
    }
    while let Some(life) = lives.join_next().await {
        life.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_suppliers_fail_it_still_leaves_nothing_that_costs_money() {
    let mut lives = JoinSet::new();
    for seed in [11, 12] {
        lives.spawn(async move {
            let mut setup = quick().with("hivelocity.act_as", "token").failing(0.1);
            setup.suppliers.seed = seed;
            let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
            let folder = tempfile::tempdir().unwrap();
            let stories = [Story::of("501", "77", "43"), Story::of("502", "77", "42")];
            let events = stories.iter().flat_map(Story::life);
            let messages: Vec<Message> = events.map(|event| Message::of(&event)).collect();
            killed_often(folder.path(), &setup, &suppliers, &messages, seed).await;
            let found = suppliers.snapshot();
            assert_eq!(bought_twice(&found), Vec::<String>::new(), "seed {seed}");
            assert!(
                found.devices.iter().all(|device| device.cancelled),
                "seed {seed}: {:?}",
                found.devices
            );
            assert_eq!(found.licences, [], "seed {seed}");
        });
    }
    while let Some(life) = lives.join_next().await {
        life.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_ends_with_status_0_and_loses_nothing() {
    let setup = quick();
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(billhook(folder.path(), &setup, &suppliers));
    let messages: Vec<Message> = (0..200)
        .map(|n| Message::of(&Story::of(&format!("9{n}"), &format!("{}", 1 + n % 20), "44").paid()))
        .collect();
    let mut sending = JoinSet::new();
    for part in messages.chunks(25) {
        let (part, base) = (part.to_vec(), serving.base.clone());
        sending.spawn(async move {
            let mut acknowledged = Acknowledged::new();
            send_all(&base, &part, &mut acknowledged).await;
            acknowledged
        });
    }
    tokio::time::sleep(Duration::from_millis(120)).await;
    let began = std::time::Instant::now();
    let (status, log) = tokio::task::spawn_blocking(move || serving.terminate())
        .await
        .unwrap();
    assert_eq!(status.code(), Some(0), "{log:?}");
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    assert!(
        log.iter().any(|line| line.contains("nothing is lost")),
        "{log:?}"
    );
    let mut acknowledged = Acknowledged::new();
    while let Some(part) = sending.join_next().await {
        acknowledged.extend(part.unwrap());
    }
    assert!(!acknowledged.is_empty(), "the load began too late");

    let serving = Serving::start(billhook(folder.path(), &setup, &suppliers));
    assert!(
        settled(&serving.api, Duration::from_mins(1)).await,
        "{}",
        open_runs(&serving.api).await
    );
    let taken: Vec<Message> = messages
        .iter()
        .filter(|message| acknowledged.contains_key(&message.id))
        .cloned()
        .collect();
    check_kept(&serving.api, &taken, &acknowledged, 0).await;
    let once = held(&suppliers.snapshot());
    for message in &taken {
        let reply = message.send(&http(), &serving.base).await.unwrap();
        assert_eq!(reply.text("/status"), "duplicate", "{reply:?}");
    }
    assert_eq!(held(&suppliers.snapshot()), once);
    assert_eq!(twice(&suppliers.snapshot()), Vec::<String>::new());
    assert!(serving.terminate().0.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_an_outcome_at_sigterm_is_answered() {
    let mut setup = quick();
    setup.suppliers.build_time = Duration::from_secs(30);
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(billhook(folder.path(), &setup, &suppliers));
    let base = serving.base.clone();
    let waiting = tokio::spawn(async move {
        Message::of(&Story::new().paid())
            .header("prefer", "wait=60")
            .send(&http(), &base)
            .await
    });
    tokio::time::sleep(Duration::from_millis(700)).await;
    let (status, log) = tokio::task::spawn_blocking(move || serving.terminate())
        .await
        .unwrap();
    assert!(status.success(), "{log:?}");
    let reply = waiting.await.unwrap().unwrap();
    assert_eq!((reply.status, reply.text("/status")), (202, "accepted"));
}
