//! What a person does to a run, and what a start does to runs that a stop cut off.

use std::time::Duration;

use crate::domain::id::RunId;
use crate::domain::pause::PauseReason;
use crate::domain::run::RunStatus;
use crate::domain::step::{Step, StepStatus};
use crate::domain::time::Timestamp;

use super::advance::write_steps;
use super::claim::read_step;
use super::claims::release;
use super::counts::Counts;
use super::lanes::{self, Because};
use super::pull_in;
use super::reports;
use super::rows::{Intervened, Intervention, Recovery};
use super::sql::{Link, SqlError, statement};

struct Found {
    status: RunStatus,
    lane: String,
    source: String,
    customer_id: Option<String>,
    planned: bool,
    pause_reason: Option<String>,
    /// Whether it still has its place in the lane; not once a replay took it over.
    blocks: bool,
    /// Until when a request that is under way may leave, at the latest known.
    busy_until: Timestamp,
}

/// Does it, if the run's status allows it.
pub(super) async fn intervene(
    link: &mut Link<'_>,
    run: RunId,
    what: Intervention,
    now: Timestamp,
    counts: &mut Counts,
) -> Result<Intervened, SqlError> {
    let Some(found) = find_locked(link, run).await? else {
        return Ok(Intervened::NotFound);
    };
    let allowed = match what {
        Intervention::Retry => {
            found.blocks && matches!(found.status, RunStatus::Paused | RunStatus::Waiting)
        }
        Intervention::Approve => found.blocks && found.status == RunStatus::Paused,
        Intervention::Cancel => !found.status.is_final(),
    };
    if !allowed {
        return Ok(Intervened::NotNow(found.status));
    }
    if what == Intervention::Approve && !asks_for_approval(link, run, &found).await? {
        return Ok(Intervened::NoApproval);
    }
    if what == Intervention::Cancel && unclear_until(link, run).await?.is_some_and(|end| end > now)
    {
        return Ok(Intervened::Unclear);
    }
    match what {
        Intervention::Retry => wake(link, run, &found, now, counts).await?,
        Intervention::Approve => {
            approve(link, run).await?;
            wake(link, run, &found, now, counts).await?;
        }
        Intervention::Cancel => cancel(link, run, &found, now, counts).await?,
    }
    Ok(Intervened::Done)
}

/// The run, after nobody else can change its lane any more.
async fn find_locked(link: &mut Link<'_>, run: RunId) -> Result<Option<Found>, SqlError> {
    let Some(found) = find(link, run).await? else {
        return Ok(None);
    };
    lanes::lock(link, &[&found.lane]).await?;
    find(link, run).await
}

async fn find(link: &mut Link<'_>, run: RunId) -> Result<Option<Found>, SqlError> {
    let row = statement(
        "SELECT status, lane, source, customer_id, planned, pause_reason, blocks, updated_at, due_at \
         FROM runs WHERE id = $1",
    )
    .with(run.0)
    .first(link)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let status = row.text("status")?.parse().map_err(SqlError::unreadable)?;
    let mut busy_until = row.int("updated_at")?;
    if status == RunStatus::Running {
        // The end of its worker's lease, which is extended for as long as a call takes.
        busy_until = busy_until.max(row.maybe_int("due_at")?.unwrap_or(0));
    }
    Ok(Some(Found {
        status,
        lane: row.text("lane")?,
        source: row.text("source")?,
        customer_id: row.maybe_text("customer_id")?,
        planned: row.flag("planned")?,
        pause_reason: row.maybe_text("pause_reason")?,
        blocks: row.flag("blocks")?,
        busy_until: Timestamp::from_micros(busy_until),
    }))
}

/// A run with a plan goes on where it stopped; one without goes back into its lane's order.
async fn wake(
    link: &mut Link<'_>,
    run: RunId,
    found: &Found,
    now: Timestamp,
    counts: &mut Counts,
) -> Result<(), SqlError> {
    let status = if found.planned {
        RunStatus::Waiting
    } else {
        RunStatus::Pending
    };
    statement(
        "UPDATE runs SET status = $1, due_at = NULL, blocks = 1, fence = fence + 1, overtaken = 0, \
         claim_wait = NULL, error = NULL, waiting_for = NULL, pause_reason = NULL, \
         updated_at = $2 WHERE id = $3",
    )
    .with(status.name())
    .with(now.micros())
    .with(run.0)
    .execute(link)
    .await?;
    counts.moved(found.status, status);
    lanes::settle(link, &[&found.lane], Because::RunCame, now).await
}

