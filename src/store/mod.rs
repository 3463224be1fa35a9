//! The only place that knows SQL. Everything that matters survives in these rows.
//!
//! Writes go through one writer that shares an fsync among all that came in meanwhile; reads go
//! through a few read-only connections and never wait for the writer.

mod accept;
mod advance;
mod claim;
mod facade;
mod intervene;
mod lanes;
#[cfg(test)]
mod memory;
mod outcomes;
mod read;
mod rows;
mod sql;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_alike;
#[cfg(test)]
mod tests_claims;
#[cfg(test)]
mod tests_lanes;
mod views;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::domain::id::{DeliveryId, RunId};
use crate::domain::time::Timestamp;

pub use facade::Store;
#[cfg(test)]
pub use memory::{Gate, Memory, Passing, Rows, RunRow};
pub use outcomes::Outcomes;
pub use rows::{
    Advance, Advanced, AtEnd, AttemptRow, ClaimChange, Claimed, DeliveryVerdict, Intervened,
    Intervention, NewDelivery, NewRun, Receipt,
};
pub use views::{
    DeliveryFilter, DeliveryView, Page, RunFilter, RunSummary, RunView, StateView, StepView,
};
use writer::{Signals, Write};

/// How many writes may wait for the writer before new requests are told to come back later.
const WAITING_ROOM: usize = 16_384;

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The address in `store.url` is not one this version can open.
    #[error("store.url: {0}")]
    Address(String),
    /// Another process serves this file.
    #[error("{0} is in use by another billhook; one process at a time serves an SQLite store")]
    InUse(PathBuf),
    /// The database refused or is not reachable.
    #[error("the store cannot be used right now: {0}")]
    Unavailable(Arc<str>),
    /// Too much waits to be written.
    #[error("too much is waiting to be written")]
    Full,
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.to_string().into())
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        Self::Unavailable(error.to_string().into())
    }
}

/// A database: cheap to clone, closed by [`StoreGuard::closed`].
#[derive(Clone, Debug)]
struct Database {
    writes: mpsc::Sender<Write>,
    reads: SqlitePool,
    signals: Arc<Signals>,
}

/// Keeps the store open; closing it waits for the last write.
#[derive(Debug)]
pub struct StoreGuard {
    writer: JoinHandle<()>,
    reads: SqlitePool,
    // Held as long as the store is open; the lock goes with the file handle.
    _lock: std::fs::File,
}

impl StoreGuard {
    /// Waits until everything sent to the store is written. Every [`Store`] must be dropped
    /// before.
    pub async fn closed(self) {
        self.reads.close().await;
        if let Err(error) = self.writer.await {
            tracing::error!(%error, "the writer ended badly");
        }
    }
}

