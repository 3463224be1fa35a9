//! `billhook services rebuild`: a service whose order is dead is ordered afresh.

use clap::Args;
use serde_json::json;

use super::Done;
use super::api::{self, Server};
use super::list::print;

#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    /// The source's name
    source: String,
    /// The billing platform's service id
    id: String,
    /// Why, for the log
    #[arg(long)]
    reason: String,
    /// Show the plan; order nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON on one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Rebuild {
    pub(crate) async fn run(self) -> Done {
        let path = api::path(&["services", &self.source, &self.id, "rebuild"]);
        let body = json!({"reason": self.reason, "dry_run": self.dry_run});
        let answer = self.server.api()?.post(&path, &body).await?;
        print(&answer, self.json)
    }
}
