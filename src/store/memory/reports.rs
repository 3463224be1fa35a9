//! The outbox of reports, as the SQL keeps it.

use tokio::sync::watch;

use crate::domain::id::{ReportId, RunId};
use crate::domain::report::{RUN_PAUSED, SERVICE_UPDATED};
use crate::domain::time::Timestamp;
use crate::store::outbox::{HEARD, WAITING, over};
use crate::store::pull_in::LONGEST_WAIT;
use crate::store::{Advance, Page, Report, ReportFilter, StoreError, Told};

use super::rows::Rows;
use super::{Memory, Passing};

/// A report, with the run that wrote it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ReportRow {
    run: RunId,
    report: Report,
}

impl ReportRow {
    /// Another state of the service; one that is under way keeps its lease.
    fn renew(&mut self, kind: &str, now: Timestamp) {
        let report = &mut self.report;
        kind.clone_into(&mut report.kind);
        report.seq += 1;
        (report.heard, report.heard_at) = (false, None);
        (report.attempts, report.error) = (0, None);
        report.created_at = now;
        if !report.sending {
            report.due_at = Some(now);
        }
    }
}

impl Rows {
    pub(super) fn write_report(&mut self, write: &Advance) {
        let (Some(new), Some(service)) = (&write.report, &write.service_id) else {
            return;
        };
        let key = (write.source.clone(), service.clone());
        let Some(row) = self.reports.get_mut(&key) else {
            if !new.over_pause {
                let report = first(write, service);
                let run = write.run;
                self.reports.insert(key, ReportRow { run, report });
            }
            return;
        };
        let wanted = if new.over_pause {
            row.run == write.run && row.report.kind == RUN_PAUSED
        } else {
            let other_pause = new.kind == RUN_PAUSED && row.run != write.run;
            row.report.kind != new.kind || row.report.doc != new.doc || other_pause
        };
        if wanted {
            row.run = write.run;
            row.renew(new.kind, write.now);
            row.report.doc = new.doc.clone();
            if write.customer_id.is_some() {
                row.report.customer_id.clone_from(&write.customer_id);
            }
        }
    }

    /// A person ended a run that was reported as paused.
    pub(super) fn pause_is_over(&mut self, run: RunId, now: Timestamp) {
        let paused = |row: &&mut ReportRow| row.run == run && row.report.kind == RUN_PAUSED;
        if let Some(row) = self.reports.values_mut().find(paused) {
            row.renew(SERVICE_UPDATED, now);
            over(&mut row.report.doc);
        }
    }

    /// What was under way when the process ended may be sent at once.
    pub(super) fn recover_reports(&mut self, now: Timestamp) {
        for row in self.reports.values_mut().filter(|row| row.report.sending) {
            row.report.sending = false;
            row.report.due_at = Some(now);
        }
    }

    /// What waits for a time that no wait of ours reaches is due now.
    pub(super) fn pull_in_reports(&mut self, now: Timestamp) {
        let horizon = Some(now.plus(LONGEST_WAIT));
        let reports = self.reports.values_mut().map(|row| &mut row.report);
        for report in reports.filter(|report| report.due_at > horizon && !report.sending) {
            report.due_at = Some(now);
        }
    }

    fn take_reports(
        &mut self,
        source: &str,
        limit: usize,
        now: Timestamp,
        until: Timestamp,
    ) -> Vec<Report> {
        let own = self.reports.values_mut();
        let mut due: Vec<&mut Report> = own
            .map(|row| &mut row.report)
            .filter(|report| report.source == source && report.due_at.is_some_and(|due| due <= now))
            .collect();
        due.sort_by_key(|report| report.due_at);
        due.truncate(limit);
        for report in &mut due {
            report.attempts += 1;
            (report.sending, report.due_at) = (true, Some(until));
        }
        due.into_iter().map(|report| report.clone()).collect()
    }

    fn report_told(&mut self, id: ReportId, seq: i64, told: Told, now: Timestamp) {
        let Some(report) = self.report_mut(id) else {
            return;
        };
        if report.seq != seq {
            if report.sending {
                (report.sending, report.due_at) = (false, Some(now));
            }
            return;
        }
        report.sending = false;
        match told {
            Told::Heard => {
                (report.heard, report.heard_at) = (true, Some(now));
                (report.due_at, report.error) = (None, None);
            }
            Told::Again { at, error } => {
                (report.due_at, report.error) = (Some(at), Some(error));
            }
        }
    }

