//! The way to the stand-ins: requests take a moment there and back in the runtime's time, and
//! all are counted.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use billhook::domain::time::{Clock as _, Timestamp};
use billhook::sandbox::{Reply, Suppliers};
use billhook::upstream::{Carry, Parcel, RateLimit, Raw, Received};

use super::stopped::StoppedClock;

/// How long a request is under way, there and back each.
const ONE_WAY: Duration = Duration::from_millis(40);

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When.
    pub at: Timestamp,
    /// Method and path without what differs from one to the next; a query that switches stays.
    pub route: String,
    /// What was answered.
    pub status: u16,
}

/// The way, with a note of every request to Hivelocity.
#[derive(Clone, Debug)]
pub struct Wire {
    suppliers: Arc<Suppliers>,
    clock: Arc<StoppedClock>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Wire {
    /// A way to these suppliers.
    pub fn new(suppliers: Suppliers, clock: &Arc<StoppedClock>) -> Self {
        Self {
            suppliers: Arc::new(suppliers),
            clock: Arc::clone(clock),
            seen: Arc::default(),
        }
    }

    /// The requests to Hivelocity that arrived from `from` until before `to`.
    pub fn seen(&self, from: Timestamp, to: Timestamp) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let within = |one: &&Seen| one.at >= from && one.at < to;
        seen.iter().filter(within).cloned().collect()
    }

    /// What they hold.
    pub fn suppliers(&self) -> &Suppliers {
        &self.suppliers
    }

    fn arrives(&self, parcel: Parcel) -> Reply {
        let query = parcel.url.query().map(|query| format!("?{query}"));
        let target = format!("{}{}", parcel.url.path(), query.unwrap_or_default());
        let route = route(&parcel);
        let reply = self
            .suppliers
            .perform(&parcel.method, &target, parcel.headers, parcel.body);
        if let Some(route) = route {
            let (at, status) = (self.clock.now(), reply.status);
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(Seen { at, route, status });
        }
        reply
    }
}

impl Carry for Wire {
    fn carry(&self, parcel: Parcel) -> Pin<Box<dyn Future<Output = Received> + Send>> {
        let wire = self.clone();
        Box::pin(async move {
            tokio::time::sleep(ONE_WAY).await;
            let reply = wire.arrives(parcel);
            tokio::time::sleep(ONE_WAY).await;
            received(&reply)
        })
    }

    fn sleeps(&self) -> bool {
        true
    }
}

fn received(reply: &Reply) -> Received {
    let header = |name: &str| {
        let named = reply
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    };
    let rate = RateLimit::read(
        header("x-ratelimit-limit"),
        header("x-ratelimit-remaining"),
        header("x-ratelimit-reset"),
    );
    let raw = Raw::new(
        reply.status,
        reply.content_type.to_owned(),
        reply.retry_after.map(|seconds| seconds.to_string()),
        String::from_utf8_lossy(&reply.body).into_owned(),
    );
    Received::Answered(raw.with_rate(rate))
}

/// None for a request to 1H.
fn route(parcel: &Parcel) -> Option<String> {
    let path = parcel.url.path().strip_prefix("/api/v2")?;
    let number = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let plain = |part: &str| {
        let varies = !part.is_empty() && number(part);
        if varies { "{id}" } else { part }.to_owned()
    };
    let path: Vec<String> = path.split('/').map(plain).collect();
    let mut query = parcel.url.query_pairs();
    let action = query.find(|(name, _)| name == "action");
    let action = action.map(|(_, action)| format!("?action={action}"));
    let (method, path) = (&parcel.method, path.join("/"));
    Some(format!("{method} {path}{}", action.unwrap_or_default()))
}

/// How often each route was asked.
pub fn by_route(seen: &[Seen]) -> BTreeMap<&str, usize> {
    let mut routes = BTreeMap::new();
    for one in seen {
        *routes.entry(one.route.as_str()).or_default() += 1;
    }
    routes
}

/// The most that arrived within any second.
pub fn most_in_a_second(seen: &[Seen]) -> usize {
    let second = Duration::from_secs(1);
    let within = |(index, first): (usize, &Seen)| {
        let rest = seen.get(index..).unwrap_or_default();
        rest.iter()
            .take_while(|one| one.at.since(first.at) < second)
            .count()
    };
    seen.iter().enumerate().map(within).max().unwrap_or(0)
}
