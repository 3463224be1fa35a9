//! What goes into the store and comes out of it, as types. No SQL here.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, RunId};
use crate::domain::lane::Because;
use crate::domain::lease::Lease;
use crate::domain::outcome::Exchange;
use crate::domain::pause::PauseReason;
use crate::domain::report::NewReport;
use crate::domain::run::{OrderKey, RunStatus};
use crate::domain::state::{CustomerState, ServiceState, ServiceStatus};
use crate::domain::step::Step;
use crate::domain::time::Timestamp;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryVerdict {
    /// Verified, understood, and runs were made.
    Accepted,
    /// The same delivery again.
    Duplicate,
    /// Verified, but there is nothing to do.
    Ignored,
    /// Refused.
    Rejected,
}

impl DeliveryVerdict {
    /// The name on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
            Self::Rejected => "rejected",
        }
    }
}

/// A run to be made together with its delivery.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// Its place in the lane.
    pub order: OrderKey,
    /// The lane's key.
    pub lane: String,
    /// The event's type.
    pub kind: EventType,
    /// Whose it is, where the event says.
    pub customer_id: Option<String>,
    /// The service; none in a customer's lane.
    pub service_id: Option<String>,
    /// The run (or, lacking one, the delivery) that a replay repeats.
    pub replay_of: Option<i64>,
}

/// What makes two deliveries the same.
pub type DedupeKey = [u8; 32];

/// A request to be kept, with the runs it makes.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// When it came in.
    pub received_at: Timestamp,
    /// The source's name.
    pub source: Arc<str>,
    /// What became of it.
    pub verdict: DeliveryVerdict,
    /// Why it was ignored or rejected.
    pub cause: Option<String>,
    /// The event's type, where it is known.
    pub kind: Option<&'static str>,
    /// A digest of source and dedupe key; only for accepted and ignored deliveries.
    pub dedupe: Option<DedupeKey>,
    /// Whose event it is.
    pub customer_id: Option<String>,
    /// The services it is about.
    pub service_ids: Vec<String>,
    /// The time the sender signed.
    pub signed_at: Option<Timestamp>,
    /// How the verification went, as JSON text.
    pub verification: Arc<str>,
    /// The request's headers, as [`crate::domain::headers`] keeps them.
    pub headers: Arc<str>,
    /// The bytes.
    pub body: Vec<u8>,
    /// The runs it makes.
    pub runs: Vec<NewRun>,
    /// The runs it makes once the orders of their services are there.
    pub early: Vec<NewRun>,
}

/// What the store made of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It is on disk.
    Stored,
    /// So it is, and another run of the lane of one of its runs is unfinished.
    StoredBehind,
    /// The same delivery was there already.
    Duplicate {
        /// The first one.
        of: DeliveryId,
        /// The runs that the first one made.
        runs: Vec<RunId>,
    },
    /// The key is taken by a delivery with another body; kept as rejected.
    Conflict {
        /// The delivery that holds the key.
        of: DeliveryId,
    },
}

impl Receipt {
    /// Whether the delivery is a new one and on disk.
    pub const fn is_stored(&self) -> bool {
        matches!(self, Self::Stored | Self::StoredBehind)
    }
}

/// A run that a worker took, with everything a decision needs.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a row's columns")]
pub struct Claimed {
    /// The run.
    pub id: RunId,
    /// The delivery that holds its event.
    pub delivery_id: DeliveryId,
    /// Its place in the lane.
    pub order: OrderKey,
    /// The lane's key.
    pub lane: String,
    /// The source's name.
    pub source: String,
    /// The event's type.
    pub kind: EventType,
    /// Whose it is, from the event or from what is known of the service.
    pub customer_id: Option<String>,
    /// The service; none in a customer's lane.
    pub service_id: Option<String>,
    /// The claim's number: every write names it.
    pub fence: i64,
    /// Until when the claim holds.
    pub lease: Arc<Lease>,
    /// Whether the plan is stored already.
    pub planned: bool,
    /// Why it was paused when it was taken, where no person let it go on.
    pub paused: Option<(PauseReason, String)>,
    /// Whether it repeats an earlier run.
    pub replay: bool,
    /// Whether a newer event's run is unfinished in its lane.
    pub newer: bool,
    /// Whether a step of it has, or may have, taken effect at a supplier.
    pub touched: bool,
    /// The patches to store when it succeeds.
    pub at_end: AtEnd,
    /// When the delivery came in.
    pub received_at: Timestamp,
    /// When the sender signed it.
    pub signed_at: Timestamp,
    /// The delivery's bytes.
    pub body: Vec<u8>,
    /// The journal so far.
    pub steps: Vec<Result<Step, String>>,
    /// What is known of the service.
    pub service: ServiceState,
    /// What is known of the customer.
    pub customer: CustomerState,
}

/// The patches that a succeeding run leaves.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AtEnd {
    /// For the service's state.
    pub service: Value,
    /// For the customer's state.
    pub customer: Value,
    /// Whether the run was planned to be shown only (`policy.dry_run`).
    #[serde(default)]
    pub dry_run: bool,
    /// What people should know of it: why there was nothing to do, what was left aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where the service stood before the plan: what it is again if nothing of the plan is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<ServiceStatus>,
    /// Whether the steps that darken what was built after its suspension are among the run's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub darkened: bool,
    /// Whether those that darken its device are, which go first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub device_darkened: bool,
}

