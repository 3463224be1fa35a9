//! Tests of orders and order groups over the wire.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::trial::{Caller, Told, caller, quick, server};
use super::{DevicesShow, GroupsNameDevices, SandboxOptions};

const GROUP: &str = "billhook:whmcs:501";

fn slow() -> Told {
    Told::new(&SandboxOptions {
        build_time: Duration::from_millis(800),
        ..SandboxOptions::instant()
    })
}

async fn group(caller: &Caller) -> Value {
    let (status, group) = caller.post("/order-groups/", json!({"name": GROUP})).await;
    assert_eq!(status, 201, "{group}");
    group["id"].clone()
}

fn batch(group: &Value, locations: &[&str]) -> Value {
    let devices: Vec<Value> = locations.iter().map(|code| server(code)).collect();
    json!({"orderGroupId": group, "devices": devices})
}

#[tokio::test]
async fn a_device_is_nowhere_until_its_order_is_complete() {
    let caller = caller(quick()).await;
    let (id, order) = caller.orders("TPA1").await;
    let pages = ["", "/power", "/tags", "/ips", "/initial-creds", "/events"];
    let mut pages: Vec<String> = pages.map(|page| format!("/device/{id}{page}")).into();
    pages.push(format!("/bare-metal-devices/{id}"));
    for page in &pages {
        assert_eq!(caller.get(page).await.0, 404, "{page}");
    }
    let cancel = caller.send(Method::DELETE, &pages[6], None).await;
    assert_eq!(cancel.0, 404);
    let tags = Some(json!({"tags": []}));
    let put = caller.send(Method::PUT, &pages[2], tags).await;
    assert_eq!(put.0, 404);
    assert_eq!(caller.get("/bare-metal-devices/").await.1, json!([]));
    assert_eq!(
        caller.get("/order/in-progress").await.1[0]["orderId"],
        order
    );
    let seen = caller.sandbox.snapshot();
    assert!(!seen.devices[0].visible && !seen.devices[0].gone);
    assert_eq!(seen.effects.devices[GROUP], 1);

    caller
        .eventually(&pages[6], |_, device| device["powerStatus"] == "ON")
        .await;
    for page in &pages {
        assert_eq!(caller.get(page).await.0, 200, "{page}");
    }
    let order = caller.get(&format!("/order/{order}")).await.1;
    assert_eq!(order["status"], "complete");
    assert!(caller.sandbox.snapshot().devices[0].visible);
}

#[tokio::test]
async fn a_device_can_be_shown_at_once_and_its_cancelling_ends_the_order() {
    let caller = caller(SandboxOptions {
        devices_show: DevicesShow::AtOnce,
        ..quick()
    })
    .await;
    let (id, order) = caller.orders("TPA1").await;
    let page = format!("/bare-metal-devices/{id}");
    assert_eq!(caller.get(&page).await.0, 200);
    let status = caller.get(&format!("/device/{id}")).await.1["spsStatus"].clone();
    assert_eq!(status, "PROVISION_STARTED");
    assert_eq!(caller.send(Method::DELETE, &page, None).await.0, 201);
    let order = caller.get(&format!("/order/{order}")).await.1;
    assert_eq!(order["status"], "cancelled");
}

#[test]
fn an_order_goes_through_its_states_and_says_its_price() {
    let told = slow();
    let (_, order) = told.orders("TPA1");
    let page = format!("/order/{order}");
    for (millis, status) in [
        (0, "verification"),
        (200, "lead"),
        (400, "provisioning"),
        (600, "assembling"),
        (800, "complete"),
    ] {
        let order = told.at(millis).get(&page);
        assert_eq!(order["status"], status);
        assert_eq!(order["total"], 199.0);
    }
    assert_eq!(told.get("/order/in-progress"), json!([]));
    assert_eq!(told.get("/order/")[0]["orderId"], order, "orders stay");
}

#[tokio::test]
async fn an_order_in_verification_waits_for_people() {
    let caller = caller(SandboxOptions::instant()).await;
    let (id, order) = caller.orders("VERIFICATION").await;
    let (order, page) = (format!("/order/{order}"), format!("/device/{id}"));
    assert_eq!(caller.get(&order).await.1["status"], "verification");
    assert_eq!(caller.get(&page).await.0, 404);
    caller.sandbox.verify_orders();
    assert_eq!(caller.get(&order).await.1["status"], "complete");
    assert_eq!(caller.get(&page).await.0, 200);
}

