//! Whether a billing platform takes reports at present, as this process has seen it. A state
//! machine; pure: the time and chance are arguments.
//!
//! ```text
//!        a failure of the platform as a whole
//!   open ──────────────────────────────────▶ shut ◀─┐ the one report that asks fails, too:
//!    ▲                                         │    │ a longer wait
//!    └──────────── any word of its own ────────┴────┘
//! ```

use std::time::Duration;

use crate::domain::Timestamp;
use crate::upstream::Fault;

/// How many reports of one source are under way at once, at the most.
pub(super) const SLOTS: usize = 4;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// After so many failures in a row people are told of a platform that does not answer. One that
/// lets nobody in is told of at once: that does not pass by itself.
const TOLD_AFTER: u32 = 3;

/// What was seen of one platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    failures: u32,
    /// When the last failure counted.
    failed_at: Timestamp,
    /// Until when nothing is sent.
    until: Timestamp,
    /// Whether the store may know of an outage: at the start it may, from an earlier process.
    noted: bool,
}

impl Outage {
    pub(super) fn new() -> Self {
        Self {
            failures: 0,
            failed_at: Timestamp::default(),
            until: Timestamp::default(),
            noted: true,
        }
    }

    /// How many more reports may leave now beside those under way.
    pub(super) fn room(&self, under_way: usize, now: Timestamp) -> usize {
        if self.failures == 0 {
            return SLOTS.saturating_sub(under_way);
        }
        usize::from(under_way == 0 && now >= self.until)
    }

    /// Until when nothing leaves.
    pub(super) const fn until(&self) -> Timestamp {
        self.until
    }

    /// A report that left at `began` failed for a reason that is not its own; answers whether
    /// people should know.
    pub(super) fn failed(
        &mut self,
        fault: Fault,
        pause: Option<Duration>,
        began: Timestamp,
        now: Timestamp,
        chance: f64,
    ) -> bool {
        // What left before the last failure was known says the same once more.
        if self.failures == 0 || began > self.failed_at {
            self.failures = self.failures.saturating_add(1);
            self.failed_at = now;
            let doublings = 2_u32.saturating_pow(self.failures.saturating_sub(1).min(16));
            let longest = FIRST_WAIT.saturating_mul(doublings).min(LONGEST_WAIT);
            let wait = longest.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
            let asked = pause.unwrap_or_default().min(LONGEST_WAIT);
            self.until = now.plus(wait.max(asked));
        }
        let tells = fault == Fault::Door || self.failures >= TOLD_AFTER;
        self.noted |= tells;
        tells
    }

    /// The platform has answered; whether the store may still know of an outage.
    pub(super) fn answered(&mut self) -> bool {
        self.failures = 0;
        self.until = Timestamp::default();
        self.noted
    }

    /// The store knows that the outage is over.
    pub(super) const fn settled(&mut self) {
        self.noted = false;
    }

    /// A person wants it to be tried now.
    pub(super) const fn hurry(&mut self, now: Timestamp) {
        if self.failures > 0 {
            self.until = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn at(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn one_failure_shuts_and_one_report_at_a_time_asks_ever_more_rarely() {
        let mut outage = Outage::new();
        assert_eq!(outage.room(1, NOW), SLOTS - 1);
        let (mut now, mut waits) = (NOW, Vec::new());
        for _ in 0..12 {
            outage.failed(Fault::Silence, None, now, now, 1.0);
            assert_eq!(outage.room(0, now), 0);
            waits.push(outage.until().since(now).as_secs());
            now = outage.until();
            assert_eq!((outage.room(0, now), outage.room(1, now)), (1, 0));
            now = now.plus(Duration::from_millis(1));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert!(outage.answered());
        assert_eq!(outage.room(0, now), SLOTS);
    }

    #[test]
    fn what_left_together_fails_as_one() {
        let mut outage = Outage::new();
        for _ in 0..SLOTS {
            outage.failed(Fault::Silence, None, NOW, at(30), 1.0);
        }
        assert_eq!(outage.until(), at(31));
    }

    #[test]
    fn people_are_told_of_a_shut_door_at_once_and_of_silence_when_it_lasts() {
        let mut outage = Outage::new();
        assert!(outage.failed(Fault::Door, None, NOW, NOW, 0.0));
        let mut outage = Outage::new();
        let told: Vec<bool> = (1..=4)
            .map(|n| outage.failed(Fault::Silence, None, at(n * 600), at(n * 600), 0.0))
            .collect();
        assert_eq!(told, [false, false, true, true]);
    }

    #[test]
    fn a_named_pause_is_kept_and_a_person_ends_it() {
        let mut outage = Outage::new();
        let pause = Some(Duration::from_secs(90));
        outage.failed(Fault::Silence, pause, NOW, NOW, 0.0);
        assert_eq!(outage.until(), at(90));
        outage.hurry(at(2));
        assert_eq!(outage.room(0, at(2)), 1);
    }
}
