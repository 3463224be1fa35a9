//! Opening a database: the `SQLite` file with its lock, or `PostgreSQL` beside other processes;
//! migrations; the connections for reading.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;

use sqlx::ConnectOptions as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Mutex, mpsc};

use super::health::Health;
use super::made;
use super::node::{self, Node};
use super::place::{Place, beside};
use super::reads::Reads;
use super::session::Session;
use super::sql::statement;
use super::sqlite::{Access, Connection};
use super::writer::{self, Inbox, Signals};
use super::{Database, StoreError, StoreGuard};

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations/postgres");

/// How many writes may wait for a writer before new requests are told to come back later.
pub(super) const WAITING_ROOM: usize = 16_384;
/// How many writers `PostgreSQL` gets from one process.
const WRITERS: u8 = 2;
/// How many connections there are for reading.
const READERS: u8 = 4;

/// A database's address, checked.
pub(super) enum Address {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

/// Opens the database for reading and writing.
pub(super) async fn open(url: &str) -> Result<(Database, StoreGuard), StoreError> {
    match address(url)? {
        Address::Sqlite(path) => open_sqlite(&path),
        Address::Postgres(options) => open_postgres(*options).await,
    }
}

/// Opens the database for reading only.
pub(super) async fn peek(url: &str) -> Result<Database, StoreError> {
    let reads = match address(url)? {
        Address::Sqlite(path) => {
            made::must_be_there(&path)?;
            Reads::sqlite(&path, 2)?
        }
        Address::Postgres(options) => Reads::postgres(*options, 2).await?,
    };
    // A store without tables is as good as none.
    statement("SELECT id FROM runs LIMIT 1")
        .first(&mut reads.reader().await?.link())
        .await?;
    // Nobody listens at the other end: every write answers that the store is closed.
    let (writes, _) = mpsc::channel(1);
    Ok(Database {
        writes,
        reads,
        signals: Arc::default(),
        node: None,
    })
}

fn open_sqlite(path: &Path) -> Result<(Database, StoreGuard), StoreError> {
    made::make_folder(path)?;
    let lock = lock(path)?;
    let was_there = made::is_there(path)?;
    make_private(path)?;
    let mut connection = Connection::open(path, Access::Write)?;
    if was_there {
        connection.examine()?;
    }
    let is_new = connection.has_no_tables()?;
    if is_new && made::was_made(path) {
        return Err(made::lost(path));
    }
    connection.migrate()?;
    made::mark(path)?;
    let place = Arc::new(Place::of(path)?);
    let signals = Arc::new(Signals::default());
    let reads = Reads::sqlite(path, READERS)?.watched(&place, &signals);
    let session = Session::sqlite(connection, place);
    let (store, mut guard) = start(vec![session], reads, None, signals);
    guard.lock = Some(lock);
    guard.is_new = is_new;
    Ok((store, guard))
}

async fn open_postgres(options: PgConnectOptions) -> Result<(Database, StoreGuard), StoreError> {
    let mut connection = options.connect().await?;
    // A migration takes as long as it takes; later this connection only keeps a number.
    sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0")
        .execute(&mut connection)
        .await?;
    let is_new = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NULL")
        .fetch_one(&mut connection)
        .await?;
    MIGRATIONS.run(&mut connection).await?;
    let (node, keeper) = node::join(connection, options.clone()).await?;
    let mut sessions = Vec::with_capacity(usize::from(WRITERS));
    for writer in 0..WRITERS {
        let connection = options.connect().await?;
        let shard = i64::from(node.number()) * i64::from(WRITERS) + i64::from(writer);
        sessions.push(Session::postgres(options.clone(), connection, shard));
    }
    let reads = Reads::postgres(options, READERS).await?;
    let (store, mut guard) = start(sessions, reads, Some(node), Arc::default());
    guard.is_new = is_new;
    guard.node = Some(keeper.start(Arc::clone(&store.signals)));
    Ok((store, guard))
}

fn start(
    sessions: Vec<Session>,
    reads: Reads,
    node: Option<Arc<Node>>,
    signals: Arc<Signals>,
) -> (Database, StoreGuard) {
    let (writes, requests) = mpsc::channel(WAITING_ROOM);
    let inbox: Inbox = Arc::new(Mutex::new(requests));
    #[expect(
        clippy::disallowed_methods,
        reason = "the writers outlive every request; closed() joins them"
    )]
    let start = |session: Session| {
        let alone = session.wants_a_thread();
        let work = writer::run(session, Arc::clone(&inbox), Arc::clone(&signals));
        if alone {
            let runtime = tokio::runtime::Handle::current();
            tokio::task::spawn_blocking(move || runtime.block_on(work))
        } else {
            tokio::spawn(work)
        }
    };
    let running = sessions.into_iter().map(start).collect();
    let store = Database {
        writes,
        reads,
        signals,
        node,
    };
    let guard = StoreGuard {
        writers: running,
        reads: store.reads.clone(),
        lock: None,
        node: None,
        watch: Health::watch(&store),
        signals: Arc::clone(&store.signals),
        is_new: false,
    };
    (store, guard)
}

