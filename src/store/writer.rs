//! A writer: whatever arrives while a transaction is under way shares the next one and its one
//! fsync (group commit). `SQLite` has one writer, `PostgreSQL` a few.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use crate::domain::id::{DeliveryId, RunId};
use crate::domain::run::RunStatus;
use crate::domain::time::Timestamp;

use super::counts::Counts;
use super::outcomes::Outcomes;
use super::retain::{self, Retained};
use super::rows::{
    Advance, Advanced, Alert, ClaimChange, Claimed, Held, Intervened, Intervention, NewDelivery,
    NewRun, Receipt,
};
use super::session::Session;
use super::sql::{Link, SqlError};
use super::{StoreError, accept, advance, alerts, claim, intervene, lanes};

/// The most writes that share one transaction.
const MOST_AT_ONCE: usize = 1024;
/// How often a transaction is repeated that another process's got in the way of.
const MOST_REPEATS: u32 = 8;

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

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
    Recover {
        only: Option<Held>,
        now: Timestamp,
        answer: Answer<u64>,
    },
}

/// What a writer tells others after a commit.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Something may be due now.
    pub(super) due: Notify,
    /// Other processes are to be told that something is due or has settled.
    pub(super) others: Notify,
    /// Who waits for which run.
    pub(super) outcomes: Outcomes,
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

enum Other {
    Claimed(Vec<Claimed>),
    Extended(HashSet<i64>),
    Replayed,
    Intervened(Intervened),
    Recovered(u64),
    Retained(Retained),
    Alerts(Vec<Alert>),
    Told,
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
            | Write::TakeAlerts { .. }
            | Write::AlertTold { .. }
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
            || self.others.iter().any(|other| !not_for_workers(other))
    }

    fn settles(&self) -> bool {
        self.advances.iter().any(|write| write.status.is_settled())
            || self
                .others
                .iter()
                .any(|other| matches!(other, Write::Intervene { .. }))
    }

    async fn commit(self, session: &mut Session, signals: &Signals) {
        match self.transact(session).await {
            Ok(results) => self.tell(results, signals),
            Err(error) => {
                let error = StoreError::from(error);
                tracing::error!(%error, "a transaction failed");
                self.refuse(&error);
            }
        }
    }

    /// A transaction that another one got in the way of is repeated; nothing of it was kept.
    async fn transact(&self, session: &mut Session) -> Result<Results, SqlError> {
        let mut repeats = 0;
        loop {
            let clashed = repeats > 0;
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
        let busy = self.lock_lanes(link).await?;
        if !self.deliveries.is_empty() {
            let others = accept::Others { busy, clashed };
            results.receipts = accept::accept(link, &self.deliveries, &others, &mut counts).await?;
        }
        if !self.advances.is_empty() {
            results.advanced = advance::advance(link, &self.advances, &mut counts).await?;
        }
        for other in &self.others {
            results
                .others
                .extend(perform_other(link, other, &mut counts).await?);
        }
        counts.write(link, shard).await?;
        Ok(results)
    }

    /// Where others write, too: the lanes of new runs that hold an unfinished run. These lanes and
    /// those whose runs advance stay as they are until the end of the transaction.
    async fn lock_lanes(&self, link: &mut Link<'_>) -> Result<HashSet<String>, SqlError> {
        if link.pick(true, false) {
            return Ok(HashSet::new());
        }
        let coming = self
            .deliveries
            .iter()
            .flat_map(|new| new.runs.iter().map(|run| run.lane.as_str()));
        let advancing = self.advances.iter().map(|write| write.lane.as_str());
        let mut wanted: Vec<&str> = coming.chain(advancing).collect();
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() {
            return Ok(HashSet::new());
        }
        lanes::lock(link, &wanted).await
    }

    fn tell(self, results: Results, signals: &Signals) {
        let (due, settles) = (self.makes_due(), self.settles());
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
            refuse_other(write, error.clone());
        }
    }
}

/// Whether a write makes nothing due.
fn not_for_workers(write: &Write) -> bool {
    matches!(
        write,
        Write::Claim { .. }
            | Write::Extend { .. }
            | Write::Retain { .. }
            | Write::TakeAlerts { .. }
            | Write::AlertTold { .. }
    )
}

async fn perform_other(
    link: &mut Link<'_>,
    write: &Write,
    counts: &mut Counts,
) -> Result<Option<Other>, SqlError> {
    Ok(Some(match write {
        Write::Claim {
            limit,
            now,
            lease_end,
            ..
        } => Other::Claimed(claim::claim(link, *limit, *now, *lease_end, counts).await?),
        Write::Extend { held, until, .. } => {
            Other::Extended(advance::extend(link, held, *until).await?)
        }
        Write::Replay {
            delivery,
            source,
            runs,
            now,
            ..
        } => {
            accept::replay(link, *delivery, source, runs, *now, counts).await?;
            Other::Replayed
        }
        Write::Intervene { run, what, now, .. } => {
            Other::Intervened(intervene::intervene(link, *run, *what, *now, counts).await?)
        }
        Write::Retain { before, after, .. } => {
            Other::Retained(retain::retain(link, *before, *after, counts).await?)
        }
        Write::TakeAlerts { now, until, .. } => {
            Other::Alerts(alerts::take(link, *now, *until).await?)
        }
        Write::AlertTold { alert, again, .. } => {
            alerts::told(link, alert, *again).await?;
            Other::Told
        }
        Write::Recover { only, now, .. } => {
            Other::Recovered(intervene::recover(link, *only, *now).await?)
        }
        Write::Accept(..) | Write::Advance(..) => return Ok(None),
    }))
}

fn tell_other(write: Write, other: Other, signals: &Signals) {
    match (write, other) {
        (Write::Claim { answer, .. }, Other::Claimed(claimed)) => {
            let _ = answer.send(Ok(claimed));
        }
        (Write::Extend { answer, .. }, Other::Extended(extended)) => {
            let _ = answer.send(Ok(extended));
        }
        (Write::Intervene { run, answer, .. }, Other::Intervened(intervened)) => {
            let _ = answer.send(Ok(intervened));
            signals.outcomes.settled(run);
        }
        (Write::Retain { answer, .. }, Other::Retained(retained)) => {
            let _ = answer.send(Ok(retained));
        }
        (Write::TakeAlerts { answer, .. }, Other::Alerts(alerts)) => {
            let _ = answer.send(Ok(alerts));
        }
        (Write::Replay { answer, .. }, Other::Replayed)
        | (Write::AlertTold { answer, .. }, Other::Told) => {
            let _ = answer.send(Ok(()));
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
        Write::Extend { answer, .. } => drop(answer.send(Err(error))),
        Write::Intervene { answer, .. } => drop(answer.send(Err(error))),
        Write::Retain { answer, .. } => drop(answer.send(Err(error))),
        Write::TakeAlerts { answer, .. } => drop(answer.send(Err(error))),
        Write::Replay { answer, .. } | Write::AlertTold { answer, .. } => {
            drop(answer.send(Err(error)));
        }
        Write::Recover { answer, .. } => drop(answer.send(Err(error))),
    }
}
