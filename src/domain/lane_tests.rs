//! The table of what a newer run means for an older one, and the order that follows from it.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::domain::id::DeliveryId;

const NOW: Timestamp = Timestamp::from_seconds(1_000);

fn run(id: i64, kind: EventType, status: RunStatus) -> Member {
    Member {
        id: RunId(id),
        order: OrderKey {
            occurred_at: Timestamp::from_seconds(id),
            origin: DeliveryId(id),
        },
        kind,
        status,
        planned: !matches!(status, Pending),
        touched: false,
        waits_for_claim: false,
        weak: false,
        due: None,
        told: 0,
    }
}

fn touched(member: Member) -> Member {
    Member {
        touched: true,
        ..member
    }
}

fn in_doubt(id: i64, kind: EventType) -> Member {
    Member {
        planned: false,
        ..run(id, kind, Paused)
    }
}

/// Which runs are due after the lane was put in order, and which were told to give way.
fn arranged(lane: &[Member], because: Because) -> (Vec<i64>, Vec<i64>) {
    let mut lane = lane.to_vec();
    arrange(&mut lane, because, NOW);
    let ids = |test: &dyn Fn(&&Member) -> bool| {
        let chosen = lane.iter().filter(test);
        chosen.map(|member| member.id.0).collect()
    };
    let due = ids(&|member| member.due.is_some());
    (due, ids(&|member| member.told > 0))
}

fn came(lane: &[Member]) -> (Vec<i64>, Vec<i64>) {
    arranged(lane, Because::RunCame)
}

#[test]
fn the_table() {
    let mut table = String::new();
    let kinds = || {
        EventType::ALL
            .into_iter()
            .filter(|kind| *kind != EventType::TestPing)
    };
    for newer in kinds() {
        let same_lane = |older: &EventType| older.concerns_customer() == newer.concerns_customer();
        for older in kinds().filter(same_lane) {
            let _ = write!(table, "{newer:24} after {older:24}");
            for progress in Progress::ALL {
                let bearing = bearing(older, progress, newer);
                let _ = write!(table, " {progress:?} {bearing:?};");
            }
            table.push('\n');
        }
    }
    insta::assert_snapshot!("lane_table", table);
}

use EventType::{
    OrderPaid, ServiceAction, ServicePackageChanged, ServiceSuspended, ServiceTerminated,
    ServiceUnsuspended,
};
use RunStatus::{Paused, Pending, Running, Waiting};

#[test]
fn a_corrected_order_takes_the_place_of_one_about_which_a_person_was_asked() {
    let lane = [in_doubt(1, OrderPaid), run(2, OrderPaid, Pending)];
    assert_eq!(came(&lane), (vec![1], vec![1]), "it ends first");
}

#[test]
fn an_unsuspension_ends_a_suspension_that_is_stuck_half_way_and_waits_for_it_to_stop() {
    let stuck = touched(run(1, ServiceSuspended, Paused));
    let back = run(2, ServiceUnsuspended, Pending);
    assert_eq!(came(&[stuck, back]), (vec![1], vec![1]));
    let under_way = Member {
        due: Some(NOW),
        ..touched(run(1, ServiceSuspended, Running))
    };
    assert_eq!(came(&[under_way, back]), (vec![1], vec![1]), "its lease");
    assert_eq!(came(&[back]), (vec![2], vec![]));
}

#[test]
fn a_suspension_passes_a_package_change_that_is_held_up_but_waits_for_a_build() {
    let change = in_doubt(1, ServicePackageChanged);
    let dark = run(2, ServiceSuspended, Pending);
    assert_eq!(came(&[change, dark]), (vec![2], vec![]));
    let build = Member {
        due: Some(NOW),
        ..touched(run(1, OrderPaid, Waiting))
    };
    assert_eq!(came(&[build, dark]), (vec![1], vec![]));
    let stuck = touched(run(1, OrderPaid, Paused));
    assert_eq!(came(&[stuck, dark]), (vec![2], vec![]));
}

#[test]
fn what_can_only_be_carried_out_on_what_an_order_builds_waits_for_it_and_holds_nobody_up() {
    let lane = [
        in_doubt(1, OrderPaid),
        run(2, ServicePackageChanged, Pending),
        run(3, ServiceSuspended, Pending),
    ];
    assert_eq!(came(&lane), (vec![3], vec![]));
    assert_eq!(came(&lane[..2]), (vec![], vec![]));
}

#[test]
fn a_termination_that_was_not_begun_gives_way_to_what_keeps_the_service() {
    for newer in [OrderPaid, ServiceSuspended, ServiceUnsuspended] {
        let held = run(1, ServiceTerminated, Paused);
        let newer = run(2, newer, Pending);
        assert_eq!(came(&[held, newer]), (vec![1], vec![1]));
        assert_eq!(came(&[touched(held), newer]), (vec![2], vec![]));
    }
}

