//! What is counted in the store for the suppliers: the pace, where several processes share an
//! account with them, and the hour's requests, which no restart may forget.

use std::time::Duration;

use crate::domain::budget::Demand;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::upstream::{Counting, Hours, OwnPace, Pace, Paced, Rate, Turn};

/// Counts in the store, and on its own while the store does not answer.
pub(super) struct SharedPace {
    store: Store,
    own: OwnPace,
}

impl SharedPace {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            own: OwnPace::default(),
        }
    }
}

impl Pace for SharedPace {
    fn reserve<'a>(&'a self, rate: Rate<'a>, longest: Duration) -> Paced<'a, Turn> {
        Box::pin(async move {
            let reserved = self
                .store
                .reserve(rate.upstream, rate.per_second, longest)
                .await;
            match reserved {
                Ok(Ok(wait)) => Turn::After(wait),
                Ok(Err(wait)) => Turn::TooLate(wait),
                Err(error) => {
                    tracing::debug!(%error, "the pace is counted by this process alone");
                    self.own.reserve(rate, longest).await
                }
            }
        })
    }

    fn hold<'a>(&'a self, rate: Rate<'a>, pause: Duration) -> Paced<'a, ()> {
        Box::pin(async move {
            let held = self.store.hold(rate.upstream, rate.per_second, pause).await;
            if held.is_err() {
                self.own.hold(rate, pause).await;
            }
        })
    }
}

/// The hour's requests, counted in the store alone: what cannot be counted is not sent.
pub(super) struct StoreHours(pub(super) Store);

impl Hours for StoreHours {
    fn count<'a>(&'a self, upstream: &'a str, demand: Demand, now: Timestamp) -> Counting<'a> {
        Box::pin(async move {
            let counted = self.0.count_requests(upstream, demand, now).await;
            counted.map_err(|error| error.to_string())
        })
    }
}
