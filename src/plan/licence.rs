//! 1H's part of a plan: which licences are added and removed, and on which IP. Pure.

use crate::catalogue::{LicenceSpec, OneHProduct, Product};
use crate::domain::{Licence, PauseReason, ServiceStatus, StepAction};

use super::Stop;
use super::case::Case;

/// What the catalogue makes of the order, or a person is asked.
pub(super) fn spec(
    case: &Case<'_>,
    product: &Product,
    one_h: &OneHProduct,
) -> Result<LicenceSpec, Stop> {
    let spec = case
        .render(product.hivelocity.as_ref(), |variables| {
            one_h.render(variables)
        })
        .map_err(|error| {
            Stop::Hold(PauseReason::Catalogue, format!("{error}; nothing was done"))
        })?;
    if spec.ip.trim().is_empty() && !one_h.licenses.is_empty() {
        return Err(Stop::Hold(
            PauseReason::Catalogue,
            format!(
                "service {} has no IP for its licences: the product's one_h.ip is empty for this order; \
             nothing was ordered",
                case.id()
            ),
        ));
    }
    Ok(spec)
}

/// The licences of a product on one IP.
pub(super) fn wanted(one_h: &OneHProduct, ip: &str) -> Vec<Licence> {
    let mut wanted = Vec::new();
    for product in &one_h.licenses {
        push_new(
            &mut wanted,
            Licence {
                product: product.clone(),
                ip: ip.to_owned(),
            },
        );
    }
    wanted
}

/// The step that activates a licence.
pub(super) fn add(licence: &Licence, username: Option<&str>, label: &str) -> StepAction {
    StepAction::AddLicense {
        product: licence.product.clone(),
        ip: licence.ip.clone(),
        username: username.map(str::to_owned),
        label: label.to_owned(),
    }
}

/// The step that takes a licence away.
pub(super) fn remove(licence: &Licence, suspension: bool) -> StepAction {
    StepAction::RemoveLicense {
        product: licence.product.clone(),
        ip: licence.ip.clone(),
        suspension,
        holder: None,
    }
}

/// The step that takes a licence from a sub-user to whom the service does not belong any more.
pub(super) fn take_from(licence: &Licence, holder: Option<&str>) -> StepAction {
    StepAction::RemoveLicense {
        product: licence.product.clone(),
        ip: licence.ip.clone(),
        suspension: false,
        holder: holder.map(str::to_owned),
    }
}

/// The licences that a suspension takes away: those held, and while a build is unfinished also
/// those whose activation may have gone unrecorded.
pub(super) fn to_suspend(case: &Case<'_>, one_h: &OneHProduct) -> Vec<Licence> {
    let mut licences = case.service().licenses.clone();
    if case.status() == ServiceStatus::Building {
        add_unrecorded(case, one_h, &mut licences);
    }
    licences
}

/// The licences that a termination takes away. Removing one that is gone is no mistake, leaving
/// one costs money for ever; so everything the service may hold is named, but never anything on
/// an IP that it has given up, which may be somebody else's by now.
pub(super) fn to_end(case: &Case<'_>, product: Option<&Product>) -> Vec<Licence> {
    let service = case.service();
    let mut licences = Vec::new();
    for licence in service.licenses.iter().chain(&service.licenses_suspended) {
        push_new(&mut licences, licence.clone());
    }
    let Some((product, one_h)) =
        product.and_then(|product| Some((product, product.one_h.as_ref()?)))
    else {
        return licences;
    };
    add_unrecorded(case, one_h, &mut licences);
    if product.hivelocity.is_none() && service.status == ServiceStatus::Building {
        // Without a device the IP is in the order's options, if the event repeats them.
        let spec = case.render(None, |variables| one_h.render(variables));
        if let Ok(spec) = spec
            && !spec.ip.trim().is_empty()
        {
            for licence in wanted(one_h, &spec.ip) {
                push_new(&mut licences, licence);
            }
        }
    }
    licences
}

/// Adds the catalogue's licences on the device's IP.
fn add_unrecorded(case: &Case<'_>, one_h: &OneHProduct, licences: &mut Vec<Licence>) {
    if let Some(ip) = case.service().ip.as_deref() {
        for licence in wanted(one_h, ip) {
            push_new(licences, licence);
        }
    }
}

/// Adds `licence` unless it is there already.
pub(super) fn push_new(licences: &mut Vec<Licence>, licence: Licence) {
    if !licences.contains(&licence) {
        licences.push(licence);
    }
}
