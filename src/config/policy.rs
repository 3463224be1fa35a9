//! `[policy]`, and what is allowed anywhere but probably not meant. Pure.

use super::section::Section;
use super::settings::{Config, Policy};
use crate::catalogue::{DeactivateClient, LicenceOnSuspend, Product, SubUserPer};
use crate::domain::StepAction;
use crate::domain::nearest::nearest;

/// A kind of step of older versions; their settings may still name it, to no effect.
const NO_STEP_ANY_MORE: &str = "billing.report";

pub(super) fn policy(mut section: Section<'_>) -> Policy {
    let require_approval = section.items("require_approval").unwrap_or_default();
    for kind in &require_approval {
        if !StepAction::KINDS.contains(&kind.as_str()) && kind != NO_STEP_ANY_MORE {
            let near = nearest(kind, StepAction::KINDS).unwrap_or_default();
            let shown: String = kind.chars().take(80).collect();
            let what = format!("{shown:?} is no kind of step; the nearest is {near:?}");
            section.problem("require_approval", what);
        }
    }
    let protected_services = section.items("protected_services").unwrap_or_default();
    if protected_services
        .iter()
        .any(|service| service.trim().is_empty())
    {
        section.problem(
            "protected_services",
            "holds an empty id; write \"501\" for any source or \"whmcs:501\" for one",
        );
    }
    let policy = Policy {
        require_approval,
        deactivate_client: section.word("deactivate_client", DeactivateClient::Never),
        protected_services,
        dry_run: section.flag("dry_run"),
    };
    section.finish();
    policy
}

/// Settings that work and still are probably a mistake, one line each.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.sources.is_empty() {
        warnings.push("sources: none is configured; nothing can be received".to_owned());
    }
    let no_sub_users = config.one_h.sub_user_per == SubUserPer::None;
    for product in config.catalogue.products() {
        warnings.extend(product_warning(product, no_sub_users));
        warnings.extend(source_warning(config, product));
    }
    for service in &config.policy.protected_services {
        warnings.extend(protection_warning(config, service));
    }
    for (key, address) in [
        ("hivelocity", &config.hivelocity.base_url),
        ("one_h", &config.one_h.base_url),
    ] {
        if sends_keys_in_the_clear(address) {
            warnings.push(format!(
                "{key}.base_url: is http; keys and orders travel unencrypted"
            ));
        }
    }
    warnings
}

/// A product of a source that is not configured is never sold; that may be a mistyped name.
fn source_warning(config: &Config, product: &Product) -> Option<String> {
    let source = product
        .source
        .as_deref()
        .filter(|source| !config.sources.contains_key(*source))?;
    let near = nearest(source, config.sources.keys().map(String::as_str));
    let near = near.map_or_else(String::new, |near| {
        format!("; the nearest that is is {near:?}")
    });
    Some(format!(
        "products[{}].source: {source:?} is not configured as a source{near}",
        product.id
    ))
}

/// A protection with a mistyped source would protect nothing and look as if it did.
fn protection_warning(config: &Config, service: &str) -> Option<String> {
    let (source, _) = service.split_once(':')?;
    (!config.sources.contains_key(source)).then(|| {
        format!("policy.protected_services: {service:?} names a source that is not configured")
    })
}

fn product_warning(product: &Product, no_sub_users: bool) -> Option<String> {
    let id = &product.id;
    let Some(licences) = &product.one_h else {
        return product.hivelocity.is_none().then(|| {
            format!("products[{id}]: has neither hivelocity nor one_h; nothing is provisioned")
        });
    };
    (no_sub_users && licences.on_suspend == LicenceOnSuspend::SuspendUser).then(|| {
        format!(
            "products[{id}].one_h.on_suspend: suspend_user does nothing while \
             one_h.sub_user_per is none; remove_license takes the licences away"
        )
    })
}

fn sends_keys_in_the_clear(address: &str) -> bool {
    let Ok(url) = url::Url::parse(address) else {
        return false;
    };
    let local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => true,
    };
    url.scheme() == "http" && !local
}
