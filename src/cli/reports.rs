//! `billhook reports`: what the billing platforms are told, and whether they have heard it.

use clap::{Args, Subcommand};
use serde_json::json;

use super::Done;
use super::api::{self, Server};
use super::filters::ReportFilters;
use super::list::{List, print};
use super::table::{Column, field};

const REPORTS: &[Column] = &[
    ("ID", |row| field(row, "id")),
    ("SOURCE", |row| field(row, "source")),
    ("SERVICE", |row| field(row, "service_id")),
    ("TYPE", |row| field(row, "type")),
    ("STATUS", |row| field(row, "status")),
    ("SEQ", |row| field(row, "seq")),
    ("ATTEMPTS", |row| field(row, "attempts")),
    ("NEXT ATTEMPT", |row| field(row, "next_attempt_at")),
    ("ERROR", |row| field(row, "error")),
];

#[derive(Debug, Args)]
pub(crate) struct Reports {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The latest state of each service, and whether it was heard
    List(List<ReportFilters>),
    /// One, with what is told
    Show(One),
    /// Send one now, also one that was heard
    Retry(One),
}

#[derive(Debug, Args)]
struct One {
    /// Its id
    id: String,
    /// Print JSON on one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Reports {
    pub(crate) async fn run(self) -> Done {
        match self.what {
            What::List(list) => list.run("/reports", REPORTS).await,
            What::Show(one) => {
                let path = api::path(&["reports", &one.id]);
                let shown = one.server.api()?.get(&path, &[]).await?;
                print(&shown, one.json)
            }
            What::Retry(one) => {
                let path = api::path(&["reports", &one.id, "retry"]);
                let shown = one.server.api()?.post(&path, &json!({})).await?;
                print(&shown, one.json)
            }
        }
    }
}
