//! Values: what is accepted, what is refused and with which words.

use std::time::Duration;

use super::*;
use crate::catalogue::{
    AccountModel, ActAs, CreateClientOn, DeactivateClient, OrderWith, SubUserPer,
};

pub(super) const TOKEN: &str = "a-token-of-enough-characters";
pub(super) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(super) const WHSEC: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A file with this text.
pub(super) fn file(more: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), more).unwrap();
    file
}

/// Loads `more` together with a token and a key.
pub(super) fn load_with(more: &str) -> Result<Config, ConfigError> {
    load_full(more, false)
}

pub(super) fn load_full(more: &str, sandbox: bool) -> Result<Config, ConfigError> {
    let file = file(more);
    let environment = [
        ("BILLHOOK__ADMIN__TOKEN".to_owned(), TOKEN.to_owned()),
        ("BILLHOOK__ADMIN__ENCRYPTION_KEY".to_owned(), KEY.to_owned()),
    ];
    load(Some(file.path()), environment, sandbox)
}

/// The only problem of `more`.
pub(super) fn problem(more: &str) -> String {
    let error = load_with(more).expect_err(more);
    assert_eq!(error.problems().len(), 1, "{more}: {error}");
    error.to_string()
}

pub(super) const PRODUCT: &str = "[[products]]\nid = '42'\n[products.hivelocity]\nproduct_id = 584\n\
     location = 'TPA1'\nos = 'Ubuntu 22.04'\n";
pub(super) const HIVELOCITY: &str = "[hivelocity]\napi_key = 'k'\nowner_email = 'ops@r.example'\n";

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = load_with("").unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.body_limit, 1 << 20);
    assert_eq!(config.store.url.reveal(), "sqlite://data/billhook.db");
    assert_eq!(config.admin.token.reveal(), TOKEN);
    assert_eq!(config.admin.encryption_key[31], 31);
    assert_eq!(config.execution.concurrency, 64);
    assert_eq!(config.retry.initial, Duration::from_secs(1));
    assert_eq!(config.retry.max, Duration::from_mins(15));
    assert_eq!(config.retry.max_attempts, 12);
    let hivelocity = &config.hivelocity;
    assert_eq!(hivelocity.base_url, "https://core.hivelocity.net/api/v2");
    assert_eq!(hivelocity.account_model, AccountModel::Multi);
    assert_eq!(hivelocity.act_as, ActAs::Query);
    assert_eq!(hivelocity.create_client_on, CreateClientOn::FirstOrder);
    assert_eq!(hivelocity.poll_interval, Duration::from_secs(20));
    assert_eq!(hivelocity.order_with, OrderWith::OrderGroup);
    assert_eq!(hivelocity.absent_after, Duration::from_mins(15));
    assert_eq!(
        (
            hivelocity.requests_per_second,
            config.one_h.requests_per_second
        ),
        (5, 5)
    );
    assert_eq!(hivelocity.timeout, Duration::from_secs(30));
    assert_eq!(config.one_h.base_url, "https://api.1h.com/partners");
    assert_eq!(config.one_h.sub_user_per, SubUserPer::Customer);
    assert_eq!(config.one_h.username_prefix, "bh");
    assert_eq!(config.policy.deactivate_client, DeactivateClient::Never);
    assert!(config.policy.require_approval.is_empty() && !config.policy.dry_run);
    assert!(config.sources.is_empty() && config.catalogue.products().is_empty());
}

#[test]
fn an_unknown_key_is_named_in_full_with_the_nearest() {
    for (text, line) in [
        (
            "[server]\nlisten_on = ''",
            "server.listen_on: unknown key; the nearest known one is server.listen",
        ),
        (
            "[servr]\nlisten = ''",
            "servr: unknown key; the nearest known one is server",
        ),
        (
            "listen = ''",
            "listen: unknown key; the nearest known one is",
        ),
        (
            "[retry]\nmaxattempts = 3",
            "retry.maxattempts: unknown key; the nearest known one is retry.max_attempts",
        ),
        (
            "[hivelocity]\napi_keyfile = 'x'",
            "hivelocity.api_keyfile: unknown key; the nearest known one is hivelocity.api_key_file",
        ),
        (
            "[policy]\ndryrun = true",
            "policy.dryrun: unknown key; the nearest known one is policy.dry_run",
        ),
    ] {
        let message = problem(text);
        assert!(message.starts_with(line), "{message}");
    }
}

