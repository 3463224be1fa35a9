//! A worker's claim on a run, as the worker itself knows it: until when nobody else may have it.

use std::sync::atomic::{AtomicI64, Ordering};

use super::time::Timestamp;

/// Until when a run is surely this worker's. The store has the last word on every write; this is
/// for what the store cannot guard: a request to a supplier leaves only while the lease holds.
#[derive(Debug)]
pub struct Lease {
    until: AtomicI64,
}

impl Lease {
    /// A lease until then.
    pub const fn until(end: Timestamp) -> Self {
        Self {
            until: AtomicI64::new(end.micros()),
        }
    }

    /// Confirmed by the store: it holds until then.
    pub fn extend(&self, end: Timestamp) {
        self.until.fetch_max(end.micros(), Ordering::Relaxed);
    }

    /// The store says that it is somebody else's.
    pub fn lose(&self) {
        self.until.store(i64::MIN, Ordering::Relaxed);
    }

    /// Whether it ended by the clock, and not because the store said so.
    pub fn has_run_out(&self, now: Timestamp) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until != i64::MIN && now.micros() >= until
    }

    /// Whether it surely holds now.
    pub fn holds(&self, now: Timestamp) -> bool {
        now.micros() < self.until.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_holds_until_its_end_and_longer_once_it_was_extended() {
        let at = Timestamp::from_seconds;
        let lease = Lease::until(at(10));
        assert!(lease.holds(at(9)) && !lease.holds(at(10)));
        lease.extend(at(20));
        lease.extend(at(15));
        assert!(lease.holds(at(19)));
        assert!(!lease.has_run_out(at(19)) && lease.has_run_out(at(20)));
        lease.lose();
        assert!(!lease.holds(at(0)) && !lease.has_run_out(at(30)));
    }
}
