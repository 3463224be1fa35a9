//! Tests of faults, of the wire and of the end of a sandbox.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::json;

use super::trial::{Told, call, caller, server};
use super::{Fault, SandboxOptions};

#[tokio::test]
async fn a_lost_answer_may_or_may_not_mean_a_device() {
    let caller = caller(SandboxOptions::instant()).await;
    let order = || caller.try_send(Method::POST, "/bare-metal-devices/", Some(server("TPA1")));
    let count = || caller.sandbox.snapshot().devices.len();
    let next = |fault: Fault| {
        caller
            .sandbox
            .fail_next("POST /bare-metal-devices/", fault, 1);
    };

    assert_eq!(
        order().await.unwrap().0,
        201,
        "so that the connection is a kept one"
    );
    next(Fault::DroppedBefore);
    let error = order().await.unwrap_err();
    assert!(error.status().is_none() && !error.is_timeout(), "{error:?}");
    assert_eq!(count(), 1);
    next(Fault::DoneThenDropped);
    assert!(order().await.unwrap_err().status().is_none());
    assert_eq!(count(), 2);
    next(Fault::DoneThenHtmlPage502);
    assert_eq!(order().await.unwrap().0, 502);
    assert_eq!(count(), 3);
    next(Fault::HtmlPage200);
    let (status, page) = order().await.unwrap();
    assert!(status == 200 && page.starts_with("<html>"));
    assert_eq!(count(), 3);
    assert_eq!(
        caller.sandbox.snapshot().effects.devices["billhook:whmcs:501"],
        3
    );
}

#[tokio::test]
async fn what_was_done_may_look_undone_and_the_other_way_round() {
    let caller = caller(SandboxOptions::instant()).await;
    let next = |fault: Fault| {
        caller
            .sandbox
            .fail_next("POST /bare-metal-devices/", fault, 1);
    };
    let order = || caller.try_send(Method::POST, "/bare-metal-devices/", Some(server("TPA1")));
    let count = || caller.sandbox.snapshot().devices.len();

    next(Fault::DoneThenUnavailable503 {
        retry_after_secs: 5,
    });
    let url = format!("{}/bare-metal-devices/", caller.sandbox.hivelocity_url());
    let request = caller.http.post(url).header("X-API-KEY", &caller.key);
    let response = request.json(&server("TPA1")).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 503);
    assert_eq!(response.headers()["retry-after"], "5");
    assert_eq!(count(), 1);
    next(Fault::DoneThenEmptyBody);
    assert_eq!(order().await.unwrap(), (201, String::new()));
    assert_eq!(count(), 2);
    next(Fault::DoneThenNullIds);
    let (status, body) = order().await.unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(status == 201 && body["deviceId"].is_null() && body["orderId"].is_null());
    assert_eq!(body["hostname"], "srv1.example.com");
    assert_eq!(count(), 3);
    next(Fault::ErrorUnder200 { code: 400 });
    let (status, body) = order().await.unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["code"]), (200, &json!(400)));
    assert_eq!(count(), 3);
}

#[tokio::test]
async fn an_order_may_take_effect_long_after_the_connection_broke() {
    let caller = caller(SandboxOptions::instant()).await;
    let fault = Fault::LateEffect(Duration::from_millis(300));
    caller
        .sandbox
        .fail_next("POST /bare-metal-devices/", fault, 1);
    let order = Some(server("TPA1"));
    let sent = caller.try_send(Method::POST, "/bare-metal-devices/", order);
    assert!(sent.await.unwrap_err().status().is_none());
    assert_eq!(caller.get("/order/").await.1, json!([]));
    assert_eq!(caller.sandbox.snapshot().devices.len(), 0);
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(caller.sandbox.snapshot().devices.len(), 1);
}

