//! Statements over many rows. `SQLite` runs them row by row, prepared once; `PostgreSQL` takes the
//! rows as one array for each column.

use std::sync::OnceLock;

use sqlx::Arguments as _;
use sqlx::postgres::PgArguments;

use super::sql::{Brought, Link, Row, SqlError, Value, ask_postgres, blob, int, text};

/// A statement over many rows, which it sees as the table `w`: on `SQLite` one after the other, on
/// `PostgreSQL` all at once. What it does to one row must not depend on the others.
///
/// It names `w` in one of these ways, for on `SQLite` there is no such table but only places for
/// values: `SELECT * FROM w WHERE`, `w.name … FROM w WHERE`, `…, w WHERE`, `(SELECT name FROM w)`.
pub(super) struct Bulk {
    /// A row's values, in their order.
    values: Columns,
    /// What is done with them.
    statement: &'static str,
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
}

/// The type of a column of `w`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Text,
    Blob,
}

/// The names and types of a row's values.
#[derive(Clone, Copy)]
pub(super) struct Columns(pub(super) &'static [(&'static str, Kind)]);

/// The values of rows, one row after the other, each in the order of its [`Columns`].
#[derive(Debug, Default)]
pub(super) struct Rows<'v>(Vec<Value<'v>>);

impl<'v> Rows<'v> {
    pub(super) fn push(&mut self, value: impl Into<Value<'v>>) -> &mut Self {
        self.0.push(value.into());
        self
    }
}

/// A row that is an id.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "a row of a bulk comes as a reference"
)]
pub(super) fn id<'v>(row: &mut Rows<'v>, id: &'v i64) {
    row.push(*id);
}

impl Bulk {
    pub(super) const fn new(
        values: &'static [(&'static str, Kind)],
        statement: &'static str,
    ) -> Self {
        Self {
            values: Columns(values),
            statement,
            sqlite: OnceLock::new(),
            postgres: OnceLock::new(),
        }
    }

    /// A statement over ids alone.
    pub(super) const fn of_ids(statement: &'static str) -> Self {
        Self::new(&[("id", Kind::Int)], statement)
    }

    /// Runs it over all rows; answers how many rows of the store were changed.
    pub(super) async fn execute<'v, T>(
        &'static self,
        link: &mut Link<'_>,
        rows: &'v [T],
        values: impl Fn(&mut Rows<'v>, &'v T),
    ) -> Result<u64, SqlError> {
        Ok(self.send(link, rows, values).await?.changed)
    }

    /// The same for a statement that returns rows.
    pub(super) async fn fetch<'v, T>(
        &'static self,
        link: &mut Link<'_>,
        rows: &'v [T],
        values: impl Fn(&mut Rows<'v>, &'v T),
    ) -> Result<Vec<Row>, SqlError> {
        Ok(self.send(link, rows, values).await?.rows)
    }

    async fn send<'v, T>(
        &'static self,
        link: &mut Link<'_>,
        rows: &'v [T],
        values: impl Fn(&mut Rows<'v>, &'v T),
    ) -> Result<Brought, SqlError> {
        if rows.is_empty() {
            return Ok(Brought::default());
        }
        let mut written = Rows(Vec::with_capacity(rows.len() * self.values.0.len()));
        for row in rows {
            values(&mut written, row);
        }
        match link {
            Link::Sqlite(connection) => {
                let text = self.sqlite.get_or_init(|| self.for_sqlite());
                connection.each(text, &written.0, self.values.0.len())
            }
            Link::Aside(_) => Err(SqlError::Away("rows in bulk are for whoever writes")),
            Link::Postgres(connection) => {
                let mut arguments = PgArguments::default();
                self.values.add(&mut arguments, &written)?;
                // Its values are in the arguments now.
                drop(written);
                let text = self.postgres.get_or_init(|| self.for_postgres());
                ask_postgres(connection, text.as_str(), arguments).await
            }
        }
    }

    /// The statement with the values' places where it names them: as a table of one row they would
    /// be copied, and an update would be written to a table of its own first.
    ///
    /// What fails is rolled back with its whole transaction (`OR FAIL`): otherwise `SQLite` would
    /// copy every page that a statement changes, to be able to take that statement back.
    fn for_sqlite(&self) -> String {
        let all: Vec<String> = (1..=self.values.0.len()).map(|n| format!("?{n}")).collect();
        let mut text = self.statement.replacen("INSERT ", "INSERT OR FAIL ", 1);
        text = text.replacen(
            "UPDATE ",
            "UPDATE OR FAIL ",
            usize::from(text.starts_with('U')),
        );
        text = text.replacen("SELECT * FROM w", "SELECT w.* FROM w", 1);
        text = text.replacen(" FROM w WHERE ", " WHERE ", 1);
        text = text.replacen(", w WHERE ", " WHERE ", 1);
        text = text.replace("w.*", &all.join(","));
        let mut named: Vec<_> = (1..).zip(self.values.0).collect();
        // The longest first: a name may begin like another.
        named.sort_by_key(|(_, (name, _))| std::cmp::Reverse(name.len()));
        for (place, (name, _)) in named {
            text = text.replace(&format!("SELECT {name} FROM w"), &format!("?{place}"));
            text = text.replace(&format!("w.{name}"), &format!("?{place}"));
        }
        text
    }

    fn for_postgres(&self) -> String {
        format!("WITH {} {}", self.values.table("w", 1), self.statement)
    }
}

