//! What 1H holds — sub-users, licences, portals — and what its ten commands do to it. No HTTP and
//! no credentials. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};

use super::calendar::Calendar;
use super::one_h::{Failure, Params, invalid};
use super::snapshot::{Ledger, LicenceSnapshot, PortalSnapshot, SubUserSnapshot};

/// The name of the account's main user.
const MASTER: &str = "master";
/// A user of somebody else's account: names are unique in all of 1H.
const FOREIGN: &str = "foreign";
const PRODUCTS: [&str; 5] = ["Hive", "Guardian", "Hawk", "Digits", "Portal"];
const LICENCE_TERM: Duration = Duration::from_hours(30 * 24);

#[derive(Debug)]
struct SubUser {
    email: String,
    name: String,
    suspended: bool,
    portal: Option<Portal>,
}

#[derive(Debug)]
struct Portal {
    ip: Ipv4Addr,
    domain: String,
}

#[derive(Debug)]
struct Licence {
    user: String,
    label: Option<String>,
    activated: Duration,
}

/// Everything 1H holds.
#[derive(Debug, Default)]
pub(super) struct Registry {
    users: BTreeMap<String, SubUser>,
    licences: BTreeMap<Ipv4Addr, BTreeMap<String, Licence>>,
}

impl Registry {
    /// Does what the command says.
    pub(super) fn perform(
        &mut self,
        command: &str,
        params: &Params,
        ledger: &mut Ledger,
        now: Duration,
        calendar: Calendar,
    ) -> Result<Value, Failure> {
        match command {
            "get_licenses" => return self.get_licenses(params, calendar),
            "add_user" => self.add_user(params, ledger)?,
            "update_user" => self.update_user(params, ledger)?,
            "suspend_user" => self.set_suspended(params, true, ledger)?,
            "unsuspend_user" => self.set_suspended(params, false, ledger)?,
            "add_license" => self.add_license(params, ledger, now)?,
            "remove_license" => self.remove_license(params, ledger)?,
            "add_portal" => self.add_portal(params, ledger)?,
            "update_portal" => self.update_portal(params, ledger)?,
            _ => return Err(Failure::of(11, format!("Command not supported: {command}"))),
        }
        Ok(json!([]))
    }

    /// The sub-users for a snapshot.
    pub(super) fn user_snapshots(&self) -> Vec<SubUserSnapshot> {
        let shown = |(username, user): (&String, &SubUser)| SubUserSnapshot {
            username: username.clone(),
            email: user.email.clone(),
            name: user.name.clone(),
            suspended: user.suspended,
        };
        self.users.iter().map(shown).collect()
    }

    /// The licences for a snapshot.
    pub(super) fn licence_snapshots(&self) -> Vec<LicenceSnapshot> {
        let shown = |(ip, product, licence): (Ipv4Addr, &String, &Licence)| LicenceSnapshot {
            product: product.clone(),
            ip: ip.to_string(),
            user: licence.user.clone(),
            label: licence.label.clone(),
            active: self.is_active(licence),
        };
        self.all_licences().map(shown).collect()
    }

    /// The portals for a snapshot.
    pub(super) fn portal_snapshots(&self) -> Vec<PortalSnapshot> {
        let shown = |(username, user): (&String, &SubUser)| {
            user.portal.as_ref().map(|portal| PortalSnapshot {
                username: username.clone(),
                ip: portal.ip.to_string(),
                portal_domain: portal.domain.clone(),
            })
        };
        self.users.iter().filter_map(shown).collect()
    }

    fn add_user(&mut self, params: &Params, ledger: &mut Ledger) -> Result<(), Failure> {
        let username = params.text("username")?;
        params.text("password")?;
        let (email, name) = (email(params.text("email")?)?, params.text("name")?);
        let plain = username.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !plain || username.len() > 64 {
            return Err(invalid("username", "letters and digits are expected"));
        }
        let taken = username == MASTER || username == FOREIGN;
        if taken || self.users.contains_key(username) {
            return Err(Failure::of(17, "A user already exists under this username"));
        }
        let user = SubUser {
            email,
            name: name.to_owned(),
            suspended: false,
            portal: None,
        };
        self.users.insert(username.to_owned(), user);
        *ledger.effects.users.entry(username.to_owned()).or_default() += 1;
        Ok(())
    }

    fn update_user(&mut self, params: &Params, ledger: &mut Ledger) -> Result<(), Failure> {
        let username = params.text("username")?;
        let new_email = params.optional("email")?.map(email).transpose()?;
        let new_name = params.optional("name")?;
        if username == MASTER {
            return Err(Failure::of(56, "Cannot update master user"));
        }
        let user = self.sub_user(username)?;
        user.email = new_email.unwrap_or_else(|| user.email.clone());
        user.name = new_name.map_or_else(|| user.name.clone(), str::to_owned);
        ledger.acted("update_user", username);
        Ok(())
    }

    fn set_suspended(
        &mut self,
        params: &Params,
        suspended: bool,
        ledger: &mut Ledger,
    ) -> Result<(), Failure> {
        let username = params.text("username")?;
        if username == MASTER {
            let (number, verb) = if suspended {
                (44, "suspend")
            } else {
                (46, "unsuspend")
            };
            return Err(Failure::of(number, format!("Cannot {verb} master user")));
        }
        self.sub_user(username)?.suspended = suspended;
        ledger.acted(
            if suspended {
                "suspend_user"
            } else {
                "unsuspend_user"
            },
            username,
        );
        Ok(())
    }

