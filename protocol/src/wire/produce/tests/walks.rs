use super::*;
use crate::wire::cursor::ParseError;
use crate::wire::head::RequestHead;
use crate::wire::samples::golden_requests;

/// A partition's index, and its records: their length and their head.
type Seen = (i32, Option<u32>, Vec<u8>);

/// What a walk says of a body that arrives byte by byte.
fn stream(version: i16, body: &[u8]) -> Result<Vec<Seen>, ParseError> {
    let mut walk = ProduceWalk::new(version, body.len() as u32).unwrap();
    let (mut at, mut held) = (0, 0);
    let mut entries = Vec::new();
    loop {
        let end = body.len().min(at + held);
        match walk.step(&body[at..end])? {
            Step::More(needed) => {
                assert!(needed > held, "asks for {needed} bytes and has {held}");
                assert!(at + needed <= body.len(), "asks for bytes behind the body");
                assert!(needed < 34 * 1024, "asks for {needed} bytes to be kept");
                held += 1;
            }
            Step::Event { consumed, skip, event } => {
                assert!(consumed <= held, "consumes {consumed} bytes of {held}");
                at += consumed + skip as usize;
                assert!(at <= body.len(), "skips bytes behind the body");
                held = 0;
                match event {
                    ProduceEvent::Partition { index, records } => {
                        entries.push((index, records.len, records.head.to_vec()));
                    }
                    ProduceEvent::Head { .. } | ProduceEvent::Topic(_) | ProduceEvent::Tags(_) => {}
                    ProduceEvent::End => {
                        assert_eq!(at, body.len());
                        return Ok(entries);
                    }
                }
            }
        }
    }
}

/// The same of a body that is held whole.
fn held(version: i16, body: &[u8]) -> Result<Vec<Seen>, ParseError> {
    let seen = |entry: &ProduceEntry<'_>| (entry.partition, entry.records.len, entry.records.head.to_vec());
    let request = ProduceRequest::parse(version, body)?;
    let entries: Vec<_> = request.entries().map(|entry| seen(&entry)).collect();
    assert_eq!(entries.len(), request.partitions);
    let mut handed_out = Vec::new();
    request.each(|entry| handed_out.push(seen(entry)));
    assert_eq!(handed_out, entries);
    Ok(entries)
}

/// Where a body is cut short is counted from its first byte if it is held, and from a unit's if it is not.
fn unplaced<T>(said: Result<T, ParseError>) -> Result<T, ParseError> {
    said.map_err(|problem| {
        let is_cut = matches!(problem, ParseError::Truncated { .. });
        if is_cut { ParseError::Truncated { needed: 0, have: 0 } } else { problem }
    })
}

#[test]
fn null_records_and_empty_topic_array_are_walked() {
    let no_topics = [0, 0xff, 0xff, 0, 0, 0, 1, 1, 0];
    let request = ProduceRequest::parse(9, &no_topics).unwrap();
    assert_eq!((request.partitions, request.entries().count()), (0, 0));
    let null_records = [0, 0xff, 0xff, 0, 0, 0, 1, 2, 2, b't', 2, 0, 0, 0, 7, 0, 0, 0, 0];
    let request = ProduceRequest::parse(9, &null_records).unwrap();
    let entry = request.entries().next().unwrap();
    assert_eq!((entry.partition, entry.records.len, entry.records.head), (7, None, &[][..]));
}

