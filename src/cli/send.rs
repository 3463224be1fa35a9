//! `billhook send`: signs an event as a billing plugin does and posts it.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::app::{SystemClock, SystemEntropy};
use crate::config::Config;
use crate::domain::entropy::Entropy as _;
use crate::domain::event::EventType;
use crate::domain::secret::Secret;
use crate::domain::time::{Clock as _, Timestamp};
use crate::verify::{self, Keys};

use super::api::{self, Server};
use super::filters::event_type;
use super::{Done, Failure, say};

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// What happened, e.g. service.suspended; not needed with --file
    #[arg(
        value_name = "TYPE",
        required_unless_present = "file",
        conflicts_with = "file",
        value_parser = event_type()
    )]
    kind: Option<EventType>,
    /// The source to send as [default: the only one of the configuration]
    #[arg(long)]
    source: Option<String>,
    /// The source's secret, which signs [default: from the configuration]
    #[arg(
        long,
        value_name = "WHSEC",
        env = "BILLHOOK_SECRET",
        hide_env_values = true
    )]
    secret: Option<String>,
    /// The webhook-id [default: a new one]; the same command with the same id is one delivery
    #[arg(long, value_name = "ID", value_parser = webhook_id)]
    id: Option<String>,
    /// The billing platform's service id
    #[arg(long, value_name = "ID")]
    service: Vec<String>,
    /// The billing platform's customer id
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// The customer's address
    #[arg(long)]
    email: Option<String>,
    /// The customer's name
    #[arg(long)]
    name: Option<String>,
    /// The customer's company
    #[arg(long)]
    company: Option<String>,
    /// The billing platform's product id
    #[arg(long, value_name = "ID")]
    product: Option<String>,
    /// The billing platform's order id
    #[arg(long, value_name = "ID")]
    order: Option<String>,
    /// The server's name
    #[arg(long)]
    hostname: Option<String>,
    /// The billing cycle, e.g. monthly
    #[arg(long, value_name = "CYCLE")]
    cycle: Option<String>,
    /// A configurable option, NAME=VALUE; may be repeated
    #[arg(long = "option", value_name = "NAME=VALUE")]
    options: Vec<String>,
    /// For service.action: boot, reboot, shutdown or reload
    #[arg(long)]
    action: Option<String>,
    /// For service.suspended: why, for people
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// When it happened [default: now; with --id the time at which the server first has it]
    #[arg(long, value_name = "TIME")]
    occurred_at: Option<Timestamp>,
    /// The event as JSON; - for standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Wait up to this many seconds for the outcome
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60))]
    wait: u64,
    #[command(flatten)]
    server: Server,
}

impl Send {
    pub(crate) async fn run(self) -> Done {
        let sender = Sender::find(&self.server, self.source.as_deref(), self.secret.as_deref())?;
        let body = match &self.file {
            Some(file) => read_file(file)?,
            None => self.event()?.to_string().into_bytes(),
        };
        let id = self.id.clone().unwrap_or_else(new_id);
        let post = Post {
            id: id.clone(),
            body,
            wait: self.wait,
        };
        let mut answer = post.send(&sender).await?;
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("webhook_id".to_owned(), json!(id));
        }
        say(&serde_json::to_string_pretty(&answer)?);
        match answer.get("status").and_then(Value::as_str) {
            Some("paused") => Err(Failure::Failed(anyhow!(paused(&answer)))),
            _ => Ok(()),
        }
    }

    fn event(&self) -> Result<Value, Failure> {
        let Some(kind) = self.kind else {
            return Err(Failure::Usage("which TYPE?".to_owned()));
        };
        let mut event = Map::new();
        event.insert("type".to_owned(), json!(kind));
        // An event that may be sent again must have the same bytes again; without a time of its
        // own it occurred when it was first signed.
        let occurred_at = match (self.occurred_at, &self.id) {
            (None, Some(_)) => None,
            (given, _) => Some(given.unwrap_or_else(|| SystemClock.now())),
        };
        event.insert("occurred_at".to_owned(), json!(occurred_at));
        put(&mut event, "order_id", self.order.as_ref());
        put(&mut event, "action", self.action.as_ref());
        put(&mut event, "reason", self.reason.as_ref());
        let mut customer = Map::new();
        put(&mut customer, "id", self.customer.as_ref());
        put(&mut customer, "email", self.email.as_ref());
        put(&mut customer, "name", self.name.as_ref());
        put(&mut customer, "company", self.company.as_ref());
        if !customer.is_empty() {
            event.insert("customer".to_owned(), Value::Object(customer));
        }
        let services = self
            .service
            .iter()
            .map(|id| self.service_of(id))
            .collect::<Result<Vec<_>, _>>()?;
        if !services.is_empty() {
            event.insert("services".to_owned(), Value::Array(services));
        }
        Ok(Value::Object(event))
    }

    fn service_of(&self, id: &str) -> Result<Value, Failure> {
        let mut service = Map::new();
        service.insert("id".to_owned(), json!(id));
        put(&mut service, "product_id", self.product.as_ref());
        put(&mut service, "hostname", self.hostname.as_ref());
        put(&mut service, "billing_cycle", self.cycle.as_ref());
        let mut options = Map::new();
        for option in &self.options {
            let (name, value) = option
                .split_once('=')
                .ok_or_else(|| Failure::Usage(format!("--option {option}: write NAME=VALUE")))?;
            options.insert(name.to_owned(), json!(value));
        }
        service.insert("options".to_owned(), Value::Object(options));
        Ok(Value::Object(service))
    }
}

