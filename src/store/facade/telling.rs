//! What people and billing platforms are told: alerts and reports.

use tokio::sync::watch;

use crate::domain::id::ReportId;
use crate::domain::time::Timestamp;
use crate::store::{Alert, Page, Report, ReportFilter, StoreError, Told};

use super::{Backend, Store};

impl Store {
    /// When the next alert is due.
    pub async fn next_alert(&self) -> Result<Option<Timestamp>, StoreError> {
        database!(self.next_alert().await)
    }

    /// Takes alerts that are due; nobody else takes them before `until`.
    pub async fn take_alerts(
        &self,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Alert>, StoreError> {
        database!(self.take_alerts(now, until).await)
    }

    /// Notes how telling an alert went: heard of, or to be told again then.
    pub async fn alert_told(
        &self,
        alert: Alert,
        again: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        database!(self.alert_told(alert, again).await)
    }

    /// Keeps that a supplier refuses the account, with what is to be told of it, or (without) that it
    /// takes the account again; `about` names both.
    pub async fn note_supplier(
        &self,
        about: String,
        refused: Option<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        database!(self.note_supplier(about, refused, now).await)
    }

    /// Takes reports of a source that are due; nobody else takes them before `until`.
    pub async fn take_reports(
        &self,
        source: &str,
        limit: usize,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Report>, StoreError> {
        handed!(self.take_reports(source, limit, now, until).await)
    }

    /// Notes how sending this state of a service went; where a newer one came meanwhile, nothing
    /// but that this one is not under way any more.
    pub async fn report_told(
        &self,
        id: ReportId,
        seq: i64,
        told: Told,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        handed!(self.report_told(id, seq, told, now).await)
    }

    /// Makes a report due now, also one that was heard; whether there is one.
    pub async fn retry_report(&self, id: ReportId, now: Timestamp) -> Result<bool, StoreError> {
        handed!(self.retry_report(id, now).await)
    }

    /// Notes that a source's platform takes no reports (why), or does again (none). The alert is
    /// kept where that is news, whichever process found out.
    pub async fn report_outage(
        &self,
        source: &str,
        error: Option<String>,
        alert: Option<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        handed!(self.report_outage(source, error, alert, now).await)
    }

    /// Lets runs of older versions go on that stand still at their report, which is no step any
    /// more; how many.
    pub async fn wake_reporting_runs(&self, now: Timestamp) -> Result<u64, StoreError> {
        database!(self.wake_reporting_runs(now).await)
    }

    /// Changes whenever a run has written a report in this process.
    pub fn reports_written(&self) -> watch::Receiver<u64> {
        handed!(self.reports_written())
    }

    /// When the next report of a source is due.
    pub async fn next_report(&self, source: &str) -> Result<Option<Timestamp>, StoreError> {
        handed!(self.next_report(source).await)
    }

    /// How many reports of each source were not heard yet; sources without any are left out.
    pub async fn unheard_reports(&self) -> Result<Vec<(String, i64)>, StoreError> {
        handed!(self.unheard_reports().await)
    }

    /// Lists reports, those of the newest services first.
    pub async fn reports(&self, filter: &ReportFilter) -> Result<Page<Report>, StoreError> {
        handed!(self.reports(filter).await)
    }

    /// One report.
    pub async fn report(&self, id: ReportId) -> Result<Option<Report>, StoreError> {
        handed!(self.report(id).await)
    }
}
