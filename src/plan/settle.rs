//! What follows from how an attempt ended: a step's next state, and when to go on. Pure.
//!
//! The rule that protects the reseller's money: a step that creates something and whose answer
//! was lost is *unknown*, `unknown_since` is set, and until `absent_after` has passed since the
//! last request that may have taken effect it is only looked for ([`permit`]). `unknown_since`
//! outlives the step's status, which is `running` during each look.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::domain::{
    Again, Away, Because, Done, Entropy, Outcome, PauseReason, Permit, Repeat, Step, StepStatus,
    Timestamp,
};

use super::held::held;
use super::looks::{is_overdue, next_look_of};
use super::words::{looking, sought, upstream};

/// The first pause before looking for what an unclear answer may have left.
const PROBE: Duration = Duration::from_millis(500);
/// The longest such pause after an unclear answer.
const PROBE_MAX: Duration = Duration::from_secs(5);
/// The longest pause between looks at 1H that find no mark.
const LOOK: Duration = Duration::from_secs(2);
/// And at Hivelocity.
const LOOK_RARE: Duration = Duration::from_mins(3);
/// An upstream may ask for patience, but a slip of its clock must not stop a run for ever.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);
/// What takes minutes to hours and is not there after a week, or not switched after an hour, is a
/// person's case. A build is waited for as long as it takes.
const PATIENCE_SLOW: Duration = Duration::from_hours(7 * 24);
const PATIENCE_SOON: Duration = Duration::from_hours(1);
/// An upstream that does nothing but limit a step's requests for this long will not stop by itself.
const PATIENCE_LIMITED: Duration = Duration::from_hours(24);
/// 1H takes effect at once and refuses what is there already.
const WINDOW_ONE_H: Duration = Duration::from_secs(3);
/// No pause is shorter, so that a step never spins.
pub(super) const SHORTEST: Duration = Duration::from_millis(1);

/// When and how often a step is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryRules {
    /// The first pause after a failure.
    pub initial: Duration,
    /// The longest pause after a failure.
    pub max: Duration,
    /// Failures in a row before a person is asked.
    pub max_attempts: u32,
    /// How often to look at what takes minutes to hours.
    pub poll_interval: Duration,
    /// How long after an unclear answer a missing mark proves that nothing was created.
    pub absent_after: Duration,
}

/// When an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The present moment: what due times are counted from.
    pub now: Timestamp,
    /// The step's `unknown_since` and the time that has surely passed since then: never later than
    /// `now`, and what windows are measured by. A clock that is set forward ends none.
    pub proven: Timestamp,
    /// How long the step has surely been tried; none: by the present moment.
    pub waited: Option<Duration>,
    /// The age of the build that is waited for, and how long its product usually takes.
    pub build: Option<Build>,
}

/// A build that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    /// Since the order, by the clock.
    pub age: Duration,
    /// How much of that was surely measured: less where the clock was set forward, or after a restart.
    pub measured: Duration,
    /// What the product usually takes; none without experience.
    pub usual: Option<Duration>,
}

impl From<Timestamp> for Moment {
    /// A moment by a clock that is never set.
    fn from(now: Timestamp) -> Self {
        Self {
            now,
            proven: now,
            waited: None,
            build: None,
        }
    }
}

/// A step after an attempt, and what comes next.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// The step's new state.
    pub step: Step,
    /// What the run does now.
    pub next: Next,
}

/// What the run does after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// On to the next step.
    Go,
    /// The same step again, at once.
    Again,
    /// The same step again, not before `due`.
    At {
        /// When.
        due: Timestamp,
        /// What for, in plain words.
        waiting_for: String,
    },
    /// A person decides.
    Pause {
        /// Why, in a word.
        why: PauseReason,
        /// Why, in a sentence.
        reason: String,
    },
}

/// The step as recorded before an attempt is made, which may send what creates or destroys
/// something or only looks.
#[must_use]
pub fn begin(mut step: Step, sends: bool, now: Timestamp) -> Step {
    step.status = StepStatus::Running;
    step.sends = sends;
    step.attempts = step.attempts.saturating_add(1);
    step.began_at = step.began_at.or(Some(now));
    step
}

/// Whether the attempt may send what changes something. `now` is the step's `unknown_since` and the
/// time that has surely passed since.
pub fn permit(step: &Step, now: Timestamp, rules: &RetryRules) -> Permit {
    let Some(since) = step.unknown_since else {
        return Permit::Send;
    };
    match step.action.repeat() {
        Repeat::Destructive => Permit::LookOnly,
        Repeat::Create if now < since.plus(window(step, rules)) => Permit::LookOnly,
        Repeat::Create | Repeat::Harmless => Permit::Send,
    }
}

