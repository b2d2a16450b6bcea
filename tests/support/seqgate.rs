//! The real binary.

use std::env;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;

use super::process::Process;
use super::{net, place};

/// Warnings that are right in every rig: clients are sent to the relay in front of seqgate instead of to seqgate itself, and
/// the machine may allow fewer open files than a server wants.
pub const WARNINGS_OF_A_RIG: [&str; 2] = ["no listener serves", "too few descriptors"];

/// Warnings that are right where a broker is down for a while, and a seqgate has begun meanwhile.
pub const WARNINGS_OF_RESTARTS: [&str; 2] = ["broker unreachable", "has answered none yet"];

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

/// What it knows of a producer in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tracked {
    /// The producer.
    pub producer_id: i64,
    /// The epoch of its newest batch.
    pub producer_epoch: i16,
    /// The sequence number that comes next.
    pub expected_sequence: i32,
    /// Where its newest batch stands.
    pub base_offset: i64,
}

impl Seqgate {
    /// One listener on a port of its choice in front of one upstream.
    pub fn pipe(upstream: SocketAddr, args: &[&str]) -> Self {
        let upstream = upstream.to_string();
        let mut all = vec!["run", "--listen", "127.0.0.1:0", "--upstream", &upstream];
        all.extend(args);
        Self::run(&all, 1)
    }

    /// The same with these lines in its configuration; it has an admin port.
    pub fn pipe_configured(upstream: SocketAddr, lines: &str) -> Self {
        let file = place::fresh("seqgate-config").join("seqgate.toml");
        let listener = format!("[[listener]]\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n");
        std::fs::write(&file, format!("{lines}\n{listener}[admin]\nlisten = \"127.0.0.1:0\"\n")).unwrap();
        Self::run(&["run", "-c", file.to_str().expect("test directories have plain names")], 1)
    }

    /// Starts it with these arguments and waits until this many listeners are up.
    pub fn run(args: &[&str], listeners: usize) -> Self {
        Self::try_run(args, listeners).unwrap_or_else(|said| panic!("seqgate does not start\n{said}"))
    }

    /// The same where another process may have a port that it wants; an error holds all that it said before it ended.
    pub fn try_run(args: &[&str], listeners: usize) -> Result<Self, String> {
        let mut command = Command::new(binary());
        command.args(args);
        let mut process = Process::spawn("seqgate", command, &place::fresh("seqgate").join("stderr.log"));
        let up = |line: &str| listener(line).is_some();
        if !process.wait_count_or_end(listeners, "listeners", up) {
            process.wait_exit();
            return Err(process.tail());
        }
        let listeners = process.lines().iter().filter_map(|line| listener(line)).collect();
        Ok(Self { process, listeners })
    }

    /// Where its first listener is.
    pub fn address(&self) -> SocketAddr {
        self.listeners[0].address
    }

    /// Where its admin port is, which its log says; fails unless it was started with one.
    pub fn admin(&self) -> SocketAddr {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("admin port up")).expect("the log names the admin port");
        let address = line.split_whitespace().find_map(|field| field.strip_prefix("address="));
        address.expect("the line has an address").parse().unwrap()
    }

    /// Each producer that it tracks in a partition of a topic.
    pub fn producers(&self, topic: &str, partition: i32) -> Vec<Tracked> {
        let path = format!("/api/v1/producers?topic={topic}&partition={partition}");
        let rows: Vec<Value> = serde_json::from_str(&net::http_get(self.admin(), &path)).unwrap();
        rows.iter().map(|row| tracked(row).unwrap_or_else(|| panic!("{row}"))).collect()
    }

    /// The value of one of its counters, over all labels that the line holds.
    pub fn counter(&self, name: &str, label: &str) -> u64 {
        let metrics = net::http_get(self.admin(), "/metrics");
        let of_name = metrics.lines().filter(|line| line.starts_with(name) && line.contains(label));
        of_name.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
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
        assert_quiet(&self.log(), allowed);
    }

    /// Ends it with SIGTERM; fails unless it exits with 0.
    #[track_caller]
    pub fn stop(&mut self) {
        self.process.terminate();
        self.wait_stopped();
    }

    /// Waits until it has ended by itself or by SIGTERM; fails unless it exits with 0.
    #[track_caller]
    pub fn wait_stopped(&mut self) {
        let status = self.process.wait_exit();
        assert!(status.success(), "seqgate ended with {status}\n{}", self.process.tail());
    }
}

/// Fails when a log holds a warning or an error that contains none of the texts allowed.
#[track_caller]
pub fn assert_quiet(log: &str, allowed: &[&str]) {
    let loud = log.lines().filter(|line| is_loud(line) && !allowed.iter().any(|text| line.contains(text)));
    let loud: Vec<_> = loud.collect();
    assert!(loud.is_empty(), "seqgate logged:\n{}", loud.join("\n"));
}

/// The one that cargo has built, or another by `SEQGATE_BINARY`.
pub fn binary() -> String {
    env::var("SEQGATE_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_seqgate").to_owned())
}

fn tracked(row: &Value) -> Option<Tracked> {
    Some(Tracked {
        producer_id: row["producer_id"].as_i64()?,
        producer_epoch: row["producer_epoch"].as_i64()?.try_into().ok()?,
        expected_sequence: row["expected_sequence"].as_i64()?.try_into().ok()?,
        base_offset: row["base_offset"].as_i64()?,
    })
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
