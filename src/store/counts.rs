//! How many runs and deliveries there are, by status and verdict. Every transaction adds what it
//! changed to its writer's own shard, so that no two writers wait for each other and nobody has
//! to count.

use std::collections::BTreeMap;

use super::rows::DeliveryVerdict;
use super::sql::{Bulk, Kind, Link, SqlError, statement};
use crate::domain::run::RunStatus;

/// What a transaction changes.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<(&'static str, &'static str), i64>);

impl Counts {
    pub(super) fn came(&mut self, verdict: DeliveryVerdict, deliveries: i64) {
        *self.0.entry(("deliveries", verdict.name())).or_default() += deliveries;
    }

    pub(super) fn made(&mut self, runs: i64) {
        *self
            .0
            .entry(("runs", RunStatus::Pending.name()))
            .or_default() += runs;
    }

    pub(super) fn moved(&mut self, from: RunStatus, to: RunStatus) {
        *self.0.entry(("runs", from.name())).or_default() -= 1;
        *self.0.entry(("runs", to.name())).or_default() += 1;
    }

    /// Old rows that were deleted.
    pub(super) fn gone(&mut self, kind: &'static str, name: &'static str, rows: i64) {
        *self.0.entry((kind, name)).or_default() -= rows;
    }

    /// Writes them down.
    pub(super) async fn write(self, link: &mut Link<'_>, shard: i64) -> Result<(), SqlError> {
        let changed: Vec<_> = self.0.into_iter().filter(|(_, n)| *n != 0).collect();
        ADD.execute(link, &changed, |row, ((kind, name), n)| {
            row.push(*kind).push(*name).push(shard).push(*n);
        })
        .await
        .map(drop)
    }
}

static ADD: Bulk = Bulk::new(
    &[
        ("kind", Kind::Text),
        ("name", Kind::Text),
        ("shard", Kind::Int),
        ("n", Kind::Int),
    ],
    "INSERT INTO counts (kind, name, shard, n) SELECT * FROM w WHERE true \
         ON CONFLICT (kind, name, shard) DO UPDATE SET n = counts.n + excluded.n",
);

/// All of them: `("runs", "paused", 3)`.
pub(super) async fn read(link: &mut Link<'_>) -> Result<Vec<(String, String, i64)>, SqlError> {
    let rows = statement(
        "SELECT kind, name, CAST(sum(n) AS BIGINT) AS total FROM counts GROUP BY kind, name \
         HAVING sum(n) <> 0 ORDER BY kind, name",
    )
    .all(link)
    .await?;
    rows.iter()
        .map(|row| Ok((row.text("kind")?, row.text("name")?, row.int("total")?)))
        .collect()
}
