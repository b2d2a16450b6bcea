//! What is kept of requests, and what becomes of those for which there is no room.

use super::*;
use crate::event::Unread;

/// Where the partitions' count stands in the golden v3 request: behind length, header, request fields and name.
const COUNT_AT: usize = 4 + 8 + 3 + 2 + 2 + 4 + 4 + 3;

/// Where its acks stand: before the timeout, the topics' count, the name and the partitions' count.
const ACKS_AT: usize = COUNT_AT - 3 - 4 - 4 - 2;

/// The golden v3 request with its batch on so many partitions.
pub(super) fn wide(count: i32) -> Vec<u8> {
    let golden = request(3);
    let (front, entry) = (&golden[..COUNT_AT], &golden[COUNT_AT + 8..]);
    let mut frame = [front, &count.to_be_bytes()].concat();
    for partition in 0..count {
        frame.extend(partition.to_be_bytes());
        frame.extend(entry);
    }
    let length = u32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

/// Success on so many partitions.
fn success(pending: &Pending, count: i32) -> Vec<u8> {
    let mut frame = vec![0; 4];
    frame.extend(pending.correlation_id().to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 1, b't']);
    frame.extend(count.to_be_bytes());
    for partition in 0..count {
        frame.extend(partition.to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(100_i64.to_be_bytes());
        frame.extend((-1_i64).to_be_bytes());
    }
    frame.extend([0; 4]);
    let length = u32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

/// A session of a cluster that has acknowledged the batch on so many partitions.
fn proven(count: i32) -> (Memory, Session<Memory>) {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let Admission::Forward(Some(pending)) = admit(&mut session, &wide(count)) else { panic!("forwarded") };
    let answer = success(&pending, count);
    let settled = session.settle(pending, &answer, Millis(1000), &mut |_: Event<'_>| {});
    assert!(matches!(settled, Settled::Unchanged));
    (ledger, session)
}

fn admit_keeping(session: &mut Session<Memory>, frame: &[u8], keep_bytes_max: usize) -> (Admission, Vec<Unread>) {
    let mut unread = Vec::new();
    let admission = session.admit(frame, false, &Present { keep_bytes_max, ..present() }, &mut |event: Event<'_>| {
        if let Event::Unread(why) = event {
            unread.push(why);
        }
    });
    (admission, unread)
}

#[test]
fn a_duplicate_without_room_for_its_answer_is_forwarded() {
    let (ledger, mut session) = proven(100);
    let Admission::Answer(local) = admit(&mut session, &wide(100)) else { panic!("answered") };
    let bytes = local.bytes();
    assert!((10_000..20_000).contains(&bytes), "{bytes}");
    let (admission, _) = admit_keeping(&mut session, &wide(100), bytes - 1);
    let Admission::Forward(Some(pending)) = admission else { panic!("{admission:?}") };
    assert_eq!(ledger.open_attempts(), 100);
    session.abandon(pending, Millis(1000));
    // What is reserved beyond what it comes to is little.
    let (admission, _) = admit_keeping(&mut session, &wide(100), bytes * 5 / 4);
    assert!(matches!(admission, Admission::Answer(_)));
}

#[test]
fn a_request_that_cannot_be_kept_twice_is_not_stripped() {
    let (_ledger, mut session) = proven(50);
    let frame = wide(100);
    let Admission::Strip { frame: left, pending } = admit(&mut session, &frame) else { panic!("stripped") };
    let bytes = left.len() + pending.bytes();
    session.abandon(pending, Millis(1000));
    let (admission, _) = admit_keeping(&mut session, &frame, bytes - 1);
    let Admission::Forward(Some(pending)) = admission else { panic!("{admission:?}") };
    session.abandon(pending, Millis(1000));
}

#[test]
fn many_batches_without_room_for_their_claims_pass_unread() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let (few, _) = admit_keeping(&mut session, &wide(32), 0);
    let Admission::Forward(Some(pending)) = few else { panic!("{few:?}") };
    session.abandon(pending, Millis(1000));
    let (before, tainted) = (ledger.open_attempts(), ledger.is_tainted());
    let (many, unread) = admit_keeping(&mut session, &wide(33), 0);
    let Admission::Forward(Some(pending)) = many else { panic!("{many:?}") };
    assert_eq!((unread, tainted, ledger.is_tainted()), (vec![Unread::Memory], false, true));
    assert_eq!(ledger.open_attempts(), before);
    // What the answer says of them is nobody's.
    let answer = success(&pending, 33);
    let settled = session.settle(pending, &answer, Millis(1000), &mut |_: Event<'_>| {});
    assert!(matches!(settled, Settled::Unchanged));
    assert!(matches!(admit(&mut session, &wide(33)), Admission::Forward(Some(_))), "nothing was proven");
}

#[test]
fn the_room_for_claims_is_that_of_all_of_them() {
    let room = 33 * size_of::<Claim>();
    for (keep_bytes_max, expected) in [(room, vec![]), (room - 1, vec![Unread::Memory])] {
        let mut session = session(&Memory::new());
        let (admission, unread) = admit_keeping(&mut session, &wide(33), keep_bytes_max);
        assert!(matches!(admission, Admission::Forward(Some(_))), "{admission:?}");
        assert_eq!(unread, expected);
    }
}

/// T29: of those that stand once everything is learnt.
#[test]
fn of_three_batches_of_which_two_are_for_one_partition_the_third_is_tracked() {
    let mut frame = wide(3);
    let entry = (frame.len() - COUNT_AT - 4) / 3;
    let last = COUNT_AT + 4 + 2 * entry;
    assert_eq!(frame[last..last + 4], 2_i32.to_be_bytes());
    frame[last..last + 4].fill(0);
    let mut rules = Vec::new();
    let mut session = session(&Memory::new());
    let _forwarded = session.admit(&frame, false, &present(), &mut |event: Event<'_>| {
        if let Event::Batch(batch) = event {
            rules.push((batch.partition, batch.rule));
        }
    });
    assert_eq!(rules, [(0, Rule::D2), (1, Rule::D5), (0, Rule::D2)]);
}

/// Topics with names of so many bytes.
fn names(bytes: usize) -> Vec<Vec<u8>> {
    let name = |number: usize| [format!("{number:03}").as_bytes(), &vec![b'x'; bytes - 3]].concat();
    (0..100).map(name).collect()
}

/// A session that has had a batch on each of these topics acknowledged.
fn acknowledged_on(names: &[&[u8]]) -> Session<Memory> {
    let mut session = session(&Memory::new());
    let Admission::Forward(Some(pending)) = admit(&mut session, &with_topics(names)) else { panic!("forwarded") };
    session.settle(pending, &ledgers::acked(names), Millis(1000), &mut |_: Event<'_>| {});
    session
}

/// With names that are most of it, and with such as are hardly anything.
#[test]
fn what_is_kept_of_many_topics_is_known_before_it_is_there() {
    for bytes in [3, 200] {
        let names = names(bytes);
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        let frame = with_topics(&names);
        let mut session = acknowledged_on(&names);
        let Admission::Answer(local) = admit(&mut session, &frame) else { panic!("answered") };
        let takes = local.bytes();
        assert!(takes > 2 * 100 * bytes, "names stand in the answer and beside it: {takes}");
        let (admission, _) = admit_keeping(&mut session, &frame, takes - 1);
        assert!(matches!(admission, Admission::Forward(Some(_))), "{bytes} {takes}");
        let (admission, _) = admit_keeping(&mut session, &frame, takes * 3 / 2);
        assert!(matches!(admission, Admission::Answer(_)), "{bytes} {takes}");
        // Most of them are new.
        let mut session = acknowledged_on(&names[..30]);
        let Admission::Strip { frame: left, pending } = admit(&mut session, &frame) else { panic!("stripped") };
        let takes = left.len() + pending.bytes();
        assert!(pending.bytes() > 30 * bytes + 70 * size_of::<Claim>(), "{bytes} {takes}");
        let (admission, _) = admit_keeping(&mut session, &frame, takes - 1);
        assert!(matches!(admission, Admission::Forward(Some(_))), "{bytes} {takes}");
        let (admission, _) = admit_keeping(&mut session, &frame, takes * 3 / 2 + frame.len() - left.len());
        assert!(matches!(admission, Admission::Strip { .. }), "{bytes} {takes}");
    }
}

/// D4: it was read as far as that.
#[test]
fn many_batches_of_acks_0_without_room_for_their_claims_have_no_answer() {
    let mut session = session(&Memory::new());
    let mut silent = wide(33);
    silent[ACKS_AT..ACKS_AT + 2].copy_from_slice(&0_i16.to_be_bytes());
    let (admission, unread) = admit_keeping(&mut session, &silent, 0);
    assert!(matches!(admission, Admission::Forward(None)), "{admission:?}");
    assert_eq!((unread, session.is_unsure()), (vec![Unread::Memory], false));
}

#[test]
fn a_streamed_request_is_noted_down_as_far_as_there_is_room() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let mut unread = Vec::new();
    let mut report = |event: Event<'_>| {
        if let Event::Unread(why) = event {
            unread.push(why);
        }
    };
    let frame = wide(1_000);
    let mut streamed = session.begin_stream(&frame, u32::try_from(frame.len() - 4).unwrap(), &mut report).unwrap();
    let short = Present { keep_bytes_max: 4 * 1024, ..present() };
    for bytes in frame.chunks(500) {
        assert!(session.stream(&mut streamed, bytes, &short, &mut report));
    }
    assert!((32..200).contains(&ledger.open_attempts()), "{}", ledger.open_attempts());
    assert!(streamed.bytes() <= 16 * 1024, "{}", streamed.bytes());
    assert!(ledger.is_tainted());
    // What stands in the rest is not known, its partitions may be the same: none of the claims proves anything.
    let pending = session.end_stream(streamed, &present()).expect("an answer will come");
    let answer = success(&pending, 1_000);
    session.settle(pending, &answer, Millis(1000), &mut report);
    assert_eq!((ledger.open_attempts(), ledger.0.0.borrow().producers()), (0, 0));
    assert_eq!(unread, [Unread::TooLarge, Unread::Memory]);
}

