//! Tests: cancelling devices.

use serde_json::{Value, json};

use super::Table;
use super::devices::{CANCEL, LIST, ONE, built, device, ordered, starts};
use crate::domain::{Again, Outcome};
use crate::upstream::stage::{Set, TAG, action};

#[tokio::test]
async fn cancelling_is_done_however_hivelocity_says_so() {
    for (status, expected) in [
        (200, "Done"),
        (201, "Done"),
        (204, "Done"),
        (404, "AlreadySo"),
        (409, "AlreadySo"),
        (400, "Rejected"),
        (401, "Held"),
        (403, "Rejected"),
        (500, "Ambiguous"),
    ] {
        let table = Table::new(&[(ONE, 200, built()), (CANCEL, status, Value::Null)]).await;
        let set = ordered(Some("192.0.2.5"));
        let outcome = set
            .outcome(&table.upstreams(), &action("hivelocity.cancel_device"))
            .await;
        assert_eq!(starts(&outcome), expected, "{status}: {outcome:?}");
        if let Outcome::Done(done) | Outcome::AlreadySo(done) = outcome {
            assert_eq!(
                done.service,
                json!({"device_id": null, "device_order_id": null, "device_orders": null,
                    "device_order_status": null, "device_order_complete_at": null, "device_ordered_at": null, "device_seen": null,
                    "pending_order": null})
            );
        }
    }
}

#[tokio::test]
async fn a_device_that_was_up_and_is_gone_needs_no_cancelling() {
    let table = Table::new(&[(LIST, 200, json!([]))]).await;
    let step = action("hivelocity.cancel_device");
    let outcome = ordered(Some("192.0.2.5"))
        .outcome(&table.upstreams(), &step)
        .await;
    assert_eq!(starts(&outcome), "AlreadySo");
}

#[tokio::test]
async fn an_ordered_device_that_is_not_visible_yet_is_cancelled_once_it_is() {
    let table = Table::new(&[(LIST, 200, json!([])), (CANCEL, 404, json!({}))]).await;
    let step = action("hivelocity.cancel_device");
    let mut by_order = Set::with_client(35);
    by_order.service.device_order_id = Some(8);
    for set in [ordered(None), by_order] {
        table.set("GET /order/8", 200, json!({"status": "provisioning"}));
        let outcome = set.outcome(&table.upstreams(), &step).await;
        assert!(
            matches!(
                outcome,
                Outcome::NotYet {
                    again: Again::Build,
                    ..
                }
            ),
            "{outcome:?}"
        );
        table.set("GET /order/8", 200, json!({"status": "Cancelled"}));
        assert_eq!(
            starts(&set.outcome(&table.upstreams(), &step).await),
            "AlreadySo"
        );
        table.set("GET /order/8", 404, json!({}));
        assert_eq!(
            starts(&set.outcome(&table.upstreams(), &step).await),
            "NotYet"
        );
        let limited = Set {
            attempt: 60,
            in_vain: 21,
            ..set
        };
        assert_eq!(
            starts(&limited.outcome(&table.upstreams(), &step).await),
            "NotYet",
            "attempts that were limited are no looks"
        );
        let late = Set {
            in_vain: 20,
            ..limited
        };
        assert_eq!(
            starts(&late.outcome(&table.upstreams(), &step).await),
            "Rejected"
        );
    }
    table.set(ONE, 200, device(9, "", "", &[TAG]));
    table.set(CANCEL, 201, Value::Null);
    let mut set = ordered(None);
    let noted = set.perform(&table.upstreams(), &step).await;
    assert_eq!(noted.outcome, Outcome::Prepared);
    assert_eq!(
        Value::Object(noted.learned.service),
        json!({"device_seen": 9})
    );
    assert_eq!(table.stage.writes(), 0);
    set.service.device_seen = Some(9);
    let outcome = set.outcome(&table.upstreams(), &step).await;
    assert_eq!(starts(&outcome), "Done");
}

#[tokio::test]
async fn a_device_that_was_seen_and_is_listed_no_more_is_gone_although_it_never_came_up() {
    let step = action("hivelocity.cancel_device");
    let mut by_mark = Set::with_client(35);
    by_mark.service.device_order_id = Some(8);
    for mut set in [ordered(None), by_mark] {
        let listed = device(9, "", "", &[]);
        let order = json!({"status": "complete"});
        let table = Table::new(&[
            (ONE, 404, json!({})),
            (LIST, 200, json!([listed])),
            ("GET /order/8", 200, order),
            (CANCEL, 404, json!({})),
        ])
        .await;
        // Nobody knows whether it was there.
        let outcome = set.outcome(&table.upstreams(), &step).await;
        assert_eq!(starts(&outcome), "NotYet");
        assert_eq!(table.stage.writes(), 0);
        // It was, and still is, whatever the answers by its id say.
        set.service.device_seen = Some(9);
        let outcome = set.outcome(&table.upstreams(), &step).await;
        assert_eq!(starts(&outcome), "NotYet");
        table.set(LIST, 200, json!([]));
        let outcome = set.outcome(&table.upstreams(), &step).await;
        assert_eq!(starts(&outcome), "AlreadySo");
        table.set(CANCEL, 201, Value::Null);
        let outcome = set.outcome(&table.upstreams(), &step).await;
        assert_eq!(starts(&outcome), "Done");
        // The hardware is somebody else's by now.
        let deleted = table.stage.writes();
        table.set(
            ONE,
            200,
            device(9, "192.0.2.5", "ON", &["billhook:whmcs:999"]),
        );
        let outcome = set.outcome(&table.upstreams(), &step).await;
        assert_eq!(starts(&outcome), "AlreadySo");
        // Or nobody knows whose it is, where it was only known by its mark.
        table.set(ONE, 200, device(9, "192.0.2.5", "ON", &["rack 4"]));
        if set.service.device_id.is_none() {
            let outcome = set.outcome(&table.upstreams(), &step).await;
            assert_eq!(starts(&outcome), "Rejected");
        }
        assert_eq!(table.stage.writes(), deleted);
    }
}

