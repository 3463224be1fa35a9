//! The connections for reading. A statement may take its time; where it runs on a thread of this
//! process, that is one which may wait, and never one that serves requests.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::sql::{Brought, Link, SqlError, Value};
use super::sqlite::{Access, Connection};

/// How long a reader waits for a connection.
const PATIENCE: Duration = Duration::from_secs(3);

/// The connections for reading.
#[derive(Clone, Debug)]
pub(super) enum Reads {
    Sqlite(Files),
    Postgres(PgPool),
}

/// One of them.
pub(super) enum Reader {
    Sqlite(FileReader),
    Postgres(PoolConnection<Postgres>),
}

impl Reads {
    /// At most so many connections to a file.
    pub(super) fn sqlite(path: &Path, most: u8) -> Result<Self, SqlError> {
        let first = Connection::open(path, Access::Read)?;
        Ok(Self::Sqlite(Files {
            path: Arc::from(path),
            idle: Arc::new(Mutex::new(vec![first])),
            places: Arc::new(Semaphore::new(usize::from(most))),
        }))
    }

    /// At most so many connections to a server.
    pub(super) async fn postgres(options: PgConnectOptions, most: u8) -> Result<Self, SqlError> {
        let pool = PgPoolOptions::new()
            .min_connections(1)
            .max_connections(u32::from(most))
            .acquire_timeout(PATIENCE)
            .connect_with(options);
        Ok(Self::Postgres(pool.await?))
    }

    pub(super) async fn reader(&self) -> Result<Reader, SqlError> {
        Ok(match self {
            Self::Sqlite(files) => Reader::Sqlite(files.reader().await?),
            Self::Postgres(pool) => Reader::Postgres(pool.acquire().await?),
        })
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(files) => files.idle().clear(),
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Reader {
    pub(super) fn link(&mut self) -> Link<'_> {
        match self {
            Self::Sqlite(reader) => Link::Aside(reader),
            Self::Postgres(connection) => Link::Postgres(connection),
        }
    }
}

/// Connections to a file.
#[derive(Clone, Debug)]
pub(super) struct Files {
    path: Arc<Path>,
    idle: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
}

/// One of them, while somebody reads.
pub(super) struct FileReader {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    /// None while a statement runs, and for good where whoever asked went away meanwhile: the
    /// statement keeps its place until it ends.
    seat: Option<Seat>,
}

struct Seat {
    /// None before the first statement.
    connection: Option<Connection>,
    _place: OwnedSemaphorePermit,
}

impl Files {
    async fn reader(&self) -> Result<FileReader, SqlError> {
        let place = Arc::clone(&self.places).acquire_owned();
        let place = tokio::time::timeout(PATIENCE, place).await;
        let Ok(Ok(place)) = place else {
            return Err(SqlError::Away("every connection for reading is in use"));
        };
        Ok(FileReader {
            path: self.path.to_path_buf(),
            idle: Arc::clone(&self.idle),
            seat: Some(Seat {
                connection: self.idle().pop(),
                _place: place,
            }),
        })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileReader {
    /// Runs a statement on a thread that may wait.
    pub(super) async fn once(
        &mut self,
        text: String,
        values: Vec<Value<'static>>,
    ) -> Result<Brought, SqlError> {
        let Some(mut seat) = self.seat.take() else {
            return Err(SqlError::Away("the statement before did not end"));
        };
        let path = self.path.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let connection = match seat.connection.take() {
                Some(connection) => connection,
                None => Connection::open(&path, Access::Read)?,
            };
            let brought = connection.once(&text, &values);
            seat.connection = Some(connection);
            Ok((seat, brought))
        });
        let (seat, brought) = asked
            .await
            .map_err(|_| SqlError::Away("the process is ending"))
            .flatten()?;
        self.seat = Some(seat);
        brought
    }
}

impl Drop for FileReader {
    fn drop(&mut self) {
        if let Some(connection) = self.seat.take().and_then(|seat| seat.connection) {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sql::statement;
    use super::*;

    #[tokio::test]
    async fn whoever_goes_away_leaves_a_place_once_the_statement_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.db");
        drop(Connection::open(&file, Access::Write).unwrap());
        let reads = Reads::sqlite(&file, 1).unwrap();
        let count = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
             WHERE i < 1000000) SELECT count(*) AS n FROM n";
        for _ in 0..3 {
            let ask = async {
                let mut reader = reads.reader().await.unwrap();
                statement(count).one(&mut reader.link()).await
            };
            let given_up = tokio::time::timeout(Duration::from_millis(1), ask).await;
            assert!(given_up.is_err(), "it takes longer");
        }
        let Reads::Sqlite(files) = &reads else {
            panic!("it is a file")
        };
        let mut reader = reads.reader().await.unwrap();
        assert_eq!(files.places.available_permits(), 0);
        let row = statement("SELECT 1 AS one").one(&mut reader.link()).await;
        assert_eq!(row.unwrap().int("one").unwrap(), 1);
    }
}
