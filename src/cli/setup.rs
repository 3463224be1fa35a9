//! `billhook init`, `check`, `plan`, `migrate`, `backup`: everything around a configuration.

use std::path::PathBuf;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::app::{self, SystemClock, SystemEntropy};
use crate::config::{self, Config};
use crate::domain::entropy::Entropy as _;
use crate::domain::event::Event;
use crate::domain::id::DeliveryId;
use crate::domain::time::Clock as _;
use crate::execute::Preview;
use crate::normalise;
use crate::store::{Store, StoreError};

use super::replay::show_plan;
use super::send::{pick_source, read_file};
use super::{ConfigFile, Done, Failure, say};

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Folder to write billhook.toml to
    #[arg(default_value = ".")]
    folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    config: ConfigFile,
    /// Also ask both suppliers and the billing platforms, with harmless reads
    #[arg(long)]
    online: bool,
    /// As for `serve --sandbox`: the suppliers' keys may be missing
    #[arg(long, conflicts_with = "online")]
    sandbox: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanEvent {
    /// The event as JSON; - for standard input
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// The source it would come from
    #[arg(long)]
    source: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    for chunk in bytes.chunks_mut(8) {
        let random = SystemEntropy.next().to_le_bytes();
        chunk.copy_from_slice(random.get(..chunk.len()).unwrap_or_default());
    }
    bytes
}

/// Secrets for a new installation.
pub(crate) struct Fresh {
    pub(crate) token: String,
    pub(crate) encryption_key: String,
    pub(crate) source_secret: String,
}

impl Fresh {
    pub(crate) fn new() -> Self {
        Self {
            token: hex::encode(random_bytes::<32>()),
            encryption_key: STANDARD.encode(random_bytes::<32>()),
            source_secret: format!("whsec_{}", STANDARD.encode(random_bytes::<32>())),
        }
    }
}

impl Init {
    pub(crate) fn run(self) -> Done {
        let path = self.folder.join("billhook.toml");
        if path.exists() {
            return Err(Failure::Usage(format!(
                "{} is there already; move it away first, its secrets cannot be made again",
                path.display()
            )));
        }
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make the folder {}", self.folder.display()))?;
        let fresh = Fresh::new();
        let text = config::starter(&fresh.token, &fresh.encryption_key, &fresh.source_secret);
        write_private(&path, &text)?;
        say(&format!(
            "Wrote {path} (readable by you alone).\n\n\
             1. In {path} fill in hivelocity.api_key, hivelocity.owner_email, one_h.auth_code and one_h.api_key.\n\
             2. In WHMCS make a server of type billhook: Hostname = this machine, Username = whmcs,\n   \
             Access Hash = {secret}\n   \
             (a WHMCS on another machine reaches it by TLS only: hooks/whmcs/README.md, Set-up, 1)\n\
             3. billhook check --config {path}\n\
             4. billhook serve --config {path}        (or, to try it first: add --sandbox)\n\n\
             The admin token for the API is in {path}.",
            path = path.display(),
            secret = fresh.source_secret,
        ));
        Ok(())
    }
}

