//! Tests: power and null routes.

use std::time::Duration;

use serde_json::{Value, json};

use super::Table;
use crate::domain::step::PowerAction;
use crate::domain::{Again, Asked, Outcome, StepAction};
use crate::upstream::stage::{Heard, Set, TAG, action};

const POWER: &str = "GET /device/9/power";
const SWITCH: &str = "POST /device/9/power";
const IPS: &str = "GET /device/9/ips";
const ROUTES: &str = "GET /network/null-route";
const ROUTE: &str = "POST /network/null-route";

fn set() -> Set {
    let mut set = Set::with_client(35);
    set.service.device_id = Some(9);
    set.service.ip = Some("192.0.2.5".to_owned());
    set
}

fn power(action: PowerAction) -> StepAction {
    StepAction::Power {
        action,
        tag: TAG.to_owned(),
    }
}

fn status(power: &str) -> Value {
    json!({"powerStatus": power})
}

#[tokio::test]
async fn a_device_that_is_as_wanted_is_left_alone() {
    for (wanted, now) in [(PowerAction::Boot, "ON"), (PowerAction::Shutdown, "off")] {
        let table = Table::new(&[(POWER, 200, status(now))]).await;
        let outcome = set().outcome(&table.upstreams(), &power(wanted)).await;
        assert!(matches!(outcome, Outcome::AlreadySo(_)), "{outcome:?}");
        assert_eq!(table.stage.writes(), 0);
    }
}

#[tokio::test]
async fn a_shutdown_is_sent_once_and_awaited() {
    let rows = [(POWER, 200, status("ON")), (SWITCH, 202, status("PENDING"))];
    let table = Table::new(&rows).await;
    let upstreams = table.upstreams();
    let step = power(PowerAction::Shutdown);
    for attempt in 1..=5 {
        let outcome = Set { attempt, ..set() }.outcome(&upstreams, &step).await;
        assert!(
            matches!(
                outcome,
                Outcome::NotYet {
                    again: Again::Soon,
                    ..
                }
            ),
            "{outcome:?}"
        );
    }
    assert_eq!(
        table.stage.writes(),
        1,
        "an accepted request is given its time"
    );
    assert_eq!(
        table.sent(SWITCH)[0].query,
        "action=shutdown&controlledClientId=35"
    );
    Set {
        attempt: 6,
        ..set()
    }
    .outcome(&upstreams, &step)
    .await;
    assert_eq!(table.stage.writes(), 2, "it seems to have got lost");
    table.set(POWER, 200, status("PENDING"));
    let outcome = Set {
        attempt: 30,
        ..set()
    }
    .outcome(&upstreams, &step)
    .await;
    assert!(matches!(outcome, Outcome::NotYet { .. }), "{outcome:?}");
    table.set(POWER, 200, status("OFF"));
    let outcome = Set {
        attempt: 31,
        ..set()
    }
    .outcome(&upstreams, &step)
    .await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!(table.stage.writes(), 2);
}

#[tokio::test]
async fn a_refused_first_request_does_not_keep_the_second_from_being_sent() {
    let table = Table::new(&[(POWER, 200, status("ON")), (SWITCH, 429, json!({}))]).await;
    let upstreams = table.upstreams();
    let step = power(PowerAction::Shutdown);
    let outcome = set().outcome(&upstreams, &step).await;
    assert!(matches!(outcome, Outcome::Held(_)), "{outcome:?}");
    table.set(SWITCH, 202, status("OFF"));
    let outcome = Set {
        attempt: 2,
        ..set()
    }
    .outcome(&upstreams, &step)
    .await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}

#[tokio::test]
async fn an_accepted_request_counts_as_lost_after_two_minutes() {
    let table = Table::new(&[(POWER, 200, status("ON")), (SWITCH, 202, status("ON"))]).await;
    let upstreams = table.upstreams();
    let step = power(PowerAction::Shutdown);
    set().outcome(&upstreams, &step).await;
    let later = set().now.plus(Duration::from_secs(121));
    Set {
        attempt: 2,
        now: later,
        ..set()
    }
    .outcome(&upstreams, &step)
    .await;
    assert_eq!(table.stage.writes(), 2);
}

#[tokio::test]
async fn a_refusal_that_says_it_is_so_already_is_no_failure() {
    for (wanted, now, words) in [
        (
            PowerAction::Shutdown,
            "ON",
            "Can't do this while server is powered off.",
        ),
        (PowerAction::Boot, "OFF", "Server is ALREADY ON"),
        (
            PowerAction::Boot,
            "OFF",
            "Can't do this while server is powered on.",
        ),
    ] {
        let refusal = json!({"message": words});
        let table = Table::new(&[(POWER, 200, status(now)), (SWITCH, 400, refusal)]).await;
        let outcome = set().outcome(&table.upstreams(), &power(wanted)).await;
        assert!(
            matches!(outcome, Outcome::AlreadySo(_)),
            "{words}: {outcome:?}"
        );
    }
    let refusal = json!({"message": "Device is locked"});
    let table = Table::new(&[(POWER, 200, status("ON")), (SWITCH, 400, refusal)]).await;
    let outcome = set()
        .outcome(&table.upstreams(), &power(PowerAction::Shutdown))
        .await;
    assert!(matches!(outcome, Outcome::Rejected(ref why) if why.contains("locked")));
}

