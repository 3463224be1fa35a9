//! What the webhook target answers: every row of the interface's table, and PHP's habits.

use std::time::Duration;

use billhook::app::SystemClock;
use billhook::domain::time::Clock as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::database::Locked;
use crate::support::events::moment;
use crate::support::sender::{Message, Reply, raw};
use crate::support::settings::OLD_SECRET;
use crate::support::world::device;
use crate::support::{App, Setup, Story, spawn_app};

/// The request in chunks, without its length.
fn in_parts(message: &Message) -> Vec<u8> {
    let mut request = b"POST /webhooks/whmcs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
        Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
        .to_vec();
    for (name, value) in message.signature() {
        let own = message.headers.iter().find(|(own, _)| own == name);
        let value = own.map_or(value, |(_, value)| value.clone());
        request.extend(format!("{name}: {value}\r\n").bytes());
    }
    request.extend(b"\r\n");
    for part in message.body.chunks(7000) {
        request.extend(format!("{:x}\r\n", part.len()).bytes());
        request.extend(part);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    request
}

async fn verdict(app: &App, delivery: &str) -> Value {
    app.api.get(&format!("/deliveries/{delivery}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_delivery_is_kept_byte_for_byte() {
    let app = spawn_app(Setup::default()).await;
    let mut event = Story::new().paid();
    event["note"] = json!("Zoë\u{1F600}");
    let message = Message::of(&event)
        .header("authorization", "Basic c2VjcmV0")
        .header("x-api-key", "k3y");
    let reply = app.send(&message).await;
    assert_eq!(
        (reply.status, reply.text("/status"), reply.runs().len()),
        (202, "accepted", 1)
    );
    app.settle().await;
    let kept = verdict(&app, &reply.delivery()).await;
    assert_eq!(kept["body"].as_str().unwrap().as_bytes(), message.body);
    assert_eq!(
        (&kept["verdict"], &kept["verification"]["result"]),
        (&json!("accepted"), &json!("verified"))
    );
    assert_eq!(kept["headers"]["webhook-id"], message.id.as_str());
    assert_eq!(
        (
            &kept["headers"]["authorization"],
            &kept["headers"]["x-api-key"]
        ),
        (&json!("***"), &json!("***"))
    );
    assert_eq!(kept["event"]["type"], "order.paid");
    assert_eq!(kept["runs"][0]["id"], reply.runs()[0].as_str());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_delivery_again_is_a_duplicate_and_another_body_a_conflict() {
    let app = spawn_app(Setup::default()).await;
    let mut message = Message::of(&Story::new().paid());
    let first = app.send(&message).await;
    message.signed = SystemClock.now().plus(Duration::from_secs(1));
    let again = app.send(&message).await;
    assert_eq!((again.status, again.text("/status")), (200, "duplicate"));
    assert_eq!(
        (again.delivery(), again.runs()),
        (first.delivery(), first.runs())
    );
    let mut other = message.clone();
    other.body.push(b' ');
    app.send(&other).await.is_problem(409);
    let mut elsewhere = message.clone();
    elsewhere.source = "other".to_owned();
    assert_eq!(
        app.send(&elsewhere).await.status,
        202,
        "ids are scoped by source"
    );
    app.settle().await;
    let verdicts: Vec<String> = app
        .api
        .all("/deliveries?source=whmcs")
        .await
        .iter()
        .map(|d| d["verdict"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        verdicts,
        ["rejected", "duplicate", "accepted"],
        "newest first, all kept"
    );
    let snapshot = app.suppliers.snapshot();
    assert_eq!(
        snapshot
            .effects
            .devices
            .values()
            .copied()
            .collect::<Vec<_>>(),
        [1, 1]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_nothing_to_do_about_is_ignored_with_a_reason() {
    let app = spawn_app(Setup::default()).await;
    let unknown_product = Story::of("501", "77", "999").paid();
    let unknown_service = Story::of("501", "77", "").at(2, "service.suspended");
    let cases = [
        (unknown_product, "999"),
        (unknown_service, "never ordered"),
        (
            json!({"type": "invoice.created", "occurred_at": moment(1)}),
            "invoice.created",
        ),
        (json!({"type": "test.ping"}), "test.ping"),
    ];
    for (event, word) in cases {
        let reply = app.send(&Message::of(&event)).await;
        assert_eq!(
            (reply.status, reply.text("/status")),
            (
                200,
                if word == "never ordered" {
                    "unknown_service"
                } else {
                    "ignored"
                }
            ),
            "{event}: {reply:?}"
        );
        assert!(reply.text("/reason").contains(word), "{reply:?}");
        assert_eq!(verdict(&app, &reply.delivery()).await["verdict"], "ignored");
    }
    assert_eq!(app.suppliers.snapshot().requests, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_are_judged_over_the_raw_bytes_with_every_secret() {
    let app = spawn_app(Setup::default()).await;
    let good = || Message::of(&json!({"type": "test.ping"}));
    let mut rotated = good();
    rotated.secret = OLD_SECRET.to_owned();
    assert_eq!(app.send(&rotated).await.status, 200);
    let [_, _, (_, signature)] = good().signature();
    let listed = good();
    let [_, _, (_, right)] = listed.signature();
    assert_eq!(
        app.send(&listed.header("webhook-signature", &format!("v1a,xyz {signature} {right}")))
            .await
            .status,
        200
    );

    let mut wrong_key = good();
    wrong_key.secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned();
    let mut stale = good();
    stale.signed = SystemClock.now().minus(Duration::from_secs(400));
    let mut future = good();
    future.signed = SystemClock.now().plus(Duration::from_secs(400));
    let foreign = good().header("webhook-signature", &signature);
    let without = |name: &str| good().header(name, "");
    let refused = [
        wrong_key,
        stale,
        future,
        foreign,
        without("webhook-id"),
        without("webhook-timestamp"),
        without("webhook-signature"),
    ];
    for message in refused {
        let reply = app.send(&message).await;
        reply.is_problem(401);
        let [_, _, (_, right)] = message.signature();
        assert!(
            !reply
                .body
                .to_string()
                .contains(right.trim_start_matches("v1,")),
            "never the right signature"
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_sources_methods_and_media_types_are_refused_by_their_own_status() {
    let app = spawn_app(Setup::default().with("server.body_limit", "4KiB")).await;
    let ping = || Message::of(&json!({"type": "test.ping"}));
    let to = |source: &str| Message {
        source: source.to_owned(),
        ..ping()
    };
    app.send(&to("fenced")).await.is_problem(403);
    app.send(&to("nobody")).await.is_problem(404);
    app.send(&Message {
        content_type: Some("text/xml".to_owned()),
        ..ping()
    })
    .await
    .is_problem(415);
    app.send(&ping().header("content-encoding", "gzip"))
        .await
        .is_problem(415);
    app.send(&Message::bytes(vec![b' '; 5000]))
        .await
        .is_problem(413);
    let chunk = format!("64\r\n{}\r\n", " ".repeat(100)).repeat(80);
    let head = "POST /webhooks/whmcs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = raw(&app.base, format!("{head}{chunk}0\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let get = app
        .http
        .get(format!("{}/webhooks/whmcs", app.base))
        .send()
        .await
        .unwrap();
    Reply::read(get).await.is_problem(405);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_wait_for_room_and_none_is_turned_away_for_it() {
    let app = spawn_app(Setup::default()).await;
    // A sender that dribbles takes the room of its own body and no more.
    let mut dribbling = TcpStream::connect(app.base.trim_start_matches("http://"))
        .await
        .unwrap();
    let head = "POST /webhooks/whmcs HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n{";
    dribbling.write_all(head.as_bytes()).await.unwrap();
    let filled = |length: usize| {
        let mut event = Story::new().paid();
        event["note"] = " ".repeat(length).into();
        event
    };
    let message = Message::of(&filled(900_000)).header("webhook-id", "msg_somebody_elses");
    let replies = futures_util::future::join_all((0..60).map(|_| app.send(&message))).await;
    for reply in replies {
        reply.is_problem(401);
    }
    // Without an announced length, in many parts, right and wrong.
    let right = Message::of(&filled(300_000));
    for (message, wanted) in [(right, "HTTP/1.1 202 "), (message, "HTTP/1.1 401 ")] {
        let answer = raw(&app.base, &in_parts(&message)).await;
        assert!(answer.starts_with(wanted), "{answer}");
    }
    app.finish().await;
}

/// Opens so many connections that announce a large body and send no more than its beginning.
async fn stalled(app: &App, count: usize, message: &Message, sent: usize) -> Vec<TcpStream> {
    let mut signature = String::new();
    for (name, value) in message.signature() {
        let own = message.headers.iter().find(|(own, _)| own == name);
        let value = own.map_or(value, |(_, value)| value.clone());
        signature.extend([name, ": ", &value, "\r\n"]);
    }
    let head = format!(
        "POST /webhooks/whmcs HTTP/1.1\r\nHost: x\r\n{signature}Content-Length: 900000\r\n\r\n{}",
        " ".repeat(sent)
    );
    let mut open = Vec::new();
    for _ in 0..count {
        let address = app.base.trim_start_matches("http://");
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        open.push(connection);
    }
    open
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_stall_by_the_hundred_keep_no_good_one_out() {
    let app = spawn_app(Setup::default()).await;
    let stranger = Message::of(&Story::new().paid()).header("webhook-signature", "none");
    let signed = Message::of(&Story::new().paid());
    for (message, sent) in [(&stranger, 200), (&signed, 200), (&signed, 20_000)] {
        let count = if sent > 200 { 60 } else { 400 };
        let open = stalled(&app, count, message, sent).await;
        let small = Story::of("600", "77", "42").at(2, "service.renewed");
        let reply = app.send(&Message::of(&small)).await;
        assert_eq!(reply.status, 200, "{sent}: {reply:?}");
        let mut large = Story::of("600", "77", "42").at(3, "service.renewed");
        large["note"] = " ".repeat(900_000).into();
        let reply = app.send(&Message::of(&large)).await;
        assert_eq!(reply.status, 200, "{sent}: {reply:?}");
        drop(open);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_body_is_400_and_a_wrong_field_422_with_its_pointer() {
    let app = spawn_app(Setup::default()).await;
    let too_deep = "[".repeat(20_000);
    for body in [
        "",
        "null",
        "[]",
        "{",
        "{\"type\":\"a\",\"type\":\"b\"}",
        "\u{feff}{}",
        too_deep.as_str(),
    ] {
        app.send(&Message::bytes(body)).await.is_problem(400);
    }
    app.send(&Message::bytes(b"{\"type\": \"\xff\"}".to_vec()))
        .await
        .is_problem(400);
    let wrong = |pointer: &str, value: Value| {
        let mut event = Story::new().paid();
        *event.pointer_mut(pointer).unwrap() = value;
        (event, pointer.to_owned())
    };
    let mut without_time = Story::new().paid();
    without_time.as_object_mut().unwrap().remove("occurred_at");
    let cases = [
        wrong("/type", json!(7)),
        wrong("/occurred_at", json!("yesterday")),
        (without_time, "/occurred_at".to_owned()),
        wrong("/customer", Value::Null),
        wrong("/customer/id", json!("")),
        wrong("/customer/email", json!("not an address")),
        wrong("/services", json!([])),
        wrong("/services/0/id", json!({"a": 1})),
        wrong("/services/0/product_id", json!("")),
        wrong("/services/0/quantity", json!("many")),
        wrong("/services/0/options", json!("x")),
    ];
    for (event, pointer) in cases {
        let reply = app.send(&Message::of(&event)).await;
        reply.is_problem(422);
        assert_eq!(reply.text("/pointer"), pointer, "{reply:?}");
        assert!(!reply.text("/detail").is_empty());
    }
    assert_eq!(app.suppliers.snapshot().requests, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phps_habits_are_understood() {
    let app = spawn_app(Setup::default()).await;
    let event = json!({
        "type": "order.paid",
        "occurred_at": "0000-00-00 00:00:00",
        "order_id": 1001,
        "customer": {"id": 77, "email": "ann@example.com", "name": "Ann &amp; Bob &#039;Lee&#039;", "company": "&lt;Example&gt; &amp;amp; Co"},
        "services": [{"id": 501, "product_id": "42", "hostname": "srv1.example.com", "billing_cycle": "Monthly",
                      "quantity": "1", "options": [], "fields": []}],
    });
    app.succeed(&event).await;
    let snapshot = app.suppliers.snapshot();
    assert_eq!(
        snapshot.clients[0].company, "<Example> &amp; Co [whmcs:77]",
        "decoded once"
    );
    assert_eq!(snapshot.sub_users[0].name, "Ann & Bob 'Lee'");
    assert_eq!(device(&snapshot, "billhook:whmcs:501").location, "TPA1");
    assert_eq!(app.api.service("501").await["customer_id"], "77");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_written_is_503_and_the_sender_is_told_to_come_again() {
    let app = spawn_app(Setup::default()).await;
    let other = Locked::hold(app.folder()).await;
    let message = Message::of(&Story::new().paid());
    let reply = app.send(&message).await;
    reply.is_problem(503);
    let again = reply.headers.iter().find(|(name, _)| name == "retry-after");
    assert!(
        again.is_some_and(|(_, seconds)| seconds.parse::<u64>().is_ok()),
        "{reply:?}"
    );
    assert!(
        !reply.body.to_string().contains("locked"),
        "a stranger need not know why"
    );
    other.release().await;
    assert_eq!(
        app.send(&message).await.status,
        202,
        "the same delivery is taken in now"
    );
    app.settle().await;
    assert_eq!(app.api.service("501").await["status"], "active");
    app.finish().await;
}
