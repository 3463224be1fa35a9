//! What the simulation learns from rows in memory is worth as much as these do the same as the
//! database: random operations on both, and everything that can be read compared after each.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::tests_scene::{Backend, Scene, advance, scene};
use super::{
    Advance, AttemptRow, ClaimChange, Claimed, Held, Intervention, KnownFilter, NewDelivery,
    NewRun, Recovery, Report, ReportFilter, RunFilter, Told,
};
use crate::domain::event::EventType as E;
use crate::domain::id::RunId;
use crate::domain::report::{NewReport, RUN_PAUSED, RUN_RESUMED, SERVICE_UPDATED};
use crate::domain::run::RunStatus;
use crate::domain::step::{Step, StepAction, StepStatus};

/// Two stores with one history.
struct Twins {
    chance: StdRng,
    scenes: [Scene; 2],
    deliveries: Vec<NewDelivery>,
    /// What workers hold, or believe to hold.
    held: Vec<Claimed>,
    /// Reports under way.
    sending: Vec<Report>,
}

impl Twins {
    fn pick(&mut self, end: usize) -> usize {
        self.chance.random_range(0..end)
    }

    fn now(&self) -> crate::domain::Timestamp {
        self.scenes[0].now
    }

    async fn operate(&mut self) -> String {
        let seconds = self.chance.random_range(0..200);
        for scene in &mut self.scenes {
            scene.now = scene.now.plus(Duration::from_secs(seconds));
        }
        match self.pick(14) {
            0 | 1 => self.accept().await,
            2..=4 => self.claim().await,
            5..=8 => self.advance().await,
            9 => self.replay().await,
            10 => self.intervene().await,
            11 => self.take_report().await,
            12 => self.report_told().await,
            _ => self.recover().await,
        }
    }

    async fn accept(&mut self) -> String {
        let kinds = [E::OrderPaid, E::ServiceSuspended, E::ServiceTerminated];
        let (kind, service) = (kinds[self.pick(3)], ["501", "501", "502"][self.pick(3)]);
        let second = self.chance.random_range(1..30);
        let mut new = self.scenes[0].delivery(kind, service, second);
        self.scenes[1].delivery(kind, service, second);
        if let Some(first) = self.deliveries.first().filter(|_| second < 4) {
            (new.dedupe, new.body) = (
                first.dedupe,
                if second < 2 {
                    vec![]
                } else {
                    first.body.clone()
                },
            );
        }
        let [one, two] = &self.scenes;
        let receipts = (
            one.store.accept(new.clone()).await,
            two.store.accept(new.clone()).await,
        );
        self.deliveries.push(new);
        alike(&receipts.0, &receipts.1)
    }

    async fn claim(&mut self) -> String {
        let (limit, now) = (1 + self.pick(3), self.now());
        let end = now.plus(Duration::from_secs(300));
        let [one, two] = &self.scenes;
        let mut claimed = one.store.claim(limit, now, end).await.unwrap();
        let mut other = two.store.claim(limit, now, end).await.unwrap();
        claimed.sort_by_key(|run| run.id);
        other.sort_by_key(|run| run.id);
        let words = alike(&claimed, &other);
        self.held.extend(claimed);
        words
    }

    async fn advance(&mut self) -> String {
        if self.held.is_empty() {
            return String::new();
        }
        let pick = self.pick(self.held.len());
        let write = self.written(pick);
        let [one, two] = &self.scenes;
        let advanced = one.write(write.clone()).await;
        let words = alike(&advanced, &two.write(write.clone()).await);
        if write.status != RunStatus::Running || !advanced.applied || !advanced.claimed {
            self.held.swap_remove(pick);
        }
        words
    }

