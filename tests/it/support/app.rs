//! The real application in this process, with its suppliers, on a free port and a fresh store. IO.

use std::path::Path;
use std::time::{Duration, Instant};

use billhook::app::{Application, Options};
use billhook::sandbox::Sandbox;
use billhook::store::Trouble;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Setup;
use super::reader::{Reader, shown};
use super::sender::{Message, Reply, http};

/// How long work may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(45);

/// An app under test. [`App::finish`] ends it; dropping it before fails the test, since nobody
/// looked whether work is left.
pub struct App {
    /// Its suppliers.
    pub suppliers: Sandbox,
    /// Its admin API.
    pub api: Reader,
    /// Its address.
    pub base: String,
    /// A client of it.
    pub http: reqwest::Client,
    folder: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<Option<Trouble>>>,
    looked: bool,
}

/// Starts an app.
pub async fn spawn_app(setup: Setup) -> App {
    let suppliers = Sandbox::start(setup.suppliers.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = setup.load(folder.path(), &suppliers);
    let options = Options {
        receive_only: false,
        http_threads: 1,
    };
    let application = Application::build(config, options).await.unwrap();
    let base = format!("http://{}", application.address());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(application.run_until(async {
        let _ = stopped.await;
    }));
    let http = http();
    let api = Reader::new(http.clone(), &base);
    App {
        suppliers,
        api,
        base,
        http,
        folder,
        stop: Some(stop),
        serving: Some(serving),
        looked: false,
    }
}

impl App {
    /// Where its store and settings are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sends an event that must be taken in.
    pub async fn accept(&self, event: &Value) -> Reply {
        let reply = self.send(&Message::of(event)).await;
        assert_eq!(reply.status, 202, "{event}: {reply:?}");
        assert_eq!(reply.text("/status"), "accepted", "{reply:?}");
        reply
    }

    /// Sends an event that may come before its service was ordered.
    pub async fn accept_early(&self, event: &Value) -> Reply {
        let reply = self.send(&Message::of(event)).await;
        let status = reply.text("/status").to_owned();
        assert!(
            matches!(
                (reply.status, status.as_str()),
                (202, "accepted") | (200, "unknown_service" | "duplicate")
            ),
            "{event}: {reply:?}"
        );
        reply
    }

    /// Sends a message.
    pub async fn send(&self, message: &Message) -> Reply {
        message.send(&self.http, &self.base).await.unwrap()
    }

    /// Sends an event, then waits until everything is settled; answers its runs.
    pub async fn carry_out(&self, event: &Value) -> Vec<Value> {
        let reply = self.accept(event).await;
        self.settle().await;
        self.runs(&reply).await
    }

    /// The same for an event that makes one run, which must succeed.
    pub async fn succeed(&self, event: &Value) -> Value {
        let runs = self.carry_out(event).await;
        assert_eq!(runs.len(), 1, "{event}");
        assert_eq!(runs[0]["status"], "succeeded", "{}", shown(&runs[0]));
        runs[0].clone()
    }

    /// The runs of an answer.
    pub async fn runs(&self, reply: &Reply) -> Vec<Value> {
        let mut runs = Vec::new();
        for id in reply.runs() {
            runs.push(self.api.run(&id).await);
        }
        runs
    }

    /// Waits until no run is pending, running or waiting, and none is due.
    pub async fn settle(&self) {
        self.eventually("everything to be settled", |unsettled, due| {
            unsettled == 0 && !due
        })
        .await;
    }

    /// Waits until a run has one of these statuses; answers it.
    pub async fn until(&self, run: &str, statuses: &[&str]) -> Value {
        let began = Instant::now();
        loop {
            let view = self.api.run(run).await;
            if statuses.contains(&view["status"].as_str().unwrap()) {
                return view;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "wanted {statuses:?}: {}",
                shown(&view)
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a run is at a step of this kind.
    pub async fn until_step(&self, run: &str, kind: &str, statuses: &[&str]) -> Value {
        let began = Instant::now();
        loop {
            let view = self.api.run(run).await;
            let at = |step: &&Value| {
                step["kind"] == kind && statuses.contains(&step["status"].as_str().unwrap())
            };
            if view["steps"].as_array().unwrap().iter().find(at).is_some() {
                return view;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "wanted {kind} {statuses:?}: {}",
                shown(&view)
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many runs are unsettled, and whether any run is due at some time.
    async fn unsettled(&self) -> (i64, bool) {
        let stats = self.api.get("/stats").await;
        let count = |status: &str| stats["runs"][status].as_i64().unwrap_or(0);
        (
            count("pending") + count("running") + count("waiting"),
            !stats["next_due_at"].is_null(),
        )
    }

    async fn eventually(&self, what: &str, enough: impl Fn(i64, bool) -> bool) {
        let began = Instant::now();
        loop {
            let (unsettled, due) = self.unsettled().await;
            if enough(unsettled, due) {
                return;
            }
            let late = began.elapsed() > PATIENCE;
            assert!(
                !late,
                "waited for {what}; hung: {}",
                self.unsettled_runs().await
            );
            tokio::time::sleep(Duration::from_millis(8)).await;
        }
    }

    async fn unsettled_runs(&self) -> String {
        let runs = self.api.all("/runs").await;
        let open = |run: &&Value| {
            ["pending", "running", "waiting", "paused"].contains(&run["status"].as_str().unwrap())
        };
        let lines: Vec<String> = runs.iter().filter(open).map(shown).collect();
        format!("\n  {}", lines.join("\n  "))
    }

    /// Settles, looks whether the suppliers were asked anything malformed, and ends.
    pub async fn finish(self) {
        self.settle().await;
        self.leave().await;
    }

    /// Ends although runs wait behind a paused one.
    pub async fn leave(mut self) {
        self.looked = true;
        assert_eq!(self.suppliers.snapshot().violations, Vec::<String>::new());
        self.stop().await;
    }

    /// Ends the service and leaves the suppliers and the store there.
    pub async fn stop(&mut self) {
        let Some(stop) = self.stop.take() else { return };
        let _ = stop.send(());
        if let Some(serving) = self.serving.take() {
            let ended = tokio::time::timeout(Duration::from_secs(20), serving).await;
            ended
                .expect("the app did not end within 20 seconds")
                .unwrap();
        }
        self.looked = true;
    }

    /// Stops the service and starts it again on the same store, with these settings.
    pub async fn restart(&mut self, setup: &Setup) {
        self.stop().await;
        let config = setup.load(self.folder.path(), &self.suppliers);
        let options = Options {
            receive_only: false,
            http_threads: 1,
        };
        let application = Application::build(config, options).await.unwrap();
        self.base = format!("http://{}", application.address());
        let (stop, stopped) = oneshot::channel::<()>();
        self.serving = Some(tokio::spawn(application.run_until(async {
            let _ = stopped.await;
        })));
        self.stop = Some(stop);
        self.api = Reader::new(self.http.clone(), &self.base);
        self.looked = false;
    }
}

impl Drop for App {
    fn drop(&mut self) {
        assert!(
            self.looked || std::thread::panicking(),
            "the app was dropped without finish(): nobody looked whether work is left"
        );
    }
}
