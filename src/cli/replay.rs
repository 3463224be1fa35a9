//! `billhook replay`: kept deliveries carried out again, by id, by filter or from a file.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::domain::id::{DeliveryId, RunId};

use super::api::{Api, Server};
use super::filters::{Filters as _, RunFilters};
use super::send::{Post, Sender, pick_source, read_file};
use super::{Done, Failure, say};

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Deliveries (dlv_…) or runs (run_…)
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    filters: RunFilters,
    /// A file of ids, of deliveries as the API shows them, or of native events, which are sent as
    /// --source; - for standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Show the plans; send nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the server's answers as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// What a file or an argument names.
enum Wanted {
    Delivery(DeliveryId),
    Run(RunId),
    Event(Value),
}

impl Replay {
    pub(crate) async fn run(self) -> Done {
        let mut query = self.filters.pairs();
        if self.file.is_some() {
            // Whose the file's events are.
            query.retain(|(name, _)| name != "source");
        }
        let by_filter = !query.is_empty();
        if self.ids.is_empty() && self.file.is_none() && !by_filter {
            return Err(Failure::Usage(
                "say what to replay: ids, a filter (--status, --since, --source, --type …) or --file".to_owned(),
            ));
        }
        let api = self.server.api()?;
        let mut deliveries = BTreeSet::new();
        let mut events = Vec::new();
        for wanted in self.wanted()? {
            match wanted {
                Wanted::Delivery(id) => drop(deliveries.insert(id)),
                Wanted::Run(id) => drop(deliveries.insert(delivery_of(&api, id).await?)),
                Wanted::Event(event) => events.push(event),
            }
        }
        if by_filter {
            deliveries.extend(self.filtered(&api).await?);
        }
        if deliveries.is_empty() && events.is_empty() {
            say("nothing matches; nothing was replayed");
            return Ok(());
        }
        let mut failed = self.replay(&api, &deliveries).await;
        failed += self.send(events).await?;
        if failed > 0 {
            return Err(Failure::Failed(anyhow::anyhow!(
                "{failed} could not be replayed"
            )));
        }
        Ok(())
    }

    fn wanted(&self) -> Result<Vec<Wanted>, Failure> {
        let mut wanted = self
            .ids
            .iter()
            .map(|id| named(id))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(file) = &self.file {
            let bytes = read_file(file)?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Failure::Usage(format!("{} is not text", file.display())))?;
            wanted.extend(in_file(&text)?);
        }
        Ok(wanted)
    }

    /// With what only runs have the runs are searched, else the accepted deliveries.
    async fn filtered(&self, api: &Api) -> Result<Vec<DeliveryId>, Failure> {
        let mut query = self.filters.pairs();
        let (path, field) = if self.filters.status.is_some() || self.filters.reason.is_some() {
            ("/runs", "delivery_id")
        } else {
            query.push(("verdict".to_owned(), "accepted".to_owned()));
            ("/deliveries", "id")
        };
        let rows = api.all(path, &query).await?;
        let ids = rows
            .iter()
            .filter_map(|row| row.get(field)?.as_str()?.parse().ok());
        Ok(ids.collect())
    }

    /// Oldest first, as they happened.
    async fn replay(&self, api: &Api, deliveries: &BTreeSet<DeliveryId>) -> usize {
        let mut failed = 0;
        for id in deliveries {
            let body = json!({"dry_run": self.dry_run});
            match api.post(&format!("/deliveries/{id}/replay"), &body).await {
                Ok(answer) => self.show(&answer),
                Err(error) => {
                    failed += 1;
                    super::complain(&format!("{id}: {error:#}"));
                }
            }
        }
        failed
    }

    fn show(&self, answer: &Value) {
        if self.json {
            say(&answer.to_string());
            return;
        }
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("-").to_owned();
        let (delivery, kind) = (text(answer.get("delivery_id")), text(answer.get("type")));
        if self.dry_run {
            say(&format!("{delivery}  {kind}"));
            for plan in answer
                .get("plans")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                show_plan(plan);
            }
            return;
        }
        let runs = answer
            .get("runs")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let runs: Vec<&str> = runs.iter().filter_map(Value::as_str).collect();
        let runs = if runs.is_empty() {
            "nothing to do".to_owned()
        } else {
            runs.join(" ")
        };
        say(&format!("{delivery}  {kind}  {runs}"));
    }

    /// Events from a file are sent anew, each under an id made from its bytes: the same file
    /// twice makes duplicates, not orders.
    async fn send(&self, events: Vec<Value>) -> Result<usize, Failure> {
        if events.is_empty() {
            return Ok(0);
        }
        let config = self.server.config.load(true)?;
        let source = pick_source(&config, self.filters.source.as_deref())?;
        let sender = Sender::configured(&config, self.server.base(&config), Some(&source))?;
        let mut failed = 0;
        for event in events {
            let body = event.to_string().into_bytes();
            let id = format!("replay_{}", hex::encode(Sha256::digest(&body)));
            let kind = event.get("type").and_then(Value::as_str).unwrap_or("-");
            if self.dry_run {
                for plan in super::setup::plans(&config, &source, &body).await? {
                    say(&format!("{id}  {kind}"));
                    show_plan(&serde_json::to_value(plan)?);
                }
                continue;
            }
            let post = Post { id, body, wait: 0 };
            match post.send(&sender).await {
                Ok(answer) => say(&answer.to_string()),
                Err(error) => {
                    failed += 1;
                    super::complain(&format!("{kind}: {error:#}"));
                }
            }
        }
        Ok(failed)
    }
}

