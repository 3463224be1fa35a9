//! An event that a person made here instead of its source: kept like any other, so that it can be
//! looked at, planned again and told apart from what the source signed.

use serde_json::json;

use crate::domain::event::Event;
use crate::domain::id::DeliveryId;
use crate::domain::time::Timestamp;
use crate::store::{DeliveryVerdict, NewRun};

use super::{Incoming, Receiver, Refused, Source, keep};

/// What a person asked for.
#[derive(Debug)]
pub struct ByHand<'a> {
    /// The delivery that it becomes, as it was previewed.
    pub delivery: DeliveryId,
    /// The event.
    pub event: Event,
    /// The bytes that it was read from.
    pub body: Vec<u8>,
    /// Why.
    pub reason: &'a str,
    /// When.
    pub now: Timestamp,
}

impl Receiver {
    /// The id of a delivery that may come to be.
    pub fn next_delivery(&self, now: Timestamp) -> DeliveryId {
        DeliveryId(self.ids.next(now))
    }

    /// Keeps it with the runs that it makes, and answers those.
    pub async fn keep_by_hand(
        &self,
        source: &Source,
        asked: ByHand<'_>,
    ) -> Result<Vec<NewRun>, Refused> {
        let (id, now) = (asked.delivery, asked.now);
        let parts = self.parts_today(&source.name, &asked.event).await?;
        let runs = self.runs_for(&source.name, &asked.event, &parts, id, now);
        let incoming = Incoming {
            remote: std::net::Ipv4Addr::UNSPECIFIED.into(),
            headers: Vec::new(),
            body: asked.body,
        };
        let mut new = keep::row(id, source, incoming, None, DeliveryVerdict::Accepted, now);
        // Nobody signed it; a replay reads it as of the same moment.
        new.signed_at = Some(now);
        let verification = json!({"result": "by_hand", "reason": asked.reason});
        new.verification = verification.to_string().into();
        new.runs.clone_from(&runs);
        keep::describe(&mut new, asked.event);
        self.store.accept(new).await?;
        Ok(runs)
    }
}
