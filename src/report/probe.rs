//! Trying a source's way back while somebody waits for what it brings. IO.

use std::time::Duration;

use super::Reports;

/// What trying a source's way back brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WayBack {
    /// The source does not want to be told.
    NotConfigured,
    /// Its platform would take a report.
    Works,
    /// It would not: why, and what to do, without secrets.
    Fails(String),
}

impl Reports {
    /// Asks a source's platform something harmless, for no longer than this. Nothing of it is
    /// stored, and it says nothing about the reports that wait: they find out for themselves.
    pub async fn probe(&self, source: &str, patience: Duration) -> WayBack {
        let Some(desk) = self.desks.get(source) else {
            return WayBack::NotConfigured;
        };
        let asking = async {
            let _turn = desk.probing.lock().await;
            let now = self.clock.now();
            self.billing.probe_one(source, now, &*self.entropy).await
        };
        match tokio::time::timeout(patience, asking).await {
            Ok(Ok(())) => WayBack::Works,
            Ok(Err(error)) => WayBack::Fails(error),
            Err(_) => WayBack::Fails(too_slow(source, patience)),
        }
    }
}

fn too_slow(source: &str, patience: Duration) -> String {
    format!(
        "the billing platform gave no answer within {patience:?}; look whether \
         sources.{source}.report.url is right and this machine can reach it"
    )
}