/// How long a create whose answer was unclear is only looked for.
///
/// Hivelocity makes a second server or client without a word; 1H itself refuses a second user of
/// a name (17) or a second licence on an IP (34), so a few seconds are enough there.
fn window(step: &Step, rules: &RetryRules) -> Duration {
    match step.action.kind() {
        "one_h.add_user" | "one_h.add_license" => (rules.absent_after / 10).min(WINDOW_ONE_H),
        _ => rules.absent_after,
    }
}

/// Whether an unclear create is known by now to have made nothing: a look found no mark after
/// the window.
pub fn surely_absent(step: &Step, outcome: &Outcome, now: Timestamp, rules: &RetryRules) -> bool {
    *outcome == Outcome::Absent
        && step
            .unknown_since
            .is_some_and(|since| now >= since.plus(window(step, rules)))
}

/// The step as found after a crash or by another worker: if its attempt was under way, the
/// request may have left.
///
/// The time counts from now, not from an earlier unclear answer: the attempt that was cut off
/// may itself have been one that was allowed to send again. One that only looked sent nothing.
#[must_use]
pub fn interrupted(mut step: Step, now: Timestamp) -> Step {
    if step.status != StepStatus::Running {
        return step;
    }
    match step.action.repeat() {
        Repeat::Create | Repeat::Destructive if step.sends => {
            step.status = StepStatus::Unknown;
            step.unknown_since = Some(now);
        }
        Repeat::Harmless | Repeat::Create | Repeat::Destructive => step.status = resting(&step),
    }
    step.error = Some("the attempt was cut off before its end was recorded".to_owned());
    step
}

/// A paused step that a person lets try again.
///
/// What may have been created is still looked for first; a destructive step is allowed anew,
/// since that is exactly what the person was asked.
#[must_use]
pub fn retry(mut step: Step) -> Step {
    step.failures = 0;
    step.began_at = None;
    step.limited_since = None;
    if !step.approved {
        step.allows = None;
    }
    match step.action.repeat() {
        Repeat::Create => {}
        Repeat::Harmless | Repeat::Destructive => step.unknown_since = None,
    }
    step.status = resting(&step);
    step
}

/// How a step stands between two attempts.
fn resting(step: &Step) -> StepStatus {
    if step.unknown_since.is_some() {
        StepStatus::Unknown
    } else {
        StepStatus::Waiting
    }
}

/// The step after an attempt that ended with `outcome`.
pub fn settle(
    mut step: Step,
    outcome: &Outcome,
    moment: impl Into<Moment>,
    entropy: &dyn Entropy,
    rules: &RetryRules,
) -> Settled {
    let moment = moment.into();
    let now = moment.now;
    if matches!(outcome, Outcome::Held(_)) {
        step.in_vain = step.in_vain.saturating_add(1);
    } else {
        step.limited_since = None;
    }
    match outcome {
        Outcome::Done(done) => succeeded(step, done.output.clone()),
        Outcome::AlreadySo(done) => succeeded(step, already(done)),
        Outcome::NotYet { waiting_for, again } => not_yet(step, waiting_for, *again, moment, rules),
        Outcome::Prepared => prepared(step),
        Outcome::Absent => absent(step, moment, rules),
        Outcome::Rejected(error) => {
            let reason = format!("{} was refused: {error}", step.action.kind());
            pause(step, error, PauseReason::Refused, reason)
        }
        Outcome::Held(away) if away.because == Because::Asked => limited(step, away, now),
        Outcome::Held(away) => held(step, away, now),
        Outcome::Unavailable { error, retry_after } => {
            failed(step, error, *retry_after, moment, entropy, rules)
        }
        Outcome::Ambiguous(error) => match step.action.repeat() {
            Repeat::Create | Repeat::Destructive if step.sends => unknown(step, error, now, rules),
            Repeat::Harmless | Repeat::Create | Repeat::Destructive => {
                failed(step, error, None, moment, entropy, rules)
            }
        },
        Outcome::NeedsPerson(decision) => {
            // What was allowed before was something else.
            step.approved = false;
            let sentence = decision.sentence.clone();
            let mut settled = pause(step, &decision.sentence, decision.why, sentence);
            settled.step.allows.clone_from(&decision.allows);
            settled
        }
    }
}

/// What the attempt saw is stored with the next one's beginning, and on that its request leaves.
fn prepared(mut step: Step) -> Settled {
    step.status = resting(&step);
    step.error = None;
    Settled {
        step,
        next: Next::Again,
    }
}

