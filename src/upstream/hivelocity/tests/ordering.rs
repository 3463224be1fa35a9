//! Tests: ordering a device, once.

use serde_json::{Value, json};

use super::Table;
use super::devices::{LIST, built, device, ordered, starts};
use crate::domain::{Again, Allowance, Outcome, PauseReason, Permit};
use crate::upstream::Upstreams;
use crate::upstream::stage::{Set, TAG, deploy, settings};

const SINGLE: &str = "POST /bare-metal-devices/";
const BATCH: &str = "POST /bare-metal-devices/batch";
const GROUPS: &str = "GET /order-groups/";
const GROUP: &str = "POST /order-groups/";
const IN_PROGRESS: &str = "GET /order/in-progress";
const ORDERS: &str = "GET /order/";

/// An account in which nothing was ordered, of a supplier that takes every order.
async fn empty_account() -> Table {
    let placed = json!({"deviceId": 9, "orderId": 8});
    Table::new(&[
        (LIST, 200, json!([])),
        (GROUPS, 200, json!([])),
        (GROUP, 201, json!({"id": 4, "name": TAG})),
        (IN_PROGRESS, 200, json!([])),
        (ORDERS, 200, json!([])),
        (
            BATCH,
            201,
            json!({"orderGroupId": 4, "devices": [placed.clone()]}),
        ),
        (SINGLE, 201, placed),
    ])
    .await
}

fn single(table: &Table) -> Upstreams {
    let mut settings = settings(&table.stage.base);
    settings.hivelocity.order_groups = false;
    Upstreams::new(settings).unwrap()
}

fn body() -> Value {
    json!({"productId": 584, "locationName": "TPA1", "osName": "Ubuntu 22.04",
        "hostname": "srv1.example.com", "period": "monthly", "tags": [TAG]})
}

#[tokio::test]
async fn the_account_is_read_and_what_was_there_is_stored_before_anything_is_ordered() {
    let table = empty_account().await;
    table.set(ORDERS, 200, json!([{"orderId": 5, "status": "complete"}]));
    table.set(IN_PROGRESS, 200, json!([{"orderId": 6, "status": "lead"}]));
    let left = Set::with_client(35)
        .perform(&table.upstreams(), &deploy())
        .await;
    assert_eq!(left.outcome, Outcome::Prepared);
    let pending = &left.learned.service["pending_order"];
    assert_eq!(
        (
            &pending["group"],
            &pending["known_orders"],
            &pending["hostname"]
        ),
        (&json!(4), &json!([6, 5]), &json!("srv1.example.com"))
    );
    assert_eq!(
        table.stage.lines(),
        [GROUPS, IN_PROGRESS, ORDERS, LIST, GROUP],
        "the devices are read last"
    );
    assert_eq!(table.sent(GROUP)[0].json(), json!({"name": TAG}));
}

#[tokio::test]
async fn a_device_is_ordered_once_into_the_order_group_of_its_service() {
    let table = empty_account().await;
    let mut set = Set::with_client(35);
    set.service.ip = Some("198.51.100.9".to_owned());
    let left = set.order(&table.upstreams()).await;
    let Outcome::Done(done) = left.outcome else {
        panic!("{:?}", left.outcome)
    };
    let expected = json!({"device_id": 9, "device_order_id": 8, "device_product_id": 584,
        "device_location": "TPA1", "device_os": "Ubuntu 22.04", "hostname": "srv1.example.com",
        "hivelocity_client_id": 35, "ip": null, "pending_order": null,
        "device_orders": null, "device_order_status": null, "device_order_complete_at": null,
        "device_ordered_at": "2026-11-21T21:50:00Z"});
    assert_eq!(
        done.service, expected,
        "the IP of an earlier device is forgotten"
    );
    let request = &table.sent(BATCH)[0];
    assert_eq!(
        (request.json(), request.query.as_str()),
        (
            json!({"orderGroupId": 4, "devices": [body()]}),
            "controlledClientId=35"
        )
    );
    assert!(table.sent(SINGLE).is_empty());
}

#[tokio::test]
async fn a_group_that_is_there_is_used_and_none_is_made_where_orders_go_singly() {
    let table = empty_account().await;
    table.set(
        GROUPS,
        200,
        json!([{"id": 3, "name": TAG, "device_ids": []}]),
    );
    Set::with_client(35).order(&table.upstreams()).await;
    assert_eq!(table.sent(BATCH)[0].json()["orderGroupId"], 3);
    assert!(table.sent(GROUP).is_empty());
    let alone = single(&table);
    let left = Set::with_client(35).order(&alone).await;
    assert_eq!(starts(&left.outcome), "Done");
    assert_eq!(table.sent(SINGLE)[0].json(), body());
}