#[test]
fn late_effects_come_at_their_own_moments_without_sockets_too() {
    let told = Told::new(&SandboxOptions {
        build_time: Duration::from_secs(10),
        ..SandboxOptions::instant()
    });
    let headers = vec![
        ("x-api-key".to_owned(), "sandbox-hivelocity-key".to_owned()),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    let suffer = |fault: &Fault| {
        let body = server("TPA1").to_string().into_bytes();
        let path = "/api/v2/bare-metal-devices/";
        told.suppliers
            .suffer(fault, "POST", path, headers.clone(), body)
    };
    assert!(suffer(&Fault::LateEffect(Duration::from_secs(5))).is_none());
    assert_eq!(
        suffer(&Fault::ErrorUnder200 { code: 500 }).unwrap().status,
        200
    );
    assert_eq!(suffer(&Fault::DoneThenEmptyBody).unwrap().body, b"");
    assert_eq!(told.at(4_999).suppliers.snapshot().orders.len(), 1);
    let seen = told.at(15_000).suppliers.snapshot();
    assert_eq!(seen.orders.len(), 2);
    assert!(seen.devices.iter().all(|device| device.visible));
}

#[tokio::test]
async fn a_client_that_gives_up_on_a_stall_may_have_ordered() {
    let mut caller = caller(SandboxOptions::instant()).await;
    #[expect(clippy::disallowed_methods, reason = "a test's own client")]
    let builder = Client::builder();
    caller.http = builder.timeout(Duration::from_millis(100)).build().unwrap();
    for (fault, devices) in [
        (Fault::StalledBefore(Duration::from_millis(300)), 0),
        (Fault::DoneThenStalled(Duration::from_millis(300)), 1),
    ] {
        caller
            .sandbox
            .fail_next("POST /bare-metal-devices/", fault, 1);
        let order = Some(server("TPA1"));
        let error = caller
            .try_send(Method::POST, "/bare-metal-devices/", order)
            .await;
        assert!(error.unwrap_err().is_timeout());
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(caller.sandbox.snapshot().devices.len(), devices);
    }
    caller
        .sandbox
        .fail_next("*", Fault::StalledBefore(Duration::from_millis(20)), 1);
    assert_eq!(caller.get("/order/").await.0, 200, "patience is rewarded");
}

#[tokio::test]
async fn limits_say_when_to_come_again() {
    let caller = caller(SandboxOptions::instant()).await;
    let fault = Fault::RateLimited429 {
        retry_after_secs: 7,
    };
    caller.sandbox.fail_next("one_h add_user", fault, 1);
    let form = [("request", call("add_user", &json!([])).to_string())];
    let response = caller
        .http
        .post(caller.sandbox.one_h_url())
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
    caller.sandbox.fail_next("one_h *", Fault::OneHError(36), 1);
    assert_eq!(caller.one_h("add_license", json!([])).await, 36);
    assert_eq!(caller.sandbox.snapshot().faults_met, 2);
}

#[tokio::test]
async fn chance_strikes_about_as_often_as_asked() {
    let caller = caller(SandboxOptions {
        faults: 0.3,
        seed: 3,
        ..SandboxOptions::instant()
    })
    .await;
    for _ in 0..200 {
        let _maybe = caller.try_send(Method::GET, "/order/", None).await;
    }
    let met = caller.sandbox.snapshot().faults_met;
    assert!((35..90).contains(&met), "{met}");
    caller.sandbox.set_faults(0.0);
    assert_eq!(caller.get("/order/").await.0, 200);
}

#[tokio::test]
async fn a_body_in_chunks_is_read_and_a_stopped_sandbox_is_gone() {
    use std::io::{Read, Write};
    let caller = caller(SandboxOptions::instant()).await;
    let address = caller.sandbox.address;
    let body = server("TPA1").to_string();
    let (one, two) = body.split_at(10);
    let request = format!(
        "POST /api/v2/bare-metal-devices/ HTTP/1.1\r\nHost: x\r\nX-API-KEY: {}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         a\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        caller.key,
        two.len()
    );
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    caller.sandbox.stop().await;
    assert!(std::net::TcpStream::connect(address).is_err());
}
