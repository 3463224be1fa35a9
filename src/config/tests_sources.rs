//! Sources: names, platforms, secrets, addresses, reports.

use std::time::Duration;

use super::tests::{WHSEC, load_with, problem};
use super::*;

fn source(more: &str) -> String {
    format!("[sources.whmcs]\nplatform = 'whmcs'\nsecrets = ['{WHSEC}']\n{more}\n")
}

#[test]
fn a_source_is_read_with_its_defaults() {
    let config = load_with(&source("")).unwrap();
    let read = &config.sources["whmcs"];
    assert_eq!(read.platform, Platform::Whmcs);
    assert_eq!(
        (read.tolerance, read.scheme.as_deref()),
        (Duration::from_mins(5), None)
    );
    assert!(read.allow_ips.is_empty() && read.report.is_none());
    assert_eq!(read.secrets.len(), 1);
}

#[test]
fn a_sources_name_must_fit_into_a_path_and_a_mark() {
    for name in [
        "WHMCS", "\"a b\"", "\"a:b\"", "\"a/b\"", "\"ü\"", "\"\"", "\"a.b\"",
    ] {
        let text = source("").replace("whmcs]", &format!("{name}]"));
        let message = problem(&text);
        assert!(
            message.contains("is no name of a source") && message.contains("a-z"),
            "{message}"
        );
    }
    load_with(&source("").replace("whmcs]", "my-shop_2]")).unwrap();
}

#[test]
fn a_platform_without_support_says_which_have_it() {
    let text = source("").replace("'whmcs'", "'paymenter'");
    assert_eq!(
        problem(&text),
        "sources.whmcs.platform: paymenter is not supported by this version; native and whmcs are"
    );
    let message = problem(&source("").replace("'whmcs'", "'whmc'"));
    assert!(
        message.contains("\"whmc\" is not accepted; write native or whmcs"),
        "{message}"
    );
    let message = problem(&source("").replace("platform = 'whmcs'\n", ""));
    assert!(
        message.starts_with("sources.whmcs.platform: is missing"),
        "{message}"
    );
}

#[test]
fn every_platform_has_its_word() {
    for (word, platform) in Platform::ALL {
        assert_eq!(platform.name(), word);
    }
}

#[test]
fn a_source_without_a_good_secret_is_refused() {
    for (secrets, what) in [
        ("[]", "is missing; give at least one"),
        ("['']", "secret 1 is empty"),
        ("['whsec_']", "secret 1 has 0 bytes"),
        (
            "['whsec_MDEyMzQ1Njc4OWFiY2RlZg==']",
            "secret 1 has 16 bytes; 24 to 64",
        ),
        ("['whsec_not base64']", "secret 1 is not whsec_ and base64"),
        ("5", "must be a list"),
    ] {
        let text = source("").replace(&format!("['{WHSEC}']"), secrets);
        let message = load_with(&text).unwrap_err().to_string();
        assert!(
            message.contains(what) && message.contains("sources.whmcs.secrets"),
            "{message}"
        );
    }
    let message =
        problem(&source("").replace(&format!("['{WHSEC}']"), &format!("['{WHSEC}', 'x']")));
    assert!(message.contains("secret 2"), "{message}");
}

#[test]
fn base64_without_the_prefix_or_the_padding_is_a_secret() {
    let bare = WHSEC.trim_start_matches("whsec_");
    for good in [
        bare,
        bare.trim_end_matches('='),
        WHSEC.trim_end_matches('='),
    ] {
        load_with(&source("").replace(WHSEC, good)).unwrap();
    }
}

#[test]
fn a_scheme_without_support_is_refused() {
    let text = source("scheme = 'github'").replace(WHSEC, "any text");
    assert!(problem(&text).contains("not supported by this version"));
    let message = problem(&source("scheme = 'standard-webhook'"));
    assert!(
        message.contains("the nearest is standard-webhooks"),
        "{message}"
    );
}

