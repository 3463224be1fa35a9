//! `[policy]`, and what is allowed anywhere but probably not meant. Pure.

use std::collections::BTreeMap;

use super::nearest::nearest;
use super::section::Section;
use super::settings::{Config, Policy, Source};
use crate::catalogue::{DeactivateClient, LicenceOnSuspend, Product, SubUserPer};
use crate::domain::StepAction;

pub(super) fn policy(mut section: Section<'_>, sources: &BTreeMap<String, Source>) -> Policy {
    let require_approval = section.items("require_approval").unwrap_or_default();
    for kind in &require_approval {
        if !StepAction::KINDS.contains(&kind.as_str()) {
            let near = nearest(kind, StepAction::KINDS).unwrap_or_default();
            let shown: String = kind.chars().take(80).collect();
            let what = format!("{shown:?} is no kind of step; the nearest is {near:?}");
            section.problem("require_approval", what);
        }
    }
    let protected_services = section.items("protected_services").unwrap_or_default();
    for service in &protected_services {
        check_protected(&section, service, sources);
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

/// A protection with a mistyped source would protect nothing and look as if it did.
fn check_protected(section: &Section<'_>, service: &str, sources: &BTreeMap<String, Source>) {
    let shown: String = service.chars().take(80).collect();
    let accepted = "write \"501\" for any source or \"whmcs:501\" for one";
    let problem = match service.split_once(':') {
        None if service.is_empty() => format!("holds an empty id; {accepted}"),
        None => return,
        Some((_, "")) => format!("{shown:?} names no service; {accepted}"),
        Some((source, _)) if !sources.contains_key(source) => {
            let near = nearest(source, sources.keys().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!("; the nearest is {near}"));
            format!("{shown:?} names a source that is not configured{near}")
        }
        Some(_) => return,
    };
    section.problem("protected_services", problem);
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
    }
    for (key, address) in
        [("hivelocity", &config.hivelocity.base_url), ("one_h", &config.one_h.base_url)]
    {
        if sends_keys_in_the_clear(address) {
            warnings.push(format!("{key}.base_url: is http; keys and orders travel unencrypted"));
        }
    }
    warnings
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
    let Ok(url) = url::Url::parse(address) else { return false };
    let local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => true,
    };
    url.scheme() == "http" && !local
}
