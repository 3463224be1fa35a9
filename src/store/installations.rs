//! Which installation of its billing platform each source belongs to: the first one heard.

use crate::domain::time::Timestamp;

use super::sql::{Link, Row, SqlError, statement};
use super::{Database, StoreError};

/// Keeps what a source belongs to: what the configuration says, or what is heard where that is not known
/// yet. Returns what it belongs to.
pub(super) async fn keep(
    link: &mut Link<'_>,
    (source, installation): (&str, &str),
    configured: bool,
    now: Timestamp,
) -> Result<String, SqlError> {
    let heard = "INSERT INTO installations (source, installation, heard_at) VALUES ($1, $2, $3) \
         ON CONFLICT (source) DO NOTHING";
    let written = "INSERT INTO installations (source, installation, heard_at) VALUES ($1, $2, $3) \
         ON CONFLICT (source) DO UPDATE SET installation = excluded.installation, \
         heard_at = excluded.heard_at";
    statement(if configured { written } else { heard })
        .with(source)
        .with(installation)
        .with(now.micros())
        .execute(link)
        .await?;
    statement("SELECT installation FROM installations WHERE source = $1")
        .with(source)
        .one(link)
        .await?
        .text("installation")
}

impl Database {
    /// What each source is known to belong to.
    pub async fn installations(&self) -> Result<Vec<(String, String)>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let rows = statement("SELECT source, installation FROM installations ORDER BY source")
            .all(&mut reader.link())
            .await?;
        let pair = |row: &Row| Ok::<_, SqlError>((row.text("source")?, row.text("installation")?));
        Ok(rows.iter().map(pair).collect::<Result<_, _>>()?)
    }
}
