//! The window of time in which a signature counts, to both sides of our clock. Pure.

use std::time::Duration;

use super::refusal::Refusal;
use crate::domain::Timestamp;

/// Ten digits last until 2286; twelve leave room and cannot overflow. Milliseconds have thirteen.
const MOST_DIGITS: usize = 12;

/// Reads seconds since 1970: digits alone, no sign, no fraction, nothing behind them.
pub(super) fn seconds(text: &[u8]) -> Result<Timestamp, Refusal> {
    if text.is_empty() || text.len() > MOST_DIGITS {
        return Err(Refusal::MalformedTimestamp);
    }
    let mut seconds: i64 = 0;
    for digit in text {
        if !digit.is_ascii_digit() {
            return Err(Refusal::MalformedTimestamp);
        }
        seconds = seconds * 10 + i64::from(digit - b'0');
    }
    Ok(Timestamp::from_seconds(seconds))
}

/// Refuses what was signed longer than `tolerance` before or after `now`.
pub(super) fn check(signed: Timestamp, now: Timestamp, tolerance: Duration) -> Result<(), Refusal> {
    let age = now.since(signed);
    if age > tolerance {
        return Err(Refusal::TooOld {
            by: age.saturating_sub(tolerance),
        });
    }
    let ahead = signed.since(now);
    if ahead > tolerance {
        return Err(Refusal::InTheFuture {
            by: ahead.saturating_sub(tolerance),
        });
    }
    Ok(())
}
