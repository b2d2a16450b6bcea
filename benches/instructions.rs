//! Instructions per operation, which no other program on the machine changes.
//!
//! Inputs are those of `hot_path`: 16 KiB batches, one partition, in order. Each case is one operation, behind a hundred of
//! its kind where it has a state. Counting takes valgrind and gungraun's runner, which must be of the library's version:
//! `cargo install gungraun-runner --version 0.20.0`. As a smoke test, each case just runs.

mod support;

use std::env;

fn main() {
    // Cargo passes `--bench` when figures are wanted; the runner starts this program again, under valgrind, with words of its
    // own.
    let is_counted = env::args().any(|arg| arg == "--bench" || arg.starts_with("--gungraun"));
    if is_counted && !env::args().any(|arg| arg == "--test") {
        counted::run();
    } else {
        cases::run_each();
    }
}

/// The operations, and what each of them takes.
mod cases {
    use std::hint::black_box;

    use seqgate_protocol::sequencing::{ConnectionId, TopicRef, Tracker, TrackerLimits};
    use seqgate_protocol::session::{Admission, Session};
    use seqgate_protocol::wire::frame::{Piece, RequestSplitter};
    use seqgate_protocol::wire::head::RequestHead;
    use seqgate_protocol::wire::produce::{self, AnswerEntry, OwnedTopic, ProduceRequest};

    use crate::support::frames::{RECORDS, Request, Response, TOPIC, batch_16k};
    use crate::support::single::{NOW, Single, admit, present};
    use crate::support::track::step;

    /// The window is full then, and what memory is asked for is there.
    const BEFORE: i32 = 100;

    pub(super) fn run_each() {
        split(&frame(9));
        head(&frame(9));
        for version in [9, 13] {
            parse(version, &body(version));
            admit_and_settle(&mut Client::new(version));
        }
        observe_and_settle(&mut Tracked::new());
        answer_duplicate(&mut Client::again());
        strip(&frame_of_two());
        merge(&Answers::new());
    }

    pub(super) fn frame(version: i16) -> Vec<u8> {
        Request::one(version).frame
    }

    pub(super) fn body(version: i16) -> Vec<u8> {
        RequestHead::parse(&frame(version)[4..]).expect("our own").body.to_vec()
    }

    pub(super) fn frame_of_two() -> Vec<u8> {
        Request::new(9, 0, &[batch_16k(7, 0), batch_16k(7, 0)]).frame
    }

    pub(super) fn split(frame: &[u8]) {
        let mut splitter = RequestSplitter::new(u32::MAX);
        let begun = splitter.next(frame);
        splitter.gather();
        assert!(matches!((begun, splitter.next(frame)), (Ok(Piece::Begin { .. }), Ok(Piece::Frame(_)))));
    }

    pub(super) fn head(frame: &[u8]) {
        black_box(RequestHead::parse(&frame[4..])).expect("our own");
    }

    pub(super) fn parse(version: i16, body: &[u8]) {
        let request = ProduceRequest::parse(version, black_box(body)).expect("our own");
        let entry = request.entries().next().expect("one partition");
        black_box(entry.records.batch()).expect("our own");
    }

    /// A tracker that knows one pair.
    pub(super) struct Tracked {
        tracker: Tracker,
        sequence: i32,
        offset: i64,
    }

    impl Tracked {
        pub(super) fn new() -> Box<Self> {
            let mut tracker = Tracker::new(TrackerLimits::default());
            tracker.introduce(TopicRef::Name(TOPIC), None, None, NOW);
            let mut tracked = Box::new(Self { tracker, sequence: 0, offset: 0 });
            (0..BEFORE).for_each(|_| observe_and_settle(&mut tracked));
            tracked
        }
    }

    pub(super) fn observe_and_settle(tracked: &mut Tracked) {
        step(&mut tracked.tracker, (0, 7), tracked.sequence, &mut tracked.offset);
        tracked.sequence += RECORDS;
    }

    /// A session with a request, and the answer that it gets.
    pub(super) struct Client {
        session: Session<Single>,
        request: Request,
        response: Response,
    }

