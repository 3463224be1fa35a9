//! Null-routing a device's public IPv4 addresses, and taking our null routes away again. IO.
//!
//! A null route that an administrator or somebody else set is never touched.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::acting::Acting;
use super::devices::gone;
use super::{Call, Found, Hivelocity};
use crate::domain::{Again, Done, Outcome};
use crate::upstream::fields::{integer, text, texts};
use crate::upstream::talk::Talk;
use crate::upstream::wire::{Setback, said};

const NULL_ROUTES: &str = "/network/null-route";
/// Our null routes' comments begin like this.
const OURS: &str = "billhook";
/// So many in one attempt; the rest in the next, so that an attempt stays short.
const AT_ONCE: usize = 24;
/// After so many looks an accepted null route that no list shows is believed.
const LOOKS: u32 = 10;

struct NullRoute {
    ip: Ipv4Addr,
    ours: bool,
    comment: String,
}

/// What Hivelocity makes of a request about a null route.
enum Task {
    Done,
    UnderWay,
}

impl Hivelocity {
    /// Null-routes every public IPv4 of the device that is not null-routed yet.
    pub(super) async fn null_route(&self, talk: &mut Talk<'_>, tag: &str) -> Found<Outcome> {
        let acting = self.acting_or_rejected(talk).await?;
        let ips = self.public_ips(talk, &acting, tag).await?;
        if ips.is_empty() {
            return Ok(Outcome::AlreadySo(nothing_to_route()));
        }
        let listed = self.null_routes(talk, &acting).await?;
        let missing = missing(&ips, listed.as_deref());
        if missing.is_empty() {
            let asked = talk.scene.service.asked.as_ref();
            if asked.is_some_and(|asked| asked.may_remove_null_route(talk.scene.now)) {
                let words = "the null routes to stay: their removal was asked before";
                return Ok(waiting(words.to_owned()));
            }
            return Ok(Outcome::AlreadySo(routed(&ips)));
        }
        let mut under_way = missing.len() > AT_ONCE;
        for ip in missing.iter().take(AT_ONCE) {
            match self.set_null_route(talk, &acting, *ip).await? {
                Task::Done => {}
                Task::UnderWay => under_way = true,
            }
        }
        if !under_way || listed.is_none() && missing.len() <= AT_ONCE {
            return Ok(Outcome::Done(routed(&ips)));
        }
        let listed = self.null_routes(talk, &acting).await?;
        let left = self::missing(&ips, listed.as_deref()).len();
        if left == 0 || missing.len() <= AT_ONCE && talk.looks() >= LOOKS {
            return Ok(Outcome::Done(routed(&ips)));
        }
        Ok(waiting(format!(
            "{left} of {} IPs to be null-routed",
            ips.len()
        )))
    }

    async fn set_null_route(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        ip: Ipv4Addr,
    ) -> Found<Task> {
        let service = talk.scene.service_id.unwrap_or("(unknown)");
        let comment = format!("{OURS}: service {service} suspended");
        let body = json!({"ip": ip.to_string(), "comment": comment});
        let call = Call::post(NULL_ROUTES).body(body).meaning(&[400, 409, 422]);
        let answer = self.call(talk, acting, call).await?;
        let words = said(&answer.body);
        match answer.status {
            200..=299 => task(ip, &answer.body),
            _ if words.to_ascii_lowercase().contains("already") => Ok(Task::Done),
            status => Err(Setback::Rejected(format!(
                "Hivelocity answered {status} to null-routing {ip}: {words}"
            ))),
        }
    }

    /// Takes our null routes of the device's IPs away.
    pub(super) async fn remove_null_route(&self, talk: &mut Talk<'_>, tag: &str) -> Found<Outcome> {
        let acting = self.acting_or_rejected(talk).await?;
        let ips = self.public_ips(talk, &acting, tag).await?;
        if ips.is_empty() {
            return Ok(Outcome::AlreadySo(nothing_to_route()));
        }
        let listed = self.null_routes(talk, &acting).await?;
        let ours = removable(&ips, listed.as_deref());
        let left_alone = left_alone(&ips, listed.as_deref());
        let asked = talk.scene.service.asked.as_ref();
        let all_shown = ours.len() + left_alone.len() >= ips.len();
        if !all_shown && asked.is_some_and(|asked| asked.may_null_route(talk.scene.now)) {
            self.remove(talk, &acting, &ours).await?;
            let words = "null routes that were asked for and do not show yet";
            return Ok(waiting(words.to_owned()));
        }
        if ours.is_empty() {
            return Ok(Outcome::AlreadySo(cleared(&ours, &left_alone)));
        }
        let under_way = self.remove(talk, &acting, &ours).await?;
        if !under_way || listed.is_none() && ours.len() <= AT_ONCE {
            return Ok(Outcome::Done(cleared(&ours, &left_alone)));
        }
        let listed = self.null_routes(talk, &acting).await?;
        let left = removable(&ips, listed.as_deref()).len();
        if left == 0 {
            return Ok(Outcome::Done(cleared(&ours, &left_alone)));
        }
        Ok(waiting(format!("{left} null routes to be taken away")))
    }

