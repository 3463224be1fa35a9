//! One way to talk to both databases: values in, rows out. What a statement says is written once,
//! by the module that needs it.
//!
//! Statements over many rows come in a few sizes on `SQLite`, so that each is prepared once;
//! `PostgreSQL` takes the rows as one array for each column.

use std::borrow::Cow;
use std::sync::Arc;

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Row as _};

/// The largest number of rows in one statement on `SQLite`.
const MOST_ROWS: usize = 512;

/// A connection to one of the two databases.
pub(super) enum Link<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
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
    Sqlite(SqliteArguments),
    Postgres(PgArguments),
}

impl Link<'_> {
    fn nothing(&self) -> Given {
        match self {
            Self::Sqlite(_) => Given::Sqlite(SqliteArguments::default()),
            Self::Postgres(_) => Given::Postgres(PgArguments::default()),
        }
    }

    /// What only one of the two understands.
    pub(super) const fn pick<T: Copy>(&self, sqlite: T, postgres: T) -> T {
        match self {
            Self::Sqlite(_) => sqlite,
            Self::Postgres(_) => postgres,
        }
    }

    async fn fetch(
        &mut self,
        text: Cow<'static, str>,
        given: Given,
    ) -> Result<Vec<Row>, sqlx::Error> {
        match (self, given) {
            (Self::Sqlite(link), Given::Sqlite(given)) => {
                let query = sqlx::query_with(AssertSqlSafe(text.into_owned()), given);
                let rows = query.fetch_all(&mut **link).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            (Self::Postgres(link), Given::Postgres(given)) => {
                let query = sqlx::query_with(AssertSqlSafe(text.into_owned()), given);
                let rows = query.fetch_all(&mut **link).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
            _ => Err(mixed()),
        }
    }

    async fn change(&mut self, text: Cow<'static, str>, given: Given) -> Result<u64, sqlx::Error> {
        match (self, given) {
            (Self::Sqlite(link), Given::Sqlite(given)) => {
                let query = sqlx::query_with(AssertSqlSafe(text.into_owned()), given);
                Ok(query.execute(&mut **link).await?.rows_affected())
            }
            (Self::Postgres(link), Given::Postgres(given)) => {
                let query = sqlx::query_with(AssertSqlSafe(text.into_owned()), given);
                Ok(query.execute(&mut **link).await?.rows_affected())
            }
            _ => Err(mixed()),
        }
    }

    /// Runs a statement without values that is not worth preparing.
    pub(super) async fn simple(&mut self, text: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(link) => sqlx::raw_sql(text).execute(&mut **link).await.map(drop),
            Self::Postgres(link) => sqlx::raw_sql(text).execute(&mut **link).await.map(drop),
        }
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

    fn given(self, link: &Link<'_>) -> Result<(Cow<'static, str>, Given), sqlx::Error> {
        let mut given = link.nothing();
        for value in self.values {
            add(&mut given, value).map_err(sqlx::Error::Encode)?;
        }
        Ok((self.text, given))
    }

    /// Answers how many rows were changed.
    pub(super) async fn execute(self, link: &mut Link<'_>) -> Result<u64, sqlx::Error> {
        let (text, given) = self.given(link)?;
        link.change(text, given).await
    }

    /// Answers every row.
    pub(super) async fn all(self, link: &mut Link<'_>) -> Result<Vec<Row>, sqlx::Error> {
        let (text, given) = self.given(link)?;
        link.fetch(text, given).await
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

fn add(given: &mut Given, value: Value) -> Result<(), sqlx::error::BoxDynError> {
    match given {
        Given::Sqlite(given) => match value {
            Value::Int(value) => given.add(value),
            Value::Text(None) => given.add(None::<String>),
            Value::Text(Some(Text::Owned(text))) => given.add(text),
            Value::Text(Some(Text::Shared(text))) => given.add(text),
            Value::Text(Some(Text::Fixed(text))) => given.add(text),
            Value::Blob(value) => given.add(value),
        },
        Given::Postgres(given) => match value {
            Value::Int(value) => given.add(value),
            Value::Text(text) => given.add(text.as_ref().map(|text| without_nul(text.as_str()))),
            Value::Blob(value) => given.add(value),
        },
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
        for rows in rows.chunks(most(link)) {
            let (text, given) = self.given(link, rows, &values)?;
            changed += link.change(Cow::Owned(text), given).await?;
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
        for rows in rows.chunks(most(link)) {
            let (text, given) = self.given(link, rows, &values)?;
            returned.extend(link.fetch(Cow::Owned(text), given).await?);
        }
        Ok(returned)
    }

    fn given<T>(
        &self,
        link: &Link<'_>,
        rows: &[T],
        values: &impl Fn(&mut Rows, &T),
    ) -> Result<(String, Given), sqlx::Error> {
        let mut written = Rows(Vec::with_capacity(rows.len() * self.values.len()));
        for row in rows {
            values(&mut written, row);
        }
        let mut given = link.nothing();
        match &mut given {
            Given::Sqlite(arguments) => {
                arguments.reserve(written.0.len(), 0);
                for value in written.0 {
                    add(&mut given, value).map_err(sqlx::Error::Encode)?;
                }
                Ok((self.sqlite(rows.len().next_power_of_two()), given))
            }
            Given::Postgres(arguments) => {
                self.add_arrays(arguments, &written)
                    .map_err(sqlx::Error::Encode)?;
                Ok((self.postgres(), given))
            }
        }
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.values.iter().map(|(name, _)| *name).collect();
        names.join(",")
    }

    /// `SQLite` reads values that are not given as NULL: places that stay empty are passed over.
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
        for count in [0, 1, 2, 3, 127, 128, 129, 1500] {
            let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
            let mut link = Link::Sqlite(&mut connection);
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
