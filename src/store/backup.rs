//! A copy of the store as it is at one moment, taken while it is served. `SQLite` only:
//! `PostgreSQL` has tools of its own for that.

use std::path::{Path, PathBuf};

use super::made;
use super::open::{Address, address, make_private};
use super::sqlite::{Access, Connection};
use super::{Store, StoreError};

impl Store {
    /// Writes a copy of the store at `url` to a new file; answers its size in bytes.
    pub async fn back_up(url: &str, to: &Path) -> Result<u64, StoreError> {
        let path = match address(url)? {
            Address::Sqlite(path) => {
                made::must_be_there(&path)?;
                path
            }
            Address::Postgres(_) => {
                return Err(StoreError::Address(
                    "is PostgreSQL: take the copy with pg_dump --format=custom, or with the \
                     backups of your database service"
                        .to_owned(),
                ));
            }
        };
        if to.exists() {
            return Err(unwritable(to, "there is a file already"));
        }
        // Under another name until it is whole: half a copy must not pass for one.
        let mut part = to.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        if part.exists() {
            std::fs::remove_file(&part).map_err(|error| unwritable(&part, error))?;
        }
        make_private(&part)?;
        let name = part.to_string_lossy().into_owned();
        // It takes as long as the store is large.
        let copied = tokio::task::spawn_blocking(move || {
            let connection = Connection::open(&path, Access::Read)?;
            connection.once("VACUUM INTO $1", &[name.into()])
        });
        let copied = copied.await.map_err(|error| unwritable(&part, error))?;
        copied?;
        let file = std::fs::File::open(&part).map_err(|error| unwritable(&part, error))?;
        file.sync_all().map_err(|error| unwritable(&part, error))?;
        std::fs::rename(&part, to).map_err(|error| unwritable(to, error))?;
        let size = file.metadata().map_err(|error| unwritable(to, error))?;
        Ok(size.len())
    }
}

fn unwritable(path: &Path, why: impl std::fmt::Display) -> StoreError {
    StoreError::Copy(format!(
        "the copy cannot be written to {}: {why}",
        path.display()
    ))
}
