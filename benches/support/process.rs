//! Programs under measurement; no bench uses all of it.
#![allow(dead_code)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// A relay in a process of its own; killed when dropped.
pub(crate) struct Relay {
    child: Child,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
}

impl Relay {
    /// The real binary in front of `upstream`.
    pub(crate) fn seqgate(binary: &str, upstream: SocketAddr, mode: &str) -> Self {
        Self::seqgate_with(binary, upstream, mode, &[])
    }

    /// As `seqgate`, with more arguments.
    pub(crate) fn seqgate_with(binary: &str, upstream: SocketAddr, mode: &str, args: &[&str]) -> Self {
        let upstream = upstream.to_string();
        let mut command = Command::new(binary);
        command.args(["run", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--mode", mode]).args(args);
        Self::spawn(&mut command)
    }

    /// Runs a program that prints a line with `address=HOST:PORT` once it listens.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = piped.spawn().expect("the program is there");
        let stdout = child.stdout.take().expect("it is piped");
        let address = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.split(' ').find_map(|word| word.strip_prefix("address=")?.parse().ok()));
        let Some(address) = address else {
            child.kill().ok();
            panic!("{command:?} says no address");
        };
        Self { child, address }
    }

    /// CPU time of all threads so far, in seconds, to the nanosecond.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let run = threads.filter_map(|thread| {
            let stat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            stat.split(' ').next()?.parse::<u64>().ok()
        });
        run.sum::<u64>() as f64 / 1e9
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        resident(&self.child.id().to_string())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Resident memory of a process, or of `self`, in bytes.
pub(crate) fn resident(process: &str) -> u64 {
    const PAGE_BYTES: u64 = 4_096;
    let statm = fs::read_to_string(format!("/proc/{process}/statm")).expect("it runs");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("the second number is the resident pages") * PAGE_BYTES
}

/// Cargo passes `--bench` when figures are wanted.
pub(crate) fn is_smoke_test() -> bool {
    let args: Vec<String> = std::env::args().collect();
    !args.iter().any(|arg| arg == "--bench") || args.iter().any(|arg| arg == "--test")
}
