use super::*;
use crate::wire::batch::BATCH_HEADER_BYTES;
use crate::wire::head::{ApiKey, RequestHead};
use crate::wire::samples::{GOLDEN_BATCH, GOLDEN_REFUSAL_V9, GOLDEN_RESPONSES, GOLDEN_TOPIC_ID, golden_requests, hex};

const CORRELATION_ID: i32 = 0x0102_0304;

fn golden_topic(version: i16) -> TopicRef<'static> {
    if version >= 13 { TopicRef::Id(TopicId(GOLDEN_TOPIC_ID)) } else { TopicRef::Name(b"t") }
}

fn golden_entry(version: i16) -> AnswerEntry {
    AnswerEntry {
        topic: golden_topic(version).into(),
        partition: 0,
        error: 0,
        base_offset: 100,
        log_append_time: -1,
        log_start_offset: 7,
    }
}

/// Writes the golden response, and reads it back.
fn check_response(version: i16) {
    let golden = GOLDEN_RESPONSES.iter().find(|&&(of, _)| of == version).map(|&(_, text)| hex(text)).unwrap();
    assert_eq!(answer(version, CORRELATION_ID, &[golden_entry(version)]), golden, "v{version}");
    let response = ProduceResponse::parse(version, &golden[4..]).unwrap();
    assert_eq!(response.correlation_id, CORRELATION_ID);
    let entries: Vec<_> = response.entries().collect();
    assert_eq!(
        entries,
        [ResponseEntry {
            topic: golden_topic(version),
            partition: 0,
            error: 0,
            base_offset: 100,
            log_append_time: -1,
            log_start_offset: (version >= 5).then_some(7),
        }]
    );
}

macro_rules! golden_responses {
    ($($name:ident, $version:literal;)*) => {
        $(
            #[test]
            fn $name() {
                check_response($version);
            }
        )*
    };
}

golden_responses! {
    synthesised_response_v3_golden, 3;
    synthesised_response_v4_golden, 4;
    synthesised_response_v5_golden, 5;
    synthesised_response_v6_golden, 6;
    synthesised_response_v7_golden, 7;
    synthesised_response_v8_golden, 8;
    synthesised_response_v9_golden, 9;
    synthesised_response_v10_golden, 10;
    synthesised_response_v11_golden, 11;
    synthesised_response_v12_golden, 12;
    synthesised_response_v13_golden, 13;
}

#[test]
fn synthesised_refusal_golden() {
    let refusal = AnswerEntry { error: 45, base_offset: -1, ..golden_entry(9) };
    assert_eq!(answer(9, CORRELATION_ID, &[refusal]), hex(GOLDEN_REFUSAL_V9));
}

#[test]
fn v13_answer_uses_topic_id_no_name() {
    let frame = answer(13, CORRELATION_ID, &[golden_entry(13)]);
    assert_eq!(frame[10..26], GOLDEN_TOPIC_ID);
    let (_, theirs) = decode_response(13, &frame);
    assert_eq!(theirs.responses[0].topic_id.as_bytes(), &GOLDEN_TOPIC_ID);
    assert!(theirs.responses[0].name.is_empty());
}

#[test]
fn golden_requests_are_walked() {
    let batch = hex(GOLDEN_BATCH);
    for (version, frame) in golden_requests() {
        let head = RequestHead::parse(&frame[4..]).unwrap();
        assert_eq!((head.prefix.api_key, head.prefix.api_version), (ApiKey::PRODUCE, version));
        assert_eq!((head.prefix.correlation_id, head.client_id), (CORRELATION_ID, Some(&b"c"[..])));
        let request = ProduceRequest::parse(version, head.body).unwrap();
        assert_eq!((request.acks, request.timeout_ms, request.transactional_id), (-1, 30_000, None));
        assert_eq!(request.partitions, 1);
        let entry = request.entries().next().unwrap();
        assert_eq!((entry.topic, entry.partition), (golden_topic(version), 0));
        assert_eq!(entry.records.len, Some(79));
        assert_eq!(entry.records.head, &batch[..BATCH_HEADER_BYTES]);
        let view = entry.records.batch().unwrap();
        assert_eq!((view.producer_id().get(), view.base_sequence(), view.records_count()), (7, 5, 2));
        assert_eq!(request.entries().count(), 1);
    }
}

#[test]
fn golden_bytes_cut_anywhere_are_refused() {
    for (version, frame) in golden_requests() {
        let body = RequestHead::parse(&frame[4..]).unwrap().body;
        for cut in 0..body.len() {
            assert!(ProduceRequest::parse(version, &body[..cut]).is_err(), "request v{version}, {cut} bytes");
        }
        assert!(strip(&frame[..frame.len() - 1], |_| true).is_err());
    }
    for (version, text) in GOLDEN_RESPONSES {
        let frame = hex(text);
        for cut in 4..frame.len() {
            assert!(ProduceResponse::parse(version, &frame[4..cut]).is_err(), "response v{version}, {cut} bytes");
            assert!(merge(version, &frame[..cut], &[]).is_err());
        }
    }
}

#[test]
fn versions_before_the_third_have_no_transactional_id() {
    let (_, v3) = golden_requests().swap_remove(0);
    let body = RequestHead::parse(&v3[4..]).unwrap().body;
    for version in 0..3 {
        let request = ProduceRequest::parse(version, &body[2..]).unwrap();
        assert_eq!((request.acks, request.timeout_ms, request.partitions), (-1, 30_000, 1));
        let entry = request.entries().next().unwrap();
        assert_eq!(entry.topic, TopicRef::Name(b"t"));
        assert!(entry.records.batch().is_ok());
        for cut in 2..body.len() {
            assert!(ProduceRequest::parse(version, &body[2..cut]).is_err(), "request v{version}, {cut} bytes");
        }
    }
    let responses = [
        "00000005 00000001 000174 00000001 00000003 0006 0000000000000064",
        "00000005 00000001 000174 00000001 00000003 0006 0000000000000064 00000009",
        "00000005 00000001 000174 00000001 00000003 0006 0000000000000064 0000000000000008 00000009",
    ];
    for (version, text) in (0..).zip(responses) {
        let bytes = hex(text);
        let response = ProduceResponse::parse(version, &bytes).unwrap();
        assert_eq!(response.correlation_id, 5);
        let entry = response.entries().next().unwrap();
        assert_eq!((entry.topic, entry.partition, entry.error), (TopicRef::Name(b"t"), 3, 6));
        assert_eq!((entry.base_offset, entry.log_start_offset), (100, None));
        assert_eq!(entry.log_append_time, if version == 2 { 8 } else { -1 });
        for cut in 0..bytes.len() {
            assert!(ProduceResponse::parse(version, &bytes[..cut]).is_err(), "response v{version}, {cut} bytes");
        }
    }
}

#[test]
fn versions_without_a_known_layout_are_refused() {
    for version in [-1, 14, i16::MIN, i16::MAX] {
        assert!(ProduceWalk::new(version, 100).is_none());
        assert!(ProduceRequest::parse(version, &[]).is_err());
        assert!(ProduceResponse::parse(version, &[0; 40]).is_err());
        assert!(merge(version, &[0; 40], &[]).is_err());
    }
}