#[tokio::test]
async fn whatever_else_carries_the_mark_is_cancelled_before_the_device() {
    let all = json!([
        built(),
        device(10, "192.0.2.6", "ON", &["other", TAG]),
        device(11, "192.0.2.7", "ON", &["billhook:whmcs:999"]),
        device(12, "192.0.2.8", "ON", &[]),
    ]);
    let step = action("hivelocity.cancel_device");
    let deleted = |table: &Table| {
        let mut lines = table.stage.lines();
        lines.retain(|line| line.starts_with("DELETE "));
        lines.len()
    };
    for own in [204, 404] {
        let table = Table::new(&[
            (ONE, 200, built()),
            (CANCEL, own, Value::Null),
            (LIST, 500, json!({})),
            ("DELETE /bare-metal-devices/10", 500, Value::Null),
        ])
        .await;
        let set = ordered(Some("192.0.2.5"));
        let outcome = set.outcome(&table.upstreams(), &step).await;
        assert_eq!(starts(&outcome), "Unavailable");
        assert_eq!(deleted(&table), 0);
        table.set(LIST, 200, all.clone());
        let outcome = set.outcome(&table.upstreams(), &step).await;
        assert_eq!(starts(&outcome), "Ambiguous");
        assert_eq!(deleted(&table), 1);
        table.set("DELETE /bare-metal-devices/10", 409, Value::Null);
        let outcome = set.outcome(&table.upstreams(), &step).await;
        let (Outcome::Done(done) | Outcome::AlreadySo(done)) = &outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(done.output["also_cancelled"], json!([10]));
        assert_eq!(deleted(&table), 3);
    }
}

#[tokio::test]
async fn nothing_ordered_is_nothing_to_cancel() {
    let table = Table::new(&[
        (LIST, 200, json!([])),
        ("GET /account/controlled-client", 200, json!([])),
    ])
    .await;
    let step = action("hivelocity.cancel_device");
    for set in [Set::with_client(35), Set::new()] {
        assert_eq!(
            starts(&set.outcome(&table.upstreams(), &step).await),
            "AlreadySo"
        );
    }
    table.set(LIST, 200, json!([built()]));
    table.set(CANCEL, 201, Value::Null);
    let mut set = Set::with_client(35);
    set.service.device_seen = Some(9);
    let outcome = set.outcome(&table.upstreams(), &step).await;
    assert_eq!(starts(&outcome), "Done", "found by its mark");
}

#[tokio::test]
async fn a_termination_while_an_order_is_unclear_ends_only_once_it_is_certain_what_became_of_it() {
    let table = Table::new(&[
        (LIST, 200, json!([])),
        ("GET /order-groups/", 200, json!([])),
        ("GET /order/in-progress", 200, json!([])),
        (
            "GET /order/",
            200,
            json!([{"orderId": 5, "status": "complete"}]),
        ),
        (CANCEL, 201, Value::Null),
    ])
    .await;
    let step = action("hivelocity.cancel_device");
    let mut set = Set::unclear(&[5]);
    set.permit = crate::domain::Permit::Send;
    let outcome = set.outcome(&table.upstreams(), &step).await;
    assert_eq!(starts(&outcome), "NotYet", "not as if nothing was ordered");
    set.order_settled = true;
    let outcome = set.outcome(&table.upstreams(), &step).await;
    assert_eq!(starts(&outcome), "AlreadySo", "no trace for long enough");
    let order = json!([{"orderId": 8, "status": "lead"}]);
    table.set("GET /order/in-progress", 200, order);
    let found = set.perform(&table.upstreams(), &step).await;
    assert_eq!(found.outcome, Outcome::Prepared);
    let mut set = set.knowing(&found);
    assert_eq!(
        (set.service.device_order_id, &set.service.pending_order),
        (Some(8), &None)
    );
    table.set("GET /order/8", 200, json!({"status": "lead"}));
    let outcome = set.outcome(&table.upstreams(), &step).await;
    assert_eq!(starts(&outcome), "NotYet");
    table.set(LIST, 200, json!([built()]));
    table.set(ONE, 200, built());
    let seen = set.perform(&table.upstreams(), &step).await;
    set = set.knowing(&seen);
    let outcome = set.outcome(&table.upstreams(), &step).await;
    assert_eq!(starts(&outcome), "Done");
    assert_eq!(table.sent(CANCEL).len(), 1);
}