#[tokio::test]
async fn where_hivelocity_gives_an_account_no_order_groups_the_guides_way_is_left() {
    let refusal = json!({"code": 403, "message": "You have not been granted permission"});
    for refused in [GROUPS, GROUP, BATCH] {
        let table = empty_account().await;
        table.set(refused, 403, refusal.clone());
        let left = Set::with_client(35).order(&table.upstreams()).await;
        assert_eq!(starts(&left.outcome), "Done", "{refused}");
        assert_eq!(table.sent(SINGLE).len(), 1);
    }
}

#[tokio::test]
async fn a_success_that_names_neither_device_nor_order_is_none() {
    for answer in [
        Value::Null,
        json!({}),
        json!({"deviceId": null, "orderId": null, "devices": [{"deviceId": null}]}),
        json!({"devices": []}),
    ] {
        for (path, upstreams) in [(BATCH, true), (SINGLE, false)] {
            let table = empty_account().await;
            table.set(path, 201, answer.clone());
            let upstreams = if upstreams {
                table.upstreams()
            } else {
                single(&table)
            };
            let left = Set::with_client(35).order(&upstreams).await;
            assert_eq!(starts(&left.outcome), "Ambiguous", "{path} {answer}");
        }
    }
}

#[tokio::test]
async fn only_hivelocitys_own_refusal_shows_that_nothing_was_ordered() {
    let cases = [
        (
            400,
            json!({"code": 400, "message": "Invalid device parameters."}),
            "Rejected",
        ),
        (400, json!({"message": ["a", "b"]}), "Rejected"),
        (400, json!({"code": 400, "description": "no"}), "Rejected"),
        (
            400,
            json!({"schema_errors": {"osName": ["unknown"]}}),
            "Rejected",
        ),
        (400, json!({"errors": {"osName": "unknown"}}), "Rejected"),
        (
            200,
            json!({"code": 400, "message": "out of stock"}),
            "Rejected",
        ),
        (200, json!({"code": 500, "message": "oops"}), "Ambiguous"),
        (429, json!({"code": 429, "description": "limited"}), "Held"),
        (400, json!({}), "Ambiguous"),
        (400, Value::Null, "Ambiguous"),
        (429, Value::Null, "Ambiguous"),
        (502, json!({"message": "bad gateway"}), "Ambiguous"),
        // Every JSON answer of this server has a Retry-After.
        (503, json!({"message": "come back"}), "Ambiguous"),
    ];
    for (status, answer, expected) in cases {
        let table = empty_account().await;
        table.set(BATCH, status, answer.clone());
        let left = Set::with_client(35).order(&table.upstreams()).await;
        assert_eq!(starts(&left.outcome), expected, "{status} {answer}");
        if let Outcome::Rejected(words) = left.outcome {
            let said = ["Invalid", "\"a\"", "no", "osName", "out of stock"];
            assert!(said.iter().any(|said| words.contains(said)), "{words}");
        }
    }
}

#[tokio::test]
async fn whatever_speaks_for_an_order_keeps_a_second_one_from_being_placed() {
    let table = empty_account().await;
    table.set(LIST, 200, json!([built()]));
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
}

#[tokio::test]
async fn an_order_whose_answer_was_lost_is_found_among_the_orders_before_its_device_shows() {
    let table = empty_account().await;
    table.set(ORDERS, 200, json!([{"orderId": 5, "status": "complete"}]));
    let set = Set::unclear(&[5]);
    let outcome = set.outcome(&table.upstreams(), &deploy()).await;
    assert_eq!(outcome, Outcome::Absent);
    table.set(
        IN_PROGRESS,
        200,
        json!([{"orderId": "8", "status": "verification"}]),
    );
    let outcome = set.outcome(&table.upstreams(), &deploy()).await;
    let Outcome::AlreadySo(done) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (
            &done.service["device_order_id"],
            &done.service["pending_order"]
        ),
        (&json!(8), &Value::Null)
    );
    table.set(IN_PROGRESS, 200, json!([]));
    let named = json!([{"id": 4, "name": TAG, "device_ids": [9]}]);
    table.set(GROUPS, 200, named);
    let outcome = set.outcome(&table.upstreams(), &deploy()).await;
    assert!(matches!(outcome, Outcome::AlreadySo(done) if done.service["device_id"] == 9));
    assert_eq!(table.stage.writes(), 0);
}

