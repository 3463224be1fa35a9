//! The sandbox's calendar: the dates of moments counted from its beginning. It reads the real
//! clock once, when the sandbox begins, unless it is told when that was.

use std::time::Duration;

use jiff::Timestamp;

/// The real clock.
pub(super) fn now() -> crate::domain::Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the stand-ins live in real time")]
    let now = Timestamp::now();
    crate::domain::Timestamp::from_micros(now.as_microsecond())
}

/// Turns moments since the beginning into dates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calendar(Timestamp);

impl Calendar {
    /// A calendar that begins now.
    pub(super) fn beginning_now() -> Self {
        Self::beginning(now())
    }

    /// A calendar that begins at this moment.
    pub(super) fn beginning(at: crate::domain::Timestamp) -> Self {
        Self(Timestamp::from_microsecond(at.micros()).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// RFC 3339.
    pub(super) fn date_time(self, moment: Duration) -> String {
        self.at(moment).to_string()
    }

    /// `2026-11-21`.
    pub(super) fn date(self, moment: Duration) -> String {
        self.at(moment).strftime("%Y-%m-%d").to_string()
    }

    /// Seconds since 1970.
    pub(super) fn unix(self, moment: Duration) -> i64 {
        self.at(moment).as_second()
    }

    fn at(self, moment: Duration) -> Timestamp {
        self.0.checked_add(moment).unwrap_or(Timestamp::MAX)
    }
}
