//! The commands, as the real binary, with their exit statuses.

use std::path::Path;
use std::process::Output;

use billhook::sandbox::{Fault, Sandbox};
use serde_json::{Value, json};

use crate::support::binary::{Serving, bare, billhook, printed, run};
use crate::support::settings::{SECRET, TOKEN};
use crate::support::world::{device, held, twice};
use crate::support::{Setup, Story};

/// A server under way with everything a command needs to find it.
struct Scene {
    setup: Setup,
    suppliers: Sandbox,
    folder: tempfile::TempDir,
    serving: Serving,
}

impl Scene {
    async fn start(setup: Setup) -> Self {
        let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let serving = Serving::start(billhook(folder.path(), &setup, &suppliers));
        Self {
            setup,
            suppliers,
            folder,
            serving,
        }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut all = arguments.to_vec();
        all.extend(["--server", &self.serving.base]);
        run(
            billhook(self.folder.path(), &self.setup, &self.suppliers),
            &all,
        )
    }

    /// The command's lines of output; it must end with status 0.
    fn lines(&self, arguments: &[&str]) -> Vec<String> {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            printed(&output)
        );
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        self.lines(arguments)
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn order(&self, service: &str, product: &str) -> Value {
        let sent = self.lines(&[
            "send",
            "order.paid",
            "--source",
            "whmcs",
            "--service",
            service,
            "--customer",
            "77",
            "--email",
            "a@example.com",
            "--name",
            "Ann",
            "--product",
            product,
            "--hostname",
            "srv.example.com",
            "--option",
            "License IP=198.51.100.9",
            "--occurred-at",
            &crate::support::events::moment(1),
            "--wait",
            "20",
        ]);
        serde_json::from_str(&sent.join("\n")).unwrap()
    }

