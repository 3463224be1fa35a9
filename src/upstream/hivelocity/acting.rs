//! As whom a request is made: the primary account, or one of its controlled clients. IO.
//!
//! A client's own API key is taken from the customer's state, else from Hivelocity's list of
//! keys, else made; it is handed back sealed, to be kept whatever the step's outcome.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex as AsyncMutex;

use super::{Call, Found, Hivelocity};
use crate::domain::{Secret, Timestamp};
use crate::upstream::fields::{integer, text};
use crate::upstream::line::key_header;
use crate::upstream::refusals::Credentials;
use crate::upstream::talk::Talk;
use crate::upstream::wire::Setback;

/// What our keys are called at Hivelocity.
const KEY_NAME: &str = "billhook";
/// A shorter text is a key's last characters, not the key.
const LONGEST_STUB: usize = 8;

/// As whom a request is made.
#[derive(Clone)]
pub(super) enum Acting {
    /// The primary account.
    Primary,
    /// The primary account's key, as this controlled client.
    Query(i64),
    /// The controlled client's own key.
    Own(OwnKey),
}

impl Acting {
    /// With whose credentials that is.
    pub(super) const fn credentials(&self) -> Credentials {
        match self {
            Self::Primary => Credentials::Hivelocity,
            Self::Query(client) => Credentials::HivelocityFor(*client),
            Self::Own(own) => Credentials::HivelocityOf(own.client),
        }
    }

    /// The controlled client that is acted as.
    pub(super) const fn client(&self) -> Option<i64> {
        match self {
            Self::Primary => None,
            Self::Query(client) => Some(*client),
            Self::Own(own) => Some(own.client),
        }
    }
}

/// A controlled client's own key.
#[derive(Clone)]
pub(super) struct OwnKey {
    pub(super) client: i64,
    pub(super) key: Secret,
    /// Made in this very attempt.
    minted: bool,
}

/// The keys that this process has seen.
#[derive(Default)]
pub(super) struct Keyring {
    /// One lock per client, so that two services of one customer do not make a key each.
    slots: Mutex<HashMap<i64, Arc<AsyncMutex<Option<Secret>>>>>,
    /// Digests of keys that were refused: a list would offer them again.
    refused: Mutex<HashSet<[u8; 32]>>,
}

impl Keyring {
    fn slot(&self, client: i64) -> Arc<AsyncMutex<Option<Secret>>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(client).or_default())
    }

    fn refuse(&self, key: &Secret) {
        let digest = Sha256::digest(key.reveal().as_bytes()).into();
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest);
    }

    fn allows(&self, key: &Secret) -> bool {
        let digest: [u8; 32] = Sha256::digest(key.reveal().as_bytes()).into();
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        !refused.contains(&digest) && key_header(key.reveal()).is_some()
    }
}

impl Hivelocity {
    /// As whom the service's requests are made; none when a controlled client is needed and
    /// there is none at Hivelocity.
    pub(super) async fn acting(&self, talk: &mut Talk<'_>) -> Found<Option<Acting>> {
        let Some(client) = self.client_of(talk).await? else {
            return Ok((!self.multi).then_some(Acting::Primary));
        };
        if self.act_as_token {
            return self.own_key(talk, client).await.map(Some);
        }
        Ok(Some(Acting::Query(client)))
    }

    /// The same, where without a client there is nothing to be done.
    pub(super) async fn acting_or_rejected(&self, talk: &mut Talk<'_>) -> Found<Acting> {
        self.acting(talk).await?.ok_or_else(|| {
            Setback::Rejected(format!(
                "customer {} of {} has no controlled client at Hivelocity; \
                 the step hivelocity.create_client has to come first",
                talk.scene.customer_id.unwrap_or("(unknown)"),
                talk.scene.source
            ))
        })
    }

    /// The service's controlled client, else the customer's, else the one with the mark. A
    /// service that was ordered under a controlled client stays there, even when the account
    /// model was changed since.
    async fn client_of(&self, talk: &mut Talk<'_>) -> Found<Option<i64>> {
        if let Some(client) = talk.scene.service.hivelocity_client_id {
            return Ok(Some(client));
        }
        if !self.multi {
            return Ok(None);
        }
        if let Some(client) = talk.scene.customer.hivelocity_client_id {
            return Ok(Some(client));
        }
        let Some(mark) = talk.client_mark() else {
            return Ok(None);
        };
        let found = self
            .marked_client(talk, &mark, "")
            .await?
            .map(|found| found.id);
        if let Some(client) = found {
            talk.learned
                .customer
                .insert("hivelocity_client_id".to_owned(), Value::from(client));
        }
        Ok(found)
    }

    async fn own_key(&self, talk: &mut Talk<'_>, client: i64) -> Found<Acting> {
        if let Some(key) = self.kept_key(talk, client) {
            return Ok(act(talk, client, key, false));
        }
        let slot = self.keyring.slot(client);
        let Ok(mut held) = tokio::time::timeout(self.line.timeout(), slot.lock()).await else {
            return Err(Setback::unavailable(
                "the client's API key is still being fetched",
            ));
        };
        let known = held.clone().filter(|key| self.keyring.allows(key));
        let (key, minted) = match known {
            Some(key) => (key, false),
            None => match self.listed_key(talk, client).await? {
                Some(key) => (key, false),
                // Making a key is a change; looking needs none.
                None if talk.only_looks() => return Ok(Acting::Query(client)),
                None => (self.minted_key(talk, client).await?, true),
            },
        };
        *held = Some(key.clone());
        drop(held);
        learn_key(talk, client, &key);
        Ok(act(talk, client, key, minted))
    }

