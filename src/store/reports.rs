//! The outbox of reports: written with the runs, taken by whoever sends, kept until heard.
//!
//! There is one row a service. A newer state takes the place of an older one, also of one that is
//! under way: what comes of that one names its `seq` and changes nothing any more. While a report
//! is under way no other process sends one of the same service, so an older state never arrives
//! after a newer one.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::id::{ReportId, RunId};
use crate::domain::report::{NewReport, SERVICE_UPDATED};
use crate::domain::time::Timestamp;

use super::claim::document;
use super::outbox::{HEARD, over};
use super::rows::Advance;
use super::sql::{Bulk, Kind, Link, Row, SqlError, statement};
use super::{Report, Told};

const ROW: &[(&str, Kind)] = &[
    ("source", Kind::Text),
    ("service_id", Kind::Text),
    ("customer_id", Kind::Text),
    ("run_id", Kind::Int),
    ("type", Kind::Text),
    ("doc", Kind::Text),
    ("now_at", Kind::Int),
];

static KEEP: Bulk = Bulk::new(
    ROW,
    "INSERT INTO reports (id, source, service_id, customer_id, run_id, type, seq, status, sending, \
         attempts, due_at, created_at, updated_at, doc) \
         SELECT w.run_id, w.source, w.service_id, w.customer_id, w.run_id, w.type, 1, 'waiting', 0, \
         0, w.now_at, w.now_at, w.now_at, w.doc FROM w WHERE true \
         ON CONFLICT (source, service_id) DO UPDATE SET \
         customer_id = coalesce(excluded.customer_id, reports.customer_id), \
         run_id = excluded.run_id, type = excluded.type, seq = reports.seq + 1, \
         status = 'waiting', attempts = 0, error = NULL, heard_at = NULL, \
         due_at = CASE WHEN reports.sending = 1 THEN reports.due_at ELSE excluded.due_at END, \
         created_at = excluded.created_at, updated_at = excluded.updated_at, doc = excluded.doc \
         WHERE reports.type <> excluded.type OR reports.doc <> excluded.doc \
         OR (excluded.type = 'run.paused' AND reports.run_id <> excluded.run_id)",
);

static OVER_PAUSE: Bulk = Bulk::new(
    ROW,
    "UPDATE reports SET customer_id = coalesce(w.customer_id, reports.customer_id), \
         type = w.type, seq = reports.seq + 1, status = 'waiting', attempts = 0, error = NULL, \
         heard_at = NULL, created_at = w.now_at, updated_at = w.now_at, doc = w.doc, \
         due_at = CASE WHEN reports.sending = 1 THEN reports.due_at ELSE w.now_at END \
         FROM w WHERE reports.source = w.source AND reports.service_id = w.service_id \
         AND reports.run_id = w.run_id AND reports.type = 'run.paused'",
);

/// One report with the write that brings it.
struct Brought<'a> {
    write: &'a Advance,
    report: &'a NewReport,
    doc: String,
}

/// Keeps the reports of these writes.
pub(super) async fn keep(link: &mut Link<'_>, live: &[&Advance]) -> Result<(), SqlError> {
    // One a service, in the order of their keys: two processes do not wait for each other.
    let mut brought: BTreeMap<(&str, &str), Brought<'_>> = BTreeMap::new();
    for write in live {
        if let (Some(report), Some(service)) = (&write.report, &write.service_id) {
            let doc = report.doc.to_string();
            let one = Brought { write, report, doc };
            brought.insert((&write.source, service), one);
        }
    }
    let all = brought.into_values();
    let (over_pause, new): (Vec<_>, Vec<_>) = all.partition(|one| one.report.over_pause);
    for (bulk, rows) in [(&KEEP, &new), (&OVER_PAUSE, &over_pause)] {
        bulk.execute(link, rows, |row, one| {
            row.push(&one.write.source)
                .push(&one.write.service_id)
                .push(&one.write.customer_id)
                .push(one.write.run.0)
                .push(one.report.kind)
                .push(&one.doc)
                .push(one.write.now.micros());
        })
        .await?;
    }
    Ok(())
}

/// A person ended a run that was reported as paused: nobody need look at it any more.
pub(super) async fn pause_is_over(
    link: &mut Link<'_>,
    run: RunId,
    now: Timestamp,
) -> Result<(), SqlError> {
    let paused = statement("SELECT id, doc FROM reports WHERE run_id = $1 AND type = 'run.paused'")
        .with(run.0)
        .first(link)
        .await?;
    let Some(row) = paused else { return Ok(()) };
    let mut doc: Value = document(&row.text("doc")?)?;
    over(&mut doc);
    statement(
        "UPDATE reports SET type = $2, seq = seq + 1, status = 'waiting', attempts = 0, \
         error = NULL, heard_at = NULL, created_at = $3, updated_at = $3, doc = $4, \
         due_at = CASE WHEN sending = 1 THEN due_at ELSE $3 END WHERE id = $1",
    )
    .with(row.int("id")?)
    .with(SERVICE_UPDATED)
    .with(now.micros())
    .with(doc.to_string())
    .execute(link)
    .await
    .map(drop)
}

