//! Why a request was refused, in words for the sender's staff.

use crate::domain::id::DeliveryId;
use crate::store::StoreError;
use crate::verify::Refusal;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The signature is missing, wrong, too old or too new.
    #[error("{0}")]
    Signature(Refusal),
    /// A header that must be there once is there twice.
    #[error("the header {0} is there more than once")]
    RepeatedHeader(&'static str),
    /// The address may not send to this source.
    #[error("this address may not send to this source (allow_ips)")]
    Address,
    /// More bytes than allowed.
    #[error("the body is larger than {limit} bytes (server.body_limit)")]
    TooLarge {
        /// How many are allowed.
        limit: usize,
    },
    /// The body broke off.
    #[error("the body ended before the announced length")]
    Truncated,
    /// Not JSON by its headers.
    #[error("{0}")]
    ContentType(String),
    /// Not JSON by its bytes.
    #[error("{0}")]
    NotJson(String),
    /// A field is missing or wrong.
    #[error("{detail}")]
    Wrong {
        /// Where, as a JSON Pointer.
        pointer: String,
        /// What.
        detail: String,
    },
    /// The id was used with another body.
    #[error(
        "this webhook-id was used before with another body, by delivery {of}; a new event needs a new id"
    )]
    Conflict {
        /// The delivery that holds the id.
        of: DeliveryId,
    },
    /// It comes from a copy of the billing platform that is not the source's.
    #[error(
        "this event comes from installation {theirs}, and the source {source_name} belongs to installation {ours}. A copy \
         (staging, a restored backup) must have a source of its own, or none; if the installation really moved, write \
         installation = {theirs:?} under [sources.{source_name}] in Billhook's configuration and restart it"
    )]
    OtherInstallation {
        /// The source.
        source_name: String,
        /// What the event says.
        theirs: String,
        /// What the source belongs to.
        ours: String,
    },
    /// The store cannot take it now.
    #[error("{0}")]
    Store(StoreError),
}

impl Refused {
    /// A short, fixed word for lists and metrics.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Signature(refusal) => refusal.cause(),
            Self::RepeatedHeader(_) => "header_repeated",
            Self::Address => "address_not_allowed",
            Self::TooLarge { .. } => "too_large",
            Self::Truncated => "truncated",
            Self::ContentType(_) => "content_type",
            Self::NotJson(_) => "not_json",
            Self::Wrong { .. } => "field_wrong",
            Self::Conflict { .. } => "id_reused",
            Self::OtherInstallation { .. } => "other_installation",
            Self::Store(_) => "store",
        }
    }
}
