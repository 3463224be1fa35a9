//! Tests: the outbox of reports, on every store.

use std::time::Duration;

use serde_json::json;

use super::sql::statement;
use super::tests_scene::{Backend, Scene, advance, on_every_backend, scene};
use super::{Claimed, Intervention, Recovery, Report, ReportFilter, Told};
use crate::domain::event::EventType as E;
use crate::domain::report::{NewReport, RUN_PAUSED, RUN_RESUMED, SERVICE_UPDATED};
use crate::domain::run::RunStatus;
use crate::domain::step::{Step, StepAction, StepStatus};

on_every_backend! {
    a_report_is_written_with_its_run_and_sent_until_heard,
    the_same_state_again_is_no_news,
    what_comes_of_an_older_state_does_not_touch_a_newer_one,
    a_lease_that_ran_out_lets_another_send_it,
    a_pause_that_is_over_is_told_only_where_it_was_told,
    a_run_that_a_person_ends_leaves_no_pause_behind,
    a_retry_sends_what_was_heard_once_more,
    a_write_without_its_fence_writes_no_report,
    reports_are_listed_by_source_service_and_status,
}

const HOLD: Duration = Duration::from_mins(1);

fn report(kind: &'static str, status: &str) -> NewReport {
    NewReport {
        kind,
        over_pause: kind == RUN_RESUMED,
        doc: json!({"service_id": "501", "status": status, "error": "e", "next": "n"}),
    }
}

impl Scene {
    async fn tells(&self, run: &Claimed, status: RunStatus, report: NewReport) {
        let write = super::Advance {
            report: Some(report),
            due_at: (!status.is_settled()).then_some(self.now),
            ..advance(run, status, self.now)
        };
        assert!(self.write(write).await.applied);
    }

    async fn take(&self) -> Vec<Report> {
        let until = self.now.plus(HOLD);
        self.store
            .take_reports("whmcs", 9, self.now, until)
            .await
            .unwrap()
    }

    async fn told(&self, report: &Report, told: Told) {
        let done = self
            .store
            .report_told(report.id, report.seq, told, self.now);
        done.await.unwrap();
    }

    async fn only(&self) -> Report {
        let filter = ReportFilter {
            limit: 9,
            ..ReportFilter::default()
        };
        let mut page = self.store.reports(&filter).await.unwrap();
        assert_eq!(page.items.len(), 1, "{page:?}");
        page.items.remove(0)
    }
}

/// A run of service 501 that has told this.
async fn told_once(on: Backend, status: RunStatus, report: NewReport) -> (Scene, Claimed) {
    let mut scene = scene(on).await;
    scene.accept(E::OrderPaid, "501", 1).await;
    let run = scene.claim_one().await;
    scene.tells(&run, status, report).await;
    (scene, run)
}

async fn a_report_is_written_with_its_run_and_sent_until_heard(on: Backend) {
    let done = report(SERVICE_UPDATED, "active");
    let (mut scene, _) = told_once(on, RunStatus::Succeeded, done).await;
    let taken = scene.take().await;
    assert_eq!((taken.len(), taken[0].seq, taken[0].attempts), (1, 1, 1));
    assert!(scene.take().await.is_empty(), "it is under way");
    let at = scene.now.plus(Duration::from_secs(5));
    let error = "no".to_owned();
    scene.told(&taken[0], Told::Again { at, error }).await;
    assert_eq!(scene.only().await.error.as_deref(), Some("no"));
    assert!(scene.take().await.is_empty(), "not yet");
    scene.now = at;
    let again = scene.take().await;
    assert_eq!((again[0].seq, again[0].attempts), (1, 2));
    scene.told(&again[0], Told::Heard).await;
    let heard = scene.only().await;
    assert_eq!(
        (heard.status(), heard.due_at, heard.error),
        ("heard", None, None)
    );
    assert_eq!(scene.store.next_report("whmcs").await.unwrap(), None);
    assert!(scene.store.unheard_reports().await.unwrap().is_empty());
}

async fn the_same_state_again_is_no_news(on: Backend) {
    let state = report(SERVICE_UPDATED, "active");
    let (scene, run) = told_once(on, RunStatus::Running, state.clone()).await;
    let taken = scene.take().await;
    scene.told(&taken[0], Told::Heard).await;
    scene.tells(&run, RunStatus::Running, state).await;
    assert_eq!(
        (scene.only().await.seq, scene.only().await.heard),
        (1, true)
    );
    let other = report(SERVICE_UPDATED, "suspended");
    scene.tells(&run, RunStatus::Succeeded, other).await;
    assert_eq!(
        (scene.only().await.seq, scene.only().await.heard),
        (2, false)
    );
}

