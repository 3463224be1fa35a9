//! Tests of the 1H stand-in over the wire.

use serde_json::{Value, json};

use super::SandboxOptions;
use super::trial::{call, caller};

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn one_h_numbers_its_errors() {
    let caller = caller(SandboxOptions::instant()).await;
    let user = |name: &str| json!({"username": name, "password": "pw", "email": "a@example.com", "name": "Ann"});
    let licence = |product: &str, ip: &str, user: Option<&str>| json!({"product": product, "ip": ip, "username": user, "label": "srv1"});
    let portal =
        |name: &str| json!({"username": name, "ip": "45.0.0.2", "portal_domain": "p.example.com"});
    let named = |name: &str| json!({"username": name});
    for (command, params, wanted) in [
        ("add_user", user("bh1"), 0),
        ("add_user", user("bh1"), 17),
        ("add_user", user("foreign"), 17),
        ("add_user", user("bh2"), 0),
        ("add_user", named("bh3"), 14),
        ("add_user", user("b h"), 15),
        (
            "update_user",
            json!({"username": "bh1", "email": "new@example.com"}),
            0,
        ),
        ("update_user", named("master"), 56),
        ("update_user", named("foreign"), 22),
        ("suspend_user", named("master"), 44),
        ("unsuspend_user", named("master"), 46),
        ("add_license", licence("Hive", "45.0.0.2", Some("bh1")), 0),
        ("add_license", licence("Hive", "45.0.0.2", Some("bh1")), 34),
        (
            "add_license",
            licence("Guardian", "45.0.0.2", Some("bh2")),
            32,
        ),
        ("add_license", licence("Guardian", "45.0.0.2", None), 32),
        ("add_license", licence("Hive", "45.0.0.9", None), 0),
        ("add_license", licence("Hive", "here", None), 15),
        ("add_license", licence("Beehive", "45.0.0.2", None), 15),
        ("add_license", licence("Hive", "45.0.0.3", Some("bh9")), 22),
        ("remove_license", licence("Hive", "45.0.0.3", None), 38),
        ("get_licenses", named("bh9"), 22),
        ("update_portal", portal("bh1"), 52),
        ("add_portal", portal("bh1"), 0),
        ("add_portal", portal("bh1"), 48),
        ("update_portal", named("bh1"), 14),
        (
            "update_portal",
            json!({"username": "bh1", "ip": "45.0.0.3"}),
            0,
        ),
        ("suspend_user", named("bh1"), 0),
        ("do_magic", json!([]), 11),
    ] {
        assert_eq!(
            caller.one_h(command, params.clone()).await,
            wanted,
            "{command} {params}"
        );
    }
    let all = caller
        .one_h_raw(&call("get_licenses", &json!({"username": null})))
        .await;
    assert_eq!(
        all["response"]["licenses"].as_array().map(Vec::len),
        Some(2)
    );
    let own = caller
        .one_h_raw(&call("get_licenses", &json!({"username": "bh1"})))
        .await;
    assert_eq!(own["response"]["licenses"][0]["license_ip"], "45.0.0.2");
    assert_eq!(own["response"]["licenses"][0]["active"], "0");
    let seen = caller.sandbox.snapshot();
    assert_eq!(seen.effects.licences["Hive@45.0.0.2"], 1);
    assert_eq!(seen.sub_users[0].email, "new@example.com");
    assert_eq!(seen.portals[0].ip, "45.0.0.3");
}

#[tokio::test]
async fn one_h_wants_a_form_with_credentials() {
    let caller = caller(SandboxOptions::instant()).await;
    let full = call("get_licenses", &json!([]));
    let number = |answer: &Value| answer["response"]["err_no"].as_u64();
    for (part, wanted) in [("payload", 4), ("auth_code", 6), ("api_key", 6)] {
        let mut less = full.clone();
        less.as_object_mut().unwrap().remove(part);
        assert_eq!(
            number(&caller.one_h_raw(&less).await),
            Some(wanted),
            "{part}"
        );
    }
    for (part, wanted) in [("payload", 5), ("auth_code", 7), ("api_key", 8)] {
        let mut wrong = full.clone();
        wrong[part] = if part == "payload" {
            json!({})
        } else {
            json!("wrong")
        };
        assert_eq!(
            number(&caller.one_h_raw(&wrong).await),
            Some(wanted),
            "{part}"
        );
    }
    let url = caller.sandbox.one_h_url();
    let got: Value = caller
        .http
        .get(&url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(number(&got), Some(1));
    let posted = caller.http.post(&url).json(&full).send().await.unwrap();
    assert_eq!(number(&posted.json().await.unwrap()), Some(2));
    let form = [("request", "{")];
    let posted = caller.http.post(&url).form(&form).send().await.unwrap();
    assert_eq!(number(&posted.json().await.unwrap()), Some(3));
}
