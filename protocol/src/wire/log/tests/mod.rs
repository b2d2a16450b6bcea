mod answers;
mod listed;
mod malformed;
mod pieces;
mod producers;
mod requests;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
    SnapshotId,
};
use kafka_protocol::messages::{ResponseHeader, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::*;
use crate::sequencing::{TopicId, TopicRef};
use crate::wire::batch::BatchView;

const CORRELATION_ID: i32 = 77;
const PARTITION: i32 = 3;
const NAMED: TopicRef<'static> = TopicRef::Name(b"orders");
const BY_ID: TopicRef<'static> = TopicRef::Id(TopicId([9; 16]));

/// A batch with a header like brokers give out, and a payload that nobody can read.
fn batch(base_offset: i64, last_offset_delta: i32, payload: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; 61 + payload];
    bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
    bytes[8..12].copy_from_slice(&(49 + payload as i32).to_be_bytes());
    bytes[16] = 2;
    bytes[23..27].copy_from_slice(&last_offset_delta.to_be_bytes());
    bytes
}

/// An answer about one partition, with all fields that have no other meaning here than to be stepped over.
fn answered(topic: TopicRef<'_>, records: Option<Vec<u8>>) -> FetchResponse {
    let mut partition = PartitionData::default()
        .with_partition_index(PARTITION)
        .with_high_watermark(100)
        .with_last_stable_offset(90)
        .with_log_start_offset(5)
        .with_aborted_transactions(None)
        .with_records(records.map(Bytes::from));
    let theirs = match topic {
        TopicRef::Name(name) => {
            let name = StrBytes::from_string(String::from_utf8(name.to_vec()).unwrap());
            FetchableTopicResponse::default().with_topic(TopicName(name))
        }
        TopicRef::Id(id) => {
            partition.preferred_read_replica = (-1).into();
            FetchableTopicResponse::default().with_topic_id(id.0.to_vec().try_into().unwrap())
        }
    };
    FetchResponse::default()
        .with_throttle_time_ms(4)
        .with_session_id(0)
        .with_responses(vec![theirs.with_partitions(vec![partition])])
}

/// The answer with everything in it that may be there.
fn adorned(topic: TopicRef<'_>, records: Option<Vec<u8>>) -> FetchResponse {
    let mut response = answered(topic, records);
    let aborted = |id: i64| AbortedTransaction::default().with_producer_id(id.into()).with_first_offset(id + 1);
    response.responses[0].partitions[0].aborted_transactions = Some(vec![aborted(7), aborted(8)]);
    if topic == BY_ID {
        let tags = || [(30, Bytes::from(vec![1; 300])), (31, Bytes::new())].into();
        let partition = &mut response.responses[0].partitions[0];
        partition.diverging_epoch = EpochEndOffset::default().with_epoch(3).with_end_offset(4);
        partition.current_leader = LeaderIdAndEpoch::default().with_leader_id(1.into()).with_leader_epoch(2);
        partition.snapshot_id = SnapshotId::default().with_end_offset(9).with_epoch(1);
        partition.unknown_tagged_fields = tags();
        response.responses[0].unknown_tagged_fields = tags();
        response.unknown_tagged_fields = tags();
    }
    response
}

/// The version that most tests ask in.
fn version_of(topic: TopicRef<'_>) -> FetchVersion {
    match topic {
        TopicRef::Name(_) => FetchVersion::Zstd,
        TopicRef::Id(_) => FetchVersion::ById,
    }
}

/// What a broker sends behind the length.
fn encode(topic: TopicRef<'_>, response: &FetchResponse) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let version = version_of(topic).number();
    ResponseHeader::default().with_correlation_id(CORRELATION_ID).encode(&mut bytes, i16::from(version >= 12)).unwrap();
    response.encode(&mut bytes, version).unwrap();
    bytes.to_vec()
}

/// Where the batches begin that are handed out of an answer that comes in `pieces`, and what it came to.
fn read<'a>(topic: TopicRef<'_>, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<i64>, FetchOutcome) {
    let mut reader = FetchReader::new(version_of(topic), CORRELATION_ID, topic.into(), PARTITION);
    let mut batches = Vec::new();
    for piece in pieces {
        reader.feed(piece, &mut |batch: BatchView<'_>| batches.push(batch.base_offset()));
    }
    let outcome = reader.outcome();
    assert_eq!(outcome.failed, !reader.finished());
    assert_eq!(outcome.batches as usize, batches.len());
    (batches, outcome)
}
