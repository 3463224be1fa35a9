//! Planning: the ordered steps that bring one service (or customer) to what an event asks.
//!
//! Every choice is made here, from the event, the catalogue, the rules and what the store knows;
//! carrying a plan out chooses nothing any more. Not here: rows, requests, clocks. Pure.
//!
//! # What supersedes what
//!
//! A lifecycle event writes its place in the lane (`settled`) into the service's state together
//! with its plan, *before* its first step. From then on it is what the billing platform wants
//! last, whether its run ends well, pauses or is cancelled by a person; an older event that
//! comes late changes nothing. The same event again (a replay, or a run that is planned anew)
//! has the same place, so it is planned again: every step ensures, none repeats.
//! A run that paused and was passed by a newer one must not go on: [`superseded()`] says so.
//!
//! # When a person is asked
//!
//! A plan is made whole or not at all: every template is rendered and every doubt raised before
//! the first step, so that a mistake in the configuration never leaves a half-bought order.
//! A [`Verdict::Hold`] stores nothing, so the run can be planned again once the cause is gone.

mod action;
mod aside;
mod case;
mod customer;
mod device;
mod effect;
mod guard;
mod held;
mod licence;
mod looks;
mod marks;
mod moved;
mod ordering;
mod package;
mod paid;
mod patch;
mod progress;
mod report;
mod settle;
mod superseded;
mod suspend;
mod suspension;
mod terminate;
mod user;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::catalogue::{AccountModel, Catalogue, CreateClientOn, DeactivateClient, SubUserPer};
use crate::domain::{
    Customer, CustomerState, Event, EventType, OrderKey, OrderedService, PauseReason, ServiceState,
    StepAction,
};

pub use aside::{Aside, unread};
pub use effect::{Effect, effect};
pub use guard::{Guard, guard};
pub use held::{held, spared};
pub use looks::{learned_build, usual_build};
pub use marks::{client_company, client_mark, device_tag, username};
pub use ordering::{inherit, may_leave, order_settled, request_leaves, settled_order};
pub use progress::{may_give_way, touched};
pub use report::{Standing, report};
pub use settle::{
    Build, Moment, Next, RetryRules, Settled, begin, interrupted, permit, retry, settle,
    surely_absent, tell_slow,
};
pub use superseded::superseded;
pub use suspension::{
    as_before, asked, at_end, begins as suspension_begins, darken_what_was_built, undone,
};
pub use user::{after_a_closing, protector};

use case::Case;
use patch::Patch;

/// Whether no event may suspend or terminate the service (`policy.protected_services`).
pub fn is_protected(rules: &Rules, source: &str, service_id: &str) -> bool {
    let protects = |entry: &String| {
        let scoped = entry.split_once([':', '/']);
        entry == service_id || scoped == Some((source, service_id))
    };
    rules.protected_services.iter().any(protects)
}

/// The part of the configuration that planning depends on, beside the catalogue.
#[derive(Clone, Debug)]
pub struct Rules {
    /// One controlled client per customer, or one account for all.
    pub account_model: AccountModel,
    /// The primary account's address, used for every controlled client.
    pub owner_email: String,
    /// When a customer gets its controlled client.
    pub create_client_on: CreateClientOn,
    /// Who gets a 1H sub-user.
    pub sub_user_per: SubUserPer,
    /// What a sub-user's name begins with.
    pub username_prefix: String,
    /// Whether a controlled client ends with its last service.
    pub deactivate_client: DeactivateClient,
    /// Services that no event suspends or terminates: `501`, or `whmcs:501` for one source.
    pub protected_services: Vec<String>,
    /// The sources that want to be told how it went.
    pub reports: BTreeSet<String>,
}

/// Another service of the same customer.
#[derive(Clone, Copy, Debug)]
pub struct Sibling<'a> {
    /// The platform's id of the service.
    pub service_id: &'a str,
    /// What is known of it.
    pub state: &'a ServiceState,
}

/// Everything a plan is made from.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// The source's name.
    pub source: &'a str,
    /// What the billing platform said.
    pub event: &'a Event,
    /// The service or the customer that the run is about.
    pub subject: Subject<'a>,
    /// The event's place in the lane.
    pub order: OrderKey,
    /// Whose it is, from the event or else from the state.
    pub customer_id: Option<&'a str>,
    /// What is known of the service; the default in a customer's lane.
    pub service: &'a ServiceState,
    /// What is known of the customer.
    pub customer: &'a CustomerState,
    /// The customer's other services (in a customer's lane: all of them).
    pub siblings: &'a [Sibling<'a>],
    /// Why a newer event that waits in the lane makes this one pointless, if one does.
    pub newer: Option<&'a str>,
    /// What is sold.
    pub catalogue: &'a Catalogue,
    /// How it is to be done.
    pub rules: &'a Rules,
}

