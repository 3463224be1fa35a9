//! However answers, crashes and people fall together: nothing is created twice in the window.

use std::time::Duration;

use proptest::prelude::*;

use crate::domain::{Again, Outcome, Permit, Step, Timestamp};

use super::super::{Next, begin, interrupted, permit, retry, settle};
use super::settle::{Fixed, RULES, create, due, harmless, now};

/// Surely not done.
fn unavailable(retry_after: Option<Duration>) -> Outcome {
    Outcome::Unavailable {
        error: "503".into(),
        retry_after,
    }
}

proptest! {
    #[test]
    fn the_pause_after_a_failure_stays_below_its_doubling_ceiling(failures in 0_u32..11, bits: u64) {
        let mut trying = harmless();
        trying.failures = failures;
        let ended = settle(trying, &unavailable(None), now(), &Fixed(bits), &RULES);
        let delay = due(&ended).since(now());
        let ceiling = RULES.initial.saturating_mul(1 << failures).min(RULES.max);
        prop_assert!(delay >= Duration::from_millis(1) && delay <= ceiling, "{delay:?} {ceiling:?}");
    }

    /// However the answers fall, two requests that create are never closer than the window,
    /// unless the first one surely did nothing.
    #[test]
    fn nothing_is_created_twice_within_the_window(answers in prop::collection::vec(0_u8..6, 1..60), bits: u64) {
        let mut current = Step::new(1, create().action);
        let mut clock = now();
        let mut perhaps_created: Option<Timestamp> = None;
        for answer in answers {
            let allowed = permit(&current, clock, &RULES) == Permit::Send;
            if let (true, Some(before)) = (allowed, perhaps_created) {
                prop_assert!(clock.since(before) >= RULES.absent_after);
            }
            current = begin(current, true, clock);
            if answer == 5 {
                if allowed {
                    perhaps_created = Some(clock);
                }
                current = interrupted(current, clock);
                continue;
            }
            let outcome = match (answer, allowed) {
                (0 | 1, true) => Outcome::Ambiguous("reset".into()),
                (2, true) => Outcome::NotYet { waiting_for: "it".into(), again: Again::Soon },
                (3, _) => unavailable(Some(Duration::from_secs(3))),
                (_, true) => unavailable(None),
                (_, false) => Outcome::Absent,
            };
            if allowed && matches!(outcome, Outcome::Ambiguous(_) | Outcome::NotYet { .. }) {
                perhaps_created = Some(clock);
            }
            let ended = settle(current, &outcome, clock, &Fixed(bits), &RULES);
            match ended.next {
                Next::At { due, .. } => clock = due,
                Next::Pause { .. } => {
                    current = retry(ended.step);
                    continue;
                }
                Next::Go | Next::Again => unreachable!(),
            }
            current = ended.step;
        }
    }
}
