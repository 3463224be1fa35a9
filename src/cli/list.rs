//! `billhook deliveries`, `runs`, `services`, `customers`: what the admin API shows, in lines.

use std::collections::HashMap;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::api::{self, Api, Page, Refused, Server};
use super::filters::{
    CustomerFilters, DeliveryFilters, Filters, Pairs, RunFilters, ServiceFilters,
};
use super::step_in::StepIn;
use super::table::{Column, field, line, table};
use super::{Done, Failure, complain, say};

#[derive(Debug, Args)]
pub(crate) struct Deliveries {
    #[command(subcommand)]
    what: OfDeliveries,
}

#[derive(Debug, Args)]
pub(crate) struct Services {
    #[command(subcommand)]
    what: OfServices,
}

#[derive(Debug, Args)]
pub(crate) struct Customers {
    #[command(subcommand)]
    what: OfCustomers,
}

#[derive(Debug, Args)]
pub(crate) struct Runs {
    #[command(subcommand)]
    what: OfRuns,
}

#[derive(Debug, Subcommand)]
enum OfDeliveries {
    /// The latest 50, or --all
    List(List<DeliveryFilters>),
    /// One, whole
    Show(Show),
}

#[derive(Debug, Subcommand)]
enum OfCustomers {
    /// The first 50 by source and id, or --all
    List(List<CustomerFilters>),
    /// One, whole
    Show(ShowNamed),
}

#[derive(Debug, Subcommand)]
enum OfServices {
    /// The first 50 by source and id, or --all
    List(List<ServiceFilters>),
    /// One, whole
    Show(ShowNamed),
    /// Order a service afresh whose order or device is known to be over
    Rebuild(super::rebuild::Rebuild),
    /// Hand a service over to another customer
    Move(super::mv::Move),
}

#[derive(Debug, Subcommand)]
enum OfRuns {
    /// The latest 50, or --all
    List(List<RunFilters>),
    /// One, whole
    Show(Show),
    /// Follow what happens
    Tail(Tail),
    /// Try paused or waiting runs again now
    Retry(StepIn),
    /// Allow what the policy holds back
    Approve(StepIn),
    /// End runs here; what was done stays done
    Cancel(StepIn),
}

/// Asks for a list.
#[derive(Debug, Args)]
struct Asked<F: Filters> {
    #[command(flatten)]
    filters: F,
    /// The same filters as the API takes them, e.g. source=whmcs, limit=500
    #[arg(value_name = "NAME=VALUE")]
    pairs: Vec<String>,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
pub(super) struct List<F: Filters> {
    #[command(flatten)]
    asked: Asked<F>,
    /// All of them, however many
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
struct Tail {
    #[command(flatten)]
    asked: Asked<RunFilters>,
}

#[derive(Debug, Args)]
struct Show {
    /// Its id
    id: String,
    /// Print JSON on one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
struct ShowNamed {
    /// The source's name and the billing platform's id; SOURCE/ID will do
    #[arg(required = true, num_args = 1..=2, value_names = ["SOURCE", "ID"])]
    name: Vec<String>,
    /// Print JSON on one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

const DELIVERIES: &[Column] = &[
    ("RECEIVED", |row| field(row, "received_at")),
    ("ID", |row| field(row, "id")),
    ("SOURCE", |row| field(row, "source")),
    ("VERDICT", |row| field(row, "verdict")),
    ("TYPE", |row| field(row, "type")),
    ("CAUSE", |row| field(row, "cause")),
];

const SERVICES: &[Column] = &[
    ("SOURCE", |row| field(row, "source")),
    ("SERVICE", |row| field(row, "service_id")),
    ("STATUS", |row| field(row, "status")),
    ("DEVICE", |row| field(row, "device_id")),
    ("IP", |row| field(row, "ip")),
    ("HOST NAME", |row| field(row, "hostname")),
];

const CUSTOMERS: &[Column] = &[
    ("SOURCE", |row| field(row, "source")),
    ("CUSTOMER", |row| field(row, "customer_id")),
    ("CLIENT", |row| field(row, "hivelocity_client_id")),
    ("1H USER", |row| field(row, "one_h_user")),
    ("E-MAIL", |row| field(row, "email")),
];

const RUNS: &[Column] = &[
    ("UPDATED", |row| field(row, "updated_at")),
    ("ID", |row| field(row, "id")),
    ("SOURCE", |row| field(row, "source")),
    ("SERVICE", whose),
    ("TYPE", |row| field(row, "type")),
    ("STATUS", |row| field(row, "status")),
    ("STEP", step),
    ("WHY", why),
];

/// The service, or the customer as a whole.
fn whose(row: &Value) -> String {
    match row.get("service_id") {
        None | Some(Value::Null) => format!("customer {}", field(row, "customer_id")),
        Some(_) => field(row, "service_id"),
    }
}

/// Where a run stands that has not ended: the first step that is not over, and how often it was
/// tried.
fn step(row: &Value) -> String {
    let ended = ["succeeded", "cancelled", "superseded"];
    let steps = row.get("steps").and_then(Value::as_array);
    let over =
        |step: &&Value| ["succeeded", "skipped", "cancelled"].contains(&&*field(step, "status"));
    let next = steps.and_then(|steps| steps.iter().find(|step| !over(step)));
    match next.filter(|_| !ended.contains(&&*field(row, "status"))) {
        None => "-".to_owned(),
        Some(step) => {
            let attempts = step.get("attempts").and_then(Value::as_array);
            let attempts = attempts.map_or(0, Vec::len);
            format!("{}, attempt {}", field(step, "kind"), attempts.max(1))
        }
    }
}

/// Why it stands where it does: what it waits for, what went wrong, what is to be known.
fn why(row: &Value) -> String {
    let said = ["waiting_for", "error", "note"]
        .into_iter()
        // That a paused run waits for a person says its status.
        .filter(|name| *name != "waiting_for" || field(row, "status") != "paused")
        .filter_map(|name| row.get(name)?.as_str());
    let said: Vec<&str> = said.collect();
    if said.is_empty() {
        "-".to_owned()
    } else {
        said.join("; ")
    }
}

impl Deliveries {
    pub(crate) async fn run(self) -> Done {
        match self.what {
            OfDeliveries::List(list) => list.run("/deliveries", DELIVERIES).await,
            OfDeliveries::Show(show) => show.run("deliveries").await,
        }
    }
}

impl Services {
    pub(crate) async fn run(self) -> Done {
        match self.what {
            OfServices::List(list) => list.run("/services", SERVICES).await,
            OfServices::Show(show) => show.run("services").await,
            OfServices::Rebuild(rebuild) => rebuild.run().await,
            OfServices::Move(handed) => handed.run().await,
        }
    }
}

impl Customers {
    pub(crate) async fn run(self) -> Done {
        match self.what {
            OfCustomers::List(list) => list.run("/customers", CUSTOMERS).await,
            OfCustomers::Show(show) => show.run("customers").await,
        }
    }
}

impl Runs {
    pub(crate) async fn run(self) -> Done {
        match self.what {
            OfRuns::List(list) => list.run("/runs", RUNS).await,
            OfRuns::Show(show) => show.run("runs").await,
            OfRuns::Tail(tail) => tail.run().await,
            OfRuns::Retry(runs) => runs.run("retry").await,
            OfRuns::Approve(runs) => runs.run("approve").await,
            OfRuns::Cancel(runs) => runs.run("cancel").await,
        }
    }
}

impl<F: Filters> Asked<F> {
    fn query(&self) -> Result<Pairs, Failure> {
        let mut query = self.filters.pairs();
        for pair in &self.pairs {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| Failure::Usage(format!("{pair}: write NAME=VALUE")))?;
            query.push((name.to_owned(), value.to_owned()));
        }
        Ok(query)
    }
}

impl<F: Filters> List<F> {
    pub(super) async fn run(self, path: &str, columns: &[Column]) -> Done {
        let (api, query) = (self.asked.server.api()?, self.asked.query()?);
        if self.all {
            let rows = api.all(path, &query).await.map_err(as_usage)?;
            self.print(columns, &rows);
            return Ok(());
        }
        let page = api.page(path, &query).await.map_err(as_usage)?;
        self.print(columns, &page.items);
        if page.goes_on() {
            complain(&not_all(&page));
        }
        Ok(())
    }

