//! Telling people that a run needs one of them: a signed webhook to wherever they look. IO.

use std::sync::Arc;

use reqwest::Method;
use reqwest::header::HeaderMap;
use url::Url;

use super::billing::signature;
use super::carrier::Carrier;
use super::line::{Ask, Cargo, Line, address};
use super::mask::Mask;
use super::pace::{OwnPace, Pace};
use super::probe::Nothing;
use super::refusals::Credentials;
use super::settings::UpstreamError;
use super::talk::{Learned, Talk};
use super::wire::{Body, Expect, Intent, Setback};
use crate::domain::{Entropy, Permit, Secret, Timestamp};
use crate::verify::Keys;

/// Where alerts go.
pub struct Herald {
    line: Line,
    url: Url,
    keys: Keys,
}

impl Herald {
    /// A herald that posts to `url` and signs as Standard Webhooks do.
    pub fn new(url: &str, secret: &Secret) -> Result<Self, UpstreamError> {
        let url = address("alerts.url", url)?;
        let keys = Keys::parse(std::slice::from_ref(secret)).map_err(|error| {
            UpstreamError::WebhookSecret {
                key: "alerts.secret".to_owned(),
                why: error.to_string(),
            }
        })?;
        let pace: Arc<dyn Pace> = Arc::new(OwnPace::default());
        let line = Line::new(
            super::billing::terms("alerts"),
            &url,
            &pace,
            &Carrier::Network,
        )?;
        Ok(Self { line, url, keys })
    }

    /// Posts it once; any 2xx means that it was heard.
    pub async fn tell(
        &self,
        text: &str,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(), String> {
        let nobody = Nothing::default();
        let scene = nobody.scene(now, entropy);
        let (mut trace, mut learned) = (Vec::new(), Learned::default());
        let mask = Mask::default();
        let mut talk = Talk::new(&scene, Permit::Send, &mut trace, &mut learned, mask);
        let ask = Ask {
            method: Method::POST,
            url: self.url.clone(),
            keys: HeaderMap::new(),
            cargo: Cargo::Signed {
                text: text.to_owned(),
                headers: signature(&self.keys, text, now),
            },
            expect: Expect {
                intent: Intent::Write,
                body: Body::Anything,
                meanings: &[],
                credentials: Credentials::Platform,
            },
        };
        match self.line.send(&mut talk, ask).await {
            Ok(_) => Ok(()),
            Err(
                Setback::KeyRefused(error)
                | Setback::Refused { error, .. }
                | Setback::ClientRefused { error, .. }
                | Setback::Rejected(error)
                | Setback::Ambiguous(error)
                | Setback::Unavailable { error, .. },
            ) => Err(error),
            Err(Setback::Held(away)) => Err(away.error.unwrap_or_default()),
            Err(Setback::Withheld | Setback::NeedsPerson(_)) => Err("not sent".to_owned()),
        }
    }
}
