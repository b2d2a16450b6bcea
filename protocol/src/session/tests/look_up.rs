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
    let mut batch = hex(GOLDEN_BATCH);
    batch[..8].copy_from_slice(&OFFSET.to_be_bytes());
    show_each(session, look, OFFSET + 2, |_| batch.clone());
}

/// As one does whose log has no end, and batches of another producer.
fn show_others(session: &mut Session<Memory>, look: &mut LookUp) {
    show_each(session, look, i64::MAX, other);
}

/// One of another producer, behind so many of others.
fn other(before: i64) -> Vec<u8> {
    let mut batch = hex(GOLDEN_BATCH);
    batch[..8].copy_from_slice(&(OFFSET + 2 * before).to_be_bytes());
    batch[43..51].copy_from_slice(&(1_000 + before).to_be_bytes());
    batch
}

/// `batch`: the one in an answer, after so many others. Returns in how many parts the last answer was taken in.
fn show_each(session: &mut Session<Memory>, look: &mut LookUp, end: i64, batch: impl Fn(i64) -> Vec<u8>) -> u32 {
    let mut parts = 0;
    let topic = [&[0, 0, 0, 1, 0, 1, b't'][..], &[0, 0, 0, 1], &[0; 4], &[0; 2]].concat();
    let end = end.to_be_bytes();
    let mut before = 0;
    while let Some(request) = look.request(1) {
        let answer = if request[5] == 2 {
            answer(&request, &[topic.clone(), 1000_i64.to_be_bytes().into(), OFFSET.to_be_bytes().into()])
        } else {
            let marks = [end, end, 0_i64.to_be_bytes()].concat();
            let batch = batch(before);
            before += 1;
            let length = u32::try_from(batch.len()).unwrap().to_be_bytes();
            answer(&request, &[topic.clone(), marks, vec![0xff; 4], length.into(), batch])
        };
        look.feed(&answer);
        parts = 1;
        while session.end_answer(look, present().now) {
            parts += 1;
        }
    }
    parts
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

/// An answer of 1 MiB has room for thousands, and other connections wait for their turn.
#[test]
fn what_an_answer_shows_is_taken_in_a_part_at_a_time() {
    const OTHERS: i64 = 2_500;
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let mut quiet = |_: Event<'_>| {};
    let Admission::Look(mut looks) = session.admit(&request(9), false, &may_look(), &mut quiet) else { panic!() };
    let parts = show_each(&mut session, &mut looks[0], i64::MAX, |_| {
        let mut batch = hex(GOLDEN_BATCH);
        batch[..8].copy_from_slice(&(OFFSET + 2 * OTHERS).to_be_bytes());
        (0..OTHERS).map(other).chain([batch]).flatten().collect()
    });
    assert_eq!((parts, looks[0].outcome()), (3, Some(LookUpOutcome::Found)));
    let mut known = 0;
    ledger.each_tracker(|tracker| known += tracker.producers());
    assert_eq!(i64::from(known), OTHERS + 1);
}
