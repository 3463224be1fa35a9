//! Who waits for which run to settle (`Prefer: wait`). Memory only; the rows are the truth.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;

use crate::domain::id::RunId;

/// The waiting rooms of runs.
#[derive(Debug, Default)]
pub struct Outcomes {
    waiting: Mutex<HashMap<RunId, Vec<oneshot::Sender<()>>>>,
    count: AtomicUsize,
}

impl Outcomes {
    /// A receiver that resolves once the run settles. Ask for it before reading the row, so
    /// that nothing falls in between.
    pub fn watch(&self, run: RunId) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        if let Ok(mut waiting) = self.waiting.lock() {
            let room = waiting.entry(run).or_default();
            // Someone who gave up left a closed sender behind.
            room.retain(|old| !old.is_closed());
            room.push(sender);
            self.count.store(waiting.len(), Ordering::Release);
        }
        receiver
    }

    /// Tells those who wait for `run` that it settled.
    pub fn settled(&self, run: RunId) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        if let Ok(mut waiting) = self.waiting.lock() {
            if let Some(room) = waiting.remove(&run) {
                for sender in room {
                    // Whoever waited may have left; that is no error.
                    let _ = sender.send(());
                }
            }
            waiting.retain(|_, room| room.iter().any(|sender| !sender.is_closed()));
            self.count.store(waiting.len(), Ordering::Release);
        }
    }

    /// Tells everyone to look again: some run settled in another process.
    pub fn any(&self) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        if let Ok(mut waiting) = self.waiting.lock() {
            for sender in waiting.drain().flat_map(|(_, room)| room) {
                let _ = sender.send(());
            }
            self.count.store(0, Ordering::Release);
        }
    }
}
