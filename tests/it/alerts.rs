//! People are told of runs that need one of them, until somebody heard it.

use std::time::Duration;

use billhook::domain::{Secret, Timestamp};
use billhook::verify::{self, Headers, Keys};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Setup, Story, spawn_app};

pub const SECRET: &str = "whsec_YWxlcnRzLWFyZS1zaWduZWQtd2l0aC10aGlzLWtleQ==";

/// Takes one request and answers it; gives its head and body.
pub async fn hear(listener: &TcpListener, answer: &str) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text.split("content-length: ").nth(1).unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            if bytes.len() >= end + 4 + length {
                let reply =
                    format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(reply.as_bytes()).await.unwrap();
                return (text[..end].to_owned(), bytes[end + 4..].to_vec());
            }
        }
        assert_ne!(read, 0, "the request broke off");
    }
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head
        .lines()
        .find(|line| line.starts_with(&format!("{name}: ")));
    line.unwrap().split_once(": ").unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_run_is_told_signed_until_it_was_heard_and_only_once_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let setup = Setup::default()
        .with("policy.protected_services", "501")
        .with(
            "alerts.url",
            &format!("http://{}/alert", listener.local_addr().unwrap()),
        )
        .with("alerts.secret", SECRET);
    let app = spawn_app(setup).await;
    let story = Story::new();
    app.succeed(&story.paid()).await;
    let runs = app.carry_out(&story.at(2, "service.suspended")).await;
    assert_eq!(runs[0]["status"], "paused");
    hear(&listener, "500 No").await;
    let (head, body) = tokio::time::timeout(Duration::from_secs(20), hear(&listener, "204 Yes"))
        .await
        .unwrap();
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(event["type"], "run.paused");
    assert_eq!(event["run_id"], runs[0]["id"]);
    assert_eq!(event["reason"], "protected");
    assert_eq!(event["error"], runs[0]["error"]);
    // Names of headers arrive in lower case; the signature does not survive that, so it is read
    // from the request as it was.
    assert!(header(&head, "webhook-signature").starts_with("v1,"));
    let keys = Keys::parse(&[Secret::new(SECRET)]).unwrap();
    let sent = header(&head, "webhook-timestamp").parse().unwrap();
    let now = Timestamp::from_seconds(sent);
    let id = header(&head, "webhook-id");
    let signature = verify::sign(&keys, id, now, &body);
    assert_eq!(signature.to_lowercase(), header(&head, "webhook-signature"));
    let headers = Headers {
        id: Some(id.as_bytes()),
        timestamp: Some(header(&head, "webhook-timestamp").as_bytes()),
        signature: Some(signature.as_bytes()),
    };
    verify::verify(&keys, &headers, &body, now, Duration::from_secs(60)).unwrap();
    let again = tokio::time::timeout(Duration::from_secs(3), hear(&listener, "200 OK")).await;
    assert!(again.is_err(), "it was heard already");
    app.leave().await;
}
