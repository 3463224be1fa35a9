//! Tests: awaiting and reloading devices.

use std::time::Duration;

use serde_json::{Value, json};

use super::Table;
use crate::domain::{Again, Outcome, Permit};
use crate::upstream::stage::{Set, TAG, action};

pub(super) const LIST: &str = "GET /bare-metal-devices/";
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

const PAGE: &str = "GET /device/9";

#[tokio::test]
async fn a_device_is_awaited_through_all_its_stages() {
    let in_progress = |status: &str| json!([{"orderId": 8, "status": status}]);
    let table = Table::new(&[
        (LIST, 200, json!([])),
        ("GET /order/in-progress", 200, in_progress("verification")),
    ])
    .await;
    let step = action("hivelocity.await_device");
    let mut set = ordered(None);
    // Each look later than what was seen before is kept.
    let mut look = async || {
        set.now = set.now.plus(Duration::from_secs(30));
        set.outcome(&table.upstreams(), &step).await
    };
    let waits = |outcome: Outcome, words: &str| match outcome {
        Outcome::NotYet {
            waiting_for,
            again: Again::Build,
        } => {
            assert!(waiting_for.contains(words), "{waiting_for}");
        }
        other => panic!("{other:?}"),
    };
    waits(look().await, "(order: verification)");
    table.set("GET /order/in-progress", 200, json!([]));
    table.set("GET /order/8", 200, json!({"status": "provisioning"}));
    waits(look().await, "(order: provisioning)");
    table.set("GET /order/8", 200, json!({"status": "complete"}));
    waits(look().await, "to show the ordered device (order: complete)");
    table.set(LIST, 200, json!([device(9, "", "OFF", &[TAG])]));
    waits(look().await, "not visible by its id");
    table.set(PAGE, 200, json!({"spsStatus": "WAIT_FOR_HARDWARE_SCAN"}));
    waits(look().await, "WAIT_FOR_HARDWARE_SCAN");
    table.set(PAGE, 200, json!({"metadata": {"sps_status": "Failed"}}));
    let outcome = look().await;
    assert!(matches!(outcome, Outcome::Rejected(ref why) if why.contains("status Failed")));
    table.set(PAGE, 200, json!({"metadata": {"sps_status": "InUse"}}));
    waits(look().await, "to get its IP");
    table.set(LIST, 200, json!([device(9, "192.0.2.5", "OFF", &[TAG])]));
    waits(look().await, "to be switched on");
    table.set(LIST, 200, json!([device(9, "192.0.2.5", "on", &[TAG])]));
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
async fn a_device_that_was_up_before_counts_as_up_although_its_owner_switched_it_off() {
    let table = Table::new(&[
        (LIST, 200, json!([device(9, "192.0.2.5", "OFF", &[TAG])])),
        (PAGE, 200, json!({})),
    ])
    .await;
    let step = action("hivelocity.await_device");
    for (ip, expected) in [(Some("192.0.2.5"), "Done"), (None, "NotYet")] {
        let outcome = ordered(ip).outcome(&table.upstreams(), &step).await;
        assert_eq!(starts(&outcome), expected, "{outcome:?}");
    }
}

#[tokio::test]
async fn one_look_at_an_account_serves_every_run_that_waits_in_it() {
    let path = "GET /order/in-progress";
    let table = Table::new(&[(path, 200, json!([{"orderId": 8, "status": "lead"}]))]).await;
    let (step, upstreams) = (action("hivelocity.await_device"), table.upstreams());
    let mut set = ordered(None);
    for _ in 0..3 {
        set.outcome(&upstreams, &step).await;
    }
    assert_eq!(table.sent(path).len(), 1);
    set.service.hivelocity_client_id = Some(36);
    set.outcome(&upstreams, &step).await;
    assert_eq!(table.sent(path).len(), 2, "another account");
    set.now = set.now.plus(Duration::from_secs(21));
    set.outcome(&upstreams, &step).await;
    assert_eq!(table.sent(path).len(), 3, "no longer fresh");
    set.service.device_ordered_at = Some(set.now.minus(Duration::from_secs(19)));
    set.outcome(&upstreams, &step).await;
    assert_eq!(table.stage.heard().len(), 3, "only just ordered");
}

#[tokio::test]
async fn a_device_of_the_order_that_is_another_ones_is_a_persons_case() {
    let mut other = device(10, "192.0.2.6", "ON", &["rack 4"]);
    other["hostname"] = json!("staff.example.com");
    let table = Table::new(&[
        (LIST, 200, json!([other])),
        ("GET /order/8", 200, json!({"status": "complete"})),
    ])
    .await;
    let mut set = ordered(None);
    set.service.device_id = None;
    set.service.hostname = Some("srv1.example.com".to_owned());
    let step = action("hivelocity.await_device");
    let outcome = set.outcome(&table.upstreams(), &step).await;
    let Outcome::NeedsPerson(decision) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(decision.sentence.contains("staff.example.com"));
}

/// An account in which there is nothing but this order, which is over.
async fn cancelled_order(order: Value) -> Table {
    Table::new(&[
        (LIST, 200, json!([])),
        ("GET /order/in-progress", 200, json!([])),
        (
            "GET /order/",
            200,
            json!([{"orderId": 8, "status": "cancelled"}]),
        ),
        ("GET /order/8", 200, order),
    ])
    .await
}

fn dead_in(learned: &crate::upstream::Learned) -> Value {
    learned
        .service
        .get("dead_orders")
        .cloned()
        .unwrap_or_default()
}

#[tokio::test]
async fn only_where_nothing_of_the_request_is_left_is_it_kept_as_dead() {
    let step = action("hivelocity.await_device");
    let table = cancelled_order(json!({"status": "rejected", "info": "fraud"})).await;
    let left = ordered(None).perform(&table.upstreams(), &step).await;
    assert_eq!(starts(&left.outcome), "Rejected", "{:?}", left.outcome);
    assert_eq!(dead_in(&left.learned), json!([8]));
    let set = ordered(None).knowing(&left);
    assert!(set.service.is_dead());
    let asked = table.stage.heard().len();
    let again = set.outcome(&table.upstreams(), &step).await;
    assert_eq!(starts(&again), "Rejected", "a retry says so, too");
    assert_eq!(table.stage.heard().len(), asked);

    // The device is there all the same, or another order of the request goes on.
    let one = json!({"deviceId": 9, "hasCancellation": false, "spsStatus": "IN_USE"});
    table.set(PAGE, 200, one);
    table.set(LIST, 200, json!([built()]));
    let left = ordered(None).perform(&table.upstreams(), &step).await;
    assert_eq!(starts(&left.outcome), "NotYet", "{:?}", left.outcome);
    assert_eq!(dead_in(&left.learned), Value::Null);
    table.set(LIST, 200, json!([]));
    table.set(PAGE, 404, json!({"message": "Not Found"}));
    let rest = json!([{"orderId": 11, "status": "verification"}]);
    table.set("GET /order/in-progress", 200, rest);
    let left = ordered(None).perform(&table.upstreams(), &step).await;
    assert_eq!(starts(&left.outcome), "NotYet", "{:?}", left.outcome);
    assert_eq!(dead_in(&left.learned), Value::Null);
    assert_eq!(left.learned.service["device_order_id"], json!(11));
    let mut set = ordered(None);
    set.others.another_is_out = true;
    let left = set.perform(&table.upstreams(), &step).await;
    assert_eq!(starts(&left.outcome), "NotYet", "whose it is shows later");
    assert_eq!(left.learned.service.get("device_order_id"), None);
    // What may not be read proves nothing.
    table.set("GET /order/", 403, json!({"message": "no"}));
    let left = ordered(None).perform(&table.upstreams(), &step).await;
    assert_eq!(starts(&left.outcome), "NeedsPerson", "{:?}", left.outcome);
    assert_eq!(dead_in(&left.learned), Value::Null);
}

#[tokio::test]
async fn a_device_that_was_cancelled_or_vanished_by_hand_is_noticed_and_a_new_one_is_not() {
    let step = action("hivelocity.await_device");
    let table = Table::new(&[
        (LIST, 200, json!([built()])),
        (PAGE, 200, json!({"deviceId": 9, "hasCancellation": true})),
        ("GET /order/in-progress", 200, json!([])),
        (
            "GET /order/",
            200,
            json!([{"orderId": 8, "status": "complete"}]),
        ),
        ("GET /order/8", 200, json!({"status": "complete"})),
    ])
    .await;
    let left = ordered(None).perform(&table.upstreams(), &step).await;
    let said = matches!(&left.outcome, Outcome::Rejected(why) if why.starts_with("device 9 was cancelled"));
    assert!(said, "{:?}", left.outcome);
    assert_eq!(dead_in(&left.learned), json!([8]));
    assert_eq!(left.learned.service["dead_devices"], json!([9]));

    table.set(LIST, 200, json!([]));
    table.set(PAGE, 404, json!({"message": "Device not found"}));
    let never_seen = ordered(None).outcome(&table.upstreams(), &step).await;
    assert_eq!(
        starts(&never_seen),
        "NotYet",
        "404 is normal before it shows"
    );
    let mut set = ordered(None);
    set.service.device_seen = Some(9);
    let left = set.perform(&table.upstreams(), &step).await;
    assert_eq!(starts(&left.outcome), "NotYet", "{:?}", left.outcome);
    let mut set = set.knowing(&left);
    assert!(set.service.device_missing_since >= Some(set.now));
    set.now = set.now.plus(Duration::from_mins(4));
    let left = set.perform(&table.upstreams(), &step).await;
    let said = matches!(&left.outcome, Outcome::Rejected(why) if why.contains("is gone"));
    assert!(said, "{:?}", left.outcome);
    assert_eq!(dead_in(&left.learned), json!([8]));
    // It shows again: nothing was lost.
    table.set(LIST, 200, json!([built()]));
    table.set(PAGE, 200, json!({"deviceId": 9}));
    let left = set.perform(&table.upstreams(), &step).await;
    assert_eq!(starts(&left.outcome), "Done", "{:?}", left.outcome);
    assert_eq!(left.learned.service["device_missing_since"], Value::Null);
}

#[tokio::test]
async fn a_cancelled_order_ends_the_wait() {
    let order = json!({"status": "cancelled", "info": {"message": "failed verification"}});
    let table = cancelled_order(order).await;
    let step = action("hivelocity.await_device");
    for listed in [json!([]), json!([device(9, "", "", &[TAG])])] {
        table.set(LIST, 200, listed);
        let outcome = ordered(None).outcome(&table.upstreams(), &step).await;
        let Outcome::Rejected(why) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(why.starts_with("Hivelocity cancelled order 8: failed verification; it is over"));
    }
    let mut split = ordered(None);
    split.service.device_orders = vec![8, 11];
    table.set("GET /order/11", 200, json!({"status": "lead"}));
    let outcome = split.outcome(&table.upstreams(), &step).await;
    assert_eq!(starts(&outcome), "NotYet", "the other half goes on");
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
        let table = cancelled_order(order).await;
        let outcome = ordered(None).outcome(&table.upstreams(), &step).await;
        let wanted = format!("Hivelocity cancelled order 8: {words}; it is over");
        assert!(matches!(outcome, Outcome::Rejected(ref why) if why.starts_with(&wanted)));
    }
}

#[tokio::test]
async fn a_device_without_ids_is_found_by_its_mark_and_one_without_the_mark_gets_it() {
    let table = Table::new(&[(LIST, 200, json!([built()])), (PAGE, 200, json!({}))]).await;
    let step = action("hivelocity.await_device");
    let outcome = Set::with_client(35)
        .outcome(&table.upstreams(), &step)
        .await;
    assert_eq!(starts(&outcome), "Done");
    table.set(
        LIST,
        200,
        json!([device(9, "192.0.2.5", "ON", &["rack 4"])]),
    );
    table.set("PUT /device/9/tags", 200, json!({"tags": ["rack 4", TAG]}));
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
        ("PUT /bare-metal-devices/9", 200, json!({"deviceId": 9})),
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
