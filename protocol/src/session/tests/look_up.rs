//! What is found in the log, and what becomes of it.

use super::*;
use crate::wire::samples::GOLDEN_BATCH;

/// Where the golden batch stands.
const OFFSET: i64 = 100;

fn may_look() -> Present {
    let policy = Policy { look_up: true, ..present().policy };
    Present { policy, may_look: true, ..present() }
}

/// An answer to a look's request, without its length: what follows the correlation id and the throttle time.
fn answer(request: &[u8], body: &[Vec<u8>]) -> Vec<u8> {
    [&request[8..12], &[0; 4], &body.concat()].concat()
}

/// Answers a look by name as a broker does whose log has the golden batch and nothing else.
fn show(session: &mut Session<Memory>, look: &mut LookUp) {
    show_each(session, look, OFFSET + 2, |_| batch_at(OFFSET));
}

/// The golden batch at another place.
fn batch_at(offset: i64) -> Vec<u8> {
    let mut batch = hex(GOLDEN_BATCH);
    batch[..8].copy_from_slice(&offset.to_be_bytes());
    batch
}

/// One of another producer, behind so many others.
fn other(before: i64) -> Vec<u8> {
    let mut batch = batch_at(OFFSET + 2 * before);
    batch[43..51].copy_from_slice(&(1_000 + before).to_be_bytes());
    batch
}

/// As one does whose log has no end, and batches of another producer.
fn show_others(session: &mut Session<Memory>, look: &mut LookUp) {
    show_each(session, look, i64::MAX, other);
}

/// `batch`: the one in an answer, after so many others. Returns in how many parts the last answer was taken in.
fn show_each(session: &mut Session<Memory>, look: &mut LookUp, end: i64, mut batch: impl FnMut(i64) -> Vec<u8>) -> u32 {
    let mut parts = 0;
    let mut before = 0;
    while let Some(request) = look.request(1) {
        look.feed(&told(&request, end, || {
            before += 1;
            batch(before - 1)
        }));
        parts = 1;
        while session.end_answer(look, present().now) {
            parts += 1;
        }
    }
    parts
}

/// An answer of a broker that is asked where in the log to begin, or for the log, and has these records.
fn told(request: &[u8], end: i64, records: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let topic = [&[0, 0, 0, 1, 0, 1, b't'][..], &[0, 0, 0, 1], &[0; 4], &[0; 2]].concat();
    if request[5] == 2 {
        return answer(request, &[topic, 1000_i64.to_be_bytes().into(), OFFSET.to_be_bytes().into()]);
    }
    let (records, end) = (records(), end.to_be_bytes());
    let marks = [end, end, 0_i64.to_be_bytes()].concat();
    let length = u32::try_from(records.len()).unwrap().to_be_bytes();
    answer(request, &[topic, marks, vec![0xff; 4], length.into(), records])
}

/// The golden v9 request, of another producer.
fn of_another_producer() -> Vec<u8> {
    let mut frame = request(9);
    let at = frame.windows(8).position(|bytes| bytes == 7_i64.to_be_bytes()).expect("it is producer 7's");
    frame[at + 7] = 8;
    frame
}

/// T27: that the broker may not know the producer any more is noted with the producer.
#[test]
fn batch_found_of_a_producer_that_was_forgotten_meanwhile_is_forwarded() {
    for is_forgotten in [false, true] {
        let ledger = Memory::new();
        let mut session = session(&ledger);
        let mut quiet = |_: Event<'_>| {};
        let Admission::Look(mut looks) = session.admit(&request(9), false, &may_look(), &mut quiet) else { panic!() };
        looks.iter_mut().for_each(|look| show(&mut session, look));
        assert_eq!(looks[0].outcome(), Some(LookUpOutcome::Found));
        // The partition stays.
        let Admission::Forward(Some(other)) = admit(&mut session, &of_another_producer()) else { panic!() };
        if is_forgotten {
            ledger.each_tracker(|tracker| tracker.sweep(10, Millis(1_000_000_000)));
        }
        session.looked(looks);
        let admission = admit(&mut session, &request(9));
        assert_eq!(matches!(admission, Admission::Answer(_)), !is_forgotten, "{admission:?}");
        if let Admission::Forward(Some(pending)) = admission {
            session.abandon(pending, Millis(1000));
        }
        session.abandon(other, Millis(1000));
    }
}

