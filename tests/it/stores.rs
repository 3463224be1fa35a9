//! Stores that are not what they were at the last start: gone, in another place, under another key,
//! or shared with a process of other settings.

use std::path::Path;
use std::time::Duration;

use billhook::sandbox::Sandbox;

use crate::readiness::skipped;
use crate::support::binary::{Serving, billhook, printed, refused, run};
use crate::support::sender::{Message, http};
use crate::support::{Setup, Story, database, spawn_app};

async fn on_file(folder: &Path, path: &Path) -> (Setup, Sandbox) {
    let url = format!("sqlite://{}", folder.join(path).display());
    let setup = Setup::default().with("store.url", &url);
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    (setup, suppliers)
}

fn marker(folder: &Path) -> std::path::PathBuf {
    folder.join(".billhook.db.made")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_vanished_between_two_starts_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (setup, suppliers) = on_file(folder, Path::new("billhook.db")).await;
    let command = || billhook(folder, &setup, &suppliers);
    let store = folder.join("billhook.db");
    let (status, _) = Serving::start(command()).terminate();
    assert!(status.success());
    let copy = folder.join("copy.db");
    let backed_up = run(command(), &["backup", copy.to_str().unwrap()]);
    assert!(backed_up.status.success(), "{}", printed(&backed_up));
    assert!(!folder.join(".copy.db.made").exists());
    let text = std::fs::read_to_string(marker(folder)).unwrap();
    assert!(text.contains("billhook.db") && text.contains("delete this file"));

    for file in std::fs::read_dir(folder).unwrap().flatten() {
        // rm billhook.db*
        if file
            .file_name()
            .to_string_lossy()
            .starts_with("billhook.db")
        {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    let event = folder.join("event.json");
    std::fs::write(&event, Story::new().paid().to_string()).unwrap();
    let plan = [
        "plan",
        "--source",
        "whmcs",
        "--file",
        event.to_str().unwrap(),
    ];
    for arguments in [&["serve"][..], &["migrate"], &plan] {
        let refused = match arguments {
            ["serve"] => refused(command()),
            other => run(command(), other),
        };
        let said = printed(&refused);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {said}");
        for word in ["is gone", "backup", ".billhook.db.made", "made here on 20"] {
            assert!(said.contains(word), "{arguments:?}: {said}");
        }
        assert!(!store.exists(), "{arguments:?} made a new one");
    }
    // Put back as the documents say.
    std::fs::copy(&copy, &store).unwrap();
    assert!(Serving::start(command()).terminate().0.success());
    // Or begun anew on purpose.
    std::fs::remove_file(&store).unwrap();
    std::fs::remove_file(marker(folder)).unwrap();
    assert!(Serving::start(command()).terminate().0.success());
    assert!(marker(folder).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_an_older_version_gets_its_marker_and_a_log_without_its_file_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (setup, suppliers) = on_file(folder, Path::new("billhook.db")).await;
    let command = || billhook(folder, &setup, &suppliers);
    Serving::start(command()).kill();
    std::fs::remove_file(marker(folder)).unwrap();
    let serving = Serving::start(command());
    assert!(marker(folder).exists());
    serving.kill();
    // The tables may still be in the log alone.
    std::fs::rename(folder.join("billhook.db"), folder.join("aside")).unwrap();
    std::fs::remove_file(marker(folder)).unwrap();
    let refused = refused(command());
    assert_eq!(refused.status.code(), Some(1), "{}", printed(&refused));
    assert!(printed(&refused).contains("write-ahead log is there"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_whose_folders_are_missing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (setup, suppliers) = on_file(folder, Path::new("s3/deep/er/x.db")).await;
    let refused = refused(billhook(folder, &setup, &suppliers));
    let said = printed(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let first = folder.join("s3");
    assert!(
        said.contains(&format!("no folder {},", first.display())),
        "{said}"
    );
    assert!(!first.exists());
    let (setup, suppliers) = on_file(folder, Path::new("data/x.db")).await;
    Serving::start(billhook(folder, &setup, &suppliers)).terminate();
}

const OTHER_KEY: &str = "HxweHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgE=";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_did_not_seal_what_is_in_the_store_is_refused() {
    let setup = Setup::default();
    let mut app = spawn_app(setup.clone()).await;
    app.succeed(&Story::new().paid()).await;
    app.stop().await;
    let folder = app.folder();
    let other = setup.clone().with("admin.encryption_key", OTHER_KEY);
    let refusal = |setup: &Setup| {
        let refused = refused(billhook(folder, setup, &app.suppliers));
        assert_eq!(refused.status.code(), Some(1), "{}", printed(&refused));
        printed(&refused)
    };
    assert!(refusal(&other).contains("admin.encryption_key"));
    // A store of an older version has no fingerprint yet; what is sealed tells.
    database::change(folder, "DELETE FROM itself").await;
    assert!(refusal(&other).contains("admin.encryption_key"));
    Serving::start(billhook(folder, &setup, &app.suppliers)).terminate();
    assert!(refusal(&other).contains("--new-key"));
    let accepted = run(
        billhook(folder, &other, &app.suppliers),
        &["migrate", "--new-key"],
    );
    assert!(accepted.status.success(), "{}", printed(&accepted));
    Serving::start(billhook(folder, &other, &app.suppliers)).terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_holds_nothing_sealed_takes_any_key() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let setup = Setup::default();
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    Serving::start(billhook(folder, &setup, &suppliers)).terminate();
    let other = setup.with("admin.encryption_key", OTHER_KEY);
    Serving::start(billhook(folder, &other, &suppliers)).terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_with_other_settings_is_refused_beside_a_living_one() {
    if database::server().is_none() {
        return skipped(
            "a_process_with_other_settings",
            "BILLHOOK_TEST_POSTGRES (scripts/test sets it)",
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let setup = Setup::default();
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    let first = Serving::start(billhook(folder, &setup, &suppliers));
    for (key, value, said) in [
        (
            "policy.dry_run",
            "true",
            "policy.dry_run is \"true\" here and \"false\" there",
        ),
        (
            "hivelocity.absent_after",
            "7s",
            "hivelocity.absent_after is",
        ),
        (
            "admin.encryption_key",
            OTHER_KEY,
            "admin.encryption_key is another one",
        ),
        (
            "one_h.base_url",
            "http://127.0.0.1:9/x",
            "one_h.base_url is",
        ),
    ] {
        let other = setup.clone().with(key, value);
        let refused = refused(billhook(folder, &other, &suppliers));
        assert_eq!(refused.status.code(), Some(1), "{}", printed(&refused));
        assert!(printed(&refused).contains(said), "{}", printed(&refused));
    }
    // What a rolling change brings is nobody's concern, and neither is one with the same settings.
    let rolling = setup.clone().with("hivelocity.requests_per_second", "7");
    let second = Serving::start(billhook(folder, &rolling, &suppliers));
    let paid = Message::of(&Story::new().paid());
    let taken = paid.send(&http(), &second.base).await.unwrap();
    assert_eq!(taken.status, 202, "{taken:?}");
    first.kill();
    second.kill();
    // Alone it may be anything, also right after the others were killed.
    let other = setup.with("hivelocity.absent_after", "7s");
    let alone = Serving::start(billhook(folder, &other, &suppliers));
    tokio::time::sleep(Duration::from_millis(1)).await;
    alone.kill();
}
