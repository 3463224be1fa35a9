//! Requests to the admin API with a wrong token: counted, told in the log, and above a few a second
//! refused as too many. The right token is never kept waiting, or a stranger could lock everybody out.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::Problem;

/// So many at once …
const BURST: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// … and then so many a minute are answered by what is wrong with them.
const A_MINUTE: NonZeroU32 = NonZeroU32::new(60).expect("not zero");
/// A line in the log for the first one, and then this many a minute.
const LINES_A_MINUTE: NonZeroU32 = NonZeroU32::new(6).expect("not zero");

/// What came since the start.
#[derive(Debug)]
pub(super) struct WrongTokens {
    count: AtomicU64,
    answered: DefaultDirectRateLimiter,
    lines: DefaultDirectRateLimiter,
}

impl Default for WrongTokens {
    fn default() -> Self {
        let answered = Quota::per_minute(A_MINUTE).allow_burst(BURST);
        let lines = Quota::per_minute(LINES_A_MINUTE).allow_burst(NonZeroU32::MIN);
        Self {
            count: AtomicU64::new(0),
            answered: RateLimiter::direct(answered),
            lines: RateLimiter::direct(lines),
        }
    }
}

impl WrongTokens {
    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Refuses one.
    pub(super) fn refuse(&self, from: Option<IpAddr>) -> Problem {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if self.lines.check().is_ok() {
            let from = from.map(|from| from.to_string()).unwrap_or_default();
            tracing::warn!(%from, count, "a wrong admin token was refused");
        }
        match self.answered.check() {
            Ok(()) => Problem::unauthorized(),
            Err(soon) => {
                let wait = soon.wait_time_from(DefaultClock::default().now());
                Problem::too_many(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1))
            }
        }
    }
}
