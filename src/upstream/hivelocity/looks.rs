//! What was last seen of an account, kept for a moment for all runs that wait in it: one look
//! serves them all. Only "not yet" is believed from it; what ends a wait is read anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;

use super::acting::Acting;
use super::{Found, Hivelocity};
use crate::domain::Timestamp;
use crate::upstream::talk::Talk;

/// So many accounts are remembered before old looks are let go.
const MOST: usize = 4_096;

type Orders = Arc<Vec<(i64, String)>>;
type Slot = Arc<AsyncMutex<Option<(Timestamp, Orders)>>>;

/// The last looks, by account.
#[derive(Default)]
pub(super) struct Looks {
    slots: Mutex<HashMap<Option<i64>, Slot>>,
}

impl Looks {
    fn slot(&self, account: Option<i64>) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(account).or_default())
    }
}

impl Hivelocity {
    /// The account's orders in progress with their states, as seen at most `age` ago.
    pub(super) async fn in_progress(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        age: Duration,
    ) -> Found<Orders> {
        let slot = self.looks.slot(acting.client());
        let mut seen = slot.lock().await;
        let now = talk.now();
        // A clock that was set says nothing about how fresh a look is.
        let fresh = |at: Timestamp| now.since(at) < age && at.since(now) < age;
        if let Some((_, orders)) = seen.as_ref().filter(|(at, _)| fresh(*at)) {
            return Ok(Arc::clone(orders));
        }
        let at = talk.now();
        let orders = Arc::new(self.orders_in_progress(talk, acting).await?);
        *seen = Some((at, Arc::clone(&orders)));
        Ok(orders)
    }
}
