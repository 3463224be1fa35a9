//! One way to talk to both databases: values in, rows out. What a statement says is written once,
//! by the module that needs it.

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{Arguments as _, AssertSqlSafe, Either, Executor as _, Row as _, SqlSafeStr};

pub(super) use super::bulk::{Bulk, Kind, Rows};
use super::reads::FileReader;
use super::sqlite::{Connection, FileRow};
use super::trouble::Trouble;

/// A connection to one of the two databases.
pub(super) enum Link<'c> {
    /// A file, on the thread that makes the call.
    Sqlite(&'c mut Connection),
    /// A file, on a thread that may wait: for reading.
    Aside(&'c mut FileReader),
    Postgres(&'c mut PgConnection),
}

/// Why a database did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum SqlError {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Postgres(#[from] sqlx::Error),
    /// What a row holds is not what it should.
    #[error("a row cannot be read: {0}")]
    Unreadable(String),
    /// It was not asked, or did not answer.
    #[error("{0}")]
    Away(&'static str),
    /// It was not asked, since it is not what it was.
    #[error("{0}")]
    Trouble(Trouble),
}

impl SqlError {
    /// A row that holds something else than it should.
    pub(super) fn unreadable(why: impl std::fmt::Display) -> Self {
        Self::Unreadable(why.to_string())
    }
}

/// A value on its way into a statement. Nothing is a value of its type, too.
#[derive(Clone, Debug)]
pub(super) enum Value<'v> {
    Int(Option<i64>),
    Text(Option<Cow<'v, str>>),
    Blob(Option<Cow<'v, [u8]>>),
}

impl Value<'_> {
    fn into_owned(self) -> Value<'static> {
        match self {
            Self::Int(value) => Value::Int(value),
            Self::Text(text) => Value::Text(text.map(|text| Cow::Owned(text.into_owned()))),
            Self::Blob(bytes) => Value::Blob(bytes.map(|bytes| Cow::Owned(bytes.into_owned()))),
        }
    }
}

macro_rules! value_from {
    ($($from:ty => |$it:ident| $value:expr;)*) => {
        $(impl<'v> From<$from> for Value<'v> {
            fn from($it: $from) -> Self {
                $value
            }
        })*
    };
}

value_from! {
    i64 => |it| Self::Int(Some(it));
    Option<i64> => |it| Self::Int(it);
    bool => |it| Self::Int(Some(i64::from(it)));
    String => |it| Self::Text(Some(Cow::Owned(it)));
    Option<String> => |it| Self::Text(it.map(Cow::Owned));
    &'v str => |it| Self::Text(Some(Cow::Borrowed(it)));
    Option<&'v str> => |it| Self::Text(it.map(Cow::Borrowed));
    &'v String => |it| Self::Text(Some(Cow::Borrowed(it)));
    &'v Option<String> => |it| Self::Text(it.as_deref().map(Cow::Borrowed));
    &'v Arc<str> => |it| Self::Text(Some(Cow::Borrowed(it)));
    Vec<u8> => |it| Self::Blob(Some(Cow::Owned(it)));
    &'v Vec<u8> => |it| Self::Blob(Some(Cow::Borrowed(it)));
    &'v Option<[u8; 32]> => |it| Self::Blob(it.as_ref().map(|it| Cow::Borrowed(it.as_slice())));
}

/// A row that came back.
pub(super) enum Row {
    Sqlite(FileRow),
    Postgres(PgRow),
}

impl Row {
    pub(super) fn int(&self, column: &str) -> Result<i64, SqlError> {
        there(column, self.maybe_int(column)?)
    }

    pub(super) fn flag(&self, column: &str) -> Result<bool, SqlError> {
        Ok(self.int(column)? != 0)
    }

    pub(super) fn maybe_int(&self, column: &str) -> Result<Option<i64>, SqlError> {
        match self {
            Self::Sqlite(row) => row.int(column),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }

    pub(super) fn text(&self, column: &str) -> Result<String, SqlError> {
        there(column, self.maybe_text(column)?)
    }

    pub(super) fn maybe_text(&self, column: &str) -> Result<Option<String>, SqlError> {
        match self {
            Self::Sqlite(row) => row.text(column),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }

    pub(super) fn blob(&self, column: &str) -> Result<Vec<u8>, SqlError> {
        there(column, self.maybe_blob(column)?)
    }

    pub(super) fn maybe_blob(&self, column: &str) -> Result<Option<Vec<u8>>, SqlError> {
        match self {
            Self::Sqlite(row) => row.blob(column),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }
}

fn there<T>(column: &str, value: Option<T>) -> Result<T, SqlError> {
    value.ok_or_else(|| SqlError::Unreadable(format!("{column} is empty")))
}

/// What a statement brought.
#[derive(Default)]
pub(super) struct Brought {
    /// How many rows of the store it changed.
    pub(super) changed: u64,
    /// The rows it returned.
    pub(super) rows: Vec<Row>,
}

impl Link<'_> {
    /// What only one of the two understands.
    pub(super) const fn pick<T: Copy>(&self, sqlite: T, postgres: T) -> T {
        match self {
            Self::Sqlite(_) | Self::Aside(_) => sqlite,
            Self::Postgres(_) => postgres,
        }
    }

    /// Runs a statement without values that is not worth preparing.
    pub(super) async fn simple(&mut self, text: &'static str) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(connection) => connection.simple(text),
            Self::Aside(reader) => reader.once(text.to_owned(), Vec::new()).await.map(drop),
            Self::Postgres(connection) => {
                sqlx::raw_sql(text).execute(&mut **connection).await?;
                Ok(())
            }
        }
    }
}

/// Sends one statement to `PostgreSQL`.
pub(super) async fn ask_postgres(
    connection: &mut PgConnection,
    text: impl SqlSafeStr,
    given: PgArguments,
) -> Result<Brought, SqlError> {
    let query = sqlx::query_with(text, given);
    let mut stream = connection.fetch_many(query);
    let mut brought = Brought::default();
    while let Some(item) = stream.try_next().await? {
        match item {
            Either::Right(row) => brought.rows.push(Row::Postgres(row)),
            Either::Left(done) => brought.changed += done.rows_affected(),
        }
    }
    Ok(brought)
}

/// A statement under way: its text with `$1`, `$2` … and the values for them.
#[derive(Debug, Default)]
pub(super) struct Statement<'v> {
    text: Cow<'static, str>,
    values: Vec<Value<'v>>,
}

/// A statement that begins with this text.
pub(super) fn statement<'v>(text: &'static str) -> Statement<'v> {
    Statement {
        text: Cow::Borrowed(text),
        values: Vec::new(),
    }
}

