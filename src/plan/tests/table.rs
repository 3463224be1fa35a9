//! The life-cycle table: every event at every status with every shape of product. As a snapshot
//! for reading, and as properties that hold in each of its cells.

use std::fmt::Write as _;

use crate::catalogue::{AccountModel, DeviceOnSuspend, DeviceOnTerminate, SubUserPer};
use crate::domain::{Action, EventType, ServiceStatus, StepAction};

use super::super::{Plan, Verdict};
use super::fixtures::{Shape, World, at, patched, shapes, short};

fn label(shape: Shape) -> String {
    let device = shape
        .device
        .map(|(dark, end)| format!("device({}, {})", dark.name(), end.name()));
    let licence = shape
        .licence
        .map(|dark| format!("licence({})", dark.name()));
    let parts: Vec<String> = device.into_iter().chain(licence).collect();
    if parts.is_empty() {
        "nothing".to_owned()
    } else {
        parts.join(" + ")
    }
}

fn cell(world: &World) -> String {
    match world.verdict() {
        Verdict::Do(plan) if plan.steps.is_empty() => {
            format!("no steps {}", plan.service_now["status"])
        }
        Verdict::Do(plan) => plan.steps.iter().map(short).collect::<Vec<_>>().join(" "),
        Verdict::Hold(_, reason) => format!("HOLD {reason}"),
        Verdict::Nothing(reason) => format!("NOTHING {reason}"),
        Verdict::Superseded(reason) => format!("SUPERSEDED {reason}"),
        Verdict::Refused(reason) => format!("REFUSED {reason}"),
    }
}

/// The rows that differ: ways to end only matter to endings, ways to go dark not to those.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the iterator hands out references"
)]
fn readable(kind: EventType, shape: &Shape) -> bool {
    match shape.device {
        None => true,
        Some((dark, _)) if kind == EventType::ServiceTerminated => {
            dark == DeviceOnSuspend::Shutdown
        }
        Some((_, end)) => end == DeviceOnTerminate::Cancel,
    }
}

fn events() -> Vec<(EventType, Option<Action>)> {
    let actions = [
        Action::Boot,
        Action::Reboot,
        Action::Shutdown,
        Action::Reload,
    ];
    let plain = EventType::ALL
        .into_iter()
        .filter(|kind| *kind != EventType::ServiceAction);
    let plain = plain.map(|kind| (kind, None));
    plain
        .chain(actions.map(|action| (EventType::ServiceAction, Some(action))))
        .collect()
}

#[test]
fn the_life_cycle_table() {
    let mut table = String::new();
    for (kind, action) in events()
        .into_iter()
        .filter(|(kind, _)| !kind.concerns_customer())
    {
        for status in ServiceStatus::ALL {
            let what = action
                .map(|action| format!(" {action:?}"))
                .unwrap_or_default();
            writeln!(table, "== {kind}{what} when {status}").unwrap();
            let rows = rows(kind, action, status);
            for (cell, shapes) in &rows {
                let whose = if rows.len() == 1 {
                    "every product".to_owned()
                } else {
                    shapes.join(" | ")
                };
                writeln!(table, "   {cell}\n      <- {whose}").unwrap();
            }
        }
    }
    insta::assert_snapshot!("life_cycle", table);
}

/// The cells of one event and status, each with the shapes of product that give it.
fn rows(
    kind: EventType,
    action: Option<Action>,
    status: ServiceStatus,
) -> Vec<(String, Vec<String>)> {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for shape in shapes().into_iter().filter(|shape| readable(kind, shape)) {
        let mut world = World::new(kind, status, shape);
        world.event.action = action;
        let multi = cell(&world);
        world.rules.account_model = AccountModel::Single;
        let single = cell(&world);
        let mut add =
            |cell: String, name: String| match rows.iter_mut().find(|(known, _)| *known == cell) {
                Some((_, names)) => names.push(name),
                None => rows.push((cell, vec![name])),
            };
        if multi == single {
            add(multi, label(shape));
        } else {
            add(multi, format!("multi: {}", label(shape)));
            add(single, format!("single: {}", label(shape)));
        }
    }
    rows
}

/// Runs `check` in every cell: event, status, shape, account model, sub-users.
fn everywhere(mut check: impl FnMut(&mut World, &str)) {
    for (kind, action) in events() {
        for status in ServiceStatus::ALL {
            for shape in shapes() {
                for (model, per) in rules_of(shape) {
                    let mut world = World::new(kind, status, shape);
                    world.event.action = action;
                    world.rules.account_model = model;
                    world.rules.sub_user_per = per;
                    let name = format!("{kind} {action:?} {status} {model} {per} {}", label(shape));
                    check(&mut world, &name);
                }
            }
        }
    }
}

/// The account model matters to devices, sub-users to licences.
fn rules_of(shape: Shape) -> Vec<(AccountModel, SubUserPer)> {
    let models = [AccountModel::Multi, AccountModel::Single];
    let per = [SubUserPer::Customer, SubUserPer::Service, SubUserPer::None];
    let models = if shape.device.is_some() {
        &models[..]
    } else {
        &models[..1]
    };
    let per = if shape.licence.is_some() {
        &per[..]
    } else {
        &per[..1]
    };
    models
        .iter()
        .flat_map(|model| per.iter().map(|per| (*model, *per)))
        .collect()
}

fn deploys(plan: &Plan) -> usize {
    plan.steps
        .iter()
        .filter(|step| matches!(step, StepAction::DeployDevice { .. }))
        .count()
}

