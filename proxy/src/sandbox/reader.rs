//! Reads a partition back from any broker, to judge what became of what was sent.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::batch::{self, BatchHeader};
use super::client::Connection;

/// The newest version that names topics and is known to every broker of these years.
const FETCH: i16 = 11;

/// What one answer may hold.
const ANSWER_BYTES_MAX: i32 = 8 * 1024 * 1024;

/// The values of all records in a partition, in order. They must not be compressed.
pub async fn values(broker: SocketAddr, topic: &str, partition: i32) -> io::Result<Vec<Bytes>> {
    let mut connection = Connection::open(broker, "seqgate-judge").await?;
    let (mut values, mut offset) = (Vec::new(), 0);
    loop {
        let (mut records, end) = fetch(&mut connection, topic, partition, offset).await?;
        while let Some((header, batch)) = next_batch(&mut records) {
            if !header.is_control() {
                values.extend(batch::values(&batch).ok_or_else(unreadable)?);
            }
            offset = header.base_offset + i64::from(header.last_offset_delta) + 1;
        }
        if offset >= end {
            return Ok(values);
        }
    }
}

/// The bytes from `offset` on, and where the log ends.
async fn fetch(connection: &mut Connection, topic: &str, partition: i32, offset: i64) -> io::Result<(Bytes, i64)> {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(ANSWER_BYTES_MAX);
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let topic = FetchTopic::default().with_topic(name).with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_bytes(ANSWER_BYTES_MAX)
        .with_session_epoch(-1)
        .with_topics(vec![topic]);
    let mut answer = connection.call(FETCH, &request).await?;
    let partition = answer.responses.pop().and_then(|mut topic| topic.partitions.pop()).ok_or_else(unreadable)?;
    if partition.error_code != 0 {
        return Err(io::Error::other(format!("fetch refused with error {}", partition.error_code)));
    }
    Ok((partition.records.unwrap_or_default(), partition.high_watermark))
}

/// Takes a whole batch off the front; brokers may cut the last one short.
fn next_batch(records: &mut Bytes) -> Option<(BatchHeader, Bytes)> {
    let header = BatchHeader::read(records)?;
    let length = batch::PREFIX_LEN + usize::try_from(header.length).ok()?;
    (length <= records.len()).then(|| (header, records.split_to(length)))
}

fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the log holds records that cannot be read")
}
