//! Tests: the classification, whole.

use super::*;

const READ: Expect = Expect {
    intent: Intent::Read,
    body: Body::Json,
    meanings: &[404],
    credentials: Credentials::HivelocityFor(35),
};
const WRITE: Expect = Expect {
    intent: Intent::Write,
    body: Body::Json,
    meanings: &[404],
    credentials: Credentials::HivelocityFor(35),
};

fn now() -> Timestamp {
    Timestamp::parse("2026-11-21T21:50:00Z").unwrap()
}

fn raw(status: u16, kind: &str, body: &str) -> Received {
    let (content_type, body) = (kind.to_owned(), body.to_owned());
    Received::Answered(Raw::new(status, content_type, None, body))
}

/// What a case came to: its first letters stand for themselves.
fn verdict(expect: &Expect, received: &Received) -> String {
    match classify("Hivelocity", expect, received.clone(), now()) {
        Ok(answer) => format!("answer {}", answer.status),
        Err(Setback::KeyRefused(_)) => "key refused".to_owned(),
        Err(Setback::Refused { refusal, .. }) => format!("{} (account)", refusal.cause.name()),
        Err(Setback::ClientRefused { refusal, .. }) => format!("{} (client)", refusal.cause.name()),
        Err(Setback::Rejected(_)) => "rejected".to_owned(),
        Err(Setback::Unavailable {
            retry_after: None, ..
        }) => "unavailable".to_owned(),
        Err(Setback::Unavailable {
            retry_after: Some(pause),
            ..
        }) => {
            format!("unavailable {}", pause.as_secs())
        }
        Err(Setback::Ambiguous(_)) => "ambiguous".to_owned(),
        Err(Setback::Withheld) => "withheld".to_owned(),
        Err(Setback::NeedsPerson(_)) => "needs person".to_owned(),
        Err(Setback::Held(away)) => {
            assert_eq!(away.because, Because::Asked);
            format!("held {}", away.until.since(now()).as_secs())
        }
    }
}

#[test]
fn every_way_a_request_can_end_has_its_meaning() {
    let json = "application/json";
    let (unclear_read, unclear_write) = ("unavailable", "ambiguous");
    let mut cases = vec![
        (
            Received::Unsent("refused".into()),
            "unavailable",
            "unavailable",
        ),
        (Received::Lost("reset".into()), unclear_read, unclear_write),
        (raw(200, json, "{}"), "answer 200", "answer 200"),
        (raw(201, "", "[]"), "answer 201", "answer 201"),
        (
            raw(200, json, "\u{feff}{\"a\":1}"),
            "answer 200",
            "answer 200",
        ),
        (raw(200, json, "{\"a\":"), unclear_read, unclear_write),
        (raw(200, "text/plain", "OK"), unclear_read, unclear_write),
        (raw(204, "", ""), unclear_read, unclear_write),
        (
            raw(400, json, "{\"message\":\"no\"}"),
            "rejected",
            "rejected",
        ),
        (raw(403, json, "{}"), "rejected", "rejected"),
        (raw(404, json, "{}"), "answer 404", "answer 404"),
        (raw(404, "", ""), "answer 404", "answer 404"),
        (
            raw(404, "text/plain", "404 page not found"),
            unclear_read,
            unclear_write,
        ),
        (raw(408, json, "{}"), unclear_read, unclear_write),
        (raw(409, json, "{}"), "rejected", "rejected"),
        (raw(422, json, "{}"), "rejected", "rejected"),
        (raw(429, json, "{}"), "held 1", "held 1"),
        (raw(429, "text/html", "<h1>1015</h1>"), "held 1", "held 1"),
    ];
    for status in [
        100, 301, 302, 304, 307, 308, 500, 501, 502, 503, 504, 520, 599, 600,
    ] {
        cases.push((raw(status, json, "{}"), unclear_read, unclear_write));
    }
    for status in [200, 201, 301, 400, 401, 403, 404, 500, 502, 503] {
        for page in [
            raw(status, "text/html; charset=utf-8", "down for maintenance"),
            raw(status, json, "  <html>"),
            raw(status, "", "<?xml version=\"1.0\"?>"),
        ] {
            cases.push((page, unclear_read, unclear_write));
        }
    }
    for (received, read, write) in cases {
        assert_eq!(verdict(&READ, &received), read, "read {received:?}");
        assert_eq!(verdict(&WRITE, &received), write, "write {received:?}");
    }
}

#[test]
fn an_empty_body_is_enough_only_where_the_step_says_so() {
    let optional = Expect {
        body: Body::JsonOrNothing,
        ..WRITE
    };
    let anything = Expect {
        body: Body::Anything,
        ..WRITE
    };
    assert_eq!(verdict(&optional, &raw(204, "", "")), "answer 204");
    assert_eq!(verdict(&optional, &raw(201, "", "half {")), "ambiguous");
    assert_eq!(
        verdict(&anything, &raw(200, "text/plain", "thanks")),
        "answer 200"
    );
    assert_eq!(
        verdict(&anything, &raw(200, "text/html", "thanks")),
        "ambiguous"
    );
}

