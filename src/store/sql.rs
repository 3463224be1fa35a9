//! One way to talk to both databases: values in, rows out. What a statement says is written once,
//! by the module that needs it.
//!
//! Statements over many rows come in a few sizes on `SQLite`, so that each is prepared once;
//! `PostgreSQL` takes the rows as one array for each column.

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Either, Executor as _, Row as _};

/// The largest number of rows in one statement on `SQLite`.
const MOST_ROWS: usize = 512;

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
enum Given {
    Sqlite(Vec<Value>),
    Postgres(PgArguments),
}

/// A statement with its values, ready to be sent.
pub(super) struct Ready {
    text: Cow<'static, str>,
    given: Given,
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
    fn nothing(&self) -> Given {
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

    async fn send(&mut self, ready: Ready) -> Result<Brought, sqlx::Error> {
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

/// A statement over many rows, which it sees as the table `w`.
pub(super) struct Bulk {
    /// The names and types of a row's values, in their order.
    pub(super) values: &'static [(&'static str, Kind)],
    /// What is done with them.
    pub(super) statement: &'static str,
}

/// The type of a column of `w`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Text,
    Blob,
}

/// The values of rows, one row after the other, each in the order of [`Bulk::values`].
#[derive(Debug, Default)]
pub(super) struct Rows(Vec<Value>);

impl Rows {
    pub(super) fn push(&mut self, value: impl Into<Value>) -> &mut Self {
        self.0.push(value.into());
        self
    }
}

impl Bulk {
    /// Runs it over all rows; answers how many rows of the store were changed.
    pub(super) async fn execute<T>(
        &self,
        link: &mut Link<'_>,
        rows: &[T],
        values: impl Fn(&mut Rows, &T),
    ) -> Result<u64, sqlx::Error> {
        let mut changed = 0;
        for ready in self.ready(link, rows, values)? {
            changed += link.send(ready).await?.changed;
        }
        Ok(changed)
    }

    /// The same for a statement that returns rows.
    pub(super) async fn fetch<T>(
        &self,
        link: &mut Link<'_>,
        rows: &[T],
        values: impl Fn(&mut Rows, &T),
    ) -> Result<Vec<Row>, sqlx::Error> {
        let mut returned = Vec::new();
        for ready in self.ready(link, rows, values)? {
            returned.extend(link.send(ready).await?.rows);
        }
        Ok(returned)
    }

    /// The statements for all rows.
    pub(super) fn ready<T>(
        &self,
        link: &Link<'_>,
        rows: &[T],
        values: impl Fn(&mut Rows, &T),
    ) -> Result<Vec<Ready>, sqlx::Error> {
        let part = |rows| self.part(link, rows, &values);
        rows.chunks(most(link)).map(part).collect()
    }

    fn part<T>(
        &self,
        link: &Link<'_>,
        rows: &[T],
        values: &impl Fn(&mut Rows, &T),
    ) -> Result<Ready, sqlx::Error> {
        let places = link.pick(places(rows.len()), rows.len());
        let mut written = Rows(Vec::with_capacity(places * self.values.len()));
        for row in rows {
            values(&mut written, row);
        }
        match link.nothing() {
            Given::Sqlite(_) => {
                let mut values = written.0;
                values.resize(places * self.values.len(), Value::Int(None));
                Ok(Ready {
                    text: Cow::Owned(self.sqlite(places)),
                    given: Given::Sqlite(values),
                })
            }
            Given::Postgres(mut arguments) => {
                self.add_arrays(&mut arguments, &written)
                    .map_err(sqlx::Error::Encode)?;
                Ok(Ready {
                    text: Cow::Owned(self.postgres()),
                    given: Given::Postgres(arguments),
                })
            }
        }
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.values.iter().map(|(name, _)| *name).collect();
        names.join(",")
    }

