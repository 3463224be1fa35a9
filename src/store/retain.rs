//! Letting go of what is old: deliveries with their runs, steps and attempts, a few at a time, so
//! that nobody who sends an order waits for it. What is known of services and customers stays,
//! and so does whatever has not ended.

use std::collections::{HashMap, HashSet};

use crate::domain::id as ids;
use crate::domain::run::RunStatus;
use crate::domain::time::Timestamp;

use super::accept::read_run_ids;
use super::bulk::id;
use super::counts::Counts;
use super::early;
use super::rows::DeliveryVerdict;
use super::sql::{Bulk, Link, SqlError, statement};

/// How many deliveries one transaction looks at.
const AT_ONCE: i64 = 500;

/// Where letting go has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retained {
    /// The last delivery that was looked at; none once there is no older one.
    pub after: Option<i64>,
    /// How many deliveries were let go.
    pub gone: usize,
}

struct Old {
    id: i64,
    verdict: String,
    runs: Vec<i64>,
}

/// Lets go of the next few deliveries behind `after` that came and ended before `before`.
pub(super) async fn retain(
    link: &mut Link<'_>,
    before: Timestamp,
    after: i64,
    counts: &mut Counts,
) -> Result<Retained, SqlError> {
    let old = old_deliveries(link, before, after).await?;
    let after = old
        .last()
        .map(|last| last.id)
        .filter(|_| i64::try_from(old.len()).is_ok_and(|looked| looked == AT_ONCE));
    let (mut runs_of, runs) = runs_of(link, &old).await?;
    let ended = |run: &i64| {
        let (status, updated_at) = runs.get(run)?;
        (status.is_final() && *updated_at < before.micros()).then_some(*status)
    };
    let mut gone: Vec<i64> = Vec::new();
    let mut gone_runs: Vec<i64> = Vec::new();
    for delivery in &old {
        let own = runs_of.remove(&delivery.id).unwrap_or_default();
        let statuses: Option<Vec<RunStatus>> = own.iter().map(ended).collect();
        let Some(statuses) = statuses else { continue };
        for status in statuses {
            counts.gone("runs", status.name(), 1);
        }
        counts.gone("deliveries", verdict(&delivery.verdict), 1);
        gone_runs.extend(own);
        gone.push(delivery.id);
    }
    for table in [&ATTEMPTS, &STEPS, &RUNS] {
        table.execute(link, &gone_runs, id).await?;
    }
    DELIVERIES.execute(link, &gone, id).await?;
    early::drop_of(link, &gone).await?;
    Ok(Retained {
        after,
        gone: gone.len(),
    })
}

async fn old_deliveries(
    link: &mut Link<'_>,
    before: Timestamp,
    after: i64,
) -> Result<Vec<Old>, SqlError> {
    let rows = statement(
        "SELECT id, verdict, run_ids FROM deliveries WHERE id > $1 AND id < $2 \
         AND received_at < $3 ORDER BY id LIMIT $4",
    )
    .with(after)
    .with(ids::floor(before))
    .with(before.micros())
    .with(AT_ONCE)
    .all(link)
    .await?;
    let mut old = Vec::with_capacity(rows.len());
    for row in rows {
        let runs = read_run_ids(row.maybe_text("run_ids")?.as_deref());
        old.push(Old {
            id: row.int("id")?,
            verdict: row.text("verdict")?,
            runs: runs.into_iter().map(|run| run.0).collect(),
        });
    }
    Ok(old)
}

type RunsOf = HashMap<i64, HashSet<i64>>;
type Runs = HashMap<i64, (RunStatus, i64)>;

/// The runs of each delivery, replays included, and how they ended.
async fn runs_of(link: &mut Link<'_>, old: &[Old]) -> Result<(RunsOf, Runs), SqlError> {
    let mut runs_of: RunsOf = HashMap::new();
    for delivery in old {
        let own = runs_of.entry(delivery.id).or_default();
        own.extend(delivery.runs.iter().copied());
    }
    let deliveries: Vec<i64> = old.iter().map(|delivery| delivery.id).collect();
    for row in REPLAYS.fetch(link, &deliveries, id).await? {
        let own = runs_of.entry(row.int("delivery_id")?).or_default();
        own.insert(row.int("id")?);
    }
    let all: Vec<i64> = runs_of.values().flatten().copied().collect();
    let mut runs = Runs::new();
    for row in STATUSES.fetch(link, &all, id).await? {
        let status = row.text("status")?.parse();
        // What cannot be read is not let go.
        let status = status.unwrap_or(RunStatus::Paused);
        runs.insert(row.int("id")?, (status, row.int("updated_at")?));
    }
    Ok((runs_of, runs))
}

fn verdict(name: &str) -> &'static str {
    let all = [
        DeliveryVerdict::Accepted,
        DeliveryVerdict::Duplicate,
        DeliveryVerdict::Ignored,
        DeliveryVerdict::Rejected,
    ];
    let known = all.into_iter().map(DeliveryVerdict::name);
    known.into_iter().find(|known| *known == name).unwrap_or("")
}

static REPLAYS: Bulk = Bulk::of_ids(
    "SELECT r.id, r.delivery_id FROM runs r, w WHERE r.delivery_id = w.id \
         AND r.replay_of IS NOT NULL",
);

static STATUSES: Bulk =
    Bulk::of_ids("SELECT r.id, r.status, r.updated_at FROM runs r, w WHERE r.id = w.id");

static ATTEMPTS: Bulk = Bulk::of_ids("DELETE FROM attempts WHERE run_id IN (SELECT id FROM w)");

static STEPS: Bulk = Bulk::of_ids("DELETE FROM steps WHERE run_id IN (SELECT id FROM w)");

static RUNS: Bulk = Bulk::of_ids("DELETE FROM runs WHERE id IN (SELECT id FROM w)");

static DELIVERIES: Bulk = Bulk::of_ids("DELETE FROM deliveries WHERE id IN (SELECT id FROM w)");
