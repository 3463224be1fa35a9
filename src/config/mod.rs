//! The configuration: from the built-in defaults, one file and the environment to values that
//! are checked and need no second look. IO: the only module that reads files and the environment
//! for settings.
//!
//! Every problem found is reported, not only the first, one a line, each with the full path of
//! its key. A secret's value appears in no message.

mod error;
mod layers;
mod policy;
mod process;
mod products;
mod secrets;
mod section;
mod settings;
mod sources;
mod starter;
mod suppliers;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_layers;
#[cfg(test)]
mod tests_sources;
mod values;

use std::path::Path;

pub use error::ConfigError;
pub use layers::{has_settings, process_environment};
pub use settings::{
    Admin, Alerts, Config, Execution, Hivelocity, OneH, Platform, Policy, Report, ReportKind,
    Retry, Server, Source, Store,
};
pub use starter::starter;
pub use values::duration;

use crate::catalogue::{Catalogue, ProductSettings};
use section::{Problems, Section};

/// The built-in defaults with every key's description, as shipped in `config/default.toml`.
pub const DEFAULT: &str = include_str!("../../config/default.toml");

/// The tables of the settings.
const SECTIONS: [&str; 11] = [
    "server",
    "store",
    "admin",
    "execution",
    "alerts",
    "retry",
    "hivelocity",
    "one_h",
    "sources",
    "products",
    "policy",
];

/// Reads and checks everything.
///
/// `path` is the file that the caller was given, `environment` the process's variables (of those
/// that do not begin with `BILLHOOK__` the ones that look as if they should are named). With `sandbox` the suppliers' keys may
/// be missing, since the stand-ins have their own.
pub fn load(
    path: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    sandbox: bool,
) -> Result<Config, ConfigError> {
    let environment: Vec<_> = environment.into_iter().collect();
    let near_misses = layers::near_misses(&environment);
    let tree = layers::read(path, environment)?;
    let problems = Problems::new(sandbox);
    let mut config = checked(Section::root(&tree, &problems), &problems);
    match problems.into_result() {
        Ok(()) => {
            config.warnings.extend(near_misses);
            Ok(config)
        }
        Err(wrong) => Err(wrong.with(near_misses)),
    }
}

/// Reads every section; a wrong value leaves a problem and a stand-in.
fn checked(mut root: Section<'_>, problems: &Problems) -> Config {
    let server = process::server(root.section("server"));
    let store = process::store(root.section("store"));
    let admin = process::admin(root.section("admin"));
    let execution = process::execution(root.section("execution"));
    let alerts = process::alerts(root.section("alerts"));
    let retry = process::retry(root.section("retry"));
    let hivelocity = suppliers::hivelocity(root.section("hivelocity"));
    let one_h = suppliers::one_h(root.section("one_h"));
    let sources = sources::sources(&root.section("sources"));
    let products = products::products(&mut root);
    suppliers::check_needed(&hivelocity, &one_h, &products, problems);
    let catalogue = compiled(products, problems);
    let policy = policy::policy(root.section("policy"));
    root.finish();
    let mut config = Config {
        server,
        store,
        admin,
        execution,
        alerts,
        retry,
        hivelocity,
        one_h,
        sources,
        catalogue,
        policy,
        sandbox: false,
        warnings: Vec::new(),
    };
    config.warnings = policy::warnings(&config);
    config
}

/// The catalogue; an entry without an id was reported where it stands.
fn compiled(mut products: Vec<ProductSettings>, problems: &Problems) -> Catalogue {
    products.retain(|product| !product.id.is_empty());
    Catalogue::compile(products).unwrap_or_else(|error| {
        for problem in &error.problems {
            problems.add_line(problem.to_string());
        }
        Catalogue::default()
    })
}
