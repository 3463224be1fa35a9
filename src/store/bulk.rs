//! Statements over many rows. On `SQLite` they come in a few sizes, so that each is prepared once;
//! `PostgreSQL` takes the rows as one array for each column.

use std::borrow::Cow;

use sqlx::Arguments as _;
use sqlx::postgres::PgArguments;

use super::sql::{Given, Link, Ready, Row, Value, blob, int, text};

/// The largest number of rows in one statement on `SQLite`.
const MOST_ROWS: usize = 512;

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

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, SqliteConnection};

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
}
