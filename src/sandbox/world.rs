//! Both suppliers and what befalls their requests, behind one lock. It answers requests; it never
//! waits and knows no sockets.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::calendar::{self, Calendar};
use super::estate::Estate;
use super::fault::{Fault, FaultPlan, changes_something};
use super::hivelocity;
use super::journal::{Journal, Record};
use super::one_h::{self, Credentials, Office};
use super::rate_limit::RateLimit;
use super::registry::Registry;
use super::snapshot::{Ledger, SandboxSnapshot};
use super::wire::{Request, Response};
use super::{SandboxError, SandboxOptions};

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
    rate_limit: RateLimit,
    /// Where it is written down, if it outlives the process.
    journal: Option<Journal>,
    /// Requests that take effect later although nobody waits for them, and when.
    late: Vec<(Duration, Request)>,
    requests: u64,
    faults_met: u64,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl World {
    /// A world in real time in which nothing has been ordered yet, or what an earlier process left of
    /// it.
    pub(super) fn new(options: &SandboxOptions) -> Result<Self, SandboxError> {
        match &options.kept_in {
            Some(path) => Self::kept(options, path),
            None => Ok(Self::since(
                Duration::ZERO,
                options,
                Calendar::beginning_now(),
            )),
        }
    }

    /// A world of which so much time is over.
    fn since(over: Duration, options: &SandboxOptions, calendar: Calendar) -> Self {
        let started = Instant::now();
        let watch = Box::new(move || over + started.elapsed());
        Self::timed(options, calendar, watch)
    }

    /// The world of this journal: everything it says is done again, each at its own moment.
    fn kept(options: &SandboxOptions, path: &Path) -> Result<Self, SandboxError> {
        let (mut journal, records) = Journal::open(path)?;
        let wrong = |error: std::io::Error| SandboxError::Journal {
            path: path.to_owned(),
            what: format!("it cannot be written: {error}"),
        };
        let now = calendar::now();
        let mut options = options.clone();
        let began = if let Some(Record::Began { at, seed }) = records.first() {
            options.seed = *seed;
            *at
        } else {
            let seed = options.seed;
            journal
                .note(&Record::Began { at: now, seed })
                .map_err(wrong)?;
            now
        };
        let last = records.iter().filter_map(Record::done_at).max();
        let over = now.since(began).max(last.unwrap_or_default());
        let world = Self::since(over, &options, Calendar::beginning(began));
        let mut state = world.state();
        for record in records {
            world.repeat(&mut state, record);
        }
        let time = options.build_time;
        journal.note(&Record::Build { time }).map_err(wrong)?;
        state.estate.pace.build = time;
        state.journal = Some(journal);
        drop(state);
        Ok(world)
    }

    /// Does what a record of the journal says.
    fn repeat(&self, state: &mut State, record: Record) {
        match record {
            Record::Began { .. } => {}
            Record::Build { time } => state.estate.pace.build = time,
            Record::Done { at, request } => {
                self.catch_up(state, at);
                self.carry_out(state, &request, at);
            }
            Record::Late { at, request } => state.late.push((at, request)),
            Record::Verified { at } => state.estate.verify_orders(at),
        }
    }

    /// The same in a time that the watch tells.
    pub(super) fn timed(options: &SandboxOptions, calendar: Calendar, watch: Watch) -> Self {
        let state = State {
            estate: Estate::new(options),
            registry: Registry::default(),
            ledger: Ledger::default(),
            faults: FaultPlan::new(options.faults, options.seed),
            rate_limit: RateLimit::new(options.requests_per_hour, options.rate_window),
            journal: None,
            late: Vec::new(),
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
        self.catch_up(&mut state, now);
        let noted = Record::Done {
            at: now,
            request: request.clone(),
        };
        self.act(&mut state, request, now, Some(&noted))
    }

    /// Lets the request meet this fault; none where no answer comes. A stall is lived through by
    /// whoever has the connection.
    pub(super) fn suffer(&self, request: &Request, fault: &Fault) -> Option<Response> {
        if let Fault::LateEffect(after) = fault {
            let at = (self.watch)() + *after;
            let mut state = self.state();
            let noted = Record::Late {
                at,
                request: request.clone(),
            };
            if state.note(&noted) {
                state.late.push((at, request.clone()));
            }
            return None;
        }
        if fault.takes_effect_unheard() {
            return fault.instead_of(self.perform(request));
        }
        let answer = fault.answer()?;
        if hivelocity_path(request).is_none() || !fault.is_the_suppliers() {
            return Some(answer);
        }
        let now = (self.watch)();
        let mut state = self.state();
        self.catch_up(&mut state, now);
        Some(state.rate_limit.admit(now, || answer))
    }

    /// People let pass every order that waits for them.
    pub(super) fn verify_orders(&self) {
        let now = (self.watch)();
        let mut state = self.state();
        self.catch_up(&mut state, now);
        if state.note(&Record::Verified { at: now }) {
            state.estate.verify_orders(now);
        }
    }

    /// What was to take effect later and is due takes effect, each at its own moment.
    fn catch_up(&self, state: &mut State, now: Duration) {
        loop {
            let due = state.late.iter().enumerate();
            let due = due.filter(|(_, (moment, _))| *moment <= now);
            let first = due.min_by_key(|(index, (moment, _))| (*moment, *index));
            let Some((index, _)) = first else { return };
            let (moment, request) = state.late.remove(index);
            self.act(state, &request, moment, None);
        }
    }

    /// Takes a request as far as the supplier's limit lets it, and writes it down before it has an
    /// effect.
    fn act(
        &self,
        state: &mut State,
        request: &Request,
        now: Duration,
        noted: Option<&Record>,
    ) -> Response {
        let carry_out = |state: &mut State| {
            let noted = noted.filter(|_| changes_something(&operation_of(request)));
            if noted.is_some_and(|record| !state.note(record)) {
                return Response::refusal(500, "The sandbox cannot write down what it was asked.");
            }
            self.carry_out(state, request, now)
        };
        if hivelocity_path(request).is_none() {
            return carry_out(state);
        }
        let mut limit = std::mem::take(&mut state.rate_limit);
        let response = limit.admit(now, || carry_out(state));
        state.rate_limit = limit;
        response
    }

    fn carry_out(&self, state: &mut State, request: &Request, now: Duration) -> Response {
        let State {
            estate,
            registry,
            ledger,
            ..
        } = state;
        let calendar = self.calendar;
        if let Some(path) = hivelocity_path(request) {
            return hivelocity::answer(estate, ledger, request, path, (now, calendar));
        }
        if request.path == ONE_H_PATH {
            let office = Office {
                registry,
                ledger,
                credentials: &self.credentials,
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
        let mut state = self.state();
        self.catch_up(&mut state, now);
        SandboxSnapshot {
            clients: state.estate.client_snapshots(),
            devices: state.estate.device_snapshots(now),
            orders: state.estate.order_snapshots(now),
            order_groups: state.estate.book.group_snapshots(),
            sub_users: state.registry.user_snapshots(),
            licences: state.registry.licence_snapshots(),
            portals: state.registry.portal_snapshots(),
            effects: state.ledger.effects.clone(),
            violations: state.ledger.violations.clone(),
            requests: state.requests,
            faults_met: state.faults_met,
            rate_limited: state.rate_limit.turned_away,
        }
    }

    /// A thread that broke off leaves whole state behind: nothing here is changed in two parts.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a record is in the journal, where there is one.
    fn note(&mut self, record: &Record) -> bool {
        let noted = self.journal.as_mut().map(|journal| journal.note(record));
        if let Some(Err(error)) = &noted {
            tracing::error!(%error, "the sandbox cannot write down what its suppliers were asked");
        }
        !matches!(noted, Some(Err(_)))
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
