mod amended;
mod differential;
mod edits;
mod golden;
mod walks;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest as Request, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceResponse as Response,
    TopicProduceResponse,
};
use kafka_protocol::messages::{RequestHeader, ResponseHeader, TopicName, TransactionalId};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::sequencing::{TopicId, TopicRef};

type Tags = std::collections::BTreeMap<i32, Bytes>;

/// Its index, records and tagged fields.
type AnyPartition = (i32, Option<Vec<u8>>, Tags);

/// What all versions of a request can be made of.
#[derive(Clone, Debug)]
struct AnyRequest {
    correlation_id: i32,
    client_id: Option<String>,
    transactional_id: Option<String>,
    acks: i16,
    timeout_ms: i32,
    topics: Vec<AnyTopic<AnyPartition>>,
    tags: Tags,
}

/// A topic under both of its names.
#[derive(Clone, Debug)]
struct AnyTopic<P> {
    name: String,
    id: [u8; 16],
    partitions: Vec<P>,
    tags: Tags,
}

fn tags() -> impl Strategy<Value = Tags> {
    // Numbers below 10 are left to fields that are known.
    prop_oneof![
        3 => Just(Tags::new()),
        1 => btree_map(10_i32..1000, vec(any::<u8>(), 0..200).prop_map(Bytes::from), 1..3),
    ]
}

fn topics<P: std::fmt::Debug>(partition: impl Strategy<Value = P>) -> impl Strategy<Value = Vec<AnyTopic<P>>> {
    let topic = ("[a-z.]{1,12}|[a-z]{120,200}", any::<[u8; 16]>(), vec(partition, 0..5), tags());
    vec(topic, 0..5).prop_map(|topics| {
        let mut topics: Vec<_> =
            topics.into_iter().map(|(name, id, partitions, tags)| AnyTopic { name, id, partitions, tags }).collect();
        for (n, topic) in topics.iter_mut().enumerate() {
            // No two of one name or one id, and none of the id that means none.
            topic.name.push_str(&n.to_string());
            topic.id[0] = 1 + n as u8;
        }
        topics
    })
}

fn requests() -> impl Strategy<Value = AnyRequest> {
    let records = proptest::option::weighted(0.9, prop_oneof![vec(any::<u8>(), 0..100), vec(any::<u8>(), 100..400)]);
    (
        (any::<i32>(), proptest::option::of("[a-z]{0,9}"), proptest::option::of("[a-z]{0,150}")),
        (any::<i16>(), any::<i32>()),
        topics((0_i32..9, records, tags())),
        tags(),
    )
        .prop_map(|((correlation_id, client_id, transactional_id), (acks, timeout_ms), topics, tags)| AnyRequest {
            correlation_id,
            client_id,
            transactional_id,
            acks,
            timeout_ms,
            topics,
            tags,
        })
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn tags_in(version: i16, tags: &Tags) -> Tags {
    if version >= 9 { tags.clone() } else { Tags::new() }
}

impl AnyRequest {
    fn theirs(&self, version: i16) -> Request {
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|(index, records, tags)| {
                PartitionProduceData::default()
                    .with_index(*index)
                    .with_records(records.clone().map(Bytes::from))
                    .with_unknown_tagged_fields(tags_in(version, tags))
            });
            let theirs = TopicProduceData::default()
                .with_partition_data(partitions.collect())
                .with_unknown_tagged_fields(tags_in(version, &topic.tags));
            if version >= 13 {
                theirs.with_topic_id(topic.id.to_vec().try_into().unwrap())
            } else {
                theirs.with_name(TopicName(text(&topic.name)))
            }
        });
        Request::default()
            .with_transactional_id(self.transactional_id.as_deref().map(|id| TransactionalId(text(id))))
            .with_acks(self.acks)
            .with_timeout_ms(self.timeout_ms)
            .with_topic_data(topics.collect())
            .with_unknown_tagged_fields(tags_in(version, &self.tags))
    }

    /// The whole frame as an independent encoder writes it.
    fn frame(&self, version: i16) -> Vec<u8> {
        let mut frame = BytesMut::new();
        RequestHeader::default()
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(self.client_id.as_deref().map(text))
            .encode(&mut frame, if version >= 9 { 2 } else { 1 })
            .unwrap();
        self.theirs(version).encode(&mut frame, version).unwrap();
        with_length(&frame)
    }
}

/// What all versions of a response can be made of; partitions are written down as their newest version.
#[derive(Clone, Debug)]
struct AnyResponse {
    correlation_id: i32,
    topics: Vec<AnyTopic<PartitionProduceResponse>>,
    throttle_time_ms: i32,
    node_endpoints: Vec<NodeEndpoint>,
    tags: Tags,
}

