//! A `PostgreSQL` for the time of a benchmark.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// A `PostgreSQL` of the benchmark's own, with fsync, gone when it is dropped.
#[derive(Debug)]
pub struct Postgres {
    keeper: Child,
    /// Its address.
    pub url: String,
}

impl Postgres {
    /// Starts one, where its server is installed.
    pub fn start() -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/with-postgres");
        let mut keeper = Command::new(script)
            .args(["sh", "-c", "echo $BILLHOOK_TEST_POSTGRES; exec cat"])
            .env("PGFSYNC", "on")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut url = String::new();
        let output = keeper.stdout.take()?;
        BufReader::new(output).read_line(&mut url).ok()?;
        let url = url.trim().to_owned();
        (!url.is_empty()).then_some(Self { keeper, url })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It removes its folder before it ends.
        let _ = self.keeper.wait();
    }
}
