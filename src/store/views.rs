//! What reading answers, and which rows a list is asked for. No SQL here.

use serde_json::Value;

use crate::domain::id::{DeliveryId, RunId};
use crate::domain::time::Timestamp;

/// A page of a list: of what has an id newest first, of what has a name by source and name.
#[derive(Debug)]
pub struct Page<T, C = i64> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; none on the last.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// How many rows there are in all, where the first page holds them.
    pub fn whole(&self, is_first: bool) -> Option<i64> {
        let whole = is_first && self.next.is_none();
        whole.then(|| i64::try_from(self.items.len()).unwrap_or(i64::MAX))
    }
}

/// A source's name and the billing platform's id of a service or customer.
pub type Named = (String, String);

/// Which services or customers to list.
#[derive(Clone, Debug, Default)]
pub struct KnownFilter {
    /// Source name.
    pub source: Option<String>,
    /// Whose services.
    pub customer: Option<String>,
    /// Status name of services.
    pub status: Option<String>,
    /// Only those behind this one.
    pub after: Option<Named>,
    /// At most this many.
    pub limit: i64,
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeliveryFilter {
    /// Source name.
    pub source: Option<String>,
    /// Verdict name.
    pub verdict: Option<String>,
    /// Event type.
    pub kind: Option<String>,
    /// Service id.
    pub service: Option<String>,
    /// The lanes that a service of this id may have; empty: any.
    pub lanes: Vec<String>,
    /// Customer id.
    pub customer: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// A text that the body holds.
    pub text: Option<String>,
    /// Only older ones than this id.
    pub before: Option<i64>,
    /// At most this many.
    pub limit: i64,
}

/// Which runs to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFilter {
    /// Status name.
    pub status: Option<String>,
    /// Why it is paused, as the fixed word.
    pub reason: Option<String>,
    /// Source name.
    pub source: Option<String>,
    /// Service id.
    pub service: Option<String>,
    /// The lanes that a service of this id may have; empty: any.
    pub lanes: Vec<String>,
    /// Customer id.
    pub customer: Option<String>,
    /// Event type.
    pub kind: Option<String>,
    /// Made by this delivery.
    pub delivery: Option<DeliveryId>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Only older ones than this id.
    pub before: Option<i64>,
    /// At most this many.
    pub limit: i64,
}

impl DeliveryFilter {
    /// Whether nothing but a verdict is asked for: how many there are of each is counted.
    pub fn is_counted(&self) -> bool {
        let other = Self {
            verdict: None,
            before: None,
            limit: 0,
            ..self.clone()
        };
        other == Self::default()
    }
}

impl RunFilter {
    /// Whether nothing but a status is asked for: how many there are of each is counted.
    pub fn is_counted(&self) -> bool {
        let other = Self {
            status: None,
            before: None,
            limit: 0,
            ..self.clone()
        };
        other == Self::default()
    }
}

/// A delivery as it is kept.
#[derive(Clone, Debug)]
pub struct DeliveryView {
    /// Its id.
    pub id: DeliveryId,
    /// When it came in.
    pub received_at: Timestamp,
    /// Source name.
    pub source: String,
    /// Verdict name.
    pub verdict: String,
    /// Why it was ignored or rejected.
    pub cause: Option<String>,
    /// Event type.
    pub kind: Option<String>,
    /// The first one, where it is a duplicate.
    pub duplicate_of: Option<DeliveryId>,
    /// Customer id.
    pub customer_id: Option<String>,
    /// Service ids.
    pub service_ids: Vec<String>,
    /// The runs made at once.
    pub run_ids: Vec<RunId>,
    /// When the sender signed it; none where nothing verified.
    pub signed_at: Option<Timestamp>,
    /// How the verification went.
    pub verification: Value,
    /// Headers, secrets masked.
    pub headers: Value,
    /// The bytes; empty in lists.
    pub body: Vec<u8>,
}

/// A run without its journal.
#[derive(Clone, Debug)]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// The delivery that holds its event.
    pub delivery_id: DeliveryId,
    /// The delivery that first brought the event.
    pub origin: DeliveryId,
    /// When the event occurred.
    pub occurred_at: Timestamp,
    /// Lane key.
    pub lane: String,
    /// Source name.
    pub source: String,
    /// Event type.
    pub kind: String,
    /// Customer id.
    pub customer_id: Option<String>,
    /// Service id.
    pub service_id: Option<String>,
    /// Status name.
    pub status: String,
    /// Whether its plan is stored.
    pub planned: bool,
    /// When a worker takes it next.
    pub due_at: Option<Timestamp>,
    /// What it waits for.
    pub waiting_for: Option<String>,
    /// Why it is paused or ended.
    pub error: Option<String>,
    /// What people should know of it, e.g. why there was nothing to do.
    pub note: Option<String>,
    /// Why it is paused, as one fixed word.
    pub pause_reason: Option<String>,
    /// Whether nothing of it was sent (`policy.dry_run`).
    pub dry_run: bool,
    /// What it repeats: a run's number or a delivery's.
    pub replay_of: Option<i64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A step with its attempts, as the API shows it.
#[derive(Clone, Debug)]
pub struct StepView {
    /// The journal's document.
    pub doc: Value,
    /// Its attempts, oldest first.
    pub attempts: Vec<Value>,
}

/// A run with its journal.
#[derive(Clone, Debug)]
pub struct RunView {
    /// The run.
    pub run: RunSummary,
    /// Its steps.
    pub steps: Vec<StepView>,
}

/// A service's or customer's state.
#[derive(Clone, Debug)]
pub struct StateView<T> {
    /// What is known.
    pub state: T,
    /// Whose service it is; none for a customer.
    pub customer_id: Option<String>,
    /// When it last changed.
    pub updated_at: Timestamp,
}
