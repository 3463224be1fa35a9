//! A clock that can be set without harm: it never goes back, and tells how much time has surely
//! passed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::time::{Clock, Timestamp};

/// A wall clock that is ahead of the steady clock by less was not set: it is kept in step like that.
const SLACK: Duration = Duration::from_millis(250);
/// So many settings forward are remembered one by one.
const MOST_JUMPS: usize = 64;

/// The wall clock, held against the machine's steady clock at every look.
///
/// Where the wall clock is set back, this one goes on at half the pace until both agree: what
/// waits for a time does not wait for the hour to come again.
#[derive(Debug)]
pub struct SteadyClock {
    wall: Arc<dyn Clock>,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    wall: Timestamp,
    steady: Duration,
    shown: Timestamp,
    /// When the wall clock was set forward, by its new time, and by how much.
    jumps: Vec<(Timestamp, Duration)>,
}

impl SteadyClock {
    /// A clock over this wall clock, from now on.
    pub fn new(wall: Arc<dyn Clock>) -> Self {
        let now = wall.now();
        Self {
            wall,
            began: Instant::now(),
            state: Mutex::new(State::new(now)),
        }
    }

    /// A thread that broke off leaves whole state behind: nothing here is changed in two parts.
    fn read(&self) -> (MutexGuard<'_, State>, Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wall = self.wall.now();
        let steady = self.began.elapsed();
        state.read(wall, steady);
        (state, steady)
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        self.read().0.shown
    }

    fn surely_since(&self, then: Timestamp) -> Duration {
        let (state, steady) = self.read();
        state.surely_since(then, steady)
    }
}

impl State {
    const fn new(now: Timestamp) -> Self {
        Self {
            wall: now,
            steady: Duration::ZERO,
            shown: now,
            jumps: Vec::new(),
        }
    }

    fn read(&mut self, wall: Timestamp, steady: Duration) {
        let passed = steady.saturating_sub(self.steady);
        let ahead = wall.since(self.wall).saturating_sub(passed);
        if ahead > SLACK {
            self.note_jump(wall, ahead);
        }
        self.shown = wall.max(self.shown.plus(passed / 2));
        (self.wall, self.steady) = (wall, steady);
    }

    fn note_jump(&mut self, wall: Timestamp, ahead: Duration) {
        if self.jumps.len() >= MOST_JUMPS {
            // The oldest two become one at the time of the later: that only makes waits longer.
            let (_, oldest) = self.jumps.remove(0);
            if let Some((_, next)) = self.jumps.first_mut() {
                *next += oldest;
            }
        }
        self.jumps.push((wall, ahead));
    }

    /// By the wall clock, without what it was set forward by; and never more than this process has
    /// been there to measure.
    fn surely_since(&self, then: Timestamp, uptime: Duration) -> Duration {
        let jumps = self.jumps.iter().filter(|(at, _)| *at > then);
        let jumped: Duration = jumps.map(|(_, ahead)| *ahead).sum();
        let by_wall = self.shown.min(self.wall).since(then);
        by_wall.saturating_sub(jumped).min(uptime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn start() -> Timestamp {
        Timestamp::from_seconds(1_795_000_000)
    }

    #[test]
    fn a_clock_that_is_set_forward_proves_no_time() {
        let mut state = State::new(start());
        state.read(start().plus(seconds(10)), seconds(10));
        let then = state.shown;
        state.read(start().plus(seconds(15)).plus(HOUR), seconds(15));
        assert_eq!(state.shown, start().plus(seconds(15)).plus(HOUR));
        assert_eq!(state.surely_since(then, seconds(15)), seconds(5));
        state.read(start().plus(seconds(35)).plus(HOUR), seconds(35));
        assert_eq!(state.surely_since(then, seconds(35)), seconds(25));
        let later = state.shown;
        state.read(start().plus(seconds(45)).plus(HOUR), seconds(45));
        assert_eq!(state.surely_since(later, seconds(45)), seconds(10));
    }

    #[test]
    fn a_clock_that_is_set_back_neither_goes_back_nor_stands_still() {
        let mut state = State::new(start());
        state.read(start().plus(seconds(10)), seconds(10));
        let then = state.shown;
        state.read(start().plus(seconds(30)).minus(HOUR), seconds(30));
        assert_eq!(state.shown, then.plus(seconds(10)), "half the pace");
        assert_eq!(state.surely_since(then, seconds(30)), Duration::ZERO);
        state.read(start().plus(seconds(7_230)), seconds(7_230 + 3_600));
        assert_eq!(
            state.shown,
            start().plus(seconds(7_230)),
            "both agree again"
        );
    }

    #[test]
    fn nothing_is_proven_about_the_time_before_the_process_was_there() {
        let mut state = State::new(start());
        let before = start().minus(HOUR);
        state.read(start().plus(seconds(3)), seconds(3));
        assert_eq!(state.surely_since(before, seconds(3)), seconds(3));
        let ahead = start().plus(HOUR);
        assert_eq!(state.surely_since(ahead, seconds(3)), Duration::ZERO);
    }

    #[test]
    fn many_settings_are_forgotten_only_on_the_safe_side() {
        let mut state = State::new(start());
        let mut wall = start();
        for second in 1..=200 {
            wall = wall.plus(HOUR);
            state.read(wall, seconds(second));
        }
        assert_eq!(state.jumps.len(), MOST_JUMPS);
        assert!(state.surely_since(start(), seconds(200)) <= seconds(200));
    }
}
