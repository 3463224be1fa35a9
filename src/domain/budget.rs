//! The requests that an upstream takes in an hour: how they are shared out, and what its own
//! count in the headers of its answers says of ours. A state machine; pure: the time is an argument.
//!
//! The hour is a fixed window that begins with the first request. Processes take requests from it
//! in portions before they send them, so what is counted is never less than what was sent: neither
//! a crash nor a second process can send more than there are. What was taken and never sent is
//! found out by the upstream's own count and given back.

use std::time::Duration;

use super::step::StepAction;
use super::time::Timestamp;

/// The window that the limit is for.
const HOUR: Duration = Duration::from_hours(1);
/// Where the upstream has not said yet when its window ends: the first request may arrive this
/// much later than it was counted.
const LATE: Duration = Duration::from_secs(5);
/// The upstream tells the time that is left in whole seconds.
const SECOND: Duration = Duration::from_secs(1);
/// How much earlier the end has to be than was thought before it is worth a write.
const WORTH_A_WRITE: Duration = Duration::from_secs(2);
/// The most requests that are taken at once.
const PORTION: u32 = 16;
/// Near the limit a portion is no more than one in so many of what is left.
const SHARE: u32 = 8;
/// What all processes together may have taken and not sent, or sent and not had answered: sixteen
/// portions. A count that is lower by no more than this tells nothing.
const UNTOLD: u32 = 16 * PORTION;

/// What a request is for; the earlier, the more it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// It makes a customer dark or bright, or ends a cost.
    Urgent,
    /// It orders.
    Order,
    /// It looks at what is being built.
    Look,
    /// Everything else.
    Other,
}

impl Rank {
    /// The rank of a step's requests.
    pub const fn of(action: &StepAction) -> Self {
        match action {
            StepAction::Power { .. }
            | StepAction::NullRoute { .. }
            | StepAction::RemoveNullRoute { .. }
            | StepAction::CancelDevice { .. }
            | StepAction::SuspendUser { .. }
            | StepAction::UnsuspendUser { .. }
            | StepAction::RemoveLicense { .. } => Self::Urgent,
            StepAction::CreateClient { .. }
            | StepAction::DeployDevice { .. }
            | StepAction::AddUser { .. }
            | StepAction::AddLicense { .. } => Self::Order,
            StepAction::AwaitDevice { .. } => Self::Look,
            StepAction::DeactivateClient
            | StepAction::ReloadDevice { .. }
            | StepAction::UpdateUser { .. }
            | StepAction::AddPortal { .. }
            | StepAction::UpdatePortal { .. }
            | StepAction::Report { .. } => Self::Other,
        }
    }

    /// How many of an hour's `most` requests it leaves to those that matter more.
    pub const fn leaves(self, most: u32) -> u32 {
        match self {
            Self::Urgent => 0,
            Self::Order => most / 20,
            Self::Look | Self::Other => most / 4,
        }
    }
}

/// What an answer's headers say of the upstream's own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// How many requests a window takes.
    pub limit: Option<u32>,
    /// How many are left.
    pub remaining: Option<u32>,
    /// How long until the window ends.
    pub reset: Option<Duration>,
}

impl RateLimit {
    /// From the texts of the headers. What cannot be read is as good as missing; none where
    /// nothing is left.
    pub fn read(limit: Option<&str>, remaining: Option<&str>, reset: Option<&str>) -> Option<Self> {
        let number = |text: Option<&str>| text?.trim().parse::<u32>().ok();
        let rate = Self {
            limit: number(limit).filter(|limit| *limit > 0),
            remaining: number(remaining),
            // A date, or a window longer than any that is known, is not what was meant.
            reset: number(reset)
                .map(|seconds| Duration::from_secs(u64::from(seconds)))
                .filter(|reset| *reset <= HOUR + LATE),
        };
        (rate != Self::default()).then_some(rate)
    }

    /// Whether a request that was turned away with this (429) says that the hour is used up, and
    /// not only that there were too many at once.
    pub fn is_spent(&self) -> bool {
        match self.remaining {
            Some(remaining) => remaining == 0,
            None => self.reset.is_some(),
        }
    }

    /// How long until the window surely has ended.
    pub fn pause(&self) -> Option<Duration> {
        Some(self.reset? + SECOND)
    }
}

/// One upstream's present window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour {
    /// When it was first counted in.
    pub began_at: Timestamp,
    /// When it surely has ended.
    pub ends_at: Timestamp,
    /// How many requests it takes.
    pub most: u32,
    /// How many were taken from it; only grows.
    pub leased: u32,
    /// How many count as used: those that were taken, put right by what the upstream said. More
    /// than `most` where it said that nothing is left: then nothing that was taken is sent either.
    pub used: u32,
}

/// What is asked of the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Nothing; it is only looked at.
    Look,
    /// A portion of requests.
    Lease {
        /// What for.
        rank: Rank,
        /// How many an hour takes, where the upstream has not said so.
        most: u32,
    },
    /// That an answer is taken into account.
    Heard(Heard),
}

