//! Requests on their way to the suppliers and back. What has left takes effect whatever becomes
//! of the process that sent it.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::domain::time::{Clock as _, Timestamp};
use crate::sandbox::{Fault, Reply, Suppliers};
use crate::store::Memory;
use crate::upstream::{Carry, Parcel, RateLimit, Raw, Received};

use super::control::Control;
use super::platform::Mood;
use super::points::{Blow, Point};

/// Where reports go to.
pub(super) const BILLING_HOST: &str = "billing.example";
/// Where a request is about to leave.
pub(super) const LEAVING: &str = "before a call";
/// How long nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a request or an answer travels, mostly and at most.
const USUAL: Duration = Duration::from_millis(80);
const SLOW: Duration = Duration::from_millis(1_400);

/// How late an order may take effect after its answer was given up, at most.
const LATEST_ORDER: Duration = Duration::from_mins(10);
/// The same of a controlled client.
const LATEST_CLIENT: Duration = Duration::from_mins(4);
/// A third of what is late is no later than this.
const SOON: Duration = Duration::from_secs(5);

type Slot = Arc<Mutex<Option<Reply>>>;

/// A request that has left.
pub(super) struct Flight {
    lands: Timestamp,
    parcel: Parcel,
    fault: Option<Fault>,
    slot: Slot,
}

/// Requests that have left and are not there yet.
#[derive(Default)]
pub(super) struct Flights(Vec<Flight>);

impl Flights {
    /// When the next one lands.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.0.iter().map(|flight| flight.lands).min()
    }

    /// They land as much later by a clock that was set forward.
    pub(super) fn delay(&mut self, by: Duration) {
        for flight in &mut self.0 {
            flight.lands = flight.lands.plus(by);
        }
    }

    fn take_landed(&mut self, now: Timestamp) -> Option<Flight> {
        let landed = self.0.iter().enumerate();
        let landed = landed.filter(|(_, flight)| flight.lands <= now);
        let (index, _) = landed.min_by_key(|(index, flight)| (flight.lands, *index))?;
        Some(self.0.remove(index))
    }
}

/// Lets every request take effect whose time has come.
pub(super) fn land(control: &Control, suppliers: &Suppliers) {
    loop {
        let flight = control.inner().flights.take_landed(control.now());
        let Some(flight) = flight else { return };
        let reply = answer(control, suppliers, &flight);
        if flight.parcel.writes {
            control.tell(|| {
                let operation = operation(&flight.parcel);
                let status = reply.as_ref().map_or(0, |reply| reply.status);
                format!("  arrives: {operation} → {status}")
            });
        }
        *flight.slot.lock().expect("one thread") = reply;
    }
}

fn answer(control: &Control, suppliers: &Suppliers, flight: &Flight) -> Option<Reply> {
    let parcel = &flight.parcel;
    if parcel.url.host_str() == Some(BILLING_HOST) {
        return control
            .inner()
            .billing
            .answer(flight.fault.as_ref(), &parcel.body);
    }
    let query = parcel.url.query().map(|query| format!("?{query}"));
    let target = format!("{}{}", parcel.url.path(), query.unwrap_or_default());
    let (headers, body) = (parcel.headers.clone(), parcel.body.clone());
    match &flight.fault {
        Some(fault) => suppliers.suffer(fault, &parcel.method, &target, headers, body),
        None => Some(suppliers.perform(&parcel.method, &target, headers, body)),
    }
}

/// What becomes of a request.
enum Fate {
    /// It gets there and is answered.
    Answered,
    /// It never leaves.
    Unsent,
    /// It leaves and is lost.
    LostBefore,
    /// It takes effect, its answer is lost.
    LostAfter,
    /// It gets there and meets this fault.
    Meets(Fault),
    /// It seems lost and takes effect later, at most after this long.
    Late(Duration),
    /// The same, and the process does not live to see that it seems lost.
    KilledLate(Duration),
}

/// The way of one process to the suppliers.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) control: Arc<Control>,
    pub(super) memory: Memory,
}

impl Carry for Post {
    fn carry(&self, parcel: Parcel) -> Pin<Box<dyn Future<Output = Received> + Send>> {
        let (control, memory) = (Arc::clone(&self.control), self.memory.clone());
        Box::pin(async move { carried(&control, &memory, parcel).await })
    }
}

async fn carried(control: &Control, memory: &Memory, parcel: Parcel) -> Received {
    let point = Point::Call {
        operation: operation(&parcel),
        writes: parcel.writes,
        creates: latest(&parcel).is_some(),
    };
    let blow = point.reached(control);
    if blow == Some(Blow::Killed) {
        control.doom();
    }
    control.pause(usual(control), LEAVING).await;
    check_recorded(control, memory, &parcel);
    let fate = match blow {
        Some(blow) => fate_of(blow, &parcel),
        None if hangs(control, &parcel) => Fate::LostBefore,
        None => drawn(control, &parcel),
    };
    if parcel.writes {
        control.tell(|| format!("  sends {} ({})", operation(&parcel), words(&fate)));
    }
    let received = travel(control, parcel, fate).await;
    match blow {
        Some(Blow::KilledAfter) => control.doom(),
        Some(Blow::LeaseLostAfter) => control.rob(),
        _ => return received,
    }
    control.pause(Duration::ZERO, "after a call").await;
    received
}