    fn add_license(
        &mut self,
        params: &Params,
        ledger: &mut Ledger,
        now: Duration,
    ) -> Result<(), Failure> {
        let (product, ip) = (product(params)?, address(params.text("ip")?)?);
        let label = params.optional("label")?.map(str::to_owned);
        let user = params.optional("username")?.unwrap_or(MASTER);
        if user != MASTER {
            self.sub_user(user)?;
        }
        let on_this_ip = self.licences.entry(ip).or_default();
        if on_this_ip.values().any(|licence| licence.user != user) {
            return Err(Failure::of(
                32,
                "This IP is already taken by a different user.",
            ));
        }
        if on_this_ip.contains_key(product) {
            return Err(Failure::of(
                34,
                format!("You already have {product} license for this IP."),
            ));
        }
        let licence = Licence {
            user: user.to_owned(),
            label,
            activated: now,
        };
        on_this_ip.insert(product.to_owned(), licence);
        *ledger
            .effects
            .licences
            .entry(format!("{product}@{ip}"))
            .or_default() += 1;
        Ok(())
    }

    fn remove_license(&mut self, params: &Params, ledger: &mut Ledger) -> Result<(), Failure> {
        let (product, ip) = (product(params)?, address(params.text("ip")?)?);
        let removed = self
            .licences
            .get_mut(&ip)
            .and_then(|here| here.remove(product));
        if removed.is_none() {
            let text = format!("Service record not found for {product} for ip {ip}");
            return Err(Failure::of(38, text));
        }
        ledger.acted("remove_license", format!("{product}@{ip}"));
        Ok(())
    }

    fn get_licenses(&mut self, params: &Params, calendar: Calendar) -> Result<Value, Failure> {
        let wanted = params.optional("username")?;
        if let Some(username) = wanted.filter(|name| *name != MASTER) {
            self.sub_user(username)?;
        }
        let found = self
            .all_licences()
            .filter(|(_, _, licence)| wanted.is_none_or(|username| username == licence.user));
        let shown = found.map(|(ip, product, licence)| {
            json!({
                "product": product,
                "license_ip": ip,
                "user": licence.user,
                "description": licence.label,
                "date_activated": calendar.date(licence.activated),
                "date_expires": calendar.date(licence.activated + LICENCE_TERM),
                "active": if self.is_active(licence) { "1" } else { "0" },
            })
        });
        Ok(json!({"licenses": shown.collect::<Value>()}))
    }

    fn add_portal(&mut self, params: &Params, ledger: &mut Ledger) -> Result<(), Failure> {
        let (username, ip) = (params.text("username")?, address(params.text("ip")?)?);
        let domain = domain(params.text("portal_domain")?)?;
        let user = self.sub_user(username)?;
        if user.portal.is_some() {
            return Err(Failure::of(
                48,
                "You already have active portal for this user",
            ));
        }
        user.portal = Some(Portal { ip, domain });
        *ledger
            .effects
            .portals
            .entry(username.to_owned())
            .or_default() += 1;
        Ok(())
    }

    fn update_portal(&mut self, params: &Params, ledger: &mut Ledger) -> Result<(), Failure> {
        let username = params.text("username")?;
        let new_ip = params.optional("ip")?.map(address).transpose()?;
        let new_domain = params.optional("portal_domain")?.map(domain).transpose()?;
        if new_ip.is_none() && new_domain.is_none() {
            return Err(Failure::of(14, "Missing param: ip or portal_domain"));
        }
        let Some(portal) = &mut self.sub_user(username)?.portal else {
            return Err(Failure::of(
                52,
                "You do NOT have active portal for this user",
            ));
        };
        portal.ip = new_ip.unwrap_or(portal.ip);
        portal.domain = new_domain.unwrap_or_else(|| portal.domain.clone());
        ledger.acted("update_portal", username);
        Ok(())
    }

    fn sub_user(&mut self, username: &str) -> Result<&mut SubUser, Failure> {
        let user = self.users.get_mut(username);
        user.ok_or_else(|| Failure::of(22, "This user is not associated with your client account"))
    }

    fn all_licences(&self) -> impl Iterator<Item = (Ipv4Addr, &String, &Licence)> {
        self.licences.iter().flat_map(|(ip, here)| {
            here.iter()
                .map(move |(product, licence)| (*ip, product, licence))
        })
    }

    fn is_active(&self, licence: &Licence) -> bool {
        !self
            .users
            .get(&licence.user)
            .is_some_and(|user| user.suspended)
    }
}

fn product(params: &Params) -> Result<&str, Failure> {
    let product = params.text("product")?;
    if PRODUCTS.contains(&product) {
        Ok(product)
    } else {
        Err(invalid("product", "there is no such product"))
    }
}

fn address(text: &str) -> Result<Ipv4Addr, Failure> {
    text.parse()
        .map_err(|_| invalid("ip", "an IPv4 address is expected"))
}

fn email(text: &str) -> Result<String, Failure> {
    let whole = text
        .split_once('@')
        .is_some_and(|(who, host)| !who.is_empty() && !host.is_empty());
    if whole {
        Ok(text.to_owned())
    } else {
        Err(invalid("email", "an address is expected"))
    }
}

fn domain(text: &str) -> Result<String, Failure> {
    let plain = text.contains('.') && !text.contains(|c: char| c.is_whitespace() || c == '/');
    if plain {
        Ok(text.to_owned())
    } else {
        Err(invalid("portal_domain", "a domain is expected"))
    }
}