/// An answer's word on the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What its headers said.
    pub rate: RateLimit,
    /// Whether it turned the request away because nothing is left.
    pub refused: bool,
    /// When the request was about to leave.
    pub asked_at: Timestamp,
    /// The window as it was known then.
    pub known: Hour,
    /// What this process has taken from the window and not sent.
    pub unspent: u32,
}

/// What became of a demand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The window from now on; it may be over.
    pub hour: Option<Hour>,
    /// How many requests were granted.
    pub granted: u32,
}

impl Hour {
    fn new(now: Timestamp, most: u32) -> Self {
        Self {
            began_at: now,
            ends_at: now.plus(HOUR + LATE),
            most,
            leased: 0,
            used: 0,
        }
    }

    /// Whether it is not over.
    pub fn is_running(&self, now: Timestamp) -> bool {
        now < self.ends_at
    }

    /// How many requests are left to a rank.
    pub const fn left_to(&self, rank: Rank) -> u32 {
        let kept = rank.leaves(self.most);
        self.most.saturating_sub(self.used).saturating_sub(kept)
    }

    /// Whether what was taken may be sent for a rank: a portion that is part of what is kept for
    /// those that matter more is theirs.
    pub const fn is_open_to(&self, rank: Rank) -> bool {
        let kept = rank.leaves(self.most);
        self.used.saturating_add(kept) <= self.most
    }

    /// What a demand makes of the count as it is kept. The same for every store.
    pub fn after(kept: Option<Self>, demand: &Demand, now: Timestamp) -> Counted {
        match demand {
            Demand::Look => Counted {
                hour: kept.map(|hour| hour.put_right(now)),
                granted: 0,
            },
            Demand::Lease { rank, most } => Self::lease(kept, *rank, *most, now),
            Demand::Heard(heard) => Counted {
                hour: Self::heard(kept, heard, now),
                granted: 0,
            },
        }
    }

    /// A clock that was set back must not make a window longer than one can be.
    fn put_right(mut self, now: Timestamp) -> Self {
        self.ends_at = self.ends_at.min(now.plus(HOUR + LATE));
        self
    }

    fn lease(kept: Option<Self>, rank: Rank, most: u32, now: Timestamp) -> Counted {
        let running = kept.filter(|hour| hour.is_running(now));
        let mut hour = running.map_or_else(|| Self::new(now, most), |hour| hour.put_right(now));
        let left = hour.left_to(rank);
        let granted = (left / SHARE).clamp(1, PORTION).min(left);
        hour.leased = hour.leased.saturating_add(granted);
        hour.used = hour.used.saturating_add(granted);
        Counted {
            hour: Some(hour),
            granted,
        }
    }

    fn heard(kept: Option<Self>, heard: &Heard, now: Timestamp) -> Option<Self> {
        // The end of the window that was spoken of is no earlier than this.
        let earliest = heard.rate.reset.map(|reset| heard.asked_at.plus(reset));
        let runs_on = earliest.is_some_and(|end| end > now);
        let mut hour = match kept {
            Some(hour) if hour.is_running(now) => {
                let same = heard.known.began_at == hour.began_at;
                if !same && heard.asked_at < hour.began_at && !runs_on {
                    return Some(hour); // it spoke of the window before
                }
                hour.put_right(now)
            }
            // Ours is over, theirs is not.
            _ if runs_on => Self::new(now, heard.known.most),
            other => return other,
        };
        hour.most = heard.rate.limit.unwrap_or(hour.most);
        hour.move_end(&heard.rate, heard.asked_at, now);
        hour.correct(heard);
        Some(hour)
    }

    /// Every answer says between which two moments the window ends. Ours stays the later of the
    /// two for as long as it can: too late costs seconds, too early a request over the limit.
    fn move_end(&mut self, rate: &RateLimit, asked_at: Timestamp, now: Timestamp) {
        let (Some(reset), Some(pause)) = (rate.reset, rate.pause()) else {
            return;
        };
        let earliest = asked_at.plus(reset).minus(SECOND);
        let latest = now.plus(pause);
        if earliest > self.ends_at || latest.plus(WORTH_A_WRITE) < self.ends_at {
            self.ends_at = latest;
        }
    }

    /// What the upstream counted puts right what we did.
    fn correct(&mut self, heard: &Heard) {
        if heard.refused {
            self.used = self.used.max(self.most.saturating_add(1));
            return;
        }
        let Some(remaining) = heard.rate.remaining else {
            return;
        };
        let told = self.most.saturating_sub(remaining);
        // Others share our address: what we hold comes on top of what it counted.
        let at_least = told.saturating_add(heard.unspent).min(self.most);
        if at_least > self.used {
            self.used = at_least;
            return;
        }
        // What was taken by the time the request left, and is neither counted nor possibly still
        // in somebody's hands, was never sent. It is given back once: whoever compared with a count
        // that was put right meanwhile compared with the wrong one.
        let known = &heard.known;
        let comparable = known.began_at == self.began_at && known.drift() == self.drift();
        let waste = known.used.saturating_sub(told).saturating_sub(UNTOLD);
        if comparable {
            self.used = self.used.saturating_sub(waste);
        }
    }

    /// By how much the count differs from what was taken.
    fn drift(&self) -> i64 {
        i64::from(self.used) - i64::from(self.leased)
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
