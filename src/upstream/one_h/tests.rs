//! Tests: the 1H steps.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::domain::{Licence, Outcome, Permit};
use crate::upstream::Upstreams;
use crate::upstream::stage::{Reply, Set, Stage, action, add_license, add_user, settings};

type Answers = Vec<(&'static str, Value)>;

/// Answers commands in the order given; a command that is not expected ends the test.
async fn one_h(answers: Answers) -> (Stage, Upstreams) {
    let answers = Arc::new(Mutex::new(answers));
    let stage = Stage::new(move |heard| {
        let request: Value = serde_json::from_str(&heard.field("request")).unwrap();
        let command = request["payload"]["command"].as_str().unwrap().to_owned();
        let (expected, answer) = answers.lock().unwrap().remove(0);
        assert_eq!(command, expected);
        Reply::Json(200, answer)
    })
    .await;
    let upstreams = Upstreams::new(settings(&stage.base)).unwrap();
    (stage, upstreams)
}

fn params(stage: &Stage, index: usize) -> Value {
    let request: Value = serde_json::from_str(&stage.heard()[index].field("request")).unwrap();
    request["payload"]["params"].clone()
}

fn yes() -> Value {
    json!({"response_code": 1, "response": []})
}

fn no(number: i64) -> Value {
    let string = format!("words {number}");
    json!({"response_code": "0", "response": {"err_no": number.to_string(), "err_string": string}})
}

fn licences(list: &[(&str, &str, &str, &str)]) -> Value {
    let licence = |(product, ip, user, active): &(&str, &str, &str, &str)| json!({"product": product, "license_ip": ip, "user": user, "active": active});
    let list: Vec<Value> = list.iter().map(licence).collect();
    json!({"response_code": 1, "response": {"licenses": list}})
}

fn set() -> Set {
    let mut set = Set::new();
    set.service.ip = Some("192.0.2.5".to_owned());
    set.service.one_h_user = Some("bh1".to_owned());
    set
}

#[tokio::test]
async fn a_sub_user_is_made_once_with_a_derived_password_that_is_kept_sealed() {
    let (stage, upstreams) = one_h(vec![("get_licenses", no(22)), ("add_user", yes())]).await;
    let left = set().perform(&upstreams, &add_user()).await;
    let Outcome::Done(done) = left.outcome else {
        panic!("{:?}", left.outcome)
    };
    let service = json!({"one_h_user": "bh1", "one_h_user_made": "bh1"});
    assert_eq!(done.service, service);
    let vault = Set::vault();
    let sealed = done.customer["one_h_password:bh1"].as_str().unwrap();
    let password = vault.open("one_h_password:bh1", sealed).unwrap();
    assert_eq!(params(&stage, 1)["password"], password.reveal());
    assert_eq!(
        password.reveal(),
        vault.derive("one_h_password:bh1").reveal()
    );
}

#[tokio::test]
async fn a_sub_user_that_is_there_is_not_made_again() {
    let (stage, upstreams) = one_h(vec![("get_licenses", yes())]).await;
    assert!(matches!(
        set().outcome(&upstreams, &add_user()).await,
        Outcome::AlreadySo(_)
    ));
    assert_eq!(stage.heard().len(), 1);
    let (_stage, upstreams) = one_h(vec![("get_licenses", no(22))]).await;
    let looking = Set {
        permit: Permit::LookOnly,
        ..set()
    };
    assert_eq!(
        looking.outcome(&upstreams, &add_user()).await,
        Outcome::Absent
    );
}

#[tokio::test]
async fn a_taken_name_is_ours_or_a_persons_case() {
    let taken = |then| {
        vec![
            ("get_licenses", no(22)),
            ("add_user", no(17)),
            ("get_licenses", then),
        ]
    };
    let (_stage, upstreams) = one_h(taken(licences(&[]))).await;
    assert!(matches!(
        set().outcome(&upstreams, &add_user()).await,
        Outcome::AlreadySo(_)
    ));
    let (_stage, upstreams) = one_h(taken(no(22))).await;
    let outcome = set().outcome(&upstreams, &add_user()).await;
    assert!(matches!(outcome, Outcome::Rejected(ref why) if why.contains("somebody else")));
}

#[tokio::test]
async fn error_numbers_become_outcomes() {
    for (number, expected) in [
        (7, "Held"),
        (15, "Rejected"),
        (20, "Ambiguous"),
        (99, "Rejected"),
    ] {
        let answers = vec![("get_licenses", no(22)), ("add_user", no(number))];
        let (_stage, upstreams) = one_h(answers).await;
        let outcome = format!("{:?}", set().outcome(&upstreams, &add_user()).await);
        assert!(
            outcome.starts_with(expected) && outcome.contains("words"),
            "{outcome}"
        );
    }
    for (number, expected) in [
        (24, "Unavailable"),
        (44, "Rejected"),
        (22, "Rejected"),
        (13, "Held"),
    ] {
        let (_stage, upstreams) = one_h(vec![("suspend_user", no(number))]).await;
        let outcome = set()
            .outcome(&upstreams, &action("one_h.suspend_user"))
            .await;
        assert!(
            format!("{outcome:?}").starts_with(expected),
            "{number}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_without_a_code_is_unclear() {
    let odd = json!({"status": "fine"});
    let (_stage, upstreams) =
        one_h(vec![("get_licenses", no(22)), ("add_user", odd.clone())]).await;
    assert!(matches!(
        set().outcome(&upstreams, &add_user()).await,
        Outcome::Ambiguous(_)
    ));
    let (_stage, upstreams) = one_h(vec![("get_licenses", odd)]).await;
    let outcome = set().outcome(&upstreams, &add_user()).await;
    assert!(
        matches!(outcome, Outcome::Unavailable { .. }),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_licence_goes_on_the_devices_ip_and_into_the_state() {
    let (stage, upstreams) = one_h(vec![
        ("get_licenses", licences(&[])),
        ("add_license", yes()),
    ])
    .await;
    let mut set = set();
    let hive = Licence {
        product: "Hive".to_owned(),
        ip: "192.0.2.5".to_owned(),
    };
    set.service.licenses = vec![Licence {
        product: "Zeus".to_owned(),
        ip: "192.0.2.5".to_owned(),
    }];
    set.service.licenses_suspended = vec![hive];
    let Outcome::Done(done) = set.outcome(&upstreams, &add_license()).await else {
        panic!()
    };
    let expected =
        json!({"product": "Hive", "ip": "192.0.2.5", "username": "bh1", "label": "srv1"});
    assert_eq!(params(&stage, 1), expected);
    assert_eq!(
        done.service,
        json!({"licenses": [{"product": "Hive", "ip": "192.0.2.5"},
            {"product": "Zeus", "ip": "192.0.2.5"}], "licenses_suspended": []})
    );
}

#[tokio::test]
async fn a_licence_that_is_active_is_not_added_again() {
    let active = licences(&[("Hive", "192.0.2.5", "bh1", "1")]);
    let (stage, upstreams) = one_h(vec![("get_licenses", active)]).await;
    assert!(matches!(
        set().outcome(&upstreams, &add_license()).await,
        Outcome::AlreadySo(_)
    ));
    assert_eq!(stage.heard().len(), 1);
    let inactive = licences(&[
        ("Hive", "192.0.2.5", "bh1", "0"),
        ("Zeus", "192.0.2.5", "bh1", "1"),
    ]);
    let (_stage, upstreams) = one_h(vec![("get_licenses", inactive)]).await;
    let looking = Set {
        permit: Permit::LookOnly,
        ..set()
    };
    assert_eq!(
        looking.outcome(&upstreams, &add_license()).await,
        Outcome::Absent
    );
}

#[tokio::test]
async fn error_34_is_settled_by_whose_licence_it_is() {
    for (user, active, expected) in [
        ("bh1", "1", "AlreadySo"),
        ("bh2", "1", "held by the sub-user bh2"),
        ("bh1", "0", "not active"),
    ] {
        let answers = vec![
            ("get_licenses", licences(&[])),
            ("add_license", no(34)),
            (
                "get_licenses",
                licences(&[("Hive", "192.0.2.5", user, active)]),
            ),
        ];
        let (_stage, upstreams) = one_h(answers).await;
        let outcome = format!("{:?}", set().outcome(&upstreams, &add_license()).await);
        assert!(outcome.contains(expected), "{outcome}");
    }
}

#[tokio::test]
async fn a_licence_without_an_ip_is_rejected_before_anything_is_sent() {
    for ip in [None, Some("fd00::1"), Some("0.0.0.0"), Some("soon")] {
        let (stage, upstreams) = one_h(vec![]).await;
        let mut set = set();
        set.service.ip = ip.map(str::to_owned);
        let outcome = set.outcome(&upstreams, &add_license()).await;
        assert!(matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
        assert!(stage.heard().is_empty());
    }
}

#[tokio::test]
async fn a_licence_is_removed_only_from_its_holder() {
    let ours = licences(&[("Hive", "192.0.2.5", "bh1", "1")]);
    let mut set = set();
    set.service.licenses = vec![Licence {
        product: "Hive".to_owned(),
        ip: "192.0.2.5".to_owned(),
    }];
    let remove = action("one_h.remove_license");
    // A suspended sub-user's licence is listed as inactive and is removed all the same.
    let dark = licences(&[("Hive", "192.0.2.5", "bh1", "0")]);
    for (ours, answer, expected) in [
        (ours.clone(), yes(), "Done"),
        (dark, yes(), "Done"),
        (ours.clone(), no(38), "AlreadySo"),
        (ours, no(40), "Unavailable"),
    ] {
        let answers = vec![("get_licenses", ours), ("remove_license", answer)];
        let (_stage, upstreams) = one_h(answers).await;
        let outcome = set.outcome(&upstreams, &remove).await;
        assert!(format!("{outcome:?}").starts_with(expected), "{outcome:?}");
        if let Outcome::Done(done) = outcome {
            assert_eq!(
                done.service,
                json!({"licenses": [], "licenses_suspended": []})
            );
        }
    }
    for listed in [
        licences(&[]),
        licences(&[("Hive", "192.0.2.5", "bh9", "1")]),
    ] {
        let (stage, upstreams) = one_h(vec![("get_licenses", listed)]).await;
        assert!(matches!(
            set.outcome(&upstreams, &remove).await,
            Outcome::AlreadySo(_)
        ));
        assert_eq!(stage.heard().len(), 1);
    }
}

#[tokio::test]
async fn a_portal_that_is_there_is_changed_and_one_that_is_not_is_made() {
    for (kind, first, number, second) in [
        ("one_h.add_portal", "add_portal", 48, "update_portal"),
        ("one_h.update_portal", "update_portal", 52, "add_portal"),
    ] {
        let (_stage, upstreams) = one_h(vec![(first, no(number)), (second, yes())]).await;
        let outcome = set().outcome(&upstreams, &action(kind)).await;
        let Outcome::Done(done) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(done.service, json!({"portal_domain": "a.example.com"}));
    }
}
