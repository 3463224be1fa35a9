//! A writer's connection and its transactions. A connection to `PostgreSQL` that broke is made
//! anew for the next transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::place::Place;
use super::sql::{Link, SqlError};
use super::sqlite::Connection;
use super::trouble::{Trouble, only_reads};

/// After a connection that could not be made, this long none is tried: whoever asks meanwhile is
/// told at once.
const AFTER_A_FAILURE: Duration = Duration::from_millis(500);
/// A connection that nobody used for this long is asked whether it is still there.
const ASK_AFTER: Duration = Duration::from_millis(500);
/// How long making a connection may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// How long a transaction may take. A database that hangs is as good as one that is down.
const PATIENCE: Duration = Duration::from_secs(20);

/// A writer's connection.
pub(super) struct Session {
    database: Database,
    shard: i64,
}

enum Database {
    Sqlite(Connection, Arc<Place>),
    Postgres {
        options: Box<PgConnectOptions>,
        connection: Option<PgConnection>,
        /// Set while a transaction is under way; still set if it was given up.
        unclear: bool,
        /// When it was last used.
        used: Instant,
        failed: Option<(Instant, String)>,
    },
}

/// A transaction under way.
pub(super) struct Transaction<'s> {
    link: Link<'s>,
    unclear: Option<&'s mut bool>,
}

/// One statement under way that is a transaction by itself.
pub(super) struct Single<'s> {
    pub(super) connection: &'s mut PgConnection,
    unclear: &'s mut bool,
}

impl Session {
    pub(super) const fn sqlite(connection: Connection, place: Arc<Place>) -> Self {
        Self {
            database: Database::Sqlite(connection, place),
            shard: 0,
        }
    }

    pub(super) fn postgres(
        options: PgConnectOptions,
        connection: PgConnection,
        shard: i64,
    ) -> Self {
        Self {
            database: Database::Postgres {
                options: Box::new(options),
                connection: Some(connection),
                unclear: false,
                used: Instant::now(),
                failed: None,
            },
            shard,
        }
    }

    /// Whose part of the counts this writer keeps.
    pub(super) const fn shard(&self) -> i64 {
        self.shard
    }

    /// How long a transaction may take. A file does not hang; only its disk is slow.
    pub(super) const fn patience(&self) -> Option<Duration> {
        match self.database {
            Database::Sqlite(..) => None,
            Database::Postgres { .. } => Some(PATIENCE),
        }
    }

    /// Whether its statements run on the thread that makes them.
    pub(super) const fn wants_a_thread(&self) -> bool {
        matches!(self.database, Database::Sqlite(..))
    }

