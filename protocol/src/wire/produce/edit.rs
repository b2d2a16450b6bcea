//! Takes entries out of requests and puts entries into responses, and leaves every other byte as it came.

use std::ops::Range;

use hashbrown::{HashMap, HashSet};
use thiserror::Error;

use super::answer::{AnswerEntry, by_topic, put_count, put_partition, put_topic};
use super::layout::Layout;
use super::response::response_body;
use crate::sequencing::TopicRef;
use crate::wire::cursor::{Cursor, ParseError};
use crate::wire::frame::LENGTH_BYTES;
use crate::wire::head::{ApiKey, RequestHead};

/// Why entries cannot be put into a response; the client has to be disconnected, for the answer to what it sent
/// cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MergeError {
    /// The response does not parse.
    #[error("produce response does not parse: {0}")]
    Parse(#[from] ParseError),
    /// The broker answers for a partition that it was not sent.
    #[error("produce response answers for partition {partition}, which was kept back")]
    Kept {
        /// The partition's number.
        partition: i32,
    },
    /// One topic has two entries, and it is unclear which one is to be added to.
    #[error("produce response has two entries for one topic")]
    TopicTwice,
    /// The result would have a length that no frame can have.
    #[error("merged response of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Its bytes behind the length.
        size: usize,
        /// The largest length, 2^31-1.
        limit: usize,
    },
}

/// Leaves out of a request the entries that `keep` does not want, and topics that become empty by it.
///
/// `frame` begins with its length; `keep` is asked once for every entry, by its place in
/// [`ProduceRequest::entries`](super::ProduceRequest::entries). Counts and the length are mended, all that stays is
/// copied byte for byte, unknown tagged fields included.
pub fn strip(frame: &[u8], mut keep: impl FnMut(usize) -> bool) -> Result<Vec<u8>, ParseError> {
    let bytes = behind_length(frame)?;
    let head = RequestHead::parse(bytes)?;
    let (api_key, version) = (head.prefix.api_key, head.prefix.api_version);
    if api_key != ApiKey::PRODUCE {
        return Err(ParseError::Api { api_key: api_key.0 });
    }
    let layout = Layout::new(version).ok_or(ParseError::Version { version })?;
    let mut cursor = Cursor::new(head.body, layout.encoding());
    layout.request_fields(&mut cursor)?;
    let topics_at = cursor.position();
    let stays = what_stays(layout, &mut cursor, &mut keep)?;
    let tail = cursor.rest();
    cursor.skip_tags()?;
    cursor.end()?;

    let mut out = Vec::with_capacity(frame.len());
    out.extend_from_slice(&frame[..LENGTH_BYTES + head.body_at]);
    out.extend_from_slice(&head.body[..topics_at]);
    put_count(layout, &mut out, stays.topics);
    for piece in &stays.pieces {
        match piece {
            Piece::Whole(topics) => out.extend_from_slice(&head.body[topics.clone()]),
            Piece::Part(topic) => {
                out.extend_from_slice(&head.body[topic.name.clone()]);
                put_count(layout, &mut out, topic.kept);
                for span in &topic.spans {
                    out.extend_from_slice(&head.body[span.clone()]);
                }
                out.extend_from_slice(&head.body[topic.tail.clone()]);
            }
        }
    }
    out.extend_from_slice(tail);
    // Longer than the request it cannot be: counts only shrink.
    mend_length(&mut out).map_err(|size| ParseError::LeftOver { left: size })?;
    Ok(out)
}

/// What stays of a request.
struct Stays {
    topics: usize,
    /// As many at most as there are topics to be changed, and the runs between them: requests may name very many.
    pieces: Vec<Piece>,
}

enum Piece {
    /// Neighbouring topics that stay as they are; one that came without partitions is among them, for the broker is to
    /// see it.
    Whole(Range<usize>),
    /// A topic of which entries are left out.
    Part(RequestTopic),
}

/// Where in the body the parts of a topic are that stay in the request.
struct RequestTopic {
    name: Range<usize>,
    kept: usize,
    /// Runs of neighbouring entries that stay.
    spans: Vec<Range<usize>>,
    tail: Range<usize>,
}

fn what_stays(
    layout: Layout,
    cursor: &mut Cursor<'_>,
    keep: &mut impl FnMut(usize) -> bool,
) -> Result<Stays, ParseError> {
    let mut stays = Stays { topics: 0, pieces: Vec::new() };
    let mut ordinal = 0;
    for _ in 0..layout.topics_len(cursor)? {
        let name_at = cursor.position();
        layout.topic(cursor)?;
        let name = name_at..cursor.position();
        let partitions = layout.request_partitions_len(cursor)?;
        let mut topic = RequestTopic { name, kept: 0, spans: Vec::new(), tail: 0..0 };
        for _ in 0..partitions {
            let start = cursor.position();
            let (_, records_bytes) = layout.request_partition(cursor)?;
            cursor.take(records_bytes.unwrap_or(0) as usize)?;
            cursor.skip_tags()?;
            if keep(ordinal) {
                topic.keep(start..cursor.position());
            }
            ordinal += 1;
        }
        let tail_at = cursor.position();
        cursor.skip_tags()?;
        topic.tail = tail_at..cursor.position();
        if topic.kept == partitions as usize {
            stays.whole(name_at..cursor.position());
        } else if topic.kept > 0 {
            stays.topics += 1;
            stays.pieces.push(Piece::Part(topic));
        }
    }
    Ok(stays)
}

