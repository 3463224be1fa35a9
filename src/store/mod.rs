//! The only place that knows SQL. Everything that matters survives in these rows.
//!
//! Writes go through a writer that shares an fsync among all that came in meanwhile (a few of them
//! on `PostgreSQL`); reads go through a few connections of their own and never wait for a writer.

mod accept;
mod advance;
mod alerts;
mod backup;
mod budgets;
mod bulk;
mod claim;
mod claims;
mod clear;
mod counts;
mod early;
mod facade;
mod filters;
mod health;
mod installations;
mod intervene;
mod lanes;
pub mod location;
mod made;
#[cfg(test)]
mod memory;
mod node;
mod open;
mod orders;
mod outbox;
mod outcomes;
mod paces;
mod place;
mod pull_in;
mod read;
mod reads;
mod report_outages;
mod report_writes;
mod reports;
mod retain;
mod rows;
mod session;
mod sql;
mod sqlite;
mod states;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_alike;
#[cfg(test)]
mod tests_budgets;
#[cfg(test)]
mod tests_claims;
#[cfg(test)]
mod tests_lanes;
#[cfg(test)]
mod tests_reports;
#[cfg(test)]
mod tests_scene;
#[cfg(test)]
mod tests_upkeep;
mod trouble;
mod upkeep;
mod views;
mod waiting;
mod write;
mod writer;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::domain::id::{DeliveryId, RunId};
use crate::domain::time::{Clock, Timestamp};

pub use alerts::{SUPPLIER_BACK, SUPPLIER_REFUSED};
pub use facade::Store;
#[cfg(test)]
pub use memory::{Gate, Memory, Passing, Rows, RunRow};
use node::Node;
use open::WAITING_ROOM;
pub use outbox::{Report, ReportFilter, Told};
pub use outcomes::Outcomes;
use reads::Reads;
pub use retain::Retained;
pub use rows::{
    Advance, Advanced, Alert, AtEnd, AttemptRow, ClaimChange, Claimed, DedupeKey, DeliveryVerdict,
    Held, Intervened, Intervention, NewDelivery, NewRun, Receipt, Recovery,
};
use sql::SqlError;
pub use trouble::Trouble;
pub use views::{
    DeliveryFilter, DeliveryView, KnownFilter, Named, Page, RunFilter, RunSummary, RunView,
    StateView, StepView,
};
use write::Write;
use writer::Signals;

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The address in `store.url` is not one this version can open.
    #[error("store.url: {0}")]
    Address(String),
    /// A copy of the store cannot be written.
    #[error("{0}")]
    Copy(String),
    /// A store that was here is not here any more.
    #[error("store.url: {0}")]
    Lost(String),
    /// Another living process serves this database with other settings.
    #[error(
        "another process serves this store, and {0}: give all of them the same settings, or stop the \
         others first"
    )]
    Unlike(String),
    /// What is sealed in the store does not open.
    #[error(
        "admin.encryption_key is not the one that sealed the secrets in this store: put the right one \
         back; if it is lost for good, billhook migrate --new-key accepts this one, and what the old \
         one sealed (sub-users' passwords, clients' keys) cannot be read any more"
    )]
    OtherKey,
    /// Another process serves this file.
    #[error("{0} is in use by another billhook; one process at a time serves an SQLite store")]
    InUse(PathBuf),
    /// Nothing can be kept at present.
    #[error("{what}{said}")]
    Troubled {
        /// What it is, in words for anybody.
        what: Trouble,
        /// What the database said, for the log; in brackets, or empty.
        said: Arc<str>,
    },
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
        SqlError::from(error).into()
    }
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        (&error).into()
    }
}

impl From<&SqlError> for StoreError {
    fn from(error: &SqlError) -> Self {
        let said = error.to_string();
        match (Trouble::of(error), error) {
            (Some(what), SqlError::Trouble(_)) => Self::Troubled {
                what,
                said: "".into(),
            },
            (Some(what), _) => Self::Troubled {
                what,
                said: format!(" ({said})").into(),
            },
            (None, _) => Self::Unavailable(said.into()),
        }
    }
}

