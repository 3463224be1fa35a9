//! How many requests of the present hour an upstream was sent, for all processes that share the
//! store. What a demand makes of the count is decided in [`Hour::after`]; here it is kept.
//!
//! On `PostgreSQL` a row is read with the database's time, and written only where it is still the
//! same: nothing is locked meanwhile, and whoever is cut off in the middle leaves nothing behind.

use crate::domain::budget::{Counted, Demand, Hour};
use crate::domain::time::Timestamp;

use super::sql::{Link, Row, SqlError, statement};
use super::write::Write;
use super::{Database, StoreError};

/// How often it is tried where other processes count at the same moment.
const MOST_TRIES: u32 = 20;

const READ: &str =
    "SELECT began_at, window_ends_at, most, leased, used FROM budgets WHERE upstream = $1";

const NOW: &str =
    "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) AS now_at";

const INSERT: &str = "INSERT INTO budgets (upstream, began_at, window_ends_at, most, leased, used) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (upstream) DO NOTHING";

const UPDATE: &str = "UPDATE budgets SET began_at = $2, window_ends_at = $3, most = $4, \
     leased = $5, used = $6 WHERE upstream = $1 AND began_at = $7 AND window_ends_at = $8 \
     AND most = $9 AND leased = $10 AND used = $11";

impl Database {
    /// Counts what is asked for; answers once it is on disk.
    pub async fn count_requests(
        &self,
        upstream: &str,
        demand: Demand,
        now: Timestamp,
    ) -> Result<Counted, StoreError> {
        if self.is_shared() || demand == Demand::Look {
            let mut reader = self.reads.reader().await?;
            return Ok(count(&mut reader.link(), upstream, &demand, now).await?);
        }
        self.ask(|answer| Write::CountRequests {
            upstream: upstream.to_owned(),
            demand,
            now,
            answer,
        })
        .await
    }
}

/// The same on a connection.
pub(super) async fn count(
    link: &mut Link<'_>,
    upstream: &str,
    demand: &Demand,
    now: Timestamp,
) -> Result<Counted, SqlError> {
    for _ in 0..MOST_TRIES {
        let now = if link.pick(false, true) {
            let row = statement(NOW).one(link).await?;
            Timestamp::from_micros(row.int("now_at")?)
        } else {
            now
        };
        let row = statement(READ)
            .with(upstream.to_owned())
            .first(link)
            .await?;
        let kept = row.as_ref().map(hour).transpose()?;
        let counted = Hour::after(kept, demand, now);
        if *demand == Demand::Look
            || counted.hour == kept
            || write(link, upstream, kept, counted.hour).await?
        {
            return Ok(counted);
        }
    }
    Err(SqlError::Away("too many count requests at the same time"))
}

/// Whether the row was still the same, so that it was written.
async fn write(
    link: &mut Link<'_>,
    upstream: &str,
    kept: Option<Hour>,
    hour: Option<Hour>,
) -> Result<bool, SqlError> {
    let Some(hour) = hour else {
        return Ok(true);
    };
    let mut query =
        statement(if kept.is_some() { UPDATE } else { INSERT }).with(upstream.to_owned());
    for hour in [Some(hour), kept].into_iter().flatten() {
        query = query
            .with(hour.began_at.micros())
            .with(hour.ends_at.micros())
            .with(i64::from(hour.most))
            .with(i64::from(hour.leased))
            .with(i64::from(hour.used));
    }
    Ok(query.execute(link).await? == 1)
}

fn hour(row: &Row) -> Result<Hour, SqlError> {
    let number = |column| {
        let number = row.int(column)?;
        u32::try_from(number).map_err(SqlError::unreadable)
    };
    Ok(Hour {
        began_at: Timestamp::from_micros(row.int("began_at")?),
        ends_at: Timestamp::from_micros(row.int("window_ends_at")?),
        most: number("most")?,
        leased: number("leased")?,
        used: number("used")?,
    })
}
