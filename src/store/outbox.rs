//! The outbox of reports to the billing platforms, as types. No SQL here.

use serde_json::Value;

use crate::domain::id::ReportId;
use crate::domain::time::Timestamp;

/// A report as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Its id; one a service.
    pub id: ReportId,
    /// The source's name.
    pub source: String,
    /// The service.
    pub service_id: String,
    /// Whose it is, where known.
    pub customer_id: Option<String>,
    /// `service.updated`, `run.paused` or `run.resumed`.
    pub kind: String,
    /// Grows with each new state of the service.
    pub seq: i64,
    /// Whether the billing platform has taken it.
    pub heard: bool,
    /// Whether a process sends it at present.
    pub sending: bool,
    /// How often this state was sent, the present time included.
    pub attempts: u32,
    /// When it is sent next; while it is being sent, when it may be sent once more.
    pub due_at: Option<Timestamp>,
    /// Why it was not taken.
    pub error: Option<String>,
    /// When this state came.
    pub created_at: Timestamp,
    /// When it was taken.
    pub heard_at: Option<Timestamp>,
    /// What is told.
    pub doc: Value,
}

impl Report {
    /// Its status in a word.
    pub const fn status(&self) -> &'static str {
        if self.heard { HEARD } else { WAITING }
    }
}

/// Not taken yet.
pub(super) const WAITING: &str = "waiting";
/// Taken.
pub(super) const HEARD: &str = "heard";

/// How sending a report went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was taken.
    Heard,
    /// It was not; it is sent again then.
    Again {
        /// When.
        at: Timestamp,
        /// Why it was not.
        error: String,
    },
}

/// Which reports to list.
#[derive(Clone, Debug, Default)]
pub struct ReportFilter {
    /// Source name.
    pub source: Option<String>,
    /// `waiting` or `heard`.
    pub status: Option<String>,
    /// Service id.
    pub service: Option<String>,
    /// Only older ones than this id.
    pub before: Option<i64>,
    /// At most this many.
    pub limit: i64,
}

/// What a person is told once a pause is over without a new state: nothing is wrong any more.
pub(super) fn over(doc: &mut Value) {
    if let Some(fields) = doc.as_object_mut() {
        for field in ["error", "next"] {
            fields.insert(field.to_owned(), Value::Null);
        }
    }
}
