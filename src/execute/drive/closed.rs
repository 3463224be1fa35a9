//! What is left to do at the end of a build whose customer was closed meanwhile.

use crate::domain::event::EventType;
use crate::domain::step::{Step, StepAction, StepStatus};
use crate::plan;
use crate::store::StoreError;

use super::super::planning::as_siblings;
use super::Drive;

impl Drive<'_> {
    /// Adds the step that such a build ends with; answers whether there was one to add.
    ///
    /// The closing suspended the sub-users that were there. This one was made after that. Where a
    /// protected service needs it, it stays.
    pub(super) async fn ends_closed(&mut self) -> Result<bool, StoreError> {
        let made = |step: &Step| {
            matches!(step.action, StepAction::AddUser { .. })
                && step.status == StepStatus::Succeeded
        };
        let suspends = |step: &Step| matches!(step.action, StepAction::SuspendUser { .. });
        let concerned = self.run.kind == EventType::OrderPaid
            && self.steps.iter().any(made)
            && !self.steps.iter().any(suspends);
        let Some(customer_id) = self.run.customer_id.clone().filter(|_| concerned) else {
            return Ok(false);
        };
        let fresh = self
            .engine
            .store
            .customer(&self.run.source, &customer_id)
            .await?;
        if let Some(fresh) = fresh {
            self.run.customer = fresh.state;
        }
        let action = plan::after_a_closing(&self.run.order, &self.run.service, &self.run.customer);
        let Some(action) = action else {
            return Ok(false);
        };
        if self.needs_protected(&action).await? {
            return Ok(false);
        }
        self.append(action);
        Ok(true)
    }

    /// Whether a protected service, this one or another of the customer, needs the sub-user.
    async fn needs_protected(&self, action: &StepAction) -> Result<bool, StoreError> {
        if self.protected {
            return Ok(true);
        }
        let StepAction::SuspendUser { username, .. } = action else {
            return Ok(false);
        };
        let (engine, source) = (self.engine, &self.run.source);
        let customer = self.run.customer_id.as_deref();
        let others = engine
            .siblings(source, customer, self.run.service_id.as_deref())
            .await?;
        let protector = plan::protector(&engine.rules, source, username, &as_siblings(&others));
        Ok(protector.is_some())
    }
}
