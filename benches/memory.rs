//! What is kept: bytes per (producer, partition) pair, the slowest operation while a million of them appear, and
//! resident memory per idle connection of the real binary.
//!
//! Input: 1,000 partitions of one topic with 1,000 producers each, five acknowledged batches for every pair, through
//! one tracker and through 16 as the proxy has them; 2,000 connections that have sent one request each and wait.
//! Targets: 256 bytes per pair, no operation above a millisecond, 16 KiB per connection.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "support/process.rs"]
mod process;
#[path = "support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use seqgate_protocol::sequencing::{
    Acks, Answer, Batch, BatchId, ConnectionId, ErrorCode, Fingerprint, Outcome, ProducerEpoch, ProducerId, Sender,
    SequenceRange, TopicRef, Tracker, TrackerLimits,
};

use process::{Relay, is_smoke_test, resident};
use support::frames::TOPIC;
use support::single::{BROKER, NOW};

const PARTITIONS: u32 = 1_000;
const PAIRS: u32 = 1_000_000;
const PAIRS_SMOKE: u32 = 2_000;
const BATCHES: i32 = 5;

const CONNECTIONS: usize = 2_000;
const CONNECTIONS_SMOKE: usize = 20;

/// How the proxy spreads partitions over trackers.
const SHARDS: [usize; 2] = [1, 16];

fn main() {
    let smoke = is_smoke_test();
    for shards in SHARDS {
        fill(shards, if smoke { PAIRS_SMOKE } else { PAIRS });
    }
    idle(if smoke { CONNECTIONS_SMOKE } else { CONNECTIONS });
}

/// Operations by how long they took.
#[derive(Default)]
struct Times {
    nanos: Vec<u32>,
}

impl Times {
    fn take<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let since = Instant::now();
        let value = act();
        self.nanos.push(u32::try_from(since.elapsed().as_nanos()).unwrap_or(u32::MAX));
        value
    }

    fn print(&mut self, what: &str) {
        let above = |limit| self.nanos.iter().filter(|nanos| **nanos > limit).count();
        let (above_100_us, above_1_ms) = (above(100_000), above(1_000_000));
        self.nanos.sort_unstable();
        let at = |share: f64| f64::from(self.nanos[((self.nanos.len() - 1) as f64 * share) as usize]) / 1e3;
        println!(
            "  {what:8} p50 {:.2} us, p99.99 {:.1} us, max {:.1} us; {above_100_us} of {} above 100 us, \
             {above_1_ms} above 1 ms",
            at(0.5),
            at(0.9999),
            at(1.0),
            self.nanos.len(),
        );
    }
}

fn fill(shards: usize, pairs: u32) {
    let operations = pairs as usize * BATCHES as usize;
    // Written once, so that their memory is not taken for the trackers'.
    let mut times = [(); 2].map(|()| Times { nanos: vec![1; operations] });
    times.iter_mut().for_each(|times| times.nanos.clear());
    let before = resident("self");
    let mut trackers: Vec<Tracker> = (0..shards).map(|_| Tracker::new(TrackerLimits::default())).collect();
    let [observing, settling] = &mut times;
    let mut offset = 0;
    for sequence in 0..BATCHES {
        for pair in 0..pairs {
            let (partition, producer) = ((pair % PARTITIONS).cast_signed(), i64::from(pair / PARTITIONS));
            let tracker = &mut trackers[(pair % PARTITIONS) as usize % shards];
            let batch = batch(producer, sequence);
            let ticket = observing.take(|| observe(tracker, partition, &batch));
            let answer =
                Answer { error: ErrorCode::NONE, base_offset: offset, log_append_time: -1, log_start_offset: Some(0) };
            offset += 1;
            settling.take(|| tracker.settle(ticket, Outcome::Answered(answer), NOW));
        }
    }
    let grown = resident("self").saturating_sub(before);
    let counted: usize = trackers.iter().map(Tracker::bytes).sum();
    let per_pair = |bytes: f64| bytes / f64::from(pairs);
    println!("{pairs} pairs with {BATCHES} batches each, {shards} trackers");
    println!("  bytes per pair: {:.0} resident, {:.0} counted", per_pair(grown as f64), per_pair(counted as f64));
    observing.print("observe");
    settling.print("settle");
}

fn batch(producer: i64, sequence: i32) -> Batch {
    let range = SequenceRange::from_wire(sequence, 0).expect("not negative");
    Batch {
        id: BatchId { producer_id: ProducerId::new(producer), epoch: ProducerEpoch::new(0), range },
        fingerprint: Fingerprint { crc: sequence.cast_unsigned(), length: 16_384 },
        transactional: false,
    }
}

fn observe(tracker: &mut Tracker, partition: i32, batch: &Batch) -> seqgate_protocol::sequencing::Ticket {
    let sender =
        Sender { connection: ConnectionId(0), broker: BROKER, acks: Acks::All, authoritative: false, tainted: false };
    let topic = TopicRef::Name(TOPIC);
    let observation = tracker.observe(topic, partition, batch, &sender, false, NOW).or_else(|_| {
        tracker.introduce(topic, None, None, NOW);
        tracker.observe(topic, partition, batch, &sender, false, NOW)
    });
    observation.expect("introduced").ticket.expect("a batch in order is sent")
}

/// Connections that have said hello and say no more, both their sides counted.
fn idle(count: usize) {
    let relay = Relay::seqgate(env!("CARGO_BIN_EXE_seqgate"), sink(), "dedupe");
    // The first one pays for what all of them share.
    let first = hello(&relay);
    let before = relay.resident();
    let mut open = vec![first];
    open.extend((0..count).map(|_| hello(&relay)));
    thread::sleep(Duration::from_millis(200));
    let grown = relay.resident().saturating_sub(before);
    println!("{count} idle connections: {:.1} KiB resident each", grown as f64 / 1024.0 / count as f64);
}

/// ApiVersions v0, as a client begins; waits for the answer.
fn hello(relay: &Relay) -> TcpStream {
    let mut stream = TcpStream::connect(relay.address).expect("it listens");
    stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff]).expect("it takes a request");
    stream.read_exact(&mut [0; 14]).expect("an answer");
    stream
}

/// Answers each connection's one request with a correlation id, no error and no apis.
fn sink() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let mut open = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            stream.read_exact(&mut [0; 14]).expect("a request");
            stream.write_all(&[0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]).expect("it is open");
            open.push(stream);
        }
    });
    address
}