fn succeeded(mut step: Step, output: Value) -> Settled {
    step.status = StepStatus::Succeeded;
    step.failures = 0;
    step.unknown_since = None;
    step.error = None;
    step.output = output;
    Settled {
        step,
        next: Next::Go,
    }
}

/// The output, marked as something that was so before.
fn already(done: &Done) -> Value {
    let mut output = match &done.output {
        Value::Object(output) => output.clone(),
        Value::Null => Map::new(),
        other => Map::from_iter([("result".to_owned(), other.clone())]),
    };
    output.insert("already".to_owned(), json!(true));
    Value::Object(output)
}

/// Nothing wrong, not finished. After a create this says that something is on its way, so for a
/// while it is only looked for, as after an unclear answer. A window that has passed by now says
/// that the attempt may have sent, and begins anew.
fn not_yet(
    mut step: Step,
    waiting_for: &str,
    again: Again,
    moment: Moment,
    rules: &RetryRules,
) -> Settled {
    let now = moment.now;
    step.failures = 0;
    step.error = None;
    if step.action.repeat() == Repeat::Create {
        let open = step
            .unknown_since
            .filter(|since| moment.proven < since.plus(window(&step, rules)));
        step.unknown_since = open.or(Some(now));
    }
    step.status = resting(&step);
    let began = step.began_at.unwrap_or(now);
    let age = moment.waited.unwrap_or_else(|| now.since(began));
    let (delay, patience) = match again {
        Again::Build => {
            let build = moment.build.unwrap_or(Build {
                age,
                measured: age,
                usual: None,
            });
            let pause = next_look_of(build, rules.poll_interval);
            return at(step, pause, now, waiting_for.to_owned());
        }
        Again::Slow => (rules.poll_interval, PATIENCE_SLOW),
        Again::Soon => (soon(&step, rules), PATIENCE_SOON),
    };
    if age > patience {
        let reason = format!(
            "{} waits for {waiting_for} for too long",
            step.action.kind()
        );
        return pause(step, waiting_for, PauseReason::TooSlow, reason);
    }
    at(step, delay, now, waiting_for.to_owned())
}

/// What takes seconds is looked at after half an interval, then ever more slowly: a switched
/// server takes some 30 seconds, and each look is one of the hour's requests.
fn soon(step: &Step, rules: &RetryRules) -> Duration {
    let first = rules.poll_interval / 2;
    let longest = rules.poll_interval.saturating_mul(3) / 2;
    grown(first, 3.0, step.attempts.saturating_sub(1))
        .min(longest)
        .max(SHORTEST)
}

/// That people are to be told of a build that takes far longer than usual, once.
pub fn tell_slow(step: &mut Step, build: Option<Build>) -> Option<String> {
    let build = build.filter(|build| !step.told_slow && is_overdue(build.age, build.usual))?;
    step.told_slow = true;
    let minutes = |time: Duration| time.as_secs() / 60;
    let usual = match build.usual {
        Some(usual) => format!("this product usually takes {} minutes", minutes(usual)),
        None => "this product was not built before".to_owned(),
    };
    Some(format!(
        "{} has waited for {} minutes, and {usual}; Billhook goes on waiting: look at the order at \
         Hivelocity",
        step.action.kind(),
        minutes(build.age)
    ))
}

/// A look found no mark.
fn absent(mut step: Step, moment: Moment, rules: &RetryRules) -> Settled {
    let now = moment.now;
    match step.action.repeat() {
        Repeat::Destructive => {
            let kind = step.action.kind();
            let reason = format!(
                "{kind} may or may not have been carried out, and doing it twice would destroy data; look at \
                 the device, then retry the run to do it again, or cancel the run"
            );
            let error = step
                .error
                .clone()
                .unwrap_or_else(|| "the outcome is unknown".to_owned());
            pause(step, &error, PauseReason::UnknownOutcome, reason)
        }
        Repeat::Create => {
            step.status = StepStatus::Unknown;
            // Without an unclear answer there is nothing to wait for; the next attempt may send.
            let until = step
                .unknown_since
                .map(|since| since.plus(window(&step, rules)));
            let remaining = until.map_or(Duration::ZERO, |until| until.since(moment.proven));
            let waiting_for = if remaining.is_zero() {
                format!(
                    "no trace of {} was found; sending it again",
                    step.action.kind()
                )
            } else {
                looking(&step)
            };
            let pause = remaining.min(look(&step, moment, rules));
            at(step, pause, now, waiting_for)
        }
        Repeat::Harmless => {
            step.status = StepStatus::Waiting;
            let waiting_for = format!("trying {} again", step.action.kind());
            at(step, PROBE, now, waiting_for)
        }
    }
}

