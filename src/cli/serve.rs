//! `billhook serve`: the service, until SIGTERM or Ctrl-C.

use std::error::Error as _;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::app::{Application, Options, SystemEntropy, with_sandbox};
use crate::domain::entropy::Entropy as _;
use crate::sandbox::SandboxOptions;

use super::store_place::SUPPLIERS;
use super::{ConfigFile, Done, Failure};

/// What `--help` ends with.
const TRIGGERS: &str = "With --sandbox a server's location says what becomes of its order: NOSTOCK is refused, CANCELLED is
cancelled at its verification, VERIFICATION waits for it, SPLIT becomes two orders, FAILED cannot be
provisioned; anywhere else all goes well. E.g. billhook send order.paid … --option Location=NOSTOCK";

#[derive(Debug, Args)]
#[command(after_help = TRIGGERS)]
pub(crate) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    /// Stand-ins for both suppliers in this process, and a store of its own beside the configured one
    #[arg(long)]
    sandbox: bool,
    /// How often the stand-ins misbehave, 0 to 1
    #[arg(long, requires = "sandbox", default_value_t = 0.0, value_name = "SHARE", value_parser = share)]
    sandbox_faults: f64,
    /// How long the stand-ins build a server, e.g. 2s
    #[arg(long, requires = "sandbox", default_value = "2s", value_name = "TIME", value_parser = time)]
    sandbox_build_time: Duration,
    /// Log as JSON lines
    #[arg(long)]
    log_json: bool,
}

pub(crate) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a number from 0 to 1".to_owned()),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    crate::config::duration(text).ok_or_else(|| "a time such as 500ms, 2s or 5m".to_owned())
}

impl Serve {
    pub(crate) async fn run(self) -> Done {
        start_log(self.log_json);
        let (config, sandbox) = if self.sandbox {
            let (mut config, folder) = self.config.load_trial()?;
            let sandbox = with_sandbox(&mut config, self.suppliers(&folder)).await?;
            (config, Some(sandbox))
        } else {
            (self.config.load(false).map_err(or_try)?, None)
        };
        let application = Application::build(config, Options::default()).await?;
        tracing::info!(address = %application.address(), "billhook listens");
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let trouble = application
            .run_until(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            })
            .await;
        if let Some(sandbox) = sandbox {
            sandbox.stop().await;
        }
        match trouble {
            None => tracing::info!("billhook has stopped; nothing is lost"),
            Some(trouble) => tracing::error!("billhook has stopped, and {trouble}"),
        }
        Ok(())
    }
}

/// Whoever only wants to see it needs no suppliers.
fn or_try(failure: Failure) -> Failure {
    match failure {
        Failure::Usage(lacks) if lacks.contains("is missing") => Failure::Usage(format!(
            "{lacks}\nTo try it without suppliers: billhook serve --sandbox"
        )),
        failure => failure,
    }
}

impl Serve {
    /// Stand-ins that are kept with the trial's store.
    fn suppliers(&self, folder: &Path) -> SandboxOptions {
        SandboxOptions {
            faults: self.sandbox_faults,
            build_time: self.sandbox_build_time,
            seed: SystemEntropy.next(),
            kept_in: Some(folder.join(SUPPLIERS)),
            ..SandboxOptions::default()
        }
    }
}

/// How much is logged unless `RUST_LOG` says otherwise.
const USUAL_LOG: &str = "info,actix_server=warn";
/// What the HTTP library says of requests that are none: errors, to it. Strangers write those, and
/// nobody could be called for an ERROR any more.
const STRANGERS_OFF: &str = "actix_http=off";

/// Logs to standard error; `RUST_LOG` says how much.
fn start_log(json: bool) {
    let (filter, misread) = match EnvFilter::try_from_default_env() {
        Ok(filter) => (filter, None),
        Err(error) => {
            let absent = error
                .source()
                .is_some_and(<dyn std::error::Error>::is::<std::env::VarError>);
            let misread = (!absent).then(|| error.to_string());
            (EnvFilter::new(USUAL_LOG), misread)
        }
    };
    let filter = match STRANGERS_OFF.parse() {
        Ok(off) if !filter.to_string().contains("actix_http") => filter.add_directive(off),
        Ok(_) | Err(_) => filter,
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if json {
        log.json().init();
    } else {
        log.init();
    }
    if let Some(error) = misread {
        tracing::warn!(error, "RUST_LOG cannot be read; logging is as usual");
    }
}