#[test]
fn only_a_paid_order_ever_deploys_and_only_once() {
    everywhere(|world, name| {
        if let Verdict::Do(plan) = world.verdict() {
            let allowed = usize::from(world.event.kind == EventType::OrderPaid);
            assert!(deploys(&plan) <= allowed, "{name}");
            assert!(
                deploys(&plan) == 0 || world.service.status != ServiceStatus::Terminated,
                "{name}"
            );
        }
    });
}

#[test]
fn an_event_older_than_the_settled_state_never_touches_the_lifecycle() {
    everywhere(|world, name| {
        let kind = world.event.kind;
        let lifecycle = matches!(
            kind,
            EventType::OrderPaid
                | EventType::ServiceSuspended
                | EventType::ServiceUnsuspended
                | EventType::ServiceTerminated
        );
        world.order = at(-1);
        world.event.occurred_at = world.order.occurred_at;
        if lifecycle && world.service.settled.is_some() {
            assert!(
                matches!(world.verdict(), Verdict::Superseded(_)),
                "{name}: {:?}",
                world.verdict()
            );
        }
        if world.service.status == ServiceStatus::Terminated && kind.concerns_services() {
            assert!(
                matches!(world.verdict(), Verdict::Superseded(_)),
                "{name}: {:?}",
                world.verdict()
            );
        }
    });
}

#[test]
fn what_was_planned_can_be_planned_again_at_once_and_after_it_ended() {
    everywhere(|world, name| {
        let Verdict::Do(first) = world.verdict() else {
            return;
        };
        for ended in [false, true] {
            let before = world.service.clone();
            world.store(&first, ended);
            match world.verdict() {
                Verdict::Do(second) => {
                    assert!(deploys(&second) <= deploys(&first), "{name}");
                    let (once, twice) = (
                        world.service.clone(),
                        patched(&world.service, &second.service_now),
                    );
                    assert_eq!(once.settled, twice.settled, "{name}");
                    assert_eq!(once.status, twice.status, "{name}, ended: {ended}");
                }
                other => panic!("{name}, ended: {ended}: {other:?}"),
            }
            world.service = before;
        }
    });
}

#[test]
fn steps_come_in_the_order_they_build_on_each_other() {
    let rank = |step: &StepAction| match step {
        StepAction::CreateClient { .. } => 0,
        StepAction::DeployDevice { .. } => 1,
        StepAction::AwaitDevice { .. } => 2,
        StepAction::NullRoute { .. } | StepAction::RemoveNullRoute { .. } => 3,
        StepAction::Power { .. }
        | StepAction::CancelDevice { .. }
        | StepAction::ReloadDevice { .. } => 4,
        StepAction::AddUser { .. } | StepAction::UpdateUser { .. } => 5,
        StepAction::UnsuspendUser { .. } => 6,
        StepAction::AddLicense { .. } | StepAction::RemoveLicense { .. } => 7,
        StepAction::AddPortal { .. } | StepAction::UpdatePortal { .. } => 8,
        StepAction::SuspendUser { .. } => 9,
        StepAction::DeactivateClient => 10,
        StepAction::Report { .. } => 11,
    };
    everywhere(|world, name| {
        if let Verdict::Do(plan) = world.verdict() {
            let ranks: Vec<u8> = plan.steps.iter().map(rank).collect();
            assert!(ranks.is_sorted(), "{name}: {:?}", plan.steps);
        }
    });
}

#[test]
fn a_newer_event_that_makes_it_pointless_supersedes_every_event() {
    everywhere(|world, name| {
        world.newer = Some("by a newer one");
        let pings = world.event.kind == EventType::TestPing;
        let superseded = matches!(world.verdict(), Verdict::Superseded(_));
        assert!(superseded || pings, "{name}: {:?}", world.verdict());
    });
}

#[test]
fn a_termination_is_always_remembered_so_that_a_late_order_buys_nothing() {
    everywhere(|world, name| {
        if world.event.kind != EventType::ServiceTerminated {
            return;
        }
        let Verdict::Do(plan) = world.verdict() else {
            panic!("{name}")
        };
        world.store(&plan, true);
        world.event.kind = EventType::OrderPaid;
        world.order = at(5);
        assert!(
            matches!(world.verdict(), Verdict::Superseded(_)),
            "{name}: {:?}",
            world.verdict()
        );
    });
}

#[test]
fn patches_hold_only_keys_that_the_states_have() {
    everywhere(|world, name| {
        if let Verdict::Do(plan) = world.verdict() {
            for patch in [&plan.service_now, &plan.service_end] {
                for key in patch.as_object().unwrap().keys() {
                    assert!(SERVICE_KEYS.contains(&key.as_str()), "{name}: {key}");
                }
            }
            for patch in [&plan.customer_now, &plan.customer_end] {
                for key in patch.as_object().unwrap().keys() {
                    let known = [
                        "closed",
                        "closed_users",
                        "reopened",
                        "settled",
                        "email",
                        "name",
                        "company",
                        "one_h_user",
                    ];
                    assert!(known.contains(&key.as_str()), "{name}: {key}");
                }
            }
        }
    });
}

const SERVICE_KEYS: [&str; 15] = [
    "ordered",
    "unbuilt",
    "suspension",
    "said_customer_id",
    "moved",
    "status",
    "settled",
    "package_settled",
    "customer_id",
    "product_id",
    "hostname",
    "ip",
    "one_h_user",
    "licenses_suspended",
    "renewed_at",
];
