//! Writing a delivery: what is kept of a request beside its bytes.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::domain::event::Event;
use crate::domain::id::DeliveryId;
use crate::domain::time::Timestamp;
use crate::verify::Verified;

use super::{
    DeliveryVerdict, Incoming, NewDelivery, Receipt, Receiver, Reception, Refused, STRANGERS_BYTES,
    Source,
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
        parts: Vec<Option<usize>>,
        reason: Option<String>,
        now: Timestamp,
    ) -> Result<Reception, Refused> {
        let id = DeliveryId(self.ids.next(now));
        let runs = event
            .as_ref()
            .map(|event| self.runs_for(&source.name, event, &parts, id, now))
            .unwrap_or_default();
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
        if let Some(event) = event {
            describe(&mut new, event);
        }
        match self.store.accept(new).await? {
            Receipt::Stored => Ok(match reason {
                None => Reception::Accepted {
                    delivery: id,
                    runs: run_ids,
                },
                Some(reason) => Reception::Ignored {
                    delivery: id,
                    reason,
                },
            }),
            Receipt::Duplicate { of, runs } => Ok(Reception::Duplicate { of, runs }),
            Receipt::Conflict { of } => Err(Refused::Conflict { of }),
        }
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
        if verified.is_none() {
            new.verification = json!({"result": "refused", "cause": refused.cause()}).to_string();
            // What did not verify may hold anything, the secret itself included (it was seen).
            new.headers = masked_signature(&new.headers);
            new.body.truncate(STRANGERS_BYTES);
        }
        self.store.keep_rejected(new).await;
    }
}

fn masked_signature(headers: &str) -> String {
    let mut headers: Value = serde_json::from_str(headers).unwrap_or_default();
    if let Some(signature) = headers.get_mut("webhook-signature") {
        *signature = json!("***");
    }
    headers.to_string()
}

/// 128 bits of a digest: short in the index, and two keys never meet.
fn dedupe_key(source: &str, id: &str) -> [u8; 16] {
    let mut digest = Sha256::new();
    digest.update(source.as_bytes());
    digest.update([0]);
    digest.update(id.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest.finalize()[..16]);
    key
}

fn describe(new: &mut NewDelivery, event: Event) {
    new.kind = Some(event.kind.name().to_owned());
    new.customer_id = event.customer.map(|customer| customer.id);
    new.service_ids = event
        .services
        .into_iter()
        .map(|service| service.id)
        .collect();
}

fn row(
    id: DeliveryId,
    source: &Source,
    incoming: Incoming<'_>,
    verified: Option<&Verified>,
    verdict: DeliveryVerdict,
    now: Timestamp,
) -> NewDelivery {
    let verification = verified.map_or_else(String::new, |verified| {
        json!({
            "result": "verified",
            "scheme": "standard-webhooks",
            "id": verified.id,
            "timestamp": verified.timestamp,
            "secret": verified.key_index,
        })
        .to_string()
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
        verification,
        headers: headers(&incoming).to_string(),
        body: incoming.body,
        runs: Vec::new(),
    }
}

/// Headers for people to read; what could be a secret is masked.
fn headers(incoming: &Incoming<'_>) -> Value {
    let mut kept = Map::new();
    for (name, value) in &incoming.headers {
        let name = name.to_ascii_lowercase();
        let value = if is_secret(&name) {
            "***".to_owned()
        } else {
            String::from_utf8_lossy(value).into_owned()
        };
        match kept.get_mut(&name) {
            Some(Value::String(known)) => {
                known.push_str(", ");
                known.push_str(&value);
            }
            _ => {
                kept.insert(name, Value::String(value));
            }
        }
    }
    Value::Object(kept)
}

fn is_secret(name: &str) -> bool {
    const PARTS: [&str; 7] = [
        "authorization",
        "cookie",
        "token",
        "secret",
        "password",
        "api-key",
        "apikey",
    ];
    PARTS.iter().any(|part| name.contains(part))
}
