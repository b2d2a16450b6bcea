//! Frames as clients and brokers write them, by an encoder that is not ours.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{NodeEndpoint, PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiKey, BrokerId, ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

/// One partition's part of a produce request.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) topic: String,
    /// What stands for the topic from v13 on.
    pub(crate) id: u8,
    pub(crate) partition: i32,
    pub(crate) records: Option<Vec<u8>>,
}

impl Entry {
    /// The partition as scenarios and events call it.
    pub(crate) fn label(&self, version: i16) -> String {
        if version >= 13 {
            format!("#{}-{}", self.id, self.partition)
        } else {
            format!("{}-{}", self.topic, self.partition)
        }
    }
}

/// A produce request, as far as scenarios vary it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) acks: i16,
    pub(crate) transactional_id: Option<String>,
    pub(crate) entries: Vec<Entry>,
}

/// What a broker says of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) topic: String,
    pub(crate) id: u8,
    pub(crate) partition: i32,
    pub(crate) error: i16,
    pub(crate) base_offset: i64,
    pub(crate) append_time: i64,
    pub(crate) log_start: i64,
}

/// The numbers of a record batch's header that scenarios vary.
#[derive(Clone, Debug)]
pub(crate) struct BatchSpec {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) base: i32,
    pub(crate) count: i32,
    pub(crate) transactional: bool,
    pub(crate) control: bool,
    pub(crate) content: String,
}

/// A batch of magic 2 whose CRC is right; its records are no records, which only a broker would notice.
pub(crate) fn batch(spec: &BatchSpec) -> Vec<u8> {
    let mut checked = Vec::new();
    let attributes = i16::from(spec.transactional) << 4 | i16::from(spec.control) << 5;
    checked.extend(attributes.to_be_bytes());
    checked.extend((spec.count - 1).to_be_bytes());
    checked.extend([1000_i64.to_be_bytes(), 1000_i64.to_be_bytes(), spec.producer_id.to_be_bytes()].concat());
    checked.extend(spec.epoch.to_be_bytes());
    checked.extend([spec.base.to_be_bytes(), spec.count.to_be_bytes()].concat());
    checked.extend(spec.content.as_bytes());
    let mut out = 0_i64.to_be_bytes().to_vec();
    out.extend(i32::try_from(checked.len() + 9).unwrap().to_be_bytes());
    out.extend((-1_i32).to_be_bytes());
    out.push(2);
    out.extend(crc32c::crc32c(&checked).to_be_bytes());
    out.extend(checked);
    out
}

/// The whole frame of a produce request, length included.
pub(crate) fn request(request: &Request) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(ApiKey::Produce as i16)
        .with_request_api_version(request.version)
        .with_correlation_id(request.correlation_id)
        .with_client_id(Some(StrBytes::from_static_str("golden")));
    let mut body = ProduceRequest::default()
        .with_acks(request.acks)
        .with_timeout_ms(30_000)
        .with_transactional_id(request.transactional_id.clone().map(|id| TransactionalId(StrBytes::from_string(id))));
    for entry in &request.entries {
        let topic = TopicName(StrBytes::from_string(entry.topic.clone()));
        let records = entry.records.clone().map(Bytes::from);
        let partition = PartitionProduceData::default().with_index(entry.partition).with_records(records);
        match body.topic_data.last_mut() {
            Some(last) if last.name == topic => last.partition_data.push(partition),
            _ => body.topic_data.push(
                TopicProduceData::default()
                    .with_name(topic)
                    .with_topic_id(id_text(entry.id).parse().unwrap())
                    .with_partition_data(vec![partition]),
            ),
        }
    }
    let mut out = BytesMut::new();
    header.encode(&mut out, ProduceRequest::header_version(request.version)).expect("header encodes");
    body.encode(&mut out, request.version).expect("request encodes");
    framed(&out)
}

