//! The handlers, asked in every version through a socket and read back with kafka-protocol.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiVersionsRequest, FetchRequest, FindCoordinatorRequest, InitProducerIdRequest, ListOffsetsRequest,
    MetadataRequest, ProduceRequest,
};
use seqgate_protocol::sequencing::{ProducerEpoch, ProducerId, Sequence};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::sandbox::batch::{self, BatchContent};
use crate::sandbox::broker::{Broker, BrokerConfig};
use crate::sandbox::client::Connection;

async fn broker() -> (Broker, Connection) {
    let broker = Broker::start(BrokerConfig::default()).await.expect("listens");
    broker.create_topic("t");
    let connection = Connection::open(broker.address(), "test").await.expect("connects");
    (broker, connection)
}

fn one_record(sequence: i32) -> Bytes {
    batch::encode(BatchContent {
        producer_id: ProducerId::new(7),
        epoch: ProducerEpoch::new(0),
        base_sequence: Sequence::new(sequence).expect("not negative"),
        timestamp_ms: 1_000,
        values: &[Bytes::from_static(b"a")],
    })
}

async fn topic_id(connection: &mut Connection) -> String {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name("t")));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    let answer = connection.call(12, &request).await.expect("answers");
    answer.topics[0].topic_id.to_string()
}

fn produce(version: i16, id: &str, acks: i16, records: &[Bytes]) -> ProduceRequest {
    let partition = |records: &Bytes| PartitionProduceData::default().with_records(Some(records.clone()));
    let topic = TopicProduceData::default().with_partition_data(records.iter().map(partition).collect());
    let topic =
        if version < 13 { topic.with_name(topic_name("t")) } else { topic.with_topic_id(id.parse().expect("an id")) };
    ProduceRequest::default().with_acks(acks).with_timeout_ms(1_000).with_topic_data(vec![topic])
}

async fn produced(connection: &mut Connection, version: i16, request: &ProduceRequest) -> PartitionProduceResponse {
    let answer = connection.call(version, request).await.expect("answers");
    assert_eq!(answer.responses.len(), 1);
    assert_eq!(answer.responses[0].partition_responses.len(), 1);
    answer.responses[0].partition_responses[0].clone()
}

#[tokio::test]
async fn produce_answers_first_successes_duplicates_and_gaps_in_every_version() {
    for version in 3..=13 {
        let (_broker, mut connection) = broker().await;
        let id = topic_id(&mut connection).await;
        for (sequence, expected) in [(0, (0, 0, -1)), (0, (0, 0, 1_000)), (1, (0, 1, -1)), (5, (45, -1, -1))] {
            let request = produce(version, &id, -1, &[one_record(sequence)]);
            let answer = produced(&mut connection, version, &request).await;
            let got = (answer.error_code, answer.base_offset, answer.log_append_time_ms);
            assert_eq!(got, expected, "v{version} sequence {sequence}");
            if version >= 5 {
                assert_eq!(answer.log_start_offset, 0, "v{version} sequence {sequence}");
            }
            assert_eq!(answer.error_message, None);
        }
    }
}

#[tokio::test]
async fn produce_refuses_unknown_topics_ids_and_acks() {
    let (_broker, mut connection) = broker().await;
    let records = [one_record(0)];
    let unknown_id = produce(13, "00000000-0000-0000-0000-00000000abcd", -1, &records);
    let mut unknown_name = produce(9, "", -1, &records);
    unknown_name.topic_data[0].name = topic_name("nowhere");
    let acks = produce(9, "", 2, &records);
    for (version, request, code) in [(13, unknown_id, 100), (9, unknown_name, 3), (9, acks, 21)] {
        let answer = produced(&mut connection, version, &request).await;
        assert_eq!((answer.error_code, answer.base_offset, answer.log_start_offset), (code, -1, -1));
    }
}

#[tokio::test]
async fn the_last_entry_of_a_partition_named_twice_wins() {
    let (broker, mut connection) = broker().await;
    let request = produce(9, "", -1, &[one_record(0), one_record(40)]);
    assert_eq!(produced(&mut connection, 9, &request).await.base_offset, 0);
    assert_eq!(broker.counters().batches_received, 1);
    let request = produce(9, "", -1, &[one_record(41)]);
    assert_eq!(produced(&mut connection, 9, &request).await.base_offset, 1, "the one at 40 was appended");
}

