//! Holds the answers of the Hivelocity stand-in to Hivelocity's own description, wherever
//! `BILLHOOK_HIVELOCITY_SWAGGER` says it lies; without it the test says that it was skipped.

use reqwest::Client;
use serde_json::{Value, json};

use super::{Sandbox, SandboxOptions};

struct Description {
    definitions: Value,
    base: String,
    http: Client,
}

impl Description {
    /// Sends a request and holds the answer to a definition; `[]` before it means a list of them.
    async fn hold(&self, request: &str, body: Option<Value>, definition: &str) -> Value {
        let (method, path) = request.split_once(' ').unwrap();
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method.parse().unwrap(), url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request
            .header("X-API-KEY", "sandbox-hivelocity-key")
            .send()
            .await
            .unwrap();
        assert!(
            response.status().is_success(),
            "{method} {path}: {}",
            response.status()
        );
        let answer: Value = response.json().await.unwrap();
        self.judge(&answer, definition);
        answer
    }

    fn judge(&self, answer: &Value, definition: &str) {
        let name = definition.trim_start_matches("[]");
        let one = json!({"$ref": format!("#/definitions/{name}")});
        let mut schema = if definition.starts_with("[]") {
            json!({"type": "array", "items": one, "minItems": 1})
        } else {
            json!({"allOf": [one]})
        };
        schema["definitions"] = self.definitions.clone();
        let options = jsonschema::options().with_draft(jsonschema::Draft::Draft4);
        let validator = options.build(&schema).unwrap();
        let problems: Vec<String> = validator
            .iter_errors(answer)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{definition}: {problems:?}\n{answer}");
        let known = self.definitions[name]["properties"].as_object();
        let shown = if answer.is_array() {
            &answer[0]
        } else {
            answer
        };
        for key in shown
            .as_object()
            .into_iter()
            .flat_map(serde_json::Map::keys)
        {
            assert!(
                known.is_none_or(|known| known.contains_key(key)),
                "{definition}: {key}"
            );
        }
    }
}

