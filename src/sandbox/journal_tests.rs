//! Tests of a sandbox that outlives its process.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::trial::{Caller, caller, quick, server};
use super::{Fault, Sandbox, SandboxOptions, SandboxSnapshot};

fn kept(folder: &Path) -> SandboxOptions {
    SandboxOptions {
        kept_in: Some(folder.join("suppliers.jsonl")),
        ..quick()
    }
}

/// What both suppliers hold, without what was counted.
fn held(caller: &Caller) -> SandboxSnapshot {
    let snapshot = caller.sandbox.snapshot();
    SandboxSnapshot {
        requests: 0,
        violations: Vec::new(),
        ..snapshot
    }
}

/// Some of everything at both of them.
async fn trade(caller: &Caller) {
    let (device, _) = caller.orders("TPA1").await;
    caller.orders("CANCELLED").await;
    let up = |_, body: &serde_json::Value| body["spsStatus"] == "IN_USE";
    caller.eventually(&format!("/device/{device}"), up).await;
    let path = format!("/device/{device}/power?action=shutdown");
    assert_eq!(caller.post(&path, json!(null)).await.0, 202);
    let client = json!({"email": "ops@reseller.example", "company": "Example Ltd [whmcs:77]"});
    let (status, client) = caller.post("/account/controlled-client", client).await;
    assert_eq!(status, 201, "{client}");
    let user =
        json!({"username": "bh1", "password": "pw", "email": "a@example.com", "name": "Ann"});
    assert_eq!(caller.one_h("add_user", user).await, 0);
    let licence = json!({"product": "Hive", "ip": "45.0.0.2", "username": "bh1", "label": "srv1"});
    assert_eq!(caller.one_h("add_license", licence).await, 0);
    assert_eq!(
        caller
            .one_h("suspend_user", json!({"username": "bh1"}))
            .await,
        0
    );
}

#[tokio::test]
async fn suppliers_are_the_same_after_a_restart_and_go_on_counting() {
    let folder = tempfile::tempdir().unwrap();
    let first = caller(kept(folder.path())).await;
    trade(&first).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = held(&first);
    assert_eq!(
        (before.devices.len(), before.sub_users.len()),
        (2, 1),
        "{before:?}"
    );
    first.sandbox.stop().await;
    // A trial that is begun again with other times leaves what is built as it is.
    let options = SandboxOptions {
        build_time: Duration::from_hours(1),
        seed: 99,
        ..kept(folder.path())
    };
    let second = caller(options).await;
    assert_eq!(held(&second), before);
    assert_eq!(before.clients.len(), 1);
    let (device, order) = second.orders("TPA1").await;
    assert!(
        before.devices.iter().all(|known| known.device_id != device),
        "{device}"
    );
    assert!(
        before.orders.iter().all(|known| known.order_id != order),
        "{order}"
    );
    let now = held(&second);
    second.sandbox.stop().await;
    let third = caller(kept(folder.path())).await;
    assert_eq!(held(&third), now);
}

#[tokio::test]
async fn what_takes_effect_late_does_so_though_the_process_ended() {
    let folder = tempfile::tempdir().unwrap();
    let first = caller(kept(folder.path())).await;
    let late = Fault::LateEffect(Duration::from_millis(300));
    first
        .sandbox
        .fail_next("POST /bare-metal-devices/", late, 1);
    let order = first.try_send(
        reqwest::Method::POST,
        "/bare-metal-devices/",
        Some(server("TPA1")),
    );
    order.await.unwrap_err();
    first.sandbox.stop().await;
    let second = caller(kept(folder.path())).await;
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(second.sandbox.snapshot().devices.len(), 1);
}

#[tokio::test]
async fn half_a_line_is_of_a_request_that_was_not_answered_and_rubbish_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let options = kept(folder.path());
    let path = options.kept_in.clone().unwrap();
    let first = caller(options.clone()).await;
    first.orders("TPA1").await;
    let whole = std::fs::read_to_string(&path).unwrap();
    first.orders("TPA1").await;
    first.sandbox.stop().await;
    let more = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &more[..more.len() - 9]).unwrap();
    let second = caller(options.clone()).await;
    assert_eq!(second.sandbox.snapshot().devices.len(), 1);
    second.sandbox.stop().await;
    assert!(std::fs::read_to_string(&path).unwrap().starts_with(&whole));
    std::fs::write(&path, format!("{whole}rubbish\n")).unwrap();
    let wrong = Sandbox::start(options).await.unwrap_err().to_string();
    assert!(
        wrong.contains("suppliers.jsonl") && wrong.contains("line 4"),
        "{wrong}"
    );
    assert!(wrong.contains("delete the folder"), "{wrong}");
}

#[tokio::test]
async fn a_place_that_is_not_there_is_named() {
    let nowhere = SandboxOptions {
        kept_in: Some("/nowhere/suppliers.jsonl".into()),
        ..quick()
    };
    let wrong = Sandbox::start(nowhere).await.unwrap_err().to_string();
    assert!(wrong.contains("/nowhere/suppliers.jsonl"), "{wrong}");
}
