//! WHMCS's API: a form in, JSON out that says in its body how it went. IO.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value};

use super::unheard::{Fault, Unheard, of_whmcs};
use super::{Told, Way};
use crate::domain::{Secret, ServiceStatus};
use crate::upstream::fields::text;
use crate::upstream::line::{Ask, Cargo};
use crate::upstream::refusals::Credentials;
use crate::upstream::talk::Talk;
use crate::upstream::wire::{Body, Expect, Intent, said};

/// A credential of WHMCS's API.
pub(super) struct Credential {
    pub(super) identifier: Secret,
    pub(super) secret: Secret,
}

impl Way {
    /// Sets the service's IP and host name; of a terminated service the IP is cleared. What is not
    /// known yet is left out: an empty field would wipe out what WHMCS has.
    pub(super) async fn tell_whmcs(
        &self,
        talk: &mut Talk<'_>,
        key: &Credential,
        told: &Told<'_>,
    ) -> Result<(), Unheard> {
        let mut fields = vec![
            ("action", "UpdateClientProduct".to_owned()),
            ("serviceid", told.service_id.to_owned()),
        ];
        let ended = text(told.body, "status") == ServiceStatus::Terminated.name();
        if ended {
            // The address is somebody else's soon.
            fields.push(("unset[]", "dedicatedip".to_owned()));
        }
        for (name, known) in [("dedicatedip", "ip"), ("domain", "hostname")] {
            let value = text(told.body, known);
            let wanted = !ended || known != "ip";
            if wanted && !value.is_empty() {
                fields.push((name, value));
            }
        }
        if fields.len() == 2 {
            return Ok(()); // there is nothing that WHMCS could be told
        }
        self.whmcs(talk, key, fields, Intent::Write).await.map(drop)
    }

    /// A harmless read.
    pub(super) async fn probe_whmcs(
        &self,
        talk: &mut Talk<'_>,
        key: &Credential,
    ) -> Result<String, Unheard> {
        let fields = vec![("action", "GetStats".to_owned())];
        self.whmcs(talk, key, fields, Intent::Read).await?;
        Ok("the WHMCS API answers".to_owned())
    }

    async fn whmcs(
        &self,
        talk: &mut Talk<'_>,
        key: &Credential,
        mut fields: Vec<(&'static str, String)>,
        intent: Intent,
    ) -> Result<Value, Unheard> {
        fields.push(("responsetype", "json".to_owned()));
        fields.push(("identifier", key.identifier.reveal().to_owned()));
        fields.push(("secret", key.secret.reveal().to_owned()));
        let shown: Map<String, Value> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
            .collect();
        let ask = Ask {
            method: Method::POST,
            url: self.url.clone(),
            keys: HeaderMap::new(),
            cargo: Cargo::Form {
                fields,
                shown: Value::Object(shown),
            },
            expect: Expect {
                intent,
                body: Body::Json,
                meanings: &[400, 401, 403, 404],
                credentials: Credentials::Platform,
            },
        };
        let source = self.source.as_str();
        let answer = self.line.send(talk, ask).await;
        let answer = answer.map_err(|setback| Unheard::of(setback, source, talk.now()))?;
        match text(&answer.body, "result").as_str() {
            "success" => Ok(answer.body),
            "error" => Err(of_whmcs(answer.status, &said(&answer.body), source)),
            _ => Err(Unheard::new(
                Fault::Silence,
                format!(
                    "the billing platform answered {} without a result",
                    answer.status
                ),
                Some(format!(
                    "is sources.{source}.report.url the address of WHMCS's includes/api.php?"
                )),
            )),
        }
    }
}