#[test]
fn retry_after_is_kept_as_seconds_or_date_for_an_hour_at_most() {
    for (text, seconds) in [
        ("7", "unavailable 7"),
        (" 120 ", "unavailable 120"),
        ("86400", "unavailable 3600"),
        ("99999999999999999999", "unavailable"),
        ("-5", "unavailable"),
        ("soon", "unavailable"),
        ("Sat, 21 Nov 2026 21:51:30 GMT", "unavailable 90"),
        ("Sat, 21 Nov 2026 21:40:00 GMT", "unavailable 0"),
        ("Sun, 22 Nov 2026 21:50:00 GMT", "unavailable 3600"),
    ] {
        let limited = |status| {
            let patience = Some(text.to_owned());
            Received::Answered(Raw::new(status, String::new(), patience, "{}".to_owned()))
        };
        let held = match seconds.replace("unavailable", "held") {
            unnamed if unnamed == "held" || unnamed == "held 0" => "held 1".to_owned(),
            named => named,
        };
        assert_eq!(verdict(&WRITE, &limited(429)), held, "429 {text}");
        assert_eq!(verdict(&READ, &limited(503)), seconds, "503 {text}");
        let turned_away = if seconds == "unavailable" {
            "ambiguous"
        } else {
            seconds
        };
        assert_eq!(verdict(&WRITE, &limited(503)), turned_away, "503 {text}");
    }
}

#[test]
fn a_rejection_repeats_the_suppliers_own_words() {
    let words = |body: &str| match classify("1H", &READ, raw(400, "", body), now()) {
        Err(Setback::Rejected(words)) => words,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        words(r#"{"code":400,"message":"Invalid device parameters.","errors":{"osName":["bad"]}}"#),
        r#"1H answered 400: Invalid device parameters.; {"osName":["bad"]}"#
    );
    assert_eq!(
        words(r#"{"response":{"err_string":"no"}}"#),
        "1H answered 400: no"
    );
    assert_eq!(words("plain text"), "1H answered 400: plain text");
    assert_eq!(words(""), "1H answered 400: no reason given");
    assert!(words(&"x".repeat(5000)).len() < 400);
}

#[test]
fn what_was_only_a_means_leaves_the_step_undone() {
    let setback = Setback::Ambiguous("lost".to_owned()).of_a_means();
    assert_eq!(setback, Setback::unavailable("lost"));
}

#[test]
fn only_what_would_befall_every_request_speaks_against_the_upstream_as_a_whole() {
    let (json, html) = ("application/json", "text/html");
    let fails = [
        Received::Unsent("refused".into()),
        Received::Lost("reset".into()),
        raw(200, html, "<p>Maintenance</p>"),
        raw(404, html, "<p>No such page</p>"),
        raw(200, json, "{\"half"),
        raw(408, json, "{}"),
        raw(500, json, "{}"),
        raw(503, json, "{}"),
    ];
    let answers = [
        raw(200, json, "{}"),
        raw(204, json, ""),
        raw(301, json, ""),
        raw(400, json, "{\"message\": \"out of stock\"}"),
        raw(403, json, "forbidden"),
        raw(404, json, "{}"),
    ];
    for expect in [READ, WRITE] {
        for received in &fails {
            assert_eq!(
                health(&expect, received, now()),
                Health::Fails,
                "{received:?}"
            );
        }
        for received in &answers {
            assert_eq!(
                health(&expect, received, now()),
                Health::Answers,
                "{received:?}"
            );
        }
    }
    for (text, pause) in [
        (None, None),
        (Some("0"), None),
        (Some("Sat, 21 Nov 2026 21:40:00 GMT"), None),
        (Some("7"), Some(Duration::from_secs(7))),
    ] {
        let Received::Answered(mut limited) = raw(429, json, "{}") else {
            continue;
        };
        limited.retry_after = text.map(str::to_owned);
        let health = health(&READ, &Received::Answered(limited), now());
        assert_eq!(health, Health::Limits(pause));
    }
}

#[test]
fn what_is_about_the_account_is_told_from_what_was_asked() {
    let json = "application/json";
    let said = |status, words: &str| raw(status, json, &format!("{{\"message\": \"{words}\"}}"));
    for (received, expected) in [
        (raw(401, json, "{}"), "key_refused (account)"),
        (raw(402, json, ""), "payment_required (account)"),
        (
            said(403, "Your IP is not allowed"),
            "address_refused (account)",
        ),
        (
            said(403, "Your account is locked"),
            "account_refused (client)",
        ),
        (said(403, "This is not your device"), "rejected"),
        (
            raw(200, json, "{\"code\": 401, \"message\": \"no\"}"),
            "key_refused (account)",
        ),
    ] {
        for expect in [READ, WRITE] {
            assert_eq!(verdict(&expect, &received), expected, "{received:?}");
        }
    }
    let once = Expect {
        intent: Intent::Once,
        ..WRITE
    };
    let bare = raw(401, json, "{}");
    assert_eq!(verdict(&once, &bare), "ambiguous", "a proxy says so, too");
    let own = Expect {
        credentials: Credentials::HivelocityOf(35),
        ..WRITE
    };
    assert_eq!(verdict(&own, &bare), "key refused");
}
