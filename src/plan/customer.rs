//! `customer.created`, `customer.updated`, `customer.closed`, `customer.reopened`. Pure.
//!
//! A customer has two things that events settle: its data, and whether it is closed. A late
//! update must not undo a newer one, but no update, however new, makes a closing void; only a
//! service that was ordered or brought back after it does.

use std::collections::BTreeSet;

use crate::catalogue::{AccountModel, CreateClientOn};
use crate::domain::{Customer, OrderKey, PauseReason, StepAction};

use super::patch::Patch;
use super::{Plan, Planned, Situation, Stop, device, moved, user};

/// A customer signed up. Ensuring a client is right however late the news comes, unless the
/// customer was closed since.
pub(super) fn created(situation: &Situation<'_>, customer: &Customer) -> Planned {
    let rules = situation.rules;
    if situation.customer.closed && is_older(situation) {
        return Err(superseded(situation));
    }
    let wanted = matches!(rules.account_model, AccountModel::Multi)
        && matches!(rules.create_client_on, CreateClientOn::Signup);
    if !wanted {
        return Err(Stop::Nothing(
            "a controlled client is made with the customer's first order".to_owned(),
        ));
    }
    if customer.id.is_empty() {
        return Err(Stop::Hold(
            PauseReason::Event,
            "the event names no customer; cancel this run".to_owned(),
        ));
    }
    let steps = vec![device::create_client(
        &rules.owner_email,
        customer,
        situation.source,
    )];
    let mut now = Patch::default();
    if !is_older(situation) {
        data(&mut now, customer).set("settled", situation.order);
        if situation.customer.closed {
            now.set("closed", false);
        }
    }
    Ok(plan_of(steps, now))
}

/// A customer's address or name changed: its sub-users follow.
pub(super) fn updated(situation: &Situation<'_>, customer: &Customer) -> Planned {
    if is_older(situation) {
        return Err(superseded(situation));
    }
    let known = Customer {
        id: customer.id.clone(),
        email: either(&customer.email, situation.customer.email.as_deref()),
        name: either(&customer.name, situation.customer.name.as_deref()),
        company: either(&customer.company, situation.customer.company.as_deref()),
    };
    let users = user::in_use(situation);
    if known.email.is_empty() && !users.is_empty() {
        return Err(Stop::Hold(PauseReason::Event,
            "the event names no e-mail address and none is known, but 1H wants one; send it again with \
             customer.email"
                .to_owned(),
        ));
    }
    let (email, name) = user::contact(&known);
    let update = |username| StepAction::UpdateUser {
        username,
        email: email.clone(),
        name: name.clone(),
    };
    let steps = users.into_iter().map(update).collect();
    let mut now = Patch::default();
    data(&mut now, customer);
    // `settled` of a closed customer says when it was closed.
    if !situation.customer.closed {
        now.set("settled", situation.order);
    }
    Ok(plan_of(steps, now))
}

/// A customer left: its sub-users are suspended. What its services cost ends with their own
/// terminations.
pub(super) fn closed(situation: &Situation<'_>, customer: &Customer) -> Planned {
    if situation.customer.closed && is_older(situation) {
        return Err(superseded(situation));
    }
    if let Some(reopened) = reopened_after(situation) {
        return Err(Stop::Superseded(format!(
            "by the customer's newer reopening of {}",
            reopened.occurred_at
        )));
    }
    if let Some(service) = opened_since(situation) {
        return Err(Stop::Superseded(format!(
            "service {service} was ordered or brought back after that"
        )));
    }
    let users = user::in_use(situation);
    refuse_protected(situation, &users)?;
    refuse_handed_over(situation, customer, &users)?;
    let suspend = |username| StepAction::SuspendUser {
        username,
        unless_shared: false,
    };
    let mut now = Patch::default();
    now.set("closed", true)
        .set("settled", situation.order)
        .set("closed_users", &users);
    let steps = users.into_iter().map(suspend).collect();
    if !is_older(situation) {
        data(&mut now, customer);
    }
    Ok(plan_of(steps, now))
}