    /// Takes these null routes away, a few at once; answers whether that is still under way.
    async fn remove(&self, talk: &mut Talk<'_>, acting: &Acting, ours: &[Ipv4Addr]) -> Found<bool> {
        let mut under_way = ours.len() > AT_ONCE;
        for ip in ours.iter().take(AT_ONCE) {
            let call = Call::delete(format!("{NULL_ROUTES}/{ip}")).meaning(&[404]);
            let answer = self.call(talk, acting, call).await?;
            // A null route that is not there any more is one that was taken away.
            let result = if answer.status == 404 {
                Task::Done
            } else {
                task(*ip, &answer.body)?
            };
            under_way |= matches!(result, Task::UnderWay);
        }
        Ok(under_way)
    }

    /// The device's public IPv4 addresses, the primary one included.
    async fn public_ips(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
        tag: &str,
    ) -> Found<BTreeSet<Ipv4Addr>> {
        let (id, device) = self.located(talk, acting, tag).await?;
        let call = Call::get(format!("/device/{id}/ips")).meaning(&[400, 404]);
        let answer = self.call(talk, acting, call).await?;
        if answer.status == 404 {
            return Err(gone(id));
        }
        let shown = device.and_then(|device| device.ip);
        let primary = talk.scene.service.ip.iter().chain(shown.iter()).cloned();
        let assigned = answer
            .body
            .as_array()
            .into_iter()
            .flatten()
            .filter(|part| is_version_4(part));
        let ips: BTreeSet<Ipv4Addr> = assigned
            .flat_map(|part| texts(part, "usableIps"))
            .chain(primary)
            .filter_map(|text| text.trim().parse().ok())
            .filter(|ip| is_public(*ip))
            .collect();
        Ok(ips)
    }

    /// The null routes there are; none where they cannot be listed at all.
    async fn null_routes(
        &self,
        talk: &mut Talk<'_>,
        acting: &Acting,
    ) -> Found<Option<Vec<NullRoute>>> {
        let call = Call::get(NULL_ROUTES).meaning(&[404, 405]);
        let answer = self.call(talk, acting, call).await?;
        match answer.body {
            _ if answer.status >= 400 => Ok(None),
            Value::Array(list) => Ok(Some(list.iter().filter_map(NullRoute::read).collect())),
            _other => Err(Setback::unavailable(
                "Hivelocity did not answer with a list of null routes",
            )),
        }
    }
}

impl NullRoute {
    fn read(value: &Value) -> Option<Self> {
        let ip = text(value, "ip").parse().ok()?;
        let comment = text(value, "comment");
        let by_admin = value
            .get("adminId")
            .and_then(integer)
            .is_some_and(|id| id != 0);
        Some(Self {
            ip,
            ours: comment.starts_with(OURS) && !by_admin,
            comment,
        })
    }
}

fn missing(ips: &BTreeSet<Ipv4Addr>, listed: Option<&[NullRoute]>) -> Vec<Ipv4Addr> {
    let routed = |ip: &Ipv4Addr| listed.into_iter().flatten().any(|route| route.ip == *ip);
    ips.iter().copied().filter(|ip| !routed(ip)).collect()
}

fn removable(ips: &BTreeSet<Ipv4Addr>, listed: Option<&[NullRoute]>) -> Vec<Ipv4Addr> {
    let Some(listed) = listed else {
        return ips.iter().copied().collect();
    };
    let ours = |ip: &Ipv4Addr| listed.iter().any(|route| route.ip == *ip && route.ours);
    ips.iter().copied().filter(ours).collect()
}

fn left_alone(ips: &BTreeSet<Ipv4Addr>, listed: Option<&[NullRoute]>) -> Vec<String> {
    let foreign = listed.into_iter().flatten();
    let foreign = foreign.filter(|route| !route.ours && ips.contains(&route.ip));
    foreign
        .map(|route| format!("{} ({})", route.ip, route.comment))
        .collect()
}

/// What the answer says of the task; Hivelocity means "pending" by an absent result.
fn task(ip: Ipv4Addr, body: &Value) -> Found<Task> {
    match text(body, "result").to_ascii_lowercase().as_str() {
        "success" => Ok(Task::Done),
        "failed" => Err(Setback::unavailable(format!(
            "Hivelocity could not change the null route of {ip} (result Failed)"
        ))),
        _ => Ok(Task::UnderWay),
    }
}

fn is_version_4(assignment: &Value) -> bool {
    match assignment.get("version").and_then(integer) {
        Some(version) => version == 4,
        None => !text(assignment, "version").ends_with('6'),
    }
}

/// Documentation ranges count as public: they are what test accounts are given.
fn is_public(ip: Ipv4Addr) -> bool {
    let [first, second, _, last] = ip.octets();
    let carrier_grade = first == 100 && (64..128).contains(&second);
    let network_itself = first == 0 || (first >= 224 && last == 255) || ip.is_multicast();
    !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || carrier_grade || network_itself)
}

fn waiting(waiting_for: String) -> Outcome {
    Outcome::NotYet {
        waiting_for,
        again: Again::Soon,
    }
}

/// A null route takes a public IPv4. A device without one goes dark in another way.
fn nothing_to_route() -> Done {
    Done {
        output: json!({"null_routed": [], "note": "the device has no public IPv4 at Hivelocity"}),
        ..Done::default()
    }
}

fn routed(ips: &BTreeSet<Ipv4Addr>) -> Done {
    Done {
        output: json!({"null_routed": ips}),
        ..Done::default()
    }
}

fn cleared(ips: &[Ipv4Addr], left_alone: &[String]) -> Done {
    let mut output = json!({"null_route_removed": ips});
    if !left_alone.is_empty() {
        output["left_alone"] = json!(left_alone);
    }
    Done {
        output,
        ..Done::default()
    }
}