#[tokio::test]
async fn acks_zero_is_never_answered_and_its_errors_close_the_connection() {
    let (broker, mut connection) = broker().await;
    for sequence in [0, 0] {
        connection.send(9, &produce(9, "", 0, &[one_record(sequence)])).await.expect("sends");
    }
    // The next answer is that of the next request.
    connection.call(0, &ApiVersionsRequest::default()).await.expect("answers");
    assert_eq!((broker.counters().batches_appended, broker.counters().duplicates), (1, 1));
    connection.send(9, &produce(9, "", 0, &[one_record(9)])).await.expect("sends");
    assert!(connection.receive().await.is_err(), "a gap closes the connection");
}

#[tokio::test]
async fn null_records_are_never_answered() {
    let (_broker, mut connection) = broker().await;
    let mut request = produce(9, "", -1, &[one_record(0)]);
    request.topic_data[0].partition_data[0].records = None;
    connection.send(9, &request).await.expect("sends");
    connection.send(0, &ApiVersionsRequest::default()).await.expect("sends");
    let answer = tokio::time::timeout(Duration::from_millis(50), connection.receive()).await;
    assert!(answer.is_err(), "neither is what follows");
}

#[tokio::test]
async fn metadata_describes_and_creates_topics_in_every_version() {
    for version in 0..=13 {
        let (broker, mut connection) = broker().await;
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name("new")));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        let answer = connection.call(version, &request).await.expect("answers");
        assert_eq!(answer.brokers[0].port, i32::from(broker.address().port()), "v{version}");
        assert_eq!(answer.topics.len(), 1, "v{version}");
        assert_eq!((answer.topics[0].error_code, answer.topics[0].partitions.len()), (0, 1), "v{version}");
        if version >= 2 {
            assert_eq!(answer.cluster_id.as_deref(), Some("seqgate-sandbox"), "v{version}");
        }
        let all = MetadataRequest::default().with_topics((version == 0).then(Vec::new));
        assert_eq!(connection.call(version, &all).await.expect("answers").topics.len(), 2, "v{version}");
    }
}

#[tokio::test]
async fn metadata_refuses_unknown_ids_illegal_names_and_topics_it_may_not_create() {
    let (_broker, mut connection) = broker().await;
    let by_id = MetadataRequestTopic::default()
        .with_name(None)
        .with_topic_id(topic_id(&mut connection).await.parse().expect("an id"));
    let unknown = by_id.clone().with_topic_id("00000000-0000-0000-0000-00000000abcd".parse().expect("an id"));
    let illegal = MetadataRequestTopic::default().with_name(Some(topic_name("a/b")));
    let asked = MetadataRequest::default().with_topics(Some(vec![by_id, unknown, illegal]));
    let answer = connection.call(12, &asked).await.expect("answers");
    assert_eq!(answer.topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>(), [0, 100, 17]);
    let absent = MetadataRequestTopic::default().with_name(Some(topic_name("absent")));
    let asked = MetadataRequest::default().with_topics(Some(vec![absent])).with_allow_auto_topic_creation(false);
    assert_eq!(connection.call(12, &asked).await.expect("answers").topics[0].error_code, 3);
}

#[tokio::test]
async fn api_versions_are_told_in_every_version_and_fall_back_for_newer_ones() {
    let (broker, mut connection) = broker().await;
    let name = StrBytes::from_static_str("test");
    for version in 0..=4 {
        let request = ApiVersionsRequest::default();
        let named = request.with_client_software_name(name.clone()).with_client_software_version(name.clone());
        let request = if version >= 3 { named } else { ApiVersionsRequest::default() };
        let answer = connection.call(version, &request).await.expect("answers");
        assert_eq!((answer.error_code, answer.api_keys.len()), (0, Operation::ALL.len()), "v{version}");
    }
    let nameless = connection.call(3, &ApiVersionsRequest::default()).await.expect("answers");
    assert_eq!(nameless.error_code, ResponseError::InvalidRequest.code());
    let mut raw = TcpStream::connect(broker.address()).await.expect("connects");
    raw.write_all(&[0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff]).await.expect("writes");
    let mut answer = [0; 20];
    raw.read_exact(&mut answer).await.expect("answers");
    assert_eq!(answer, [0, 0, 0, 16, 0, 0, 0, 7, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]);
}

