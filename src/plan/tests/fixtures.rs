//! For the planner's tests: products, states and events of one service, 501 of customer 77.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::catalogue::{
    AccountModel, Catalogue, CreateClientOn, DeactivateClient, DeviceOnSuspend, DeviceOnTerminate,
    HivelocitySettings, LicenceOnSuspend, OneHSettings, ProductSettings, SubUserPer,
};
use crate::domain::{
    Action, Customer, CustomerState, DeliveryId, Event, EventType, Licence, OrderKey,
    OrderedService, ServiceState, ServiceStatus, StepAction, Timestamp,
};

use super::super::{Plan, Rules, Sibling, Situation, Subject, Verdict, plan, username};

/// What a product brings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) device: Option<(DeviceOnSuspend, DeviceOnTerminate)>,
    pub(super) licence: Option<LicenceOnSuspend>,
}

/// A device that is shut down and cancelled, and a licence of a sub-user.
pub(super) const BOTH: Shape = Shape {
    device: Some((DeviceOnSuspend::Shutdown, DeviceOnTerminate::Cancel)),
    licence: Some(LicenceOnSuspend::SuspendUser),
};
/// That licence alone.
pub(super) const LICENCE: Shape = Shape {
    device: None,
    licence: Some(LicenceOnSuspend::SuspendUser),
};
/// That device alone.
pub(super) const DEVICE: Shape = Shape {
    licence: None,
    ..BOTH
};
/// Nothing at all.
pub(super) const NONE: Shape = Shape {
    device: None,
    licence: None,
};

/// Every way to go dark and to end, with and without each part.
pub(super) fn shapes() -> Vec<Shape> {
    let on_suspend = [
        DeviceOnSuspend::Shutdown,
        DeviceOnSuspend::NullRoute,
        DeviceOnSuspend::ShutdownAndNullRoute,
        DeviceOnSuspend::None,
    ];
    let on_terminate = [
        DeviceOnTerminate::Cancel,
        DeviceOnTerminate::Shutdown,
        DeviceOnTerminate::None,
    ];
    let ways = on_suspend
        .into_iter()
        .flat_map(|dark| on_terminate.map(|end| Some((dark, end))));
    let devices: Vec<_> = std::iter::once(None).chain(ways).collect();
    let licences = [
        None,
        Some(LicenceOnSuspend::SuspendUser),
        Some(LicenceOnSuspend::RemoveLicense),
        Some(LicenceOnSuspend::None),
    ];
    devices
        .iter()
        .flat_map(|device| {
            licences.map(|licence| Shape {
                device: *device,
                licence,
            })
        })
        .collect()
}

/// One product of that shape.
pub(super) fn product(id: &str, shape: Shape) -> ProductSettings {
    let device = |(on_suspend, on_terminate)| HivelocitySettings {
        product_id: 584,
        location: "{{ options['Location'] or 'TPA1' }}".into(),
        os: "{{ options['Operating System'] or 'Ubuntu 22.04' }}".into(),
        hostname: HivelocitySettings::default_hostname(),
        period: HivelocitySettings::default_period(),
        on_suspend,
        on_terminate,
    };
    let licence = |on_suspend| OneHSettings {
        licenses: vec!["Hive".into()],
        ip: OneHSettings::default_ip(),
        label: OneHSettings::default_label(),
        portal_domain: String::new(),
        on_suspend,
    };
    ProductSettings {
        source: None,
        id: id.into(),
        hivelocity: shape.device.map(device),
        one_h: shape.licence.map(licence),
    }
}

/// The catalogue that sells product 42 of that shape; each is compiled once.
fn catalogue(shape: Shape) -> Arc<Catalogue> {
    static COMPILED: OnceLock<Vec<(Shape, Arc<Catalogue>)>> = OnceLock::new();
    let compiled = COMPILED.get_or_init(|| {
        let compile = |shape| Arc::new(Catalogue::compile(vec![product("42", shape)]).unwrap());
        shapes()
            .into_iter()
            .map(|shape| (shape, compile(shape)))
            .collect()
    });
    compiled
        .iter()
        .find(|(known, _)| *known == shape)
        .map(|(_, catalogue)| Arc::clone(catalogue))
        .unwrap()
}

