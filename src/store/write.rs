//! What a writer is asked for, and how it is carried out and answered. Deliveries and advances are
//! many; the writer does all of a transaction's at once.

use std::collections::HashSet;

use tokio::sync::oneshot;

use crate::domain::budget::{Counted, Demand};
use crate::domain::id::{DeliveryId, RunId};
use crate::domain::time::Timestamp;

use super::counts::Counts;
use super::report_writes::{ReportDone, ReportWrite};
use super::retain::{self, Retained};
use super::rows::{
    Advance, Advanced, Alert, Claimed, Held, Intervened, Intervention, NewDelivery, NewRun,
    Receipt, Recovery,
};
use super::sql::{Link, SqlError};
use super::upkeep::{UpkeepDone, UpkeepWrite};
use super::writer::Signals;
use super::{StoreError, accept, advance, alerts, budgets, claim, early, installations, intervene};

/// Who waits for it.
pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// What a writer is asked for.
pub(super) enum Write {
    Accept(Box<NewDelivery>, Answer<Receipt>),
    Advance(Box<Advance>, Answer<Advanced>),
    Claim {
        limit: usize,
        now: Timestamp,
        lease_end: Timestamp,
        answer: Answer<Vec<Claimed>>,
    },
    Extend {
        held: Vec<Held>,
        until: Timestamp,
        answer: Answer<HashSet<i64>>,
    },
    Replay {
        delivery: DeliveryId,
        source: String,
        runs: Vec<NewRun>,
        now: Timestamp,
        answer: Answer<()>,
    },
    TakeEarly {
        source: String,
        service_id: String,
        now: Timestamp,
        answer: Answer<usize>,
    },
    Intervene {
        run: RunId,
        what: Intervention,
        now: Timestamp,
        answer: Answer<Intervened>,
    },
    Retain {
        before: Timestamp,
        after: i64,
        answer: Answer<Retained>,
    },
    TakeAlerts {
        now: Timestamp,
        until: Timestamp,
        answer: Answer<Vec<Alert>>,
    },
    AlertTold {
        alert: Alert,
        again: Option<Timestamp>,
        answer: Answer<()>,
    },
    /// That a supplier refuses the account (with what is to be told), or takes it again.
    NoteSupplier {
        about: String,
        refused: Option<String>,
        now: Timestamp,
        answer: Answer<()>,
    },
    Recover {
        what: Recovery,
        now: Timestamp,
        answer: Answer<u64>,
    },
    KeepInstallation {
        source: String,
        installation: String,
        configured: bool,
        now: Timestamp,
        answer: Answer<String>,
    },
    Reports(ReportWrite, Answer<ReportDone>),
    Upkeep(UpkeepWrite, Answer<UpkeepDone>),
    CountRequests {
        upstream: String,
        demand: Demand,
        now: Timestamp,
        answer: Answer<Counted>,
    },
}

/// What a write brought, one that is neither a delivery nor an advance.
pub(super) enum Other {
    Claimed(Vec<Claimed>),
    Extended(HashSet<i64>),
    Replayed,
    Intervened(Intervened),
    Recovered(u64),
    Retained(Retained),
    Taken(usize),
    Alerts(Vec<Alert>),
    Told,
    Counted(Counted),
    Installation(String),
    Reports(ReportDone),
    Upkeep(UpkeepDone),
}

impl Write {
    /// Whether it makes something due.
    pub(super) const fn makes_due(&self) -> bool {
        if let Self::Reports(what, _) = self {
            return what.makes_due();
        }
        !matches!(
            self,
            Self::Claim { .. }
                | Self::Extend { .. }
                | Self::Retain { .. }
                | Self::TakeAlerts { .. }
                | Self::AlertTold { .. }
                | Self::NoteSupplier { .. }
                | Self::Upkeep(..)
                | Self::CountRequests { .. }
                | Self::KeepInstallation { .. }
        )
    }

