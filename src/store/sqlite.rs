//! One `SQLite` file: how a connection to it is opened, how it is brought up to date, and how
//! statements are run on it. A statement is prepared once and run for each row that it is given.
//!
//! A call runs on the thread that makes it. The writer has a thread of its own, so that nothing
//! is handed to and fro while a transaction is under way; reading is done aside (`reads`).

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, OpenFlags, Statement, ToSql, TransactionBehavior, params};
use sqlx::migrate::Migrator;

use super::StoreError;
use super::sql::{Brought, Row, SqlError, Value};
use super::trouble::Trouble;

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations/sqlite");

/// How long a statement waits for somebody else's lock on the file, e.g. that of a copy.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// How long a start looks whether the file is whole.
const LOOK: Duration = Duration::from_secs(1);
/// How many statements a connection keeps prepared.
const PREPARED: usize = 256;

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Reading and writing; the file is made if there is none.
    Write,
    Read,
}

/// A connection to the file.
#[derive(Debug)]
pub(super) struct Connection(rusqlite::Connection);

impl Connection {
    pub(super) fn open(path: &Path, access: Access) -> Result<Self, SqlError> {
        let flags = match access {
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        // Each is used by one thread at a time.
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = rusqlite::Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(LOCK_PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(PREPARED);
        // What a statement sets aside for itself is a few pages; no file for that.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        match access {
            Access::Write => prepare_for_writing(&connection)?,
            Access::Read => connection.pragma_update(None, "cache_size", -4096)?,
        }
        Ok(Self(connection))
    }

    /// Whether nothing was ever made in the file.
    pub(super) fn has_no_tables(&self) -> Result<bool, SqlError> {
        let tables = "SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'";
        let tables: i64 = self.0.query_row(tables, [], |row| row.get(0))?;
        Ok(tables == 0)
    }

    /// Looks whether the file is damaged, as far as a short time allows: all of a small one, the
    /// first pages of a large one.
    pub(super) fn examine(&self) -> Result<(), SqlError> {
        let interrupt = self.0.get_interrupt_handle();
        let (ended, end) = std::sync::mpsc::channel::<()>();
        let bell = std::thread::spawn(move || {
            if end.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                interrupt.interrupt();
            }
        });
        let check = "PRAGMA quick_check(1)";
        let found = self.0.query_row(check, [], |row| row.get::<_, String>(0));
        drop(ended);
        // It cannot panic.
        let _ = bell.join();
        match found {
            Ok(found) if found == "ok" => Ok(()),
            Ok(_) => Err(SqlError::Trouble(Trouble::Damaged)),
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) =>
            {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Runs the migrations that the file has not had, each in a transaction of its own.
    pub(super) fn migrate(&mut self) -> Result<(), StoreError> {
        let failed = |error: rusqlite::Error| StoreError::from(SqlError::from(error));
        self.0.execute_batch(HISTORY).map_err(failed)?;
        let had = self.history().map_err(failed)?;
        for (version, checksum) in &had {
            let known = MIGRATIONS.iter().find(|one| one.version == *version);
            let known = known.ok_or_else(|| {
                StoreError::Address(format!(
                    "was brought to version {version} by a newer billhook; this one knows less"
                ))
            })?;
            if *known.checksum != **checksum {
                return Err(StoreError::Address(format!(
                    "has had another migration {version} than the one of this billhook"
                )));
            }
        }
        for migration in MIGRATIONS.iter() {
            if had.iter().all(|(version, _)| *version != migration.version) {
                self.apply(migration).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn history(&self) -> Result<Vec<(i64, Vec<u8>)>, rusqlite::Error> {
        let mut had = self
            .0
            .prepare("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")?;
        had.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    }

    fn apply(&mut self, migration: &sqlx::migrate::Migration) -> Result<(), rusqlite::Error> {
        let began = Instant::now();
        let transaction = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration.sql.as_str())?;
        let took = i64::try_from(began.elapsed().as_nanos()).unwrap_or(i64::MAX);
        transaction.execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (?1, ?2, TRUE, ?3, ?4)",
            params![
                migration.version,
                migration.description,
                migration.checksum,
                took
            ],
        )?;
        transaction.commit()
    }

    /// Runs a statement that is not worth keeping prepared.
    pub(super) fn simple(&self, text: &str) -> Result<(), SqlError> {
        Ok(self.0.execute_batch(text)?)
    }

    /// Whether a transaction is under way.
    pub(super) fn in_transaction(&self) -> bool {
        !self.0.is_autocommit()
    }

    /// Runs a statement once, with its values in the order of their numbers: `$1`, `$2` …
    pub(super) fn once(&self, text: &str, values: &[Value<'_>]) -> Result<Brought, SqlError> {
        let mut statement = self.0.prepare_cached(text)?;
        for place in 1..=statement.parameter_count() {
            let number = statement
                .parameter_name(place)
                .and_then(|name| name.get(1..)?.parse().ok())
                .unwrap_or(place);
            let value = values.get(number - 1).unwrap_or(&Value::Int(None));
            statement.raw_bind_parameter(place, value)?;
        }
        let mut brought = Brought::default();
        step(&mut statement, &mut brought)?;
        Ok(brought)
    }

    /// Runs a statement for each row of so many values.
    pub(super) fn each(
        &self,
        text: &str,
        values: &[Value<'_>],
        width: usize,
    ) -> Result<Brought, SqlError> {
        let mut statement = self.0.prepare_cached(text)?;
        let mut brought = Brought::default();
        // A statement need not use the last of its values.
        let places = statement.parameter_count();
        for row in values.chunks_exact(width) {
            for (place, value) in (1..=places).zip(row) {
                statement.raw_bind_parameter(place, value)?;
            }
            step(&mut statement, &mut brought)?;
        }
        Ok(brought)
    }
}

/// The table that tells which migrations a file has had; its name and form are those that `sqlx`
/// gives it on `PostgreSQL`, too.
const HISTORY: &str = "CREATE TABLE IF NOT EXISTS _sqlx_migrations (\
     version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
     installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, \
     checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)";

fn prepare_for_writing(connection: &rusqlite::Connection) -> Result<(), rusqlite::Error> {
    // Large pages: a delivery fits one, and bulk inserts touch fewer of them. Only a new file
    // takes this, and only before it is told to keep a log.
    connection.pragma_update(None, "page_size", 16_384)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // In WAL mode only FULL syncs at each commit; NORMAL may lose the last ones.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    // Pages that are written again and again are copied into the file once.
    connection.pragma_update(None, "wal_autocheckpoint", 4096)?;
    // What a long reader made the log grow to is given back.
    connection.pragma_update(None, "journal_size_limit", 134_217_728)
}

fn step(statement: &mut CachedStatement<'_>, brought: &mut Brought) -> Result<(), SqlError> {
    if statement.column_count() == 0 {
        brought.changed += statement.raw_execute()? as u64;
        return Ok(());
    }
    let names = match brought.rows.last() {
        Some(Row::Sqlite(row)) => Arc::clone(&row.names),
        _ => names(statement),
    };
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let values = (0..names.len()).map(|column| row.get(column));
        brought.rows.push(Row::Sqlite(FileRow {
            names: Arc::clone(&names),
            values: values.collect::<Result<_, _>>()?,
        }));
    }
    Ok(())
}

fn names(statement: &Statement<'_>) -> Arc<[String]> {
    let names = statement.column_names().into_iter();
    names.map(str::to_owned).collect()
}

/// A row that a statement returned.
#[derive(Debug)]
pub(super) struct FileRow {
    names: Arc<[String]>,
    values: Vec<rusqlite::types::Value>,
}

impl FileRow {
    fn value(&self, column: &str) -> Result<&rusqlite::types::Value, SqlError> {
        let place = self.names.iter().position(|name| name == column);
        place
            .and_then(|place| self.values.get(place))
            .ok_or_else(|| SqlError::Unreadable(format!("there is no column {column}")))
    }

    pub(super) fn int(&self, column: &str) -> Result<Option<i64>, SqlError> {
        match self.value(column)? {
            rusqlite::types::Value::Null => Ok(None),
            rusqlite::types::Value::Integer(value) => Ok(Some(*value)),
            other => Err(unlike(column, "a number", other)),
        }
    }

    pub(super) fn text(&self, column: &str) -> Result<Option<String>, SqlError> {
        match self.value(column)? {
            rusqlite::types::Value::Null => Ok(None),
            rusqlite::types::Value::Text(value) => Ok(Some(value.clone())),
            other => Err(unlike(column, "a text", other)),
        }
    }

    pub(super) fn blob(&self, column: &str) -> Result<Option<Vec<u8>>, SqlError> {
        match self.value(column)? {
            rusqlite::types::Value::Null => Ok(None),
            rusqlite::types::Value::Blob(value) => Ok(Some(value.clone())),
            rusqlite::types::Value::Text(value) => Ok(Some(value.clone().into_bytes())),
            other => Err(unlike(column, "bytes", other)),
        }
    }
}

fn unlike(column: &str, expected: &str, found: &rusqlite::types::Value) -> SqlError {
    let found = found.data_type();
    SqlError::Unreadable(format!("{column} is not {expected} but {found}"))
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Self::Int(Some(value)) => ValueRef::Integer(*value),
            Self::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Self::Blob(Some(bytes)) => ValueRef::Blob(bytes),
            Self::Int(None) | Self::Text(None) | Self::Blob(None) => ValueRef::Null,
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}