impl StoreError {
    fn troubled(what: Trouble) -> Self {
        (&SqlError::Trouble(what)).into()
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
    reads: Reads,
    signals: Arc<Signals>,
    /// This process among those that share a database; none where nobody else can.
    node: Option<Arc<Node>>,
}

/// Keeps the store open; closing it waits for the last write.
#[derive(Debug)]
pub struct StoreGuard {
    writers: Vec<JoinHandle<()>>,
    reads: Reads,
    /// Held as long as the store is open; the lock goes with the file handle.
    lock: Option<std::fs::File>,
    node: Option<tokio_util::task::AbortOnDropHandle<()>>,
    /// Watches whether it can be written.
    watch: tokio_util::task::AbortOnDropHandle<()>,
    signals: Arc<Signals>,
    is_new: bool,
}

impl StoreGuard {
    /// Whether the store was made at this start.
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Waits until everything sent to the store is written. Every [`Store`] must be dropped
    /// before. Returns what kept the last writes from it, if something did.
    pub async fn closed(self) -> Option<Trouble> {
        drop(self.watch);
        for writer in self.writers {
            if let Err(error) = writer.await {
                tracing::error!(%error, "a writer ended badly");
            }
        }
        drop(self.node);
        let gone = self.reads.place().and_then(|place| place.check().err());
        let trouble = gone.or_else(|| self.signals.health.trouble());
        self.reads.close().await;
        drop(self.lock);
        trouble
    }
}

impl Database {
    /// Opens the database that `url` names and brings it up to date. An `SQLite` file is made if
    /// there is none.
    pub async fn open(url: &str) -> Result<(Self, StoreGuard), StoreError> {
        open::open(url).await
    }

    /// Opens the database that `url` names for reading only, beside whoever serves it.
    pub async fn peek(url: &str) -> Result<Self, StoreError> {
        open::peek(url).await
    }

    /// Whether several processes may serve this store at once.
    pub const fn is_shared(&self) -> bool {
        self.node.is_some()
    }

    /// The database's clock, where several processes must agree on the time.
    pub fn clock(&self) -> Option<Arc<dyn Clock>> {
        let node = self.node.as_ref()?;
        Some(Arc::clone(node) as Arc<dyn Clock>)
    }

    /// What tells this process's ids from those of others.
    pub fn node(&self) -> u8 {
        self.node.as_ref().map_or(0, |node| node.number())
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

    /// Lets go of the next few deliveries behind `after` that came and ended before `before`.
    pub async fn retain(&self, before: Timestamp, after: i64) -> Result<Retained, StoreError> {
        self.ask(|answer| Write::Retain {
            before,
            after,
            answer,
        })
        .await
    }

    /// Takes alerts that are due; nobody else takes them before `until`.
    pub async fn take_alerts(
        &self,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Alert>, StoreError> {
        self.ask(|answer| Write::TakeAlerts { now, until, answer })
            .await
    }

    /// Notes how telling an alert went: heard of, or to be told again then.
    pub async fn alert_told(
        &self,
        alert: Alert,
        again: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.ask(|answer| Write::AlertTold {
            alert,
            again,
            answer,
        })
        .await
    }

    /// Makes runs of what came before the order of a service; answers how many.
    pub async fn take_early(
        &self,
        source: String,
        service_id: String,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        self.ask(|answer| Write::TakeEarly {
            source,
            service_id,
            now,
            answer,
        })
        .await
    }

    /// Keeps which installation a source belongs to: the configured one, or the first one heard.
    /// Returns what it belongs to.
    pub async fn keep_installation(
        &self,
        source: String,
        installation: String,
        configured: bool,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        self.ask(|answer| Write::KeepInstallation {
            source,
            installation,
            configured,
            now,
            answer,
        })
        .await
    }

    /// Keeps that a supplier refuses the account, with what is to be told of it, or (without) that it
    /// takes the account again; `about` names both.
    pub async fn note_supplier(
        &self,
        about: String,
        refused: Option<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.ask(|answer| Write::NoteSupplier {
            about,
            refused,
            now,
            answer,
        })
        .await
    }

    /// Puts the lanes in order at a start and makes runs due at once; answers how many of them.
    pub async fn recover(&self, what: Recovery, now: Timestamp) -> Result<u64, StoreError> {
        self.ask(|answer| Write::Recover { what, now, answer })
            .await
    }

    /// Extends the leases of these runs; answers which of them are still this worker's.
    pub async fn extend(
        &self,
        held: Vec<Held>,
        until: Timestamp,
    ) -> Result<HashSet<i64>, StoreError> {
        self.ask(|answer| Write::Extend {
            held,
            until,
            answer,
        })
        .await
    }

    /// Resolves after a write that may have made something due.
    pub async fn something_due(&self) {
        self.signals.due.notified().await;
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
