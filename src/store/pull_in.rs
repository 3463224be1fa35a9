//! What waits for a time that no wait of ours reaches: it was written while the clock was ahead, and
//! would wait for as long as it was ahead. At the start it is made due.

use std::time::Duration;

use crate::domain::time::Timestamp;

use super::sql::{Link, SqlError, statement};

/// Waits are shorter. One that a setting makes longer is only tried early, and goes on from there.
pub(super) const LONGEST_WAIT: Duration = Duration::from_hours(2);

/// A run that a worker has is left alone: its time is its lease's end. So is a report that is being
/// sent, and what is kept for ever.
const ROWS: [&str; 3] = [
    "UPDATE runs SET due_at = $1 WHERE due_at > $2 AND status <> 'running'",
    "UPDATE reports SET due_at = $1 WHERE due_at > $2 AND sending = 0",
    "UPDATE alerts SET due_at = $1 WHERE due_at > $2 AND due_at < 9223372036854775807",
];

/// Makes all of it due now.
pub(super) async fn all(link: &mut Link<'_>, now: Timestamp) -> Result<(), SqlError> {
    let horizon = now.plus(LONGEST_WAIT).micros();
    let mut count = 0;
    for text in ROWS {
        let rows = statement(text).with(now.micros()).with(horizon);
        count += rows.execute(link).await?;
    }
    if count > 0 {
        tracing::warn!(
            count,
            "runs, reports and alerts whose time was hours ahead are due now; was the clock ahead?"
        );
    }
    Ok(())
}