/// What the broker says of the golden batch in v9, with 45 in it.
fn refused() -> Vec<u8> {
    let mut answer = GOLDEN_RESPONSES.into_iter().find(|(v, _)| *v == 9).map(|(_, text)| hex(text)).expect("v9");
    // Behind length, header, one topic "t", one partition and its index.
    answer[4 + 5 + 1 + 2 + 1 + 4..][..10].copy_from_slice(&[&[0, 45][..], &[0xff; 8]].concat());
    answer
}

/// The request passes in pieces; nobody looks anywhere before it goes.
fn stream(session: &mut Session<Memory>, frame: &[u8], present: &Present) -> Pending {
    let mut quiet = |_: Event<'_>| {};
    let size = u32::try_from(frame.len() - 4).unwrap();
    let mut streamed = session.begin_stream(frame, size, &mut quiet).expect("the header is there");
    for piece in frame.chunks(7) {
        assert!(session.stream(&mut streamed, piece, present, &mut quiet));
    }
    session.end_stream(streamed, present).expect("an answer will come")
}

/// §6.2: Resolve.
#[test]
fn refusal_of_a_streamed_batch_that_stands_in_the_log_becomes_its_acknowledgement() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let mut quiet = |_: Event<'_>| {};
    let asks = Present { may_look: false, ..may_look() };
    let pending = stream(&mut session, &request(9), &asks);
    let Settled::Look(unresolved, mut looks) = session.settle(pending, &refused(), Millis(1000), &mut quiet) else {
        panic!("it may be old")
    };
    assert_eq!((looks.len(), ledger.open_attempts()), (1, 1));
    looks.iter_mut().for_each(|look| show(&mut session, look));
    let settled = session.resolve(*unresolved, looks, Millis(1000), &mut quiet);
    let Settled::Merged(told) = settled else { panic!("{settled:?}") };
    let response = crate::wire::produce::ProduceResponse::parse(9, &told[4..]).expect("an answer");
    let entries: Vec<_> = response.entries().map(|entry| (entry.error, entry.base_offset)).collect();
    assert_eq!((entries, ledger.open_attempts()), (vec![(0, OFFSET)], 0));
}

#[test]
fn refusal_of_a_streamed_batch_is_passed_on_where_nothing_may_be_asked() {
    let policy = Policy { mode: Mode::Observe, ..may_look().policy };
    for present in [present(), Present { policy, ..may_look() }] {
        let ledger = Memory::new();
        let mut session = session(&ledger);
        let pending = stream(&mut session, &request(9), &present);
        let settled = session.settle(pending, &refused(), Millis(1000), &mut |_: Event<'_>| {});
        assert!(matches!(settled, Settled::Unchanged), "{settled:?}");
        assert_eq!(ledger.open_attempts(), 0);
    }
}

/// T29: for which of the two the refusal is, nobody knows.
#[test]
fn refusal_of_a_partition_that_stands_twice_in_a_streamed_request_is_passed_on() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let asks = Present { may_look: false, ..may_look() };
    let pending = stream(&mut session, &with_topics(&[b"t", b"t"]), &asks);
    assert_eq!(ledger.open_attempts(), 2);
    let answer = refusal_on(&pending, 1);
    let settled = session.settle(pending, &answer, Millis(1000), &mut |_: Event<'_>| {});
    assert!(matches!(settled, Settled::Unchanged), "{settled:?}");
    assert_eq!(ledger.open_attempts(), 1, "of the other one nothing was said");
}

/// An answer to a v3 request in which so many partitions of `t` have 45.
fn refusal_on(pending: &Pending, count: i32) -> Vec<u8> {
    let entry = |partition| AnswerEntry {
        topic: OwnedTopic::Name(b"t".as_slice().into()),
        partition,
        error: 45,
        base_offset: -1,
        log_append_time: -1,
        log_start_offset: -1,
    };
    crate::wire::produce::answer(3, pending.correlation_id(), &(0..count).map(entry).collect::<Vec<_>>())
}

/// T36: a request that is streamed has more partitions than there is memory for looks.
#[test]
fn looks_for_one_answer_and_what_they_take_are_bounded() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let mut quiet = |_: Event<'_>| {};
    let asks = Present { may_look: false, ..may_look() };
    let pending = stream(&mut session, &memory::wide(5_000), &asks);
    assert_eq!(ledger.open_attempts(), 5_000);
    let answer = refusal_on(&pending, 5_000);
    let Settled::Look(unresolved, looks) = session.settle(pending, &answer, Millis(1000), &mut quiet) else {
        panic!("they may be old")
    };
    assert_eq!((looks.len(), ledger.open_attempts()), (1_024, 1_024), "the others are refused");
    let least = answer.len() + looks.len() * size_of::<LookUp>();
    assert!((least..2 << 20).contains(&unresolved.bytes()), "{}", unresolved.bytes());
    session.give_up(*unresolved, Millis(1000));
    assert_eq!(ledger.open_attempts(), 0);
}

