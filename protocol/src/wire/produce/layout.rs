//! What the versions of Produce differ in: the one description that walking, editing and answering share.

use super::VERSION_MAX;
use crate::sequencing::{TopicId, TopicRef};
use crate::wire::cursor::{Cursor, Encoding, ParseError};

/// The layout of one version, of requests and responses alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    version: i16,
}

/// The fewest bytes of a record error: its index and a null message, of two bytes, or of one and no tags.
const RECORD_ERROR_BYTES_MIN: usize = 4 + 2;

/// What a request says ahead of its topics.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestFields<'a> {
    pub(super) transactional_id: Option<&'a [u8]>,
    pub(super) acks: i16,
    pub(super) timeout_ms: i32,
}

/// What a response says of one partition, as far as anyone asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartitionFields {
    pub(super) index: i32,
    pub(super) error: i16,
    pub(super) base_offset: i64,
    pub(super) log_append_time: i64,
    pub(super) log_start_offset: Option<i64>,
}

impl Layout {
    pub(super) const fn new(version: i16) -> Option<Self> {
        if version < 0 || version > VERSION_MAX { None } else { Some(Self { version }) }
    }

    pub(super) const fn is_flexible(self) -> bool {
        self.version >= 9
    }

    /// Whether topics are named by id (KIP-516).
    pub(super) const fn has_topic_ids(self) -> bool {
        self.version >= 13
    }

    pub(super) const fn has_throttle_time(self) -> bool {
        self.version >= 1
    }

    pub(super) const fn has_log_append_time(self) -> bool {
        self.version >= 2
    }

    pub(super) const fn has_log_start_offset(self) -> bool {
        self.version >= 5
    }

    /// Whether responses say which records were refused (KIP-467).
    pub(super) const fn has_record_errors(self) -> bool {
        self.version >= 8
    }

    const fn has_transactional_id(self) -> bool {
        self.version >= 3
    }

    pub(super) const fn encoding(self) -> Encoding {
        if self.is_flexible() { Encoding::Flexible } else { Encoding::Classic }
    }

    /// The fewest bytes of a request's topic: its name, and no partitions.
    pub(super) const fn topic_bytes_min(self) -> usize {
        match self.version {
            13.. => 16 + 1 + 1,
            9..=12 => 1 + 1 + 1,
            _ => 2 + 4,
        }
    }

    /// The fewest bytes of a request's partition: its index, and null records.
    const fn request_partition_bytes_min(self) -> usize {
        if self.is_flexible() { 4 + 1 + 1 } else { 4 + 4 }
    }

    /// The fewest bytes of a response's partition.
    const fn response_partition_bytes_min(self) -> usize {
        let fields = 4 + 2 + 8;
        let log_append_time = if self.has_log_append_time() { 8 } else { 0 };
        let log_start_offset = if self.has_log_start_offset() { 8 } else { 0 };
        let record_errors = match self.version {
            9.. => 1 + 1 + 1,
            8 => 4 + 2,
            _ => 0,
        };
        fields + log_append_time + log_start_offset + record_errors
    }

    #[inline]
    pub(super) fn request_fields<'a>(self, cursor: &mut Cursor<'a>) -> Result<RequestFields<'a>, ParseError> {
        let transactional_id = if self.has_transactional_id() { cursor.nullable_string()? } else { None };
        Ok(RequestFields { transactional_id, acks: cursor.i16()?, timeout_ms: cursor.i32()? })
    }

    #[inline]
    pub(super) fn topics_len(self, cursor: &mut Cursor<'_>) -> Result<u32, ParseError> {
        cursor.array_len(self.topic_bytes_min())
    }

    #[inline]
    pub(super) fn topic<'a>(self, cursor: &mut Cursor<'a>) -> Result<TopicRef<'a>, ParseError> {
        if self.has_topic_ids() {
            return cursor.uuid().map(|id| TopicRef::Id(TopicId(id)));
        }
        cursor.string().map(TopicRef::Name)
    }

    #[inline]
    pub(super) fn request_partitions_len(self, cursor: &mut Cursor<'_>) -> Result<u32, ParseError> {
        cursor.array_len(self.request_partition_bytes_min())
    }

    /// Reads a partition's index, and how many bytes of records follow.
    #[inline]
    pub(super) fn request_partition(self, cursor: &mut Cursor<'_>) -> Result<(i32, Option<u32>), ParseError> {
        Ok((cursor.i32()?, cursor.nullable_bytes_len()?))
    }

    #[inline]
    pub(super) fn response_partitions_len(self, cursor: &mut Cursor<'_>) -> Result<u32, ParseError> {
        cursor.array_len(self.response_partition_bytes_min())
    }

    /// Reads a whole partition of a response, leader hint and record errors included.
    pub(super) fn response_partition(self, cursor: &mut Cursor<'_>) -> Result<PartitionFields, ParseError> {
        let fields = PartitionFields {
            index: cursor.i32()?,
            error: cursor.i16()?,
            base_offset: cursor.i64()?,
            log_append_time: if self.has_log_append_time() { cursor.i64()? } else { -1 },
            log_start_offset: if self.has_log_start_offset() { Some(cursor.i64()?) } else { None },
        };
        if self.has_record_errors() {
            for _ in 0..cursor.array_len(RECORD_ERROR_BYTES_MIN)? {
                cursor.i32()?;
                cursor.nullable_string()?;
                cursor.skip_tags()?;
            }
            cursor.nullable_string()?;
        }
        cursor.skip_tags()?;
        Ok(fields)
    }

    /// Reads what follows a response's topics: throttle time and, among the tags, node endpoints.
    pub(super) fn response_tail(self, cursor: &mut Cursor<'_>) -> Result<(), ParseError> {
        if self.has_throttle_time() {
            cursor.i32()?;
        }
        cursor.skip_tags()?;
        cursor.end()
    }
}
