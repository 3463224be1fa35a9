//! What a start says of itself, and trials: in the sandbox, which has a store of its own, and dry runs.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use billhook::sandbox::Sandbox;
use serde_json::Value;

use crate::support::binary::{Serving, bare, billhook, printed, run};
use crate::support::sender::{Message, http};
use crate::support::settings::write_file;
use crate::support::{Setup, Story};

/// The binary in `cwd` with the configuration of `folder`.
fn with_file(cwd: &Path, folder: &Path) -> Command {
    let mut command = bare(cwd);
    command
        .env("BILLHOOK_CONFIG", write_file(folder))
        .env("BILLHOOK__HIVELOCITY__POLL_INTERVAL", "100ms");
    command
}

/// The same with real suppliers, which are others' stand-ins.
fn real(cwd: &Path, folder: &Path, suppliers: &Sandbox) -> Command {
    let mut command = with_file(cwd, folder);
    command
        .env("BILLHOOK__HIVELOCITY__BASE_URL", suppliers.hivelocity_url())
        .env("BILLHOOK__ONE_H__BASE_URL", suppliers.one_h_url());
    command
}

async fn send(serving: &Serving, event: &Value) -> Vec<String> {
    let reply = Message::of(event)
        .send(&http(), &serving.base)
        .await
        .unwrap();
    assert_eq!(reply.status, 202, "{reply:?}");
    reply.runs()
}

