use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};

use super::*;
use crate::wire::cursor::ParseError;

/// An answer about so many partitions of so many topics, as a broker sends it behind the length.
fn answer(topics: usize, partitions: usize) -> Vec<u8> {
    let partition = ListOffsetsPartitionResponse::default()
        .with_partition_index(PARTITION)
        .with_error_code(6)
        .with_timestamp(1_700_000_000_000)
        .with_offset(42);
    let name = TopicName(StrBytes::from_static_str("orders"));
    let topic = ListOffsetsTopicResponse::default().with_name(name).with_partitions(vec![partition; partitions]);
    let response = ListOffsetsResponse::default().with_throttle_time_ms(8).with_topics(vec![topic; topics]);
    let mut bytes = BytesMut::new();
    ResponseHeader::default().with_correlation_id(CORRELATION_ID).encode(&mut bytes, 0).unwrap();
    response.encode(&mut bytes, LIST_OFFSETS_VERSION).unwrap();
    bytes.to_vec()
}

#[test]
fn what_a_broker_says_of_an_offset_is_read() {
    let listed = ListedOffset { error: 6, timestamp: 1_700_000_000_000, offset: 42 };
    assert_eq!(listed_offset(CORRELATION_ID, b"orders", PARTITION, &answer(1, 1)), Ok(listed));
}

#[test]
fn an_answer_about_something_else_is_refused() {
    let one = answer(1, 1);
    let not_asked = Err(ListOffsetError::NotAsked);
    assert_eq!(listed_offset(CORRELATION_ID + 1, b"orders", PARTITION, &one), not_asked);
    assert_eq!(listed_offset(CORRELATION_ID, b"order", PARTITION, &one), not_asked);
    assert_eq!(listed_offset(CORRELATION_ID, b"orders", PARTITION + 1, &one), not_asked);
    for (topics, partitions) in [(0, 0), (1, 0), (2, 1), (1, 2)] {
        assert_eq!(listed_offset(CORRELATION_ID, b"orders", PARTITION, &answer(topics, partitions)), not_asked);
    }
}

#[test]
fn an_answer_that_ends_early_or_late_is_refused() {
    let whole = answer(1, 1);
    for cut in 0..whole.len() {
        let cut_off = listed_offset(CORRELATION_ID, b"orders", PARTITION, &whole[..cut]);
        assert!(matches!(cut_off, Err(ListOffsetError::Parse(_))), "{cut_off:?}");
    }
    let longer = [&whole[..], &[0]].concat();
    let refused = Err(ListOffsetError::Parse(ParseError::LeftOver { left: 1 }));
    assert_eq!(listed_offset(CORRELATION_ID, b"orders", PARTITION, &longer), refused);
}
