//! A plan becomes the run's steps. No IO.

use crate::plan::Plan;
use crate::store::AtEnd;

use super::super::told::log_notes;
use super::Drive;

/// What is said of every run that was only planned.
const DRY_RUN: &str = "dry run (policy.dry_run): nothing of this was sent to a supplier";

impl Drive<'_> {
    pub(super) fn lay_out(&mut self, plan: Plan) {
        self.run.planned = true;
        self.engine.noted.count(&self.run.source, &plan.aside);
        log_notes(&self.run, &plan);
        let dry = self.engine.mode.dry_run.then_some(DRY_RUN);
        let notes: Vec<&str> = dry
            .into_iter()
            .chain(plan.notes.iter().map(String::as_str))
            .collect();
        self.run.at_end = AtEnd {
            service: plan.service_end,
            customer: plan.customer_end,
            dry_run: self.engine.mode.dry_run,
            note: (!notes.is_empty()).then(|| notes.join("; ")),
            before: Some(self.run.service.status),
            ..AtEnd::default()
        };
        self.pending.at_end(self.run.at_end.clone());
        if !self.engine.mode.dry_run {
            self.patch(&plan.service_now, &plan.customer_now);
        }
        for action in plan.steps {
            self.append(action);
        }
    }
}
