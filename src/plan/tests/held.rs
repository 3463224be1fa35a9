//! Steps whose upstream is away: nothing is counted, nothing is sent twice, the words are plain.

use std::time::Duration;

use crate::domain::{
    Again, Away, Because, Cause, Done, Outcome, PauseReason, Permit, Refusal, Step, StepStatus,
    Timestamp,
};

use super::super::{Next, held, permit, retry, settle, spared};
use super::settle::{Fixed, RULES, create, destructive, due, harmless, now};

fn away(because: Because) -> Away {
    Away {
        because,
        until: now().plus(Duration::from_secs(30)),
        error: Some("Hivelocity could not be reached: refused".into()),
    }
}

fn unavailable() -> Outcome {
    Outcome::Unavailable {
        error: "Hivelocity answered 500: oops".into(),
        retry_after: Some(Duration::from_secs(90)),
    }
}

#[test]
fn a_step_that_is_held_waits_and_counts_no_failure() {
    let silent = away(Because::Silent);
    for mut step in [create(), harmless(), destructive()] {
        step.failures = 11;
        let ended = held(step, &silent, now());
        assert_eq!(ended.step.failures, 11);
        assert_eq!(ended.step.status, StepStatus::Waiting);
        assert_eq!(ended.step.error, silent.error);
        assert_eq!(due(&ended), silent.until);
    }
}

#[test]
fn the_words_say_who_is_waited_for_and_until_when() {
    for (because, begins) in [
        (Because::Silent, "Hivelocity does not answer; "),
        (Because::Asked, "Hivelocity asked for patience; "),
        (Because::Crowded, "more requests wait for Hivelocity "),
        (
            Because::HourSpent { most: 3600 },
            "Hivelocity's hour of 3600 requests is used up; ",
        ),
        (
            Because::HourSpent { most: 0 },
            "Hivelocity's requests of this hour are used up; ",
        ),
        (
            Because::HourKept,
            "the rest of Hivelocity's hour is kept for suspensions; ",
        ),
        (
            Because::Refused(Refusal {
                cause: Cause::Key,
                number: 401,
            }),
            "Hivelocity refuses the API key (401): put the right key into hivelocity.api_key and restart; ",
        ),
    ] {
        let ended = held(create(), &away(because), now());
        let Next::At { waiting_for, .. } = ended.next else {
            panic!("{:?}", ended.next)
        };
        assert!(waiting_for.starts_with(begins), "{waiting_for}");
        let ends = "tried again at 2026-11-21T12:00:31Z";
        assert!(waiting_for.ends_with(ends), "{waiting_for}");
    }
}

#[test]
fn an_hour_that_is_used_up_is_no_limit_that_a_person_hears_of() {
    let spent = away(Because::HourSpent { most: 3600 });
    let mut step = create();
    for _ in 0..100 {
        step = settle(
            step,
            &Outcome::Held(spent.clone()),
            now(),
            &Fixed(0),
            &RULES,
        )
        .step;
        assert_eq!((step.failures, step.limited_since), (0, None));
        assert_eq!(step.status, StepStatus::Waiting);
    }
}

#[test]
fn a_step_that_has_not_begun_stays_so_and_a_time_that_is_over_is_not_due_at_once() {
    let mut step = create();
    step.status = StepStatus::Pending;
    let mut over = away(Because::Silent);
    over.until = now().minus(Duration::from_secs(5));
    let ended = held(step, &over, now());
    assert_eq!(ended.step.status, StepStatus::Pending);
    assert!(due(&ended) > now());
}

#[test]
fn the_time_in_which_nobody_could_look_proves_nothing() {
    let mut step = create();
    step.unknown_since = Some(now());
    let later = now().plus(Duration::from_hours(3));
    assert_eq!(permit(&step, later, &RULES), Permit::Send);
    let mut silent = away(Because::Silent);
    silent.until = later.plus(RULES.absent_after.saturating_mul(2));
    let ended = held(step, &silent, later);
    assert_eq!(ended.step.status, StepStatus::Unknown);
    // The first look since it went away is only a look, however long it was away.
    let again = due(&ended);
    assert_eq!(permit(&ended.step, later, &RULES), Permit::LookOnly);
    assert_eq!(permit(&ended.step, again, &RULES), Permit::LookOnly);
    let after = again.plus(RULES.absent_after);
    assert_eq!(permit(&ended.step, after, &RULES), Permit::Send);
}

