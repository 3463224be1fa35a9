//! Tests: reports.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::*;
use crate::upstream::Upstreams;
use crate::upstream::stage::{Reply, Set, Stage, action, page, settings};

const SIGNING: &str = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA==";

fn set() -> Set {
    let mut set = Set::new();
    set.service.ip = Some("192.0.2.5".to_owned());
    set.service.hostname = Some("srv1.example.com".to_owned());
    set
}

#[tokio::test]
async fn whmcs_is_told_ip_and_hostname() {
    let stage = Stage::new(|_| Reply::Json(200, json!({"result": "success"}))).await;
    let upstreams = Upstreams::new(settings(&stage.base)).unwrap();
    let outcome = set().outcome(&upstreams, &action("billing.report")).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    let heard = &stage.heard()[0];
    let fields = [
        "action",
        "serviceid",
        "dedicatedip",
        "domain",
        "responsetype",
        "identifier",
    ];
    assert_eq!(
        fields.map(|name| heard.field(name)),
        [
            "UpdateClientProduct",
            "501",
            "192.0.2.5",
            "srv1.example.com",
            "json",
            "whmcs-identifier-4"
        ]
    );
}

#[tokio::test]
async fn what_is_not_known_is_not_wiped_out_at_whmcs() {
    let stage = Stage::new(|_| Reply::Json(200, json!({"result": "success"}))).await;
    let upstreams = Upstreams::new(settings(&stage.base)).unwrap();
    Set::new()
        .outcome(&upstreams, &action("billing.report"))
        .await;
    assert!(!stage.heard()[0].body.contains("dedicatedip"));
}

#[tokio::test]
async fn whmcs_refusing_is_a_rejection_and_anything_unclear_is_tried_again() {
    let reply = Arc::new(Mutex::new(Reply::Close));
    let script = Arc::clone(&reply);
    let stage = Stage::new(move |_| std::mem::replace(&mut *script.lock().unwrap(), Reply::Close));
    let stage = stage.await;
    let upstreams = Upstreams::new(settings(&stage.base)).unwrap();
    let refusal = json!({"result": "error", "message": "Invalid IP"});
    for status in [200, 400, 403] {
        *reply.lock().unwrap() = Reply::Json(status, refusal.clone());
        let outcome = set().outcome(&upstreams, &action("billing.report")).await;
        assert!(matches!(outcome, Outcome::Rejected(ref why) if why.contains("Invalid IP")));
    }
    for unclear in [
        page(200),
        page(500),
        Reply::Close,
        Reply::Json(200, json!({"odd": 1})),
    ] {
        *reply.lock().unwrap() = unclear;
        let outcome = set().outcome(&upstreams, &action("billing.report")).await;
        assert!(
            matches!(outcome, Outcome::Unavailable { .. }),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_source_without_a_report_is_done_at_once() {
    let mut settings = settings("http://127.0.0.1:1");
    settings.reports.clear();
    let upstreams = Upstreams::new(settings).unwrap();
    let outcome = Set::new()
        .outcome(&upstreams, &action("billing.report"))
        .await;
    assert!(matches!(outcome, Outcome::AlreadySo(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_webhook_is_signed_over_its_very_bytes() {
    let stage = Stage::new(|_| Reply::Raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK".into()));
    let stage = stage.await;
    let mut settings = settings(&stage.base);
    let report = settings.reports.get_mut("whmcs").unwrap();
    report.kind = ReportKind::Webhook;
    report.secret = Secret::new(SIGNING);
    let upstreams = Upstreams::new(settings).unwrap();
    let outcome = set().outcome(&upstreams, &action("billing.report")).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    let heard = &stage.heard()[0];
    let headers = &heard.headers;
    let at = set().now;
    assert_eq!(headers["webhook-timestamp"], at.seconds().to_string());
    let keys = Keys::parse(&[Secret::new(SIGNING)]).unwrap();
    let expected = sign(&keys, &headers["webhook-id"], at, heard.body.as_bytes());
    assert_eq!(headers["webhook-signature"], expected);
    assert_eq!(heard.json()["status"], "active");
    assert_eq!(heard.json()["service_id"], "501");
}

#[test]
fn a_webhook_secret_in_another_form_is_refused_by_name() {
    let mut settings = settings("http://127.0.0.1:1");
    let report = settings.reports.get_mut("whmcs").unwrap();
    report.kind = ReportKind::Webhook;
    report.secret = Secret::new("whsec_short");
    let error = Upstreams::new(settings).err().unwrap().to_string();
    assert!(error.contains("sources.whmcs.report.secret"), "{error}");
}
