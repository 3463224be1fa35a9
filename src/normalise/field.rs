//! One member at a time: ids, texts, addresses, counts, maps of texts. Pure.
//!
//! Knows PHP's habits and the limits, not which member an event needs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Wrong;
use super::html;
use super::place::Place;
use super::raw::{Object, Raw};

const LONGEST_ID: usize = 128;
const LONGEST_TEXT: usize = 1024;
const LONGEST_REMARK: usize = 200;
const LONGEST_EMAIL: usize = 254;
const LONGEST_VALUE: usize = 16 * 1024;
const MOST_PAIRS: usize = 200;
const MOST_UNITS: u32 = 1000;
/// Beyond this a number with a point, or one that was too long, has lost digits on the way.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// An id, as text. None when it is missing, null or empty.
pub(super) fn id(value: Option<&Raw<'_>>, place: &Place<'_>) -> Result<Option<String>, Wrong> {
    let text = match value {
        None | Some(Raw::Null) => return Ok(None),
        Some(Raw::Text(text)) => Cow::Borrowed(text.trim()),
        Some(Raw::Whole(number)) => Cow::Owned(number.to_string()),
        Some(other @ (Raw::Bool(_) | Raw::Fraction(_) | Raw::List(_) | Raw::Object(_))) => {
            let kind = other.kind();
            return Err(place.wrong(format!("must be a string or a whole number, not {kind}")));
        }
    };
    if text.len() > LONGEST_ID {
        return Err(place.wrong(format!("must not be longer than {LONGEST_ID} bytes")));
    }
    if !is_one_line(&text) {
        return Err(place.wrong("must not contain control characters or line breaks"));
    }
    Ok(if text.is_empty() {
        None
    } else {
        Some(text.into_owned())
    })
}

/// An id that must be there.
pub(super) fn required_id(value: Option<&Raw<'_>>, place: &Place<'_>) -> Result<String, Wrong> {
    let wanted = "is missing or empty; an id is needed here";
    id(value, place)?.ok_or_else(|| place.wrong(wanted))
}

/// An id that must name somebody: 0 is what databases and PHP have where there is nobody, and
/// all who are nobody would share one account.
pub(super) fn naming_id(value: Option<&Raw<'_>>, place: &Place<'_>) -> Result<String, Wrong> {
    let id = required_id(value, place)?;
    if id == "0" {
        return Err(place.wrong("is 0, which names nobody; an id is needed here"));
    }
    Ok(id)
}

/// A text of one line, HTML decoded; empty when missing.
pub(super) fn text(value: Option<&Raw<'_>>, place: &Place<'_>) -> Result<String, Wrong> {
    let Some(value) = value else {
        return Ok(String::new());
    };
    let text = line(plain(value, place)?, place)?;
    Ok(match text {
        Cow::Borrowed(text) => text.trim().to_owned(),
        Cow::Owned(text) if text.trim().len() == text.len() => text,
        Cow::Owned(text) => text.trim().to_owned(),
    })
}

/// A text that only people read: what cannot be shown is left out, and nothing is refused for it.
pub(super) fn remark(value: Option<&Raw<'_>>) -> Option<String> {
    let Some(Raw::Text(text)) = value else {
        return None;
    };
    let plain = html::decode(text);
    let shown = |letter: char| {
        if is_one_line(letter.encode_utf8(&mut [0; 4])) {
            letter
        } else {
            ' '
        }
    };
    let text: String = plain
        .trim()
        .chars()
        .take(LONGEST_REMARK)
        .map(shown)
        .collect();
    (!text.is_empty()).then_some(text)
}

/// An e-mail address; empty when missing. Whether it may be empty is the caller's to know.
pub(super) fn email(value: Option<&Raw<'_>>, place: &Place<'_>) -> Result<String, Wrong> {
    let email = text(value, place)?;
    if email.len() > LONGEST_EMAIL {
        return Err(place.wrong(format!("must not be longer than {LONGEST_EMAIL} bytes")));
    }
    if email.is_empty() || is_address(&email) {
        return Ok(email);
    }
    Err(place.wrong("must be one e-mail address such as ann@example.com"))
}

fn is_address(text: &str) -> bool {
    let sides = text.split_once('@');
    let both = sides.is_some_and(|(a, b)| !a.is_empty() && !b.is_empty() && !b.contains('@'));
    both && !text.contains(char::is_whitespace)
}

/// How many; PHP's 0, empty and null are one.
pub(super) fn quantity(value: Option<&Raw<'_>>, place: &Place<'_>) -> Result<u32, Wrong> {
    let count = match value {
        None | Some(Raw::Null) => Some(1),
        Some(Raw::Whole(number)) => u32::try_from(*number).ok(),
        // PHP writes a whole number that it calculated as 2.0, which prints as 2.
        Some(Raw::Fraction(number)) => units(&number.to_string()),
        Some(Raw::Text(text)) => units(text.trim()),
        Some(Raw::Bool(_) | Raw::List(_) | Raw::Object(_)) => None,
    };
    match count {
        Some(count) if count <= MOST_UNITS => Ok(count.max(1)),
        _ => Err(place.wrong(format!("must be a whole number from 1 to {MOST_UNITS}"))),
    }
}

