//! `billhook demo`: the main job to watch, with stand-ins for both suppliers.
//!
//! Everything is real but the suppliers: a configuration, a store on disk, signed events over
//! HTTP, the worker, the admin API that the steps are read from.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::app::{Application, Options, SystemEntropy, with_sandbox};
use crate::config::{self, Config};
use crate::domain::entropy::Entropy as _;
use crate::sandbox::{Sandbox, SandboxOptions, SandboxSnapshot};

use super::api::Api;
use super::cast::{CAST, Customer, event, message_id};
use super::send::{Post, Sender};
use super::serve::share;
use super::setup::Fresh;
use super::{Done, say};

/// How long one event may take to be carried out before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// End after the last step; status 0 only if everything worked
    #[arg(long)]
    exit: bool,
    /// How often the stand-ins misbehave, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = share)]
    faults: f64,
}

/// A running demonstration.
struct Stage {
    sender: Sender,
    base: String,
    api: Api,
    began: Instant,
}

impl Demo {
    pub(crate) async fn run(self) -> Done {
        let folder = TemporaryFolder::new()?;
        let fresh = Fresh::new();
        let mut config = folder.config(&fresh)?;
        let sandbox = SandboxOptions {
            faults: self.faults,
            build_time: Duration::from_millis(1500),
            seed: SystemEntropy.next(),
            ..SandboxOptions::default()
        };
        let sandbox = with_sandbox(&mut config, sandbox).await?;
        let application = Application::build(config.clone(), Options::default()).await?;
        let base = format!("http://{}", application.address());
        let (stop, stopped) = oneshot::channel::<()>();
        #[expect(
            clippy::disallowed_methods,
            reason = "joined at the end of the demonstration"
        )]
        let serving = tokio::spawn(application.run_until(async {
            // The sender is dropped at the latest when the demonstration ends.
            let _ = stopped.await;
        }));
        let api = Api::at(base.clone(), config.admin.token.clone(), "the demo's token")?;
        let sender = Sender::configured(&config, base.clone(), None);
        let stage = Stage {
            sender: sender.map_err(|_| anyhow!("the demo's source cannot sign"))?,
            base,
            api,
            began: Instant::now(),
        };
        let mut terminate = signal(SignalKind::terminate())?;
        let played = tokio::select! {
            played = async {
                stage.play(&sandbox).await?;
                if self.exit { Ok(()) } else { stage.stay_up(&fresh).await }
            } => played,
            _ = terminate.recv() => if self.exit { Err(anyhow!("stopped before the end")) } else { Ok(()) },
        };
        drop(stop);
        serving.await.context("the service ended badly")?;
        sandbox.stop().await;
        Ok(played?)
    }
}

impl Stage {
    async fn play(&self, sandbox: &Sandbox) -> anyhow::Result<()> {
        say(&format!(
            "Billhook listens at {}, with stand-ins for Hivelocity and 1H.",
            self.base
        ));
        say(
            "Signed events go in as WHMCS sends them; every line below is a step carried out at a supplier.\n",
        );
        for customer in &CAST {
            self.live(customer).await?;
        }
        self.send_again().await?;
        self.judge(&sandbox.snapshot())
    }

    /// One customer's life: everything is ordered at once, then each thing happens to all.
    async fn live(&self, customer: &Customer) -> anyhow::Result<()> {
        say(&format!("── {} ({})", customer.name, customer.email));
        self.happen(customer, "order.paid").await?;
        for kind in customer.life {
            self.happen(customer, kind).await?;
        }
        say("");
        Ok(())
    }

    async fn happen(&self, customer: &Customer, kind: &str) -> anyhow::Result<()> {
        let services: Vec<&str> = customer
            .servers
            .iter()
            .map(|server| server.service)
            .collect();
        self.line(&format!("{kind}  service {}", services.join(" and ")));
        let id = message_id(customer, kind);
        let answer = self.post(&id, event(customer, kind)).await?;
        let runs = answer
            .get("runs")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        if runs.is_empty() {
            bail!("{kind} made no runs: {answer}");
        }
        for run in runs {
            self.follow(run.as_str().unwrap_or_default()).await?;
        }
        Ok(())
    }

