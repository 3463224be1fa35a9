//! Harmless reads that tell whether the credentials work, for a check before going live. IO.

use super::Upstreams;
use super::talk::{Learned, Scene, Talk};
use super::wire::Setback;
use crate::domain::{CustomerState, Entropy, Outcome, Permit, ServiceState, Timestamp, Vault};

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

impl Upstreams {
    /// Asks every upstream that is configured something harmless.
    pub async fn probe(&self) -> Vec<Probe> {
        let (service, customer) = (ServiceState::default(), CustomerState::default());
        let vault = Vault::new([0; 32]);
        let scene = Scene {
            source: "",
            service_id: None,
            customer_id: None,
            service: &service,
            customer: &customer,
            vault: &vault,
            entropy: &NoEntropy,
            now: Timestamp::default(),
            attempt: 1,
            still_held: &|| true,
        };
        let (mut trace, mut learned) = (Vec::new(), Learned::default());
        let mut talk = Talk {
            scene: &scene,
            permit: Permit::LookOnly,
            trace: &mut trace,
            learned: &mut learned,
            mask: self.secrets.clone(),
        };
        self.ask_all(&mut talk).await
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
            probes.push(probe(talk, "billing", asked, result));
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
    let result = result.map_err(|setback| match Outcome::from(setback) {
        Outcome::Rejected(error)
        | Outcome::Unavailable { error, .. }
        | Outcome::Ambiguous(error)
        | Outcome::NotYet {
            waiting_for: error, ..
        } => talk.mask.text(&error),
        Outcome::Done(_) | Outcome::AlreadySo(_) | Outcome::Absent => "nothing came".to_owned(),
    });
    Probe {
        upstream,
        asked,
        result,
    }
}

fn not_set(upstream: &'static str, note: &str) -> Probe {
    Probe {
        upstream,
        asked: "nothing".to_owned(),
        result: Ok(format!("not asked: {note}")),
    }
}
