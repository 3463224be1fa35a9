//! When the next request to a supplier may leave, counted for all processes that share the
//! database, by its clock. One time for each supplier says how far ahead the requests are (GCRA).

use std::time::Duration;

use super::sql::statement;
use super::{Database, StoreError};

// $1 upstream, $2 interval, $3 how far ahead requests may leave, $4 the longest wait; in microseconds.
const RESERVE: &str = "WITH t AS (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) AS now_at) \
     INSERT INTO paces AS p (upstream, next_at) SELECT $1, now_at + $2 FROM t \
     ON CONFLICT (upstream) DO UPDATE SET next_at = \
        greatest(p.next_at, (SELECT now_at FROM t)) + $2 \
     WHERE greatest(p.next_at, (SELECT now_at FROM t)) - $3 - (SELECT now_at FROM t) <= $4 \
     RETURNING next_at - $2 - $3 - (SELECT now_at FROM t) AS wait";

const AHEAD: &str = "SELECT next_at - $2 - \
     CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) AS wait \
     FROM paces WHERE upstream = $1";

const HOLD: &str = "WITH t AS (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) + $2 AS until_at) \
     INSERT INTO paces AS p (upstream, next_at) SELECT $1, until_at FROM t \
     ON CONFLICT (upstream) DO UPDATE SET next_at = greatest(p.next_at, excluded.next_at)";

impl Database {
    /// Takes the next place in the queue of a supplier and answers how long to wait for it; an
    /// error says how long it would have been, where that is longer than `longest`.
    pub async fn reserve(
        &self,
        upstream: &str,
        per_second: u32,
        longest: Duration,
    ) -> Result<Result<Duration, Duration>, StoreError> {
        let (interval, ahead) = interval_and_ahead(per_second);
        let mut reader = self.reads.reader().await?;
        let link = &mut reader.link();
        let taken = statement(RESERVE)
            .with(upstream.to_owned())
            .with(interval)
            .with(ahead)
            .with(micros(longest))
            .first(link)
            .await;
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                reader.failed(&error).await;
                return Err(error.into());
            }
        };
        if let Some(row) = taken {
            return Ok(Ok(duration(row.int("wait")?)));
        }
        let row = statement(AHEAD)
            .with(upstream.to_owned())
            .with(ahead)
            .one(link)
            .await?;
        Ok(Err(duration(row.int("wait")?)))
    }

    /// Nothing more leaves for this long, and one by one afterwards.
    pub async fn hold(
        &self,
        upstream: &str,
        per_second: u32,
        pause: Duration,
    ) -> Result<(), StoreError> {
        let (_, ahead) = interval_and_ahead(per_second);
        let mut reader = self.reads.reader().await?;
        let held = statement(HOLD)
            .with(upstream.to_owned())
            .with(micros(pause) + ahead)
            .execute(&mut reader.link())
            .await;
        if let Err(error) = held {
            reader.failed(&error).await;
            return Err(error.into());
        }
        Ok(())
    }
}

/// How far requests are apart, and how far ahead of that one may leave; in microseconds.
fn interval_and_ahead(per_second: u32) -> (i64, i64) {
    let per_second = i64::from(per_second.max(1));
    let interval = 1_000_000 / per_second;
    (interval, interval * (per_second - 1))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::tests_scene::{Backend, scene};
    use super::*;

    #[tokio::test]
    async fn all_processes_share_one_count() {
        let scene = scene(Backend::Database).await;
        if !scene.store.is_shared() {
            return; // one process counts in memory
        }
        let longest = Duration::from_secs(5);
        let mut waits = Vec::new();
        for _ in 0..4 {
            let turn = scene.store.reserve("hivelocity", 2, longest).await.unwrap();
            waits.push(turn.unwrap().as_secs_f64());
        }
        let expected = [0.0, 0.0, 0.5, 1.0];
        for (wait, expected) in waits.iter().zip(expected) {
            assert!((wait - expected).abs() < 0.4, "{waits:?}");
        }
        let short = Duration::from_millis(100);
        let late = scene.store.reserve("hivelocity", 2, short).await.unwrap();
        assert!(late.is_err(), "{late:?}");
        scene
            .store
            .hold("hivelocity", 2, Duration::from_secs(60))
            .await
            .unwrap();
        let held = scene.store.reserve("hivelocity", 2, longest).await.unwrap();
        assert!(
            held.is_err_and(|wait| wait > Duration::from_secs(50)),
            "{held:?}"
        );
    }
}