#[test]
fn a_streamed_request_of_more_batches_than_are_noted_down_taints() {
    for (count, taints) in [(16_384, false), (16_385, true)] {
        let (ledger, frame) = (Memory::new(), wide(count));
        let (mut session, mut quiet) = (session(&ledger), |_: Event<'_>| {});
        let mut streamed = session.begin_stream(&frame, u32::try_from(frame.len() - 4).unwrap(), &mut quiet).unwrap();
        assert!(session.stream(&mut streamed, &frame, &present(), &mut quiet));
        assert_eq!((ledger.open_attempts(), ledger.is_tainted()), (16_384, taints));
        session.cut_stream(streamed, &present());
    }
}

/// T29: what is not noted down may be the same partition again.
#[test]
fn a_streamed_request_of_more_partitions_than_are_kept_in_mind_proves_nothing() {
    for (empty, is_proven) in [(65_536, true), (65_537, false)] {
        let (mut session, mut quiet) = (session(&Memory::new()), |_: Event<'_>| {});
        let mut frame = wide(1);
        frame[COUNT_AT..COUNT_AT + 4].copy_from_slice(&i32::to_be_bytes(empty + 1));
        (1..=empty).for_each(|index: i32| frame.extend([index.to_be_bytes(), (-1_i32).to_be_bytes()].concat()));
        let mut streamed = session.begin_stream(&frame, u32::try_from(frame.len() - 4).unwrap(), &mut quiet).unwrap();
        assert!(session.stream(&mut streamed, &frame, &present(), &mut quiet));
        let pending = session.end_stream(streamed, &present()).expect("an answer will come");
        let answer = success(&pending, 1);
        session.settle(pending, &answer, Millis(1000), &mut quiet);
        assert_eq!(matches!(admit(&mut session, &wide(1)), Admission::Answer(_)), is_proven, "{empty}");
    }
}
