use kafka_protocol::messages::RequestHeader;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use kafka_protocol::protocol::Decodable;

use super::*;

/// Checks a frame's length, and returns what an independent decoder makes of its header and body.
fn decode<R: Decodable>(frame: &[u8], header_version: i16, version: i16) -> (RequestHeader, R) {
    let (length, rest) = frame.split_first_chunk::<4>().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, rest.len());
    let mut rest = Bytes::copy_from_slice(rest);
    let header = RequestHeader::decode(&mut rest, header_version).unwrap();
    let request = R::decode(&mut rest, version).unwrap();
    assert!(rest.is_empty());
    (header, request)
}

fn header(api_key: ApiKey, version: i16) -> RequestHeader {
    RequestHeader::default()
        .with_request_api_key(api_key.0)
        .with_request_api_version(version)
        .with_correlation_id(CORRELATION_ID)
        .with_client_id(Some(StrBytes::from_static_str("seqgate")))
}

fn orders() -> TopicName {
    TopicName(StrBytes::from_static_str("orders"))
}

#[test]
fn offsets_are_asked_for_as_a_consumer_does() {
    let frame = list_offset(CORRELATION_ID, b"orders", PARTITION, 1234);
    let (head, request) = decode::<ListOffsetsRequest>(&frame, 1, LIST_OFFSETS_VERSION);
    assert_eq!(head, header(ApiKey::LIST_OFFSETS, LIST_OFFSETS_VERSION));
    let partition = ListOffsetsPartition::default().with_partition_index(PARTITION).with_timestamp(1234);
    let topic = ListOffsetsTopic::default().with_name(orders()).with_partitions(vec![partition]);
    let expected =
        ListOffsetsRequest::default().with_replica_id((-1).into()).with_isolation_level(0).with_topics(vec![topic]);
    assert_eq!(request, expected);
}

#[test]
fn the_log_is_fetched_as_a_consumer_does() {
    for topic in [NAMED, BY_ID] {
        let version = fetch_version(topic);
        let frame = fetch(CORRELATION_ID, topic, PARTITION, 55, 4096);
        let (head, request) = decode::<FetchRequest>(&frame, if version >= 12 { 2 } else { 1 }, version);
        assert_eq!(head, header(ApiKey::FETCH, version));
        let partition = FetchPartition::default()
            .with_partition(PARTITION)
            .with_current_leader_epoch(-1)
            .with_fetch_offset(55)
            .with_last_fetched_epoch(-1)
            .with_log_start_offset(-1)
            .with_partition_max_bytes(4096);
        let theirs = match topic {
            TopicRef::Name(_) => FetchTopic::default().with_topic(orders()),
            TopicRef::Id(id) => FetchTopic::default().with_topic_id(id.0.to_vec().try_into().unwrap()),
        };
        let expected = FetchRequest::default()
            .with_replica_id((-1).into())
            .with_max_wait_ms(0)
            .with_min_bytes(0)
            .with_max_bytes(4096)
            .with_isolation_level(0)
            .with_session_id(0)
            .with_session_epoch(-1)
            .with_topics(vec![theirs.with_partitions(vec![partition])]);
        assert_eq!(request, expected, "v{version}");
    }
}