    /// The key in the customer's state, where it is this client's and opens.
    fn kept_key(&self, talk: &Talk<'_>, client: i64) -> Option<Secret> {
        let customer = talk.scene.customer;
        if customer.hivelocity_client_id.is_some_and(|of| of != client) {
            return None;
        }
        let sealed = customer.hivelocity_token.as_deref()?;
        let key = talk.scene.vault.open(&seal_context(talk)?, sealed).ok()?;
        self.keyring.allows(&key).then_some(key)
    }

    /// A usable key among those that Hivelocity lists; it may show their last characters only.
    async fn listed_key(&self, talk: &mut Talk<'_>, client: i64) -> Found<Option<Secret>> {
        let acting = Acting::Query(client);
        let answer = self.call(talk, &acting, Call::get("/token/")).await?;
        let mut listed = match answer.body {
            Value::Array(list) => list,
            other => vec![other],
        };
        listed.sort_by_key(|entry| text(entry, "name") != KEY_NAME);
        let usable = listed
            .iter()
            .filter_map(|entry| usable_key(entry, talk.scene.now));
        Ok(usable.into_iter().find(|key| self.keyring.allows(key)))
    }

    async fn minted_key(&self, talk: &mut Talk<'_>, client: i64) -> Found<Secret> {
        let call = Call::post("/token/").body(json!({"name": KEY_NAME}));
        let answer = self
            .call(talk, &Acting::Query(client), call)
            .await
            .map_err(Setback::of_a_means)?;
        usable_key(&answer.body, talk.scene.now)
            .filter(|key| self.keyring.allows(key))
            .ok_or_else(|| {
                Setback::Rejected(format!(
                    "Hivelocity made an API key for controlled client {client} but did not show \
                     it; set hivelocity.act_as = \"query\""
                ))
            })
    }

    /// What a refused key means: a client's own key is forgotten and made anew the next time;
    /// the primary key, or a key that was only just made, needs a person.
    pub(super) fn key_refused(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        error: String,
    ) -> Setback {
        match acting {
            // Theirs is the account's own, of which the wire says more.
            Acting::Primary | Acting::Query(_) => Setback::KeyRefused(error),
            Acting::Own(own) => {
                self.keyring.refuse(&own.key);
                talk.learned
                    .customer
                    .insert("hivelocity_token".to_owned(), Value::Null);
                let client = own.client;
                if own.minted {
                    let error = format!("the new key of controlled client {client}: {error}");
                    return Setback::KeyRefused(error);
                }
                Setback::unavailable(format!(
                    "the kept key of controlled client {client} was refused; \
                     another one is fetched: {error}"
                ))
            }
        }
    }
}

impl Hivelocity {
    /// What it means that a controlled client is refused: where the primary account is refused,
    /// too, an outage; else it concerns the one customer, and a person has to see to it.
    pub(super) async fn client_refused(&self, talk: &mut Talk<'_>, error: String) -> Setback {
        match self.list(talk, &Acting::Primary, self.harmless().0).await {
            Err(refused @ Setback::Refused { .. }) => refused,
            Ok(_) | Err(_) => Setback::Rejected(format!(
                "{error}; the account itself is not refused, so this is about the one customer: see to \
                 that client's verification and billing details at Hivelocity, then retry this run"
            )),
        }
    }
}

fn act(talk: &mut Talk<'_>, client: i64, key: Secret, minted: bool) -> Acting {
    talk.mask.add(&key);
    Acting::Own(OwnKey {
        client,
        key,
        minted,
    })
}

fn seal_context(talk: &Talk<'_>) -> Option<String> {
    let customer_id = talk.scene.customer_id?;
    Some(format!(
        "hivelocity_token:{}:{customer_id}",
        talk.scene.source
    ))
}

/// Hands the key back sealed, where it belongs to the customer's own client.
fn learn_key(talk: &mut Talk<'_>, client: i64, key: &Secret) {
    let known = talk.scene.customer.hivelocity_client_id;
    let learned = talk
        .learned
        .customer
        .get("hivelocity_client_id")
        .and_then(Value::as_i64);
    let (Some(context), Some(of)) = (seal_context(talk), known.or(learned)) else {
        return;
    };
    if of == client {
        let sealed = talk.seal(&context, key);
        talk.learned
            .customer
            .insert("hivelocity_token".to_owned(), sealed);
    }
}

/// The key in an entry, unless it is hidden or has expired.
fn usable_key(entry: &Value, now: Timestamp) -> Option<Secret> {
    let key = text(entry, "token");
    let whole = key.len() > LONGEST_STUB && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !whole || key.contains('*') || expired(entry, now) {
        return None;
    }
    Some(Secret::new(&key))
}

fn expired(entry: &Value, now: Timestamp) -> bool {
    let Some(value) = entry.get("timeExpiration") else {
        return false;
    };
    let end = match integer(value) {
        Some(seconds) => Some(Timestamp::from_seconds(seconds)),
        None => value.as_str().and_then(|text| Timestamp::parse(text).ok()),
    };
    // A time that cannot be read is left for Hivelocity to judge.
    end.is_some_and(|end| end <= now)
}
