//! One attempt's talk with the upstreams: what it may do, what it knows, what it has heard.
//! Plain data.

use std::collections::HashSet;
use std::pin::Pin;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::mask::Mask;
use super::wire::{Intent, Setback};
use crate::domain::{
    Allowance, CustomerState, Entropy, Exchange, Permit, Rank, Secret, ServiceState, Timestamp,
    Vault,
};

/// Whose Hivelocity's orders are, as far as the store knows.
pub trait OrderLedger: Sync {
    /// Which of these orders belong to other services; none when the store does not say.
    fn of_others(
        &self,
        orders: Vec<i64>,
    ) -> Pin<Box<dyn Future<Output = Option<HashSet<i64>>> + Send + '_>>;

    /// Whether another service of the customer has an order out of which nothing is known; none
    /// when the store does not say.
    fn another_is_out(&self) -> Pin<Box<dyn Future<Output = Option<bool>> + Send + '_>>;
}

/// What an attempt knows when it begins.
pub struct Scene<'a> {
    /// The run's number.
    pub run: i64,
    /// The source's name.
    pub source: &'a str,
    /// The platform's service id; none in a customer's lane.
    pub service_id: Option<&'a str>,
    /// The platform's customer id, where known.
    pub customer_id: Option<&'a str>,
    /// The service as the store knows it.
    pub service: &'a ServiceState,
    /// The customer as the store knows it.
    pub customer: &'a CustomerState,
    /// Opens and seals secrets.
    pub vault: &'a Vault,
    /// Randomness for sealing.
    pub entropy: &'a dyn Entropy,
    /// The present moment.
    pub now: Timestamp,
    /// Which attempt at the step this is, from 1.
    pub attempt: u32,
    /// How many of those before came to nothing because the upstream was left alone.
    pub in_vain: u32,
    /// Whether a request for a device may leave in this attempt: what was read of the account for
    /// it is stored.
    pub order_may_leave: bool,
    /// Whether a request for a device whose end is unclear has left no trace for so long that a
    /// look which finds nothing now is the last word.
    pub order_settled: bool,
    /// What a person has allowed beside the step itself.
    pub allowed: Option<&'a Allowance>,
    /// Whose orders there are.
    pub ledger: &'a dyn OrderLedger,
    /// Whether the run is still held by whoever makes this attempt. No supplier knows fences, so
    /// this is asked before every request that changes something.
    pub still_held: &'a (dyn Fn() -> bool + Sync),
}

/// What an attempt found out by the way, to be stored whatever its outcome.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learned {
    /// Top-level keys to set in the service's state; null removes one.
    pub service: Map<String, Value>,
    /// Top-level keys to set in the customer's state; null removes one.
    pub customer: Map<String, Value>,
}

/// One attempt's talk.
pub(super) struct Talk<'t> {
    pub(super) scene: &'t Scene<'t>,
    pub(super) permit: Permit,
    pub(super) trace: &'t mut Vec<Exchange>,
    pub(super) learned: &'t mut Learned,
    pub(super) mask: Mask,
    /// What its requests are for.
    pub(super) rank: Rank,
    /// The kind of the step that is tried; empty outside of one.
    pub(super) kind: &'static str,
    began: Instant,
    /// The request under way, as the journal keeps it, and since when.
    under_way: Option<(Value, Instant)>,
    /// Whether a request that changes something may have taken effect.
    touched: bool,
    /// The controlled client for which the last such request was made.
    pub(super) changed_for: Option<i64>,
}

impl<'t> Talk<'t> {
    /// A talk that begins now; its requests come last until it is told otherwise.
    pub(super) fn new(
        scene: &'t Scene<'t>,
        permit: Permit,
        trace: &'t mut Vec<Exchange>,
        learned: &'t mut Learned,
        mask: Mask,
    ) -> Self {
        Self {
            scene,
            permit,
            trace,
            learned,
            mask,
            rank: Rank::Other,
            kind: "",
            began: Instant::now(),
            under_way: None,
            touched: false,
            changed_for: None,
        }
    }

    /// The same with requests of this rank.
    pub(super) const fn ranked(mut self, rank: Rank) -> Self {
        self.rank = rank;
        self
    }

    /// The same for a step of this kind.
    pub(super) const fn of_kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// Whether a request that changes something may have taken effect.
    pub(super) const fn has_changed(&self) -> bool {
        self.touched
    }

    /// The present moment, by the time that this attempt has taken.
    pub(super) fn now(&self) -> Timestamp {
        self.scene.now.plus(self.elapsed())
    }

    /// Which attempt this is of those that could look at all, from 1.
    pub(super) fn looks(&self) -> u32 {
        self.scene.attempt.saturating_sub(self.scene.in_vain).max(1)
    }

    /// Whether this attempt has made a request already.
    pub(super) const fn has_asked(&self) -> bool {
        !self.trace.is_empty()
    }

    /// How long this attempt has taken.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// A request leaves; answers whether one before may have changed something.
    pub(super) fn sends(&mut self, request: Value, intent: Intent) -> bool {
        self.under_way = Some((request, Instant::now()));
        let before = self.touched;
        self.touched |= intent.writes();
        before
    }

    /// The request under way has ended; `touched` is whether it or one before may have changed
    /// something.
    pub(super) fn ends(&mut self, response: Value, touched: bool) {
        self.touched = touched;
        if let Some((request, began)) = self.under_way.take() {
            let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.trace.push(Exchange {
                request,
                response,
                duration_ms,
            });
        }
    }

    /// What it means that the attempt was cut off after `limit`: the request under way has no
    /// answer, and whatever was sent before may have done its work.
    pub(super) fn cut_off(&mut self, limit: Duration) -> Setback {
        let touched = self.touched;
        self.ends(Value::Null, touched);
        let error = format!("the attempt took longer than {limit:?} and was cut off");
        if touched {
            Setback::Ambiguous(error)
        } else {
            Setback::unavailable(error)
        }
    }

    /// The mark of the customer's controlled client.
    pub(super) fn client_mark(&self) -> Option<String> {
        let customer_id = self.scene.customer_id?;
        Some(format!("[{}:{customer_id}]", self.scene.source))
    }

    /// Seals a text for this source's customer under a name.
    pub(super) fn seal(&self, context: &str, secret: &Secret) -> Value {
        Value::from(self.scene.vault.seal(self.scene.entropy, context, secret))
    }

    /// Whether the run is still this worker's.
    pub(super) fn still_held(&self) -> bool {
        (self.scene.still_held)()
    }

    /// Whether only looking is allowed.
    pub(super) fn only_looks(&self) -> bool {
        match self.permit {
            Permit::Send => false,
            Permit::LookOnly => true,
        }
    }
}
