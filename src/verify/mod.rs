//! Signatures over raw bytes: who sent this request, and when.
//!
//! Pure: the clock's reading comes in, nothing goes out but a verdict. This is not the place
//! where a body is parsed, an address is checked or a delivery is deduplicated; all of that
//! comes after, and only for a request that passed here.
//!
//! A scheme is one file with its headers, its `verify` and its `sign`; what the schemes have in
//! common is the keys ([`Keys`]), the window of time and the reasons to refuse ([`Refusal`]).

mod keys;
mod refusal;
mod standard_webhooks;
mod window;

pub use keys::{KeyError, Keys};
pub use refusal::Refusal;
pub use standard_webhooks::{
    Headers, ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Verified, claimed, sign, verify,
};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
