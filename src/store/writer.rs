//! A writer: whatever arrives while a transaction is under way shares the next one and its one
//! fsync (group commit). `SQLite` has one writer, `PostgreSQL` a few.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::{Mutex, Notify, mpsc, watch};

use crate::domain::run::RunStatus;

use super::counts::Counts;
use super::health::Health;
use super::outcomes::Outcomes;
use super::rows::{Advance, Advanced, ClaimChange, NewDelivery, Receipt};
use super::session::Session;
use super::sql::{Link, SqlError};
use super::trouble::Trouble;
use super::upkeep::UpkeepWrite;
use super::write::{Answer, Other, Write};
use super::{StoreError, accept, advance, clear, lanes};

/// The most writes that share one transaction.
const MOST_AT_ONCE: usize = 1024;
/// How often a transaction is repeated that another process's got in the way of.
const MOST_REPEATS: u32 = 8;

/// What a writer tells others after a commit.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Something may be due now.
    pub(super) due: Notify,
    /// Other processes are to be told that something is due or has settled.
    pub(super) others: Notify,
    /// Who waits for which run.
    pub(super) outcomes: Outcomes,
    /// How often something was written that is to be told to a billing platform.
    pub(super) reports: watch::Sender<u64>,
    /// Whether what is sent can be written.
    pub(super) health: Health,
}