/// A customer who had left is back: what the closing did is undone. A sub-user whose services are
/// all dark for reasons of their own stays suspended.
pub(super) fn reopened(situation: &Situation<'_>, customer: &Customer) -> Planned {
    if situation.customer.closed && is_older(situation) {
        return Err(superseded(situation));
    }
    let state = situation.customer;
    let mut users: BTreeSet<String> = state.closed_users.iter().cloned().collect();
    if users.is_empty() && state.closed {
        users = user::in_use(situation); // closed by a version that did not say
    }
    users.retain(|user| !user::is_dark(user, situation));
    let back = |username| StepAction::UnsuspendUser { username };
    let steps = users.into_iter().map(back).collect();
    let mut now = Patch::default();
    now.set("closed", false).remove("closed_users");
    if reopened_after(situation).is_none() {
        now.set("reopened", situation.order);
    }
    if !is_older(situation) {
        data(&mut now, customer).set("settled", situation.order);
    }
    Ok(plan_of(steps, now))
}

/// A service that is another customer's by the newest word needs its sub-user.
fn refuse_handed_over(
    situation: &Situation<'_>,
    customer: &Customer,
    users: &BTreeSet<String>,
) -> Result<(), Stop> {
    let handed_over = |sibling: &&super::Sibling<'_>| {
        let state = sibling.state;
        let needs = state
            .one_h_user
            .as_ref()
            .is_some_and(|user| users.contains(user));
        state.said_customer_id.is_some() && needs && state.status.exists()
    };
    let Some(service) = situation.siblings.iter().find(handed_over) else {
        return Ok(());
    };
    let (id, owner) = (
        service.service_id,
        service.state.said_customer_id.as_deref(),
    );
    let owner = owner.unwrap_or_default();
    Err(Stop::Hold(
        PauseReason::Difference,
        format!(
            "customer {} was closed, but service {id} is customer {owner}'s by the newest event and still uses the \
             same 1H sub-user; hand it over first: {} (or service.moved for customer {owner}), \
             then retry this run",
            customer.id,
            moved::command(situation.source, id, owner, "")
        ),
    ))
}

/// A protected service needs its sub-user.
fn refuse_protected(situation: &Situation<'_>, users: &BTreeSet<String>) -> Result<(), Stop> {
    let protector = |user: &String| {
        user::protector(situation.rules, situation.source, user, situation.siblings)
    };
    let Some(service) = users.iter().find_map(protector) else {
        return Ok(());
    };
    Err(Stop::Hold(
        PauseReason::Protected,
        format!(
            "service {service} is protected (policy.protected_services), so the event does not suspend its sub-user; \
             take it off that list, restart billhook and retry, or cancel this run"
        ),
    ))
}

fn opened_since<'a>(situation: &Situation<'a>) -> Option<&'a str> {
    let newer = situation.siblings.iter().find(|sibling| {
        sibling.state.status.keeps_user_active()
            && sibling
                .state
                .settled
                .is_some_and(|settled| settled > situation.order)
    });
    newer.map(|sibling| sibling.service_id)
}

fn reopened_after(situation: &Situation<'_>) -> Option<OrderKey> {
    let reopened = situation.customer.reopened;
    reopened.filter(|reopened| *reopened > situation.order)
}

fn is_older(situation: &Situation<'_>) -> bool {
    situation
        .customer
        .settled
        .is_some_and(|settled| settled > situation.order)
}

fn superseded(situation: &Situation<'_>) -> Stop {
    let what = if situation.customer.closed {
        "closing"
    } else {
        "change"
    };
    let when = situation
        .customer
        .settled
        .map(|settled| format!(" of {}", settled.occurred_at))
        .unwrap_or_default();
    Stop::Superseded(format!("by the customer's newer {what}{when}"))
}

fn either(said: &str, known: Option<&str>) -> String {
    let said = said.trim();
    if said.is_empty() {
        known.unwrap_or_default().to_owned()
    } else {
        said.to_owned()
    }
}

fn data<'p>(patch: &'p mut Patch, customer: &Customer) -> &'p mut Patch {
    patch
        .set_text("email", &customer.email)
        .set_text("name", &customer.name)
        .set_text("company", &customer.company)
}

fn plan_of(steps: Vec<StepAction>, now: Patch) -> Plan {
    Plan {
        customer_now: now.done(),
        ..Plan::of(steps, Patch::default())
    }
}