/// `"2"`, `"002"`, `"2.00"`, `""`; no signs, no exponents.
fn units(text: &str) -> Option<u32> {
    if text.is_empty() {
        return Some(1);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.bytes().any(|byte| byte != b'0') {
        return None;
    }
    whole.parse().ok()
}

/// Options or fields by name: an object, or PHP's `[]` for an empty one.
pub(super) fn pairs(
    value: Option<&Raw<'_>>,
    place: &Place<'_>,
) -> Result<BTreeMap<String, String>, Wrong> {
    let mut pairs = BTreeMap::new();
    let Some(object) = object(value, place)? else {
        return Ok(pairs);
    };
    if object.iter().len() > MOST_PAIRS {
        return Err(place.wrong(format!("must not have more than {MOST_PAIRS} members")));
    }
    for (name, value) in object.iter() {
        // A bad name is told of its parent: it must not get into an answer or a log line.
        let Ok(clean) = line(Cow::Borrowed(name), place) else {
            let wanted = "must have names of one line, without control characters, of at most";
            return Err(place.wrong(format!("{wanted} {LONGEST_TEXT} bytes")));
        };
        let here = place.member(name);
        if pairs
            .insert(clean.into_owned(), option_value(value, &here)?)
            .is_some()
        {
            return Err(here.wrong("has the same name as another member once HTML is decoded"));
        }
    }
    Ok(pairs)
}

/// An object; none when it is missing, null or PHP's empty array.
pub(super) fn object<'r, 'a>(
    value: Option<&'r Raw<'a>>,
    place: &Place<'_>,
) -> Result<Option<&'r Object<'a>>, Wrong> {
    match value {
        None | Some(Raw::Null) => Ok(None),
        Some(Raw::Object(object)) => Ok(Some(object)),
        Some(Raw::List(list)) if list.is_empty() => Ok(None),
        Some(
            other @ (Raw::Bool(_) | Raw::Whole(_) | Raw::Fraction(_) | Raw::Text(_) | Raw::List(_)),
        ) => Err(place.wrong(format!("must be an object, not {}", other.kind()))),
    }
}

/// A value may have several lines (an SSH key, an address), and its spaces are its own.
fn option_value(value: &Raw<'_>, place: &Place<'_>) -> Result<String, Wrong> {
    let text = decoded(plain(value, place)?);
    if text.len() > LONGEST_VALUE {
        return Err(place.wrong(format!("must not be longer than {LONGEST_VALUE} bytes")));
    }
    let allowed = |c: char| matches!(c, '\n' | '\r' | '\t') || !c.is_control();
    if !text.chars().all(allowed) {
        return Err(place.wrong("must not contain control characters"));
    }
    Ok(text.into_owned())
}

/// Decoded, within the limit, and safe to put in a log line, a header or a host name.
fn line<'a>(text: Cow<'a, str>, place: &Place<'_>) -> Result<Cow<'a, str>, Wrong> {
    let text = decoded(text);
    if text.len() > LONGEST_TEXT {
        return Err(place.wrong(format!("must not be longer than {LONGEST_TEXT} bytes")));
    }
    if !is_one_line(&text) {
        return Err(place.wrong("must not contain control characters or line breaks"));
    }
    Ok(text)
}

fn decoded(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => html::decode(text),
        Cow::Owned(text) => Cow::Owned(html::decode(&text).into_owned()),
    }
}

/// A scalar as the text that PHP makes of it.
fn plain<'r>(value: &'r Raw<'_>, place: &Place<'_>) -> Result<Cow<'r, str>, Wrong> {
    match value {
        Raw::Null | Raw::Bool(false) => Ok(Cow::Borrowed("")),
        Raw::Bool(true) => Ok(Cow::Borrowed("1")),
        Raw::Text(text) => Ok(Cow::Borrowed(text)),
        Raw::Whole(number) => Ok(Cow::Owned(number.to_string())),
        Raw::Fraction(number) if number.abs() < EXACT => Ok(Cow::Owned(number.to_string())),
        Raw::Fraction(_) => Err(place.wrong("is a number too large to be exact; send a string")),
        Raw::List(_) | Raw::Object(_) => {
            Err(place.wrong(format!("must be a string, not {}", value.kind())))
        }
    }
}

/// Without control characters and without Unicode's own line separators.
fn is_one_line(text: &str) -> bool {
    if text.is_ascii() {
        return !text.bytes().any(|byte| byte.is_ascii_control());
    }
    !text
        .chars()
        .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}
