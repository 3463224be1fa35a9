//! Tests: suppliers that are slow, busy or gone, as the clients meet them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stage::{Counting, Heard, Reply, Set, Stage, action, create_client, deploy, settings};
use super::{BreakerRules, Upstreams};
use crate::domain::{Because, Cause, Outcome, Permit, StepAction, Timestamp};

const BREAKER: BreakerRules = BreakerRules {
    after: 3,
    first: Duration::from_secs(10),
    longest: Duration::from_secs(10),
};

fn with_breaker(stage: &Stage) -> Upstreams {
    let mut settings = settings(&stage.base);
    settings.hivelocity.breaker = BREAKER;
    settings.one_h.breaker = BREAKER;
    Upstreams::new(settings).unwrap()
}

fn hasty(stage: &Stage) -> Upstreams {
    let mut settings = settings(&stage.base);
    settings.step_timeout = Duration::from_millis(400);
    Upstreams::new(settings).unwrap()
}

fn looks_fine(heard: &Heard, write: impl FnOnce() -> Reply) -> Reply {
    match heard.method.as_str() {
        "GET" => Reply::Json(200, json!([])),
        _ => write(),
    }
}

#[tokio::test]
async fn an_attempt_that_is_cut_off_in_a_look_is_surely_not_done() {
    let stage = Stage::new(|_| Reply::Stall).await;
    let left = Set::new().perform(&hasty(&stage), &create_client()).await;
    let Outcome::Unavailable { error, .. } = &left.outcome else {
        panic!("{:?}", left.outcome)
    };
    assert!(error.contains("took longer than 400ms"), "{error}");
    assert_eq!(left.trace.len(), 1, "the look that had no answer is kept");
    assert_eq!(left.trace[0].response, Value::Null);
}

#[tokio::test]
async fn an_attempt_that_is_cut_off_in_a_write_may_be_done() {
    let stage = Stage::new(|heard| looks_fine(heard, || Reply::Stall)).await;
    let left = Set::new().perform(&hasty(&stage), &create_client()).await;
    assert!(
        matches!(left.outcome, Outcome::Ambiguous(_)),
        "{:?}",
        left.outcome
    );
    assert_eq!(left.trace.len(), 2);
    assert_eq!(left.trace[1].request["method"], "POST");
    assert_eq!(left.trace[1].response, Value::Null);
}

#[tokio::test]
async fn an_attempt_that_is_cut_off_after_a_write_that_went_well_may_be_done() {
    // The route is set, and looking whether it is takes too long.
    let posted = AtomicBool::new(false);
    let stage = Stage::new(move |heard| match heard.method.as_str() {
        "POST" => {
            posted.store(true, Ordering::SeqCst);
            Reply::Json(201, json!({}))
        }
        _ if posted.load(Ordering::SeqCst) => Reply::Stall,
        _ if heard.path.ends_with("/9") => Reply::Json(200, json!({"deviceId": 9, "tags": []})),
        _ => Reply::Json(200, json!([{"version": 4, "usableIps": ["192.0.2.5"]}])),
    })
    .await;
    let mut set = Set::with_client(35);
    set.service.device_id = Some(9);
    let step = action("hivelocity.null_route");
    let outcome = set.outcome(&hasty(&stage), &step).await;
    assert!(matches!(outcome, Outcome::Ambiguous(_)), "{outcome:?}");
}

/// A supplier that can be switched off and on.
async fn switched(up: Arc<AtomicBool>, status: u16) -> Stage {
    Stage::new(move |_| {
        if up.load(Ordering::SeqCst) {
            Reply::Json(200, json!([]))
        } else {
            Reply::Json(status, json!({"message": "down primary-api-key-1"}))
        }
    })
    .await
}

async fn admitted(upstreams: &Upstreams, action: &StepAction, now: Timestamp) -> bool {
    upstreams
        .admit((action, Permit::Send), 1, now, &Counting)
        .await
        .is_none()
}

