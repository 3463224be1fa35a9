//! What a line does where its upstream's hour of requests is counted: it takes one before it sends,
//! listens to what the answer says of the count, and lets what matters more go first. IO, but
//! only through whoever keeps the count.

use std::time::Duration;

use super::budget::Denied;
use super::line::Line;
use super::talk::Talk;
use super::wire::{Answer, Received, Setback};
use crate::domain::{Because, Hour, Rank, RateLimit, Timestamp};

/// Where an hour's requests are counted, no look enters the queue for longer than this, and no
/// order for longer than that: suspensions come behind what was there before them.
const LONGEST_TURN_OF_A_LOOK: Duration = Duration::from_secs(1);
const LONGEST_TURN_OF_AN_ORDER: Duration = Duration::from_secs(5);

impl Line {
    /// Takes one of the hour's requests, where those are counted.
    pub(super) async fn take(&self, talk: &Talk<'_>) -> Result<Option<Hour>, Setback> {
        let Some(budget) = self.budget() else {
            return Ok(None);
        };
        let taken = budget.take(talk.rank, talk.now(), talk.scene.entropy);
        taken.await.map(Some).map_err(|denied| match denied {
            Denied::Away(away) => Setback::Held(away),
            Denied::Unknown(error) => {
                let who = self.who();
                Setback::unavailable(format!(
                    "not sent to {who}: it could not be counted: {error}"
                ))
            }
        })
    }

    /// What an answer's headers say of the hour, and whether it was turned away for it; where none
    /// is counted they mean nothing, for the step either.
    pub(super) fn said_of_hour(&self, received: &mut Received) -> Option<(RateLimit, bool)> {
        let Received::Answered(raw) = received else {
            return None;
        };
        if self.budget().is_none() {
            raw.rate = None;
        }
        Some((raw.rate?, raw.spent_hour().is_some()))
    }

    /// Takes that into account. The answer is in the trace by then: nothing of it is lost should
    /// the count keep it waiting.
    pub(super) async fn hear(
        &self,
        taken: Option<Hour>,
        said: Option<(RateLimit, bool)>,
        asked_at: Timestamp,
        now: Timestamp,
    ) {
        let (Some(budget), Some(known), Some((rate, refused))) = (self.budget(), taken, said)
        else {
            return;
        };
        budget.heard(rate, refused, known, asked_at, now).await;
    }

    /// Who is told that the hour is used up comes back after those that matter more.
    pub(super) async fn in_turn_again(
        &self,
        talk: &Talk<'_>,
        result: Result<Answer, Setback>,
    ) -> Result<Answer, Setback> {
        match (result, self.budget()) {
            (Err(Setback::Held(away)), Some(budget))
                if matches!(away.because, Because::HourSpent { .. }) =>
            {
                let away = budget.spent(talk.rank, away, talk.scene.entropy).await;
                Err(Setback::Held(away))
            }
            (result, _) => result,
        }
    }

    /// How long a request may wait for its turn. An attempt that has begun is seen through: what it
    /// has asked would have to be asked again. It has one request in the queue at a time, and only
    /// as many begin as the first one's turn allows.
    pub(super) fn longest_turn(&self, talk: &Talk<'_>) -> Duration {
        // An order that may leave was asked for in the attempt before: put off, all of that is
        // read once more.
        let begun = talk.has_asked() || talk.scene.order_may_leave;
        if self.budget().is_none() || begun {
            return self.timeout();
        }
        let longest = match talk.rank {
            Rank::Urgent => return self.timeout(),
            Rank::Order => LONGEST_TURN_OF_AN_ORDER,
            Rank::Look | Rank::Other => LONGEST_TURN_OF_A_LOOK,
        };
        longest.min(self.timeout())
    }
}
