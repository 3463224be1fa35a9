//! Senders that mean no good or cannot do better: each request gets its 4xx, and nothing happens.

use std::time::Duration;

use billhook::app::SystemClock;
use billhook::domain::time::{Clock as _, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use crate::support::sender::{Message, raw};
use crate::support::{App, Setup, Story, spawn_app};

const SEED: u64 = 20_261_121;

/// A right order with something wrong about it, never twice the same.
fn spoilt(random: &mut StdRng) -> Message {
    let mut message = Message::of(&Story::new().paid());
    let place = random.random_range(0..message.body.len());
    match random.random_range(0..14) {
        0 => {
            let [_, _, (name, signature)] = message.signature();
            message.body[place] ^= 1 << random.random_range(0..7);
            return message.header(name, &signature);
        }
        1 => {
            let [_, _, (name, signature)] = message.signature();
            message.body.truncate(place);
            return message.header(name, &signature);
        }
        2 => {
            message.signed =
                Timestamp::from_seconds(random.random_range(-5_000_000_000..1_700_000_000));
        }
        3 => {
            message.signed = SystemClock
                .now()
                .plus(Duration::from_secs(random.random_range(310..90_000_000)));
        }
        4 => return message.header("webhook-signature", &noise(random)),
        5 => return message.header("webhook-timestamp", &noise(random)),
        6 => return message.header("webhook-id", &noise(random)),
        7 => message.source = noise(random).replace(['/', '?', '#', '%', '.', '\\', ' '], "x"),
        8 => message.body.truncate(place.max(1)),
        9 => {
            message.body = (0..random.random_range(0..300))
                .map(|_| random.random::<u8>())
                .collect();
        }
        10 => message.body = "[{\"a\":".repeat(random.random_range(1..3000)).into_bytes(),
        11 => {
            message.body = json!({"type": "order.paid", "services": random.random::<u32>()})
                .to_string()
                .into_bytes();
        }
        12 => message.content_type = Some(format!("text/{}", random.random::<u16>())),
        _ => message.body = vec![b'x'; 70_000 + random.random_range(0..100_000)],
    }
    message
}

fn noise(random: &mut StdRng) -> String {
    (0..random.random_range(1..60))
        .map(|_| char::from(random.random_range(33..127_u8)))
        .collect()
}

async fn nothing_happened(app: &App) {
    assert_eq!(
        app.suppliers.snapshot().requests,
        0,
        "nothing may happen upstream"
    );
    assert_eq!(app.api.all("/runs").await.len(), 0);
    assert_eq!(app.api.all("/deliveries?verdict=accepted").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn six_hundred_spoilt_requests_each_get_their_4xx_and_nothing_happens() {
    let app = spawn_app(Setup::default().with("server.body_limit", "64KiB")).await;
    let mut random = StdRng::seed_from_u64(SEED);
    let mut seen = std::collections::BTreeMap::new();
    for number in 0..600 {
        let message = spoilt(&mut random);
        let reply = app.send(&message).await;
        assert!(
            (400..500).contains(&reply.status),
            "request {number}: {message:?} got {reply:?}"
        );
        reply.is_problem(reply.status);
        *seen.entry(reply.status).or_insert(0) += 1;
    }
    for status in [400, 401, 404, 413, 415, 422] {
        assert!(seen.contains_key(&status), "{status} never came: {seen:?}");
    }
    nothing_happened(&app).await;
    app.succeed(&Story::new().paid()).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hardly_http_gets_an_answer_or_a_hang_up_and_never_a_5xx() {
    let app = spawn_app(Setup::default().with("server.body_limit", "64KiB")).await;
    let head = "POST /webhooks/whmcs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let many = (0..400)
        .map(|n| format!("x-{n}: y\r\n"))
        .collect::<Vec<_>>()
        .concat();
    let requests: Vec<(String, &str)> = vec![
        ("\r\n\r\n".to_owned(), ""),
        ("\u{0}\u{1}\u{2}".repeat(100), ""),
        ("POST /webhooks/whmcs\r\n\r\n".to_owned(), ""),
        (format!("{head}Content-Length: -1\r\n\r\n"), "400"),
        (format!("{head}Content-Length: 99999999999999999999\r\n\r\n"), "400"),
        (format!("{head}Content-Length: 10\r\nContent-Length: 20\r\n\r\n0123456789"), "400"),
        (format!("{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), ""),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"), ""),
        (format!("{head}Content-Length: 0\r\nwebhook-id: a\r\nwebhook-id: b\r\n\r\n"), "401"),
        (format!("{head}{many}Content-Length: 0\r\n\r\n"), ""),
        (format!("{head}x-long: {}\r\nContent-Length: 0\r\n\r\n", "y".repeat(300_000)), ""),
        ("POST /webhooks/%00%ff%2e%2e HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned(), "404"),
        ("POST /webhooks/whmcs/../../api/v1/runs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned(), "4"),
    ];
    for (request, wanted) in requests {
        let answer = raw(&app.base, request.as_bytes()).await;
        let status = answer.strip_prefix("HTTP/1.1 ").unwrap_or_default();
        assert!(!status.starts_with('5'), "{request:.80}: {answer}");
        assert!(
            status.starts_with(wanted),
            "{request:.80}: wanted {wanted}, got {answer}"
        );
    }
    nothing_happened(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_makes_no_delivery() {
    let app = spawn_app(Setup::default()).await;
    for _ in 0..20 {
        let message = Message::of(&Story::new().paid());
        let headers = message
            .signature()
            .map(|(name, value)| format!("{name}: {value}\r\n"));
        let headers = headers.concat();
        let mut request = format!(
            "POST /webhooks/whmcs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
            message.body.len()
        )
        .into_bytes();
        request.extend_from_slice(&message.body[..message.body.len() - 1]);
        let mut stream = tokio::net::TcpStream::connect(app.base.trim_start_matches("http://"))
            .await
            .unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &request)
            .await
            .unwrap();
        drop(stream);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    nothing_happened(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_cannot_pass_for_another_by_name() {
    let app = spawn_app(Setup::default()).await;
    let mut evil = Story::of("666", "666", "42").paid();
    evil["customer"]["company"] = json!("Evil [whmcs:77]");
    evil["customer"]["name"] = json!("{{ config }} '; DROP TABLE runs; --");
    evil["services"][0]["options"]["Location"] = json!("{{ 7 * 7 }}");
    app.carry_out(&evil).await;
    app.succeed(&Story::new().paid()).await;
    let snapshot = app.suppliers.snapshot();
    let companies: Vec<&str> = snapshot
        .clients
        .iter()
        .map(|client| client.company.as_str())
        .collect();
    assert_eq!(
        companies,
        ["Evil (whmcs:77) [whmcs:666]", "Example 77 [whmcs:77]"]
    );
    assert_eq!(
        snapshot.devices[0].location, "{{ 7 * 7 }}",
        "what customers write is never a template"
    );
    app.finish().await;
}
