//! Each part's small struct, made from the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::{self, Config};
use crate::domain::entropy::Entropy;
use crate::domain::id::IdSource;
use crate::domain::mode::Mode;
use crate::domain::sharing::{self, Agreement};
use crate::domain::time::Clock;
use crate::domain::vault::Vault;
use crate::execute::{Engine, Noted, Pauses};
use crate::plan::{RetryRules, Rules};
use crate::receive::{Installation, Receiver, Source};
use crate::report::Reports;
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::store::Store;
use crate::upstream::{
    BreakerRules, Carrier, HivelocitySettings, Hours, OneHSettings, OwnHours, OwnPace, Pace,
    ReportKind, ReportSettings, UpstreamSettings, Upstreams,
};
use crate::verify::Keys;
use crate::web::Web;

use super::pace::{SharedPace, StoreHours};
use super::steady::SteadyClock;
use super::{AppError, SystemClock, SystemEntropy};

/// A supplier that does not answer is asked again at least this often.
const LONGEST_COOL_DOWN: Duration = Duration::from_mins(1);

/// How many cores there are to serve with.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Starts the stand-ins and points the configuration at them.
pub async fn with_sandbox(
    config: &mut Config,
    options: SandboxOptions,
) -> Result<Sandbox, AppError> {
    config.hivelocity.api_key = crate::domain::secret::Secret::new(&options.hivelocity_api_key);
    config.one_h.auth_code = crate::domain::secret::Secret::new(&options.one_h_auth_code);
    config.one_h.api_key = crate::domain::secret::Secret::new(&options.one_h_api_key);
    let sandbox = Sandbox::start(options).await?;
    config.sandbox = true;
    config.hivelocity.base_url = sandbox.hivelocity_url();
    config.one_h.base_url = sandbox.one_h_url();
    if config.hivelocity.owner_email.is_empty() {
        "owner@sandbox.example".clone_into(&mut config.hivelocity.owner_email);
    }
    hurry(config);
    Ok(sandbox)
}

/// The stand-ins do in seconds what takes the suppliers hours, and take any number of requests:
/// nobody need wait longer for them. The window after an unclear create is still longer than the
/// stand-ins are ever late.
fn hurry(config: &mut Config) {
    let (hivelocity, one_h, retry) = (&mut config.hivelocity, &mut config.one_h, &mut config.retry);
    hivelocity.poll_interval = hivelocity.poll_interval.min(Duration::from_millis(400));
    hivelocity.absent_after = hivelocity.absent_after.min(Duration::from_secs(6));
    hivelocity.requests_per_second = hivelocity.requests_per_second.max(200);
    one_h.requests_per_second = one_h.requests_per_second.max(200);
    retry.initial = retry.initial.min(Duration::from_millis(100));
    retry.max = retry.max.min(Duration::from_secs(2));
}

/// What the service has around itself: the time, chance, and the way to the suppliers.
#[derive(Clone)]
pub struct Surroundings {
    /// The present moment.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// How requests travel.
    pub carrier: Carrier,
}

impl Surroundings {
    /// The real ones.
    pub fn real() -> Self {
        Self {
            clock: Arc::new(SteadyClock::new(Arc::new(SystemClock))),
            entropy: Arc::new(SystemEntropy),
            carrier: Carrier::Network,
        }
    }
}

/// The suppliers' and platforms' clients.
pub fn upstreams(config: &Config) -> Result<Upstreams, AppError> {
    upstreams_by(config, None, Carrier::Network)
}