/// One look after the other is kept until the last one is over.
#[test]
fn look_that_is_over_keeps_what_it_was_for_and_nothing_else() {
    for outcome in [LookUpOutcome::Found, LookUpOutcome::TooFar] {
        let mut session = session(&Memory::new());
        let mut quiet = |_: Event<'_>| {};
        let Admission::Look(mut looks) = session.admit(&request(9), false, &may_look(), &mut quiet) else { panic!() };
        if outcome == LookUpOutcome::Found {
            show(&mut session, &mut looks[0]);
        } else {
            show_others(&mut session, &mut looks[0]);
        }
        assert_eq!(looks[0].outcome(), Some(outcome));
        assert_eq!((looks[0].seen.capacity(), looks[0].shown.capacity()), (0, 0));
    }
}

/// The look for the golden v9 request.
fn look(session: &mut Session<Memory>) -> Vec<LookUp> {
    let admission = session.admit(&request(9), false, &may_look(), &mut |_: Event<'_>| {});
    let Admission::Look(looks) = admission else { panic!("{admission:?}") };
    assert_eq!(looks.len(), 1);
    looks
}

#[test]
fn what_was_found_of_one_batch_is_told_of_no_other() {
    const NAME_AT: usize = 25;
    const PARTITION_AT: usize = 30;
    const BATCH_AT: usize = 32;
    let (same, crc, producer, epoch, sequence) = (8, BATCH_AT + 20, BATCH_AT + 50, BATCH_AT + 52, BATCH_AT + 56);
    for changed_at in [same, NAME_AT, PARTITION_AT, crc, producer, epoch, sequence] {
        let mut session = session(&Memory::new());
        let mut looks = look(&mut session);
        show(&mut session, &mut looks[0]);
        assert!(session.looked(looks));
        let mut frame = request(9);
        frame[changed_at] += 1;
        let mut rules = Vec::new();
        let admission = session.admit(&frame, false, &present(), &mut |event: Event<'_>| {
            if let Event::Batch(batch) = event {
                rules.push(batch.rule);
            }
        });
        assert_eq!(rules == [Rule::L1], changed_at == same, "{changed_at}: {rules:?}");
        assert_eq!(matches!(admission, Admission::Answer(_)), changed_at == same, "{changed_at}: {admission:?}");
        if let Admission::Forward(Some(pending)) = admission {
            session.abandon(pending, Millis(1000));
        }
    }
}