    /// Places that stay empty are passed over.
    fn sqlite(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.values.len()].join(","));
        let mut places = String::with_capacity((row.len() + 1) * rows);
        for n in 0..rows {
            places.push_str(if n == 0 { "" } else { "," });
            places.push_str(&row);
        }
        format!(
            "WITH w ({}) AS (SELECT * FROM (VALUES {places}) WHERE column1 IS NOT NULL) {}",
            self.names(),
            self.statement
        )
    }

    fn postgres(&self) -> String {
        let array = |(n, (_, kind)): (usize, &(&str, Kind))| {
            let kind = match kind {
                Kind::Int => "int8",
                Kind::Text => "text",
                Kind::Blob => "bytea",
            };
            format!("${n}::{kind}[]")
        };
        let arrays: Vec<String> = (1..).zip(self.values).map(array).collect();
        let arrays = arrays.join(",");
        format!(
            "WITH w ({}) AS (SELECT * FROM unnest({arrays})) {}",
            self.names(),
            self.statement
        )
    }

    fn add_arrays(
        &self,
        arguments: &mut PgArguments,
        rows: &Rows,
    ) -> Result<(), sqlx::error::BoxDynError> {
        let width = self.values.len();
        let column = |n: usize| rows.0.iter().skip(n).step_by(width);
        for (n, (_, kind)) in self.values.iter().enumerate() {
            match kind {
                Kind::Int => arguments.add(column(n).map(int).collect::<Vec<_>>())?,
                Kind::Text => arguments.add(column(n).map(text).collect::<Vec<_>>())?,
                Kind::Blob => arguments.add(column(n).map(blob).collect::<Vec<_>>())?,
            }
        }
        Ok(())
    }
}

/// For how many rows `SQLite` prepares a statement that so many are to go into: a few sizes in
/// every octave, so that there are few statements and few empty rows.
fn places(rows: usize) -> usize {
    let step = (rows.next_power_of_two() / 8).max(1);
    rows.div_ceil(step) * step
}

/// How many rows one statement takes.
const fn most(link: &Link<'_>) -> usize {
    link.pick(MOST_ROWS, usize::MAX)
}

fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(value) => *value,
        Value::Text(_) | Value::Blob(_) => None,
    }
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Text(Some(text)) => Some(without_nul(text.as_str())),
        Value::Text(None) | Value::Int(_) | Value::Blob(_) => None,
    }
}

fn blob(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Blob(Some(bytes)) => Some(bytes),
        Value::Blob(None) | Value::Int(_) | Value::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;

    use super::*;

    const ADD: Bulk = Bulk {
        values: &[("id", Kind::Int), ("name", Kind::Text)],
        statement: "INSERT INTO t (id, name) SELECT id, name FROM w WHERE true ON CONFLICT DO NOTHING",
    };
    const FIND: Bulk = Bulk {
        values: &[("id", Kind::Int)],
        statement: "SELECT t.name FROM t WHERE id IN (SELECT id FROM w) ORDER BY id",
    };

    #[test]
    fn each_database_gets_a_place_for_every_value() {
        assert!(
            ADD.sqlite(2)
                .starts_with("WITH w (id,name) AS (SELECT * FROM (VALUES (?,?),(?,?)) WHERE")
        );
        assert!(ADD.postgres().starts_with(
            "WITH w (id,name) AS (SELECT * FROM unnest($1::int8[],$2::text[])) INSERT"
        ));
    }

    #[tokio::test]
    async fn any_number_of_rows_is_written_once_and_empty_places_write_nothing() {
        assert_eq!([1, 7, 9, 33, 64, 65].map(places), [1, 7, 10, 40, 64, 80]);
        for count in [0, 1, 2, 3, 33, 127, 128, 129, 1500] {
            let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
            let mut link = Link::sqlite(&mut connection);
            link.simple("CREATE TABLE t (id INTEGER, name TEXT)")
                .await
                .unwrap();
            let rows: Vec<i64> = (0..count).collect();
            let add = |row: &mut Rows, id: &i64| {
                row.push(*id).push(format!("n{id}"));
            };
            let changed = ADD.execute(&mut link, &rows, add).await.unwrap();
            assert_eq!(changed, u64::try_from(count).unwrap());
            let find = |row: &mut Rows, id: &i64| {
                row.push(*id);
            };
            let found = FIND.fetch(&mut link, &rows, find).await.unwrap();
            assert_eq!(found.len(), rows.len());
        }
    }

    #[test]
    fn a_nul_does_not_reach_postgresql() {
        assert_eq!(without_nul("a\0b"), "a\u{fffd}b");
    }
}
