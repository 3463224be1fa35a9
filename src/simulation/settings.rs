//! The settings of every simulation, read once; a seed changes a few of them. IO: one file.

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use crate::config::{self, Config};
use crate::sandbox::{GroupsNameDevices, OrdersShow, SandboxOptions, Suppliers};

/// How long a process may stand still before others take its runs; nobody extends leases here.
pub(super) const LEASE: Duration = Duration::from_hours(2);
/// The source that sends.
pub(super) const SOURCE: &str = "whmcs";

/// So many requests, in a window of this length, are allowed in one seed of four.
const SCARCE: u32 = 40;
const SCARCE_WINDOW: Duration = Duration::from_mins(10);

const FILE: &str = r#"
[admin]
token = "an-admin-token-that-is-long-enough"
encryption_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
[execution]
lease = "2h"
[hivelocity]
api_key = "sandbox-hivelocity-key"
owner_email = "ops@reseller.example"
requests_per_second = 1000000
requests_per_hour = 1000000000
[one_h]
auth_code = "sandbox-1h-code"
api_key = "sandbox-1h-key"
requests_per_second = 1000000
[sources.whmcs]
platform = "whmcs"
secrets = ["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]
[sources.whmcs.report]
kind = "webhook"
url = "http://billing.example/report"
secret = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="

# A server, a licence that goes dark with its sub-user, and a portal.
[[products]]
id = "42"
[products.hivelocity]
product_id = 584
location = "{{ options['Location'] }}"
os = "Ubuntu 22.04"
[products.one_h]
licenses = ["Hive"]
portal_domain = "panel.{{ service.hostname }}"

# The same server with other licences, dark without them and without a route.
[[products]]
id = "43"
[products.hivelocity]
product_id = 584
location = "{{ options['Location'] }}"
os = "Ubuntu 22.04"
on_suspend = "shutdown_and_null_route"
[products.one_h]
licenses = ["Hawk", "Guardian"]
portal_domain = "other.{{ service.hostname }}"
on_suspend = "remove_license"

# A licence alone.
[[products]]
id = "44"
[products.one_h]
licenses = ["Hive"]
on_suspend = "remove_license"
"#;

/// The settings, their own copy.
pub(super) fn settings() -> Config {
    static READ: OnceLock<Config> = OnceLock::new();
    READ.get_or_init(|| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(FILE.as_bytes()).unwrap();
        let mut config = config::load(Some(file.path()), [], false).unwrap();
        config.hivelocity.base_url = Suppliers::hivelocity_url();
        config.one_h.base_url = Suppliers::one_h_url();
        config
    })
    .clone()
}

/// A build that is over before an order without a trace counts as lost, and one that is not.
const QUICK: Duration = Duration::from_secs(45);
const SLOW: Duration = Duration::from_mins(25);
/// How long people take to verify an order.
const VERIFICATION: Duration = Duration::from_hours(5);

/// Suppliers of which no evidence may be counted on alone: there may be no order groups, they may
/// name their devices late or never, and orders may be in no list before they are over. At least
/// one of them shows an order while it is being built.
pub(super) fn suppliers(seed: u64) -> SandboxOptions {
    let order_groups = !seed.is_multiple_of(5);
    let groups_name_devices = match seed % 3 {
        0 => GroupsNameDevices::AtOnce,
        1 => GroupsNameDevices::WhenBuilt,
        _ => GroupsNameDevices::Never,
    };
    let only_groups_show = order_groups && seed.is_multiple_of(3) && seed % 7 < 4;
    let scarce = seed.is_multiple_of(4);
    SandboxOptions {
        build_time: if seed % 8 < 5 { QUICK } else { SLOW },
        power_time: Duration::from_secs(2),
        power_lag: if seed.is_multiple_of(2) {
            Duration::ZERO
        } else {
            Duration::from_secs(8)
        },
        network_time: Duration::from_secs(10),
        verification_time: Some(VERIFICATION),
        order_groups,
        groups_name_devices,
        orders_show: if only_groups_show {
            OrdersShow::WhenOver
        } else {
            OrdersShow::AtOnce
        },
        requests_per_hour: Some(if scarce { SCARCE } else { 3_600 }),
        rate_window: if scarce {
            SCARCE_WINDOW
        } else {
            Duration::from_hours(1)
        },
        seed,
        ..SandboxOptions::default()
    }
}
