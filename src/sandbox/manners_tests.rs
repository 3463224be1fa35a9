//! Tests of what Hivelocity does besides its routes: its limit, its tasks, the shapes of its
//! refusals.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::trial::{Told, caller, quick, server};
use super::{Fault, SandboxOptions};

#[tokio::test]
async fn every_answer_says_what_is_left_of_the_hour_and_over_it_nothing_happens() {
    let caller = caller(SandboxOptions {
        requests_per_hour: Some(3),
        ..SandboxOptions::instant()
    })
    .await;
    let headers = caller.headers("/order/").await;
    assert_eq!(headers["x-ratelimit-limit"], "3");
    assert_eq!(headers["x-ratelimit-remaining"], "2");
    assert_eq!(headers["x-ratelimit-reset"], "3600");
    caller.sandbox.fail_next("GET /order/", Fault::Refuse500, 1);
    assert_eq!(
        caller.headers("/order/").await["x-ratelimit-remaining"],
        "1"
    );
    caller.orders("TPA1").await;
    let (status, body) = caller.post("/bare-metal-devices/", server("TPA1")).await;
    let words = json!({"code": 429, "description": "Your IP is rate limited."});
    assert_eq!((status, body), (429, words));
    let headers = caller.headers("/order/").await;
    assert_eq!(headers["x-ratelimit-remaining"], "0");
    assert_eq!(headers.get("retry-after"), None);
    let seen = caller.sandbox.snapshot();
    assert_eq!((seen.devices.len(), seen.rate_limited), (1, 2));
}

#[test]
fn the_window_begins_with_the_first_request_and_ends_by_itself() {
    let told = Told::new(&SandboxOptions {
        requests_per_hour: Some(2),
        rate_window: Duration::from_mins(10),
        ..SandboxOptions::instant()
    });
    let ask = |millis: u64| {
        let reply = told.at(millis).ask("GET", "/order/", &Value::Null).0;
        let values: Vec<String> = reply.headers.into_iter().map(|(_, value)| value).collect();
        (reply.status, values.join(" "))
    };
    assert_eq!(ask(60_000), (200, "2 1 600".to_owned()));
    assert_eq!(ask(61_500), (200, "2 0 599".to_owned()));
    assert_eq!(ask(659_001), (429, "2 0 1".to_owned()));
    assert_eq!(ask(660_000), (200, "2 1 600".to_owned()));
    assert_eq!(told.suppliers.snapshot().rate_limited, 1);
}

#[tokio::test]
async fn without_a_limit_nothing_is_said_of_one() {
    let caller = caller(SandboxOptions::instant()).await;
    let headers = caller.headers("/order/").await;
    assert_eq!(headers.get("x-ratelimit-limit"), None);
}

#[tokio::test]
async fn a_null_route_is_a_task_that_takes_effect_later() {
    let caller = caller(SandboxOptions {
        network_time: Duration::from_millis(300),
        ..SandboxOptions::instant()
    })
    .await;
    let (id, _) = caller.orders("TPA1").await;
    let routes = "/network/null-route";
    let (status, task) = caller.post(routes, json!({"ip": "45.0.0.2"})).await;
    assert_eq!((status, &task["result"]), (201, &json!("Pending")));
    let (_, second) = caller.post(routes, json!({"ip": "45.0.0.3"})).await;
    assert_eq!(second["result"], Value::Null, "which means the same");
    assert_eq!(caller.get(routes).await.1, json!([]));
    assert_eq!(caller.sandbox.snapshot().devices[0].null_routed.len(), 0);
    let page = format!("/network/status/{}", task["taskId"].as_str().unwrap());
    assert_eq!(caller.get(&page).await.1["result"], "Pending");
    caller
        .eventually(&page, |_, task| task["result"] == "Success")
        .await;
    assert_eq!(caller.get(routes).await.1[0]["ip"], "45.0.0.2");
    let one = format!("{routes}/45.0.0.2");
    let (status, task) = caller.send(Method::DELETE, &one, None).await;
    assert_eq!((status, &task["result"]), (201, &json!("Pending")));
    assert_eq!(caller.get(&one).await.0, 200, "still there");
    assert_eq!(caller.send(Method::DELETE, &one, None).await.0, 404);
    caller.eventually(&one, |status, _| status == 404).await;
    let by_device = format!("/network/status/{id}");
    assert_eq!(caller.get(&by_device).await.1["result"], "Success");
    assert_eq!(caller.get("/network/status/task-99").await.0, 404);
}

#[tokio::test]
async fn refusals_come_in_every_shape_that_the_supplier_uses() {
    let caller = caller(quick()).await;
    let mut order = server("TPA1");
    order["hostname"] = json!("srv1");
    let (status, body) = caller.post("/bare-metal-devices/", order.clone()).await;
    assert!(
        status == 400 && body["schema_errors"]["hostname"][0].is_string(),
        "{body}"
    );
    for bad in [
        "192.0.2.5",
        "srv_1.example.com",
        "srv1.example.com.",
        "bücher.example",
    ] {
        order["hostname"] = json!(bad);
        let (status, _) = caller.post("/bare-metal-devices/", order.clone()).await;
        assert_eq!(status, 400, "{bad}");
    }
    let mut shapes = [0; 4];
    for _ in 0..8 {
        let (_, body) = caller.get("/device/50999").await;
        let words = "Device not found.";
        let shape = [
            body["message"] == words,
            body["message"] == json!([words]),
            body["description"] == words,
            body["errors"]["request"] == words,
        ];
        assert_eq!(shape.iter().filter(|fits| **fits).count(), 1, "{body}");
        for (count, fits) in shapes.iter_mut().zip(shape) {
            *count += u32::from(fits);
        }
    }
    assert_eq!(shapes, [2; 4]);
    let (id, _) = caller.orders("TPA1").await;
    let page = format!("/bare-metal-devices/{id}");
    caller.eventually(&page, |status, _| status == 200).await;
    caller.send(Method::DELETE, &page, None).await;
    let (status, body) = caller.send(Method::DELETE, &page, None).await;
    assert!(status == 409 && body["description"].is_string(), "{body}");
}
