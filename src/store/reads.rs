//! The connections for reading. A statement may take its time; where it runs on a thread of this
//! process, that is one which may wait, and never one that serves requests.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::place::Place;
use super::sql::{Brought, Link, SqlError, Value};
use super::sqlite::{Access, Connection};
use super::trouble::{Trouble, only_reads};
use super::writer::Signals;

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
            watched: None,
        }))
    }

    /// Reads only as long as the file is the one that is served, and tells when it is damaged.
    pub(super) fn watched(mut self, place: &Arc<Place>, signals: &Arc<Signals>) -> Self {
        if let Self::Sqlite(files) = &mut self {
            files.watched = Some(Watched {
                place: Arc::clone(place),
                signals: Arc::clone(signals),
            });
        }
        self
    }

    /// Where the file is that is served, if it is one.
    pub(super) fn place(&self) -> Option<&Place> {
        match self {
            Self::Sqlite(files) => files.watched.as_ref().map(|watched| &*watched.place),
            Self::Postgres(_) => None,
        }
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

    /// Lets a connection go that will never write again.
    pub(super) async fn failed(self, error: &SqlError) {
        if let Self::Postgres(connection) = self
            && only_reads(error)
        {
            // It is not used again, however it ends.
            let _ = connection.close().await;
        }
    }
}

/// Connections to a file.
#[derive(Clone, Debug)]
pub(super) struct Files {
    path: Arc<Path>,
    idle: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
    watched: Option<Watched>,
}

/// What is known of a file that is served.
#[derive(Clone, Debug)]
struct Watched {
    place: Arc<Place>,
    signals: Arc<Signals>,
}

impl Watched {
    /// Whether the file may be read.
    fn check(&self, opens: bool) -> Result<(), SqlError> {
        let health = &self.signals.health;
        if health.trouble().is_some_and(Trouble::bars) || opens {
            self.place.check().map_err(SqlError::Trouble)?;
        }
        match health.trouble() {
            Some(Trouble::Damaged) => Err(SqlError::Trouble(Trouble::Damaged)),
            _ => Ok(()),
        }
    }
}

/// One of them, while somebody reads.
pub(super) struct FileReader {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    watched: Option<Watched>,
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
        let connection = self.idle().pop();
        if let Some(watched) = &self.watched {
            watched.check(connection.is_none())?;
        }
        Ok(FileReader {
            path: self.path.to_path_buf(),
            idle: Arc::clone(&self.idle),
            watched: self.watched.clone(),
            seat: Some(Seat {
                connection,
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
        if let (Err(error), Some(watched)) = (&brought, &self.watched)
            && let Some(trouble @ Trouble::Damaged) = Trouble::of(error)
        {
            watched.signals.health.failed(trouble, error);
        }
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
