//! Reads produce requests that are held whole.

use super::walk::{ProduceEvent, ProduceWalk, Step};
use crate::sequencing::TopicRef;
use crate::wire::batch::Records;
use crate::wire::cursor::ParseError;

/// A produce request that is held whole, and was walked once to its end.
#[derive(Clone, Debug)]
pub struct ProduceRequest<'a> {
    /// How many replicas are to acknowledge: 0, 1, or -1 for all in sync.
    pub acks: i16,
    /// How long the broker may wait for them, in ms.
    pub timeout_ms: i32,
    /// The producer's transactional id, if it has one.
    pub transactional_id: Option<&'a [u8]>,
    /// How many partition entries it has, over all topics.
    pub partitions: usize,
    start: Entries<'a>,
    /// The first entry: in the commonest requests there is no other, and they are not walked again.
    first: Option<ProduceEntry<'a>>,
}

/// One partition's part of a produce request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProduceEntry<'a> {
    /// The topic, as the request names it.
    pub topic: TopicRef<'a>,
    /// The partition's number in the topic.
    pub partition: i32,
    /// What is produced to it.
    pub records: Records<'a>,
}

impl<'a> ProduceRequest<'a> {
    /// Walks the body from its first byte to its last.
    pub fn parse(version: i16, body: &'a [u8]) -> Result<Self, ParseError> {
        let bytes = u32::try_from(body.len()).ok();
        let walk = bytes.and_then(|bytes| ProduceWalk::new(version, bytes)).ok_or(ParseError::Version { version })?;
        let start = Entries { walk, rest: body, topic: TopicRef::Name(&[]) };
        let mut at = start.clone();
        let mut request = Self { acks: 0, timeout_ms: 0, transactional_id: None, partitions: 0, start, first: None };
        let mut topic = TopicRef::Name(&[]);
        loop {
            match at.event()? {
                ProduceEvent::Head { acks, timeout_ms, transactional_id } => {
                    request.acks = acks;
                    request.timeout_ms = timeout_ms;
                    request.transactional_id = transactional_id;
                }
                ProduceEvent::Partition { index, records } => {
                    request.partitions += 1;
                    request.first.get_or_insert(ProduceEntry { topic, partition: index, records });
                }
                ProduceEvent::Topic(next) => topic = next,
                ProduceEvent::Tags(_) => {}
                ProduceEvent::End => return Ok(request),
            }
        }
    }

    /// All bytes of its only entry's records; `None` if it has more entries, or null records.
    #[must_use]
    pub fn only_batch(&self) -> Option<&'a [u8]> {
        if self.partitions != 1 {
            return None;
        }
        let mut at = self.start.clone();
        loop {
            let before = at.rest;
            match at.event().ok()? {
                ProduceEvent::Partition { records, .. } => {
                    let read = before.len() - at.rest.len();
                    return before.get(read.checked_sub(records.len? as usize)?..read);
                }
                ProduceEvent::End => return None,
                ProduceEvent::Head { .. } | ProduceEvent::Topic(_) | ProduceEvent::Tags(_) => {}
            }
        }
    }

    /// Its partition entries, in the order in which they stand.
    pub fn entries(&self) -> impl Iterator<Item = ProduceEntry<'a>> + Clone + use<'a> {
        let rest = (self.partitions > 1).then(|| self.start.clone());
        self.first.into_iter().chain(rest.into_iter().flatten().skip(1))
    }
}

/// The partition entries of a produce request.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    walk: ProduceWalk,
    rest: &'a [u8],
    topic: TopicRef<'a>,
}

impl<'a> Entries<'a> {
    #[inline]
    fn event(&mut self) -> Result<ProduceEvent<'a>, ParseError> {
        match self.walk.step(self.rest)? {
            Step::More(needed) => Err(ParseError::Truncated { needed, have: self.rest.len() }),
            Step::Event { consumed, skip, event } => {
                self.rest = self.rest.get(consumed.saturating_add(skip as usize)..).unwrap_or_default();
                Ok(event)
            }
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = ProduceEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<ProduceEntry<'a>> {
        loop {
            // The body was walked once: it has no errors, and errors would end the entries.
            match self.event().ok()? {
                ProduceEvent::Topic(topic) => self.topic = topic,
                ProduceEvent::Partition { index, records } => {
                    return Some(ProduceEntry { topic: self.topic, partition: index, records });
                }
                ProduceEvent::Head { .. } | ProduceEvent::Tags(_) => {}
                ProduceEvent::End => return None,
            }
        }
    }
}
