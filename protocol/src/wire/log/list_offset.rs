//! Asks from which offset on a partition's log has records of a certain time (`ListOffsetsRequest.json`).

use thiserror::Error;

use super::{NO_REPLICA, READ_UNCOMMITTED, begin, finish, put_string};
use crate::wire::cursor::{Cursor, Encoding, ParseError};
use crate::wire::head::ApiKey;

/// The version asked in: not flexible, and understood by every broker from Kafka 0.11 to 4.x.
pub const LIST_OFFSETS_VERSION: i16 = 2;

/// Fewest bytes of a topic in the answer: the length of its name and the count of its partitions.
const TOPIC_BYTES_MIN: usize = 2 + 4;

/// Bytes of a partition in the answer: index, error, timestamp and offset.
const PARTITION_BYTES: usize = 4 + 2 + 8 + 8;

/// What a broker says of the offset that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The error code, 0 for none.
    pub error: i16,
    /// The timestamp of the record found, in ms since 1970; -1 if there is none, and when an end of the log was
    /// asked for.
    pub timestamp: i64,
    /// Its offset; -1 if no record is that young.
    pub offset: i64,
}

/// Why an answer says nothing of the offset that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ListOffsetError {
    /// The answer does not parse.
    #[error("list offsets response does not parse: {0}")]
    Parse(#[from] ParseError),
    /// It answers another request, or not exactly one partition, or another one.
    #[error("list offsets response is not about what was asked for")]
    NotAsked,
}

/// Makes the whole frame, length included, that asks for the offset of the first record at or behind `timestamp_ms`,
/// in ms since 1970.
///
/// Two timestamps have a meaning of their own (`ListOffsetsRequest`): -1 asks for the high watermark, -2 for the
/// log's first offset.
///
/// # Panics
///
/// For names of more than 32,767 bytes, which no request can have brought.
#[must_use]
pub fn list_offset(correlation_id: i32, topic_name: &[u8], partition: i32, timestamp_ms: i64) -> Vec<u8> {
    let mut out = begin(ApiKey::LIST_OFFSETS, LIST_OFFSETS_VERSION, correlation_id);
    out.extend(NO_REPLICA.to_be_bytes());
    out.push(READ_UNCOMMITTED);
    out.extend(1_i32.to_be_bytes());
    put_string(&mut out, topic_name);
    out.extend(1_i32.to_be_bytes());
    out.extend(partition.to_be_bytes());
    out.extend(timestamp_ms.to_be_bytes());
    finish(out)
}

/// Reads the answer to [`list_offset`]: a frame, given without its length, from its header to its last byte.
pub fn listed_offset(
    correlation_id: i32,
    topic_name: &[u8],
    partition: i32,
    frame_after_length: &[u8],
) -> Result<ListedOffset, ListOffsetError> {
    let mut cursor = Cursor::new(frame_after_length, Encoding::Classic);
    let answered = cursor.i32()?;
    let _throttle_time_ms = cursor.i32()?;
    if answered != correlation_id || cursor.array_len(TOPIC_BYTES_MIN)? != 1 {
        return Err(ListOffsetError::NotAsked);
    }
    let name = cursor.string()?;
    if name != topic_name || cursor.array_len(PARTITION_BYTES)? != 1 || cursor.i32()? != partition {
        return Err(ListOffsetError::NotAsked);
    }
    let listed = ListedOffset { error: cursor.i16()?, timestamp: cursor.i64()?, offset: cursor.i64()? };
    cursor.end()?;
    Ok(listed)
}
