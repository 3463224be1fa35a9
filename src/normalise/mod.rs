//! A verified body becomes an [`Event`]: the one place where what a sender wrote is read.
//!
//! Pure. Not the place that judges signatures (that came before) or knows products and states
//! (that comes after). What leaves here is right in itself and is not checked again: ids are
//! there and are texts, times are times, single-line texts have no line breaks, HTML is decoded.
//!
//! PHP's habits are accepted where they occur: `[]` for an empty object, numbers as texts and
//! texts as numbers, escaped HTML, unset dates. Members that are not known are left alone: the
//! delivery keeps its bytes. A member given twice is refused, since two readers of one signed
//! text could take it differently.

mod field;
mod html;
mod moment;
mod native;
mod place;
mod raw;

use std::fmt;

pub use native::native;

/// The JSON Schema of the native event, as served at `/schemas/event.json`.
pub const EVENT_SCHEMA: &str = include_str!("event.schema.json");

/// A member that is missing or not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Where, as a JSON Pointer: `/services/0/id`; empty for the whole body.
    pub pointer: String,
    /// What is wrong with it and what is wanted, without the value itself.
    pub detail: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() {
            "the body"
        } else {
            &self.pointer
        };
        write!(f, "{place} {}", self.detail)
    }
}

impl std::error::Error for Wrong {}

/// Why a verified body is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEvent {
    /// The body is not what the platform sends: not JSON, not an object. Says what and where.
    #[error("the body is {0}")]
    NotJson(String),
    /// One member is missing or wrong.
    #[error("{0}")]
    Wrong(#[from] Wrong),
    /// A well-formed event of a type that Billhook does nothing for.
    #[error("the event type {0} is not known here; nothing is done for it")]
    UnknownType(String),
}

#[cfg(test)]
mod generated;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod text_tests;
