//! The composition root: from a checked configuration to a running service, and to its end.

mod pace;
mod parts;
mod steady;
mod system;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::domain::id::IdSource;
use crate::domain::vault::Vault;
use crate::execute::Engine;
use crate::report::Reports;
use crate::sandbox::SandboxError;
use crate::store::{Recovery, Store, StoreError, StoreGuard, Trouble, location};
use crate::upstream::{Herald, UpstreamError};
use crate::web;
use crate::worker;

pub use parts::{Surroundings, engine, engine_in, reports, sources, upstreams, with_sandbox};
pub use system::{SystemClock, SystemEntropy};

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The socket.
    #[error("cannot listen on {address}: {error} (server.listen)")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An upstream's client.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The stand-ins.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A source's secrets.
    #[error("sources.{source_name}.secrets: {error}")]
    Source {
        /// The source.
        source_name: String,
        /// What is wrong.
        error: crate::verify::KeyError,
    },
}

/// How the service runs beside what the configuration says.
#[derive(Debug, Default)]
pub struct Options {
    /// Receive and keep, but carry nothing out (benchmarks of receiving).
    pub receive_only: bool,
    /// Threads that serve HTTP; 0: as many as there are cores.
    pub http_threads: usize,
}

/// A service that is ready to serve.
pub struct Application {
    address: SocketAddr,
    server: actix_web::dev::Server,
    worker: Option<JoinHandle<()>>,
    running: TaskTracker,
    stopping: CancellationToken,
    store: StoreGuard,
    /// How long calls in flight may take to finish at the end.
    patience: Duration,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Application {
    /// Opens the store and the socket and starts working.
    pub async fn build(config: Config, options: Options) -> Result<Self, AppError> {
        // A store is not made for a service that cannot listen.
        let listener = listen(config.server.listen)?;
        let address = listener.local_addr().unwrap_or(config.server.listen);
        let (store, guard) = Store::open(config.store.url.reveal()).await?;
        introduce(&config, guard.is_new());
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        join(&config, &store, false).await?;
        let stopping = CancellationToken::new();
        let engine = Arc::new(engine(&config, store.clone(), stopping.clone())?);
        carry_on(&store, &engine).await?;
        let reports = Arc::new(reports(&engine));
        let ids = IdSource::after(store.node(), store.highest_id().await?);
        let web = Arc::new(parts::web(&config, &engine, &reports, ids, &stopping)?);
        web.receiver.recall_installations().await?;
        drop(store);
        let threads = if options.http_threads == 0 {
            parts::cores()
        } else {
            options.http_threads
        };
        let patience = config.hivelocity.timeout.max(config.one_h.timeout) + Duration::from_secs(5);
        let server = web::serve(web, listener, threads, patience.as_secs())
            .map_err(|error| AppError::Listen { address, error })?;
        let running = TaskTracker::new();
        if let Some(alerts) = config.alerts.as_ref().filter(|_| !options.receive_only) {
            let herald = Herald::new(&alerts.url, &alerts.secret)?;
            running.spawn(worker::tell(Arc::clone(&engine), herald, stopping.clone()));
        }
        if !options.receive_only {
            running.spawn(worker::take_early(Arc::clone(&engine), stopping.clone()));
            attend(&reports, &stopping, &running);
        }
        if let Some(age) = config.store.retention {
            let clock = Arc::clone(&engine.clock);
            running.spawn(worker::let_go(
                engine.store.clone(),
                clock,
                age,
                stopping.clone(),
            ));
        }
        let worker = (!options.receive_only)
            .then(|| start_worker(engine, config.execution.concurrency, &stopping, &running));
        Ok(Self {
            address,
            server,
            worker,
            running,
            stopping,
            store: guard,
            patience,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then ends in order: no new requests, calls in flight finish (for a
    /// bounded time), everything sent to the store is written. Returns what is wrong with the store,
    /// if something is.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Option<Trouble> {
        let handle = self.server.handle();
        #[expect(
            clippy::disallowed_methods,
            reason = "joined below, once it was told to stop"
        )]
        let serving = tokio::spawn(self.server);
        stop.await;
        tracing::info!("stopping: no new requests, calls in flight finish");
        self.stopping.cancel();
        handle.stop(true).await;
        let _ = serving.await;
        if let Some(worker) = self.worker {
            let _ = worker.await;
        }
        self.running.close();
        if tokio::time::timeout(self.patience, self.running.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                "some calls did not finish in time; they are looked at again at the next start"
            );
        }
        let closed = tokio::time::timeout(Duration::from_secs(10), self.store.closed()).await;
        closed.unwrap_or_else(|_| {
            tracing::warn!("the store did not close in time");
            None
        })
    }
}

/// The first lines: whether what is said to be done is done, and with which store.
fn introduce(config: &Config, is_new: bool) {
    let mode = parts::mode(config);
    tracing::info!("{}: {}", mode.name(), mode.meaning());
    let store = location::shown(config.store.url.reveal());
    if is_new {
        tracing::info!("store: {store} (new: there was none, it is empty)");
    } else {
        tracing::info!("store: {store}");
    }
}

/// Joins those who serve the store, if the settings and the key allow it. With `new_key` what was
/// sealed under another key is given up.
pub async fn join(config: &Config, store: &Store, new_key: bool) -> Result<(), StoreError> {
    let vault = Vault::new(config.admin.encryption_key);
    let agreement = parts::agreement(config, &vault);
    store.join(agreement, &vault, new_key).await
}

fn listen(address: SocketAddr) -> Result<std::net::TcpListener, AppError> {
    let wrong = |error| AppError::Listen { address, error };
    let listener = std::net::TcpListener::bind(address).map_err(wrong)?;
    listener.set_nonblocking(true).map_err(wrong)?;
    Ok(listener)
}

/// What a start does to runs that the last stop cut off, or that an older version left.
async fn carry_on(store: &Store, engine: &Engine) -> Result<(), AppError> {
    let now = engine.clock.now();
    let recovery = if store.is_shared() {
        Recovery::StartBesideOthers
    } else {
        Recovery::StartAlone
    };
    let recovered = store.recover(recovery, now).await?;
    if recovered > 0 {
        tracing::info!(runs = recovered, "runs that the last stop cut off go on");
    }
    let woken = store.wake_reporting_runs(now).await?;
    if woken > 0 {
        let runs = woken;
        tracing::info!(
            runs,
            "runs of an older version that waited for the billing platform go on"
        );
    }
    Ok(())
}

/// Starts telling the billing platforms what is in the outbox.
fn attend(reports: &Arc<Reports>, stopping: &CancellationToken, running: &TaskTracker) {
    for source in reports.sources() {
        running.spawn(Arc::clone(reports).attend(source.to_owned(), stopping.clone()));
    }
}

fn start_worker(
    engine: Arc<Engine>,
    concurrency: usize,
    stopping: &CancellationToken,
    running: &TaskTracker,
) -> JoinHandle<()> {
    let (stopping, running) = (stopping.clone(), running.clone());
    #[expect(
        clippy::disallowed_methods,
        reason = "the one claim loop; run_until joins it"
    )]
    tokio::spawn(worker::work(engine, concurrency, stopping, running))
}
