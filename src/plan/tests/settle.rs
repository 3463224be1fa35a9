//! Every outcome for every kind of step, and what may be sent after it.

use std::time::Duration;

use serde_json::json;

use crate::domain::{
    Again, Allowance, Decision, Done, Entropy, Outcome, PauseReason, Permit, Step, StepAction,
    StepStatus, Timestamp,
};

use super::super::{
    Build, Moment, Next, RetryRules, Settled, begin, interrupted, permit, retry, settle, tell_slow,
};

pub(super) struct Fixed(pub(super) u64);

impl Entropy for Fixed {
    fn next(&self) -> u64 {
        self.0
    }
}

pub(super) const RULES: RetryRules = RetryRules {
    initial: Duration::from_secs(1),
    max: Duration::from_secs(900),
    max_attempts: 12,
    poll_interval: Duration::from_secs(20),
    absent_after: Duration::from_secs(120),
};

pub(super) fn now() -> Timestamp {
    Timestamp::parse("2026-11-21T12:00:00Z").unwrap()
}

fn after(duration: Duration) -> Timestamp {
    now().plus(duration)
}

pub(super) fn create() -> Step {
    step(StepAction::DeployDevice {
        product_id: 584,
        location: "TPA1".into(),
        os: "Ubuntu 22.04".into(),
        hostname: "srv1.example.com".into(),
        period: "monthly".into(),
        tag: "billhook:whmcs:501".into(),
    })
}

pub(super) fn destructive() -> Step {
    step(StepAction::ReloadDevice {
        os: "Debian 12".into(),
        hostname: "srv1.example.com".into(),
        tag: "billhook:whmcs:501".into(),
    })
}

pub(super) fn harmless() -> Step {
    step(StepAction::CancelDevice {
        tag: "billhook:whmcs:501".into(),
    })
}

fn step(action: StepAction) -> Step {
    begin(Step::new(1, action), true, now())
}

fn settled(step: Step, outcome: &Outcome) -> Settled {
    settle(step, outcome, now(), &Fixed(u64::MAX), &RULES)
}

pub(super) fn due(settled: &Settled) -> Timestamp {
    match &settled.next {
        Next::At { due, .. } => *due,
        other => panic!("{other:?}"),
    }
}

