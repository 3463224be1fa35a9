//! 1H's sub-users: whose a service is, whether it was made, whether it may be suspended. Pure.

use std::collections::BTreeSet;

use crate::catalogue::SubUserPer;
use crate::domain::{CustomerState, OrderKey, ServiceState, ServiceStatus, StepAction};

use super::case::Case;
use super::{Rules, Sibling, Situation, is_protected, marks};

/// The sub-user of the service: the one that it has, else the one that the rules give it.
///
/// What was made once stays, however the prefix or the rule changes later.
pub(super) fn of(case: &Case<'_>) -> Option<String> {
    if case.service().one_h_user.is_some() {
        return case.service().one_h_user.clone();
    }
    of_customer(case)
}

/// The sub-user that the rules give a service of this customer.
pub(super) fn of_customer(case: &Case<'_>) -> Option<String> {
    let Situation {
        source,
        rules,
        customer,
        ..
    } = case.situation;
    let name = |id: &str| marks::username(&rules.username_prefix, source, id, rules.sub_user_per);
    match rules.sub_user_per {
        SubUserPer::None => None,
        SubUserPer::Service => Some(name(case.id())),
        SubUserPer::Customer => match &customer.one_h_user {
            Some(user) => Some(user.clone()),
            None => (!case.customer.id.is_empty()).then(|| name(&case.customer.id)),
        },
    }
}

/// Whether this state shows that its sub-user was made at 1H.
///
/// A build names its sub-user when it is planned, so that others see who will share it; made
/// it is once the build ensured it, holds a licence or ended.
pub(super) fn was_made(service: &ServiceState) -> bool {
    match service.status {
        ServiceStatus::Unknown => false,
        ServiceStatus::Terminated => true,
        ServiceStatus::Building | ServiceStatus::Active | ServiceStatus::Suspended => {
            !service.is_unbuilt()
                || service.one_h_user.is_some() && service.one_h_user_made == service.one_h_user
                || !service.licenses.is_empty()
                || !service.licenses_suspended.is_empty()
        }
    }
}

/// The service's sub-user, if it was made.
pub(super) fn made(case: &Case<'_>) -> Option<String> {
    let user = of(case)?;
    let states = std::iter::once(case.service())
        .chain(case.situation.siblings.iter().map(|sibling| sibling.state));
    let shows = |state: &ServiceState| state.one_h_user.as_ref() == Some(&user) && was_made(state);
    states.into_iter().any(shows).then_some(user)
}

/// Whether another service of that sub-user needs it usable.
pub(super) fn kept_by<'a>(user: &str, siblings: &[Sibling<'a>]) -> Option<&'a str> {
    let keeps = |sibling: &&Sibling<'_>| {
        sibling.state.one_h_user.as_deref() == Some(user)
            && sibling.state.status.keeps_user_active()
    };
    siblings
        .iter()
        .find(keeps)
        .map(|sibling| sibling.service_id)
}

/// Whether the sub-user may be suspended by what happened before this event: the customer was
/// closed, this service went dark, or another service of it was there before.
///
/// That another one is active does not say that the sub-user is usable: it counts as active from
/// the moment its return is planned, and a termination may end that before it is carried out.
pub(super) fn perhaps_suspended(case: &Case<'_>, user: &str) -> bool {
    let service = case.service();
    let own = matches!(
        case.status(),
        ServiceStatus::Suspended | ServiceStatus::Terminated
    ) && service.one_h_user.as_deref() == Some(user);
    let own = match &service.suspension {
        Some(record) => record.user.as_deref() == Some(user),
        None => own,
    };
    own || others_may_have_suspended(case, user)
}

/// The same for what happened to others than this service.
pub(super) fn others_may_have_suspended(case: &Case<'_>, user: &str) -> bool {
    let of_user = |state: &ServiceState| state.one_h_user.as_deref() == Some(user);
    let mut others = case.situation.siblings.iter();
    let others = others.any(|other| of_user(other.state) && was_made(other.state));
    case.situation.customer.closed || others
}

/// The customer's sub-users that are in use, for what concerns the customer as a whole.
pub(super) fn in_use(situation: &Situation<'_>) -> BTreeSet<String> {
    let made = |sibling: &&Sibling<'_>| was_made(sibling.state);
    let wanted = |sibling: &&Sibling<'_>| {
        // The customer's own sub-user outlives its services; a service's does not.
        sibling.state.status.exists() || sibling.state.one_h_user == situation.customer.one_h_user
    };
    situation
        .siblings
        .iter()
        .filter(made)
        .filter(wanted)
        .filter_map(|sibling| sibling.state.one_h_user.clone())
        .collect()
}

/// Whether the services of the sub-user are all suspended, for reasons of their own.
pub(super) fn is_dark(user: &str, situation: &Situation<'_>) -> bool {
    let of_user = |sibling: &&Sibling<'_>| sibling.state.one_h_user.as_deref() == Some(user);
    let services = situation.siblings.iter().filter(of_user);
    let statuses: Vec<ServiceStatus> = services
        .map(|sibling| sibling.state.status)
        .filter(|status| status.exists())
        .collect();
    !statuses.is_empty()
        && statuses
            .iter()
            .all(|status| *status == ServiceStatus::Suspended)
}

/// Whether this service or another one that uses the sub-user is protected.
pub(super) fn is_spared(case: &Case<'_>, user: &str) -> bool {
    let Situation {
        rules,
        source,
        siblings,
        ..
    } = case.situation;
    is_protected(rules, source, case.id()) || protector(rules, source, user, siblings).is_some()
}

/// The protected service that needs the sub-user.
pub fn protector<'a>(
    rules: &Rules,
    source: &str,
    user: &str,
    services: &[Sibling<'a>],
) -> Option<&'a str> {
    let protects = |service: &&Sibling<'_>| {
        service.state.one_h_user.as_deref() == Some(user)
            && service.state.status.keeps_user_active()
            && is_protected(rules, source, service.service_id)
    };
    services.iter().find(protects).map(|it| it.service_id)
}

/// The step that a build ends with whose customer was closed after it was ordered: the closing
/// came too early to suspend the sub-user that it made.
pub fn after_a_closing(
    order: &OrderKey,
    service: &ServiceState,
    customer: &CustomerState,
) -> Option<StepAction> {
    let closed = customer.closed && customer.settled.is_some_and(|settled| settled > *order);
    let username = service.one_h_user_made.clone().filter(|_| closed)?;
    Some(StepAction::SuspendUser {
        username,
        unless_shared: false,
    })
}

/// The step that ensures the sub-user.
pub(super) fn add(case: &Case<'_>, username: &str) -> StepAction {
    let (email, name) = contact(&case.customer);
    StepAction::AddUser {
        username: username.to_owned(),
        email,
        name,
    }
}

/// Address and name as 1H takes them; it wants a name even of those who gave none.
pub(super) fn contact(customer: &crate::domain::Customer) -> (String, String) {
    let names = [&customer.name, &customer.company, &customer.email];
    let name = names.into_iter().find(|text| !text.trim().is_empty());
    (customer.email.clone(), name.cloned().unwrap_or_default())
}
