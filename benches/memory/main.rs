//! What is kept: bytes per (producer, partition) pair, the slowest operation at a million of them, and resident memory
//! per pair and per idle connection of the real binary.
//!
//! Input: 1,000 partitions of one topic with 1,000 producers each, five acknowledged batches for every pair, through
//! one tracker, through 16 as the proxy has them, and through the binary; 100,000 topics with ten producers each;
//! 50,000 topics that come to a tracker whose memory is full of pairs; 2,000 connections that have sent one request each and
//! wait.
//! Bounds, which fail the bench when they are broken: 256 bytes per pair, resident and counted; no operation above a
//! millisecond of its thread's time; 16 KiB per connection. Beside the operations stands the longest step of a loop that does
//! nothing: where that is as long, it is the machine's.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod binary;
mod fill;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/mod.rs"]
mod support;
mod times;

use std::process::{Command, ExitCode};

use process::is_smoke_test;

const PAIR_BYTES_MAX: f64 = 256.0;
const CONNECTION_BYTES_MAX: f64 = 16.0 * 1024.0;

/// A machine that is busy makes operations slow now and then; code does it every time.
const TRIES: usize = 3;

/// How much is kept.
struct Scale {
    producers: u32,
    topics: u32,
    crowd: u32,
    connections: usize,
}

const FULL: Scale = Scale { producers: 1_000, topics: 100_000, crowd: 200_000, connections: 2_000 };
/// In a smoke test, enough to run every line; nothing is judged by it.
const SMOKE: Scale = Scale { producers: 2, topics: 200, crowd: 2_000, connections: 20 };

/// What is run, each in a process of its own: what one has given back is not there for the next.
const CASES: [(&str, Case); 6] = [
    ("one-tracker", |scale| fill::one_topic(1, scale.producers)),
    ("16-trackers", |scale| fill::one_topic(16, scale.producers)),
    ("many-topics", |scale| fill::many_topics(scale.topics)),
    ("crowded", |scale| fill::crowded(scale.crowd)),
    ("binary", |scale| binary::pairs(scale.producers)),
    ("idle", |scale| binary::idle(scale.connections)),
];

/// Returns the bounds that it breaks.
type Case = fn(&Scale) -> Vec<String>;

/// The argument by which this program, started again, runs one case.
const CASE: &str = "--case";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let smoke = is_smoke_test();
    if let Some(at) = args.iter().position(|arg| arg == CASE) {
        let (_, run) = CASES.iter().find(|(name, _)| *name == args[at + 1]).expect("a case");
        let broken = run(if smoke { &SMOKE } else { &FULL });
        if smoke || broken.is_empty() {
            return ExitCode::SUCCESS;
        }
        broken.iter().for_each(|what| println!("  BROKEN {what}"));
        return ExitCode::FAILURE;
    }
    let holds = |case: &str| (0..TRIES).any(|_| run(case, smoke));
    let broken: Vec<&str> = CASES.iter().map(|(name, _)| *name).filter(|name| !holds(name)).collect();
    if broken.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("bounds are broken each time: {}", broken.join(", "));
    ExitCode::FAILURE
}

/// Runs one case; whether its bounds hold.
fn run(case: &str, smoke: bool) -> bool {
    let program = std::env::current_exe().expect("it runs");
    let mut command = Command::new(program);
    command.args([CASE, case]).args((!smoke).then_some("--bench"));
    command.status().expect("it starts").success()
}

/// Judges a figure.
fn above(what: &str, found: f64, max: f64) -> Option<String> {
    (found > max).then(|| format!("{what}: {found:.1} instead of {max} at most"))
}