fn new_id() -> String {
    let (one, two) = (SystemEntropy.next(), SystemEntropy.next());
    format!("msg_{one:016x}{two:016x}")
}

fn webhook_id(text: &str) -> Result<String, String> {
    let fits = (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let wrong = || "1 to 256 visible ASCII characters".to_owned();
    fits.then(|| text.to_owned()).ok_or_else(wrong)
}

/// Which runs need a person, and what to type.
fn paused(answer: &Value) -> String {
    let runs = answer.get("runs").and_then(Value::as_array);
    let told = runs.into_iter().flatten().filter_map(|run| {
        let text = |key: &str| run.get(key).and_then(Value::as_str).unwrap_or("-");
        let paused = text("status") == "paused";
        paused.then(|| {
            format!(
                "{} is paused: {}\n  {}",
                text("id"),
                text("error"),
                text("next")
            )
        })
    });
    told.collect::<Vec<_>>().join("\n")
}

fn put(object: &mut Map<String, Value>, key: &str, value: Option<&String>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), json!(value));
    }
}

/// The source that was named, or the only one.
pub(crate) fn pick_source(config: &Config, named: Option<&str>) -> Result<String, Failure> {
    let known = || {
        config
            .sources
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(", ")
    };
    match named {
        Some(name) if config.sources.contains_key(name) => Ok(name.to_owned()),
        Some(name) => Err(Failure::Usage(format!(
            "--source {name}: configured are {}",
            known()
        ))),
        None if config.sources.len() == 1 => Ok(known()),
        None => Err(Failure::Usage(format!(
            "--source is needed; configured are {}",
            known()
        ))),
    }
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read_file(file: &std::path::Path) -> Result<Vec<u8>, Failure> {
    let wrong = |error| Failure::Usage(format!("cannot read {}: {error}", file.display()));
    if file == std::path::Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map_err(wrong)?;
        return Ok(bytes);
    }
    std::fs::read(file).map_err(wrong)
}

/// Where events go, whom they come from, and what signs them.
pub(crate) struct Sender {
    base: String,
    source: String,
    keys: Keys,
}

impl Sender {
    /// From what was given; the configuration is only read for the rest.
    fn find(server: &Server, source: Option<&str>, secret: Option<&str>) -> Result<Self, Failure> {
        let secret = secret.map(Secret::new);
        if let (Some(base), Some(source), Some(secret)) = (server.given(), source, &secret) {
            return Self::new(base, source.to_owned(), std::slice::from_ref(secret));
        }
        let options = [
            ("--server URL", server.given().is_some()),
            ("--source NAME", source.is_some()),
            ("--secret WHSEC (or BILLHOOK_SECRET)", secret.is_some()),
        ];
        let lacks = options.into_iter().filter(|(_, given)| !given);
        let lacks: Vec<&str> = lacks.map(|(option, _)| option).collect();
        let or = format!(
            ", or give {}: an event is signed with its source's secret, which the admin token is not",
            lacks.join(" and ")
        );
        let config = server.config.load_unless_missing(&or)?;
        let base = server.base(&config);
        match (source, secret) {
            (Some(source), Some(secret)) => Self::new(base, source.to_owned(), &[secret]),
            (None, Some(secret)) => Self::new(base, pick_source(&config, None)?, &[secret]),
            (source, None) => Self::configured(&config, base, source),
        }
    }

    /// A source of the configuration.
    pub(crate) fn configured(
        config: &Config,
        base: String,
        source: Option<&str>,
    ) -> Result<Self, Failure> {
        let source = pick_source(config, source)?;
        let settings = config.sources.get(&source);
        let secrets = settings.map_or(&[][..], |settings| &settings.secrets);
        Self::new(base, source, secrets)
    }

    fn new(base: String, source: String, secrets: &[Secret]) -> Result<Self, Failure> {
        let keys = Keys::parse(secrets)
            .map_err(|wrong| Failure::Usage(format!("source {source}: {wrong}")))?;
        Ok(Self { base, source, keys })
    }
}

/// One signed request.
pub(crate) struct Post {
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
    pub(crate) wait: u64,
}

impl Post {
    /// Signs with the source's newest secret and posts.
    pub(crate) async fn send(self, sender: &Sender) -> anyhow::Result<Value> {
        let Sender { base, source, keys } = sender;
        let now = SystemClock.now();
        let signature = verify::sign(keys, &self.id, now, &self.body);
        let mut request = api::client()?
            .post(format!("{base}{}", api::path(&["webhooks", source])))
            .header("content-type", "application/json")
            .header("webhook-id", &self.id)
            .header("webhook-timestamp", now.seconds().to_string())
            .header("webhook-signature", signature)
            .body(self.body);
        if self.wait > 0 {
            request = request.header("prefer", format!("wait={}", self.wait));
        }
        let response = request
            .send()
            .await
            .map_err(reqwest::Error::without_url)
            .with_context(|| api::unanswered(base))?;
        api::read(response).await
    }
}