#[tokio::test]
async fn a_reboot_is_sent_and_done() {
    let table = Table::new(&[(SWITCH, 202, Value::Null)]).await;
    let outcome = set()
        .outcome(&table.upstreams(), &power(PowerAction::Reboot))
        .await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!(table.sent(SWITCH).len(), 1);
}

#[tokio::test]
async fn a_device_that_is_gone_is_a_persons_case() {
    let table = Table::new(&[("GET /bare-metal-devices/", 200, json!([]))]).await;
    for wanted in [
        PowerAction::Boot,
        PowerAction::Reboot,
        PowerAction::Shutdown,
    ] {
        let outcome = set().outcome(&table.upstreams(), &power(wanted)).await;
        assert!(matches!(outcome, Outcome::Rejected(ref why) if why.contains("gone")));
    }
    let outcome = Set::with_client(35)
        .outcome(&table.upstreams(), &power(PowerAction::Boot))
        .await;
    assert!(matches!(outcome, Outcome::Rejected(ref why) if why.contains("no device")));
}

fn ips() -> Value {
    json!([
        {"version": 4, "usableIps": ["192.0.2.5", "198.51.100.7", "10.0.0.4", "100.64.1.1"]},
        {"version": 4, "usableIps": ["172.16.0.9", "169.254.1.1", "127.0.0.1", "nonsense"]},
        {"version": 6, "usableIps": ["2001:db8::5"]},
    ])
}

fn route(ip: &str, comment: &str, admin: &Value) -> Value {
    json!({"ip": ip, "comment": comment, "adminId": admin})
}

#[tokio::test]
async fn every_public_ipv4_is_null_routed_and_no_other() {
    let rows = [
        (IPS, 200, ips()),
        (ROUTES, 200, json!([])),
        (ROUTE, 201, json!({"result": "Success"})),
    ];
    let table = Table::new(&rows).await;
    let outcome = set()
        .outcome(&table.upstreams(), &action("hivelocity.null_route"))
        .await;
    let Outcome::Done(done) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        done.output,
        json!({"null_routed": ["192.0.2.5", "198.51.100.7"]})
    );
    let bodies: Vec<Value> = table.sent(ROUTE).iter().map(Heard::json).collect();
    let body = |ip: &str| json!({"ip": ip, "comment": "billhook: service 501 suspended"});
    assert_eq!(bodies, [body("192.0.2.5"), body("198.51.100.7")]);
}

#[tokio::test]
async fn what_is_null_routed_is_not_again_and_what_is_pending_is_awaited() {
    let there = json!([route("192.0.2.5", "abuse", &json!(4))]);
    let rows = [
        (IPS, 200, ips()),
        (ROUTES, 200, there),
        (ROUTE, 201, json!({"result": null})),
    ];
    let table = Table::new(&rows).await;
    let upstreams = table.upstreams();
    let step = action("hivelocity.null_route");
    let outcome = set().outcome(&upstreams, &step).await;
    assert!(
        matches!(
            outcome,
            Outcome::NotYet {
                again: Again::Soon,
                ..
            }
        ),
        "{outcome:?}"
    );
    assert_eq!(table.sent(ROUTE).len(), 1);
    table.set(
        ROUTES,
        200,
        json!([
            route("192.0.2.5", "", &json!(0)),
            route("198.51.100.7", "", &json!(0))
        ]),
    );
    let outcome = set().outcome(&upstreams, &step).await;
    assert!(matches!(outcome, Outcome::AlreadySo(_)), "{outcome:?}");
    assert_eq!(table.sent(ROUTE).len(), 1);
}

#[tokio::test]
async fn a_failed_null_route_is_tried_again_and_an_unlisted_one_is_trusted() {
    let rows = [
        (IPS, 200, ips()),
        (ROUTES, 405, json!({})),
        (ROUTE, 201, json!({"result": "Failed"})),
    ];
    let table = Table::new(&rows).await;
    let step = action("hivelocity.null_route");
    let outcome = set().outcome(&table.upstreams(), &step).await;
    assert!(
        matches!(outcome, Outcome::Unavailable { .. }),
        "{outcome:?}"
    );
    table.set(ROUTE, 201, json!({"result": "Pending"}));
    let outcome = set().outcome(&table.upstreams(), &step).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}

