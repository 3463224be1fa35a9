//! Tests of the breaker: when it opens, who finds out, how it closes, and who comes back when.

use super::*;

const RULES: BreakerRules = BreakerRules {
    after: 3,
    first: Duration::from_secs(5),
    longest: Duration::from_secs(60),
};

fn at(second: u64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000).plus(Duration::from_secs(second))
}

fn breaker() -> Breaker {
    Breaker::new(RULES, 3, Duration::from_secs(60))
}

fn fail(breaker: &mut Breaker, second: u64) -> Option<Change> {
    breaker.failed("refused".into(), at(second), 1.0)
}

/// Open since second 0, asked again from second 5 on.
fn open() -> Breaker {
    let mut breaker = breaker();
    for _ in 0..RULES.after {
        fail(&mut breaker, 0);
    }
    breaker
}

fn limit(breaker: &mut Breaker, second: u64, pause: Option<u64>) -> Option<Change> {
    let pause = pause.map(Duration::from_secs);
    breaker.limited("slow down".into(), at(second), pause)
}

fn wait(breaker: &mut Breaker, second: u64) -> Away {
    match breaker.admit(at(second)) {
        Admission::Wait(away) => away,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_opens_after_so_many_failures_in_a_row_and_no_sooner() {
    let mut breaker = breaker();
    for _ in 0..5 {
        assert_eq!(fail(&mut breaker, 0), None);
        assert_eq!(fail(&mut breaker, 0), None);
        assert_eq!(breaker.admit(at(0)), Admission::Go);
        assert_eq!(breaker.answered(at(0), true), None);
    }
    fail(&mut breaker, 1);
    fail(&mut breaker, 1);
    let opened = fail(&mut breaker, 1);
    assert_eq!(
        opened,
        Some(Change::Opened {
            because: Because::Silent,
            until: at(6)
        })
    );
    assert!(breaker.is_away(at(1)));
    let away = wait(&mut breaker, 2);
    assert_eq!((away.because, away.until), (Because::Silent, at(6)));
    assert_eq!(away.error.as_deref(), Some("refused"));
}

#[test]
fn what_was_under_way_when_it_opened_says_nothing_new() {
    let mut breaker = open();
    for second in 0..4 {
        assert_eq!(fail(&mut breaker, second), None);
    }
    assert_eq!(wait(&mut breaker, 4).until, at(5));
}

#[test]
fn after_the_cool_down_exactly_one_finds_out() {
    let mut breaker = open();
    assert_eq!(breaker.admit(at(5)), Admission::Knock);
    for second in [5, 6, 30, 64] {
        wait(&mut breaker, second);
    }
    let closed = breaker.answered(at(64), true);
    let after = Duration::from_secs(64);
    assert_eq!(closed, Some(Change::Closed { after }));
    assert_eq!(breaker.admit(at(64)), Admission::Go);
    assert!(!breaker.is_away(at(64)));
}

#[test]
fn the_cool_down_grows_up_to_its_limit_and_begins_anew_after_an_answer() {
    let mut breaker = open();
    let mut now = 5;
    for cool_down in [10, 20, 40, 60, 60] {
        assert_ne!(breaker.admit(at(now)), Admission::Wait(away_nothing()));
        fail(&mut breaker, now);
        assert_eq!(wait(&mut breaker, now).until, at(now + cool_down));
        now += cool_down;
    }
    breaker.answered(at(now), true);
    for _ in 0..RULES.after {
        fail(&mut breaker, now);
    }
    assert_eq!(wait(&mut breaker, now).until, at(now + 5));
}

fn away_nothing() -> Away {
    Away {
        because: Because::Silent,
        until: at(0),
        error: None,
    }
}

#[test]
fn the_cool_down_is_between_half_and_all_of_its_length() {
    for (chance, length) in [(0.0, 2500), (0.5, 3750), (1.0, 5000)] {
        let mut breaker = breaker();
        breaker.failed(String::new(), at(0), chance);
        breaker.failed(String::new(), at(0), chance);
        let opened = breaker.failed(String::new(), at(0), chance);
        let until = at(0).plus(Duration::from_millis(length));
        assert_eq!(
            opened,
            Some(Change::Opened {
                because: Because::Silent,
                until
            })
        );
    }
}

#[test]
fn a_read_and_a_waiting_run_take_turns_in_finding_out() {
    let mut breaker = open();
    let mut found = Vec::new();
    for second in [5, 100, 200, 300] {
        found.push(breaker.admit(at(second)) == Admission::Knock);
        fail(&mut breaker, second);
    }
    assert_eq!(found, [true, false, true, false]);
}

#[test]
fn whoever_was_to_find_out_and_never_said_is_followed_by_another() {
    let mut breaker = open();
    assert_eq!(breaker.admit(at(5)), Admission::Knock);
    wait(&mut breaker, 64);
    assert_eq!(breaker.admit(at(65)), Admission::Go);
    wait(&mut breaker, 66);
}

#[test]
fn a_late_answer_to_an_earlier_request_closes_it_too() {
    let mut breaker = open();
    assert!(breaker.answered(at(1), true).is_some());
    assert_eq!(breaker.admit(at(1)), Admission::Go);
}

#[test]
fn runs_that_are_held_back_come_back_one_after_the_other() {
    let mut breaker = open();
    let back: Vec<Timestamp> = (0..4).map(|_| wait(&mut breaker, 1).until).collect();
    // Three requests each, three requests a second.
    assert_eq!(back, [at(5), at(6), at(7), at(8)]);
    let last = (0..5000).map(|_| wait(&mut breaker, 1).until).max();
    assert!(last <= Some(at(5).plus(LONGEST_SPREAD)), "{last:?}");
}

#[test]
fn a_request_for_patience_holds_all_back_and_nobody_has_to_find_out() {
    let mut breaker = breaker();
    assert_eq!(limit(&mut breaker, 0, Some(30)), None);
    assert_eq!(breaker.admit(at(0)), Admission::Go);
    let held = Some(Change::Held { until: at(30) });
    assert_eq!(limit(&mut breaker, 0, Some(30)), held);
    // What was under way can only make it longer.
    assert_eq!(limit(&mut breaker, 1, Some(10)), None);
    assert_eq!(limit(&mut breaker, 1, None), None);
    assert!(breaker.is_away(at(29)));
    let away = wait(&mut breaker, 29);
    assert_eq!((away.because, away.until), (Because::Asked, at(30)));
    assert_eq!(away.error.as_deref(), Some("slow down"));
    assert_eq!(breaker.held(at(20)), Duration::from_secs(10));
    assert_eq!(breaker.admit(at(30)), Admission::Go);
    assert!(!breaker.is_away(at(30)));
    // It goes on limiting: at once again.
    let held = Some(Change::Held { until: at(31) });
    assert_eq!(limit(&mut breaker, 30, Some(1)), held);
    assert_eq!(limit(&mut breaker, 30, Some(5)), None);
    assert_eq!(breaker.held(at(30)), Duration::from_secs(5));
}

#[test]
fn one_limited_request_among_answers_holds_nobody_back() {
    let mut breaker = breaker();
    for second in 0..20 {
        assert_eq!(limit(&mut breaker, second, Some(30)), None);
        assert_eq!(breaker.answered(at(second), true), None);
    }
    assert_eq!(breaker.admit(at(20)), Admission::Go);
}

#[test]
fn limits_without_a_time_hold_all_back_for_ever_longer() {
    let mut breaker = breaker();
    limit(&mut breaker, 0, None);
    let (mut second, mut holds) = (0, Vec::new());
    for _ in 0..12 {
        assert!(limit(&mut breaker, second, None).is_some());
        holds.push(breaker.held(at(second)).as_secs());
        second += holds.last().unwrap();
    }
    assert_eq!(holds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    breaker.answered(at(second), true);
    limit(&mut breaker, second, None);
    assert_eq!(breaker.admit(at(second)), Admission::Go);
}

#[test]
fn limits_do_not_open_it_and_close_it_when_it_asks() {
    let mut breaker = breaker();
    for second in 0..10 {
        limit(&mut breaker, second, Some(1));
        assert_eq!(breaker.admit(at(second + 1)), Admission::Go);
    }
    // With a failure in between they are not in a row.
    breaker.answered(at(20), true);
    limit(&mut breaker, 20, Some(30));
    fail(&mut breaker, 20);
    limit(&mut breaker, 20, Some(30));
    assert_eq!(breaker.admit(at(20)), Admission::Go);
    let mut breaker = open();
    assert_eq!(breaker.admit(at(5)), Admission::Knock);
    let closed = limit(&mut breaker, 6, Some(30));
    assert!(matches!(closed, Some(Change::Closed { .. })), "{closed:?}");
    assert_eq!(breaker.silent(at(6)), None);
}

#[test]
fn an_open_breaker_that_was_asked_for_patience_waits_for_the_longer_of_both() {
    let mut breaker = open();
    // Those two were under way when it opened, and the third when it was asked.
    limit(&mut breaker, 1, Some(100));
    limit(&mut breaker, 1, Some(100));
    for _ in 0..RULES.after {
        fail(&mut breaker, 2);
    }
    assert_eq!(wait(&mut breaker, 50).until, at(101));
    assert_eq!(breaker.admit(at(101)), Admission::Knock);
}

#[test]
fn a_breaker_that_is_switched_off_never_opens() {
    let mut breaker = Breaker::new(BreakerRules::OFF, 5, Duration::ZERO);
    for second in 0..1000 {
        assert_eq!(fail(&mut breaker, second), None);
        assert_eq!(breaker.admit(at(second)), Admission::Go);
    }
    assert_eq!(breaker.silent(at(1000)), None);
}

#[test]
fn an_attempt_that_failed_learns_whether_the_supplier_is_away() {
    let mut breaker = breaker();
    fail(&mut breaker, 0);
    assert_eq!(breaker.silent(at(0)), None);
    let mut breaker = open();
    assert_eq!(breaker.silent(at(1)).map(|away| away.until), Some(at(5)));
    breaker.admit(at(5));
    assert!(breaker.silent(at(6)).is_some());
    breaker.answered(at(6), true);
    assert_eq!(breaker.silent(at(6)), None);
}

fn refuse(breaker: &mut Breaker, second: u64) -> Option<Change> {
    breaker.refused(KEY, "no".into(), at(second), 1.0)
}

const KEY: Refusal = Refusal {
    cause: crate::domain::Cause::Key,
    number: 401,
};

#[test]
fn one_refusal_of_the_account_opens_it_and_only_the_accounts_own_credentials_close_it() {
    let mut breaker = breaker();
    let because = Because::Refused(KEY);
    let until = at(5);
    assert_eq!(
        refuse(&mut breaker, 0),
        Some(Change::Opened { because, until })
    );
    assert_eq!(refuse(&mut breaker, 1), None, "it was under way");
    assert_eq!(wait(&mut breaker, 2).because, because);
    assert_eq!(breaker.answered(at(3), false), None, "a client's own key");
    limit(&mut breaker, 3, None);
    assert_eq!(wait(&mut breaker, 4).because, because);
    assert_eq!(breaker.admit(at(5)), Admission::Knock);
    assert_eq!(refuse(&mut breaker, 6), None);
    assert_eq!(wait(&mut breaker, 15).until, at(16), "twice as long");
    assert!(breaker.answered(at(20), true).is_some());
    assert_eq!(breaker.admit(at(20)), Admission::Go);
    // It comes and goes: the same refusal goes on.
    refuse(&mut breaker, 30);
    assert_eq!(wait(&mut breaker, 31).until, at(50));
    assert_eq!(
        breaker.outage().map(|(_, since, _)| since),
        Some(at(0)),
        "since it began"
    );
}
