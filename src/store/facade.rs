//! The store as everybody else sees it, whatever keeps the rows: a database, or in tests the
//! memory of this process. It only hands over.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::domain::budget::{Counted, Demand};
use crate::domain::id::{DeliveryId, RunId};
use crate::domain::kept::Seen;
use crate::domain::lane::Member;
use crate::domain::sharing::Agreement;
use crate::domain::state::{CustomerState, ServiceState};
use crate::domain::time::{Clock, Timestamp};
use crate::domain::vault::Vault;

#[cfg(test)]
use super::Memory;
use super::{
    Advance, Advanced, Claimed, Database, DeliveryFilter, DeliveryView, Held, Intervened,
    Intervention, KnownFilter, Named, NewDelivery, NewRun, Outcomes, Page, Receipt, Recovery,
    Retained, RunFilter, RunSummary, RunView, StateView, StoreError, StoreGuard,
};

/// The store: cheap to clone, closed by [`StoreGuard::closed`].
#[derive(Clone, Debug)]
pub struct Store(Backend);

/// What keeps the rows.
#[derive(Clone, Debug)]
enum Backend {
    Database(Database),
    #[cfg(test)]
    Memory(Memory),
}

/// Hands a call over to whatever keeps the rows.
macro_rules! handed {
    ($store:ident.$method:ident($($argument:expr),*)) => {
        match &$store.0 {
            Backend::Database(rows) => rows.$method($($argument),*),
            #[cfg(test)]
            Backend::Memory(rows) => rows.$method($($argument),*),
        }
    };
    ($store:ident.$method:ident($($argument:expr),*).await) => {
        match &$store.0 {
            Backend::Database(rows) => rows.$method($($argument),*).await,
            #[cfg(test)]
            Backend::Memory(rows) => rows.$method($($argument),*).await,
        }
    };
}

/// The same for what only a database does; in memory there is nothing to ask.
macro_rules! database {
    ($store:ident.$method:ident($($argument:expr),*).await) => {
        match &$store.0 {
            Backend::Database(rows) => rows.$method($($argument),*).await,
            #[cfg(test)]
            Backend::Memory(_) => Err(StoreError::Closed),
        }
    };
}

mod telling;

#[cfg(test)]
impl From<Memory> for Store {
    fn from(memory: Memory) -> Self {
        Self(Backend::Memory(memory))
    }
}

impl Store {
    /// The database, where the rows are in one.
    #[cfg(test)]
    pub(super) fn database(&self) -> Option<&Database> {
        match &self.0 {
            Backend::Database(rows) => Some(rows),
            Backend::Memory(_) => None,
        }
    }

    /// Opens (and makes, and brings up to date) the `SQLite` file that `url` names.
    pub async fn open(url: &str) -> Result<(Self, StoreGuard), StoreError> {
        let (database, guard) = Database::open(url).await?;
        Ok((Self(Backend::Database(database)), guard))
    }

    /// Opens the `SQLite` file that `url` names for reading only, beside whoever serves it.
    pub async fn peek(url: &str) -> Result<Self, StoreError> {
        Ok(Self(Backend::Database(Database::peek(url).await?)))
    }

    /// Keeps a delivery with its runs; answers once they are on disk. When too much waits
    /// already, it answers [`StoreError::Full`] at once.
    pub async fn accept(&self, delivery: NewDelivery) -> Result<Receipt, StoreError> {
        handed!(self.accept(delivery).await)
    }

    /// Keeps a refused request if there is room; whoever sends rubbish must not slow down
    /// whoever sends orders.
    pub async fn keep_rejected(&self, delivery: NewDelivery) {
        handed!(self.keep_rejected(delivery).await);
    }

