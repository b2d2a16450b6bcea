//! A session against whole frames, where scenarios cannot reach.

mod answers;
mod by_head;
mod enforce;
mod ledgers;
mod look_up;
mod memory;
mod settle;
mod stream;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::*;
use crate::event::{Action, Rule, Verdict};
use crate::sequencing::TrackerLimits;
use crate::wire::samples::{GOLDEN_RESPONSES, GOLDEN_TOPIC_ID, golden_requests, hex};

/// One cluster's memory.
#[derive(Clone, Debug)]
struct Memory(Rc<Inner>);

/// The batches, the topics, whether it is tainted, and how often it has told those who wait.
#[derive(Debug)]
struct Inner(RefCell<Tracker>, RefCell<Directory>, Cell<bool>, Cell<u32>);

impl Memory {
    fn new() -> Self {
        let tracker = RefCell::new(Tracker::new(TrackerLimits::default()));
        Self(Rc::new(Inner(tracker, RefCell::default(), Cell::default(), Cell::default())))
    }

    /// How often it has told those who wait.
    fn told(&self) -> u32 {
        self.0.3.get()
    }

    fn open_attempts(&self) -> u32 {
        self.0.0.borrow().open_attempts()
    }
}

impl Ledger for Memory {
    fn tracker<R>(&self, _partition: i32, act: impl FnOnce(&mut Tracker) -> R) -> R {
        act(&mut self.0.0.borrow_mut())
    }

    fn each_tracker(&self, mut act: impl FnMut(&mut Tracker)) {
        act(&mut self.0.0.borrow_mut());
    }

    fn directory<R>(&self, act: impl FnOnce(&mut Directory) -> R) -> R {
        act(&mut self.0.1.borrow_mut())
    }

    fn is_tainted(&self) -> bool {
        self.0.2.get()
    }

    fn taint(&self) {
        self.0.2.set(true);
    }

    fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    fn settled(&self) {
        self.0.3.set(self.0.3.get() + 1);
    }
}

fn present() -> Present {
    Present {
        now: Millis(1000),
        broker: BrokerGeneration { broker: 1, generation: 0 },
        policy: Policy {
            mode: Mode::Dedupe,
            mixed: Mixed::Strip,
            authoritative: false,
            look_up: false,
            producer_expiration_ms: 0,
        },
        serves_without_sasl: true,
        keep_bytes_max: usize::MAX,
        may_look: false,
        guards: false,
        unix_ms: 0,
    }
}

fn session(ledger: &Memory) -> Session<Memory> {
    Session::new(ConnectionId(1), ledger.clone())
}

