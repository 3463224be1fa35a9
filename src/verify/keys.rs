//! A source's secrets, made ready for signing: decoded once, at start-up.
//!
//! Not the place where secrets are read from files or generated. Pure.

use std::fmt;
use std::iter;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use crate::domain::Secret;

/// A keyed HMAC-SHA256 that has already digested its key; cloned for each message.
pub(super) type Key = Hmac<Sha256>;

/// What a Standard Webhooks secret begins with.
const PREFIX: &str = "whsec_";
/// The shortest key that is not guessable in any lifetime.
const SHORTEST: usize = 24;
/// The longest key that HMAC-SHA256 takes without hashing it first.
const LONGEST: usize = 64;

/// People lose the `=` at the end when they copy a secret; in a secret that is harmless.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a secret cannot be used. Names its place in the list, never the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Without a key, anyone could sign.
    #[error("no secret is given; `billhook init` writes a fresh one")]
    None,
    /// An empty entry, most often an unset variable or an empty file.
    #[error("secret {place} is empty; is its variable or file set?")]
    Empty {
        /// Its place in the list, from 1.
        place: usize,
    },
    /// It does not decode.
    #[error("secret {place} is not base64 (with or without whsec_ in front); copy it again whole")]
    NotBase64 {
        /// Its place in the list, from 1.
        place: usize,
    },
    /// It decodes to too few or too many bytes.
    #[error("secret {place} is {bytes} bytes long where 24 to 64 are wanted; make a new one")]
    Length {
        /// Its place in the list, from 1.
        place: usize,
        /// How long it is.
        bytes: usize,
    },
}

/// The keys of one source, newest first; there is always at least one.
#[derive(Clone)]
pub struct Keys {
    newest: Key,
    older: Vec<Key>,
}

impl Keys {
    /// Decodes the secrets, newest first. Every one verifies, the newest signs.
    pub fn parse(secrets: &[Secret]) -> Result<Self, KeyError> {
        let (first, rest) = secrets.split_first().ok_or(KeyError::None)?;
        let newest = key(first, 1)?;
        let older = rest
            .iter()
            .enumerate()
            .map(|(index, secret)| key(secret, index + 2));
        Ok(Self {
            newest,
            older: older.collect::<Result<_, _>>()?,
        })
    }

    /// The key that signs.
    pub(super) fn newest(&self) -> Key {
        self.newest.clone()
    }

    /// Every key, newest first.
    pub(super) fn each(&self) -> impl Iterator<Item = Key> {
        iter::once(&self.newest).chain(&self.older).cloned()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} redacted)", self.older.len() + 1)
    }
}

fn key(secret: &Secret, place: usize) -> Result<Key, KeyError> {
    let text = secret.reveal();
    let text = text.strip_prefix(PREFIX).unwrap_or(text);
    if text.is_empty() {
        return Err(KeyError::Empty { place });
    }
    let bytes = BASE64
        .decode(text)
        .map_err(|_| KeyError::NotBase64 { place })?;
    if !(SHORTEST..=LONGEST).contains(&bytes.len()) {
        return Err(KeyError::Length {
            place,
            bytes: bytes.len(),
        });
    }
    Key::new_from_slice(&bytes).map_err(|_| KeyError::Length {
        place,
        bytes: bytes.len(),
    })
}
