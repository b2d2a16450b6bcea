//! A walk over produce requests that can wait for bytes.

use super::layout::Layout;
use crate::sequencing::TopicRef;
use crate::wire::batch::{BATCH_HEADER_BYTES, Records};
use crate::wire::cursor::{Cursor, ParseError};

/// Walks a produce request's body unit by unit, and can wait between any two of them.
///
/// A unit is a few fields, a name or a batch's header; the bytes of records are never asked for. Call
/// [`step`](Self::step) with the bytes that follow what the last one consumed and skipped, until [`ProduceEvent::End`].
#[derive(Clone, Debug)]
pub struct ProduceWalk {
    layout: Layout,
    state: State,
    /// Bytes of the body that are neither consumed nor skipped.
    left: u32,
    /// Topics that follow the present one.
    topics: u32,
    /// Partitions of the present topic that are still to come.
    partitions: u32,
    /// Tagged fields of the present section that are still to come.
    tags: u32,
}

/// Which unit comes next.
#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    Topic,
    Partition,
    Tags(Section),
    Tag(Section),
    End,
}

/// Whose tagged fields a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// A partition's.
    Partition,
    /// A topic's.
    Topic,
    /// The body's.
    Body,
}

/// What one step of a walk came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The next unit needs at least this many bytes: never more than a name and a few fields, some 33 KiB.
    More(usize),
    /// A unit.
    Event {
        /// Bytes from the front that are done with.
        consumed: usize,
        /// Bytes behind them that are to be dropped unseen; may reach past the bytes at hand.
        skip: u32,
        /// What the unit says.
        event: ProduceEvent<'a>,
    },
}

/// What a unit of a produce request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProduceEvent<'a> {
    /// The fields ahead of the topics; always first.
    Head {
        /// How many replicas are to acknowledge: 0, 1, or -1 for all in sync.
        acks: i16,
        /// How long the broker may wait for them, in ms.
        timeout_ms: i32,
        /// The producer's transactional id, if it has one.
        transactional_id: Option<&'a [u8]>,
    },
    /// A topic, to which the partitions that follow belong.
    Topic(TopicRef<'a>),
    /// A partition.
    Partition {
        /// Its number in the topic.
        index: i32,
        /// What is produced to it.
        records: Records<'a>,
    },
    /// Tagged fields, or their absence, which the walk steps over.
    Tags(Section),
    /// The end: no bytes are left over. Always last.
    End,
}

impl ProduceWalk {
    /// Starts at the body of a request of `body_bytes`; `None` for versions without a known layout.
    #[must_use]
    pub const fn new(version: i16, body_bytes: u32) -> Option<Self> {
        match Layout::new(version) {
            Some(layout) => {
                Some(Self { layout, state: State::Head, left: body_bytes, topics: 0, partitions: 0, tags: 0 })
            }
            None => None,
        }
    }

    /// Consumes one unit from the front of `bytes`; what lies behind the body's end is not looked at.
    ///
    /// After an error the walk stands where it stood, and fails again.
    #[inline]
    pub fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, ParseError> {
        let left = self.left as usize;
        let mut cursor = Cursor::partial(bytes.get(..left).unwrap_or(bytes), left, self.layout.encoding());
        let (event, skip) = match self.unit(&mut cursor) {
            Ok(unit) => unit,
            Err(ParseError::Truncated { needed, .. }) if needed <= left => return Ok(Step::More(needed)),
            Err(problem) => return Err(problem),
        };
        let consumed = cursor.position();
        // Lengths were held against what is left: this cannot go below zero.
        self.left = u32::try_from(cursor.left()).unwrap_or(0).saturating_sub(skip);
        Ok(Step::Event { consumed, skip, event })
    }

    /// Whether no further entry can follow: what is left is as long as the counts of tags, none of which there are, that end a
    /// request.
    pub(crate) const fn has_only_empty_tags_left(&self) -> bool {
        /// Of the entry, its topic and the body.
        const COUNTS: u32 = 3;
        self.left == if self.layout.is_flexible() { COUNTS } else { 0 }
    }

    /// Reads all of a unit before it changes anything, so that one that is not there yet can be tried again.
    #[inline]
    fn unit<'a>(&mut self, cursor: &mut Cursor<'a>) -> Result<(ProduceEvent<'a>, u32), ParseError> {
        match self.state {
            State::Head => Ok((self.head(cursor)?, 0)),
            State::Topic => Ok((self.topic(cursor)?, 0)),
            State::Partition => self.partition(cursor),
            State::Tags(section) => {
                self.tags = cursor.tags_len()?;
                self.state = self.behind_tag(section);
                Ok((ProduceEvent::Tags(section), 0))
            }
            State::Tag(section) => {
                let size = cursor.tag()?;
                self.tags = self.tags.saturating_sub(1);
                self.state = self.behind_tag(section);
                Ok((ProduceEvent::Tags(section), size))
            }
            State::End => cursor.end().map(|()| (ProduceEvent::End, 0)),
        }
    }

    #[inline]
    fn head<'a>(&mut self, cursor: &mut Cursor<'a>) -> Result<ProduceEvent<'a>, ParseError> {
        let fields = self.layout.request_fields(cursor)?;
        self.topics = self.layout.topics_len(cursor)?;
        self.state = self.behind_topic();
        Ok(ProduceEvent::Head {
            acks: fields.acks,
            timeout_ms: fields.timeout_ms,
            transactional_id: fields.transactional_id,
        })
    }

    #[inline]
    fn topic<'a>(&mut self, cursor: &mut Cursor<'a>) -> Result<ProduceEvent<'a>, ParseError> {
        let topic = self.layout.topic(cursor)?;
        self.partitions = self.layout.request_partitions_len(cursor)?;
        self.topics = self.topics.saturating_sub(1);
        self.state = self.behind_partition();
        Ok(ProduceEvent::Topic(topic))
    }

    #[inline]
    fn partition<'a>(&mut self, cursor: &mut Cursor<'a>) -> Result<(ProduceEvent<'a>, u32), ParseError> {
        let (index, len) = self.layout.request_partition(cursor)?;
        let bytes = len.unwrap_or(0);
        let front = cursor.take((bytes as usize).min(BATCH_HEADER_BYTES))?;
        let (records, skip) = (Records::new(len, front), bytes - front.len() as u32);
        self.partitions = self.partitions.saturating_sub(1);
        self.state = if self.layout.is_flexible() { State::Tags(Section::Partition) } else { self.behind_partition() };
        Ok((ProduceEvent::Partition { index, records }, skip))
    }

    #[inline]
    const fn behind_partition(&self) -> State {
        match self.partitions {
            0 if self.layout.is_flexible() => State::Tags(Section::Topic),
            0 => self.behind_topic(),
            _ => State::Partition,
        }
    }

    #[inline]
    const fn behind_topic(&self) -> State {
        match self.topics {
            0 if self.layout.is_flexible() => State::Tags(Section::Body),
            0 => State::End,
            _ => State::Topic,
        }
    }

    #[inline]
    const fn behind_tag(&self, section: Section) -> State {
        match (self.tags, section) {
            (0, Section::Partition) => self.behind_partition(),
            (0, Section::Topic) => self.behind_topic(),
            (0, Section::Body) => State::End,
            _ => State::Tag(section),
        }
    }
}