/// Whether it is a report to a billing platform that takes it and says nothing.
fn hangs(control: &Control, parcel: &Parcel) -> bool {
    parcel.url.host_str() == Some(BILLING_HOST) && control.inner().billing.mood == Mood::Hangs
}

async fn travel(control: &Control, parcel: Parcel, fate: Fate) -> Received {
    let (there, back) = (usual(control), usual(control));
    match fate {
        Fate::Unsent => Received::Unsent("no route to host".to_owned()),
        Fate::LostBefore => {
            let patience = if control.below(4) == 0 {
                PATIENCE
            } else {
                there
            };
            control.pause(patience, "during a call").await;
            lost()
        }
        Fate::Late(longest) => {
            control.launch(there + late(control, longest), parcel, None);
            control.pause(there, "during a call").await;
            lost()
        }
        Fate::KilledLate(longest) => {
            control.launch(there + late(control, longest), parcel, None);
            control.doom();
            control.pause(Duration::MAX, "during a call").await;
            lost()
        }
        Fate::LostAfter => {
            control.launch(there, parcel, None);
            control.pause(there + back, "during a call").await;
            lost()
        }
        Fate::Meets(fault) => {
            let slot = control.launch(there, parcel, Some(fault));
            control.pause(there + back, "during a call").await;
            let reply = slot.lock().expect("one thread").take();
            reply.as_ref().map_or_else(lost, answered)
        }
        Fate::Answered => {
            let slot = control.launch(there, parcel, None);
            control.pause(there + back, "during a call").await;
            let reply = slot.lock().expect("one thread").take();
            reply.as_ref().map_or_else(lost, answered)
        }
    }
}

impl Control {
    fn launch(&self, there: Duration, parcel: Parcel, fault: Option<Fault>) -> Slot {
        let slot = Slot::default();
        self.inner().flights.0.push(Flight {
            lands: self.now().plus(there),
            parcel,
            fault,
            slot: Arc::clone(&slot),
        });
        slot
    }
}

fn usual(control: &Control) -> Duration {
    let longest = if control.below(30) == 0 { SLOW } else { USUAL };
    control.up_to(longest)
}

/// How late: soon in every third case, else at any time.
fn late(control: &Control, longest: Duration) -> Duration {
    let soon = control.below(3) == 0;
    control.up_to(if soon { SOON.min(longest) } else { longest })
}

fn lost() -> Received {
    Received::Lost("the connection broke off".to_owned())
}

fn answered(reply: &Reply) -> Received {
    let header = |name: &str| {
        let headers = reply.headers.iter();
        let mut named = headers.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    };
    let rate = RateLimit::read(
        header("x-ratelimit-limit"),
        header("x-ratelimit-remaining"),
        header("x-ratelimit-reset"),
    );
    let raw = Raw::new(
        reply.status,
        reply.content_type.to_owned(),
        reply.retry_after.map(|seconds| seconds.to_string()),
        String::from_utf8_lossy(&reply.body).into_owned(),
    );
    Received::Answered(raw.with_rate(rate))
}

/// How the account is refused at this moment, if it is.
fn refusal(control: &Control, parcel: &Parcel) -> Option<Fault> {
    let now = control.now();
    let one_h = parcel.url.path() == "/partners";
    let inner = control.inner();
    let refuses = inner.refusals.iter().find(|refusals| {
        let time = refusals.from <= now && now < refusals.until;
        time && refusals.hivelocity != one_h && (parcel.writes || !refusals.only_writes)
    });
    refuses.map(|refusals| refusals.fault.clone())
}

