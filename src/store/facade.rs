//! The store as everybody else sees it, whatever keeps the rows: a database, or in tests the
//! memory of this process. It only hands over.

use serde_json::Value;

use crate::domain::id::{DeliveryId, RunId};
use crate::domain::state::{CustomerState, ServiceState};
use crate::domain::time::Timestamp;

#[cfg(test)]
use super::Memory;
use super::{
    Advance, Advanced, Claimed, Database, DeliveryFilter, DeliveryView, Intervened, Intervention,
    NewDelivery, NewRun, Outcomes, Page, Receipt, RunFilter, RunSummary, RunView, StateView,
    StoreError, StoreGuard,
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

#[cfg(test)]
impl From<Memory> for Store {
    fn from(memory: Memory) -> Self {
        Self(Backend::Memory(memory))
    }
}

impl Store {
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

    /// Makes the runs that a stop cut off due at once; answers how many.
    pub async fn recover(&self, now: Timestamp) -> Result<u64, StoreError> {
        handed!(self.recover(now).await)
    }

    /// Makes one run due at once that a worker could not carry on, unless its claim changed hands.
    pub async fn give_back(
        &self,
        run: RunId,
        fence: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        handed!(self.give_back(run, fence, now).await)
    }

    /// Resolves after a write that may have made something due.
    pub async fn something_due(&self) {
        handed!(self.something_due().await);
    }

    /// Wakes whoever waits in [`Store::something_due`].
    pub fn wake(&self) {
        handed!(self.wake());
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

    /// Whether anything is known of a service: a state, or a run in its lane.
    pub async fn knows_service(
        &self,
        source: &str,
        service_id: &str,
        lane: &str,
    ) -> Result<bool, StoreError> {
        handed!(self.knows_service(source, service_id, lane).await)
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

    /// Every known service or customer id of a source, in order.
    pub async fn known(
        &self,
        customers: bool,
        filter: &RunFilter,
    ) -> Result<Vec<(String, String, Value)>, StoreError> {
        handed!(self.known(customers, filter).await)
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
}
