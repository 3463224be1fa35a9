//! What a run would do, without making one: for dry runs of replays and for `billhook plan`.

use serde::Serialize;
use serde_json::Value;

use crate::catalogue::UnreadName;
use crate::domain::event::Event;
use crate::domain::id::DeliveryId;
use crate::domain::run::OrderKey;
use crate::domain::state::{CustomerState, ServiceState};
use crate::domain::step::StepAction;
use crate::plan::{self, Plan, Verdict};
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
    /// What people should know although it holds nothing up, a sentence each.
    pub notes: Vec<String>,
    /// Options of the event that no template of the product reads.
    pub unread_options: Vec<String>,
    /// Fields likewise.
    pub unread_fields: Vec<String>,
    /// The steps, in order, each with its `effect` and the `mark` by which it looks.
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
        let state = service.map(|view| view.state).unwrap_or_default();
        let customer = customer.map(|view| view.state).unwrap_or_default();
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
                service: &state,
                customer: &customer,
                newer: None,
            })
            .await?;
        let mut preview = shown(service_id, verdict, &state, &customer);
        self.add_unread(&mut preview, source, event, &state);
        Ok(preview)
    }

    /// What no template reads is shown whatever becomes of the event.
    fn add_unread(&self, preview: &mut Preview, source: &str, event: &Event, state: &ServiceState) {
        let mut services = event.services.iter();
        let ordered = services.find(|service| Some(&service.id) == preview.service_id.as_ref());
        let unread = ordered
            .and_then(|ordered| plan::unread(&self.catalogue, source, event, ordered, state));
        let Some((product, unread)) = unread else {
            return;
        };
        let reason = preview.reason.as_deref().unwrap_or_default();
        let said =
            |sentence: &String| preview.notes.contains(sentence) || reason.contains(sentence);
        let mut unsaid = unread.names(product);
        unsaid.retain(|sentence| !said(sentence));
        preview.notes.append(&mut unsaid);
        let names = |unread: Vec<UnreadName>| unread.into_iter().map(|one| one.name).collect();
        preview.unread_options = names(unread.options);
        preview.unread_fields = names(unread.fields);
    }
}

fn shown(
    service_id: Option<&str>,
    verdict: Verdict,
    service: &ServiceState,
    customer: &CustomerState,
) -> Preview {
    let (verdict, reason, plan) = match verdict {
        Verdict::Do(plan) => ("do", None, plan),
        Verdict::Hold(_, reason) => ("hold", Some(reason), Plan::default()),
        Verdict::Nothing(reason) => ("nothing", Some(reason), Plan::default()),
        Verdict::Superseded(reason) => ("superseded", Some(reason), Plan::default()),
        Verdict::Refused(reason) => ("refused", Some(reason), Plan::default()),
    };
    let show = |action: &StepAction| step(action, service, customer);
    Preview {
        service_id: service_id.map(str::to_owned),
        verdict,
        reason,
        steps: plan.steps.iter().map(show).collect(),
        notes: plan.notes,
        unread_options: Vec::new(),
        unread_fields: Vec::new(),
    }
}

fn step(action: &StepAction, service: &ServiceState, customer: &CustomerState) -> Value {
    let mut shown = serde_json::to_value(action).unwrap_or_default();
    let (effect, mark) = plan::effect(action, service, customer);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("effect".to_owned(), effect.name().into());
        if let Some(mark) = mark {
            // The controlled client's own input has the name, and the same value.
            shown.insert("mark".to_owned(), mark.into());
        }
    }
    shown
}
