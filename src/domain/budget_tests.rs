//! Tests: an hour of requests, in whatever order it is taken and heard of.

use proptest::prelude::*;

use super::*;

const MOST: u32 = 3600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(1_000_000 + second)
}

fn lease(kept: Option<Hour>, rank: Rank, second: i64) -> Counted {
    Hour::after(kept, &Demand::Lease { rank, most: MOST }, at(second))
}

/// Takes until nothing is left for this rank; answers how much that was.
fn drain(kept: &mut Option<Hour>, rank: Rank, second: i64) -> u32 {
    let mut taken = 0;
    loop {
        let counted = lease(*kept, rank, second);
        *kept = counted.hour;
        taken += counted.granted;
        if counted.granted == 0 {
            return taken;
        }
    }
}

fn rate(remaining: u32, reset: u64) -> RateLimit {
    RateLimit {
        limit: Some(MOST),
        remaining: Some(remaining),
        reset: Some(Duration::from_secs(reset)),
    }
}

fn heard(known: Hour, rate: RateLimit, asked: i64) -> Heard {
    Heard {
        rate,
        refused: false,
        asked_at: at(asked),
        known,
        unspent: 0,
    }
}

fn hear(kept: Hour, heard: Heard, second: i64) -> Hour {
    Hour::after(Some(kept), &Demand::Heard(heard), at(second))
        .hour
        .unwrap()
}

#[test]
fn each_rank_leaves_its_part_to_those_that_matter_more() {
    let mut hour = None;
    assert_eq!(drain(&mut hour, Rank::Look, 0), 2700);
    assert_eq!(drain(&mut hour, Rank::Other, 1), 0);
    assert_eq!(drain(&mut hour, Rank::Order, 1), 720);
    assert_eq!(drain(&mut hour, Rank::Urgent, 1), 180);
    assert_eq!(drain(&mut hour, Rank::Urgent, 3604), 0);
    assert_eq!(drain(&mut hour, Rank::Urgent, 3605), MOST, "a new hour");
}

#[test]
fn near_the_limit_portions_are_small() {
    let mut hour = None;
    let mut portions = Vec::new();
    while portions.last() != Some(&0) {
        let counted = lease(hour, Rank::Urgent, 0);
        hour = counted.hour;
        portions.push(counted.granted);
    }
    assert_eq!(portions[0], PORTION);
    assert!(portions.is_sorted_by(|a, b| a >= b));
    assert!(portions.iter().filter(|portion| **portion == 1).count() > 4);
}

#[test]
fn what_others_used_counts_at_once_with_what_is_held_here() {
    let hour = lease(None, Rank::Look, 0).hour.unwrap();
    let told = Heard {
        unspent: 15,
        ..heard(hour, rate(2600, 3000), 1)
    };
    let after = hear(hour, told, 2);
    assert_eq!(after.used, 1015);
    assert_eq!(after.ends_at, at(2 + 3001));
    assert_eq!(after.leased, hour.leased);
}

#[test]
fn waste_is_given_back_once_whoever_finds_it() {
    let mut kept = None;
    for _ in 0..100 {
        kept = lease(kept, Rank::Look, 0).hour;
    }
    let known = kept.unwrap();
    assert_eq!(known.used, 1600);
    // Only 40 of them were sent; another process found that out at the same moment.
    let later = lease(kept, Rank::Look, 5).hour.unwrap();
    let once = hear(later, heard(known, rate(3560, 3590), 4), 6);
    assert_eq!(once.used, later.used - (1600 - 40 - UNTOLD));
    let twice = hear(once, heard(known, rate(3560, 3590), 4), 6);
    assert_eq!(twice.used, once.used);
}

#[test]
fn a_gap_that_may_be_under_way_is_no_waste() {
    let known = Hour {
        leased: UNTOLD,
        used: UNTOLD,
        ..Hour::new(at(0), MOST)
    };
    let after = hear(known, heard(known, rate(3600, 3600), 1), 2);
    assert_eq!(after.used, known.used);
}

#[test]
fn an_answer_that_comes_late_takes_nothing_back() {
    let early = lease(None, Rank::Look, 0).hour.unwrap();
    // Others used a thousand; the newer answer came first.
    let newer = hear(early, heard(early, rate(2500, 3500), 100), 101);
    assert_eq!(newer.used, 1100);
    let older = hear(newer, heard(early, rate(3590, 3598), 2), 102);
    assert_eq!(older.used, newer.used);
}

#[test]
fn an_answer_about_the_hour_before_says_nothing_of_this_one() {
    let before = lease(None, Rank::Look, 0).hour.unwrap();
    let counted = lease(Some(before), Rank::Look, 3606);
    let hour = counted.hour.unwrap();
    let after = hear(hour, heard(before, rate(3, 1), 3590), 3607);
    assert_eq!(after, hour);
}

#[test]
fn an_hour_that_runs_on_is_not_begun_anew() {
    // The clock jumped forward: ours is over, theirs has half an hour left.
    let before = lease(None, Rank::Look, 0).hour.unwrap();
    let hour = lease(Some(before), Rank::Look, 5400).hour.unwrap();
    let after = hear(hour, heard(hour, rate(100, 1800), 5401), 5402);
    assert_eq!(after.used, 3500);
    assert_eq!(after.ends_at, at(5402 + 1801));
    // The same where nobody took anything meanwhile.
    let told = Demand::Heard(heard(before, rate(100, 1800), 5401));
    let after = Hour::after(Some(before), &told, at(5402)).hour.unwrap();
    assert_eq!((after.used, after.ends_at), (3500, at(5402 + 1801)));
}

