//! The loop of one source: takes what is due as far as there is room, sends it, sleeps. IO.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

#[cfg(test)]
use crate::domain::Timestamp;
use crate::store::{Report, StoreError};

use super::send::HOLD;
use super::{Desk, Reports};

/// The longest sleep: another process, or one that ended, may have left something.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// The shortest, where all slots are taken: the end of one of them wakes.
const SHORTEST_SLEEP: Duration = Duration::from_millis(100);
/// How long reports under way may take once the process is to end; they are sent again.
const AT_THE_END: Duration = Duration::from_secs(2);

impl Reports {
    /// Sends a source's reports until `stop`.
    pub async fn attend(self: Arc<Self>, source: String, stop: CancellationToken) {
        let Some(desk) = self.desks.get(&source) else {
            return;
        };
        let mut written = self.store.reports_written();
        let mut under_way = FuturesUnordered::new();
        while !stop.is_cancelled() {
            let sleep = match self.take(&source, desk, under_way.len(), usize::MAX).await {
                Ok(taken) => {
                    under_way.extend(taken.into_iter().map(|report| self.deliver(report)));
                    self.sleep(&source).await
                }
                Err(error) => {
                    tracing::warn!(source, %error, "reports cannot be taken from the store");
                    LONGEST_SLEEP
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                _ = written.changed() => {}
                () = desk.wanted.notified() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
        let finish = async { while under_way.next().await.is_some() {} };
        // What is cut off here is sent again: twice does no harm.
        let _ = tokio::time::timeout(AT_THE_END, finish).await;
    }

    /// Takes what may leave now, no more than `most`.
    async fn take(
        &self,
        source: &str,
        desk: &Desk,
        under_way: usize,
        most: usize,
    ) -> Result<Vec<Report>, StoreError> {
        let now = self.clock.now();
        let room = desk.outage().room(under_way, now).min(most);
        if room == 0
            || self
                .store
                .next_report(source)
                .await?
                .is_none_or(|due| due > now)
        {
            return Ok(Vec::new());
        }
        self.store
            .take_reports(source, room, now, now.plus(HOLD))
            .await
    }

    /// How long nothing can leave unless something happens.
    async fn sleep(&self, source: &str) -> Duration {
        let due = self.store.next_report(source).await.ok().flatten();
        let Some(due) = due else {
            return LONGEST_SLEEP;
        };
        let next = due.max(self.open_from(source));
        let sleep = next.since(self.clock.now()).min(LONGEST_SLEEP);
        sleep.max(SHORTEST_SLEEP)
    }

    /// Sends one report that may leave now, if there is one: a round of the simulation.
    #[cfg(test)]
    pub async fn one_round(&self, source: &str) {
        let Some(desk) = self.desks.get(source) else {
            return;
        };
        for report in self.take(source, desk, 0, 1).await.unwrap_or_default() {
            self.deliver(report).await;
        }
    }

    /// From when on the source's platform may be told something, as this process has seen it.
    #[cfg(test)]
    pub fn ready_from(&self, source: &str) -> Timestamp {
        self.open_from(source)
    }
}
