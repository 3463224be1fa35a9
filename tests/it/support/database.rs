//! Where an app under test keeps its rows: a file of its own, or a database of its own in the
//! `PostgreSQL` that the environment names. The whole suite runs on either. IO.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rusqlite::Connection as File;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// The `PostgreSQL` that the tests are to run on, if any.
pub fn server() -> Option<String> {
    std::env::var("BILLHOOK_TEST_POSTGRES").ok()
}

/// The address of the store that belongs to a folder; made when it is asked for first.
pub fn url(folder: &Path) -> String {
    let Some(server) = server() else {
        return format!("sqlite://{}", file(folder).display());
    };
    let note = folder.join("postgres.url");
    if let Ok(url) = std::fs::read_to_string(&note) {
        return url;
    }
    let name = folder.file_name().unwrap().to_str().unwrap();
    let name = format!("it_{}", name.trim_start_matches('.').to_lowercase());
    let create = format!("CREATE DATABASE {name}");
    let at = server.clone();
    // Settings are made outside of any task; a thread of its own may wait.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let mut connection = PgConnection::connect(&at).await.unwrap();
            let made = sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection);
            made.await.unwrap();
        });
    })
    .join()
    .unwrap();
    let (server, _) = server.rsplit_once('/').unwrap();
    let url = format!("{server}/{name}");
    std::fs::write(note, &url).unwrap();
    url
}

fn file(folder: &Path) -> std::path::PathBuf {
    folder.join("billhook.db")
}

/// Changes the store behind the program's back; answers how many rows.
pub async fn change(folder: &Path, statement: &'static str) -> u64 {
    if server().is_some() {
        let mut connection = PgConnection::connect(&url(folder)).await.unwrap();
        let done = sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
        return done.rows_affected();
    }
    let connection = File::open(file(folder)).unwrap();
    connection.execute(statement, []).unwrap() as u64
}

/// Ends every connection to the store's database, as a restart of the server does.
pub async fn cut_connections(folder: &Path) {
    let mut connection = PgConnection::connect(&url(folder)).await.unwrap();
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .execute(&mut connection)
    .await
    .unwrap();
}

/// Whether new connections to the store's database may only read: `on` or `off`.
pub async fn only_reads(folder: &Path, whether: &str) {
    let mut connection = PgConnection::connect(&url(folder)).await.unwrap();
    let (_, name) = url(folder)
        .rsplit_once('/')
        .map(|(at, name)| (at.to_owned(), name.to_owned()))
        .unwrap();
    let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = {whether}");
    // Each a transaction of its own: this connection, too, may only read at first.
    for statement in ["SET default_transaction_read_only = off", &set] {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
    }
}

/// A `PostgreSQL` of a test's own, which may be stopped and started.
pub struct Cluster {
    keeper: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Cluster {
    /// Starts one and makes it the store of this folder.
    pub fn start(folder: &Path) -> Self {
        let obey = r#"
            user=; [ "$(id -u)" != 0 ] || user="runuser -u postgres --"
            data=$BILLHOOK_TEST_POSTGRES_DATA
            echo "$BILLHOOK_TEST_POSTGRES"
            cd /
            while read -r order; do
                $user "$BILLHOOK_TEST_POSTGRES_BIN/pg_ctl" -D "$data" -l "$data/log" -m immediate -w $order >&2
                echo "$order"
            done"#;
        let mut keeper = Command::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/scripts/with-postgres"
        ))
        .args(["sh", "-c", obey])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
        let orders = keeper.stdin.take();
        let answers = BufReader::new(keeper.stdout.take().unwrap());
        let mut cluster = Self {
            keeper,
            orders,
            answers,
        };
        std::fs::write(folder.join("postgres.url"), cluster.answer()).unwrap();
        cluster
    }

    /// Stops it at once, as a crash does.
    pub fn crash(&mut self) {
        self.order("stop");
    }

    /// Starts it again.
    pub fn revive(&mut self) {
        self.order("start");
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
        assert_eq!(self.answer(), order);
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Its script removes the cluster when there is nothing more to read.
        drop(self.orders.take());
        let _ = self.keeper.wait();
    }
}

/// Every row of every table as text, where the store is not a file that can be read as it is.
pub async fn every_row(folder: &Path) -> String {
    let mut rows = String::new();
    if server().is_none() {
        return rows;
    }
    let mut connection = PgConnection::connect(&url(folder)).await.unwrap();
    for table in [
        "deliveries",
        "runs",
        "steps",
        "attempts",
        "services",
        "customers",
        "alerts",
        "reports",
    ] {
        let all = format!("SELECT t::text FROM {table} t");
        let all: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(all))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        rows.extend(all.into_iter().map(|(row,)| row + "\n"));
    }
    rows
}

/// Somebody else's lock on the store: nothing can be written while it is held.
pub enum Locked {
    File(File),
    Server(PgConnection),
}

impl Locked {
    pub async fn hold(folder: &Path) -> Self {
        if server().is_some() {
            let mut connection = PgConnection::connect(&url(folder)).await.unwrap();
            let lock = "BEGIN; LOCK TABLE deliveries, runs IN ACCESS EXCLUSIVE MODE";
            sqlx::raw_sql(lock).execute(&mut connection).await.unwrap();
            return Self::Server(connection);
        }
        let connection = File::open(file(folder)).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self::File(connection)
    }

    pub async fn release(self) {
        match self {
            Self::File(connection) => drop(connection),
            Self::Server(connection) => connection.close().await.unwrap(),
        }
    }
}
