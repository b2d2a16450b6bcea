//! The tail of a real partition's log, asked for and read with what the proxy has for that.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{MetadataRequest, ProduceRequest, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use seqgate::sandbox::batch::{self, BatchContent};
use seqgate_protocol::sequencing::{ProducerEpoch, ProducerId, Sequence, TopicId, TopicRef};
use seqgate_protocol::wire::batch::BatchView;
use seqgate_protocol::wire::head::ApiKey;
use seqgate_protocol::wire::learn::{Fact, Learner};
use seqgate_protocol::wire::log::{
    FetchOutcome, FetchReader, FetchVersion, ListedOffset, fetch, list_offset, listed_offset,
};
use seqgate_protocol::wire::produce::ProduceResponse;

use crate::support::jvm::Version;
use crate::support::require;
use crate::support::rig::Stage;

/// Versions that all releases here speak.
const PRODUCE: i16 = 9;
const METADATA: i16 = 12;

const CORRELATION_ID: i32 = 9;
const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
const PRODUCER: ProducerId = ProducerId::new(7);

/// How many records each batch has.
const RECORDS: [i32; 6] = [3, 1, 4, 1, 5, 9];
const BYTES_MAX: i32 = 1 << 20;

/// What a batch is known by: offset, last offset delta, producer, sequence and checksum.
type Known = (i64, i32, ProducerId, i32, u32);

#[test]
fn the_tail_of_a_log_is_read() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    check(&mut Stage::shared(parts));
}

#[test]
fn the_tail_of_a_log_is_read_on_kafka_3_9() {
    let Some(parts) = require::kafka(Version::V3_9_1) else { return };
    check(&mut Stage::shared(parts));
}

fn check(stage: &mut Stage) {
    let Stage { broker, tools, .. } = &mut *stage;
    tools.create_topic(broker.direct(), "tail", 1);
    // Of today: older records may be deleted any moment.
    let timestamp_ms = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let mut log = Log { broker: TcpStream::connect(broker.direct()).unwrap(), timestamp_ms };
    let sent = log.fill();
    let end: i64 = RECORDS.iter().copied().map(i64::from).sum();

    let listed = |timestamp, offset| ListedOffset { error: 0, timestamp, offset };
    assert_eq!(log.offset("tail", -1), listed(-1, end));
    assert_eq!(log.offset("tail", -2), listed(-1, 0));
    assert_eq!(log.offset("tail", timestamp_ms), listed(timestamp_ms, 0));
    assert_eq!(log.offset("tail", timestamp_ms + 1), listed(-1, -1));
    assert_eq!(log.offset("nobody", -1), ListedOffset { error: 3, timestamp: -1, offset: -1 });

    for topic in [TopicRef::Name(b"tail"), TopicRef::Id(log.topic_id())] {
        let (batches, outcome) = log.fetch(topic, 0, BYTES_MAX);
        assert_eq!(batches, sent);
        let whole = FetchOutcome {
            failed: false,
            error: 0,
            high_watermark: end,
            log_start_offset: 0,
            next_offset: Some(end),
            batches: sent.len() as u32,
        };
        assert_eq!(outcome, whole);
        // However few bytes are asked for: one batch is whole.
        assert_eq!(log.fetch(topic, 0, 1).0, sent[..1]);
        // From inside a batch on, and from the end on.
        assert_eq!(log.fetch(topic, 5, BYTES_MAX).0, sent[2..]);
        assert_eq!(log.fetch(topic, end, BYTES_MAX), (vec![], FetchOutcome { next_offset: None, batches: 0, ..whole }));
        let beyond = log.fetch(topic, end + 1, BYTES_MAX).1;
        assert_eq!((beyond.failed, beyond.error, beyond.batches), (false, 1, 0));
        // So few bytes that the last batch of each answer is cut off.
        let (mut at, mut pieces) = (0, Vec::new());
        while at < end {
            let (batches, outcome) = log.fetch(topic, at, 200);
            assert!(!outcome.failed && (1..=2).contains(&outcome.batches), "{outcome:?}");
            pieces.extend(batches);
            at = outcome.next_offset.unwrap();
        }
        assert_eq!(pieces, sent);
    }
    for (topic, error) in [(TopicRef::Name(b"nobody"), 3), (TopicRef::Id(TopicId([9; 16])), 100)] {
        let (_, outcome) = log.fetch(topic, 0, BYTES_MAX);
        assert_eq!((outcome.failed, outcome.error, outcome.batches), (false, error, 0));
    }
}