async fn what_comes_of_an_older_state_does_not_touch_a_newer_one(on: Backend) {
    let first = report(SERVICE_UPDATED, "building");
    let (scene, run) = told_once(on, RunStatus::Running, first).await;
    let older = scene.take().await;
    let second = report(SERVICE_UPDATED, "active");
    scene.tells(&run, RunStatus::Succeeded, second).await;
    assert!(scene.take().await.is_empty(), "one of a service at a time");
    scene.told(&older[0], Told::Heard).await;
    let newer = scene.take().await;
    assert_eq!((newer.len(), newer[0].seq, newer[0].heard), (1, 2, false));
    assert_eq!(newer[0].doc["status"], "active");
    // It comes too late, and once more.
    scene.told(&older[0], Told::Heard).await;
    assert!(!scene.only().await.heard);
}

async fn a_lease_that_ran_out_lets_another_send_it(on: Backend) {
    let state = report(SERVICE_UPDATED, "active");
    let (mut scene, _) = told_once(on, RunStatus::Succeeded, state).await;
    scene.take().await;
    scene.now = scene.now.plus(HOLD);
    let again = scene.take().await;
    assert_eq!(again[0].attempts, 2);
    // A process alone need not wait that long for what its last stop cut off.
    scene
        .store
        .recover(Recovery::StartAlone, scene.now)
        .await
        .unwrap();
    assert_eq!(scene.take().await[0].attempts, 3);
}

async fn a_pause_that_is_over_is_told_only_where_it_was_told(on: Backend) {
    let resumed = report(RUN_RESUMED, "building");
    let (scene, run) = told_once(on, RunStatus::Running, resumed.clone()).await;
    let filter = ReportFilter {
        limit: 9,
        ..ReportFilter::default()
    };
    assert!(scene.store.reports(&filter).await.unwrap().items.is_empty());
    scene
        .tells(&run, RunStatus::Paused, report(RUN_PAUSED, "building"))
        .await;
    let retry = scene
        .store
        .intervene(run.id, Intervention::Retry, scene.now);
    retry.await.unwrap();
    let run = scene.claim_one().await;
    scene.tells(&run, RunStatus::Running, resumed).await;
    let told = scene.only().await;
    assert_eq!((told.kind.as_str(), told.seq), (RUN_RESUMED, 2));
}

async fn a_run_that_a_person_ends_leaves_no_pause_behind(on: Backend) {
    let paused = report(RUN_PAUSED, "building");
    let (scene, run) = told_once(on, RunStatus::Paused, paused).await;
    let cancel = scene
        .store
        .intervene(run.id, Intervention::Cancel, scene.now);
    cancel.await.unwrap();
    let told = scene.only().await;
    assert_eq!((told.kind.as_str(), told.seq), (SERVICE_UPDATED, 2));
    assert!(told.doc["error"].is_null() && told.doc["next"].is_null());
}

async fn a_retry_sends_what_was_heard_once_more(on: Backend) {
    let state = report(SERVICE_UPDATED, "active");
    let (scene, _) = told_once(on, RunStatus::Succeeded, state).await;
    let taken = scene.take().await;
    scene.told(&taken[0], Told::Heard).await;
    assert!(
        scene
            .store
            .retry_report(taken[0].id, scene.now)
            .await
            .unwrap()
    );
    let again = scene.take().await;
    assert_eq!((again[0].seq, again[0].heard), (1, false));
    let nobody = crate::domain::id::ReportId(1);
    assert!(!scene.store.retry_report(nobody, scene.now).await.unwrap());
}

async fn a_write_without_its_fence_writes_no_report(on: Backend) {
    let mut scene = scene(on).await;
    scene.accept(E::OrderPaid, "501", 1).await;
    let run = scene.claim_one().await;
    let write = super::Advance {
        fence: run.fence - 1,
        report: Some(report(SERVICE_UPDATED, "active")),
        ..advance(&run, RunStatus::Succeeded, scene.now)
    };
    assert!(!scene.write(write).await.applied);
    assert!(scene.take().await.is_empty());
}

async fn reports_are_listed_by_source_service_and_status(on: Backend) {
    let state = report(SERVICE_UPDATED, "active");
    let (mut scene, _) = told_once(on, RunStatus::Succeeded, state.clone()).await;
    let taken = scene.take().await;
    scene.told(&taken[0], Told::Heard).await;
    scene.accept(E::OrderPaid, "502", 1).await;
    let run = scene.claim_one().await;
    scene.tells(&run, RunStatus::Succeeded, state).await;
    let list = async |source: Option<&str>, status: Option<&str>, service: Option<&str>| {
        let filter = ReportFilter {
            source: source.map(str::to_owned),
            status: status.map(str::to_owned),
            service: service.map(str::to_owned),
            before: None,
            limit: 1,
        };
        let page = scene.store.reports(&filter).await.unwrap();
        let ids: Vec<String> = page.items.into_iter().map(|one| one.service_id).collect();
        (ids.join(" "), page.next.is_some())
    };
    let found = |ids: &str, more| (ids.to_owned(), more);
    assert_eq!(list(None, None, None).await, found("502", true));
    assert_eq!(list(None, Some("heard"), None).await, found("501", false));
    assert_eq!(list(None, Some("waiting"), None).await, found("502", false));
    assert_eq!(
        list(Some("whmcs"), None, Some("501")).await,
        found("501", false)
    );
    assert_eq!(list(Some("other"), None, None).await, found("", false));
    let unheard = scene.store.unheard_reports().await.unwrap();
    assert_eq!(unheard, [("whmcs".to_owned(), 1)]);
    let one = scene.store.report(taken[0].id).await.unwrap().unwrap();
    assert!(one.heard);
}

