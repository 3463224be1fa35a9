//! Tests of the Hivelocity stand-in over the wire.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::SandboxOptions;
use super::trial::{caller, quick, server};

#[tokio::test]
async fn a_device_is_built_switched_off_and_on_and_cancelled() {
    let caller = caller(quick()).await;
    let (status, device) = caller.post("/bare-metal-devices/", server("TPA1")).await;
    assert_eq!(status, 201);
    assert_eq!(device.get("primaryIp"), None);
    let (id, order) = (device["deviceId"].clone(), device["orderId"].clone());
    let page = format!("/bare-metal-devices/{id}");
    assert_eq!(caller.get(&page).await.0, 404, "its order is not complete");
    assert_eq!(
        caller.get("/order/in-progress").await.1[0]["orderId"],
        order
    );

    let up = caller
        .eventually(&page, |_, device| device["powerStatus"] == "ON")
        .await;
    assert_eq!(up["primaryIp"], "45.0.0.2");
    assert_eq!(
        caller.get(&format!("/order/{order}")).await.1["status"],
        "complete"
    );
    assert_eq!(caller.get("/order/in-progress").await.1, json!([]));

    let power = format!("/device/{id}/power");
    let press = |action: &str| format!("{power}?action={action}");
    let (status, body) = caller.post(&press("shutdown"), Value::Null).await;
    assert_eq!((status, &body["powerStatus"]), (202, &json!("PENDING")));
    caller
        .eventually(&power, |_, body| body["powerStatus"] == "OFF")
        .await;
    let (status, body) = caller.post(&press("shutdown"), Value::Null).await;
    assert_eq!(status, 400);
    let words = body.to_string();
    assert!(words.contains("Can't do this while server is powered off."));
    assert_eq!(caller.post(&press("boot"), Value::Null).await.0, 202);
    caller
        .eventually(&power, |_, body| body["powerStatus"] == "ON")
        .await;

    let cancel = || caller.send(Method::DELETE, &page, None);
    assert_eq!(cancel().await.0, 201);
    assert_eq!(cancel().await.0, 409);
    caller.eventually(&page, |status, _| status == 404).await;
    assert_eq!(cancel().await.0, 204);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(cancel().await.0, 404);
    assert_eq!(caller.get("/bare-metal-devices/").await.1, json!([]));

    let seen = caller.sandbox.snapshot();
    assert_eq!(seen.effects.devices["billhook:whmcs:501"], 1);
    assert!(seen.devices[0].cancelled && seen.devices[0].gone);
    assert_eq!(seen.violations, Vec::<String>::new());
    caller.sandbox.stop().await;
}

#[tokio::test]
async fn an_order_can_be_refused_or_come_to_nothing() {
    let caller = caller(SandboxOptions {
        build_time: Duration::from_millis(100),
        ..quick()
    })
    .await;
    let (status, body) = caller.post("/bare-metal-devices/", server("NOSTOCK")).await;
    assert!(status == 400 && body.to_string().contains("out of stock"));
    assert_eq!(caller.sandbox.snapshot().violations.len(), 0);
    let (_, device) = caller
        .post("/bare-metal-devices/", server("CANCELLED"))
        .await;
    let order = format!("/order/{}", device["orderId"]);
    caller
        .eventually(&order, |_, order| order["status"] == "cancelled")
        .await;
    assert_eq!(caller.get("/bare-metal-devices/").await.1, json!([]));
}

#[tokio::test]
async fn malformed_orders_are_refused_and_noted() {
    let caller = caller(SandboxOptions::instant()).await;
    for (field, value) in [
        ("productId", json!("584")),
        ("hostname", json!("srv1")),
        ("osName", json!("")),
        ("period", json!("biennially")),
        ("tags", json!("a,b")),
        ("location", json!("TPA1")),
    ] {
        let mut order = server("TPA1");
        order[field] = value;
        assert_eq!(
            caller.post("/bare-metal-devices/", order).await.0,
            400,
            "{field}"
        );
    }
    assert_eq!(
        caller.get("/bare-metal-devices").await.0,
        404,
        "the slash matters"
    );
    let seen = caller.sandbox.snapshot();
    assert_eq!(seen.violations.len(), 7, "{:?}", seen.violations);
    assert_eq!(seen.devices.len(), 0);
}

