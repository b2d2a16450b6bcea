//! What is kept: bytes per (producer, partition) pair, the slowest operation at a million of them, and resident memory
//! per pair and per idle connection of the real binary.
//!
//! Input: 1,000 partitions of one topic with 1,000 producers each, five acknowledged batches for every pair, through
//! one tracker, through 16 as the proxy has them, and through the binary; 100,000 topics with ten producers each;
//! 2,000 connections that have sent one request each and wait.
//! Bounds, which fail the bench when they are broken: 256 bytes per pair, resident and counted; no operation above a
//! millisecond of its thread's time; 16 KiB per connection.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod binary;
mod fill;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/mod.rs"]
mod support;
mod times;

use std::process::ExitCode;

use process::is_smoke_test;

const PAIR_BYTES_MAX: f64 = 256.0;
const CONNECTION_BYTES_MAX: f64 = 16.0 * 1024.0;

/// A machine that is busy makes operations slow now and then; code does it every time.
const TRIES: usize = 3;

/// How much is kept.
struct Scale {
    producers: u32,
    topics: u32,
    connections: usize,
}

const FULL: Scale = Scale { producers: 1_000, topics: 100_000, connections: 2_000 };
/// In a smoke test, enough to run every line; nothing is judged by it.
const SMOKE: Scale = Scale { producers: 2, topics: 200, connections: 20 };

fn main() -> ExitCode {
    let smoke = is_smoke_test();
    let scale = if smoke { SMOKE } else { FULL };
    let mut broken = Vec::new();
    for shards in [1, 16] {
        broken.extend(tried(|| fill::one_topic(shards, scale.producers)));
    }
    broken.extend(tried(|| fill::many_topics(scale.topics)));
    broken.extend(binary::pairs(scale.producers));
    broken.extend(binary::idle(scale.connections));
    if smoke || broken.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("broken bounds:");
    broken.iter().for_each(|what| println!("  {what}"));
    ExitCode::FAILURE
}

/// The bounds that `run` breaks each time.
fn tried(mut run: impl FnMut() -> Vec<String>) -> Vec<String> {
    (1..TRIES).fold(run(), |broken, _| if broken.is_empty() || is_smoke_test() { broken } else { run() })
}

/// Judges a figure.
fn above(what: &str, found: f64, max: f64) -> Option<String> {
    (found > max).then(|| format!("{what}: {found:.1} instead of {max} at most"))
}
