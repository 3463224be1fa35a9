//! The scheme by its public vectors, and the mistakes that receivers are known to make.

use std::time::Duration;

use super::*;
use crate::domain::{Secret, Timestamp};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OTHER: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
const AT: i64 = 1_649_367_553;
const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
const TOLERANCE: Duration = Duration::from_mins(5);

fn keys(secrets: &[&str]) -> Keys {
    parse(secrets).unwrap()
}

fn parse(secrets: &[&str]) -> Result<Keys, KeyError> {
    Keys::parse(
        &secrets
            .iter()
            .map(|text| Secret::new(text))
            .collect::<Vec<_>>(),
    )
}

fn judge(
    keys: &Keys,
    id: &str,
    at: &str,
    signature: &str,
    body: &[u8],
) -> Result<Verified, Refusal> {
    let headers = Headers {
        id: Some(id.as_bytes()),
        timestamp: Some(at.as_bytes()),
        signature: Some(signature.as_bytes()),
    };
    verify(keys, &headers, body, Timestamp::from_seconds(AT), TOLERANCE)
}

/// Judges the public vector with another list of signatures.
fn with_signature(signature: &str) -> Result<Verified, Refusal> {
    judge(&keys(&[SECRET]), ID, &AT.to_string(), signature, BODY)
}