#[tokio::test]
async fn only_our_own_null_routes_are_taken_away() {
    let list = json!([
        route("192.0.2.5", "billhook: service 501 suspended", &Value::Null),
        route("198.51.100.7", "billhook: by hand", &json!(12)),
        route("203.0.113.9", "billhook: another service", &Value::Null),
    ]);
    let rows = [
        (IPS, 200, ips()),
        (ROUTES, 200, list),
        (
            "DELETE /network/null-route/192.0.2.5",
            201,
            json!({"result": "Success"}),
        ),
    ];
    let table = Table::new(&rows).await;
    let step = action("hivelocity.remove_null_route");
    let outcome = set().outcome(&table.upstreams(), &step).await;
    let Outcome::Done(done) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(done.output["null_route_removed"], json!(["192.0.2.5"]));
    assert_eq!(
        done.output["left_alone"],
        json!(["198.51.100.7 (billhook: by hand)"])
    );
    assert_eq!(table.stage.writes(), 1);
    table.set(ROUTES, 200, json!([]));
    let outcome = set().outcome(&table.upstreams(), &step).await;
    assert!(matches!(outcome, Outcome::AlreadySo(_)), "{outcome:?}");
}

/// A scene in which each of these steps was asked a moment ago.
fn asked(steps: &[StepAction]) -> Set {
    let mut set = set();
    let mut asked = Asked::default();
    for step in steps {
        asked = asked.begun(step, set.now).unwrap();
    }
    set.service.asked = Some(asked);
    set
}

fn is_waited_for(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::NotYet { .. }), "{outcome:?}");
}

#[tokio::test]
async fn what_looks_as_wanted_is_not_believed_while_the_opposite_may_still_come() {
    for (wanted, opposite, now) in [
        (PowerAction::Boot, PowerAction::Shutdown, "ON"),
        (PowerAction::Shutdown, PowerAction::Boot, "OFF"),
    ] {
        let table = Table::new(&[(POWER, 200, status(now)), (SWITCH, 202, status(now))]).await;
        let (upstreams, step) = (table.upstreams(), power(wanted));
        is_waited_for(&asked(&[power(opposite)]).outcome(&upstreams, &step).await);
        assert_eq!(table.stage.writes(), 0);
        let mut later = asked(&[power(opposite)]);
        later.now = later.now.plus(Duration::from_mins(1));
        let outcome = later.outcome(&upstreams, &step).await;
        assert!(matches!(outcome, Outcome::AlreadySo(_)), "{outcome:?}");
        assert_eq!(table.stage.writes(), 0);
    }
}

#[tokio::test]
async fn a_request_that_another_step_had_accepted_is_not_taken_for_the_opposite() {
    let table = Table::new(&[(POWER, 200, status("ON")), (SWITCH, 202, status("ON"))]).await;
    let (upstreams, off) = (table.upstreams(), power(PowerAction::Shutdown));
    is_waited_for(&set().outcome(&upstreams, &off).await);
    let on = power(PowerAction::Boot);
    is_waited_for(&asked(&[off]).outcome(&upstreams, &on).await);
}

#[tokio::test]
async fn a_null_route_that_was_asked_and_does_not_show_yet_is_waited_for_and_taken_away() {
    let (set_it, remove) = (
        action("hivelocity.null_route"),
        action("hivelocity.remove_null_route"),
    );
    let ours = |ip| route(ip, "billhook: service 501 suspended", &Value::Null);
    let taken = json!({"result": "Success"});
    let delete = ("DELETE /network/null-route/192.0.2.5", 201, taken);
    let table = Table::new(&[(IPS, 200, ips()), (ROUTES, 200, json!([])), delete]).await;
    let upstreams = table.upstreams();
    let mut scene = asked(&[set_it]);
    is_waited_for(&scene.outcome(&upstreams, &remove).await);
    table.set(ROUTES, 200, json!([ours("192.0.2.5")]));
    is_waited_for(&scene.outcome(&upstreams, &remove).await);
    assert_eq!(table.stage.writes(), 1, "the one that shows is taken away");
    table.set(ROUTES, 200, json!([]));
    scene.now = scene.now.plus(Duration::from_mins(1));
    let outcome = scene.outcome(&upstreams, &remove).await;
    assert!(matches!(outcome, Outcome::AlreadySo(_)), "{outcome:?}");
}

#[tokio::test]
async fn null_routes_that_may_still_be_taken_away_are_not_believed() {
    let remove = action("hivelocity.remove_null_route");
    let everything = ["192.0.2.5", "198.51.100.7", "203.0.113.9"]
        .map(|ip| route(ip, "billhook: service 501 suspended", &Value::Null));
    let rows = [(IPS, 200, ips()), (ROUTES, 200, json!(everything))];
    let table = Table::new(&rows).await;
    let upstreams = table.upstreams();
    let set_it = action("hivelocity.null_route");
    let outcome = set().outcome(&upstreams, &set_it).await;
    assert!(matches!(outcome, Outcome::AlreadySo(_)), "{outcome:?}");
    is_waited_for(&asked(&[remove]).outcome(&upstreams, &set_it).await);
}
