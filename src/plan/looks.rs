//! When a device that is being built is looked at next. Pure.
//!
//! A look costs one of the hour's requests, so looks are dense only around the time that the
//! product usually takes, and rare before and after.

use std::time::Duration;

use super::settle::Build;

/// Without experience the pause grows with the age, up to this: a build takes about 17 minutes.
const LONGEST_UNTAUGHT: Duration = Duration::from_mins(4);
/// The longest pause for an order that is long overdue.
const LONGEST_OVERDUE: Duration = Duration::from_mins(30);
/// A product that was never built is overdue after this.
const OVERDUE_UNTAUGHT: Duration = Duration::from_hours(4);
/// A build is not overdue before this much more than usual.
const SLACK: Duration = Duration::from_hours(1);

/// How long to wait until the next look at this build. Where its age is in doubt it is looked at by the
/// age that asks for it sooner: a clock that was set forward makes no look late.
pub(super) fn next_look_of(build: Build, poll: Duration) -> Duration {
    let by = |age| next_look(age, build.usual, poll);
    by(build.age).min(by(build.measured))
}

/// How long a build took that has just ended, if that was measured: what a clock that was set forward says
/// would make later looks late.
pub fn learned_build(age: Duration, measured: Duration) -> Option<Duration> {
    (age.saturating_sub(measured) <= age / 8).then_some(age)
}

/// How long to wait until the next look at a build of this age, whose product usually takes
/// `usual`; never shorter than `poll`.
fn next_look(age: Duration, usual: Option<Duration>, poll: Duration) -> Duration {
    let Some(usual) = usual else {
        return untaught(age, poll);
    };
    let share = |numerator: u32, denominator: u32| usual.saturating_mul(numerator) / denominator;
    // What is learned is late by up to a pause between two dense looks.
    let (early, dense, over) = (share(2, 5), share(9, 10), share(3, 2));
    let pause = if age < early {
        // One look early on, for an order that is cancelled at once.
        early.saturating_sub(age)
    } else if age < dense {
        dense.saturating_sub(age)
    } else if age < over {
        usual / 16
    } else {
        (age.saturating_sub(usual) / 3)
            .min(LONGEST_OVERDUE)
            .max(usual / 16)
    };
    pause.min(LONGEST_OVERDUE).max(poll)
}

/// Doubling from the second interval on: no build is over in the first, and each look counts where
/// every customer has an account of its own.
fn untaught(age: Duration, poll: Duration) -> Duration {
    age.max(poll.saturating_mul(2))
        .min(LONGEST_UNTAUGHT)
        .max(poll)
}

/// Whether a build of this age takes far longer than its product usually does.
pub(super) fn is_overdue(age: Duration, usual: Option<Duration>) -> bool {
    let limit = usual.map_or(OVERDUE_UNTAUGHT, |usual| {
        usual.saturating_mul(3).max(usual.saturating_add(SLACK))
    });
    age > limit
}

/// What a product usually takes: the middle of its last builds.
pub fn usual_build(mut took: Vec<Duration>) -> Option<Duration> {
    took.sort_unstable();
    took.get(took.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLL: Duration = Duration::from_secs(20);
    const MINUTE: u64 = 60;

    /// The ages at which a build that takes `build` is looked at, the last one included.
    fn ages(build: Duration, usual: Option<Duration>) -> Vec<u64> {
        // The first pause is asked for in the moment of the order.
        let mut age = Duration::ZERO;
        let mut ages = Vec::new();
        while age < build {
            age += next_look(age, usual, POLL);
            ages.push(age.as_secs());
        }
        ages
    }

    #[test]
    fn a_build_of_seventeen_minutes_takes_seven_looks_at_first_and_four_once_that_is_known() {
        let build = Duration::from_secs(17 * MINUTE);
        assert_eq!(ages(build, None), [40, 80, 160, 320, 560, 800, 1040]);
        assert_eq!(ages(build, Some(build)), [408, 918, 981, 1045]);
    }

    #[test]
    fn a_quick_product_is_looked_at_no_oftener_than_the_interval() {
        let quick = Duration::from_secs(45);
        assert_eq!(ages(quick, Some(quick)), [20, 40, 60]);
    }

    #[test]
    fn an_order_that_people_verify_is_looked_at_rarely_and_told_of_once_it_is_far_overdue() {
        let usual = Some(Duration::from_secs(17 * MINUTE));
        let day = Duration::from_hours(24);
        assert_eq!(next_look(day, usual, POLL), LONGEST_OVERDUE);
        assert!(!is_overdue(Duration::from_mins(70), usual));
        assert!(is_overdue(Duration::from_mins(78), usual));
        assert!(!is_overdue(Duration::from_hours(3), None));
        assert!(is_overdue(Duration::from_hours(5), None));
    }

    #[test]
    fn a_clock_that_is_set_forward_by_an_hour_makes_no_look_late_and_teaches_nothing() {
        let (hour, measured) = (Duration::from_hours(1), Duration::from_secs(20));
        let usual = Some(Duration::from_secs(30));
        let age = hour + measured;
        let build = Build {
            age,
            measured,
            usual,
        };
        assert!(next_look(age, usual, POLL) > Duration::from_mins(15));
        assert_eq!(next_look_of(build, POLL), POLL);
        assert_eq!(learned_build(age, measured), None);
        let all_but_seconds = hour + Duration::from_secs(15);
        assert_eq!(learned_build(age, all_but_seconds), Some(age));
    }

    #[test]
    fn the_usual_build_is_the_middle_one() {
        let seconds = |list: &[u64]| list.iter().map(|s| Duration::from_secs(*s)).collect();
        assert_eq!(usual_build(Vec::new()), None);
        let usual = usual_build(seconds(&[1_000, 90_000, 1_020, 980, 1_040]));
        assert_eq!(usual, Some(Duration::from_secs(1_020)));
    }

    proptest! {
        #[test]
        fn looks_are_never_closer_than_the_interval_nor_further_than_half_an_hour(
            age in 0_u64..1_000_000, usual in prop::option::of(0_u64..200_000), poll in 1_u64..600,
        ) {
            let poll = Duration::from_secs(poll);
            let usual = usual.map(Duration::from_secs);
            let pause = next_look(Duration::from_secs(age), usual, poll);
            prop_assert!(pause >= poll);
            prop_assert!(pause <= LONGEST_OVERDUE.max(poll), "{pause:?}");
        }
    }
}