#[tokio::test]
async fn a_supplier_that_fails_is_left_alone_and_asked_once_when_the_time_has_come() {
    let up = Arc::new(AtomicBool::new(false));
    let stage = switched(Arc::clone(&up), 500).await;
    let upstreams = with_breaker(&stage);
    let set = Set::new();
    let (step, other) = (create_client(), action("one_h.add_user"));
    for _ in 0..3 {
        set.outcome(&upstreams, &step).await;
    }
    let asked = stage.heard().len();
    let away = upstreams
        .admit((&step, Permit::Send), 1, set.now, &Counting)
        .await
        .unwrap();
    assert_eq!(away.because, Because::Silent);
    let error = away.error.unwrap();
    assert!(error.contains("500") && error.contains("***"), "{error}");
    assert_eq!(
        upstreams.standing(set.now),
        [("hivelocity", true), ("one_h", false)]
    );
    assert!(
        admitted(&upstreams, &other, set.now).await,
        "1H is another supplier"
    );
    assert_eq!(stage.heard().len(), asked, "nothing is sent meanwhile");

    // Still down: one look, whoever asks.
    let mut later = set.now.plus(Duration::from_secs(20));
    for _ in 0..5 {
        assert!(!admitted(&upstreams, &step, later).await);
    }
    assert_eq!(stage.heard().len(), asked + 1);

    // Back: a waiting run finds out, then the next look.
    up.store(true, Ordering::SeqCst);
    later = later.plus(Duration::from_secs(20));
    assert!(admitted(&upstreams, &step, later).await);
    assert!(
        !admitted(&upstreams, &step, later).await,
        "one alone finds out"
    );
    let found = Set {
        now: later,
        permit: Permit::LookOnly,
        ..Set::new()
    };
    assert_eq!(found.outcome(&upstreams, &step).await, Outcome::Absent);
    assert!(admitted(&upstreams, &step, later).await);
    assert_eq!(
        upstreams.standing(later),
        [("hivelocity", false), ("one_h", false)]
    );
}

#[tokio::test]
async fn a_knock_that_is_answered_lets_the_run_through_at_once() {
    let up = Arc::new(AtomicBool::new(false));
    let stage = switched(Arc::clone(&up), 502).await;
    let upstreams = with_breaker(&stage);
    let set = Set::new();
    for _ in 0..3 {
        set.outcome(&upstreams, &create_client()).await;
    }
    up.store(true, Ordering::SeqCst);
    let later = set.now.plus(Duration::from_secs(20));
    assert!(admitted(&upstreams, &create_client(), later).await);
    assert!(admitted(&upstreams, &create_client(), later).await);
}

#[tokio::test]
async fn refusals_of_single_requests_never_open_the_breaker() {
    for status in [400, 403, 404, 409, 422] {
        let stage = switched(Arc::new(AtomicBool::new(false)), status).await;
        let upstreams = with_breaker(&stage);
        for _ in 0..6 {
            Set::new().outcome(&upstreams, &create_client()).await;
        }
        assert!(
            admitted(&upstreams, &create_client(), Set::new().now).await,
            "{status}"
        );
    }
}

#[tokio::test]
async fn one_refusal_of_the_key_holds_everything_until_a_read_is_answered() {
    let up = Arc::new(AtomicBool::new(false));
    let stage = switched(Arc::clone(&up), 401).await;
    let upstreams = with_breaker(&stage);
    let set = Set::new();
    let outcome = set.outcome(&upstreams, &create_client()).await;
    let refused = |because| matches!(because, Because::Refused(of) if of.cause == Cause::Key);
    let held = matches!(&outcome, Outcome::Held(away) if refused(away.because));
    assert!(held, "{outcome:?}");
    assert!(!admitted(&upstreams, &deploy(), set.now).await);
    let asked = stage.heard().len();
    up.store(true, Ordering::SeqCst);
    let later = set.now.plus(Duration::from_secs(20));
    assert!(admitted(&upstreams, &deploy(), later).await);
    assert_eq!(stage.heard().len(), asked + 1, "one harmless read");
    assert!(admitted(&upstreams, &create_client(), later).await);
}

#[tokio::test]
async fn a_refused_order_holds_orders_and_nothing_else_and_looks_go_on() {
    let stage = Stage::new(|heard| {
        looks_fine(heard, || {
            Reply::Json(402, json!({"message": "Payment required"}))
        })
    })
    .await;
    let upstreams = with_breaker(&stage);
    let set = Set::new();
    let outcome = set.outcome(&upstreams, &create_client()).await;
    assert!(matches!(outcome, Outcome::Held(_)), "{outcome:?}");
    assert!(!admitted(&upstreams, &create_client(), set.now).await);
    assert!(admitted(&upstreams, &action("hivelocity.power"), set.now).await);
    let step = create_client();
    let looks = (&step, Permit::LookOnly);
    let away = upstreams.admit(looks, 1, set.now, &Counting).await;
    assert_eq!(away, None);
    // One run finds out, and may go on with that.
    let later = set.now.plus(Duration::from_secs(20));
    assert!(admitted(&upstreams, &step, later).await);
    assert!(admitted(&upstreams, &step, later).await);
    let sends = (&step, Permit::Send);
    let other = upstreams.admit(sends, 2, later, &Counting).await;
    assert!(other.is_some());
}

#[tokio::test]
async fn a_supplier_that_answers_some_and_fails_others_is_not_left_alone() {
    let stage = Stage::new(|heard| looks_fine(heard, || Reply::Json(500, json!({})))).await;
    let upstreams = with_breaker(&stage);
    for _ in 0..10 {
        let outcome = Set::new().outcome(&upstreams, &create_client()).await;
        assert!(matches!(outcome, Outcome::Ambiguous(_)));
    }
    assert!(admitted(&upstreams, &create_client(), Set::new().now).await);
}

