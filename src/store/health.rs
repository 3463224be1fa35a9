//! Whether what is sent to the store can be committed: what the last writes told, a tiny write
//! where none did lately, and one again and again while they fail.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use super::trouble::Trouble;
use super::upkeep::UpkeepWrite;
use super::write::Write;
use super::{Database, StoreError};

/// A commit that is younger proves enough.
const FRESH: Duration = Duration::from_secs(2);
/// How long a tiny write may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often one is tried while writes fail.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What the last writes told.
#[derive(Debug, Default)]
pub(super) struct Health(watch::Sender<State>);

#[derive(Debug, Default)]
struct State {
    trouble: Option<(Trouble, Instant)>,
    committed: Option<Instant>,
}

impl Health {
    /// What is wrong, if anything is.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.0.borrow().trouble.map(|(trouble, _)| trouble)
    }

    /// Something was written, and is on disk.
    pub(super) fn committed(&self) {
        self.0.send_if_modified(|state| {
            state.committed = Some(Instant::now());
            // A damaged file that takes a write is as damaged as before.
            let over = state
                .trouble
                .take_if(|(trouble, _)| *trouble != Trouble::Damaged);
            if let Some((_, since)) = over {
                let seconds = since.elapsed().as_secs();
                tracing::info!(seconds, "the store can be written again");
            }
            over.is_some()
        });
    }

    /// Something could not be written, or read, for a reason that concerns the whole store. Said
    /// once, however many meet it.
    pub(super) fn failed(&self, trouble: Trouble, said: &dyn std::fmt::Display) {
        self.0.send_if_modified(|state| {
            let before = state.trouble.map(|(before, _)| before);
            if before == Some(trouble) || before == Some(Trouble::Damaged) {
                return false;
            }
            let since = state.trouble.map_or_else(Instant::now, |(_, since)| since);
            state.trouble = Some((trouble, since));
            tracing::error!(%said, "the store cannot be written: {trouble}");
            true
        });
    }

    fn proven(&self) -> bool {
        let committed = self.0.borrow().committed;
        committed.is_some_and(|when| when.elapsed() < FRESH)
    }

    /// Tries a tiny write again and again while writes fail, so that it is noticed when they do
    /// not any more, also where nobody sends anything.
    pub(super) fn watch(database: &Database) -> AbortOnDropHandle<()> {
        // What keeps the queue open are those who use the store.
        let writes = database.writes.downgrade();
        let (node, signals) = (database.node(), database.signals.clone());
        #[expect(clippy::disallowed_methods, reason = "ends with its handle")]
        let task = tokio::spawn(async move {
            let mut state = signals.health.0.subscribe();
            while state
                .wait_for(|state| state.trouble.is_some())
                .await
                .is_ok()
            {
                tokio::time::sleep(AGAIN_AFTER).await;
                let Some(writes) = writes.upgrade() else {
                    break;
                };
                // What comes of it is noted by the writer.
                let _ = beat(writes, node).await;
            }
        });
        AbortOnDropHandle::new(task)
    }
}

async fn beat(writes: mpsc::Sender<Write>, node: u8) -> Result<(), StoreError> {
    let (answer, answered) = oneshot::channel();
    let write = UpkeepWrite::Beat {
        node: i64::from(node),
    };
    writes
        .send(Write::Upkeep(write, answer))
        .await
        .map_err(|_| StoreError::Closed)?;
    answered.await.map_err(|_| StoreError::Closed)?.map(drop)
}

impl Database {
    /// Whether what is sent now can be committed; an error says why not.
    pub async fn ready(&self) -> Result<(), StoreError> {
        let health = &self.signals.health;
        if let Some(place) = self.reads.place()
            && let Err(trouble) = place.check()
        {
            health.failed(trouble, &"a file is not at its path");
        }
        if let Some(trouble) = health.trouble() {
            return Err(StoreError::troubled(trouble));
        }
        if !health.proven() {
            let beaten = tokio::time::timeout(PATIENCE, beat(self.writes.clone(), self.node()));
            beaten
                .await
                .unwrap_or(Err(StoreError::troubled(Trouble::Silent)))?;
        }
        self.reachable().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_stands_until_something_was_written() {
        let health = Health::default();
        assert_eq!(health.trouble(), None);
        health.failed(Trouble::Full, &"full");
        assert_eq!(health.trouble(), Some(Trouble::Full));
        health.failed(Trouble::Disk, &"worse");
        assert_eq!(health.trouble(), Some(Trouble::Disk));
        health.committed();
        assert_eq!(health.trouble(), None);
        assert!(health.proven());
    }

    #[test]
    fn damage_stands_whatever_is_written() {
        let health = Health::default();
        health.failed(Trouble::Damaged, &"malformed");
        health.committed();
        health.failed(Trouble::Full, &"full");
        assert_eq!(health.trouble(), Some(Trouble::Damaged));
    }
}
