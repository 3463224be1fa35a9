//! The three layers as one tree: built-in defaults, the file, the environment. IO.

use std::path::Path;

use ::config::{File, FileFormat, Map as Table, Source, Value as Layered, ValueKind};
use serde_json::{Map, Value};

use super::error::ConfigError;

/// What the names of environment variables begin with that are settings.
const PREFIX: &str = "BILLHOOK__";
/// What the names of those begin with that are settings, or were meant to be.
const OURS: &str = "BILLHOOK_";

/// The process's environment variables that are about Billhook.
pub fn process_environment() -> Vec<(String, String)> {
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(|(name, value)| (text(name), value))
        .filter(|(name, _)| name.starts_with(OURS))
        .map(|(name, value)| (name, text(value)))
        .collect()
}

/// Whether the environment has settings.
pub fn has_settings(environment: &[(String, String)]) -> bool {
    environment.iter().any(|(name, _)| name.starts_with(PREFIX))
}

/// Variables that look like settings and are none, for want of a second underscore.
pub(super) fn near_misses(environment: &[(String, String)]) -> Vec<String> {
    let near = |(name, _): &(String, String)| {
        if name.starts_with(PREFIX) {
            return None;
        }
        let rest = name.strip_prefix(OURS)?.to_lowercase();
        let section = super::SECTIONS
            .iter()
            .find(|section| rest.starts_with(&format!("{section}_")))?;
        let key = rest.get(section.len()..)?.trim_start_matches('_');
        let meant = format!("{PREFIX}{section}__{key}").to_uppercase();
        Some(format!("{name}: is not read; write {meant}"))
    };
    environment.iter().filter_map(near).collect()
}

/// All layers, the later winning over the earlier.
pub(super) fn read(
    path: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Map<String, Value>, ConfigError> {
    let mut given = ::config::Config::builder();
    if let Some(path) = path {
        let text = std::fs::read_to_string(path)
            .map_err(|error| unusable(path, &format!("cannot be read: {error}")))?;
        let layer = ::config::Config::builder().add_source(File::from_str(&text, FileFormat::Toml));
        let layer = layer
            .build()
            .map_err(|error| unusable(path, &without_source(&error)))?;
        given = given.add_source(layer);
    }
    let given = given
        .add_source(overlay(environment)?)
        .build()
        .map_err(|error| broken(&error))?;
    // The default address must not count as "both given" beside a file with another one.
    let address_elsewhere = given.get_string("store.url_file").is_ok()
        && matches!(
            given.get_string("store.url"),
            Err(::config::ConfigError::NotFound(_))
        );
    let all = ::config::Config::builder()
        .add_source(File::from_str(super::DEFAULT, FileFormat::Toml))
        .add_source(given)
        .build()
        .map_err(|error| broken(&error))?;
    let mut tree: Map<String, Value> = all.try_deserialize().map_err(|error| broken(&error))?;
    if address_elsewhere && let Some(Value::Object(store)) = tree.get_mut("store") {
        store.remove("url");
    }
    Ok(tree)
}

fn unusable(path: &Path, why: &str) -> ConfigError {
    ConfigError::File {
        problem: format!("the config file {}: {why}", path.display()),
    }
}

/// Values are never part of these: the layers are trees, nothing is converted.
fn broken(error: &::config::ConfigError) -> ConfigError {
    let problem = format!(
        "the settings cannot be put together: {}",
        without_source(error)
    );
    ConfigError::File { problem }
}

/// The parser's message without the line it quotes, which may hold a secret.
fn without_source(error: &::config::ConfigError) -> String {
    let message = error.to_string();
    let mut lines = message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("is not TOML");
    let place = first.strip_prefix("TOML parse error at ").unwrap_or(first);
    let why = lines
        .filter(|line| !line.contains('|'))
        .collect::<Vec<_>>()
        .join(", ");
    if why.is_empty() {
        place.to_owned()
    } else {
        format!("{place}: {why}")
    }
}

/// The environment as a tree.
#[derive(Clone, Debug)]
struct Overlay(Table<String, Layered>);

impl Source for Overlay {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Table<String, Layered>, ::config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// `BILLHOOK__SECTION__KEY` becomes `section.key`; what it holds stays a text until a key that
/// knows its type reads it.
fn overlay(
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Overlay, ConfigError> {
    let mut settings: Vec<(String, String)> = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    settings.sort();
    let mut root = Table::new();
    let mut problems = Vec::new();
    for (name, value) in settings {
        let keys = name.get(PREFIX.len()..).unwrap_or_default().to_lowercase();
        let keys: Vec<&str> = keys.split("__").collect();
        if keys.iter().any(|key| key.is_empty()) || !put(&mut root, &keys, &name, value) {
            problems.push(format!(
                "{name}: cannot be placed; write BILLHOOK__SECTION__KEY, and give a key either \
                 a value or keys of its own"
            ));
        }
    }
    if problems.is_empty() {
        Ok(Overlay(root))
    } else {
        Err(ConfigError::Settings { problems })
    }
}

/// Puts one value in its place; not where a value and a table would meet.
fn put(table: &mut Table<String, Layered>, keys: &[&str], name: &str, value: String) -> bool {
    let origin = name.to_owned();
    match keys {
        [] => false,
        [key] => {
            let value = Layered::new(Some(&origin), ValueKind::String(value));
            table.insert((*key).to_owned(), value).is_none()
        }
        [key, rest @ ..] => {
            let below = table
                .entry((*key).to_owned())
                .or_insert_with(|| Layered::new(Some(&origin), ValueKind::Table(Table::new())));
            match &mut below.kind {
                ValueKind::Table(table) => put(table, rest, name, value),
                _ => false,
            }
        }
    }
}
