//! What a request's headers claim of it: its signature, and that its body is JSON. Pure.

use crate::domain::time::Timestamp;
use crate::verify::{self, Verified};

use super::{Incoming, Refused, Source};

fn header<'a>(incoming: &Incoming<'a>, name: &str) -> Option<&'a [u8]> {
    let found = incoming
        .headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| *value)
}

pub(super) fn judge(
    source: &Source,
    incoming: &Incoming<'_>,
    now: Timestamp,
) -> Result<Verified, Refused> {
    signed_headers(incoming, |headers| {
        verify::verify(&source.keys, headers, &incoming.body, now, source.tolerance)
    })
}

/// Hands on what a request says of its signature.
pub(super) fn signed_headers<T>(
    incoming: &Incoming<'_>,
    judge: impl FnOnce(&verify::Headers<'_>) -> Result<T, verify::Refusal>,
) -> Result<T, Refused> {
    // A repeated id or timestamp header would leave open which one was signed.
    for name in ["webhook-id", "webhook-timestamp"] {
        let count = incoming
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .count();
        if count > 1 {
            return Err(Refused::RepeatedHeader(name));
        }
    }
    let signatures: Vec<&[u8]> = incoming
        .headers
        .iter()
        .filter(|(known, _)| known.eq_ignore_ascii_case("webhook-signature"))
        .map(|(_, value)| *value)
        .collect();
    let joined;
    let signature = match signatures.as_slice() {
        [] => None,
        [one] => Some(*one),
        several => {
            joined = several.join(&b' ');
            Some(joined.as_slice())
        }
    };
    let headers = verify::Headers {
        id: header(incoming, "webhook-id"),
        timestamp: header(incoming, "webhook-timestamp"),
        signature,
    };
    judge(&headers).map_err(Refused::Signature)
}

pub(super) fn check_content(incoming: &Incoming<'_>) -> Result<(), Refused> {
    if header(incoming, "content-encoding").is_some_and(|value| value != b"identity") {
        return Err(Refused::ContentType(
            "a compressed body is not accepted".to_owned(),
        ));
    }
    let Some(value) = header(incoming, "content-type") else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(value);
    let media = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if media == "application/json"
        || (media.starts_with("application/") && media.ends_with("+json"))
    {
        return Ok(());
    }
    Err(Refused::ContentType(
        "the content type must be application/json".to_owned(),
    ))
}