#[tokio::test]
async fn runs_of_an_older_version_that_stand_at_their_report_are_woken() {
    let mut scene = scene(Backend::Database).await;
    let mut paused = Vec::new();
    for (service, kinds) in [
        ("501", &[true][..]),
        ("502", &[true, false]),
        ("503", &[false]),
    ] {
        scene.accept(E::OrderPaid, service, 1).await;
        let run = scene.claim_one().await;
        let mut write = advance(&run, RunStatus::Paused, scene.now);
        write.pause_reason = Some("refused");
        write.error = Some("WHMCS refused: Invalid IP".to_owned());
        write.steps = (1..)
            .zip(kinds)
            .map(|(seq, reports)| step(seq, *reports))
            .collect();
        scene.write(write).await;
        paused.push(run.id);
    }
    assert_eq!(scene.store.wake_reporting_runs(scene.now).await.unwrap(), 1);
    assert_eq!(scene.store.wake_reporting_runs(scene.now).await.unwrap(), 0);
    let run = scene.claim_one().await;
    assert_eq!((run.id, run.paused), (paused[0], None));
}

fn step(seq: u32, reports: bool) -> Step {
    let action = if reports {
        let status = "active".to_owned();
        StepAction::Report { status }
    } else {
        StepAction::DeactivateClient
    };
    let mut step = Step::new(seq, action);
    step.status = StepStatus::Paused;
    step
}

#[tokio::test]
async fn an_outage_is_told_once_and_its_end_once() {
    let scene = scene(Backend::Database).await;
    let store = &scene.store;
    let told = async |error: Option<&str>, alert: &str| {
        let error = error.map(str::to_owned);
        let alert = Some(alert.to_owned());
        store
            .report_outage("whmcs", error, alert, scene.now)
            .await
            .unwrap();
    };
    let heard = async || {
        let alerts = store
            .take_alerts(scene.now, scene.now.plus(HOLD))
            .await
            .unwrap();
        let mut words = Vec::new();
        for alert in alerts {
            words.push(alert.doc.clone());
            store.alert_told(alert, None).await.unwrap();
        }
        words.join(" ")
    };
    told(None, "never away").await;
    assert_eq!(heard().await, "");
    told(Some("no"), "away").await;
    told(Some("no"), "still away").await;
    assert_eq!(heard().await, "away");
    told(Some("no"), "still away").await;
    assert_eq!(heard().await, "");
    told(None, "back").await;
    told(None, "still back").await;
    assert_eq!(heard().await, "back");
    let database = store.database().unwrap();
    let mut reader = database.reads.reader().await.unwrap();
    let rows = statement("SELECT source FROM report_outages")
        .all(&mut reader.link())
        .await;
    assert!(rows.unwrap().is_empty());
}

/// Only where several processes may share a store.
#[tokio::test]
async fn two_processes_never_have_the_same_report() {
    let mut scene = scene(Backend::Database).await;
    if !scene.store.is_shared() {
        return;
    }
    let url = scene.database.as_ref().unwrap().url.clone();
    let (other, guard) = super::Store::open(&url).await.unwrap();
    for number in 0..24 {
        let service = format!("5{number:02}");
        scene.accept(E::OrderPaid, &service, 1).await;
        let run = scene.claim_one().await;
        let state = report(SERVICE_UPDATED, "active");
        scene.tells(&run, RunStatus::Succeeded, state).await;
    }
    let until = scene.now.plus(HOLD);
    let all = async |store: &super::Store| {
        let mut ids = Vec::new();
        loop {
            let taken = store.take_reports("whmcs", 3, scene.now, until).await;
            let taken = taken.unwrap();
            if taken.is_empty() {
                return ids;
            }
            ids.extend(taken.into_iter().map(|report| report.id));
        }
    };
    let (mut one, two) = tokio::join!(all(&scene.store), all(&other));
    one.extend(two);
    let taken = one.len();
    one.sort_unstable();
    one.dedup();
    assert_eq!(one.len(), taken, "one was taken twice");
    // Each passes over what the other has at that moment, so a last look may still find some.
    let left = all(&scene.store).await;
    assert!(left.iter().all(|id| !one.contains(id)));
    assert_eq!(one.len() + left.len(), 24);
    drop(other);
    guard.closed().await;
}
