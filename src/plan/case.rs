//! One service event with the gaps in its words filled from what is known. Pure.

use crate::catalogue::{AccountModel, HivelocityProduct, Product, Variables};
use crate::domain::hostname::mended;
use crate::domain::step::{DEVICE_ID, DEVICE_IP};
use crate::domain::{Customer, OrderedService, PauseReason, ServiceState, ServiceStatus};

use super::patch::Patch;
use super::{Situation, Stop, marks, moved};

/// A service event, ready to be planned.
pub(super) struct Case<'a> {
    /// What the plan is made from.
    pub(super) situation: &'a Situation<'a>,
    /// The service in the event's words; what it leaves out comes from the state.
    pub(super) ordered: OrderedService,
    /// The customer likewise; the id is empty where nobody knows it.
    pub(super) customer: Customer,
}

impl<'a> Case<'a> {
    /// Fills the gaps.
    pub(super) fn new(situation: &'a Situation<'a>, ordered: &OrderedService) -> Self {
        let mut ordered = ordered.clone();
        fill(
            &mut ordered.product_id,
            situation.service.product_id.as_deref(),
        );
        fill(&mut ordered.hostname, situation.service.hostname.as_deref());
        // One name everywhere: what is ordered, kept, reported and written on licences.
        if let Ok(name) = mended(&ordered.hostname) {
            ordered.hostname = name;
        }
        let mut customer = situation.event.customer.clone().unwrap_or_default();
        fill(&mut customer.id, situation.customer_id);
        fill(&mut customer.email, situation.customer.email.as_deref());
        fill(&mut customer.name, situation.customer.name.as_deref());
        fill(&mut customer.company, situation.customer.company.as_deref());
        Self {
            situation,
            ordered,
            customer,
        }
    }

    /// What is known of the service.
    pub(super) const fn service(&self) -> &'a ServiceState {
        self.situation.service
    }

    /// Where the service stands.
    pub(super) const fn status(&self) -> ServiceStatus {
        self.situation.service.status
    }

    /// The service's id.
    pub(super) fn id(&self) -> &str {
        &self.ordered.id
    }

    /// The device's mark.
    pub(super) fn tag(&self) -> String {
        marks::device_tag(self.situation.source, &self.ordered.id)
    }

    /// Whether every customer has its own controlled client.
    pub(super) const fn multi(&self) -> bool {
        matches!(self.situation.rules.account_model, AccountModel::Multi)
    }

    /// The product that the service has now; the event's where the state's is not sold any more.
    pub(super) fn product(&self) -> Option<&'a Product> {
        let known = self
            .service()
            .product_id
            .as_deref()
            .and_then(|id| self.find(id));
        known.or_else(|| self.find(&self.ordered.product_id))
    }

    /// The product of that id.
    pub(super) fn find(&self, product_id: &str) -> Option<&'a Product> {
        self.situation
            .catalogue
            .find(self.situation.source, product_id)
    }

    /// The product that the service has now, or a person is asked.
    pub(super) fn known_product(&self) -> Result<&'a Product, Stop> {
        self.product().ok_or_else(|| {
            let known = self.service().product_id.as_deref();
            let known = known.unwrap_or(&self.ordered.product_id);
            Stop::Hold(PauseReason::Catalogue, if known.is_empty() {
                format!(
                    "nobody said which product service {} is; set it right by hand and cancel this run",
                    self.id()
                )
            } else {
                format!(
                    "product {known} is not in the catalogue any more; add it again and restart \
                     billhook, then retry this run"
                )
            })
        })
    }

    /// Whether the event names another customer than the one the service was built for.
    pub(super) fn moved(&self) -> Option<(&'a str, &str)> {
        let was = self.service().customer_id.as_deref()?;
        (!self.customer.id.is_empty() && was != self.customer.id)
            .then_some((was, self.customer.id.as_str()))
    }

    /// What people are told where the event names another customer.
    pub(super) fn moved_note(&self) -> Option<String> {
        let (was, is) = self.moved()?;
        Some(format!(
            "the event names customer {is}, service {} was built for customer {was} and is still known as its; \
             if it was handed over, say so: {} (or service.moved)",
            self.id(),
            moved::command(self.situation.source, self.id(), is, "")
        ))
    }

    /// Whether no newer event has settled whether the service is up or dark.
    pub(super) fn is_newest(&self) -> bool {
        let settled = self.service().settled;
        settled.is_none_or(|settled| settled <= self.situation.order)
    }

    /// Whether anything points to a device of the service.
    pub(super) const fn has_device(&self) -> bool {
        let service = self.situation.service;
        service.device_id.is_some() || service.device_order_id.is_some()
    }

    /// Whether no event of this service may suspend or terminate it.
    pub(super) fn refuse_protected(&self, doing: &str) -> Result<(), Stop> {
        let (source, rules) = (self.situation.source, self.situation.rules);
        if !super::is_protected(rules, source, &self.ordered.id) {
            return Ok(());
        }
        Err(Stop::Hold(
            PauseReason::Protected,
            format!(
                "service {} is protected (policy.protected_services), so the event does not {doing} it; \
             take it off that list, restart billhook and retry, or cancel this run",
                self.id()
            ),
        ))
    }

    /// Runs `render` with the variables of the templates.
    ///
    /// Where the product brings a device its IP may not be known yet: a placeholder stands for
    /// it, replaced when the step begins.
    pub(super) fn render<T>(
        &self,
        device: Option<&HivelocityProduct>,
        render: impl FnOnce(&Variables<'_>) -> T,
    ) -> T {
        let known_id = self.service().device_id.map(|id| id.to_string());
        let (ip, id) = if device.is_some() {
            (
                self.service().ip.as_deref().unwrap_or(DEVICE_IP),
                known_id.as_deref().unwrap_or(DEVICE_ID),
            )
        } else {
            ("", "")
        };
        render(&Variables {
            source: self.situation.source,
            order_id: self.situation.event.order_id.as_deref().unwrap_or(""),
            customer: &self.customer,
            service: &self.ordered,
            device_ip: ip,
            device_id: id,
        })
    }

    /// The patch that every lifecycle plan begins with.
    pub(super) fn settled(&self, status: ServiceStatus) -> Patch {
        let mut patch = Patch::default();
        patch
            .set("status", status)
            .set("settled", self.situation.order);
        if self.service().customer_id.is_none() {
            patch.set_text("customer_id", &self.customer.id);
        }
        // Whose it is by the newest word, until something says that it was moved.
        match self.moved() {
            Some((_, is)) => patch.set("said_customer_id", is),
            None => patch.remove("said_customer_id"),
        };
        if self.service().suspend_reason.is_some() {
            patch.remove("suspend_reason");
        }
        patch
    }

    /// Whether the customer was closed, and this event is older than that.
    pub(super) fn closed_since(&self) -> bool {
        let customer = self.situation.customer;
        customer.closed
            && customer
                .settled
                .is_some_and(|settled| settled > self.situation.order)
    }

    /// Opens the customer again where it was closed before this event.
    pub(super) fn reopen(&self, patch: &mut Patch) {
        if self.situation.customer.closed && !self.closed_since() {
            patch.set("closed", false);
        }
    }
}

fn fill(text: &mut String, known: Option<&str>) {
    if text.trim().is_empty() {
        known.unwrap_or_default().clone_into(text);
    }
}