    fn written(&mut self, pick: usize) -> Advance {
        let statuses = [
            RunStatus::Running,
            RunStatus::Running,
            RunStatus::Waiting,
            RunStatus::Paused,
            RunStatus::Succeeded,
            RunStatus::Superseded,
        ];
        let (status, now) = (statuses[self.pick(6)], self.now());
        let run = &self.held[pick];
        let mut write = advance(run, status, now);
        write.planned = run.planned || self.chance.random_range(0..2) > 0;
        if matches!(status, RunStatus::Running | RunStatus::Waiting) {
            write.due_at = Some(now.plus(Duration::from_secs(60)));
        }
        let patches = [
            json!({"status": "active", "ip": null}),
            json!({"ip": "45.0.0.2"}),
            Value::Null,
        ];
        write.service_patch = patches[self.pick(3)].clone();
        write.customer_patch = [json!({"email": "a@b.c"}), Value::Null][self.pick(2)].clone();
        write.steps = vec![self.step(1)];
        write.report = self.report();
        if status == RunStatus::Running {
            write.claim = [ClaimChange::Keep, ClaimChange::Acquire][self.pick(2)];
            write.begins = Some((self.step(2), attempt(2, now)));
        } else {
            write.claim = [ClaimChange::Keep, ClaimChange::Release][self.pick(2)];
            write.attempts = vec![attempt(2, now)];
        }
        write
    }

    fn step(&mut self, seq: u32) -> Step {
        let mut step = Step::new(seq, StepAction::DeactivateClient);
        step.status = StepStatus::ALL[self.pick(StepStatus::ALL.len())];
        step.unknown_since = (self.pick(3) == 0).then(|| self.now());
        step
    }

    fn report(&mut self) -> Option<NewReport> {
        let kind = [SERVICE_UPDATED, SERVICE_UPDATED, RUN_PAUSED, RUN_RESUMED][self.pick(4)];
        let doc = json!({"status": self.pick(2), "error": "e"});
        (self.pick(3) > 0).then_some(NewReport {
            kind,
            over_pause: kind == RUN_RESUMED,
            doc,
        })
    }

    async fn take_report(&mut self) -> String {
        let (now, end) = (self.now(), self.now().plus(Duration::from_secs(100)));
        let [one, two] = &self.scenes;
        let taken = one.store.take_reports("whmcs", 9, now, end).await.unwrap();
        let mut other = two.store.take_reports("whmcs", 9, now, end).await.unwrap();
        self.sending.extend(taken.clone());
        let mut taken = taken;
        taken.sort_by_key(|report| report.id);
        other.sort_by_key(|report| report.id);
        alike(&taken, &other)
    }

    async fn report_told(&mut self) -> String {
        if self.sending.is_empty() {
            return String::new();
        }
        let pick = self.pick(self.sending.len());
        let report = self.sending.swap_remove(pick);
        let (now, heard) = (self.now(), self.pick(2) == 0);
        let at = now.plus(Duration::from_secs(60));
        let error = "no".to_owned();
        let told = if heard {
            Told::Heard
        } else {
            Told::Again { at, error }
        };
        for scene in &self.scenes {
            let done = scene
                .store
                .report_told(report.id, report.seq, told.clone(), now);
            done.await.unwrap();
        }
        if self.pick(4) == 0 {
            for scene in &self.scenes {
                assert!(scene.store.retry_report(report.id, now).await.unwrap());
            }
        }
        format!("{told:?}")
    }

    async fn replay(&mut self) -> String {
        if self.deliveries.is_empty() {
            return String::new();
        }
        let pick = self.pick(self.deliveries.len());
        let new = self.deliveries[pick].clone();
        let Some(first) = new.runs.first() else {
            return String::new();
        };
        let id = self.scenes[0].next();
        self.scenes[1].next();
        let run = NewRun {
            id: RunId(id),
            replay_of: Some(first.id.0),
            ..first.clone()
        };
        let now = self.now();
        for scene in &self.scenes {
            if scene.store.delivery(new.id).await.unwrap().is_some() {
                let runs = vec![run.clone()];
                let source = "whmcs".to_owned();
                scene.store.replay(new.id, source, runs, now).await.unwrap();
            }
        }
        format!("replayed {}", new.id)
    }