#[tokio::test]
async fn where_another_order_of_the_customer_is_out_a_new_one_is_nobodys_before_it_shows() {
    let table = empty_account().await;
    table.set(IN_PROGRESS, 200, json!([{"orderId": 8, "status": "lead"}]));
    let mut set = Set::unclear(&[]);
    set.others.another_is_out = true;
    let outcome = set.outcome(&table.upstreams(), &deploy()).await;
    assert_eq!(starts(&outcome), "NotYet", "{outcome:?}");
    set.others.another_is_out = false;
    let outcome = set.outcome(&table.upstreams(), &deploy()).await;
    assert_eq!(starts(&outcome), "AlreadySo");
}

#[tokio::test]
async fn an_order_that_hivelocity_cancelled_is_over_and_the_service_may_be_ordered_afresh() {
    let table = empty_account().await;
    let mut set = ordered(None);
    set.service.device_id = None;
    table.set("GET /order/8", 200, json!({"status": "lead"}));
    let outcome = set.outcome(&table.upstreams(), &deploy()).await;
    assert_eq!(starts(&outcome), "AlreadySo");
    table.set("GET /order/8", 200, json!({"status": "cancelled"}));
    table.set(
        BATCH,
        201,
        json!({"devices": [{"deviceId": 10, "orderId": 11}]}),
    );
    // The old device carries the mark and is being cancelled, its group names it.
    let old = json!([{"deviceId": 9, "orderId": 8, "tags": [TAG], "hostname": "srv1.example.com"}]);
    table.set(LIST, 200, old);
    table.set(
        "GET /device/9",
        200,
        json!({"deviceId": 9, "hasCancellation": true}),
    );
    let groups = json!([{"id": 4, "name": TAG, "device_ids": [9]}]);
    table.set(GROUPS, 200, groups);
    let buried = set.perform(&table.upstreams(), &deploy()).await;
    assert_eq!(buried.outcome, Outcome::Prepared);
    let set = set.knowing(&buried);
    assert_eq!(
        (&set.service.dead_orders, &set.service.dead_groups),
        (&vec![8], &vec![4])
    );
    let made = json!({"id": 5, "name": TAG});
    table.set("POST /order-groups/", 201, made);
    let Outcome::Done(done) = set.order(&table.upstreams()).await.outcome else {
        panic!()
    };
    assert_eq!(
        (
            &done.service["device_order_id"],
            &done.service["device_orders"]
        ),
        (&json!(11), &Value::Null)
    );
}

#[tokio::test]
async fn nothing_is_absent_before_everything_could_be_read() {
    for unreadable in [LIST, GROUPS, IN_PROGRESS, ORDERS] {
        let table = empty_account().await;
        let set = Set {
            permit: Permit::Send,
            order_settled: true,
            ..Set::unclear(&[])
        };
        table.set(unreadable, 500, json!({"message": "oops"}));
        let outcome = set.outcome(&table.upstreams(), &deploy()).await;
        assert_eq!(starts(&outcome), "Unavailable", "{unreadable}");
        let row = match unreadable {
            LIST => json!({"deviceId": 9, "tags": null, "hostname": "srv1.example.com"}),
            GROUPS => json!({"id": null, "name": TAG}),
            _ => json!({"orderId": {"number": 8}, "status": "lead"}),
        };
        table.set(unreadable, 200, json!([row]));
        let outcome = set.outcome(&table.upstreams(), &deploy()).await;
        assert_eq!(starts(&outcome), "Unavailable", "{unreadable}");
        table.set(unreadable, 200, json!({"message": "no list"}));
        let outcome = set.outcome(&table.upstreams(), &deploy()).await;
        assert_eq!(starts(&outcome), "Unavailable", "{unreadable}");
        if unreadable != LIST {
            table.set(unreadable, 403, json!({"message": "not yours"}));
            let looking = Set {
                permit: Permit::LookOnly,
                ..Set::unclear(&[])
            };
            let outcome = looking.outcome(&table.upstreams(), &deploy()).await;
            assert_eq!(starts(&outcome), "NotYet", "{unreadable}");
            let outcome = set.outcome(&table.upstreams(), &deploy()).await;
            assert_eq!(starts(&outcome), "NeedsPerson", "{unreadable}");
        }
        assert_eq!(table.stage.writes(), 0);
    }
}

