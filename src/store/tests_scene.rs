//! The scene that the store's tests use: a fresh store of either kind, its deliveries and writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sqlx::Connection as _;

use super::sql::statement;
use super::{
    Advance, Advanced, AttemptRow, ClaimChange, Claimed, DeliveryVerdict, NewDelivery, NewRun,
    Store, StoreGuard,
};
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, RunId};
use crate::domain::run::{OrderKey, RunStatus};
use crate::domain::step::{Step, StepAction, StepStatus};
use crate::domain::time::Timestamp;

/// What keeps the rows in a test.
#[derive(Clone, Copy, Debug)]
pub(super) enum Backend {
    /// The one that the environment names: a file, or `PostgreSQL`.
    Database,
    Memory,
}

/// Makes each of these tests one test per backend.
macro_rules! on_every_backend {
    ($($name:ident,)+) => {
        mod in_a_database {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::store::tests_scene::Backend::Database).await;
            })+
        }
        mod in_memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::store::tests_scene::Backend::Memory).await;
            })+
        }
    };
}
pub(super) use on_every_backend;

/// A fresh store with a clock that stands still unless moved.
pub(super) struct Scene {
    pub(super) store: Store,
    pub(super) now: Timestamp,
    pub(super) database: Option<Opened>,
    last: i64,
}

/// What a database needs beside itself.
pub(super) struct Opened {
    folder: tempfile::TempDir,
    pub(super) url: String,
    guard: StoreGuard,
}

pub(super) async fn scene(on: Backend) -> Scene {
    let (store, database) = match on {
        Backend::Memory => (Store::in_memory(), None),
        Backend::Database => {
            let folder = tempfile::tempdir().unwrap();
            let url = fresh(&folder).await;
            let (store, guard) = Store::open(&url).await.unwrap();
            let opened = Opened { folder, url, guard };
            (store, Some(opened))
        }
    };
    Scene {
        store,
        now: Timestamp::from_seconds(1_000_000),
        database,
        last: 0,
    }
}

fn key(n: i64) -> [u8; 32] {
    let mut key = [0; 32];
    key[24..].copy_from_slice(&n.to_be_bytes());
    key
}

