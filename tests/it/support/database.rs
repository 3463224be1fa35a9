//! Where an app under test keeps its rows: a file of its own, or a database of its own in the
//! `PostgreSQL` that the environment names. The whole suite runs on either. IO.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
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
    let options = SqliteConnectOptions::new().filename(file(folder));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let done = sqlx::query(statement)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    done.rows_affected()
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
    File(SqliteConnection),
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
        let options = SqliteConnectOptions::new().filename(file(folder));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let begin = sqlx::query("BEGIN IMMEDIATE");
        begin.execute(&mut connection).await.unwrap();
        Self::File(connection)
    }

    pub async fn release(self) {
        match self {
            Self::File(connection) => connection.close().await.unwrap(),
            Self::Server(connection) => connection.close().await.unwrap(),
        }
    }
}
