//! Up to when a store has surely lived, by which its history grows old. Pure.
//!
//! A machine that comes up with a clock years ahead must not make history old. So a store has a
//! time of its own: it goes on only while a process is there to measure it, by the machine's steady
//! clock. However often a clock is wrong, nothing is let go before it has been there for as long as
//! it is to be kept; what a service slept through only makes it later.

use std::time::Duration;

use super::time::Timestamp;

/// A clock that is further ahead of the store's own time is worth a word.
const WORTH_A_WORD: Duration = Duration::from_hours(30 * 24);

/// What is known of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What the clock says.
    pub now: Timestamp,
    /// The store's time when this process looked last, and what has surely passed since.
    pub measured: Option<Timestamp>,
}

/// The store's time after a look: `kept` is what it was, `newest` when its newest accepted delivery
/// came.
pub fn lived(kept: Option<Timestamp>, newest: Option<Timestamp>, seen: Seen) -> Timestamp {
    let known = kept.or(newest).unwrap_or(seen.now);
    let known = seen.measured.map_or(known, |measured| known.max(measured));
    // A store that was made under a clock that was ahead comes back to the right time. One start
    // with a clock that is behind does not take it further back than what senders signed.
    known.min(newest.map_or(seen.now, |newest| newest.max(seen.now)))
}

/// Before when something must have ended to be let go.
pub fn old_before(lived: Timestamp, now: Timestamp, age: Duration) -> Timestamp {
    lived.min(now).minus(age)
}

/// How far a clock is ahead of the store's time, where that is worth a word.
pub fn far_ahead(lived: Timestamp, now: Timestamp) -> Option<Duration> {
    Some(now.since(lived)).filter(|ahead| *ahead > WORTH_A_WORD)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 24 * 60 * 60;
    const YEAR: i64 = 365 * DAY;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_795_000_000 + seconds)
    }

    fn seen(now: i64, measured: Option<i64>) -> Seen {
        Seen {
            now: at(now),
            measured: measured.map(at),
        }
    }

    #[test]
    fn a_start_with_a_clock_years_ahead_makes_nothing_old() {
        let lived = lived(Some(at(0)), Some(at(-5)), seen(2 * YEAR, None));
        assert_eq!(lived, at(0));
        let year = Duration::from_secs(YEAR.unsigned_abs());
        assert_eq!(old_before(lived, at(2 * YEAR), year), at(-YEAR));
        assert!(far_ahead(lived, at(2 * YEAR)).is_some());
    }

    #[test]
    fn time_goes_on_as_it_is_measured() {
        assert_eq!(
            lived(Some(at(0)), None, seen(3_600, Some(3_600))),
            at(3_600)
        );
        assert_eq!(
            lived(Some(at(0)), None, seen(2 * YEAR, Some(3_600))),
            at(3_600)
        );
        // Another process was further.
        assert_eq!(lived(Some(at(60)), None, seen(3_600, Some(30))), at(60));
    }

    #[test]
    fn a_store_of_an_older_version_begins_at_its_newest_delivery() {
        assert_eq!(lived(None, Some(at(-DAY)), seen(2 * YEAR, None)), at(-DAY));
        assert_eq!(lived(None, None, seen(0, None)), at(0));
    }

    #[test]
    fn a_clock_that_was_ahead_when_the_store_was_made_is_forgotten() {
        assert_eq!(lived(Some(at(2 * YEAR)), None, seen(0, None)), at(0));
        let newest = Some(at(-60));
        assert_eq!(lived(Some(at(2 * YEAR)), newest, seen(0, None)), at(0));
    }

    #[test]
    fn a_start_with_a_clock_that_is_behind_costs_no_more_than_a_silence() {
        let lived = lived(Some(at(0)), Some(at(-60)), seen(-50 * YEAR, None));
        assert_eq!(lived, at(-60));
    }

    proptest! {
        /// Whatever the clocks of any number of starts say, the store's time is never ahead of the
        /// time that really was, once it was not.
        #[test]
        fn the_stores_time_is_never_ahead_of_the_real_one(
            starts in prop::collection::vec((-3 * YEAR..3 * YEAR, 0..YEAR, 0..YEAR), 1..12)
        ) {
            let (mut real, mut kept) = (0, at(0));
            for (wrong_by, asleep, awake) in starts {
                real += asleep;
                let first = lived(Some(kept), None, seen(real + wrong_by, None));
                prop_assert!(first <= at(real));
                let anchor = first.plus(Duration::from_secs(awake.unsigned_abs()));
                real += awake;
                let now = at(real + wrong_by);
                kept = lived(Some(first), None, Seen { now, measured: Some(anchor) });
                prop_assert!(kept <= at(real));
            }
        }
    }
}