    async fn intervene(&mut self) -> String {
        let kinds = [
            Intervention::Retry,
            Intervention::Approve,
            Intervention::Cancel,
        ];
        let run = RunId(self.chance.random_range(1..40));
        let (what, now) = (kinds[self.pick(3)], self.now());
        let [one, two] = &self.scenes;
        let done = one.store.intervene(run, what, now).await;
        format!(
            "{what:?} {}",
            alike(&done, &two.store.intervene(run, what, now).await)
        )
    }

    async fn recover(&mut self) -> String {
        let now = self.now();
        let [one, two] = &self.scenes;
        let all = self.chance.random_range(0..4) == 0;
        if let Some(run) = self.held.first().filter(|_| !all) {
            let held = Held {
                run: run.id,
                fence: run.fence,
            };
            one.store.give_back(held, now).await.unwrap();
            two.store.give_back(held, now).await.unwrap();
            return format!("given back {}", run.id);
        }
        let start = if self.chance.random_range(0..2) == 0 {
            Recovery::StartAlone
        } else {
            Recovery::StartBesideOthers
        };
        let recovered = one.store.recover(start, now).await;
        alike(&recovered, &two.store.recover(start, now).await)
    }
}

fn attempt(seq: u32, now: crate::domain::Timestamp) -> AttemptRow {
    AttemptRow {
        seq,
        n: 1,
        started_at: now,
        duration_ms: None,
        exchanges: Vec::new(),
        error: None,
    }
}

fn alike<T: std::fmt::Debug>(one: &T, two: &T) -> String {
    let (one, two) = (format!("{one:?}"), format!("{two:?}"));
    assert_eq!(one, two);
    one
}

/// Everything that can be read, in words.
async fn read(scene: &Scene) -> String {
    let (store, filter) = (
        &scene.store,
        RunFilter {
            limit: 1000,
            ..RunFilter::default()
        },
    );
    let runs = store.runs(&filter).await.unwrap();
    let mut words = vec![format!("due {:?}", store.next_due().await.unwrap())];
    for run in &runs.items {
        let view = store.run(run.id).await.unwrap();
        words.push(format!("{view:?}"));
    }
    let filter_reports = ReportFilter {
        limit: 1000,
        ..ReportFilter::default()
    };
    let reports = store.reports(&filter_reports).await.unwrap();
    words.push(format!("{:?}", reports.items));
    for customers in [true, false] {
        let filter = KnownFilter {
            limit: 1000,
            ..KnownFilter::default()
        };
        for ((_, id), doc) in store.known(customers, &filter).await.unwrap().items {
            // A first document may hold a null where another one lacks the key.
            let mut keys: Vec<(String, Value)> =
                doc.as_object().unwrap().clone().into_iter().collect();
            keys.retain(|(_, value)| !value.is_null());
            keys.sort_by(|one, two| one.0.cmp(&two.0));
            words.push(format!("{id} {keys:?}"));
        }
    }
    words.join("\n")
}

#[tokio::test]
async fn rows_in_memory_do_what_the_database_does() {
    for seed in 0..8 {
        let mut twins = Twins {
            chance: StdRng::seed_from_u64(seed),
            scenes: [scene(Backend::Database).await, scene(Backend::Memory).await],
            deliveries: Vec::new(),
            held: Vec::new(),
            sending: Vec::new(),
        };
        let mut story = Vec::new();
        for _ in 0..90 {
            story.push(twins.operate().await);
            let (one, two) = (read(&twins.scenes[0]).await, read(&twins.scenes[1]).await);
            let last = &story[story.len().saturating_sub(6)..];
            assert_eq!(
                one,
                two,
                "seed {seed}, after {} operations: {last:#?}",
                story.len()
            );
        }
    }
}
