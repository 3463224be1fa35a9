//! A store with history: rows written by the database itself, much faster than events come.

use billhook::app::SystemClock;
use billhook::domain::id;
use billhook::domain::time::{Clock as _, Timestamp};
use rusqlite::Connection;

/// How many events a service has had.
pub const EVENTS_OF_A_SERVICE: u64 = 20;
const YEAR_MS: u64 = 365 * 24 * 3600 * 1000;
const AT_ONCE: u64 = 200_000;

/// Fills an `SQLite` store with a year's deliveries, the last `pending` of which wait to be
/// carried out.
pub fn fill(url: &str, deliveries: u64, pending: u64) -> anyhow::Result<()> {
    let store = Connection::open(url.trim_start_matches("sqlite://"))?;
    store.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000")?;
    // Indexes over everything are made quicker at the end than row by row.
    let indexes = indexes(&store)?;
    for (name, _) in &indexes {
        store.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    let now = SystemClock.now();
    let begin = Timestamp::from_micros(now.micros() - i64::try_from(YEAR_MS * 1000)?);
    let mut from = 0;
    while from < deliveries {
        let to = (from + AT_ONCE).min(deliveries);
        write(&store, begin, (from, to), deliveries, pending)?;
        from = to;
    }
    for (_, index) in &indexes {
        store.execute_batch(index)?;
    }
    let ended = deliveries - pending;
    store.execute_batch(&format!(
        "INSERT INTO counts VALUES ('deliveries', 'accepted', 0, {deliveries}), \
         ('runs', 'succeeded', 0, {ended}), ('runs', 'pending', 0, {pending}); \
         PRAGMA wal_checkpoint(TRUNCATE)"
    ))?;
    Ok(())
}

fn indexes(store: &Connection) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = store
        .prepare("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")?;
    let found = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn write(
    store: &Connection,
    begin: Timestamp,
    (from, to): (u64, u64),
    all: u64,
    pending: u64,
) -> anyhow::Result<()> {
    let first = id::floor(begin);
    let apart = YEAR_MS / all.max(1);
    let services = (all / EVENTS_OF_A_SERVICE).max(1);
    let (micros, ended) = (begin.micros(), all - pending);
    let rows = format!(
        "WITH RECURSIVE n (i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {to}), \
         w AS (SELECT i, {first} + ((i * {apart}) << 22) AS id, {micros} + i * {apart} * 1000 AS at, \
            CAST(i % {services} AS TEXT) AS service, CAST(i % {services} / 3 AS TEXT) AS customer, \
            i >= {ended} AS pending FROM n) "
    );
    let body = "x".repeat(866);
    let headers = "h".repeat(380);
    let doc = "d".repeat(400);
    let statements = [
        format!(
            "{rows} INSERT INTO deliveries (id, received_at, source, verdict, type, dedupe, \
             customer_id, service_ids, run_ids, signed_at, verification, headers, body) \
             SELECT id, at, 'whmcs', 'accepted', 'order.paid', \
             CAST(printf('msg_%012x', at / 1000) || hex(randomblob(8)) AS BLOB), customer, \
             '[\"' || service || '\"]', '[' || (id + 1) || ']', at, '{{}}', '\"{headers}\"', \
             '{body}' FROM w"
        ),
        format!(
            "{rows} INSERT INTO runs (id, delivery_id, origin, occurred_at, lane, source, type, \
             customer_id, service_id, status, blocks, planned, due_at, fence, overtaken, \
             created_at, updated_at) \
             SELECT id + 1, id, id, at, 's:whmcs:' || service, 'whmcs', 'order.paid', customer, \
             service, CASE WHEN pending THEN 'pending' ELSE 'succeeded' END, pending, \
             1 - pending, CASE WHEN pending THEN at END, 3, 0, at, at FROM w"
        ),
        format!(
            "{rows} INSERT INTO steps (run_id, seq, status, doc) \
             SELECT id + 1, 1, 'succeeded', '\"{doc}\"' FROM w WHERE NOT pending"
        ),
        format!(
            "{rows} INSERT INTO attempts (run_id, seq, n, started_at, duration_ms, exchanges) \
             SELECT id + 1, 1, 1, at, 120, '\"{doc}\"' FROM w WHERE NOT pending"
        ),
    ];
    let all = format!("BEGIN; {}; COMMIT", statements.join("; "));
    Ok(store.execute_batch(&all)?)
}
