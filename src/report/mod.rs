//! Reports on their way to the billing platforms: taken from the outbox, sent until heard. IO.
//!
//! No run waits for one. Each source has slots of its own and an outage of its own, so a platform
//! that hangs, refuses or is away delays nobody else's reports. What cannot be sent now stays in
//! the store: this module may stop or be killed at any point, and a report may be sent twice.

mod attend;
mod outage;
mod probe;
mod send;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::id::ReportId;
use crate::domain::{Clock, Entropy, Timestamp};
use crate::store::{Report, Store, StoreError};
use crate::upstream::Billing;
use outage::Outage;
pub use probe::WayBack;
pub use send::body;

/// The senders of all sources; one for the process.
pub struct Reports {
    store: Store,
    billing: Arc<Billing>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Whether people are told of outages.
    alerts: bool,
    desks: BTreeMap<String, Desk>,
}

impl std::fmt::Debug for Reports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.desks.keys()).finish()
    }
}

/// What one source has to itself.
struct Desk {
    outage: Mutex<Outage>,
    /// A person wants something to be sent now.
    wanted: Notify,
    /// Held by whoever tries the way back: one at a time, so that reports keep their turns.
    probing: tokio::sync::Mutex<()>,
    heard: AtomicU64,
    failed: AtomicU64,
}

/// How many reports were sent since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// And taken.
    pub heard: u64,
    /// And not.
    pub failed: u64,
}

impl Desk {
    fn new() -> Self {
        Self {
            outage: Mutex::new(Outage::new()),
            wanted: Notify::new(),
            probing: tokio::sync::Mutex::new(()),
            heard: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Nothing in it is changed in two parts, so a thread that broke off leaves it whole.
    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reports {
    /// Senders for every source that wants to be told.
    pub fn new(
        store: Store,
        billing: Arc<Billing>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        alerts: bool,
    ) -> Self {
        let sources = billing.sources();
        let desks = sources.map(|source| (source.to_owned(), Desk::new()));
        Self {
            desks: desks.collect(),
            store,
            billing,
            clock,
            entropy,
            alerts,
        }
    }

    /// The sources that want to be told.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.desks.keys().map(String::as_str)
    }

    /// How many reports of each source were sent since the start.
    pub fn sent(&self) -> impl Iterator<Item = (&str, Sent)> {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        self.desks.iter().map(move |(source, desk)| {
            let sent = Sent {
                heard: count(&desk.heard),
                failed: count(&desk.failed),
            };
            (source.as_str(), sent)
        })
    }

    /// How many reports of each source were not heard yet. A source that wants to be told no more
    /// is left out: what waits for it waits for a change of the settings.
    pub async fn unheard(&self) -> Result<BTreeMap<String, i64>, StoreError> {
        let none = self.desks.keys().map(|source| (source.clone(), 0));
        let mut counts: BTreeMap<String, i64> = none.collect();
        for (source, count) in self.store.unheard_reports().await? {
            counts.entry(source).and_modify(|known| *known = count);
        }
        Ok(counts)
    }

    /// Makes a report due now and ends the wait for its platform; none where there is no such
    /// report.
    pub async fn retry(&self, id: ReportId) -> Result<Option<Report>, StoreError> {
        let now = self.clock.now();
        if !self.store.retry_report(id, now).await? {
            return Ok(None);
        }
        let report = self.store.report(id).await?;
        if let Some(desk) = report.as_ref().and_then(|one| self.desks.get(&one.source)) {
            desk.outage().hurry(now);
            desk.wanted.notify_one();
        }
        Ok(report)
    }

    /// From when on a report may leave for the source's platform.
    fn open_from(&self, source: &str) -> Timestamp {
        let desk = self.desks.get(source);
        desk.map_or(Timestamp::default(), |desk| desk.outage().until())
    }
}