#[tokio::test]
async fn init_producer_id_hands_out_fresh_ids_in_every_version() {
    let (_broker, mut connection) = broker().await;
    for version in 0..=5 {
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        let answer = connection.call(version, &request).await.expect("answers");
        let got = (answer.error_code, answer.producer_id.0, answer.producer_epoch);
        assert_eq!(got, (0, 1_000 + i64::from(version), 0));
    }
}

#[tokio::test]
async fn find_coordinator_knows_none_in_every_version() {
    let (_broker, mut connection) = broker().await;
    for version in 0..=6 {
        let request = FindCoordinatorRequest::default();
        let key = StrBytes::from_static_str("g");
        let request = if version < 4 { request.with_key(key) } else { request.with_coordinator_keys(vec![key]) };
        let answer = connection.call(version, &request).await.expect("answers");
        let code = if version < 4 { answer.error_code } else { answer.coordinators[0].error_code };
        assert_eq!(code, 15, "v{version}");
    }
}

#[tokio::test]
async fn fetch_returns_what_was_produced_in_every_version() {
    for version in 4..=16 {
        let (_broker, mut connection) = broker().await;
        let id = topic_id(&mut connection).await;
        let records = one_record(0);
        produced(&mut connection, 9, &produce(9, "", -1, std::slice::from_ref(&records))).await;
        let partition = |offset| FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1);
        let topic = |offset| {
            let topic = FetchTopic::default().with_partitions(vec![partition(offset)]);
            if version < 13 {
                topic.with_topic(topic_name("t"))
            } else {
                topic.with_topic_id(id.parse().expect("an id"))
            }
        };
        let request = |offset| FetchRequest::default().with_max_bytes(1_000).with_topics(vec![topic(offset)]);
        for (offset, code, length) in [(0, 0, records.len()), (1, 0, 0), (2, 1, 0)] {
            let answer = connection.call(version, &request(offset)).await.expect("answers");
            let partition = &answer.responses[0].partitions[0];
            let length_read = partition.records.as_ref().map_or(0, Bytes::len);
            assert_eq!((partition.error_code, length_read), (code, length), "v{version} at {offset}");
            assert_eq!(partition.high_watermark, 1, "v{version}");
        }
    }
}

#[tokio::test]
async fn fetch_waits_for_an_append() {
    let (broker, mut reader) = broker().await;
    let mut writer = Connection::open(broker.address(), "writer").await.expect("connects");
    let partition = FetchPartition::default().with_partition_max_bytes(1_000);
    let topic = FetchTopic::default().with_topic(topic_name("t")).with_partitions(vec![partition]);
    let request = FetchRequest::default().with_max_bytes(1_000).with_max_wait_ms(60_000).with_min_bytes(1);
    reader.send(12, &request.with_topics(vec![topic])).await.expect("sends");
    produced(&mut writer, 9, &produce(9, "", -1, &[one_record(0)])).await;
    assert!(reader.receive().await.expect("answers").1.len() > 61);
}

#[tokio::test]
async fn list_offsets_tells_the_ends_in_every_version() {
    for version in 1..=10 {
        let (broker, mut connection) = broker().await;
        for sequence in 0..3 {
            produced(&mut connection, 9, &produce(9, "", -1, &[one_record(sequence)])).await;
        }
        broker.delete_records("t", 0, 1);
        for (timestamp, offset) in [(-2, 1), (-1, 3), (-3, 1), (500, 1), (2_000, -1)] {
            let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
            let topic = ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
            let request = ListOffsetsRequest::default().with_topics(vec![topic]);
            let answer = connection.call(version, &request).await.expect("answers");
            assert_eq!(answer.topics[0].partitions[0].offset, offset, "v{version} at {timestamp}");
        }
    }
}

#[tokio::test]
async fn garbage_closes_the_connection() {
    let (broker, _connection) = broker().await;
    for garbage in
        [&[0, 0, 0, 0][..], &[0, 0, 0, 3, 1, 2, 3], &[0xff; 8], &[0x7f, 0xff, 0xff, 0xff], b"GET / HTTP/1.1\r\n"]
    {
        let mut raw = TcpStream::connect(broker.address()).await.expect("connects");
        raw.write_all(garbage).await.expect("writes");
        // Either end of stream or reset, and no byte.
        assert_eq!(raw.read(&mut [0; 1]).await.unwrap_or(0), 0, "{garbage:?}");
    }
}
