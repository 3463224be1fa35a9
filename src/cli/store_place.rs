//! Which store a command means: a short address goes from the configuration's folder, and a trial in the
//! sandbox has a store of its own. IO.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::config::Config;
use crate::domain::Secret;
use crate::store::location;

use super::Failure;

/// What the trial's suppliers were asked, in its folder.
pub(super) const SUPPLIERS: &str = "suppliers.jsonl";

/// Makes a short `store.url` whole. It goes from the folder that the configuration file is in, so that
/// the same file means the same store wherever the program is started. Where an older version made
/// the store in the working directory instead, it stays there.
pub(super) fn settle(config: &mut Config, file: Option<&Path>) -> Result<(), Failure> {
    let Some(short) = location::file(config.store.url.reveal()).filter(|path| path.is_relative())
    else {
        return Ok(());
    };
    let here = whole(Path::new("").join(&short));
    let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
    let beside = whole(folder.join(&short));
    let path = match (location::is_or_was(&beside), location::is_or_was(&here)) {
        (true, true) if beside != here => {
            return Err(Failure::Usage(format!(
                "store.url: {} names two stores, {} beside the configuration and {} in the working directory; \
                 write the whole path of the one that is meant",
                short.display(),
                beside.display(),
                here.display()
            )));
        }
        (false, true) => {
            config.warnings.push(format!(
                "store.url: {} is in the working directory and not beside the configuration, from where the path goes; \
                 write the whole path, or from elsewhere another store is made",
                here.display()
            ));
            here
        }
        _ => beside,
    };
    point_at(config, &path);
    Ok(())
}

/// The whole path, the same for each way to name the folder.
fn whole(path: PathBuf) -> PathBuf {
    let path = std::path::absolute(&path).unwrap_or(path);
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    match folder.zip(path.file_name()) {
        Some((folder, name)) => folder.join(name),
        None => path,
    }
}

/// Gives the trial a store of its own beside the configured one, which it never opens; answers the
/// folder, which holds all of the trial.
pub(super) fn try_out(config: &mut Config, file: Option<&Path>) -> Result<PathBuf, Failure> {
    let real = location::file(config.store.url.reveal());
    let beside = file.and_then(Path::parent).unwrap_or(Path::new(""));
    let real = real.unwrap_or_else(|| beside.join("data").join("billhook.db"));
    let stem = real.file_stem().unwrap_or_default().to_string_lossy();
    let folder = real.with_file_name(format!("{stem}-sandbox"));
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the sandbox's folder {}", folder.display()))?;
    let store = folder.join("billhook.db");
    let has_suppliers = folder.join(SUPPLIERS).metadata();
    let has_suppliers = has_suppliers.is_ok_and(|file| file.len() > 0);
    // Ids would be looked for at suppliers that never gave them, or the other way round.
    let lost = match (store.exists(), has_suppliers) {
        (true, false) => SUPPLIERS,
        (false, true) if location::is_or_was(&store) => "billhook.db",
        _ => "",
    };
    if !lost.is_empty() {
        return Err(Failure::Usage(format!(
            "the trial in {} has lost its {lost}; delete the folder to begin another",
            folder.display()
        )));
    }
    point_at(config, &store);
    Ok(folder)
}

fn point_at(config: &mut Config, path: &Path) {
    config.store.url = Secret::new(&format!("sqlite://{}", path.display()));
}