impl Signals {
    /// Something may be there to be told to a billing platform.
    pub(super) fn report_written(&self) {
        self.reports
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Where the writers find their work.
pub(super) type Inbox = Arc<Mutex<mpsc::Receiver<Write>>>;

/// Runs until every sender is gone, so that nothing sent before a stop is lost.
pub(super) async fn run(mut session: Session, inbox: Inbox, signals: Arc<Signals>) {
    let mut batch = Vec::with_capacity(MOST_AT_ONCE);
    loop {
        let came = inbox.lock().await.recv_many(&mut batch, MOST_AT_ONCE).await;
        if came == 0 {
            break;
        }
        let mut sorted = Batch::default();
        for write in batch.drain(..) {
            sorted.add(write);
        }
        sorted.commit(&mut session, &signals).await;
    }
    session.close().await;
}

#[derive(Default)]
struct Batch {
    deliveries: Vec<NewDelivery>,
    receipts: Vec<Answer<Receipt>>,
    advances: Vec<Advance>,
    advanced: Vec<Answer<Advanced>>,
    others: Vec<Write>,
}

/// What a transaction brought, before anyone is told.
#[derive(Default)]
struct Results {
    receipts: Vec<Receipt>,
    advanced: Vec<Advanced>,
    others: Vec<Other>,
}

impl Batch {
    fn add(&mut self, write: Write) {
        match write {
            Write::Accept(delivery, answer) => {
                self.deliveries.push(*delivery);
                self.receipts.push(answer);
            }
            Write::Advance(write, answer) => {
                self.advances.push(*write);
                self.advanced.push(answer);
            }
            other @ (Write::Claim { .. }
            | Write::Extend { .. }
            | Write::Replay { .. }
            | Write::Intervene { .. }
            | Write::Retain { .. }
            | Write::TakeEarly { .. }
            | Write::TakeAlerts { .. }
            | Write::AlertTold { .. }
            | Write::NoteSupplier { .. }
            | Write::Recover { .. }
            | Write::Reports(..)
            | Write::KeepInstallation { .. }
            | Write::Upkeep(..)
            | Write::CountRequests { .. }) => self.others.push(other),
        }
    }

    /// Whether a worker could have something to do after it, now or at a time it does not know.
    fn makes_due(&self) -> bool {
        let advances = |write: &Advance| {
            // What a paused run held up may go on.
            write.status.is_settled()
                || write.claim == ClaimChange::Release
                || (write.status == RunStatus::Waiting && write.due_at.is_some())
        };
        self.deliveries
            .iter()
            .any(|delivery| !delivery.runs.is_empty())
            || self.advances.iter().any(advances)
            || self.others.iter().any(Write::makes_due)
    }

    fn settles(&self) -> bool {
        self.advances.iter().any(|write| write.status.is_settled())
            || self
                .others
                .iter()
                .any(|other| matches!(other, Write::Intervene { .. }))
    }

    async fn commit(mut self, session: &mut Session, signals: &Signals) {
        match self.keep(session, signals).await {
            Ok(None) => {}
            Ok(Some(results)) => {
                if self.surely_writes() {
                    signals.health.committed();
                }
                self.tell(results, signals);
            }
            Err(error) => {
                session.failed(&error);
                if let Some(trouble) = Trouble::of(&error) {
                    signals.health.failed(trouble, &error);
                } else {
                    tracing::error!(%error, "a transaction failed");
                }
                self.refuse(&StoreError::from(error));
            }
        }
    }

    /// Writes what is in the batch; what it brought, or nothing if everybody was told already.
    async fn keep(
        &mut self,
        session: &mut Session,
        signals: &Signals,
    ) -> Result<Option<Results>, SqlError> {
        match signals.health.trouble() {
            Some(Trouble::Damaged) => return Err(SqlError::Trouble(Trouble::Damaged)),
            Some(trouble) if trouble.bars() => {
                session.check_place().map_err(SqlError::Trouble)?;
            }
            _ => {}
        }
        let clashed = self.keep_clear(session, signals).await?;
        if self.is_empty() {
            return Ok(None);
        }
        let results = self.transact(session, clashed).await?;
        // A file that was removed takes writes as well; they are lost with it.
        session.check_place().map_err(SqlError::Trouble)?;
        Ok(Some(results))
    }

    /// Whether its commit proves that the store takes writes; many a write finds nothing to change.
    fn surely_writes(&self) -> bool {
        let beats = |other: &Write| matches!(other, Write::Upkeep(UpkeepWrite::Beat { .. }, _));
        !self.deliveries.is_empty() || self.others.iter().any(beats)
    }

    /// Keeps and tells what one statement can keep; the rest stays in the batch. Answers whether
    /// something was there already. Where there is more to do than that, a transaction does it all.
    async fn keep_clear(
        &mut self,
        session: &mut Session,
        signals: &Signals,
    ) -> Result<bool, SqlError> {
        let Some(patience) = session.patience() else {
            return Ok(false);
        };
        let clear = clear::among(&self.deliveries);
        if clear.is_empty() || !self.advances.is_empty() || !self.others.is_empty() {
            return Ok(false);
        }
        let shard = session.shard();
        let kept: HashSet<i64> = clear.iter().map(|new| new.id.0).collect();
        let Some(single) = session.single().await? else {
            return Ok(false);
        };
        let keep = clear::keep(single.connection, &clear, shard);
        let outcome = tokio::time::timeout(patience, keep).await;
        let left = match outcome.unwrap_or(Err(SqlError::Away("the database does not answer"))) {
            Ok(left) => left,
            Err(error) if Session::got_in_the_way(&error) => {
                single.answered();
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        single.answered();
        let kept = self.take_out(|new| kept.contains(&new.id.0) && !left.contains(&new.id.0));
        let receipts = vec![Receipt::Stored; kept.deliveries.len()];
        let results = Results {
            receipts,
            ..Results::default()
        };
        if kept.surely_writes() {
            signals.health.committed();
        }
        kept.tell(results, signals);
        Ok(false)
    }

    /// A batch of the deliveries that are meant; the others stay.
    fn take_out(&mut self, meant: impl Fn(&NewDelivery) -> bool) -> Self {
        let mut taken = Self::default();
        let deliveries = std::mem::take(&mut self.deliveries);
        let receipts = std::mem::take(&mut self.receipts);
        for (delivery, answer) in deliveries.into_iter().zip(receipts) {
            let goes_to = if meant(&delivery) {
                &mut taken
            } else {
                &mut *self
            };
            goes_to.deliveries.push(delivery);
            goes_to.receipts.push(answer);
        }
        taken
    }

    fn is_empty(&self) -> bool {
        self.deliveries.is_empty() && self.advances.is_empty() && self.others.is_empty()
    }

    /// A transaction that another one got in the way of is repeated; nothing of it was kept.
    async fn transact(
        &self,
        session: &mut Session,
        mut clashed: bool,
    ) -> Result<Results, SqlError> {
        let mut repeats = 0;
        loop {
            let once = match session.patience() {
                None => self.transact_once(session, clashed).await,
                Some(patience) => {
                    tokio::time::timeout(patience, self.transact_once(session, clashed))
                        .await
                        .unwrap_or(Err(SqlError::Away("the database does not answer")))
                }
            };
            match once {
                Err(error) if Session::got_in_the_way(&error) && repeats < MOST_REPEATS => {
                    repeats += 1;
                    clashed = true;
                }
                result => return result,
            }
        }
    }

    async fn transact_once(
        &self,
        session: &mut Session,
        clashed: bool,
    ) -> Result<Results, SqlError> {
        let shard = session.shard();
        let mut transaction = session.begin().await?;
        match self.perform(transaction.link(), shard, clashed).await {
            Ok(results) => transaction.commit().await.map(|()| results),
            Err(error) => {
                transaction.roll_back().await;
                Err(error)
            }
        }
    }

    async fn perform(
        &self,
        link: &mut Link<'_>,
        shard: i64,
        clashed: bool,
    ) -> Result<Results, SqlError> {
        let mut results = Results::default();
        let mut counts = Counts::default();
        self.lock_lanes(link).await?;
        if !self.deliveries.is_empty() {
            results.receipts = accept::accept(link, &self.deliveries, clashed, &mut counts).await?;
        }
        if !self.advances.is_empty() {
            results.advanced = advance::advance(link, &self.advances, &mut counts).await?;
        }
        for other in &self.others {
            results
                .others
                .extend(other.perform(link, &mut counts).await?);
        }
        counts.write(link, shard).await?;
        Ok(results)
    }

    /// Where others write, too: these lanes stay as they are until the end of the transaction, those
    /// of new runs and those whose runs advance.
    async fn lock_lanes(&self, link: &mut Link<'_>) -> Result<(), SqlError> {
        if link.pick(true, false) {
            return Ok(());
        }
        let coming = self
            .deliveries
            .iter()
            .flat_map(|new| new.runs.iter().map(|run| run.lane.as_str()));
        let advancing = self.advances.iter().map(|write| write.lane.as_str());
        let mut wanted: Vec<&str> = coming.chain(advancing).collect();
        wanted.sort_unstable();
        wanted.dedup();
        lanes::lock(link, &wanted).await
    }

    fn tell(self, results: Results, signals: &Signals) {
        let (due, settles) = (self.makes_due(), self.settles());
        if self.advances.iter().any(|write| write.report.is_some()) {
            signals.report_written();
        }
        // Whoever asked may have gone away meanwhile (a closed connection): what was written
        // stays true, so a failed answer is no error.
        for (answer, receipt) in self.receipts.into_iter().zip(results.receipts) {
            let _ = answer.send(Ok(receipt));
        }
        for ((write, answer), advanced) in self
            .advances
            .into_iter()
            .zip(self.advanced)
            .zip(results.advanced)
        {
            let _ = answer.send(Ok(advanced));
            if advanced.applied && write.status.is_settled() {
                signals.outcomes.settled(write.run);
            }
        }
        for (write, other) in self.others.into_iter().zip(results.others) {
            write.tell(other, signals);
        }
        if due {
            signals.due.notify_one();
        }
        if due || settles {
            signals.others.notify_one();
        }
    }

    fn refuse(self, error: &StoreError) {
        for answer in self.receipts {
            let _ = answer.send(Err(error.clone()));
        }
        for answer in self.advanced {
            let _ = answer.send(Err(error.clone()));
        }
        for write in self.others {
            write.refuse(error.clone());
        }
    }
}
