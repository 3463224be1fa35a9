//! One hour of a reseller: customers order, a cron job suspends, another one lifts it again. The
//! real receiver, worker, engine and clients on a real store; the suppliers and the time are not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use billhook::app::{self, Surroundings};
use billhook::catalogue::AccountModel;
use billhook::config::Config;
use billhook::domain::id::{IdSource, RunId};
use billhook::domain::secret::Secret;
use billhook::domain::time::{Clock as _, Timestamp};
use billhook::receive::{Incoming, Receiver, Reception};
use billhook::sandbox::{SandboxOptions, Suppliers};
use billhook::store::{RunView, Store};
use billhook::upstream::Carrier;
use billhook::verify::{self, Keys};
use billhook::worker;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::stopped::{self, BEGINNING, Dice, StoppedClock};
use super::support::{SECRET, SOURCE, configuration, store_in};
use super::wire::{Seen, Wire};
use super::{BUILD, support};

/// What is limited.
pub const HOUR: Duration = Duration::from_hours(1);
/// A server that was there before the hour is as good as new after this long.
const LONG_BEFORE: Duration = Duration::from_hours(2);
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_hours(6);
/// A cron job posts one message after the other.
const MESSAGE: Duration = Duration::from_millis(20);

/// How big the hour is.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Orders in the hour.
    pub builds: usize,
    /// Services that were there before, and are suspended and unsuspended.
    pub services: usize,
    /// From one order to the next.
    pub every: Duration,
    /// How long a server takes to switch.
    pub power: Duration,
}

/// What a message was about and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// An order before the hour, of a product that was never built before.
    Before,
    /// An order in the hour.
    Build,
    /// A suspension.
    Suspension,
    /// An unsuspension.
    Unsuspension,
}

/// A run that ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// When its message came.
    pub came: Timestamp,
    /// When it ended.
    pub over: Timestamp,
    /// How many requests to Hivelocity it made.
    pub requests: usize,
}

/// What an hour came to.
#[derive(Debug)]
pub struct Result {
    /// When the hour began.
    pub from: Timestamp,
    /// Every request from then on.
    pub seen: Vec<Seen>,
    /// The runs by what they were for.
    pub runs: BTreeMap<Cause, Vec<Ended>>,
    /// Requests that Hivelocity turned away, those before the hour included.
    pub turned_away: u64,
}

/// Lives through the hour.
pub fn live(model: AccountModel, plan: Plan) -> anyhow::Result<Result> {
    let folder = support::Folder::new("budget")?;
    let url = store_in(&folder.0);
    let mut config = configuration(&folder.0, &url)?;
    let options = SandboxOptions {
        // The device is in use an eighth of it after its order is complete.
        build_time: BUILD * 8 / 9,
        power_time: plan.power,
        ..SandboxOptions::default()
    };
    config.hivelocity.account_model = model;
    config.hivelocity.base_url = Suppliers::hivelocity_url();
    config.hivelocity.api_key = Secret::new(&options.hivelocity_api_key);
    config.one_h.base_url = Suppliers::one_h_url();
    config.one_h.auth_code = Secret::new(&options.one_h_auth_code);
    config.one_h.api_key = Secret::new(&options.one_h_api_key);
    stopped::run(&url, async move |store| {
        let mut reseller = Reseller::open(&config, store, &options)?;
        reseller.lives(plan).await
    })
}

/// Everything that is there.
struct Reseller {
    store: Store,
    clock: Arc<StoppedClock>,
    wire: Wire,
    receiver: Receiver,
    keys: Keys,
    made: Vec<(Cause, Timestamp, RunId)>,
    stop: CancellationToken,
    running: TaskTracker,
}

impl Reseller {
    fn open(config: &Config, store: Store, options: &SandboxOptions) -> anyhow::Result<Self> {
        let clock = StoppedClock::start();
        let watch = Arc::clone(&clock);
        let passed = move || watch.now().since(BEGINNING);
        let wire = Wire::new(Suppliers::new(options, BEGINNING, passed), &clock);
        let surroundings = Surroundings {
            clock: clock.clone(),
            entropy: Arc::new(Dice::default()),
            carrier: Carrier::InProcess(Arc::new(wire.clone())),
        };
        let stop = CancellationToken::new();
        let engine = app::engine_in(config, store.clone(), stop.clone(), surroundings)?;
        let engine = Arc::new(engine);
        let receiver = Receiver::new(
            app::sources(config)?,
            Arc::clone(&engine.catalogue),
            store.clone(),
            Arc::new(IdSource::new(0)),
            clock.clone(),
        );
        let running = TaskTracker::new();
        let concurrency = config.execution.concurrency;
        let work = worker::work(engine, concurrency, stop.clone(), running.clone());
        running.spawn(work);
        Ok(Self {
            store,
            clock,
            wire,
            receiver,
            keys: Keys::parse(&[Secret::new(SECRET)])?,
            made: Vec::new(),
            stop,
            running,
        })
    }

