//! When the next request to an upstream may leave: so many a second, and as many at once. IO, but
//! only through whoever keeps the count.
//!
//! [`OwnPace`] counts in this process. Where several processes share one account with a supplier,
//! a [`Pace`] that counts in the store takes its place.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a pace answers, once it has asked whoever keeps the count.
pub type Paced<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How many requests an upstream takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate<'a> {
    /// `hivelocity`, `one_h`, or `billing:` and the source.
    pub upstream: &'a str,
    /// Requests a second, and as many at once; 0 counts as 1.
    pub per_second: u32,
}

/// When a request may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// After this long; the place is taken.
    After(Duration),
    /// Not before this long, which is longer than was allowed; no place is taken.
    TooLate(Duration),
}

/// Keeps the count of requests.
pub trait Pace: Send + Sync {
    /// Takes the next place in the queue, unless that is further away than `longest`.
    fn reserve<'a>(&'a self, rate: Rate<'a>, longest: Duration) -> Paced<'a, Turn>;

    /// Nothing more leaves for this long: the upstream asked for it. Afterwards requests leave one
    /// by one, not as many at once as are allowed.
    fn hold<'a>(&'a self, rate: Rate<'a>, pause: Duration) -> Paced<'a, ()>;
}

/// The count of this process, on tokio's clock.
#[derive(Debug, Default)]
pub struct OwnPace {
    buckets: Mutex<HashMap<String, Bucket>>,
}

impl OwnPace {
    fn with<T>(&self, upstream: &str, ask: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        ask(buckets.entry(upstream.to_owned()).or_default())
    }
}

impl Pace for OwnPace {
    fn reserve<'a>(&'a self, rate: Rate<'a>, longest: Duration) -> Paced<'a, Turn> {
        Box::pin(async move {
            let now = Instant::now();
            self.with(rate.upstream, |bucket| {
                bucket.take(now, rate.per_second, longest)
            })
        })
    }

    fn hold<'a>(&'a self, rate: Rate<'a>, pause: Duration) -> Paced<'a, ()> {
        Box::pin(async move {
            let now = Instant::now();
            self.with(rate.upstream, |bucket| {
                bucket.hold(now, rate.per_second, pause);
            });
        })
    }
}

/// One upstream's count (GCRA): a single time says how far ahead the requests are.
#[derive(Debug, Default)]
struct Bucket {
    /// When a request would leave if none ever left early.
    next: Option<Instant>,
    held_until: Option<Instant>,
}

impl Bucket {
    fn take(&mut self, now: Instant, per_second: u32, longest: Duration) -> Turn {
        let next = self.next.map_or(now, |next| next.max(now));
        let early = next.checked_sub(ahead(per_second)).unwrap_or(now);
        let turn = early.max(now).max(self.held_until.unwrap_or(now));
        let wait = turn.saturating_duration_since(now);
        if wait > longest {
            return Turn::TooLate(wait);
        }
        self.next = Some(next.max(turn) + interval(per_second));
        Turn::After(wait)
    }

    fn hold(&mut self, now: Instant, per_second: u32, pause: Duration) {
        let until = now + pause;
        self.held_until = self.held_until.max(Some(until));
        self.next = self.next.max(Some(until + ahead(per_second)));
    }
}

fn interval(per_second: u32) -> Duration {
    Duration::from_secs(1) / per_second.max(1)
}

/// How far ahead of their even distance requests may leave.
fn ahead(per_second: u32) -> Duration {
    interval(per_second) * (per_second.max(1) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn waits(bucket: &mut Bucket, now: Instant, count: usize) -> Vec<u128> {
        let mut waits = Vec::new();
        for _ in 0..count {
            match bucket.take(now, 5, LONG) {
                Turn::After(wait) => waits.push(wait.as_millis()),
                Turn::TooLate(wait) => panic!("{wait:?}"),
            }
        }
        waits
    }

    #[test]
    fn as_many_as_a_second_takes_leave_at_once_and_the_rest_in_even_steps() {
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        assert_eq!(waits(&mut bucket, now, 8), [0, 0, 0, 0, 0, 200, 400, 600]);
        let later = now + Duration::from_millis(1000);
        assert_eq!(waits(&mut bucket, later, 3), [0, 0, 200]);
        let idle = later + LONG;
        assert_eq!(waits(&mut bucket, idle, 6), [0, 0, 0, 0, 0, 200]);
    }

    #[test]
    fn a_turn_that_is_too_far_away_takes_no_place() {
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        waits(&mut bucket, now, 10);
        for _ in 0..3 {
            let turn = bucket.take(now, 5, Duration::from_millis(500));
            assert_eq!(turn, Turn::TooLate(Duration::from_millis(1200)));
        }
        assert_eq!(waits(&mut bucket, now, 1), [1200]);
    }

    #[test]
    fn after_a_hold_requests_leave_one_by_one() {
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        bucket.hold(now, 5, Duration::from_secs(3));
        bucket.hold(now, 5, Duration::from_secs(1));
        assert_eq!(waits(&mut bucket, now, 3), [3000, 3200, 3400]);
        let turn = bucket.take(now, 5, Duration::from_secs(3));
        assert!(matches!(turn, Turn::TooLate(_)), "{turn:?}");
    }

    #[tokio::test]
    async fn upstreams_do_not_wait_for_each_other() {
        let pace = OwnPace::default();
        let rate = |upstream| Rate {
            upstream,
            per_second: 0,
        };
        pace.hold(rate("hivelocity"), LONG).await;
        let free = pace.reserve(rate("one_h"), LONG).await;
        assert_eq!(free, Turn::After(Duration::ZERO));
        let held = pace.reserve(rate("hivelocity"), Duration::ZERO).await;
        assert!(matches!(held, Turn::TooLate(_)), "{held:?}");
    }
}
