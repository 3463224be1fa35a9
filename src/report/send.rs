//! One report: sent once, and what came of it noted. IO.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::Timestamp;
use crate::store::{Report, StoreError, Told};
use crate::upstream::{self, Fault, Unheard};

use super::{Desk, Reports};

/// How long sending one may take, with its turn.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long one process has a report to itself: longer than sending it takes.
pub(super) const HOLD: Duration = Duration::from_mins(1);
/// The first and the longest wait before a report is sent again, full jitter.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(15);
/// The longest where it failed with its platform: it may be the one that finds it back.
const LONGEST_SILENT: Duration = Duration::from_mins(5);

impl Reports {
    /// Sends a report that was taken, and notes how that went. What cannot be noted is sent again
    /// once its lease is over.
    pub(super) async fn deliver(&self, report: Report) {
        let Some(desk) = self.desks.get(&report.source) else {
            return;
        };
        let began = self.clock.now();
        let id = format!("{}_{}", report.id, report.seq);
        let body = body(&report);
        let told = upstream::Told {
            id: &id,
            service_id: &report.service_id,
            body: &body,
        };
        let telling = self
            .billing
            .tell(&report.source, &told, began, &*self.entropy);
        let result = tokio::time::timeout(PATIENCE, telling).await;
        let result = result.unwrap_or_else(|_| Err(too_slow()));
        let noted = match result {
            Ok(()) => self.heard(desk, &report).await,
            Err(unheard) => self.unheard_of(desk, &report, unheard, began).await,
        };
        if let Err(error) = noted {
            tracing::warn!(report = %report.id, %error, "what became of a report could not be noted");
        }
    }

    async fn heard(&self, desk: &Desk, report: &Report) -> Result<(), StoreError> {
        desk.heard.fetch_add(1, Ordering::Relaxed);
        let now = self.clock.now();
        self.store
            .report_told(report.id, report.seq, Told::Heard, now)
            .await?;
        self.platform_answered(desk, report).await
    }

    async fn unheard_of(
        &self,
        desk: &Desk,
        report: &Report,
        unheard: Unheard,
        began: Timestamp,
    ) -> Result<(), StoreError> {
        desk.failed.fetch_add(1, Ordering::Relaxed);
        let (now, error) = (self.clock.now(), unheard.error.clone());
        let (source, service) = (report.source.as_str(), report.service_id.as_str());
        tracing::warn!(
            source,
            service,
            seq = report.seq,
            attempts = report.attempts,
            error,
            "a report was not taken"
        );
        let again = Told::Again {
            at: now.plus(self.wait(report, unheard.fault)),
            error,
        };
        self.store
            .report_told(report.id, report.seq, again, now)
            .await?;
        if unheard.fault == Fault::Report {
            return self.platform_answered(desk, report).await;
        }
        let chance = self.entropy.fraction();
        let (fault, pause) = (unheard.fault, unheard.pause);
        let tells = desk.outage().failed(fault, pause, began, now, chance);
        if tells {
            self.note_outage(source, Some(unheard.error), now).await?;
        }
        Ok(())
    }

    /// Full jitter, ever longer.
    fn wait(&self, report: &Report, fault: Fault) -> Duration {
        let longest = match fault {
            Fault::Report => LONGEST,
            Fault::Silence | Fault::Door => LONGEST_SILENT,
        };
        let doublings = 2_u32.saturating_pow(report.attempts.min(16));
        let most = FIRST.saturating_mul(doublings).min(longest);
        most.mul_f64(self.entropy.fraction().clamp(0.0, 1.0))
    }

    async fn platform_answered(&self, desk: &Desk, report: &Report) -> Result<(), StoreError> {
        if !desk.outage().answered() {
            return Ok(());
        }
        let now = self.clock.now();
        self.note_outage(&report.source, None, now).await?;
        desk.outage().settled();
        Ok(())
    }

    /// The store tells people where that is news to it, whichever process found out.
    async fn note_outage(
        &self,
        source: &str,
        error: Option<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let alert = json!({
            "type": if error.is_some() { "report.unheard" } else { "report.heard" },
            "occurred_at": now,
            "source": source,
            "error": error,
        });
        let alert = self.alerts.then(|| alert.to_string());
        self.store.report_outage(source, error, alert, now).await
    }
}

/// What is told: what the run wrote, with what tells this state from others.
pub fn body(report: &Report) -> Value {
    let mut body = report.doc.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.insert("type".to_owned(), json!(report.kind));
        fields.insert("occurred_at".to_owned(), json!(report.created_at));
        fields.insert("seq".to_owned(), json!(report.seq));
    }
    body
}

fn too_slow() -> Unheard {
    Unheard {
        fault: Fault::Silence,
        error: format!("the billing platform gave no answer within {PATIENCE:?}"),
        pause: None,
    }
}
