//! One way to talk to both databases: values in, rows out. What a statement says is written once,
//! by the module that needs it.

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Either, Executor as _, Row as _};

pub(super) use super::bulk::{Bulk, Kind, Rows};

/// A connection to one of the two databases.
pub(super) enum Link<'c> {
    Sqlite {
        connection: &'c mut SqliteConnection,
        /// What goes ahead of the next statement, in one message with it.
        ahead: Option<&'static str>,
    },
    Postgres(&'c mut PgConnection),
}

impl<'c> Link<'c> {
    /// A connection to `SQLite` with nothing under way.
    pub(super) const fn sqlite(connection: &'c mut SqliteConnection) -> Self {
        Self::Sqlite {
            connection,
            ahead: None,
        }
    }
}

/// A value on its way into a statement. Nothing is a value of its type, too.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Int(Option<i64>),
    Text(Option<Text>),
    Blob(Option<Vec<u8>>),
}

/// A text, shared where that saves a copy.
#[derive(Clone, Debug)]
pub(super) enum Text {
    Owned(String),
    Shared(Arc<str>),
    Fixed(&'static str),
}

impl Text {
    fn as_str(&self) -> &str {
        match self {
            Self::Owned(text) => text,
            Self::Shared(text) => text,
            Self::Fixed(text) => text,
        }
    }
}

/// A row that came back.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! get {
    ($row:ident, $column:ident) => {
        match $row {
            Row::Sqlite(row) => row.try_get($column),
            Row::Postgres(row) => row.try_get($column),
        }
    };
}

impl Row {
    pub(super) fn int(&self, column: &str) -> Result<i64, sqlx::Error> {
        get!(self, column)
    }

    pub(super) fn flag(&self, column: &str) -> Result<bool, sqlx::Error> {
        Ok(self.int(column)? != 0)
    }

    pub(super) fn maybe_int(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        get!(self, column)
    }

    pub(super) fn text(&self, column: &str) -> Result<String, sqlx::Error> {
        get!(self, column)
    }

    pub(super) fn maybe_text(&self, column: &str) -> Result<Option<String>, sqlx::Error> {
        get!(self, column)
    }

    pub(super) fn blob(&self, column: &str) -> Result<Vec<u8>, sqlx::Error> {
        get!(self, column)
    }
}

