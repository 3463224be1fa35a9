//! The vocabulary: ids, times, events, customers, services, runs, steps, secrets.
//!
//! Everything here is plain data with its rules. No IO, no async, no clock: a time or a random
//! number comes in as an argument.

pub mod asked;
pub mod away;
pub mod budget;
pub mod dead;
pub mod entropy;
pub mod event;
pub mod headers;
pub mod hostname;
pub mod id;
pub mod kept;
pub mod lane;
pub mod lease;
pub mod mode;
pub mod nearest;
pub mod order;
pub mod outcome;
pub mod pause;
pub mod report;
pub mod run;
pub mod secret;
pub mod sharing;
pub mod state;
pub mod step;
pub mod time;
pub mod vault;

pub use asked::Asked;
pub use away::{Away, Because, Cause, Refusal};
pub use budget::{Counted, Demand, Heard, Hour, Rank, RateLimit};
pub use dead::Dead;
pub use entropy::Entropy;
pub use event::{Action, Customer, Event, EventType, OrderedService};
pub use id::{DeliveryId, IdSource, ReportId, RunId};
pub use lease::Lease;
pub use mode::Mode;
pub use order::PendingOrder;
pub use outcome::{Again, Allowance, Decision, Done, Exchange, Outcome, Permit};
pub use pause::PauseReason;
pub use run::{Lane, OrderKey, RunStatus};
pub use secret::Secret;
pub use state::{CustomerState, Licence, ServiceState, ServiceStatus, Suspension};
pub use step::{Repeat, Step, StepAction, StepStatus};
pub use time::{Clock, Timestamp};
pub use vault::Vault;
