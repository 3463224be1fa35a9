//! Whole lives of services at both suppliers, undisturbed, in every way they can be set up.

use std::time::Duration;

use billhook::sandbox::{DeviceSnapshot, SandboxSnapshot};
use serde_json::{Value, json};

use crate::support::reader::{kinds, shown};
use crate::support::world::{acted, device, twice};
use crate::support::{App, Setup, Story, spawn_app};

async fn live(app: &App, story: &Story) {
    let paid = app.succeed(&story.paid()).await;
    assert_eq!(
        kinds(&paid),
        [
            "hivelocity.create_client",
            "hivelocity.deploy_device",
            "hivelocity.await_device",
            "one_h.add_user",
            "one_h.add_license"
        ]
    );
    let snapshot = app.suppliers.snapshot();
    let client = &snapshot.clients[0];
    assert_eq!(
        (client.email.as_str(), &client.company),
        ("ops@reseller.example", &story.company())
    );
    let built = device(&snapshot, &story.tag());
    assert_eq!(built.client_id, client.id);
    assert_eq!(
        (built.product_id, built.location.as_str(), built.os.as_str()),
        (584, "TPA1", "Ubuntu 22.04")
    );
    assert_eq!(
        (built.hostname.as_str(), built.power_status.as_str()),
        ("srv501.example.com", "ON")
    );
    let (licence, user) = (&snapshot.licences[0], &snapshot.sub_users[0]);
    assert_eq!(
        (&licence.product, Some(&licence.ip)),
        (&"Hive".to_owned(), built.primary_ip.as_ref())
    );
    assert_eq!(
        (&licence.user, licence.label.as_deref()),
        (&user.username, Some("srv501.example.com"))
    );
    assert!(
        user.username.starts_with("bh") && user.username.bytes().all(|b| b.is_ascii_alphanumeric())
    );
    assert_eq!(
        (user.email.as_str(), user.name.as_str()),
        ("c77@example.com", "Ann Lee")
    );
    let known = app.api.service(&story.service).await;
    assert_eq!(known["status"], "active");
    assert_eq!(known["device_id"], built.device_id);
    assert_eq!(known["ip"], json!(built.primary_ip));
    assert_eq!(known["hivelocity_client_id"], client.id);
    assert_eq!(known["one_h_user"], user.username.as_str());
    assert_eq!(
        known["licenses"],
        json!([{"product": "Hive", "ip": built.primary_ip}])
    );

    app.succeed(&story.at(2, "service.suspended")).await;
    let snapshot = app.suppliers.snapshot();
    assert_eq!(device(&snapshot, &story.tag()).power_status, "OFF");
    assert!(snapshot.sub_users[0].suspended && !snapshot.licences[0].active);
    assert_eq!(app.api.service(&story.service).await["status"], "suspended");

    app.succeed(&story.at(3, "service.unsuspended")).await;
    let snapshot = app.suppliers.snapshot();
    assert_eq!(device(&snapshot, &story.tag()).power_status, "ON");
    assert!(!snapshot.sub_users[0].suspended && snapshot.licences[0].active);
    assert_eq!(app.api.service(&story.service).await["status"], "active");

    app.succeed(&story.at(4, "service.terminated")).await;
    let ended = app.suppliers.snapshot();
    assert!(device(&ended, &story.tag()).cancelled);
    assert_eq!(ended.licences, []);
    assert!(
        ended.sub_users[0].suspended,
        "the sub-user ends with its last service"
    );
    assert!(
        ended.clients[0].active,
        "a controlled client stays unless the policy says otherwise"
    );
    let known = app.api.service(&story.service).await;
    assert_eq!(
        (&known["status"], &known["device_id"]),
        (&json!("terminated"), &Value::Null)
    );
    assert_eq!(twice(&ended), Vec::<String>::new());
    assert_eq!(acted(&ended, &format!("cancel {}", built.device_id)), 1);

    app.carry_out(&story.at(5, "service.terminated")).await;
    let again = app.suppliers.snapshot();
    // A cancelled device goes away in its own time; who has one stays as it was.
    let devices = |snapshot: &SandboxSnapshot| {
        let one = |device: &DeviceSnapshot| (device.device_id, device.cancelled);
        snapshot.devices.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(
        (devices(&again), &again.licences, &again.effects.devices),
        (devices(&ended), &ended.licences, &ended.effects.devices)
    );
    assert_eq!(
        acted(&again, &format!("cancel {}", built.device_id)),
        1,
        "a second termination changes nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_lives_in_the_multi_model_by_query() {
    let app = spawn_app(Setup::default()).await;
    live(&app, &Story::new()).await;
    assert!(
        app.suppliers
            .snapshot()
            .effects
            .actions
            .keys()
            .all(|action| !action.starts_with("mint_token"))
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_lives_in_the_multi_model_by_the_clients_own_key_that_is_shown() {
    let mut setup = Setup::default().with("hivelocity.act_as", "token");
    setup.suppliers.token_shows_last_four = false;
    let app = spawn_app(setup).await;
    live(&app, &Story::new()).await;
    let minted = app
        .suppliers
        .snapshot()
        .effects
        .actions
        .keys()
        .filter(|a| a.starts_with("mint_token"))
        .count();
    assert_eq!(minted, 0, "a listed key that is whole is used");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_lives_in_the_multi_model_by_the_clients_own_key_that_is_hidden() {
    let app = spawn_app(Setup::default().with("hivelocity.act_as", "token")).await;
    live(&app, &Story::new()).await;
    let snapshot = app.suppliers.snapshot();
    assert_eq!(
        acted(&snapshot, &format!("mint_token {}", snapshot.clients[0].id)),
        1,
        "one key is made and kept"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_key_of_a_client_outlives_a_restart() {
    let setup = Setup::default().with("hivelocity.act_as", "token");
    let mut app = spawn_app(setup.clone()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    app.restart(&setup).await;
    app.succeed(&story.at(2, "service.suspended")).await;
    let snapshot = app.suppliers.snapshot();
    assert_eq!(
        acted(&snapshot, &format!("mint_token {}", snapshot.clients[0].id)),
        1
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_lives_in_the_single_model() {
    let app = spawn_app(Setup::default().with("hivelocity.account_model", "single")).await;
    let story = Story::new();
    let paid = app.succeed(&story.paid()).await;
    assert!(
        !kinds(&paid).contains(&"hivelocity.create_client"),
        "{}",
        shown(&paid)
    );
    let snapshot = app.suppliers.snapshot();
    assert_eq!(snapshot.clients, []);
    assert_eq!(device(&snapshot, &story.tag()).client_id, 10_001);
    assert_eq!(
        app.api.service("501").await["hivelocity_client_id"],
        Value::Null
    );
    for event in &story.life()[1..] {
        app.succeed(event).await;
    }
    let snapshot = app.suppliers.snapshot();
    assert!(device(&snapshot, &story.tag()).cancelled && snapshot.licences.is_empty());
    assert_eq!(twice(&snapshot), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_takes_its_time_to_be_built_is_waited_for() {
    let app = spawn_app(Setup::slow(Duration::from_millis(600))).await;
    live(&app, &Story::new()).await;
    app.finish().await;
}
