//! What a run's writes tell the billing platform: rows of the outbox, written with the run.

use crate::domain::report::NewReport;
use crate::plan;

use super::super::pending::Stand;
use super::Drive;

/// What was reported since the run was taken.
#[derive(Debug, Default)]
pub(super) struct Reported {
    /// Whether anything was written yet.
    wrote: bool,
    /// The service's IP as it was reported, or as it was before.
    ip: Option<String>,
}

impl Reported {
    /// Nothing yet; this is the service's IP so far.
    pub(super) const fn nothing(ip: Option<String>) -> Self {
        Self { wrote: false, ip }
    }
}

impl Drive<'_> {
    /// What the next write tells, where the source wants to be told. A dry run tells nothing.
    pub(super) fn report(&mut self, stand: &Stand) -> Option<NewReport> {
        let (engine, run) = (self.engine, &self.run);
        let dry = engine.mode.dry_run || run.at_end.dry_run;
        if dry || !engine.rules.reports.contains(&run.source) {
            return None;
        }
        let report = plan::report(&plan::Standing {
            source: &run.source,
            service_id: run.service_id.as_deref()?,
            customer_id: run.customer_id.as_deref(),
            service: &run.service,
            ip_before: self.reported.ip.as_deref(),
            status: stand.status,
            error: stand.error.as_deref(),
            first: !self.reported.wrote,
        });
        self.reported = Reported {
            wrote: true,
            ip: self.run.service.ip.clone(),
        };
        report
    }
}