    fn print(&self, columns: &[Column], rows: &[Value]) {
        if self.asked.json {
            for row in rows {
                say(&row.to_string());
            }
        } else {
            for line in table(columns, rows) {
                say(&line);
            }
        }
    }
}

/// A list that ends early says so.
fn not_all(page: &Page) -> String {
    let shown = page.items.len();
    match page.total {
        Some(total) => format!("{shown} of {total} shown; --all for all of them"),
        None => format!("{shown} shown, and there are more; --all for all of them"),
    }
}

/// A filter that the server does not take is a slip of whoever typed it, as one that this program
/// refuses itself.
fn as_usage(error: anyhow::Error) -> Failure {
    match error.downcast_ref::<Refused>() {
        Some(refused) if refused.status == 400 => Failure::Usage(refused.to_string()),
        _ => Failure::Failed(error),
    }
}

impl Tail {
    /// Follows until it is interrupted, also while the service restarts.
    async fn run(self) -> Done {
        let (api, query) = (self.asked.server.api()?, self.asked.query()?);
        let mut seen = HashMap::new();
        let mut rows = api.page("/runs", &query).await.map_err(as_usage)?.items;
        loop {
            for row in rows.iter().rev() {
                let state = ["status", "waiting_for", "error"].map(|name| field(row, name));
                if seen.insert(field(row, "id"), state.clone()).as_ref() != Some(&state) {
                    say(&if self.asked.json {
                        row.to_string()
                    } else {
                        line(RUNS, row)
                    });
                }
            }
            rows = next_look(&api, &query).await?;
        }
    }
}

async fn next_look(api: &Api, query: &Pairs) -> Result<Vec<Value>, Failure> {
    let mut is_away = false;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        match api.page("/runs", query).await {
            Ok(page) => return Ok(page.items),
            // It answered, and will not answer otherwise.
            Err(error) if error.is::<Refused>() => return Err(as_usage(error)),
            Err(error) => {
                if !is_away {
                    complain(&format!("{error:#}; trying again"));
                }
                is_away = true;
            }
        }
    }
}

impl Show {
    async fn run(self, list: &str) -> Done {
        let address = api::path(&[list, &self.id]);
        let shown = self.server.api()?.get(&address, &[]).await?;
        print(&shown, self.json)
    }
}

impl ShowNamed {
    async fn run(self, list: &str) -> Done {
        let (source, id) = match &*self.name {
            [source, id] => (source.as_str(), id.as_str()),
            [one] => one.split_once('/').ok_or_else(|| {
                Failure::Usage(format!(
                    "{one}: ids are a source's own; write SOURCE ID, e.g. {list} show whmcs {one}"
                ))
            })?,
            _ => return Err(Failure::Usage("write SOURCE ID".to_owned())),
        };
        let address = api::path(&[list, source, id]);
        let shown = self.server.api()?.get(&address, &[]).await?;
        print(&shown, self.json)
    }
}

/// One thing, whole.
pub(super) fn print(shown: &Value, on_one_line: bool) -> Done {
    say(&if on_one_line {
        shown.to_string()
    } else {
        serde_json::to_string_pretty(shown)?
    });
    Ok(())
}
