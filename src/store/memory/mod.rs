//! The store in the memory of this process, for tests: the same operations as the SQL, each one
//! transaction, written as plainly as possible. Nothing is on disk; instead a [`Gate`] stands
//! before and after every commit, where a simulation interleaves, refuses and kills.

mod accept;
mod advance;
mod claim;
mod early;
mod intervene;
mod lanes;
mod read;
mod reports;
mod rows;

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::budget::{Counted, Demand, Hour};
use crate::domain::id::{DeliveryId, RunId};
use crate::domain::time::Timestamp;

use super::writer::Signals;
use super::{
    Advance, Advanced, Claimed, Held, Intervened, Intervention, NewDelivery, NewRun, Outcomes,
    Receipt, Recovery, Store, StoreError,
};
pub use rows::{Rows, RunRow};

/// Where an operation stands when it is asked whether it may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// It changes rows and has not yet.
    BeforeCommit(&'static str),
    /// Its change is there, its caller does not know yet.
    AfterCommit(&'static str),
    /// It only reads.
    Read(&'static str),
}

/// Stands before and after every operation; an error is the operation's, what is committed stays.
pub trait Gate: Send + Sync + fmt::Debug {
    /// Lets the operation pass, sooner or later, or refuses it.
    fn pass(
        &self,
        at: Passing,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + '_>>;

    /// Told of every change of rows, before anyone else learns of it.
    fn committed(&self, what: &'static str, rows: &mut Rows) {
        let _ = (what, rows);
    }
}

/// Stops nobody.
#[derive(Debug)]
struct Open;

impl Gate for Open {
    fn pass(
        &self,
        _at: Passing,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + '_>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// One process's hold on the rows.
#[derive(Clone, Debug)]
pub struct Memory {
    rows: Arc<Mutex<Rows>>,
    gate: Arc<dyn Gate>,
    signals: Arc<Signals>,
}

impl Default for Memory {
    /// No rows, and nobody in the way.
    fn default() -> Self {
        Self {
            rows: Arc::default(),
            gate: Arc::new(Open),
            signals: Arc::default(),
        }
    }
}

impl Memory {
    /// The same rows, seen by another process through its own gate.
    #[must_use]
    pub fn behind(&self, gate: Arc<dyn Gate>) -> Self {
        Self {
            rows: Arc::clone(&self.rows),
            gate,
            signals: Arc::default(),
        }
    }

    /// The rows as they are.
    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One transaction between its two gates.
    async fn write<T>(
        &self,
        what: &'static str,
        change: impl FnOnce(&mut Rows) -> T + Send,
    ) -> Result<T, StoreError> {
        self.gate.pass(Passing::BeforeCommit(what)).await?;
        let done = {
            let mut rows = self.rows();
            let done = change(&mut rows);
            self.gate.committed(what, &mut rows);
            done
        };
        self.signals.due.notify_one();
        self.gate.pass(Passing::AfterCommit(what)).await?;
        Ok(done)
    }

    pub(super) async fn accept(&self, delivery: NewDelivery) -> Result<Receipt, StoreError> {
        self.write("accept", |rows| rows.accept(delivery)).await
    }

    pub(super) async fn keep_rejected(&self, delivery: NewDelivery) {
        // A refusal that cannot be kept is still a refusal.
        let _ = self.accept(delivery).await;
    }

    pub(super) async fn claim(
        &self,
        limit: usize,
        now: Timestamp,
        lease_end: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.write("claim", |rows| rows.claim(limit, now, lease_end))
            .await
    }

    pub(super) async fn advance(&self, write: Advance) -> Result<Advanced, StoreError> {
        let (run, settled) = (write.run, write.status.is_settled());
        let advanced = self.write("advance", |rows| rows.advance(&write)).await?;
        if advanced.applied && settled {
            self.signals.outcomes.settled(run);
        }
        Ok(advanced)
    }

    pub(super) async fn keep_installation(
        &self,
        source: String,
        installation: String,
        configured: bool,
        _now: Timestamp,
    ) -> Result<String, StoreError> {
        let keep = |rows: &mut Rows| {
            let kept = rows.installations.entry(source);
            let kept = kept.or_insert_with(|| installation.clone());
            if configured {
                *kept = installation;
            }
            kept.clone()
        };
        self.write("keep_installation", keep).await
    }

    pub(super) async fn replay(
        &self,
        delivery: DeliveryId,
        source: String,
        runs: Vec<NewRun>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write("replay", |rows| rows.replay(delivery, &source, runs, now))
            .await
    }

    pub(super) async fn intervene(
        &self,
        run: RunId,
        what: Intervention,
        now: Timestamp,
    ) -> Result<Intervened, StoreError> {
        let done = self
            .write("intervene", |rows| rows.intervene(run, what, now))
            .await?;
        self.signals.outcomes.settled(run);
        Ok(done)
    }

    pub(super) async fn recover(&self, what: Recovery, now: Timestamp) -> Result<u64, StoreError> {
        self.write("recover", |rows| rows.recover(what, now)).await
    }

    pub(super) async fn extend(
        &self,
        held: Vec<Held>,
        until: Timestamp,
    ) -> Result<HashSet<i64>, StoreError> {
        self.write("extend", |rows| rows.extend(&held, until)).await
    }

    pub(super) async fn count_requests(
        &self,
        upstream: &str,
        demand: Demand,
        now: Timestamp,
    ) -> Result<Counted, StoreError> {
        if demand == Demand::Look {
            self.gate.pass(Passing::Read("count_requests")).await?;
            let kept = self.rows().budgets.get(upstream).copied();
            return Ok(Hour::after(kept, &demand, now));
        }
        self.write("count_requests", |rows| {
            let kept = rows.budgets.get(upstream).copied();
            let counted = Hour::after(kept, &demand, now);
            if let Some(hour) = counted.hour {
                rows.budgets.insert(upstream.to_owned(), hour);
            }
            counted
        })
        .await
    }

    pub(super) async fn something_due(&self) {
        self.signals.due.notified().await;
    }

    pub(super) fn outcomes(&self) -> &Outcomes {
        &self.signals.outcomes
    }

    #[expect(clippy::unused_self, reason = "a database has a queue")]
    pub(super) fn waiting_writes(&self) -> usize {
        0
    }
}

impl Store {
    /// A store that lives and dies with this process.
    pub fn in_memory() -> Self {
        Memory::default().into()
    }
}
