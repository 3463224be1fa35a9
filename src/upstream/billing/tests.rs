//! Tests: what leaves for a billing platform, and what its answers mean.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::*;
use crate::domain::Secret;
use crate::upstream::Upstreams;
use crate::upstream::stage::{Counting, Reply, Stage, page, settings};
use crate::verify::sign;

const SIGNING: &str = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA==";
const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

fn known() -> Value {
    json!({
        "type": "service.updated",
        "status": "active",
        "service_id": "501",
        "ip": "192.0.2.5",
        "hostname": "srv1.example.com",
        "seq": 3,
    })
}

async fn tell(upstreams: &Upstreams, body: &Value) -> Result<(), Unheard> {
    let told = Told {
        id: "rep_01hzy8k2m4n6p_3",
        service_id: "501",
        body,
    };
    let billing = upstreams.billing();
    billing.tell("whmcs", &told, NOW, &Counting).await
}

fn webhook(base: &str) -> Upstreams {
    let mut settings = settings(base);
    let report = settings.reports.get_mut("whmcs").unwrap();
    report.kind = ReportKind::Webhook;
    report.secret = Secret::new(SIGNING);
    Upstreams::new(settings).unwrap()
}

#[tokio::test]
async fn whmcs_is_told_ip_and_hostname() {
    let stage = Stage::new(|_| Reply::Json(200, json!({"result": "success"}))).await;
    let upstreams = Upstreams::new(settings(&stage.base)).unwrap();
    tell(&upstreams, &known()).await.unwrap();
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
async fn the_address_of_a_terminated_service_is_cleared_at_whmcs() {
    let stage = Stage::new(|_| Reply::Json(200, json!({"result": "success"}))).await;
    let upstreams = Upstreams::new(settings(&stage.base)).unwrap();
    let mut body = known();
    body["status"] = json!("terminated");
    tell(&upstreams, &body).await.unwrap();
    let heard = &stage.heard()[0];
    assert_eq!(heard.field("unset[]"), "dedicatedip");
    assert_eq!(heard.field("dedicatedip"), "");
    assert_eq!(heard.field("domain"), "srv1.example.com");
}

#[tokio::test]
async fn what_is_not_known_is_not_wiped_out_at_whmcs() {
    let stage = Stage::new(|_| Reply::Json(200, json!({"result": "success"}))).await;
    let upstreams = Upstreams::new(settings(&stage.base)).unwrap();
    let body = json!({"hostname": "srv1.example.com", "ip": null});
    tell(&upstreams, &body).await.unwrap();
    assert!(!stage.heard()[0].body.contains("dedicatedip"));
    tell(&upstreams, &json!({"status": "unknown"}))
        .await
        .unwrap();
    assert_eq!(stage.heard().len(), 1, "there is nothing to set");
}

#[tokio::test]
async fn a_refusal_of_one_service_is_told_from_what_concerns_all_of_whmcs() {
    let reply = Arc::new(Mutex::new(Reply::Close));
    let script = Arc::clone(&reply);
    let stage = Stage::new(move |_| std::mem::replace(&mut *script.lock().unwrap(), Reply::Close));
    let stage = stage.await;
    let upstreams = Upstreams::new(settings(&stage.base)).unwrap();
    let error = |message: &str| json!({"result": "error", "message": message});
    for (answer, fault, words) in [
        (
            Reply::Json(403, error("Invalid IP 198.51.100.7")),
            Fault::Door,
            "add 198.51.100.7 in WHMCS under General Settings",
        ),
        (
            Reply::Json(200, error("Authentication Failed")),
            Fault::Door,
            "sources.whmcs.report.identifier",
        ),
        (
            Reply::Json(200, error("Service ID Not Found")),
            Fault::Report,
            "Service ID Not Found",
        ),
        (page(200), Fault::Silence, "web page"),
        (page(503), Fault::Silence, "web page"),
        (Reply::Close, Fault::Silence, "no whole answer"),
        (Reply::Json(503, json!({})), Fault::Silence, "503"),
        (
            Reply::Json(200, json!({"odd": 1})),
            Fault::Silence,
            "includes/api.php",
        ),
    ] {
        *reply.lock().unwrap() = answer;
        let unheard = tell(&upstreams, &known()).await.unwrap_err();
        assert_eq!(unheard.fault, fault, "{unheard:?}");
        assert!(unheard.error.contains(words), "{unheard:?}");
        assert!(!unheard.error.contains("whmcs-identifier-4"), "{unheard:?}");
    }
}

#[tokio::test]
async fn a_platform_that_is_not_there_is_silent() {
    let upstreams = Upstreams::new(settings("http://127.0.0.1:1")).unwrap();
    let unheard = tell(&upstreams, &known()).await.unwrap_err();
    assert_eq!(unheard.fault, Fault::Silence);
    assert!(
        unheard.error.contains("could not be reached"),
        "{unheard:?}"
    );
}

#[tokio::test]
async fn a_webhook_is_signed_over_its_very_bytes_and_the_same_when_sent_again() {
    let stage = Stage::new(|_| Reply::Raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK".into()));
    let stage = stage.await;
    let upstreams = webhook(&stage.base);
    for _ in 0..2 {
        tell(&upstreams, &known()).await.unwrap();
    }
    let heard = stage.heard();
    assert_eq!(heard[0].body, heard[1].body);
    for heard in &heard {
        let headers = &heard.headers;
        assert_eq!(headers["webhook-id"], "rep_01hzy8k2m4n6p_3");
        let sent: i64 = headers["webhook-timestamp"].parse().unwrap();
        let at = Timestamp::from_seconds(sent);
        let keys = Keys::parse(&[Secret::new(SIGNING)]).unwrap();
        let expected = sign(&keys, &headers["webhook-id"], at, heard.body.as_bytes());
        assert_eq!(headers["webhook-signature"], expected);
        assert_eq!(heard.json(), known());
    }
}

#[tokio::test]
async fn a_receiver_that_refuses_one_report_is_told_from_one_that_refuses_all() {
    let reply = Arc::new(Mutex::new(Reply::Close));
    let script = Arc::clone(&reply);
    let stage = Stage::new(move |_| std::mem::replace(&mut *script.lock().unwrap(), Reply::Close));
    let stage = stage.await;
    let upstreams = webhook(&stage.base);
    let error = json!({"error": "no such service"});
    for (answer, fault) in [
        (Reply::Json(422, error.clone()), Fault::Report),
        (Reply::Json(404, error.clone()), Fault::Report),
        (Reply::Json(401, error.clone()), Fault::Door),
        (Reply::Json(403, error.clone()), Fault::Door),
        (Reply::Json(405, error.clone()), Fault::Door),
        (Reply::Json(500, error), Fault::Silence),
        (page(404), Fault::Silence),
        (page(200), Fault::Silence),
    ] {
        *reply.lock().unwrap() = answer;
        let unheard = tell(&upstreams, &known()).await.unwrap_err();
        assert_eq!(unheard.fault, fault, "{unheard:?}");
    }
}

#[tokio::test]
async fn the_probe_sends_a_receiver_a_signed_ping_and_whmcs_a_read() {
    let stage = Stage::new(|_| Reply::Json(200, json!({"result": "success"}))).await;
    for (upstreams, asked) in [
        (webhook(&stage.base), "whmcs: test.ping"),
        (
            Upstreams::new(settings(&stage.base)).unwrap(),
            "whmcs: GetStats",
        ),
    ] {
        let probes = upstreams.probe(NOW).await;
        let probe = probes.iter().find(|probe| probe.upstream == "billing");
        let probe = probe.unwrap();
        assert_eq!((probe.asked.as_str(), probe.result.is_ok()), (asked, true));
    }
    let heard = stage.heard();
    let ping = heard.iter().find(|one| one.json()["type"] == "test.ping");
    assert!(ping.unwrap().headers.contains_key("webhook-signature"));
}

#[tokio::test]
async fn the_probe_says_what_to_do_about_an_address_that_whmcs_does_not_know() {
    let refusal = json!({"result": "error", "message": "Invalid IP 198.51.100.7"});
    let stage = Stage::new(move |_| Reply::Json(403, refusal.clone())).await;
    let upstreams = Upstreams::new(settings(&stage.base)).unwrap();
    let probes = upstreams.probe(NOW).await;
    let probe = probes.iter().find(|probe| probe.upstream == "billing");
    let error = probe.unwrap().result.clone().unwrap_err();
    assert_eq!(
        error,
        "WHMCS refused: Invalid IP 198.51.100.7; add 198.51.100.7 in WHMCS under General Settings \
         → Security → API IP Access Restriction"
    );
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
