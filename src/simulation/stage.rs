//! All of it together, one turn after the other: processes that start, work, stand still and are
//! killed, requests under way, messages to be sent, and people.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::config::Config;
use crate::domain::id::{DeliveryId, RunId};
use crate::domain::time::{Clock as _, Timestamp};
use crate::receive::{Reception, Refused};
use crate::sandbox::Suppliers;
use crate::store::{Claimed, Intervention, Memory, Recovery, Store};

use super::billing::Mail;
use super::control::{BEGINNING, Control, Turn};
use super::platform::Mood;
use super::post;
use super::process::{Board, News, Process};
use super::settings::{self, SOURCE};
use super::turns::{Errand, Task};

/// More turns than any simulation needs; who needs more never comes to rest.
const MOST_TURNS: u32 = 150_000;
/// How often chance strikes a process. Who is killed for ever without ever being left alone for
/// as long as an unclear create is only looked for never gets anywhere, and rightly so.
const MOST_STRIKES: u32 = 20;
/// How long a process that was killed stays down, at the most.
const DOWN: Duration = Duration::from_secs(20);

/// What happens from outside at a certain time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    /// The billing platform sends a message.
    Sends(usize),
    /// A person does something to some run.
    Meddles,
    /// A person does this to this run.
    Intervenes(RunId, Intervention),
    /// A person replays this message's delivery.
    Replays(usize),
    /// Somebody sets the clock forward by an hour.
    SetsClock,
    /// From now on the billing platform answers its reports like this.
    Answers(Mood),
}

/// Room for one process.
struct Place {
    up: Option<Process>,
    /// When it starts, if it is down.
    starts: Timestamp,
    /// Until when it stands still.
    stands: Timestamp,
}

/// What may be done in a turn.
enum Choice {
    Task(usize),
    Round(usize),
    Report(usize),
    Happening((Timestamp, u64)),
}

/// Everything.
pub(super) struct Stage {
    pub(super) control: Arc<Control>,
    pub(super) memory: Memory,
    pub(super) suppliers: Arc<Suppliers>,
    pub(super) mail: Mail,
    config: Config,
    places: Vec<Place>,
    tasks: Vec<Task>,
    board: Board,
    happenings: BTreeMap<(Timestamp, u64), Happening>,
    happened: u64,
    pub(super) turns: u32,
    struck: u32,
    /// Whether a start makes what was cut off due at once; only where it is alone.
    recovers: bool,
    /// Whether the first process that is able to does all the work.
    one_works: bool,
}

impl Stage {
    /// A stage for this many processes.
    pub(super) fn new(seed: u64, told: bool, mut config: Config, processes: usize) -> Self {
        let control = Arc::new(Control::new(seed, told));
        let time = Arc::clone(&control);
        let watch = move || time.suppliers_age();
        let options = settings::suppliers(seed);
        // What the headers say wins; before the first of them this is what is known.
        config.hivelocity.requests_per_hour = options.requests_per_hour.unwrap_or(u32::MAX);
        let suppliers = Arc::new(Suppliers::new(&options, BEGINNING, watch));
        let place = |_| Place {
            up: None,
            starts: BEGINNING,
            stands: BEGINNING,
        };
        Self {
            control,
            memory: Memory::default(),
            suppliers,
            mail: Mail::default(),
            config,
            places: (0..processes).map(place).collect(),
            tasks: Vec::new(),
            board: Board::default(),
            happenings: BTreeMap::new(),
            happened: 0,
            turns: 0,
            struck: 0,
            recovers: processes == 1,
            one_works: false,
        }
    }

    /// Two processes of which the second works only while the first cannot.
    pub(super) fn with_a_spare(seed: u64, told: bool, config: Config) -> Self {
        Self {
            recovers: true,
            one_works: true,
            ..Self::new(seed, told, config, 2)
        }
    }

    /// Lets something happen at a time.
    pub(super) fn at(&mut self, moment: Timestamp, happening: Happening) {
        self.happened += 1;
        self.happenings.insert((moment, self.happened), happening);
    }

    /// Goes on until nothing is left to do, or a law was broken.
    pub(super) fn come_to_rest(&mut self) {
        while self.control.inner().broken.is_none() && self.turn() {
            self.turns += 1;
            if self.turns > MOST_TURNS {
                let open = self.open_runs();
                self.control
                    .break_law(format!("it never comes to rest: {open}"));
            }
        }
    }