pub(super) fn address(url: &str) -> Result<Address, StoreError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return postgres_options(url).map(|options| Address::Postgres(Box::new(options)));
    }
    let wrong = |what: &str| StoreError::Address(what.to_owned());
    let path = url
        .strip_prefix("sqlite://")
        .or_else(|| url.strip_prefix("sqlite:"))
        .ok_or_else(|| {
            wrong(
                "must begin with sqlite:// or postgres://, e.g. sqlite://data/billhook.db \
                 or postgres://billhook:PASSWORD@127.0.0.1/billhook",
            )
        })?;
    if path.is_empty() || path.starts_with(":memory:") || path.contains('?') {
        return Err(wrong("must name a file, e.g. sqlite://data/billhook.db"));
    }
    real(PathBuf::from(path)).map(Address::Sqlite)
}

/// The file that a path comes to. Beside a link `SQLite` keeps nothing, and two links to one file would
/// not see each other's lock.
fn real(path: PathBuf) -> Result<PathBuf, StoreError> {
    if !path.is_symlink() {
        return Ok(path);
    }
    path.canonicalize().map_err(|error| {
        let path = path.display();
        StoreError::Address(format!("{path} is a link that leads nowhere: {error}"))
    })
}

fn postgres_options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url).map_err(|_| {
        // What the parser says may repeat the address, and with it the password.
        StoreError::Address(
            "is not an address of PostgreSQL, e.g. postgres://billhook:PASSWORD@127.0.0.1/billhook"
                .to_owned(),
        )
    })?;
    Ok(options
        .application_name("billhook")
        .disable_statement_logging()
        .statement_cache_capacity(256)
        .options([
            // Every statement is made for an index. A plan that was made while a table was small
            // must not read all of it once it has grown.
            ("enable_seqscan", "off"),
            // Short statements; where a plan looks dear because of the line above, too.
            ("jit", "off"),
            // Whoever lost its connection must not hold locks for long.
            ("statement_timeout", "20s"),
            ("lock_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "20s"),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
        ]))
}

fn lock(path: &Path) -> Result<std::fs::File, StoreError> {
    let file = std::fs::File::create(beside(path, ".lock")).map_err(|error| {
        StoreError::Address(format!("cannot write beside {}: {error}", path.display()))
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse(path.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(StoreError::Address(format!(
            "cannot lock {}: {error}",
            path.display()
        ))),
    }
}

/// Orders and customers are nobody else's business: a new file is the owner's alone, and `SQLite`
/// gives its companions the same mode.
pub(super) fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let made = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path);
    made.map(drop)
        .map_err(|error| StoreError::Address(format!("cannot write {}: {error}", path.display())))
}
