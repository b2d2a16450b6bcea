//! What a Fetch answer says ahead of the records (`FetchResponse.json`).

use super::FetchVersion;
use crate::sequencing::{TopicId, TopicRef};
use crate::wire::cursor::{Cursor, Encoding, ParseError};

/// The fields of an answer up to its first byte of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FetchHead<'a> {
    pub(super) correlation_id: i32,
    /// An error of the whole answer, 0 for none.
    pub(super) error: i16,
    /// The one partition; `None` if the answer has no topics, as one with an error may.
    pub(super) partition: Option<PartitionHead<'a>>,
}

/// The fields of a partition up to its first byte of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartitionHead<'a> {
    pub(super) topic: TopicRef<'a>,
    pub(super) index: i32,
    /// An error of this partition, 0 for none.
    pub(super) error: i16,
    pub(super) high_watermark: i64,
    pub(super) log_start_offset: i64,
    /// Bytes of the records; none for null.
    pub(super) records_bytes: u32,
}

/// Why a head is none that can be read on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadProblem {
    /// It has so many bytes at least, counted from its first.
    Needs(usize),
    /// It does not parse, or there is more than one topic or partition, or a topic without any.
    Malformed,
}

impl From<ParseError> for HeadProblem {
    fn from(problem: ParseError) -> Self {
        match problem {
            ParseError::Truncated { needed, .. } => Self::Needs(needed),
            ParseError::NegativeLength { .. }
            | ParseError::Null
            | ParseError::StringTooLong { .. }
            | ParseError::TooMany { .. }
            | ParseError::Varint
            | ParseError::LeftOver { .. }
            | ParseError::Version { .. }
            | ParseError::Api { .. } => Self::Malformed,
        }
    }
}

impl<'a> FetchHead<'a> {
    /// Reads the beginning of an answer to what [`fetch`](super::fetch()) asked for in this version.
    pub(super) fn parse(beginning: &'a [u8], version: FetchVersion) -> Result<Self, HeadProblem> {
        let encoding = version.encoding();
        let mut cursor = Cursor::beginning(beginning, encoding);
        let correlation_id = cursor.i32()?;
        cursor.skip_tags()?;
        let _throttle_time_ms = cursor.i32()?;
        let error = if version.has_sessions() {
            let error = cursor.i16()?;
            let _session_id = cursor.i32()?;
            error
        } else {
            0
        };
        let partition = match cursor.array_len(0)? {
            0 => None,
            1 => Some(PartitionHead::read(&mut cursor, encoding)?),
            _ => return Err(HeadProblem::Malformed),
        };
        Ok(Self { correlation_id, error, partition })
    }
}

impl<'a> PartitionHead<'a> {
    fn read(cursor: &mut Cursor<'a>, encoding: Encoding) -> Result<Self, HeadProblem> {
        let topic = match encoding {
            Encoding::Classic => TopicRef::Name(cursor.string()?),
            Encoding::Flexible => TopicRef::Id(TopicId(cursor.uuid()?)),
        };
        if cursor.array_len(0)? != 1 {
            return Err(HeadProblem::Malformed);
        }
        let (index, error, high_watermark) = (cursor.i32()?, cursor.i16()?, cursor.i64()?);
        let _last_stable_offset = cursor.i64()?;
        let log_start_offset = cursor.i64()?;
        // Null for whoever reads uncommitted; a walk over many ends where the bytes at hand do.
        for _ in 0..cursor.nullable_array_len(0)?.unwrap_or(0) {
            let (_producer_id, _first_offset) = (cursor.i64()?, cursor.i64()?);
            cursor.skip_tags()?;
        }
        if encoding == Encoding::Flexible {
            let _preferred_read_replica = cursor.i32()?;
        }
        let records_bytes = cursor.nullable_bytes_len()?.unwrap_or(0);
        Ok(Self { topic, index, error, high_watermark, log_start_offset, records_bytes })
    }
}
