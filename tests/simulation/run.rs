//! Searches for what is wrong: `cargo run --release --example simulate -- --seeds 1000000`.

#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "small numbers"
)]
#![allow(clippy::wildcard_enum_match_arm, clippy::unwrap_used, dead_code, reason = "a test")]

mod batch;
mod clients;
mod cluster;
mod hunt;
#[path = "../golden/memory.rs"]
mod memory;
mod plan;
mod primitive;
mod proxy;
mod random;
mod wire;
mod world;

use std::process::ExitCode;
use std::time::Instant;

const HELP: &str = "Runs real sessions and trackers in a simulated world of clients, proxies and brokers.

Usage: simulate [--seeds N] [--from N]    N seeds (default 10000) from that one on, on all cores
       simulate --seed N [--direct]       tells the whole story of one

A seed that fails is told as shortly as it still fails, in the words of golden scenarios; then the status is 1.";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut seeds, mut from, mut seed, mut direct) = (10_000, 0, None, false);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.replace('_', "").parse::<u64>().ok());
        let known = match argument.as_str() {
            "--seeds" => number().map(|n| seeds = n),
            "--from" => number().map(|n| from = n),
            "--seed" => number().map(|n| seed = Some(n)),
            "--direct" => {
                direct = true;
                Some(())
            }
            _ => None,
        };
        if known.is_none() {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    }
    hunt::keep_panics();
    match seed {
        Some(seed) => tell(seed, direct),
        None => search(from, seeds),
    }
}

fn tell(seed: u64, direct: bool) -> ExitCode {
    let ending = hunt::tell(seed, direct);
    ending.story.iter().for_each(|line| println!("{line}"));
    println!("# {:?}", ending.tally);
    match ending.problem {
        Some(problem) => {
            println!("# seed {seed}: {problem}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

fn search(from: u64, seeds: u64) -> ExitCode {
    let started = Instant::now();
    let step = (seeds / 50).max(1);
    let found = hunt::hunt(from, seeds, &|done| {
        if done.is_multiple_of(step) || done == seeds {
            eprint!("\r{done} of {seeds} seeds, {:.0} s", started.elapsed().as_secs_f64());
        }
    });
    eprintln!();
    match found {
        Ok(totals) => {
            println!("{} seeds, nothing wrong; in {} it only forwarded", totals.seeds, totals.same);
            println!("through seqgate: {:?}", totals.through);
            println!("direct:          {:?}", totals.direct);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            failure.story.iter().for_each(|line| println!("{line}"));
            println!("# seed {}: {}", failure.seed, failure.problem);
            ExitCode::FAILURE
        }
    }
}
