//! This process among those that share a `PostgreSQL` database: its number, the database's clock,
//! and telling each other that something is due.
//!
//! The number is a lock that goes with a connection, so that no two living processes have the
//! same. The clock is the database's, asked for now and then and carried on by this machine's
//! steady clock in between: processes whose own clocks differ still agree on the time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener};
use tokio_util::task::AbortOnDropHandle;

use super::StoreError;
use super::sql::{Link, Row, SqlError, statement};
use super::writer::Signals;
use crate::domain::time::{Clock, Timestamp};

/// How many processes may share a database.
const MOST_NODES: u8 = u8::MAX;
/// The first half of the key of a node's lock; any number that nobody else uses.
const LOCKS: i64 = 0x0b11_400c;
/// How often the database is asked for the time.
const CLOCK_EVERY: Duration = Duration::from_secs(5);
/// Two clocks drift apart by less than one part in so many.
const DRIFT_PARTS: i64 = 5_000;
/// At most this often the others are told.
const TELL_EVERY: Duration = Duration::from_millis(20);
/// After a lost connection.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
const CHANNEL: &str = "billhook";
/// Taken by whoever joins, until the end of its transaction: the first half of the key is `LOCKS`,
/// the second no number of a node.
pub(super) const ONE_AT_A_TIME: &str = "SELECT pg_advisory_xact_lock(185679884, 1000)";
/// The settings of the processes that hold a number, but for one's own.
pub(super) const LIVING: &str = "SELECT p.settings FROM processes p JOIN pg_locks l \
     ON CAST(l.classid AS BIGINT) = 185679884 AND CAST(l.objid AS BIGINT) = p.node \
     WHERE p.node <> $1 AND l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted \
     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// This process among the others.
#[derive(Debug)]
pub(super) struct Node {
    number: u8,
    began: Instant,
    /// The database's time in microseconds at `began`.
    offset: AtomicI64,
    /// By how much that may be wrong, in microseconds, and since when; none before it was read.
    slack: Mutex<Option<(i64, Instant)>>,
}

impl Node {
    pub(super) const fn number(&self) -> u8 {
        self.number
    }

    fn set(&self, asked: Instant, answered: Instant, micros: i64) {
        // The database read its clock somewhere in between.
        let middle = asked.duration_since(self.began) + answered.duration_since(asked) / 2;
        let offset = micros - as_micros(middle);
        let slack = as_micros(answered.duration_since(asked)) / 2;
        let mut known = self.slack.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known
            .map(|(before, when)| before + as_micros(answered.duration_since(when)) / DRIFT_PARTS);
        // An answer that was slow to come says less than one that was not, and would have the clock
        // jump to and fro – unless it shows that the database's clock was set.
        let off = offset.abs_diff(self.offset.load(Ordering::Relaxed));
        let better = before.is_none_or(|before| {
            slack <= before || off > slack.saturating_add(before).unsigned_abs()
        });
        if better {
            *known = Some((slack, answered));
            self.offset.store(offset, Ordering::Relaxed);
        }
    }
}

fn as_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(0)
}

impl Clock for Node {
    fn now(&self) -> Timestamp {
        let since = as_micros(self.began.elapsed());
        Timestamp::from_micros(self.offset.load(Ordering::Relaxed) + since)
    }
}

/// The connection that a node's number depends on.
pub(super) struct Keeper {
    node: Arc<Node>,
    connection: Option<PgConnection>,
    /// Whether the number's lock is held by that connection.
    numbered: bool,
    options: PgConnectOptions,
}

/// Takes a number and the time.
pub(super) async fn join(
    mut connection: PgConnection,
    options: PgConnectOptions,
) -> Result<(Arc<Node>, Keeper), StoreError> {
    let mut number = None;
    for candidate in 0..MOST_NODES {
        if take(&mut connection, candidate).await? {
            number = Some(candidate);
            break;
        }
    }
    let number = number.ok_or_else(|| {
        StoreError::Address(format!(
            "{MOST_NODES} processes share this database already"
        ))
    })?;
    let node = Arc::new(Node {
        number,
        began: Instant::now(),
        offset: AtomicI64::new(0),
        slack: Mutex::default(),
    });
    // The quickest of a few answers.
    for _ in 0..3 {
        read_clock(&mut connection, &node).await?;
    }
    let keeper = Keeper {
        node: Arc::clone(&node),
        connection: Some(connection),
        numbered: true,
        options,
    };
    Ok((node, keeper))
}

