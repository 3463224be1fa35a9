//! Hours that pass in seconds: a runtime whose time stands still while anything works, and leaps to
//! the next timer as soon as nothing does.
//!
//! Tokio's stopped clock waits by itself for statements that read, which run on threads of the
//! runtime. The store's writer has a thread that never ends and would stop the clock for good, so
//! the store is opened in a runtime of its own, and before time may leap the writer is asked
//! whether it has answered everybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use billhook::domain::entropy::Entropy;
use billhook::domain::time::{Clock, Timestamp};
use billhook::store::Store;
use tokio::runtime::{Builder, Handle};
use tokio::time::Instant;

/// When it all begins.
pub const BEGINNING: Timestamp = Timestamp::from_seconds(1_795_000_000);

/// Does `work` on the store at `url`, in stopped time.
pub fn run<T>(url: &str, work: impl AsyncFnOnce(Store) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let real = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let (store, guard) = real.block_on(Store::open(url))?;
    let (handle, written) = (real.handle().clone(), store.clone());
    let stopped = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .on_thread_park(move || until_written(&handle, &written))
        .build()?;
    let result = stopped.block_on(work(store));
    drop(stopped);
    real.block_on(guard.closed());
    result
}

/// Waits until the writer has answered everybody who asked it so far. The second question is for
/// what it says after its answers: that something is due.
fn until_written(real: &Handle, store: &Store) {
    let (sender, answered) = mpsc::channel();
    let store = store.clone();
    real.spawn(async move {
        for _ in 0..2 {
            // A store that is closed has nothing under way.
            let _ = store.extend(Vec::new(), BEGINNING).await;
        }
        let _ = sender.send(());
    });
    // It is dropped unanswered only where everything ends.
    let _ = answered.recv();
}

/// The clock that follows tokio's.
#[derive(Debug)]
pub struct StoppedClock(Instant);

impl StoppedClock {
    /// One that shows the beginning now.
    pub fn start() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        BEGINNING.plus(self.0.elapsed())
    }
}

/// The same numbers every time (`SplitMix64`).
#[derive(Debug, Default)]
pub struct Dice(AtomicU64);

impl Entropy for Dice {
    fn next(&self) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15_u64;
        let state = self.0.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