    /// Takes up to `limit` due runs until `lease_end`.
    pub async fn claim(
        &self,
        limit: usize,
        now: Timestamp,
        lease_end: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError> {
        handed!(self.claim(limit, now, lease_end).await)
    }

    /// Writes what became true of a run.
    pub async fn advance(&self, write: Advance) -> Result<Advanced, StoreError> {
        handed!(self.advance(write).await)
    }

    /// Makes runs for a delivery that is kept already.
    pub async fn replay(
        &self,
        delivery: DeliveryId,
        source: String,
        runs: Vec<NewRun>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        handed!(self.replay(delivery, source, runs, now).await)
    }

    /// Does to a run what a person asked for.
    pub async fn intervene(
        &self,
        run: RunId,
        what: Intervention,
        now: Timestamp,
    ) -> Result<Intervened, StoreError> {
        handed!(self.intervene(run, what, now).await)
    }

    /// Puts the lanes in order at a start and makes runs due at once; answers how many of them.
    pub async fn recover(&self, what: Recovery, now: Timestamp) -> Result<u64, StoreError> {
        handed!(self.recover(what, now).await)
    }

    /// Makes one run due at once that a worker could not carry on, unless its claim changed hands.
    pub async fn give_back(&self, held: Held, now: Timestamp) -> Result<(), StoreError> {
        self.recover(Recovery::GivenBack(held), now).await.map(drop)
    }

    /// Extends the leases of these runs; answers which of them are still this worker's.
    pub async fn extend(
        &self,
        held: Vec<Held>,
        until: Timestamp,
    ) -> Result<HashSet<i64>, StoreError> {
        handed!(self.extend(held, until).await)
    }

    /// Lets go of the next few deliveries behind `after` that came and ended before `before`.
    pub async fn retain(&self, before: Timestamp, after: i64) -> Result<Retained, StoreError> {
        database!(self.retain(before, after).await)
    }

    /// What each source is known to belong to.
    pub async fn installations(&self) -> Result<Vec<(String, String)>, StoreError> {
        database!(self.installations().await)
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
        handed!(
            self.keep_installation(source, installation, configured, now)
                .await
        )
    }

    /// Takes the next place in the queue of a supplier and answers how long to wait for it; an
    /// error says how long it would have been, where that is longer than `longest`.
    pub async fn reserve(
        &self,
        upstream: &str,
        per_second: u32,
        longest: Duration,
    ) -> Result<Result<Duration, Duration>, StoreError> {
        database!(self.reserve(upstream, per_second, longest).await)
    }

    /// Nothing more leaves for this long, and one by one afterwards.
    pub async fn hold(
        &self,
        upstream: &str,
        per_second: u32,
        pause: Duration,
    ) -> Result<(), StoreError> {
        database!(self.hold(upstream, per_second, pause).await)
    }

    /// Counts the requests of an upstream's present hour, by the database's clock where several
    /// processes share it; answers once that is on disk.
    pub async fn count_requests(
        &self,
        upstream: &str,
        demand: Demand,
        now: Timestamp,
    ) -> Result<Counted, StoreError> {
        handed!(self.count_requests(upstream, demand, now).await)
    }

    /// For each upstream that waiting runs wait for, the oldest of them and when it came.
    pub async fn oldest_waiting(&self) -> Result<Vec<(String, RunId, Timestamp)>, StoreError> {
        handed!(self.oldest_waiting().await)
    }

    /// How many runs are paused, by the word that says why.
    pub async fn paused_by_reason(&self) -> Result<Vec<(String, i64)>, StoreError> {
        database!(self.paused_by_reason().await)
    }

    /// Whether several processes may serve this store at once.
    pub const fn is_shared(&self) -> bool {
        match &self.0 {
            Backend::Database(rows) => rows.is_shared(),
            #[cfg(test)]
            Backend::Memory(_) => false,
        }
    }

    /// The database's clock, where several processes must agree on the time.
    pub fn clock(&self) -> Option<Arc<dyn Clock>> {
        match &self.0 {
            Backend::Database(rows) => rows.clock(),
            #[cfg(test)]
            Backend::Memory(_) => None,
        }
    }

    /// What tells this process's ids from those of others.
    pub fn node(&self) -> u8 {
        match &self.0 {
            Backend::Database(rows) => rows.node(),
            #[cfg(test)]
            Backend::Memory(_) => 0,
        }
    }

    /// Resolves after a write that may have made something due.
    pub async fn something_due(&self) {
        handed!(self.something_due().await);
    }

    /// The waiting rooms of runs.
    pub fn outcomes(&self) -> &Outcomes {
        handed!(self.outcomes())
    }

    /// How many writes wait now, for the metrics.
    pub fn waiting_writes(&self) -> usize {
        handed!(self.waiting_writes())
    }

    /// Lists deliveries, newest first, without their bytes.
    pub async fn deliveries(
        &self,
        filter: &DeliveryFilter,
    ) -> Result<Page<DeliveryView>, StoreError> {
        handed!(self.deliveries(filter).await)
    }

    /// One delivery with its bytes.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryView>, StoreError> {
        handed!(self.delivery(id).await)
    }

    /// The runs of a delivery, replays included, oldest first.
    pub async fn runs_of(&self, delivery: &DeliveryView) -> Result<Vec<RunSummary>, StoreError> {
        handed!(self.runs_of(delivery).await)
    }

    /// Lists runs, newest first.
    pub async fn runs(&self, filter: &RunFilter) -> Result<Page<RunSummary>, StoreError> {
        handed!(self.runs(filter).await)
    }