fn write_private(path: &std::path::Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

impl Check {
    pub(crate) async fn run(self) -> Done {
        let config = self.load()?;
        for warning in &config.warnings {
            say(&format!("warning: {warning}"));
        }
        say(&format!(
            "The configuration is right: {}, {}, every template tried.",
            counted(config.sources.len(), "source"),
            counted(config.catalogue.products().len(), "product")
        ));
        if !self.online {
            return Ok(());
        }
        let mut failed = 0;
        for probe in app::upstreams(&config)?.probe(SystemClock.now()).await {
            let (mark, what) = match &probe.result {
                Ok(what) => ("ok    ", what),
                Err(why) => {
                    failed += 1;
                    ("FAILED", why)
                }
            };
            say(&format!(
                "{mark} {} {}: {what}",
                probe.upstream, probe.asked
            ));
        }
        if failed > 0 {
            let looks = counted(failed, "look");
            return Err(Failure::Failed(anyhow::anyhow!("{looks} failed")));
        }
        Ok(())
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Check {
    /// A configuration that only lacks the suppliers' keys is right as far as it goes (`init`
    /// writes such a one): that is not ready rather than wrong.
    fn load(&self) -> Result<Config, Failure> {
        self.config
            .load(self.sandbox)
            .map_err(|failure| match (failure, self.config.load(true)) {
                (Failure::Usage(lacks), Ok(_)) if !self.sandbox => Failure::Failed(
                    anyhow::anyhow!("the configuration is right, but not yet complete:\n{lacks}"),
                ),
                (failure, _) => failure,
            })
    }
}

impl PlanEvent {
    pub(crate) async fn run(self) -> Done {
        let config = self.config.load(true)?;
        let source = pick_source(&config, self.source.as_deref())?;
        let body = read_file(&self.file)?;
        let plans = plans(&config, &source, &body).await?;
        if self.json {
            say(&serde_json::to_string_pretty(&plans)?);
            return Ok(());
        }
        if plans.is_empty() {
            say("nothing to do");
        }
        for plan in plans {
            show_plan(&serde_json::to_value(plan)?);
        }
        Ok(())
    }
}

/// The plans for an event, against what the store knows if it can be read, else against nothing.
pub(crate) async fn plans(
    config: &Config,
    source: &str,
    body: &[u8],
) -> Result<Vec<Preview>, Failure> {
    let now = SystemClock.now();
    let event =
        normalise::native(body, now, now).map_err(|wrong| Failure::Usage(wrong.to_string()))?;
    let folder = PlanFolder::new()?;
    let (store, guard) = match Store::peek(config.store.url.reveal()).await {
        Ok(store) => (store, None),
        // What would be done is not what would be done to services that nothing is known of.
        Err(lost @ StoreError::Lost(_)) => return Err(lost.into()),
        Err(_) => {
            let (store, guard) = Store::open(&folder.url()).await?;
            (store, Some(guard))
        }
    };
    let engine = app::engine(config, store, CancellationToken::new())?;
    let mut plans = Vec::new();
    for service_id in parts(&event) {
        // An order placed now comes after everything known.
        plans.push(
            engine
                .preview(source, &event, service_id, DeliveryId(i64::MAX))
                .await?,
        );
    }
    drop(engine);
    if let Some(guard) = guard {
        guard.closed().await;
    }
    Ok(plans)
}

fn parts(event: &Event) -> Vec<Option<&str>> {
    if event.kind.concerns_customer() {
        return vec![None];
    }
    event
        .services
        .iter()
        .map(|service| Some(service.id.as_str()))
        .collect()
}

/// A folder for an empty store, gone afterwards.
struct PlanFolder(PathBuf);

impl PlanFolder {
    fn new() -> anyhow::Result<Self> {
        let name = format!("billhook-plan-{}", hex::encode(random_bytes::<8>()));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.0.join("empty.db").display())
    }
}

impl Drop for PlanFolder {
    fn drop(&mut self) {
        // A folder of an empty store left behind in the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `billhook migrate`
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    config: ConfigFile,
    /// The old encryption key is lost: accept the present one, and give up what the old one sealed
    #[arg(long)]
    new_key: bool,
}

impl Migrate {
    pub(crate) async fn run(self) -> Done {
        let config = self.config.load(true)?;
        let (store, guard) = Store::open(config.store.url.reveal()).await?;
        let accepted = if self.new_key {
            app::join(&config, &store, true).await
        } else {
            Ok(())
        };
        drop(store);
        guard.closed().await;
        accepted?;
        say("The store is up to date.");
        Ok(())
    }
}

/// `billhook backup`
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The new file; to restore, stop the service and put it in the store's place
    file: PathBuf,
    #[command(flatten)]
    config: ConfigFile,
}

impl Backup {
    pub(crate) async fn run(self) -> Done {
        let config = self.config.load(true)?;
        let size = Store::back_up(config.store.url.reveal(), &self.file).await?;
        say(&format!("{}: {size} bytes.", self.file.display()));
        Ok(())
    }
}
