//! The real binary as a process, to be killed. IO.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use billhook::sandbox::Sandbox;

use super::Setup;
use super::reader::Reader;
use super::sender::http;
use super::settings::write_file;

/// The binary under test with the settings of a test and nothing else of ours in its environment.
pub fn billhook(folder: &Path, setup: &Setup, suppliers: &Sandbox) -> Command {
    let mut command = bare(folder);
    command
        .envs(setup.environment(folder, suppliers))
        .env("BILLHOOK_CONFIG", write_file(folder));
    command
}

/// The binary without any settings.
pub fn bare(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_billhook"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BILLHOOK") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

/// The same command as a process that outlives a limit on the size of its files: what it writes
/// beyond that fails as on a broken disk.
pub fn outliving_limits(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

/// Runs a command to its end.
pub fn run(mut command: Command, arguments: &[&str]) -> Output {
    command.args(arguments).output().unwrap()
}

/// `billhook serve` that must not come to serve: how it ended by itself.
pub fn refused(mut command: Command) -> Output {
    let mut child = command
        .arg("serve")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(20) {
            let _ = child.kill();
            panic!("it serves: {}", printed(&child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// What a command printed.
pub fn printed(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    format!("{out}{err}")
}

/// `billhook serve` under way.
pub struct Serving {
    child: Child,
    log: mpsc::Receiver<String>,
    /// What it logged before it listened.
    pub opening: String,
    /// Where it listens.
    pub base: String,
    /// Its admin API.
    pub api: Reader,
}

impl Serving {
    /// Starts it and waits until it listens.
    pub fn start(command: Command) -> Self {
        Self::start_with(command, &[])
    }

    /// The same with more arguments.
    pub fn start_with(mut command: Command, arguments: &[&str]) -> Self {
        command
            .args(["serve", "--log-json"])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, log) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The test that wanted the log may be over.
                let _ = sender.send(line);
            }
        });
        let (base, opening) = match address(&log) {
            Ok(found) => found,
            Err(log) => {
                let _ = child.kill();
                let status = child.wait();
                panic!("billhook serve did not begin to listen ({status:?}):\n{log}");
            }
        };
        let api = Reader::new(http(), &base);
        Self {
            child,
            log,
            opening,
            base,
            api,
        }
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, at once.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.iter().collect()
    }

    /// SIGTERM; answers how it ended and what it logged.
    pub fn terminate(mut self) -> (ExitStatus, Vec<String>) {
        let told = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(told.success());
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self.log.iter().collect());
            }
            if began.elapsed() > Duration::from_secs(40) {
                let _ = self.child.kill();
                panic!("billhook did not end within 40 seconds after SIGTERM");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // A process that is gone already needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address, and what was logged before it.
fn address(log: &mpsc::Receiver<String>) -> Result<(String, String), String> {
    let mut seen = String::new();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(30) {
        match log.recv_timeout(Duration::from_secs(30)) {
            Ok(line) => {
                let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if entry["fields"]["message"] == "billhook listens" {
                    let address = entry["fields"]["address"].as_str().unwrap();
                    return Ok((format!("http://{address}"), seen));
                }
                seen.push_str(&line);
                seen.push('\n');
            }
            Err(_) => return Err(seen),
        }
    }
    Err(seen)
}