async fn until(serving: &Serving, run: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let found = serving.api.run(run).await;
        if wanted(&found) {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{found:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn has_ordered(run: &Value) -> bool {
    let mut steps = run["steps"].as_array().unwrap().iter();
    steps.any(|step| step["kind"] == "hivelocity.deploy_device" && step["status"] == "succeeded")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_is_killed_in_the_middle_goes_on_and_leaves_nothing_in_the_real_store() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let arguments = ["--sandbox", "--sandbox-build-time", "800ms"];
    let trial = || Serving::start_with(with_file(folder, folder), &arguments);
    let first = trial();
    assert!(first.opening.contains("SANDBOX: "), "{}", first.opening);
    assert!(
        first.opening.contains("billhook-sandbox/billhook.db (new"),
        "{}",
        first.opening
    );
    let story = Story::new();
    let run = send(&first, &story.paid()).await.remove(0);
    until(&first, &run, has_ordered).await;
    first.kill();
    let second = trial();
    assert!(!second.opening.contains("(new"), "{}", second.opening);
    let built = until(&second, &run, |run| run["status"] == "succeeded").await;
    let suspension = send(&second, &story.at(2, "service.suspended"))
        .await
        .remove(0);
    until(&second, &suspension, |run| run["status"] == "succeeded").await;
    let service = second.api.service("501").await;
    assert_eq!(service["status"], "suspended", "{service}");
    assert_eq!(service["device_id"], 50001, "{built:#}");
    assert!(second.terminate().0.success());
    let suppliers = Sandbox::start(Setup::default().suppliers).await.unwrap();
    let live = Serving::start(real(folder, folder, &suppliers));
    assert!(live.opening.contains("LIVE: "), "{}", live.opening);
    assert!(
        live.opening.contains("data/billhook.db (new"),
        "{}",
        live.opening
    );
    assert_eq!(live.api.all("/services").await, Vec::<Value>::new());
    assert_eq!(live.api.all("/deliveries").await, Vec::<Value>::new());
    assert_eq!(live.api.get("/stats").await["mode"], "LIVE");
}

#[test]
fn a_trial_that_lost_its_suppliers_is_not_carried_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    Serving::start_with(with_file(folder, folder), &["--sandbox"]).kill();
    let trial = folder.join("data/billhook-sandbox");
    let refused = |told: &str| {
        let output = run(with_file(folder, folder), &["serve", "--sandbox"]);
        assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
        assert!(printed(&output).contains(told), "{}", printed(&output));
    };
    let suppliers = std::fs::read(trial.join("suppliers.jsonl")).unwrap();
    std::fs::write(trial.join("suppliers.jsonl"), "").unwrap();
    refused("has lost its suppliers.jsonl; delete the folder");
    std::fs::remove_file(trial.join("suppliers.jsonl")).unwrap();
    refused("has lost its suppliers.jsonl; delete the folder");
    std::fs::write(trial.join("suppliers.jsonl"), suppliers).unwrap();
    std::fs::remove_file(trial.join("billhook.db")).unwrap();
    refused("has lost its billhook.db; delete the folder");
    std::fs::remove_dir_all(&trial).unwrap();
    let running = Serving::start_with(with_file(folder, folder), &["--sandbox"]);
    let output = run(with_file(folder, folder), &["serve", "--sandbox"]);
    let told = printed(&output);
    assert!(told.contains("under way in another process"), "{told}");
    assert!(!told.contains("delete"), "{told}");
    drop(running);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_the_same_wherever_the_program_is_started() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (folder, elsewhere) = (folder.path(), elsewhere.path());
    let suppliers = Sandbox::start(Setup::default().suppliers).await.unwrap();
    let at_home = Serving::start(real(folder, folder, &suppliers));
    send(&at_home, &Story::new().paid()).await;
    at_home.kill();
    let away = Serving::start(real(elsewhere, folder, &suppliers));
    assert!(!away.opening.contains("(new"), "{}", away.opening);
    assert_eq!(away.api.all("/deliveries").await.len(), 1);
    away.kill();
    assert!(!elsewhere.join("data").exists());
    // An older version made it in the working directory: it stays there, and two of them are one too many.
    std::fs::rename(folder.join("data"), elsewhere.join("data")).unwrap();
    let older = Serving::start(real(elsewhere, folder, &suppliers));
    assert!(!older.opening.contains("(new"), "{}", older.opening);
    assert_eq!(older.api.all("/deliveries").await.len(), 1);
    older.kill();
    std::fs::create_dir(folder.join("data")).unwrap();
    std::fs::copy(
        elsewhere.join("data/billhook.db"),
        folder.join("data/billhook.db"),
    )
    .unwrap();
    let output = run(real(elsewhere, folder, &suppliers), &["serve"]);
    assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
    assert!(
        printed(&output).contains("names two stores"),
        "{}",
        printed(&output)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_is_seen_at_the_start_in_answers_in_lists_and_in_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::default().with("policy.dry_run", "true");
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    let serving = Serving::start(billhook(folder.path(), &setup, &suppliers));
    assert!(serving.opening.contains("DRY RUN: "), "{}", serving.opening);
    let message = Message::of(&Story::new().paid());
    let accepted = message.send(&http(), &serving.base).await.unwrap();
    assert_eq!(accepted.body["dry_run"], true, "{accepted:?}");
    let waiting = Message::of(&Story::of("502", "77", "42").paid()).header("prefer", "wait=20");
    let waited = waiting.send(&http(), &serving.base).await.unwrap();
    assert_eq!(waited.status, 200, "{waited:?}");
    assert_eq!(waited.body["dry_run"], true, "{waited:?}");
    let note = waited.body["runs"][0]["note"].as_str().unwrap();
    assert!(note.contains("nothing of this was sent"), "{note}");
    let runs = serving.api.all("/runs").await;
    assert!(runs.iter().all(|run| run["dry_run"] == true), "{runs:?}");
    assert_eq!(serving.api.get("/stats").await["mode"], "DRY RUN");
    let metrics = http().get(format!("{}/metrics", serving.base)).send();
    let metrics = metrics.await.unwrap().text().await.unwrap();
    assert!(metrics.contains("billhook_dry_run 1"), "{metrics}");
    assert!(metrics.contains("billhook_sandbox 0"), "{metrics}");
    assert_eq!(suppliers.snapshot().devices.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_only_planned_was_never_ordered() {
    let folder = tempfile::tempdir().unwrap();
    let (setup, dry) = (
        Setup::default(),
        Setup::default().with("policy.dry_run", "true"),
    );
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    let story = Story::new();
    let planning = Serving::start(billhook(folder.path(), &dry, &suppliers));
    let run = send(&planning, &story.paid()).await.remove(0);
    until(&planning, &run, |run| run["status"] == "succeeded").await;
    let again = send(&planning, &story.at(2, "service.suspended")).await;
    assert_eq!(again.len(), 1, "in a dry run it counts");
    until(&planning, &again[0], |run| run["status"] == "succeeded").await;
    planning.kill();
    let live = Serving::start(billhook(folder.path(), &setup, &suppliers));
    for (second, kind) in [(3, "service.unsuspended"), (4, "service.terminated")] {
        let message = Message::of(&story.at(second, kind)).header("prefer", "wait=10");
        let reply = message.send(&http(), &live.base).await.unwrap();
        assert_eq!(reply.text("/status"), "unknown_service", "{reply:?}");
    }
    let run = send(&live, &Story::new().at(5, "order.paid"))
        .await
        .remove(0);
    until(&live, &run, |run| run["status"] == "succeeded").await;
}

#[test]
fn a_store_that_is_gone_is_told_as_such_also_at_home() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(
        run(with_file(folder, folder), &["migrate"])
            .status
            .success()
    );
    std::fs::remove_file(folder.join("data/billhook.db")).unwrap();
    let output = run(with_file(folder, folder), &["migrate"]);
    assert_eq!(output.status.code(), Some(1), "{}", printed(&output));
    assert!(printed(&output).contains("is gone"), "{}", printed(&output));
}

#[test]
fn a_link_is_the_file_that_it_leads_to() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (real, link) = (folder.join("real"), folder.join("data"));
    std::fs::create_dir_all(&real).unwrap();
    std::fs::create_dir_all(&link).unwrap();
    let (real, link) = (real.join("store.db"), link.join("billhook.db"));
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let output = run(with_file(folder, folder), &["migrate"]);
    assert!(
        printed(&output).contains("leads nowhere"),
        "{}",
        printed(&output)
    );
    let mut command = with_file(folder, folder);
    command.env(
        "BILLHOOK__STORE__URL",
        format!("sqlite://{}", real.display()),
    );
    assert!(run(command, &["migrate"]).status.success());
    let serving = Serving::start_with(with_file(folder, folder), &["--sandbox"]);
    assert!(serving.terminate().0.success());
    let output = run(with_file(folder, folder), &["migrate"]);
    assert!(output.status.success(), "{}", printed(&output));
    assert!(!folder.join("data/billhook.db.lock").exists());
}
