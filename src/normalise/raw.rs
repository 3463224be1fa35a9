//! A body as JSON, before it means anything: a tree that borrows its texts from the bytes.
//!
//! Own tree instead of `serde_json::Value` for three reasons: texts are not copied (this is the
//! hot path), a member given twice is seen, and whole numbers keep all their digits. Pure.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::NotAnEvent;

/// Up to here pairs are compared one with another, which beats sorting.
const FEW: usize = 16;
/// How much of a member's name an error repeats.
const SHOWN: usize = 40;

/// One JSON value.
#[derive(Debug)]
pub(super) enum Raw<'a> {
    Null,
    Bool(bool),
    Whole(i128),
    Fraction(f64),
    Text(Cow<'a, str>),
    List(Vec<Raw<'a>>),
    Object(Object<'a>),
}

/// The members of an object in their order; no name occurs twice.
#[derive(Debug)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Raw<'a>)>);

impl<'a> Object<'a> {
    /// The member of that name; none when it is missing, [`Raw::Null`] when it is null.
    pub(super) fn get(&self, name: &str) -> Option<&Raw<'a>> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// Every member in its order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Raw<'a>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    fn twice(&self) -> Option<&str> {
        if self.0.len() > FEW {
            let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_ref()).collect();
            names.sort_unstable();
            return names
                .array_windows()
                .find(|[a, b]| a == b)
                .map(|[name, _]| *name);
        }
        let mut rest = self.0.as_slice();
        while let Some(((name, _), later)) = rest.split_first() {
            if later.iter().any(|(other, _)| other == name) {
                return Some(name);
            }
            rest = later;
        }
        None
    }
}

impl Raw<'_> {
    /// What it is, in JSON's words.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Whole(_) | Self::Fraction(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// Reads a body whose top level must be an object.
pub(super) fn object(body: &[u8]) -> Result<Object<'_>, NotAnEvent> {
    if body.trim_ascii().is_empty() {
        return Err(not_json(
            "empty; PHP sends that when it cannot encode a text as UTF-8",
        ));
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(not_json(
            "not JSON: it begins with a byte order mark; send it without",
        ));
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        not_json(format!(
            "not UTF-8: the byte at {} (from 0) is wrong",
            error.valid_up_to()
        ))
    })?;
    match serde_json::from_str(text) {
        Ok(Raw::Object(object)) => Ok(object),
        Ok(other) => Err(not_json(format!("not a JSON object but {}", other.kind()))),
        Err(error) => Err(not_json(format!("not JSON as it must be: {error}"))),
    }
}

fn not_json(detail: impl Into<String>) -> NotAnEvent {
    NotAnEvent::NotJson(detail.into())
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Raw<'de>, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Raw<'de>, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Raw<'de>, E> {
        Ok(Raw::Whole(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Raw<'de>, E> {
        Ok(Raw::Whole(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Raw<'de>, E> {
        Ok(Raw::Fraction(value))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Raw<'de>, E> {
        Ok(Raw::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Raw<'de>, E> {
        Ok(Raw::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Raw<'de>, A::Error> {
        let mut object = Object(Vec::new());
        while let Some((Name(name), value)) = members.next_entry()? {
            object.0.push((name, value));
        }
        if let Some(name) = object.twice() {
            let name: String = name.chars().take(SHOWN).collect();
            return Err(A::Error::custom(format_args!(
                "the member {name:?} is given twice"
            )));
        }
        Ok(Raw::Object(object))
    }
}

/// A member's name.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(AnyName)
    }
}

struct AnyName;

impl<'de> Visitor<'de> for AnyName {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(value.to_owned())))
    }
}
