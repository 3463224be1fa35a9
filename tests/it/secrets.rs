//! No secret may be read from the store's files, the log, the API or the metrics.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use billhook::sandbox::{Fault, Sandbox};
use serde_json::Value;

use crate::support::binary::{Serving, billhook};
use crate::support::database;
use crate::support::sender::{Message, Reply, http};
use crate::support::settings::{HIVELOCITY_KEY, OLD_SECRET, ONE_H_CODE, ONE_H_KEY, SECRET, TOKEN};
use crate::support::{Setup, Story};

/// Everything the API shows, as one text.
async fn everything_shown(serving: &Serving) -> String {
    let mut shown = String::new();
    for path in ["/deliveries", "/runs", "/services", "/customers", "/stats"] {
        let page = serving.api.get(path).await;
        for item in page["items"].as_array().into_iter().flatten() {
            for (key, kind) in [
                ("id", path),
                ("service_id", "/services/whmcs"),
                ("customer_id", "/customers/whmcs"),
            ] {
                if let Some(id) = item[key]
                    .as_str()
                    .filter(|_| key != "id" || path != "/services")
                {
                    let one = serving.api.try_get(&format!("{kind}/{id}")).await.unwrap();
                    shown.push_str(&one.body.to_string());
                }
            }
        }
        shown.push_str(&page.to_string());
    }
    let metrics = http()
        .get(format!("{}/metrics", serving.base))
        .send()
        .await
        .unwrap();
    shown + &metrics.text().await.unwrap()
}

fn every_byte_of(folder: &std::path::Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
    bytes
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

/// The keys that Hivelocity has made for a client, and the sub-users' passwords, as Billhook
/// derives them.
async fn made_secrets(suppliers: &Sandbox) -> Vec<(String, String)> {
    let mut secrets = Vec::new();
    let snapshot = suppliers.snapshot();
    for client in &snapshot.clients {
        let url = format!(
            "{}/token/?controlledClientId={}",
            suppliers.hivelocity_url(),
            client.id
        );
        let keys = http()
            .get(url)
            .header("x-api-key", HIVELOCITY_KEY)
            .send()
            .await
            .unwrap();
        let keys: Value = serde_json::from_str(&keys.text().await.unwrap()).unwrap();
        for key in keys.as_array().unwrap() {
            secrets.push((
                "a client's key".to_owned(),
                key["token"].as_str().unwrap().to_owned(),
            ));
        }
    }
    let key = BASE64_STANDARD
        .decode("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        .unwrap();
    let vault = billhook::domain::vault::Vault::new(key.try_into().unwrap());
    for user in &snapshot.sub_users {
        let password = vault.derive(&format!("one_h_password:{}", user.username));
        secrets.push((
            "a sub-user's password".to_owned(),
            password.reveal().to_owned(),
        ));
    }
    secrets
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_in_no_file_no_log_no_answer() {
    let mut setup = Setup::default()
        .with("hivelocity.act_as", "token")
        .with("retry.max_attempts", "3");
    setup.suppliers.token_shows_last_four = false;
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = billhook(folder.path(), &setup, &suppliers);
    command.env("RUST_LOG", "info,billhook=trace");
    let serving = Serving::start(command);
    let send = async |event: &Value| {
        let message = Message::of(event)
            .header("prefer", "wait=30")
            .header("authorization", "Bearer s3nder-t0ken-abc");
        let reply = message.send(&http(), &serving.base).await.unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
    };
    suppliers.fail_next("one_h add_user", Fault::DoneThenHtmlPage502, 1);
    suppliers.fail_next("one_h add_license", Fault::OneHError(8), 1);
    suppliers.fail_next("GET /token/", Fault::Refused400("no".to_owned()), 1);
    for number in 0..3 {
        send(&Story::of(&format!("50{number}"), &format!("7{number}"), "43").paid()).await;
    }
    let mut unsigned = Message::of(&Story::new().paid());
    unsigned.secret = OLD_SECRET.to_owned();
    unsigned.source = "other".to_owned();
    unsigned
        .send(&http(), &serving.base)
        .await
        .unwrap()
        .is_problem(401);

    let mut secrets = made_secrets(&suppliers).await;
    assert!(secrets.len() >= 3, "{secrets:?}");
    let known = [
        HIVELOCITY_KEY,
        ONE_H_CODE,
        ONE_H_KEY,
        SECRET,
        OLD_SECRET,
        TOKEN,
        "s3nder-t0ken-abc",
    ];
    secrets.extend(known.map(|secret| {
        (
            "a configured secret".to_owned(),
            secret.trim_start_matches("whsec_").to_owned(),
        )
    }));
    let shown = everything_shown(&serving).await;
    assert!(
        shown.contains("add_user") && shown.contains("username"),
        "the journal is shown at all"
    );
    let log = serving.kill().join("\n");
    let mut files = every_byte_of(folder.path());
    files.extend(database::every_row(folder.path()).await.into_bytes());
    assert!(holds(&files, "order.paid"), "the store is read at all");
    for (what, secret) in &secrets {
        assert!(
            !shown.contains(secret),
            "{what} ({secret}) is shown by the API"
        );
        assert!(!log.contains(secret), "{what} ({secret}) is in the log");
        assert!(
            !holds(&files, secret),
            "{what} ({secret}) is in the store's files"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_the_admin_token_are_slowed_counted_and_logged_and_the_right_one_passes() {
    let setup = Setup::default();
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(billhook(folder.path(), &setup, &suppliers));
    let http = http();
    let mut statuses = Vec::new();
    for guess in 0..40 {
        let request = http
            .get(format!("{}/api/v1/stats", serving.base))
            .bearer_auth(format!("a-guess-that-is-wrong-{guess}"));
        let reply = Reply::read(request.send().await.unwrap()).await;
        reply.is_problem(reply.status);
        let waits = reply.headers.iter().any(|(name, _)| name == "retry-after");
        assert_eq!(waits, reply.status == 429, "{reply:?}");
        statuses.push(reply.status);
        serving.api.get("/stats").await;
    }
    assert_eq!(statuses[..10], [401; 10]);
    assert!(statuses.contains(&429), "{statuses:?}");
    let metrics = http.get(format!("{}/metrics", serving.base)).send();
    let metrics = metrics.await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("billhook_admin_wrong_tokens_total 40"),
        "{metrics}"
    );
    let (_, log) = serving.terminate();
    let told = log
        .iter()
        .filter(|line| line.contains("a wrong admin token was refused"));
    assert!((1..=10).contains(&told.count()), "{log:?}");
    assert!(
        !log.iter().any(|line| line.contains("a-guess-that-is")),
        "{log:?}"
    );
}