/// A connection to the log's broker.
struct Log {
    broker: TcpStream,
    /// Of all its records, in ms since 1970.
    timestamp_ms: i64,
}

impl Log {
    /// Produces the batches; how they are to be found again.
    fn fill(&mut self) -> Vec<Known> {
        let (mut sent, mut at) = (Vec::new(), 0);
        for count in RECORDS {
            let records = batch::encode(BatchContent {
                producer_id: PRODUCER,
                epoch: ProducerEpoch::new(0),
                base_sequence: Sequence::new(at).unwrap(),
                timestamp_ms: self.timestamp_ms,
                values: &vec![Bytes::from_static(b"value"); count as usize],
            });
            let crc = BatchView::new(&records).unwrap().crc();
            crate::support::eventually("a leader", || self.produce(&records) == 0, || "the topic is not led".into());
            sent.push((at.into(), count - 1, PRODUCER, at, crc));
            at += count;
        }
        sent
    }

    /// The error code of one batch.
    fn produce(&mut self, records: &Bytes) -> i16 {
        let part = PartitionProduceData::default().with_index(0).with_records(Some(records.clone()));
        let topic = TopicProduceData::default().with_name(tail()).with_partition_data(vec![part]);
        let body = ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        let answer = self.ask(&framed(ApiKey::PRODUCE, PRODUCE, &body));
        ProduceResponse::parse(PRODUCE, &answer).unwrap().entries().next().unwrap().error
    }

    fn topic_id(&mut self) -> TopicId {
        let topic = MetadataRequestTopic::default().with_name(Some(tail()));
        let answer =
            self.ask(&framed(ApiKey::METADATA, METADATA, &MetadataRequest::default().with_topics(Some(vec![topic]))));
        let mut found = None;
        Learner::new(ApiKey::METADATA, METADATA).unwrap().feed(&answer, &mut |fact| {
            if let Fact::Topic { id, .. } = fact {
                found = id;
            }
        });
        found.expect("topics have ids")
    }

    fn offset(&mut self, topic: &str, timestamp_ms: i64) -> ListedOffset {
        let answer = self.ask(&list_offset(CORRELATION_ID, topic.as_bytes(), 0, timestamp_ms));
        listed_offset(CORRELATION_ID, topic.as_bytes(), 0, &answer).unwrap()
    }

    fn fetch(&mut self, topic: TopicRef<'_>, offset: i64, bytes_max: i32) -> (Vec<Known>, FetchOutcome) {
        let oldest = self.fetch_in(FetchVersion::of(topic), topic, offset, bytes_max);
        if matches!(topic, TopicRef::Id(_)) {
            return oldest;
        }
        let newer = self.fetch_in(FetchVersion::Zstd, topic, offset, bytes_max);
        // What the oldest version cannot show is refused.
        assert!(oldest == newer || oldest.1.error == UNSUPPORTED_COMPRESSION_TYPE, "{oldest:?} {newer:?}");
        newer
    }

    fn fetch_in(
        &mut self,
        version: FetchVersion,
        topic: TopicRef<'_>,
        offset: i64,
        bytes_max: i32,
    ) -> (Vec<Known>, FetchOutcome) {
        let answer = self.ask(&fetch(version, CORRELATION_ID, topic, 0, offset, bytes_max));
        let mut reader = FetchReader::new(version, CORRELATION_ID, topic.into(), 0);
        let mut batches = Vec::new();
        for piece in answer.chunks(7) {
            reader.feed(piece, &mut |batch: BatchView<'_>| {
                let (delta, sequence) = (batch.last_offset_delta(), batch.base_sequence());
                batches.push((batch.base_offset(), delta, batch.producer_id(), sequence, batch.crc()));
            });
        }
        (batches, reader.outcome())
    }

    /// Sends a frame, and returns the answer behind its length.
    fn ask(&mut self, frame: &[u8]) -> Vec<u8> {
        self.broker.write_all(frame).unwrap();
        let mut length = [0; 4];
        self.broker.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.broker.read_exact(&mut answer).unwrap();
        answer
    }
}

fn tail() -> TopicName {
    TopicName(StrBytes::from_static_str("tail"))
}

/// A whole frame with a flexible header.
fn framed(api: ApiKey, version: i16, body: &impl Encodable) -> Vec<u8> {
    let mut frame = BytesMut::new();
    for number in [api.0, version, 0, CORRELATION_ID as i16, 1] {
        frame.extend(number.to_be_bytes());
    }
    frame.extend([b'c', 0]);
    body.encode(&mut frame, version).unwrap();
    [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], &frame].concat()
}
