//! Tests: controlled clients.

use serde_json::{Value, json};

use super::Table;
use crate::domain::{Allowance, Outcome, PauseReason, Permit};
use crate::upstream::stage::{Heard, Set, action, create_client, deploy};

const LIST: &str = "GET /account/controlled-client";
const POST: &str = "POST /account/controlled-client";
const PUT: &str = "PUT /account/controlled-client";

fn client(id: i64, company: &str, active: &Value) -> Value {
    json!({"id": id, "company": company, "active": active, "email": "ops@reseller.example"})
}

#[tokio::test]
async fn a_client_is_made_with_the_owners_address_and_the_mark() {
    let table = Table::new(&[(LIST, 200, json!([])), (POST, 201, json!({"id": "35476"}))]).await;
    let outcome = Set::new()
        .outcome(&table.upstreams(), &create_client())
        .await;
    let Outcome::Done(done) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(done.customer, json!({"hivelocity_client_id": 35476}));
    let sent = &table.sent(POST)[0];
    assert_eq!(
        sent.json(),
        json!({"email": "ops@reseller.example", "company": "Example Ltd [whmcs:77]"})
    );
    assert_eq!(sent.query, "");
}

fn clients_of_one_mark(more: &[Value]) -> Value {
    let mut list = vec![
        client(1, "Old [whmcs:77]", &json!(false)),
        client(5, "Renamed Ltd [whmcs:77]", &Value::Null),
        client(2, "Other [whmcs:177]", &json!(true)),
        client(3, "Other [whmcs2:77]", &json!(true)),
        client(4, "[whmcs:77] is not at the end", &json!(true)),
    ];
    list.extend_from_slice(more);
    Value::from(list)
}

#[tokio::test]
async fn a_marked_client_is_used_and_never_an_inactive_or_similar_one() {
    let table = Table::new(&[(LIST, 200, clients_of_one_mark(&[]))]).await;
    for permit in [Permit::Send, Permit::LookOnly] {
        let set = Set {
            permit,
            ..Set::new()
        };
        let outcome = set.outcome(&table.upstreams(), &create_client()).await;
        let Outcome::AlreadySo(done) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(done.customer, json!({"hivelocity_client_id": 5}));
    }
    assert_eq!(table.stage.writes(), 0);
}

#[tokio::test]
async fn two_clients_with_one_mark_are_a_persons_case_and_an_empty_one_ends_by_approval() {
    let second = client(9, "Example Ltd [whmcs:77]", &json!(true));
    let devices = "GET /bare-metal-devices/";
    let table = Table::new(&[
        (LIST, 200, clients_of_one_mark(&[second])),
        (devices, 200, json!([{"deviceId": 9, "tags": []}])),
        (PUT, 200, json!({"id": 9, "active": false})),
        ("GET /order/in-progress", 200, json!([])),
        (
            "GET /order/",
            200,
            json!([{"orderId": 3, "status": "lead"}]),
        ),
    ])
    .await;
    let outcome = Set::new()
        .outcome(&table.upstreams(), &create_client())
        .await;
    let Outcome::NeedsPerson(decision) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(decision.why, PauseReason::ClientTwice);
    let allowed = Allowance::DeactivateClients(vec![9]);
    assert_eq!(decision.allows, Some(allowed.clone()));
    assert!(
        decision.sentence.contains("5 and 9"),
        "{}",
        decision.sentence
    );
    assert_eq!(table.stage.writes(), 0);
    let approved = || Set {
        allowed: Some(allowed.clone()),
        ..Set::new()
    };
    let outcome = approved()
        .outcome(&table.upstreams(), &create_client())
        .await;
    assert!(matches!(outcome, Outcome::Rejected(ref why) if why.contains("1 devices")));
    assert_eq!(table.stage.writes(), 0, "it holds a device");
    table.set(devices, 200, json!([]));
    let outcome = approved()
        .outcome(&table.upstreams(), &create_client())
        .await;
    assert!(matches!(outcome, Outcome::Rejected(ref why) if why.contains("not over")));
    table.set(
        "GET /order/",
        200,
        json!([{"orderId": 3, "status": "complete"}]),
    );
    let outcome = approved()
        .outcome(&table.upstreams(), &create_client())
        .await;
    assert!(matches!(outcome, Outcome::AlreadySo(_)), "{outcome:?}");
    assert_eq!(table.sent(PUT)[0].json(), json!({"clientId": 9}));
}

#[tokio::test]
async fn an_answer_without_an_id_is_unclear() {
    for body in [Value::Null, json!({"id": null}), json!({})] {
        let table = Table::new(&[(LIST, 200, json!([])), (POST, 201, body)]).await;
        let outcome = Set::new()
            .outcome(&table.upstreams(), &create_client())
            .await;
        assert!(matches!(outcome, Outcome::Ambiguous(_)), "{outcome:?}");
        assert_eq!(table.stage.lines(), [LIST, POST]);
    }
}

