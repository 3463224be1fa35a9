//! Which refusals concern the account as a whole, or one of its clients, and none of what was
//! asked. Pure; [`wire`](super::wire) asks it of every answer.

use serde_json::Value;

use super::fields::integer;
use crate::domain::{Cause, Refusal};

/// With whose credentials a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    /// The primary account's key at Hivelocity.
    Hivelocity,
    /// The same key, for this controlled client.
    HivelocityFor(i64),
    /// A controlled client's own key: what becomes of it says nothing of the account.
    HivelocityOf(i64),
    /// The account at 1H.
    OneH,
    /// A billing platform's, or an alert's receiver's.
    Platform,
}

impl Credentials {
    /// Whether an answer shows that the account's own credentials are taken.
    pub(super) const fn are_the_accounts(self) -> bool {
        match self {
            Self::Hivelocity | Self::HivelocityFor(_) | Self::OneH => true,
            Self::HivelocityOf(_) | Self::Platform => false,
        }
    }

    /// The controlled client that is acted for.
    pub(super) const fn client(self) -> Option<i64> {
        match self {
            Self::HivelocityFor(client) | Self::HivelocityOf(client) => Some(client),
            Self::Hivelocity | Self::OneH | Self::Platform => None,
        }
    }
}

/// Whom a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The account: every request like this one fares alike.
    Account(Refusal),
    /// As far as its words go, the controlled client alone.
    Client(Refusal),
}

/// Words by which Hivelocity speaks of the address that a request comes from.
const ADDRESS: [&str; 7] = [
    "ip address",
    "your ip",
    "source ip",
    "this ip",
    "ip is not",
    "unauthorized ip",
    "whitelist",
];
/// Words by which it speaks of an account that may do nothing.
const ACCOUNT: [&str; 9] = [
    "account is ",
    "account has been",
    "account not ",
    "account suspended",
    "account disabled",
    "account locked",
    "client is ",
    "client has been",
    "account verification",
];
const NOT_ENABLED: [&str; 9] = [
    "suspended",
    "disabled",
    "locked",
    "inactive",
    "not active",
    "deactivated",
    "closed",
    "verif",
    "past due",
];
/// Words by which it speaks of the customer who was to pay.
const CLIENT: [&str; 6] = [
    "client",
    "customer",
    "verif",
    "billing info",
    "payment method",
    "credit card",
];

/// Whom a refusal with this status and body is about, where it is about more than what was asked.
///
/// `words` is what the body says in words.
pub(super) fn about(
    credentials: Credentials,
    status: u16,
    body: &Value,
    words: &str,
) -> Option<About> {
    match credentials {
        Credentials::Platform => None,
        Credentials::OneH => one_h(status, body).map(About::Account),
        // Its own key that is refused is made anew.
        Credentials::HivelocityOf(_) if status == 401 => None,
        Credentials::Hivelocity | Credentials::HivelocityFor(_) | Credentials::HivelocityOf(_) => {
            hivelocity(credentials, status, &words.to_lowercase())
        }
    }
}

fn hivelocity(credentials: Credentials, status: u16, words: &str) -> Option<About> {
    let says = |list: &[&str]| list.iter().any(|word| words.contains(word));
    let of = |cause| Refusal {
        cause,
        number: status,
    };
    let of_a_client = credentials.client().is_some();
    let by_a_client = of_a_client && !credentials.are_the_accounts();
    match status {
        401 => Some(About::Account(of(Cause::Key))),
        402 if by_a_client || of_a_client && says(&CLIENT) => {
            Some(About::Client(of(Cause::Payment)))
        }
        402 => Some(About::Account(of(Cause::Payment))),
        403 if says(&ADDRESS) => Some(About::Account(of(Cause::Address))),
        403 if says(&ACCOUNT) && says(&NOT_ENABLED) => {
            let refusal = of(Cause::Account);
            Some(if of_a_client {
                About::Client(refusal)
            } else {
                About::Account(refusal)
            })
        }
        // All others are about what was asked: a device of somebody else, a permission.
        _ => None,
    }
}

