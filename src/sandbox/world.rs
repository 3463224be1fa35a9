//! Both suppliers and what befalls their requests, behind one lock. It answers requests; it never
//! waits and knows no sockets.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::SandboxOptions;
use super::calendar::Calendar;
use super::device::Pace;
use super::estate::Estate;
use super::fault::{Fault, FaultPlan};
use super::hivelocity;
use super::one_h::{self, Credentials, Office};
use super::registry::Registry;
use super::snapshot::{Ledger, SandboxSnapshot};
use super::wire::{Request, Response};

/// Where the hardware supplier's API begins.
pub(super) const HIVELOCITY_BASE: &str = "/api/v2";
/// The licence supplier's one address.
pub(super) const ONE_H_PATH: &str = "/partners";

/// Tells how long ago the world began.
pub(super) type Watch = Box<dyn Fn() -> Duration + Send + Sync>;

/// Everything behind the sockets.
pub(super) struct World {
    watch: Watch,
    calendar: Calendar,
    credentials: Credentials,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    estate: Estate,
    registry: Registry,
    ledger: Ledger,
    faults: FaultPlan,
    requests: u64,
    faults_met: u64,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl World {
    /// A world in which nothing has been ordered yet, in real time.
    pub(super) fn new(options: &SandboxOptions) -> Self {
        let began = Instant::now();
        let watch = Box::new(move || began.elapsed());
        Self::timed(options, Calendar::beginning_now(), watch)
    }

    /// The same in a time that the watch tells.
    pub(super) fn timed(options: &SandboxOptions, calendar: Calendar, watch: Watch) -> Self {
        let pace = Pace {
            build: options.build_time,
            hidden: options.hidden_for,
            power: options.power_time,
        };
        let key = options.hivelocity_api_key.clone();
        let estate = Estate::new(pace, key, options.token_shows_last_four, options.seed);
        let state = State {
            estate,
            registry: Registry::default(),
            ledger: Ledger::default(),
            faults: FaultPlan::new(options.faults, options.seed),
            requests: 0,
            faults_met: 0,
        };
        let credentials = Credentials {
            auth_code: options.one_h_auth_code.clone(),
            api_key: options.one_h_api_key.clone(),
        };
        Self {
            watch,
            calendar,
            credentials,
            state: Mutex::new(state),
        }
    }

    /// What this request is to meet, if anything.
    pub(super) fn fault_for(&self, request: &Request) -> Option<Fault> {
        let operation = operation_of(request);
        let mut state = self.state();
        state.requests += 1;
        let fault = state.faults.draw(&operation);
        state.faults_met += u64::from(fault.is_some());
        fault
    }

    /// Lets the request take effect and answers it.
    pub(super) fn perform(&self, request: &Request) -> Response {
        let now = (self.watch)();
        let mut state = self.state();
        let State {
            estate,
            registry,
            ledger,
            ..
        } = &mut *state;
        if let Some(path) = hivelocity_path(request) {
            return hivelocity::answer(estate, ledger, request, path, (now, self.calendar));
        }
        if request.path == ONE_H_PATH {
            let credentials = &self.credentials;
            let calendar = self.calendar;
            let office = Office {
                registry,
                ledger,
                credentials,
                now,
                calendar,
            };
            return one_h::answer(office, request);
        }
        ledger.violations.push(format!(
            "{} {}: no such route",
            request.method, request.path
        ));
        Response::refusal(404, "There is no such route.")
    }

    /// From now on every request has this chance of a fault.
    pub(super) fn set_faults(&self, rate: f64) {
        self.state().faults.set_rate(rate);
    }

    /// The next `times` requests that match meet this fault.
    pub(super) fn script_fault(&self, matcher: &str, fault: Fault, times: usize) {
        self.state().faults.script(matcher, fault, times);
    }

    /// From now on nothing goes wrong.
    pub(super) fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Everything held at this moment.
    pub(super) fn snapshot(&self) -> SandboxSnapshot {
        let now = (self.watch)();
        let state = self.state();
        SandboxSnapshot {
            clients: state.estate.client_snapshots(),
            devices: state.estate.device_snapshots(now),
            sub_users: state.registry.user_snapshots(),
            licences: state.registry.licence_snapshots(),
            portals: state.registry.portal_snapshots(),
            effects: state.ledger.effects.clone(),
            violations: state.ledger.violations.clone(),
            requests: state.requests,
            faults_met: state.faults_met,
        }
    }

    /// A thread that broke off leaves whole state behind: nothing here is changed in two parts.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The request's name for the fault plan: `POST /bare-metal-devices/`, `one_h add_license`.
fn operation_of(request: &Request) -> String {
    match hivelocity_path(request) {
        Some(path) => format!("{} {path}", request.method),
        None if request.path == ONE_H_PATH => format!("one_h {}", one_h::command_of(request)),
        None => format!("{} {}", request.method, request.path),
    }
}

fn hivelocity_path(request: &Request) -> Option<&str> {
    request
        .path
        .strip_prefix(HIVELOCITY_BASE)
        .filter(|path| path.starts_with('/'))
}
