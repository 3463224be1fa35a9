//! The one writer: whatever arrives while a transaction is under way shares the next one and
//! its one fsync (group commit).

use std::sync::Arc;

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::domain::id::{DeliveryId, RunId};
use crate::domain::run::RunStatus;
use crate::domain::time::Timestamp;

use super::intervene;
use super::outcomes::Outcomes;
use super::rows::{
    Advance, Advanced, ClaimChange, Claimed, Intervened, Intervention, NewDelivery, NewRun, Receipt,
};
use super::{StoreError, accept, advance, claim};

/// The most writes that share one transaction.
const MOST_AT_ONCE: usize = 1024;

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked for.
pub(super) enum Write {
    Accept(Box<NewDelivery>, Answer<Receipt>),
    Advance(Box<Advance>, Answer<Advanced>),
    Claim {
        limit: usize,
        now: Timestamp,
        lease_end: Timestamp,
        answer: Answer<Vec<Claimed>>,
    },
    Replay {
        delivery: DeliveryId,
        source: String,
        runs: Vec<NewRun>,
        now: Timestamp,
        answer: Answer<()>,
    },
    Intervene {
        run: RunId,
        what: Intervention,
        now: Timestamp,
        answer: Answer<Intervened>,
    },
    Recover {
        only: Option<(RunId, i64)>,
        now: Timestamp,
        answer: Answer<u64>,
    },
}

/// What the writer tells others after a commit.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Something may be due now.
    pub(super) due: Notify,
    /// Who waits for which run.
    pub(super) outcomes: Outcomes,
}

/// Runs until every sender is gone, so that nothing sent before a stop is lost.
pub(super) async fn run(
    mut connection: SqliteConnection,
    mut writes: mpsc::Receiver<Write>,
    signals: Arc<Signals>,
) {
    let mut batch = Vec::with_capacity(MOST_AT_ONCE);
    while writes.recv_many(&mut batch, MOST_AT_ONCE).await > 0 {
        let mut sorted = Batch::default();
        for write in batch.drain(..) {
            sorted.add(write);
        }
        sorted.commit(&mut connection, &signals).await;
    }
    // Whoever copies the file of a stopped service shall have all of it.
    if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut connection)
        .await
    {
        tracing::warn!(%error, "the write-ahead log was not folded in");
    }
    if let Err(error) = connection.close().await {
        tracing::error!(%error, "the store did not close cleanly");
    }
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

enum Other {
    Claimed(Vec<Claimed>),
    Replayed,
    Intervened(Intervened),
    Recovered(u64),
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
            | Write::Replay { .. }
            | Write::Intervene { .. }
            | Write::Recover { .. }) => self.others.push(other),
        }
    }

    /// Whether a worker could have something to do after it, now or at a time it does not know.
    fn makes_due(&self) -> bool {
        let advances = |write: &Advance| {
            write.status.is_final()
                || write.claim == ClaimChange::Release
                || (write.status == RunStatus::Waiting && write.due_at.is_some())
        };
        self.deliveries
            .iter()
            .any(|delivery| !delivery.runs.is_empty())
            || self.advances.iter().any(advances)
            || self
                .others
                .iter()
                .any(|other| !matches!(other, Write::Claim { .. }))
    }

    async fn commit(self, connection: &mut SqliteConnection, signals: &Signals) {
        match self.transact(connection).await {
            Ok(results) => self.tell(results, signals),
            Err(error) => {
                let error = StoreError::from(error);
                tracing::error!(%error, "a transaction failed");
                self.refuse(&error);
            }
        }
    }

    async fn transact(&self, connection: &mut SqliteConnection) -> Result<Results, sqlx::Error> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut results = Results::default();
        if !self.deliveries.is_empty() {
            results.receipts = accept::accept(&mut transaction, &self.deliveries).await?;
        }
        if !self.advances.is_empty() {
            results.advanced = advance::advance(&mut transaction, &self.advances).await?;
        }
        for other in &self.others {
            results
                .others
                .extend(perform(&mut transaction, other).await?);
        }
        transaction.commit().await?;
        Ok(results)
    }

    fn tell(self, results: Results, signals: &Signals) {
        let due = self.makes_due();
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
            tell_other(write, other, signals);
        }
        if due {
            signals.due.notify_one();
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
            refuse_other(write, error.clone());
        }
    }
}

async fn perform(
    transaction: &mut SqliteConnection,
    write: &Write,
) -> Result<Option<Other>, sqlx::Error> {
    Ok(Some(match write {
        Write::Claim {
            limit,
            now,
            lease_end,
            ..
        } => Other::Claimed(claim::claim(transaction, *limit, *now, *lease_end).await?),
        Write::Replay {
            delivery,
            source,
            runs,
            now,
            ..
        } => {
            accept::replay(transaction, *delivery, source, runs, *now).await?;
            Other::Replayed
        }
        Write::Intervene { run, what, now, .. } => {
            Other::Intervened(intervene::intervene(transaction, *run, *what, *now).await?)
        }
        Write::Recover { only, now, .. } => {
            Other::Recovered(intervene::recover(transaction, *only, *now).await?)
        }
        Write::Accept(..) | Write::Advance(..) => return Ok(None),
    }))
}

fn tell_other(write: Write, other: Other, signals: &Signals) {
    match (write, other) {
        (Write::Claim { answer, .. }, Other::Claimed(claimed)) => {
            let _ = answer.send(Ok(claimed));
        }
        (Write::Replay { answer, .. }, Other::Replayed) => {
            let _ = answer.send(Ok(()));
        }
        (Write::Intervene { run, answer, .. }, Other::Intervened(intervened)) => {
            let _ = answer.send(Ok(intervened));
            signals.outcomes.settled(run);
        }
        (Write::Recover { answer, .. }, Other::Recovered(count)) => {
            let _ = answer.send(Ok(count));
        }
        _ => tracing::error!("a write was answered with another one's result"),
    }
}

fn refuse_other(write: Write, error: StoreError) {
    match write {
        Write::Accept(_, answer) => drop(answer.send(Err(error))),
        Write::Advance(_, answer) => drop(answer.send(Err(error))),
        Write::Claim { answer, .. } => drop(answer.send(Err(error))),
        Write::Replay { answer, .. } => drop(answer.send(Err(error))),
        Write::Intervene { answer, .. } => drop(answer.send(Err(error))),
        Write::Recover { answer, .. } => drop(answer.send(Err(error))),
    }
}