fn drawn(control: &Control, parcel: &Parcel) -> Fate {
    let rates = control.inner().rates;
    if parcel.url.host_str() != Some(BILLING_HOST)
        && let Some(fault) = refusal(control, parcel)
    {
        return Fate::Meets(fault);
    }
    let latest = latest(parcel);
    if let Some(longest) = latest
        && control.happens(rates.kill * 4.0)
    {
        return Fate::KilledLate(longest);
    }
    // A life has few creates: more goes wrong where it costs money.
    let rate = if latest.is_some() {
        (rates.call * 4.0).min(0.4)
    } else {
        rates.call
    };
    if !control.happens(rate) {
        return Fate::Answered;
    }
    let pause = control.below(40);
    match control.below(if parcel.writes { 14 } else { 10 }) {
        0 => Fate::Unsent,
        1 => Fate::Meets(Fault::Refuse500),
        2 => Fate::Meets(Fault::Unavailable503 {
            retry_after_secs: pause,
        }),
        3 => Fate::Meets(Fault::RateLimited429 {
            retry_after_secs: pause,
        }),
        4 => Fate::Meets(Fault::HtmlPage502),
        5 => Fate::Meets(Fault::HtmlPage200),
        6 => Fate::LostBefore,
        7 => Fate::Meets(Fault::DoneThenHtmlPage502),
        8 => latest.map_or(Fate::LostAfter, Fate::Late),
        10 => Fate::Meets(Fault::DoneThenUnavailable503 {
            retry_after_secs: pause,
        }),
        11 => Fate::Meets(Fault::DoneThenEmptyBody),
        12 => Fate::Meets(Fault::DoneThenNullIds),
        13 => Fate::Meets(Fault::ErrorUnder200 { code: 500 }),
        _ => Fate::LostAfter,
    }
}

fn fate_of(blow: Blow, parcel: &Parcel) -> Fate {
    match blow {
        Blow::Unsent => Fate::Unsent,
        Blow::LostBefore => Fate::LostBefore,
        Blow::LostAfter => Fate::LostAfter,
        Blow::Gateway => Fate::Meets(Fault::DoneThenHtmlPage502),
        Blow::Late => latest(parcel).map_or(Fate::LostAfter, Fate::Late),
        Blow::KilledLate => latest(parcel).map_or(Fate::LostAfter, Fate::KilledLate),
        Blow::Unavailable => Fate::Meets(Fault::Refuse500),
        Blow::DoneThenUnavailable => Fate::Meets(Fault::DoneThenUnavailable503 {
            retry_after_secs: 20,
        }),
        Blow::EmptyBody => Fate::Meets(Fault::DoneThenEmptyBody),
        Blow::NullIds => Fate::Meets(Fault::DoneThenNullIds),
        Blow::ErrorUnder200 => Fate::Meets(Fault::ErrorUnder200 { code: 500 }),
        Blow::Killed
        | Blow::Refused
        | Blow::LeaseLost
        | Blow::KilledAfter
        | Blow::LeaseLostAfter => Fate::Answered,
    }
}

/// How late a create may take effect after its answer was given up, at most. None for what
/// creates nothing.
fn latest(parcel: &Parcel) -> Option<Duration> {
    match operation(parcel).as_str() {
        "POST /api/v2/bare-metal-devices/" | "POST /api/v2/bare-metal-devices/batch" => {
            Some(LATEST_ORDER)
        }
        "POST /api/v2/account/controlled-client" => Some(LATEST_CLIENT),
        "add_user" | "add_license" => Some(Duration::from_millis(1_200)),
        _ => None,
    }
}

/// Method and path, or the command.
pub(super) fn operation(parcel: &Parcel) -> String {
    let path = parcel.url.path();
    if path != "/partners" {
        return format!("{} {path}", parcel.method);
    }
    let mut fields = url::form_urlencoded::parse(&parcel.body);
    let call = fields.find(|(name, _)| name == "request");
    let call: Value = call
        .and_then(|(_, text)| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let command = call.pointer("/payload/command").and_then(Value::as_str);
    command.unwrap_or("-").to_owned()
}

fn words(fate: &Fate) -> String {
    match fate {
        Fate::Answered => "answered".to_owned(),
        Fate::Unsent => "never leaves".to_owned(),
        Fate::LostBefore => "lost on its way".to_owned(),
        Fate::LostAfter => "its answer is lost".to_owned(),
        Fate::Meets(fault) => format!("{fault:?}"),
        Fate::KilledLate(_) => "takes effect after its sender was killed".to_owned(),
        Fate::Late(_) => "seems lost, takes effect later".to_owned(),
    }
}

/// Nothing that changes something leaves before its attempt is on record, and only by the hand
/// of whoever has the run.
fn check_recorded(control: &Control, memory: &Memory, parcel: &Parcel) {
    let turn = control.inner().turn;
    let Some((id, fence)) = turn.and_then(|turn| turn.run).filter(|_| parcel.writes) else {
        return;
    };
    let rows = memory.rows();
    let recorded = rows.steps_of(id).any(|step| {
        let begun = step.status == crate::domain::StepStatus::Running;
        let attempt = |row: &crate::store::AttemptRow| {
            (row.seq, row.n, row.duration_ms) == (step.seq, step.attempts, None)
        };
        begun && rows.attempts_of(id).any(attempt)
    });
    let owner = rows.run(id).is_some_and(|run| run.fence == fence);
    drop(rows);
    if !recorded {
        let what = operation(parcel);
        control.break_law(format!(
            "{what} left before its attempt of {id} was recorded"
        ));
    } else if !owner {
        let what = operation(parcel);
        control.break_law(format!(
            "{what} was sent for {id} by who does not have it any more"
        ));
    }
}
