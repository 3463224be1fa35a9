//! Licences at 1H, known there by product and IP. IO.

use serde_json::{Value, json};

use super::errors::{Command, Meaning};
use super::{Found, OneH, Reply, filled, filled_ip};
use crate::domain::{Done, Licence, Outcome};
use crate::upstream::fields::text;
use crate::upstream::talk::Talk;
use crate::upstream::wire::Setback;

/// A licence as 1H lists it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    product: String,
    ip: String,
    user: String,
    active: bool,
}

impl Listed {
    fn read(value: &Value) -> Self {
        let active = match value.get("active") {
            Some(Value::Bool(active)) => *active,
            Some(_) | None => text(value, "active") == "1",
        };
        Self {
            product: text(value, "product"),
            ip: text(value, "license_ip"),
            user: text(value, "user"),
            active,
        }
    }

    fn is(&self, product: &str, ip: &str) -> bool {
        self.product.eq_ignore_ascii_case(product) && self.ip == ip
    }

    /// Whether it belongs to the sub-user; without one any of the account's counts.
    fn belongs_to(&self, username: Option<&str>) -> bool {
        username.is_none_or(|name| self.user.is_empty() || self.user == name)
    }
}

impl OneH {
    /// The licences of a sub-user, or of the whole account; none when the sub-user is not one of
    /// this account's.
    pub(super) async fn licences(
        &self,
        talk: &mut Talk<'_>,
        username: Option<&str>,
    ) -> Found<Option<Vec<Listed>>> {
        let params = json!({"username": username});
        let response = match self.command(talk, Command::GetLicenses, params).await? {
            Reply::Yes(response) => response,
            Reply::No(Meaning::NotOurs, _) => return Ok(None),
            Reply::No(_, words) => return Err(Setback::Rejected(words)),
        };
        match (response.get("licenses"), &response) {
            (Some(Value::Array(list)), _) => Ok(Some(list.iter().map(Listed::read).collect())),
            // PHP writes an empty object as an empty list.
            (Some(Value::Null) | None, Value::Array(list)) if list.is_empty() => {
                Ok(Some(Vec::new()))
            }
            (Some(Value::Null) | None, Value::Object(_) | Value::Null) => Ok(Some(Vec::new())),
            (Some(Value::Object(none)), _) if none.is_empty() => Ok(Some(Vec::new())),
            _ => Err(Setback::unavailable(
                "1H listed licences in an unknown form",
            )),
        }
    }

    /// Activates a licence unless it is active already.
    pub(super) async fn add_license(
        &self,
        talk: &mut Talk<'_>,
        product: &str,
        ip: &str,
        username: Option<&str>,
        label: &str,
    ) -> Found<Outcome> {
        let ip = filled_ip(talk, "licence", ip)?;
        let label = filled(talk, "licence's label", label)?;
        let listed = self.licences(talk, username).await?.unwrap_or_default();
        let ours = |l: &Listed| l.is(product, &ip) && l.active && l.belongs_to(username);
        if listed.iter().any(ours) {
            return Ok(Outcome::AlreadySo(added(talk, product, &ip)));
        }
        let mut params = json!({"product": product, "ip": ip});
        if let Some(username) = username {
            params["username"] = Value::from(username);
        }
        if !label.is_empty() {
            params["label"] = Value::from(label);
        }
        match self.command(talk, Command::AddLicense, params).await? {
            Reply::Yes(_) => Ok(Outcome::Done(added(talk, product, &ip))),
            Reply::No(Meaning::Licensed, words) => {
                self.licensed(talk, product, &ip, username, &words).await
            }
            Reply::No(_, words) => Err(Setback::Rejected(words)),
        }
    }