    /// What the unfinished runs wait for.
    fn open_runs(&self) -> String {
        let rows = self.memory.rows();
        let open = rows.runs().filter(|run| !run.status.is_final());
        let words = open.map(|run| {
            let waiting = run.waiting_for.as_deref().unwrap_or_default();
            format!("{} ({} of {}): {waiting}", run.id, run.kind, run.lane)
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// Adds to the story how every run ended.
    pub(super) fn tell_ends(&self) {
        let rows = self.memory.rows();
        for run in rows.runs() {
            self.control.tell(|| {
                let error = run.error.as_deref().unwrap_or_default();
                let of = (&run.kind, &run.lane, run.status);
                let steps = rows.steps_of(run.id);
                let steps = steps.map(|step| format!("{} {}", step.action.kind(), step.status));
                let steps: Vec<String> = steps.collect();
                format!("{} {of:?} {steps:?} {error}", run.id)
            });
        }
    }

    /// One turn; false when nothing is left to do.
    fn turn(&mut self) -> bool {
        let now = self.control.now();
        post::land(&self.control, &self.suppliers);
        self.start_what_is_down(now);
        let choices = self.choices(now);
        if choices.is_empty() {
            return self.next_moment(now).is_some_and(|next| {
                self.control.advance_to(next);
                true
            });
        }
        let pick = usize::try_from(self.control.below(choices.len() as u64)).unwrap();
        match &choices[pick] {
            Choice::Task(index) => self.go_on(*index),
            Choice::Round(place) => self.round(*place),
            Choice::Report(place) => self.report(*place),
            Choice::Happening(key) => {
                let key = *key;
                if let Some(happening) = self.happenings.remove(&key) {
                    self.happens(happening);
                }
            }
        }
        self.strike();
        true
    }

    fn stands(&self, place: usize, now: Timestamp) -> bool {
        self.places[place].stands > now
    }

    fn works(&self, place: usize, now: Timestamp) -> bool {
        self.places[place].up.is_some() && !self.stands(place, now)
    }

    /// Who may take runs. A spare takes over from who stands still, not from who starts again in
    /// a moment and believes to be alone.
    fn able(&self, now: Timestamp) -> Vec<usize> {
        let all = 0..self.places.len();
        if !self.one_works {
            return all.filter(|place| self.works(*place, now)).collect();
        }
        let next = all.into_iter().find(|place| !self.stands(*place, now));
        next.into_iter()
            .filter(|place| self.works(*place, now))
            .collect()
    }

    fn choices(&self, now: Timestamp) -> Vec<Choice> {
        let ready = |task: &Task| task.wake <= now && !self.stands(task.turn.process, now);
        let tasks = self.tasks.iter().enumerate();
        let tasks = tasks.filter(|(_, task)| ready(task));
        let mut choices: Vec<Choice> = tasks.map(|(index, _)| Choice::Task(index)).collect();
        let is_due = |due: Timestamp| due <= now;
        let rows = self.memory.rows();
        let due = rows.next_due().is_some_and(is_due) || !rows.early_known().is_empty();
        drop(rows);
        if due {
            let able = self.able(now);
            let idle = |place: &usize| !self.is_at(*place, Errand::Round);
            choices.extend(able.into_iter().filter(idle).map(Choice::Round));
        }
        let reporting = self.reporting();
        let ready = reporting.into_iter().filter(|(_, from)| *from <= now);
        choices.extend(ready.map(|(place, _)| Choice::Report(place)));
        let due = self.happenings.range(..=(now, u64::MAX)).next();
        choices.extend(due.map(|(key, _)| Choice::Happening(*key)));
        choices
    }

    fn is_at(&self, place: usize, errand: Errand) -> bool {
        let own = |task: &&Task| task.turn.process == place && task.errand == errand;
        self.tasks.iter().any(|task| own(&task))
    }

    /// Who may tell the billing platform something, and from when on.
    fn reporting(&self) -> Vec<(usize, Timestamp)> {
        let now = self.control.now();
        let Some(due) = self.memory.rows().next_report() else {
            return Vec::new();
        };
        let able = self.able(now).into_iter();
        let idle = able.filter(|place| !self.is_at(*place, Errand::Report));
        idle.filter_map(|place| {
            let process = self.places[place].up.as_ref()?;
            Some((place, due.max(process.reports.ready_from(SOURCE))))
        })
        .collect()
    }

    /// When something can go on.
    fn next_moment(&self, now: Timestamp) -> Option<Timestamp> {
        let tasks = self.tasks.iter().map(|task| {
            let stands = self.places[task.turn.process].stands;
            task.wake.max(stands)
        });
        let some_work = !self.able(now).is_empty();
        let due = self.memory.rows().next_due().filter(|_| some_work);
        let waiting = due.is_some() || self.memory.rows().next_due().is_some();
        let unheard = self.memory.rows().next_report().is_some();
        let waiting = waiting || unheard;
        let reports = self.reporting().into_iter().map(|(_, from)| from);
        let back = self.places.iter().filter_map(|place| {
            let back = if place.up.is_none() {
                place.starts.max(place.stands)
            } else {
                place.stands
            };
            (back > now && (waiting || !self.happenings.is_empty())).then_some(back)
        });
        let happening = self.happenings.keys().next().map(|(moment, _)| *moment);
        let flight = self.control.inner().flights.next();
        let moments = tasks
            .chain(due)
            .chain(reports)
            .chain(back)
            .chain(happening)
            .chain(flight);
        // What is due now and has no one to take it waits for the next who can.
        moments.filter(|moment| *moment > now).min()
    }

    fn start_what_is_down(&mut self, now: Timestamp) {
        for index in 0..self.places.len() {
            let place = &self.places[index];
            if place.up.is_some() || place.starts > now || place.stands > now {
                continue;
            }
            if self.recovers {
                let store: Store = self.memory.clone().into();
                let recovered = store.recover(Recovery::StartAlone, now).now_or_never();
                recovered.expect("nobody is in the way").expect("memory");
            }
            let (config, board) = (&self.config, &self.board);
            let process = Process::start(index, config, &self.control, &self.memory, board);
            self.places[index].up = Some(process);
            self.control.tell(|| format!("process {index} starts"));
        }
    }

    fn spawn(&mut self, turn: Turn, errand: Errand, future: impl Future<Output = ()> + 'static) {
        let wake = self.control.now();
        self.tasks.push(Task::new(turn, errand, wake, future));
    }

    fn round(&mut self, place: usize) {
        let Some(process) = self.places[place].up.clone() else {
            return;
        };
        self.spawn(nobodys(place), Errand::Round, process.take());
    }

    fn report(&mut self, place: usize) {
        let Some(process) = self.places[place].up.clone() else {
            return;
        };
        self.spawn(nobodys(place), Errand::Report, process.report());
    }

    fn go_on(&mut self, index: usize) {
        if self.tasks[index].go_on(&self.control) {
            self.tasks.swap_remove(index);
        }
        let news: Vec<News> = self.board.lock().expect("one thread").drain(..).collect();
        for news in news {
            match news {
                News::Taken(place, run) => self.carry_on(place, *run),
                News::Answered(message, answer) => self.answered(message, answer),
            }
        }
    }

    fn carry_on(&mut self, place: usize, run: Claimed) {
        let Some(process) = self.places[place].up.clone() else {
            return;
        };
        self.control.tell(|| {
            let (id, fence, kind, lane) = (run.id, run.fence, run.kind, &run.lane);
            format!("process {place} takes {id} ({kind} of {lane}, fence {fence})")
        });
        let turn = Turn {
            process: place,
            run: Some((run.id, run.fence)),
        };
        self.spawn(turn, Errand::Drive, process.drive(run));
    }

    /// An answer has left: what it promises must be kept.
    fn answered(&mut self, message: usize, answer: Result<Reception, Refused>) {
        self.control
            .tell(|| format!("message {message} is answered: {answer:?}"));
        let delivery = match answer {
            Ok(Reception::Accepted { delivery, .. } | Reception::Ignored { delivery, .. }) => {
                delivery
            }
            Ok(Reception::Duplicate { of, .. }) => of,
            Err(Refused::Store(_)) => return self.send_again(message),
            Err(refused) => {
                if !self.mail.expects_conflict(message) {
                    let words = format!("message {message} was refused: {refused}");
                    self.control.break_law(words);
                }
                return;
            }
        };
        if !self.memory.rows().keeps(delivery) {
            let words =
                format!("message {message} was acknowledged as {delivery}, which is not kept");
            self.control.break_law(words);
        }
        self.mail.acknowledged(message, delivery);
    }

    fn send_again(&mut self, message: usize) {
        let soon = self.control.now().plus(self.control.up_to(DOWN));
        self.at(soon, Happening::Sends(message));
    }

    /// Some process that works, by chance; by itself a stage without any waits for one.
    fn some_process(&self) -> Option<(usize, Process)> {
        let now = self.control.now();
        let able = self.able(now);
        if able.is_empty() {
            return None;
        }
        let pick = usize::try_from(self.control.below(able.len() as u64)).unwrap();
        let place = able[pick];
        Some((place, self.places[place].up.clone()?))
    }

    fn happens(&mut self, happening: Happening) {
        if let Happening::Answers(mood) = happening {
            self.control
                .tell(|| format!("the billing platform: {mood:?}"));
            self.control.inner().billing.mood = mood;
            return;
        }
        let Some((place, process)) = self.some_process() else {
            let back = self
                .places
                .iter()
                .map(|place| place.stands.max(place.starts));
            let later = self.control.now().plus(DOWN);
            return self.at(back.min().map_or(later, |back| back.max(later)), happening);
        };
        match happening {
            Happening::Sends(message) => {
                let (id, body) = self.mail.letter(message);
                self.control.tell(|| {
                    let body = String::from_utf8_lossy(&body).into_owned();
                    format!("message {message} ({id}) is sent to process {place}: {body}")
                });
                let errand = Errand::Receive(message);
                self.spawn(nobodys(place), errand, process.receive(message, id, body));
            }
            Happening::Intervenes(run, what) => {
                self.spawn(nobodys(place), Errand::Person, process.intervene(run, what));
            }
            Happening::Replays(message) => {
                if let Some(delivery) = self.mail.delivery(message) {
                    self.spawn(nobodys(place), Errand::Person, process.replay(delivery));
                }
            }
            Happening::Meddles => self.meddle(place, process),
            // Seen to above: no process is needed for it.
            Happening::Answers(_) => {}
            Happening::SetsClock => {
                self.control.tell(|| "the clock is set forward".to_owned());
                self.control.set_forward(Duration::from_hours(1));
            }
        }
    }

    /// A person does something that is not wrong, but was perhaps not needed either.
    fn meddle(&mut self, place: usize, process: Process) {
        let runs: Vec<(RunId, DeliveryId)> = {
            let rows = self.memory.rows();
            let open = rows.runs().filter(|run| run.replay_of.is_none());
            open.map(|run| (run.id, run.delivery)).collect()
        };
        if runs.is_empty() {
            return;
        }
        let pick = usize::try_from(self.control.below(runs.len() as u64)).unwrap();
        let (run, delivery) = runs[pick];
        match self.control.below(8) {
            0..=2 => self.spawn(
                nobodys(place),
                Errand::Person,
                process.intervene(run, Intervention::Retry),
            ),
            3 => self.spawn(
                nobodys(place),
                Errand::Person,
                process.intervene(run, Intervention::Approve),
            ),
            _ => self.spawn(nobodys(place), Errand::Person, process.replay(delivery)),
        }
    }

    /// What befalls processes after a turn: by script, or by chance.
    fn strike(&mut self) {
        let (called, doomed, robbed, rates) = {
            let mut inner = self.control.inner();
            let doomed = std::mem::take(&mut inner.doomed);
            let called = std::mem::take(&mut inner.called);
            let robbed = std::mem::take(&mut inner.robbed);
            (called, doomed, robbed, inner.rates)
        };
        for (moment, happening) in called {
            self.at(moment, happening);
        }
        for place in doomed {
            self.kill(place);
        }
        for (place, _) in robbed {
            self.stand_still(place, Duration::from_hours(12));
        }
        if self.struck >= MOST_STRIKES {
            return;
        }
        if self.control.happens(rates.kill)
            && let Some((place, _)) = self.some_process()
        {
            self.struck += 1;
            self.kill(place);
        }
        if self.places.len() > 1
            && self.control.happens(rates.stall)
            && let Some((place, _)) = self.some_process()
            && self.may_stand(place)
        {
            self.struck += 1;
            self.stand_still(place, self.control.up_to(Duration::from_hours(2)));
        }
    }

    /// No supplier knows fences: what leaves in the moment in which its lease ends cannot be
    /// stopped any more. Everywhere else a process may stand still.
    fn may_stand(&self, place: usize) -> bool {
        let mut own = self.tasks.iter().filter(|task| task.turn.process == place);
        own.all(|task| task.place != post::LEAVING)
    }

    fn stand_still(&mut self, place: usize, beyond: Duration) {
        self.control
            .tell(|| format!("process {place} stands still"));
        self.places[place].stands = self.control.now().plus(settings::LEASE).plus(beyond);
    }

    fn kill(&mut self, place: usize) {
        self.control.tell(|| format!("process {place} is killed"));
        self.places[place].up = None;
        let soon = self.control.below(2) == 0;
        let down = self.control.up_to(if soon { DOWN / 40 } else { DOWN });
        self.places[place].starts = self.control.now().plus(down);
        let (dead, alive): (Vec<Task>, Vec<Task>) = std::mem::take(&mut self.tasks)
            .into_iter()
            .partition(|task| task.turn.process == place);
        self.tasks = alive;
        for task in dead {
            if let Errand::Receive(message) = task.errand {
                self.send_again(message);
            }
        }
    }
}

fn nobodys(process: usize) -> Turn {
    Turn { process, run: None }
}
