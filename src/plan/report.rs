//! What the billing platform is told of a service, and when. Pure.
//!
//! It is told where a service stands whenever a run ends, as soon as the device's IP is known, when
//! a run needs a person and when it goes on after that. Nothing waits for it: the store keeps the
//! newest state until it was heard.

use serde_json::{Value, json};

use crate::domain::report::{NewReport, RUN_PAUSED, RUN_RESUMED, SERVICE_UPDATED};
use crate::domain::{RunStatus, ServiceState, ServiceStatus};

/// A run of a service in the moment in which it is written.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The source's name.
    pub source: &'a str,
    /// The service.
    pub service_id: &'a str,
    /// Whose it is, where known.
    pub customer_id: Option<&'a str>,
    /// What is known of it by now.
    pub service: &'a ServiceState,
    /// Its IP when that was last reported, or when the run was taken.
    pub ip_before: Option<&'a str>,
    /// Where the run stands.
    pub status: RunStatus,
    /// Why it is paused or ended without succeeding.
    pub error: Option<&'a str>,
    /// Whether this is the first write since the run was taken.
    pub first: bool,
}

/// What the write tells the billing platform, if anything.
pub fn report(standing: &Standing<'_>) -> Option<NewReport> {
    let ip = standing.service.ip.as_deref();
    let came_up = ip.is_some() && ip != standing.ip_before;
    // Of a service that nobody built there is nothing to tell but that a pause is over.
    let nothing_known = standing.service.status == ServiceStatus::Unknown;
    let (kind, over_pause, error) = match standing.status {
        RunStatus::Paused => (RUN_PAUSED, false, standing.error),
        RunStatus::Cancelled => (SERVICE_UPDATED, nothing_known, standing.error),
        RunStatus::Succeeded | RunStatus::Superseded => (SERVICE_UPDATED, nothing_known, None),
        RunStatus::Running | RunStatus::Waiting if came_up => (SERVICE_UPDATED, false, None),
        RunStatus::Running | RunStatus::Waiting if standing.first => (RUN_RESUMED, true, None),
        RunStatus::Running | RunStatus::Waiting | RunStatus::Pending => return None,
    };
    Some(NewReport {
        kind,
        over_pause,
        doc: document(standing, error),
    })
}

fn document(standing: &Standing<'_>, error: Option<&str>) -> Value {
    let service = standing.service;
    json!({
        "source": standing.source,
        "service_id": standing.service_id,
        "customer_id": service.customer_id.as_deref().or(standing.customer_id),
        "status": service.status,
        "ip": service.ip,
        "hostname": service.hostname,
        "error": error,
        "next": error.and_then(command),
    })
}

/// The one command that a sentence names; none where there are several to choose from, since only
/// the sentence says what each is for.
fn command(sentence: &str) -> Option<&str> {
    const OURS: &str = "billhook runs ";
    let start = sentence.find(OURS)?;
    let rest = sentence.get(start..)?;
    let end = rest.find(['`', '(', ';', ',', '.']).unwrap_or(rest.len());
    let (command, after) = rest.split_at_checked(end)?;
    (!after.contains(OURS)).then_some(command.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(service: &ServiceState, status: RunStatus) -> Standing<'_> {
        Standing {
            source: "whmcs",
            service_id: "501",
            customer_id: Some("77"),
            service,
            ip_before: None,
            status,
            error: Some("it waits; allow it with: billhook runs approve run_1 (or end it)"),
            first: true,
        }
    }

    fn known() -> ServiceState {
        ServiceState {
            status: ServiceStatus::Building,
            ip: Some("203.0.113.7".to_owned()),
            hostname: Some("srv1.example.com".to_owned()),
            ..ServiceState::default()
        }
    }

    #[test]
    fn a_pause_is_told_with_its_reason_and_the_one_command_that_helps() {
        let service = known();
        let report = report(&standing(&service, RunStatus::Paused)).unwrap();
        assert_eq!((report.kind, report.over_pause), (RUN_PAUSED, false));
        assert_eq!(report.doc["next"], "billhook runs approve run_1");
        assert!(
            report.doc["error"]
                .as_str()
                .unwrap()
                .starts_with("it waits")
        );
        assert_eq!(report.doc["status"], "building");
    }

    #[test]
    fn several_commands_are_left_to_the_sentence() {
        let both = "To keep it: `billhook runs approve run_1`. Else: `billhook runs retry run_1`";
        assert_eq!(command(both), None);
        assert_eq!(
            command("then `billhook runs retry run_1`."),
            Some("billhook runs retry run_1")
        );
        assert_eq!(command("look at 1H"), None);
    }

    #[test]
    fn the_ip_is_told_as_soon_as_it_is_known_and_once() {
        let service = known();
        let now = standing(&service, RunStatus::Running);
        assert_eq!(report(&now).unwrap().kind, SERVICE_UPDATED);
        let later = Standing {
            ip_before: service.ip.as_deref(),
            first: false,
            ..now
        };
        assert_eq!(report(&later), None);
    }

    #[test]
    fn of_a_service_that_nobody_built_only_the_end_of_a_pause_is_told() {
        let service = ServiceState::default();
        for status in [
            RunStatus::Succeeded,
            RunStatus::Superseded,
            RunStatus::Cancelled,
        ] {
            assert!(
                report(&standing(&service, status)).unwrap().over_pause,
                "{status}"
            );
        }
        let service = known();
        let report = report(&standing(&service, RunStatus::Superseded)).unwrap();
        assert!(!report.over_pause && report.doc["error"].is_null());
    }
}
