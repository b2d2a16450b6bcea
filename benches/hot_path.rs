//! What one produce request costs in the pure part: finding it, reading it, deciding on it, settling it.
//!
//! Every group names its input. Targets on one core: observe and settle 150 ns hot and
//! 400 ns at a million pairs in random order; parse and observe of one partition 300 ns.

#![expect(missing_docs, reason = "criterion's group is public and has no room for a comment")]

mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use seqgate_protocol::sequencing::{ConnectionId, TopicRef, Tracker, TrackerLimits};
use seqgate_protocol::session::{Admission, Session};
use seqgate_protocol::wire::frame::{Piece, RequestSplitter};
use seqgate_protocol::wire::head::{RequestHead, RequestPrefix};
use seqgate_protocol::wire::produce::{self, AnswerEntry, OwnedTopic, ProduceRequest};

use support::frames::{RECORDS, Request, Response, TOPIC, batch_16k};
use support::single::{NOW, Single, admit, present};
use support::track::step;

const VERSIONS: [i16; 2] = [9, 13];

/// Pairs of the large tracker: as many as fit by default.
const PAIRS: u32 = 1 << 20;
const PARTITIONS: u32 = 1 << 10;
/// What is read at random for comparison: as much as the pairs take.
const READ_BYTES: u32 = 1 << 28;
/// In a smoke test, enough to run every line.
const PAIRS_SMOKE: u32 = 1 << 10;

criterion_group!(benches, split, peek, parse, track_hot, parse_and_track, track_many, session, duplicate, edit);
criterion_main!(benches);

/// Five requests of one 16 KiB batch in one buffer: from bytes to frames.
fn split(c: &mut Criterion) {
    let frame = Request::one(9).frame;
    let buffer = frame.repeat(5);
    let mut group = c.benchmark_group("split");
    group.throughput(Throughput::Elements(5));
    group.bench_function("five requests of 16 KiB, gathered", |b| {
        b.iter(|| {
            let (mut splitter, mut rest, mut found) = (RequestSplitter::new(u32::MAX), black_box(&buffer[..]), 0);
            loop {
                match splitter.next(rest).expect("whole frames") {
                    Piece::Begin { head, .. } => {
                        black_box(RequestPrefix::new(head));
                        splitter.gather();
                    }
                    Piece::Frame(count) | Piece::Run(count) => {
                        rest = &rest[count..];
                        found += 1;
                    }
                    Piece::More(_) => break found,
                }
            }
        });
    });
    group.finish();
}

/// The header of a request: api, version, correlation id, client id, tags.
fn peek(c: &mut Criterion) {
    let frame = Request::one(9).frame;
    c.bench_function("peek/header of a v9 request", |b| {
        b.iter(|| RequestHead::parse(black_box(&frame[4..])).map(|head| head.body_at));
    });
}

/// One partition, one batch of 16 KiB: the walk to the last byte, and its entry's batch.
fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    for version in VERSIONS {
        let frame = Request::one(version).frame;
        let body_at = 4 + RequestHead::parse(&frame[4..]).expect("our own").body_at;
        group.bench_function(format!("one partition of 16 KiB, v{version}"), |b| {
            b.iter(|| {
                let request = ProduceRequest::parse(version, black_box(&frame[body_at..])).expect("our own");
                let entry = request.entries().next().expect("one partition");
                entry.records.batch().map(|view| view.base_sequence())
            });
        });
    }
    group.finish();
}

/// One pair, in order, acknowledged at once; the window has its default 32 batches and is full.
fn track_hot(c: &mut Criterion) {
    let mut tracker = Tracker::new(TrackerLimits::default());
    tracker.introduce(TopicRef::Name(TOPIC), None, None, NOW);
    let (mut sequence, mut offset) = (0, 0);
    for _ in 0..100 {
        step(&mut tracker, (0, 7), next(&mut sequence), &mut offset);
    }
    c.bench_function("track/observe and settle, one pair", |b| {
        b.iter(|| step(&mut tracker, (0, 7), next(&mut sequence), &mut offset));
    });
}

/// Both of the above: more than the target of parse and observe counts, which ends where the request goes.
fn parse_and_track(c: &mut Criterion) {
    let mut tracker = Tracker::new(TrackerLimits::default());
    tracker.introduce(TopicRef::Name(TOPIC), None, None, NOW);
    let (mut sequence, mut offset) = (0, 0);
    let frame = Request::one(9).frame;
    let body_at = 4 + RequestHead::parse(&frame[4..]).expect("our own").body_at;
    c.bench_function("track/parse, observe and settle one partition of 16 KiB, v9", |b| {
        b.iter(|| {
            let request = ProduceRequest::parse(9, black_box(&frame[body_at..])).expect("our own");
            let entry = request.entries().next().expect("one partition");
            black_box(entry.records.batch().map(|view| view.base_sequence())).expect("a batch");
            step(&mut tracker, (0, 7), next(&mut sequence), &mut offset);
        });
    });
}

