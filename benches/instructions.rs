//! Instructions per operation, which no other program on the machine changes.
//!
//! Every case runs under callgrind twice, with a number of operations and with twice as many; the difference is what
//! they take, without what comes before them. Inputs are those of `hot_path`: 16 KiB batches, one partition, in
//! order. Without valgrind, and as a smoke test, each case just runs.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "support/mod.rs"]
mod support;

use std::env;
use std::hint::black_box;
use std::process::Command;

use seqgate_protocol::sequencing::{ConnectionId, TopicRef, Tracker, TrackerLimits};
use seqgate_protocol::session::{Admission, Session};
use seqgate_protocol::wire::frame::{Piece, RequestSplitter};
use seqgate_protocol::wire::head::RequestHead;
use seqgate_protocol::wire::produce::{self, AnswerEntry, OwnedTopic, ProduceRequest};

use support::frames::{RECORDS, Request, Response, TOPIC, batch_16k};
use support::single::{NOW, Single, admit, present};
use support::track::step;

const OPERATIONS: u64 = 2_000;
/// The argument by which this program, started again, runs one case.
const CASE: &str = "--case";

type Case = fn(u64);

const CASES: [(&str, Case); 10] = [
    ("split", split),
    ("head", head),
    ("parse-v9", parse::<9>),
    ("parse-v13", parse::<13>),
    ("observe-and-settle", track),
    ("admit-and-settle-v9", in_order::<9>),
    ("admit-and-settle-v13", in_order::<13>),
    ("answer-duplicate", duplicate),
    ("strip-one-of-two", strip),
    ("merge-one-into-one", merge),
];

fn main() {
    let args: Vec<String> = env::args().collect();
    if let [_, flag, name, operations] = args.as_slice()
        && flag == CASE
    {
        let (_, case) = CASES.iter().find(|(known, _)| known == name).expect("a case");
        return case(operations.parse().expect("a number"));
    }
    let wanted = args.iter().any(|arg| arg == "--bench") && !args.iter().any(|arg| arg == "--test");
    for (name, case) in CASES {
        if !wanted {
            case(10);
            continue;
        }
        let Some(instructions) = count(name) else {
            println!("instructions are not counted: valgrind is not there");
            return;
        };
        println!("{name:24} {instructions:>6} instructions");
    }
}

/// Instructions of one operation.
fn count(name: &str) -> Option<u64> {
    let once = collected(name, OPERATIONS)?;
    Some((collected(name, 2 * OPERATIONS)? - once) / OPERATIONS)
}

fn collected(name: &str, operations: u64) -> Option<u64> {
    let program = env::current_exe().ok()?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    let output = valgrind.args([CASE, name, &operations.to_string()]).output().ok()?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    log.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

fn split(operations: u64) {
    let buffer = Request::one(9).frame;
    for _ in 0..operations {
        let (mut splitter, rest) = (RequestSplitter::new(u32::MAX), black_box(&buffer[..]));
        let begun = splitter.next(rest);
        splitter.gather();
        assert!(matches!((begun, splitter.next(rest)), (Ok(Piece::Begin { .. }), Ok(Piece::Frame(_)))));
    }
}

fn head(operations: u64) {
    let frame = Request::one(9).frame;
    for _ in 0..operations {
        black_box(RequestHead::parse(black_box(&frame[4..]))).expect("our own");
    }
}

fn parse<const VERSION: i16>(operations: u64) {
    let frame = Request::one(VERSION).frame;
    let body_at = 4 + RequestHead::parse(&frame[4..]).expect("our own").body_at;
    for _ in 0..operations {
        let request = ProduceRequest::parse(VERSION, black_box(&frame[body_at..])).expect("our own");
        let entry = request.entries().next().expect("one partition");
        black_box(entry.records.batch()).expect("our own");
    }
}

fn track(operations: u64) {
    let mut tracker = Tracker::new(TrackerLimits::default());
    tracker.introduce(TopicRef::Name(TOPIC), None, None, NOW);
    let mut offset = 0;
    for n in 0..i32::try_from(operations).expect("few operations") {
        step(&mut tracker, (0, 7), n * RECORDS, &mut offset);
    }
}

fn in_order<const VERSION: i16>(operations: u64) {
    let mut session = Session::new(ConnectionId(0), Single::default());
    let (mut request, mut response) = (Request::one(VERSION), Response::new(VERSION, &[0]));
    for n in 0..i32::try_from(operations).expect("few operations") {
        request.set_batches(7, n * RECORDS);
        response.set(0, i64::from(n * RECORDS));
        let pending = admit(&mut session, black_box(&request.frame));
        let _unchanged = session.settle(pending, black_box(&response.frame), NOW, &mut |_| {});
    }
}

fn duplicate(operations: u64) {
    let mut session = Session::new(ConnectionId(0), Single::default());
    let (request, response) = (Request::one(9), Response::new(9, &[0]));
    let pending = admit(&mut session, &request.frame);
    let _unchanged = session.settle(pending, &response.frame, NOW, &mut |_| {});
    for _ in 0..operations {
        let admission = session.admit(black_box(&request.frame), false, &present(), &mut |_| {});
        assert!(matches!(black_box(admission), Admission::Answer(_)));
    }
}

fn strip(operations: u64) {
    let request = Request::new(9, 0, &[batch_16k(7, 0), batch_16k(7, 0)]).frame;
    for _ in 0..operations {
        black_box(produce::strip(black_box(&request), |at| at != 0)).expect("our own");
    }
}

fn merge(operations: u64) {
    let response = Response::new(9, &[1]).frame;
    let kept = [AnswerEntry {
        topic: OwnedTopic::Name(TOPIC.into()),
        partition: 0,
        error: 0,
        base_offset: 100,
        log_append_time: -1,
        log_start_offset: 0,
    }];
    for _ in 0..operations {
        black_box(produce::merge(9, black_box(&response), &kept)).expect("our own");
    }
}