impl Columns {
    /// For `PostgreSQL`: a named table made from arrays, the first of which is `$first`.
    pub(super) fn table(self, name: &str, first: usize) -> String {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| *name).collect();
        let array = |(n, (_, kind)): (usize, &(&str, Kind))| {
            let kind = match kind {
                Kind::Int => "int8",
                Kind::Text => "text",
                Kind::Blob => "bytea",
            };
            format!("${n}::{kind}[]")
        };
        let arrays: Vec<String> = (first..).zip(self.0).map(array).collect();
        let (names, arrays) = (names.join(","), arrays.join(","));
        format!("{name} ({names}) AS (SELECT * FROM unnest({arrays}))")
    }

    /// Adds the arrays that [`Columns::table`] names.
    pub(super) fn add(self, arguments: &mut PgArguments, rows: &Rows<'_>) -> Result<(), SqlError> {
        let column = |n: usize| rows.0.iter().skip(n).step_by(self.0.len());
        for (n, (_, kind)) in self.0.iter().enumerate() {
            let added = match kind {
                Kind::Int => arguments.add(column(n).map(int).collect::<Vec<_>>()),
                Kind::Text => arguments.add(column(n).map(text).collect::<Vec<_>>()),
                Kind::Blob => arguments.add(column(n).map(blob).collect::<Vec<_>>()),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sqlite::{Access, Connection};
    use super::*;

    const NAMED: &[(&str, Kind)] = &[("id", Kind::Int), ("name", Kind::Text)];

    static ADD: Bulk = Bulk::new(
        NAMED,
        "INSERT INTO t (id, name) SELECT * FROM w WHERE true ON CONFLICT DO NOTHING",
    );
    static ADD_NAMED: Bulk = Bulk::new(
        NAMED,
        "INSERT INTO t (id, n, name) SELECT w.id, 7, w.name FROM w WHERE true",
    );
    static FIND: Bulk =
        Bulk::of_ids("SELECT t.name FROM t WHERE id IN (SELECT id FROM w) ORDER BY id");
    static BESIDE: Bulk = Bulk::of_ids("SELECT t.name FROM t, w WHERE t.id = w.id");
    static SET: Bulk = Bulk::new(
        &[("id", Kind::Int), ("id_before", Kind::Int)],
        "UPDATE t SET id = w.id FROM w WHERE t.id = w.id_before",
    );

    #[test]
    fn each_database_gets_a_place_for_every_value() {
        for (bulk, text) in [
            (
                &ADD,
                "INSERT OR FAIL INTO t (id, name) SELECT ?1,?2 WHERE true ON CONFLICT DO NOTHING",
            ),
            (
                &ADD_NAMED,
                "INSERT OR FAIL INTO t (id, n, name) SELECT ?1, 7, ?2 WHERE true",
            ),
            (&FIND, "SELECT t.name FROM t WHERE id IN (?1) ORDER BY id"),
            (&BESIDE, "SELECT t.name FROM t WHERE t.id = ?1"),
            (&SET, "UPDATE OR FAIL t SET id = ?1 WHERE t.id = ?2"),
        ] {
            assert_eq!(bulk.for_sqlite(), text);
        }
        assert!(ADD.for_postgres().starts_with(
            "WITH w (id,name) AS (SELECT * FROM unnest($1::int8[],$2::text[])) INSERT"
        ));
    }

    #[tokio::test]
    async fn any_number_of_rows_is_written_once_and_found() {
        for count in [0, 1, 2, 1500] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("t.db");
            let mut connection = Connection::open(&file, Access::Write).unwrap();
            let mut link = Link::Sqlite(&mut connection);
            link.simple("CREATE TABLE t (id INTEGER, name TEXT)")
                .await
                .unwrap();
            let rows: Vec<i64> = (0..count).collect();
            let changed = ADD
                .execute(&mut link, &rows, |row, id| {
                    row.push(*id).push(format!("n{id}"));
                })
                .await
                .unwrap();
            assert_eq!(changed, u64::try_from(count).unwrap());
            let found = FIND
                .fetch(&mut link, &rows, |row, id| {
                    row.push(*id);
                })
                .await
                .unwrap();
            assert_eq!(found.len(), rows.len());
        }
    }
}
