//! What a relay costs: CPU of its process per GB, and latency with one request in flight.
//!
//! Produce requests of 16 KiB and 1 MiB, fetch answers of 1 MiB, and small requests one at a time, through nothing
//! at all, through tokio's copy in a process of its own (as many threads as seqgate has, and one), and through
//! seqgate in both modes; `SEQGATE_BASELINE` names another build of it to stand beside. Rounds are interleaved and shuffled; a ratio is taken within its round. Client and sink
//! are this process and check every answer. `ROUNDS=n` sets the number of rounds, a word selects loads by name.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod copy;
mod load;
#[path = "../support/process.rs"]
mod process;
mod sink;
mod stats;
#[path = "../support/mod.rs"]
mod support;

use std::env;
use std::net::SocketAddr;
use std::process::Command;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use load::{Load, Outcome};
use process::{Relay, is_smoke_test};
use stats::{Estimate, median};

/// The argument by which this program, started again, is the plain copy.
const COPY: &str = "--relay-copy";
const ROUNDS: usize = 30;
const ROUNDS_SMOKE: usize = 1;
const GB: f64 = 1e9;

fn main() {
    let args: Vec<String> = env::args().collect();
    if let [_, flag, upstream, threads] = args.as_slice()
        && flag == COPY
    {
        let upstream = upstream.parse().expect("an address");
        copy::run(upstream, threads.parse().expect("a number")).expect("it relays");
        return;
    }
    let smoke = is_smoke_test();
    let rounds = if smoke { ROUNDS_SMOKE } else { env::var("ROUNDS").map_or(ROUNDS, |n| n.parse().expect("a number")) };
    let wanted = args[1..].iter().find(|arg| !arg.starts_with("--"));
    let ways = ways(sink::start());
    for load in Load::ALL.into_iter().filter(|load| wanted.is_none_or(|word| load.name().contains(word.as_str()))) {
        let samples = measure(load, &ways, rounds, smoke);
        print(load, &ways, &samples);
    }
}

/// One way from the client to the sink.
struct Way {
    name: &'static str,
    relay: Option<Relay>,
    address: SocketAddr,
}

/// The plain copy comes first among the relays: it is what the others are held against.
fn ways(sink: SocketAddr) -> Vec<Way> {
    let copy = |threads: usize| {
        let program = env::current_exe().expect("this program");
        Relay::spawn(Command::new(program).args([COPY, &sink.to_string(), &threads.to_string()]))
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let this = env::var("SEQGATE_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_seqgate").to_owned());
    let mut relays = vec![
        ("copy", copy(threads)),
        ("copy, one thread", copy(0)),
        ("seqgate observe", Relay::seqgate(&this, sink, "observe")),
        ("seqgate dedupe", Relay::seqgate(&this, sink, "dedupe")),
    ];
    if let Ok(other) = env::var("SEQGATE_BASELINE") {
        relays.push(("baseline dedupe", Relay::seqgate(&other, sink, "dedupe")));
    }
    let direct = Way { name: "direct", relay: None, address: sink };
    let relays = relays.into_iter().map(|(name, relay)| Way { name, address: relay.address, relay: Some(relay) });
    std::iter::once(direct).chain(relays).collect()
}

/// What one way took in one round.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    cpu_s_per_gb: f64,
    cpu_us_per_request: f64,
    p50_us: f64,
}

/// By round, then by way.
fn measure(load: Load, ways: &[Way], rounds: usize, smoke: bool) -> Vec<Vec<Sample>> {
    let mut random = StdRng::seed_from_u64(7);
    let mut order: Vec<usize> = (0..ways.len()).collect();
    if !smoke {
        // Warm: memory mapped, paths taken once.
        ways.iter().for_each(|way| drop(load::run(load, way.address, false)));
    }
    let round = |_| {
        order.shuffle(&mut random);
        let mut samples = vec![Sample::default(); ways.len()];
        for &at in &order {
            samples[at] = sample(load, &ways[at], smoke);
        }
        samples
    };
    (0..rounds).map(round).collect()
}

fn sample(load: Load, way: &Way, smoke: bool) -> Sample {
    let cpu = || way.relay.as_ref().map_or(0.0, Relay::cpu_seconds);
    let before = cpu();
    let Outcome { bytes, requests, latencies } = load::run(load, way.address, smoke);
    let seconds = cpu() - before;
    Sample {
        cpu_s_per_gb: seconds / (bytes as f64 / GB),
        cpu_us_per_request: seconds * 1e6 / requests as f64,
        p50_us: median(latencies.iter().map(|latency| latency.as_secs_f64() * 1e6).collect()),
    }
}

fn print(load: Load, ways: &[Way], samples: &[Vec<Sample>]) {
    let column = |at: usize, of: fn(&Sample) -> f64| samples.iter().map(|round| of(&round[at])).collect::<Vec<_>>();
    let against = |at: usize, of: fn(&Sample, &Sample) -> f64| {
        Estimate::of(&samples.iter().map(|round| of(&round[at], &round[1])).collect::<Vec<_>>())
    };
    println!("\n{} ({} rounds; median [95 % confidence interval])", load.name(), samples.len());
    for (at, way) in ways.iter().enumerate() {
        let p50 = Estimate::of(&column(at, |s| s.p50_us));
        if way.relay.is_none() {
            println!("  {:18} p50 {:.1} us", way.name, p50.median);
            continue;
        }
        println!(
            "  {:18} CPU {} s/GB, {:.1} us/request; of copy's {}; p50 {:.1} us, over copy's {}",
            way.name,
            Estimate::of(&column(at, |s| s.cpu_s_per_gb)),
            median(column(at, |s| s.cpu_us_per_request)),
            against(at, |this, copy| this.cpu_s_per_gb / copy.cpu_s_per_gb),
            p50.median,
            against(at, |this, copy| this.p50_us - copy.p50_us),
        );
    }
}
