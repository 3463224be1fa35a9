//! Every write request of every plan meets every fault, and it ends as if nothing had happened.
//!
//! Which requests there are is taken from an undisturbed life, so a new step is covered without
//! anyone remembering it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use billhook::sandbox::Fault;
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::Value;

use crate::support::life::{Request, Stage, requests, stage, told};
use crate::support::reader::shown;
use crate::support::settings::TOO_LONG;
use crate::support::world::{bought_twice, twice};
use crate::support::{Setup, Story, spawn_app};

/// How many lives are lived at once.
const AT_ONCE: usize = 16;

/// Faults that a request may meet; a plain refusal is none of them, that is for a person.
fn faults() -> Vec<Fault> {
    vec![
        Fault::Refuse500,
        Fault::Unavailable503 {
            retry_after_secs: 0,
        },
        Fault::RateLimited429 {
            retry_after_secs: 0,
        },
        Fault::HtmlPage200,
        Fault::HtmlPage502,
        Fault::DoneThenHtmlPage502,
        Fault::DoneThenDropped,
        Fault::DoneThenStalled(TOO_LONG),
        Fault::DroppedBefore,
        Fault::StalledBefore(TOO_LONG),
    ]
}

/// One request of one event meets one fault.
#[derive(Clone, Debug)]
struct Disturbance {
    event: usize,
    matcher: String,
    fault: Fault,
}

/// An undisturbed life: what is known after each event, and the requests each event made.
async fn undisturbed(setup: &Setup, story: &Story) -> (Vec<Stage>, Vec<Vec<Request>>) {
    let app = spawn_app(setup.clone()).await;
    let (mut stages, mut asked) = (Vec::new(), Vec::new());
    for event in story.life() {
        let (stage, run) = stage(&app, &event).await;
        assert_eq!(stage.status, "succeeded", "{}", shown(&run));
        stages.push(stage);
        asked.push(requests(&run));
    }
    app.finish().await;
    (stages, asked)
}

/// The same life with disturbances; says what was different, if anything was.
async fn disturbed(
    setup: Setup,
    story: Story,
    wanted: Arc<Vec<Stage>>,
    all: Vec<Disturbance>,
) -> Option<String> {
    let app = spawn_app(setup).await;
    let mut different = None;
    for (number, event) in story.life().iter().enumerate() {
        for one in all.iter().filter(|one| one.event == number) {
            app.suppliers.fail_next(&one.matcher, one.fault.clone(), 1);
        }
        let (found, run) = stage(&app, event).await;
        if found != wanted[number] {
            different = Some(format!(
                "{}\n  wanted {}\n  found  {}",
                shown(&run),
                told(&wanted[number]),
                told(&found)
            ));
            break;
        }
    }
    let snapshot = app.suppliers.snapshot();
    if different.is_none() && snapshot.faults_met != all.len() as u64 {
        different = Some(format!(
            "only {} faults of {} were met",
            snapshot.faults_met,
            all.len()
        ));
    }
    if !bought_twice(&snapshot).is_empty() {
        let what = bought_twice(&snapshot);
        different = Some(format!(
            "created more than once: {what:?}; {}",
            different.unwrap_or_default()
        ));
    }
    app.finish().await;
    different.map(|what| format!("{}: {what}", named(&all)))
}

/// The disturbances in few words.
fn named(all: &[Disturbance]) -> String {
    let each = all
        .iter()
        .map(|one| format!("{}: {} meets {:?}", one.event, one.matcher, one.fault));
    let mut each: Vec<String> = each.collect();
    let count = each.len();
    each.truncate(1);
    format!("{} ({count} in all)", each.concat())
}