#[test]
fn counts_that_the_body_cannot_hold_are_refused() {
    let too_many = |version, body: &[u8]| match ProduceRequest::parse(version, body) {
        Err(ParseError::TooMany { .. }) => {}
        other => panic!("v{version}: {other:?}"),
    };
    too_many(3, &[0xff, 0xff, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff]);
    too_many(3, &[0xff, 0xff, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0]);
    too_many(9, &[0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
    too_many(9, &[0, 0, 1, 0, 0, 0, 1, 2, 2, b't', 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]);
    let varint = [0, 0, 1, 0, 0, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
    assert_eq!(ProduceRequest::parse(9, &varint).err(), Some(ParseError::Varint));
    let null = [0xff, 0xff, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(ProduceRequest::parse(3, &null).err(), Some(ParseError::Null));
}

#[test]
fn bytes_behind_the_end_are_refused() {
    for (version, mut frame) in golden_requests() {
        frame.push(0);
        let body = RequestHead::parse(&frame[4..]).unwrap().body;
        assert_eq!(ProduceRequest::parse(version, body).err(), Some(ParseError::LeftOver { left: 1 }));
        assert_eq!(strip(&frame, |_| true), Err(ParseError::LeftOver { left: 1 }));
    }
}

#[test]
fn records_that_reach_behind_the_body_are_refused_before_they_arrive() {
    let (version, frame) = golden_requests().swap_remove(0);
    let body = RequestHead::parse(&frame[4..]).unwrap().body;
    // One byte short of what the records need: known as soon as their length is.
    let mut walk = ProduceWalk::new(version, body.len() as u32 - 1).unwrap();
    let mut rest = &body[..40];
    let refused = loop {
        match walk.step(rest) {
            Ok(Step::Event { consumed, .. }) => rest = &rest[consumed..],
            other => break other,
        }
    };
    assert!(matches!(refused, Err(ParseError::Truncated { .. })), "{refused:?}");
}

#[test]
fn a_walk_does_not_look_behind_the_body() {
    let (version, frame) = golden_requests().swap_remove(2);
    let body = RequestHead::parse(&frame[4..]).unwrap().body;
    let more = [body, &[0xff; 50]].concat();
    let mut walk = ProduceWalk::new(version, body.len() as u32).unwrap();
    let mut at = 0;
    loop {
        match walk.step(&more[at..]).unwrap() {
            Step::Event { event: ProduceEvent::End, .. } => break,
            Step::Event { consumed, skip, .. } => at += consumed + skip as usize,
            Step::More(needed) => panic!("all bytes are there, and {needed} are asked for"),
        }
    }
    assert_eq!(at, body.len());
}

#[test]
fn a_frame_of_100_mib_is_walked_by_its_first_bytes() {
    let (version, frame) = golden_requests().swap_remove(0);
    let mut body = RequestHead::parse(&frame[4..]).unwrap().body[..27 + 61].to_vec();
    let records = 100_u32 << 20;
    body[23..27].copy_from_slice(&records.to_be_bytes());
    let mut walk = ProduceWalk::new(version, 27 + records).unwrap();
    let mut at = 0;
    let skipped = loop {
        let Step::Event { consumed, skip, .. } = walk.step(&body[at..]).unwrap() else { panic!("all units are there") };
        at += consumed;
        if skip > 0 {
            break skip;
        }
    };
    assert_eq!((at, skipped), (body.len(), records - 61));
    assert_eq!(walk.step(&[]), Ok(Step::Event { consumed: 0, skip: 0, event: ProduceEvent::End }));
}

proptest! {
    #[test]
    fn a_streamed_request_says_what_a_held_one_says(request in requests(), version in 3_i16..=13) {
        let frame = request.frame(version);
        let body = RequestHead::parse(&frame[4..]).unwrap().body;
        prop_assert_eq!(stream(version, body).unwrap(), held(version, body).unwrap());
    }

    #[test]
    fn damaged_requests_do_not_panic(
        request in requests(), version in 0_i16..=13, damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let mut frame = request.frame(version.max(3));
        frame[7] = version as u8;
        for (at, byte) in damage {
            let at = at.index(frame.len() - 8) + 8;
            frame[at] = byte;
        }
        let head = RequestHead::parse(&frame[4..]);
        let whole = head.and_then(|head| ProduceRequest::parse(version, head.body));
        if let Ok(head) = head {
            prop_assert_eq!(unplaced(held(version, head.body)), unplaced(stream(version, head.body)));
        }
        let stripped = strip(&frame, |ordinal| ordinal % 2 == 0);
        prop_assert_eq!(stripped.is_ok(), whole.is_ok(), "strip reads what the walk reads");
    }

    #[test]
    fn damaged_responses_do_not_panic(
        response in responses(), version in 0_i16..=13, damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let mut frame = response.frame(version.max(3));
        for (at, byte) in damage {
            let at = at.index(frame.len() - 4) + 4;
            frame[at] = byte;
        }
        let whole = ProduceResponse::parse(version, &frame[4..]);
        if let Ok(response) = &whole {
            let _ = response.entries().count();
        }
        match merge(version, &frame, &[]) {
            Ok(merged) => prop_assert_eq!(merged.len(), frame.len()),
            Err(MergeError::Parse(problem)) => prop_assert_eq!(whole.err(), Some(problem)),
            Err(other) => prop_assert_eq!(other, MergeError::TopicTwice),
        }
    }

    #[test]
    fn no_bytes_make_a_walk_panic(version in 0_i16..=13, body in vec(prop_oneof![0_u8..4, any::<u8>()], 0..120)) {
        prop_assert_eq!(unplaced(held(version, &body)), unplaced(stream(version, &body)));
        let _ = ProduceResponse::parse(version, &body);
        let _ = merge(version, &body, &[]);
        let _ = strip(&body, |_| false);
    }
}

proptest! {
    // Each case is as many as it has bytes.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_request_cut_anywhere_is_refused(request in requests(), version in 3_i16..=13) {
        let frame = request.frame(version);
        let body = RequestHead::parse(&frame[4..]).unwrap().body;
        for cut in 0..body.len() {
            prop_assert!(ProduceRequest::parse(version, &body[..cut]).is_err());
            prop_assert!(stream(version, &body[..cut]).is_err());
        }
    }

    #[test]
    fn a_response_cut_anywhere_is_refused(response in responses(), version in 3_i16..=13) {
        let frame = response.frame(version);
        for cut in 4..frame.len() {
            prop_assert!(ProduceResponse::parse(version, &frame[4..cut]).is_err());
            prop_assert!(merge(version, &frame[..cut], &[]).is_err());
        }
        let longer = [&frame[4..], &[0]].concat();
        prop_assert_eq!(ProduceResponse::parse(version, &longer).err(), Some(ParseError::LeftOver { left: 1 }));
    }
}