/// The entries of a produce request's frame, as a broker reads them.
pub(crate) fn read_request(version: i16, frame: &[u8]) -> Vec<(String, i32, Option<Vec<u8>>)> {
    let mut bytes = Bytes::copy_from_slice(&frame[4..]);
    RequestHeader::decode(&mut bytes, ProduceRequest::header_version(version)).expect("header decodes");
    let body = ProduceRequest::decode(&mut bytes, version).expect("request decodes");
    assert!(bytes.is_empty(), "bytes are left over");
    let mut entries = Vec::new();
    for topic in body.topic_data {
        let name = topic_label(version, topic.name.0.as_str(), topic.topic_id.as_bytes());
        for partition in topic.partition_data {
            entries.push((name.clone(), partition.index, partition.records.map(|records| records.to_vec())));
        }
    }
    entries
}

/// The whole frame of a produce response, length included.
pub(crate) fn response(version: i16, correlation_id: i32, said: &[Said], throttle: i32, endpoints: bool) -> Vec<u8> {
    let mut body = ProduceResponse::default().with_throttle_time_ms(throttle);
    for said in said {
        let topic = TopicName(StrBytes::from_string(if version < 13 { said.topic.clone() } else { String::new() }));
        let id = id_text(if version >= 13 { said.id } else { 0 }).parse().unwrap();
        let partition = PartitionProduceResponse::default()
            .with_index(said.partition)
            .with_error_code(said.error)
            .with_base_offset(said.base_offset)
            .with_log_append_time_ms(said.append_time)
            .with_log_start_offset(if version >= 5 { said.log_start } else { -1 });
        match body.responses.iter_mut().find(|t| t.name == topic && t.topic_id == id) {
            Some(entry) => entry.partition_responses.push(partition),
            None => body.responses.push(
                TopicProduceResponse::default()
                    .with_name(topic)
                    .with_topic_id(id)
                    .with_partition_responses(vec![partition]),
            ),
        }
    }
    if endpoints {
        let node = NodeEndpoint::default().with_node_id(BrokerId(3)).with_host("h".to_string().into()).with_port(9);
        body.node_endpoints.push(node);
    }
    let mut out = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    header.encode(&mut out, ProduceResponse::header_version(version)).expect("header encodes");
    body.encode(&mut out, version).expect("response encodes");
    framed(&out)
}

/// What a client reads in a produce response: correlation id, throttle time and the number of node endpoints as text,
/// and one text per partition, sorted.
pub(crate) fn read_response(version: i16, frame: &[u8]) -> (i32, String, Vec<String>) {
    let length = i32::from_be_bytes(frame[..4].try_into().unwrap());
    assert_eq!(usize::try_from(length).unwrap(), frame.len() - 4, "the length is not the frame's");
    let mut bytes = Bytes::copy_from_slice(&frame[4..]);
    let header = ResponseHeader::decode(&mut bytes, ProduceResponse::header_version(version)).expect("header decodes");
    let body = ProduceResponse::decode(&mut bytes, version).expect("response decodes");
    assert!(bytes.is_empty(), "bytes are left over");
    let mut seen = std::collections::HashSet::new();
    let mut lines = Vec::new();
    for topic in body.responses {
        let name = topic_label(version, topic.name.0.as_str(), topic.topic_id.as_bytes());
        assert!(seen.insert(name.clone()), "topic {name} has two entries");
        lines.extend(topic.partition_responses.iter().map(|partition| said_text(&name, partition)));
    }
    lines.sort();
    let mut rest = String::new();
    if body.throttle_time_ms != 0 {
        rest += &format!(" throttle={}", body.throttle_time_ms);
    }
    if !body.node_endpoints.is_empty() {
        rest += &format!(" endpoints={}", body.node_endpoints.len());
    }
    (header.correlation_id, rest, lines)
}

fn said_text(topic: &str, said: &PartitionProduceResponse) -> String {
    let code = if said.error_code == 0 { "ok".to_string() } else { said.error_code.to_string() };
    let mut text = format!("{topic}-{}={code}", said.index);
    for (mark, value) in
        [("@", said.base_offset), ("/time=", said.log_append_time_ms), ("/start=", said.log_start_offset)]
    {
        if value != -1 {
            text.push_str(&format!("{mark}{value}"));
        }
    }
    text
}

/// A topic's id as text: sixteen times the same byte.
pub(crate) fn id_text(id: u8) -> String {
    format!("{id:02x}").repeat(16)
}

fn topic_label(version: i16, name: &str, id: &[u8; 16]) -> String {
    if version >= 13 { format!("#{}", id[0]) } else { name.to_string() }
}

pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}