/// Takes up to `limit` reports of a source that are due; until then nobody else takes them.
pub(super) async fn take(
    link: &mut Link<'_>,
    source: &str,
    limit: usize,
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<Report>, SqlError> {
    let due = "SELECT id FROM reports WHERE source = $1 AND due_at <= $2 \
         ORDER BY due_at LIMIT $3";
    let locked = "SELECT id FROM reports WHERE source = $1 AND due_at <= $2 \
         ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED";
    let due = statement(link.pick(due, locked))
        .with(source)
        .with(now.micros())
        .with(i64::try_from(limit).unwrap_or(i64::MAX))
        .all(link)
        .await?;
    let mut taken = Vec::with_capacity(due.len());
    for row in due {
        let row = statement(
            "UPDATE reports SET due_at = $1, sending = 1, attempts = attempts + 1, \
             updated_at = $2 WHERE id = $3 RETURNING *",
        )
        .with(until.micros())
        .with(now.micros())
        .with(row.int("id")?)
        .one(link)
        .await?;
        taken.push(read(&row)?);
    }
    Ok(taken)
}

/// Notes how sending this state went. A newer state is left as it is, and may be sent now.
pub(super) async fn told(
    link: &mut Link<'_>,
    id: ReportId,
    seq: i64,
    told: &Told,
    now: Timestamp,
) -> Result<(), SqlError> {
    let noted =
        match told {
            Told::Heard => statement(
                "UPDATE reports SET status = 'heard', sending = 0, due_at = NULL, error = NULL, \
                 heard_at = $3, updated_at = $3 WHERE id = $1 AND seq = $2",
            )
            .with(id.0)
            .with(seq)
            .with(now.micros())
            .execute(link)
            .await?,
            Told::Again { at, error } => {
                statement(
                    "UPDATE reports SET sending = 0, due_at = $4, error = $5, updated_at = $3 \
                 WHERE id = $1 AND seq = $2",
                )
                .with(id.0)
                .with(seq)
                .with(now.micros())
                .with(at.micros())
                .with(error.as_str())
                .execute(link)
                .await?
            }
        };
    if noted == 0 {
        statement("UPDATE reports SET sending = 0, due_at = $2 WHERE id = $1 AND sending = 1")
            .with(id.0)
            .with(now.micros())
            .execute(link)
            .await?;
    }
    Ok(())
}

/// Makes a report due now, also one that was heard; whether there is one.
pub(super) async fn retry(
    link: &mut Link<'_>,
    id: ReportId,
    now: Timestamp,
) -> Result<bool, SqlError> {
    let changed = statement(
        "UPDATE reports SET status = 'waiting', heard_at = NULL, updated_at = $2, \
         due_at = CASE WHEN sending = 1 THEN due_at ELSE $2 END WHERE id = $1",
    )
    .with(id.0)
    .with(now.micros())
    .execute(link)
    .await?;
    Ok(changed > 0)
}

/// What a start does where no other process can be sending: what was under way may be sent at once.
pub(super) async fn recover(link: &mut Link<'_>, now: Timestamp) -> Result<(), SqlError> {
    statement(
        "UPDATE reports SET sending = 0, due_at = $1 WHERE due_at IS NOT NULL AND sending = 1",
    )
    .with(now.micros())
    .execute(link)
    .await
    .map(drop)
}

/// A row as it is kept.
pub(super) fn read(row: &Row) -> Result<Report, SqlError> {
    let time = |column| Ok::<_, SqlError>(row.maybe_int(column)?.map(Timestamp::from_micros));
    Ok(Report {
        id: ReportId(row.int("id")?),
        source: row.text("source")?,
        service_id: row.text("service_id")?,
        customer_id: row.maybe_text("customer_id")?,
        kind: row.text("type")?,
        seq: row.int("seq")?,
        heard: row.text("status")? == HEARD,
        sending: row.flag("sending")?,
        attempts: u32::try_from(row.int("attempts")?).unwrap_or(u32::MAX),
        due_at: time("due_at")?,
        error: row.maybe_text("error")?,
        created_at: Timestamp::from_micros(row.int("created_at")?),
        heard_at: time("heard_at")?,
        doc: document(&row.text("doc")?)?,
    })
}
