//! From a request's bytes to a delivery with its runs on disk, or to a refusal that says why.
//!
//! The signature is checked over the raw bytes before anything is parsed or looked up. IO: the
//! store alone.

mod by_hand;
mod claims;
mod installation;
mod keep;
mod refused;
mod unmatched;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;

use crate::catalogue::Catalogue;
use crate::domain::event::{Event, EventType, OrderedService};
use crate::domain::id::{DeliveryId, IdSource, RunId};
use crate::domain::run::{Lane, OrderKey};
use crate::domain::time::{Clock, Timestamp};
use crate::normalise;
use crate::store::{DeliveryVerdict, NewDelivery, NewRun, Receipt, Store, StoreError};
use crate::verify::{self, Keys, Verified};

use claims::{check_content, judge, signed_headers};

pub use by_hand::ByHand;
pub use installation::Installation;
pub use refused::Refused;
pub use unmatched::{Unmatched, UnmatchedOrder, UnmatchedOrders};

/// One configured sender.
#[derive(Debug)]
pub struct Source {
    /// Its name, which is its path.
    pub name: Arc<str>,
    /// Its secrets.
    pub keys: Keys,
    /// How old or how far ahead a signature may be.
    pub tolerance: Duration,
    /// From where it may send; empty: from anywhere.
    pub allow_ips: Vec<IpNet>,
    /// The installation that it belongs to.
    pub installation: Installation,
}

impl Source {
    /// Whether a request may come from this address.
    pub fn allows(&self, remote: IpAddr) -> bool {
        let remote = remote.to_canonical();
        self.allow_ips.is_empty() || self.allow_ips.iter().any(|net| net.contains(&remote))
    }
}

/// A request as it came in.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// Where it came from.
    pub remote: IpAddr,
    /// Every header, in order.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// The bytes.
    pub body: Vec<u8>,
}

/// What became of a request.
#[derive(Debug)]
pub enum Reception {
    /// On disk, with its runs.
    Accepted {
        /// The delivery.
        delivery: DeliveryId,
        /// Its runs.
        runs: Vec<RunId>,
        /// Whether another run of a lane of theirs is unfinished.
        crowded: bool,
        /// What was paid and is not built.
        unmatched: Vec<Unmatched>,
        /// Services of the event that were never ordered here.
        unknown: Vec<String>,
    },
    /// The same delivery again.
    Duplicate {
        /// The first one.
        of: DeliveryId,
        /// The first one's runs.
        runs: Vec<RunId>,
    },
    /// Verified, but there is nothing to do.
    Ignored {
        /// The delivery.
        delivery: DeliveryId,
        /// What happened; none where the type is not one Billhook knows.
        kind: Option<EventType>,
        /// Why.
        reason: String,
        /// What was paid and is not built.
        unmatched: Vec<Unmatched>,
        /// Services of the event that were never ordered here: never taken for success.
        unknown: Vec<String>,
    },
}

/// Receives for all sources.
#[derive(Debug)]
pub struct Receiver {
    sources: BTreeMap<String, Source>,
    catalogue: Arc<Catalogue>,
    store: Store,
    ids: Arc<IdSource>,
    clock: Arc<dyn Clock>,
    /// How many requests that did not verify are kept.
    strangers: DefaultDirectRateLimiter,
    /// Paid orders that nothing in the catalogue matches.
    unmatched: unmatched::Tally,
    /// Whether what was only planned counts as ordered.
    in_dry_runs: bool,
}

/// Of requests that did not verify this many are kept at once …
const STRANGERS_AT_ONCE: NonZeroU32 = NonZeroU32::new(1000).expect("not zero");
/// … and then one a second, each with at most this many bytes of its body.
const STRANGERS_BYTES: usize = 4096;

impl Receiver {
    /// A receiver for these sources.
    pub fn new(
        sources: BTreeMap<String, Source>,
        catalogue: Arc<Catalogue>,
        store: Store,
        ids: Arc<IdSource>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let quota = Quota::per_second(NonZeroU32::MIN).allow_burst(STRANGERS_AT_ONCE);
        Self {
            sources,
            catalogue,
            store,
            ids,
            clock,
            strangers: RateLimiter::direct(quota),
            unmatched: unmatched::Tally::default(),
            in_dry_runs: false,
        }
    }

