//! Orders carried out by the engine: received, planned, journalled, performed, kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use billhook::app::{self, SystemClock};
use billhook::config::Config;
use billhook::domain::id::{IdSource, RunId};
use billhook::domain::secret::Secret;
use billhook::domain::time::Clock as _;
use billhook::execute::Engine;
use billhook::receive::{Incoming, Installation, Receiver, Reception, Source};
use billhook::store::Store;
use billhook::verify::{self, Keys};
use billhook::worker;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::support::{SECRET, SOURCE};

/// How long `runs` orders take from the moment a worker may begin until all of them ended.
pub async fn all(config: &Config, runs: usize, concurrency: usize) -> anyhow::Result<Duration> {
    let (store, guard) = Store::open(config.store.url.reveal()).await?;
    let stop = CancellationToken::new();
    let engine = Arc::new(app::engine(config, store.clone(), stop.clone())?);
    let made = receive(config, &engine, runs).await?;
    let ended: Vec<_> = made
        .iter()
        .map(|run| store.outcomes().watch(*run))
        .collect();
    let (began, running) = (Instant::now(), TaskTracker::new());
    let worker = running.spawn(worker::work(
        engine,
        concurrency,
        stop.clone(),
        running.clone(),
    ));
    for run in ended {
        // A closed room only says that nobody else waits; the count below is what is believed.
        let _ = tokio::time::timeout(Duration::from_secs(60), run)
            .await
            .context("a run did not end")?;
    }
    let took = began.elapsed();
    stop.cancel();
    worker.await?;
    running.close();
    running.wait().await;
    let counts = store.counts().await?;
    let succeeded = counts
        .iter()
        .find(|(table, status, _)| table == "runs" && status == "succeeded");
    let succeeded = succeeded.map_or(0, |(.., count)| *count);
    ensure!(
        usize::try_from(succeeded)? == runs,
        "{succeeded} of {runs} runs succeeded: {counts:?}"
    );
    drop(store);
    guard.closed().await;
    Ok(took)
}

/// The requests that one order makes the engine send, as its journal has them.
pub async fn requests_of_one(config: &Config) -> anyhow::Result<Vec<String>> {
    all(config, 1, 1).await?;
    let store = Store::peek(config.store.url.reveal()).await?;
    let page = store
        .runs(&billhook::store::RunFilter {
            limit: 1,
            ..Default::default()
        })
        .await?;
    let run = page.items.first().context("no run")?.id;
    let view = store.run(run).await?.context("no run")?;
    let attempts = view.steps.iter().flat_map(|step| &step.attempts);
    let exchanges = attempts.filter_map(|attempt| attempt.get("exchanges")?.as_array());
    Ok(exchanges
        .flatten()
        .map(|exchange| shape(&exchange["request"]))
        .collect())
}

/// Method and path without what differs from order to order, or the command.
fn shape(request: &Value) -> String {
    if let Some(command) = request.pointer("/body/request/payload/command") {
        return format!("1H {}", command.as_str().unwrap_or_default());
    }
    let text = |name: &str| {
        request
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    super::bare::path_shape(text("method"), text("url"))
}

/// Receives signed orders of as many customers; nothing is carried out yet.
async fn receive(
    config: &Config,
    engine: &Arc<Engine>,
    orders: usize,
) -> anyhow::Result<Vec<RunId>> {
    let keys = Keys::parse(&[Secret::new(SECRET)])?;
    let source = || Source {
        name: Arc::from(SOURCE),
        keys: keys.clone(),
        tolerance: Duration::from_secs(300),
        allow_ips: Vec::new(),
        installation: Installation::default(),
    };
    let receiver = Receiver::new(
        BTreeMap::from([(SOURCE.to_owned(), source())]),
        Arc::new(config.catalogue.clone()),
        engine.store.clone(),
        Arc::new(IdSource::new(0)),
        Arc::clone(&engine.clock),
    );
    let (source, mut runs) = (source(), Vec::with_capacity(orders));
    for number in 0..orders {
        let (now, id) = (SystemClock.now(), format!("evt-{number}"));
        let body = order(number).to_string().into_bytes();
        let signature = verify::sign(&keys, &id, now, &body);
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
        match receiver.receive(&source, incoming).await? {
            Reception::Accepted { runs: made, .. } => runs.extend(made),
            other => anyhow::bail!("the order was not accepted: {other:?}"),
        }
    }
    Ok(runs)
}

fn order(number: usize) -> Value {
    json!({
        "type": "order.paid",
        "occurred_at": "2026-11-21T21:50:00Z",
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
