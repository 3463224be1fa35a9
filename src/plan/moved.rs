//! `service.moved`: the service belongs to another customer from now on. Pure.

use crate::catalogue::{LicenceOnSuspend, OneHProduct, SubUserPer};
use crate::domain::{PauseReason, ServiceStatus, StepAction};

use super::case::Case;
use super::{Plan, Planned, Stop, licence, suspend, user};

/// The plan that hands a service over: whose it is, and whose sub-user its licences belong to.
pub(super) fn plan(case: &Case<'_>) -> Planned {
    match case.status() {
        ServiceStatus::Unknown => return Err(suspend::never_ordered(case, "moved")),
        ServiceStatus::Terminated => {
            return Err(Stop::Nothing(format!(
                "service {} is terminated; there is nothing to hand over",
                case.id()
            )));
        }
        ServiceStatus::Building | ServiceStatus::Active | ServiceStatus::Suspended => {}
    }
    let Some((was, is)) = case.moved() else {
        return Err(Stop::Nothing(format!(
            "service {} is customer {}'s already",
            case.id(),
            case.customer.id
        )));
    };
    refuse_device(case, was, is)?;
    let mut steps = Vec::new();
    let product = case.known_product()?;
    let shared = matches!(case.situation.rules.sub_user_per, SubUserPer::Customer);
    let heir = user::of_customer(case).filter(|_| shared);
    if let (Some(one_h), Some(heir)) = (&product.one_h, &heir) {
        hand_over(
            case,
            one_h,
            heir,
            &suspend::label(case, product),
            &mut steps,
        )?;
    }
    let mut now = super::Patch::default();
    now.set("customer_id", is)
        .set("moved", case.situation.order)
        .remove("said_customer_id");
    // A licence is given up as the old sub-user's, so whose they are changes at the end.
    let mut end = super::Patch::default();
    if let Some(heir) = heir.filter(|_| product.one_h.is_some()) {
        end.set("one_h_user", &heir).set("one_h_user_made", heir);
    }
    let mut customer_now = super::Patch::default();
    customer_now
        .set_text("email", &case.customer.email)
        .set_text("name", &case.customer.name)
        .set_text("company", &case.customer.company);
    Ok(Plan {
        customer_now: customer_now.done(),
        service_end: end.done(),
        ..Plan::of(steps, now)
    })
}

/// The command that hands a service over.
pub(super) fn command(source: &str, id: &str, customer: &str, more: &str) -> String {
    format!("`billhook services move {source} {id} --customer {customer}{more} --reason …`")
}

/// A device stays in the controlled client that it was ordered in: which of the ways out is taken
/// is for a person to say.
fn refuse_device(case: &Case<'_>, was: &str, is: &str) -> Result<(), Stop> {
    let stays = case.situation.event.keeps_device;
    if stays || !case.multi() || !case.has_device() {
        return Ok(());
    }
    let id = case.id();
    Err(Stop::Hold(
        PauseReason::Difference,
        format!(
            "service {id} goes from customer {was} to customer {is}, but Hivelocity cannot move a device between \
             controlled clients. Either leave the device where it is and hand over the rest: {} \
             (or service.moved with \"keeps_device\": true); or order it anew for customer {is}, terminate this one \
             and cancel whatever run is paused for this",
            command(case.situation.source, id, is, " --keeps-device")
        ),
    ))
}

/// 1H knows a licence by product and IP; to belong to another sub-user it is given up and taken anew.
fn hand_over(
    case: &Case<'_>,
    one_h: &OneHProduct,
    heir: &str,
    label: &str,
    steps: &mut Vec<StepAction>,
) -> Result<(), Stop> {
    let is = &case.customer.id;
    if case.customer.email.trim().is_empty() {
        return Err(Stop::Hold(
            PauseReason::Event,
            format!(
                "no e-mail address of customer {is} is known, which 1H wants for a sub-user; say it with {} \
                 (or service.moved with customer.email)",
                command(case.situation.source, case.id(), is, " --email ADDRESS")
            ),
        ));
    }
    steps.push(user::add(case, heir));
    let dark = case.status() == ServiceStatus::Suspended;
    if !dark && !case.closed_since() && user::others_may_have_suspended(case, heir) {
        steps.push(StepAction::UnsuspendUser {
            username: heir.to_owned(),
        });
    }
    for held in &case.service().licenses {
        steps.push(licence::take_from(
            held,
            case.service().one_h_user.as_deref(),
        ));
        steps.push(licence::add(held, Some(heir), label));
    }
    if dark && matches!(one_h.on_suspend, LicenceOnSuspend::SuspendUser) {
        steps.push(StepAction::SuspendUser {
            username: heir.to_owned(),
            unless_shared: true,
        });
    }
    Ok(())
}
