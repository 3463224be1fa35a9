//! Which installation of its billing platform each source belongs to: the first one heard.

use crate::domain::time::Timestamp;

use super::sql::{Link, SqlError, statement};

/// Keeps what a source belongs to, if that is not known yet; answers what it belongs to.
pub(super) async fn heard(
    link: &mut Link<'_>,
    source: &str,
    installation: &str,
    now: Timestamp,
) -> Result<String, SqlError> {
    statement(
        "INSERT INTO installations (source, installation, heard_at) VALUES ($1, $2, $3) \
         ON CONFLICT (source) DO NOTHING",
    )
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
