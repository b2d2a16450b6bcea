//! Reads produce requests that are held whole.

use super::entries::{Entries, Entry};
use super::layout::Layout;
use crate::sequencing::TopicRef;
use crate::wire::batch::Records;
use crate::wire::cursor::{Cursor, ParseError};

/// A produce request that is held whole, and was read once to its end.
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
    entries: Entries<'a, Held<'a>>,
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
    /// Reads the body from its first byte to its last.
    pub fn parse(version: i16, body: &'a [u8]) -> Result<Self, ParseError> {
        let layout = Layout::new(version).ok_or(ParseError::Version { version })?;
        let mut cursor = Cursor::new(body, layout.encoding());
        let fields = layout.request_fields(&mut cursor)?;
        let (entries, partitions) = Entries::read(layout, &mut cursor)?;
        cursor.skip_tags()?;
        cursor.end()?;
        Ok(Self {
            acks: fields.acks,
            timeout_ms: fields.timeout_ms,
            transactional_id: fields.transactional_id,
            partitions,
            entries,
        })
    }

    /// All bytes of its only entry's records; `None` if it has more entries, or null records.
    #[must_use]
    pub fn only_batch(&self) -> Option<&'a [u8]> {
        self.entries.only().and_then(|only| only.entry.records.len.map(|_| only.records))
    }

    /// Its only entry; `None` if it has more, or none.
    #[inline]
    pub(crate) fn only(&self) -> Option<&ProduceEntry<'a>> {
        self.entries.only().map(|only| &only.entry)
    }

    /// Its partition entries, in the order in which they stand.
    #[inline]
    pub fn entries(&self) -> impl Iterator<Item = ProduceEntry<'a>> + Clone + use<'a> {
        self.entries.iter().map(|held| held.entry)
    }

    /// Hands out the same.
    #[inline]
    pub(crate) fn each(&self, mut act: impl FnMut(&ProduceEntry<'a>)) {
        self.entries.each(|held| act(&held.entry));
    }

    /// Likewise, each with what is noted of it.
    #[inline]
    pub(crate) fn each_with<T>(&self, notes: &mut [T], mut act: impl FnMut(&ProduceEntry<'a>, &mut T)) {
        let mut notes = notes.iter_mut();
        self.each(|entry| notes.next().into_iter().for_each(|note| act(entry, note)));
    }
}

/// An entry, with all of what is produced to its partition.
#[derive(Clone, Copy, Debug)]
struct Held<'a> {
    entry: ProduceEntry<'a>,
    records: &'a [u8],
}

impl<'a> Entry<'a> for Held<'a> {
    #[inline]
    fn count(layout: Layout, cursor: &mut Cursor<'a>) -> Result<u32, ParseError> {
        layout.request_partitions_len(cursor)
    }

    #[inline]
    fn read(layout: Layout, cursor: &mut Cursor<'a>, topic: TopicRef<'a>) -> Result<Self, ParseError> {
        let (partition, len) = layout.request_partition(cursor)?;
        let records = cursor.take(len.unwrap_or(0) as usize)?;
        cursor.skip_tags()?;
        Ok(Self { entry: ProduceEntry { topic, partition, records: Records::new(len, records) }, records })
    }
}
