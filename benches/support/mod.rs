//! What the benchmarks share: their arguments, a configuration on a fresh folder, medians,
//! and what the machine is.

pub mod machine;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use billhook::config::{self, Config};

/// The one source of all benchmarks.
pub const SOURCE: &str = "whmcs";
/// Its secret; nothing outside this machine ever sees it.
pub const SECRET: &str = "whsec_YmVuY2htYXJrLXNlY3JldC1vZi0zMi1ieXRlcyE=";

/// Its administrator's token.
pub const TOKEN: &str = "benchmark-token-of-some-length";

/// The value that follows `--name`, else `usual`.
pub fn argument<T: std::str::FromStr>(name: &str, usual: T) -> anyhow::Result<T> {
    let mut given = std::env::args()
        .skip_while(|argument| argument != name)
        .skip(1);
    match given.next() {
        None => Ok(usual),
        Some(text) => text
            .parse()
            .ok()
            .with_context(|| format!("{name} {text} is not a number")),
    }
}

/// Whether `cargo bench` called; `cargo test` must not sit through a benchmark.
pub fn called_by_cargo_bench() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The middle one.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (
        sorted.len() % 2,
        sorted.get(middle),
        middle.checked_sub(1).and_then(|i| sorted.get(i)),
    ) {
        (0, Some(upper), Some(lower)) => f64::midpoint(*upper, *lower),
        (_, Some(value), _) => *value,
        (_, None, _) => f64::NAN,
    }
}

/// A folder on the build's disk (a temporary folder may well be memory, where an fsync is free),
/// gone when it is dropped.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// A fresh one.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let process = std::process::id();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{process}"));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What a benchmark leaves behind goes with the next `cargo clean`.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The address of a store in a folder.
pub fn store_in(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("billhook.db").display())
}

/// What `billhook init` writes, in `folder`, with this store.
pub fn configuration(folder: &Path, store: &str) -> anyhow::Result<Config> {
    let path = folder.join("billhook.toml");
    let key = "YmVuY2htYXJrLWtleS1vZi1leGFjdGx5LTMyLWJ5dGU=";
    std::fs::write(&path, config::starter(TOKEN, key, SECRET))?;
    let settings = [
        ("BILLHOOK__SERVER__LISTEN", "127.0.0.1:0"),
        ("BILLHOOK__STORE__URL", store),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(config::load(Some(&path), settings, true)?)
}