    async fn settle(&self) {
        for _ in 0..1000 {
            let stats = self.serving.api.get("/stats").await;
            let count = |status: &str| stats["runs"][status].as_i64().unwrap_or(0);
            if count("pending") + count("running") + count("waiting") == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the server does not settle");
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn send_lists_shows_and_plans_go_by_the_running_server() {
    let scene = Scene::start(Setup::default()).await;
    let sent = scene.order("501", "42");
    assert_eq!(sent["status"], "succeeded", "{sent}");
    let run_id = sent["runs"][0]["id"].as_str().unwrap();
    let runs = scene.json(&["runs", "list", "--json", "service=501"]);
    assert_eq!((runs.len(), &runs[0]["id"]), (1, &json!(run_id)));
    let shown = scene.json(&["runs", "show", run_id, "--json"]);
    assert_eq!(shown[0]["steps"][1]["kind"], "hivelocity.deploy_device");
    assert_eq!(
        scene.json(&["deliveries", "list", "--json"])[0]["id"],
        sent["delivery_id"]
    );
    assert_eq!(
        scene.json(&["services", "show", "whmcs/501", "--json"])[0]["status"],
        "active"
    );
    assert_eq!(
        scene.json(&["customers", "show", "whmcs/77", "--json"])[0]["customer_id"],
        "77"
    );
    let services = scene.lines(&["services", "list"]);
    assert!(services[0].starts_with("SOURCE  SERVICE"), "{services:?}");
    assert_eq!(services.len(), 2, "{services:?}");

    let before = held(&scene.suppliers.snapshot());
    let event = write(
        scene.folder.path(),
        "event.json",
        &Story::of("777", "1", "42").paid().to_string(),
    );
    let plan = ["plan", "--file", &event, "--source", "whmcs", "--json"];
    let output = run(
        billhook(scene.folder.path(), &scene.setup, &scene.suppliers),
        &plan,
    );
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    let plans: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&plans[0]["service_id"], &plans[0]["verdict"]),
        (&json!("777"), &json!("do"))
    );
    assert_eq!(
        held(&scene.suppliers.snapshot()),
        before,
        "a plan sends nothing"
    );
    let missing = scene.run(&["runs", "show", "run_0000000000000"]);
    assert_eq!(missing.status.code(), Some(1), "{}", printed(&missing));
    let refused = scene.run(&["send", "service.suspended", "--source", "whmcs"]);
    assert_eq!(refused.status.code(), Some(1), "{}", printed(&refused));
    assert!(
        printed(&refused).starts_with("billhook: /services is missing")
            && printed(&refused).ends_with("(422)\n"),
        "{}",
        printed(&refused)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_by_id_by_filter_and_from_a_file_create_nothing_twice() {
    let scene = Scene::start(Setup::default()).await;
    let first = scene.order("501", "42");
    scene.order("502", "44");
    let before = held(&scene.suppliers.snapshot());
    let (delivery, run_id) = (
        first["delivery_id"].as_str().unwrap(),
        first["runs"][0]["id"].as_str().unwrap(),
    );
    let dry = scene.lines(&["replay", delivery, "--dry-run"]).join("\n");
    assert!(
        dry.contains("service 501: do") && dry.contains("hivelocity.deploy_device"),
        "{dry}"
    );
    let steps: Vec<&str> = dry.lines().filter(|line| line.contains(". ")).collect();
    assert!(steps.len() >= 5, "{dry}");
    for step in steps {
        let unsuspends =
            step.contains("one_h.unsuspend_user        changed unless it is so already");
        assert!(
            step.contains(" exists (") || unsuspends,
            "it is all there: {dry}"
        );
    }
    assert_eq!(
        scene.json(&["runs", "list", "--json"]).len(),
        2,
        "a dry run makes no run"
    );
    let lines = |arguments: &[&str]| {
        let lines = scene.lines(arguments);
        assert!(
            lines.iter().all(|line| line.contains("run_")),
            "{arguments:?}: {lines:?}"
        );
        lines.len()
    };
    assert_eq!(
        lines(&["replay", delivery, run_id]),
        1,
        "a run stands for its delivery"
    );
    assert_eq!(
        lines(&["replay", "--status", "succeeded", "--since", "24h"]),
        2
    );
    assert_eq!(
        lines(&["replay", "--type", "order.paid", "--service", "502"]),
        1
    );
    assert_eq!(lines(&["replay", "--source", "whmcs"]), 2);
    let ids = write(
        scene.folder.path(),
        "ids.txt",
        &format!("# both\n{delivery}\n\n{{\"id\": \"{delivery}\"}}\n"),
    );
    assert_eq!(lines(&["replay", "--file", &ids]), 1);
    let listed = write(
        scene.folder.path(),
        "list.json",
        &scene.serving.api.get("/deliveries").await.to_string(),
    );
    assert_eq!(lines(&["replay", "--file", &listed]), 2);
    scene.settle().await;
    let nothing = scene.lines(&["replay", "--status", "paused"]);
    assert_eq!(nothing, ["nothing matches; nothing was replayed"]);
    assert_eq!(held(&scene.suppliers.snapshot()), before);

    let event = Story::of("503", "78", "44").paid();
    let events = write(
        scene.folder.path(),
        "events.json",
        &json!([event]).to_string(),
    );
    let from_file = ["replay", "--file", events.as_str(), "--source", "whmcs"];
    let dry = scene
        .lines(&[&from_file[..], &["--dry-run"]].concat())
        .join("\n");
    assert!(dry.contains("service 503: do"), "{dry}");
    assert!(scene.lines(&from_file)[0].contains("accepted"));
    assert!(scene.lines(&from_file)[0].contains("duplicate"));
    scene.settle().await;
    let snapshot = scene.suppliers.snapshot();
    assert_eq!((snapshot.licences.len(), twice(&snapshot)), (3, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_approves_retries_and_cancels_by_command() {
    let scene =
        Scene::start(Setup::default().with("policy.require_approval", "hivelocity.deploy_device"))
            .await;
    let sent = scene.run(&[
        "send",
        "order.paid",
        "--source",
        "whmcs",
        "--service",
        "501",
        "--customer",
        "77",
        "--email",
        "a@example.com",
        "--product",
        "42",
        "--hostname",
        "srv.example.com",
        "--wait",
        "20",
    ]);
    assert_eq!(
        sent.status.code(),
        Some(1),
        "a paused run is no success: {}",
        printed(&sent)
    );
    let runs = scene.json(&["runs", "list", "--json", "status=paused"]);
    let id = runs[0]["id"].as_str().unwrap();
    for part in [
        format!("billhook: {id} is paused: hivelocity.deploy_device waits for approval"),
        format!("billhook runs approve {id}, or end it: billhook runs cancel {id}"),
    ] {
        assert!(printed(&sent).contains(&part), "{}", printed(&sent));
    }
    assert!(
        runs[0]["error"]
            .as_str()
            .unwrap()
            .contains("waits for approval")
    );
    scene
        .suppliers
        .fail_next("one_h add_license", Fault::Forbidden403, 1);
    scene.lines(&["runs", "approve", id]);
    scene.settle().await;
    assert_eq!(
        scene.json(&["runs", "show", id, "--json"])[0]["status"],
        "paused",
        "the licence was refused"
    );
    scene.lines(&["runs", "retry", id]);
    scene.settle().await;
    assert_eq!(
        scene.json(&["runs", "show", id, "--json"])[0]["status"],
        "succeeded"
    );
    assert_eq!(
        device(&scene.suppliers.snapshot(), "billhook:whmcs:501").power_status,
        "ON"
    );
    let over = scene.run(&["runs", "cancel", id]);
    assert_eq!(over.status.code(), Some(1), "{}", printed(&over));
    assert!(printed(&over).contains("succeeded"), "{}", printed(&over));

    scene.run(&[
        "send",
        "order.paid",
        "--source",
        "whmcs",
        "--service",
        "502",
        "--customer",
        "77",
        "--email",
        "a@example.com",
        "--product",
        "42",
        "--hostname",
        "srv.example.com",
        "--wait",
        "20",
    ]);
    let paused = scene.json(&["runs", "list", "--json", "status=paused"]);
    scene.lines(&["runs", "cancel", paused[0]["id"].as_str().unwrap()]);
    assert_eq!(
        scene
            .json(&["runs", "list", "--json", "status=cancelled"])
            .len(),
        1
    );
    assert_eq!(scene.suppliers.snapshot().devices.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_are_retried_by_id_or_by_filter_with_a_line_each() {
    let scene = Scene::start(Setup::default()).await;
    let refuse = || {
        let refused = Fault::Refused400("No money left.".to_owned());
        scene.suppliers.fail_next("one_h add_license", refused, 3);
    };
    let order = |service: &str| {
        let ip = format!("License IP=198.51.100.{}", &service[2..]);
        let sent = scene.run(&[
            "send",
            "order.paid",
            "--source",
            "whmcs",
            "--service",
            service,
            "--customer",
            service,
            "--email",
            "a@example.com",
            "--name",
            "Ann",
            "--product",
            "44",
            "--hostname",
            "srv.example.com",
            "--option",
            &ip,
            "--wait",
            "20",
        ]);
        let sent: Value = serde_json::from_slice(&sent.stdout).unwrap();
        assert_eq!(sent["status"], "paused", "{sent}");
        sent["runs"][0]["id"].as_str().unwrap().to_owned()
    };
    refuse();
    let ids = ["501", "502", "503"].map(order);
    let [one, two, three] = ids.each_ref().map(String::as_str);
    let dry = scene.lines(&[
        "runs",
        "retry",
        "--reason",
        "refused",
        "--since",
        "2h",
        "--dry-run",
    ]);
    assert_eq!(dry.len(), 3, "{dry:?}");
    assert!(
        dry[0].starts_with(one) && dry[0].contains("would retry"),
        "{dry:?}"
    );
    assert_eq!(
        scene.lines(&["runs", "retry", "--source", "other"]),
        ["no run matches; nothing to retry"]
    );
    let lines = scene.lines(&["runs", "retry", one, two, "--reason-text", "money is back"]);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].starts_with(two), "{lines:?}");
    scene.settle().await;
    let some = scene.run(&["runs", "cancel", one, three, two]);
    assert_eq!(some.status.code(), Some(1), "{}", printed(&some));
    let said = printed(&some);
    assert!(said.contains("2 of 3: could not cancel"), "{said}");
    assert!(said.contains(&format!("{three}  cancel")), "{said}");
    for wrong in [
        &["runs", "retry"] as &[&str],
        &["runs", "retry", one, "--status", "paused"],
        &["runs", "retry", "--reason", "bored"],
        &["runs", "retry", "--status", "stuck"],
    ] {
        let output = scene.run(wrong);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{wrong:?}: {}",
            printed(&output)
        );
    }
    let slip = scene.run(&["runs", "retry", one, "501"]);
    assert_eq!(slip.status.code(), Some(1));
    assert!(
        printed(&slip).contains("nothing was done"),
        "{}",
        printed(&slip)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_what_would_be_bought_and_what_is_not_read() {
    let scene = Scene::start(Setup::default()).await;
    let mut event = Story::new().paid();
    event["services"][0]["options"] =
        json!({"Operating Systems": "Windows 2022", "location": "NYC1"});
    let file = write(scene.folder.path(), "event.json", &event.to_string());
    let plan = |arguments: &[&str]| {
        let command = billhook(scene.folder.path(), &scene.setup, &scene.suppliers);
        let output = run(command, arguments);
        assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
        printed(&output)
    };
    let shown = plan(&["plan", "--source", "whmcs", "--file", &file]);
    for part in [
        "note: option 'Operating Systems' is not read; did you mean 'Operating System'?",
        "hivelocity.deploy_device    bought unless found by billhook:whmcs:501",
        "hivelocity.create_client    looked_for by [whmcs:77]",
        "\"location\":\"NYC1\"",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = plan(&["plan", "--source", "whmcs", "--file", &file, "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown[0]["unread_options"], json!(["Operating Systems"]));
    assert_eq!(shown[0]["steps"][1]["effect"], "bought");
    event["services"][0]["hostname"] = json!("srv_1");
    let file = write(scene.folder.path(), "wrong.json", &event.to_string());
    let shown = plan(&["plan", "--source", "whmcs", "--file", &file]);
    assert!(
        shown.contains("hold – the host name \"srv_1\" has an underscore"),
        "{shown}"
    );
    assert!(
        shown.contains("note: option 'Operating Systems'"),
        "{shown}"
    );
    assert_eq!(scene.suppliers.snapshot().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_file_refuses_and_the_first_goes_on() {
    if crate::support::database::server().is_some() {
        return; // PostgreSQL is there to be shared: see `nodes`
    }
    let scene = Scene::start(Setup::default()).await;
    let second = run(
        billhook(scene.folder.path(), &scene.setup, &scene.suppliers),
        &["serve"],
    );
    assert_eq!(second.status.code(), Some(1), "{}", printed(&second));
    assert!(
        printed(&second).contains("in use by another billhook"),
        "{}",
        printed(&second)
    );
    let migrate = run(
        billhook(scene.folder.path(), &scene.setup, &scene.suppliers),
        &["migrate"],
    );
    assert_eq!(migrate.status.code(), Some(1), "{}", printed(&migrate));
    assert_eq!(scene.order("501", "44")["status"], "succeeded");
    let (setup, suppliers, folder) = (scene.setup, scene.suppliers, scene.folder);
    assert!(scene.serving.terminate().0.success());
    let migrate = run(billhook(folder.path(), &setup, &suppliers), &["migrate"]);
    assert_eq!(migrate.status.code(), Some(0), "{}", printed(&migrate));
    let again = Serving::start(billhook(folder.path(), &setup, &suppliers));
    assert_eq!(again.api.all("/runs").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_and_a_wrong_token_are_told_apart() {
    let scene = Scene::start(Setup::default()).await;
    let wrong = scene.run(&["runs", "list", "--token", "wrong-wrong-wrong-wrong"]);
    assert_eq!(wrong.status.code(), Some(1));
    let base = &scene.serving.base;
    let said = format!(
        "billhook: the server at {base} does not take the token given with --token or BILLHOOK_TOKEN (401)\n"
    );
    assert_eq!(printed(&wrong), said);
    let base = scene.serving.base.clone();
    scene.serving.kill();
    let gone = run(
        billhook(scene.folder.path(), &scene.setup, &scene.suppliers),
        &["runs", "list", "--server", &base],
    );
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        printed(&gone).contains("does billhook run there"),
        "{}",
        printed(&gone)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_ends_early_says_so_and_all_of_it_can_be_had() {
    let scene = Scene::start(Setup::default()).await;
    for service in ["501", "502", "a/b c"] {
        scene.order(service, "44");
    }
    let said = |arguments: &[&str]| {
        let output = scene.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
        String::from_utf8(output.stderr).unwrap()
    };
    let more = "billhook: 2 of 3 shown; --all for all of them\n";
    for json in [&[][..], &["--json"]] {
        for list in ["runs", "deliveries"] {
            let part = [&[list, "list", "limit=2"], json].concat();
            assert_eq!(said(&part), more, "{part:?}");
            let rows = 2 + usize::from(json.is_empty());
            assert_eq!(scene.lines(&part).len(), rows, "{part:?}");
        }
        let unknown = [&["services", "list", "limit=1"], json].concat();
        let more = "billhook: 1 shown, and there are more; --all for all of them\n";
        assert_eq!(said(&unknown), more);
        let all = [&["services", "list", "limit=1", "--all"], json].concat();
        assert_eq!(said(&all), "");
        assert_eq!(scene.lines(&all).len(), 3 + usize::from(json.is_empty()));
    }
    assert_eq!(said(&["runs", "list"]), "", "all of it is there");

    let of = |filters: &[&str]| {
        let list = [&["services", "list", "--json"], filters].concat();
        scene.json(&list).len()
    };
    assert_eq!(
        (of(&["--status", "active"]), of(&["status=active"])),
        (3, 3)
    );
    assert_eq!(of(&["--status", "suspended", "--source", "whmcs"]), 0);
    let runs = [
        "runs",
        "list",
        "--json",
        "--status",
        "succeeded",
        "--service",
        "a/b c",
    ];
    let run = scene
        .json(&[&runs[..], &["--since", "2h"]].concat())
        .remove(0);
    assert_eq!(run["service_id"], "a/b c");
    for name in [&["whmcs", "a/b c"][..], &["whmcs/a/b c"]] {
        let show = [&["services", "show", "--json"], name].concat();
        assert_eq!(scene.json(&show)[0]["status"], "active");
    }
    for (wrong, why) in [
        (&["runs", "list", "paused"][..], "write NAME=VALUE"),
        (
            &["runs", "list", "status=pausd"],
            "unknown status; one of pending",
        ),
        (&["runs", "list", "--status", "pausd"], "'paused'"),
        (
            &["runs", "list", "--reason", "bored"],
            "[possible values: retries_spent",
        ),
        (
            &["services", "list", "status=paused"],
            "one of unknown, building, active",
        ),
        (
            &["customers", "list", "status=active"],
            "known are source, cursor, limit",
        ),
        (
            &["services", "show", "501"],
            "write SOURCE ID, e.g. services show whmcs 501",
        ),
    ] {
        let output = scene.run(wrong);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{wrong:?}: {}",
            printed(&output)
        );
        assert!(printed(&output).contains(why), "{}", printed(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn send_needs_no_configuration_and_the_same_id_is_one_delivery() {
    let scene = Scene::start(Setup::default()).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let ping = |more: &[&str]| {
        let base = ["send", "test.ping", "--server", &scene.serving.base];
        run(bare(elsewhere.path()), &[&base[..], more].concat())
    };
    let signed = ["--source", "whmcs", "--secret", SECRET];
    let sent = ping(&signed);
    assert_eq!(sent.status.code(), Some(0), "{}", printed(&sent));
    let lacking = ping(&["--token", TOKEN]);
    assert_eq!(lacking.status.code(), Some(2));
    for part in [
        "there is no billhook.toml here",
        "give --source NAME and --secret WHSEC (or BILLHOOK_SECRET)",
        "which the admin token is not",
    ] {
        assert!(printed(&lacking).contains(part), "{}", printed(&lacking));
    }
    let misread = ping(&["--source", "whmcs", "--secret", "whsec_short"]);
    assert_eq!(misread.status.code(), Some(2), "{}", printed(&misread));
    assert!(!printed(&misread).contains("whsec_short"));

    let twice = || {
        let order = [
            "send",
            "order.paid",
            "--source",
            "whmcs",
            "--service",
            "501",
            "--product",
            "44",
            "--customer",
            "77",
            "--email",
            "a@example.com",
            "--option",
            "License IP=198.51.100.9",
            "--id",
            "order-501",
            "--wait",
            "20",
        ];
        let sent = scene.lines(&order).join("\n");
        serde_json::from_str::<Value>(&sent).unwrap()
    };
    let (first, second) = (twice(), twice());
    assert_eq!(
        (&first["status"], &second["status"]),
        (&json!("succeeded"), &json!("duplicate"))
    );
    assert_eq!(first["delivery_id"], second["delivery_id"]);
    assert_eq!(second["webhook_id"], "order-501");
    let wrong = scene.run(&["send", "test.ping", "--source", "whmcs", "--id", "a b"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", printed(&wrong));
}