#[tokio::test]
async fn in_one_account_for_all_an_order_is_nobodys_before_it_shows_whose_it_is() {
    let table = empty_account().await;
    let mut settings = settings(&table.stage.base);
    settings.hivelocity.multi = false;
    let upstreams = Upstreams::new(settings).unwrap();
    let mut set = Set::unclear(&[5]);
    table.set(IN_PROGRESS, 200, json!([{"orderId": 8, "status": "lead"}]));
    for permit in [Permit::LookOnly, Permit::Send] {
        set.order_settled = permit == Permit::Send;
        set.permit = permit;
        let outcome = set.outcome(&upstreams, &deploy()).await;
        let waits = matches!(
            outcome,
            Outcome::NotYet {
                again: Again::Build,
                ref waiting_for,
            } if waiting_for.contains("order 8 (lead)")
        );
        assert!(waits, "{outcome:?}");
    }
    set.others.of_others.insert(8);
    assert_eq!(
        set.outcome(&upstreams, &deploy()).await,
        Outcome::Prepared,
        "another service's"
    );
    set.others.of_others.clear();
    table.set(IN_PROGRESS, 200, json!([]));
    table.set(ORDERS, 200, json!([{"orderId": 8, "status": "cancelled"}]));
    let outcome = set.outcome(&upstreams, &deploy()).await;
    let Outcome::NeedsPerson(decision) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(decision.why, PauseReason::UnknownOutcome);
    assert!(decision.sentence.contains("order 8 (cancelled)"));
    assert_eq!(decision.allows, Some(Allowance::IgnoreOrders(vec![8])));
    set.allowed = decision.allows;
    assert_eq!(
        set.outcome(&upstreams, &deploy()).await,
        Outcome::Prepared,
        "a person says that it is not"
    );
    table.set(
        ORDERS,
        200,
        json!([{"orderId": 8, "status": "cancelled"},
        {"orderId": 9, "status": "cancelled"}]),
    );
    let outcome = set.outcome(&upstreams, &deploy()).await;
    assert_eq!(starts(&outcome), "NeedsPerson", "nobody was shown this one");
    table.set(LIST, 200, json!([built()]));
    let outcome = set.outcome(&upstreams, &deploy()).await;
    assert_eq!(starts(&outcome), "AlreadySo", "the mark tells it");
    assert!(table.sent(BATCH).is_empty() && table.sent(SINGLE).is_empty());
}

#[tokio::test]
async fn two_devices_with_one_mark_are_shown_with_their_price_and_one_ends_by_approval() {
    let table = empty_account().await;
    let mut second = device(10, "192.0.2.6", "ON", &[TAG]);
    second["orderId"] = json!(11);
    second["period"] = json!("monthly");
    table.set(LIST, 200, json!([built(), second]));
    table.set("GET /device/9", 200, json!({"hasCancellation": false}));
    table.set("GET /device/10", 200, json!({}));
    table.set("GET /order/11", 200, json!({"total": 199}));
    table.set("DELETE /bare-metal-devices/10", 201, Value::Null);
    let set = Set::with_client(35);
    let outcome = set.outcome(&table.upstreams(), &deploy()).await;
    let Outcome::NeedsPerson(decision) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(decision.why, PauseReason::DeviceTwice);
    let allowed = Allowance::CancelDevices(vec![10]);
    assert_eq!(decision.allows, Some(allowed.clone()));
    for words in [
        "device 9 (192.0.2.5, order 8)",
        "device 10 (192.0.2.6, order 11, 199.00 monthly)",
        "billhook runs approve {run}",
    ] {
        assert!(decision.sentence.contains(words), "{}", decision.sentence);
    }
    assert_eq!(table.stage.writes(), 0);
    let approved = Set {
        allowed: Some(allowed),
        ..Set::with_client(35)
    };
    let outcome = approved.outcome(&table.upstreams(), &deploy()).await;
    assert!(matches!(outcome, Outcome::AlreadySo(done) if done.service["device_id"] == 9));
    assert_eq!(table.sent("DELETE /bare-metal-devices/10").len(), 1);
    table.set("GET /device/10", 200, json!({"hasCancellation": true}));
    let outcome = set.outcome(&table.upstreams(), &deploy()).await;
    assert_eq!(starts(&outcome), "AlreadySo", "one is being cancelled");
    assert_eq!(table.stage.writes(), 1);
}