/// T7: it is the log that is right.
#[test]
fn batch_found_where_another_was_said_to_stand_is_answered() {
    let mut session = session(&Memory::new());
    let Admission::Forward(Some(pending)) = admit(&mut session, &of_another_producer()) else { panic!() };
    let golden = GOLDEN_RESPONSES.into_iter().find(|(v, _)| *v == 9).map(|(_, text)| hex(text)).expect("v9");
    session.settle(pending, &golden, Millis(1000), &mut |_: Event<'_>| {});
    let mut looks = look(&mut session);
    show(&mut session, &mut looks[0]);
    assert!(session.looked(looks), "what speaks against the log before does not speak against the look");
    assert!(matches!(admit(&mut session, &of_another_producer()), Admission::Forward(_)), "the other one is gone");
}

/// D2, D3, D15: it is not what a producer would be told of.
#[test]
fn what_the_log_has_of_a_transaction_or_with_other_content_is_not_what_is_looked_for() {
    let (crc_at, attributes_at) = (20, 22);
    let (transactional, control) = (0x10, 0x20);
    for (changed_at, bits) in [
        (crc_at, 0),
        (crc_at, 1),
        (attributes_at, transactional),
        (attributes_at, control),
        (attributes_at, transactional | control),
    ] {
        let ledger = Memory::new();
        let mut session = session(&ledger);
        let mut looks = look(&mut session);
        let mut batch = batch_at(OFFSET);
        batch[changed_at] ^= bits;
        show_each(&mut session, &mut looks[0], OFFSET + 2, |_| batch.clone());
        assert_eq!(looks[0].outcome() == Some(LookUpOutcome::Found), bits == 0);
        let admission = admit(&mut Session::new(ConnectionId(2), ledger.clone()), &request(9));
        assert_eq!(matches!(admission, Admission::Answer(_)), bits == 0, "{admission:?}");
    }
}

/// A broker that had forgotten its producer has taken the retry for new.
#[test]
fn batch_that_stands_in_the_log_twice_is_known_by_its_first_place() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let mut looks = look(&mut session);
    let twice = [batch_at(OFFSET), batch_at(OFFSET + 2)].concat();
    show_each(&mut session, &mut looks[0], OFFSET + 4, |_| twice.clone());
    assert_eq!((looks[0].outcome(), looks[0].place()), (Some(LookUpOutcome::Found), Some(OFFSET)));
    let mut other = Session::new(ConnectionId(2), ledger.clone());
    let Admission::Answer(local) = admit(&mut other, &request(9)) else { panic!("it is known") };
    let told = crate::wire::produce::ProduceResponse::parse(9, &local.frame()[4..]).expect("an answer");
    assert_eq!(told.entries().map(|entry| entry.base_offset).collect::<Vec<_>>(), [OFFSET]);
}

#[test]
fn look_without_room_sees_what_it_looks_for_and_nothing_else() {
    for (has_room, known) in [(true, 3), (false, 1)] {
        let ledger = Memory::new();
        let mut session = session(&ledger);
        let mut looks = look(&mut session);
        if !has_room {
            looks[0].note_no_more();
        }
        let records = [other(0), other(1), batch_at(OFFSET + 4)].concat();
        show_each(&mut session, &mut looks[0], OFFSET + 6, |_| records.clone());
        assert_eq!(looks[0].place(), Some(OFFSET + 4));
        assert_eq!(ledger.0.0.borrow().producers(), known);
    }
}

/// T36: however many batches one answer has.
#[test]
fn what_a_look_notes_on_its_way_takes_2_mb_at_most() {
    let mut session = session(&Memory::new());
    let look = &mut look(&mut session)[0];
    while look.noted_bytes() == 0 {
        let request = look.request(1).expect("the log is still to be read");
        look.feed(&told(&request, i64::MAX, || (0..20_000).flat_map(other).collect()));
        if look.noted_bytes() == 0 {
            assert!(!session.end_answer(look, Millis(1000)));
        }
    }
    assert!((1_000_000..2_000_000).contains(&look.noted_bytes()), "{}", look.noted_bytes());
}

#[test]
fn look_is_too_far_after_64_requests_and_after_16_mb() {
    for (bytes, requests) in [(79, 64), (1 << 20, 16)] {
        let mut session = session(&Memory::new());
        let look = &mut look(&mut session)[0];
        let mut fetched = 0;
        show_each(&mut session, look, i64::MAX, |before| {
            fetched += 1;
            let mut batch = other(before);
            batch.resize(bytes, 0);
            batch[8..12].copy_from_slice(&u32::try_from(bytes - 12).unwrap().to_be_bytes());
            batch
        });
        assert_eq!((fetched, look.outcome()), (requests, Some(LookUpOutcome::TooFar)));
    }
}

/// An answer of 1 MiB has room for thousands, and other connections wait for their turn.
#[test]
fn what_an_answer_shows_is_taken_in_a_part_at_a_time() {
    const OTHERS: i64 = 2_500;
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let mut quiet = |_: Event<'_>| {};
    let Admission::Look(mut looks) = session.admit(&request(9), false, &may_look(), &mut quiet) else { panic!() };
    let all = || (0..OTHERS).map(other).chain([batch_at(OFFSET + 2 * OTHERS)]);
    let parts = show_each(&mut session, &mut looks[0], i64::MAX, |_| all().flatten().collect());
    assert_eq!((parts, looks[0].outcome()), (3, Some(LookUpOutcome::Found)));
    let mut known = 0;
    ledger.each_tracker(|tracker| known += tracker.producers());
    assert_eq!(i64::from(known), OTHERS + 1);
}