fn partition_responses() -> impl Strategy<Value = PartitionProduceResponse> {
    let record_error = (any::<i32>(), proptest::option::of("[a-z ]{0,20}")).prop_map(|(index, message)| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(index)
            .with_batch_index_error_message(message.map(StrBytes::from_string))
    });
    (
        (0_i32..9, any::<i16>(), any::<i64>(), any::<i64>(), any::<i64>()),
        vec(record_error, 0..3),
        proptest::option::of("[a-z ]{0,150}"),
        proptest::option::of((any::<i32>(), any::<i32>())),
        tags(),
    )
        .prop_map(|((index, error, base_offset, append_time, start), record_errors, message, leader, tags)| {
            let leader = leader
                .map(|(id, epoch)| LeaderIdAndEpoch::default().with_leader_id(id.into()).with_leader_epoch(epoch));
            PartitionProduceResponse::default()
                .with_index(index)
                .with_error_code(error)
                .with_base_offset(base_offset)
                .with_log_append_time_ms(append_time)
                .with_log_start_offset(start)
                .with_record_errors(record_errors)
                .with_error_message(message.map(StrBytes::from_string))
                .with_current_leader(leader.unwrap_or_default())
                .with_unknown_tagged_fields(tags)
        })
}

fn responses() -> impl Strategy<Value = AnyResponse> {
    let endpoint = (any::<i32>(), "[a-z.]{1,20}", any::<i32>(), proptest::option::of("[a-z]{0,5}")).prop_map(
        |(node_id, host, port, rack)| {
            NodeEndpoint::default()
                .with_node_id(node_id.into())
                .with_host(StrBytes::from_string(host))
                .with_port(port)
                .with_rack(rack.map(StrBytes::from_string))
        },
    );
    (any::<i32>(), topics(partition_responses()), any::<i32>(), vec(endpoint, 0..3), tags()).prop_map(
        |(correlation_id, topics, throttle_time_ms, node_endpoints, tags)| AnyResponse {
            correlation_id,
            topics,
            throttle_time_ms,
            node_endpoints,
            tags,
        },
    )
}

/// The partition as `version` can express it.
fn partition_in(version: i16, partition: &PartitionProduceResponse) -> PartitionProduceResponse {
    let mut partition = partition.clone();
    partition.unknown_tagged_fields = tags_in(version, &partition.unknown_tagged_fields);
    if version < 5 {
        partition.log_start_offset = -1;
    }
    if version < 8 {
        partition.record_errors.clear();
        partition.error_message = None;
    }
    if version < 10 {
        partition.current_leader = LeaderIdAndEpoch::default();
    }
    partition
}

impl AnyResponse {
    fn theirs(&self, version: i16) -> Response {
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| partition_in(version, partition));
            let theirs = TopicProduceResponse::default()
                .with_partition_responses(partitions.collect())
                .with_unknown_tagged_fields(tags_in(version, &topic.tags));
            if version >= 13 {
                theirs.with_topic_id(topic.id.to_vec().try_into().unwrap())
            } else {
                theirs.with_name(TopicName(text(&topic.name)))
            }
        });
        let endpoints = if version >= 10 { self.node_endpoints.clone() } else { Vec::new() };
        Response::default()
            .with_responses(topics.collect())
            .with_throttle_time_ms(self.throttle_time_ms)
            .with_node_endpoints(endpoints)
            .with_unknown_tagged_fields(tags_in(version, &self.tags))
    }

    /// The whole frame as an independent encoder writes it.
    fn frame(&self, version: i16) -> Vec<u8> {
        let mut frame = BytesMut::new();
        let header = ResponseHeader::default().with_correlation_id(self.correlation_id);
        header.encode(&mut frame, i16::from(version >= 9)).unwrap();
        self.theirs(version).encode(&mut frame, version).unwrap();
        with_length(&frame)
    }
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

/// The topic as `version` names it.
fn named<P>(version: i16, topic: &AnyTopic<P>) -> TopicRef<'_> {
    if version >= 13 { TopicRef::Id(TopicId(topic.id)) } else { TopicRef::Name(topic.name.as_bytes()) }
}

/// Checks the length, and returns what an independent decoder makes of the rest; only for frames that were walked.
fn decode_response(version: i16, frame: &[u8]) -> (i32, Response) {
    let (length, rest) = frame.split_first_chunk::<4>().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, rest.len());
    ProduceResponse::parse(version, rest).expect("only what we accept is safe to be given to the other decoder");
    let mut rest = Bytes::copy_from_slice(rest);
    let header = ResponseHeader::decode(&mut rest, i16::from(version >= 9)).unwrap();
    let response = Response::decode(&mut rest, version).unwrap();
    assert!(rest.is_empty());
    (header.correlation_id, response)
}

/// Likewise, of a request.
fn decode_request(version: i16, frame: &[u8]) -> (RequestHeader, Request) {
    let (length, rest) = frame.split_first_chunk::<4>().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, rest.len());
    let head = crate::wire::head::RequestHead::parse(rest).unwrap();
    ProduceRequest::parse(version, head.body).expect("only what we accept is safe to be given to the other decoder");
    let mut rest = Bytes::copy_from_slice(rest);
    let header = RequestHeader::decode(&mut rest, if version >= 9 { 2 } else { 1 }).unwrap();
    let request = Request::decode(&mut rest, version).unwrap();
    assert!(rest.is_empty());
    (header, request)
}
