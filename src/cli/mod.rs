//! The command line: arguments, and which function does what. Exit status 0 done, 1 failed,
//! 2 usage.

mod api;
mod cast;
mod demo;
mod filters;
mod list;
mod mv;
mod rebuild;
mod replay;
mod reports;
mod send;
mod serve;
mod setup;
mod step_in;
mod store_place;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config};

/// Signed billing webhooks in; servers at Hivelocity and licences at 1H out, once.
#[derive(Debug, Parser)]
#[command(name = "billhook", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch it work: stand-ins for both suppliers, a few customers' lives, every step shown
    Demo(demo::Demo),
    /// Write a configuration with fresh secrets
    Init(setup::Init),
    /// The service
    Serve(serve::Serve),
    /// Verify the configuration and every template
    Check(setup::Check),
    /// Sign an event and post it to a running server
    Send(send::Send),
    /// Show what an event would do; send nothing
    Plan(setup::PlanEvent),
    /// Carry out kept deliveries again
    Replay(replay::Replay),
    /// Look at deliveries
    Deliveries(list::Deliveries),
    /// Look at runs and step in
    Runs(list::Runs),
    /// Look at services
    Services(list::Services),
    /// Look at customers
    Customers(list::Customers),
    /// Look at what the billing platforms are told, and send it now
    Reports(reports::Reports),
    /// Bring the store's tables up to date
    Migrate(setup::Migrate),
    /// Write a copy of the store to a new file, while it is served
    Backup(setup::Backup),
}

/// Where the configuration is.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConfigFile {
    /// Configuration file [default: ./billhook.toml where it is there]
    #[arg(long, short, env = "BILLHOOK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// How a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command was right, but it did not work: status 1.
    Failed(anyhow::Error),
    /// Wrong words or a wrong configuration: status 2.
    Usage(String),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

pub(crate) type Done = Result<(), Failure>;

/// Reads the arguments, does what they say, answers the exit status.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(wrong) => {
            // A failed write of help or of a complaint leaves nothing better to do.
            let _ = wrong.print();
            return ExitCode::from(u8::try_from(wrong.exit_code()).unwrap_or(2));
        }
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            complain(&message);
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Done {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match command {
            Command::Demo(demo) => demo.run().await,
            Command::Init(init) => init.run(),
            Command::Serve(serve) => serve.run().await,
            Command::Check(check) => check.run().await,
            Command::Send(send) => send.run().await,
            Command::Plan(plan) => plan.run().await,
            Command::Replay(replay) => replay.run().await,
            Command::Deliveries(deliveries) => deliveries.run().await,
            Command::Runs(runs) => runs.run().await,
            Command::Services(services) => services.run().await,
            Command::Customers(customers) => customers.run().await,
            Command::Reports(reports) => reports.run().await,
            Command::Backup(backup) => backup.run().await,
            Command::Migrate(migrate) => migrate.run().await,
        }
    })
}

#[expect(clippy::print_stderr, reason = "complaints go to standard error")]
fn complain(message: &str) {
    eprintln!("billhook: {message}");
}

/// Prints a line of the command's result. A reader that went away (`| head`) is no error.
pub(crate) fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

impl ConfigFile {
    /// The file that is read: the one given, else `billhook.toml` here, else none.
    fn path(&self) -> Option<PathBuf> {
        let here = PathBuf::from("billhook.toml");
        self.config
            .clone()
            .or_else(|| here.exists().then_some(here))
    }

    /// The configuration, checked.
    pub(crate) fn load(&self, sandbox: bool) -> Result<Config, Failure> {
        self.read(sandbox, "")
    }

    /// The same for a trial in the sandbox, and the folder of that trial.
    pub(crate) fn load_trial(&self) -> Result<(Config, PathBuf), Failure> {
        let mut config = self.load(true)?;
        let folder = store_place::try_out(&mut config, self.path().as_deref())?;
        Ok((config, folder))
    }

    /// The same for a command that can do without; `or` says with what.
    pub(crate) fn load_unless_missing(&self, or: &str) -> Result<Config, Failure> {
        self.read(true, or)
    }

    /// Without a file the environment alone may do; where it has no settings either, what is
    /// missing is the file and not each of its keys.
    fn read(&self, sandbox: bool, or: &str) -> Result<Config, Failure> {
        let (path, environment) = (self.path(), config::process_environment());
        let missing = format!(
            "there is no billhook.toml here; use --config FILE or BILLHOOK_CONFIG, make one with \
             `billhook init`{or}"
        );
        if path.is_none() && !config::has_settings(&environment) {
            return Err(Failure::Usage(missing));
        }
        let mut config = config::load(path.as_deref(), environment, sandbox).map_err(|wrong| {
            Failure::Usage(match path {
                Some(_) => wrong.to_string(),
                None => format!("{missing}; the environment alone lacks:\n{wrong}"),
            })
        })?;
        store_place::settle(&mut config, path.as_deref())?;
        Ok(config)
    }
}