#[test]
fn an_unknown_key_of_a_product_is_named_by_the_products_id() {
    let text = format!("{HIVELOCITY}{PRODUCT}hostnme = 'x'\n[products.oneh]\nlicenses = ['Hive']");
    let error = load_with(&text).unwrap_err();
    assert_eq!(
        error.problems(),
        [
            "products[42].hivelocity.hostnme: unknown key; the nearest known one is \
             products[42].hivelocity.hostname",
            "products[42].oneh: unknown key; the nearest known one is products[42].one_h",
        ]
    );
}

#[test]
fn all_problems_are_reported_together_one_a_line() {
    let text = "[server]\nlisten = 'nowhere'\n[retry]\ninitial = '5'\nmax_attempts = 0\n\
                [policy]\nrequire_approval = ['hivelocity.cancel']\n[one_h]\nx = 1";
    let error = load_with(text).unwrap_err();
    let lines: Vec<String> = error.to_string().lines().map(str::to_owned).collect();
    let keys = [
        "server.listen",
        "retry.initial",
        "retry.max_attempts",
        "one_h.x",
        "policy.",
    ];
    assert_eq!(lines.len(), keys.len(), "{error}");
    for (line, key) in lines.iter().zip(keys) {
        assert!(line.starts_with(key), "{line}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_wrong_value_names_key_value_and_what_is_accepted() {
    for (text, parts) in [
        (
            "[server]\nlisten = 'here'",
            ["server.listen: \"here\"", "127.0.0.1:8080"],
        ),
        (
            "[server]\nbody_limit = '1 apple'",
            ["server.body_limit: \"1 apple\"", "1MiB"],
        ),
        (
            "[server]\nbody_limit = 5",
            ["server.body_limit: \"5\"", "1MiB"],
        ),
        (
            "[execution]\nconcurrency = 0",
            ["execution.concurrency: \"0\"", "from 1 to 10000"],
        ),
        (
            "[execution]\nconcurrency = 10001",
            ["execution.concurrency: \"10001\"", "10000"],
        ),
        (
            "[execution]\nconcurrency = 1.5",
            ["execution.concurrency: \"1.5\"", "whole number"],
        ),
        (
            "[execution]\nconcurrency = [1]",
            ["execution.concurrency: must be", "whole number"],
        ),
        (
            "[retry]\nmax_attempts = 0",
            ["retry.max_attempts: \"0\"", "from 1"],
        ),
        (
            "[retry]\nmax = '15'",
            ["retry.max: \"15\"", "ms, s, m, h or d"],
        ),
        (
            "[retry]\ninitial = '0s'",
            ["retry.initial: 0ms", "from 1ms"],
        ),
        (
            "[retry]\ninitial = '1h'",
            ["retry.initial: 1h", "more than retry.max, which is 15m"],
        ),
        (
            "[hivelocity]\nbase_url = 'core'",
            ["hivelocity.base_url: \"core\"", "http or https"],
        ),
        (
            "[hivelocity]\naccount_model = 'both'",
            ["account_model: \"both\"", "multi, single"],
        ),
        (
            "[hivelocity]\nact_as = 'key'",
            ["hivelocity.act_as: \"key\"", "query, token"],
        ),
        (
            "[hivelocity]\ncreate_client_on = 'x'",
            ["create_client_on: \"x\"", "first_order, signup"],
        ),
        (
            "[hivelocity]\nowner_email = 'ops'",
            ["hivelocity.owner_email: \"ops\"", "e-mail"],
        ),
        (
            "[hivelocity]\nrequests_per_second = 0",
            ["requests_per_second: \"0\"", "from 1"],
        ),
        (
            "[hivelocity]\napi_key = 5",
            ["hivelocity.api_key", "in quotes"],
        ),
        (
            "[one_h]\nusername_prefix = 'BH'",
            ["one_h.username_prefix: \"BH\"", "a-z"],
        ),
        (
            "[one_h]\nusername_prefix = 'ninechars'",
            ["one_h.username_prefix", "1 to 8"],
        ),
        (
            "[one_h]\nsub_user_per = 'order'",
            ["one_h.sub_user_per", "customer, service, none"],
        ),
        (
            "[one_h]\nrequests_per_second = -1",
            ["requests_per_second: \"-1\"", "from 1"],
        ),
        (
            "[policy]\ndry_run = 'yes'",
            ["policy.dry_run", "true or false"],
        ),
        (
            "[policy]\ndeactivate_client = 'x'",
            ["deactivate_client", "never, after_last_service"],
        ),
        ("[store]\nurl = 'mysql://x'", ["store.url", "sqlite://"]),
        ("server = 5", ["server: must be a table", "[server]"]),
    ] {
        let file = file(text);
        let environment = [
            ("BILLHOOK__ADMIN__TOKEN".to_owned(), TOKEN.to_owned()),
            ("BILLHOOK__ADMIN__ENCRYPTION_KEY".to_owned(), KEY.to_owned()),
        ];
        let message = load(Some(file.path()), environment, false)
            .expect_err(text)
            .to_string();
        for part in parts {
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}

#[test]
fn the_admins_token_and_key_are_required_and_checked() {
    let error = load(None, [], false).unwrap_err();
    assert!(
        error.problems()[0].starts_with("admin.token: is missing"),
        "{error}"
    );
    assert!(
        error.problems()[1].starts_with("admin.encryption_key: is missing"),
        "{error}"
    );
    for (token, key, what) in [
        ("short-secret", KEY, "admin.token: is too short"),
        (
            "a token with spaces in it",
            KEY,
            "admin.token: holds a space",
        ),
        (
            TOKEN,
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",
            "admin.encryption_key: is not",
        ),
        (
            TOKEN,
            "not base64 at all, is it, but long",
            "admin.encryption_key: is not accepted",
        ),
    ] {
        let text = format!("[admin]\ntoken = '{token}'\nencryption_key = '{key}'");
        let file = file(&text);
        let error = load(Some(file.path()), [], false).unwrap_err().to_string();
        assert!(
            error.starts_with(what) && error.lines().count() == 1,
            "{error}"
        );
        assert!(!error.contains(token) && !error.contains(key), "{error}");
    }
}

#[test]
fn an_address_loses_its_last_slash() {
    let config = load_with("[hivelocity]\nbase_url = 'http://127.0.0.1:9/api/v2/'").unwrap();
    assert_eq!(config.hivelocity.base_url, "http://127.0.0.1:9/api/v2");
    assert!(
        !config.warnings.iter().any(|line| line.contains("http")),
        "a local one is fine"
    );
}

#[test]
fn what_is_allowed_but_odd_is_a_warning() {
    let config = load_with(
        "[one_h]\nsub_user_per='none'\nauth_code='a'\napi_key='k'\nbase_url='http://api.1h.com'\n\
         [[products]]\nid = 1\n[[products]]\nid = 2\n[products.one_h]\nlicenses = ['Hive']",
    )
    .unwrap();
    for what in [
        "sources: none",
        "products[1]: has neither",
        "products[2].one_h.on_suspend",
        "one_h.base_url",
    ] {
        assert!(
            config.warnings.iter().any(|line| line.starts_with(what)),
            "{what}"
        );
    }
}

#[test]
fn a_step_kind_that_does_not_exist_shows_the_nearest() {
    let message = problem("[policy]\nrequire_approval = ['hivelocity.cancel']");
    assert!(
        message.contains("the nearest is \"hivelocity.cancel_device\""),
        "{message}"
    );
    let config = load_with("[policy]\nrequire_approval = ['one_h.add_license']").unwrap();
    assert_eq!(config.policy.require_approval, ["one_h.add_license"]);
}

#[test]
fn products_are_compiled_with_numbers_for_ids() {
    let text = format!("{HIVELOCITY}{}", PRODUCT.replace("'42'", "42"));
    let config = load_with(&text).unwrap();
    let product = config.catalogue.find("anyone", "42").unwrap();
    assert_eq!(product.hivelocity.as_ref().unwrap().product_id, 584);
}

#[test]
fn a_templates_mistake_is_reported_with_product_and_key() {
    let text = format!("{HIVELOCITY}{PRODUCT}hostname = '{{{{ service.hostnam }}}}'");
    let message = problem(&text);
    assert!(
        message.starts_with("products[42].hivelocity.hostname: unknown variable service.hostnam"),
        "{message}"
    );
}

#[test]
fn a_products_missing_or_wrong_keys_are_named() {
    for (text, line) in [
        (
            "[[products]]\n[products.one_h]\nlicenses = []",
            "products[number 1].id: is missing",
        ),
        ("products = 5", "products: must be a list"),
        ("products = [5]", "products[number 1]: must be a table"),
        (
            "[[products]]\nid = true",
            "products[number 1].id: must be an id",
        ),
        (
            "[[products]]\nid = '7'\none_h = 'Hive'",
            "products[7].one_h: must be a table",
        ),
        (
            "[[products]]\nid = '7'\n[products.hivelocity]\nproduct_id = 'x'",
            "products[7].hivelocity.product_id: \"x\"",
        ),
        (
            "[[products]]\nid = '7'\n[products.hivelocity]\nproduct_id = 1",
            "products[7].hivelocity.location: is missing",
        ),
        (
            "[[products]]\nid = '7'\n[products.one_h]\non_suspend = 'shutdown'",
            "products[7].one_h.on_suspend: \"shutdown\"",
        ),
        (
            "[[products]]\nid = '7'\n[products.hivelocity]\nperiod = 'weekly'\nproduct_id=1\nlocation=''\nos=''",
            "products[7].hivelocity.period: \"weekly\" is no billing period",
        ),
        (
            "[[products]]\nid = '7'\n[[products]]\nid = 7",
            "products[7]: is listed twice",
        ),
    ] {
        let error = load_full(text, true).expect_err(text);
        assert!(
            error
                .problems()
                .iter()
                .any(|problem| problem.starts_with(line)),
            "{text}: {error}"
        );
    }
}

#[test]
fn suppliers_keys_are_needed_only_by_products_that_use_them() {
    let error = load_with(PRODUCT).unwrap_err();
    assert_eq!(error.problems().len(), 2, "{error}");
    assert!(error.problems()[0].starts_with("hivelocity.api_key: is missing; products[42]"));
    assert!(error.problems()[1].starts_with("hivelocity.owner_email: is missing; products[42]"));
    let licence = "[[products]]\nid = '43'\n[products.one_h]\nlicenses = ['Hive']\n";
    let error = load_with(licence).unwrap_err();
    assert_eq!(error.problems().len(), 2, "{error}");
    assert!(error.problems()[0].starts_with("one_h.auth_code: is missing; products[43]"));
    assert!(error.problems()[1].starts_with("one_h.api_key: is missing; products[43]"));
    load_with(&format!(
        "[hivelocity]\napi_key='k'\naccount_model='single'\n{PRODUCT}"
    ))
    .unwrap();
    load_with("[one_h]\nbase_url = 'http://localhost:1'").unwrap();
}

#[test]
fn the_sandbox_needs_no_supplier_keys() {
    let text = format!("{PRODUCT}[products.one_h]\nlicenses = ['Hive']\n");
    let config = load_full(&text, true).unwrap();
    assert!(config.hivelocity.api_key.is_empty() && config.hivelocity.owner_email.contains('@'));
}

#[test]
fn the_starter_file_runs_in_the_sandbox_and_says_what_is_left() {
    let text = starter(TOKEN, KEY, WHSEC);
    let file = file(&text);
    let config = load(Some(file.path()), [], true).unwrap();
    assert!(config.catalogue.find("whmcs", "example").is_some());
    let numbers = config.catalogue.products().iter();
    assert_eq!(
        numbers
            .filter(|product| product.id.parse::<u64>().is_ok())
            .count(),
        0,
        "a platform's own product id must not hit the example"
    );
    assert_eq!(config.sources["whmcs"].secrets[0].reveal(), WHSEC);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let error = load(Some(file.path()), [], false).unwrap_err();
    let keys: Vec<&str> = error
        .problems()
        .iter()
        .filter_map(|line| line.split(':').next())
        .collect();
    assert_eq!(
        keys,
        [
            "hivelocity.api_key",
            "hivelocity.owner_email",
            "one_h.auth_code",
            "one_h.api_key"
        ]
    );
    assert!(!text.contains('@'), "every mark is replaced");
}

#[test]
fn a_secret_is_in_no_message_and_in_no_debug_output() {
    let marks = ["SECRETONE", "SECRETTWO", "SECRETTHREE", "SECRETFOUR"];
    let text = format!(
        "{HIVELOCITY}{PRODUCT}[store]\nurl = 'sqlite://SECRETONE.db'\n\
         [one_h]\nauth_code = 'SECRETTWO'\napi_key = 'SECRETTHREE'\n\
         [sources.whmcs]\nplatform = 'whmcs'\nsecrets = ['{WHSEC}']\n\
         [sources.whmcs.report]\nkind = 'whmcs_api'\nurl = 'https://b.example'\n\
         identifier = 'SECRETTWO'\nsecret = 'SECRETFOUR'\n"
    );
    let shown = format!("{:?}", load_with(&text).unwrap());
    for mark in marks.iter().chain([&TOKEN, &WHSEC, &"16, 17, 18"]) {
        assert!(!shown.contains(mark), "{mark}: {shown}");
    }
    let wrong = "[store]\nurl = 'mysql://u:SECRETONE@h'\n[hivelocity]\nbase_url = 'ftp://u:SECRETTWO@h'\n\
                 [sources.a]\nplatform = 'native'\nsecrets = ['SECRETTHREE', 'whsec_SECRETFOUR']";
    let message = load_with(wrong).unwrap_err().to_string();
    assert!(message.lines().count() == 4, "{message}");
    for mark in marks {
        assert!(!message.contains(mark), "{message}");
    }
}