    /// The same where nothing is carried out, or (without `dry_run`) where it is.
    #[must_use]
    pub fn planning_only(mut self, dry_run: bool) -> Self {
        self.in_dry_runs = dry_run;
        self
    }

    /// The source of that name.
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.get(name)
    }

    /// The names of all sources.
    pub fn source_names(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }

    /// Judges a request and keeps it.
    pub async fn receive(
        &self,
        source: &Source,
        incoming: Incoming<'_>,
    ) -> Result<Reception, Refused> {
        let now = self.clock.now();
        let verified = match judge(source, &incoming, now) {
            Ok(verified) => verified,
            Err(refused) => {
                self.reject(source, incoming, None, &refused, now).await;
                return Err(refused);
            }
        };
        match self.understand(source, &incoming, &verified, now).await {
            Ok(Understood {
                event,
                parts,
                reason,
                unmatched,
            }) => {
                let kept = self.keep(source, incoming, &verified, event, parts, reason, now);
                let reception = kept.await?;
                Ok(self.say_unmatched(source, reception, unmatched, now))
            }
            Err(refused) => {
                self.reject(source, incoming, Some(&verified), &refused, now)
                    .await;
                Err(refused)
            }
        }
    }

    /// Refuses by its headers what cannot verify whatever its body is.
    pub fn glance(&self, source: &Source, incoming: &Incoming<'_>) -> Result<(), Refused> {
        let now = self.clock.now();
        signed_headers(incoming, |headers| {
            verify::claimed(headers, now, source.tolerance).map(drop)
        })
    }

    /// Keeps a request that was refused before its bytes could be judged (too large, address).
    pub async fn keep_refused(&self, source: &Source, incoming: Incoming<'_>, refused: &Refused) {
        let now = self.clock.now();
        self.reject(source, incoming, None, refused, now).await;
    }

    async fn understand(
        &self,
        source: &Source,
        incoming: &Incoming<'_>,
        verified: &Verified,
        now: Timestamp,
    ) -> Result<Understood, Refused> {
        check_content(incoming)?;
        let event = match normalise::native(&incoming.body, now, verified.timestamp) {
            Ok(event) => event,
            Err(normalise::NotAnEvent::UnknownType(kind)) => {
                return Ok(Understood {
                    event: None,
                    parts: Parts::default(),
                    reason: Some(format!("event type {kind:?} is not one Billhook acts on")),
                    unmatched: Vec::new(),
                });
            }
            Err(normalise::NotAnEvent::NotJson(what)) => return Err(Refused::NotJson(what)),
            Err(normalise::NotAnEvent::Wrong(wrong)) => {
                return Err(Refused::Wrong {
                    pointer: wrong.pointer,
                    detail: wrong.detail,
                });
            }
        };
        self.check_installation(source, &event, now).await?;
        let parts = self.parts(&source.name, &event).await?;
        let reason = parts
            .to_do
            .is_empty()
            .then(|| nothing_to_do(&event, &parts));
        Ok(Understood {
            unmatched: unmatched::unmatched(&self.catalogue, &source.name, &event),
            event: Some(event),
            parts,
            reason,
        })
    }

    /// Adds to the answer what was paid and is not built, and counts it; a duplicate was told
    /// the first time.
    fn say_unmatched(
        &self,
        source: &Source,
        mut reception: Reception,
        unbuilt: Vec<Unmatched>,
        now: Timestamp,
    ) -> Reception {
        let (delivery, told, whole) = match &mut reception {
            Reception::Accepted {
                delivery,
                unmatched,
                ..
            } => (*delivery, unmatched, false),
            Reception::Ignored {
                delivery,
                unmatched,
                ..
            } => (*delivery, unmatched, true),
            Reception::Duplicate { .. } => return reception,
        };
        if !unbuilt.is_empty() {
            told.clone_from(&unbuilt);
            let order = UnmatchedOrder {
                delivery_id: delivery,
                source: source.name.to_string(),
                received_at: now,
                services: unbuilt,
            };
            self.unmatched.note(order, whole);
        }
        reception
    }

    /// The paid orders since the start that nothing in the catalogue matches.
    pub fn unmatched_orders(&self) -> UnmatchedOrders {
        self.unmatched.all()
    }

    /// What there is to do for an event, and for which of its services there is not.
    async fn parts(&self, source: &str, event: &Event) -> Result<Parts, Refused> {
        let mut parts = Parts::default();
        if event.kind.concerns_customer() {
            parts.to_do.push(None);
        }
        for (index, service) in event.services.iter().enumerate() {
            if self.concerns(source, event.kind, service).await? {
                parts.to_do.push(Some(index));
            } else if event.kind != EventType::OrderPaid {
                parts.unknown.push(index);
            }
        }
        Ok(parts)
    }

    /// An order concerns Billhook where its product is in the catalogue, everything else where the
    /// service was ordered here.
    async fn concerns(
        &self,
        source: &str,
        kind: EventType,
        service: &OrderedService,
    ) -> Result<bool, Refused> {
        if kind == EventType::OrderPaid {
            return Ok(self.catalogue.find(source, &service.product_id).is_some());
        }
        let lane = lane(source, service).key();
        // Boxed, or every request would carry the room for a query that few of them make.
        let known =
            Box::pin(
                self.store
                    .knows_service(source, &service.id, &lane, self.in_dry_runs),
            );
        Ok(known.await?)
    }

    /// The runs of an event for a delivery; `replay` tells what each repeats.
    pub fn runs_for(
        &self,
        source: &str,
        event: &Event,
        concerned: &[Option<usize>],
        origin: DeliveryId,
        now: Timestamp,
    ) -> Vec<NewRun> {
        let order = OrderKey {
            occurred_at: event.occurred_at,
            origin,
        };
        let customer_id = event.customer.as_ref().map(|customer| customer.id.clone());
        let mut runs = Vec::with_capacity(concerned.len());
        for part in concerned {
            let service = part.and_then(|index| event.services.get(index));
            let lane = match (service, &customer_id) {
                (Some(service), _) => lane(source, service),
                (None, Some(customer_id)) => Lane::Customer {
                    source: source.to_owned(),
                    customer_id: customer_id.clone(),
                },
                (None, None) => continue,
            };
            runs.push(NewRun {
                id: RunId(self.ids.next(now)),
                order,
                lane: lane.key(),
                kind: event.kind,
                customer_id: customer_id.clone(),
                service_id: service.map(|service| service.id.clone()),
                replay_of: None,
            });
        }
        runs
    }

    /// The parts of an event that a replay would make runs for today.
    pub async fn parts_today(
        &self,
        source: &str,
        event: &Event,
    ) -> Result<Vec<Option<usize>>, Refused> {
        Ok(self.parts(source, event).await?.to_do)
    }
}

