//! A signed webhook (Standard Webhooks) to whoever wants to be told. IO.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::unheard::{Fault, Unheard};
use super::{Told, Way};
use crate::domain::Timestamp;
use crate::upstream::line::{Ask, Cargo};
use crate::upstream::refusals::Credentials;
use crate::upstream::talk::Talk;
use crate::upstream::wire::{Body, Expect, Intent, said};
use crate::verify::{ID_HEADER, Keys, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign};

impl Way {
    /// Posts a report. The same state has the same id and the same bytes, however often it is sent.
    pub(super) async fn post_webhook(
        &self,
        talk: &mut Talk<'_>,
        keys: &Keys,
        told: &Told<'_>,
    ) -> Result<(), Unheard> {
        let text = told.body.to_string();
        let headers = signed(keys, told.id.to_owned(), &text, talk.now());
        self.post(talk, text, headers, Intent::Write).await
    }

    /// Posts a message that asks for nothing.
    pub(super) async fn probe_webhook(
        &self,
        talk: &mut Talk<'_>,
        keys: &Keys,
    ) -> Result<String, Unheard> {
        let now = talk.now();
        let ping = json!({"type": "test.ping", "occurred_at": now, "source": self.source});
        let text = ping.to_string();
        let headers = signature(keys, &text, now);
        self.post(talk, text, headers, Intent::Read).await?;
        Ok("it takes a signed test.ping".to_owned())
    }

    async fn post(
        &self,
        talk: &mut Talk<'_>,
        text: String,
        headers: Vec<(&'static str, String)>,
        intent: Intent,
    ) -> Result<(), Unheard> {
        let ask = Ask {
            method: Method::POST,
            url: self.url.clone(),
            keys: HeaderMap::new(),
            cargo: Cargo::Signed { text, headers },
            // Receivers answer with whatever they like; the status is what counts.
            expect: Expect {
                intent,
                body: Body::Anything,
                meanings: &[400, 404, 409, 410, 422],
                credentials: Credentials::Platform,
            },
        };
        let answer = self.line.send(talk, ask).await;
        let answer = answer.map_err(|setback| Unheard::of(setback, &self.source, talk.now()))?;
        if answer.status < 300 {
            return Ok(());
        }
        let error = format!(
            "the billing platform answered {}: {}",
            answer.status,
            said(&answer.body)
        );
        // Nothing but a bare 404 is more likely to be another address than another service.
        if answer.status == 404 && answer.body.is_null() {
            let look = format!("look whether sources.{}.report.url is right", self.source);
            return Err(Unheard::new(Fault::Door, error, Some(look)));
        }
        Err(Unheard::new(Fault::Report, error, None))
    }
}

/// The headers of Standard Webhooks, over the very bytes, under an id made of them: sent twice in
/// one second it is the same message.
pub(in crate::upstream) fn signature(
    keys: &Keys,
    text: &str,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let digest = Sha256::digest(text.as_bytes());
    let id = format!(
        "msg_{}",
        hex::encode(digest.iter().take(16).copied().collect::<Vec<u8>>())
    );
    signed(keys, id, text, now)
}

fn signed(keys: &Keys, id: String, text: &str, now: Timestamp) -> Vec<(&'static str, String)> {
    let signature = sign(keys, &id, now, text.as_bytes());
    vec![
        (ID_HEADER, id),
        (TIMESTAMP_HEADER, now.seconds().to_string()),
        (SIGNATURE_HEADER, signature),
    ]
}
