//! D18 in enforce mode: refused where its leader has just said that it would, and forwarded everywhere else.

use super::*;
use crate::wire::samples::GOLDEN_REFUSAL_V9;

/// Of the golden batch, and a little later.
const NOW_UNIX_MS: i64 = 2_000;
/// Where the golden batch's producer number stands in the golden v9 request, and where its batch begins.
const PRODUCER_AT: usize = BATCH_AT + 43;
const BATCH_AT: usize = 32;

fn enforcing() -> Present {
    let policy = Policy {
        mode: Mode::Enforce,
        authoritative: true,
        look_up: true,
        producer_expiration_ms: 86_400_000,
        ..present().policy
    };
    Present { policy, may_look: true, unix_ms: NOW_UNIX_MS, ..present() }
}

/// The golden v9 request with other sequences; its checksum is right.
fn from(base: i32) -> Vec<u8> {
    let mut frame = request(9);
    assert_eq!(frame[PRODUCER_AT..PRODUCER_AT + 8], 7_i64.to_be_bytes());
    frame[BATCH_AT + 53..BATCH_AT + 57].copy_from_slice(&base.to_be_bytes());
    sign(&mut frame);
    frame
}

fn sign(frame: &mut [u8]) {
    let end = BATCH_AT + 0x4f;
    let crc = crc32c::crc32c(&frame[BATCH_AT + 21..end]);
    frame[BATCH_AT + 17..BATCH_AT + 21].copy_from_slice(&crc.to_be_bytes());
}

/// What the leader says when it is asked.
#[derive(Clone, Copy)]
struct Leader {
    understands: bool,
    error: i16,
    producer: i64,
    epoch: i32,
    last_sequence: i32,
    last_timestamp: i64,
    leads: i16,
}

/// It would refuse everything but 7.
const REFUSES: Leader =
    Leader { understands: true, error: 0, producer: 7, epoch: 0, last_sequence: 6, last_timestamp: 1_000, leads: 0 };

impl Leader {
    fn answer(self, request: &[u8]) -> Vec<u8> {
        let (id, throttle) = (&request[8..12], &[0; 4][..]);
        match request[5] {
            3 => answers::answer_by_id(request),
            18 => {
                let api = if self.understands { 61_i16 } else { 60 };
                [id, &[0, 0, 0, 0, 0, 1], &api.to_be_bytes(), &[0; 4]].concat()
            }
            61 => {
                let producer = [
                    &self.producer.to_be_bytes()[..],
                    &self.epoch.to_be_bytes(),
                    &self.last_sequence.to_be_bytes(),
                    &self.last_timestamp.to_be_bytes(),
                    &[0xff; 12],
                    &[0],
                ];
                let partition = [&[0, 0, 0, 0][..], &self.error.to_be_bytes(), &[0, 2], &producer.concat(), &[0; 3]];
                [id, &[0], throttle, &[2, 2, b't', 2], &partition.concat()].concat()
            }
            _ => {
                let partition = [&[0, 0, 0, 0][..], &self.leads.to_be_bytes(), &[0xff; 8], &200_i64.to_be_bytes()];
                [id, throttle, &[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1], &partition.concat()].concat()
            }
        }
    }
}

/// A session that has had the golden batch acknowledged.
fn acknowledged(ledger: &Memory) -> Session<Memory> {
    acknowledged_in(ledger, 9)
}

fn acknowledged_in(ledger: &Memory, version: i16) -> Session<Memory> {
    let mut session = session(ledger);
    let mut quiet = |_: Event<'_>| {};
    let first = Present { may_look: false, ..enforcing() };
    let Admission::Forward(Some(pending)) = session.admit(&request(version), false, &first, &mut quiet) else {
        panic!()
    };
    let golden = GOLDEN_RESPONSES.into_iter().find(|(v, _)| *v == version).map(|(_, text)| hex(text)).unwrap();
    session.settle(pending, &golden, Millis(1000), &mut quiet);
    session
}

