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

/// A part of an address that is shorter is a word rather than what allows to post.
const SHORTEST_TOKEN: usize = 9;

/// Where alerts go.
pub struct Herald {
    line: Line,
    url: Url,
    keys: Keys,
    /// What the receiver may repeat and nobody is to read.
    secrets: Mask,
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
        let secrets = secrets(&url, secret);
        Ok(Self {
            line,
            url,
            keys,
            secrets,
        })
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
        let mask = self.secrets.clone();
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
            ) => Err(self.secrets.text(&error)),
            Err(Setback::Held(away)) => Err(self.secrets.text(&away.error.unwrap_or_default())),
            Err(Setback::Withheld | Setback::NeedsPerson(_)) => Err("not sent".to_owned()),
        }
    }
}

/// Besides the signing secret: chat services put what allows to post into the address.
fn secrets(url: &Url, secret: &Secret) -> Mask {
    let mut mask = Mask::default();
    mask.add(secret);
    let segments = url.path_segments().into_iter().flatten();
    let values: Vec<String> = url
        .query_pairs()
        .map(|(_, value)| value.into_owned())
        .collect();
    let parts = segments
        .chain(values.iter().map(String::as_str))
        .chain(url.password())
        .filter(|part| part.len() >= SHORTEST_TOKEN);
    for part in parts {
        mask.add(&Secret::new(part));
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_address_allows_is_not_repeated() {
        let url = Url::parse(
            "https://u:passwords@hooks.example/services/T0AB12CD34/xyzxyzxyz?key=abcdefgh1",
        )
        .unwrap();
        let mask = secrets(&url, &Secret::new("whsec_c2VjcmV0"));
        let said = "no_team T0AB12CD34 xyzxyzxyz abcdefgh1 passwords whsec_c2VjcmV0 at /services";
        assert_eq!(mask.text(said), "no_team *** *** *** *** *** at /services");
    }
}