    /// One run with its journal.
    pub async fn run(&self, id: RunId) -> Result<Option<RunView>, StoreError> {
        handed!(self.run(id).await)
    }

    /// The status and error of a run, for whoever waits for it.
    pub async fn run_status(
        &self,
        id: RunId,
    ) -> Result<Option<(String, Option<String>)>, StoreError> {
        handed!(self.run_status(id).await)
    }

    /// Whether something came before the order of this service.
    pub async fn has_early(&self, source: &str, service_id: &str) -> Result<bool, StoreError> {
        handed!(self.has_early(source, service_id).await)
    }

    /// Services of which something came early and that are known by now.
    pub async fn early_known(&self) -> Result<Vec<(String, String)>, StoreError> {
        handed!(self.early_known().await)
    }

    /// Makes runs of what came before the order of a service; answers how many.
    pub async fn take_early(
        &self,
        source: String,
        service_id: String,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        handed!(self.take_early(source, service_id, now).await)
    }

    /// The unfinished runs of a lane.
    pub async fn members(&self, lane: &str) -> Result<Vec<Member>, StoreError> {
        handed!(self.members(lane).await)
    }

    /// Whether anything is known of a service: a state, or a run in its lane. What was only planned
    /// in a dry run counts in dry runs alone.
    pub async fn knows_service(
        &self,
        source: &str,
        service_id: &str,
        lane: &str,
        in_dry_runs: bool,
    ) -> Result<bool, StoreError> {
        handed!(
            self.knows_service(source, service_id, lane, in_dry_runs)
                .await
        )
    }

    /// A service's state.
    pub async fn service(
        &self,
        source: &str,
        id: &str,
    ) -> Result<Option<StateView<ServiceState>>, StoreError> {
        handed!(self.service(source, id).await)
    }

    /// A customer's state.
    pub async fn customer(
        &self,
        source: &str,
        id: &str,
    ) -> Result<Option<StateView<CustomerState>>, StoreError> {
        handed!(self.customer(source, id).await)
    }

    /// The services of a customer.
    pub async fn services_of(
        &self,
        source: &str,
        customer: &str,
    ) -> Result<Vec<(String, ServiceState)>, StoreError> {
        handed!(self.services_of(source, customer).await)
    }

    /// The latest runs of a lane, newest first.
    pub async fn history(&self, lane: &str, limit: i64) -> Result<Vec<RunSummary>, StoreError> {
        handed!(self.history(lane, limit).await)
    }

    /// Known services or customers with their documents, by source and id.
    pub async fn known(
        &self,
        customers: bool,
        filter: &KnownFilter,
    ) -> Result<Page<(Named, Value), Named>, StoreError> {
        handed!(self.known(customers, filter).await)
    }

    /// Which of these orders at Hivelocity are noted as another service's.
    pub async fn orders_of_others(
        &self,
        source: &str,
        service_id: &str,
        orders: Vec<i64>,
    ) -> Result<HashSet<i64>, StoreError> {
        handed!(self.orders_of_others(source, service_id, orders).await)
    }

    /// How long the last devices of this Hivelocity product took to build, newest first.
    pub async fn last_builds(&self, product: i64) -> Result<Vec<Duration>, StoreError> {
        handed!(self.last_builds(product).await)
    }

    /// How many rows there are by status or verdict: `("runs", "paused", 3)`.
    pub async fn counts(&self) -> Result<Vec<(String, String, i64)>, StoreError> {
        handed!(self.counts().await)
    }

    /// The earliest due time of all runs.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        handed!(self.next_due().await)
    }

    /// The highest id in use.
    pub async fn highest_id(&self) -> Result<i64, StoreError> {
        handed!(self.highest_id().await)
    }

    /// Whether the database answers.
    pub async fn reachable(&self) -> Result<(), StoreError> {
        handed!(self.reachable().await)
    }

    /// Whether what is sent now can be committed; an error says why not.
    pub async fn ready(&self) -> Result<(), StoreError> {
        database!(self.ready().await)
    }

    /// Joins those who serve the store: refused where the settings are not those of another one
    /// that is alive, or the key is not the one that sealed what is there (unless `new_key`).
    pub async fn join(
        &self,
        settings: Agreement,
        vault: &Vault,
        new_key: bool,
    ) -> Result<(), StoreError> {
        database!(self.join(settings, vault, new_key).await)
    }

    /// Until when the store has surely lived, after another look.
    pub async fn lived(&self, seen: Seen) -> Result<Timestamp, StoreError> {
        database!(self.lived(seen).await)
    }
}
