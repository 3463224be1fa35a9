//! Tests: ordering, awaiting and reloading devices.

use serde_json::{Value, json};

use super::Table;
use crate::domain::{Again, Outcome, Permit};
use crate::upstream::stage::{Set, TAG, action, deploy};

pub(super) const LIST: &str = "GET /bare-metal-devices/";
const ORDER: &str = "POST /bare-metal-devices/";
pub(super) const ONE: &str = "GET /bare-metal-devices/9";
pub(super) const CANCEL: &str = "DELETE /bare-metal-devices/9";

pub(super) fn device(id: i64, ip: &str, power: &str, tags: &[&str]) -> Value {
    json!({"deviceId": id, "orderId": 8, "primaryIp": ip, "powerStatus": power, "tags": tags,
        "hostname": "srv1.example.com"})
}

pub(super) fn built() -> Value {
    device(9, "192.0.2.5", "ON", &[TAG])
}

/// A service whose device was ordered, and has come up when there is an IP.
pub(super) fn ordered(ip: Option<&str>) -> Set {
    let mut set = Set::with_client(35);
    set.service.device_id = Some(9);
    set.service.device_order_id = Some(8);
    set.service.ip = ip.map(str::to_owned);
    set
}

pub(super) fn starts(outcome: &Outcome) -> String {
    format!("{outcome:?}")
        .split(['(', ' ', '{'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn a_device_is_ordered_once_with_its_mark() {
    let placed = json!({"deviceId": 9, "orderId": 8});
    let table = Table::new(&[(LIST, 200, json!([])), (ORDER, 201, placed)]).await;
    let mut set = Set::with_client(35);
    set.service.ip = Some("198.51.100.9".to_owned());
    let outcome = set.outcome(&table.upstreams(), &deploy()).await;
    let Outcome::Done(done) = outcome else {
        panic!("{outcome:?}")
    };
    let expected = json!({"device_id": 9, "device_order_id": 8, "device_product_id": 584,
        "device_location": "TPA1", "device_os": "Ubuntu 22.04", "hostname": "srv1.example.com",
        "hivelocity_client_id": 35, "ip": null});
    assert_eq!(
        done.service, expected,
        "the IP of an earlier device is forgotten"
    );
    let request = &table.sent(ORDER)[0];
    let body = json!({"productId": 584, "locationName": "TPA1", "osName": "Ubuntu 22.04",
        "hostname": "srv1.example.com", "period": "monthly", "tags": [TAG]});
    assert_eq!(
        (request.json(), request.query.as_str()),
        (body, "controlledClientId=35")
    );
}

#[tokio::test]
async fn an_order_without_ids_is_still_an_order() {
    let table = Table::new(&[(LIST, 200, json!([])), (ORDER, 201, Value::Null)]).await;
    let outcome = Set::with_client(35)
        .outcome(&table.upstreams(), &deploy())
        .await;
    let Outcome::Done(done) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(done.output, json!({"device_id": null, "order_id": null}));
    assert_eq!(table.stage.lines(), [LIST, ORDER, LIST]);
    table.set(LIST, 500, json!({}));
    table.set(LIST, 200, json!([built()]));
    let outcome = Set::with_client(35)
        .outcome(&table.upstreams(), &deploy())
        .await;
    assert!(matches!(outcome, Outcome::AlreadySo(_)), "{outcome:?}");
}

#[tokio::test]
async fn whatever_speaks_for_an_order_keeps_a_second_one_from_being_placed() {
    let placed = json!({"deviceId": 10, "orderId": 11});
    let table = Table::new(&[(LIST, 200, json!([built()])), (ORDER, 201, placed)]).await;
    for permit in [Permit::Send, Permit::LookOnly] {
        let set = Set {
            permit,
            ..Set::with_client(35)
        };
        let outcome = set.outcome(&table.upstreams(), &deploy()).await;
        let Outcome::AlreadySo(done) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(
            (&done.service["device_id"], &done.service["ip"]),
            (&json!(9), &json!("192.0.2.5"))
        );
    }
    table.set(
        LIST,
        200,
        json!([device(7, "192.0.2.7", "ON", &["billhook:whmcs:5011"])]),
    );
    let mut by_order = Set::with_client(35);
    by_order.service.device_order_id = Some(8);
    for set in [ordered(None), by_order] {
        let outcome = set.outcome(&table.upstreams(), &deploy()).await;
        assert!(matches!(outcome, Outcome::AlreadySo(_)), "{outcome:?}");
    }
    assert_eq!(table.stage.writes(), 0);
    let set = Set {
        permit: Permit::LookOnly,
        ..Set::with_client(35)
    };
    assert_eq!(
        set.outcome(&table.upstreams(), &deploy()).await,
        Outcome::Absent
    );
}

#[tokio::test]
async fn bad_parameters_are_a_persons_case() {
    let words = json!({"message": "Invalid device parameters."});
    let table = Table::new(&[(LIST, 200, json!([])), (ORDER, 400, words)]).await;
    let outcome = Set::with_client(35)
        .outcome(&table.upstreams(), &deploy())
        .await;
    assert!(matches!(outcome, Outcome::Rejected(ref why) if why.contains("Invalid device")));
}

#[tokio::test]
async fn a_device_is_awaited_through_all_its_stages() {
    let table = Table::new(&[(LIST, 200, json!([]))]).await;
    let step = action("hivelocity.await_device");
    let upstreams = table.upstreams();
    let look = async || ordered(None).outcome(&upstreams, &step).await;
    let waits = |outcome: Outcome, words: &str| match outcome {
        Outcome::NotYet {
            waiting_for,
            again: Again::Slow,
        } => {
            assert!(waiting_for.contains(words), "{waiting_for}");
        }
        other => panic!("{other:?}"),
    };
    waits(look().await, "to show the ordered device");
    table.set("GET /order/8", 200, json!({"status": "verification"}));
    waits(look().await, "(order: verification)");
    table.set(ONE, 200, device(9, "", "OFF", &[TAG]));
    waits(look().await, "to get its IP");
    table.set(ONE, 200, device(9, "192.0.2.5", "OFF", &[TAG]));
    table.set("GET /order/8", 200, json!({"status": "provisioning"}));
    waits(look().await, "to be switched on (order: provisioning)");
    table.set("GET /order/8", 200, json!({"status": "complete"}));
    assert_eq!(starts(&look().await), "Done");
    table.set("GET /order/8", 403, json!({}));
    assert_eq!(starts(&look().await), "Done");
    table.set(ONE, 200, device(9, "192.0.2.5", "on", &[TAG]));
    let Outcome::Done(done) = look().await else {
        panic!()
    };
    assert_eq!(
        done.output,
        json!({"ip": "192.0.2.5", "device_id": 9, "hostname": "srv1.example.com"})
    );
    assert_eq!(done.service["ip"], "192.0.2.5");
    assert_eq!(table.stage.writes(), 0);
}

#[tokio::test]
async fn a_cancelled_order_ends_the_wait() {
    let order = json!({"status": "cancelled", "info": {"message": "failed verification"}});
    let table = Table::new(&[(LIST, 200, json!([])), ("GET /order/8", 200, order)]).await;
    let step = action("hivelocity.await_device");
    for one in [None, Some(device(9, "", "", &[TAG]))] {
        if let Some(one) = one {
            table.set(ONE, 200, one);
        }
        let outcome = ordered(None).outcome(&table.upstreams(), &step).await;
        let Outcome::Rejected(why) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(why, "Hivelocity cancelled order 8: failed verification");
    }
}

#[tokio::test]
async fn a_cancelled_order_repeats_whatever_hivelocity_says_of_it_without_secrets() {
    let step = action("hivelocity.await_device");
    let cases = [
        (json!({"info": {"message": "out of stock"}}), "out of stock"),
        (json!({"info": "no such rack"}), "no such rack"),
        (json!({"info": {"stock": 0}}), "{\"stock\":0}"),
        (json!({"info": {}, "reason": "fraud check"}), "fraud check"),
        (
            json!({"info": {"message": "key primary-api-key-1 is over its limit"}}),
            "key *** is over its limit",
        ),
        (
            json!({"info": {"rootPassword": "hunter22", "seen": true}}),
            "{\"rootPassword\":\"***\",\"seen\":true}",
        ),
        (json!({"info": null}), "no reason given"),
    ];
    for (mut order, words) in cases {
        order["status"] = json!("cancelled");
        let table = Table::new(&[(LIST, 200, json!([])), ("GET /order/8", 200, order)]).await;
        let outcome = ordered(None).outcome(&table.upstreams(), &step).await;
        let wanted = format!("Hivelocity cancelled order 8: {words}");
        assert_eq!(outcome, Outcome::Rejected(wanted));
    }
}

#[tokio::test]
async fn a_device_without_ids_is_found_by_its_mark_and_one_without_the_mark_gets_it() {
    let table = Table::new(&[(LIST, 200, json!([built()]))]).await;
    let step = action("hivelocity.await_device");
    let outcome = Set::with_client(35)
        .outcome(&table.upstreams(), &step)
        .await;
    assert_eq!(starts(&outcome), "Done");
    table.set(ONE, 200, device(9, "192.0.2.5", "ON", &["rack 4"]));
    table.set("PUT /device/9/tags", 200, json!({}));
    let outcome = ordered(None).outcome(&table.upstreams(), &step).await;
    assert_eq!(starts(&outcome), "Done");
    assert_eq!(
        table.sent("PUT /device/9/tags")[0].json(),
        json!({"tags": ["rack 4", TAG]})
    );
}

#[tokio::test]
async fn hardware_that_was_sold_again_is_not_taken_for_ours() {
    let other = device(9, "192.0.2.5", "ON", &["billhook:whmcs:999"]);
    let table = Table::new(&[(ONE, 200, other), (LIST, 200, json!([]))]).await;
    let set = ordered(Some("192.0.2.5"));
    for (kind, expected) in [
        ("hivelocity.cancel_device", "AlreadySo"),
        ("hivelocity.power", "Rejected"),
        ("hivelocity.null_route", "Rejected"),
        ("hivelocity.reload_device", "Rejected"),
        ("hivelocity.await_device", "NotYet"),
    ] {
        let outcome = set.outcome(&table.upstreams(), &action(kind)).await;
        assert_eq!(starts(&outcome), expected, "{kind}: {outcome:?}");
    }
    assert_eq!(table.stage.writes(), 0);
}

#[tokio::test]
async fn a_reload_keeps_the_tags_and_is_not_sent_again_while_it_runs() {
    let one = device(9, "192.0.2.5", "ON", &["rack 4", TAG]);
    let table = Table::new(&[
        (ONE, 200, one),
        ("PUT /bare-metal-devices/9", 200, json!({})),
    ])
    .await;
    let step = action("hivelocity.reload_device");
    let set = ordered(Some("192.0.2.5"));
    let outcome = set.outcome(&table.upstreams(), &step).await;
    let Outcome::Done(done) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        done.service,
        json!({"device_os": "Debian 12", "hostname": "a.example.com"})
    );
    let request = &table.sent("PUT /bare-metal-devices/9")[0];
    assert_eq!(request.query, "skipPowerCheck=true&controlledClientId=35");
    let body = json!({"hostname": "a.example.com", "osName": "Debian 12",
        "tags": ["rack 4", TAG], "forceReload": true});
    assert_eq!(request.json(), body);
    for state in [json!({"isReload": true}), json!({"spsStatus": "reloading"})] {
        table.set("GET /device/9", 200, state);
        for permit in [Permit::Send, Permit::LookOnly] {
            let set = Set {
                permit,
                attempt: 2,
                ..ordered(None)
            };
            assert_eq!(
                starts(&set.outcome(&table.upstreams(), &step).await),
                "Done"
            );
        }
    }
    table.set(
        "GET /device/9",
        200,
        json!({"isReload": false, "spsStatus": "IN_USE"}),
    );
    let looking = Set {
        permit: Permit::LookOnly,
        attempt: 2,
        ..ordered(None)
    };
    assert_eq!(
        looking.outcome(&table.upstreams(), &step).await,
        Outcome::Absent
    );
    assert_eq!(table.stage.writes(), 1);
}
