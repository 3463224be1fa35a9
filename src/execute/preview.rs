//! What a run would do, without making one: for dry runs of replays and for `billhook plan`.

use serde::Serialize;
use serde_json::Value;

use crate::domain::event::Event;
use crate::domain::id::DeliveryId;
use crate::domain::run::OrderKey;
use crate::domain::step::StepAction;
use crate::plan::Verdict;
use crate::store::StoreError;

use super::Engine;
use super::planning::Facts;

/// A plan that is only shown.
#[derive(Debug, Serialize)]
pub struct Preview {
    /// The service; none in a customer's lane.
    pub service_id: Option<String>,
    /// `do`, `hold`, `nothing` or `superseded`.
    pub verdict: &'static str,
    /// Why it would not be carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The steps, in order.
    pub steps: Vec<Value>,
}

impl Engine {
    /// Plans the event's part for one service (or its customer) against what is known now.
    pub async fn preview(
        &self,
        source: &str,
        event: &Event,
        service_id: Option<&str>,
        origin: DeliveryId,
    ) -> Result<Preview, StoreError> {
        let service = match service_id {
            Some(id) => self.store.service(source, id).await?,
            None => None,
        };
        let known_customer = service.as_ref().and_then(|view| view.customer_id.clone());
        let customer_id = event
            .customer
            .as_ref()
            .map(|customer| customer.id.clone())
            .or(known_customer);
        let customer = match &customer_id {
            Some(id) => self.store.customer(source, id).await?,
            None => None,
        };
        let verdict = self
            .verdict(&Facts {
                source,
                event,
                service_id,
                customer_id: customer_id.as_deref(),
                order: OrderKey {
                    occurred_at: event.occurred_at,
                    origin,
                },
                service: &service.map(|view| view.state).unwrap_or_default(),
                customer: &customer.map(|view| view.state).unwrap_or_default(),
                newer: None,
            })
            .await?;
        Ok(shown(service_id, verdict))
    }
}

fn shown(service_id: Option<&str>, verdict: Verdict) -> Preview {
    let (verdict, reason, steps) = match verdict {
        Verdict::Do(plan) => ("do", None, plan.steps),
        Verdict::Hold(_, reason) => ("hold", Some(reason), Vec::new()),
        Verdict::Nothing(reason) => ("nothing", Some(reason), Vec::new()),
        Verdict::Superseded(reason) => ("superseded", Some(reason), Vec::new()),
        Verdict::Refused(reason) => ("refused", Some(reason), Vec::new()),
    };
    let show = |action: &StepAction| serde_json::to_value(action).unwrap_or_default();
    Preview {
        service_id: service_id.map(str::to_owned),
        verdict,
        reason,
        steps: steps.iter().map(show).collect(),
    }
}