async fn all_end_alike(
    setup: Setup,
    story: Story,
    wanted: Vec<Stage>,
    cases: Vec<Vec<Disturbance>>,
) {
    let wanted = Arc::new(wanted);
    let count = cases.len();
    let lives = cases.into_iter().map(|case| {
        let told = named(&case);
        let life = disturbed(setup.clone(), story.clone(), Arc::clone(&wanted), case);
        async move {
            AssertUnwindSafe(life)
                .catch_unwind()
                .await
                .unwrap_or(Some(format!("{told} broke off")))
        }
    });
    let failed: Vec<String> = futures_util::stream::iter(lives)
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(
        failed.is_empty(),
        "{} of {count} lives ended differently:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

fn each(
    asked: &[Vec<Request>],
    faults: &[Fault],
    wanted: impl Fn(&Request) -> bool,
) -> Vec<Disturbance> {
    let mut cases = Vec::new();
    for (event, requests) in asked.iter().enumerate() {
        for request in requests.iter().filter(|request| wanted(request)) {
            for fault in faults {
                cases.push(Disturbance {
                    event,
                    matcher: request.matcher.clone(),
                    fault: fault.clone(),
                });
            }
        }
    }
    cases
}

async fn every_write_meets_every_fault(setup: Setup, story: Story, least: usize) {
    let (stages, asked) = undisturbed(&setup, &story).await;
    let cases = each(&asked, &faults(), |request| request.writes);
    let writes = cases.len() / faults().len();
    assert!(writes >= least, "only {writes} writes were seen: {asked:?}");
    all_end_alike(
        setup,
        story,
        stages,
        cases.into_iter().map(|case| vec![case]).collect(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_may_meet_every_fault_in_the_multi_model_by_query() {
    every_write_meets_every_fault(Setup::default(), Story::new(), 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_may_meet_every_fault_with_portals_null_routes_and_the_clients_own_key() {
    let setup = Setup::default().with("hivelocity.act_as", "token");
    every_write_meets_every_fault(setup, Story::of("601", "78", "43"), 13).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_read_may_fail_in_the_ways_that_reads_fail() {
    let setup = Setup::default().with("hivelocity.account_model", "single");
    let story = Story::of("601", "78", "43");
    let (stages, asked) = undisturbed(&setup, &story).await;
    let kinds = [Fault::Refuse500, Fault::HtmlPage200, Fault::DroppedBefore];
    let cases = each(&asked, &kinds, |request| !request.writes);
    assert!(cases.len() >= 3 * 8, "{asked:?}");
    all_end_alike(
        setup,
        story,
        stages,
        cases.into_iter().map(|case| vec![case]).collect(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_may_go_wrong_at_once() {
    let setup = Setup::default().with("retry.max_attempts", "40");
    let story = Story::of("601", "78", "43");
    let (stages, asked) = undisturbed(&setup, &story).await;
    let cases = faults()
        .into_iter()
        .map(|fault| each(&asked, &[fault], |_| true))
        .collect();
    all_end_alike(setup, story, stages, cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_supplier_that_fails_at_random_builds_every_server_once() {
    let mut setup = Setup::slow(Duration::from_millis(400))
        .with("retry.max_attempts", "60")
        .failing(0.15);
    setup.suppliers.seed = 7;
    let app = spawn_app(setup).await;
    let stories: Vec<Story> = (0..12)
        .map(|n| Story::of(&format!("30{n}"), &format!("4{}", n % 5), "43"))
        .collect();
    for story in &stories {
        app.accept(&story.paid()).await;
    }
    app.settle().await;
    app.suppliers.set_faults(0.0);
    let paused: Vec<Value> = app.api.all("/runs?status=paused").await;
    assert!(
        paused.is_empty(),
        "{}",
        paused.iter().map(shown).collect::<Vec<_>>().join("\n")
    );
    let snapshot = app.suppliers.snapshot();
    assert_eq!(
        (
            snapshot.devices.len(),
            snapshot.clients.len(),
            snapshot.licences.len()
        ),
        (12, 5, 24)
    );
    assert_eq!(twice(&snapshot), Vec::<String>::new());
    assert!(snapshot.faults_met > 10, "{}", snapshot.faults_met);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_waited_for() {
    // Within the attempt where that is not long, else the account is read once more.
    for (timeout, attempts) in [("10s", 2), ("1s", 4)] {
        waited_for(
            Setup::default().with("hivelocity.timeout", timeout),
            attempts,
        )
        .await;
    }
}

async fn waited_for(setup: Setup, attempts: usize) {
    let app = spawn_app(setup).await;
    app.suppliers.fail_next(
        "POST /bare-metal-devices/batch",
        Fault::RateLimited429 {
            retry_after_secs: 2,
        },
        1,
    );
    let began = std::time::Instant::now();
    let run = app.succeed(&Story::new().paid()).await;
    assert!(
        began.elapsed() >= Duration::from_millis(1950),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        crate::support::reader::step(&run, "hivelocity.deploy_device")["attempts"]
            .as_array()
            .unwrap()
            .len(),
        attempts
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supplier_that_stays_away_pauses_the_run_and_a_retry_finishes_it() {
    let app = spawn_app(Setup::default().with("retry.max_attempts", "3")).await;
    let story = Story::new();
    app.suppliers
        .fail_next("one_h add_user", Fault::Refuse500, 3);
    let run = app.carry_out(&story.paid()).await.remove(0);
    assert_eq!(run["status"], "paused", "{}", shown(&run));
    let error = run["error"].as_str().unwrap();
    assert!(error.contains("gave up after 3 attempts"), "{error}");
    app.api
        .post(
            &format!("/runs/{}/retry", run["id"].as_str().unwrap()),
            &serde_json::json!({}),
        )
        .await;
    app.settle().await;
    let run = app.api.run(run["id"].as_str().unwrap()).await;
    assert_eq!(run["status"], "succeeded", "{}", shown(&run));
    assert_eq!(twice(&app.suppliers.snapshot()), Vec::<String>::new());
    app.finish().await;
}
