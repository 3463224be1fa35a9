//! Why a report was not taken: what it says of the billing platform as a whole, and what a person
//! can do. Pure.

use std::net::IpAddr;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::upstream::wire::Setback;

/// What a failure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This report alone: others may well be taken.
    Report,
    /// The platform as a whole, which does not answer; that may pass.
    Silence,
    /// The platform as a whole, which lets nobody in until a person has done something.
    Door,
}

/// Why a report was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unheard {
    /// What it is about.
    pub fault: Fault,
    /// What went wrong, without secrets, and what to do, where that is known.
    pub error: String,
    /// How long the platform asked to be left alone.
    pub pause: Option<Duration>,
}

impl Unheard {
    /// A failure with its remedy, where there is one.
    pub(super) fn new(fault: Fault, error: String, remedy: Option<String>) -> Self {
        let error = match remedy {
            Some(remedy) => format!("{error}; {remedy}"),
            None => error,
        };
        Self {
            fault,
            error,
            pause: None,
        }
    }

    /// What it means for reports that a request did not bring what it was for. Everything that is
    /// not the receiver's own word on one report says something of the platform as a whole.
    pub(super) fn of(setback: Setback, source: &str, now: Timestamp) -> Self {
        let look = format!(
            "look whether sources.{source}.report.url is right and this machine can reach it"
        );
        match setback {
            Setback::KeyRefused(error)
            | Setback::Refused { error, .. }
            | Setback::ClientRefused { error, .. } => {
                Self::new(Fault::Door, error, Some(credential(source)))
            }
            Setback::Rejected(error) if error.contains(" 403") => {
                Self::new(Fault::Door, error, Some(credential(source)))
            }
            Setback::Rejected(error) => Self::new(Fault::Door, error, Some(look)),
            Setback::Ambiguous(error) => Self::new(Fault::Silence, error, Some(look)),
            Setback::Unavailable { error, retry_after } => Self {
                pause: retry_after,
                ..Self::new(Fault::Silence, error, Some(look))
            },
            Setback::Held(away) => Self {
                pause: Some(away.until.since(now)),
                ..Self::new(Fault::Silence, away.error.unwrap_or_default(), None)
            },
            Setback::Withheld | Setback::NeedsPerson(_) => {
                Self::new(Fault::Silence, "not sent".to_owned(), None)
            }
        }
    }
}

fn credential(source: &str) -> String {
    format!("compare sources.{source}.report with what the billing platform has")
}

/// What WHMCS's refusal in its own words is about, and what cures it.
pub(super) fn of_whmcs(status: u16, said: &str, source: &str) -> Unheard {
    let error = format!("WHMCS refused: {said}");
    let words = said.to_lowercase();
    let speaks_of = |all: &[&str]| all.iter().any(|one| words.contains(one));
    if speaks_of(&["invalid ip", "ip not allowed", "ip address not allowed"]) {
        return Unheard::new(Fault::Door, error, Some(allow_address(said)));
    }
    if speaks_of(&["invalid permission", "not allowed", "permission denied"]) {
        let remedy = "allow the actions UpdateClientProduct and GetStats to the credential's API \
                      role: WHMCS, System Settings → Manage API Credentials → API Roles";
        return Unheard::new(Fault::Door, error, Some(remedy.to_owned()));
    }
    let locked = [
        "authentication",
        "invalid or missing cred",
        "access denied",
        "banned",
        "api access",
        "access key",
        "identifier",
        "credential",
    ];
    if matches!(status, 401 | 403) || speaks_of(&locked) {
        let remedy = format!(
            "compare sources.{source}.report.identifier and .secret with WHMCS, System Settings → \
             Manage API Credentials"
        );
        return Unheard::new(Fault::Door, error, Some(remedy));
    }
    if speaks_of(&[
        "maintenance",
        "down for",
        "try again",
        "database",
        "too many",
    ]) {
        return Unheard::new(Fault::Silence, error, None);
    }
    Unheard::new(Fault::Report, error, None)
}

fn allow_address(said: &str) -> String {
    let mut words = said.split(|c: char| !(c.is_ascii_hexdigit() || c == '.' || c == ':'));
    let address = words.find_map(|word| word.trim_matches('.').parse::<IpAddr>().ok());
    let address = address.map_or_else(
        || "the address from which Billhook calls".to_owned(),
        |address| address.to_string(),
    );
    format!("add {address} in WHMCS under General Settings → Security → API IP Access Restriction")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_whmcs_does_not_know_is_named_with_the_place_to_add_it() {
        for (said, address) in [
            ("Invalid IP 198.51.100.7", "198.51.100.7"),
            ("Invalid IP 2001:db8::7.", "2001:db8::7"),
            ("Invalid IP", "the address from which Billhook calls"),
        ] {
            let unheard = of_whmcs(403, said, "whmcs");
            assert_eq!(unheard.fault, Fault::Door);
            let remedy = format!(
                "; add {address} in WHMCS under General Settings → Security → API IP Access Restriction"
            );
            assert!(unheard.error.ends_with(&remedy), "{}", unheard.error);
        }
    }

    #[test]
    fn what_is_about_one_service_is_told_from_what_is_about_all() {
        for (status, said, fault) in [
            (200, "Service ID Not Found", Fault::Report),
            (400, "Invalid date", Fault::Report),
            (200, "Authentication Failed", Fault::Door),
            (403, "Whatever", Fault::Door),
            (
                200,
                "Invalid Permissions: API action \"updateclientproduct\" is not allowed",
                Fault::Door,
            ),
            (200, "Down for Maintenance", Fault::Silence),
        ] {
            assert_eq!(of_whmcs(status, said, "whmcs").fault, fault, "{said}");
        }
    }
}
