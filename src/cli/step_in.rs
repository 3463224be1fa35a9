//! `billhook runs retry`, `approve`, `cancel`: what a person does to runs, one or many.

use clap::Args;
use serde_json::{Value, json};

use crate::domain::id::RunId;
use crate::domain::run::RunStatus;

use super::api::{Api, Server};
use super::filters::{Filters as _, RunFilters};
use super::{Done, Failure, say};

#[derive(Debug, Args)]
pub(crate) struct StepIn {
    /// Runs (run_…), any number; or filters instead, which mean paused runs unless --status is given
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    filters: RunFilters,
    /// Only show which runs that would be
    #[arg(long)]
    dry_run: bool,
    /// Why you do it; goes into the server's log
    #[arg(long, value_name = "TEXT")]
    reason_text: Option<String>,
    /// Print each run as JSON on one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl StepIn {
    /// Does `what` to each, one line a run; fails where one of them failed.
    pub(crate) async fn run(self, what: &str) -> Done {
        let filter = self.filters.pairs();
        match (self.ids.is_empty(), filter.is_empty()) {
            (true, true) => {
                return Err(Failure::Usage(
                    "say which runs: ids (run_…), or a filter (--status, --reason, --source, --since …)".to_owned(),
                ));
            }
            (false, false) => {
                return Err(Failure::Usage("give ids or a filter, not both".to_owned()));
            }
            (true, false) | (false, true) => {}
        }
        let api = self.server.api()?;
        let ids = if filter.is_empty() {
            self.named()?
        } else {
            self.found(&api, filter).await?
        };
        if ids.is_empty() {
            say(&format!("no run matches; nothing to {what}"));
        }
        let mut failed = 0;
        for id in &ids {
            failed += usize::from(!self.one(&api, *id, what).await);
        }
        if failed > 0 {
            return Err(Failure::Failed(anyhow::anyhow!(
                "{failed} of {}: could not {what}",
                ids.len()
            )));
        }
        Ok(())
    }

    /// The runs by their ids, each once, in the order given. All of them are looked at before
    /// anything is done, so that a slip of the pen does not do half of it.
    fn named(&self) -> Result<Vec<RunId>, Failure> {
        let mut ids = Vec::with_capacity(self.ids.len());
        for text in &self.ids {
            let id = text.parse::<RunId>().map_err(|_| {
                Failure::Failed(anyhow::anyhow!(
                    "{text}: is no run's id (run_…); nothing was done"
                ))
            })?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// The runs that the filter finds, oldest first.
    async fn found(
        &self,
        api: &Api,
        mut query: Vec<(String, String)>,
    ) -> Result<Vec<RunId>, Failure> {
        if self.filters.status.is_none() {
            query.push(("status".to_owned(), RunStatus::Paused.name().to_owned()));
        }
        let rows = api.all("/runs", &query).await?;
        let id = |row: &Value| row.get("id")?.as_str()?.parse().ok();
        Ok(rows.iter().rev().filter_map(id).collect())
    }

    /// One run; whether it worked.
    async fn one(&self, api: &Api, id: RunId, what: &str) -> bool {
        let done = if self.dry_run {
            api.get(&format!("/runs/{id}"), &[]).await
        } else {
            let body = self
                .reason_text
                .as_ref()
                .map_or_else(|| json!({}), |reason| json!({"reason": reason}));
            api.post(&format!("/runs/{id}/{what}"), &body).await
        };
        match done {
            Ok(run) if self.dry_run && !is_possible(&run, what) => {
                super::complain(&format!(
                    "{id}: would not {what} it: it is {}",
                    run.get("status").and_then(Value::as_str).unwrap_or("-")
                ));
                return false;
            }
            Ok(run) if self.json => say(&run.to_string()),
            Ok(run) => say(&self.line(&run, what)),
            Err(error) => {
                super::complain(&format!("{id}: {error:#}"));
                return false;
            }
        }
        true
    }

    fn line(&self, run: &Value, what: &str) -> String {
        let text = |key: &str| run.get(key).and_then(Value::as_str).unwrap_or("-");
        let would = if self.dry_run { "would " } else { "" };
        format!(
            "{}  {would}{what}  {}  {}  {}  {}  {}",
            text("id"),
            text("source"),
            text("service_id"),
            text("type"),
            text("status"),
            text("error"),
        )
    }
}

/// Whether a run is such that the server would do it, as far as it shows.
fn is_possible(run: &Value, what: &str) -> bool {
    let text = |key: &str| run.get(key).and_then(Value::as_str).unwrap_or_default();
    let status = text("status");
    match what {
        "approve" => status == "paused" && text("next").contains("runs approve"),
        "retry" => ["paused", "waiting"].contains(&status),
        _ => !["succeeded", "cancelled", "superseded"].contains(&status),
    }
}
