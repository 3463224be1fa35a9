//! That an upstream is left alone for now, and why. Plain data.

use super::time::Timestamp;

/// An upstream to which nothing is sent for now. None of it is any step's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// Why.
    pub because: Because,
    /// When it is worth coming back.
    pub until: Timestamp,
    /// What went wrong last, secrets masked.
    pub error: Option<String>,
}

/// Why an upstream is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It failed as a whole, several times in a row.
    Silent,
    /// It asked for patience (429).
    Asked,
    /// More requests wait for it than its rate lets through in time.
    Crowded,
    /// Its requests of the present hour are used up.
    HourSpent {
        /// How many there were; 0 where that is not known.
        most: u32,
    },
    /// What is left of its requests of the present hour is kept for what matters more.
    HourKept,
}
