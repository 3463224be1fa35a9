//! Layers: defaults, file, environment, files for secrets; and the shipped file itself.

use super::tests::{HIVELOCITY, KEY, PRODUCT, TOKEN, WHSEC, file, load_with};
use super::*;

/// Loads a file and an environment, with the required secrets in the latter.
fn load_env(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let file = file(text);
    let required = [
        ("BILLHOOK__ADMIN__TOKEN", TOKEN),
        ("BILLHOOK__ADMIN__ENCRYPTION_KEY", KEY),
    ];
    let all = required.iter().chain(environment);
    let owned = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(Some(file.path()), owned, false)
}

/// The shipped file with every commented setting active.
fn with_examples() -> String {
    let setting = |line: &str| {
        let rest = line.strip_prefix('#')?;
        rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '[')
            .then(|| rest.to_owned())
    };
    let lines = DEFAULT
        .lines()
        .map(|line| setting(line).unwrap_or_else(|| line.to_owned()));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_example_of_the_shipped_file_is_accepted() {
    let text = with_examples();
    let file = file(&text);
    let config = load(Some(file.path()), [], false).unwrap();
    assert_eq!(config.sources["whmcs"].allow_ips.len(), 2);
    assert!(config.sources["whmcs"].report.is_some());
    let product = config.catalogue.find("whmcs", "42").unwrap();
    assert!(product.hivelocity.is_some() && product.one_h.is_some());
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn the_shipped_file_has_every_key() {
    let text = with_examples();
    for (section, keys) in [
        ("[server]", "listen body_limit"),
        ("[store]", "url retention"),
        ("[admin]", "token encryption_key"),
        ("[execution]", "concurrency lease step_timeout"),
        ("[alerts]", "url secret"),
        ("[retry]", "initial max max_attempts"),
        (
            "[hivelocity]",
            "base_url api_key account_model act_as owner_email create_client_on \
          order_with poll_interval absent_after requests_per_second requests_per_hour timeout \
          breaker_after",
        ),
        (
            "[one_h]",
            "base_url auth_code api_key sub_user_per username_prefix \
          requests_per_second timeout breaker_after",
        ),
        (
            "[sources.whmcs]",
            "platform scheme secrets tolerance allow_ips installation",
        ),
        ("[sources.whmcs.report]", "kind url identifier secret"),
        ("[[products]]", "source id"),
        (
            "[products.hivelocity]",
            "product_id location os hostname period on_suspend on_terminate",
        ),
        (
            "[products.one_h]",
            "licenses ip label portal_domain on_suspend",
        ),
        (
            "[policy]",
            "require_approval deactivate_client protected_services dry_run",
        ),
    ] {
        let start = text.find(&format!("\n{section}\n")).expect(section) + section.len() + 2;
        let body = &text[start..];
        let body = &body[..body.find("\n[").unwrap_or(body.len())];
        for key in keys.split_whitespace() {
            assert!(body.contains(&format!("\n{key} = ")), "{section} {key}");
        }
        let written = body
            .lines()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
        assert_eq!(
            written.count(),
            keys.split_whitespace().count(),
            "{section}"
        );
    }
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let text = "[retry]\nmax = '1h'\nmax_attempts = 3";
    let config = load_env(text, &[("BILLHOOK__RETRY__MAX_ATTEMPTS", "5")]).unwrap();
    assert_eq!(config.retry.max, std::time::Duration::from_hours(1));
    assert_eq!(config.retry.max_attempts, 5);
    assert_eq!(config.retry.initial, std::time::Duration::from_secs(1));
}

#[test]
fn the_environment_sets_sources_lists_flags_and_products() {
    let two = format!("{WHSEC}, {WHSEC}");
    let json = format!("[\"{WHSEC}\"]");
    let products = r#"[{"id": 7, "source": "whmcs", "one_h": {"licenses": ["Hive"]}}]"#;
    let config = load_env(
        "[one_h]\nauth_code = 'a'\napi_key = 'k'",
        &[
            ("BILLHOOK__SOURCES__WHMCS__PLATFORM", "whmcs"),
            ("BILLHOOK__SOURCES__WHMCS__SECRETS", &two),
            ("BILLHOOK__SOURCES__MY_SHOP__PLATFORM", "native"),
            ("BILLHOOK__SOURCES__MY_SHOP__SECRETS", &json),
            ("BILLHOOK__SOURCES__WHMCS__ALLOW_IPS", "10.0.0.0/8,::1"),
            ("BILLHOOK__POLICY__DRY_RUN", "true"),
            ("BILLHOOK__PRODUCTS", products),
            ("BILLHOOK_CONFIG", "ignored"),
            ("HOME", "ignored"),
        ],
    )
    .unwrap();
    assert_eq!(config.sources["whmcs"].secrets.len(), 2);
    assert_eq!(config.sources["whmcs"].allow_ips.len(), 2);
    assert_eq!(config.sources["my_shop"].platform, Platform::Native);
    assert!(config.policy.dry_run);
    assert!(config.catalogue.find("whmcs", "7").is_some());
}

#[test]
fn a_list_of_the_environment_replaces_that_of_the_file() {
    let text = format!("[sources.a]\nplatform = 'native'\nsecrets = ['{WHSEC}', '{WHSEC}']");
    let config = load_env(&text, &[("BILLHOOK__SOURCES__A__SECRETS", WHSEC)]).unwrap();
    assert_eq!(config.sources["a"].secrets.len(), 1);
}

#[test]
fn a_mistyped_variable_is_an_unknown_key() {
    let error = load_env("", &[("BILLHOOK__RETRY__MAXIMUM", "1h")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "retry.maximum: unknown key; the nearest known one is retry.max"
    );
}

#[test]
fn a_variable_without_a_place_is_refused_by_its_name() {
    for name in [
        "BILLHOOK__",
        "BILLHOOK__RETRY____MAX",
        "BILLHOOK__ADMIN__TOKEN__X",
    ] {
        let error = load_env("", &[(name, "secret-value")])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("{name}: cannot be placed")),
            "{error}"
        );
        assert!(!error.contains("secret-value"));
    }
}