/// An attempt as it is written: first without, then with its end.
#[derive(Clone, Debug)]
pub struct AttemptRow {
    /// The step's place in the run.
    pub seq: u32,
    /// Which attempt at the step, from 1.
    pub n: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took; none while it is under way.
    pub duration_ms: Option<u64>,
    /// What was sent and answered.
    pub exchanges: Vec<Exchange>,
    /// Why it did not succeed.
    pub error: Option<String>,
}

/// What a write does with the customer's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClaimChange {
    /// Leave it as it is.
    #[default]
    Keep,
    /// Take it before the step begins; the write says whether that worked.
    Acquire,
    /// Give it back and wake whoever waits.
    Release,
}

/// One write of a run: everything that became true since the last, in one transaction.
#[derive(Clone, Debug)]
pub struct Advance {
    /// The run.
    pub run: RunId,
    /// The claim's number; a write with an old one changes nothing.
    pub fence: i64,
    /// The lane's key.
    pub lane: String,
    /// The source's name.
    pub source: String,
    /// The service, where its state changes.
    pub service_id: Option<String>,
    /// The customer, where known.
    pub customer_id: Option<String>,
    /// Where the run stands now.
    pub status: RunStatus,
    /// Whether its plan is stored (now or before).
    pub planned: bool,
    /// Whether a step of it has, or may have, taken effect at a supplier.
    pub touched: bool,
    /// When a worker takes it next; while running, when the lease ends.
    pub due_at: Option<Timestamp>,
    /// What it waits for, in plain words.
    pub waiting_for: Option<String>,
    /// Why it is paused or ended without succeeding.
    pub error: Option<String>,
    /// Why it is paused, as one fixed word.
    pub pause_reason: Option<&'static str>,
    /// What people are to be told of it, as JSON text.
    pub alert: Option<String>,
    /// What the billing platform is to be told.
    pub report: Option<NewReport>,
    /// The patches for the end, where the plan is stored by this write.
    pub at_end: Option<AtEnd>,
    /// Steps as they are now.
    pub steps: Vec<Step>,
    /// Attempts that ended.
    pub attempts: Vec<AttemptRow>,
    /// The step that begins now, with its attempt; not written when a claim was not had.
    pub begins: Option<(Step, AttemptRow)>,
    /// A newer run of the lane that is no reason to give way: a person will have to allow it.
    pub weakens: Option<RunId>,
    /// Patch for the service's state.
    pub service_patch: Value,
    /// Patch for the customer's state.
    pub customer_patch: Value,
    /// Orders at Hivelocity that are known from now on to be this service's.
    pub orders: Vec<i64>,
    /// A device of this Hivelocity product came up after this long.
    pub built: Option<(i64, Duration)>,
    /// What happens to the customer's claim.
    pub claim: ClaimChange,
    /// The present moment.
    pub now: Timestamp,
}

impl Advance {
    /// Whether others of the lane may go on after this write, and why.
    pub(super) fn frees_its_lane(&self) -> Option<Because> {
        match self.status {
            RunStatus::Succeeded | RunStatus::Cancelled | RunStatus::Superseded => {
                Some(Because::RunEnded)
            }
            RunStatus::Paused => Some(Because::RunCame),
            // It waits with nothing done.
            RunStatus::Waiting if !self.touched => Some(Because::RunCame),
            RunStatus::Waiting | RunStatus::Running | RunStatus::Pending => None,
        }
    }
}

/// Something that people are to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The run that needs one of them.
    pub run: RunId,
    /// When it came to that.
    pub created_at: Timestamp,
    /// How often it was told, this time included.
    pub attempts: u32,
    /// What is told, as JSON text.
    pub doc: String,
}

/// A run in a worker's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The run.
    pub run: RunId,
    /// The claim's number.
    pub fence: i64,
}

/// Which runs go on at once though their leases have not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// None: another process may have them. A start puts the lanes in order only.
    StartBesideOthers,
    /// All that the last stop cut off: the store is this process's alone.
    StartAlone,
    /// The one that its worker cannot carry on.
    GivenBack(Held),
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advanced {
    /// Whether it was written; not when the fence is old.
    pub applied: bool,
    /// Whether the customer's claim, if wanted, was had. If not, the run waits for it now.
    pub claimed: bool,
    /// Whether a newer run of its lane makes the run pointless.
    pub overtaken: bool,
}

/// What a person may do to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intervention {
    /// Try again at once.
    Retry,
    /// Allow what the policy holds back, and go on.
    Approve,
    /// End it here.
    Cancel,
}

/// What came of an intervention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intervened {
    /// Done.
    Done,
    /// No such run.
    NotFound,
    /// The run's status does not allow it.
    NotNow(RunStatus),
    /// It is paused, but for no approval: a person's word alone changes nothing about it.
    NoApproval,
    /// What the run sent may still take effect; giving it up now would leave that to nobody.
    Unclear,
}
