//! Where an `SQLite` store's files are, which they are, and what stands beside them. A file that
//! was removed under a running process still takes writes, and they are lost with the process; so
//! nothing is acknowledged before the paths were looked at.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::trouble::Trouble;

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    // Never by opening it: closing any handle on a file gives up all locks that SQLite has on it.
    fn at(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            number: found.ino(),
        })
    }
}

/// The files of an open store.
#[derive(Debug)]
pub(super) struct Place {
    file: (PathBuf, Inode),
    log: (PathBuf, Inode),
}

impl Place {
    /// The files that a connection has just opened.
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        let found = |path: PathBuf| {
            let inode = Inode::at(&path);
            inode.map(|inode| (path, inode))
        };
        let file = found(path.to_owned());
        let log = found(beside(path, "-wal"));
        file.zip(log)
            .map(|(file, log)| Self { file, log })
            .ok_or_else(|| {
                let path = path.display();
                StoreError::Address(format!("{path} was removed while it was opened"))
            })
    }

    /// Whether both are still where they were: what was committed before is in them.
    pub(super) fn check(&self) -> Result<(), Trouble> {
        let there = |(path, inode): &(PathBuf, Inode)| Inode::at(path) == Some(*inode);
        if !there(&self.file) {
            return Err(Trouble::FileGone);
        }
        if !there(&self.log) {
            return Err(Trouble::LogGone);
        }
        Ok(())
    }
}

/// The path of a file that goes with a store's.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_gone_or_another_one_is_noticed_until_the_same_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.db");
        let (log, aside) = (beside(&path, "-wal"), folder.path().join("aside"));
        for file in [&path, &log] {
            std::fs::write(file, "x").unwrap();
        }
        let place = Place::of(&path).unwrap();
        place.check().unwrap();
        for (file, trouble) in [(&path, Trouble::FileGone), (&log, Trouble::LogGone)] {
            std::fs::rename(file, &aside).unwrap();
            assert_eq!(place.check(), Err(trouble));
            std::fs::write(file, "x").unwrap();
            assert_eq!(place.check(), Err(trouble), "another one");
            std::fs::rename(&aside, file).unwrap();
            place.check().unwrap();
        }
    }
}
