//! What keeps the store from being written, in words for whoever runs it. Pure: what a database
//! said is sorted here; what follows from it is decided in `health`.

use rusqlite::ErrorCode;

use super::sql::SqlError;

/// Why nothing can be written. The sentences are read by strangers, too: no path and no word of the
/// database's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No room.
    #[error("the store's disk is full: make room; it goes on by itself")]
    Full,
    /// The database takes no writes.
    #[error(
        "the store is read-only: let it be written again (a disk, a file's mode, PostgreSQL's \
         default_transaction_read_only, or a standby); it goes on by itself"
    )]
    ReadOnly,
    /// The file cannot be written or read, and not for want of room.
    #[error(
        "the store's disk refuses: it is broken, over its quota, or was made read-only; it goes on \
         by itself once it takes writes"
    )]
    Disk,
    /// The file is damaged. That does not go away.
    #[error("the store is damaged: stop, put the last backup in its place, start")]
    Damaged,
    /// The file at the path is not the one that was opened.
    #[error(
        "store.url: the file is gone, or another one is in its place: put the same file back and it \
         goes on by itself; else save its bytes from /proc/PID/fd before the process ends, stop, put \
         them or a backup in place, start"
    )]
    FileGone,
    /// The same of its write-ahead log.
    #[error(
        "store.url: the write-ahead log (-wal) beside the file is gone: stop in order (SIGTERM), \
         which folds what it held into the file, and start again"
    )]
    LogGone,
    /// Somebody else's lock.
    #[error("the store is locked by somebody else; it goes on by itself once it is let go")]
    Busy,
    /// Nothing came back in time.
    #[error("the store has not taken a write for seconds; it goes on by itself once it does")]
    Silent,
    /// No connection.
    #[error("the database does not answer; it goes on by itself once it does")]
    Away,
    /// It answers, and refuses: rights, missing tables, memory.
    #[error("the database refuses writes; the log says why")]
    Refused,
}

impl Trouble {
    /// What an error says of the store as a whole; none where it says something of one write only.
    pub(super) fn of(error: &SqlError) -> Option<Self> {
        match error {
            SqlError::Trouble(trouble) => Some(*trouble),
            SqlError::Sqlite(error) => of_a_file(error.sqlite_error_code()?),
            SqlError::Postgres(error) => of_a_server(error),
            SqlError::Away(_) => Some(Self::Away),
            SqlError::Unreadable(_) => None,
        }
    }

    /// Whether nothing may be read or written any more, since it would not be the store.
    pub(super) const fn bars(self) -> bool {
        matches!(self, Self::Damaged | Self::FileGone | Self::LogGone)
    }
}

const fn of_a_file(code: ErrorCode) -> Option<Trouble> {
    Some(match code {
        ErrorCode::DiskFull => Trouble::Full,
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Trouble::ReadOnly,
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => Trouble::Disk,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Trouble::Damaged,
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed => Trouble::Busy,
        ErrorCode::OutOfMemory => Trouble::Refused,
        _ => return None,
    })
}

fn of_a_server(error: &sqlx::Error) -> Option<Trouble> {
    let code = match error {
        sqlx::Error::Database(error) => error.code(),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::Configuration(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => return Some(Trouble::Away),
        _ => return None,
    };
    let code = code.unwrap_or_default();
    Some(match &*code {
        "53100" => Trouble::Full,
        READ_ONLY => Trouble::ReadOnly,
        "58030" => Trouble::Disk,
        "55P03" | "57014" => Trouble::Busy,
        _ => match code.get(..2).unwrap_or_default() {
            // Values, constraints, collisions: they say something of one write.
            "22" | "23" | "40" => return None,
            "08" | "57" | "28" => Trouble::Away,
            _ => Trouble::Refused,
        },
    })
}

/// A transaction that may only read. A connection keeps that from when it was made, so only a new
/// one learns that it may write again.
const READ_ONLY: &str = "25006";

/// Whether the connection to `PostgreSQL` that answered so is of no use for writing any more.
pub(super) fn only_reads(error: &SqlError) -> bool {
    let SqlError::Postgres(sqlx::Error::Database(error)) = error else {
        return false;
    };
    error.code().as_deref() == Some(READ_ONLY)
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn of(code: i32) -> Option<Trouble> {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        Trouble::of(&SqlError::Sqlite(error))
    }

    #[test]
    fn what_a_file_says_is_sorted_by_what_can_be_done_about_it() {
        assert_eq!(of(ffi::SQLITE_FULL), Some(Trouble::Full));
        assert_eq!(of(ffi::SQLITE_READONLY_DBMOVED), Some(Trouble::ReadOnly));
        assert_eq!(of(ffi::SQLITE_IOERR_FSYNC), Some(Trouble::Disk));
        assert_eq!(of(ffi::SQLITE_CORRUPT), Some(Trouble::Damaged));
        assert_eq!(of(ffi::SQLITE_NOTADB), Some(Trouble::Damaged));
        assert_eq!(of(ffi::SQLITE_BUSY), Some(Trouble::Busy));
        assert_eq!(of(ffi::SQLITE_CONSTRAINT_UNIQUE), None, "one write's own");
    }

    #[test]
    fn what_says_something_of_one_write_is_no_trouble_of_the_store() {
        assert_eq!(Trouble::of(&SqlError::unreadable("a column")), None);
        assert_eq!(Trouble::of(&sqlx::Error::RowNotFound.into()), None);
        assert_eq!(
            Trouble::of(&sqlx::Error::PoolTimedOut.into()),
            Some(Trouble::Away)
        );
    }
}
