//! `order.paid`: the service is to exist; a suspended one comes back. Pure.

use crate::catalogue::{LicenceSpec, Product, SubUserPer};
use crate::domain::{OrderKey, PauseReason, ServiceStatus, StepAction};

use super::case::Case;
use super::patch::Patch;
use super::{Plan, Planned, Stop, aside, device, licence, moved, suspend, suspension, user};

/// The plan of a paid order.
///
/// Everything is ensured: what is there already is found by its mark, so the same order planned
/// again creates nothing twice.
pub(super) fn plan(case: &Case<'_>) -> Planned {
    let is_back = case.status() == ServiceStatus::Suspended && !case.service().is_unbuilt();
    if is_back && package_since(case).is_some() {
        return suspend::unsuspended(case);
    }
    let product = ordered_product(case)?;
    refuse(case, product)?;
    let mut steps = Vec::new();
    let mut kept = Vec::new();
    let mut hostname = case.ordered.hostname.clone();
    if let Some(hivelocity) = &product.hivelocity {
        let spec = device::spec(case, hivelocity)?;
        refuse_other_hardware(case, product, &spec)?;
        kept = aside::kept(case, hivelocity, &spec, "another order");
        hostname.clone_from(&spec.hostname);
        device::build(case, spec, &mut steps);
        if comes_back(case) {
            device::lighten(case, hivelocity.on_suspend, &mut steps);
        }
    }
    let user = product.one_h.as_ref().and_then(|_| user::of(case));
    if let Some(one_h) = &product.one_h {
        let spec = licence::spec(case, product, one_h)?;
        ensure_user(case, user.as_deref(), &mut steps)?;
        let mut licences = licence::wanted(one_h, &spec.ip);
        for suspended in &case.service().licenses_suspended {
            licence::push_new(&mut licences, suspended.clone());
        }
        steps.extend(
            licences
                .iter()
                .map(|licence| licence::add(licence, user.as_deref(), &spec.label)),
        );
        portal(case, user.as_deref(), &spec, &mut steps);
    }
    close_again(case, user.as_deref(), &mut steps);
    let mut plan = patches(case, steps, user.as_deref(), &hostname);
    (plan.aside, plan.notes) = kept.into_iter().unzip();
    Ok(plan)
}

/// The order's own product: what was paid for, not what the service may have become since.
fn ordered_product<'a>(case: &Case<'a>) -> Result<&'a Product, Stop> {
    let id = &case.ordered.product_id;
    if let Some(product) = case.find(id) {
        return Ok(product);
    }
    if id.is_empty() {
        return Err(Stop::Hold(
            PauseReason::Event,
            format!(
                "the order does not say which product service {} is; send it again with its product_id",
                case.id()
            ),
        ));
    }
    let reason = format!("product {id} is not in the catalogue");
    match case.status() {
        // Orders name what other modules sell, too.
        ServiceStatus::Unknown => Err(Stop::Nothing(reason)),
        ServiceStatus::Building
        | ServiceStatus::Active
        | ServiceStatus::Suspended
        | ServiceStatus::Terminated => Err(Stop::Hold(
            PauseReason::Catalogue,
            format!("{reason}; add it and restart billhook, then retry this run"),
        )),
    }
}

/// Everything that a person has to look at before money is spent.
fn refuse(case: &Case<'_>, product: &Product) -> Result<(), Stop> {
    refuse_reuse(case, product)?;
    refuse_quantity(case, product)?;
    refuse_package(case)?;
    if let Some((was, is)) = case.moved().filter(|_| case.status().exists()) {
        return Err(Stop::Hold(
            PauseReason::Difference,
            format!(
                "service {} was built for customer {was}, the order names customer {is}, and a second device \
                 would be ordered; hand it over with {} (or service.moved), then retry this run, or cancel it",
                case.id(),
                moved::command(case.situation.source, case.id(), is, "")
            ),
        ));
    }
    let needs_customer = (product.hivelocity.is_some() && case.multi())
        || (product.one_h.is_some()
            && matches!(case.situation.rules.sub_user_per, SubUserPer::Customer));
    if needs_customer && case.customer.id.is_empty() {
        return Err(Stop::Hold(
            PauseReason::Event,
            "the order names no customer; send it again with customer.id".to_owned(),
        ));
    }
    Ok(())
}