#[test]
fn a_cancelled_order_says_why_and_a_split_one_is_two() {
    let told = slow();
    let (_, cancelled) = told.orders("CANCELLED");
    let (_, split) = told.orders("SPLIT");
    let cancelled = told.at(800).get(&format!("/order/{cancelled}"));
    assert_eq!(cancelled["status"], "cancelled");
    let why = &cancelled["info"]["message"];
    assert_eq!(why, "The order did not pass verification.");
    let status = |id: u64| told.get(&format!("/order/{id}"))["status"].clone();
    assert_eq!(status(split), "complete");
    assert_eq!(status(split + 1), "verification");
    told.at(1_600);
    assert_eq!(status(split + 1), "complete");
    let seen = told.suppliers.snapshot();
    assert_eq!((seen.devices.len(), seen.orders.len()), (2, 3));
    assert_eq!(seen.orders[1].tags, [GROUP]);
    assert_eq!(seen.orders[2].device_ids, Vec::<u64>::new());
}

#[tokio::test]
async fn a_failed_device_is_complete_and_never_of_use() {
    let caller = caller(SandboxOptions::instant()).await;
    let (odd, order) = caller.orders("FAILED").await;
    let (even, _) = caller.orders("FAILED").await;
    assert_eq!(
        caller.get(&format!("/order/{order}")).await.1["status"],
        "complete"
    );
    let page = caller.get(&format!("/device/{odd}")).await.1;
    assert_eq!(
        (&page["spsStatus"], &page["metadata"]["sps_status"]),
        (&json!("FAILED"), &Value::Null)
    );
    let page = caller.get(&format!("/device/{even}")).await.1;
    assert_eq!(
        (&page["spsStatus"], &page["metadata"]["sps_status"]),
        (&Value::Null, &json!("Failed"))
    );
    let power = format!("/device/{odd}/power");
    assert_eq!(caller.get(&power).await.1["powerStatus"], "OFF");
    assert_eq!(
        caller
            .post(&format!("{power}?action=boot"), Value::Null)
            .await
            .0,
        400
    );
}

#[test]
fn devices_tell_how_far_they_are_in_two_places_and_two_spellings() {
    let told = slow();
    let (odd, even) = (told.orders("TPA1").0, told.orders("TPA1").0);
    let phases = |millis: u64, plain: &str, spaced: &str, reload: &str| {
        let page = told.at(millis).get(&format!("/device/{odd}"));
        let both = (&page["spsStatus"], &page["metadata"]["sps_status"]);
        assert_eq!(both, (&json!(plain), &Value::Null));
        assert_eq!(page["metadata"]["is_reload"], reload);
        let page = told.get(&format!("/device/{even}"));
        let both = (&page["spsStatus"], &page["metadata"]["sps_status"]);
        assert_eq!(both, (&Value::Null, &json!(spaced)));
    };
    phases(800, "WAIT_FOR_HARDWARE_SCAN", "WaitForHardwareScan", "");
    let power = format!("/device/{odd}/power");
    assert_eq!(told.get(&power)["powerStatus"], "OFF");
    phases(900, "IN_USE", "InUse", "");
    assert_eq!(told.get(&power)["powerStatus"], "ON");
    let system = json!({"operatingSystemId": 12_001});
    for id in [odd, even] {
        let path = format!("/device/{id}/reload");
        assert_eq!(told.ask("POST", &path, &system).0.status, 202);
    }
    phases(1_000, "RELOADING", "Reloading", "true");
    phases(1_300, "IN_USE", "InUse", "");
}

