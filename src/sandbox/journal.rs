//! What the suppliers were asked, in a file, so that they are the same after a restart: every request
//! that may change something is written down before it takes effect, and done again at the next start.
//! A record is a line of JSON. IO.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::SandboxError;
use super::wire::Request;
use crate::domain::Timestamp;

/// One line.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    /// The first one.
    Began { at: Timestamp, seed: u64 },
    /// How long things take from here on.
    Build { time: Duration },
    /// A request that took effect at this moment.
    Done { at: Duration, request: Request },
    /// A request that takes effect at this moment although nobody waits for it.
    Late { at: Duration, request: Request },
    /// People let pass every order that waited for them.
    Verified { at: Duration },
}

impl Record {
    /// When it took effect, if it has.
    pub(super) const fn done_at(&self) -> Option<Duration> {
        match self {
            Self::Done { at, .. } | Self::Verified { at } => Some(*at),
            Self::Began { .. } | Self::Build { .. } | Self::Late { .. } => None,
        }
    }
}

/// The file.
#[derive(Debug)]
pub(super) struct Journal(File);

impl Journal {
    /// Opens the file, makes it where there is none, and answers what is in it. What a crash left of
    /// its last line is cut off: that request was not answered.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Record>), SandboxError> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| SandboxError::Journal {
            path: PathBuf::from(path),
            what: format!("{what}: {error}"),
        };
        let mut file = private(path).map_err(|error| wrong("it cannot be opened", &error))?;
        // Two processes would each write down what only one of them did.
        if file.try_lock().is_err() {
            return Err(SandboxError::InUse {
                path: path.to_owned(),
            });
        }
        let mut text = String::new();
        file.read_to_string(&mut text)
            .map_err(|error| wrong("it cannot be read", &error))?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let kept = text.get(..whole).unwrap_or_default();
        let mut records = Vec::new();
        for (number, line) in kept.lines().enumerate() {
            let record = serde_json::from_str(line);
            let record = record
                .map_err(|error| wrong(&format!("line {} cannot be read", number + 1), &error));
            records.push(record?);
        }
        file.set_len(whole as u64)
            .map_err(|error| wrong("it cannot be written", &error))?;
        Ok((Self(file), records))
    }

    /// Writes a record down; one write, so that a crash leaves all of a line or its beginning.
    pub(super) fn note(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

/// It holds what a trial's customers were called: its owner's alone.
fn private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    options
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}