impl Stays {
    fn whole(&mut self, topic: Range<usize>) {
        self.topics += 1;
        match self.pieces.last_mut() {
            Some(Piece::Whole(run)) if run.end == topic.start => run.end = topic.end,
            Some(Piece::Whole(_) | Piece::Part(_)) | None => self.pieces.push(Piece::Whole(topic)),
        }
    }
}

impl RequestTopic {
    fn keep(&mut self, entry: Range<usize>) {
        self.kept += 1;
        match self.spans.last_mut() {
            Some(last) if last.end == entry.start => last.end = entry.end,
            Some(_) | None => self.spans.push(entry),
        }
    }
}

/// Puts entries into the broker's response: into its entry for their topic, or into a new one behind the others.
///
/// `response_frame` begins with its length. Throttle time, tags, node endpoints, leader hints and record errors stay
/// as they came; a topic that the broker answered keeps one entry.
pub fn merge(version: i16, response_frame: &[u8], kept: &[AnswerEntry]) -> Result<Vec<u8>, MergeError> {
    let layout = Layout::new(version).ok_or(ParseError::Version { version })?;
    let bytes = behind_length(response_frame)?;
    let (_, mut cursor) = response_body(layout, bytes)?;
    let topics_at = cursor.position();
    let topics = response_topics(layout, &mut cursor, kept)?;
    let tail = cursor.rest();
    layout.response_tail(&mut cursor)?;

    let groups = by_topic(kept);
    let mut of_topic: HashMap<_, _> = groups.iter().map(|group| (group[0].topic.as_ref(), group)).collect();
    let fresh = groups.len() - topics.iter().filter(|topic| of_topic.contains_key(&topic.topic)).count();
    let mut out = Vec::with_capacity(response_frame.len());
    out.extend_from_slice(&response_frame[..LENGTH_BYTES + topics_at]);
    put_count(layout, &mut out, topics.len() + fresh);
    for topic in &topics {
        let added = of_topic.remove(&topic.topic).map_or(&[][..], Vec::as_slice);
        out.extend_from_slice(&bytes[topic.name.clone()]);
        put_count(layout, &mut out, topic.partitions + added.len());
        out.extend_from_slice(&bytes[topic.entries.clone()]);
        for entry in added {
            put_partition(layout, &mut out, entry);
        }
        out.extend_from_slice(&bytes[topic.tail.clone()]);
    }
    for group in groups.iter().filter(|group| of_topic.contains_key(&group[0].topic.as_ref())) {
        put_topic(layout, &mut out, group);
    }
    out.extend_from_slice(tail);
    mend_length(&mut out).map_err(|size| MergeError::TooLarge { size, limit: FRAME_BYTES_MAX })?;
    Ok(out)
}

/// Where in the frame the parts of a topic's entry are.
struct ResponseTopic<'a> {
    topic: TopicRef<'a>,
    name: Range<usize>,
    partitions: usize,
    entries: Range<usize>,
    tail: Range<usize>,
}

fn response_topics<'a>(
    layout: Layout,
    cursor: &mut Cursor<'a>,
    kept: &[AnswerEntry],
) -> Result<Vec<ResponseTopic<'a>>, MergeError> {
    let kept: HashSet<_> = kept.iter().map(|entry| (entry.topic.as_ref(), entry.partition)).collect();
    let mut topics = Vec::new();
    let mut seen = HashSet::new();
    for _ in 0..layout.topics_len(cursor)? {
        let name_at = cursor.position();
        let topic = layout.topic(cursor)?;
        let name = name_at..cursor.position();
        if !seen.insert(topic) {
            return Err(MergeError::TopicTwice);
        }
        let partitions = layout.response_partitions_len(cursor)?;
        let entries_at = cursor.position();
        for _ in 0..partitions {
            let partition = layout.response_partition(cursor)?.index;
            if kept.contains(&(topic, partition)) {
                return Err(MergeError::Kept { partition });
            }
        }
        let tail_at = cursor.position();
        cursor.skip_tags()?;
        let tail = tail_at..cursor.position();
        topics.push(ResponseTopic { topic, name, partitions: partitions as usize, entries: entries_at..tail_at, tail });
    }
    Ok(topics)
}

/// The largest length that can be written.
const FRAME_BYTES_MAX: usize = i32::MAX as usize;

/// A frame without its length.
pub(super) fn behind_length(frame: &[u8]) -> Result<&[u8], ParseError> {
    frame.get(LENGTH_BYTES..).ok_or(ParseError::Truncated { needed: LENGTH_BYTES, have: frame.len() })
}

/// Writes a frame's length; the size that has none is the error.
pub(super) fn mend_length(out: &mut [u8]) -> Result<(), usize> {
    let size = out.len() - LENGTH_BYTES;
    let length = i32::try_from(size).map_err(|_| size)?;
    out[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(())
}
