//! Requests that pass in pieces: what of them must not go, and what is noted of them.

use super::*;

fn begin(session: &mut Session<Memory>, frame: &[u8]) -> Streamed {
    let size = u32::try_from(frame.len() - 4).unwrap();
    session.begin_stream(frame, size, &mut |_: Event<'_>| {}).expect("the header is there")
}

/// T27: whatever stands behind it.
#[test]
fn a_streamed_request_of_which_one_batch_must_wait_does_not_go() {
    let mut session = session(&Memory::new());
    let mut quiet = |_: Event<'_>| {};
    let Admission::Forward(Some(pending)) = admit(&mut session, &request(3)) else { panic!("forwarded") };
    session.settle(pending, &ledgers::acked(&[b"t"]), Millis(1000), &mut quiet);
    let restarted = Present { broker: BrokerGeneration { broker: 1, generation: 1 }, ..present() };
    assert!(matches!(session.admit(&request(3), false, &restarted, &mut quiet), Admission::Answer(_)));
    for is_alone in [true, false] {
        let frame = ledgers::with_sequences(two_topics(), [if is_alone { 7 } else { 9 }, 5].into());
        let mut streamed = begin(&mut session, &frame);
        assert_eq!(session.stream(&mut streamed, &frame, &restarted, &mut quiet), is_alone);
        let _in_flight = session.end_stream(streamed, &restarted);
    }
}

/// KAFKA-15591: to be cut off for it would not help, for it would be as large when it comes again.
#[test]
fn a_streamed_request_does_not_wait_for_its_producers_first_batch() {
    let ledger = Memory::new();
    let (mut first, mut session) = (session(&ledger), Session::new(ConnectionId(2), ledger.clone()));
    let (guarding, mut quiet) = (Present { guards: true, ..present() }, |_: Event<'_>| {});
    let beginning = ledgers::with_sequences(request(3), [0].into());
    let admission = first.admit(&beginning, false, &guarding, &mut quiet);
    assert!(matches!(admission, Admission::Forward(Some(_))), "{admission:?}");
    assert!(matches!(session.admit(&request(3), false, &guarding, &mut quiet), Admission::Hold));
    let mut streamed = begin(&mut session, &request(3));
    assert!(session.stream(&mut streamed, &request(3), &guarding, &mut quiet));
    session.cut_stream(streamed, &guarding);
}

/// What all of the request's batches take, streamed; whether there was too little room for it.
fn streamed(count: i32, keep_bytes_max: usize) -> (usize, bool) {
    let (ledger, frame) = (Memory::new(), memory::wide(count));
    let mut session = session(&ledger);
    let mut streamed = begin(&mut session, &frame);
    let present = Present { keep_bytes_max, ..present() };
    assert!(session.stream(&mut streamed, &frame, &present, &mut |_: Event<'_>| {}));
    let bytes = streamed.bytes();
    session.cut_stream(streamed, &present);
    (bytes, ledger.is_tainted())
}

#[test]
fn a_few_batches_of_a_streamed_request_are_noted_down_without_room_and_more_within_it() {
    assert!(!streamed(32, 0).1);
    let (bytes, _) = streamed(33, usize::MAX);
    assert!(bytes >= 33 * size_of::<Claim>());
    assert_eq!([bytes, bytes - 1].map(|room| streamed(33, room).1), [false, true]);
}

#[test]
fn what_a_streamed_request_takes_is_all_that_is_noted_of_it_and_what_is_to_be_seen_again() {
    let mut session = session(&Memory::new());
    let frame = partitions_without_records(1_000);
    let mut streamed = begin(&mut session, &frame);
    let mut quiet = |_: Event<'_>| {};
    let (whole, part) = frame[..frame.len() - 2].split_at(frame.len() - 8);
    assert!(session.stream(&mut streamed, whole, &present(), &mut quiet));
    let bytes = streamed.bytes();
    assert!((16_000..20_000).contains(&bytes), "{bytes}");
    assert!(session.stream(&mut streamed, part, &present(), &mut quiet));
    let more = streamed.bytes() - bytes;
    assert!((part.len()..100).contains(&more), "{more}");
    session.cut_stream(streamed, &present());
}
