//! Tests of the store by its own interface: deliveries and their keys, claims and fences, writes.
//! The scene that the other files of tests use is here, too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection as _;

use super::sql::statement;
use super::{
    Advance, Advanced, AttemptRow, ClaimChange, Claimed, DeliveryVerdict, Intervened, Intervention,
    NewDelivery, NewRun, Receipt, Store, StoreError, StoreGuard,
};
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, RunId};
use crate::domain::pause::PauseReason;
use crate::domain::run::{OrderKey, RunStatus};
use crate::domain::state::ServiceStatus;
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
                super::$name(crate::store::tests::Backend::Database).await;
            })+
        }
        mod in_memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::store::tests::Backend::Memory).await;
            })+
        }
    };
}
pub(super) use on_every_backend;

/// A fresh store with a clock that stands still unless moved.
pub(super) struct Scene {
    pub(super) store: Store,
    pub(super) now: Timestamp,
    database: Option<Opened>,
    last: i64,
}

/// What a database needs beside itself.
struct Opened {
    folder: tempfile::TempDir,
    url: String,
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
            runs: vec![run],
        }
    }

    /// Keeps such a delivery; answers its run.
    pub(super) async fn accept(&mut self, kind: EventType, service: &str, second: i64) -> RunId {
        let delivery = self.delivery(kind, service, second);
        let run = delivery.runs[0].id;
        assert_eq!(self.store.accept(delivery).await.unwrap(), Receipt::Stored);
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

    /// Ends the store and opens it again; what is in memory stays there.
    async fn reopen(self) -> Self {
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
        due_at: None,
        waiting_for: None,
        error: None,
        pause_reason: None,
        alert: None,
        at_end: None,
        steps: Vec::new(),
        attempts: Vec::new(),
        begins: None,
        service_patch: Value::Null,
        customer_patch: Value::Null,
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

async fn the_same_key_makes_a_duplicate_or_a_conflict_and_both_are_kept(on: Backend) {
    let mut scene = scene(on).await;
    let first = scene.delivery(EventType::OrderPaid, "501", 1);
    let mut again = scene.delivery(EventType::OrderPaid, "501", 1);
    (again.dedupe, again.body) = (first.dedupe, first.body.clone());
    let mut other = again.clone();
    (other.id, other.body) = (DeliveryId(scene.next()), b"another".to_vec());
    assert_eq!(
        scene.store.accept(first.clone()).await.unwrap(),
        Receipt::Stored
    );
    let duplicate = Receipt::Duplicate {
        of: first.id,
        runs: vec![first.runs[0].id],
    };
    assert_eq!(scene.store.accept(again.clone()).await.unwrap(), duplicate);
    assert_eq!(
        scene.store.accept(other.clone()).await.unwrap(),
        Receipt::Conflict { of: first.id }
    );
    for (id, verdict) in [
        (first.id, "accepted"),
        (again.id, "duplicate"),
        (other.id, "rejected"),
    ] {
        assert_eq!(
            scene.store.delivery(id).await.unwrap().unwrap().verdict,
            verdict
        );
    }
    assert_eq!(
        scene.due().await,
        [first.runs[0].id],
        "only the first makes a run"
    );
}

async fn copies_that_share_a_transaction_are_told_apart(on: Backend) {
    let mut scene = scene(on).await;
    let first = scene.delivery(EventType::OrderPaid, "501", 1);
    let copies: Vec<NewDelivery> = (0..20)
        .map(|_| {
            let mut copy = first.clone();
            copy.id = DeliveryId(scene.next());
            copy.runs[0].id = RunId(scene.next());
            copy
        })
        .collect();
    let sending = copies.into_iter().map(|copy| scene.store.accept(copy));
    let receipts = futures_util::future::join_all(sending).await;
    let stored = receipts
        .iter()
        .filter(|receipt| matches!(receipt, Ok(Receipt::Stored)))
        .count();
    assert_eq!((stored, scene.claim().await.len()), (1, 1));
}

async fn a_write_with_an_old_fence_changes_nothing(on: Backend) {
    let mut scene = scene(on).await;
    let run = scene.accept(EventType::OrderPaid, "501", 1).await;
    let old = scene.claim_one().await;
    scene.now = scene.now.plus(Duration::from_secs(601));
    let new = scene.claim_one().await;
    assert_eq!((new.id, new.fence), (run, old.fence + 1), "the lease ended");
    let patch = json!({"status": "active", "device_id": 7});
    let mut late = advance(&old, RunStatus::Succeeded, scene.now);
    late.service_patch = patch.clone();
    late.steps = vec![Step::new(1, StepAction::DeactivateClient)];
    assert!(!scene.write(late).await.applied);
    assert_eq!(scene.status(run).await, "running");
    assert!(scene.store.service("whmcs", "501").await.unwrap().is_none());
    assert!(
        scene
            .store
            .run(run)
            .await
            .unwrap()
            .unwrap()
            .steps
            .is_empty()
    );
    let mut right = advance(&new, RunStatus::Succeeded, scene.now);
    right.service_patch = patch;
    assert!(scene.write(right).await.applied);
    let state = scene
        .store
        .service("whmcs", "501")
        .await
        .unwrap()
        .unwrap()
        .state;
    assert_eq!(
        (state.status, state.device_id),
        (ServiceStatus::Active, Some(7))
    );
}

async fn an_old_claims_write_beside_the_new_ones_changes_nothing(on: Backend) {
    let mut scene = scene(on).await;
    scene.accept(EventType::OrderPaid, "501", 1).await;
    let old = scene.claim_one().await;
    scene.now = scene.now.plus(Duration::from_secs(601));
    let new = scene.claim_one().await;
    let (mut late, mut right) = (
        advance(&old, RunStatus::Running, scene.now),
        advance(&new, RunStatus::Running, scene.now),
    );
    for (write, device) in [(&mut late, 1), (&mut right, 2)] {
        write.due_at = Some(scene.now.plus(Duration::from_secs(600)));
        write.steps = vec![Step::new(1, StepAction::DeactivateClient)];
        write.service_patch = json!({"device_id": device});
    }
    let (late, right) = tokio::join!(scene.store.advance(late), scene.store.advance(right));
    assert!(!late.unwrap().applied && right.unwrap().applied);
    let state = scene.store.service("whmcs", "501").await.unwrap().unwrap();
    assert_eq!(state.state.device_id, Some(2));
}

async fn a_service_stays_with_the_customer_that_its_state_names(on: Backend) {
    let mut scene = scene(on).await;
    for (customer, patch) in [
        ("77", json!({"customer_id": "77", "status": "active"})),
        ("88", json!({"renewed_until": "2027-01-01"})),
    ] {
        scene.accept(EventType::ServiceRenewed, "501", 1).await;
        let run = scene.claim_one().await;
        let mut write = advance(&run, RunStatus::Succeeded, scene.now);
        write.customer_id = Some(customer.to_owned());
        write.service_patch = patch;
        scene.write(write).await;
    }
    let of = async |customer| scene.store.services_of("whmcs", customer).await.unwrap();
    assert_eq!((of("77").await.len(), of("88").await.len()), (1, 0));
}

async fn a_pause_is_told_to_whoever_takes_the_run_until_a_person_lets_it_go_on(on: Backend) {
    let mut scene = scene(on).await;
    let run = scene.accept(EventType::OrderPaid, "501", 1).await;
    let taken = scene.claim_one().await;
    assert_eq!(taken.paused, None);
    let mut pause = advance(&taken, RunStatus::Paused, scene.now);
    pause.pause_reason = Some(PauseReason::UnknownOutcome.name());
    pause.error = Some("nobody knows".to_owned());
    pause.planned = true;
    scene.write(pause).await;
    // A termination wakes it to make it give way.
    scene.accept(EventType::ServiceTerminated, "501", 2).await;
    let woken = scene.claim_one().await;
    assert_eq!(woken.id, run);
    let why = (PauseReason::UnknownOutcome, "nobody knows".to_owned());
    assert_eq!(woken.paused, Some(why));
    let mut again = advance(&woken, RunStatus::Paused, scene.now);
    again.pause_reason = Some(PauseReason::UnknownOutcome.name());
    scene.write(again).await;
    let retry = scene
        .store
        .intervene(run, Intervention::Retry, scene.now)
        .await;
    assert_eq!(retry.unwrap(), Intervened::Done);
    assert_eq!(scene.claim_one().await.paused, None);
}

async fn a_run_is_taken_by_one_worker_and_again_only_after_its_lease(on: Backend) {
    let mut scene = scene(on).await;
    scene.accept(EventType::OrderPaid, "501", 1).await;
    assert_eq!(scene.claim().await.len(), 1);
    assert_eq!(scene.claim().await.len(), 0);
    scene.now = scene.now.plus(Duration::from_secs(599));
    assert_eq!(scene.claim().await.len(), 0);
    scene.now = scene.now.plus(Duration::from_secs(2));
    assert_eq!(scene.claim().await.len(), 1);
}

async fn a_patch_with_nulls_makes_a_state_that_can_be_read_whether_it_is_new_or_not(on: Backend) {
    let mut scene = scene(on).await;
    let patch =
        json!({"status": "terminated", "ip": null, "licenses_suspended": null, "licenses": null});
    for _ in 0..2 {
        scene.accept(EventType::ServiceTerminated, "501", 1).await;
        let run = scene.claim_one().await;
        let mut write = advance(&run, RunStatus::Succeeded, scene.now);
        write.service_patch = patch.clone();
        write.customer_patch = json!({"hivelocity_client_id": null});
        scene.write(write).await;
        let state = scene
            .store
            .service("whmcs", "501")
            .await
            .expect("the state can be read")
            .unwrap()
            .state;
        assert_eq!(
            (state.status, state.licenses),
            (ServiceStatus::Terminated, Vec::new())
        );
        scene.store.customer("whmcs", "77").await.unwrap();
    }
}

async fn what_a_stop_cut_off_is_due_at_the_next_start_and_what_waits_keeps_its_time(on: Backend) {
    let mut scene = scene(on).await;
    let cut_off = scene.accept(EventType::OrderPaid, "501", 1).await;
    let waiting = scene.accept(EventType::OrderPaid, "502", 1).await;
    let claimed = scene.claim().await;
    let mut wait = advance(&claimed[1], RunStatus::Waiting, scene.now);
    wait.due_at = Some(scene.now.plus(Duration::from_secs(50)));
    scene.write(wait).await;
    let scene = scene.reopen().await;
    assert_eq!(scene.due().await, [], "the lease still holds");
    assert_eq!(scene.store.recover(scene.now).await.unwrap(), 1);
    assert_eq!(scene.due().await, [cut_off]);
    let later = Scene {
        now: scene.now.plus(Duration::from_secs(51)),
        ..scene
    };
    assert_eq!(later.due().await, [waiting]);
}

#[tokio::test]
async fn a_store_is_served_by_one_process_and_opened_by_its_address_alone() {
    let scene = scene(Backend::Database).await;
    if !scene.store.is_shared() {
        let url = &scene.database.as_ref().unwrap().url;
        let second = Store::open(url).await;
        assert!(matches!(second, Err(StoreError::InUse(_))), "{second:?}");
    }
    for wrong in [
        "postgres://[",
        "sqlite://",
        "sqlite://:memory:",
        "file.db",
        "sqlite://a?mode=ro",
    ] {
        assert!(
            matches!(Store::open(wrong).await, Err(StoreError::Address(_))),
            "{wrong}"
        );
    }
    let scene = scene.reopen().await;
    scene.store.reachable().await.unwrap();
}

on_every_backend! {
    the_same_key_makes_a_duplicate_or_a_conflict_and_both_are_kept,
    copies_that_share_a_transaction_are_told_apart,
    a_write_with_an_old_fence_changes_nothing,
    an_old_claims_write_beside_the_new_ones_changes_nothing,
    a_service_stays_with_the_customer_that_its_state_names,
    a_pause_is_told_to_whoever_takes_the_run_until_a_person_lets_it_go_on,
    a_run_is_taken_by_one_worker_and_again_only_after_its_lease,
    a_patch_with_nulls_makes_a_state_that_can_be_read_whether_it_is_new_or_not,
    what_a_stop_cut_off_is_due_at_the_next_start_and_what_waits_keeps_its_time,
}
