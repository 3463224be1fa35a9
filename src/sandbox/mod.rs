//! Stand-ins for both suppliers, real HTTP servers on a free port of this machine. They keep
//! state, take the time that builds and power actions take, refuse what the suppliers refuse, and
//! fail on demand. For the demo, `--sandbox` and tests; nothing here reaches the network.
//!
//! | file | what |
//! |---|---|
//! | `serve`, `wire` | threads, connections, HTTP |
//! | `in_process` | the same suppliers without any of that, in a time that is told |
//! | `world` | both suppliers and the fault plan behind one lock |
//! | `fault` | what goes wrong, by chance or by script |
//! | `hivelocity`, `fields` | who calls, which route, strict bodies |
//! | `account`, `bare_metal`, `orders`, `control`, `null_route`, `inventory` | the routes |
//! | `rate_limit` | how many requests it takes in an hour |
//! | `estate`, `device`, `order` | what Hivelocity holds |
//! | `one_h`, `registry` | 1H's calls, and what it holds |
//! | `journal` | what they were asked, in a file, for one that outlives its process |
//! | `snapshot`, `calendar` | what is held at a moment; dates |

mod account;
mod bare_metal;
mod calendar;
#[cfg(test)]
mod contract;
mod control;
mod device;
mod estate;
mod fault;
#[cfg(test)]
mod fault_tests;
mod fields;
mod hivelocity;
#[cfg(test)]
mod hivelocity_tests;
mod in_process;
mod inventory;
mod journal;
#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod manners_tests;
mod null_route;
mod one_h;
#[cfg(test)]
mod one_h_tests;
mod order;
#[cfg(test)]
mod order_tests;
mod orders;
mod rate_limit;
mod registry;
mod serve;
mod snapshot;
#[cfg(test)]
mod trial;
mod wire;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use fault::Fault;
pub use in_process::{Reply, Suppliers};
pub use snapshot::{
    ClientSnapshot, DeviceSnapshot, EffectCounts, LicenceSnapshot, OrderGroupSnapshot,
    OrderSnapshot, PortalSnapshot, SandboxSnapshot, SubUserSnapshot,
};
use world::World;

/// When Hivelocity shows an ordered device to its owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DevicesShow {
    /// Once its order is complete: until then it is in no list, and every route answers 404. So
    /// it is in truth.
    #[default]
    WhenComplete,
    /// The moment it is ordered.
    AtOnce,
}

/// When an order group names the devices that were ordered into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupsNameDevices {
    /// Once their order is complete.
    #[default]
    WhenBuilt,
    /// The moment they are ordered.
    AtOnce,
    /// Never.
    Never,
}

/// When an order is in the lists of orders, and to be read by its id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrdersShow {
    /// The moment it is placed.
    #[default]
    AtOnce,
    /// Once it is over.
    WhenOver,
}

/// How the stand-ins behave. Some facility codes make an order special: `NOSTOCK` is refused,
/// `CANCELLED` comes to nothing, `VERIFICATION` waits for [`Sandbox::verify_orders`], `SPLIT`
/// becomes two orders, `FAILED` brings a device that is never of use.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// From an order to its end; the device is up an eighth of it later, its addresses come after
    /// three quarters of it. A cancelled device is gone, and a reinstalled one is back, after
    /// half of it.
    pub build_time: Duration,
    /// For this long people hold back an order for `VERIFICATION`, unless somebody asks them to
    /// verify it; none: until somebody does.
    pub verification_time: Option<Duration>,
    /// When an ordered device can be seen.
    pub devices_show: DevicesShow,
    /// When an order can be seen.
    pub orders_show: OrdersShow,
    /// Whether there are order groups and batches; without, their routes answer 403.
    pub order_groups: bool,
    /// When an order group names its devices.
    pub groups_name_devices: GroupsNameDevices,
    /// After this long a change of the network has taken effect.
    pub network_time: Duration,
    /// How many requests Hivelocity takes in a window; none: any number, and no answer says how
    /// many are left.
    pub requests_per_hour: Option<u32>,
    /// How long that window lasts from its first request.
    pub rate_window: Duration,
    /// For this long the power is `PENDING` after an action.
    pub power_time: Duration,
    /// Before that, an accepted action does not show for this long, and the opposite one is refused
    /// as needless.
    pub power_lag: Duration,
    /// The chance of every request to meet a fault, 0 to 1; refusals with 400 and 403 never come
    /// by chance.
    pub faults: f64,
    /// Makes chance and minted keys repeatable.
    pub seed: u64,
    /// The primary account's key at Hivelocity.
    pub hivelocity_api_key: String,
    /// The account's code at 1H.
    pub one_h_auth_code: String,
    /// The account's key at 1H.
    pub one_h_api_key: String,
    /// Whether `GET token/` shows only the last four characters, as Hivelocity's description says.
    pub token_shows_last_four: bool,
    /// Threads that serve, at least one.
    pub workers: usize,
    /// The file in which they are kept beyond the end of the process; none: they are gone with it.
    pub kept_in: Option<PathBuf>,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            build_time: Duration::from_secs(2),
            verification_time: None,
            devices_show: DevicesShow::default(),
            orders_show: OrdersShow::default(),
            order_groups: true,
            groups_name_devices: GroupsNameDevices::default(),
            network_time: Duration::from_millis(200),
            requests_per_hour: Some(3_600),
            rate_window: Duration::from_hours(1),
            power_time: Duration::from_millis(300),
            power_lag: Duration::ZERO,
            faults: 0.0,
            seed: 0,
            hivelocity_api_key: "sandbox-hivelocity-key".to_owned(),
            one_h_auth_code: "sandbox-1h-code".to_owned(),
            one_h_api_key: "sandbox-1h-key".to_owned(),
            token_shows_last_four: true,
            workers: 1,
            kept_in: None,
        }
    }
}

