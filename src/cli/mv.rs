//! `billhook services move`: a service becomes another customer's.

use clap::Args;
use serde_json::json;

use super::Done;
use super::api::{self, Server};
use super::list::print;

#[derive(Debug, Args)]
pub(crate) struct Move {
    /// The source's name
    source: String,
    /// The billing platform's service id
    id: String,
    /// The billing platform's id of the customer whose it is from now on
    #[arg(long, value_name = "ID")]
    customer: String,
    /// Why, for the log and the delivery
    #[arg(long)]
    reason: String,
    /// The customer's e-mail address [default: as it is known]
    #[arg(long)]
    email: Option<String>,
    /// The customer's name [default: as it is known]
    #[arg(long)]
    name: Option<String>,
    /// The customer's company [default: as it is known]
    #[arg(long)]
    company: Option<String>,
    /// Leave the device in the controlled client that it was ordered in
    #[arg(long)]
    keeps_device: bool,
    /// Show the plan; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON on one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Move {
    pub(crate) async fn run(self) -> Done {
        let path = api::path(&["services", &self.source, &self.id, "move"]);
        let body = json!({
            "customer_id": self.customer,
            "reason": self.reason,
            "email": self.email,
            "name": self.name,
            "company": self.company,
            "keeps_device": self.keeps_device,
            "dry_run": self.dry_run,
        });
        let answer = self.server.api()?.post(&path, &body).await?;
        print(&answer, self.json)
    }
}