/// How soon a mark that was not found is looked for again. At Hivelocity that is several requests
/// of the hour's, and what is late mostly comes within seconds.
fn look(step: &Step, moment: Moment, rules: &RetryRules) -> Duration {
    if step.action.upstream() != "hivelocity" {
        return LOOK;
    }
    let since = step.unknown_since.unwrap_or(moment.proven);
    let grown = moment.proven.since(since) / 2;
    grown.min(LOOK_RARE).max(rules.poll_interval)
}

/// Surely not done; later it may work. A step that is unknown stays so: this answer says nothing
/// about the earlier request.
fn failed(
    mut step: Step,
    error: &str,
    retry_after: Option<Duration>,
    moment: Moment,
    entropy: &dyn Entropy,
    rules: &RetryRules,
) -> Settled {
    let now = moment.now;
    // A look that fails while nothing may be sent yet is none of the attempts: the window ends
    // by itself, and giving up inside it would leave the outcome unknown for nothing.
    let only_looked = step.action.repeat() == Repeat::Create
        && permit(&step, moment.proven, rules) == Permit::LookOnly;
    if !only_looked {
        step.failures = step.failures.saturating_add(1);
    }
    if step.failures >= rules.max_attempts {
        return spent(step, error);
    }
    step.status = resting(&step);
    step.error = Some(error.to_owned());
    let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
    let delay = jittered(step.failures, entropy, rules)
        .max(asked)
        .max(SHORTEST);
    let (upstream, due) = (upstream(&step), now.plus(delay));
    let waiting_for = format!("{upstream} is not available; trying again at {due}");
    at(step, delay, now, waiting_for)
}

/// Perhaps done. The window counts anew: this request, too, may take effect late.
fn unknown(mut step: Step, error: &str, now: Timestamp, rules: &RetryRules) -> Settled {
    step.failures = step.failures.saturating_add(1);
    step.unknown_since = Some(now);
    if step.failures >= rules.max_attempts {
        return spent(step, error);
    }
    step.status = StepStatus::Unknown;
    step.error = Some(error.to_owned());
    let delay = grown(PROBE, 2.0, step.failures - 1).min(PROBE_MAX);
    let waiting_for = looking(&step);
    at(step, delay, now, waiting_for)
}

/// The attempt came to nothing but a limit. That is no failure of the step, but one that never
/// ends has to reach a person.
fn limited(mut step: Step, away: &Away, now: Timestamp) -> Settled {
    let since = *step.limited_since.get_or_insert(now);
    if now.since(since) < PATIENCE_LIMITED {
        return held(step, away, now);
    }
    let error = away.error.as_deref().unwrap_or("requests are limited");
    gave_up(step, "a day", error)
}

fn spent(step: Step, error: &str) -> Settled {
    let times = step.failures;
    gave_up(step, &format!("{times} attempts"), error)
}

fn gave_up(step: Step, after: &str, error: &str) -> Settled {
    if step.unknown_since.is_none() {
        let reason = format!("gave up after {after}: {error}");
        return pause(step, error, PauseReason::RetriesSpent, reason);
    }
    let reason = format!(
        "gave up after {after}: {error}; whether {} took effect is unknown: look for {}, then retry the \
         run: it looks first, too",
        step.action.kind(),
        sought(&step)
    );
    pause(step, error, PauseReason::UnknownOutcome, reason)
}

fn pause(mut step: Step, error: &str, why: PauseReason, reason: String) -> Settled {
    step.status = StepStatus::Paused;
    // What was shown before is not what an approval would now be asked for.
    step.allows = None;
    step.error = Some(error.to_owned());
    Settled {
        step,
        next: Next::Pause { why, reason },
    }
}

pub(super) fn at(step: Step, delay: Duration, now: Timestamp, waiting_for: String) -> Settled {
    let due = now.plus(delay);
    Settled {
        step,
        next: Next::At { due, waiting_for },
    }
}

/// `first`·`growth`^`times`, as far as a duration goes.
fn grown(first: Duration, growth: f64, times: u32) -> Duration {
    // Beyond 64 steps every cap is long reached.
    let factor = growth.powf(f64::from(times.min(64)));
    Duration::try_from_secs_f64(first.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// Full jitter: anywhere between nothing and the exponential pause, so that a thousand runs that
/// failed together do not come back together.
fn jittered(failures: u32, entropy: &dyn Entropy, rules: &RetryRules) -> Duration {
    let ceiling = grown(rules.initial, 2.0, failures.saturating_sub(1)).min(rules.max);
    ceiling.mul_f64(entropy.fraction().clamp(0.0, 1.0))
}
