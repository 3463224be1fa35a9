//! What waits for which upstream, for people.

use std::collections::HashSet;

use crate::domain::id::RunId;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;

use super::claim::document;
use super::sql::{Row, SqlError, statement};
use super::{Database, StoreError};

/// How many waiting runs are looked through.
const MOST: i64 = 500;

/// The steps at which waiting runs stand, the oldest run first.
const WAITING: &str = "SELECT r.id AS id, r.created_at AS created_at, s.doc AS doc FROM \
     (SELECT id, created_at FROM runs \
      WHERE (status = 'pending' OR status = 'running' OR status = 'waiting') \
      AND status = 'waiting' ORDER BY id LIMIT $1) r \
     JOIN steps s ON s.run_id = r.id AND s.seq = (SELECT min(seq) FROM steps t \
      WHERE t.run_id = r.id AND t.status IN ('pending', 'running', 'waiting', 'unknown')) \
     ORDER BY r.id";

impl Database {
    /// For each upstream that waiting runs wait for, the oldest of them and when it came; looked
    /// for among the oldest five hundred.
    pub async fn oldest_waiting(&self) -> Result<Vec<(String, RunId, Timestamp)>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let rows = statement(WAITING)
            .with(MOST)
            .all(&mut reader.link())
            .await?;
        let read = |row: &Row| {
            let step: Step = document(&row.text("doc")?)?;
            let came = Timestamp::from_micros(row.int("created_at")?);
            Ok((step, RunId(row.int("id")?), came))
        };
        let found: Vec<_> = rows.iter().map(read).collect::<Result<_, SqlError>>()?;
        Ok(oldest(found.into_iter()))
    }
}

/// The first of each upstream.
pub(super) fn oldest(
    waiting: impl Iterator<Item = (Step, RunId, Timestamp)>,
) -> Vec<(String, RunId, Timestamp)> {
    let mut seen = HashSet::new();
    let mut oldest = Vec::new();
    for (step, run, came) in waiting {
        if seen.insert(step.action.upstream()) {
            oldest.push((step.action.upstream().to_owned(), run, came));
        }
    }
    oldest
}
