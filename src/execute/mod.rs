//! Carrying out a run: plan it once, then one step after the other, every change of state a row.
//!
//! All choices are made by `plan`; here they are only carried out and written down. An attempt is
//! on disk before its call leaves, its result after. A run that has to wait is given back with a
//! due time: no worker sleeps for it.

mod drive;
mod noted;
mod pauses;
mod pending;
mod planning;
mod preview;
mod told;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::catalogue::Catalogue;
use crate::domain::entropy::Entropy;
use crate::domain::mode::Mode;
use crate::domain::time::Clock;
use crate::domain::vault::Vault;
use crate::plan::{RetryRules, Rules};
use crate::store::{Claimed, Store, StoreError};
use crate::upstream::Upstreams;

pub use noted::Noted;
pub use pauses::Pauses;
pub use preview::Preview;

/// The longest `execution.step_timeout`.
pub const LONGEST_STEP: Duration = Duration::from_secs(60 * 60);

/// Everything that carrying out runs needs.
pub struct Engine {
    /// The rows.
    pub store: Store,
    /// The suppliers and the billing platforms.
    pub upstreams: Upstreams,
    /// What is sold.
    pub catalogue: Arc<Catalogue>,
    /// How plans are made.
    pub rules: Rules,
    /// How often and how soon an attempt is repeated.
    pub retry: RetryRules,
    /// How long a worker's claim on a run holds without word from it.
    pub lease: Duration,
    /// Whether people are told of paused runs.
    pub alerts: bool,
    /// Step kinds that wait for a person.
    pub require_approval: BTreeSet<String>,
    /// How much of what is planned becomes true.
    pub mode: Mode,
    /// Seals what must not be kept in clear.
    pub vault: Vault,
    /// The present moment.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Set when the process is to end: runs are given back after their present step.
    pub stopping: CancellationToken,
    /// How often runs were paused.
    pub pauses: Pauses,
    /// What events asked for and runs left aside.
    pub noted: Noted,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Carries a claimed run on until it ends, waits, or needs a person.
    pub async fn drive(&self, claimed: Claimed) -> Result<(), StoreError> {
        // A run's story is long; on the heap it does not weigh on whoever waits for it.
        Box::pin(drive::Drive::new(self, claimed).carry_on()).await
    }
}
