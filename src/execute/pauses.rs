//! How often runs were paused since the start, by reason.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::pause::PauseReason;

/// The counts of this process.
#[derive(Debug, Default)]
pub struct Pauses([AtomicU64; PauseReason::ALL.len()]);

impl Pauses {
    pub(super) fn count(&self, reason: PauseReason) {
        let place = PauseReason::ALL.iter().position(|one| *one == reason);
        if let Some(count) = place.and_then(|place| self.0.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every reason with its count.
    pub fn counts(&self) -> impl Iterator<Item = (PauseReason, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        PauseReason::ALL.into_iter().zip(counts)
    }
}