async fn take(connection: &mut PgConnection, number: u8) -> Result<bool, SqlError> {
    let row = statement(
        "SELECT CASE WHEN pg_try_advisory_lock(CAST($1 AS INT), CAST($2 AS INT)) \
         THEN 1::int8 ELSE 0::int8 END AS taken",
    )
    .with(LOCKS)
    .with(i64::from(number))
    .one(&mut Link::Postgres(connection))
    .await?;
    row.flag("taken")
}

async fn read_clock(connection: &mut PgConnection, node: &Node) -> Result<(), SqlError> {
    // There and back once. Preparing the statement first would have the answer come late in what
    // is taken for the way, and a process that has just started would be ahead of the others.
    let now = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) AS now";
    let asked = Instant::now();
    let row = sqlx::raw_sql(now).fetch_one(connection).await?;
    node.set(asked, Instant::now(), Row::Postgres(row).int("now")?);
    Ok(())
}

impl Keeper {
    /// Keeps the number, the clock and the connections to the others until dropped.
    pub(super) fn start(mut self, signals: Arc<Signals>) -> AbortOnDropHandle<()> {
        #[expect(clippy::disallowed_methods, reason = "ends with its handle")]
        let task = tokio::spawn(async move {
            let options = self.options.clone();
            let hearing = Arc::clone(&signals);
            tokio::join!(hear(options, hearing), self.keep(&signals));
        });
        AbortOnDropHandle::new(task)
    }

    async fn keep(&mut self, signals: &Signals) {
        loop {
            if let Err(error) = self.keep_on(signals).await {
                tracing::warn!(%error, "the connection that keeps this process's number broke");
                (self.connection, self.numbered) = (None, false);
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }

    async fn keep_on(&mut self, signals: &Signals) -> Result<(), SqlError> {
        if self.connection.is_none() {
            self.connection = Some(self.options.connect().await?);
        }
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        if !self.numbered {
            // Our own old connection may still be dying; another process may have it, too. Should
            // both make the same id meanwhile, the database refuses the second.
            self.numbered = take(connection, self.node.number).await?;
            if !self.numbered {
                tracing::warn!("this process's number is taken; trying again");
            }
        }
        tokio::select! {
            () = signals.others.notified() => {
                sqlx::raw_sql("NOTIFY billhook").execute(&mut *connection).await?;
                // Whatever comes meanwhile is told together.
                tokio::time::sleep(TELL_EVERY).await;
            }
            () = tokio::time::sleep(CLOCK_EVERY) => {}
        }
        read_clock(connection, &self.node).await
    }
}

/// Hears from the others. What is missed while the connection is down is found by looking.
async fn hear(options: PgConnectOptions, signals: Arc<Signals>) {
    loop {
        if let Err(error) = hear_on(&options, &signals).await {
            tracing::debug!(%error, "other processes cannot be heard");
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn hear_on(options: &PgConnectOptions, signals: &Signals) -> Result<(), sqlx::Error> {
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options.clone())
        .await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // Before the first and after a broken connection something may have been missed.
        signals.due.notify_one();
        signals.outcomes.any();
        listener.try_recv().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_does_not_move_the_clock_and_a_clock_that_was_set_does() {
        let began = Instant::now();
        let node = Node {
            number: 0,
            began,
            offset: AtomicI64::new(0),
            slack: Mutex::default(),
        };
        let at = |millis: u64| began + Duration::from_millis(millis);
        let offset = || node.offset.load(Ordering::Relaxed);
        node.set(at(0), at(2), 1_001_000);
        assert_eq!(offset(), 1_000_000);
        // Read at once, and 20 ms on the way back.
        node.set(at(100), at(120), 1_100_000);
        assert_eq!(offset(), 1_000_000);
        node.set(at(200), at(201), 1_200_400);
        assert_eq!(offset(), 999_900, "a better one");
        node.set(at(300), at(320), 5_300_000);
        assert_eq!(offset(), 4_990_000, "it was set");
    }
}