#[test]
fn what_needs_a_person_itself_ends_nothing() {
    let stuck = touched(run(1, ServiceSuspended, Paused));
    let end = in_doubt(2, ServiceTerminated);
    assert_eq!(came(&[stuck, end]), (vec![], vec![]));
    let weak = Member {
        weak: true,
        ..run(2, ServiceTerminated, Pending)
    };
    assert_eq!(came(&[stuck, weak]), (vec![2], vec![]), "it goes ahead");
}

#[test]
fn one_that_cannot_give_way_yet_is_not_woken_for_ever() {
    let lane = [
        Member {
            told: 2,
            ..touched(run(1, OrderPaid, Paused))
        },
        run(2, ServiceTerminated, Pending),
    ];
    assert_eq!(came(&lane), (vec![2], vec![1]));
}

#[test]
fn what_waits_for_its_supplier_with_nothing_done_goes_on_after_those_that_passed_it() {
    let due = Some(NOW.plus(std::time::Duration::from_secs(60)));
    let held = Member {
        due,
        ..run(1, ServiceAction, Waiting)
    };
    assert_eq!(came(&[held]), (vec![1], vec![]));
    let passing = run(2, ServicePackageChanged, Pending);
    assert_eq!(came(&[held, passing]), (vec![2], vec![]));
    let again = Member { due: None, ..held };
    assert_eq!(arranged(&[again], Because::RunEnded), (vec![1], vec![]));
}

#[test]
fn what_a_person_was_asked_about_before_its_plan_is_planned_anew_after_another_ended() {
    let lane = [in_doubt(1, ServicePackageChanged)];
    assert_eq!(came(&lane), (vec![], vec![]));
    assert_eq!(arranged(&lane, Because::RunEnded), (vec![1], vec![]));
}

prop_compose! {
    fn member(id: i64)(
        kind in prop::sample::select(EventType::ALL.to_vec()),
        status in prop::sample::select(vec![Pending, Running, Waiting, Paused]),
        planned in any::<bool>(),
        touched in any::<bool>(),
        waits in any::<bool>(),
        weak in any::<bool>(),
        due in any::<bool>(),
        told in 0_u8..3,
    ) -> Member {
        let planned = planned && status != Pending;
        Member {
            planned,
            touched: touched && planned,
            waits_for_claim: waits && status == Waiting,
            weak,
            due: due.then_some(NOW),
            told,
            ..run(id, kind, status)
        }
    }
}

fn lane() -> impl Strategy<Value = Vec<Member>> {
    (0_usize..6).prop_flat_map(|count| {
        let members: Vec<_> = (0..count)
            .map(|id| member(i64::try_from(id).unwrap_or(0)))
            .collect();
        members
    })
}

proptest! {
    #[test]
    fn one_run_at_most_is_due_and_putting_in_order_twice_changes_nothing(mut lane in lane()) {
        let only = lane.iter().filter(|member| member.status == Running).count() <= 1;
        prop_assume!(only);
        arrange(&mut lane, Because::RunCame, NOW);
        let due = lane.iter().filter(|member| member.due.is_some());
        prop_assert!(due.count() <= 1, "{lane:?}");
        let before = lane.clone();
        arrange(&mut lane, Because::RunCame, NOW);
        prop_assert_eq!(before, lane);
    }

    #[test]
    fn whoever_goes_on_by_itself_has_its_turn_unless_another_has(mut lane in lane()) {
        arrange(&mut lane, Because::RunEnded, NOW);
        let active = |member: &Member| {
            member.due.is_some() || member.waits_for_claim || member.status == Running
        };
        let needs_order = |member: &Member| {
            let order = |older: &Member| older.kind == OrderPaid && older.order < member.order;
            needs(member.kind, OrderPaid) && lane.iter().any(order)
        };
        let goes_on = |member: &&Member| {
            matches!(member.status, Pending | Waiting) && !needs_order(member)
        };
        if lane.iter().any(|member| goes_on(&member)) {
            prop_assert!(lane.iter().any(active), "{lane:?}");
        }
    }

    #[test]
    fn the_newest_of_suspensions_and_unsuspensions_is_what_is_left(
        kinds in prop::collection::vec(any::<bool>(), 2..8),
    ) {
        let kind = |dark: &bool| if *dark { ServiceSuspended } else { ServiceUnsuspended };
        let mut lane: Vec<Member> = (1..).zip(&kinds).map(|(id, dark)| run(id, kind(dark), Pending)).collect();
        arrange(&mut lane, Because::RunCame, NOW);
        let kept: Vec<&Member> = lane.iter().filter(|member| member.told == 0).collect();
        prop_assert_eq!(kept.len(), 1);
        prop_assert_eq!(kept[0].id, lane.last().unwrap().id);
    }
}