fn admit(session: &mut Session<Memory>, frame: &[u8]) -> Admission {
    session.admit(frame, false, &present(), &mut |_: Event<'_>| {})
}

/// The golden request of the layout that `version` has, in that version.
fn request(version: i16) -> Vec<u8> {
    let layout = match version {
        ..=8 => 3,
        9..=12 => 9,
        _ => 13,
    };
    let (_, mut frame) = golden_requests().into_iter().find(|(v, _)| *v == layout).expect("a golden request");
    frame[6..8].copy_from_slice(&version.to_be_bytes());
    frame
}

#[test]
#[expect(non_snake_case, reason = "the case's name")]
fn synthesised_response_vN_golden() {
    for (version, response) in GOLDEN_RESPONSES {
        let ledger = Memory::new();
        let mut session = session(&ledger);
        let topic = crate::sequencing::TopicId(GOLDEN_TOPIC_ID);
        ledger.0.0.borrow_mut().introduce(
            crate::sequencing::TopicRef::Id(topic),
            Some(b"t"),
            Some(topic),
            Millis(1000),
        );
        // The proof comes by another version, whose answer has a log start.
        let Admission::Forward(Some(pending)) = admit(&mut session, &request(9)) else { panic!("v{version}") };
        let golden = GOLDEN_RESPONSES.into_iter().find(|(v, _)| *v == 9).map(|(_, text)| hex(text));
        let settled = session.settle(pending, &golden.expect("v9"), Millis(1000), &mut |_: Event<'_>| {});
        assert!(matches!(settled, Settled::Unchanged));
        let Admission::Answer(local) = admit(&mut session, &request(version)) else { panic!("v{version}") };
        assert_eq!(local.frame(), hex(response), "v{version}");
        assert!(session.still_holds(&local, present().now));
    }
}

#[test]
fn versions_before_producer_ids_are_tracked_and_never_answered() {
    for version in 0..=2 {
        let ledger = Memory::new();
        let mut session = session(&ledger);
        let early = early_request(version);
        let Admission::Forward(Some(pending)) = admit(&mut session, &early) else { panic!("v{version}") };
        assert_eq!(ledger.open_attempts(), 1, "v{version}");
        session.abandon(pending, Millis(1000));
        // The very batch is proven by a version that has producer ids, and answered to another one of those.
        let Admission::Forward(Some(pending)) = admit(&mut session, &request(9)) else { panic!("v{version}") };
        let golden = GOLDEN_RESPONSES.into_iter().find(|(v, _)| *v == 9).map(|(_, text)| hex(text)).expect("v9");
        session.settle(pending, &golden, Millis(1000), &mut |_: Event<'_>| {});
        assert!(matches!(admit(&mut session, &request(3)), Admission::Answer(_)));
        let mut seen = Vec::new();
        let admission = session.admit(&early, false, &present(), &mut |event: Event<'_>| {
            if let Event::Batch(batch) = event {
                seen.push((batch.verdict, batch.action));
            }
        });
        assert!(matches!(admission, Admission::Forward(Some(_))), "v{version}: {admission:?}");
        assert_eq!(seen, [(Verdict::Duplicate, Action::Forwarded)], "v{version}");
    }
}

/// The golden request in a version before 3, whose layout is that of 3 without the transactional id.
fn early_request(version: i16) -> Vec<u8> {
    let mut frame = request(3);
    let body_at = 4 + 8 + 3;
    frame.drain(body_at..body_at + 2);
    frame[6..8].copy_from_slice(&version.to_be_bytes());
    let length = u32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

#[test]
fn a_streamed_request_keeps_its_claims_where_they_were_made() {
    let (first, second) = (Memory::new(), Memory::new());
    let mut session = session(&first);
    let mut quiet = |_: Event<'_>| {};
    let frame = two_topics();
    let size = u32::try_from(frame.len() - 4).unwrap();
    let mut streamed = session.begin_stream(&frame[..40], size, &mut quiet).expect("the header is there");
    let (front, rest) = frame.split_at(110);
    assert!(session.stream(&mut streamed, front, &present(), &mut quiet));
    assert_eq!(first.open_attempts(), 1);
    assert!(session.switch(second.clone()));
    assert!(session.stream(&mut streamed, rest, &present(), &mut quiet));
    let pending = session.end_stream(streamed, &present()).expect("an answer will come");
    session.abandon(pending, Millis(1000));
    assert_eq!((first.open_attempts(), second.open_attempts()), (1, 0), "one is of unknown outcome");
    assert!(second.is_tainted());
}

/// The golden v3 request with its topic twice, the second time as `u`.
fn two_topics() -> Vec<u8> {
    with_topics(&[b"t", b"u"])
}

/// The golden v3 request with its batch on partition 0 of these topics.
fn with_topics(names: &[&[u8]]) -> Vec<u8> {
    let golden = request(3);
    let topics_at = 4 + 8 + 3 + 2 + 2 + 4;
    let mut frame = golden[..topics_at].to_vec();
    frame.extend(u32::try_from(names.len()).unwrap().to_be_bytes());
    for name in names {
        frame.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(name);
        frame.extend_from_slice(&golden[topics_at + 4 + 3..]);
    }
    let length = u32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

/// A topic that stands in a request twice is looked for by a hash of its name.
#[test]
fn long_names_that_begin_alike_are_not_one_topic() {
    let ledger = Memory::new();
    let rules = |last: &[u8]| {
        let (one, other) = ([b'x'; 249], [&[b'x'; 248][..], last].concat());
        let mut rules = Vec::new();
        let frame = with_topics(&[&one[..], &other[..]]);
        let admission = session(&ledger).admit(&frame, false, &present(), &mut |event: Event<'_>| {
            if let Event::Batch(batch) = event {
                rules.push(batch.rule);
            }
        });
        let Admission::Forward(Some(pending)) = admission else { panic!("{admission:?}") };
        session(&ledger).abandon(pending, Millis(1000));
        rules
    };
    assert_eq!(rules(b"y"), [Rule::D5, Rule::D5]);
    assert_eq!(rules(b"xx"), [Rule::D11, Rule::T36], "no broker has a topic of so long a name");
    assert_eq!(rules(b"x"), [Rule::D2, Rule::D2]);
}

/// D2: what becomes of a request around it cannot be foretold.
#[test]
fn a_duplicate_beside_an_opaque_batch_goes_with_it() {
    let mut session = session(&Memory::new());
    let Admission::Forward(Some(pending)) = admit(&mut session, &request(3)) else { panic!("forwarded") };
    session.settle(pending, &hex(GOLDEN_RESPONSES[0].1), Millis(1000), &mut |_: Event<'_>| {});
    let mut both = two_topics();
    let Admission::Strip { pending, .. } = admit(&mut session, &both) else { panic!("stripped") };
    session.abandon(pending, Millis(1000));
    // The attributes of the second batch: a control batch.
    both[42 + 79 + 15 + 22] |= 0x20;
    let Admission::Forward(Some(pending)) = admit(&mut session, &both) else { panic!("forwarded") };
    session.abandon(pending, Millis(1000));
}

#[test]
fn a_streamed_request_that_is_cut_off_is_of_unknown_outcome() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let mut quiet = |_: Event<'_>| {};
    let frame = two_topics();
    let mut streamed = session.begin_stream(&frame[..40], u32::try_from(frame.len() - 4).unwrap(), &mut quiet).unwrap();
    for byte in frame[..150].chunks(1) {
        assert!(session.stream(&mut streamed, byte, &present(), &mut quiet));
    }
    session.cut_stream(streamed, &present());
    let mut unknown = 0;
    ledger.each_tracker(|tracker| {
        tracker.report(0, 10, Millis(1000), |report| {
            unknown += report.unknown;
            true
        });
    });
    assert_eq!((unknown, ledger.open_attempts()), (1, 1));
    assert_eq!(ledger.told(), 1);
}

#[test]
fn a_streamed_request_that_does_not_parse_to_its_end_proves_nothing() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let mut quiet = |_: Event<'_>| {};
    let mut frame = two_topics();
    let second_name_at = frame.iter().rposition(|byte| *byte == b'u').unwrap();
    frame[second_name_at - 2] = 0x80;
    let size = u32::try_from(frame.len() - 4).unwrap();
    let mut streamed = session.begin_stream(&frame[..40], size, &mut quiet).expect("the header is there");
    assert!(session.stream(&mut streamed, &frame, &present(), &mut quiet));
    assert_eq!(ledger.open_attempts(), 1);
    let pending = session.end_stream(streamed, &present()).expect("an answer will come");
    session.settle(pending, &hex(GOLDEN_RESPONSES[0].1), Millis(1000), &mut quiet);
    assert!(matches!(admit(&mut session, &request(3)), Admission::Forward(Some(_))));
}

#[test]
fn a_frame_whose_header_cannot_be_read_is_not_streamed_and_taints() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let mut unread = Vec::new();
    let streamed = session.begin_stream(&request(99)[..40], 1_000, &mut |event: Event<'_>| {
        if let Event::Unread(why) = event {
            unread.push(why);
        }
    });
    assert!(streamed.is_none() && session.is_unsure() && ledger.is_tainted());
    assert_eq!(unread, [crate::event::Unread::Undecodable]);
}

