//! Reads produce responses.

use super::entries::{Entries, Entry};
use super::layout::{Layout, PartitionFields};
use crate::sequencing::TopicRef;
use crate::wire::cursor::{Cursor, ParseError};

/// A produce response that is held whole, and was read once to its end.
#[derive(Clone, Debug)]
pub struct ProduceResponse<'a> {
    /// The number of the request it answers.
    pub correlation_id: i32,
    entries: Entries<'a, ResponseEntry<'a>>,
}

/// What a broker says of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseEntry<'a> {
    /// The topic, as the response names it.
    pub topic: TopicRef<'a>,
    /// The partition's number in the topic.
    pub partition: i32,
    /// The error code, 0 for none.
    pub error: i16,
    /// The first record's offset; -1 with most errors.
    pub base_offset: i64,
    /// When the broker appended it, in ms since 1970; -1 for topics that keep the producer's time, and before v2.
    pub log_append_time: i64,
    /// Where the partition's log begins, from v5 on.
    pub log_start_offset: Option<i64>,
}

impl<'a> ProduceResponse<'a> {
    /// Reads a frame, given without its length, from its header to its last byte.
    pub fn parse(version: i16, frame_after_length: &'a [u8]) -> Result<Self, ParseError> {
        let layout = Layout::new(version).ok_or(ParseError::Version { version })?;
        let (correlation_id, mut cursor) = response_body(layout, frame_after_length)?;
        let (entries, _) = Entries::read(layout, &mut cursor)?;
        layout.response_tail(&mut cursor)?;
        Ok(Self { correlation_id, entries })
    }

    /// Its partition entries, in the order in which they stand.
    #[inline]
    pub fn entries(&self) -> impl Iterator<Item = ResponseEntry<'a>> + Clone + use<'a> {
        self.entries.iter()
    }

    /// Hands out the same.
    #[inline]
    pub(crate) fn each(&self, act: impl FnMut(&ResponseEntry<'a>)) {
        self.entries.each(act);
    }
}

impl<'a> Entry<'a> for ResponseEntry<'a> {
    #[inline]
    fn count(layout: Layout, cursor: &mut Cursor<'a>) -> Result<u32, ParseError> {
        layout.response_partitions_len(cursor)
    }

    #[inline]
    fn read(layout: Layout, cursor: &mut Cursor<'a>, topic: TopicRef<'a>) -> Result<Self, ParseError> {
        let PartitionFields { index, error, base_offset, log_append_time, log_start_offset } =
            layout.response_partition(cursor)?;
        Ok(Self { topic, partition: index, error, base_offset, log_append_time, log_start_offset })
    }
}

/// Reads the header; the cursor that is returned stands at the body.
pub(super) fn response_body(layout: Layout, frame: &[u8]) -> Result<(i32, Cursor<'_>), ParseError> {
    let mut cursor = Cursor::new(frame, layout.encoding());
    let correlation_id = cursor.i32()?;
    cursor.skip_tags()?;
    Ok((correlation_id, cursor))
}