    /// The connection to `PostgreSQL`, for one statement that is a transaction by itself.
    pub(super) async fn single(&mut self) -> Result<Option<Single<'_>>, SqlError> {
        self.ready().await?;
        let Database::Postgres {
            connection: Some(connection),
            unclear,
            ..
        } = &mut self.database
        else {
            return Ok(None);
        };
        *unclear = true;
        Ok(Some(Single {
            connection,
            unclear,
        }))
    }

    /// Begins a transaction, on a new connection if need be.
    pub(super) async fn begin(&mut self) -> Result<Transaction<'_>, SqlError> {
        self.ready().await?;
        match &mut self.database {
            Database::Sqlite(connection, _) => {
                connection.simple("BEGIN IMMEDIATE")?;
                Ok(Transaction {
                    link: Link::Sqlite(connection),
                    unclear: None,
                })
            }
            Database::Postgres {
                connection,
                unclear,
                ..
            } => {
                let connection = connection
                    .as_mut()
                    .ok_or(SqlError::Away("there is no connection"))?;
                *unclear = true;
                let mut link = Link::Postgres(connection);
                link.simple("BEGIN").await?;
                let unclear = Some(unclear);
                Ok(Transaction { link, unclear })
            }
        }
    }

    /// Whether what was committed is in the store that the address names.
    pub(super) fn check_place(&self) -> Result<(), Trouble> {
        match &self.database {
            Database::Sqlite(_, place) => place.check(),
            Database::Postgres { .. } => Ok(()),
        }
    }

    /// Lets a connection go that will never write again.
    pub(super) fn failed(&mut self, error: &SqlError) {
        if let Database::Postgres { connection, .. } = &mut self.database
            && only_reads(error)
        {
            *connection = None;
        }
    }

    /// Makes sure of a connection.
    async fn ready(&mut self) -> Result<(), SqlError> {
        self.connect().await?;
        if self.is_dead().await {
            // It broke while nobody used it; nothing was sent on it that could matter.
            self.connect().await?;
        }
        Ok(())
    }

    /// Whether a connection to `PostgreSQL` does not answer any more. It is let go then.
    async fn is_dead(&mut self) -> bool {
        let Database::Postgres {
            connection: place @ Some(_),
            used,
            ..
        } = &mut self.database
        else {
            return false;
        };
        // One that was used a moment ago need not be asked each time.
        if used.elapsed() < ASK_AFTER {
            *used = Instant::now();
            return false;
        }
        *used = Instant::now();
        let Some(connection) = place else {
            return false;
        };
        let answer = tokio::time::timeout(CONNECT_PATIENCE, connection.ping()).await;
        let dead = !matches!(answer, Ok(Ok(())));
        if dead {
            *place = None;
        }
        dead
    }

    async fn connect(&mut self) -> Result<(), SqlError> {
        let Database::Postgres {
            options,
            connection,
            unclear,
            failed,
            ..
        } = &mut self.database
        else {
            return Ok(());
        };
        if std::mem::take(unclear) {
            // Nobody knows what it was doing; the database ends that when it notices.
            *connection = None;
        }
        if connection.is_some() {
            return Ok(());
        }
        if let Some((_, error)) = failed
            .as_ref()
            .filter(|(when, _)| when.elapsed() < AFTER_A_FAILURE)
        {
            return Err(sqlx::Error::Configuration(error.clone().into()).into());
        }
        match tokio::time::timeout(CONNECT_PATIENCE, options.connect()).await {
            Ok(Ok(made)) => {
                *connection = Some(made);
                *failed = None;
                Ok(())
            }
            Ok(Err(error)) => {
                *failed = Some((Instant::now(), error.to_string()));
                Err(error.into())
            }
            Err(_) => {
                let silent = "the database does not answer";
                *failed = Some((Instant::now(), silent.to_owned()));
                Err(SqlError::Away(silent))
            }
        }
    }

    /// Whether another transaction was the cause, so that a repetition may go through.
    pub(super) fn got_in_the_way(error: &SqlError) -> bool {
        let SqlError::Postgres(error) = error else {
            return false;
        };
        // 40001 and 40P01: serialisation failure, deadlock. 23505: two made the same row at once;
        // one whose own id is taken would fail again and is told in the end.
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code);
        matches!(code.as_deref(), Some("40001" | "40P01" | "23505"))
    }

    /// Ends it in order.
    pub(super) async fn close(self) {
        let closed = match self.database {
            Database::Sqlite(connection, _) => {
                // Whoever copies the file of a stopped service shall have all of it.
                if let Err(error) = connection.simple("PRAGMA wal_checkpoint(TRUNCATE)") {
                    tracing::warn!(%error, "the write-ahead log was not folded in");
                }
                Ok(())
            }
            Database::Postgres {
                connection: Some(connection),
                ..
            } => connection.close().await,
            Database::Postgres {
                connection: None, ..
            } => Ok(()),
        };
        if let Err(error) = closed {
            tracing::error!(%error, "the store did not close cleanly");
        }
    }
}

impl Single<'_> {
    /// The database answered, if only to refuse: nothing of the statement is under way any more.
    pub(super) fn answered(self) {
        *self.unclear = false;
    }
}

impl<'s> Transaction<'s> {
    pub(super) const fn link(&mut self) -> &mut Link<'s> {
        &mut self.link
    }

    /// What could not be committed is rolled back.
    pub(super) async fn commit(mut self) -> Result<(), SqlError> {
        let committed = self.link.simple("COMMIT").await;
        match committed {
            Ok(()) => self.ended(),
            Err(_) => self.roll_back().await,
        }
        committed
    }

    pub(super) async fn roll_back(mut self) {
        // A file's transaction may have been ended by what went wrong in it.
        if matches!(&self.link, Link::Sqlite(file) if !file.in_transaction()) {
            return;
        }
        match self.link.simple("ROLLBACK").await {
            Ok(()) => self.ended(),
            // A connection that broke has rolled back by itself.
            Err(error) => tracing::debug!(%error, "a transaction could not be rolled back"),
        }
    }

    fn ended(&mut self) {
        if let Some(unclear) = &mut self.unclear {
            **unclear = false;
        }
    }
}
