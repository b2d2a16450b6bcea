//! Requests that are decided on by their fronts.

use super::*;
use crate::wire::samples::GOLDEN_BATCH;

/// Where a golden request's front ends: with its batch's header.
fn header_end(frame: &[u8]) -> usize {
    let batch = hex(GOLDEN_BATCH);
    let at = frame.windows(batch.len()).position(|window| window == batch).expect("it holds the golden batch");
    at + crate::wire::batch::BATCH_HEADER_BYTES
}

fn by_head(session: &mut Session<Memory>, frame: &[u8], front: usize) -> Option<Streamed> {
    let size = u32::try_from(frame.len() - 4).unwrap();
    session.admit_by_head(&frame[..front], size, &present(), &mut |_: Event<'_>| {})
}

/// All of the frame in pieces of so many bytes.
fn pass(session: &Session<Memory>, mut streamed: Streamed, frame: &[u8], piece: usize) -> Option<Pending> {
    for piece in frame.chunks(piece) {
        let goes_on =
            streamed.pass_over(piece.len()) || session.stream(&mut streamed, piece, &present(), &mut |_: Event<'_>| {});
        assert!(goes_on);
    }
    session.end_stream(streamed, &present())
}

/// The golden batch is acknowledged.
fn acknowledge(session: &mut Session<Memory>, pending: Pending) {
    let golden = GOLDEN_RESPONSES.into_iter().find(|(v, _)| *v == 9).map(|(_, text)| hex(text)).expect("v9");
    let settled = session.settle(pending, &golden, Millis(1000), &mut |_: Event<'_>| {});
    assert!(matches!(settled, Settled::Unchanged));
}

#[test]
fn a_batch_that_just_goes_is_tracked_by_its_head_and_answered_when_it_comes_again() {
    for piece in [1, 7, 60, 1_000] {
        let ledger = Memory::new();
        let mut session = session(&ledger);
        let frame = request(9);
        let streamed = by_head(&mut session, &frame, header_end(&frame)).expect("it goes");
        assert_eq!(ledger.open_attempts(), 1);
        let pending = pass(&session, streamed, &frame, piece).expect("it will be answered");
        assert_eq!(pending.timeout_ms(), 30_000);
        acknowledge(&mut session, pending);
        assert!(by_head(&mut session, &frame, frame.len()).is_none(), "a duplicate is for admit");
        assert_eq!(ledger.open_attempts(), 0);
        assert!(matches!(admit(&mut session, &frame), Admission::Answer(_)), "pieces of {piece}");
        assert!(!ledger.is_tainted());
    }
}

#[test]
fn what_stands_behind_a_head_is_passed_over_up_to_the_tags_behind_it() {
    for (version, tags) in [(3, 0), (9, 3)] {
        let mut session = session(&Memory::new());
        let frame = request(version);
        let mut streamed = by_head(&mut session, &frame, header_end(&frame)).expect("it goes");
        assert!(!streamed.pass_over(frame.len() - tags + 1), "these are to be looked at");
        assert!(streamed.pass_over(frame.len() - tags) && !streamed.pass_over(1), "v{version}");
        session.cut_stream(streamed, &present());
    }
}

#[test]
fn a_front_that_is_not_all_there_decides_nothing() {
    for version in [3, 9, 13] {
        let (ledger, frame) = (Memory::new(), request(version));
        let mut session = session(&ledger);
        for front in 0..header_end(&frame) {
            assert!(by_head(&mut session, &frame, front).is_none(), "v{version}, {front} bytes");
        }
        assert_eq!((ledger.open_attempts(), ledger.is_tainted()), (0, false));
        assert!(by_head(&mut session, &frame, header_end(&frame)).is_some(), "v{version}");
        assert_eq!(ledger.open_attempts(), 1);
    }
}

/// What stands behind the first entry is not known from the front.
#[test]
fn a_request_with_more_than_one_entry_is_not_decided_on_by_its_head() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let mut tagged = request(9);
    // A tag of the body: number 0, one byte.
    tagged.pop();
    tagged.extend([1, 0, 1, 0]);
    for frame in [two_topics(), memory::wide(2), tagged] {
        assert!(by_head(&mut session, &frame, frame.len()).is_none());
    }
    assert_eq!(ledger.open_attempts(), 0);
}

/// With acks=0 there is no ticket by which what was registered could be told from what was not.
#[test]
fn a_request_that_is_never_answered_is_not_decided_on_by_its_head() {
    let (ledger, mut frame) = (Memory::new(), request(3));
    let acks_at = 4 + 8 + 3 + 2;
    frame[acks_at..acks_at + 2].fill(0);
    assert!(by_head(&mut session(&ledger), &frame, frame.len()).is_none());
    assert_eq!(ledger.open_attempts(), 0);
}

#[test]
fn a_request_that_is_cut_off_behind_its_head_is_of_unknown_outcome() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let frame = request(9);
    let streamed = by_head(&mut session, &frame, header_end(&frame)).expect("it goes");
    session.cut_stream(streamed, &present());
    assert_eq!(ledger.open_attempts(), 1);
    let mut rules = Vec::new();
    let admission = session.admit(&frame, false, &present(), &mut |event: Event<'_>| {
        if let Event::Batch(batch) = event {
            rules.push(batch.rule);
        }
    });
    let Admission::Forward(Some(pending)) = admission else { panic!("forwarded") };
    assert_eq!(rules, [Rule::D11]);
    session.abandon(pending, Millis(1000));
}

/// T29, T37: what follows the entry after all was not counted, so nothing is proven by the answer.
#[test]
fn a_request_that_ends_otherwise_than_its_head_said_proves_nothing() {
    for behind in [0, 5] {
        let ledger = Memory::new();
        let mut session = session(&ledger);
        let mut frame = request(9);
        let last = frame.len() - 1;
        frame[last] = 1;
        let front = header_end(&frame) + behind;
        let streamed = by_head(&mut session, &frame, front).expect("the end has not been seen");
        let pending = pass(&session, streamed, &frame, 50).expect("it will be answered");
        assert!(ledger.is_tainted());
        acknowledge(&mut session, pending);
        assert!(matches!(admit(&mut session, &request(9)), Admission::Forward(Some(_))));
    }
}

/// KAFKA-15591: a batch that has to wait must not be on its way already, and the whole request is asked about again.
#[test]
fn what_has_to_wait_or_be_looked_for_is_not_decided_on_by_its_head() {
    let ledger = Memory::new();
    let frame = request(9);
    let mut first = frame.clone();
    let sequence_at = header_end(&frame) - crate::wire::batch::BATCH_HEADER_BYTES + 53;
    first[sequence_at..sequence_at + 4].fill(0);
    let mut other = Session::new(ConnectionId(2), ledger.clone());
    let guarding = Present { guards: true, ..present() };
    let quiet = &mut |_: Event<'_>| {};
    let Admission::Forward(Some(pending)) = other.admit(&first, false, &guarding, quiet) else { panic!("forwarded") };
    let mut session = session(&ledger);
    let size = u32::try_from(frame.len() - 4).unwrap();
    assert!(session.admit_by_head(&frame, size, &guarding, quiet).is_none(), "it waits for the first");
    assert_eq!(ledger.open_attempts(), 1);
    other.abandon(pending, Millis(1000));
    let policy = Policy { look_up: true, ..present().policy };
    let looking = Present { may_look: true, policy, ..present() };
    let behind = &request(13);
    let size = u32::try_from(behind.len() - 4).unwrap();
    assert!(session.admit_by_head(behind, size, &looking, quiet).is_none(), "it may be in the log");
    assert_eq!(ledger.open_attempts(), 1);
}
