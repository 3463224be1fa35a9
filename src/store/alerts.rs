//! What people are to be told of: written with the pause itself, kept until somebody heard it.
//!
//! A supplier that refuses the account has a row of its own, with a number below zero. It outlives
//! being heard, until the account is taken again: so all processes, and those after them, tell it
//! once.

use serde_json::{Value, json};

use crate::domain::id::RunId;
use crate::domain::time::Timestamp;

use super::rows::{Advance, Alert};
use super::sql::{Bulk, Kind, Link, Row, SqlError, statement};

/// How many are taken at once.
const AT_ONCE: i64 = 20;
/// When a row is due that was heard and stays.
const NEVER: i64 = i64::MAX;

/// What a row about a supplier tells: that it refuses the account.
pub const SUPPLIER_REFUSED: &str = "supplier.refused";
/// That it takes the account again.
pub const SUPPLIER_BACK: &str = "supplier.back";

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
        None if alert.run.0 < 0 && kind(&alert.doc) == SUPPLIER_REFUSED => {
            statement("UPDATE alerts SET due_at = $3 WHERE id = $1 AND created_at = $2")
                .with(alert.run.0)
                .with(alert.created_at.micros())
                .with(NEVER)
                .execute(link)
                .await?
        }
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

/// What an alert is about.
fn kind(doc: &str) -> String {
    let doc: Value = serde_json::from_str(doc).unwrap_or_default();
    doc["type"].as_str().unwrap_or_default().to_owned()
}

/// The number of the row that is about this: below zero, where no run's is. FNV-1a.
fn number(about: &str) -> i64 {
    let hash = about.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i64::MIN | i64::from_ne_bytes(hash.to_ne_bytes())
}

/// Keeps that a supplier refuses the account, as far as that is news to all processes.
pub(super) async fn refused(
    link: &mut Link<'_>,
    about: &str,
    doc: &str,
    now: Timestamp,
) -> Result<(), SqlError> {
    let id = number(about);
    match known(link, id).await? {
        Some(known) if kind(&known) == SUPPLIER_REFUSED => {}
        // That it was taken again is not heard yet, and not true any more.
        Some(_) => replace(link, id, doc, now).await?,
        None => {
            statement(
                "INSERT INTO alerts (id, run_id, created_at, due_at, attempts, doc) \
                 VALUES ($1, $1, $2, $2, 0, $3) ON CONFLICT (id) DO NOTHING",
            )
            .with(id)
            .with(now.micros())
            .with(doc)
            .execute(link)
            .await?;
        }
    }
    Ok(())
}

/// Keeps that a supplier takes the account again, where it was told that it did not.
pub(super) async fn taken_again(
    link: &mut Link<'_>,
    about: &str,
    now: Timestamp,
) -> Result<(), SqlError> {
    let id = number(about);
    let Some(known) = known(link, id).await? else {
        return Ok(());
    };
    if kind(&known) != SUPPLIER_REFUSED {
        return Ok(());
    }
    let mut doc: Value = serde_json::from_str(&known).unwrap_or_default();
    doc["type"] = json!(SUPPLIER_BACK);
    doc["occurred_at"] = json!(now);
    replace(link, id, &doc.to_string(), now).await
}

async fn known(link: &mut Link<'_>, id: i64) -> Result<Option<String>, SqlError> {
    let rows = statement("SELECT doc FROM alerts WHERE id = $1")
        .with(id)
        .all(link)
        .await?;
    rows.first().map(|row| row.text("doc")).transpose()
}

async fn replace(link: &mut Link<'_>, id: i64, doc: &str, now: Timestamp) -> Result<(), SqlError> {
    statement(
        "UPDATE alerts SET created_at = $2, due_at = $2, attempts = 0, doc = $3 WHERE id = $1",
    )
    .with(id)
    .with(now.micros())
    .with(doc)
    .execute(link)
    .await?;
    Ok(())
}
