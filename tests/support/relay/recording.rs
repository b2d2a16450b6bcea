//! What passed through a relay: bytes to compare, and produce traffic to count.

use std::panic::{self, AssertUnwindSafe};

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{FetchResponse, ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, HeaderVersion};

pub(super) const PRODUCE: i16 = 0;
const FETCH: i16 = 1;

/// All connections of a relay, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// One per connection.
    pub streams: Vec<Stream>,
}

/// One connection: what was read from either side.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    /// Its number at the relay, from 0.
    pub connection: usize,
    /// The client id in its requests.
    pub client: String,
    /// Every byte that came from the client's side.
    pub to_broker: Vec<u8>,
    /// Every byte that came from the broker's side.
    pub to_client: Vec<u8>,
    pub(super) requests: Vec<Frame>,
    pub(super) answers: Vec<Frame>,
}

/// A whole frame, without its length.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) api: i16,
    pub(super) version: i16,
    pub(super) correlation: i32,
    pub(super) bytes: Bytes,
    /// Whether all of it was passed on.
    pub(super) gone_on: bool,
}

/// A record batch in a Produce request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The connection it came on.
    pub connection: usize,
    /// Its request's correlation id.
    pub correlation: i32,
    /// Its request's version.
    pub version: i16,
    /// Its request's acks.
    pub acks: i16,
    /// The topic's name, or its id when the request has no name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Who sent it.
    pub producer_id: i64,
    /// In which epoch.
    pub producer_epoch: i16,
    /// The sequence number of its first record.
    pub base_sequence: i32,
    /// The sequence number of its last record.
    pub last_sequence: i32,
    /// How many records it holds.
    pub records: i32,
    /// Its checksum.
    pub crc: u32,
    /// Whether the whole request was passed on.
    pub gone_on: bool,
}

/// A partition's part of a Produce answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The connection it came on.
    pub connection: usize,
    /// The correlation id of request and answer.
    pub correlation: i32,
    /// The topic's name, or its id when the answer has no name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The broker's verdict.
    pub error_code: i16,
    /// Where the batch stands.
    pub base_offset: i64,
    /// Whether the whole answer was passed on.
    pub gone_on: bool,
}

impl Recording {
    /// Every batch of every whole Produce request, in order, connection by connection.
    pub fn batches(&self) -> Vec<Batch> {
        self.streams.iter().flat_map(Stream::batches).collect()
    }

    /// The same for the connections of one client id.
    pub fn batches_of(&self, client: &str) -> Vec<Batch> {
        self.streams.iter().filter(|stream| stream.client == client).flat_map(Stream::batches).collect()
    }

    /// Every partition's answer of every Produce answer, in the same order.
    pub fn answers(&self) -> Vec<Answer> {
        self.streams.iter().flat_map(Stream::answers).collect()
    }

    /// Whole Produce requests without their length, in order.
    pub fn produce_requests(&self) -> Vec<Bytes> {
        self.streams
            .iter()
            .flat_map(|stream| &stream.requests)
            .filter(is_produce)
            .map(|frame| frame.bytes.clone())
            .collect()
    }

    /// Versions and whole Produce answers without their length, in order.
    pub fn produce_answers(&self) -> Vec<(i16, Bytes)> {
        let frames = self.streams.iter().flat_map(|stream| &stream.answers).filter(is_produce);
        frames.map(|frame| (frame.version, frame.bytes.clone())).collect()
    }

    /// The api keys and versions that were asked for, each once.
    pub fn apis(&self) -> Vec<(i16, i16)> {
        let frames = self.streams.iter().flat_map(|stream| &stream.requests);
        let mut apis: Vec<_> = frames.map(|frame| (frame.api, frame.version)).collect();
        apis.sort_unstable();
        apis.dedup();
        apis
    }

    /// The api key of every request of one client id, connection by connection.
    pub fn asked_by(&self, client: &str) -> Vec<i16> {
        let frames = self.streams.iter().flat_map(|stream| &stream.requests);
        // Behind api key, version and correlation id.
        frames
            .filter(|frame| client_in(frame.bytes.slice(8..)).as_deref() == Some(client))
            .map(|frame| frame.api)
            .collect()
    }

    /// The error code of every partition in every Fetch answer, in the same order.
    pub fn fetched(&self) -> Vec<i16> {
        let frames = self.streams.iter().flat_map(|stream| &stream.answers).filter(|frame| frame.api == FETCH);
        frames.flat_map(fetched).collect()
    }

    /// Both directions of every connection that carried anything, in an order that does not depend on who came first.
    pub fn bytes(&self) -> Vec<(&[u8], &[u8])> {
        let pairs = self.streams.iter().map(|stream| (&stream.to_broker[..], &stream.to_client[..]));
        let mut pairs: Vec<_> = pairs.filter(|(up, down)| !up.is_empty() || !down.is_empty()).collect();
        pairs.sort_unstable();
        pairs
    }

