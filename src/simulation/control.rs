//! What everybody in a simulation shares: the time, chance, the story, and what befalls whom.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::domain::entropy::Entropy;
use crate::domain::id::RunId;
use crate::domain::time::{Clock, Timestamp};
use crate::sandbox::Fault;

use super::laws::Laws;
use super::platform::Platform;
use super::points::Script;
use super::post::Flights;
use super::stage::Happening;

/// When every simulation begins.
pub(super) const BEGINNING: Timestamp = Timestamp::from_seconds(1_795_000_000);

/// How often what goes wrong, of one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    /// A request to a supplier meets a fault.
    pub(super) call: f64,
    /// A transaction fails, or its answer is lost.
    pub(super) store: f64,
    /// In any turn a process is killed.
    pub(super) kill: f64,
    /// In any turn a process stands still beyond its leases.
    pub(super) stall: f64,
}

/// `SplitMix64`: repeatable, and quick without optimisation, too.
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A time in which a supplier refuses the account.
#[derive(Clone, Debug)]
pub(super) struct Refusals {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    /// Whether it is Hivelocity; else 1H.
    pub(super) hivelocity: bool,
    /// Whether only what changes something is refused.
    pub(super) only_writes: bool,
    pub(super) fault: Fault,
}

/// Who has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) process: usize,
    /// The run that is carried on, with its claim's number.
    pub(super) run: Option<(RunId, i64)>,
}

/// What everybody shares.
pub(super) struct Control {
    now: AtomicI64,
    /// How far the clock was set forward in all, in microseconds.
    ahead: AtomicI64,
    inner: Mutex<Inner>,
}

/// The part of it that changes.
pub(super) struct Inner {
    pub(super) chance: Chance,
    pub(super) rates: Rates,
    pub(super) turn: Option<Turn>,
    /// Set by whoever pauses: until when, and where it stands.
    pub(super) paused: Option<(Timestamp, &'static str)>,
    pub(super) flights: Flights,
    /// When the clock was set forward, by its new time, and by how much.
    jumps: Vec<(Timestamp, Duration)>,
    pub(super) laws: Laws,
    /// When suppliers refuse the account.
    pub(super) refusals: Vec<Refusals>,
    pub(super) billing: Platform,
    /// Where to strike, instead of by chance.
    pub(super) script: Option<Script>,
    /// What the script lets happen from outside once its point was reached.
    pub(super) called: Vec<(Timestamp, Happening)>,
    /// Processes to be killed when this turn ends.
    pub(super) doomed: Vec<usize>,
    /// Processes that lose the lease of this run when the turn ends, and stand still meanwhile.
    pub(super) robbed: Vec<(usize, RunId)>,
    /// The story, where somebody wants to hear it.
    pub(super) story: Option<Vec<String>>,
    /// What was broken first.
    pub(super) broken: Option<String>,
}

impl Control {
    pub(super) fn new(seed: u64, told: bool) -> Self {
        let inner = Inner {
            chance: Chance(seed),
            rates: Rates::default(),
            turn: None,
            paused: None,
            flights: Flights::default(),
            jumps: Vec::new(),
            laws: Laws::default(),
            refusals: Vec::new(),
            billing: Platform::default(),
            script: None,
            called: Vec::new(),
            doomed: Vec::new(),
            robbed: Vec::new(),
            story: told.then(Vec::new),
            broken: None,
        };
        Self {
            now: AtomicI64::new(BEGINNING.micros()),
            ahead: AtomicI64::new(0),
            inner: Mutex::new(inner),
        }
    }

    /// The shared part; everything happens in one thread, so it is always free.
    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.try_lock().expect("one thread, one borrower")
    }

    /// Time goes on to `moment`.
    pub(super) fn advance_to(&self, moment: Timestamp) {
        self.now.fetch_max(moment.micros(), Ordering::Relaxed);
    }

    /// Somebody sets the clock of all processes forward; for the suppliers, and for what is on its
    /// way to them, no time passes.
    pub(super) fn set_forward(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(0);
        self.now.fetch_add(micros, Ordering::Relaxed);
        self.ahead.fetch_add(micros, Ordering::Relaxed);
        let now = self.now();
        let mut inner = self.inner();
        inner.jumps.push((now, by));
        inner.flights.delay(by);
    }

    /// Whether somebody set the clock.
    pub(super) fn was_set(&self) -> bool {
        self.ahead.load(Ordering::Relaxed) > 0
    }

    /// How long the suppliers have been there.
    pub(super) fn suppliers_age(&self) -> Duration {
        let ahead = u64::try_from(self.ahead.load(Ordering::Relaxed)).unwrap_or(0);
        let age = self.now().since(BEGINNING);
        age.saturating_sub(Duration::from_micros(ahead))
    }

    /// A number below `end`.
    pub(super) fn below(&self, end: u64) -> u64 {
        self.inner().chance.next() % end
    }

    /// Whether something of this frequency happens.
    pub(super) fn happens(&self, rate: f64) -> bool {
        rate > 0.0 && self.fraction() < rate
    }

    /// A time between nothing and `longest`.
    pub(super) fn up_to(&self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.below(micros.max(1)))
    }

    /// Adds to the story; the words are only made where somebody listens.
    pub(super) fn tell(&self, words: impl FnOnce() -> String) {
        let now = self.now();
        let mut inner = self.inner();
        if inner.story.is_some() {
            let line = format!("{:>12.3}s {}", seconds(now), words());
            inner.story.as_mut().expect("it is there").push(line);
        }
    }

    /// Notes that a law was broken; the first counts.
    pub(super) fn break_law(&self, words: String) {
        self.tell(|| format!("BROKEN: {words}"));
        self.inner().broken.get_or_insert(words);
    }

    /// Lets others go first for this long at least.
    pub(super) fn pause(&self, duration: Duration, place: &'static str) -> Pause<'_> {
        Pause {
            control: self,
            duration,
            until: None,
            place,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn seconds(now: Timestamp) -> f64 {
    (now.micros() - BEGINNING.micros()) as f64 / 1e6
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Control")
    }
}

impl Clock for Control {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::Relaxed))
    }

    fn surely_since(&self, then: Timestamp) -> Duration {
        let inner = self.inner();
        let since = inner.jumps.iter().filter(|(at, _)| *at > then);
        let jumped: Duration = since.map(|(_, by)| *by).sum();
        self.now().since(then).saturating_sub(jumped)
    }
}

impl Entropy for Control {
    fn next(&self) -> u64 {
        self.inner().chance.next()
    }
}

/// Ready once its time has come; until then whoever waits for it is not asked.
pub(super) struct Pause<'c> {
    control: &'c Control,
    duration: Duration,
    until: Option<Timestamp>,
    place: &'static str,
}

impl Future for Pause<'_> {
    type Output = ();

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<()> {
        let now = self.control.now();
        let asked_before = self.until.is_some();
        let until = self.until.unwrap_or_else(|| now.plus(self.duration));
        self.until = Some(until);
        if asked_before && now >= until {
            return std::task::Poll::Ready(());
        }
        self.control.inner().paused = Some((until, self.place));
        std::task::Poll::Pending
    }
}
