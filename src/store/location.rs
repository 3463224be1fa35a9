//! A store's address for people and for whoever needs the file that it names.

use std::path::{Path, PathBuf};

use super::made;
use super::open::{Address, address};

/// The file of an address that names one.
pub fn file(url: &str) -> Option<PathBuf> {
    match address(url) {
        Ok(Address::Sqlite(path)) => Some(path),
        Ok(Address::Postgres(_)) | Err(_) => None,
    }
}

/// Whether a store is, or was, at this path.
pub fn is_or_was(path: &Path) -> bool {
    path.exists() || made::was_made(path)
}

/// Where it is, without its password: a file by its whole path, since which one a short path names
/// depends on where the process was started.
pub fn shown(url: &str) -> String {
    match address(url) {
        Ok(Address::Sqlite(path)) => std::path::absolute(&path)
            .unwrap_or(path)
            .display()
            .to_string(),
        Ok(Address::Postgres(options)) => {
            let (host, port) = (options.get_host(), options.get_port());
            let database = options.get_database().unwrap_or_default();
            format!("postgres://{host}:{port}/{database}")
        }
        Err(_) => "an address that cannot be read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown_and_files_are_whole() {
        assert_eq!(
            shown("postgres://u:secret@db.example:5433/billhook"),
            "postgres://db.example:5433/billhook"
        );
        assert_eq!(shown("sqlite:///var/lib/b.db"), "/var/lib/b.db");
        let here = std::env::current_dir().unwrap();
        let whole = here.join("data/b.db").display().to_string();
        assert_eq!(shown("sqlite://data/b.db"), whole);
        assert_eq!(file("sqlite:data/b.db"), Some("data/b.db".into()));
        assert_eq!(file("postgres://db.example/billhook"), None);
    }
}