#[tokio::test]
async fn patience_that_was_asked_for_holds_back_every_request_to_that_supplier() {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let stage = Stage::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        let head = "content-type: application/json\r\ncontent-length: 2\r\nretry-after: 30";
        Reply::Raw(format!(
            "HTTP/1.1 429 X\r\n{head}\r\nconnection: close\r\n\r\n{{}}"
        ))
    })
    .await;
    let upstreams = with_breaker(&stage);
    let set = Set::new();
    // One may be meant for that request alone.
    let first = set.outcome(&upstreams, &create_client()).await;
    assert!(matches!(first, Outcome::Held(_)), "{first:?}");
    assert!(admitted(&upstreams, &deploy(), set.now).await);
    let second = set.outcome(&upstreams, &create_client()).await;
    assert!(matches!(second, Outcome::Held(_)), "{second:?}");
    let away = upstreams
        .admit((&deploy(), Permit::Send), 1, set.now, &Counting)
        .await;
    assert_eq!(away.unwrap().because, Because::Asked);
    // One that had begun already is not sent either, and says so.
    let third = set.perform(&upstreams, &create_client()).await;
    let Outcome::Held(away) = third.outcome else {
        panic!("{:?}", third.outcome)
    };
    assert_eq!(away.because, Because::Asked);
    assert!(away.until >= set.now.plus(Duration::from_secs(29)));
    assert!(third.trace.is_empty());
    assert_eq!(requests.load(Ordering::SeqCst), 2);
    let later = set.now.plus(Duration::from_secs(31));
    assert!(admitted(&upstreams, &deploy(), later).await);
}

/// Answers 429 to the first requests of each method; then as a supplier without any clients.
async fn limiting(each: usize, pause: &'static str) -> Stage {
    let mut limited = HashMap::new();
    Stage::new(move |heard| {
        let times = limited.entry(heard.method.clone()).or_insert(0);
        *times += 1;
        match heard.method.as_str() {
            _ if *times <= each => Reply::Raw(format!(
                "HTTP/1.1 429 X\r\n{pause}content-type: application/json\r\ncontent-length: 12\r\n\
                 connection: close\r\n\r\n{{\"code\":429}}"
            )),
            "GET" => Reply::Json(200, json!([])),
            _ => Reply::Json(200, json!({"id": 7, "company": "Example Ltd [whmcs:77]"})),
        }
    })
    .await
}

#[tokio::test]
async fn a_limited_request_is_sent_again_within_its_attempt_after_the_pause() {
    for pause in ["retry-after: 1\r\n", ""] {
        let stage = limiting(1, pause).await;
        let began = Instant::now();
        let left = Set::new()
            .perform(&with_breaker(&stage), &create_client())
            .await;
        assert!(
            matches!(left.outcome, Outcome::Done(_)),
            "{:?}",
            left.outcome
        );
        assert!(began.elapsed() >= Duration::from_millis(1900));
        assert_eq!(stage.writes(), 2);
        let statuses: Vec<&Value> = left.trace.iter().map(|e| &e.response["status"]).collect();
        assert_eq!(statuses, [429, 200, 429, 200]);
    }
}

#[tokio::test]
async fn a_pause_that_is_none_is_no_reason_to_rush() {
    let stage = limiting(2, "retry-after: 0\r\n").await;
    let began = Instant::now();
    let outcome = Set::new()
        .outcome(&with_breaker(&stage), &create_client())
        .await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert!(began.elapsed() >= Duration::from_millis(3900));
}

#[tokio::test]
async fn an_attempt_waits_for_limits_no_longer_than_a_request_may_take() {
    let stage = limiting(usize::MAX, "retry-after: 0\r\n").await;
    let mut settings = settings(&stage.base);
    settings.hivelocity.timeout = Duration::from_millis(1500);
    let upstreams = Upstreams::new(settings).unwrap();
    let outcome = Set::new().outcome(&upstreams, &create_client()).await;
    assert!(matches!(outcome, Outcome::Held(_)), "{outcome:?}");
    let requests = stage.heard().len();
    assert!((2..=3).contains(&requests), "{requests}");
}

#[tokio::test]
async fn a_queue_that_is_too_long_sends_nothing_and_is_no_failure() {
    let stage = Stage::new(|_| Reply::Json(200, json!([]))).await;
    let mut settings = settings(&stage.base);
    settings.hivelocity.requests_per_second = 1;
    settings.hivelocity.timeout = Duration::from_millis(300);
    let upstreams = Upstreams::new(settings).unwrap();
    let set = Set {
        permit: Permit::LookOnly,
        ..Set::new()
    };
    assert_eq!(
        set.outcome(&upstreams, &create_client()).await,
        Outcome::Absent
    );
    let crowded = set.outcome(&upstreams, &create_client()).await;
    let Outcome::Held(away) = crowded else {
        panic!("{crowded:?}")
    };
    assert_eq!(away.because, Because::Crowded);
    assert_eq!(stage.heard().len(), 1);
}