    impl Client {
        /// What it sends is new.
        pub(super) fn new(version: i16) -> Box<Self> {
            let session = Session::new(ConnectionId(0), Single::default());
            let (request, response) = (Request::one(version), Response::new(version, &[0]));
            let mut client = Box::new(Self { session, request, response });
            for turn in 0..BEFORE {
                client.is_at(turn);
                admit_and_settle(&mut client);
            }
            client.is_at(BEFORE);
            client
        }

        /// What it sends was acknowledged.
        pub(super) fn again() -> Box<Self> {
            let mut client = Self::new(9);
            client.is_at(BEFORE - 1);
            client
        }

        fn is_at(&mut self, turn: i32) {
            self.request.set_batches(7, turn * RECORDS);
            self.response.set(0, i64::from(turn * RECORDS));
        }
    }

    pub(super) fn admit_and_settle(client: &mut Client) {
        let pending = admit(&mut client.session, black_box(&client.request.frame));
        let _unchanged = client.session.settle(pending, black_box(&client.response.frame), NOW, &mut |_| {});
    }

    pub(super) fn answer_duplicate(client: &mut Client) {
        let admission = client.session.admit(black_box(&client.request.frame), false, &present(), &mut |_| {});
        assert!(matches!(black_box(admission), Admission::Answer(_)));
    }

    pub(super) fn strip(frame: &[u8]) {
        black_box(produce::strip(black_box(frame), |at| at != 0)).expect("our own");
    }

    /// A broker's answer, and one that was kept back.
    pub(super) struct Answers {
        response: Vec<u8>,
        kept: [AnswerEntry; 1],
    }

    impl Answers {
        pub(super) fn new() -> Self {
            let kept = AnswerEntry {
                topic: OwnedTopic::Name(TOPIC.into()),
                partition: 0,
                error: 0,
                base_offset: 100,
                log_append_time: -1,
                log_start_offset: 0,
            };
            Self { response: Response::new(9, &[1]).frame, kept: [kept] }
        }
    }

    pub(super) fn merge(answers: &Answers) {
        black_box(produce::merge(9, black_box(&answers.response), &answers.kept)).expect("our own");
    }
}

/// The same, as gungraun counts them. States are handed back: their end is not counted.
mod counted {
    use gungraun::{library_benchmark, library_benchmark_group};

    use super::cases::{self, Answers, Client, Tracked, body, frame, frame_of_two};

    #[library_benchmark]
    #[bench::gathered(frame(9))]
    fn split(frame: Vec<u8>) -> Vec<u8> {
        cases::split(&frame);
        frame
    }

    #[library_benchmark]
    #[bench::v9(frame(9))]
    fn head(frame: Vec<u8>) -> Vec<u8> {
        cases::head(&frame);
        frame
    }

    #[library_benchmark]
    #[bench::v9(9, body(9))]
    #[bench::v13(13, body(13))]
    fn parse(version: i16, body: Vec<u8>) -> Vec<u8> {
        cases::parse(version, &body);
        body
    }

    #[library_benchmark]
    #[bench::in_order(Tracked::new())]
    fn observe_and_settle(mut tracked: Box<Tracked>) -> Box<Tracked> {
        cases::observe_and_settle(&mut tracked);
        tracked
    }

    #[library_benchmark]
    #[bench::v9(Client::new(9))]
    #[bench::v13(Client::new(13))]
    fn admit_and_settle(mut client: Box<Client>) -> Box<Client> {
        cases::admit_and_settle(&mut client);
        client
    }

    #[library_benchmark]
    #[bench::v9(Client::again())]
    fn answer_duplicate(mut client: Box<Client>) -> Box<Client> {
        cases::answer_duplicate(&mut client);
        client
    }

    #[library_benchmark]
    #[bench::one_of_two(frame_of_two())]
    fn strip(frame: Vec<u8>) -> Vec<u8> {
        cases::strip(&frame);
        frame
    }

    #[library_benchmark]
    #[bench::one_into_one(Answers::new())]
    fn merge(answers: Answers) -> Answers {
        cases::merge(&answers);
        answers
    }

    library_benchmark_group!(
        name = pure;
        benchmarks = split, head, parse, observe_and_settle, admit_and_settle, answer_duplicate, strip, merge
    );

    gungraun::main!(library_benchmark_groups = pure);

    pub(super) fn run() {
        main();
    }
}