/// The rules of most tests.
pub(super) fn rules(account_model: AccountModel) -> Rules {
    Rules {
        account_model,
        owner_email: "ops@reseller.example".into(),
        create_client_on: CreateClientOn::FirstOrder,
        sub_user_per: SubUserPer::Customer,
        username_prefix: "bh".into(),
        deactivate_client: DeactivateClient::Never,
        protected_services: Vec::new(),
        reports: BTreeSet::from(["whmcs".to_owned()]),
    }
}

/// The place of an event that occurred that many minutes after noon.
pub(super) fn at(minute: i64) -> OrderKey {
    let noon = Timestamp::parse("2026-11-21T12:00:00Z").unwrap();
    OrderKey {
        occurred_at: Timestamp::from_seconds(noon.seconds() + minute * 60),
        origin: DeliveryId(1000 + minute),
    }
}

/// Customer 77.
pub(super) fn ann() -> Customer {
    Customer {
        id: "77".into(),
        email: "ann@example.com".into(),
        name: "Ann Lee".into(),
        company: "Example Ltd".into(),
    }
}

/// Her sub-user.
pub(super) fn user() -> String {
    username("bh", "whmcs", "77", SubUserPer::Customer)
}

/// The licence on the device's IP.
pub(super) fn hive() -> Licence {
    Licence {
        product: "Hive".into(),
        ip: "203.0.113.7".into(),
    }
}

/// Service 501 as it stands after living through `status`, settled at minute 0.
pub(super) fn state(status: ServiceStatus, shape: Shape) -> ServiceState {
    let mut state = ServiceState {
        status,
        ..ServiceState::default()
    };
    if status == ServiceStatus::Unknown {
        return state;
    }
    state.settled = Some(at(0));
    state.customer_id = Some("77".into());
    state.product_id = Some("42".into());
    state.hostname = Some("srv1.example.com".into());
    state.one_h_user = shape.licence.map(|_| user());
    if shape.device.is_some() && status != ServiceStatus::Terminated {
        state.device_order_id = Some(9001);
        state.device_product_id = Some(584);
        state.device_location = Some("TPA1".into());
        state.device_os = Some("Ubuntu 22.04".into());
    }
    let up = matches!(status, ServiceStatus::Active | ServiceStatus::Suspended);
    if shape.device.is_some() && up {
        state.device_id = Some(7001);
        state.ip = Some("203.0.113.7".into());
    }
    if shape.licence.is_some() && up {
        let taken = shape.licence == Some(LicenceOnSuspend::RemoveLicense)
            && status == ServiceStatus::Suspended;
        if taken {
            &mut state.licenses_suspended
        } else {
            &mut state.licenses
        }
        .push(hive());
    }
    state
}

/// Everything a situation borrows from.
pub(super) struct World {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) rules: Rules,
    pub(super) event: Event,
    pub(super) order: OrderKey,
    pub(super) service: ServiceState,
    pub(super) customer: CustomerState,
    pub(super) siblings: Vec<(String, ServiceState)>,
    pub(super) newer: Option<&'static str>,
}

impl World {
    /// `kind` happens at minute 10 to a service that stands at `status`.
    pub(super) fn new(kind: EventType, status: ServiceStatus, shape: Shape) -> Self {
        let service = OrderedService {
            id: "501".into(),
            product_id: "42".into(),
            hostname: "srv1.example.com".into(),
            billing_cycle: "monthly".into(),
            quantity: 1,
            ..OrderedService::default()
        };
        let mut world = Self {
            catalogue: catalogue(shape),
            rules: rules(AccountModel::Multi),
            event: Event {
                kind,
                installation: None,
                occurred_at: at(10).occurred_at,
                order_id: Some("1001".into()),
                customer: Some(ann()),
                services: vec![service],
                action: (kind == EventType::ServiceAction).then_some(Action::Reboot),
                keeps_device: false,
                reason: None,
            },
            order: at(10),
            service: state(status, shape),
            customer: CustomerState::default(),
            siblings: Vec::new(),
            newer: None,
        };
        if shape.device.is_none() {
            world
                .ordered()
                .options
                .insert("License IP".into(), "203.0.113.7".into());
        }
        world
    }

    /// The event's service.
    pub(super) fn ordered(&mut self) -> &mut OrderedService {
        &mut self.event.services[0]
    }

