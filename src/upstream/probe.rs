//! Harmless reads that tell whether the credentials work, for a check before going live. IO.

use std::collections::HashSet;
use std::pin::Pin;

use super::Upstreams;
use super::talk::{Learned, OrderLedger, Scene, Talk};
use super::wire::Setback;
use crate::domain::{
    CustomerState, Entropy, Outcome, Permit, Rank, ServiceState, Timestamp, Vault,
};

/// What one harmless read brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// `hivelocity`, `one_h` or `billing`.
    pub upstream: &'static str,
    /// What was asked.
    pub asked: String,
    /// What it brought, or why it failed; without secrets.
    pub result: Result<String, String>,
}

/// A probe seals nothing.
struct NoEntropy;

impl Entropy for NoEntropy {
    fn next(&self) -> u64 {
        0
    }
}

/// Nobody's service and nobody's customer.
pub(super) struct Nothing {
    service: ServiceState,
    customer: CustomerState,
    vault: Vault,
}

impl Default for Nothing {
    fn default() -> Self {
        Self {
            service: ServiceState::default(),
            customer: CustomerState::default(),
            vault: Vault::new([0; 32]),
        }
    }
}

impl Nothing {
    pub(super) fn scene<'a>(&'a self, now: Timestamp, entropy: &'a dyn Entropy) -> Scene<'a> {
        Scene {
            run: 0,
            source: "",
            service_id: None,
            customer_id: None,
            service: &self.service,
            customer: &self.customer,
            vault: &self.vault,
            entropy,
            now,
            attempt: 1,
            in_vain: 0,
            order_may_leave: false,
            order_settled: false,
            allowed: None,
            ledger: &NoLedger,
            still_held: &|| true,
        }
    }
}

/// A probe asks for no order.
pub(super) struct NoLedger;

impl OrderLedger for NoLedger {
    fn of_others(
        &self,
        _orders: Vec<i64>,
    ) -> Pin<Box<dyn Future<Output = Option<HashSet<i64>>> + Send + '_>> {
        Box::pin(std::future::ready(None))
    }

    fn another_is_out(&self) -> Pin<Box<dyn Future<Output = Option<bool>> + Send + '_>> {
        Box::pin(std::future::ready(None))
    }
}

impl Upstreams {
    /// Asks every upstream that is configured something harmless. What is signed is signed now.
    pub async fn probe(&self, now: Timestamp) -> Vec<Probe> {
        let nothing = Nothing::default();
        let scene = nothing.scene(now, &NoEntropy);
        let (mut trace, mut learned) = (Vec::new(), Learned::default());
        let secrets = self.secrets.clone();
        let mut talk = Talk::new(&scene, Permit::LookOnly, &mut trace, &mut learned, secrets);
        self.ask_all(&mut talk).await
    }

    /// One harmless read of a supplier that did not answer, to see whether it does; its breaker
    /// notes what comes of it. The billing platforms have none.
    pub(super) async fn knock(
        &self,
        upstream: &str,
        rank: Rank,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) {
        let nothing = Nothing::default();
        let scene = nothing.scene(now, entropy);
        let (mut trace, mut learned) = (Vec::new(), Learned::default());
        let secrets = self.secrets.clone();
        let talk = Talk::new(&scene, Permit::LookOnly, &mut trace, &mut learned, secrets);
        // It is made for the step that asked.
        let mut talk = talk.ranked(rank);
        match (upstream, &self.hivelocity, &self.one_h) {
            ("hivelocity", Some(client), _) => client.knock(&mut talk).await,
            ("one_h", _, Some(client)) => client.knock(&mut talk).await,
            _ => {}
        }
    }

    async fn ask_all(&self, talk: &mut Talk<'_>) -> Vec<Probe> {
        let mut probes = Vec::new();
        match &self.hivelocity {
            Some(client) => {
                for (asked, result) in client.probe(talk).await {
                    probes.push(probe(talk, "hivelocity", asked, result));
                }
            }
            None => probes.push(not_set("hivelocity", "hivelocity.api_key is not set")),
        }
        match &self.one_h {
            Some(client) => {
                let (asked, result) = client.probe(talk).await;
                probes.push(probe(talk, "one_h", asked, result));
            }
            None => probes.push(not_set(
                "one_h",
                "one_h.auth_code or one_h.api_key is not set",
            )),
        }
        for (asked, result) in self.billing.probe(talk).await {
            probes.push(Probe {
                upstream: "billing",
                asked,
                result,
            });
        }
        probes
    }
}

fn probe(
    talk: &Talk<'_>,
    upstream: &'static str,
    asked: String,
    result: Result<String, Setback>,
) -> Probe {
    let result = result.map_err(|setback| match setback {
        Setback::Refused { refusal, error } => {
            format!("{}; {}", talk.mask.text(&error), refusal.remedy(upstream))
        }
        other => words(talk, other),
    });
    Probe {
        upstream,
        asked,
        result,
    }
}

fn words(talk: &Talk<'_>, setback: Setback) -> String {
    match Outcome::from(setback) {
        Outcome::Rejected(error)
        | Outcome::Unavailable { error, .. }
        | Outcome::Ambiguous(error)
        | Outcome::NotYet {
            waiting_for: error, ..
        } => talk.mask.text(&error),
        Outcome::Held(away) => talk.mask.text(&away.error.unwrap_or_default()),
        Outcome::NeedsPerson(decision) => talk.mask.text(&decision.sentence),
        Outcome::Done(_) | Outcome::AlreadySo(_) | Outcome::Prepared | Outcome::Absent => {
            "nothing came".to_owned()
        }
    }
}

fn not_set(upstream: &'static str, note: &str) -> Probe {
    Probe {
        upstream,
        asked: "nothing".to_owned(),
        result: Ok(format!("not asked: {note}")),
    }
}