/// A million pairs (1,024 partitions of 1,024 producers) with five batches each, visited in an order without pattern: all
/// of them once, then all of them again, so that the bench itself has nothing to look up. Beside it, what this machine
/// takes for one read that misses the cache: the tracker cannot do with fewer than two, the second of which depends on
/// the first.
fn track_many(c: &mut Criterion) {
    let pairs = if is_smoke_test() { PAIRS_SMOKE } else { PAIRS };
    let mut tracker = Tracker::new(TrackerLimits { window: 5, producers_max: PAIRS, ..TrackerLimits::default() });
    tracker.introduce(TopicRef::Name(TOPIC), None, None, NOW);
    let mut offsets = vec![0; PARTITIONS as usize];
    let mut turns = 0_u32;
    let mut turn = |pair: u32| {
        let place @ (partition, _) = ((pair % PARTITIONS).cast_signed(), i64::from(pair / PARTITIONS));
        // Started over long before the numbers end: 16 a round, and some hundred rounds.
        step(&mut tracker, place, (turns / pairs).cast_signed() * RECORDS, &mut offsets[partition as usize]);
        turns += 1;
    };
    // In the order in which they lie in memory, which the rounds that are measured do not keep to.
    (0..5).for_each(|_| (0..pairs).for_each(&mut turn));
    let mut order = (0..u32::MAX).map(|n| scatter(n, pairs));
    c.bench_function("track/observe and settle, a million pairs in random order", |b| {
        b.iter(|| turn(order.next().expect("fewer than 2^32")));
    });
    let places = if is_smoke_test() { PAIRS_SMOKE } else { READ_BYTES / 64 };
    let mut memory = vec![[0_u32; 16]; places as usize];
    for n in 0..places {
        memory[scatter(n, places) as usize][0] = scatter((n + 1) % places, places);
    }
    let mut at = 0;
    c.bench_function("track/one random read, for comparison", |b| {
        b.iter(|| {
            at = memory[at as usize][0];
            at
        });
    });
}

/// The `n`th place of `places`, a power of two, in an order without pattern that meets each of them once.
fn scatter(n: u32, places: u32) -> u32 {
    let mask = places - 1;
    let half = places.trailing_zeros() / 2;
    let mut mixed = n & mask;
    for factor in [0x9e37_79b1_u32, 0x85eb_ca6b, 0xc2b2_ae35] {
        mixed = mixed.wrapping_mul(factor) & mask;
        mixed ^= mixed >> half;
    }
    mixed
}

/// A whole request through a session: one partition of 16 KiB, in order, answered at once.
fn session(c: &mut Criterion) {
    let mut group = c.benchmark_group("session");
    for version in VERSIONS {
        let mut session = Session::new(ConnectionId(0), Single::default());
        let (mut request, mut response) = (Request::one(version), Response::new(version, &[0]));
        let (mut sequence, mut offset) = (0, 0);
        let mut turn = || {
            request.set_batches(7, next(&mut sequence));
            let pending = admit(&mut session, black_box(&request.frame));
            offset += i64::from(RECORDS);
            response.set(0, offset);
            let _unchanged = session.settle(pending, black_box(&response.frame), NOW, &mut |_| {});
        };
        group.bench_function(format!("admit and settle one partition of 16 KiB, v{version}"), |b| {
            b.iter(&mut turn);
        });
    }
    group.finish();
}

/// An acknowledged request of one partition and 16 KiB comes again: the answer is made, checked and dropped.
fn duplicate(c: &mut Criterion) {
    let mut session = Session::new(ConnectionId(0), Single::default());
    let (request, mut response) = (Request::one(9), Response::new(9, &[0]));
    let pending = admit(&mut session, &request.frame);
    response.set(0, 100);
    let _unchanged = session.settle(pending, &response.frame, NOW, &mut |_| {});
    c.bench_function("duplicate/answer one partition of 16 KiB, v9", |b| {
        b.iter(|| {
            let admission = session.admit(black_box(&request.frame), false, &present(), &mut |_| {});
            let Admission::Answer(local) = admission else { panic!("a duplicate is answered, not {admission:?}") };
            assert!(session.still_holds(&local, NOW));
        });
    });
}

/// Two partitions of 16 KiB, of which one is left out of the request and put back into the answer.
fn edit(c: &mut Criterion) {
    let request = Request::new(9, 0, &[batch_16k(7, 0), batch_16k(7, 0)]).frame;
    let response = Response::new(9, &[1]).frame;
    let kept = [AnswerEntry {
        topic: OwnedTopic::Name(TOPIC.into()),
        partition: 0,
        error: 0,
        base_offset: 100,
        log_append_time: -1,
        log_start_offset: 0,
    }];
    let mut group = c.benchmark_group("edit");
    group.bench_function("strip one of two partitions of 16 KiB", |b| {
        b.iter(|| produce::strip(black_box(&request), |at| at != 0).expect("our own"));
    });
    group.bench_function("merge one answer into one", |b| {
        b.iter(|| produce::merge(9, black_box(&response), &kept).expect("our own"));
    });
    group.finish();
}

/// The sequence that comes next; started over long before the numbers end.
fn next(sequence: &mut i32) -> i32 {
    let this = *sequence;
    *sequence = this.wrapping_add(RECORDS) & i32::MAX;
    this
}

/// Cargo passes `--bench` when figures are wanted.
fn is_smoke_test() -> bool {
    let args: Vec<String> = std::env::args().collect();
    !args.iter().any(|arg| arg == "--bench") || args.iter().any(|arg| arg == "--test")
}
