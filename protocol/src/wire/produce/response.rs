//! Reads produce responses.

use super::layout::Layout;
use crate::sequencing::TopicRef;
use crate::wire::cursor::{Cursor, ParseError};

/// A produce response that is held whole, and was read once to its end.
#[derive(Clone, Debug)]
pub struct ProduceResponse<'a> {
    /// The number of the request it answers.
    pub correlation_id: i32,
    /// The first entry: in the commonest responses there is no other, and they are not read again.
    first: Option<ResponseEntry<'a>>,
    /// What follows it.
    rest: ResponseEntries<'a>,
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
        let (correlation_id, cursor) = response_body(layout, frame_after_length)?;
        let mut at = ResponseEntries::new(layout, cursor)?;
        let first = at.entry()?;
        let response = Self { correlation_id, first, rest: at.clone() };
        while at.entry()?.is_some() {}
        layout.response_tail(&mut at.cursor)?;
        Ok(response)
    }

    /// Its partition entries, in the order in which they stand.
    pub fn entries(&self) -> impl Iterator<Item = ResponseEntry<'a>> + Clone + use<'a> {
        self.first.into_iter().chain(self.rest.clone())
    }
}

/// Reads the header; the cursor that is returned stands at the body.
pub(super) fn response_body(layout: Layout, frame: &[u8]) -> Result<(i32, Cursor<'_>), ParseError> {
    let mut cursor = Cursor::new(frame, layout.encoding());
    let correlation_id = cursor.i32()?;
    cursor.skip_tags()?;
    Ok((correlation_id, cursor))
}

/// The partition entries of a produce response.
#[derive(Clone, Debug)]
pub struct ResponseEntries<'a> {
    layout: Layout,
    cursor: Cursor<'a>,
    /// Topics that follow the present one.
    topics: u32,
    /// Partitions of the present topic that are still to come.
    partitions: u32,
    /// The present one, of which there is none at first.
    topic: Option<TopicRef<'a>>,
}

impl<'a> ResponseEntries<'a> {
    fn new(layout: Layout, mut cursor: Cursor<'a>) -> Result<Self, ParseError> {
        let topics = layout.topics_len(&mut cursor)?;
        Ok(Self { layout, cursor, topics, partitions: 0, topic: None })
    }

    fn entry(&mut self) -> Result<Option<ResponseEntry<'a>>, ParseError> {
        loop {
            match (self.topic, self.partitions) {
                (Some(topic), 1..) => {
                    self.partitions -= 1;
                    let partition = self.layout.response_partition(&mut self.cursor)?;
                    return Ok(Some(ResponseEntry {
                        topic,
                        partition: partition.index,
                        error: partition.error,
                        base_offset: partition.base_offset,
                        log_append_time: partition.log_append_time,
                        log_start_offset: partition.log_start_offset,
                    }));
                }
                (Some(_), 0) => {
                    self.cursor.skip_tags()?;
                    self.topic = None;
                }
                (None, _) if self.topics == 0 => return Ok(None),
                (None, _) => {
                    self.topics -= 1;
                    self.topic = Some(self.layout.topic(&mut self.cursor)?);
                    self.partitions = self.layout.response_partitions_len(&mut self.cursor)?;
                }
            }
        }
    }
}

impl<'a> Iterator for ResponseEntries<'a> {
    type Item = ResponseEntry<'a>;

    fn next(&mut self) -> Option<ResponseEntry<'a>> {
        // The frame was read once: it has no errors, and errors would end the entries.
        self.entry().ok()?
    }
}
