//! The scheme `standard-webhooks`, version v1: HMAC-SHA256 over `id.timestamp.body`.
//!
//! The asymmetric version v1a is not read: like any version unknown here its signatures are
//! passed over, and a list with nothing else in it is refused. Pure, and on the hot path: one
//! HMAC for each key, no allocation but the id.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::Mac;

use super::keys::{Key, Keys};
use super::refusal::Refusal;
use super::window;
use crate::domain::Timestamp;

/// The header with the delivery's id.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the moment of signing.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

const LONGEST_ID: usize = 256;
/// During a rotation there are two; a list of thousands only wants to keep us busy.
const MOST_SIGNATURES: usize = 20;
/// HMAC-SHA256 in bytes, and the same in base64 with its padding.
const MAC_LEN: usize = 32;
const MAC_TEXT_LEN: usize = 44;

/// The three headers as they came. Where a header came in several lines the caller joins them
/// with a space: a list of signatures stays one, a second id or timestamp is refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// `webhook-id`
    pub id: Option<&'a [u8]>,
    /// `webhook-timestamp`
    pub timestamp: Option<&'a [u8]>,
    /// `webhook-signature`
    pub signature: Option<&'a [u8]>,
}

/// What a believed request said about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The delivery's id, the key for deduplication.
    pub id: String,
    /// When it was signed.
    pub timestamp: Timestamp,
    /// Which key fitted, 0 for the newest; above 0 the sender still has an old secret.
    pub key_index: usize,
}

/// Judges a request by its raw bytes. Every signature is tried with every key.
pub fn verify(
    keys: &Keys,
    headers: &Headers<'_>,
    body: &[u8],
    now: Timestamp,
    tolerance: Duration,
) -> Result<Verified, Refusal> {
    let claimed = claimed(headers, now, tolerance)?;
    let (id, timestamp) = (claimed.id.as_bytes(), claimed.timestamp_text);
    for (key_index, key) in keys.each().enumerate() {
        // The bytes as they came are what was signed, not our reading of them.
        let mac = digest(key, id, timestamp, body);
        if claimed.candidates.any_fits(&mac) {
            return Ok(Verified {
                id: claimed.id.to_owned(),
                timestamp: claimed.timestamp,
                key_index,
            });
        }
    }
    Err(Refusal::WrongSignature)
}

/// What a request's headers claim, which its body has yet to bear out.
pub struct Claimed<'a> {
    id: &'a str,
    timestamp_text: &'a [u8],
    timestamp: Timestamp,
    candidates: Candidates,
}

/// Reads the headers; refused is what no body could make right.
pub fn claimed<'a>(
    headers: &Headers<'a>,
    now: Timestamp,
    tolerance: Duration,
) -> Result<Claimed<'a>, Refusal> {
    let id = present(headers.id, ID_HEADER)?;
    let timestamp_text = present(headers.timestamp, TIMESTAMP_HEADER)?;
    let signatures = present(headers.signature, SIGNATURE_HEADER)?;
    let id = id_text(id)?;
    let timestamp = window::seconds(timestamp_text)?;
    window::check(timestamp, now, tolerance)?;
    Ok(Claimed {
        id,
        timestamp_text,
        timestamp,
        candidates: Candidates::read(signatures)?,
    })
}

/// The value of `webhook-signature` for a message, made with the newest key.
pub fn sign(keys: &Keys, id: &str, timestamp: Timestamp, body: &[u8]) -> String {
    let seconds = timestamp.seconds().to_string();
    let mac = digest(keys.newest(), id.as_bytes(), seconds.as_bytes(), body);
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

fn present<'a>(value: Option<&'a [u8]>, name: &'static str) -> Result<&'a [u8], Refusal> {
    let value = value
        .map(<[u8]>::trim_ascii)
        .filter(|value| !value.is_empty());
    value.ok_or(Refusal::MissingHeader(name))
}

/// The scheme advises senders against dots, which divide what is signed: `a.1` signed at 2 and
/// `a` signed at 1 with a body that begins with `2.` would be one message. Such a body is no
/// JSON, so a dot does no harm here.
fn id_text(id: &[u8]) -> Result<&str, Refusal> {
    let fits = id.len() <= LONGEST_ID && id.iter().all(u8::is_ascii_graphic);
    if !fits {
        return Err(Refusal::MalformedId);
    }
    std::str::from_utf8(id).map_err(|_| Refusal::MalformedId)
}

fn digest(key: Key, id: &[u8], timestamp: &[u8], body: &[u8]) -> Key {
    let mut mac = key;
    mac.update(id);
    mac.update(b".");
    mac.update(timestamp);
    mac.update(b".");
    mac.update(body);
    mac
}

/// The v1 signatures of a list, decoded.
struct Candidates {
    macs: [[u8; MAC_LEN]; MOST_SIGNATURES],
    count: usize,
}

impl Candidates {
    /// Reads `v1,<base64> v2,<something> v1,<base64>`. What does not decode cannot fit and is
    /// left out; a list without any v1 is a refusal of its own, since its cure is another.
    fn read(list: &[u8]) -> Result<Self, Refusal> {
        let mut read = Self {
            macs: [[0; MAC_LEN]; MOST_SIGNATURES],
            count: 0,
        };
        let mut supported = false;
        let entries = list.split(|b| *b == b' ').filter(|entry| !entry.is_empty());
        for entry in entries.take(MOST_SIGNATURES) {
            let Some(text) = entry.strip_prefix(b"v1,") else {
                continue;
            };
            supported = true;
            if let (Some(mac), Some(place)) = (decode(text), read.macs.get_mut(read.count)) {
                *place = mac;
                read.count += 1;
            }
        }
        if supported {
            Ok(read)
        } else {
            Err(Refusal::NoSupportedSignature)
        }
    }

    /// Compares in constant time, so that a sender cannot feel its way to the right bytes.
    fn any_fits(&self, mac: &Key) -> bool {
        self.macs
            .iter()
            .take(self.count)
            .any(|wanted| mac.clone().verify_slice(wanted).is_ok())
    }
}

/// Standard base64 with its padding and nothing else: one signature has one spelling.
fn decode(text: &[u8]) -> Option<[u8; MAC_LEN]> {
    if text.len() != MAC_TEXT_LEN {
        return None;
    }
    // The decoder wants room for whole groups of three.
    let mut room = [0_u8; MAC_LEN + 1];
    let length = BASE64_STANDARD.decode_slice(text, &mut room).ok()?;
    room.get(..length)?.try_into().ok()
}
