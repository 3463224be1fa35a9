//! A service handed over to another customer by hand, over the API and by command.

use serde_json::{Value, json};

use crate::support::binary::{Serving, billhook, printed, run};
use crate::support::reader::shown;
use crate::support::{App, Setup, Story, spawn_app};

async fn hand_over(app: &App, service: &str, body: &Value) -> (u16, Value) {
    let path = format!("/services/whmcs/{service}/move");
    let reply = app.api.post(&path, body).await;
    (reply.status, reply.body)
}

/// Customer 77's service 501 and customer 88's service 502.
async fn with_two_customers() -> App {
    let app = spawn_app(Setup::default()).await;
    app.succeed(&Story::new().paid()).await;
    app.succeed(&Story::of("502", "88", "42").paid()).await;
    app
}

/// How many licences this sub-user has.
fn licences_of(app: &App, user: &Value) -> usize {
    let snapshot = app.suppliers.snapshot();
    let held = snapshot.licences.iter();
    held.filter(|licence| *user == licence.user.as_str())
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_by_hand_hands_the_licences_to_the_new_customer_and_is_kept_as_a_delivery() {
    let app = with_two_customers().await;
    let heir = app.api.customer("88").await["one_h_user"].clone();
    assert_eq!(licences_of(&app, &heir), 1);
    let asked = json!({"customer_id": 88, "reason": "sold on the phone", "keeps_device": true});
    let (status, body) = hand_over(&app, "501", &asked).await;
    assert_eq!(status, 202, "{body}");
    assert_eq!(body["type"], "service.moved", "{body}");
    let id = body["runs"][0].as_str().unwrap();
    let moved = app.until(id, &["succeeded", "paused"]).await;
    assert_eq!(moved["status"], "succeeded", "{}", shown(&moved));
    assert_eq!(app.api.service("501").await["customer_id"], "88");
    assert_eq!(licences_of(&app, &heir), 2);
    assert_eq!(app.suppliers.snapshot().licences.len(), 2);
    // What was known of the customer fills what was not said.
    assert_eq!(app.api.customer("88").await["email"], "c88@example.com");
    let delivery = body["delivery_id"].as_str().unwrap();
    let listed = app.api.get("/deliveries?type=service.moved").await;
    assert_eq!(listed["items"][0]["id"], delivery, "{listed}");
    assert_eq!(listed["items"][0]["verdict"], "accepted", "{listed}");
    let kept = app.api.get(&format!("/deliveries/{delivery}")).await;
    assert_eq!(
        kept["verification"],
        json!({"result": "by_hand", "reason": "sold on the phone"})
    );
    assert_eq!(kept["event"]["customer"]["id"], "88", "{kept}");
    // It is replayed like any other, and then there is nothing to do.
    let path = format!("/deliveries/{delivery}/replay");
    let again = app.api.post(&path, &json!({"dry_run": true})).await;
    assert_eq!(again.text("/plans/0/verdict"), "nothing", "{again:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_a_move_shows_its_plan_and_changes_nothing() {
    let app = with_two_customers().await;
    let before = app.api.service("501").await;
    let mut asked = json!({"customer_id": "88", "reason": "r", "dry_run": true});
    let (status, body) = hand_over(&app, "501", &asked).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["plans"][0]["verdict"], "hold", "{body}");
    asked["keeps_device"] = json!(true);
    let (status, body) = hand_over(&app, "501", &asked).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["delivery_id"], Value::Null, "{body}");
    assert_eq!(body["plans"][0]["verdict"], "do", "{body}");
    assert_ne!(body["plans"][0]["steps"], json!([]), "{body}");
    assert_eq!(app.api.service("501").await, before);
    let listed = app.api.get("/deliveries?type=service.moved").await;
    assert_eq!(listed["items"], json!([]));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_cannot_be_is_refused_with_its_reason_and_leaves_nothing() {
    let app = with_two_customers().await;
    for (service, asked, status, words) in [
        ("501", json!({"customer_id": "88"}), 400, "needs a reason"),
        (
            "501",
            json!({"customer": "88", "reason": "r"}),
            400,
            "unknown field",
        ),
        ("501", json!({"reason": "r"}), 422, "/customer_id"),
        (
            "501",
            json!({"customer_id": "0", "reason": "r"}),
            422,
            "/customer_id",
        ),
        (
            "501",
            json!({"customer_id": "88", "reason": "r", "email": "ann"}),
            422,
            "/email",
        ),
        (
            "999",
            json!({"customer_id": "88", "reason": "r"}),
            404,
            "no such service",
        ),
        (
            "501",
            json!({"customer_id": "77", "reason": "r"}),
            409,
            "customer 77's already",
        ),
        (
            "501",
            json!({"customer_id": "88", "reason": "r"}),
            409,
            "--keeps-device",
        ),
        (
            "501",
            json!({"customer_id": "99", "reason": "r", "keeps_device": true}),
            409,
            "billhook services move whmcs 501 --customer 99 --email",
        ),
    ] {
        let (is, body) = hand_over(&app, service, &asked).await;
        assert_eq!(is, status, "{asked}: {body}");
        assert!(body.to_string().contains(words), "{asked}: {body}");
    }
    assert_eq!(app.api.service("501").await["customer_id"], "77");
    let listed = app.api.get("/deliveries?type=service.moved").await;
    assert_eq!(listed["items"], json!([]));
    app.succeed(&Story::new().at(2, "service.terminated")).await;
    let asked = json!({"customer_id": "88", "reason": "r", "keeps_device": true});
    let (status, body) = hand_over(&app, "501", &asked).await;
    assert_eq!(status, 409, "{body}");
    assert!(body.to_string().contains("is terminated"), "{body}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_paused_for_a_choice_is_superseded_by_the_one_by_hand() {
    let app = with_two_customers().await;
    let heir = Story::of("501", "88", "42");
    let paused = app.carry_out(&heir.at(3, "service.moved")).await.remove(0);
    assert_eq!(paused["status"], "paused", "{}", shown(&paused));
    let error = paused["error"].as_str().unwrap();
    let command = "billhook services move whmcs 501 --customer 88 --keeps-device";
    assert!(error.contains(command), "{error}");
    let asked = json!({"customer_id": "88", "reason": "chosen", "keeps_device": true});
    let (status, body) = hand_over(&app, "501", &asked).await;
    assert_eq!(status, 202, "{body}");
    let id = body["runs"][0].as_str().unwrap();
    app.until(id, &["succeeded"]).await;
    app.until(paused["id"].as_str().unwrap(), &["superseded"])
        .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_moved_by_command() {
    let setup = Setup::default();
    let suppliers = billhook::sandbox::Sandbox::start(setup.suppliers.clone())
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(billhook(folder.path(), &setup, &suppliers));
    let command = |words: &str| {
        let base = ["--server", serving.base.as_str()];
        let words: Vec<&str> = words.split(' ').chain(base).collect();
        let output = run(billhook(folder.path(), &setup, &suppliers), &words);
        (output.status.code(), printed(&output))
    };
    let order = "send order.paid --source whmcs --service 501 --customer 77 --email a@example.com \
                 --product 42 --hostname srv.example.com --option Location=TPA1 --wait 20";
    let (status, out) = command(order);
    assert_eq!(status, Some(0), "{out}");
    let (status, out) = command("services move whmcs 501 --reason sold");
    assert_eq!(status, Some(2), "{out}");
    let (status, out) = command("services move whmcs 501 --reason sold --customer 88");
    assert_eq!(status, Some(1), "{out}");
    assert!(
        out.contains("409") && out.contains("--keeps-device"),
        "{out}"
    );
    let whole = "services move whmcs 501 --reason sold --customer 88 --email b@example.com \
                 --name Bea --company Heirs --keeps-device --json";
    let (status, out) = command(&format!("{whole} --dry-run"));
    assert_eq!(status, Some(0), "{out}");
    assert_eq!(serving.api.service("501").await["customer_id"], "77");
    let (status, out) = command(whole);
    assert_eq!(status, Some(0), "{out}");
    let answer: Value = serde_json::from_str(out.trim()).unwrap();
    let run = answer["runs"][0].as_str().unwrap();
    for _ in 0..1000 {
        if serving.api.run(run).await["status"] == "succeeded" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(serving.api.service("501").await["customer_id"], "88");
    let users = suppliers.snapshot().sub_users;
    let heir = users.iter().find(|user| user.email == "b@example.com");
    assert!(heir.is_some(), "{users:?}");
}