/// A device that is being cancelled keeps its mark for a while. A new order under the same mark
/// would find it, take it for its own, and the customer would pay for a dying server.
fn refuse_reuse(case: &Case<'_>, product: &Product) -> Result<(), Stop> {
    if case.status() != ServiceStatus::Terminated || product.hivelocity.is_none() {
        return Ok(());
    }
    let when = case
        .service()
        .settled
        .map(|settled| format!(" on {}", settled.occurred_at))
        .unwrap_or_default();
    Err(Stop::Hold(
        PauseReason::WrongState,
        format!(
            "service {} was terminated{when} and paid again; its old device may still carry the mark {} and \
         must not be taken for the new one, so order it as a new service and cancel this run",
            case.id(),
            case.tag()
        ),
    ))
}

fn refuse_quantity(case: &Case<'_>, product: &Product) -> Result<(), Stop> {
    let quantity = case.ordered.quantity;
    if quantity <= 1 || (product.hivelocity.is_none() && product.one_h.is_none()) {
        return Ok(());
    }
    Err(Stop::Hold(
        PauseReason::Event,
        format!(
            "service {} was ordered {quantity} times as one, but one service is one device; \
         make it {quantity} services in billing (no multiple quantities on the product) and cancel this run",
            case.id()
        ),
    ))
}

/// The package change that is newer than this order, if there was one.
fn package_since(case: &Case<'_>) -> Option<OrderKey> {
    let settled = case.service().package_settled;
    settled.filter(|settled| *settled > case.situation.order)
}

/// The package changed while the build stood still: which of the two is to be built?
fn refuse_package(case: &Case<'_>) -> Result<(), Stop> {
    let Some(newer) = package_since(case) else {
        return Ok(());
    };
    Err(Stop::Hold(
        PauseReason::Difference,
        format!(
            "the package of service {} changed on {}, after this order; send a new order.paid with the \
         present package and cancel this run",
            case.id(),
            newer.occurred_at
        ),
    ))
}

/// A second order of a service that has a device finds the device by its mark; where another
/// product was paid for, that must not pass for success.
fn refuse_other_hardware(
    case: &Case<'_>,
    product: &Product,
    spec: &crate::catalogue::DeviceSpec,
) -> Result<(), Stop> {
    let known = case.service().product_id.as_deref();
    let nothing_to_differ = case.service().is_dead();
    if known.is_none_or(|known| known == product.id) || !case.status().exists() || nothing_to_differ
    {
        return Ok(());
    }
    let was = known
        .and_then(|id| case.find(id))
        .and_then(|product| product.hivelocity.as_ref());
    match device::difference(case, was, spec) {
        None => Ok(()),
        Some(difference) => Err(Stop::Hold(
            PauseReason::Difference,
            format!(
                "service {} has a device of another kind ({difference}); it is never re-deployed silently, so \
             arrange the change with Hivelocity by hand and cancel this run",
                case.id()
            ),
        )),
    }
}

/// Whether a suspension that this order ends may have darkened the device. A build that has its IP
/// may be a return whose run stood still: booting and un-routing it again does no harm.
fn comes_back(case: &Case<'_>) -> bool {
    let service = case.service();
    let dark = service.suspension.is_some()
        || match case.status() {
            ServiceStatus::Suspended => true,
            ServiceStatus::Building => service.ip.is_some(),
            ServiceStatus::Unknown | ServiceStatus::Active | ServiceStatus::Terminated => false,
        };
    dark && case.is_newest()
}

