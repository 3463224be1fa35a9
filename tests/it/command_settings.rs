//! The commands around a configuration, as the real binary, with their exit statuses.

use std::path::Path;

use billhook::sandbox::Sandbox;

use crate::support::Setup;
use crate::support::binary::{Serving, bare, billhook, printed, run};

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn wrong_words_and_wrong_settings_end_with_status_2_and_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = |text: &str, arguments: &[&str], expected: &[&str]| {
        let path = write(folder.path(), "wrong.toml", text);
        let mut command = bare(folder.path());
        command.env("BILLHOOK_CONFIG", path);
        let output = run(command, arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?} {text}: {}",
            printed(&output)
        );
        for word in expected {
            assert!(
                printed(&output).contains(word),
                "{arguments:?}: wanted {word} in {}",
                printed(&output)
            );
        }
    };
    let right = "[admin]\ntoken = \"0123456789abcdef0\"\nencryption_key = \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"\n";
    wrong("", &["serve"], &["admin.token", "admin.encryption_key"]);
    wrong(
        &format!("{right}[hivelocity]\npol_interval = \"1s\""),
        &["check"],
        &["hivelocity.pol_interval", "poll_interval"],
    );
    wrong(
        &format!("{right}[retry]\ninitial = 7"),
        &["serve"],
        &["retry.initial"],
    );
    wrong(
        &format!("{right}[sources.x]\nplatform = \"native\"\nsecrets = []"),
        &["check"],
        &["sources.x.secrets"],
    );
    wrong(
        &format!("{right}[sources.x]\nplatform = \"stripe\"\nsecrets = [\"a\"]"),
        &["serve"],
        &["stripe"],
    );
    let template = "[[products]]\nid = \"42\"\n[products.hivelocity]\nproduct_id = 1\nos = \"x\"\nlocation = \"{{ optoins['x'] }}\"";
    wrong(
        &format!("{right}[hivelocity]\napi_key = \"k\"\nowner_email = \"a@b.c\"\n{template}"),
        &["check"],
        &["42", "location", "optoins"],
    );
    wrong("[[[", &["serve"], &["wrong.toml"]);
    wrong(right, &["replay"], &["what to replay"]);
    wrong(right, &["sned"], &["sned"]);
    wrong(right, &["send", "order.payed"], &["order.payed"]);
    wrong(right, &["serve", "--sandbox-faults", "0.5"], &["--sandbox"]);
    let output = run(bare(folder.path()), &["serve", "--config", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
    assert!(printed(&output).contains("nowhere.toml"));
}

#[test]
fn init_writes_a_private_config_that_the_sandbox_takes_and_that_check_finds_unfinished() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(bare(folder.path()), &["init", "here"]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    let path = folder.path().join("here/billhook.toml");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let config = path.display().to_string();
    let again = run(bare(folder.path()), &["init", "here"]);
    assert_eq!(again.status.code(), Some(2), "{}", printed(&again));
    let sandbox = run(
        bare(folder.path()),
        &["check", "--config", &config, "--sandbox"],
    );
    assert_eq!(sandbox.status.code(), Some(0), "{}", printed(&sandbox));
    let real = run(bare(folder.path()), &["check", "--config", &config]);
    assert_eq!(
        real.status.code(),
        Some(1),
        "TODO is no key: {}",
        printed(&real)
    );
    for key in [
        "hivelocity.api_key",
        "hivelocity.owner_email",
        "one_h.auth_code",
        "one_h.api_key",
    ] {
        assert!(printed(&real).contains(key), "{key}: {}", printed(&real));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_online_asks_both_suppliers_without_changing_anything() {
    let setup = Setup::default();
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = run(
        billhook(folder.path(), &setup, &suppliers),
        &["check", "--online"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    assert!(printed(&output).contains("hivelocity") && printed(&output).contains("one_h"));
    let snapshot = suppliers.snapshot();
    assert!(snapshot.requests >= 2 && snapshot.violations.is_empty());
    assert_eq!(snapshot.effects, billhook::sandbox::EffectCounts::default());
    let wrong = setup.clone().with("one_h.api_key", "not-the-right-one");
    let output = run(
        billhook(folder.path(), &wrong, &suppliers),
        &["check", "--online"],
    );
    assert_eq!(output.status.code(), Some(1), "{}", printed(&output));
    assert!(!printed(&output).contains("not-the-right-one"));
}

#[test]
fn the_demo_ends_with_status_0_and_shows_its_steps() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(bare(folder.path()), &["demo", "--exit"]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    for word in ["deploy", "suspend", "terminat"] {
        assert!(
            printed(&output).contains(word),
            "{word}: {}",
            printed(&output)
        );
    }
}

#[test]
fn without_a_configuration_every_command_says_that_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let event = write(folder.path(), "event.json", "{}");
    for arguments in [
        &["serve"][..],
        &["check"],
        &["migrate"],
        &["plan", "--file", &event],
        &["runs", "list"],
        &["services", "show", "whmcs", "501"],
        &["replay", "--status", "paused"],
        &["reports", "list"],
        &["send", "test.ping"],
    ] {
        let output = run(bare(folder.path()), arguments);
        let said = printed(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        let missing = "there is no billhook.toml here; use --config FILE or BILLHOOK_CONFIG";
        assert!(said.contains(missing), "{arguments:?}: {said}");
        assert!(!said.contains("encryption_key"), "{arguments:?}: {said}");
    }
    let mut half = bare(folder.path());
    half.env("BILLHOOK__ADMIN__TOKEN", "0123456789abcdef0");
    let said = printed(&run(half, &["check"]));
    assert!(
        said.contains("the environment alone lacks:\nadmin.encryption_key"),
        "{said}"
    );
}

#[test]
fn a_variable_with_one_underscore_too_few_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(bare(folder.path()), &["init"]).status.success());
    let check = |name: &str, value: &str, options: &[&str]| {
        let mut command = bare(folder.path());
        command.env(name, value);
        printed(&run(command, &[&["check"], options].concat()))
    };
    let said = check("BILLHOOK_RETRY_MAX", "30m", &["--sandbox"]);
    let told = "warning: BILLHOOK_RETRY_MAX: is not read; write BILLHOOK__RETRY__MAX\n";
    assert!(said.starts_with(told), "{said}");
    let said = check("BILLHOOK_ONE_H_API_KEY", "a-secret", &[]);
    let told = "BILLHOOK_ONE_H_API_KEY: is not read; write BILLHOOK__ONE_H__API_KEY";
    assert!(said.contains(told) && !said.contains("a-secret"), "{said}");
    let said = check("BILLHOOK_TOKEN", "x", &["--sandbox"]);
    assert!(!said.contains("is not read"), "{said}");
    let said = check("BILLHOOK__RETRY__MAX", "banana", &["--sandbox"]);
    assert!(
        said.contains("retry.max") && !said.contains("retry.initial"),
        "{said}"
    );
}

#[test]
fn the_first_order_of_the_readme_ends_with_an_outcome() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(bare(folder.path()), &["init"]).status.success());
    let mut serve = bare(folder.path());
    serve.env("BILLHOOK__SERVER__LISTEN", "127.0.0.1:0");
    let serving = Serving::start_with(serve, &["--sandbox"]);
    let readme = include_str!("../../README.md");
    let (_, command) = readme.split_once("billhook send order.paid").unwrap();
    let (command, _) = command.split_once("```").unwrap();
    let command = command.replace("\\\n", " ").replace("'Ann Lee'", "Ann-Lee");
    let mut arguments = vec!["send", "order.paid", "--server", &serving.base];
    arguments.extend(command.split_whitespace());
    let sent = run(bare(folder.path()), &arguments);
    assert!(
        printed(&sent).contains("\"status\": \"succeeded\""),
        "{}",
        printed(&sent)
    );
    assert!(serving.terminate().0.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_send_is_no_error_of_ours() {
    use std::io::{Read as _, Write as _};
    let setup = Setup::default();
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = billhook(folder.path(), &setup, &suppliers);
    command.env("RUST_LOG", "debug");
    let serving = Serving::start(command);
    let address = serving.base.trim_start_matches("http://");
    for nonsense in [
        "GET / HTTP/1.1\r\nbad header\r\n\r\n",
        "\x16\x03\x01\x02",
        "x\r\n\r\n",
    ] {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(nonsense.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let (_, log) = serving.terminate();
    let errors: Vec<&String> = log
        .iter()
        .filter(|line| line.contains("\"ERROR\""))
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
}