#[test]
fn a_refused_step_of_an_exchange_is_no_success() {
    use crate::wire::learn::Fact;
    let mut session = session(&Memory::new());
    let told = |session: &mut Session<Memory>, error| {
        session.auth_mut().exchange_begins();
        let facts = [
            Fact::SaslAuthenticate { error, session_lifetime_ms: 0 },
            Fact::Broker { node_id: 1, host: b"b", port: 9092 },
        ];
        for fact in facts {
            session.learn(fact, 1, &present(), &mut |_: Event<'_>| {});
        }
        session.auth().allows_answers(false, Millis(1000))
    };
    assert!(!told(&mut session, 58));
    assert!(told(&mut session, 0));
}

#[test]
fn a_topic_deleted_by_id_is_gone_under_its_name_too() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let id = crate::sequencing::TopicId(GOLDEN_TOPIC_ID);
    ledger.directory(|directory| directory.learn(b"t", id));
    // Whoever introduced it had looked the id up a moment too early.
    ledger.each_tracker(|tracker| tracker.introduce(crate::sequencing::TopicRef::Name(b"t"), None, None, Millis(1000)));
    let Admission::Forward(Some(pending)) = admit(&mut session, &request(9)) else { panic!("forwarded") };
    let golden = GOLDEN_RESPONSES.into_iter().find(|(v, _)| *v == 9).map(|(_, text)| hex(text)).expect("v9");
    session.settle(pending, &golden, Millis(1000), &mut |_: Event<'_>| {});
    let fact = crate::wire::learn::Fact::DeletedTopic { error: 0, name: None, id: Some(id) };
    session.learn(fact, 6, &present(), &mut |_: Event<'_>| {});
    assert!(matches!(admit(&mut session, &request(9)), Admission::Forward(Some(_))));
}

#[test]
fn no_bytes_make_a_session_panic() {
    let ledger = Memory::new();
    for (_, frame) in golden_requests() {
        for at in 4..frame.len() {
            for bits in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut damaged = frame.clone();
                damaged[at] ^= bits;
                let mut session = session(&ledger);
                if let Admission::Forward(Some(pending)) = admit(&mut session, &damaged) {
                    session.settle(pending, &damaged, Millis(1000), &mut |_: Event<'_>| {});
                }
                let cut = &frame[..at];
                if let Admission::Forward(Some(pending)) = admit(&mut session, cut) {
                    session.abandon(pending, Millis(1000));
                }
            }
        }
    }
}

/// What is noted of each partition would take far more memory than the frame.
#[test]
fn a_request_of_very_many_partitions_is_tracked_like_one_too_large_to_hold() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let mut reasons = Vec::new();
    let frame = partitions_without_records(5_000);
    let admission = session.admit(&frame, false, &present(), &mut |event: Event<'_>| {
        if let Event::Unread(why) = event {
            reasons.push(why);
        }
    });
    let Admission::Stream(mut streamed) = admission else { panic!("{admission:?}") };
    assert_eq!(reasons, [crate::event::Unread::TooLarge]);
    assert!(session.stream(&mut streamed, &frame, &present(), &mut |_: Event<'_>| {}));
    let pending = session.end_stream(*streamed, &present()).expect("an answer will come");
    session.abandon(pending, Millis(0));
    assert!(!ledger.is_tainted(), "it parses to its end");
    assert_eq!(session.observed.capacity(), 0);
}

#[test]
fn a_request_of_as_many_partitions_as_are_held_is_not_streamed() {
    let mut session = session(&Memory::new());
    assert!(matches!(admit(&mut session, &partitions_without_records(4_096)), Admission::Forward(Some(_))));
    assert!(matches!(admit(&mut session, &partitions_without_records(4_097)), Admission::Stream(_)));
}

#[test]
fn a_request_says_how_long_its_broker_may_wait() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    for (wire, told) in [(30_000_i32, 30_000), (-1, 0)] {
        let mut frame = request(3);
        frame[19..23].copy_from_slice(&wire.to_be_bytes());
        let Admission::Forward(Some(pending)) = admit(&mut session, &frame) else { panic!("forwarded") };
        assert_eq!(pending.timeout_ms(), told);
        session.abandon(pending, Millis(1000));
        let size = u32::try_from(frame.len() - 4).unwrap();
        let mut streamed = session.begin_stream(&frame[..40], size, &mut |_: Event<'_>| {}).unwrap();
        assert!(session.stream(&mut streamed, &frame, &present(), &mut |_: Event<'_>| {}));
        let pending = session.end_stream(streamed, &present()).expect("an answer will come");
        assert_eq!(pending.timeout_ms(), told);
        session.abandon(pending, Millis(1000));
    }
}

/// Produce v3 of one topic, with null records for every partition.
fn partitions_without_records(count: i32) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend([0, 0, 0, 3, 0, 0, 0, 9, 0xff, 0xff]);
    body.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0x75, 0x30]);
    body.extend([0, 0, 0, 1, 0, 1, b't']);
    body.extend(count.to_be_bytes());
    for partition in 0..count {
        body.extend(partition.to_be_bytes());
        body.extend((-1_i32).to_be_bytes());
    }
    let mut frame = i32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(body);
    frame
}

/// The mode has changed while the first batch of a producer waits for a look.
#[test]
fn what_would_have_to_wait_is_tracked_in_observe_mode() {
    let ledger = Memory::new();
    let mut first = memory::wide(2);
    let batch = hex(crate::wire::samples::GOLDEN_BATCH);
    let at = first.windows(batch.len()).position(|window| window == batch).expect("it holds the golden batch") + 53;
    first[at..at + 4].fill(0);
    let policy = Policy { look_up: true, ..present().policy };
    let looking = Present { may_look: true, guards: true, policy, ..present() };
    let mut waits = session(&ledger);
    let admission = waits.admit(&first, false, &looking, &mut |_: Event<'_>| {});
    assert!(matches!(admission, Admission::Look(_)), "{admission:?}");
    let policy = Policy { mode: Mode::Observe, ..policy };
    let observing = Present { policy, ..looking };
    let mut other = Session::new(ConnectionId(2), ledger.clone());
    let admission = other.admit(&request(3), false, &observing, &mut |_: Event<'_>| {});
    let Admission::Forward(Some(pending)) = admission else { panic!("{admission:?}") };
    assert_eq!(ledger.open_attempts(), 1);
    other.abandon(pending, Millis(1000));
}
