//! `billhook deliveries`, `runs`, `services`, `customers`: what the admin API shows, in lines.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::api::Server;
use super::step_in::StepIn;
use super::{Done, say};

#[derive(Debug, Args)]
pub(crate) struct Deliveries {
    #[command(subcommand)]
    what: Look,
}

#[derive(Debug, Args)]
pub(crate) struct Services {
    #[command(subcommand)]
    what: OfServices,
}

#[derive(Debug, Args)]
pub(crate) struct Customers {
    #[command(subcommand)]
    what: LookByName,
}

#[derive(Debug, Args)]
pub(crate) struct Runs {
    #[command(subcommand)]
    what: LookAndAct,
}

#[derive(Debug, Subcommand)]
enum Look {
    /// The latest
    List(List),
    /// One, whole
    Show(Show),
}

#[derive(Debug, Subcommand)]
enum LookByName {
    /// The first 50 by source and id; limit=500 for more
    List(List),
    /// One, whole
    Show(Show),
}

#[derive(Debug, Subcommand)]
enum OfServices {
    /// The first 50 by source and id; limit=500 for more
    List(List),
    /// One, whole
    Show(Show),
    /// Order a service afresh whose order or device is known to be over
    Rebuild(super::rebuild::Rebuild),
    /// Hand a service over to another customer
    Move(super::mv::Move),
}

#[derive(Debug, Subcommand)]
enum LookAndAct {
    /// The latest
    List(List),
    /// One, whole
    Show(Show),
    /// Follow what happens
    Tail(List),
    /// Try paused or waiting runs again now
    Retry(StepIn),
    /// Allow what the policy holds back
    Approve(StepIn),
    /// End runs here; what was done stays done
    Cancel(StepIn),
}

#[derive(Debug, Args)]
struct List {
    /// A filter as the API takes it, e.g. status=paused, since=24h
    #[arg(value_name = "NAME=VALUE")]
    filters: Vec<String>,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
struct Show {
    /// Its id; for a service or customer SOURCE ID
    #[arg(required = true, num_args = 1..=2, value_name = "ID")]
    id: Vec<String>,
    /// Print JSON on one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Deliveries {
    pub(crate) async fn run(self) -> Done {
        let line = |row: &Value| {
            columns(
                row,
                &["received_at", "id", "source", "verdict", "type", "cause"],
            )
        };
        match self.what {
            Look::List(list) => list.run("/deliveries", line).await,
            Look::Show(show) => show.run("/deliveries").await,
        }
    }
}

impl Services {
    pub(crate) async fn run(self) -> Done {
        let line = |row: &Value| {
            columns(
                row,
                &[
                    "source",
                    "service_id",
                    "status",
                    "device_id",
                    "ip",
                    "hostname",
                ],
            )
        };
        match self.what {
            OfServices::List(list) => list.run("/services", line).await,
            OfServices::Show(show) => show.run("/services").await,
            OfServices::Rebuild(rebuild) => rebuild.run().await,
            OfServices::Move(handed) => handed.run().await,
        }
    }
}

impl Customers {
    pub(crate) async fn run(self) -> Done {
        let line = |row: &Value| {
            columns(
                row,
                &[
                    "source",
                    "customer_id",
                    "hivelocity_client_id",
                    "one_h_user",
                    "email",
                ],
            )
        };
        match self.what {
            LookByName::List(list) => list.run("/customers", line).await,
            LookByName::Show(show) => show.run("/customers").await,
        }
    }
}

fn run_line(row: &Value) -> String {
    columns(
        row,
        &[
            "updated_at",
            "id",
            "source",
            "service_id",
            "type",
            "status",
            "waiting_for",
            "error",
            "note",
        ],
    )
}

impl Runs {
    pub(crate) async fn run(self) -> Done {
        match self.what {
            LookAndAct::List(list) => list.run("/runs", run_line).await,
            LookAndAct::Show(show) => show.run("/runs").await,
            LookAndAct::Tail(list) => list.tail().await,
            LookAndAct::Retry(runs) => runs.run("retry").await,
            LookAndAct::Approve(runs) => runs.run("approve").await,
            LookAndAct::Cancel(runs) => runs.run("cancel").await,
        }
    }
}

impl List {
    fn query(&self) -> Result<Vec<(String, String)>, super::Failure> {
        let split = |filter: &String| match filter.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(super::Failure::Usage(format!("{filter}: write NAME=VALUE"))),
        };
        self.filters.iter().map(split).collect()
    }

    async fn run(self, path: &str, line: impl Fn(&Value) -> String) -> Done {
        let page = self.server.api()?.get(path, &self.query()?).await?;
        for row in page
            .get("items")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            say(&if self.json {
                row.to_string()
            } else {
                line(row)
            });
        }
        Ok(())
    }

    async fn tail(self) -> Done {
        let (api, query) = (self.server.api()?, self.query()?);
        let mut seen = std::collections::HashMap::new();
        loop {
            let page = api.get("/runs", &query).await?;
            let rows = page
                .get("items")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            for row in rows.iter().rev() {
                let key = |name: &str| row.get(name).map(Value::to_string).unwrap_or_default();
                let state = (key("status"), key("waiting_for"), key("error"));
                if seen.insert(key("id"), state.clone()).as_ref() != Some(&state) {
                    say(&if self.json {
                        row.to_string()
                    } else {
                        run_line(row)
                    });
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

impl Show {
    async fn run(self, path: &str) -> Done {
        let shown = self
            .server
            .api()?
            .get(&format!("{path}/{}", self.id.join("/")), &[])
            .await?;
        self.print(&shown)
    }

    fn print(&self, shown: &Value) -> Done {
        say(&if self.json {
            shown.to_string()
        } else {
            serde_json::to_string_pretty(shown)?
        });
        Ok(())
    }
}

fn columns(row: &Value, names: &[&str]) -> String {
    let text = |name: &&str| match row.get(*name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    names.iter().map(text).collect::<Vec<_>>().join("  ")
}
