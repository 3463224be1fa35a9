//! Writing a delivery: what is kept of a request beside its bytes.

use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::domain::event::{Event, EventType};
use crate::domain::headers;
use crate::domain::id::DeliveryId;
use crate::domain::time::Timestamp;
use crate::normalise;
use crate::store::DedupeKey;
use crate::verify::Verified;

use super::{
    DeliveryVerdict, Incoming, NewDelivery, NewRun, Parts, Receipt, Receiver, Reception, Refused,
    STRANGERS_BYTES, Source,
};

impl Receiver {
    #[expect(
        clippy::too_many_arguments,
        reason = "one row is made of them, in one place"
    )]
    pub(super) async fn keep(
        &self,
        source: &Source,
        incoming: Incoming<'_>,
        verified: &Verified,
        event: Option<Event>,
        parts: Parts,
        reason: Option<String>,
        now: Timestamp,
    ) -> Result<Reception, Refused> {
        let id = DeliveryId(self.ids.next(now));
        let runs = event
            .as_ref()
            .map(|event| self.runs_for(&source.name, event, &parts.to_do, id, now))
            .unwrap_or_default();
        let early = event
            .as_ref()
            .map(|event| self.early(source, event, &parts, id, now));
        let unknown = event.as_ref().map(|event| unknown(event, &parts));
        let kind = event.as_ref().map(|event| event.kind);
        let run_ids = runs.iter().map(|run| run.id).collect();
        let verdict = if reason.is_some() {
            DeliveryVerdict::Ignored
        } else {
            DeliveryVerdict::Accepted
        };
        let mut new = row(id, source, incoming, Some(verified), verdict, now);
        new.cause.clone_from(&reason);
        new.dedupe = Some(dedupe_key(&source.name, &verified.id));
        new.runs = runs;
        new.early = early.unwrap_or_default();
        if let Some(event) = event {
            describe(&mut new, event);
        }
        let unknown = unknown.unwrap_or_default();
        let receipt = self.store.accept(new).await?;
        let crowded = receipt == Receipt::StoredBehind;
        match receipt {
            Receipt::Stored | Receipt::StoredBehind => Ok(match reason {
                None => Reception::Accepted {
                    delivery: id,
                    runs: run_ids,
                    crowded,
                    unmatched: Vec::new(),
                    unknown,
                },
                Some(reason) => Reception::Ignored {
                    delivery: id,
                    kind,
                    reason,
                    unmatched: Vec::new(),
                    unknown,
                },
            }),
            Receipt::Duplicate { of, runs } => Ok(Reception::Duplicate { of, runs }),
            Receipt::Conflict { of } => Err(Refused::Conflict { of }),
        }
    }

    /// The runs that are made once the orders of the event's services are there.
    fn early(
        &self,
        source: &Source,
        event: &Event,
        parts: &Parts,
        id: DeliveryId,
        now: Timestamp,
    ) -> Vec<NewRun> {
        let waits = matches!(
            event.kind,
            EventType::ServiceSuspended
                | EventType::ServiceUnsuspended
                | EventType::ServiceTerminated
                | EventType::ServiceRenewed
                | EventType::ServicePackageChanged
        );
        let unknown = parts.unknown.iter().copied().map(Some);
        let unknown: Vec<Option<usize>> = unknown.filter(|_| waits).collect();
        self.runs_for(&source.name, event, &unknown, id, now)
    }

    pub(super) async fn reject(
        &self,
        source: &Source,
        incoming: Incoming<'_>,
        verified: Option<&Verified>,
        refused: &Refused,
        now: Timestamp,
    ) {
        if verified.is_none() && self.strangers.check().is_err() {
            return; // counted by the metrics; a flood of rubbish is not worth a full disk
        }
        let id = DeliveryId(self.ids.next(now));
        let mut new = row(
            id,
            source,
            incoming,
            verified,
            DeliveryVerdict::Rejected,
            now,
        );
        new.cause = Some(format!("{}: {refused}", refused.cause()));
        if let Some(verified) = verified
            && let Ok(event) = normalise::native(&new.body, now, verified.timestamp)
        {
            describe(&mut new, event);
        }
        if verified.is_none() {
            new.verification = json!({"result": "refused", "cause": refused.cause()})
                .to_string()
                .into();
            new.body.truncate(STRANGERS_BYTES);
        }
        self.store.keep_rejected(new).await;
    }
}

