//! The same hour as a plain poller has it, computed request by request: it looks every twenty
//! seconds at each build and each switched server, two requests a look at a build, as Billhook did
//! before it counted. First come, first served; what is turned away is tried again at the next look.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::BUILD;
use super::hour::{HOUR, Plan};

/// How often it looks.
const LOOK: Duration = Duration::from_secs(20);
/// A build costs this many requests beside its looks: 118 for one of 17 minutes were measured.
const BESIDE_LOOKS: u32 = 16;
/// From one request to the next.
const TURN: Duration = Duration::from_millis(200);
/// How many an hour takes.
const MOST: u32 = 3_600;

/// What it comes to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Polled {
    /// Requests for a build.
    pub per_build: u32,
    /// Requests for a suspension.
    pub per_switch: u32,
    /// Requests that were turned away until the last server was switched.
    pub turned_away: u32,
    /// From the first suspension until the last server is dark.
    pub dark: Duration,
    /// From the first unsuspension until the last server is bright.
    pub bright: Duration,
    /// When in the hour nothing was left.
    pub spent: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// A build of which so many requests beside the looks are left.
    Build { began: Duration, beside: u32 },
    /// A look at a build; the second request of it is left or not.
    Look { began: Duration, second: bool },
    /// A server that is to be found and switched, dark or bright.
    Switch { found: bool, dark: bool },
    /// A look at a server that was switched then.
    Watch { switched: Duration },
}

/// Computes the hour.
pub fn compute(plan: Plan) -> Polled {
    let looks = |of: Duration| u32::try_from(of.as_millis().div_ceil(LOOK.as_millis()));
    let mut polled = Polled {
        per_build: BESIDE_LOOKS + 2 * looks(BUILD).unwrap_or(0),
        per_switch: 2 + looks(plan.power).unwrap_or(0),
        ..Polled::default()
    };
    let mut queue = beginning(plan);
    let (mut free, mut window, mut used) = (Duration::ZERO, None, 0_u32);
    while let Some(Reverse((due, number, work))) = queue.pop() {
        let at = due.max(free);
        free = at + TURN;
        let start: Duration = *window.get_or_insert(at);
        if at >= start + HOUR {
            (window, used) = (Some(at), 0);
        }
        if used == MOST {
            polled.turned_away += 1;
            polled.spent.get_or_insert(at);
            queue.push(Reverse((at + LOOK, number, work)));
            continue;
        }
        used += 1;
        if let Work::Switch { found: true, dark } = work {
            let (began, last) = if dark {
                (HOUR / 3, &mut polled.dark)
            } else {
                (HOUR * 2 / 3, &mut polled.bright)
            };
            *last = (*last).max((at + plan.power).saturating_sub(began));
        }
        if let Some((due, work)) = next(at, work, plan.power) {
            queue.push(Reverse((due, number, work)));
        }
    }
    polled
}

type Queue = BinaryHeap<Reverse<(Duration, usize, Work)>>;

fn beginning(plan: Plan) -> Queue {
    let mut queue = Queue::new();
    let mut began = Duration::ZERO;
    for number in 0..plan.builds {
        let beside = BESIDE_LOOKS;
        queue.push(Reverse((began, number, Work::Build { began, beside })));
        began += plan.every;
    }
    for number in 0..plan.services {
        for (at, dark) in [(HOUR / 3, true), (HOUR * 2 / 3, false)] {
            let found = false;
            queue.push(Reverse((at, number, Work::Switch { found, dark })));
        }
    }
    queue
}

/// What comes after a request that was answered.
fn next(at: Duration, work: Work, power: Duration) -> Option<(Duration, Work)> {
    match work {
        Work::Build { began, beside } if beside > 1 => {
            let beside = beside - 1;
            Some((at, Work::Build { began, beside }))
        }
        Work::Build { began, .. } => {
            let second = false;
            Some((at + LOOK, Work::Look { began, second }))
        }
        Work::Look {
            began,
            second: false,
        } => {
            let second = true;
            Some((at, Work::Look { began, second }))
        }
        Work::Look { began, .. } if at < began + BUILD => {
            let second = false;
            Some((at + LOOK, Work::Look { began, second }))
        }
        Work::Switch { found: false, dark } => {
            let found = true;
            Some((at, Work::Switch { found, dark }))
        }
        Work::Switch { .. } => Some((at + LOOK, Work::Watch { switched: at })),
        Work::Watch { switched } if at < switched + power => {
            Some((at + LOOK, Work::Watch { switched }))
        }
        Work::Look { .. } | Work::Watch { .. } => None,
    }
}
