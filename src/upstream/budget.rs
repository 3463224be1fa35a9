//! The requests that one upstream takes in an hour, as this process meets them: it takes them in
//! portions from the count that all processes share, and sends none without. IO, but only through
//! whoever keeps the count; the rules are [`Hour`]'s.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex as OwnMutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;

pub use crate::domain::budget::{Counted, Demand, Heard, Hour, Rank, RateLimit};
use crate::domain::{Away, Because, Entropy, Timestamp};

/// What the count answers, or why it does not.
pub type Counting<'a> = Pin<Box<dyn Future<Output = Result<Counted, String>> + Send + 'a>>;

/// Another process may have heard that nothing is left: what is known of the count is read again
/// when it is older than this.
const FRESH: Duration = Duration::from_secs(1);

/// Keeps the count of an hour's requests, across restarts and for all processes.
pub trait Hours: Send + Sync {
    /// Counts what is asked for; answers once it is kept.
    fn count<'a>(&'a self, upstream: &'a str, demand: Demand, now: Timestamp) -> Counting<'a>;
}

/// The count of this process, which ends with it.
#[derive(Debug, Default)]
pub struct OwnHours {
    hours: OwnMutex<HashMap<String, Hour>>,
}

impl Hours for OwnHours {
    fn count<'a>(&'a self, upstream: &'a str, demand: Demand, now: Timestamp) -> Counting<'a> {
        let mut hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = Hour::after(hours.get(upstream).copied(), &demand, now);
        if let Some(hour) = counted.hour {
            hours.insert(upstream.to_owned(), hour);
        }
        Box::pin(std::future::ready(Ok(counted)))
    }
}

/// One upstream's budget.
pub(super) struct Budget {
    upstream: String,
    who: &'static str,
    /// How many requests an hour takes, where the upstream has not said so.
    most: u32,
    hours: Arc<dyn Hours>,
    own: Mutex<Own>,
}

/// What this process holds and knows.
#[derive(Debug, Default)]
struct Own {
    hour: Option<Hour>,
    seen_at: Option<Timestamp>,
    /// What it took from `hour` and has not sent.
    unspent: u32,
    told: Told,
}

/// What the log was told of the present window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Nothing,
    Low,
    Spent,
}

/// Why a request is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Nothing is left for its rank.
    Away(Away),
    /// Nobody knows: the count did not answer.
    Unknown(String),
}

impl Budget {
    /// A budget of `most` requests an hour, counted by `hours`; none where `most` is 0.
    pub(super) fn new(
        upstream: &str,
        who: &'static str,
        most: u32,
        hours: &Arc<dyn Hours>,
    ) -> Option<Self> {
        (most > 0).then(|| Self {
            upstream: upstream.to_owned(),
            who,
            most,
            hours: Arc::clone(hours),
            own: Mutex::default(),
        })
    }

    /// How many requests an hour takes, where the upstream has not said so.
    pub(super) const fn most(&self) -> u32 {
        self.most
    }

    /// The window as it is kept, if one is running.
    pub(super) async fn hour(&self, now: Timestamp) -> Result<Option<Hour>, String> {
        let counted = self.count(Demand::Look, now).await?;
        Ok(counted.hour.filter(|hour| hour.is_running(now)))
    }