impl Database {
    /// Opens (and makes, and brings up to date) the `SQLite` file that `url` names.
    pub async fn open(url: &str) -> Result<(Self, StoreGuard), StoreError> {
        let path = sqlite_path(url)?;
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).map_err(|error| {
                StoreError::Address(format!(
                    "cannot make the folder {}: {error}",
                    folder.display()
                ))
            })?;
        }
        let lock = lock(&path)?;
        make_private(&path)?;
        let options = options(&path).create_if_missing(true);
        let mut connection = options.connect().await?;
        sqlx::migrate!("src/store/migrations")
            .run(&mut connection)
            .await?;
        let reads = SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options.read_only(true))
            .await?;
        let signals = Arc::new(Signals::default());
        let (writes, requests) = mpsc::channel(WAITING_ROOM);
        #[expect(
            clippy::disallowed_methods,
            reason = "the writer outlives every request; closed() joins it"
        )]
        let task = tokio::spawn(writer::run(connection, requests, Arc::clone(&signals)));
        let guard = StoreGuard {
            writer: task,
            reads: reads.clone(),
            _lock: lock,
        };
        Ok((
            Self {
                writes,
                reads,
                signals,
            },
            guard,
        ))
    }

    /// Opens the `SQLite` file that `url` names for reading only, beside whoever serves it.
    pub async fn peek(url: &str) -> Result<Self, StoreError> {
        let path = sqlite_path(url)?;
        let options = SqliteConnectOptions::new().filename(&path).read_only(true);
        let reads = SqlitePoolOptions::new()
            .max_connections(2)
            .connect_with(options)
            .await?;
        // A store without tables is as good as none.
        sqlx::query("SELECT 1 FROM runs LIMIT 1")
            .fetch_optional(&reads)
            .await?;
        // Nobody listens at the other end: every write answers that the store is closed.
        let (writes, _) = mpsc::channel(1);
        Ok(Self {
            writes,
            reads,
            signals: Arc::new(Signals::default()),
        })
    }

    async fn ask<T>(
        &self,
        write: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Write,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.writes
            .send(write(answer))
            .await
            .map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Keeps a delivery with its runs; answers once they are on disk. When too much waits
    /// already, it answers [`StoreError::Full`] at once.
    pub async fn accept(&self, delivery: NewDelivery) -> Result<Receipt, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.writes
            .try_send(Write::Accept(Box::new(delivery), answer))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Full,
                mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
            })?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Keeps a refused request if there is room; whoever sends rubbish must not slow down
    /// whoever sends orders.
    pub async fn keep_rejected(&self, delivery: NewDelivery) {
        if self.writes.capacity() > WAITING_ROOM / 2 {
            // A refusal that cannot be kept is still a refusal.
            let _ = self.accept(delivery).await;
        }
    }

    /// Takes up to `limit` due runs until `lease_end`.
    pub async fn claim(
        &self,
        limit: usize,
        now: Timestamp,
        lease_end: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.ask(|answer| Write::Claim {
            limit,
            now,
            lease_end,
            answer,
        })
        .await
    }

    /// Writes what became true of a run.
    pub async fn advance(&self, write: Advance) -> Result<Advanced, StoreError> {
        self.ask(|answer| Write::Advance(Box::new(write), answer))
            .await
    }

    /// Makes runs for a delivery that is kept already.
    pub async fn replay(
        &self,
        delivery: DeliveryId,
        source: String,
        runs: Vec<NewRun>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.ask(|answer| Write::Replay {
            delivery,
            source,
            runs,
            now,
            answer,
        })
        .await
    }

    /// Does to a run what a person asked for.
    pub async fn intervene(
        &self,
        run: RunId,
        what: Intervention,
        now: Timestamp,
    ) -> Result<Intervened, StoreError> {
        self.ask(|answer| Write::Intervene {
            run,
            what,
            now,
            answer,
        })
        .await
    }

    /// Makes the runs that a stop cut off due at once; answers how many.
    pub async fn recover(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.ask(|answer| Write::Recover {
            only: None,
            now,
            answer,
        })
        .await
    }

    /// Makes one run due at once that a worker could not carry on, unless its claim changed hands.
    pub async fn give_back(
        &self,
        run: RunId,
        fence: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.ask(|answer| Write::Recover {
            only: Some((run, fence)),
            now,
            answer,
        })
        .await
        .map(drop)
    }

    /// Resolves after a write that may have made something due.
    pub async fn something_due(&self) {
        self.signals.due.notified().await;
    }

    /// Wakes whoever waits in [`Store::something_due`].
    pub fn wake(&self) {
        self.signals.due.notify_one();
    }

    /// The waiting rooms of runs.
    pub fn outcomes(&self) -> &Outcomes {
        &self.signals.outcomes
    }

    /// How many writes wait now, for the metrics.
    pub fn waiting_writes(&self) -> usize {
        self.writes.max_capacity() - self.writes.capacity()
    }
}

fn sqlite_path(url: &str) -> Result<PathBuf, StoreError> {
    let wrong = |what: &str| StoreError::Address(what.to_owned());
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Err(wrong(
            "PostgreSQL is not supported by this version; use sqlite://PATH",
        ));
    }
    let path = url
        .strip_prefix("sqlite://")
        .or_else(|| url.strip_prefix("sqlite:"))
        .ok_or_else(|| wrong("must begin with sqlite://, e.g. sqlite://data/billhook.db"))?;
    if path.is_empty() || path.starts_with(":memory:") || path.contains('?') {
        return Err(wrong("must name a file, e.g. sqlite://data/billhook.db"));
    }
    Ok(PathBuf::from(path))
}

fn lock(path: &Path) -> Result<std::fs::File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = std::fs::File::create(&name).map_err(|error| {
        StoreError::Address(format!("cannot write beside {}: {error}", path.display()))
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse(path.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(StoreError::Address(format!(
            "cannot lock {}: {error}",
            path.display()
        ))),
    }
}

/// Orders and customers are nobody else's business: a new file is the owner's alone, and `SQLite`
/// gives its companions the same mode.
fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let made = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path);
    made.map(drop)
        .map_err(|error| StoreError::Address(format!("cannot write {}: {error}", path.display())))
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        // Large pages: a delivery fits one, and bulk inserts touch fewer of them.
        .page_size(16_384)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode only FULL syncs at each commit; NORMAL may lose the last ones.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10))
        .foreign_keys(false)
        .statement_cache_capacity(256)
        .pragma("cache_size", "-16384")
        .pragma("wal_autocheckpoint", "1000")
}
