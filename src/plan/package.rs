//! `service.package_changed`: licences follow, hardware never does by itself. Pure.

use crate::catalogue::{LicenceOnSuspend, LicenceSpec, OneHProduct, Product};
use crate::domain::{Licence, PauseReason, ServiceStatus, StepAction};

use super::case::Case;
use super::patch::Patch;
use super::{Plan, Planned, Stop, aside, device, licence, paid, suspend, user};

/// The plan of a package change.
pub(super) fn plan(case: &Case<'_>) -> Planned {
    match case.status() {
        ServiceStatus::Unknown => return Err(suspend::never_ordered(case, "changed")),
        ServiceStatus::Terminated => return Err(suspend::ended(case, "changed")),
        ServiceStatus::Building | ServiceStatus::Active | ServiceStatus::Suspended => {}
    }
    let product = new_product(case)?;
    let kept = refuse_hardware(case, product)?;
    let mut steps = Vec::new();
    let mut end = Patch::default();
    end.set_text("product_id", &case.ordered.product_id);
    let user = product.one_h.as_ref().and_then(|_| user::of(case));
    match &product.one_h {
        Some(one_h) => change(case, product, one_h, user.as_deref(), &mut steps, &mut end)?,
        None => remove_except(case, &[], &mut steps),
    }
    if product.one_h.is_none() {
        end.remove("licenses_suspended");
    }
    let mut now = Patch::default();
    now.set("package_settled", case.situation.order);
    if let Some(user) = user {
        now.set("one_h_user", user);
    }
    let (aside, notes) = kept.into_iter().unzip();
    Ok(Plan {
        service_end: end.done(),
        notes,
        aside,
        ..Plan::of(steps, now)
    })
}

fn new_product<'a>(case: &Case<'a>) -> Result<&'a Product, Stop> {
    let id = &case.ordered.product_id;
    case.find(id).ok_or_else(|| {
        Stop::Hold(PauseReason::Catalogue, format!(
            "service {} changed to product {id}, which is not in the catalogue; add it and restart \
             billhook, then retry this run",
            case.id()
        ))
    })
}

/// What is built stays as it is; a person is shown the difference. Returned is what the device
/// keeps although it could be given to it by a reload, which nobody wants without being asked.
fn refuse_hardware(
    case: &Case<'_>,
    product: &Product,
) -> Result<Vec<(aside::Aside, String)>, Stop> {
    let was = case
        .service()
        .product_id
        .as_deref()
        .and_then(|id| case.find(id));
    let old = was.and_then(|product| product.hivelocity.as_ref());
    let had_device =
        old.is_some() || case.has_device() || case.service().device_product_id.is_some();
    let Some(hivelocity) = &product.hivelocity else {
        return if had_device {
            Err(differs(case, "the new package has no device"))
        } else {
            Ok(Vec::new())
        };
    };
    if !had_device {
        return Err(differs(
            case,
            "the old package had no device, the new one has",
        ));
    }
    let built = case.service().device_product_id.is_some() && case.service().ip.is_some();
    if case.service().is_unbuilt() && !built {
        return Err(Stop::Hold(
            PauseReason::WrongState,
            format!(
                "the device of service {} is not built yet; let its order finish, then retry this run",
                case.id()
            ),
        ));
    }
    let spec = device::asked(case, hivelocity)?;
    match device::difference(case, old, &spec) {
        Some(difference) => Err(differs(case, &difference)),
        None => Ok(aside::kept(case, hivelocity, &spec, "a package change")),
    }
}

fn differs(case: &Case<'_>, difference: &str) -> Stop {
    Stop::Hold(
        PauseReason::Difference,
        format!(
            "hardware differs: {difference}; service {} is never re-deployed silently, so arrange the change with \
         Hivelocity by hand and cancel this run, or change the package back in billing",
            case.id()
        ),
    )
}

fn change(
    case: &Case<'_>,
    product: &Product,
    one_h: &OneHProduct,
    user: Option<&str>,
    steps: &mut Vec<StepAction>,
    end: &mut Patch,
) -> Result<(), Stop> {
    let spec = licence::spec(case, product, one_h)?;
    let wanted = licence::wanted(one_h, &spec.ip);
    let missing = missing(case, &wanted);
    if case.status() == ServiceStatus::Suspended && goes_dark_without(one_h) {
        remove_except(case, &[], steps);
        end.set("licenses_suspended", wanted);
    } else if case.status() == ServiceStatus::Suspended
        && !case.service().licenses_suspended.is_empty()
    {
        remove_except(case, &wanted, steps);
        end.set("licenses_suspended", missing);
    } else {
        remove_except(case, &wanted, steps);
        add(case, &missing, user, &spec, steps);
        end.remove("licenses_suspended");
    }
    if case.service().portal_domain.as_deref() != Some(spec.portal_domain.as_str()) {
        paid::portal(case, user, &spec, steps);
    }
    Ok(())
}

/// Whether a service of this product is dark by having no licences, so that all of them wait until
/// it is back.
fn goes_dark_without(one_h: &OneHProduct) -> bool {
    matches!(one_h.on_suspend, LicenceOnSuspend::RemoveLicense)
}

fn remove_except(case: &Case<'_>, wanted: &[Licence], steps: &mut Vec<StepAction>) {
    let gone = case
        .service()
        .licenses
        .iter()
        .filter(|held| !wanted.contains(held));
    steps.extend(gone.map(|licence| licence::remove(licence, false)));
}

fn missing(case: &Case<'_>, wanted: &[Licence]) -> Vec<Licence> {
    wanted
        .iter()
        .filter(|licence| !case.service().licenses.contains(licence))
        .cloned()
        .collect()
}

fn add(
    case: &Case<'_>,
    missing: &[Licence],
    user: Option<&str>,
    spec: &LicenceSpec,
    steps: &mut Vec<StepAction>,
) {
    if let Some(user) = user.filter(|_| !missing.is_empty()) {
        steps.push(user::add(case, user));
        let dark = case.status() == ServiceStatus::Suspended || case.closed_since();
        if user::perhaps_suspended(case, user) && !dark {
            steps.push(StepAction::UnsuspendUser {
                username: user.to_owned(),
            });
        }
    }
    steps.extend(
        missing
            .iter()
            .map(|licence| licence::add(licence, user, &spec.label)),
    );
}