/// The address of a new store: a file, or a database of the `PostgreSQL` that the environment
/// names. The whole suite runs on either.
async fn fresh(folder: &tempfile::TempDir) -> String {
    #[expect(clippy::disallowed_methods, reason = "which store the tests run on")]
    let Ok(server) = std::env::var("BILLHOOK_TEST_POSTGRES") else {
        return format!("sqlite://{}", folder.path().join("store.db").display());
    };
    let name = folder.path().file_name().unwrap().to_str().unwrap();
    let name = format!("test_{}", name.trim_start_matches('.').to_lowercase());
    let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(create)
        .execute(&mut connection)
        .await
        .unwrap();
    let (server, _) = server.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

impl Scene {
    pub(super) fn next(&mut self) -> i64 {
        self.last += 1;
        self.last
    }

    /// A delivery about one service of customer 77; `second` is when its event occurred.
    pub(super) fn delivery(&mut self, kind: EventType, service: &str, second: i64) -> NewDelivery {
        let id = DeliveryId(self.next());
        let run = NewRun {
            id: RunId(self.next()),
            order: OrderKey {
                occurred_at: Timestamp::from_seconds(second),
                origin: id,
            },
            lane: format!("s:whmcs:{service}"),
            kind,
            customer_id: Some("77".to_owned()),
            service_id: Some(service.to_owned()),
            replay_of: None,
        };
        NewDelivery {
            id,
            received_at: self.now,
            source: Arc::from("whmcs"),
            verdict: DeliveryVerdict::Accepted,
            cause: None,
            kind: Some(kind.name()),
            dedupe: Some(key(id.0)),
            customer_id: Some("77".to_owned()),
            service_ids: vec![service.to_owned()],
            signed_at: Some(self.now),
            verification: "{}".into(),
            headers: "accept: a\n".into(),
            body: format!("body of {}", id.0).into_bytes(),
            early: Vec::new(),
            runs: vec![run],
        }
    }

    /// Keeps such a delivery; answers its run.
    pub(super) async fn accept(&mut self, kind: EventType, service: &str, second: i64) -> RunId {
        let delivery = self.delivery(kind, service, second);
        let run = delivery.runs[0].id;
        assert!(self.store.accept(delivery).await.unwrap().is_stored());
        run
    }

    /// Takes what is due.
    pub(super) async fn claim(&self) -> Vec<Claimed> {
        self.check_counts().await;
        self.store
            .claim(100, self.now, self.now.plus(Duration::from_mins(10)))
            .await
            .unwrap()
    }

    /// What is counted along the way must be what counting would find.
    async fn check_counts(&self) {
        let Some(database) = self.store.database() else {
            return; // memory counts
        };
        let mut reader = database.reads.reader().await.unwrap();
        let rows = statement(
            "SELECT 'runs' AS kind, status AS name, CAST(count(*) AS BIGINT) AS n FROM runs \
             GROUP BY 2 UNION ALL SELECT 'deliveries', verdict, CAST(count(*) AS BIGINT) \
             FROM deliveries GROUP BY 2",
        )
        .all(&mut reader.link())
        .await
        .unwrap();
        let counted: BTreeMap<_, _> = rows
            .iter()
            .map(|row| {
                let key = (row.text("kind").unwrap(), row.text("name").unwrap());
                (key, row.int("n").unwrap())
            })
            .collect();
        let known = self.store.counts().await.unwrap().into_iter();
        let known: BTreeMap<_, _> = known
            .filter(|(_, _, n)| *n != 0)
            .map(|(kind, name, n)| ((kind, name), n))
            .collect();
        assert_eq!(known, counted);
    }

    /// Takes the one run that is due.
    pub(super) async fn claim_one(&self) -> Claimed {
        let mut claimed = self.claim().await;
        assert_eq!(claimed.len(), 1, "{claimed:?}");
        claimed.remove(0)
    }

    /// The ids of what is due.
    pub(super) async fn due(&self) -> Vec<RunId> {
        self.claim().await.iter().map(|run| run.id).collect()
    }

    pub(super) async fn write(&self, write: Advance) -> Advanced {
        self.store.advance(write).await.unwrap()
    }

    pub(super) async fn status(&self, run: RunId) -> String {
        self.store.run_status(run).await.unwrap().unwrap().0
    }

    /// Whether the store was made when it was opened.
    pub(super) fn is_new(&self) -> bool {
        self.database.as_ref().unwrap().guard.is_new()
    }

    /// Ends the store and opens it again; what is in memory stays there.
    pub(super) async fn reopen(self) -> Self {
        let Some(Opened { folder, url, guard }) = self.database else {
            return self;
        };
        drop(self.store);
        guard.closed().await;
        let (store, guard) = Store::open(&url).await.unwrap();
        let database = Some(Opened { folder, url, guard });
        Self {
            store,
            database,
            ..self
        }
    }
}

/// A write of a run that changes nothing but its status.
pub(super) fn advance(run: &Claimed, status: RunStatus, now: Timestamp) -> Advance {
    Advance {
        run: run.id,
        fence: run.fence,
        lane: run.lane.clone(),
        source: run.source.clone(),
        service_id: run.service_id.clone(),
        customer_id: run.customer_id.clone(),
        status,
        planned: true,
        touched: true,
        due_at: None,
        waiting_for: None,
        error: None,
        pause_reason: None,
        alert: None,
        report: None,
        at_end: None,
        steps: Vec::new(),
        attempts: Vec::new(),
        begins: None,
        service_patch: Value::Null,
        customer_patch: Value::Null,
        orders: Vec::new(),
        built: None,
        weakens: None,
        claim: ClaimChange::Keep,
        now,
    }
}

/// The same that wants the customer's claim for a step it begins.
pub(super) fn acquiring(run: &Claimed, now: Timestamp) -> Advance {
    let mut step = Step::new(1, StepAction::DeactivateClient);
    step.status = StepStatus::Running;
    let attempt = AttemptRow {
        seq: 1,
        n: 1,
        started_at: now,
        duration_ms: None,
        exchanges: Vec::new(),
        error: None,
    };
    Advance {
        claim: ClaimChange::Acquire,
        begins: Some((step, attempt)),
        due_at: Some(now.plus(Duration::from_mins(10))),
        ..advance(run, RunStatus::Running, now)
    }
}