fn upstreams_by(
    config: &Config,
    store: Option<&Store>,
    carrier: Carrier,
) -> Result<Upstreams, AppError> {
    let hivelocity = &config.hivelocity;
    let one_h = &config.one_h;
    let reports = config.sources.iter().filter_map(|(name, source)| {
        let report = source.report.as_ref()?;
        let kind = match report.kind {
            config::ReportKind::WhmcsApi => ReportKind::WhmcsApi,
            config::ReportKind::Webhook => ReportKind::Webhook,
        };
        let settings = ReportSettings {
            kind,
            url: report.url.clone(),
            identifier: report.identifier.clone(),
            secret: report.secret.clone(),
        };
        Some((name.clone(), settings))
    });
    // Processes that share a store share the accounts with the suppliers, too.
    let pace: Arc<dyn Pace> = match store.filter(|store| store.is_shared()) {
        Some(store) => Arc::new(SharedPace::new(store.clone())),
        None => Arc::new(OwnPace::default()),
    };
    let hours: Arc<dyn Hours> = match store {
        Some(store) => Arc::new(StoreHours(store.clone())),
        None => Arc::new(OwnHours::default()),
    };
    let settings = UpstreamSettings {
        hivelocity: HivelocitySettings {
            base_url: hivelocity.base_url.clone(),
            api_key: hivelocity.api_key.clone(),
            multi: hivelocity.account_model == crate::catalogue::AccountModel::Multi,
            act_as_token: hivelocity.act_as == crate::catalogue::ActAs::Token,
            order_groups: hivelocity.order_with == crate::catalogue::OrderWith::OrderGroup,
            poll_interval: hivelocity.poll_interval,
            requests_per_second: hivelocity.requests_per_second,
            requests_per_hour: hivelocity.requests_per_hour,
            timeout: hivelocity.timeout,
            breaker: breaker(config, hivelocity.breaker_after),
        },
        one_h: OneHSettings {
            base_url: one_h.base_url.clone(),
            auth_code: one_h.auth_code.clone(),
            api_key: one_h.api_key.clone(),
            requests_per_second: one_h.requests_per_second,
            timeout: one_h.timeout,
            breaker: breaker(config, one_h.breaker_after),
        },
        reports: reports.collect(),
        step_timeout: config.execution.step_timeout,
        carrier,
    };
    Ok(Upstreams::counted(settings, &pace, &hours)?)
}

/// A supplier that does not answer is asked again after a few of the first retry's delays, then
/// ever more rarely.
fn breaker(config: &Config, after: u32) -> BreakerRules {
    let longest = config.retry.max.min(LONGEST_COOL_DOWN);
    BreakerRules {
        after,
        first: config.retry.initial.saturating_mul(5).min(longest),
        longest,
    }
}

fn rules(config: &Config) -> Rules {
    Rules {
        account_model: config.hivelocity.account_model,
        owner_email: config.hivelocity.owner_email.clone(),
        create_client_on: config.hivelocity.create_client_on,
        sub_user_per: config.one_h.sub_user_per,
        username_prefix: config.one_h.username_prefix.clone(),
        deactivate_client: config.policy.deactivate_client,
        protected_services: config.policy.protected_services.clone(),
        reports: config
            .sources
            .iter()
            .filter(|(_, source)| source.report.is_some())
            .map(|(name, _)| name.clone())
            .collect(),
    }
}

/// What carries runs out.
pub fn engine(
    config: &Config,
    store: Store,
    stopping: CancellationToken,
) -> Result<Engine, AppError> {
    engine_in(config, store, stopping, Surroundings::real())
}

/// The same in surroundings that are handed in.
pub fn engine_in(
    config: &Config,
    store: Store,
    stopping: CancellationToken,
    surroundings: Surroundings,
) -> Result<Engine, AppError> {
    Ok(Engine {
        upstreams: upstreams_by(config, Some(&store), surroundings.carrier)?,
        catalogue: Arc::new(config.catalogue.clone()),
        rules: rules(config),
        retry: RetryRules {
            initial: config.retry.initial,
            max: config.retry.max,
            max_attempts: config.retry.max_attempts,
            poll_interval: config.hivelocity.poll_interval,
            absent_after: config.hivelocity.absent_after,
        },
        lease: config.execution.lease,
        alerts: config.alerts.is_some(),
        require_approval: config.policy.require_approval.iter().cloned().collect(),
        mode: mode(config),
        vault: Vault::new(config.admin.encryption_key),
        // Processes that share a database must agree on the time: there it is the database's.
        clock: match store.clock() {
            Some(database) => Arc::new(SteadyClock::new(database)),
            None => surroundings.clock,
        },
        store,
        entropy: surroundings.entropy,
        stopping,
        pauses: Pauses::default(),
        noted: Noted::default(),
    })
}

