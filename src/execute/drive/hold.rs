//! A run of which nothing can be planned before a person did something. No IO.

use serde_json::{Value, json};

use crate::domain::event::{Event, EventType};
use crate::domain::pause::PauseReason;
use crate::domain::state::{CustomerState, ServiceState, ServiceStatus};

use super::super::pending::Stand;
use super::Drive;

impl Drive<'_> {
    /// Where it stops.
    pub(super) fn hold(&mut self, event: &Event, why: PauseReason, reason: String) -> Stand {
        if self.engine.mode.dry_run && why == PauseReason::WrongState {
            // A dry run keeps no state, so what the state lacks says nothing.
            return self.nothing_to_do(format!("dry run; otherwise it would pause: {reason}"));
        }
        self.make_known(event);
        Stand::paused(why, reason)
    }

    /// An order that waits for a person before anything was planned has a service and a customer
    /// all the same: whoever asks for them finds them.
    fn make_known(&mut self, event: &Event) {
        if event.kind != EventType::OrderPaid || self.engine.mode.dry_run {
            return;
        }
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let is_new = self.run.service == ServiceState::default();
        let mut services = event.services.iter().filter(|_| is_new);
        let ordered = services.find(|service| Some(&service.id) == self.run.service_id.as_ref());
        let service = ordered.map_or(Value::Null, |ordered| {
            json!({"status": ServiceStatus::Unknown, "hostname": given(&ordered.hostname)})
        });
        let is_new = self.run.customer == CustomerState::default();
        let customer = event.customer.as_ref().filter(|_| is_new);
        let customer = customer.map_or(Value::Null, |customer| {
            json!({
                "email": given(&customer.email),
                "name": given(&customer.name),
                "company": given(&customer.company),
            })
        });
        self.patch(&service, &customer);
    }
}
