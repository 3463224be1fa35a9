//! The sections about the suppliers, and what they need for the products that are sold. Pure,
//! except that secrets may come from files.

use super::process::{DAY, MILLISECOND};
use super::section::{Problems, Section};
use super::settings::{Hivelocity, OneH};
use super::values;
use crate::catalogue::{
    AccountModel, ActAs, CreateClientOn, OrderWith, ProductSettings, SubUserPer,
};

/// Stands in for the reseller's address where everything is a stand-in.
const SANDBOX_EMAIL: &str = "owner@sandbox.invalid";

const WEB_ADDRESS: &str = "an http or https address, e.g. \"https://api.example/v2\"";

pub(super) fn hivelocity(mut section: Section<'_>) -> Hivelocity {
    let base_url = section.parsed("base_url", WEB_ADDRESS, values::base_address);
    let settings = Hivelocity {
        base_url: base_url.unwrap_or_default(),
        api_key: section.secret("api_key"),
        account_model: section.word("account_model", AccountModel::Multi),
        act_as: section.word("act_as", ActAs::Query),
        owner_email: owner_email(&mut section),
        create_client_on: section.word("create_client_on", CreateClientOn::FirstOrder),
        order_with: section.word("order_with", OrderWith::OrderGroup),
        poll_interval: section.duration("poll_interval", MILLISECOND..=DAY),
        absent_after: section.duration("absent_after", MILLISECOND..=DAY),
        requests_per_second: section.whole("requests_per_second", 1..=1_000_000),
        requests_per_hour: section.whole("requests_per_hour", 100..=1_000_000_000),
        timeout: section.duration("timeout", MILLISECOND..=DAY),
        breaker_after: section.whole("breaker_after", 0..=1_000_000),
    };
    section.finish();
    settings
}

fn owner_email(section: &mut Section<'_>) -> String {
    if section.value("owner_email").is_none() {
        let sandbox = section.problems().sandbox;
        return if sandbox {
            SANDBOX_EMAIL.to_owned()
        } else {
            String::new()
        };
    }
    let email = section.parsed("owner_email", "an e-mail address", |text| {
        let (name, host) = text.trim().split_once('@')?;
        let fits = !name.is_empty() && !host.is_empty() && !host.contains('@');
        (fits && !text.trim().contains(char::is_whitespace)).then(|| text.trim().to_owned())
    });
    email.unwrap_or_default()
}

pub(super) fn one_h(mut section: Section<'_>) -> OneH {
    let base_url = section.parsed("base_url", WEB_ADDRESS, values::base_address);
    let prefix = section.parsed(
        "username_prefix",
        "1 to 8 of the letters a-z and the digits 0-9",
        |text| {
            let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
            let fine = (1..=8).contains(&text.len()) && text.chars().all(fits);
            fine.then(|| text.to_owned())
        },
    );
    let settings = OneH {
        base_url: base_url.unwrap_or_default(),
        auth_code: section.secret("auth_code"),
        api_key: section.secret("api_key"),
        sub_user_per: section.word("sub_user_per", SubUserPer::Customer),
        username_prefix: prefix.unwrap_or_default(),
        requests_per_second: section.whole("requests_per_second", 1..=1_000_000),
        timeout: section.duration("timeout", MILLISECOND..=DAY),
        breaker_after: section.whole("breaker_after", 0..=1_000_000),
    };
    section.finish();
    settings
}

/// Notes what the products need of the suppliers and is not there. With the sandbox nothing is:
/// the stand-ins have keys of their own.
pub(super) fn check_needed(
    hivelocity: &Hivelocity,
    one_h: &OneH,
    products: &[ProductSettings],
    problems: &Problems,
) {
    if problems.sandbox {
        return;
    }
    let missing = |key: &str, product: &ProductSettings, what: &str| {
        problems.add(
            key,
            format!("is missing; products[{}] needs it: {what}", product.id),
        );
    };
    if let Some(product) = products.iter().find(|product| product.hivelocity.is_some()) {
        if hivelocity.api_key.is_empty() {
            let what = "write the API key of your primary Hivelocity account, or name a file \
                        that holds it with hivelocity.api_key_file";
            missing("hivelocity.api_key", product, what);
        }
        if hivelocity.account_model == AccountModel::Multi && hivelocity.owner_email.is_empty() {
            let what = "write your primary account's e-mail address (every controlled client \
                        gets it), or set hivelocity.account_model = \"single\"";
            missing("hivelocity.owner_email", product, what);
        }
    }
    if let Some(product) = products.iter().find(|product| product.one_h.is_some()) {
        let place = "from 1H's users area, My Services, Manage API; or name a file that holds it";
        if one_h.auth_code.is_empty() {
            let what = format!("write the API code {place} with one_h.auth_code_file");
            missing("one_h.auth_code", product, &what);
        }
        if one_h.api_key.is_empty() {
            let what = format!("write the API key {place} with one_h.api_key_file");
            missing("one_h.api_key", product, &what);
        }
    }
}
