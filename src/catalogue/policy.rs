//! The words that the configuration chooses between, as types. Pure data.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A type whose values are written as words in the configuration.
pub trait Word: Copy + Sized + 'static {
    /// Every value with the word it is written as.
    const WORDS: &'static [(&'static str, Self)];

    /// Reads one back.
    fn from_word(word: &str) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, value)| *value)
    }
}

/// A text that is none of the words a key can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not one of {known}")]
pub struct UnknownWord {
    known: String,
}

/// The words of one type, for people.
fn known_words<W: Word>() -> String {
    let words: Vec<&str> = W::WORDS.iter().map(|(word, _)| *word).collect();
    words.join(", ")
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The word as it is written in the configuration.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl Word for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant),)+];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                Self::from_word(text).ok_or_else(|| UnknownWord { known: known_words::<Self>() })
            }
        }
    };
}

words! {
    /// Whose account at Hivelocity the devices are in.
    AccountModel {
        /// One controlled client per customer.
        Multi = "multi",
        /// All in the reseller's own account.
        Single = "single",
    }
}
words! {
    /// How a device is ordered.
    OrderWith {
        /// Into an order group named after the service.
        OrderGroup = "order_group",
        /// By itself.
        Single = "single",
    }
}
words! {
    /// How calls are made for a controlled client.
    ActAs {
        /// The reseller's key with `?controlledClientId=`.
        Query = "query",
        /// The controlled client's own key.
        Token = "token",
    }
}
words! {
    /// When a customer's controlled client is made.
    CreateClientOn {
        /// With the first paid order.
        FirstOrder = "first_order",
        /// When the customer signs up.
        Signup = "signup",
    }
}
words! {
    /// What has a sub-user of its own at 1H.
    SubUserPer {
        /// Every customer.
        Customer = "customer",
        /// Every service.
        Service = "service",
        /// Nothing: licences belong to the master account.
        None = "none",
    }
}
words! {
    /// Whether a controlled client is deactivated, which cannot be undone.
    DeactivateClient {
        /// Never.
        Never = "never",
        /// After the customer's last service ended; a person approves each.
        AfterLastService = "after_last_service",
    }
}
words! {
    /// How a device goes dark.
    DeviceOnSuspend {
        /// Switch it off.
        Shutdown = "shutdown",
        /// Null-route every public IPv4.
        NullRoute = "null_route",
        /// Both.
        ShutdownAndNullRoute = "shutdown_and_null_route",
        /// Leave it alone.
        None = "none",
    }
}
words! {
    /// How a device ends.
    DeviceOnTerminate {
        /// Cancel it, so that it stops costing money.
        Cancel = "cancel",
        /// Only switch it off; a person cancels.
        Shutdown = "shutdown",
        /// Leave it alone.
        None = "none",
    }
}
words! {
    /// How licences go dark.
    LicenceOnSuspend {
        /// Suspend the sub-user when no other of its services stays active.
        SuspendUser = "suspend_user",
        /// Remove the licences; they are given back later.
        RemoveLicense = "remove_license",
        /// Leave them alone.
        None = "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees_with_serde<W>()
    where
        W: Word + Serialize + serde::de::DeserializeOwned + fmt::Debug + PartialEq + fmt::Display,
    {
        for (word, value) in W::WORDS {
            assert_eq!(serde_json::to_value(value).unwrap(), *word);
            assert_eq!(serde_json::from_value::<W>((*word).into()).unwrap(), *value);
            assert_eq!(value.to_string(), *word);
            assert_eq!(W::from_word(word), Some(*value));
        }
    }

    #[test]
    fn every_word_is_read_and_written_the_same_everywhere() {
        agrees_with_serde::<AccountModel>();
        agrees_with_serde::<ActAs>();
        agrees_with_serde::<CreateClientOn>();
        agrees_with_serde::<SubUserPer>();
        agrees_with_serde::<DeactivateClient>();
        agrees_with_serde::<DeviceOnSuspend>();
        agrees_with_serde::<DeviceOnTerminate>();
        agrees_with_serde::<LicenceOnSuspend>();
    }

    #[test]
    fn a_word_that_is_none_of_them_says_which_there_are() {
        let error = "shutdwn".parse::<DeviceOnTerminate>().unwrap_err();
        assert_eq!(error.to_string(), "not one of cancel, shutdown, none");
    }
}
