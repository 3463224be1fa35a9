//! When an event occurred: the order of a service's events hangs on it. Pure.
//!
//! So a time must have a time of day, must not lie ahead (every later event would look old) and
//! must not be PHP's "no date" in disguise (the event itself would look old and be passed over).

use std::time::Duration;

use super::Wrong;
use super::place::Place;
use super::raw::Raw;
use crate::domain::Timestamp;

/// Wide enough for a clock set to the wrong time zone.
const MOST_AHEAD: Duration = Duration::from_hours(24);
/// 2000-01-01T00:00:00Z. What is earlier was counted from a zero that meant "not set".
const EARLIEST: Timestamp = Timestamp::from_seconds(946_684_800);
/// How PHP and its databases write a date that was never set; the last is what the first
/// becomes once PHP calculated with it.
const UNSET: [&str; 2] = ["0000-00-00", "-0001-11-30"];
const WANTED: &str = "must be an RFC 3339 time such as 2026-11-21T21:50:00Z";

/// Reads the time; an unset one is taken as `signed_at`, which is when the sender sent it.
pub(super) fn read(
    value: &Raw<'_>,
    place: &Place<'_>,
    now: Timestamp,
    signed_at: Timestamp,
) -> Result<Timestamp, Wrong> {
    let text = match value {
        Raw::Null => return Ok(signed_at),
        Raw::Text(text) => text.trim(),
        Raw::Bool(_) | Raw::Whole(_) | Raw::Fraction(_) | Raw::List(_) | Raw::Object(_) => {
            return Err(place.wrong(format!("{WANTED}, not {}", value.kind())));
        }
    };
    if text.is_empty() || UNSET.iter().any(|unset| text.starts_with(unset)) {
        return Ok(signed_at);
    }
    if !has_time_of_day(text) {
        return Err(place.wrong(WANTED));
    }
    let time = Timestamp::parse(text).map_err(|_| place.wrong(WANTED))?;
    if time > now.plus(MOST_AHEAD) {
        return Err(place.wrong("lies more than 24 hours ahead; check the sender's clock"));
    }
    if time < EARLIEST {
        return Err(place.wrong("lies before the year 2000; send the time at which it happened"));
    }
    Ok(time)
}

/// `yyyy-mm-ddThh:mm:ss` at the start, and no time zone's name in brackets behind it: the parser
/// behind this is more generous, and a bare date would put the event at midnight.
fn has_time_of_day(text: &str) -> bool {
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let bytes = text.as_bytes();
    let fits = |(wanted, found): (&u8, &u8)| match wanted {
        b'd' => found.is_ascii_digit(),
        b'T' => matches!(found, b'T' | b't' | b' '),
        mark => found == mark,
    };
    bytes.len() >= shape.len() && !bytes.contains(&b'[') && shape.iter().zip(bytes).all(fits)
}
