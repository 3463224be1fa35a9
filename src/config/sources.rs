//! The billing installations that may send. Pure, except that secrets may come from files.

use std::collections::BTreeMap;
use std::time::Duration;

use super::process::DAY;
use super::secrets::webhook_secret_problem;
use super::section::Section;
use super::settings::{Platform, Report, ReportKind, Source};
use super::values;
use crate::catalogue::Word;
use crate::domain::nearest::nearest;

/// The signature schemes that `scheme` may name.
const SCHEMES: [&str; 15] = [
    "standard-webhooks",
    "svix",
    "stripe",
    "paddle",
    "woocommerce",
    "shopify",
    "github",
    "hostbill",
    "upmind",
    "lago",
    "slack",
    "convoy",
    "hmac",
    "basic",
    "path-token",
];
/// Those whose secrets are `whsec_` and base64.
const WITH_WHSEC: [&str; 2] = ["standard-webhooks", "svix"];
/// How far a signature's time may be off where nothing is written.
const TOLERANCE: Duration = Duration::from_mins(5);

impl Word for ReportKind {
    const WORDS: &'static [(&'static str, Self)] =
        &[("whmcs_api", Self::WhmcsApi), ("webhook", Self::Webhook)];
}

/// Every source by its name. A source with a problem is kept, so that products and policies that
/// name it are not reported for it as well.
pub(super) fn sources(section: &Section<'_>) -> BTreeMap<String, Source> {
    let mut sources = BTreeMap::new();
    for (name, below) in section.children() {
        check_name(section, name);
        sources.insert(name.to_owned(), source(below));
    }
    sources
}

/// The name is a path and a part of the marks at the suppliers: nothing in it may be cut apart.
fn check_name(section: &Section<'_>, name: &str) {
    let fits = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-' || letter == '_'
    };
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        let shown: String = name.chars().take(80).map(visible).collect();
        section.problem(
            &shown,
            "is no name of a source; 1 to 64 of a-z, 0-9, - and _ are accepted, since it is the \
             path /webhooks/NAME",
        );
    }
}

fn visible(letter: char) -> char {
    if letter.is_control() { '?' } else { letter }
}

fn source(mut section: Section<'_>) -> Source {
    let platform = platform(&mut section);
    let scheme = scheme(&mut section);
    let secrets = secrets(&mut section, scheme.as_deref());
    let tolerance = match section.value("tolerance") {
        Some(_) => section.duration("tolerance", Duration::from_secs(1)..=DAY),
        None => TOLERANCE,
    };
    let allow_ips = section.items("allow_ips").unwrap_or_default();
    let allow_ips = allow_ips.iter().filter_map(|text| {
        let network = values::network(text);
        if network.is_none() {
            let shown: String = text.chars().take(80).collect();
            section.problem(
                "allow_ips",
                format!("{shown:?} is no address or range, e.g. \"203.0.113.7\" or \"10.0.0.0/8\""),
            );
        }
        network
    });
    let allow_ips = allow_ips.collect();
    let installation = section.text("installation").unwrap_or_default();
    let report = section.optional("report").map(report);
    section.finish();
    Source {
        platform,
        scheme,
        secrets,
        tolerance,
        allow_ips,
        installation: installation.trim().to_owned(),
        report,
    }
}

fn platform(section: &mut Section<'_>) -> Platform {
    let accepted = "native or whmcs";
    let platform = section.parsed("platform", accepted, |text| {
        Platform::ALL
            .iter()
            .find(|(name, _)| *name == text.trim())
            .map(|(_, platform)| *platform)
    });
    let Some(platform) = platform else {
        return Platform::Native;
    };
    if !platform.is_supported() {
        section.problem(
            "platform",
            format!(
                "{} is not supported by this version; native and whmcs are",
                platform.name()
            ),
        );
    }
    platform
}

fn scheme(section: &mut Section<'_>) -> Option<String> {
    let scheme = section.text("scheme")?;
    let scheme = scheme.trim();
    if !SCHEMES.contains(&scheme) {
        let near = nearest(scheme, SCHEMES).unwrap_or_default();
        let shown: String = scheme.chars().take(80).collect();
        let known = SCHEMES.join(", ");
        section.problem(
            "scheme",
            format!("{shown:?} is no signature scheme; the nearest is {near}; known are {known}"),
        );
    } else if scheme != "standard-webhooks" {
        section.problem(
            "scheme",
            format!("{scheme:?} is not supported by this version; standard-webhooks is"),
        );
    }
    Some(scheme.to_owned())
}

/// Without a secret anyone could order servers.
fn secrets(section: &mut Section<'_>, scheme: Option<&str>) -> Vec<crate::domain::Secret> {
    let secrets = section.secrets("secrets");
    let plural = section.path("secrets");
    if secrets.is_empty() {
        section.problem(
            "secrets",
            format!(
                "is missing; give at least one: whsec_ and the base64 of 24 to 64 random bytes, \
                 as the billing platform has it, or name a file with {plural}_file"
            ),
        );
    }
    let with_whsec = scheme.is_none_or(|scheme| WITH_WHSEC.contains(&scheme));
    for (place, secret) in secrets.iter().enumerate() {
        let problem = if with_whsec {
            webhook_secret_problem(secret)
        } else {
            secret.is_empty().then(|| "is empty".to_owned())
        };
        if let Some(problem) = problem {
            section.problem("secrets", format!("secret {} {problem}", place + 1));
        }
    }
    secrets
}

fn report(mut section: Section<'_>) -> Report {
    let accepted = "whmcs_api or webhook";
    let kind = section.parsed("kind", accepted, |text| ReportKind::from_word(text.trim()));
    let address = "an http or https address, e.g. \"https://billing.example/includes/api.php\"";
    let url = section.parsed("url", address, values::web_address);
    let identifier = section.secret("identifier");
    let secret = section.secret("secret");
    if kind == Some(ReportKind::WhmcsApi) && identifier.is_empty() {
        section.problem(
            "identifier",
            "is missing; write the WHMCS API credential's identifier",
        );
    }
    if secret.is_empty() {
        let what = "is missing; write the WHMCS API credential's secret, or the webhook's";
        section.problem("secret", what);
    } else if kind == Some(ReportKind::Webhook)
        && let Some(problem) = webhook_secret_problem(&secret)
    {
        section.problem("secret", problem);
    }
    section.finish();
    Report {
        kind: kind.unwrap_or(ReportKind::Webhook),
        url: url.unwrap_or_default(),
        identifier,
        secret,
    }
}
