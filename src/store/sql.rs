//! Many rows as one statement. Sizes are powers of two, so that each statement is prepared once.

use sqlx::query_builder::{QueryBuilder, Separated};
use sqlx::sqlite::{Sqlite, SqliteConnection};

/// The largest number of rows in one statement.
const MOST_ROWS: usize = 128;

/// How many of `left` rows the next statement takes.
fn chunk(left: usize) -> usize {
    let mut size = MOST_ROWS;
    while size > left {
        size /= 2;
    }
    size
}

/// Runs `head VALUES (…), (…) tail` over all rows; answers how many rows were changed.
pub(super) async fn for_rows<T>(
    connection: &mut SqliteConnection,
    head: &'static str,
    tail: &'static str,
    rows: &[T],
    bind: impl Fn(&mut Separated<'_, Sqlite, &'static str>, &T),
) -> Result<u64, sqlx::Error> {
    let mut changed = 0;
    let mut rest = rows;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(chunk(rest.len()));
        let mut query = builder(head, tail, now, &bind);
        changed += query
            .build()
            .execute(&mut *connection)
            .await?
            .rows_affected();
        rest = later;
    }
    Ok(changed)
}

/// The same for a statement that returns rows.
pub(super) async fn returning<T>(
    connection: &mut SqliteConnection,
    head: &'static str,
    tail: &'static str,
    rows: &[T],
    bind: impl Fn(&mut Separated<'_, Sqlite, &'static str>, &T),
) -> Result<Vec<sqlx::sqlite::SqliteRow>, sqlx::Error> {
    let mut returned = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(chunk(rest.len()));
        let mut query = builder(head, tail, now, &bind);
        returned.extend(query.build().fetch_all(&mut *connection).await?);
        rest = later;
    }
    Ok(returned)
}

fn builder<T>(
    head: &'static str,
    tail: &'static str,
    rows: &[T],
    bind: &impl Fn(&mut Separated<'_, Sqlite, &'static str>, &T),
) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::<Sqlite>::new(head);
    query.push(" VALUES ");
    for (index, row) in rows.iter().enumerate() {
        query.push(if index == 0 { "(" } else { ", (" });
        bind(&mut query.separated(", "), row);
        query.push(")");
    }
    query.push(tail);
    query
}

#[cfg(test)]
mod tests {
    use super::chunk;

    #[test]
    fn rows_are_cut_into_few_statement_sizes() {
        assert_eq!(
            [chunk(1), chunk(3), chunk(127), chunk(128), chunk(1000)],
            [1, 2, 64, 128, 128]
        );
    }
}
