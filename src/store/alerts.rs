//! What people are to be told of: written with the pause itself, kept until somebody heard it.

use crate::domain::id::RunId;
use crate::domain::time::Timestamp;

use super::rows::{Advance, Alert};
use super::sql::{Bulk, Kind, Link, Row, SqlError, statement};

/// How many are taken at once.
const AT_ONCE: i64 = 20;

// One row a run: a newer pause takes the place of one that nobody heard of yet.
static KEEP: Bulk = Bulk::new(
    &[
        ("id", Kind::Int),
        ("now_at", Kind::Int),
        ("doc", Kind::Text),
    ],
    "INSERT INTO alerts (id, run_id, created_at, due_at, attempts, doc) \
         SELECT w.id, w.id, w.now_at, w.now_at, 0, w.doc FROM w WHERE true ON CONFLICT (id) DO UPDATE SET \
         created_at = excluded.created_at, due_at = excluded.due_at, attempts = 0, \
         doc = excluded.doc",
);

/// Keeps the alerts of these writes.
pub(super) async fn keep(link: &mut Link<'_>, live: &[&Advance]) -> Result<(), SqlError> {
    let alerts: Vec<(&Advance, &String)> = live
        .iter()
        .filter_map(|write| Some((*write, write.alert.as_ref()?)))
        .collect();
    KEEP.execute(link, &alerts, |row, (write, doc)| {
        row.push(write.run.0).push(write.now.micros()).push(*doc);
    })
    .await?;
    Ok(())
}

/// Keeps an alert that is about no run, under an id that no run has.
pub(super) async fn keep_other(
    link: &mut Link<'_>,
    id: i64,
    now: Timestamp,
    doc: &str,
) -> Result<(), SqlError> {
    KEEP.execute(link, &[()], |row, ()| {
        row.push(id).push(now.micros()).push(doc);
    })
    .await
    .map(drop)
}

/// Takes alerts that are due; until then nobody else takes them.
pub(super) async fn take(
    link: &mut Link<'_>,
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<Alert>, SqlError> {
    let due = "SELECT id FROM alerts WHERE due_at <= $1 ORDER BY due_at LIMIT $2";
    let locked = "SELECT id FROM alerts WHERE due_at <= $1 ORDER BY due_at LIMIT $2 \
         FOR UPDATE SKIP LOCKED";
    let due = statement(link.pick(due, locked))
        .with(now.micros())
        .with(AT_ONCE)
        .all(link)
        .await?;
    let mut alerts = Vec::with_capacity(due.len());
    for row in due {
        let taken = statement(
            "UPDATE alerts SET due_at = $1, attempts = attempts + 1 WHERE id = $2 \
             RETURNING id, created_at, attempts, doc",
        )
        .with(until.micros())
        .with(row.int("id")?)
        .one(link)
        .await?;
        alerts.push(read(&taken)?);
    }
    Ok(alerts)
}

fn read(row: &Row) -> Result<Alert, SqlError> {
    Ok(Alert {
        run: RunId(row.int("id")?),
        created_at: Timestamp::from_micros(row.int("created_at")?),
        attempts: u32::try_from(row.int("attempts")?).unwrap_or(u32::MAX),
        doc: row.text("doc")?,
    })
}

/// Notes how telling went: heard of, or to be told again then. A newer alert of the run is left
/// alone.
pub(super) async fn told(
    link: &mut Link<'_>,
    alert: &Alert,
    again: Option<Timestamp>,
) -> Result<(), SqlError> {
    match again {
        None => {
            statement("DELETE FROM alerts WHERE id = $1 AND created_at = $2")
                .with(alert.run.0)
                .with(alert.created_at.micros())
                .execute(link)
                .await?
        }
        Some(again) => {
            statement("UPDATE alerts SET due_at = $3 WHERE id = $1 AND created_at = $2")
                .with(alert.run.0)
                .with(alert.created_at.micros())
                .with(again.micros())
                .execute(link)
                .await?
        }
    };
    Ok(())
}