impl<'v> Statement<'v> {
    /// The next value for a place that the text has already.
    pub(super) fn with(mut self, value: impl Into<Value<'v>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// More text.
    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.to_mut().push_str(text);
        self
    }

    /// A place for a value at the end of the text, and the value.
    pub(super) fn bind(&mut self, value: impl Into<Value<'v>>) -> &mut Self {
        self.values.push(value.into());
        let place = format!("${}", self.values.len());
        self.push(&place)
    }

    async fn send(self, link: &mut Link<'_>) -> Result<Brought, SqlError> {
        match link {
            Link::Sqlite(connection) => connection.once(&self.text, &self.values),
            Link::Aside(reader) => {
                let values = self.values.into_iter().map(Value::into_owned).collect();
                reader.once(self.text.into_owned(), values).await
            }
            Link::Postgres(connection) => {
                let mut arguments = PgArguments::default();
                for value in &self.values {
                    add(&mut arguments, value).map_err(sqlx::Error::Encode)?;
                }
                ask_postgres(connection, AssertSqlSafe(self.text.into_owned()), arguments).await
            }
        }
    }

    /// Answers how many rows were changed.
    pub(super) async fn execute(self, link: &mut Link<'_>) -> Result<u64, SqlError> {
        Ok(self.send(link).await?.changed)
    }

    /// Answers every row.
    pub(super) async fn all(self, link: &mut Link<'_>) -> Result<Vec<Row>, SqlError> {
        Ok(self.send(link).await?.rows)
    }

    /// Answers the first row.
    pub(super) async fn first(self, link: &mut Link<'_>) -> Result<Option<Row>, SqlError> {
        Ok(self.all(link).await?.into_iter().next())
    }

    /// Answers the row that there must be.
    pub(super) async fn one(self, link: &mut Link<'_>) -> Result<Row, SqlError> {
        let row = self.first(link).await?;
        row.ok_or_else(|| SqlError::unreadable("it is not there"))
    }
}

fn add(arguments: &mut PgArguments, value: &Value<'_>) -> Result<(), sqlx::error::BoxDynError> {
    match value {
        Value::Int(value) => arguments.add(*value),
        Value::Text(_) => arguments.add(text(value)),
        Value::Blob(_) => arguments.add(blob(value)),
    }
}

/// `PostgreSQL` has no NUL in texts; whoever sends one must not stop everybody's writes.
fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

pub(super) fn int(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Int(value) => *value,
        Value::Text(_) | Value::Blob(_) => None,
    }
}

pub(super) fn text<'v>(value: &'v Value<'_>) -> Option<Cow<'v, str>> {
    match value {
        Value::Text(Some(text)) => Some(without_nul(text)),
        Value::Text(None) | Value::Int(_) | Value::Blob(_) => None,
    }
}

pub(super) fn blob<'v>(value: &'v Value<'_>) -> Option<&'v [u8]> {
    match value {
        Value::Blob(Some(bytes)) => Some(bytes),
        Value::Blob(None) | Value::Int(_) | Value::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_does_not_reach_postgresql() {
        assert_eq!(without_nul("a\0b"), "a\u{fffd}b");
    }
}