    async fn post(&self, id: &str, event: Value) -> anyhow::Result<Value> {
        let post = Post {
            id: id.to_owned(),
            body: event.to_string().into_bytes(),
            wait: 0,
        };
        post.send(&self.sender).await
    }

    /// Prints a run's steps as they happen, until it ends.
    async fn follow(&self, run: &str) -> anyhow::Result<()> {
        let (began, mut shown, mut waiting) = (Instant::now(), 0, String::new());
        loop {
            let view = self.api.get(&format!("/runs/{run}"), &[]).await?;
            let steps = view
                .get("steps")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            let over: Vec<&Value> = steps.iter().take_while(|step| is_over(step)).collect();
            for step in over.iter().skip(shown) {
                self.line(&step_line(&view, step));
            }
            shown = over.len();
            match view
                .get("status")
                .and_then(Value::as_str)
                .unwrap_or_default()
            {
                "succeeded" => return Ok(()),
                status @ ("paused" | "cancelled" | "superseded") => {
                    bail!(
                        "run {run} is {status}: {}",
                        view.get("error").unwrap_or(&Value::Null)
                    )
                }
                _ if began.elapsed() > PATIENCE => {
                    bail!("run {run} took longer than {PATIENCE:?}: {view}")
                }
                _ => {}
            }
            let now = view
                .get("waiting_for")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if now != waiting && !now.is_empty() && now != "a free worker" {
                // Some say a whole sentence.
                let what = if now.contains(';') {
                    ""
                } else {
                    "waiting for "
                };
                self.line(&format!("   … {what}{now}"));
            }
            now.clone_into(&mut waiting);
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }

    /// The order of the first customer comes in once more: the same delivery, then a replay.
    async fn send_again(&self) -> anyhow::Result<()> {
        say("── The same order again");
        let (Some(customer), kind) = (CAST.first(), "order.paid") else {
            return Ok(());
        };
        let list = [
            ("type".to_owned(), kind.to_owned()),
            ("customer".to_owned(), customer.id.to_owned()),
        ];
        let found = self.api.get("/deliveries", &list).await?;
        let first = found.pointer("/items/0").cloned().unwrap_or_default();
        let id = first
            .get("id")
            .and_then(Value::as_str)
            .context("the order is not in the store")?;
        let whole = self.api.get(&format!("/deliveries/{id}"), &[]).await?;
        let bytes = whole
            .get("body")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let answer = self
            .post(&message_id(customer, kind), serde_json::from_str(bytes)?)
            .await?;
        if answer.get("status") != Some(&json!("duplicate")) {
            bail!("the same delivery was not seen as a duplicate: {answer}");
        }
        self.line("sent again: answered as a duplicate, nothing is done");
        let replayed = self
            .api
            .post(&format!("/deliveries/{id}/replay"), &json!({}))
            .await?;
        let run = replayed
            .pointer("/runs/0")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let outcome = self.settled(&run).await?;
        self.line(&format!("replayed: {outcome}"));
        say("");
        Ok(())
    }

    async fn settled(&self, run: &str) -> anyhow::Result<String> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let view = self.api.get(&format!("/runs/{run}"), &[]).await?;
            let text = |key: &str| {
                view.get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            if ["succeeded", "superseded"].contains(&text("status").as_str()) {
                return Ok(format!("{} {}", text("status"), text("error"))
                    .trim()
                    .to_owned());
            }
            if text("status") == "paused" {
                bail!("the replay is paused: {}", text("error"));
            }
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        bail!("the replay did not end")
    }

    /// What the stand-ins saw must be what the cast went through.
    fn judge(&self, snapshot: &SandboxSnapshot) -> anyhow::Result<()> {
        let servers: usize = CAST.iter().map(|customer| customer.servers.len()).sum();
        let ended = CAST
            .iter()
            .filter(|customer| customer.life.contains(&"service.terminated"));
        let ended: usize = ended.map(|customer| customer.servers.len()).sum();
        let effects = &snapshot.effects;
        let creates = [
            &effects.devices,
            &effects.clients,
            &effects.users,
            &effects.licences,
        ];
        let twice: Vec<&String> = creates
            .iter()
            .flat_map(|made| made.iter())
            .filter(|(_, times)| **times > 1)
            .map(|(mark, _)| mark)
            .collect();
        let (clients, built) = (effects.clients.len(), effects.devices.len());
        if !twice.is_empty() || !snapshot.violations.is_empty() {
            bail!(
                "made twice: {twice:?}; malformed requests: {:?}",
                snapshot.violations
            );
        }
        if clients != CAST.len() || built != servers {
            bail!(
                "{} customers and {servers} servers were paid for; {clients} clients and {built} servers were made",
                CAST.len()
            );
        }
        let cancelled = snapshot
            .devices
            .iter()
            .filter(|device| device.cancelled)
            .count();
        if cancelled != ended {
            bail!("{ended} servers were terminated, {cancelled} were cancelled at the supplier");
        }
        say(&format!(
            "All of it worked in {:.1} s: {clients} controlled clients, {servers} servers built once each, \
             {cancelled} cancelled, nothing made twice.",
            self.began.elapsed().as_secs_f64()
        ));
        Ok(())
    }

    async fn stay_up(&self, fresh: &Fresh) -> anyhow::Result<()> {
        say(&format!(
            "\nThe admin API stays up at {}/api/v1 (Ctrl-C ends it). Try:\n",
            self.base
        ));
        say(&format!(
            "  curl -H 'Authorization: Bearer {}' '{}/api/v1/runs?limit=3'",
            fresh.token, self.base
        ));
        say(&format!(
            "  billhook runs list --server {} --token {}",
            self.base, fresh.token
        ));
        tokio::signal::ctrl_c()
            .await
            .context("cannot wait for Ctrl-C")
    }

    fn line(&self, text: &str) {
        say(&format!(
            "{:>7.2}s  {text}",
            self.began.elapsed().as_secs_f64()
        ));
    }
}

fn is_over(step: &Value) -> bool {
    matches!(
        step.get("status").and_then(Value::as_str),
        Some("succeeded" | "skipped")
    )
}

fn step_line(run: &Value, step: &Value) -> String {
    let text = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or("-")
            .to_owned()
    };
    let mark = if text(step, "status") == "succeeded" {
        "✓"
    } else {
        "·"
    };
    let attempts = step
        .get("attempts")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    let tries = if attempts > 1 {
        format!("  ({attempts} looks)")
    } else {
        String::new()
    };
    let output = step.get("output").filter(|output| !output.is_null());
    let output = output
        .map(|output| format!("  {output}"))
        .unwrap_or_default();
    format!(
        "   {mark} {:>3}  {:<30}{output}{tries}",
        text(run, "service_id"),
        text(step, "kind")
    )
}

/// A folder for the demonstration's store, gone afterwards.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> anyhow::Result<Self> {
        let folder =
            std::env::temp_dir().join(format!("billhook-demo-{:016x}", SystemEntropy.next()));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }

    /// The configuration that `billhook init` writes.
    fn config(&self, fresh: &Fresh) -> anyhow::Result<Config> {
        let path = self.0.join("billhook.toml");
        std::fs::write(
            &path,
            config::starter(&fresh.token, &fresh.encryption_key, &fresh.source_secret),
        )
        .with_context(|| format!("cannot write {}", path.display()))?;
        let store = format!("sqlite://{}", self.0.join("billhook.db").display());
        let settings = [
            ("BILLHOOK__SERVER__LISTEN", "127.0.0.1:0"),
            ("BILLHOOK__STORE__URL", store.as_str()),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Ok(config::load(Some(&path), settings, true)?)
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // A demonstration's folder left behind in the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