impl SandboxOptions {
    /// Suppliers that take no time at all and any number of requests: for tests and for measuring
    /// everything but them.
    pub fn instant() -> Self {
        Self {
            build_time: Duration::ZERO,
            network_time: Duration::ZERO,
            power_time: Duration::ZERO,
            requests_per_hour: None,
            ..Self::default()
        }
    }
}

/// Why the stand-ins cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No local port could be had.
    #[error("the sandbox cannot listen on this machine")]
    Listen(#[source] io::Error),
    /// A serving thread could not be started.
    #[error("the sandbox cannot start a thread")]
    Thread(#[source] io::Error),
    /// Another process is at the same trial.
    #[error(
        "the trial in {} is under way in another process; stop that first",
        path.parent().unwrap_or(path).display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// What an earlier one was asked cannot be read or carried on.
    #[error(
        "the sandbox's suppliers are kept in {}: {what}; to begin another trial, delete the folder that it is in",
        path.display()
    )]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// Both suppliers, running. They stop with it; [`Sandbox::stop`] also waits until they have.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    world: Arc<World>,
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts both suppliers on a free port, on threads of their own.
    #[expect(
        clippy::unused_async,
        reason = "callers need not change when starting has to wait"
    )]
    pub async fn start(options: SandboxOptions) -> Result<Self, SandboxError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(SandboxError::Listen)?;
        listener
            .set_nonblocking(true)
            .map_err(SandboxError::Listen)?;
        let address = listener.local_addr().map_err(SandboxError::Listen)?;
        let world = Arc::new(World::new(&options)?);
        let mut sandbox = Self {
            address,
            world,
            stop: CancellationToken::new(),
            threads: vec![],
        };
        for _ in 0..options.workers.max(1) {
            let listener = listener.try_clone().map_err(SandboxError::Listen)?;
            let (world, stop) = (Arc::clone(&sandbox.world), sandbox.stop.clone());
            let thread = serve::spawn(listener, world, stop).map_err(SandboxError::Thread)?;
            sandbox.threads.push(thread);
        }
        Ok(sandbox)
    }

    /// The base address of Hivelocity's API, without a slash at its end.
    pub fn hivelocity_url(&self) -> String {
        format!("http://{}{}", self.address, world::HIVELOCITY_BASE)
    }

    /// The address of 1H's API.
    pub fn one_h_url(&self) -> String {
        format!("http://{}{}", self.address, world::ONE_H_PATH)
    }

    /// Everything both suppliers hold at this moment, and what took effect so far.
    pub fn snapshot(&self) -> SandboxSnapshot {
        self.world.snapshot()
    }

    /// People at Hivelocity let pass every order that stays in verification.
    pub fn verify_orders(&self) {
        self.world.verify_orders();
    }

    /// From now on every request has this chance of a fault.
    pub fn set_faults(&self, rate: f64) {
        self.world.set_faults(rate);
    }

    /// The next `times` requests that `matcher` names meet this fault, before chance has its say.
    ///
    /// A matcher is a method and a path below the API's base (`POST /bare-metal-devices/`,
    /// `POST /device/{id}/power`; braces stand for any segment, `*` for any method) or a command
    /// of 1H (`one_h add_license`, `one_h *`); `*` alone is every request.
    pub fn fail_next(&self, matcher: &str, fault: Fault, times: usize) {
        self.world.script_fault(matcher, fault, times);
    }

    /// From now on nothing goes wrong, neither by chance nor by script.
    pub fn clear_faults(&self) {
        self.world.clear_faults();
    }

    /// Stops both suppliers: open connections break, new ones are refused.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for thread in std::mem::take(&mut self.threads) {
            if tokio::task::spawn_blocking(move || thread.join())
                .await
                .is_err()
            {
                tracing::warn!("a thread of the sandbox ended badly");
            }
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