fn unknown(event: &Event, parts: &Parts) -> Vec<String> {
    let services = parts
        .unknown
        .iter()
        .filter_map(|index| event.services.get(*index));
    services.map(|service| service.id.clone()).collect()
}

/// How the id begins, then 128 bits of a digest. The digest keeps any two keys apart; the
/// beginning keeps ids that were made in order (most senders' begin with a time or a count)
/// side by side in the index, where scattered ones would cost a page each.
fn dedupe_key(source: &str, id: &str) -> DedupeKey {
    let mut digest = Sha256::new();
    digest.update(source.as_bytes());
    digest.update([0]);
    digest.update(id.as_bytes());
    let digest = digest.finalize();
    let beginning = id.bytes().chain(std::iter::repeat(0)).take(16);
    let mut key = [0; 32];
    for (place, byte) in key.iter_mut().zip(beginning.chain(digest)) {
        *place = byte;
    }
    key
}

pub(super) fn describe(new: &mut NewDelivery, event: Event) {
    new.kind = Some(event.kind.name());
    new.customer_id = event.customer.map(|customer| customer.id);
    new.service_ids = event
        .services
        .into_iter()
        .map(|service| service.id)
        .collect();
}

pub(super) fn row(
    id: DeliveryId,
    source: &Source,
    incoming: Incoming<'_>,
    verified: Option<&Verified>,
    verdict: DeliveryVerdict,
    now: Timestamp,
) -> NewDelivery {
    // What did not verify may hold anything, the secret itself included (it was seen).
    let secret = verified.is_none().then_some("webhook-signature");
    let headers = headers::keep(&incoming.headers, secret);
    let verification = verified.map_or_else(String::new, |verified| {
        text(&Verification {
            result: "verified",
            scheme: "standard-webhooks",
            id: &verified.id,
            timestamp: verified.timestamp,
            secret: verified.key_index,
        })
    });
    NewDelivery {
        id,
        received_at: now,
        source: source.name.clone(),
        verdict,
        cause: None,
        kind: None,
        dedupe: None,
        customer_id: None,
        service_ids: Vec::new(),
        signed_at: verified.map(|verified| verified.timestamp),
        verification: verification.into(),
        headers: headers.into(),
        body: incoming.body,
        runs: Vec::new(),
        early: Vec::new(),
    }
}

/// How the verification went, for people to read.
#[derive(serde::Serialize)]
struct Verification<'a> {
    result: &'static str,
    scheme: &'static str,
    id: &'a str,
    timestamp: Timestamp,
    secret: usize,
}

/// JSON straight to text: this is done for every request, and a tree of values would be thrown
/// away at once. Plain texts and numbers are always written.
fn text(shown: &impl Serialize) -> String {
    serde_json::to_string(shown).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dedupe_keys_differ_by_source_and_by_every_byte_of_the_id_and_keep_the_order_of_ids() {
        let key = dedupe_key("whmcs", "msg_0192f0c1a2b3c4d5");
        assert_eq!(key, dedupe_key("whmcs", "msg_0192f0c1a2b3c4d5"));
        assert_ne!(key, dedupe_key("other", "msg_0192f0c1a2b3c4d5"));
        assert_ne!(key, dedupe_key("whmcs", "msg_0192f0c1a2b3c4d6"));
        assert_ne!(dedupe_key("a", "b"), dedupe_key("a\0b", ""));
        assert!(key < dedupe_key("whmcs", "msg_0192f0c1a2b4"));
    }
}
