//! Tests: what happens on the wire must never make a step send its create twice, send a change
//! when only looking is allowed, or show a secret.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::Upstreams;
use super::stage::{
    CODE, Heard, IDENTIFIER, KEY, ONE_H_KEY, Reply, Set, Stage, WHMCS_SECRET, all_actions,
    create_client, half, page, settings,
};
use crate::domain::{Because, Outcome, Permit};

type Fault = fn() -> Reply;

const FAULTS: [(&str, Fault); 8] = [
    ("closed", || Reply::Close),
    ("stalled", || Reply::Stall),
    ("half a body", half),
    ("no HTTP at all", || Reply::Raw("%%%%\r\n\r\n".to_owned())),
    ("a page with 200", || page(200)),
    ("a page with 404", || page(404)),
    ("a page with 503", || page(503)),
    ("an error of its own", || {
        Reply::Json(500, json!({"message": "oops"}))
    }),
];

fn impatient(stage: &Stage) -> Upstreams {
    let mut settings = settings(&stage.base);
    settings.hivelocity.timeout = Duration::from_millis(1500);
    Upstreams::new(settings).unwrap()
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_ambiguous_and_was_sent_once() {
    for (name, fault) in FAULTS {
        let stage = Stage::new(move |heard| match heard.method.as_str() {
            "GET" => Reply::Json(200, json!([])),
            _ => fault(),
        })
        .await;
        let outcome = Set::new()
            .outcome(&impatient(&stage), &create_client())
            .await;
        assert!(
            matches!(outcome, Outcome::Ambiguous(_)),
            "{name}: {outcome:?}"
        );
        assert_eq!(stage.writes(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_look_that_fails_sends_nothing_and_is_only_unavailable() {
    for (name, fault) in FAULTS {
        let stage = Stage::new(move |_| fault()).await;
        for permit in [Permit::Send, Permit::LookOnly] {
            let set = Set {
                permit,
                ..Set::new()
            };
            let outcome = set.outcome(&impatient(&stage), &create_client()).await;
            assert!(
                matches!(outcome, Outcome::Unavailable { .. }),
                "{name}: {outcome:?}"
            );
        }
        assert_eq!(stage.writes(), 0, "{name}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_makes_a_step_unavailable() {
    let stage = Stage::new(|_| Reply::Close).await;
    let mut settings = settings(&stage.base);
    settings.hivelocity.base_url = "http://127.0.0.1:1/api".to_owned();
    let left = Set::new()
        .perform(&Upstreams::new(settings).unwrap(), &create_client())
        .await;
    assert!(
        matches!(left.outcome, Outcome::Unavailable { .. }),
        "{:?}",
        left.outcome
    );
    assert_eq!(left.trace.len(), 2);
    assert_eq!(left.trace[0].response, Value::Null);
}

#[tokio::test]
async fn a_connection_that_never_becomes_secure_counts_as_not_sent() {
    let stage = Stage::new(|_| Reply::Stall).await;
    let mut settings = settings(&stage.base.replace("http://", "https://"));
    settings.hivelocity.timeout = Duration::from_millis(1500);
    let upstreams = Upstreams::new(settings).unwrap();
    let outcome = Set::new().outcome(&upstreams, &create_client()).await;
    let Outcome::Unavailable { error, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(error.contains("could not be reached"), "{error}");
    assert!(stage.heard().is_empty());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let stage = Stage::new(|heard| match heard.method.as_str() {
        "GET" => Reply::Json(200, json!([])),
        _ => Reply::Raw(
            "HTTP/1.1 307 X\r\nlocation: /api/v2/elsewhere\r\ncontent-length: 0\r\n\r\n".to_owned(),
        ),
    })
    .await;
    let outcome = Set::new()
        .outcome(&impatient(&stage), &create_client())
        .await;
    assert!(matches!(outcome, Outcome::Ambiguous(_)), "{outcome:?}");
    assert_eq!(stage.heard().len(), 2);
}

#[tokio::test]
async fn a_limit_is_no_answer_to_a_create_and_names_its_pause() {
    let stage = Stage::new(|heard| match heard.method.as_str() {
        "GET" => Reply::Json(200, json!([])),
        _ => Reply::Json(429, json!({"message": "slow down"})),
    })
    .await;
    let set = Set::new();
    let outcome = set.outcome(&impatient(&stage), &create_client()).await;
    let Outcome::Held(away) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(away.because, Because::Asked);
    let pause = away.until.since(set.now);
    assert!(pause >= Duration::from_secs(7), "{pause:?}");
    assert!(pause < Duration::from_secs(8), "{pause:?}");
    assert_eq!(stage.writes(), 1);
}

#[tokio::test]
async fn requests_keep_the_pace() {
    let stage = Stage::new(|_| Reply::Json(200, json!([]))).await;
    let mut settings = settings(&stage.base);
    settings.hivelocity.requests_per_second = 10;
    let upstreams = Upstreams::new(settings).unwrap();
    let set = Set {
        permit: Permit::LookOnly,
        ..Set::new()
    };
    let began = std::time::Instant::now();
    for _ in 0..15 {
        assert_eq!(
            set.outcome(&upstreams, &create_client()).await,
            Outcome::Absent
        );
    }
    assert!(
        began.elapsed() >= Duration::from_millis(400),
        "{:?}",
        began.elapsed()
    );
}

/// Answers every look with something, so that each step gets as far as it can.
fn talkative(heard: &Heard) -> Reply {
    if heard.path == "/partners" {
        let request: Value = serde_json::from_str(&heard.field("request")).unwrap();
        let licence =
            json!({"product": "Hive", "license_ip": "192.0.2.5", "user": "bh1", "active": "1"});
        return match request["payload"]["command"].as_str().unwrap() {
            "get_licenses" if request["payload"]["params"]["username"].is_null() => Reply::Json(
                200,
                json!({"response_code": 1, "response": {"licenses": [licence]}}),
            ),
            "get_licenses" => {
                Reply::Json(200, json!({"response_code": 0, "response": {"err_no": 22}}))
            }
            _ => Reply::Json(200, json!({"response_code": 1, "response": []})),
        };
    }
    let device = json!({"deviceId": 9, "orderId": 8, "primaryIp": "192.0.2.5", "powerStatus": "ON",
        "tags": ["x"], "hostname": "a.example.com"});
    match (heard.method.as_str(), heard.path.as_str()) {
        ("GET", "/account/controlled-client" | "/bare-metal-devices/" | "/network/null-route") => {
            Reply::Json(200, json!([]))
        }
        ("GET", "/token/") => Reply::Json(200, json!([{"token": "****1234"}])),
        ("GET", "/device/9/ips") => Reply::Json(200, json!([{"version": 4, "usableIps": []}])),
        ("GET", _) => Reply::Json(200, device),
        _ => Reply::Json(200, json!({})),
    }
}

#[tokio::test]
async fn looking_only_never_sends_a_change_whatever_the_step() {
    for act_as_token in [false, true] {
        let stage = Stage::new(talkative).await;
        let mut settings = settings(&stage.base);
        settings.hivelocity.act_as_token = act_as_token;
        let upstreams = Upstreams::new(settings).unwrap();
        for action in all_actions() {
            let mut set = Set {
                permit: Permit::LookOnly,
                ..Set::with_client(35)
            };
            set.service.ip = Some("192.0.2.5".to_owned());
            set.service.device_id = (action.kind() != "hivelocity.deploy_device").then_some(9);
            set.outcome(&upstreams, &action).await;
        }
        for heard in stage.heard() {
            let harmless = heard.method == "GET" || heard.field("request").contains("get_licenses");
            assert!(harmless, "{}", heard.line());
        }
    }
}

/// Repeats every secret of the configuration, and whatever it was sent.
fn echo(status: u16, heard: &Heard) -> Reply {
    let known = [KEY, CODE, ONE_H_KEY, IDENTIFIER, WHMCS_SECRET].join(" and ");
    let (key, request) = (heard.headers.get("x-api-key"), heard.field("request"));
    let said = format!("{known} and {key:?} and {request}");
    let number = if request.contains("get_licenses") {
        22
    } else {
        7
    };
    let body = json!({"message": said, "response_code": 0, "result": "error",
        "response": {"err_no": number, "err_string": said}, "password": "other-secret-8",
        "nested": [{"apiKey": "other-secret-8"}]});
    Reply::Json(status, body)
}

#[tokio::test]
async fn no_secret_is_ever_in_the_trace_or_in_the_outcome() {
    let (token, password) = (
        "minted-client-token-6",
        Set::vault().derive("one_h_password:bh1"),
    );
    let secrets = [
        KEY,
        CODE,
        ONE_H_KEY,
        IDENTIFIER,
        WHMCS_SECRET,
        token,
        password.reveal(),
    ];
    let stage = Stage::new(
        move |heard| match (heard.method.as_str(), heard.path.as_str()) {
            ("GET", "/token/") => Reply::Json(200, json!([{"token": "****1234"}])),
            ("POST", "/token/") => Reply::Json(200, json!({"token": token})),
            ("GET", "/bare-metal-devices/") => Reply::Json(200, json!([])),
            ("GET", _) => echo(200, heard),
            _ => echo(400, heard),
        },
    )
    .await;
    let mut settings = settings(&stage.base);
    settings.hivelocity.act_as_token = true;
    let upstreams = Upstreams::new(settings).unwrap();
    let mut kept = String::new();
    for action in all_actions() {
        let mut set = Set::with_client(35);
        set.service.ip = Some("192.0.2.5".to_owned());
        set.service.device_id = (action.kind() != "hivelocity.deploy_device").then_some(9);
        let left = set.perform(&upstreams, &action).await;
        kept.push_str(&serde_json::to_string(&left.trace).unwrap());
        write!(kept, "{:?} {:?}", left.outcome, left.learned).unwrap();
    }
    for probe in upstreams
        .probe(crate::domain::Timestamp::from_seconds(1_795_000_000))
        .await
    {
        write!(kept, "{probe:?}").unwrap();
    }
    let heard = stage.heard();
    assert!(
        heard
            .iter()
            .any(|heard| heard.headers.get("x-api-key").is_some_and(|k| k == token))
    );
    assert!(
        heard
            .iter()
            .any(|heard| heard.field("request").contains(password.reveal()))
    );
    for secret in secrets.iter().copied().chain(["other-secret-8"]) {
        assert!(!kept.contains(secret), "{secret} is shown");
    }
    assert!(kept.contains("***"));
}

#[tokio::test]
async fn an_upstream_without_credentials_rejects_its_steps_and_names_the_setting() {
    let mut settings = settings("http://127.0.0.1:1");
    settings.hivelocity.api_key = crate::domain::Secret::default();
    settings.one_h.auth_code = crate::domain::Secret::default();
    let upstreams = Upstreams::new(settings).unwrap();
    for action in all_actions() {
        let outcome = Set::new().outcome(&upstreams, &action).await;
        match action.upstream() {
            // Of an older version: nothing is sent for it.
            "billing" => assert!(matches!(outcome, Outcome::AlreadySo(_))),
            _ => assert!(matches!(outcome, Outcome::Rejected(ref why) if why.contains("not set"))),
        }
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_by_name() {
    let mut wrong = settings("http://127.0.0.1:1");
    wrong.hivelocity.base_url = "ftp://127.0.0.1".to_owned();
    let error = Upstreams::new(wrong).err().unwrap().to_string();
    assert!(error.contains("hivelocity.base_url"), "{error}");
    let mut wrong = settings("http://127.0.0.1:1");
    wrong.hivelocity.api_key = crate::domain::Secret::new("two\nlines");
    let error = Upstreams::new(wrong).err().unwrap().to_string();
    assert!(error.contains("hivelocity.api_key"), "{error}");
}

#[tokio::test]
async fn probing_tells_what_answers_and_changes_nothing() {
    let stage = Stage::new(talkative).await;
    let probes = Upstreams::new(settings(&stage.base))
        .unwrap()
        .probe(crate::domain::Timestamp::from_seconds(1_795_000_000))
        .await;
    let results: Vec<_> = probes
        .iter()
        .map(|p| (p.upstream, p.result.is_ok()))
        .collect();
    assert_eq!(
        results,
        [
            ("hivelocity", true),
            ("hivelocity", true),
            ("one_h", true),
            ("billing", false)
        ]
    );
}