/// What a run is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// One service, as the event describes it.
    Service(&'a OrderedService),
    /// The customer, as the event describes it.
    Customer(&'a Customer),
}

/// What is to become of a run.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one a run, taken apart at once")]
pub enum Verdict {
    /// Carry this out.
    Do(Plan),
    /// Pause, for this reason, in a word and in a sentence; nothing is stored, so it can be
    /// planned again.
    Hold(PauseReason, String),
    /// Succeeded without a step, for this reason.
    Nothing(String),
    /// A newer event made it pointless, for this reason.
    Superseded(String),
    /// It is not done, for this reason, and nobody is waited for.
    Refused(String),
}

/// Steps in their order, and what planning itself changes in the state.
///
/// A patch is an object of top-level keys of [`ServiceState`] or [`CustomerState`]; null
/// removes a key. A plan without steps is carried out by storing its patches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What to do, one after the other.
    pub steps: Vec<StepAction>,
    /// Stored with the plan, before the first step.
    pub service_now: Value,
    /// The same for the customer.
    pub customer_now: Value,
    /// Stored when the run succeeded.
    pub service_end: Value,
    /// The same for the customer.
    pub customer_end: Value,
    /// What people should know although it holds nothing up, a sentence each.
    pub notes: Vec<String>,
    /// What of that the event asked for and is left aside, for the metrics.
    pub aside: Vec<Aside>,
}

impl Plan {
    /// Steps, and what is stored with the plan.
    fn of(steps: Vec<StepAction>, service_now: Patch) -> Self {
        Self {
            steps,
            service_now: service_now.done(),
            customer_now: Patch::default().done(),
            service_end: Patch::default().done(),
            customer_end: Patch::default().done(),
            ..Self::default()
        }
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Stop {
    /// A person decides.
    #[error("{1}")]
    Hold(PauseReason, String),
    /// There is nothing to do.
    #[error("{0}")]
    Nothing(String),
    /// A newer event came first.
    #[error("{0}")]
    Superseded(String),
    /// It is not done.
    #[error("{0}")]
    Refuse(String),
}

/// A plan, or why there is none.
type Planned = Result<Plan, Stop>;

/// What the event means for this service or customer, here and now.
pub fn plan(situation: &Situation<'_>) -> Verdict {
    let planned = match situation.subject {
        Subject::Service(ordered) => of_service(situation, ordered),
        Subject::Customer(customer) => of_customer(situation, customer),
    };
    match planned {
        Ok(plan) => Verdict::Do(plan),
        Err(Stop::Hold(reason, sentence)) => Verdict::Hold(reason, sentence),
        Err(Stop::Nothing(reason)) => Verdict::Nothing(reason),
        Err(Stop::Superseded(reason)) => Verdict::Superseded(reason),
        Err(Stop::Refuse(reason)) => Verdict::Refused(reason),
    }
}

fn of_service(situation: &Situation<'_>, ordered: &OrderedService) -> Planned {
    let kind = situation.event.kind;
    if let Some(reason) = superseded(kind, &situation.order, situation.service) {
        return Err(Stop::Superseded(reason));
    }
    if let Some(newer) = situation.newer {
        return Err(Stop::Superseded(newer.to_owned()));
    }
    let case = Case::new(situation, ordered);
    aside::note_unread(&case, of_case(&case, kind))
}

fn of_case(case: &Case<'_>, kind: EventType) -> Planned {
    match kind {
        EventType::OrderPaid => paid::plan(case),
        EventType::ServiceSuspended => suspend::suspended(case),
        EventType::ServiceUnsuspended => suspend::unsuspended(case),
        EventType::ServiceTerminated => terminate::plan(case),
        EventType::ServiceRenewed => action::renewed(case),
        EventType::ServicePackageChanged => package::plan(case),
        EventType::ServiceAction => action::plan(case),
        EventType::ServiceMoved => moved::plan(case),
        EventType::CustomerCreated
        | EventType::CustomerUpdated
        | EventType::CustomerClosed
        | EventType::CustomerReopened => Err(Stop::Hold(
            PauseReason::Event,
            format!("{kind} is about a customer, but the run is a service's; cancel it"),
        )),
        EventType::TestPing => Err(Stop::Nothing("a connection test; nothing to do".to_owned())),
    }
}

fn of_customer(situation: &Situation<'_>, customer: &Customer) -> Planned {
    let kind = situation.event.kind;
    if let Some(newer) = situation.newer {
        return Err(Stop::Superseded(newer.to_owned()));
    }
    match kind {
        EventType::CustomerCreated => customer::created(situation, customer),
        EventType::CustomerUpdated => customer::updated(situation, customer),
        EventType::CustomerClosed => customer::closed(situation, customer),
        EventType::CustomerReopened => customer::reopened(situation, customer),
        EventType::TestPing => Err(Stop::Nothing("a connection test; nothing to do".to_owned())),
        EventType::OrderPaid
        | EventType::ServiceSuspended
        | EventType::ServiceUnsuspended
        | EventType::ServiceTerminated
        | EventType::ServiceRenewed
        | EventType::ServicePackageChanged
        | EventType::ServiceAction
        | EventType::ServiceMoved => Err(Stop::Hold(
            PauseReason::Event,
            format!("{kind} is about a service, but the run is a customer's; cancel it"),
        )),
    }
}
