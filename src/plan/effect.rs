//! What a step of a plan that is only shown would do, by what is known now. Pure.

use crate::domain::step::{DEVICE_IP, StepAction as A};
use crate::domain::{CustomerState, ServiceState};

/// What a step would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// What it ensures is known to be there; nothing is made.
    Exists,
    /// It looks, and makes what it does not find; that costs nothing by itself.
    LookedFor,
    /// It looks, and buys what it does not find.
    Bought,
    /// It changes what is there.
    Changed,
}

impl Effect {
    /// Its word in the API and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::LookedFor => "looked_for",
            Self::Bought => "bought",
            Self::Changed => "changed",
        }
    }
}

/// What the step would come to, and by which mark what it ensures is looked for.
pub fn effect(
    action: &A,
    service: &ServiceState,
    customer: &CustomerState,
) -> (Effect, Option<String>) {
    let device_is_up = service.device_id.is_some() && service.ip.is_some();
    match action {
        A::CreateClient { mark, .. } => {
            let known = customer.hivelocity_client_id.is_some();
            ensured(known, Effect::LookedFor, mark.clone())
        }
        A::DeployDevice { tag, .. } => {
            ensured(service.device_id.is_some(), Effect::Bought, tag.clone())
        }
        A::AwaitDevice { tag } => ensured(device_is_up, Effect::LookedFor, tag.clone()),
        A::AddUser { username, .. } => {
            let users = [&service.one_h_user_made, &customer.one_h_user];
            let known = users.iter().any(|user| user.as_ref() == Some(username));
            ensured(known, Effect::LookedFor, username.clone())
        }
        A::AddLicense { product, ip, .. } => {
            let ip = service
                .ip
                .as_deref()
                .map_or_else(|| ip.clone(), |device_ip| ip.replace(DEVICE_IP, device_ip));
            let held = service.licenses.iter();
            let known = held
                .filter(|held| held.product == *product)
                .any(|held| held.ip == ip);
            ensured(known, Effect::Bought, format!("{product} on {ip}"))
        }
        A::Power { .. }
        | A::NullRoute { .. }
        | A::RemoveNullRoute { .. }
        | A::CancelDevice { .. }
        | A::ReloadDevice { .. }
        | A::DeactivateClient
        | A::UpdateUser { .. }
        | A::SuspendUser { .. }
        | A::UnsuspendUser { .. }
        | A::RemoveLicense { .. }
        | A::AddPortal { .. }
        | A::UpdatePortal { .. }
        | A::Report { .. } => (Effect::Changed, None),
    }
}

fn ensured(known: bool, otherwise: Effect, mark: String) -> (Effect, Option<String>) {
    let effect = if known { Effect::Exists } else { otherwise };
    (effect, Some(mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Licence;

    fn steps() -> Vec<A> {
        let tag = "billhook:whmcs:501".to_owned();
        vec![
            A::CreateClient {
                email: "ops@reseller.example".to_owned(),
                company: "Example [whmcs:77]".to_owned(),
                mark: "[whmcs:77]".to_owned(),
            },
            A::DeployDevice {
                product_id: 584,
                location: "TPA1".to_owned(),
                os: "Debian 12".to_owned(),
                hostname: "srv1.example.com".to_owned(),
                period: "monthly".to_owned(),
                tag: tag.clone(),
            },
            A::AwaitDevice { tag: tag.clone() },
            A::AddUser {
                username: "bh1".to_owned(),
                email: "ann@example.com".to_owned(),
                name: "Ann".to_owned(),
            },
            A::AddLicense {
                product: "Hive".to_owned(),
                ip: DEVICE_IP.to_owned(),
                username: None,
                label: String::new(),
            },
            A::CancelDevice { tag },
        ]
    }

    fn words(service: &ServiceState, customer: &CustomerState) -> Vec<&'static str> {
        let word = |step: &A| effect(step, service, customer).0.name();
        steps().iter().map(word).collect()
    }

    #[test]
    fn a_first_order_buys_what_costs_money_and_looks_for_the_rest() {
        let (service, customer) = (ServiceState::default(), CustomerState::default());
        assert_eq!(
            words(&service, &customer),
            [
                "looked_for",
                "bought",
                "looked_for",
                "looked_for",
                "bought",
                "changed"
            ]
        );
        let marks: Vec<_> = steps()
            .iter()
            .filter_map(|step| effect(step, &service, &customer).1)
            .collect();
        assert_eq!(
            marks,
            [
                "[whmcs:77]",
                "billhook:whmcs:501",
                "billhook:whmcs:501",
                "bh1",
                "Hive on {device.ip}"
            ]
        );
    }

    #[test]
    fn what_the_state_knows_exists() {
        let service = ServiceState {
            device_id: Some(7),
            ip: Some("203.0.113.7".to_owned()),
            licenses: vec![Licence {
                product: "Hive".to_owned(),
                ip: "203.0.113.7".to_owned(),
            }],
            ..ServiceState::default()
        };
        let customer = CustomerState {
            hivelocity_client_id: Some(35_476),
            one_h_user: Some("bh1".to_owned()),
            ..CustomerState::default()
        };
        assert_eq!(
            words(&service, &customer),
            ["exists", "exists", "exists", "exists", "exists", "changed"]
        );
        let building = ServiceState {
            ip: None,
            licenses: Vec::new(),
            ..service
        };
        assert_eq!(words(&building, &customer)[1..3], ["exists", "looked_for"]);
    }
}
