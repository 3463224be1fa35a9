//! Tests: every request that the client can send fits Hivelocity's own API description, where
//! the environment names one.

use serde_json::{Value, json};

use super::Table;
use crate::domain::step::PowerAction;
use crate::domain::{Permit, StepAction};
use crate::upstream::Upstreams;
use crate::upstream::stage::{Heard, Set, TAG, all_actions, settings};

const ENVIRONMENT: &str = "BILLHOOK_HIVELOCITY_SWAGGER";

/// Everything that the steps send, in all account models, from the first order to the end.
async fn everything_sent() -> Vec<Heard> {
    let mut heard = Vec::new();
    for (multi, act_as_token) in [(true, false), (true, true), (false, false)] {
        for device in [json!([]), json!([{"deviceId": 9, "tags": [TAG]}])] {
            let table = generous(device).await;
            let mut settings = settings(&table.stage.base);
            settings.hivelocity.multi = multi;
            settings.hivelocity.act_as_token = act_as_token;
            let upstreams = Upstreams::new(settings).unwrap();
            upstreams
                .probe(crate::domain::Timestamp::from_seconds(1_795_000_000))
                .await;
            for action in steps() {
                for (attempt, set) in [(1, Set::new()), (1, known()), (2, known())] {
                    Set { attempt, ..set }.outcome(&upstreams, &action).await;
                    let looking = Set {
                        permit: Permit::LookOnly,
                        attempt,
                        ..known()
                    };
                    looking.outcome(&upstreams, &action).await;
                }
            }
            heard.extend(table.stage.heard());
        }
    }
    heard
}

fn known() -> Set {
    let mut set = Set::with_client(35);
    set.service.device_id = Some(9);
    set.service.device_order_id = Some(8);
    set
}

fn steps() -> Vec<StepAction> {
    let hivelocity = all_actions()
        .into_iter()
        .filter(|action| action.upstream() == "hivelocity");
    let boot = StepAction::Power {
        action: PowerAction::Boot,
        tag: TAG.to_owned(),
    };
    hivelocity.chain([boot]).collect()
}

async fn generous(listed: Value) -> Table {
    let client = json!({"id": 35, "company": "x [whmcs:78]", "active": true});
    let device = json!({"deviceId": 9, "orderId": 8, "primaryIp": "", "powerStatus": "OFF"});
    let ours = json!({"ip": "192.0.2.5", "comment": "billhook: service 501 suspended"});
    let ip = json!({"version": 4, "usableIps": ["192.0.2.5", "192.0.2.6"]});
    Table::new(&[
        ("GET /account/controlled-client", 200, json!([client])),
        ("POST /account/controlled-client", 201, json!({"id": 36})),
        ("PUT /account/controlled-client", 200, client.clone()),
        ("GET /token/", 200, json!([{"token": "****"}])),
        ("POST /token/", 200, json!({"token": "minted-key-of-35"})),
        ("GET /bare-metal-devices/", 200, listed),
        ("POST /bare-metal-devices/", 201, Value::Null),
        ("GET /bare-metal-devices/9", 200, device.clone()),
        ("PUT /bare-metal-devices/9", 200, device),
        ("DELETE /bare-metal-devices/9", 201, Value::Null),
        (
            "GET /device/9",
            200,
            json!({"isReload": false, "hasCancellation": false}),
        ),
        ("GET /device/9/tags", 200, json!({"tags": ["rack 4"]})),
        ("PUT /device/9/tags", 200, json!({"tags": ["rack 4"]})),
        ("GET /device/9/power", 200, json!({"powerStatus": "OFF"})),
        (
            "POST /device/9/power",
            202,
            json!({"powerStatus": "PENDING"}),
        ),
        ("GET /device/9/ips", 200, json!([ip])),
        ("GET /network/null-route", 200, json!([ours])),
        (
            "POST /network/null-route",
            201,
            json!({"result": "Success"}),
        ),
        (
            "DELETE /network/null-route/192.0.2.5",
            201,
            json!({"result": "Success"}),
        ),
        ("GET /order/8", 200, json!({"status": "provisioning"})),
        ("GET /inventory/product", 200, json!({})),
    ])
    .await
}

/// The path template of the description that a path fits.
fn template<'d>(description: &'d Value, path: &str) -> Option<(&'d String, &'d Value)> {
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let wanted: Vec<&str> = template.split('/').collect();
        wanted.len() == parts.len()
            && wanted
                .iter()
                .zip(&parts)
                .all(|(want, part)| want == part || want.starts_with('{') && !part.is_empty())
    };
    let paths = description["paths"].as_object()?;
    let exact = paths.get_key_value(path);
    exact.or_else(|| paths.iter().find(|(template, _)| fits(template)))
}

fn check(description: &Value, heard: &Heard) -> Result<(), String> {
    let (_, item) = template(description, &heard.path).ok_or("no such path")?;
    let operation = item
        .get(heard.method.to_lowercase())
        .ok_or("no such method")?;
    let parameters: Vec<&Value> = [item.get("parameters"), operation.get("parameters")]
        .into_iter()
        .flatten()
        .filter_map(Value::as_array)
        .flatten()
        .collect();
    let query: Vec<_> = url::form_urlencoded::parse(heard.query.as_bytes()).collect();
    for (name, _) in &query {
        let declared = parameters
            .iter()
            .any(|p| p["in"] == "query" && p["name"] == name.as_ref());
        if !declared && name != "controlledClientId" {
            return Err(format!("undeclared query parameter {name}"));
        }
    }
    for parameter in &parameters {
        let missing = parameter["in"] == "query"
            && parameter["required"] == true
            && !query
                .iter()
                .any(|(name, _)| parameter["name"] == name.as_ref());
        if missing {
            return Err(format!("missing query parameter {}", parameter["name"]));
        }
    }
    let body = parameters
        .iter()
        .find(|parameter| parameter["in"] == "body");
    match body {
        None if heard.body.is_empty() => Ok(()),
        None => Err("a body that is not declared".to_owned()),
        Some(body) => check_body(description, &body["schema"], &heard.json()),
    }
}

fn check_body(description: &Value, schema: &Value, body: &Value) -> Result<(), String> {
    let mut schema = schema.clone();
    let mut definitions = description["definitions"].clone();
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next())
    {
        definitions[name]["additionalProperties"] = Value::Bool(false);
    }
    schema["definitions"] = definitions;
    let validator = jsonschema::draft4::new(&schema).map_err(|error| error.to_string())?;
    let errors: Vec<String> = validator
        .iter_errors(body)
        .map(|error| error.to_string())
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors.join("; "))
    }
}

#[tokio::test]
async fn every_request_fits_the_api_description() {
    let Some(path) = std::env::var_os(ENVIRONMENT) else {
        eprintln!("skipped: {ENVIRONMENT} names no API description");
        return;
    };
    let description = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for heard in everything_sent().await {
        if heard.path == "/partners" || heard.path == "/api.php" {
            continue;
        }
        let (template, _) = template(&description, &heard.path)
            .unwrap_or_else(|| panic!("{} is not in the description", heard.line()));
        let new = kinds.insert((heard.method.clone(), template.clone(), heard.query.clone()));
        if new || !heard.body.is_empty() {
            let verdict = check(&description, &heard);
            assert_eq!(
                verdict,
                Ok(()),
                "{}?{} {}",
                heard.line(),
                heard.query,
                heard.body
            );
        }
        assert!(heard.headers.contains_key("x-api-key"));
    }
    let operations: std::collections::BTreeSet<_> = kinds
        .iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    assert_eq!(
        operations.len(),
        21,
        "each operation is seen: {operations:#?}"
    );
}
