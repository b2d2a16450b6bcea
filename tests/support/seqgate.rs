//! The real binary.

use std::env;
use std::net::SocketAddr;
use std::process::Command;

use super::place;
use super::process::Process;

/// Warnings that are right in every rig: clients are sent to the relay in front of seqgate instead of to seqgate itself, and
/// the machine may allow fewer open files than a server wants.
pub const WARNINGS_OF_A_RIG: [&str; 2] = ["no listener serves", "too few descriptors"];

/// A running seqgate.
pub struct Seqgate {
    process: Process,
    listeners: Vec<Listener>,
}

/// One `listening` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// As configured, or as seqgate names it.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// As it was given.
    pub upstream: String,
    /// observe, dedupe or enforce.
    pub mode: String,
}

impl Seqgate {
    /// One listener on a port of its choice in front of one upstream.
    pub fn pipe(upstream: SocketAddr, args: &[&str]) -> Self {
        let upstream = upstream.to_string();
        let mut all = vec!["run", "--listen", "127.0.0.1:0", "--upstream", &upstream];
        all.extend(args);
        Self::run(&all, 1)
    }

    /// Starts it with these arguments and waits until this many listeners are up.
    pub fn run(args: &[&str], listeners: usize) -> Self {
        let mut command = Command::new(binary());
        command.args(args);
        let process = Process::spawn("seqgate", command, &place::fresh("seqgate").join("stderr.log"));
        process.wait_count(listeners, "listeners", |line| listener(line).is_some());
        let listeners = process.lines().iter().filter_map(|line| listener(line)).collect();
        Self { process, listeners }
    }

    /// Where its first listener is.
    pub fn address(&self) -> SocketAddr {
        self.listeners[0].address
    }

    /// All of its listeners.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The process behind it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.process.errors()
    }

    /// Fails when it has logged a warning or an error that contains none of the texts allowed.
    #[track_caller]
    pub fn assert_quiet(&self, allowed: &[&str]) {
        let log = self.log();
        let loud = log.lines().filter(|line| is_loud(line) && !allowed.iter().any(|text| line.contains(text)));
        let loud: Vec<_> = loud.collect();
        assert!(loud.is_empty(), "seqgate logged:\n{}", loud.join("\n"));
    }

    /// Ends it with SIGTERM; fails unless it exits with 0.
    #[track_caller]
    pub fn stop(&mut self) {
        self.process.terminate();
        let status = self.process.wait_exit();
        assert!(status.success(), "seqgate ended with {status}\n{}", self.process.tail());
    }
}

/// The one that cargo has built, or another by `SEQGATE_BINARY`.
fn binary() -> String {
    env::var("SEQGATE_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_seqgate").to_owned())
}

fn listener(line: &str) -> Option<Listener> {
    let fields = line.strip_prefix("listening ")?;
    let field = |name: &str| fields.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    Some(Listener {
        name: field("listener")?.to_owned(),
        address: field("address")?.parse().ok()?,
        upstream: field("upstream")?.to_owned(),
        mode: field("mode")?.to_owned(),
    })
}

/// Whatever the format of the log, and with or without colour.
fn is_loud(line: &str) -> bool {
    let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut words = words.map(|word| word.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches('m'));
    words.any(|word| matches!(word, "WARN" | "ERROR" | "panicked"))
}