#[tokio::test]
async fn answers_fit_the_suppliers_own_description() {
    let Some(path) = std::env::var_os("BILLHOOK_HIVELOCITY_SWAGGER") else {
        eprintln!("skipped: BILLHOOK_HIVELOCITY_SWAGGER names no description");
        return;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let swagger: Value = serde_json::from_str(&text).unwrap();
    let sandbox = Sandbox::start(SandboxOptions::instant()).await.unwrap();
    let api = Description {
        definitions: swagger["definitions"].clone(),
        base: sandbox.hivelocity_url(),
        http: caller_client(),
    };
    hold_the_account(&api).await;
    hold_the_inventory(&api).await;
    hold_a_device(&api).await;
    hold_an_order_group(&api).await;
    assert_eq!(sandbox.snapshot().violations, Vec::<String>::new());
}

async fn hold_the_account(api: &Description) {
    let new = json!({"email": "ops@reseller.example", "company": "Example Ltd"});
    let clients = "account/controlled-client";
    let client = api
        .hold(&format!("POST /{clients}"), Some(new), "ClientCreate-dump")
        .await;
    api.hold(&format!("GET /{clients}"), None, "[]ControlledClient-dump")
        .await;
    let token = json!({"name": "billhook"});
    api.hold(
        "POST /token/",
        Some(token),
        "PublicApiTokenResponsePost-dump",
    )
    .await;
    api.hold("GET /token/", None, "[]PublicApiHideToken-dump")
        .await;
    let id = json!({"clientId": client["id"]});
    api.hold(
        &format!("PUT /{clients}"),
        Some(id),
        "ControlledClient-dump",
    )
    .await;
}

async fn hold_the_inventory(api: &Description) {
    api.hold("GET /inventory/product", None, "Inventory").await;
    api.hold("GET /inventory/locations", None, "[]Location")
        .await;
    api.hold("GET /product/584/operating-systems", None, "[]Option-dump")
        .await;
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn hold_a_device(api: &Description) {
    let order = json!({
        "productId": 584, "locationName": "TPA1", "osName": "Debian 12",
        "hostname": "srv1.example.com", "period": "monthly", "tags": ["a"],
    });
    let device = api
        .hold("POST /bare-metal-devices/", Some(order), "BareMetalDevice")
        .await;
    let id = &device["deviceId"];
    let bare_metal = format!("/bare-metal-devices/{id}");
    api.hold("GET /bare-metal-devices/", None, "[]BareMetalDevice")
        .await;
    api.hold(&format!("GET {bare_metal}"), None, "BareMetalDevice")
        .await;
    let update = json!({"hostname": "srv2.example.com", "osName": "Debian 12"});
    api.hold(
        &format!("PUT {bare_metal}"),
        Some(update),
        "BareMetalDevice",
    )
    .await;
    api.hold("GET /order/", None, "[]Order-dump").await;
    let verified = json!({
        "productId": 584, "locationName": "VERIFICATION", "osName": "Debian 12",
        "hostname": "srv1.example.com",
    });
    api.hold(
        "POST /bare-metal-devices/",
        Some(verified),
        "BareMetalDevice",
    )
    .await;
    api.hold("GET /order/in-progress", None, "[]Order-dump")
        .await;
    api.hold(
        &format!("GET /order/{}", device["orderId"]),
        None,
        "Order-dump",
    )
    .await;
    api.hold(&format!("GET /device/{id}"), None, "Device-dump")
        .await;
    api.hold(&format!("GET /device/{id}/ips"), None, "[]IPAssignment")
        .await;
    api.hold(&format!("GET /device/{id}/tags"), None, "DeviceTag")
        .await;
    let tags = Some(json!({"tags": ["b"]}));
    api.hold(&format!("PUT /device/{id}/tags"), tags, "DeviceTag")
        .await;
    api.hold(&format!("GET /device/{id}/power"), None, "DevicePower")
        .await;
    api.hold(
        &format!("POST /device/{id}/power?action=reboot"),
        None,
        "DevicePower",
    )
    .await;
    let system = Some(json!({"operatingSystemId": 12_001}));
    api.hold(
        &format!("POST /device/{id}/reload"),
        system,
        "ServiceOption",
    )
    .await;
    api.hold(
        &format!("GET /device/{id}/initial-creds"),
        None,
        "DeviceInitialCreds",
    )
    .await;
    api.hold(&format!("GET /device/{id}/events"), None, "[]DeviceEvent")
        .await;
    let ip = json!({"ip": device["primaryIp"], "comment": "unpaid"});
    let task = api
        .hold("POST /network/null-route", Some(ip), "NetworkTask-dump")
        .await;
    let task = task["taskId"].as_str().unwrap();
    for id in [task, &id.to_string()] {
        let status = format!("GET /network/status/{id}");
        api.hold(&status, None, "NetworkTask-dump").await;
    }
    api.hold("GET /network/null-route", None, "[]NullRoute")
        .await;
    api.hold("GET /network/null-route/45.0.0.2", None, "NullRoute")
        .await;
    api.hold(
        "DELETE /network/null-route/45.0.0.2",
        None,
        "NetworkTask-dump",
    )
    .await;
}

async fn hold_an_order_group(api: &Description) {
    let new = json!({"name": "billhook:whmcs:501", "same_rack": true});
    let group = api
        .hold("POST /order-groups/", Some(new), "OrderGroup")
        .await;
    let one = format!("/order-groups/{}", group["id"]);
    let name = Some(json!({"name": "billhook:whmcs:502"}));
    api.hold(&format!("PUT {one}"), name, "OrderGroup").await;
    let device = json!({
        "productId": 570, "locationName": "TPA1", "osName": "Debian 12",
        "hostname": "srv1.example.com", "period": "monthly", "tags": ["a"],
    });
    let order = json!({"orderGroupId": group["id"], "devices": [device.clone(), device]});
    let batch = "POST /bare-metal-devices/batch";
    let placed = api.hold(batch, Some(order), "BareMetalDeviceBatch").await;
    for device in placed["devices"].as_array().unwrap() {
        api.judge(device, "BareMetalDevice");
        let page = format!("GET /device/{}", device["deviceId"]);
        api.hold(&page, None, "Device-dump").await;
    }
    api.hold("GET /order-groups/", None, "[]OrderGroup").await;
    let group = api.hold(&format!("GET {one}"), None, "OrderGroup").await;
    assert_eq!(group["device_ids"].as_array().map(Vec::len), Some(2));
}

#[expect(clippy::disallowed_methods, reason = "a test's own client")]
fn caller_client() -> Client {
    Client::new()
}