/// Has the leader asked about a gap, as the proxy does; how often it was asked.
fn ask(session: &mut Session<Memory>, frame: &[u8], present: &Present, leader: Leader) -> usize {
    let mut asked = 0;
    let admission = session.admit(frame, false, present, &mut |_: Event<'_>| {});
    let Admission::Look(mut looks) = admission else {
        let Admission::Forward(Some(pending)) = admission else { panic!("{admission:?}") };
        session.abandon(pending, Millis(1000));
        return 0;
    };
    for look in &mut looks {
        while let Some(request) = look.request(5) {
            asked += 1;
            let answer = leader.answer(&request);
            match look.learner() {
                Some((learner, version)) => learner.feed(&answer, &mut |fact| {
                    session.learn(fact, version, present, &mut |_: Event<'_>| {});
                }),
                // However the bytes come.
                None => answer.chunks(7).for_each(|piece| look.feed(piece)),
            }
            assert!(!session.end_answer(look, Millis(1000)));
        }
        assert!(look.outcome().is_some());
    }
    assert!(session.looked(looks));
    asked
}

/// What becomes of the request once the leader was asked.
fn decided(session: &mut Session<Memory>, frame: &[u8]) -> (Admission, Vec<(Rule, Verdict, Action, bool)>) {
    let mut seen = Vec::new();
    let asked = Present { may_look: false, ..enforcing() };
    let admission = session.admit(frame, false, &asked, &mut |event: Event<'_>| {
        if let Event::Batch(batch) = event {
            seen.push((batch.rule, batch.verdict, batch.action, batch.new_gap));
        }
    });
    (admission, seen)
}

#[test]
fn gap_ahead_rejected_in_enforce_when_authoritative() {
    let ledger = Memory::new();
    let mut session = acknowledged(&ledger);
    for is_new in [true, false] {
        assert_eq!(ask(&mut session, &from(9), &enforcing(), REFUSES), 3);
        let (Admission::Answer(local), seen) = decided(&mut session, &from(9)) else { panic!() };
        assert_eq!(local.frame(), hex(GOLDEN_REFUSAL_V9));
        assert!(session.still_holds(&local, Millis(1000)));
        assert_eq!(seen, [(Rule::D18, Verdict::Gap, Action::Rejected, is_new)]);
        assert_eq!(ledger.open_attempts(), 0);
    }
    // What the leader said was for that request alone.
    let (admission, seen) = decided(&mut session, &from(9));
    assert!(matches!(admission, Admission::Forward(Some(_))));
    assert_eq!(seen, [(Rule::D18, Verdict::Gap, Action::Forwarded, false)]);
}

/// The leader is asked so many times, and the gap goes to it.
fn is_forwarded(leader: Leader, asked: usize) {
    let ledger = Memory::new();
    let mut session = acknowledged(&ledger);
    assert_eq!(ask(&mut session, &from(9), &enforcing(), leader), asked);
    let (admission, seen) = decided(&mut session, &from(9));
    assert!(matches!(admission, Admission::Forward(Some(_))));
    assert_eq!(seen, [(Rule::D18, Verdict::Gap, Action::Forwarded, true)]);
}

#[test]
fn gap_not_rejected_when_proof_older_than_expiry_by_record_time() {
    is_forwarded(Leader { last_timestamp: NOW_UNIX_MS - 43_200_000, ..REFUSES }, 2);
}

#[test]
fn describe_producers_from_follower_ignored() {
    is_forwarded(Leader { leads: 6, ..REFUSES }, 3);
}

#[test]
fn a_gap_is_not_refused_when_the_leader_expects_something_else() {
    for leader in [
        Leader { last_sequence: 8, ..REFUSES },
        Leader { last_sequence: 5, ..REFUSES },
        Leader { last_sequence: -1, ..REFUSES },
        Leader { epoch: 1, ..REFUSES },
        Leader { epoch: 65_536, ..REFUSES },
        Leader { producer: 8, ..REFUSES },
        Leader { error: 29, ..REFUSES },
        Leader { error: 3, ..REFUSES },
    ] {
        is_forwarded(leader, 2);
    }
}

#[test]
fn producers_are_asked_only_of_brokers_that_understand_it() {
    is_forwarded(Leader { understands: false, ..REFUSES }, 1);
}

/// Whom a partition's leader knows is told by the topic's name alone.
#[test]
fn a_gap_in_a_topic_of_which_only_the_id_is_known_is_refused_all_the_same() {
    let ledger = Memory::new();
    let mut session = acknowledged_in(&ledger, 13);
    let golden = request(13);
    let by_name = from(9);
    let records = &by_name[BATCH_AT..];
    let frame = [&golden[..golden.len() - records.len()], records].concat();
    assert_eq!(ask(&mut session, &frame, &enforcing(), REFUSES), 4);
    let (admission, seen) = decided(&mut session, &frame);
    assert!(matches!(admission, Admission::Answer(_)), "{admission:?}");
    assert_eq!(seen, [(Rule::D18, Verdict::Gap, Action::Rejected, true)]);
}

/// Whatever the beginning said.
#[test]
fn an_answer_that_is_longer_than_all_that_a_look_reads_is_too_far() {
    for leader in [REFUSES, Leader { error: 29, ..REFUSES }] {
        let mut session = acknowledged(&Memory::new());
        let admission = session.admit(&from(9), false, &enforcing(), &mut |_: Event<'_>| {});
        let Admission::Look(mut looks) = admission else { panic!("{admission:?}") };
        while let Some(request) = looks[0].request(5) {
            let mut answer = leader.answer(&request);
            if request[5] == 61 {
                answer.resize(16 << 20, 0);
            }
            looks[0].feed(&answer);
            assert!(!session.end_answer(&mut looks[0], Millis(1000)));
        }
        assert_eq!((looks[0].outcome(), looks[0].error()), (Some(LookUpOutcome::TooFar), None));
    }
}

#[test]
fn describe_producers_racing_inflight_discarded() {
    let ledger = Memory::new();
    let (mut session, mut quiet) = (acknowledged(&ledger), |_: Event<'_>| {});
    assert_eq!(ask(&mut session, &from(9), &enforcing(), REFUSES), 3);
    // What is missing is on its way meanwhile.
    let mut other = Session::new(ConnectionId(2), ledger.clone());
    let Admission::Forward(Some(_missing)) = other.admit(&from(7), false, &enforcing(), &mut quiet) else { panic!() };
    let (admission, _) = decided(&mut session, &from(9));
    assert!(matches!(admission, Admission::Forward(Some(_))), "{admission:?}");
}

#[test]
fn what_the_leader_said_ends_with_evidence_against_its_log() {
    let ledger = Memory::new();
    let mut session = acknowledged(&ledger);
    assert_eq!(ask(&mut session, &from(9), &enforcing(), REFUSES), 3);
    ledger.each_tracker(Tracker::end_cluster);
    let (admission, _) = decided(&mut session, &from(9));
    assert!(matches!(admission, Admission::Forward(Some(_))), "{admission:?}");
}

/// What is missing has been acknowledged meanwhile, and something else is missing now.
#[test]
fn what_the_leader_said_is_of_what_it_expected_then() {
    let ledger = Memory::new();
    let (mut session, mut quiet) = (acknowledged(&ledger), |_: Event<'_>| {});
    assert_eq!(ask(&mut session, &from(20), &enforcing(), REFUSES), 3);
    let mut other = Session::new(ConnectionId(2), ledger.clone());
    let Admission::Forward(Some(next)) = other.admit(&from(7), false, &enforcing(), &mut quiet) else { panic!() };
    let entry = AnswerEntry {
        topic: OwnedTopic::Name(b"t".as_slice().into()),
        partition: 0,
        error: 0,
        base_offset: 1_000,
        log_append_time: -1,
        log_start_offset: 0,
    };
    let answer = crate::wire::produce::answer(9, next.correlation_id(), &[entry]);
    assert!(matches!(other.settle(next, &answer, Millis(1000), &mut quiet), Settled::Unchanged));
    let (admission, seen) = decided(&mut session, &from(20));
    assert!(matches!(admission, Admission::Forward(Some(_))), "{admission:?}");
    assert_eq!(seen, [(Rule::D18, Verdict::Gap, Action::Forwarded, true)]);
}

/// What a leader looks at before it looks at sequences, and whose refusal is its own.
#[test]
fn a_gap_that_the_leader_might_refuse_for_another_reason_is_not_asked_about() {
    let spoilt = |spoil: &dyn Fn(&mut [u8])| {
        let mut frame = from(9);
        spoil(&mut frame[BATCH_AT..]);
        frame
    };
    let mut old = spoilt(&|batch| batch[27..35].copy_from_slice(&(NOW_UNIX_MS - 3_600_000).to_be_bytes()));
    let mut young = spoilt(&|batch| batch[35..43].copy_from_slice(&(NOW_UNIX_MS + 60_000).to_be_bytes()));
    let mut transactional = spoilt(&|batch| batch[22] |= 0x10);
    let corrupt = spoilt(&|batch| batch[70] ^= 1);
    // No codec that there is, and a time that is the broker's.
    let mut odd = [5, 0x08].map(|attributes| spoilt(&|batch| batch[22] = attributes));
    [&mut old, &mut young, &mut transactional].into_iter().chain(&mut odd).for_each(|frame| sign(frame));
    let mut unanswered = from(9);
    // acks, behind the header and a null transactional id.
    assert_eq!(unanswered[16..19], [0, 0xff, 0xff]);
    unanswered[17..19].copy_from_slice(&[0, 0]);
    for frame in [old, young, transactional, corrupt].into_iter().chain(odd) {
        let ledger = Memory::new();
        assert_eq!(ask(&mut acknowledged(&ledger), &frame, &enforcing(), REFUSES), 0);
    }
    let ledger = Memory::new();
    let mut session = acknowledged(&ledger);
    let admission = session.admit(&unanswered, false, &enforcing(), &mut |_: Event<'_>| {});
    assert!(matches!(admission, Admission::Forward(None)), "{admission:?}");
}

/// Of the batch itself nothing is noted down: it has no sequences that count.
#[test]
fn a_gap_is_not_refused_where_the_leader_takes_no_batches() {
    let (invalid_record, out_of_order) = (87, 45);
    for (error, asks) in [(invalid_record, 0), (out_of_order, 3)] {
        let ledger = Memory::new();
        let mut session = acknowledged(&ledger);
        let another = from(-5);
        let Admission::Forward(Some(pending)) = session.admit(&another, false, &enforcing(), &mut |_: Event<'_>| {})
        else {
            panic!()
        };
        let mut refusal = hex(GOLDEN_REFUSAL_V9);
        assert_eq!(refusal[17..19], [0, 45]);
        refusal[18] = error;
        session.settle(pending, &refusal, Millis(1000), &mut |_: Event<'_>| {});
        assert_eq!(ask(&mut session, &from(9), &enforcing(), REFUSES), asks, "{error}");
    }
}

#[test]
fn a_gap_is_refused_in_enforce_mode_alone_and_only_if_nobody_comes_by_another_way() {
    let policy = |policy| Present { policy, ..enforcing() };
    let all = enforcing().policy;
    for present in [
        policy(Policy { mode: Mode::Dedupe, ..all }),
        policy(Policy { mode: Mode::Observe, ..all }),
        policy(Policy { look_up: false, ..all }),
        Present { broker: BrokerGeneration { broker: 1, generation: 1 }, ..enforcing() },
    ] {
        let ledger = Memory::new();
        assert_eq!(ask(&mut acknowledged(&ledger), &from(9), &present, REFUSES), 0, "{present:?}");
    }
    let ledger = Memory::new();
    let mut session = acknowledged(&ledger);
    ledger.taint();
    let admission = session.admit(&from(9), false, &enforcing(), &mut |_: Event<'_>| {});
    assert!(!matches!(&admission, Admission::Look(looks) if looks[0].kind() == LookUpKind::Enforce), "{admission:?}");
}

#[test]
fn a_duplicate_is_answered_in_enforce_mode_as_well() {
    let ledger = Memory::new();
    let mut session = acknowledged(&ledger);
    let (admission, _) = decided(&mut session, &request(9));
    assert!(matches!(admission, Admission::Answer(_)), "{admission:?}");
}

/// What a request waits with has been taken back, and is on its way all the same.
#[test]
fn a_gap_is_not_refused_while_what_is_missing_waits_here() {
    for (has_ended, asks) in [(false, 0), (true, 3)] {
        let ledger = Memory::new();
        let mut session = acknowledged(&ledger);
        let mut other = Session::new(ConnectionId(2), ledger.clone());
        // The leader is to be asked what it makes of the gap between 1 and 8.
        let Admission::Look(_) = other.admit(&from(8), false, &enforcing(), &mut |_: Event<'_>| {}) else { panic!() };
        if has_ended {
            other.end_waiting(true, Millis(1000));
        }
        assert_eq!(ask(&mut session, &from(9), &enforcing(), REFUSES), asks);
    }
}

/// D2: a partition that stands in a request twice is not to be taken at its word, but what is missing may be in there.
#[test]
fn a_gap_is_not_refused_while_what_is_missing_may_wait_here_in_a_batch_that_cannot_be_taken_at_its_word() {
    for (has_ended, asks) in [(false, 0), (true, 3)] {
        let ledger = Memory::new();
        let mut session = acknowledged(&ledger);
        let mut other = Session::new(ConnectionId(2), ledger.clone());
        let mut frame = with_topics(&[b"t", b"t", b"u"]);
        // The log of `u` is to be looked into, for its batch begins behind sequences that nobody has seen.
        let last_batch_at = 42 + 2 * (79 + 15);
        frame[last_batch_at + 53..][..4].copy_from_slice(&5_i32.to_be_bytes());
        let Admission::Look(_) = other.admit(&frame, false, &enforcing(), &mut |_: Event<'_>| {}) else { panic!() };
        if has_ended {
            other.end_waiting(true, Millis(1000));
        }
        assert_eq!(ask(&mut session, &from(9), &enforcing(), REFUSES), asks);
    }
}

/// What the leader makes of it, it says of the whole frame.
#[test]
fn a_gap_is_not_decided_on_by_its_head_where_it_may_be_refused() {
    let of = |mode, look_up| Policy { mode, look_up, ..enforcing().policy };
    for (policy, goes) in
        [(of(Mode::Enforce, true), false), (of(Mode::Enforce, false), true), (of(Mode::Dedupe, true), true)]
    {
        let ledger = Memory::new();
        let mut session = acknowledged(&ledger);
        let frame = from(9);
        let size = u32::try_from(frame.len() - 4).unwrap();
        let decided = session.admit_by_head(&frame, size, &Present { policy, ..enforcing() }, &mut |_: Event<'_>| {});
        assert_eq!(decided.is_some(), goes, "{policy:?}");
        if let Some(streamed) = decided {
            session.cut_stream(streamed, &enforcing());
        }
    }
}