    /// Fails where another recording of the same traffic differs in any byte.
    #[track_caller]
    pub fn assert_same_bytes(&self, other: &Self) {
        let (ours, theirs) = (self.bytes(), other.bytes());
        assert_eq!(ours.len(), theirs.len(), "connections that carried anything");
        for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            let sizes = format!("{}/{} and {}/{} bytes", ours.0.len(), ours.1.len(), theirs.0.len(), theirs.1.len());
            assert!(
                ours.0 == theirs.0,
                "requests of connection {index} differ: {sizes}, {}",
                first_difference(ours.0, theirs.0)
            );
            assert!(
                ours.1 == theirs.1,
                "answers of connection {index} differ: {sizes}, {}",
                first_difference(ours.1, theirs.1)
            );
        }
    }
}

impl Stream {
    /// Every batch of every whole Produce request, in order.
    pub fn batches(&self) -> Vec<Batch> {
        self.requests.iter().filter(is_produce).flat_map(|frame| self.batches_in(frame)).collect()
    }

    fn answers(&self) -> Vec<Answer> {
        self.answers.iter().filter(is_produce).flat_map(|frame| self.answers_in(frame)).collect()
    }

    fn batches_in(&self, frame: &Frame) -> Vec<Batch> {
        let request = guarded(|| {
            let mut body = frame.bytes.clone();
            RequestHeader::decode(&mut body, ProduceRequest::header_version(frame.version)).ok()?;
            ProduceRequest::decode(&mut body, frame.version).ok()
        });
        let mut batches = Vec::new();
        for topic in request.iter().flat_map(|request| &request.topic_data) {
            for partition in &topic.partition_data {
                batches.push(Batch {
                    connection: self.connection,
                    correlation: frame.correlation,
                    version: frame.version,
                    acks: request.as_ref().map_or(0, |request| request.acks),
                    topic: topic_of(topic.name.as_str(), topic.topic_id, topic.topic_id.is_nil()),
                    partition: partition.index,
                    gone_on: frame.gone_on,
                    ..head_of(partition.records.clone().unwrap_or_default())
                });
            }
        }
        batches
    }

    fn answers_in(&self, frame: &Frame) -> Vec<Answer> {
        let response = guarded(|| {
            let mut body = frame.bytes.clone();
            ResponseHeader::decode(&mut body, ProduceResponse::header_version(frame.version)).ok()?;
            ProduceResponse::decode(&mut body, frame.version).ok()
        });
        let mut answers = Vec::new();
        for topic in response.iter().flat_map(|response| &response.responses) {
            for partition in &topic.partition_responses {
                answers.push(Answer {
                    connection: self.connection,
                    correlation: frame.correlation,
                    topic: topic_of(topic.name.as_str(), topic.topic_id, topic.topic_id.is_nil()),
                    partition: partition.index,
                    error_code: partition.error_code,
                    base_offset: partition.base_offset,
                    gone_on: frame.gone_on,
                });
            }
        }
        answers
    }
}

/// The error code of every partition in a Fetch answer.
fn fetched(frame: &Frame) -> Vec<i16> {
    let response = guarded(|| {
        let mut body = frame.bytes.clone();
        ResponseHeader::decode(&mut body, FetchResponse::header_version(frame.version)).ok()?;
        FetchResponse::decode(&mut body, frame.version).ok()
    });
    let topics = response.iter().flat_map(|response| &response.responses);
    topics.flat_map(|topic| &topic.partitions).map(|partition| partition.error_code).collect()
}

/// The client id at the end of a request's head; all kinds of requests that clients send have it there.
pub(super) fn client_in(mut head: Bytes) -> Option<String> {
    let length = usize::try_from(head.try_get_i16().ok()?).ok()?;
    Some(String::from_utf8_lossy(head.get(..length)?).into_owned())
}

/// The fields of a version 2 batch header; zeros when it is cut short.
fn head_of(mut records: Bytes) -> Batch {
    let mut batch = Batch {
        connection: 0,
        correlation: 0,
        version: 0,
        acks: 0,
        topic: String::new(),
        partition: 0,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        last_sequence: -1,
        records: 0,
        crc: 0,
        gone_on: false,
    };
    if records.len() < 61 || records[16] != 2 {
        return batch;
    }
    records.advance(17);
    batch.crc = records.get_u32();
    records.advance(2);
    let last_delta = records.get_i32();
    records.advance(16);
    batch.producer_id = records.get_i64();
    batch.producer_epoch = records.get_i16();
    batch.base_sequence = records.get_i32();
    // Sequence numbers run in a ring of 2^31.
    batch.last_sequence = batch.base_sequence.wrapping_add(last_delta) & i32::MAX;
    batch.records = records.get_i32();
    batch
}

/// The decoder panics on some malformed frames; those have no batches.
fn guarded<T>(decode: impl FnOnce() -> Option<T>) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(decode)).ok().flatten()
}

fn topic_of(name: impl ToString, id: impl ToString, named: bool) -> String {
    if named { name.to_string() } else { id.to_string() }
}

fn is_produce(frame: &&Frame) -> bool {
    frame.api == PRODUCE
}

fn first_difference(ours: &[u8], theirs: &[u8]) -> String {
    let at = ours.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count();
    let around =
        |bytes: &[u8]| format!("{:02x?}", &bytes[at.saturating_sub(8).min(bytes.len())..(at + 24).min(bytes.len())]);
    format!("first at byte {at}: {} and {}", around(ours), around(theirs))
}
