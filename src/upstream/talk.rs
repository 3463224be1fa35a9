//! One attempt's talk with the upstreams: what it may do, what it knows, what it has heard.
//! Plain data.

use serde_json::{Map, Value};

use super::mask::Mask;
use crate::domain::{
    CustomerState, Entropy, Exchange, Permit, Secret, ServiceState, Timestamp, Vault,
};

/// What an attempt knows when it begins.
pub struct Scene<'a> {
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
    /// Whether the run is still held by whoever makes this attempt. No supplier knows fences, so
    /// this is asked before every request that changes something.
    pub still_held: &'a (dyn Fn() -> bool + Sync),
}

/// What an attempt found out by the way, to be stored whatever its outcome.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learned {
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
}

impl Talk<'_> {
    /// The mark of the customer's controlled client.
    pub(super) fn client_mark(&self) -> Option<String> {
        let customer_id = self.scene.customer_id?;
        Some(format!("[{}:{customer_id}]", self.scene.source))
    }

    /// Seals a text for this source's customer under a name.
    pub(super) fn seal(&self, context: &str, secret: &Secret) -> Value {
        Value::from(self.scene.vault.seal(self.scene.entropy, context, secret))
    }

    /// Whether only looking is allowed.
    pub(super) fn only_looks(&self) -> bool {
        match self.permit {
            Permit::Send => false,
            Permit::LookOnly => true,
        }
    }
}