fn reason(settled: &Settled) -> &str {
    match &settled.next {
        Next::Pause { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

fn why(settled: &Settled) -> PauseReason {
    match &settled.next {
        Next::Pause { why, .. } => *why,
        other => panic!("{other:?}"),
    }
}

fn ambiguous() -> Outcome {
    Outcome::Ambiguous("the connection was reset".into())
}

fn unavailable(retry_after: Option<u64>) -> Outcome {
    Outcome::Unavailable {
        error: "503".into(),
        retry_after: retry_after.map(Duration::from_secs),
    }
}

#[test]
fn beginning_counts_the_attempt_and_keeps_the_first_time() {
    let again = begin(create(), true, after(Duration::from_secs(5)));
    assert_eq!(
        (again.status, again.attempts, again.began_at),
        (StepStatus::Running, 2, Some(now()))
    );
}

#[test]
fn done_and_already_so_both_succeed() {
    let done = Done {
        output: json!({"device_id": 7001}),
        ..Done::default()
    };
    let ended = settled(create(), &Outcome::Done(done.clone()));
    assert_eq!(
        (ended.step.status, ended.next),
        (StepStatus::Succeeded, Next::Go)
    );
    assert_eq!(ended.step.output, json!({"device_id": 7001}));
    let ended = settled(create(), &Outcome::AlreadySo(done));
    assert_eq!(
        (ended.step.status, ended.next),
        (StepStatus::Succeeded, Next::Go)
    );
    assert_eq!(
        ended.step.output,
        json!({"device_id": 7001, "already": true})
    );
    let ended = settled(create(), &Outcome::AlreadySo(Done::default()));
    assert_eq!(ended.step.output, json!({"already": true}));
}

#[test]
fn success_forgets_that_the_outcome_was_unknown() {
    let unknown = settled(create(), &ambiguous()).step;
    let found = settled(
        begin(unknown, true, now()),
        &Outcome::AlreadySo(Done::default()),
    )
    .step;
    assert_eq!(
        (found.unknown_since, found.error, found.failures),
        (None, None, 0)
    );
}

#[test]
fn every_pause_has_its_word() {
    let last = |mut step: Step| {
        step.failures = RULES.max_attempts - 1;
        step
    };
    let refused = Outcome::Rejected("out of stock".into());
    assert_eq!(why(&settled(create(), &refused)), PauseReason::Refused);
    let spent = settled(last(harmless()), &unavailable(None));
    assert_eq!(why(&spent), PauseReason::RetriesSpent);
    let unclear = settled(last(create()), &ambiguous());
    assert_eq!(why(&unclear), PauseReason::UnknownOutcome);
    let wiped = settled(destructive(), &Outcome::Absent);
    assert_eq!(why(&wiped), PauseReason::UnknownOutcome);
    let mut old = harmless();
    old.began_at = Some(now().minus(Duration::from_hours(2)));
    let on_its_way = Outcome::NotYet {
        waiting_for: "device 7 to be off".into(),
        again: Again::Soon,
    };
    assert_eq!(why(&settled(old, &on_its_way)), PauseReason::TooSlow);
}

#[test]
fn a_refusal_pauses_at_once() {
    let ended = settled(create(), &Outcome::Rejected("out of stock".into()));
    assert_eq!(ended.step.status, StepStatus::Paused);
    assert_eq!(ended.step.error.as_deref(), Some("out of stock"));
    assert!(reason(&ended).contains("hivelocity.deploy_device was refused: out of stock"));
}

#[test]
fn a_slow_device_is_looked_at_in_the_poll_interval_and_never_fails_by_waiting() {
    let mut waiting = step(StepAction::AwaitDevice {
        tag: "billhook:whmcs:501".into(),
    });
    waiting.failures = 11;
    for _ in 0..1000 {
        let outcome = Outcome::NotYet {
            waiting_for: "the device".into(),
            again: Again::Slow,
        };
        let ended = settled(begin(waiting, true, now()), &outcome);
        assert_eq!(due(&ended), after(RULES.poll_interval));
        assert_eq!(
            (ended.step.status, ended.step.failures),
            (StepStatus::Waiting, 0)
        );
        waiting = ended.step;
    }
}

#[test]
fn looking_soon_begins_after_half_an_interval_and_slows_down() {
    let outcome = Outcome::NotYet {
        waiting_for: "power".into(),
        again: Again::Soon,
    };
    let mut waiting = harmless();
    let mut delays = Vec::new();
    for _ in 0..4 {
        let ended = settled(waiting, &outcome);
        delays.push(due(&ended).since(now()).as_secs());
        waiting = begin(ended.step, true, now());
    }
    assert_eq!(delays, [10, 30, 30, 30]);
}

#[test]
fn failures_pause_the_run_when_they_are_spent() {
    let mut trying = harmless();
    for failure in 1..RULES.max_attempts {
        let ended = settled(trying, &unavailable(None));
        assert_eq!(
            (ended.step.status, ended.step.failures),
            (StepStatus::Waiting, failure)
        );
        trying = begin(ended.step, true, now());
    }
    let ended = settled(trying, &unavailable(None));
    assert_eq!(ended.step.status, StepStatus::Paused);
    assert_eq!(reason(&ended), "gave up after 12 attempts: 503");
}

#[test]
fn a_longer_retry_after_wins_and_a_shorter_one_does_not() {
    assert_eq!(
        due(&settled(harmless(), &unavailable(Some(300)))),
        after(Duration::from_secs(300))
    );
    let mut late = harmless();
    late.failures = 10;
    assert!(due(&settled(late, &unavailable(Some(1)))) > after(Duration::from_secs(800)));
    let absurd = settled(harmless(), &unavailable(Some(u64::MAX)));
    assert_eq!(due(&absurd), after(Duration::from_secs(86_400)));
}

#[test]
fn an_unclear_harmless_step_is_simply_tried_again() {
    let ended = settled(harmless(), &ambiguous());
    assert_eq!(
        (ended.step.status, ended.step.unknown_since),
        (StepStatus::Waiting, None)
    );
    assert_eq!(permit(&ended.step, now(), &RULES), Permit::Send);
}

#[test]
fn an_unclear_create_is_only_looked_for_until_the_mark_had_time_to_appear() {
    let ended = settled(create(), &ambiguous());
    assert_eq!(
        (ended.step.status, ended.step.unknown_since),
        (StepStatus::Unknown, Some(now()))
    );
    assert_eq!(due(&ended), after(Duration::from_millis(500)));
    let running = begin(ended.step, true, now());
    let last_look = after(Duration::from_micros(119_999_999));
    assert_eq!(permit(&running, last_look, &RULES), Permit::LookOnly);
    assert_eq!(
        permit(&running, now().minus(Duration::from_secs(60)), &RULES),
        Permit::LookOnly,
        "a clock set back"
    );
    assert_eq!(
        permit(&running, after(RULES.absent_after), &RULES),
        Permit::Send
    );
}

#[test]
fn looks_that_find_nothing_neither_fail_nor_start_the_window_anew() {
    let mut unknown = settled(create(), &ambiguous()).step;
    let mut clock = now();
    while permit(&unknown, clock, &RULES) == Permit::LookOnly {
        let ended = settle(
            begin(unknown, true, clock),
            &Outcome::Absent,
            clock,
            &Fixed(0),
            &RULES,
        );
        assert_eq!(
            (ended.step.status, ended.step.unknown_since),
            (StepStatus::Unknown, Some(now()))
        );
        assert_eq!(ended.step.failures, 1);
        let next = due(&ended);
        assert!(next.since(clock) <= Duration::from_secs(60) && next > clock);
        (unknown, clock) = (ended.step, next);
    }
    assert_eq!(
        clock,
        after(RULES.absent_after),
        "the last look falls on the end of the window"
    );
}

#[test]
fn a_second_unclear_answer_starts_the_window_anew() {
    let unknown = settled(create(), &ambiguous()).step;
    let later = after(RULES.absent_after);
    let ended = settle(
        begin(unknown, true, later),
        &ambiguous(),
        later,
        &Fixed(0),
        &RULES,
    );
    assert_eq!(ended.step.unknown_since, Some(later));
    assert_eq!(
        permit(&ended.step, later.plus(Duration::from_secs(119)), &RULES),
        Permit::LookOnly
    );
}

#[test]
fn an_outage_during_the_looking_does_not_make_an_unknown_step_known() {
    let unknown = settled(create(), &ambiguous()).step;
    let ended = settled(begin(unknown, true, now()), &unavailable(None));
    assert_eq!(
        (ended.step.status, ended.step.unknown_since),
        (StepStatus::Unknown, Some(now()))
    );
}

#[test]
fn unclear_answers_end_at_a_person_who_is_told_what_to_look_for() {
    let mut unknown = create();
    unknown.failures = 11;
    let ended = settled(unknown, &ambiguous());
    assert_eq!(ended.step.status, StepStatus::Paused);
    assert!(reason(&ended).contains("unknown") && reason(&ended).contains("billhook:whmcs:501"));
    let again = retry(ended.step);
    assert_eq!((again.status, again.failures), (StepStatus::Unknown, 0));
    assert_eq!(
        permit(&again, now(), &RULES),
        Permit::LookOnly,
        "a person's retry looks first, too"
    );
}

#[test]
fn a_create_that_is_under_way_is_not_sent_again_while_it_cannot_be_seen() {
    let outcome = Outcome::NotYet {
        waiting_for: "the order".into(),
        again: Again::Soon,
    };
    let waiting = settled(create(), &outcome).step;
    assert_eq!(waiting.status, StepStatus::Unknown);
    assert_eq!(
        permit(&waiting, after(Duration::from_secs(60)), &RULES),
        Permit::LookOnly
    );
    assert_eq!(
        permit(&waiting, after(RULES.absent_after), &RULES),
        Permit::Send
    );
}

#[test]
fn an_unclear_reload_is_never_sent_again_without_a_person() {
    let ended = settled(destructive(), &ambiguous());
    assert_eq!(ended.step.status, StepStatus::Unknown);
    let much_later = after(Duration::from_secs(1_000_000));
    assert_eq!(permit(&ended.step, much_later, &RULES), Permit::LookOnly);
    let ended = settled(begin(ended.step, true, now()), &Outcome::Absent);
    assert_eq!(ended.step.status, StepStatus::Paused);
    assert!(reason(&ended).contains("may or may not have been carried out"));
    let again = retry(ended.step);
    assert_eq!(permit(&again, now(), &RULES), Permit::Send);
}

#[test]
fn an_attempt_cut_off_by_a_crash_is_unclear_unless_it_is_harmless() {
    let later = after(Duration::from_secs(60));
    for cut in [create(), destructive()] {
        let found = interrupted(cut, later);
        assert_eq!(
            (found.status, found.unknown_since),
            (StepStatus::Unknown, Some(later))
        );
        assert_eq!(permit(&found, later, &RULES), Permit::LookOnly);
    }
    let found = interrupted(harmless(), later);
    assert_eq!(
        (found.status, found.unknown_since),
        (StepStatus::Waiting, None)
    );
    let untouched = Step::new(1, create().action);
    assert_eq!(interrupted(untouched.clone(), later), untouched);
}

#[test]
fn an_attempt_that_only_read_was_cut_off_without_harm() {
    let later = after(Duration::from_secs(60));
    let found = interrupted(begin(create(), false, now()), later);
    assert_eq!(
        (found.status, found.unknown_since),
        (StepStatus::Waiting, None)
    );
    let unknown = settled(create(), &ambiguous()).step;
    let found = interrupted(begin(unknown, false, later), later);
    assert_eq!(
        (found.status, found.unknown_since),
        (StepStatus::Unknown, Some(now()))
    );
    let ended = settled(begin(create(), false, now()), &ambiguous());
    assert_eq!(ended.step.unknown_since, None, "nothing was sent");
}

#[test]
fn what_was_seen_before_an_order_is_stored_and_the_order_follows_at_once() {
    let ended = settled(begin(create(), false, now()), &Outcome::Prepared);
    assert_eq!(ended.next, Next::Again);
    assert_eq!(
        (ended.step.status, ended.step.unknown_since),
        (StepStatus::Waiting, None)
    );
}

#[test]
fn a_clock_that_is_set_forward_ends_no_window() {
    let unknown = settled(create(), &ambiguous()).step;
    let an_hour_on = after(Duration::from_hours(1));
    let moment = Moment {
        now: an_hour_on,
        proven: after(Duration::from_secs(3)),
        waited: None,
        build: None,
    };
    let looking = begin(unknown, false, an_hour_on);
    let ended = settle(looking, &Outcome::Absent, moment, &Fixed(0), &RULES);
    assert_eq!(ended.step.unknown_since, Some(now()));
    let next = due(&ended).since(an_hour_on);
    assert!(
        next > Duration::ZERO && next <= RULES.absent_after,
        "{next:?}"
    );
    assert_eq!(permit(&ended.step, moment.proven, &RULES), Permit::LookOnly);
}

#[test]
fn two_things_with_one_mark_pause_and_only_what_was_shown_is_allowed() {
    let decision = Decision {
        why: PauseReason::DeviceTwice,
        sentence: "two devices".into(),
        allows: Some(Allowance::CancelDevices(vec![51])),
    };
    let mut step = harmless();
    step.approved = true;
    let ended = settled(step, &Outcome::NeedsPerson(decision));
    assert!(matches!(
        ended.next,
        Next::Pause {
            why: PauseReason::DeviceTwice,
            ..
        }
    ));
    let allowed = Some(Allowance::CancelDevices(vec![51]));
    assert_eq!((ended.step.approved, &ended.step.allows), (false, &allowed));
    let mut approved = ended.step.clone();
    approved.approved = true;
    assert_eq!(retry(approved.clone()).allows, allowed);
    assert_eq!(retry(ended.step).allows, None, "a retry allows nothing");
    let refused = settled(approved, &Outcome::Rejected("no".into()));
    assert_eq!(refused.step.allows, None, "another pause asks anew");
}

#[test]
fn a_build_that_takes_far_too_long_is_told_once_and_goes_on() {
    let build = Some(Build {
        age: Duration::from_hours(5),
        measured: Duration::from_hours(5),
        usual: Some(Duration::from_mins(17)),
    });
    let moment = Moment {
        build,
        ..Moment::from(now())
    };
    let outcome = Outcome::NotYet {
        waiting_for: "the device".into(),
        again: Again::Build,
    };
    let mut step = settle(harmless(), &outcome, moment, &Fixed(0), &RULES).step;
    assert_eq!(step.status, StepStatus::Waiting);
    let words = tell_slow(&mut step, build).unwrap();
    assert!(words.contains("300 minutes") && words.contains("17 minutes"));
    assert_eq!(tell_slow(&mut step, build), None);
}

#[test]
fn a_crash_in_the_attempt_that_sends_again_starts_the_window_anew() {
    let unknown = settled(create(), &ambiguous()).step;
    let sending = after(RULES.absent_after);
    let running = begin(unknown, true, sending);
    assert_eq!(permit(&running, sending, &RULES), Permit::Send);
    let found = interrupted(running, sending);
    assert_eq!(
        permit(&found, sending.plus(Duration::from_secs(1)), &RULES),
        Permit::LookOnly
    );
}