fn ensure_user(
    case: &Case<'_>,
    user: Option<&str>,
    steps: &mut Vec<StepAction>,
) -> Result<(), Stop> {
    let Some(user) = user else { return Ok(()) };
    if case.customer.email.trim().is_empty() {
        return Err(Stop::Hold(
            PauseReason::Event,
            "the order names no e-mail address, which 1H wants for a sub-user; \
             send it again with customer.email; nothing was ordered"
                .to_owned(),
        ));
    }
    steps.push(user::add(case, user));
    if user::perhaps_suspended(case, user) && !case.closed_since() {
        steps.push(StepAction::UnsuspendUser {
            username: user.to_owned(),
        });
    }
    Ok(())
}

/// Makes the portal, or brings the one that is there up to date.
pub(super) fn portal(
    case: &Case<'_>,
    user: Option<&str>,
    spec: &LicenceSpec,
    steps: &mut Vec<StepAction>,
) {
    let Some(username) = user.map(str::to_owned) else {
        return;
    };
    let (ip, portal_domain) = (spec.ip.clone(), spec.portal_domain.clone());
    if portal_domain.is_empty() {
        return;
    }
    match case.service().portal_domain.as_deref() {
        Some(known) if known != portal_domain => {
            steps.push(StepAction::UpdatePortal {
                username,
                ip,
                portal_domain,
            });
        }
        Some(_) | None => steps.push(StepAction::AddPortal {
            username,
            ip,
            portal_domain,
        }),
    }
}

/// An order that comes in after its customer was closed, though it is older: it is built, as it
/// would have been in order, and the sub-user is as suspended as it would be: in order, the closing
/// would have spared that of a protected service.
fn close_again(case: &Case<'_>, user: Option<&str>, steps: &mut Vec<StepAction>) {
    let closes = |user: &&str| case.closed_since() && !user::is_spared(case, user);
    if let Some(user) = user.filter(closes) {
        steps.push(StepAction::SuspendUser {
            username: user.to_owned(),
            unless_shared: false,
        });
    }
}

fn patches(case: &Case<'_>, steps: Vec<StepAction>, user: Option<&str>, hostname: &str) -> Plan {
    let newest = case.is_newest();
    let mut now = Patch::default();
    if newest {
        now = case.settled(status(case));
    } else if case.status() != ServiceStatus::Suspended {
        now.set("status", status(case));
    }
    now.set("ordered", case.situation.order)
        .set_text("customer_id", &case.customer.id)
        .set_text("product_id", &case.ordered.product_id);
    if !aside::is_up(case) {
        now.set_text("hostname", hostname);
    }
    if case.status() == ServiceStatus::Unknown || case.service().is_unbuilt() {
        now.set("unbuilt", true);
    }
    if comes_back(case) {
        now.set("suspension", suspension::record(case));
    }
    if let Some(user) = user {
        now.set("one_h_user", user);
    }
    let mut end = Patch::default();
    end.set("status", ServiceStatus::Active).remove("unbuilt");
    if newest {
        end.remove("licenses_suspended").remove("suspension");
    }
    Plan {
        customer_now: customer_patch(case, user).done(),
        service_end: end.done(),
        ..Plan::of(steps, now)
    }
}

/// What the service is while its order is carried out.
fn status(case: &Case<'_>) -> ServiceStatus {
    match case.status() {
        ServiceStatus::Active => ServiceStatus::Active,
        ServiceStatus::Suspended if !case.service().is_unbuilt() => ServiceStatus::Active,
        ServiceStatus::Unknown
        | ServiceStatus::Building
        | ServiceStatus::Suspended
        | ServiceStatus::Terminated => ServiceStatus::Building,
    }
}

fn customer_patch(case: &Case<'_>, user: Option<&str>) -> Patch {
    let mut patch = Patch::default();
    let newer = case
        .situation
        .customer
        .settled
        .is_none_or(|settled| settled < case.situation.order);
    if newer {
        patch
            .set_text("email", &case.customer.email)
            .set_text("name", &case.customer.name)
            .set_text("company", &case.customer.company);
    }
    let shared = matches!(case.situation.rules.sub_user_per, SubUserPer::Customer);
    if let Some(user) = user.filter(|_| shared && case.situation.customer.one_h_user.is_none()) {
        patch.set("one_h_user", user);
    }
    case.reopen(&mut patch);
    patch
}