macro_rules! value_from {
    ($($from:ty => |$it:ident| $value:expr;)*) => {
        $(impl From<$from> for Value {
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
    String => |it| Self::Text(Some(Text::Owned(it)));
    &String => |it| Self::Text(Some(Text::Owned(it.clone())));
    Option<String> => |it| Self::Text(it.map(Text::Owned));
    &Option<String> => |it| Self::Text(it.clone().map(Text::Owned));
    &'static str => |it| Self::Text(Some(Text::Fixed(it)));
    Option<&'static str> => |it| Self::Text(it.map(Text::Fixed));
    &Arc<str> => |it| Self::Text(Some(Text::Shared(Arc::clone(it))));
    Vec<u8> => |it| Self::Blob(Some(it));
    Option<[u8; 32]> => |it| Self::Blob(it.map(Vec::from));
}

/// The values of a statement, as each database wants them.
pub(super) enum Given {
    Sqlite(Vec<Value>),
    Postgres(PgArguments),
}

/// A statement with its values, ready to be sent.
pub(super) struct Ready {
    pub(super) text: Cow<'static, str>,
    pub(super) given: Given,
}

/// What a statement brought.
#[derive(Default)]
pub(super) struct Brought {
    /// How many rows of the store it changed.
    pub(super) changed: u64,
    /// The rows it returned.
    pub(super) rows: Vec<Row>,
}

impl Brought {
    fn add(mut self, other: Self) -> Self {
        self.changed += other.changed;
        self.rows.extend(other.rows);
        self
    }
}

impl Link<'_> {
    /// No values yet.
    pub(super) fn nothing(&self) -> Given {
        match self {
            Self::Sqlite { .. } => Given::Sqlite(Vec::new()),
            Self::Postgres(_) => Given::Postgres(PgArguments::default()),
        }
    }

    /// What only one of the two understands.
    pub(super) const fn pick<T: Copy>(&self, sqlite: T, postgres: T) -> T {
        match self {
            Self::Sqlite { .. } => sqlite,
            Self::Postgres(_) => postgres,
        }
    }

    /// Sends one statement.
    pub(super) async fn send(&mut self, ready: Ready) -> Result<Brought, sqlx::Error> {
        let brought = self.send_all(vec![ready]).await?;
        Ok(brought.into_iter().fold(Brought::default(), Brought::add))
    }

    /// Sends groups of statements; answers what each group brought. `SQLite` gets them in one
    /// message: its connection is a thread, and every message wakes two.
    pub(super) async fn together(
        &mut self,
        groups: Vec<Vec<Ready>>,
    ) -> Result<Vec<Brought>, sqlx::Error> {
        let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
        let all = groups.into_iter().flatten().collect();
        let mut brought = self.send_all(all).await?.into_iter();
        let group = |size| {
            brought
                .by_ref()
                .take(size)
                .fold(Brought::default(), Brought::add)
        };
        Ok(sizes.into_iter().map(group).collect())
    }

    async fn send_all(&mut self, all: Vec<Ready>) -> Result<Vec<Brought>, sqlx::Error> {
        let mut brought = Vec::with_capacity(all.len());
        match self {
            Self::Sqlite { connection, ahead } => {
                let first = ahead.take();
                let (text, given) = one_message(first, all)?;
                let query = sqlx::query_with(AssertSqlSafe(text.into_owned()), given);
                let mut stream = connection.fetch_many(query);
                let mut rows = Vec::new();
                while let Some(item) = stream.try_next().await? {
                    match item {
                        Either::Right(row) => rows.push(Row::Sqlite(row)),
                        Either::Left(done) => brought.push(Brought {
                            changed: done.rows_affected(),
                            rows: std::mem::take(&mut rows),
                        }),
                    }
                }
                if first.is_some() {
                    brought.remove(0);
                }
            }
            Self::Postgres(connection) => {
                for Ready { text, given } in all {
                    let Given::Postgres(given) = given else {
                        return Err(mixed());
                    };
                    let query = sqlx::query_with(AssertSqlSafe(text.into_owned()), given);
                    let mut stream = connection.fetch_many(query);
                    let mut one = Brought::default();
                    while let Some(item) = stream.try_next().await? {
                        match item {
                            Either::Right(row) => one.rows.push(Row::Postgres(row)),
                            Either::Left(done) => one.changed += done.rows_affected(),
                        }
                    }
                    brought.push(one);
                }
            }
        }
        Ok(brought)
    }

    /// Runs the last statements of a transaction and commits it.
    pub(super) async fn commit(&mut self, mut last: Vec<Ready>) -> Result<(), sqlx::Error> {
        match self {
            // Nothing was asked for: it has not even begun.
            Self::Sqlite { ahead: Some(_), .. } if last.is_empty() => Ok(()),
            Self::Sqlite { .. } => {
                last.push(Ready {
                    text: Cow::Borrowed("COMMIT"),
                    given: Given::Sqlite(Vec::new()),
                });
                self.send_all(last).await.map(drop)
            }
            Self::Postgres(_) => {
                self.send_all(last).await?;
                self.simple("COMMIT").await
            }
        }
    }

    /// Runs a statement without values that is not worth preparing.
    pub(super) async fn simple(&mut self, text: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite { connection, .. } => sqlx::raw_sql(text)
                .execute(&mut **connection)
                .await
                .map(drop),
            Self::Postgres(link) => sqlx::raw_sql(text).execute(&mut **link).await.map(drop),
        }
    }
}

/// The texts one behind the other, and the values of all.
fn one_message(
    ahead: Option<&'static str>,
    all: Vec<Ready>,
) -> Result<(Cow<'static, str>, SqliteArguments), sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    let mut texts: Vec<Cow<'static, str>> = ahead.map(Cow::Borrowed).into_iter().collect();
    for Ready { text, given } in all {
        let Given::Sqlite(values) = given else {
            return Err(mixed());
        };
        arguments.reserve(values.len(), 0);
        for value in values {
            add_to_sqlite(&mut arguments, value).map_err(sqlx::Error::Encode)?;
        }
        texts.push(text);
    }
    match texts.len() {
        1 => Ok((texts.remove(0), arguments)),
        _ => Ok((Cow::Owned(texts.join(";")), arguments)),
    }
}

fn mixed() -> sqlx::Error {
    sqlx::Error::Configuration("values of one database for the other".into())
}

/// A statement under way: its text with `$1`, `$2` … and the values for them.
#[derive(Debug, Default)]
pub(super) struct Statement {
    text: Cow<'static, str>,
    values: Vec<Value>,
}

/// A statement that begins with this text.
pub(super) fn statement(text: &'static str) -> Statement {
    Statement {
        text: Cow::Borrowed(text),
        values: Vec::new(),
    }
}

impl Statement {
    /// The next value for a place that the text has already.
    pub(super) fn with(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// More text.
    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.to_mut().push_str(text);
        self
    }

    /// A place for a value at the end of the text, and the value.
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let place = format!("${}", self.values.len());
        self.push(&place)
    }

    fn ready(self, link: &Link<'_>) -> Result<Ready, sqlx::Error> {
        let (text, mut given) = (self.text, link.nothing());
        match &mut given {
            Given::Sqlite(values) => *values = self.values,
            Given::Postgres(arguments) => {
                for value in &self.values {
                    add_to_postgres(arguments, value).map_err(sqlx::Error::Encode)?;
                }
            }
        }
        Ok(Ready { text, given })
    }

    /// Answers how many rows were changed.
    pub(super) async fn execute(self, link: &mut Link<'_>) -> Result<u64, sqlx::Error> {
        let ready = self.ready(link)?;
        Ok(link.send(ready).await?.changed)
    }

    /// Answers every row.
    pub(super) async fn all(self, link: &mut Link<'_>) -> Result<Vec<Row>, sqlx::Error> {
        let ready = self.ready(link)?;
        Ok(link.send(ready).await?.rows)
    }

    /// Answers the first row.
    pub(super) async fn first(self, link: &mut Link<'_>) -> Result<Option<Row>, sqlx::Error> {
        Ok(self.all(link).await?.into_iter().next())
    }

    /// Answers the row that there must be.
    pub(super) async fn one(self, link: &mut Link<'_>) -> Result<Row, sqlx::Error> {
        self.first(link).await?.ok_or(sqlx::Error::RowNotFound)
    }
}

fn add_to_sqlite(
    arguments: &mut SqliteArguments,
    value: Value,
) -> Result<(), sqlx::error::BoxDynError> {
    match value {
        Value::Int(value) => arguments.add(value),
        Value::Text(None) => arguments.add(None::<String>),
        Value::Text(Some(Text::Owned(text))) => arguments.add(text),
        Value::Text(Some(Text::Shared(text))) => arguments.add(text),
        Value::Text(Some(Text::Fixed(text))) => arguments.add(text),
        Value::Blob(value) => arguments.add(value),
    }
}

fn add_to_postgres(
    arguments: &mut PgArguments,
    given: &Value,
) -> Result<(), sqlx::error::BoxDynError> {
    match given {
        Value::Int(value) => arguments.add(*value),
        Value::Text(_) => arguments.add(text(given)),
        Value::Blob(_) => arguments.add(blob(given)),
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

pub(super) fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(value) => *value,
        Value::Text(_) | Value::Blob(_) => None,
    }
}

pub(super) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Text(Some(text)) => Some(without_nul(text.as_str())),
        Value::Text(None) | Value::Int(_) | Value::Blob(_) => None,
    }
}

pub(super) fn blob(value: &Value) -> Option<&[u8]> {
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