#[tokio::test]
async fn a_list_with_a_row_that_cannot_be_read_is_no_proof_that_there_is_none() {
    for row in [
        json!({"id": 5, "company": ["Ltd"], "email": "ops@reseller.example"}),
        json!({"id": {"n": 5}, "company": "Ltd [whmcs:77]"}),
    ] {
        let table = Table::new(&[(LIST, 200, json!([row])), (POST, 201, json!({"id": 6}))]).await;
        let outcome = Set::new()
            .outcome(&table.upstreams(), &create_client())
            .await;
        assert!(
            matches!(outcome, Outcome::Unavailable { .. }),
            "{outcome:?}"
        );
        assert_eq!(table.stage.writes(), 0);
    }
    let strangers = json!([
        {"id": 4, "company": null, "email": "ops@reseller.example"},
        {"id": null, "company": "x", "email": "sales@reseller.example"},
        {"id": null, "company": "x", "email": "ops@reseller.example", "active": false},
    ]);
    let table = Table::new(&[(LIST, 200, strangers), (POST, 201, json!({"id": 6}))]).await;
    let outcome = Set::new()
        .outcome(&table.upstreams(), &create_client())
        .await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_list_that_is_none_orders_nothing() {
    let table = Table::new(&[(LIST, 200, json!({"message": "try later"}))]).await;
    let outcome = Set::new()
        .outcome(&table.upstreams(), &create_client())
        .await;
    assert!(
        matches!(outcome, Outcome::Unavailable { .. }),
        "{outcome:?}"
    );
    assert_eq!(table.stage.writes(), 0);
}

#[tokio::test]
async fn a_refused_client_is_a_persons_case_in_hivelocitys_words() {
    let refusal = json!({"message": "You have not been granted permission"});
    let table = Table::new(&[(LIST, 200, json!([])), (POST, 403, refusal)]).await;
    let outcome = Set::new()
        .outcome(&table.upstreams(), &create_client())
        .await;
    assert!(matches!(outcome, Outcome::Rejected(ref why) if why.contains("granted")));
}

#[tokio::test]
async fn a_step_finds_the_client_by_its_mark_when_the_state_does_not_know_it() {
    let list = json!([client(5, "Ltd [whmcs:77]", &json!(true))]);
    let table = Table::new(&[
        (LIST, 200, list),
        ("GET /bare-metal-devices/", 200, json!([])),
        (
            "POST /bare-metal-devices/",
            200,
            json!({"deviceId": 9, "orderId": 8}),
        ),
    ])
    .await;
    let left = Set::new().order(&table.upstreams()).await;
    assert!(
        matches!(left.outcome, Outcome::Done(_)),
        "{:?}",
        left.outcome
    );
    assert_eq!(left.learned.customer["hivelocity_client_id"], 5);
    assert_eq!(
        table.sent("POST /bare-metal-devices/")[0].query,
        "controlledClientId=5"
    );
    table.set(LIST, 200, json!([]));
    let outcome = Set::new().outcome(&table.upstreams(), &deploy()).await;
    assert!(matches!(outcome, Outcome::Rejected(ref why) if why.contains("controlled client")));
}

#[tokio::test]
async fn deactivating_tries_both_ways_to_write_the_id() {
    let list = json!([client(5, "Ltd [whmcs:77]", &json!(true))]);
    let table = Table::new(&[(LIST, 200, list), (PUT, 400, json!({"message": "bad"}))]).await;
    let step = action("hivelocity.deactivate_client");
    let outcome = Set::with_client(5).outcome(&table.upstreams(), &step).await;
    assert!(matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
    let bodies: Vec<Value> = table.sent(PUT).iter().map(Heard::json).collect();
    assert_eq!(bodies, [json!({"clientId": 5}), json!({"client_id": 5})]);
    table.set(PUT, 200, json!({"id": 5}));
    let outcome = Set::with_client(5).outcome(&table.upstreams(), &step).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!(table.sent(PUT).len(), 3);
}

#[tokio::test]
async fn an_inactive_client_is_not_deactivated_again() {
    let table = Table::new(&[(LIST, 200, json!([client(5, "x", &json!(false))]))]).await;
    let step = action("hivelocity.deactivate_client");
    let outcome = Set::with_client(5).outcome(&table.upstreams(), &step).await;
    assert!(matches!(outcome, Outcome::AlreadySo(_)), "{outcome:?}");
    assert_eq!(table.stage.writes(), 0);
}
