//! Lives of services whose products, customers or events are out of the ordinary.

use serde_json::{Value, json};

use crate::support::reader::{kinds, shown, step};
use crate::support::sender::Message;
use crate::support::world::{acted, device, twice};
use crate::support::{Setup, Story, event, spawn_app};

#[tokio::test(flavor = "multi_thread")]
async fn null_routes_licences_and_a_portal_come_and_go_with_suspensions() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::of("601", "78", "43");
    app.succeed(&story.paid()).await;
    let snapshot = app.suppliers.snapshot();
    let built = device(&snapshot, &story.tag()).clone();
    assert_eq!(
        (
            built.location.as_str(),
            built.os.as_str(),
            built.period.as_str()
        ),
        ("DAL1", "Debian 12", "monthly")
    );
    let products: Vec<&str> = snapshot
        .licences
        .iter()
        .map(|licence| licence.product.as_str())
        .collect();
    assert_eq!(products, ["Guardian", "Hive"]);
    assert_eq!(
        snapshot.portals[0].portal_domain,
        "panel.srv601.example.com"
    );
    assert_eq!(Some(&snapshot.portals[0].ip), built.primary_ip.as_ref());

    let run = app.succeed(&story.at(2, "service.suspended")).await;
    assert_eq!(
        kinds(&run),
        [
            "hivelocity.null_route",
            "hivelocity.power",
            "one_h.remove_license",
            "one_h.remove_license"
        ]
    );
    let dark = app.suppliers.snapshot();
    assert_eq!(
        device(&dark, &story.tag()).null_routed.len(),
        3,
        "every public address"
    );
    assert_eq!(device(&dark, &story.tag()).power_status, "OFF");
    assert_eq!(dark.licences, []);
    assert!(!dark.sub_users[0].suspended);

    app.succeed(&story.at(3, "service.unsuspended")).await;
    let back = app.suppliers.snapshot();
    assert_eq!(
        device(&back, &story.tag()).null_routed,
        Vec::<String>::new()
    );
    assert_eq!(device(&back, &story.tag()).power_status, "ON");
    assert_eq!(back.licences, snapshot.licences);
    assert_eq!(
        app.api.service("601").await["licenses_suspended"],
        json!([])
    );

    app.succeed(&story.at(4, "service.terminated")).await;
    let ended = app.suppliers.snapshot();
    assert!(device(&ended, &story.tag()).cancelled && ended.licences.is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_may_ask_for_less_at_suspension_and_termination() {
    let app = spawn_app(Setup::default()).await;
    let routed = Story::of("701", "79", "45");
    app.succeed(&routed.paid()).await;
    app.succeed(&routed.at(2, "service.suspended")).await;
    let dark = app.suppliers.snapshot();
    assert_eq!(device(&dark, &routed.tag()).null_routed.len(), 3);
    assert_eq!(device(&dark, &routed.tag()).power_status, "ON");
    app.succeed(&routed.at(3, "service.unsuspended")).await;
    app.succeed(&routed.at(4, "service.terminated")).await;
    let ended = app.suppliers.snapshot();
    assert!(
        !device(&ended, &routed.tag()).cancelled,
        "a person cancels it"
    );
    assert_eq!(device(&ended, &routed.tag()).power_status, "OFF");

    let untouched = Story::of("702", "80", "46");
    for event in untouched.life() {
        app.succeed(&event).await;
    }
    let ended = app.suppliers.snapshot();
    let left = device(&ended, &untouched.tag());
    assert_eq!((left.power_status.as_str(), left.cancelled), ("ON", false));
    assert_eq!(ended.licences, [], "a licence ends with its service");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sub_users_belong_to_customers_to_services_or_to_nobody() {
    for (per, users) in [("customer", 1), ("service", 2), ("none", 0)] {
        let app = spawn_app(Setup::default().with("one_h.sub_user_per", per)).await;
        let (first, second) = (Story::of("501", "77", "42"), Story::of("502", "77", "42"));
        app.succeed(&first.paid()).await;
        app.succeed(&second.paid()).await;
        let snapshot = app.suppliers.snapshot();
        assert_eq!(
            (snapshot.sub_users.len(), snapshot.licences.len()),
            (users, 2),
            "{per}"
        );
        assert_eq!(
            (snapshot.clients.len(), snapshot.devices.len()),
            (1, 2),
            "{per}"
        );
        if per == "none" {
            assert!(
                snapshot
                    .licences
                    .iter()
                    .all(|licence| licence.user == "master")
            );
            app.finish().await;
            continue;
        }
        app.succeed(&first.at(3, "service.suspended")).await;
        let dark = app.suppliers.snapshot();
        let suspended = dark.sub_users.iter().filter(|user| user.suspended).count();
        assert_eq!(
            suspended,
            usize::from(per == "service"),
            "{per}: another service stays active"
        );
        assert_eq!(device(&dark, &first.tag()).power_status, "OFF");
        assert_eq!(device(&dark, &second.tag()).power_status, "ON");
        app.succeed(&second.at(4, "service.suspended")).await;
        let suspended = app
            .suppliers
            .snapshot()
            .sub_users
            .iter()
            .filter(|user| user.suspended)
            .count();
        assert_eq!(suspended, users, "{per}: now no service stays active");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_several_services_makes_a_run_for_each() {
    let app = spawn_app(Setup::default()).await;
    let stories = [
        Story::of("501", "77", "42"),
        Story::of("502", "77", "44"),
        Story::of("503", "77", "999"),
    ];
    let order = event("order.paid", 1, &stories.iter().collect::<Vec<_>>());
    let runs = app.carry_out(&order).await;
    let services: Vec<&str> = runs
        .iter()
        .map(|run| run["service_id"].as_str().unwrap())
        .collect();
    assert_eq!(
        services,
        ["501", "502"],
        "the third product is none of ours"
    );
    assert!(runs.iter().all(|run| run["status"] == "succeeded"));
    let snapshot = app.suppliers.snapshot();
    assert_eq!(
        (
            snapshot.devices.len(),
            snapshot.licences.len(),
            snapshot.sub_users.len()
        ),
        (1, 2, 1)
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_renewals_and_the_customers_own_events_do_what_the_table_says() {
    let app = spawn_app(Setup::default().with("hivelocity.create_client_on", "signup")).await;
    let story = Story::new();
    let mut signup = event("customer.created", 0, &[&story]);
    signup["services"] = json!([]);
    let run = app.succeed(&signup).await;
    assert_eq!(
        (kinds(&run), &run["service_id"]),
        (vec!["hivelocity.create_client"], &Value::Null)
    );
    assert_eq!(app.suppliers.snapshot().clients[0].company, story.company());
    app.succeed(&story.paid()).await;
    assert_eq!(app.suppliers.snapshot().clients.len(), 1);

    for (second, action, wanted) in [
        (2, "shutdown", "OFF"),
        (3, "boot", "ON"),
        (4, "reboot", "ON"),
        (5, "reload", "ON"),
    ] {
        let mut event = story.at(second, "service.action");
        event["action"] = json!(action);
        app.succeed(&event).await;
        let snapshot = app.suppliers.snapshot();
        assert_eq!(
            device(&snapshot, &story.tag()).power_status,
            wanted,
            "{action}"
        );
        let id = device(&snapshot, &story.tag()).device_id;
        assert_eq!(
            acted(&snapshot, &format!("{action} {id}")),
            1,
            "{:?}",
            snapshot.effects.actions
        );
    }
    let renewed = app.succeed(&story.at(6, "service.renewed")).await;
    assert_eq!(kinds(&renewed), Vec::<&str>::new());
    assert_ne!(app.api.service("501").await["renewed_at"], Value::Null);

    let mut updated = event("customer.updated", 7, &[&story]);
    updated["customer"]["email"] = json!("new@example.com");
    app.succeed(&updated).await;
    assert_eq!(
        app.suppliers.snapshot().sub_users[0].email,
        "new@example.com"
    );
    app.succeed(&event("customer.closed", 8, &[&story])).await;
    assert!(app.suppliers.snapshot().sub_users[0].suspended);
    assert_eq!(app.api.customer("77").await["status"], "closed");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_change_swaps_licences_and_never_a_server() {
    let app = spawn_app(Setup::default()).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    let mut change = story.at(2, "service.package_changed");
    change["services"][0]["product_id"] = json!("43");
    let run = app.carry_out(&change).await.remove(0);
    assert_eq!(run["status"], "paused", "{}", shown(&run));
    let error = run["error"].as_str().unwrap();
    assert!(
        error.contains("584") && error.contains("600"),
        "the difference is shown: {error}"
    );
    let snapshot = app.suppliers.snapshot();
    assert_eq!((snapshot.devices.len(), snapshot.licences.len()), (1, 1));
    app.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_plans_everything_and_changes_nothing() {
    let app = spawn_app(Setup::default().with("policy.dry_run", "true")).await;
    let story = Story::new();
    let run = app.succeed(&story.paid()).await;
    assert_eq!(step(&run, "hivelocity.deploy_device")["status"], "skipped");
    // No state is kept, so the service is unknown to what comes next, which is no person's case.
    let run = app.succeed(&story.at(2, "service.suspended")).await;
    assert!(run["note"].as_str().unwrap().contains("is not built yet"));
    app.succeed(&story.at(3, "service.terminated")).await;
    assert_eq!(app.suppliers.snapshot().requests, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_pauses_the_run_with_the_suppliers_words_and_a_retry_goes_on() {
    let app = spawn_app(Setup::default()).await;
    let fault = billhook::sandbox::Fault::Refused400("Payment method declined.".to_owned());
    app.suppliers
        .fail_next("POST /bare-metal-devices/batch", fault, 1);
    let reply = app
        .send(&Message::of(&Story::new().paid()).header("prefer", "wait=20"))
        .await;
    assert_eq!(
        (reply.status, reply.text("/status")),
        (200, "paused"),
        "{reply:?}"
    );
    assert!(
        reply
            .text("/runs/0/error")
            .contains("Payment method declined."),
        "{reply:?}"
    );
    let run = app.api.run(&reply.runs()[0]).await;
    assert_eq!(
        (&run["status"], &run["waiting_for"]),
        (&json!("paused"), &json!("a person"))
    );
    assert_eq!(
        step(&run, "hivelocity.create_client")["status"],
        "succeeded"
    );
    let answer = app
        .api
        .post(
            &format!("/runs/{}/retry", reply.runs()[0]),
            &json!({"reason": "card changed"}),
        )
        .await;
    assert_eq!(answer.status, 200);
    app.settle().await;
    let run = app.api.run(&reply.runs()[0]).await;
    assert_eq!(run["status"], "succeeded", "{}", shown(&run));
    assert_eq!(twice(&app.suppliers.snapshot()), Vec::<String>::new());
    app.finish().await;
}