#[test]
fn what_failed_because_the_supplier_is_away_is_not_counted() {
    let mut step = harmless();
    step.failures = RULES.max_attempts - 1;
    for outcome in [unavailable(), Outcome::Ambiguous("reset".into())] {
        let outcome = spared(&step, outcome, Some(away(Because::Silent)), now());
        let ended = settle(step.clone(), &outcome, now(), &Fixed(0), &RULES);
        assert!(matches!(ended.next, Next::At { .. }), "{:?}", ended.next);
        assert_eq!(ended.step.failures, RULES.max_attempts - 1);
    }
}

#[test]
fn a_retry_after_that_is_longer_than_the_pause_wins() {
    let outcome = spared(&create(), unavailable(), Some(away(Because::Silent)), now());
    let ended = settle(create(), &outcome, now(), &Fixed(0), &RULES);
    assert_eq!(due(&ended), now().plus(Duration::from_secs(90)));
}

#[test]
fn what_may_have_taken_effect_stays_unclear_whoever_is_away() {
    for step in [create(), destructive()] {
        let lost = Outcome::Ambiguous("reset".into());
        let outcome = spared(&step, lost.clone(), Some(away(Because::Silent)), now());
        assert_eq!(outcome, lost);
    }
}

#[test]
fn what_the_supplier_answered_counts_whatever_became_of_others() {
    let outcomes = [
        Outcome::Done(Done::default()),
        Outcome::Rejected("out of stock".into()),
        Outcome::Absent,
    ];
    for outcome in outcomes {
        let spared = spared(
            &create(),
            outcome.clone(),
            Some(away(Because::Silent)),
            now(),
        );
        assert_eq!(spared, outcome);
    }
    let counted = spared(&create(), unavailable(), None, now());
    assert_eq!(counted, unavailable());
}

#[test]
fn an_outage_does_not_use_up_the_patience_with_something_slow() {
    let on_its_way = Outcome::NotYet {
        waiting_for: "device 7 to be off".into(),
        again: Again::Soon,
    };
    let later = now().plus(Duration::from_hours(2));
    let step = held(harmless(), &away(Because::Silent), later).step;
    let ended = settle(step, &on_its_way, later, &Fixed(0), &RULES);
    assert!(matches!(ended.next, Next::At { .. }), "{:?}", ended.next);
}

#[test]
fn the_time_in_which_a_busy_supplier_limits_requests_counts() {
    let mut step = create();
    step.unknown_since = Some(now());
    for because in [
        Because::Asked,
        Because::Crowded,
        Because::HourSpent { most: 3600 },
        Because::HourKept,
    ] {
        let ended = held(step.clone(), &away(because), now());
        assert_eq!(ended.step.unknown_since, Some(now()), "{because:?}");
    }
}

#[test]
fn a_step_that_met_nothing_but_limits_for_a_day_reaches_a_person() {
    let limited = |step, now: Timestamp| {
        let until = now.plus(Duration::from_secs(30));
        let away = Away {
            until,
            ..away(Because::Asked)
        };
        settle(step, &Outcome::Held(away), now, &Fixed(0), &RULES)
    };
    let hour = |hours| now().plus(Duration::from_hours(hours));
    for (mut step, why) in [
        (harmless(), PauseReason::RetriesSpent),
        (unclear(), PauseReason::UnknownOutcome),
    ] {
        for hours in 0..24 {
            let ended = limited(step, hour(hours));
            assert_eq!(due(&ended), hour(hours).plus(Duration::from_secs(30)));
            step = ended.step;
        }
        assert_eq!(step.failures, 0);
        let ended = limited(step.clone(), hour(24));
        let Next::Pause { why: found, reason } = ended.next else {
            panic!("{:?}", ended.next)
        };
        assert_eq!(found, why);
        assert!(reason.starts_with("gave up after a day: "), "{reason}");
        assert_eq!(step.in_vain, 24);
        // Anything else in between begins the day anew, and so does a person.
        for step in [
            settle(step.clone(), &unavailable(), hour(23), &Fixed(0), &RULES).step,
            held(step, &away(Because::Silent), hour(23)).step,
            retry(ended.step),
        ] {
            due(&limited(step, hour(24)));
        }
    }
}

fn unclear() -> Step {
    let mut step = create();
    step.unknown_since = Some(now());
    step
}
