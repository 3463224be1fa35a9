//! Billing platforms that take no reports: who was told of it, once for all processes and beyond a
//! restart; and runs of older versions, of which reporting was the last step.

use crate::domain::id::RunId;
use crate::domain::time::Timestamp;

use super::counts::Counts;
use super::rows::{Intervened, Intervention};
use super::sql::{Link, SqlError, statement};
use super::{alerts, intervene};

/// So many runs are woken in one transaction.
const AT_ONCE: i64 = 200;

/// Notes that a source's platform takes no reports, or does again; the alert is kept where that is
/// news.
pub(super) async fn note(
    link: &mut Link<'_>,
    source: &str,
    error: Option<&str>,
    alert: Option<&str>,
    now: Timestamp,
) -> Result<(), SqlError> {
    let news = match error {
        Some(error) => {
            statement(
                "INSERT INTO report_outages (source, since, error) VALUES ($1, $2, $3) \
                 ON CONFLICT (source) DO NOTHING",
            )
            .with(source)
            .with(now.micros())
            .with(error)
            .execute(link)
            .await?
        }
        None => {
            statement("DELETE FROM report_outages WHERE source = $1")
                .with(source)
                .execute(link)
                .await?
        }
    };
    if let Some(alert) = alert.filter(|_| news > 0) {
        alerts::keep_other(link, alert_id(source), now, alert).await?;
    }
    Ok(())
}

/// An alert about a source has an id that no run has; the next one takes its place.
fn alert_id(source: &str) -> i64 {
    let hash = source
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    -1 - i64::try_from(hash >> 1).unwrap_or(0)
}

/// Lets runs of older versions go on that stand still at their report to the billing platform, which
/// is no step any more; how many.
pub(super) async fn wake_reporting_runs(
    link: &mut Link<'_>,
    now: Timestamp,
    counts: &mut Counts,
) -> Result<u64, SqlError> {
    let stuck = statement(
        "SELECT r.id FROM runs r WHERE r.blocks = 1 AND r.planned = 1 \
         AND (r.status = 'paused' OR (r.status = 'waiting' AND r.due_at > $1)) \
         AND EXISTS (SELECT 1 FROM steps s WHERE s.run_id = r.id \
            AND s.status NOT IN ('succeeded', 'skipped', 'cancelled') \
            AND s.doc LIKE '%\"billing.report\"%') \
         AND NOT EXISTS (SELECT 1 FROM steps s WHERE s.run_id = r.id \
            AND s.status NOT IN ('succeeded', 'skipped', 'cancelled') \
            AND s.doc NOT LIKE '%\"billing.report\"%') \
         ORDER BY r.id LIMIT $2",
    )
    .with(now.micros())
    .with(AT_ONCE)
    .all(link)
    .await?;
    let mut woken = 0;
    for row in &stuck {
        let run = RunId(row.int("id")?);
        let done = intervene::intervene(link, run, Intervention::Retry, now, counts).await?;
        woken += u64::from(done == Intervened::Done);
    }
    Ok(woken)
}