#[tokio::test]
async fn a_batch_goes_into_its_group_which_names_its_devices_once_they_are_built() {
    let caller = caller(quick()).await;
    let id = group(&caller).await;
    let (status, placed) = caller
        .post("/bare-metal-devices/batch", batch(&id, &["TPA1", "NYC1"]))
        .await;
    assert_eq!((status, &placed["orderGroupId"]), (201, &id));
    let devices = placed["devices"].as_array().unwrap();
    assert_eq!(devices[0]["orderId"], devices[1]["orderId"]);
    let page = format!("/order-groups/{id}");
    let found = caller.get(&page).await.1;
    assert_eq!(
        (&found["name"], &found["device_ids"]),
        (&json!(GROUP), &json!([]))
    );
    let ids = json!([devices[0]["deviceId"], devices[1]["deviceId"]]);
    caller
        .eventually(&page, |_, group| group["device_ids"] == ids)
        .await;
    assert_eq!(caller.get("/order-groups/").await.1[0]["id"], id);
    let seen = caller.sandbox.snapshot();
    assert_eq!(seen.orders[0].group.as_deref(), Some(GROUP));
    assert_eq!(seen.effects.devices[GROUP], 2);
    assert_eq!(seen.order_groups[0].name, GROUP);
    assert_eq!(caller.get("/order/").await.1[0]["total"], 398.0);
}

#[tokio::test]
async fn a_group_can_name_its_devices_at_once_or_never() {
    for (names, wanted) in [
        (GroupsNameDevices::AtOnce, 1),
        (GroupsNameDevices::Never, 0),
    ] {
        let build_time = Duration::from_secs(u64::from(names == GroupsNameDevices::AtOnce));
        let caller = caller(SandboxOptions {
            groups_name_devices: names,
            build_time,
            ..SandboxOptions::instant()
        })
        .await;
        let id = group(&caller).await;
        caller
            .post("/bare-metal-devices/batch", batch(&id, &["TPA1"]))
            .await;
        let found = caller.get(&format!("/order-groups/{id}")).await.1;
        assert_eq!(found["device_ids"].as_array().map(Vec::len), Some(wanted));
    }
}

#[tokio::test]
async fn groups_share_names_are_renamed_and_deleted_and_belong_to_one_account() {
    let caller = caller(SandboxOptions::instant()).await;
    let (one, two) = (group(&caller).await, group(&caller).await);
    assert_ne!(one, two);
    let page = format!("/order-groups/{one}");
    let name = || Some(json!({"name": "another"}));
    let (status, renamed) = caller.send(Method::PUT, &page, name()).await;
    assert_eq!((status, &renamed["name"]), (200, &json!("another")));
    let new = json!({"email": "ops@reseller.example", "company": "Example Ltd"});
    let client = caller.post("/account/controlled-client", new).await.1["id"].clone();
    let as_client = |path: &str| format!("{path}?controlledClientId={client}");
    assert_eq!(caller.get(&as_client(&page)).await.0, 401);
    assert_eq!(caller.get(&as_client("/order-groups/")).await.1, json!([]));
    let path = as_client("/bare-metal-devices/batch");
    assert_eq!(caller.post(&path, batch(&one, &["TPA1"])).await.0, 400);
    assert_eq!(caller.send(Method::DELETE, &page, None).await.0, 204);
    assert_eq!(caller.get(&page).await.0, 404);
    let path = "/bare-metal-devices/batch";
    assert_eq!(caller.post(path, batch(&one, &["TPA1"])).await.0, 404);
    assert_eq!(caller.post(path, batch(&json!(1), &["TPA1"])).await.0, 404);
    assert_eq!(
        caller.post(path, batch(&two, &["TPA1", "NOSTOCK"])).await.0,
        400
    );
    let seen = caller.sandbox.snapshot();
    assert_eq!((seen.devices.len(), seen.order_groups.len()), (0, 1));
    assert_eq!(seen.violations, Vec::<String>::new());
}

#[tokio::test]
async fn an_account_may_have_no_order_groups_at_all() {
    let caller = caller(SandboxOptions {
        order_groups: false,
        ..SandboxOptions::instant()
    })
    .await;
    let refused = |(status, body): (u16, Value)| {
        let words = body.to_string();
        assert!(
            status == 403 && words.contains("You have not been granted permission"),
            "{words}"
        );
    };
    refused(caller.get("/order-groups/").await);
    refused(caller.get("/order-groups/800001").await);
    refused(caller.post("/order-groups/", json!({"name": GROUP})).await);
    let order = batch(&json!(1), &["TPA1"]);
    refused(caller.post("/bare-metal-devices/batch", order).await);
    caller.orders("TPA1").await;
}
