//! Why a request is not believed. Pure.
//!
//! The sentences go back to the sender's staff: they say what to look at, and never what the
//! right signature would have been.

use std::time::Duration;

/// Why a request is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A header of the scheme is missing or empty. Never taken for "no signature needed".
    #[error("the header {0} is missing; sign the request, and let no proxy drop the header")]
    MissingHeader(&'static str),
    /// The id cannot be an id.
    #[error("webhook-id must be 1 to 256 visible ASCII characters, sent once")]
    MalformedId,
    /// The timestamp is not a count of seconds.
    #[error("webhook-timestamp must be whole seconds since 1970 in digits only, sent once")]
    MalformedTimestamp,
    /// Signed too long ago.
    #[error(
        "webhook-timestamp is too old by {}; sign again at each sending, and check the sender's clock",
        seconds(*by)
    )]
    TooOld {
        /// How far beyond the tolerance.
        by: Duration,
    },
    /// Signed in the future, which only a wrong clock or a stockpile of signatures does.
    #[error("webhook-timestamp is too far in the future by {}; check the sender's clock", seconds(*by))]
    InTheFuture {
        /// How far beyond the tolerance.
        by: Duration,
    },
    /// Nothing in the list is of a version known here.
    #[error("webhook-signature holds no v1 signature; sign with HMAC-SHA256 as `v1,<base64>`")]
    NoSupportedSignature,
    /// None of the signatures was made with one of our keys over these bytes.
    #[error(
        "the signature does not fit; compare the secret on both sides, and let nothing between \
         them change the body"
    )]
    WrongSignature,
}

impl Refusal {
    /// A short word for lists, filters and counters.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::MissingHeader(_) => "signature_missing",
            Self::MalformedId | Self::MalformedTimestamp => "signature_malformed",
            Self::TooOld { .. } => "signature_stale",
            Self::InTheFuture { .. } => "signature_future",
            Self::NoSupportedSignature => "signature_unsupported",
            Self::WrongSignature => "signature_wrong",
        }
    }
}

/// Rounded up, so that a refusal never reads "by 0 s".
fn seconds(by: Duration) -> String {
    let whole = by.as_secs() + u64::from(by.subsec_nanos() > 0);
    format!("{whole} s")
}
