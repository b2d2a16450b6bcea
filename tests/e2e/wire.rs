//! Kafka's frames as clients and brokers send them.

use std::fmt::Debug;
use std::str::FromStr;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use seqgate::sandbox::batch::{BatchContent, encode};
use seqgate_protocol::sequencing::{ProducerEpoch, ProducerId, Sequence};

pub(crate) const PRODUCE: i16 = 0;
pub(crate) const FETCH: i16 = 1;
pub(crate) const METADATA: i16 = 3;
pub(crate) const SASL_HANDSHAKE: i16 = 17;
pub(crate) const API_VERSIONS: i16 = 18;
pub(crate) const INIT_PRODUCER_ID: i16 = 22;
pub(crate) const SASL_AUTHENTICATE: i16 = 36;

/// The version that most tests produce with.
pub(crate) const V: i16 = 7;

/// A frame: a length and what it counts.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    [&i32::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
}

/// A request with a header of version 1, or 2 without tags.
pub(crate) fn request(api: i16, version: i16, correlation: i32, flexible: bool, body: &[u8]) -> Vec<u8> {
    request_of("test", api, version, correlation, flexible, body)
}

/// As [`request`], of a client with a name of its own.
pub(crate) fn request_of(
    client: &str,
    api: i16,
    version: i16,
    correlation: i32,
    flexible: bool,
    body: &[u8],
) -> Vec<u8> {
    let mut bytes = [api.to_be_bytes(), version.to_be_bytes()].concat();
    bytes.extend(correlation.to_be_bytes());
    bytes.extend(i16::try_from(client.len()).unwrap().to_be_bytes());
    bytes.extend(client.as_bytes());
    bytes.extend(flexible.then_some(0));
    bytes.extend(body);
    frame(&bytes)
}

/// A response with a header of version 0.
pub(crate) fn response(correlation: i32, body: &[u8]) -> Vec<u8> {
    frame(&[&correlation.to_be_bytes(), body].concat())
}

/// The correlation id of a request or, with `at` 4, of a response.
pub(crate) fn correlation_of(request: &[u8]) -> i32 {
    i32::from_be_bytes(request[8..12].try_into().unwrap())
}

/// A batch of so many records from producer `id` in epoch 0.
pub(crate) fn batch(id: i64, base: i32, records: usize) -> Bytes {
    batch_of(id, 0, base, &vec![Bytes::from_static(b"value"); records])
}

/// A batch with these values.
pub(crate) fn batch_of(id: i64, epoch: i16, base: i32, values: &[Bytes]) -> Bytes {
    encode(BatchContent {
        producer_id: ProducerId::new(id),
        epoch: ProducerEpoch::new(epoch),
        base_sequence: Sequence::new(base).unwrap(),
        timestamp_ms: 1_700_000_000_000,
        values,
    })
}

/// A part of a produce request: topic, partition, records.
pub(crate) type Part<'a> = (&'a str, i32, Option<Bytes>);

/// A produce request; parts of one topic must follow each other.
pub(crate) fn produce(version: i16, correlation: i32, acks: i16, parts: &[Part<'_>]) -> Vec<u8> {
    let mut topics: Vec<TopicProduceData> = Vec::new();
    for (topic, partition, records) in parts {
        let (name, id) = naming(version, topic);
        if topics.last().is_none_or(|last| (&last.name, last.topic_id) != (&name, id)) {
            topics.push(TopicProduceData::default().with_name(name).with_topic_id(id));
        }
        let data = PartitionProduceData::default().with_index(*partition).with_records(records.clone());
        topics.last_mut().unwrap().partition_data.push(data);
    }
    let request_body = ProduceRequest::default().with_acks(acks).with_timeout_ms(1_000).with_topic_data(topics);
    let mut body = BytesMut::new();
    request_body.encode(&mut body, version).unwrap();
    request(PRODUCE, version, correlation, version >= 9, &body)
}

/// How a version names a topic: from 13 on by its id, whose bytes begin with the name here.
fn naming<Id: FromStr<Err: Debug> + Default>(version: i16, topic: &str) -> (TopicName, Id) {
    if version < 13 {
        return (TopicName(StrBytes::from_string(topic.to_owned())), Id::default());
    }
    let digits: String = topic.bytes().map(|byte| format!("{byte:02x}")).collect();
    (TopicName::default(), format!("{digits:0<32}").parse().unwrap())
}

/// A produce request of acks=-1 with one batch for partition 0 of topic `t`.
pub(crate) fn produce_one(correlation: i32, records: Bytes) -> Vec<u8> {
    produce(V, correlation, -1, &[("t", 0, Some(records))])
}

/// An entry of a produce response: topic, partition, error, base offset.
pub(crate) type Entry<'a> = (&'a str, i32, i16, i64);

/// A produce response; entries of one topic must follow each other.
pub(crate) fn produced(version: i16, correlation: i32, entries: &[Entry<'_>]) -> Vec<u8> {
    produced_with(version, correlation, entries, |response| response)
}

/// As [`produced`], changed before it is encoded.
pub(crate) fn produced_with(
    version: i16,
    correlation: i32,
    entries: &[Entry<'_>],
    change: impl FnOnce(ProduceResponse) -> ProduceResponse,
) -> Vec<u8> {
    let mut topics: Vec<TopicProduceResponse> = Vec::new();
    for (topic, partition, error, base_offset) in entries {
        let (name, id) = naming(version, topic);
        if topics.last().is_none_or(|last| (&last.name, last.topic_id) != (&name, id)) {
            topics.push(TopicProduceResponse::default().with_name(name).with_topic_id(id));
        }
        let log_start = if version >= 5 && *error == 0 { 0 } else { -1 };
        let data = PartitionProduceResponse::default()
            .with_index(*partition)
            .with_error_code(*error)
            .with_base_offset(*base_offset)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(log_start);
        topics.last_mut().unwrap().partition_responses.push(data);
    }
    let mut body = BytesMut::new();
    change(ProduceResponse::default().with_responses(topics)).encode(&mut body, version).unwrap();
    let tags: &[u8] = if version >= 9 { &[0] } else { &[] };
    response(correlation, &[tags, &body].concat())
}

/// The answer to [`produce_one`].
pub(crate) fn produced_one(correlation: i32, error: i16, base_offset: i64) -> Vec<u8> {
    produced(V, correlation, &[("t", 0, error, base_offset)])
}

/// A Metadata request, version 4, for no topic.
pub(crate) fn metadata(correlation: i32) -> Vec<u8> {
    request(METADATA, 4, correlation, false, &[0, 0, 0, 0, 0])
}

/// Its answer: one broker, a cluster id, no topics.
pub(crate) fn metadata_answer(correlation: i32, host: &str, port: u16, cluster: &str) -> Vec<u8> {
    let string = |text: &str| [&i16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat();
    let mut body = vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    body.extend(string(host));
    body.extend(i32::from(port).to_be_bytes());
    body.extend([0xff, 0xff]);
    body.extend(string(cluster));
    body.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    response(correlation, &body)
}