    fn retry_report(&mut self, id: ReportId, now: Timestamp) -> bool {
        let Some(report) = self.report_mut(id) else {
            return false;
        };
        (report.heard, report.heard_at) = (false, None);
        if !report.sending {
            report.due_at = Some(now);
        }
        true
    }

    fn report_mut(&mut self, id: ReportId) -> Option<&mut Report> {
        let mut all = self.reports.values_mut().map(|row| &mut row.report);
        all.find(|report| report.id == id)
    }

    /// Every report.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        self.reports.values().map(|row| &row.report)
    }

    /// When the next report is due.
    pub fn next_report(&self) -> Option<Timestamp> {
        self.reports().filter_map(|report| report.due_at).min()
    }

    fn listed(&self, filter: &ReportFilter) -> Vec<Report> {
        let same = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|one| one == is);
        let wanted = |report: &&Report| {
            let status = if report.due_at.is_some() {
                WAITING
            } else {
                HEARD
            };
            same(&filter.source, &report.source)
                && same(&filter.service, &report.service_id)
                && same(&filter.status, status)
                && filter.before.is_none_or(|before| report.id.0 < before)
        };
        let mut found: Vec<Report> = self.reports().filter(wanted).cloned().collect();
        found.sort_by_key(|report| std::cmp::Reverse(report.id));
        found
    }
}

fn first(write: &Advance, service: &str) -> Report {
    let (kind, doc) = write.report.as_ref().map_or_else(Default::default, |new| {
        (new.kind.to_owned(), new.doc.clone())
    });
    Report {
        id: ReportId(write.run.0),
        source: write.source.clone(),
        service_id: service.to_owned(),
        customer_id: write.customer_id.clone(),
        kind,
        seq: 1,
        heard: false,
        sending: false,
        attempts: 0,
        due_at: Some(write.now),
        error: None,
        created_at: write.now,
        heard_at: None,
        doc,
    }
}

impl Memory {
    pub(in crate::store) async fn take_reports(
        &self,
        source: &str,
        limit: usize,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Report>, StoreError> {
        let take = |rows: &mut Rows| rows.take_reports(source, limit, now, until);
        self.write("take_reports", take).await
    }

    pub(in crate::store) async fn report_told(
        &self,
        id: ReportId,
        seq: i64,
        told: Told,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let told = |rows: &mut Rows| rows.report_told(id, seq, told, now);
        self.write("report_told", told).await
    }

    pub(in crate::store) async fn retry_report(
        &self,
        id: ReportId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let retry = |rows: &mut Rows| rows.retry_report(id, now);
        self.write("retry_report", retry).await
    }

    pub(in crate::store) async fn report_outage(
        &self,
        source: &str,
        error: Option<String>,
        _alert: Option<String>,
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        let note = |rows: &mut Rows| {
            if error.is_some() {
                rows.outages.insert(source.to_owned());
            } else {
                rows.outages.remove(source);
            }
        };
        self.write("report_outage", note).await
    }

    pub(in crate::store) fn reports_written(&self) -> watch::Receiver<u64> {
        self.signals.reports.subscribe()
    }

    pub(in crate::store) async fn next_report(
        &self,
        source: &str,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.gate.pass(Passing::Read("next_report")).await?;
        let rows = self.rows();
        let own = rows.reports().filter(|report| report.source == source);
        Ok(own.filter_map(|report| report.due_at).min())
    }

    pub(in crate::store) async fn unheard_reports(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.gate.pass(Passing::Read("unheard_reports")).await?;
        let mut counts = std::collections::BTreeMap::new();
        for report in self.rows().reports() {
            if report.due_at.is_some() {
                *counts.entry(report.source.clone()).or_insert(0) += 1;
            }
        }
        Ok(counts.into_iter().collect())
    }

    pub(in crate::store) async fn reports(
        &self,
        filter: &ReportFilter,
    ) -> Result<Page<Report>, StoreError> {
        self.gate.pass(Passing::Read("reports")).await?;
        let found = self.rows().listed(filter);
        Ok(super::read::page(
            found.into_iter(),
            filter.limit,
            |report| report.id.0,
        ))
    }

    pub(in crate::store) async fn report(
        &self,
        id: ReportId,
    ) -> Result<Option<Report>, StoreError> {
        self.gate.pass(Passing::Read("report")).await?;
        Ok(self
            .rows()
            .reports()
            .find(|report| report.id == id)
            .cloned())
    }
}