#[test]
fn addresses_and_ranges_of_both_kinds_are_accepted() {
    let text = source("allow_ips = ['203.0.113.7', '10.0.0.0/8', '2001:db8::1', '2001:db8::/32']");
    assert_eq!(
        load_with(&text).unwrap().sources["whmcs"].allow_ips.len(),
        4
    );
    let message = problem(&source("allow_ips = ['billing.example']"));
    assert!(
        message.starts_with("sources.whmcs.allow_ips: \"billing.example\" is no"),
        "{message}"
    );
}

#[test]
fn a_tolerance_of_nothing_or_of_weeks_is_refused() {
    for (tolerance, what) in [
        ("0s", "from 1s to 1d"),
        ("30d", "from 1s to 1d"),
        ("5", "ms, s"),
    ] {
        let message = problem(&source(&format!("tolerance = '{tolerance}'")));
        assert!(
            message.starts_with("sources.whmcs.tolerance") && message.contains(what),
            "{message}"
        );
    }
}

#[test]
fn a_report_is_read_and_its_missing_parts_are_named() {
    let whmcs = "[sources.whmcs.report]\nkind = 'whmcs_api'\nurl = 'https://b.example/api.php'\n\
                 identifier = 'i'\nsecret = 's'";
    let config = load_with(&source(whmcs)).unwrap();
    let report = config.sources["whmcs"].report.as_ref().unwrap();
    assert_eq!(report.kind, ReportKind::WhmcsApi);
    assert_eq!(report.url, "https://b.example/api.php");
    assert_eq!(
        (report.identifier.reveal(), report.secret.reveal()),
        ("i", "s")
    );
    let message = problem(&source(&whmcs.replace("identifier = 'i'\n", "")));
    assert!(
        message.starts_with("sources.whmcs.report.identifier: is missing"),
        "{message}"
    );
    let webhook = format!(
        "[sources.whmcs.report]\nkind = 'webhook'\nurl = 'https://b.example'\nsecret = '{WHSEC}'"
    );
    load_with(&source(&webhook)).unwrap();
    let message = problem(&source(&webhook.replace(WHSEC, "hunter2")));
    assert_eq!(
        message,
        "sources.whmcs.report.secret: is not whsec_ and base64"
    );
    let message = problem(&source(&webhook.replace("'webhook'", "'mail'")));
    assert!(message.contains("whmcs_api or webhook"), "{message}");
    let message = problem(&source(&webhook.replace(WHSEC, "")));
    assert!(
        message.starts_with("sources.whmcs.report.secret: is missing"),
        "{message}"
    );
    let message = problem(&source(&webhook.replace("https://b.example", "b.example")));
    assert!(
        message.starts_with("sources.whmcs.report.url: \"b.example\""),
        "{message}"
    );
}

#[test]
fn an_unknown_key_of_a_source_is_named_with_the_nearest() {
    let message = problem(&source("tolerence = '5m'"));
    assert_eq!(
        message,
        "sources.whmcs.tolerence: unknown key; the nearest known one is sources.whmcs.tolerance"
    );
}

#[test]
fn a_product_of_an_unknown_source_is_warned_of_with_the_nearest() {
    let config = load_with(&source("[[products]]\nid = '1'\nsource = 'whms'")).unwrap();
    let warnings = config.warnings.join("\n");
    assert!(warnings.contains("products[1].source: \"whms\"") && warnings.contains("\"whmcs\""));
    load_with(&source("[[products]]\nid = '1'\nsource = 'whmcs'")).unwrap();
}

#[test]
fn a_protected_service_names_a_configured_source_or_none() {
    let policy = |services: &str| source(&format!("[policy]\nprotected_services = {services}"));
    let config = load_with(&policy("['501', 'whmcs:502', 503]")).unwrap();
    assert_eq!(
        config.policy.protected_services,
        ["501", "whmcs:502", "503"]
    );
    let config = load_with(&policy("['whms:501']")).unwrap();
    assert!(
        config
            .warnings
            .join("\n")
            .contains("\"whms:501\" names a source that is not configured")
    );
    assert!(problem(&policy("['']")).contains("holds an empty id"));
}