/// Prints a plan as `billhook plan` and dry runs show it.
pub(crate) fn show_plan(plan: &Value) {
    let text = |key: &str| {
        plan.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let lane = plan
        .get("service_id")
        .and_then(Value::as_str)
        .map_or("customer".to_owned(), |id| format!("service {id}"));
    let (verdict, reason) = (text("verdict"), text("reason"));
    say(&format!(
        "  {lane}: {verdict}{}{reason}",
        if reason.is_empty() { "" } else { " – " }
    ));
    let list = |key: &str| plan.get(key).and_then(Value::as_array);
    for note in list("notes").into_iter().flatten() {
        say(&format!("    note: {}", note.as_str().unwrap_or_default()));
    }
    for (place, step) in (1..).zip(list("steps").into_iter().flatten()) {
        say(&format!("    {place}. {}", step_line(step)));
    }
}

/// Its kind, what it would come to, and what with.
fn step_line(step: &Value) -> String {
    let mut step = step.clone();
    let mut taken = |key: &str| {
        let value = step.as_object_mut().and_then(|step| step.remove(key));
        value.as_ref().and_then(Value::as_str).map(str::to_owned)
    };
    let kind = taken("kind").unwrap_or_default();
    let effect = taken("effect").unwrap_or_default();
    let mark = taken("mark").unwrap_or_default();
    let reboots = step.get("action").is_some_and(|action| action == "reboot");
    let effect = match effect.as_str() {
        "exists" => format!("exists ({mark})"),
        "looked_for" => format!("looked_for by {mark}"),
        "bought" => format!("bought unless found by {mark}"),
        // The others happen once more, each time.
        "changed" if kind != "hivelocity.reload_device" && !reboots => {
            "changed unless it is so already".to_owned()
        }
        other => other.to_owned(),
    };
    format!("{kind:<27} {effect:<44} {step}")
}

async fn delivery_of(api: &Api, run: RunId) -> Result<DeliveryId, Failure> {
    let run = api.get(&format!("/runs/{run}"), &[]).await?;
    let id = run
        .get("delivery_id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Ok(id.parse::<DeliveryId>()?)
}

fn named(text: &str) -> Result<Wanted, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(Wanted::Delivery(id));
    }
    if let Ok(id) = text.parse() {
        return Ok(Wanted::Run(id));
    }
    Err(Failure::Failed(anyhow::anyhow!(
        "{text}: there is no such delivery (dlv_…) or run (run_…)"
    )))
}

/// One JSON document, or one id or JSON object a line.
fn in_file(text: &str) -> Result<Vec<Wanted>, Failure> {
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        return in_json(value);
    }
    let mut wanted = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let found = match serde_json::from_str::<Value>(line) {
            Ok(value) => in_json(value),
            Err(_) => named(line).map(|one| vec![one]),
        };
        wanted.extend(found.map_err(|failure| match failure {
            Failure::Usage(what) => Failure::Usage(format!("line {number}: {what}")),
            failed @ Failure::Failed(_) => failed,
        })?);
    }
    Ok(wanted)
}

fn in_json(value: Value) -> Result<Vec<Wanted>, Failure> {
    match value {
        Value::Array(values) => {
            let all = values
                .into_iter()
                .map(in_json)
                .collect::<Result<Vec<_>, _>>()?;
            Ok(all.into_iter().flatten().collect())
        }
        Value::String(id) => Ok(vec![named(&id)?]),
        Value::Object(mut object) => {
            if let Some(items) = object.remove("items") {
                return in_json(items);
            }
            for key in ["delivery_id", "id"] {
                if let Some(Ok(one)) = object.get(key).and_then(Value::as_str).map(named) {
                    return Ok(vec![one]);
                }
            }
            if object.contains_key("type") {
                return Ok(vec![Wanted::Event(Value::Object(object))]);
            }
            Err(Failure::Usage(
                "an object without a delivery's id and without an event's type".to_owned(),
            ))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Err(Failure::Usage(
            "neither an id nor a delivery nor an event".to_owned(),
        )),
    }
}
