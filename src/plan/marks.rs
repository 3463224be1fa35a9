//! The marks by which everything that Billhook creates is found again. Pure.
//!
//! They are all that stands between a lost answer and a second server, so they never change
//! for a given source, customer and service.

use sha2::{Digest, Sha256};

use crate::catalogue::SubUserPer;
use crate::domain::Customer;

/// Characters of a sub-user's name behind the prefix; 36^14 is more than 72 bits.
const DIGEST_LENGTH: usize = 14;
/// Longer names are cut, so that the mark behind them never is.
const NAME_LENGTH: usize = 100;

/// The tag of a service's device.
pub fn device_tag(source: &str, service_id: &str) -> String {
    format!("billhook:{source}:{service_id}")
}

/// The mark of a customer's controlled client, the last part of its company.
pub fn client_mark(source: &str, customer_id: &str) -> String {
    format!("[{source}:{customer_id}]")
}

/// The company of a customer's controlled client: the company or name, then the mark.
///
/// Customers choose their names themselves: brackets in one are made round, so that nobody can
/// call himself by another customer's mark and be taken for that customer.
pub fn client_company(customer: &Customer, source: &str) -> String {
    let mark = client_mark(source, &customer.id);
    let company = presentable(&customer.company);
    let name = if company.is_empty() {
        presentable(&customer.name)
    } else {
        company
    };
    if name.is_empty() {
        mark
    } else {
        format!("{name} {mark}")
    }
}

fn presentable(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| match c {
            '[' => '(',
            ']' => ')',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let cut: String = words.join(" ").chars().take(NAME_LENGTH).collect();
    cut.trim_end().to_owned()
}

/// A sub-user's name: the prefix and a digest of whom it is for, `[a-z0-9]` only.
///
/// `id` is the customer's or the service's, as `per` says; without sub-users it is read as
/// the customer's.
pub fn username(prefix: &str, source: &str, id: &str, per: SubUserPer) -> String {
    let scope = match per {
        SubUserPer::Customer | SubUserPer::None => "customer",
        SubUserPer::Service => "service",
    };
    let digest = Sha256::digest(format!("{scope}\0{source}\0{id}"));
    let mut number = digest
        .iter()
        .take(16)
        .fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
    let mut name = prefix.to_owned();
    for _ in 0..DIGEST_LENGTH {
        let digit = u32::try_from(number % 36).unwrap_or(0);
        name.push(char::from_digit(digit, 36).unwrap_or('0'));
        number /= 36;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(name: &str, company: &str) -> Customer {
        Customer {
            id: "77".into(),
            name: name.into(),
            company: company.into(),
            ..Customer::default()
        }
    }

    #[test]
    fn marks_are_what_the_interface_promises() {
        assert_eq!(device_tag("whmcs", "501"), "billhook:whmcs:501");
        assert_eq!(
            client_company(&customer("Ann Lee", "Example Ltd"), "whmcs"),
            "Example Ltd [whmcs:77]"
        );
        assert_eq!(
            client_company(&customer("Ann Lee", " "), "whmcs"),
            "Ann Lee [whmcs:77]"
        );
        assert_eq!(client_company(&customer("", ""), "whmcs"), "[whmcs:77]");
    }

    #[test]
    fn a_name_cannot_pass_for_another_customers_mark() {
        let company = client_company(&customer("", "Evil [whmcs:78]\r\nX"), "whmcs");
        assert_eq!(company, "Evil (whmcs:78) X [whmcs:77]");
    }

    #[test]
    fn a_very_long_name_is_cut_and_the_mark_is_not() {
        let company = client_company(&customer("", &"ä".repeat(500)), "whmcs");
        assert!(company.ends_with(" [whmcs:77]"), "{company}");
        assert!(company.chars().count() < 120);
    }

    #[test]
    fn a_username_never_changes_and_tells_sources_and_scopes_apart() {
        let name = username("bh", "whmcs", "77", SubUserPer::Customer);
        assert_eq!(name, username("bh", "whmcs", "77", SubUserPer::Customer));
        assert_eq!(name.len(), 16);
        assert!(
            name.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
            "{name}"
        );
        for other in [
            username("bh", "whmcs", "77", SubUserPer::Service),
            username("bh", "whmcs2", "77", SubUserPer::Customer),
            username("bh", "whmcs", "78", SubUserPer::Customer),
        ] {
            assert_ne!(name, other);
        }
        // Pinned: a change of the digest would lose every sub-user that exists.
        insta::assert_snapshot!(name, @"bhdvw8iokruw4kyv");
    }
}
