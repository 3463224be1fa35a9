//! Tests: acting as a controlled client with its own key.

use serde_json::{Value, json};

use super::Table;
use crate::domain::{Outcome, Permit, Secret};
use crate::upstream::stage::{Counting, KEY, Set, deploy};

const DEVICES: &str = "GET /bare-metal-devices/";
const TOKENS: &str = "GET /token/";
const MINT: &str = "POST /token/";
const CONTEXT: &str = "hivelocity_token:whmcs:77";

async fn table(tokens: Value) -> Table {
    Table::new(&[
        (DEVICES, 200, json!([])),
        ("POST /bare-metal-devices/", 200, json!({"deviceId": 9})),
        (TOKENS, 200, tokens),
        (MINT, 201, json!({"token": "minted-key-of-35"})),
    ])
    .await
}

fn opened(learned: &crate::upstream::Learned) -> String {
    let sealed = learned.customer["hivelocity_token"].as_str().unwrap();
    Set::vault()
        .open(CONTEXT, sealed)
        .unwrap()
        .reveal()
        .to_owned()
}

#[tokio::test]
async fn a_hidden_key_is_replaced_by_a_new_one_that_is_kept_sealed() {
    let hidden = json!([
        {"token": "************1234", "timeExpiration": null},
        {"token": "1234"},
        {"token": "expired-key-12345", "timeExpiration": "2020-01-01T00:00:00"},
    ]);
    let table = table(hidden).await;
    let left = Set::with_client(35).order(&table.token_upstreams()).await;
    assert!(
        matches!(left.outcome, Outcome::Done(_)),
        "{:?}",
        left.outcome
    );
    assert_eq!(opened(&left.learned), "minted-key-of-35");
    assert_eq!(table.sent(MINT)[0].query, "controlledClientId=35");
    assert_eq!(table.sent(MINT)[0].headers["x-api-key"], KEY);
    let order = &table.sent("POST /bare-metal-devices/")[0];
    assert_eq!(
        (order.query.as_str(), order.headers["x-api-key"].as_str()),
        ("", "minted-key-of-35")
    );
}

#[tokio::test]
async fn a_key_that_is_shown_whole_is_used() {
    let table =
        table(json!([{"token": "whole-key-of-35", "timeExpiration": "2099-01-01T00:00:00"}]));
    let table = table.await;
    let left = Set::with_client(35)
        .perform(&table.token_upstreams(), &deploy())
        .await;
    assert_eq!(opened(&left.learned), "whole-key-of-35");
    assert!(table.sent(MINT).is_empty());
}

#[tokio::test]
async fn a_kept_key_is_used_without_asking_and_only_for_its_own_client() {
    let table = table(json!([])).await;
    let mut set = Set::with_client(35);
    let key = Secret::new("kept-key-of-35");
    set.customer.hivelocity_token = Some(Set::vault().seal(&Counting, CONTEXT, &key));
    let left = set.perform(&table.token_upstreams(), &deploy()).await;
    assert!(
        matches!(left.outcome, Outcome::Prepared),
        "{:?}",
        left.outcome
    );
    assert!(left.learned.customer.is_empty());
    assert_eq!(
        table.sent(DEVICES)[0].headers["x-api-key"],
        "kept-key-of-35"
    );
    assert!(table.sent(TOKENS).is_empty());
    set.service.hivelocity_client_id = Some(36);
    let left = set.perform(&table.token_upstreams(), &deploy()).await;
    assert_eq!(
        table.sent(DEVICES).last().unwrap().headers["x-api-key"],
        "minted-key-of-35"
    );
    assert!(
        left.learned.customer.is_empty(),
        "another client's key is not the customer's"
    );
}

#[tokio::test]
async fn a_kept_key_that_is_refused_is_forgotten_and_fetched_anew_the_next_time() {
    let table = table(json!([{"token": "kept-key-of-35"}])).await;
    table.set(DEVICES, 401, json!({"message": "bad key"}));
    let mut set = Set::with_client(35);
    let key = Secret::new("kept-key-of-35");
    set.customer.hivelocity_token = Some(Set::vault().seal(&Counting, CONTEXT, &key));
    let upstreams = table.token_upstreams();
    let left = set.perform(&upstreams, &deploy()).await;
    assert!(
        matches!(left.outcome, Outcome::Unavailable { .. }),
        "{:?}",
        left.outcome
    );
    assert_eq!(left.learned.customer["hivelocity_token"], Value::Null);
    // The list still shows the refused key; it is not taken again.
    let left = set.perform(&upstreams, &deploy()).await;
    assert_eq!(table.sent(MINT).len(), 1);
    assert!(
        matches!(left.outcome, Outcome::Rejected(_)),
        "a new key refused: {:?}",
        left.outcome
    );
}

#[tokio::test]
async fn making_a_key_whose_answer_is_lost_leaves_the_step_undone() {
    let table = table(json!([])).await;
    table.set(MINT, 502, json!({}));
    let left = Set::with_client(35)
        .perform(&table.token_upstreams(), &deploy())
        .await;
    assert!(
        matches!(left.outcome, Outcome::Unavailable { .. }),
        "{:?}",
        left.outcome
    );
    table.set(MINT, 200, json!({"token": "****1234"}));
    let left = Set::with_client(35)
        .perform(&table.token_upstreams(), &deploy())
        .await;
    assert!(matches!(left.outcome, Outcome::Rejected(ref why) if why.contains("act_as")));
}

#[tokio::test]
async fn looking_only_makes_no_key() {
    let table = table(json!([])).await;
    let set = Set {
        permit: Permit::LookOnly,
        ..Set::with_client(35)
    };
    assert_eq!(
        set.outcome(&table.token_upstreams(), &deploy()).await,
        Outcome::Absent
    );
    assert_eq!(table.stage.writes(), 0);
    assert_eq!(table.sent(DEVICES)[0].query, "controlledClientId=35");
}

#[tokio::test]
async fn two_services_at_once_make_one_key() {
    let table = table(json!([])).await;
    let upstreams = table.token_upstreams();
    let (one, two) = (Set::with_client(35), Set::with_client(35));
    let step = deploy();
    let (left, right) = tokio::join!(
        one.perform(&upstreams, &step),
        two.perform(&upstreams, &step)
    );
    assert_eq!(table.sent(MINT).len(), 1);
    assert_eq!(opened(&left.learned), opened(&right.learned));
}

#[tokio::test]
async fn the_single_account_uses_the_primary_key_alone() {
    let table = table(json!([])).await;
    let mut settings = crate::upstream::stage::settings(&table.stage.base);
    settings.hivelocity.multi = false;
    settings.hivelocity.act_as_token = true;
    let upstreams = crate::upstream::Upstreams::new(settings).unwrap();
    let left = Set::new().order(&upstreams).await;
    let Outcome::Done(done) = left.outcome else {
        panic!("{:?}", left.outcome)
    };
    assert!(done.service.get("hivelocity_client_id").is_none());
    assert!(
        table
            .stage
            .heard()
            .iter()
            .all(|h| h.query.is_empty() && h.headers["x-api-key"] == KEY)
    );
}
