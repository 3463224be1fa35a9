//! One `billhook`: the real receiver and the real engine behind a door and a way to the
//! suppliers that the simulation holds. Its claim loop is told turn by turn by the stage.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::{self, Surroundings};
use crate::config::Config;
use crate::domain::id::{DeliveryId, IdSource, RunId};
use crate::domain::time::Clock as _;
use crate::execute::Engine;
use crate::normalise;
use crate::receive::{Incoming, Receiver, Reception, Refused};
use crate::report::Reports;
use crate::store::{Claimed, Held, Intervention, Memory, Store};
use crate::upstream::Carrier;
use crate::verify::{self, Keys};
use crate::worker;

use super::control::Control;
use super::door::Door;
use super::post::Post;
use super::settings::SOURCE;

/// How many runs are taken at once, at the most.
const MOST_AT_ONCE: u64 = 4;
/// As the claim loop has it.
const AFTER_AN_ERROR: Duration = Duration::from_secs(1);

/// What came of an errand, for the stage to go on with.
pub(super) enum News {
    /// A run was taken.
    Taken(usize, Box<Claimed>),
    /// A message was answered.
    Answered(usize, Result<Reception, Refused>),
}

/// Where errands leave their news.
pub(super) type Board = Arc<Mutex<Vec<News>>>;

/// A process that is up.
#[derive(Clone)]
pub(super) struct Process {
    index: usize,
    control: Arc<Control>,
    pub(super) engine: Arc<Engine>,
    pub(super) reports: Arc<Reports>,
    receiver: Arc<Receiver>,
    keys: Arc<Keys>,
    board: Board,
}

impl Process {
    /// Starts one on these rows.
    pub(super) fn start(
        index: usize,
        config: &Config,
        control: &Arc<Control>,
        memory: &Memory,
        board: &Board,
    ) -> Self {
        let door = Arc::new(Door {
            control: Arc::clone(control),
        });
        let post = Arc::new(Post {
            control: Arc::clone(control),
            memory: memory.clone(),
        });
        let surroundings = Surroundings {
            clock: control.clone(),
            entropy: control.clone(),
            carrier: Carrier::InProcess(post),
        };
        let store: Store = memory.behind(door).into();
        let stopping = CancellationToken::new();
        let engine = app::engine_in(config, store.clone(), stopping, surroundings).unwrap();
        let highest = memory.rows().highest_id();
        let node = u8::try_from(index).unwrap();
        let receiver = Receiver::new(
            app::sources(config).unwrap(),
            Arc::clone(&engine.catalogue),
            store,
            Arc::new(IdSource::after(node, highest)),
            control.clone(),
        );
        let secrets = &config.sources[SOURCE].secrets;
        Self {
            index,
            control: Arc::clone(control),
            reports: Arc::new(app::reports(&engine)),
            engine: Arc::new(engine),
            receiver: Arc::new(receiver),
            keys: Arc::new(Keys::parse(secrets).unwrap()),
            board: Arc::clone(board),
        }
    }

    fn post(&self, news: News) {
        self.board.lock().expect("one thread").push(news);
    }

    /// Takes what is due.
    pub(super) async fn take(self) {
        let now = self.control.now();
        let limit = usize::try_from(1 + self.control.below(MOST_AT_ONCE)).unwrap();
        let store = &self.engine.store;
        let _ = worker::take_known(&self.engine).await;
        for run in store
            .claim(limit, now, now.plus(self.engine.lease))
            .await
            .unwrap_or_default()
        {
            self.post(News::Taken(self.index, Box::new(run)));
        }
    }

    /// Carries a run on; gives it back when it could not be written.
    pub(super) async fn drive(self, run: Claimed) {
        let (id, fence) = (run.id, run.fence);
        let held = Held { run: id, fence };
        let Err(error) = self.engine.drive(run).await else {
            return;
        };
        self.control
            .tell(|| format!("{id} could not be written: {error}"));
        loop {
            self.control
                .pause(AFTER_AN_ERROR, "before giving back")
                .await;
            let now = self.control.now();
            if self.engine.store.give_back(held, now).await.is_ok() {
                return;
            }
        }
    }

    /// Tells the billing platform something that is due.
    pub(super) async fn report(self) {
        self.reports.one_round(SOURCE).await;
    }

    /// Receives a message, signed in this moment.
    pub(super) async fn receive(self, message: usize, id: String, body: Vec<u8>) {
        let now = self.control.now();
        let signature = verify::sign(&self.keys, &id, now, &body);
        let seconds = now.seconds().to_string();
        let source = self.receiver.source(SOURCE).expect("it is configured");
        let headers: Vec<(&str, &[u8])> = vec![
            ("content-type", b"application/json"),
            ("webhook-id", id.as_bytes()),
            ("webhook-timestamp", seconds.as_bytes()),
            ("webhook-signature", signature.as_bytes()),
        ];
        let incoming = Incoming {
            remote: IpAddr::V4(Ipv4Addr::LOCALHOST),
            headers,
            body,
        };
        let answer = self.receiver.receive(source, incoming).await;
        self.post(News::Answered(message, answer));
    }

    /// Does to a run what a person asks for.
    pub(super) async fn intervene(self, run: RunId, what: Intervention) {
        let now = self.control.now();
        let done = self.engine.store.intervene(run, what, now).await;
        self.control
            .tell(|| format!("a person: {what:?} {run}: {done:?}"));
    }

    /// Replays a delivery, as the admin API does.
    pub(super) async fn replay(self, delivery: DeliveryId) {
        let done = self.try_replay(delivery).await;
        self.control
            .tell(|| format!("a person replays {delivery}: {done:?}"));
    }

    async fn try_replay(&self, id: DeliveryId) -> Result<(), String> {
        let (store, now) = (&self.engine.store, self.control.now());
        let wrong = |error: &dyn std::fmt::Display| error.to_string();
        let delivery = store.delivery(id).await.map_err(|error| wrong(&error))?;
        let delivery = delivery.ok_or("not kept")?;
        let signed_at = delivery.signed_at.ok_or("not verified")?;
        let event = normalise::native(&delivery.body, delivery.received_at, signed_at)
            .map_err(|error| wrong(&error))?;
        let parts = self.receiver.parts_today(SOURCE, &event).await;
        let parts = parts.map_err(|error| wrong(&error))?;
        let earlier = store
            .runs_of(&delivery)
            .await
            .map_err(|error| wrong(&error))?;
        let mut runs = self.receiver.runs_for(SOURCE, &event, &parts, id, now);
        for run in &mut runs {
            let same = |known: &&crate::store::RunSummary| known.service_id == run.service_id;
            let first = earlier.iter().find(same);
            run.replay_of = Some(first.map_or(id.0, |run| run.id.0));
        }
        let replayed = store.replay(id, SOURCE.to_owned(), runs, now).await;
        replayed.map_err(|error| wrong(&error))
    }
}