/// 1H says it in the body, whatever the status.
fn one_h(status: u16, body: &Value) -> Option<Refusal> {
    let number = match body.get("response_code").and_then(integer) {
        Some(0) => body.pointer("/response/err_no").and_then(integer)?,
        _ if status == 401 => 401,
        _ => return None,
    };
    let cause = match number {
        6..=9 | 401 => Cause::Key,
        10 => Cause::Address,
        // The user's record cannot be loaded; the user was suspended.
        12 | 13 => Cause::Account,
        _ => return None,
    };
    let number = u16::try_from(number).ok()?;
    Some(Refusal { cause, number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FOR: Credentials = Credentials::HivelocityFor(35);

    fn hivelocity_says(credentials: Credentials, status: u16, words: &str) -> Option<About> {
        about(credentials, status, &json!({"message": words}), words)
    }

    const fn account(cause: Cause, number: u16) -> About {
        About::Account(Refusal { cause, number })
    }

    const fn client(cause: Cause, number: u16) -> About {
        About::Client(Refusal { cause, number })
    }

    #[test]
    fn a_key_that_is_refused_is_the_accounts_unless_it_is_a_clients_own() {
        for credentials in [Credentials::Hivelocity, FOR] {
            let said = hivelocity_says(credentials, 401, "Invalid API key");
            assert_eq!(said, Some(account(Cause::Key, 401)));
        }
        let own = Credentials::HivelocityOf(35);
        assert_eq!(hivelocity_says(own, 401, "Invalid API key"), None);
        assert_eq!(hivelocity_says(Credentials::Platform, 401, "No"), None);
    }

    #[test]
    fn a_refused_address_is_told_from_a_refused_object() {
        let address = "Access from your IP address is not allowed.";
        assert_eq!(
            hivelocity_says(FOR, 403, address),
            Some(account(Cause::Address, 403))
        );
        for words in [
            "This device is not yours.",
            "You have not been granted permission to do this.",
            "This key lacks the permission.",
            "",
        ] {
            assert_eq!(hivelocity_says(FOR, 403, words), None, "{words}");
            assert_eq!(hivelocity_says(Credentials::Hivelocity, 403, words), None);
        }
    }

    #[test]
    fn what_is_said_of_an_account_is_about_the_client_that_was_acted_for() {
        let suspended = "Your account is suspended.";
        assert_eq!(
            hivelocity_says(Credentials::Hivelocity, 403, suspended),
            Some(account(Cause::Account, 403))
        );
        assert_eq!(
            hivelocity_says(FOR, 403, suspended),
            Some(client(Cause::Account, 403))
        );
        assert_eq!(
            hivelocity_says(FOR, 402, "Payment required."),
            Some(account(Cause::Payment, 402))
        );
        assert_eq!(
            hivelocity_says(FOR, 402, "This client has no billing information."),
            Some(client(Cause::Payment, 402))
        );
    }

    #[test]
    fn one_h_says_it_by_number_whatever_the_status() {
        for (number, cause) in [
            (6, Some(Cause::Key)),
            (7, Some(Cause::Key)),
            (8, Some(Cause::Key)),
            (9, Some(Cause::Key)),
            (10, Some(Cause::Address)),
            (12, Some(Cause::Account)),
            (13, Some(Cause::Account)),
            (5, None),
            (11, None),
            (22, None),
            (36, None),
        ] {
            let body = json!({"response_code": "0", "response": {"err_no": number}});
            let expected = cause.map(|cause| About::Account(Refusal { cause, number }));
            for status in [200, 403] {
                assert_eq!(about(Credentials::OneH, status, &body, ""), expected);
            }
        }
        let bare = json!({"message": "no"});
        assert_eq!(
            about(Credentials::OneH, 401, &bare, "no"),
            Some(account(Cause::Key, 401))
        );
        assert_eq!(about(Credentials::OneH, 403, &bare, "no"), None);
    }
}