/// How much of what is planned becomes true.
pub(super) const fn mode(config: &Config) -> Mode {
    Mode {
        sandbox: config.sandbox,
        dry_run: config.policy.dry_run,
    }
}

/// What every process that serves the same store must be told alike. Left out is what a change that
/// is rolled out brings to one after the other: the catalogue, sources, paces, and the suppliers'
/// keys, which are changed while both are taken.
pub(super) fn agreement(config: &Config, vault: &Vault) -> Agreement {
    let (hivelocity, one_h) = (&config.hivelocity, &config.one_h);
    Agreement::default()
        .on("policy.dry_run", config.policy.dry_run.to_string())
        .on("hivelocity.base_url", address(&hivelocity.base_url))
        .on("one_h.base_url", address(&one_h.base_url))
        .on("hivelocity.account_model", name(hivelocity.account_model))
        .on("hivelocity.act_as", name(hivelocity.act_as))
        .on("hivelocity.order_with", name(hivelocity.order_with))
        .on(
            "hivelocity.absent_after",
            format!("{:?}", hivelocity.absent_after),
        )
        .on("one_h.sub_user_per", name(one_h.sub_user_per))
        .on("one_h.username_prefix", &one_h.username_prefix)
        .on(sharing::KEY, vault.fingerprint())
}

/// A choice as it is written in the settings, near enough to be recognised.
fn name(choice: impl std::fmt::Debug) -> String {
    format!("{choice:?}").to_lowercase()
}

/// An address without what may be a password in it.
fn address(url: &str) -> String {
    match url.split_once("://").zip(url.rsplit_once('@')) {
        Some(((scheme, _), (_, place))) => format!("{scheme}://{place}"),
        None => url.to_owned(),
    }
}

/// What tells the billing platforms what became of services.
pub fn reports(engine: &Engine) -> Reports {
    Reports::new(
        engine.store.clone(),
        engine.upstreams.billing(),
        Arc::clone(&engine.clock),
        Arc::clone(&engine.entropy),
        engine.alerts,
    )
}

/// Who may send.
pub fn sources(config: &Config) -> Result<BTreeMap<String, Source>, AppError> {
    let mut sources = BTreeMap::new();
    for (name, settings) in &config.sources {
        let keys = Keys::parse(&settings.secrets).map_err(|error| AppError::Source {
            source_name: name.clone(),
            error,
        })?;
        let source = Source {
            name: Arc::from(name.as_str()),
            keys,
            tolerance: settings.tolerance,
            allow_ips: settings.allow_ips.clone(),
            installation: Installation::configured(&settings.installation),
        };
        sources.insert(name.clone(), source);
    }
    Ok(sources)
}

/// What the routes need.
pub(super) fn web(
    config: &Config,
    engine: &Arc<Engine>,
    reports: &Arc<Reports>,
    ids: IdSource,
    stopping: &CancellationToken,
) -> Result<Web, AppError> {
    let receiver = Receiver::new(
        sources(config)?,
        Arc::clone(&engine.catalogue),
        engine.store.clone(),
        Arc::new(ids),
        // Senders sign by the wall clock, however it was set.
        engine
            .store
            .clock()
            .unwrap_or_else(|| Arc::new(SystemClock)),
    )
    .planning_only(engine.mode.dry_run);
    Ok(Web::new(
        receiver,
        Arc::clone(engine),
        Arc::clone(reports),
        config.server.body_limit,
        &config.admin.token,
        stopping.clone(),
    ))
}