#[test]
fn a_file_that_is_not_there_or_not_toml_is_named_without_its_content() {
    let error = load(Some("no/such/file.toml".as_ref()), [], false)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("the config file no/such/file.toml: cannot be read"),
        "{error}"
    );
    for text in [
        "[admin]\ntoken = \"SECRETONE",
        "[admin]\ntoken = SECRETONE",
        "[admin]\ntoken = \"SECRETONE\"\ntoken = \"SECRETONE\"",
        "[admin]\ntoken = \"SECRETONE\" \"x|y\"",
        "[admin]\ntoken = \"SECRETONE\\q\"",
    ] {
        let error = load_with(text).unwrap_err().to_string();
        assert!(
            error.contains("line ") && error.lines().count() == 1,
            "{error}"
        );
        assert!(!error.contains("SECRETONE"), "{error}");
    }
}

#[test]
fn any_secret_may_be_in_a_file_of_its_own() {
    let secret = |text: &str| {
        let file = file(text);
        let path = file.path().display().to_string();
        (file, path)
    };
    let (_kept, token) = secret(&format!("{TOKEN}\n"));
    let (_kept2, key) = secret(KEY);
    let (_kept3, other) = secret("a-secret\n");
    let (_kept4, secrets) = secret(&format!("# newest first\n{WHSEC}\r\n\n{WHSEC}\n"));
    let (_kept5, url) = secret("sqlite://data/x.db\n");
    let text = format!(
        "{PRODUCT}[store]\nurl_file = '{url}'\n\
         [admin]\ntoken_file = '{token}'\nencryption_key_file = '{key}'\n\
         [hivelocity]\napi_key_file = '{other}'\nowner_email = 'a@b.example'\n\
         [one_h]\nauth_code_file = '{other}'\napi_key_file = '{other}'\n\
         [sources.a]\nplatform = 'native'\nsecrets_file = '{secrets}'\n\
         [sources.a.report]\nkind = 'whmcs_api'\nurl = 'https://b.example'\n\
         identifier_file = '{other}'\nsecret_file = '{other}'"
    );
    let file = file(&text);
    let config = load(Some(file.path()), [], false).unwrap();
    assert_eq!(config.admin.token.reveal(), TOKEN);
    assert_eq!(config.store.url.reveal(), "sqlite://data/x.db");
    assert_eq!(config.hivelocity.api_key.reveal(), "a-secret");
    assert_eq!(config.one_h.auth_code.reveal(), "a-secret");
    assert_eq!(config.sources["a"].secrets.len(), 2);
    assert_eq!(config.sources["a"].secrets[1].reveal(), WHSEC);
    assert_eq!(
        config.sources["a"].report.as_ref().unwrap().secret.reveal(),
        "a-secret"
    );
}

#[test]
fn a_secret_given_twice_is_refused() {
    let other = file("a-secret");
    let path = other.path().display();
    for (text, key, file_key) in [
        (
            format!("[hivelocity]\napi_key = 'x'\napi_key_file = '{path}'"),
            "hivelocity.api_key",
            "hivelocity.api_key_file",
        ),
        (
            format!("[store]\nurl = 'sqlite://x'\nurl_file = '{path}'"),
            "store.url",
            "store.url_file",
        ),
        (
            format!(
                "[sources.a]\nplatform = 'native'\nsecrets = ['{WHSEC}']\nsecrets_file = '{path}'"
            ),
            "sources.a.secrets",
            "sources.a.secrets_file",
        ),
    ] {
        let error = load_with(&text).unwrap_err();
        let line = format!("{file_key}: {key} is given as well; keep one of the two");
        assert!(error.problems().contains(&line), "{error}");
    }
    let env = [("BILLHOOK__HIVELOCITY__API_KEY_FILE", "x")];
    let error = load_env(HIVELOCITY, &env).unwrap_err().to_string();
    assert!(
        error.contains("hivelocity.api_key is given as well"),
        "across layers too: {error}"
    );
}

#[test]
fn a_secrets_file_that_cannot_be_read_is_named_with_its_key() {
    let empty = file("  \n");
    let endless = file(&"x".repeat(70_000));
    for (path, why) in [
        ("no/such/secret".to_owned(), "No such file"),
        (empty.path().display().to_string(), "it is empty"),
        (endless.path().display().to_string(), "longer than 64 KiB"),
        (std::env::temp_dir().display().to_string(), "directory"),
    ] {
        let error = load_with(&format!("[one_h]\napi_key_file = '{path}'")).unwrap_err();
        let line = format!("one_h.api_key_file: cannot read {path}");
        let message = error.to_string();
        assert!(
            message.starts_with(&line) && message.contains(why),
            "{message}"
        );
    }
}

#[test]
fn the_process_environment_gives_only_what_is_about_billhook() {
    let ours = process_environment();
    assert!(ours.iter().all(|(name, _)| name.starts_with("BILLHOOK_")));
}