    /// 1H says that this account has the licence: is it this sub-user's?
    async fn licensed(
        &self,
        talk: &mut Talk<'_>,
        product: &str,
        ip: &str,
        username: Option<&str>,
        words: &str,
    ) -> Found<Outcome> {
        let listed = self.licences(talk, None).await?.unwrap_or_default();
        let same: Vec<&Listed> = listed.iter().filter(|l| l.is(product, ip)).collect();
        if same.iter().any(|l| l.active && l.belongs_to(username)) {
            return Ok(Outcome::AlreadySo(added(talk, product, ip)));
        }
        let why = match same.iter().find(|l| l.active).or(same.first()) {
            Some(other) if other.active => {
                format!(
                    "it is held by the sub-user {}; remove it there first",
                    other.user
                )
            }
            Some(_) => "it is listed as not active; have 1H look at it".to_owned(),
            None => "it is not in the account's list; have 1H look at it".to_owned(),
        };
        Err(Setback::Rejected(format!(
            "{product} on {ip}: {words}; {why}"
        )))
    }

    /// Removes a licence. The look before keeps it from being taken from somebody else who was
    /// given the same IP since.
    pub(super) async fn remove_license(
        &self,
        talk: &mut Talk<'_>,
        product: &str,
        ip: &str,
        user: Option<&str>,
        suspension: bool,
    ) -> Found<Outcome> {
        let ip = filled_ip(talk, "licence", ip)?;
        let listed = self.licences(talk, None).await?.unwrap_or_default();
        // A suspended sub-user's licences are listed as inactive and come back with it: they are
        // removed like active ones. Of several listings the active one counts.
        let mut held = listed.iter().filter(|l| l.is(product, &ip));
        let first = held.next();
        let holder = first
            .filter(|l| l.active)
            .or_else(|| held.find(|l| l.active))
            .or(first);
        let Some(holder) = holder else {
            return Ok(Outcome::AlreadySo(removed(
                talk, product, &ip, suspension, None,
            )));
        };
        if !holder.belongs_to(user) {
            let note = format!(
                "the licence on {ip} is held by sub-user {} now",
                holder.user
            );
            return Ok(Outcome::AlreadySo(removed(
                talk,
                product,
                &ip,
                suspension,
                Some(&note),
            )));
        }
        let params = json!({"product": product, "ip": ip});
        match self.command(talk, Command::RemoveLicense, params).await? {
            Reply::Yes(_) => Ok(Outcome::Done(removed(talk, product, &ip, suspension, None))),
            Reply::No(Meaning::NoLicence, _) => Ok(Outcome::AlreadySo(removed(
                talk, product, &ip, suspension, None,
            ))),
            Reply::No(Meaning::NotOurs, words) => Err(Setback::Rejected(format!(
                "1H does not let this account remove {product} on {ip}: {words}"
            ))),
            Reply::No(_, words) => Err(Setback::Rejected(words)),
        }
    }
}

fn licence(product: &str, ip: &str) -> Licence {
    Licence {
        product: product.to_owned(),
        ip: ip.to_owned(),
    }
}

fn with(mut licences: Vec<Licence>, one: Licence) -> Vec<Licence> {
    licences.push(one);
    licences.sort();
    licences.dedup();
    licences
}

fn without(licences: &[Licence], one: &Licence) -> Vec<Licence> {
    licences
        .iter()
        .filter(|held| *held != one)
        .cloned()
        .collect()
}

fn added(talk: &Talk<'_>, product: &str, ip: &str) -> Done {
    let state = talk.scene.service;
    let one = licence(product, ip);
    Done {
        output: json!({"product": product, "ip": ip}),
        service: json!({
            "licenses": with(state.licenses.clone(), one.clone()),
            "licenses_suspended": without(&state.licenses_suspended, &one),
        }),
        ..Done::default()
    }
}

fn removed(talk: &Talk<'_>, product: &str, ip: &str, suspension: bool, note: Option<&str>) -> Done {
    let state = talk.scene.service;
    let one = licence(product, ip);
    let suspended = if suspension {
        with(state.licenses_suspended.clone(), one.clone())
    } else {
        without(&state.licenses_suspended, &one)
    };
    let mut output = json!({"product": product, "ip": ip});
    if let Some(note) = note {
        output["note"] = Value::from(note);
    }
    Done {
        output,
        service: json!({
            "licenses": without(&state.licenses, &one),
            "licenses_suspended": suspended,
        }),
        ..Done::default()
    }
}
