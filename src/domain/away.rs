//! That an upstream is left alone for now, and why. Plain data.

use super::time::Timestamp;

/// An upstream to which nothing is sent for now. None of it is any step's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// Why.
    pub because: Because,
    /// When it is worth coming back.
    pub until: Timestamp,
    /// What went wrong last, secrets masked.
    pub error: Option<String>,
}

/// Why an upstream is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It failed as a whole, several times in a row.
    Silent,
    /// It asked for patience (429).
    Asked,
    /// More requests wait for it than its rate lets through in time.
    Crowded,
    /// Its requests of the present hour are used up.
    HourSpent {
        /// How many there were; 0 where that is not known.
        most: u32,
    },
    /// What is left of its requests of the present hour is kept for what matters more.
    HourKept,
    /// It refuses this account, whatever is asked: nobody's order is at fault.
    Refused(Refusal),
}

impl Because {
    /// Whether it is an outage, in which nobody knows what the upstream does with what it took.
    pub const fn is_outage(self) -> bool {
        match self {
            Self::Silent | Self::Refused(_) => true,
            Self::Asked | Self::Crowded | Self::HourSpent { .. } | Self::HourKept => false,
        }
    }

    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Asked => "limited",
            Self::Crowded => "crowded",
            Self::HourSpent { .. } => "hour_spent",
            Self::HourKept => "hour_kept",
            Self::Refused(refusal) => refusal.cause.name(),
        }
    }

    /// What a person can do about it, where it does not pass by itself.
    pub fn remedy(self, upstream: &str) -> Option<&'static str> {
        match self {
            Self::Refused(refusal) => Some(refusal.remedy(upstream)),
            Self::Silent
            | Self::Asked
            | Self::Crowded
            | Self::HourSpent { .. }
            | Self::HourKept => None,
        }
    }
}

/// A refusal that concerns the account as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub cause: Cause,
    /// The HTTP status, or 1H's error number, which is below 100.
    pub number: u16,
}

/// Why a supplier refuses an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// The credentials: wrong, revoked, or missing.
    Key,
    /// Requests come from an address that is not allowed.
    Address,
    /// The account is suspended, locked, or not enabled.
    Account,
    /// The account has to pay first.
    Payment,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::Key, Self::Address, Self::Account, Self::Payment];

    /// The word on the wire, in metrics and alerts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key_refused",
            Self::Address => "address_refused",
            Self::Account => "account_refused",
            Self::Payment => "payment_required",
        }
    }
}

impl Refusal {
    /// What is wrong, as it follows a supplier's name: `refuses the API key (401)`.
    pub fn words(self) -> String {
        let what = match self.cause {
            Cause::Key => "refuses the API key",
            Cause::Address => "refuses this server's IP address",
            Cause::Account => "refuses the account",
            Cause::Payment => "wants the account's payment first",
        };
        let number = self.number;
        if number < 100 {
            format!("{what} (error {number})")
        } else {
            format!("{what} ({number})")
        }
    }

    /// What a person can do about it.
    pub fn remedy(self, upstream: &str) -> &'static str {
        let one_h = upstream == "one_h";
        match (self.cause, self.number) {
            (Cause::Key, 9) => {
                "enable the API anew in 1H's Users Area (My Services, Manage API), put its credentials into \
                 one_h.auth_code and one_h.api_key and restart"
            }
            (Cause::Key, _) if one_h => {
                "put the right credentials into one_h.auth_code and one_h.api_key and restart"
            }
            (Cause::Key, _) => "put the right key into hivelocity.api_key and restart",
            (Cause::Address, _) if one_h => {
                "add this server's address to the allowed IPs in 1H's Users Area (My Services, Manage API)"
            }
            (Cause::Address, _) => "allow this server's address in the Hivelocity portal",
            (Cause::Account, _) if one_h => "write to 1H's support about the account",
            (Cause::Account, _) => {
                "look in the Hivelocity portal why the account is not active, or write to their support"
            }
            (Cause::Payment, _) if one_h => "pay into the account's deposit at 1H",
            (Cause::Payment, _) => {
                "settle the account's billing in the Hivelocity portal (payment method, open invoices)"
            }
        }
    }
}
