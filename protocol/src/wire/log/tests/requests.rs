use kafka_protocol::messages::RequestHeader;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::protocol::Decodable;

use proptest::prelude::*;

use super::*;
use crate::wire::samples::hex;

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

/// The topic's name, if it is one.
fn named(topic: TopicRef<'_>) -> TopicName {
    match topic {
        TopicRef::Name(name) => TopicName(StrBytes::from_string(String::from_utf8(name.to_vec()).unwrap())),
        TopicRef::Id(_) => TopicName::default(),
    }
}

/// Checks what an independent decoder makes of the request for a timestamp's offset.
fn check_list_offset(name: &str, partition: i32, timestamp_ms: i64) {
    let frame = list_offset(CORRELATION_ID, name.as_bytes(), partition, timestamp_ms);
    let (head, request) = decode::<ListOffsetsRequest>(&frame, 1, LIST_OFFSETS_VERSION);
    assert_eq!(head, header(ApiKey::LIST_OFFSETS, LIST_OFFSETS_VERSION));
    let partition = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(timestamp_ms);
    let topic =
        ListOffsetsTopic::default().with_name(named(TopicRef::Name(name.as_bytes()))).with_partitions(vec![partition]);
    let expected =
        ListOffsetsRequest::default().with_replica_id((-1).into()).with_isolation_level(0).with_topics(vec![topic]);
    assert_eq!(request, expected);
}

/// Likewise, of the request for a piece of the log.
fn check_fetch(topic: TopicRef<'_>, partition: i32, offset: i64, bytes_max: i32) {
    check_fetch_in(version_of(topic), topic, partition, offset, bytes_max);
    check_fetch_in(FetchVersion::of(topic), topic, partition, offset, bytes_max);
}

fn check_fetch_in(asked_in: FetchVersion, topic: TopicRef<'_>, partition: i32, offset: i64, bytes_max: i32) {
    let version = asked_in.number();
    let frame = fetch(asked_in, CORRELATION_ID, topic, partition, offset, bytes_max);
    let (head, request) = decode::<FetchRequest>(&frame, if version >= 12 { 2 } else { 1 }, version);
    assert_eq!(head, header(ApiKey::FETCH, version));
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(-1)
        .with_fetch_offset(offset)
        .with_last_fetched_epoch(-1)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(bytes_max);
    let theirs = match topic {
        TopicRef::Name(_) => FetchTopic::default().with_topic(named(topic)),
        TopicRef::Id(id) => FetchTopic::default().with_topic_id(id.0.to_vec().try_into().unwrap()),
    };
    let expected = FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(0)
        .with_min_bytes(0)
        .with_max_bytes(bytes_max)
        .with_isolation_level(0)
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(vec![theirs.with_partitions(vec![partition])]);
    assert_eq!(request, expected, "v{version}");
}

#[test]
fn list_offset_v2_golden() {
    let golden = "00000032 0002 0002 0000004d 0007 73657167617465 ffffffff 00 \
        00000001 0006 6f7264657273 00000001 00000003 00000000000004d2";
    assert_eq!(list_offset(CORRELATION_ID, b"orders", PARTITION, 1234), hex(golden));
    check_list_offset("orders", PARTITION, 1234);
}

#[test]
fn fetch_v5_golden() {
    let golden = "0000004a 0001 0005 0000004d 0007 73657167617465 \
        ffffffff 00000000 00000000 00001000 00 \
        00000001 0006 6f7264657273 00000001 00000003 0000000000000037 ffffffffffffffff 00001000";
    assert_eq!(fetch(FetchVersion::Oldest, CORRELATION_ID, NAMED, PARTITION, 55, 4096), hex(golden));
}

#[test]
fn fetch_v10_golden() {
    let golden = "0000005a 0001 000a 0000004d 0007 73657167617465 \
        ffffffff 00000000 00000000 00001000 00 00000000 ffffffff \
        00000001 0006 6f7264657273 00000001 00000003 ffffffff 0000000000000037 ffffffffffffffff 00001000 00000000";
    assert_eq!(fetch(FetchVersion::Zstd, CORRELATION_ID, NAMED, PARTITION, 55, 4096), hex(golden));
    check_fetch(NAMED, PARTITION, 55, 4096);
}

#[test]
fn fetch_v13_golden() {
    let golden = "00000062 0001 000d 0000004d 0007 73657167617465 00 \
        ffffffff 00000000 00000000 00001000 00 00000000 ffffffff \
        02 09090909090909090909090909090909 \
        02 00000003 ffffffff 0000000000000037 ffffffff ffffffffffffffff 00001000 00 00 01 01 00";
    assert_eq!(fetch(FetchVersion::ById, CORRELATION_ID, BY_ID, PARTITION, 55, 4096), hex(golden));
    check_fetch(BY_ID, PARTITION, 55, 4096);
}

#[test]
fn a_name_may_be_as_long_as_one_can_be_written() {
    let longest = "n".repeat(0x7fff);
    check_list_offset(&longest, 0, -1);
    check_fetch(TopicRef::Name(longest.as_bytes()), 0, 0, 1);
}

/// Checks what an independent decoder makes of the request for a topic's id and the cluster's.
fn check_metadata(name: &str) {
    for version in [METADATA_VERSION, METADATA_VERSION_WITH_ID] {
        let frame = metadata(version, CORRELATION_ID, name.as_bytes());
        let (head, request) = decode::<MetadataRequest>(&frame, if version >= 9 { 2 } else { 1 }, version);
        assert_eq!(head, header(ApiKey::METADATA, version));
        let topic = MetadataRequestTopic::default().with_name(Some(named(TopicRef::Name(name.as_bytes()))));
        let expected = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
        assert_eq!(request, expected, "v{version}");
    }
}

#[test]
fn a_topic_can_be_asked_for_by_id() {
    let frame = metadata_by_id(CORRELATION_ID, TopicId([9; 16]));
    let (head, request) = decode::<MetadataRequest>(&frame, 2, METADATA_VERSION_BY_ID);
    assert_eq!(head, header(ApiKey::METADATA, METADATA_VERSION_BY_ID));
    let topic = MetadataRequestTopic::default().with_name(None).with_topic_id(vec![9; 16].try_into().unwrap());
    let expected = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
    assert_eq!(request, expected);
}

#[test]
fn a_topic_is_asked_for_and_not_created() {
    check_metadata("orders");
    check_metadata(&"n".repeat(0x7fff));
}

proptest! {
    #[test]
    fn requests_are_read_by_an_independent_decoder(
        name in "[a-z.]{0,249}", id: [u8; 16], partition: i32, number: i64, bytes_max: i32
    ) {
        check_list_offset(&name, partition, number);
        check_fetch(TopicRef::Name(name.as_bytes()), partition, number, bytes_max);
        check_fetch(TopicRef::Id(TopicId(id)), partition, number, bytes_max);
    }
}