    async fn lives(&mut self, plan: Plan) -> anyhow::Result<Result> {
        for number in 0..plan.services {
            self.tell(Cause::Before, number).await?;
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        self.come_to_rest().await?;
        tokio::time::sleep(LONG_BEFORE).await;
        let from = self.clock.now();
        self.the_hour(from, plan).await?;
        self.come_to_rest().await?;
        let to = self.clock.now();
        let runs = self.ended(from, to).await?;
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
        let snapshot = self.wire.suppliers().snapshot();
        ensure!(
            snapshot.violations.is_empty(),
            "malformed requests: {:?}",
            snapshot.violations
        );
        Ok(Result {
            from,
            seen: self.wire.seen(from, to),
            runs,
            turned_away: snapshot.rate_limited,
        })
    }

    async fn the_hour(&mut self, from: Timestamp, plan: Plan) -> anyhow::Result<()> {
        let mut messages = Vec::new();
        for number in 0..plan.builds {
            let at = plan.every * u32::try_from(number)?;
            messages.push((at, Cause::Build, plan.services + number));
        }
        for (third, cause) in [(1, Cause::Suspension), (2, Cause::Unsuspension)] {
            for number in 0..plan.services {
                let at = HOUR / 3 * third + MESSAGE * u32::try_from(number)?;
                messages.push((at, cause, number));
            }
        }
        messages.sort();
        for (at, cause, number) in messages {
            let wait = from.plus(at).since(self.clock.now());
            tokio::time::sleep(wait).await;
            self.tell(cause, number).await?;
        }
        Ok(())
    }

    /// The billing platform sends a message, signed in this moment.
    async fn tell(&mut self, cause: Cause, number: usize) -> anyhow::Result<()> {
        let (now, id) = (self.clock.now(), format!("{cause:?}-{number}"));
        let body = message(cause, number, now).to_string().into_bytes();
        let signature = verify::sign(&self.keys, &id, now, &body);
        let seconds = now.seconds().to_string();
        let headers = vec![
            ("content-type", b"application/json".as_slice()),
            (verify::ID_HEADER, id.as_bytes()),
            (verify::TIMESTAMP_HEADER, seconds.as_bytes()),
            (verify::SIGNATURE_HEADER, signature.as_bytes()),
        ];
        let incoming = Incoming {
            remote: [127, 0, 0, 1].into(),
            headers,
            body,
        };
        let source = self.receiver.source(SOURCE).context("no source")?;
        match self.receiver.receive(source, incoming).await? {
            Reception::Accepted { runs, .. } => {
                let made = runs.into_iter().map(|run| (cause, now, run));
                self.made.extend(made);
                Ok(())
            }
            other => anyhow::bail!("{id} was not accepted: {other:?}"),
        }
    }

    /// Waits until every run has succeeded.
    async fn come_to_rest(&self) -> anyhow::Result<()> {
        let began = self.clock.now();
        loop {
            let counts = self.store.counts().await?;
            let runs = counts.iter().filter(|(table, ..)| table == "runs");
            let (done, open): (Vec<_>, Vec<_>) = runs
                .filter(|(.., count)| *count > 0)
                .partition(|(_, status, _)| status == "succeeded");
            let done: i64 = done.iter().map(|(.., count)| count).sum();
            if usize::try_from(done)? == self.made.len() {
                return Ok(());
            }
            let waited = self.clock.now().since(began);
            ensure!(waited < PATIENCE, "{done} runs succeeded, and {open:?}");
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    }

    /// What the journals say; nothing that arrived may be missing there.
    async fn ended(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> anyhow::Result<BTreeMap<Cause, Vec<Ended>>> {
        let mut runs: BTreeMap<Cause, Vec<Ended>> = BTreeMap::new();
        for (cause, came, run) in &self.made {
            let view = self.store.run(*run).await?.context("no run")?;
            runs.entry(*cause).or_default().push(Ended {
                came: *came,
                over: view.run.updated_at,
                requests: requests(&view),
            });
        }
        let within = runs
            .iter()
            .filter(|(cause, _)| **cause != Cause::Before)
            .flat_map(|(_, runs)| runs);
        let noted: usize = within.map(|run| run.requests).sum();
        let arrived = self.wire.seen(from, to).len();
        ensure!(
            noted == arrived,
            "{arrived} requests arrived, the journals tell of {noted}"
        );
        Ok(runs)
    }
}

/// The requests to Hivelocity in a run's journal.
fn requests(view: &RunView) -> usize {
    let hivelocity = Suppliers::hivelocity_url();
    let attempts = view.steps.iter().flat_map(|step| &step.attempts);
    let exchanges = attempts.filter_map(|attempt| attempt.get("exchanges")?.as_array());
    let url = |exchange: &&Value| {
        let url = exchange.pointer("/request/url").and_then(Value::as_str);
        url.is_some_and(|url| url.starts_with(&hivelocity))
    };
    exchanges.flatten().filter(url).count()
}

fn message(cause: Cause, number: usize, now: Timestamp) -> Value {
    let kind = match cause {
        Cause::Before | Cause::Build => "order.paid",
        Cause::Suspension => "service.suspended",
        Cause::Unsuspension => "service.unsuspended",
    };
    json!({
        "type": kind,
        "occurred_at": now,
        "order_id": number.to_string(),
        "customer": {
            "id": number.to_string(),
            "email": format!("customer{number}@example.com"),
            "name": "Ann Lee",
            "company": "Example Ltd",
        },
        "services": [{
            "id": (5000 + number).to_string(),
            "product_id": "42",
            "hostname": format!("srv{number}.example.com"),
            "billing_cycle": "monthly",
            "options": {"Location": "TPA1", "Operating System": "Ubuntu 22.04"},
        }],
    })
}