#[test]
fn the_public_vectors_are_accepted_and_made() {
    let verified = with_signature(SIGNATURE).unwrap();
    let timestamp = Timestamp::from_seconds(AT);
    assert_eq!(
        verified,
        Verified {
            id: ID.to_owned(),
            timestamp,
            key_index: 0
        }
    );
    assert_eq!(sign(&keys(&[SECRET]), ID, timestamp, BODY), SIGNATURE);

    let other = keys(&[OTHER]);
    let at = Timestamp::from_seconds(1_614_265_330);
    let made = sign(
        &other,
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        at,
        br#"{"test": 2432232314}"#,
    );
    assert_eq!(made, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn an_old_secret_verifies_during_a_rotation_and_says_which_one_it_was() {
    let rotated = keys(&[OTHER, SECRET]);
    assert_eq!(
        judge(&rotated, ID, &AT.to_string(), SIGNATURE, BODY)
            .unwrap()
            .key_index,
        1
    );
    let after = keys(&[OTHER]);
    assert_eq!(
        judge(&after, ID, &AT.to_string(), SIGNATURE, BODY),
        Err(Refusal::WrongSignature)
    );
}

#[test]
fn any_place_in_the_list_and_unknown_versions_beside_it_are_fine() {
    let wrong = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for list in [
        format!("{wrong} {SIGNATURE}"),
        format!("{SIGNATURE} {wrong}"),
        format!("v1a,hnO3f9T8 v9,x {wrong}  {SIGNATURE}"),
        format!(" {SIGNATURE} "),
        format!("v1,broken v1, {SIGNATURE}"),
    ] {
        assert!(with_signature(&list).is_ok(), "{list}");
    }
}

#[test]
fn a_list_without_v1_is_refused_as_unsupported() {
    for list in [
        "v1a,hnO3f9T8",
        "sha1=abc",
        "none",
        ",",
        "V1,x",
        &SIGNATURE[3..],
    ] {
        assert_eq!(
            with_signature(list),
            Err(Refusal::NoSupportedSignature),
            "{list}"
        );
    }
}

#[test]
fn another_spelling_of_the_right_signature_is_refused() {
    let unpadded = SIGNATURE.trim_end_matches('=');
    let url_safe = SIGNATURE.replace('+', "-").replace('/', "_");
    let hex = "v1,b59d48e3f843ca000980ee5363189277a49dd240d6ea13de9c37be6d36b72a4c";
    // The last character before the padding carries two unused bits.
    let unused_bits = SIGNATURE.replace("kw=", "kx=");
    let longer = format!("{SIGNATURE}AAAA");
    let quoted = SIGNATURE.replace("v1,", "v1,\"");
    for text in [unpadded, &url_safe, hex, &unused_bits, &longer, &quoted] {
        assert_eq!(with_signature(text), Err(Refusal::WrongSignature), "{text}");
    }
}

#[test]
fn only_twenty_signatures_are_looked_at() {
    let filler = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= ";
    assert!(with_signature(&format!("{}{SIGNATURE}", filler.repeat(19))).is_ok());
    let hidden = format!("{}{SIGNATURE}", filler.repeat(20));
    assert_eq!(with_signature(&hidden), Err(Refusal::WrongSignature));
}

#[test]
fn a_missing_or_empty_header_is_never_no_verification() {
    let keys = keys(&[SECRET]);
    let at = AT.to_string();
    let whole = Headers {
        id: Some(ID.as_bytes()),
        timestamp: Some(at.as_bytes()),
        signature: Some(SIGNATURE.as_bytes()),
    };
    for nothing in [None, Some(&b""[..]), Some(b"  ")] {
        for (headers, name) in [
            (
                Headers {
                    id: nothing,
                    ..whole
                },
                ID_HEADER,
            ),
            (
                Headers {
                    timestamp: nothing,
                    ..whole
                },
                TIMESTAMP_HEADER,
            ),
            (
                Headers {
                    signature: nothing,
                    ..whole
                },
                SIGNATURE_HEADER,
            ),
        ] {
            let verdict = verify(
                &keys,
                &headers,
                BODY,
                Timestamp::from_seconds(AT),
                TOLERANCE,
            );
            assert_eq!(verdict, Err(Refusal::MissingHeader(name)));
        }
    }
}

#[test]
fn past_and_future_are_refused_beyond_the_tolerance_and_accepted_at_its_edge() {
    let keys = keys(&[SECRET]);
    let now = Timestamp::from_seconds(AT);
    for (offset, expected) in [
        (-300, None),
        (300, None),
        (
            -301,
            Some(Refusal::TooOld {
                by: Duration::from_secs(1),
            }),
        ),
        (
            301,
            Some(Refusal::InTheFuture {
                by: Duration::from_secs(1),
            }),
        ),
        (
            -86_400,
            Some(Refusal::TooOld {
                by: Duration::from_mins(1435),
            }),
        ),
    ] {
        let at = Timestamp::from_seconds(now.seconds() + offset);
        let signature = sign(&keys, ID, at, BODY);
        let verdict = judge(&keys, ID, &at.seconds().to_string(), &signature, BODY);
        assert_eq!(verdict.err(), expected, "{offset}");
    }
}

#[test]
fn a_timestamp_is_digits_and_nothing_else() {
    let keys = keys(&[SECRET]);
    for at in [
        "1649367553x",
        "1649367553 ",
        "x",
        "-1649367553",
        "+1649367553",
        "1649367553.0",
        "1649367553000",
        "9223372036854775808",
        "0x624f5a81",
        "1e9",
        "1649367553 1649367553",
        "١٢٣",
    ] {
        let at_trimmed_is_right = at.trim() == "1649367553";
        let verdict = judge(&keys, ID, at, SIGNATURE, BODY);
        assert_eq!(verdict.is_ok(), at_trimmed_is_right, "{at}");
        if !at_trimmed_is_right {
            assert_eq!(verdict, Err(Refusal::MalformedTimestamp), "{at}");
        }
    }
}

#[test]
fn the_timestamp_and_the_id_are_part_of_what_is_signed() {
    let keys = keys(&[SECRET]);
    let later = (AT + 1).to_string();
    assert_eq!(
        judge(&keys, ID, &later, SIGNATURE, BODY),
        Err(Refusal::WrongSignature)
    );
    // The same number in another spelling was not what was signed.
    let padded = format!("0{AT}");
    assert_eq!(
        judge(&keys, ID, &padded, SIGNATURE, BODY),
        Err(Refusal::WrongSignature)
    );
    let verdict = judge(&keys, "msg_another", &AT.to_string(), SIGNATURE, BODY);
    assert_eq!(verdict, Err(Refusal::WrongSignature));
}

#[test]
fn an_id_that_could_shift_the_borders_or_break_a_log_is_refused() {
    let keys = keys(&[SECRET]);
    let at = AT.to_string();
    let (long, longest) = ("x".repeat(257), "x".repeat(256));
    for id in ["a b", "a\nb", "a\0b", "ä", long.as_str(), "two twice"] {
        let signature = sign(&keys, id, Timestamp::from_seconds(AT), BODY);
        assert_eq!(
            judge(&keys, id, &at, &signature, BODY),
            Err(Refusal::MalformedId),
            "{id}"
        );
    }
    let signature = sign(&keys, &longest, Timestamp::from_seconds(AT), BODY);
    assert!(judge(&keys, &longest, &at, &signature, BODY).is_ok());
}

#[test]
fn a_body_changed_on_the_way_is_refused() {
    let keys = keys(&[SECRET]);
    let at = AT.to_string();
    let mut with_bom = b"\xef\xbb\xbf".to_vec();
    with_bom.extend_from_slice(BODY);
    let mut with_newline = BODY.to_vec();
    with_newline.push(b'\n');
    let reprinted = br#"{"email": "test@example.com", "username": "test_user"}"#;
    for body in [
        &with_bom[..],
        &with_newline,
        reprinted,
        b"",
        &BODY[..BODY.len() - 1],
    ] {
        assert_eq!(
            judge(&keys, ID, &at, SIGNATURE, body),
            Err(Refusal::WrongSignature)
        );
    }
}

#[test]
fn a_secret_is_read_as_people_paste_it() {
    let made = sign(&keys(&[SECRET]), ID, Timestamp::from_seconds(AT), BODY);
    let bare = SECRET.trim_start_matches("whsec_");
    for text in [
        bare.to_owned(),
        format!("  {SECRET}\n"),
        format!("{bare}\r\n"),
    ] {
        assert_eq!(
            sign(&keys(&[&text]), ID, Timestamp::from_seconds(AT), BODY),
            made
        );
    }
    let padded = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let (a, b) = (keys(&[padded]), keys(&[padded.trim_end_matches('=')]));
    let at = Timestamp::from_seconds(AT);
    assert_eq!(sign(&a, ID, at, BODY), sign(&b, ID, at, BODY));
}

#[test]
fn an_empty_short_or_broken_secret_is_refused_at_start_up() {
    assert_eq!(parse(&[]).unwrap_err(), KeyError::None);
    assert_eq!(parse(&[""]).unwrap_err(), KeyError::Empty { place: 1 });
    assert_eq!(
        parse(&[SECRET, "whsec_"]).unwrap_err(),
        KeyError::Empty { place: 2 }
    );
    assert_eq!(
        parse(&["whsec_not base64!"]).unwrap_err(),
        KeyError::NotBase64 { place: 1 }
    );
    assert_eq!(
        parse(&["whsec_c2hvcnQ="]).unwrap_err(),
        KeyError::Length { place: 1, bytes: 5 }
    );
    let long = "AAAA".repeat(22);
    let error = parse(&[SECRET, OTHER, &long]).unwrap_err();
    assert_eq!(
        error,
        KeyError::Length {
            place: 3,
            bytes: 66
        }
    );
    // A public or private key of the asymmetric version is no shared secret.
    let private = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    assert_eq!(
        parse(&[private]).unwrap_err(),
        KeyError::NotBase64 { place: 1 }
    );
}

#[test]
fn neither_the_secret_nor_the_right_signature_shows_anywhere() {
    let keys = keys(&[SECRET, OTHER]);
    let shown = format!("{keys:?}");
    assert_eq!(shown, "Keys(2 redacted)");
    let refusals = [
        with_signature("v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap_err(),
        parse(&["whsec_c2hvcnQ="])
            .map(|_| ())
            .map_err(|_| Refusal::MalformedId)
            .unwrap_err(),
    ];
    for refusal in refusals {
        let text = format!("{refusal} {refusal:?}");
        assert!(!text.contains(&SIGNATURE[3..]) && !text.contains(&SECRET[6..]));
    }
    assert!(
        !parse(&["whsec_c2hvcnQ="])
            .unwrap_err()
            .to_string()
            .contains("c2hvcnQ")
    );
}

#[test]
fn a_refusal_says_by_how_much_and_has_a_short_cause() {
    let old = Refusal::TooOld {
        by: Duration::from_millis(300),
    };
    assert!(old.to_string().contains("too old by 1 s"), "{old}");
    assert_eq!(old.cause(), "signature_stale");
    assert_eq!(
        Refusal::MissingHeader(ID_HEADER).cause(),
        "signature_missing"
    );
    assert_eq!(Refusal::WrongSignature.cause(), "signature_wrong");
}

#[test]
fn an_absurd_clock_or_tolerance_does_not_overflow() {
    let keys = keys(&[SECRET]);
    let at = "999999999999";
    let signature = sign(&keys, ID, Timestamp::from_seconds(999_999_999_999), BODY);
    let headers = Headers {
        id: Some(ID.as_bytes()),
        timestamp: Some(at.as_bytes()),
        signature: Some(signature.as_bytes()),
    };
    let early = Timestamp::from_micros(i64::MIN);
    assert!(verify(&keys, &headers, BODY, early, Duration::ZERO).is_err());
    assert!(verify(&keys, &headers, BODY, early, Duration::MAX).is_ok());
}
