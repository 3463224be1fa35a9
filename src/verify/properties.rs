//! What must hold for any request: nothing panics, and one changed byte is a refusal.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::{Secret, Timestamp};

const NOW: Timestamp = Timestamp::from_seconds(1_795_298_000);
const TOLERANCE: Duration = Duration::from_mins(5);

fn keys() -> Keys {
    Keys::parse(&[Secret::new(
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    )])
    .unwrap()
}

fn judge(id: &[u8], timestamp: &[u8], signature: &[u8], body: &[u8]) -> Result<Verified, Refusal> {
    let headers = Headers {
        id: Some(id),
        timestamp: Some(timestamp),
        signature: Some(signature),
    };
    verify(&keys(), &headers, body, NOW, TOLERANCE)
}

/// Another byte at one place.
fn changed(bytes: &[u8], place: prop::sample::Index, by: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let place = place.index(bytes.len());
    bytes[place] = bytes[place].wrapping_add(by);
    bytes
}

proptest! {
    #[test]
    fn any_bytes_in_any_header_are_refused_without_a_panic(
        id in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
        timestamp in prop::option::of(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            Just(b"1795298000".to_vec()),
        ]),
        signature in prop::option::of(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..2000),
            "(v1,[A-Za-z0-9+/=]{0,60} ?){0,40}".prop_map(String::into_bytes),
        ]),
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let headers = Headers {
            id: id.as_deref(),
            timestamp: timestamp.as_deref(),
            signature: signature.as_deref(),
        };
        prop_assert!(verify(&keys(), &headers, &body, NOW, TOLERANCE).is_err());
    }

    #[test]
    fn what_was_signed_is_accepted_whatever_the_bytes(
        id in "[!-\\-/-~]{1,256}",
        skew in -300_i64..=300,
        body in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let at = Timestamp::from_seconds(NOW.seconds() + skew);
        let signature = sign(&keys(), &id, at, &body);
        let verdict = judge(id.as_bytes(), at.seconds().to_string().as_bytes(), signature.as_bytes(), &body);
        prop_assert_eq!(verdict, Ok(Verified { id, timestamp: at, key_index: 0 }));
    }

    #[test]
    fn one_changed_byte_of_anything_is_refused(
        body in prop::collection::vec(any::<u8>(), 1..400),
        place in any::<prop::sample::Index>(),
        by in 1_u8..,
    ) {
        let at = NOW.seconds().to_string();
        let signature = sign(&keys(), "msg_1", NOW, &body);
        let (id, at, signature) = (b"msg_1", at.as_bytes(), signature.as_bytes());
        prop_assert!(judge(id, at, signature, &changed(&body, place, by)).is_err());
        prop_assert!(judge(id, at, &changed(signature, place, by), &body).is_err());
        // A border that becomes white space is trimmed, and even then what is left does not fit.
        prop_assert!(judge(&changed(id, place, by), at, signature, &body).is_err());
        prop_assert!(judge(id, &changed(at, place, by), signature, &body).is_err());
    }

    #[test]
    fn any_text_as_a_secret_is_a_key_or_an_error_that_does_not_repeat_it(text in "\\PC{0,120}") {
        if let Err(error) = Keys::parse(&[Secret::new(&text)]) {
            let shown = format!("{error} {error:?}");
            prop_assert!(text.trim().len() < 12 || !shown.contains(text.trim()));
        }
    }
}
