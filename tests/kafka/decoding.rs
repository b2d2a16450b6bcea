//! Java's own classes read what is made here rather than passed on: answers, requests with batches left out, answers that
//! these batches are put back into, and such that say something else of some.

use std::fmt::Debug;
use std::str::FromStr;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use seqgate::sandbox::batch::{self, BatchContent};
use seqgate_protocol::sequencing::{ProducerEpoch, ProducerId, Sequence, TopicId};
use seqgate_protocol::wire::produce::{self, AnswerEntry, OwnedTopic};

use crate::support::jvm::Version;
use crate::support::require;
use crate::support::tools::Decoder;

/// The first version of each layout.
const LAYOUTS: [i16; 6] = [3, 5, 8, 9, 10, 13];
/// From it on headers and bodies have tags.
const FLEXIBLE: i16 = 9;
/// From it on topics go by their ids.
const BY_ID: i16 = 13;

#[test]
fn java_reads_every_version_of_what_is_made_here() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut decoder = Decoder::start(parts);
    for version in 3..=produce::VERSION_MAX {
        let entries = [kept(version, "a", 0), kept(version, "a", 1), kept(version, "b", 0)];
        assert_reads(&decoder.response(version, &produce::answer(version, 9, &entries)[4..]), "answer", 3);
    }
    for version in LAYOUTS {
        let stripped = produce::strip(&request(version), |ordinal| ordinal != 1).unwrap();
        let read = decoder.request(&stripped[4..]);
        assert_reads(&read, "stripped", 2);
        assert!(read.is_ok_and(|fields| fields.contains(" batch=0/7/0/0/0 batch=2/7/0/0/0 ")), "v{version}");
        let ours = [kept(version, "a", 1), kept(version, "c", 4)];
        let merged = produce::merge(version, &response(version), &ours).unwrap();
        assert_reads(&decoder.response(version, &merged[4..]), "merged", 4);
        let amended = produce::amend(version, &response(version), &[kept(version, "a", 2)]).unwrap();
        assert_reads(&decoder.response(version, &amended[4..]), "amended", 2);
    }
}

/// To the last byte, and the same when Java writes it; with so many partitions.
#[track_caller]
fn assert_reads(read: &Result<String, String>, what: &str, partitions: usize) {
    let fields = read.as_deref().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(fields.contains("correlation=9 left=0 same=true"), "{what}: {fields}");
    assert_eq!(fields.matches("(index=").count(), partitions, "{what}: {fields}");
}

/// What a duplicate is answered with.
fn kept(version: i16, topic: &str, partition: i32) -> AnswerEntry {
    let named = OwnedTopic::Name(topic.as_bytes().into());
    let topic = if version >= BY_ID { OwnedTopic::Id(TopicId([topic.as_bytes()[0]; 16])) } else { named };
    AnswerEntry { topic, partition, error: 0, base_offset: 100, log_append_time: -1, log_start_offset: 7 }
}

/// A request with correlation id 9 and three batches of topic `a`.
fn request(version: i16) -> Vec<u8> {
    let part = |index| PartitionProduceData::default().with_index(index).with_records(Some(records()));
    let topic = TopicProduceData::default().with_partition_data((0..3).map(part).collect());
    let topic = if version >= BY_ID { topic.with_topic_id(id_of('a')) } else { topic.with_name(name("a")) };
    let body = ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    let header = [&[0, 0][..], &version.to_be_bytes(), &[0, 0, 0, 9, 0, 1, b'c']].concat();
    framed(version, header, &body)
}

fn records() -> Bytes {
    batch::encode(BatchContent {
        producer_id: ProducerId::new(7),
        epoch: ProducerEpoch::new(0),
        base_sequence: Sequence::new(0).unwrap(),
        timestamp_ms: 1_700_000_000_000,
        values: &[Bytes::from_static(b"value")],
    })
}

/// The broker's answer for two partitions of topic `a`, with all that its version can say beside.
fn response(version: i16) -> Vec<u8> {
    let leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(2)).with_leader_epoch(5);
    let message = Some(StrBytes::from_static_str("no"));
    let errors = vec![BatchIndexAndErrorMessage::default().with_batch_index_error_message(message.clone())];
    let mut refused = PartitionProduceResponse::default().with_index(2).with_error_code(6).with_base_offset(-1);
    if version >= 8 {
        refused = refused.with_record_errors(errors).with_error_message(message);
    }
    if version >= 10 {
        refused = refused.with_current_leader(leader);
    }
    let stored = PartitionProduceResponse::default().with_index(0).with_base_offset(100);
    let topic = TopicProduceResponse::default().with_partition_responses(vec![stored, refused]);
    let topic = if version >= BY_ID { topic.with_topic_id(id_of('a')) } else { topic.with_name(name("a")) };
    let mut body = ProduceResponse::default().with_responses(vec![topic]).with_throttle_time_ms(5);
    if version >= 10 {
        let host = StrBytes::from_static_str("kafka-2.internal");
        let node = NodeEndpoint::default().with_node_id(BrokerId(2)).with_host(host).with_port(9092);
        body = body.with_node_endpoints(vec![node]);
    }
    framed(version, vec![0, 0, 0, 9], &body)
}

/// The id of a topic with a name of one letter.
fn id_of<Id: FromStr<Err: Debug>>(topic: char) -> Id {
    format!("{:02x}", u32::from(topic)).repeat(16).parse().unwrap()
}

fn name(topic: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(topic))
}

fn framed(version: i16, mut header: Vec<u8>, body: &impl Encodable) -> Vec<u8> {
    let mut encoded = BytesMut::new();
    body.encode(&mut encoded, version).unwrap();
    header.extend((version >= FLEXIBLE).then_some(0));
    header.extend(encoded);
    [&i32::try_from(header.len()).unwrap().to_be_bytes()[..], &header].concat()
}
