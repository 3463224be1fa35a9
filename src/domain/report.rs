//! What a run tells the billing platform of its service. Plain data.

use serde_json::Value;

/// The type of a report of a service's state.
pub const SERVICE_UPDATED: &str = "service.updated";
/// The type of a report of a run that needs a person.
pub const RUN_PAUSED: &str = "run.paused";
/// The type of a report of a run that goes on after that.
pub const RUN_RESUMED: &str = "run.resumed";

/// A report as a run writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewReport {
    /// One of the types.
    pub kind: &'static str,
    /// Only where the last report is that of a pause of the same run.
    pub over_pause: bool,
    /// What is told. A state that was told already is no new one, so no time is in it.
    pub doc: Value,
}