/// The parts of an event.
#[derive(Default)]
struct Parts {
    /// The services (or `None` for the customer's lane) that it makes runs for.
    to_do: Vec<Option<usize>>,
    /// The services that were never ordered here.
    unknown: Vec<usize>,
}

struct Understood {
    event: Option<Event>,
    parts: Parts,
    reason: Option<String>,
    unmatched: Vec<Unmatched>,
}

fn lane(source: &str, service: &OrderedService) -> Lane {
    Lane::Service {
        source: source.to_owned(),
        service_id: service.id.clone(),
    }
}

fn nothing_to_do(event: &Event, parts: &Parts) -> String {
    if event.kind == EventType::TestPing {
        return "test.ping: the signature is right, there is nothing to do".to_owned();
    }
    if let Some(first) = parts
        .unknown
        .first()
        .and_then(|index| event.services.get(*index))
    {
        return format!(
            "service {} was never ordered through Billhook by this source, so nothing was done; should an \
             order come that was placed before this, this is carried out after it",
            first.id
        );
    }
    let mut products: Vec<&str> = event
        .services
        .iter()
        .map(|service| service.product_id.as_str())
        .collect();
    products.sort_unstable();
    products.dedup();
    format!(
        "product {} is not in the catalogue ([[products]] in the configuration)",
        products.join(", ")
    )
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