    /// Why a step of this rank may not begin now, if so.
    pub(super) async fn admit(
        &self,
        rank: Rank,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Option<Away> {
        let mut own = self.own.lock().await;
        // Where the count does not answer, the attempt could not be written down either.
        self.refresh(&mut own, now).await.ok()?;
        let hour = own.hour.filter(|hour| hour.is_running(now))?;
        let holds = own.unspent > 0 && hour.is_open_to(rank);
        (!holds && hour.left_to(rank) == 0).then(|| self.away(&hour, rank, entropy))
    }

    /// Takes one request of this rank; answers the window that it was taken from.
    pub(super) async fn take(
        &self,
        rank: Rank,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Hour, Denied> {
        let mut own = self.own.lock().await;
        self.refresh(&mut own, now).await.map_err(Denied::Unknown)?;
        if let Some(hour) = own.hour
            && hour.is_running(now)
            && hour.is_open_to(rank)
            && own.unspent > 0
        {
            own.unspent -= 1;
            return Ok(hour);
        }
        let most = self.most;
        let counted = self.count(Demand::Lease { rank, most }, now).await;
        let counted = counted.map_err(Denied::Unknown)?;
        self.learns(&mut own, counted.hour, now);
        let Some(hour) = counted.hour else {
            return Err(Denied::Unknown("nothing was counted".to_owned()));
        };
        if counted.granted == 0 {
            return Err(Denied::Away(self.away(&hour, rank, entropy)));
        }
        own.unspent = own.unspent.saturating_add(counted.granted - 1);
        Ok(hour)
    }

    /// Takes an answer's word on the count: `known` is the window that its request was taken from.
    /// `refused`: it was turned away, because nothing is left.
    pub(super) async fn heard(
        &self,
        rate: RateLimit,
        refused: bool,
        known: Hour,
        asked_at: Timestamp,
        now: Timestamp,
    ) {
        let mut own = self.own.lock().await;
        let mine = own.hour.filter(|hour| hour.began_at == known.began_at);
        let heard = Demand::Heard(Heard {
            rate,
            refused,
            asked_at,
            known,
            unspent: mine.map_or(0, |_| own.unspent),
        });
        let here = Hour::after(own.hour, &heard, now).hour;
        if here == own.hour {
            return; // as it was known: the usual case costs no write
        }
        match self.count(heard, now).await {
            Ok(counted) => self.learns(&mut own, counted.hour, now),
            Err(error) => {
                tracing::debug!(%error, "an answer's count is known to this process alone");
                self.learns(&mut own, here, now);
            }
        }
    }

    /// What a request of this rank is told that the upstream turned away because nothing is left.
    pub(super) async fn spent(&self, rank: Rank, away: Away, entropy: &dyn Entropy) -> Away {
        let hour = self.own.lock().await.hour;
        match hour.filter(|hour| hour.left_to(Rank::Urgent) == 0) {
            Some(hour) => {
                let known = self.away(&hour, rank, entropy);
                Away {
                    until: known.until.max(away.until),
                    error: away.error,
                    ..known
                }
            }
            None => Away {
                until: away.until.plus(spread(rank, entropy)),
                ..away
            },
        }
    }

    async fn count(&self, demand: Demand, now: Timestamp) -> Result<Counted, String> {
        self.hours.count(&self.upstream, demand, now).await
    }

    /// Looks at the count where what is known of it may be old.
    async fn refresh(&self, own: &mut Own, now: Timestamp) -> Result<(), String> {
        let fresh = |seen: Timestamp| seen <= now && now.since(seen) < FRESH;
        if own.seen_at.is_some_and(fresh) {
            return Ok(());
        }
        let counted = self.count(Demand::Look, now).await?;
        self.learns(own, counted.hour, now);
        Ok(())
    }

    fn learns(&self, own: &mut Own, hour: Option<Hour>, now: Timestamp) {
        own.seen_at = Some(now);
        let began = |hour: Option<Hour>| hour.map(|hour| hour.began_at);
        if began(own.hour) != began(hour) {
            // What was taken from a window that is over is worth nothing in the next.
            own.unspent = 0;
            self.tell_of_new(own, hour);
        }
        own.hour = hour;
        if let Some(hour) = hour.filter(|hour| hour.is_running(now)) {
            self.tell(own, &hour);
        }
    }

    fn tell_of_new(&self, own: &mut Own, hour: Option<Hour>) {
        let told = std::mem::take(&mut own.told);
        if let Some(hour) = hour.filter(|_| told != Told::Nothing) {
            let (upstream, requests) = (self.upstream.as_str(), hour.most);
            tracing::info!(upstream, requests, "a new hour of requests has begun");
        }
    }

    fn tell(&self, own: &mut Own, hour: &Hour) {
        let upstream = self.upstream.as_str();
        let (left, requests, until) = (hour.left_to(Rank::Urgent), hour.most, hour.ends_at);
        if left == 0 && own.told != Told::Spent {
            own.told = Told::Spent;
            tracing::warn!(
                upstream, requests, %until,
                "an upstream's hour of requests is used up; nothing is sent there until then"
            );
        } else if left < requests / 4 && own.told == Told::Nothing {
            own.told = Told::Low;
            tracing::warn!(
                upstream, left, requests, %until,
                "less than a quarter of an upstream's hour of requests is left; looks wait until then"
            );
        }
    }

    fn away(&self, hour: &Hour, rank: Rank, entropy: &dyn Entropy) -> Away {
        let who = self.who;
        let (because, why) = if hour.left_to(Rank::Urgent) == 0 {
            (Because::HourSpent { most: hour.most }, "is used up")
        } else {
            (Because::HourKept, "is kept for what matters more")
        };
        Away {
            because,
            until: hour.ends_at.plus(spread(rank, entropy)),
            error: Some(format!("not sent to {who}: its hour of requests {why}")),
        }
    }
}

/// How long after the window's end it is worth coming back: what matters most comes first, and
/// never all in the same second.
fn spread(rank: Rank, entropy: &dyn Entropy) -> Duration {
    let (from, width) = match rank {
        Rank::Urgent => (0, 5),
        Rank::Order => (5, 15),
        Rank::Look | Rank::Other => (20, 60),
    };
    let chance = entropy.fraction().clamp(0.0, 1.0);
    Duration::from_secs(from) + Duration::from_secs(width).mul_f64(chance)
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