#[tokio::test]
async fn controlled_clients_are_apart_and_have_keys_of_their_own() {
    let options = SandboxOptions {
        token_shows_last_four: false,
        ..SandboxOptions::instant()
    };
    let mut caller = caller(options).await;
    let clients = "/account/controlled-client";
    let new = json!({"email": "ops@reseller.example", "company": "Example Ltd [whmcs:77]"});
    let (status, client) = caller.post(clients, new.clone()).await;
    assert_eq!((status, &client["active"]), (201, &json!(true)));
    let id = client["id"].clone();
    let as_client = |path: &str| format!("{path}?controlledClientId={id}");
    let (_, device) = caller
        .post(&as_client("/bare-metal-devices/"), server("TPA1"))
        .await;
    let page = format!("/bare-metal-devices/{}", device["deviceId"]);
    assert_eq!(caller.get("/bare-metal-devices/").await.1, json!([]));
    assert_eq!(caller.get(&page).await.0, 401);
    assert_eq!(caller.get(&as_client(&page)).await.0, 200);
    assert_eq!(caller.get("/token/?controlledClientId=1").await.0, 403);

    let (_, tokens) = caller.get(&as_client("/token/")).await;
    let primary = std::mem::replace(&mut caller.key, tokens[0]["token"].as_str().unwrap().into());
    assert_eq!(caller.get(&page).await.0, 200);
    assert_eq!(caller.post(clients, new).await.0, 403);

    caller.key = primary;
    let (status, _) = caller
        .send(Method::PUT, clients, Some(json!({"client_id": "35001"})))
        .await;
    assert_eq!(status, 200);
    assert_eq!(caller.get(&as_client("/bare-metal-devices/")).await.0, 403);
    assert!(!caller.sandbox.snapshot().clients[0].active);
}

#[tokio::test]
async fn a_listed_key_shows_its_last_four_and_a_minted_one_all() {
    let caller = caller(SandboxOptions::instant()).await;
    let (status, minted) = caller.post("/token/", json!({"name": "billhook"})).await;
    let secret = minted["token"].as_str().unwrap();
    assert_eq!((status, secret.len()), (201, 40));
    let (_, listed) = caller.get("/token/").await;
    assert_eq!(listed[0]["token"].as_str(), secret.get(36..));
}

#[tokio::test]
async fn every_address_of_a_device_can_be_null_routed() {
    let caller = caller(SandboxOptions::instant()).await;
    let (_, device) = caller.post("/bare-metal-devices/", server("TPA1")).await;
    let (_, networks) = caller
        .get(&format!("/device/{}/ips", device["deviceId"]))
        .await;
    assert_eq!(
        networks[0]["usableIps"],
        json!(["45.0.0.2", "45.0.0.3", "45.0.0.4"])
    );
    for ip in networks[0]["usableIps"].as_array().unwrap() {
        assert_eq!(
            caller
                .post("/network/null-route", json!({"ip": ip}))
                .await
                .0,
            201
        );
    }
    assert_eq!(
        caller
            .get("/network/null-route")
            .await
            .1
            .as_array()
            .map(Vec::len),
        Some(3)
    );
    assert_eq!(caller.sandbox.snapshot().devices[0].null_routed.len(), 3);
    let one = "/network/null-route/45.0.0.3";
    assert_eq!(caller.get(one).await.1["ip"], "45.0.0.3");
    assert_eq!(caller.send(Method::DELETE, one, None).await.0, 201);
    assert_eq!(caller.get(one).await.0, 404);
    assert_eq!(
        caller
            .post("/network/null-route", json!({"ip": "45.0.0.5"}))
            .await
            .0,
        403
    );
}
