//! The settings of a test: one file for all, changed by pairs as the environment would. IO.

use std::path::Path;
use std::time::Duration;

use super::database;
use billhook::config::{self, Config};
use billhook::sandbox::{Sandbox, SandboxOptions};

/// The admin token of every test.
pub const TOKEN: &str = "an-admin-token-that-is-long-enough";
/// The source's newest secret, which signs.
pub const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// The source's older secret, which still verifies.
pub const OLD_SECRET: &str = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
/// The reseller's key at Hivelocity.
pub const HIVELOCITY_KEY: &str = "hv-primary-key-5f1c9a7e";
/// The reseller's code at 1H.
pub const ONE_H_CODE: &str = "1h-code-77ab";
/// The reseller's key at 1H.
pub const ONE_H_KEY: &str = "1h-key-c0ffee-99";
/// Longer than a request to a supplier may take in tests.
pub const TOO_LONG: Duration = Duration::from_secs(1);

const FILE: &str = r#"
[server]
listen = "127.0.0.1:0"
[admin]
token = "an-admin-token-that-is-long-enough"
encryption_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
[execution]
lease = "3s"

[retry]
initial = "2ms"
max = "30ms"
max_attempts = 12
[hivelocity]
api_key = "hv-primary-key-5f1c9a7e"
owner_email = "ops@reseller.example"
poll_interval = "15ms"
absent_after = "300ms"
requests_per_second = 100000
requests_per_hour = 1000000000
timeout = "800ms"
[one_h]
auth_code = "1h-code-77ab"
api_key = "1h-key-c0ffee-99"
requests_per_second = 100000
timeout = "800ms"

[sources.whmcs]
platform = "whmcs"
secrets = ["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="]
[sources.other]
platform = "native"
secrets = ["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]
[sources.fenced]
platform = "native"
secrets = ["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]
allow_ips = ["203.0.113.0/24"]

# A server and a licence on its address.
[[products]]
id = "42"
[products.hivelocity]
product_id = 584
location = "{{ options['Location'] or 'TPA1' }}"
os = "{{ options['Operating System'] or 'Ubuntu 22.04' }}"
[products.one_h]
licenses = ["Hive"]

# Everything at once: both ways to go dark, a portal, two licences that a suspension takes.
[[products]]
id = "43"
[products.hivelocity]
product_id = 600
location = "DAL1"
os = "Debian 12"
period = "billing_cycle"
on_suspend = "shutdown_and_null_route"
[products.one_h]
licenses = ["Hive", "Guardian"]
portal_domain = "panel.{{ service.hostname }}"
on_suspend = "remove_license"

# A licence on an address that the customer names.
[[products]]
id = "44"
[products.one_h]
licenses = ["Hive"]

# A server alone, dark by null routes.
[[products]]
id = "45"
[products.hivelocity]
product_id = 584
location = "{{ options['Location'] or 'TPA1' }}"
os = "Ubuntu 22.04"
on_suspend = "null_route"
on_terminate = "shutdown"

# A server that nothing happens to.
[[products]]
id = "46"
[products.hivelocity]
product_id = 584
location = "TPA1"
os = "Ubuntu 22.04"
on_suspend = "none"
on_terminate = "none"
[products.one_h]
licenses = ["Hive"]
on_suspend = "none"
"#;

/// How an app of a test is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How the suppliers behave.
    pub suppliers: SandboxOptions,
    pairs: Vec<(String, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        let suppliers = SandboxOptions {
            hivelocity_api_key: HIVELOCITY_KEY.to_owned(),
            one_h_auth_code: ONE_H_CODE.to_owned(),
            one_h_api_key: ONE_H_KEY.to_owned(),
            ..SandboxOptions::instant()
        };
        Self {
            suppliers,
            pairs: Vec::new(),
        }
    }
}

impl Setup {
    /// Suppliers that build a server in this time.
    pub fn slow(build_time: Duration) -> Self {
        let mut setup = Self::default();
        setup.suppliers.build_time = build_time;
        setup.suppliers.power_time = Duration::from_millis(40);
        setup
    }

    /// Suppliers that fail at random, at this rate. Among what they draw are effects that come up
    /// to 3 s after the client gave up; nothing may be bought again before that.
    #[must_use]
    pub fn failing(mut self, rate: f64) -> Self {
        self.suppliers.faults = rate;
        self.with("hivelocity.absent_after", "6s")
    }

    /// Changes one setting: `with("hivelocity.act_as", "token")`.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.pairs.push((variable(key), value.to_owned()));
        self
    }

    /// The variables that change the file, and those that point it at the suppliers.
    pub fn environment(&self, folder: &Path, suppliers: &Sandbox) -> Vec<(String, String)> {
        let mut pairs = vec![
            (variable("store.url"), database::url(folder)),
            (variable("hivelocity.base_url"), suppliers.hivelocity_url()),
            (variable("one_h.base_url"), suppliers.one_h_url()),
        ];
        pairs.extend(self.pairs.iter().cloned());
        pairs
    }

    /// Writes the file and reads it as the program does.
    pub fn load(&self, folder: &Path, suppliers: &Sandbox) -> Config {
        let path = write_file(folder);
        config::load(Some(&path), self.environment(folder, suppliers), false)
            .unwrap_or_else(|wrong| panic!("the test's settings are wrong: {wrong}"))
    }
}

/// Writes the settings that all tests share.
pub fn write_file(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("billhook.toml");
    std::fs::write(&path, FILE).unwrap();
    path
}

fn variable(key: &str) -> String {
    format!("BILLHOOK__{}", key.replace('.', "__").to_uppercase())
}