/// Whether an approval is a way out of the pause: the policy wants one, or the step that is shown
/// as paused says what one would allow.
async fn asks_for_approval(
    link: &mut Link<'_>,
    run: RunId,
    found: &Found,
) -> Result<bool, SqlError> {
    let by_policy = found.pause_reason.as_deref() == Some(PauseReason::Approval.name());
    let steps = unfinished(link, run).await?;
    Ok(by_policy || steps.iter().any(Step::offers_approval))
}

/// What a person allowed is the step that is shown as paused, and nothing after it.
async fn approve(link: &mut Link<'_>, run: RunId) -> Result<(), SqlError> {
    let mut steps = unfinished(link, run).await?;
    steps.retain(|step| step.status == StepStatus::Paused);
    for step in &mut steps {
        step.approved = true;
    }
    let steps: Vec<(i64, &Step)> = steps.iter().map(|step| (run.0, step)).collect();
    write_steps(link, &steps).await
}

/// The steps of a run that are not over; what this version cannot read is left as it is.
async fn unfinished(link: &mut Link<'_>, run: RunId) -> Result<Vec<Step>, SqlError> {
    let rows = statement(
        "SELECT doc FROM steps WHERE run_id = $1 \
         AND status NOT IN ('succeeded', 'skipped', 'cancelled') ORDER BY seq",
    )
    .with(run.0)
    .all(link)
    .await?;
    let mut steps = Vec::with_capacity(rows.len());
    for row in rows {
        steps.extend(read_step(&row.text("doc")?).ok());
    }
    Ok(steps)
}

/// How long a request whose end is unknown may still take effect, at the most.
const LATE_EFFECT: Duration = Duration::from_mins(2);

/// Until when something that the run sent may still come true without anyone knowing. A run is
/// not given up before: nobody would look for what it made.
pub(super) async fn unclear_until(
    link: &mut Link<'_>,
    run: RunId,
) -> Result<Option<Timestamp>, SqlError> {
    let Some(found) = find(link, run).await? else {
        return Ok(None);
    };
    let ends = unfinished(link, run).await?.into_iter().filter_map(|step| {
        let began = (step.status == StepStatus::Running).then_some(found.busy_until);
        let since = step.unknown_since.max(began)?;
        Some(since.plus(LATE_EFFECT))
    });
    Ok(ends.max())
}

async fn cancel(
    link: &mut Link<'_>,
    run: RunId,
    found: &Found,
    now: Timestamp,
    counts: &mut Counts,
) -> Result<(), SqlError> {
    statement(
        "UPDATE runs SET status = 'cancelled', blocks = 0, due_at = NULL, fence = fence + 1, \
         claim_wait = NULL, waiting_for = NULL, pause_reason = NULL, updated_at = $1 \
         WHERE id = $2",
    )
    .with(now.micros())
    .with(run.0)
    .execute(link)
    .await?;
    counts.moved(found.status, RunStatus::Cancelled);
    let mut steps = unfinished(link, run).await?;
    for step in &mut steps {
        step.status = StepStatus::Cancelled;
    }
    let steps: Vec<(i64, &Step)> = steps.iter().map(|step| (run.0, step)).collect();
    write_steps(link, &steps).await?;
    reports::pause_is_over(link, run, now).await?;
    if let Some(customer_id) = &found.customer_id {
        release(link, &found.source, customer_id, run.0, now).await?;
    }
    lanes::settle(link, &[&found.lane], Because::RunEnded, now).await
}

/// Answers how many runs are due again.
pub(super) async fn recover(
    link: &mut Link<'_>,
    what: Recovery,
    now: Timestamp,
) -> Result<u64, SqlError> {
    let all = "UPDATE runs SET due_at = $1 WHERE status = 'running' AND due_at > $1";
    let one = "UPDATE runs SET due_at = $1 WHERE status = 'running' AND due_at > $1 \
         AND id = $2 AND fence = $3";
    let held = match what {
        Recovery::GivenBack(held) => held,
        Recovery::StartBesideOthers => {
            pull_in::all(link, now).await?;
            lanes::settle_all(link, now).await?;
            return Ok(0);
        }
        Recovery::StartAlone => {
            pull_in::all(link, now).await?;
            lanes::settle_all(link, now).await?;
            reports::recover(link, now).await?;
            return statement(all).with(now.micros()).execute(link).await;
        }
    };
    statement(one)
        .with(now.micros())
        .with(held.run.0)
        .with(held.fence)
        .execute(link)
        .await
}