    /// Carries it out.
    #[expect(clippy::too_many_lines, reason = "one line or two for each kind")]
    pub(super) async fn perform(
        &self,
        link: &mut Link<'_>,
        counts: &mut Counts,
    ) -> Result<Option<Other>, SqlError> {
        Ok(Some(match self {
            Self::Claim {
                limit,
                now,
                lease_end,
                ..
            } => Other::Claimed(claim::claim(link, *limit, *now, *lease_end, counts).await?),
            Self::Extend { held, until, .. } => {
                Other::Extended(advance::extend(link, held, *until).await?)
            }
            Self::Replay {
                delivery,
                source,
                runs,
                now,
                ..
            } => {
                accept::replay(link, *delivery, source, runs, *now, counts).await?;
                Other::Replayed
            }
            Self::TakeEarly {
                source,
                service_id,
                now,
                ..
            } => Other::Taken(early::take(link, source, service_id, *now, counts).await?),
            Self::Intervene { run, what, now, .. } => {
                Other::Intervened(intervene::intervene(link, *run, *what, *now, counts).await?)
            }
            Self::Retain { before, after, .. } => {
                Other::Retained(retain::retain(link, *before, *after, counts).await?)
            }
            Self::TakeAlerts { now, until, .. } => {
                Other::Alerts(alerts::take(link, *now, *until).await?)
            }
            Self::AlertTold { alert, again, .. } => {
                alerts::told(link, alert, *again).await?;
                Other::Told
            }
            Self::NoteSupplier {
                about,
                refused,
                now,
                ..
            } => {
                match refused {
                    Some(doc) => alerts::refused(link, about, doc, *now).await?,
                    None => alerts::taken_again(link, about, *now).await?,
                }
                Other::Told
            }
            Self::Recover { what, now, .. } => {
                Other::Recovered(intervene::recover(link, *what, *now).await?)
            }
            Self::KeepInstallation {
                source,
                installation,
                configured,
                now,
                ..
            } => {
                let named = (source.as_str(), installation.as_str());
                let kept = installations::keep(link, named, *configured, *now).await?;
                Other::Installation(kept)
            }
            Self::CountRequests {
                upstream,
                demand,
                now,
                ..
            } => Other::Counted(budgets::count(link, upstream, demand, *now).await?),
            Self::Reports(what, _) => Other::Reports(what.perform(link, counts).await?),
            Self::Upkeep(what, _) => Other::Upkeep(what.perform(link).await?),
            Self::Accept(..) | Self::Advance(..) => return Ok(None),
        }))
    }

    /// Tells who asked what it brought.
    pub(super) fn tell(self, other: Other, signals: &Signals) {
        match (self, other) {
            (Self::Claim { answer, .. }, Other::Claimed(claimed)) => {
                let _ = answer.send(Ok(claimed));
            }
            (Self::Extend { answer, .. }, Other::Extended(extended)) => {
                let _ = answer.send(Ok(extended));
            }
            (Self::Intervene { run, answer, .. }, Other::Intervened(intervened)) => {
                let _ = answer.send(Ok(intervened));
                signals.outcomes.settled(run);
            }
            (Self::TakeEarly { answer, .. }, Other::Taken(count)) => {
                let _ = answer.send(Ok(count));
            }
            (Self::Retain { answer, .. }, Other::Retained(retained)) => {
                let _ = answer.send(Ok(retained));
            }
            (Self::TakeAlerts { answer, .. }, Other::Alerts(alerts)) => {
                let _ = answer.send(Ok(alerts));
            }
            (Self::Replay { answer, .. }, Other::Replayed)
            | (Self::AlertTold { answer, .. } | Self::NoteSupplier { answer, .. }, Other::Told) => {
                let _ = answer.send(Ok(()));
            }
            (Self::Recover { answer, .. }, Other::Recovered(count)) => {
                let _ = answer.send(Ok(count));
            }
            (Self::KeepInstallation { answer, .. }, Other::Installation(kept)) => {
                let _ = answer.send(Ok(kept));
            }
            (Self::CountRequests { answer, .. }, Other::Counted(counted)) => {
                let _ = answer.send(Ok(counted));
            }
            (Self::Reports(what, answer), Other::Reports(done)) => {
                let _ = answer.send(Ok(done));
                if matches!(what, ReportWrite::Retry { .. }) {
                    signals.report_written();
                }
            }
            (Self::Upkeep(_, answer), Other::Upkeep(done)) => {
                let _ = answer.send(Ok(done));
            }
            _ => tracing::error!("a write was answered with another one's result"),
        }
    }

    /// Tells who asked why it was not done.
    pub(super) fn refuse(self, error: StoreError) {
        match self {
            Self::Accept(_, answer) => drop(answer.send(Err(error))),
            Self::Advance(_, answer) => drop(answer.send(Err(error))),
            Self::Claim { answer, .. } => drop(answer.send(Err(error))),
            Self::Extend { answer, .. } => drop(answer.send(Err(error))),
            Self::Intervene { answer, .. } => drop(answer.send(Err(error))),
            Self::Retain { answer, .. } => drop(answer.send(Err(error))),
            Self::TakeEarly { answer, .. } => drop(answer.send(Err(error))),
            Self::TakeAlerts { answer, .. } => drop(answer.send(Err(error))),
            Self::Replay { answer, .. }
            | Self::AlertTold { answer, .. }
            | Self::NoteSupplier { answer, .. } => {
                drop(answer.send(Err(error)));
            }
            Self::Recover { answer, .. } => drop(answer.send(Err(error))),
            Self::CountRequests { answer, .. } => drop(answer.send(Err(error))),
            Self::KeepInstallation { answer, .. } => drop(answer.send(Err(error))),
            Self::Reports(_, answer) => drop(answer.send(Err(error))),
            Self::Upkeep(_, answer) => drop(answer.send(Err(error))),
        }
    }
}
