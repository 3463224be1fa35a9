//! `billhook services rebuild`: a service whose order is dead is ordered afresh.

use clap::Args;
use serde_json::json;

use super::api::Server;
use super::{Done, say};

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
        let path = format!("/services/{}/{}/rebuild", self.source, self.id);
        let body = json!({"reason": self.reason, "dry_run": self.dry_run});
        let answer = self.server.api()?.post(&path, &body).await?;
        say(&if self.json {
            answer.to_string()
        } else {
            serde_json::to_string_pretty(&answer)?
        });
        Ok(())
    }
}