    /// Moves the event to another minute.
    pub(super) fn at_minute(mut self, minute: i64) -> Self {
        self.order = at(minute);
        self.event.occurred_at = self.order.occurred_at;
        self
    }

    /// Sells these products as well.
    pub(super) fn selling(mut self, products: Vec<ProductSettings>) -> Self {
        self.catalogue = Arc::new(Catalogue::compile(products).unwrap());
        self
    }

    /// Runs `look` over the situation.
    pub(super) fn with<T>(&self, look: impl FnOnce(&Situation<'_>) -> T) -> T {
        let siblings: Vec<Sibling<'_>> = self
            .siblings
            .iter()
            .map(|(service_id, state)| Sibling { service_id, state })
            .collect();
        let customer = self.event.customer.clone().unwrap_or_default();
        let subject = if self.event.kind.concerns_customer() {
            Subject::Customer(&customer)
        } else {
            Subject::Service(&self.event.services[0])
        };
        look(&Situation {
            source: "whmcs",
            event: &self.event,
            subject,
            order: self.order,
            customer_id: self
                .event
                .customer
                .as_ref()
                .map(|c| c.id.as_str())
                .or(self.service.customer_id.as_deref()),
            service: &self.service,
            customer: &self.customer,
            siblings: &siblings,
            newer: self.newer,
            catalogue: &self.catalogue,
            rules: &self.rules,
        })
    }

    /// What the planner says.
    pub(super) fn verdict(&self) -> Verdict {
        self.with(plan)
    }

    /// The plan; fails the test when there is none.
    pub(super) fn plan(&self) -> Plan {
        match self.verdict() {
            Verdict::Do(plan) => plan,
            other => panic!("{other:?}"),
        }
    }

    /// The steps in short.
    pub(super) fn steps(&self) -> Vec<String> {
        self.plan().steps.iter().map(short).collect()
    }

    /// Stores the patches that come with the plan, or with the run's success too.
    pub(super) fn store(&mut self, plan: &Plan, ended: bool) {
        self.service = patched(&self.service, &plan.service_now);
        self.customer = patched(&self.customer, &plan.customer_now);
        if ended {
            self.service = patched(&self.service, &plan.service_end);
            self.customer = patched(&self.customer, &plan.customer_end);
        }
    }
}

/// A state with a patch applied, as the store applies it.
pub(super) fn patched<T: serde::Serialize + serde::de::DeserializeOwned>(
    state: &T,
    patch: &Value,
) -> T {
    let mut document = serde_json::to_value(state).unwrap();
    let fields = document.as_object_mut().unwrap();
    for (key, value) in patch.as_object().unwrap() {
        if value.is_null() {
            fields.remove(key);
        } else {
            fields.insert(key.clone(), value.clone());
        }
    }
    serde_json::from_value(document).unwrap()
}

/// A step on few characters.
pub(super) fn short(step: &StepAction) -> String {
    let name = step.kind().rsplit('.').next().unwrap();
    match step {
        StepAction::Power { action, .. } => format!("power:{}", action.name()),
        StepAction::AddLicense { product, ip, .. } => format!("add_license:{product}@{ip}"),
        StepAction::RemoveLicense {
            product,
            ip,
            suspension: false,
            ..
        } => format!("remove_license:{product}@{ip}"),
        StepAction::RemoveLicense {
            product,
            ip,
            suspension: true,
            ..
        } => format!("take_license:{product}@{ip}"),
        StepAction::SuspendUser {
            unless_shared: true,
            ..
        } => "suspend_user:unless_shared".to_owned(),
        StepAction::Report { status } => format!("report:{status}"),
        StepAction::CreateClient { .. }
        | StepAction::DeployDevice { .. }
        | StepAction::AwaitDevice { .. }
        | StepAction::NullRoute { .. }
        | StepAction::RemoveNullRoute { .. }
        | StepAction::CancelDevice { .. }
        | StepAction::ReloadDevice { .. }
        | StepAction::DeactivateClient
        | StepAction::AddUser { .. }
        | StepAction::UpdateUser { .. }
        | StepAction::SuspendUser { .. }
        | StepAction::UnsuspendUser { .. }
        | StepAction::AddPortal { .. }
        | StepAction::UpdatePortal { .. } => name.to_owned(),
    }
}