#[test]
fn a_clock_that_was_set_back_costs_no_more_than_an_hour() {
    let hour = lease(None, Rank::Look, 7200).hour;
    let after = lease(hour, Rank::Look, 0).hour.unwrap();
    assert_eq!(after.ends_at, at(3605));
}

#[test]
fn after_a_refusal_nothing_that_was_taken_is_sent() {
    let hour = lease(None, Rank::Urgent, 0).hour.unwrap();
    assert!(hour.is_open_to(Rank::Urgent));
    let told = Heard {
        refused: true,
        ..heard(hour, rate(0, 600), 10)
    };
    let mut after = Some(hear(hour, told, 11));
    assert!(!after.unwrap().is_open_to(Rank::Urgent));
    assert_eq!(drain(&mut after, Rank::Urgent, 611), 0);
    assert_eq!(drain(&mut after, Rank::Urgent, 612), MOST);
}

#[test]
fn headers_that_cannot_be_read_are_as_good_as_none() {
    let read = |limit, remaining, reset| RateLimit::read(Some(limit), Some(remaining), Some(reset));
    assert_eq!(read(" 3600 ", "12", " 9 "), Some(rate(12, 9)));
    assert_eq!(read("many", "-1", "Sat, 21 Nov 2026 21:50:00 GMT"), None);
    let dated = read("0", "12", "1795298999").unwrap();
    assert_eq!((dated.limit, dated.reset), (None, None));
    assert_eq!(RateLimit::read(None, None, None), None);
    let spent = |remaining, reset| {
        let rate = RateLimit::read(None, remaining, reset);
        rate.is_some_and(|rate| rate.is_spent())
    };
    assert!(spent(None, Some("60")) && spent(Some("0"), None));
    assert!(!spent(Some("7"), Some("60")), "too many at once only");
}

fn ranks() -> impl Strategy<Value = Rank> {
    prop_oneof![
        Just(Rank::Urgent),
        Just(Rank::Order),
        Just(Rank::Look),
        Just(Rank::Other),
    ]
}

/// A process that holds a portion.
#[derive(Clone, Copy, Default)]
struct Process {
    hour: Option<Hour>,
    unspent: u32,
}

/// A supplier that counts for itself, from its first request on.
struct Supplier {
    most: u32,
    used: u32,
    began: i64,
}

impl Supplier {
    fn takes(&mut self, now: i64) {
        if now >= self.began + 3600 {
            (self.began, self.used) = (now, 0);
        }
        self.used += 1;
    }

    fn tells(&self, now: i64) -> RateLimit {
        RateLimit {
            limit: Some(self.most),
            remaining: Some(self.most.saturating_sub(self.used)),
            reset: Some(Duration::from_secs(
                u64::try_from(self.began + 3600 - now).unwrap(),
            )),
        }
    }
}

proptest! {
    /// Whatever is asked in whatever order, by several processes that come and go: no window of
    /// the supplier's own ever sees more than its limit, and each rank keeps to its part.
    #[test]
    fn never_more_than_the_limit(
        most in 100u32..400,
        moves in prop::collection::vec((0usize..4, ranks(), 0i64..40, 0u8..20), 1..1500),
    ) {
        let mut kept: Option<Hour> = None;
        let mut processes = [Process::default(); 4];
        let mut supplier = Supplier { most, used: 0, began: -7200 };
        let mut answers: Vec<(Heard, usize)> = Vec::new();
        let mut now = 0;
        for (who, rank, pause, chance) in moves {
            now += pause / 13; // mostly none: the hour is meant to be used up
            let me = &mut processes[who];
            if chance == 0 {
                *me = Process::default(); // it starts anew, and what it held is lost
                continue;
            }
            if chance == 1 && let Some((told, whose)) = answers.pop() {
                let told = Heard { unspent: processes[whose].unspent, ..told };
                kept = Hour::after(kept, &Demand::Heard(told), at(now)).hour;
                continue;
            }
            let same = me.hour.map(|hour| hour.began_at) == kept.map(|hour| hour.began_at);
            let runs = kept.is_some_and(|hour| hour.is_running(at(now)));
            if !same || !runs {
                me.unspent = 0;
            }
            me.hour = kept;
            if me.unspent == 0 || !kept.is_some_and(|hour| hour.is_open_to(rank)) {
                let counted = Hour::after(kept, &Demand::Lease { rank, most }, at(now));
                kept = counted.hour;
                me.hour = kept;
                if counted.granted == 0 {
                    continue;
                }
                me.unspent += counted.granted;
                let hour = kept.unwrap();
                prop_assert!(hour.used + rank.leaves(most) <= most);
            }
            me.unspent -= 1;
            supplier.takes(now);
            prop_assert!(supplier.used <= most, "{} of {most}", supplier.used);
            let told = heard(me.hour.unwrap(), supplier.tells(now), now);
            answers.push((told, who));
        }
    }
}
