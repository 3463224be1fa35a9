//! From a claimed run to its plan: gathers the situation, asks `plan`, lays out the steps.

use crate::domain::event::{Event, EventType, OrderedService};
use crate::domain::pause::PauseReason;
use crate::domain::run::OrderKey;
use crate::domain::state::{CustomerState, ServiceState};
use crate::domain::step::StepAction;
use crate::plan::{self, Sibling, Situation, Subject, Verdict};
use crate::store::StoreError;

use super::Engine;

/// What a plan is made from, read from the rows.
pub(super) struct Facts<'a> {
    pub(super) source: &'a str,
    pub(super) event: &'a Event,
    pub(super) service_id: Option<&'a str>,
    pub(super) customer_id: Option<&'a str>,
    pub(super) order: OrderKey,
    pub(super) service: &'a ServiceState,
    pub(super) customer: &'a CustomerState,
    pub(super) newer: Option<&'a str>,
}

impl Engine {
    /// The customer's other services.
    pub(super) async fn siblings(
        &self,
        source: &str,
        customer_id: Option<&str>,
        service_id: Option<&str>,
    ) -> Result<Vec<(String, ServiceState)>, StoreError> {
        let Some(customer_id) = customer_id else {
            return Ok(Vec::new());
        };
        let mut services = self.store.services_of(source, customer_id).await?;
        services.retain(|(id, _)| Some(id.as_str()) != service_id);
        Ok(services)
    }

    /// Asks the planner.
    pub(super) async fn verdict(&self, facts: &Facts<'_>) -> Result<Verdict, StoreError> {
        let verdict = self.ask(facts, plan::plan).await?;
        Ok(verdict.unwrap_or_else(|| {
            Verdict::Hold(
                PauseReason::Event,
                "the kept event does not name the service or the customer of this run".to_owned(),
            )
        }))
    }

    /// The steps that an order ends with whose service was suspended before it was carried out.
    pub(super) async fn darkening(&self, facts: &Facts<'_>) -> Result<Vec<StepAction>, StoreError> {
        let steps = self.ask(facts, plan::darken_what_was_built).await?;
        Ok(steps.unwrap_or_default())
    }

    /// Asks about the situation; nothing where the event does not name whose it is.
    async fn ask<T>(
        &self,
        facts: &Facts<'_>,
        question: impl FnOnce(&Situation<'_>) -> T,
    ) -> Result<Option<T>, StoreError> {
        let siblings = if needs_siblings(facts.event.kind) {
            self.siblings(facts.source, facts.customer_id, facts.service_id)
                .await?
        } else {
            Vec::new()
        };
        let siblings = as_siblings(&siblings);
        let subject = subject(facts.event, facts.service_id);
        Ok(subject.map(|subject| {
            question(&Situation {
                source: facts.source,
                event: facts.event,
                subject,
                order: facts.order,
                customer_id: facts.customer_id,
                service: facts.service,
                customer: facts.customer,
                siblings: &siblings,
                newer: facts.newer,
                catalogue: &self.catalogue,
                rules: &self.rules,
            })
        }))
    }
}

pub(super) fn as_siblings(services: &[(String, ServiceState)]) -> Vec<Sibling<'_>> {
    services
        .iter()
        .map(|(service_id, state)| Sibling { service_id, state })
        .collect()
}

/// A renewal does not depend on the customer's other services.
const fn needs_siblings(kind: EventType) -> bool {
    match kind {
        EventType::ServiceRenewed
        | EventType::ServiceAction
        | EventType::CustomerCreated
        | EventType::TestPing => false,
        EventType::OrderPaid
        | EventType::ServiceSuspended
        | EventType::ServiceUnsuspended
        | EventType::ServiceTerminated
        | EventType::ServicePackageChanged
        | EventType::CustomerUpdated
        | EventType::ServiceMoved
        | EventType::CustomerClosed
        | EventType::CustomerReopened => true,
    }
}

/// What of the event the run is about.
fn subject<'a>(event: &'a Event, service_id: Option<&str>) -> Option<Subject<'a>> {
    match service_id {
        Some(id) => service_of(event, id).map(Subject::Service),
        None => event.customer.as_ref().map(Subject::Customer),
    }
}

fn service_of<'a>(event: &'a Event, id: &str) -> Option<&'a OrderedService> {
    event.services.iter().find(|service| service.id == id)
}
