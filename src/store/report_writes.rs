//! What a writer is asked for about reports, and what reading the outbox answers.

use tokio::sync::watch;

use crate::domain::id::ReportId;
use crate::domain::time::Timestamp;

use super::counts::Counts;
use super::filters::{equals, newest_first};
use super::outbox::{HEARD, ReportFilter, WAITING};
use super::read::page;
use super::sql::{Link, Row, SqlError, statement};
use super::write::Write;
use super::{Database, Page, Report, StoreError, Told, report_outages, reports};

/// What a writer is asked for.
pub(super) enum ReportWrite {
    Take {
        source: String,
        limit: usize,
        now: Timestamp,
        until: Timestamp,
    },
    Told {
        id: ReportId,
        seq: i64,
        told: Told,
        now: Timestamp,
    },
    Retry {
        id: ReportId,
        now: Timestamp,
    },
    Outage {
        source: String,
        error: Option<String>,
        alert: Option<String>,
        now: Timestamp,
    },
    WakeRuns {
        now: Timestamp,
    },
}

/// What it brought.
pub(super) enum ReportDone {
    Taken(Vec<Report>),
    Changed(bool),
    Woken(u64),
}

impl ReportWrite {
    /// Whether it makes a run due.
    pub(super) const fn makes_due(&self) -> bool {
        matches!(self, Self::WakeRuns { .. })
    }

    /// Carries it out.
    pub(super) async fn perform(
        &self,
        link: &mut Link<'_>,
        counts: &mut Counts,
    ) -> Result<ReportDone, SqlError> {
        Ok(match self {
            Self::Take {
                source,
                limit,
                now,
                until,
            } => ReportDone::Taken(reports::take(link, source, *limit, *now, *until).await?),
            Self::Told { id, seq, told, now } => {
                reports::told(link, *id, *seq, told, *now).await?;
                ReportDone::Changed(true)
            }
            Self::Retry { id, now } => ReportDone::Changed(reports::retry(link, *id, *now).await?),
            Self::Outage {
                source,
                error,
                alert,
                now,
            } => {
                let (error, alert) = (error.as_deref(), alert.as_deref());
                report_outages::note(link, source, error, alert, *now).await?;
                ReportDone::Changed(true)
            }
            Self::WakeRuns { now } => {
                ReportDone::Woken(report_outages::wake_reporting_runs(link, *now, counts).await?)
            }
        })
    }
}

impl Database {
    async fn ask_about_reports(&self, what: ReportWrite) -> Result<ReportDone, StoreError> {
        self.ask(|answer| Write::Reports(what, answer)).await
    }

    /// Takes reports of a source that are due; nobody else takes them before `until`.
    pub async fn take_reports(
        &self,
        source: &str,
        limit: usize,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Report>, StoreError> {
        let take = ReportWrite::Take {
            source: source.to_owned(),
            limit,
            now,
            until,
        };
        match self.ask_about_reports(take).await? {
            ReportDone::Taken(taken) => Ok(taken),
            ReportDone::Changed(_) | ReportDone::Woken(_) => Ok(Vec::new()),
        }
    }

    /// Notes how sending this state of a service went.
    pub async fn report_told(
        &self,
        id: ReportId,
        seq: i64,
        told: Told,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let told = ReportWrite::Told { id, seq, told, now };
        self.ask_about_reports(told).await.map(drop)
    }

    /// Makes a report due now; whether there is one.
    pub async fn retry_report(&self, id: ReportId, now: Timestamp) -> Result<bool, StoreError> {
        let done = self.ask_about_reports(ReportWrite::Retry { id, now }).await;
        Ok(matches!(done?, ReportDone::Changed(true)))
    }

    /// Notes that a source's platform takes no reports (why), or does again (none); the alert is
    /// kept where that is news.
    pub async fn report_outage(
        &self,
        source: &str,
        error: Option<String>,
        alert: Option<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let outage = ReportWrite::Outage {
            source: source.to_owned(),
            error,
            alert,
            now,
        };
        self.ask_about_reports(outage).await.map(drop)
    }

    /// Lets runs of older versions go on that stand still at their report; how many.
    pub async fn wake_reporting_runs(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let woken = self
                .ask_about_reports(ReportWrite::WakeRuns { now })
                .await?;
            match woken {
                ReportDone::Woken(some) if some > 0 => all += some,
                ReportDone::Woken(_) | ReportDone::Taken(_) | ReportDone::Changed(_) => {
                    return Ok(all);
                }
            }
        }
    }

    /// Changes whenever a run has written a report in this process.
    pub fn reports_written(&self) -> watch::Receiver<u64> {
        self.signals.reports.subscribe()
    }

    /// When the next report of a source is due.
    pub async fn next_report(&self, source: &str) -> Result<Option<Timestamp>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let row = statement(
            "SELECT min(due_at) AS due FROM reports WHERE source = $1 AND due_at IS NOT NULL",
        )
        .with(source)
        .one(&mut reader.link())
        .await?;
        Ok(row.maybe_int("due")?.map(Timestamp::from_micros))
    }

    /// How many reports of each source were not heard yet; sources without any are left out.
    pub async fn unheard_reports(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let rows = statement(
            "SELECT source, CAST(count(*) AS BIGINT) AS n FROM reports WHERE due_at IS NOT NULL \
             GROUP BY source ORDER BY source",
        )
        .all(&mut reader.link())
        .await?;
        let read = |row: &Row| Ok((row.text("source")?, row.int("n")?));
        Ok(rows.iter().map(read).collect::<Result<_, SqlError>>()?)
    }

    /// Lists reports, those of the newest services first.
    pub async fn reports(&self, filter: &ReportFilter) -> Result<Page<Report>, StoreError> {
        let mut query = statement("SELECT * FROM reports WHERE 1 = 1");
        equals(&mut query, "source", filter.source.as_ref());
        equals(&mut query, "service_id", filter.service.as_ref());
        match filter.status.as_deref() {
            Some(WAITING) => drop(query.push(" AND due_at IS NOT NULL")),
            Some(HEARD) => drop(query.push(" AND due_at IS NULL")),
            _ => {}
        }
        newest_first(&mut query, filter.before, filter.limit);
        let mut reader = self.reads.reader().await?;
        let rows = query.all(&mut reader.link()).await?;
        page(rows.iter().map(reports::read), filter.limit, |report| {
            report.id.0
        })
    }

    /// One report.
    pub async fn report(&self, id: ReportId) -> Result<Option<Report>, StoreError> {
        let mut reader = self.reads.reader().await?;
        let row = statement("SELECT * FROM reports WHERE id = $1")
            .with(id.0)
            .first(&mut reader.link())
            .await?;
        Ok(row.as_ref().map(reports::read).transpose()?)
    }
}
