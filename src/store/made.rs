//! The marker beside an `SQLite` store: that one was made here. Where the store is gone and the
//! marker is not, something removed it – a mount that is missing, a wrong clean-up – and a new one
//! in its place would have billing's next words carried out without what was known. Its name does
//! not begin as the store's does, so what takes the store away leaves it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::StoreError;
use super::place::beside;
use crate::domain::time::Timestamp;

/// What the line with the time begins with.
const MADE: &str = "made: ";

/// Makes the folder of a store if only that is missing. A path of which more is missing is a wrong
/// one, or its disk is not there.
pub(super) fn make_folder(path: &Path) -> Result<(), StoreError> {
    let Some(folder) = named(path.parent()) else {
        return Ok(());
    };
    if folder.exists() {
        return Ok(());
    }
    let missing = folder.ancestors().skip(1);
    let missing = missing
        .filter(|above| !above.as_os_str().is_empty() && !above.exists())
        .last();
    if let Some(missing) = missing {
        return Err(StoreError::Address(format!(
            "there is no folder {}, so nothing is made in it: is the path right (from {}), and its \
             disk mounted?",
            missing.display(),
            std::env::current_dir().unwrap_or_default().display(),
        )));
    }
    std::fs::create_dir(folder).map_err(|error| {
        StoreError::Address(format!(
            "cannot make the folder {}: {error}",
            folder.display()
        ))
    })
}

/// Whether there is a store at the path; an error where there must be one.
pub(super) fn is_there(path: &Path) -> Result<bool, StoreError> {
    let holds = |path: &Path| std::fs::metadata(path).is_ok_and(|file| file.len() > 0);
    if holds(path) {
        return Ok(true);
    }
    if holds(&beside(path, "-wal")) {
        return Err(StoreError::Lost(format!(
            "{} is gone, but its write-ahead log is there: put the file back, or move the log away \
             and put a backup in place",
            path.display()
        )));
    }
    if marker(path).exists() {
        return Err(lost(path));
    }
    Ok(false)
}

/// An error where there is no store to read.
pub(super) fn must_be_there(path: &Path) -> Result<(), StoreError> {
    if is_there(path)? {
        return Ok(());
    }
    let path = path.display();
    Err(StoreError::Address(format!("there is no store at {path}")))
}

/// That a store which was made here holds nothing.
pub(super) fn lost(path: &Path) -> StoreError {
    let marker = marker(path);
    let text = std::fs::read_to_string(&marker).unwrap_or_default();
    let made = text.lines().find_map(|line| line.strip_prefix(MADE));
    let made = made.map_or_else(String::new, |made| format!(" on {made}"));
    StoreError::Lost(format!(
        "the store {} that was made here{made} is gone: put it back (from a backup), or delete the \
         marker {} to begin with an empty one",
        path.display(),
        marker.display()
    ))
}

/// Whether a store was made here.
pub(super) fn was_made(path: &Path) -> bool {
    marker(path).exists()
}

/// Leaves the marker beside a store that is there.
pub(super) fn mark(path: &Path) -> Result<(), StoreError> {
    let marker = marker(path);
    if marker.exists() {
        return Ok(());
    }
    let written = std::fs::metadata(path).and_then(|store| {
        let made = store.created().or_else(|_| store.modified())?;
        let made = made.duration_since(UNIX_EPOCH).unwrap_or_default();
        let made = Timestamp::from_seconds(made.as_secs().try_into().unwrap_or(i64::MAX));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut file = std::fs::File::create(&marker)?;
        write!(
            file,
            "Billhook keeps a store in this folder: {name}\n{MADE}{made}\n\n\
             Where that file is gone at a start, Billhook does not begin with an empty one: it would\n\
             know nothing of the services that exist. Put the file back, from a backup if need be.\n\
             Only to begin anew on purpose, delete this file.\n"
        )?;
        file.sync_all()?;
        // The folder's entry, too, where a folder can be synced.
        let folder = named(path.parent()).unwrap_or_else(|| Path::new("."));
        std::fs::File::open(folder)?.sync_all()
    });
    written
        .map_err(|error| StoreError::Address(format!("cannot write {}: {error}", marker.display())))
}

fn named(folder: Option<&Path>) -> Option<&Path> {
    folder.filter(|folder| !folder.as_os_str().is_empty())
}

fn marker(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".made");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_folder_is_made_and_the_first_that_is_missing_is_named() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("s3/deep/er/x.db");
        let refused = make_folder(&deep).unwrap_err().to_string();
        let first = root.path().join("s3");
        assert!(
            refused.contains(&format!("no folder {},", first.display())),
            "{refused}"
        );
        assert!(!first.exists());
        make_folder(&root.path().join("data/x.db")).unwrap();
        assert!(root.path().join("data").is_dir());
        make_folder(Path::new("x.db")).unwrap();
    }

    #[test]
    fn a_store_that_is_gone_is_missed_unless_the_marker_is_gone_too() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("billhook.db");
        assert!(!is_there(&path).unwrap());
        std::fs::write(&path, "rows").unwrap();
        assert!(is_there(&path).unwrap());
        mark(&path).unwrap();
        let marker = root.path().join(".billhook.db.made");
        let text = std::fs::read_to_string(&marker).unwrap();
        for gone in [false, true] {
            if gone {
                std::fs::remove_file(&path).unwrap();
            } else {
                std::fs::write(&path, "").unwrap();
            }
            let missed = is_there(&path).unwrap_err().to_string();
            assert!(missed.contains(&marker.display().to_string()), "{missed}");
            let made = text.lines().nth(1).unwrap().strip_prefix(MADE).unwrap();
            assert!(missed.contains(made), "{missed}");
        }
        std::fs::remove_file(&marker).unwrap();
        assert!(!is_there(&path).unwrap());
        std::fs::write(root.path().join("billhook.db-wal"), "frames").unwrap();
        assert!(is_there(&path).is_err(), "its log is there");
    }
}
