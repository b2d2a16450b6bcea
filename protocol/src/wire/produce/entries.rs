//! The partition entries of a message that is held whole: requests and responses alike have them grouped by topic.

use std::marker::PhantomData;

use super::layout::Layout;
use crate::sequencing::TopicRef;
use crate::wire::cursor::{Cursor, ParseError};

/// What a message says of one partition.
pub(super) trait Entry<'a>: Sized {
    /// Reads how many entries a topic has.
    fn count(layout: Layout, cursor: &mut Cursor<'a>) -> Result<u32, ParseError>;
    /// Reads one of them, to its last byte.
    fn read(layout: Layout, cursor: &mut Cursor<'a>, topic: TopicRef<'a>) -> Result<Self, ParseError>;
}

/// The entries of a message, which were read once to their end.
#[derive(Clone, Debug)]
pub(super) struct Entries<'a, E> {
    /// In the commonest messages there is no other, and they are not read again.
    first: Option<E>,
    layout: Layout,
    /// The message from its topics on, if there are more.
    more: Option<&'a [u8]>,
}

impl<'a, E: Entry<'a> + Copy> Entries<'a, E> {
    /// Reads all topics, and how many entries they have together.
    #[inline]
    pub(super) fn read(layout: Layout, cursor: &mut Cursor<'a>) -> Result<(Self, usize), ParseError> {
        let topics = cursor.rest();
        let mut walk = Walk::begin(layout, cursor)?;
        let first = walk.entry(cursor)?;
        let mut count = usize::from(first.is_some());
        while walk.has_more() {
            count += usize::from(walk.entry(cursor)?.is_some());
        }
        Ok((Self { first, layout, more: (count > 1).then_some(topics) }, count))
    }

    /// The only one; `None` if there are more, or none.
    #[inline]
    pub(super) fn only(&self) -> Option<&E> {
        self.first.as_ref().filter(|_| self.more.is_none())
    }

    /// Hands out all of them, in the order in which they stand; of an only one nothing is copied.
    #[inline]
    pub(super) fn each(&self, mut act: impl FnMut(&E)) {
        let Some(first) = &self.first else { return };
        act(first);
        let Some((mut walk, mut cursor)) = self.more.and_then(|topics| behind_first(self.layout, topics)) else {
            return;
        };
        while let Ok(Some(entry)) = walk.entry(&mut cursor) {
            act(&entry);
        }
    }

    /// All of them, in the order in which they stand.
    #[inline]
    pub(super) fn iter(&self) -> EntriesIter<'a, E> {
        EntriesIter { first: self.first, rest: self.more.and_then(|topics| behind_first(self.layout, topics)) }
    }
}

/// What follows the first of several entries.
#[inline(never)]
fn behind_first<'a, E: Entry<'a>>(layout: Layout, topics: &'a [u8]) -> Option<(Walk<'a, E>, Cursor<'a>)> {
    let mut cursor = Cursor::new(topics, layout.encoding());
    let mut walk = Walk::begin(layout, &mut cursor).ok()?;
    let _first: Option<E> = walk.entry(&mut cursor).ok()?;
    Some((walk, cursor))
}

/// Hands out entries that were read before.
#[derive(Clone, Debug)]
pub(super) struct EntriesIter<'a, E> {
    first: Option<E>,
    rest: Option<(Walk<'a, E>, Cursor<'a>)>,
}

impl<'a, E: Entry<'a>> Iterator for EntriesIter<'a, E> {
    type Item = E;

    #[inline]
    fn next(&mut self) -> Option<E> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let (walk, cursor) = self.rest.as_mut()?;
        // There are no errors, and errors would end the entries.
        walk.entry(cursor).ok()?
    }
}

/// Where among topics and entries a cursor stands.
#[derive(Clone, Debug)]
struct Walk<'a, E> {
    layout: Layout,
    /// Topics that follow the present one.
    topics: u32,
    /// Entries of the present topic that are still to come.
    partitions: u32,
    /// The present one, once there is one.
    topic: TopicRef<'a>,
    entries: PhantomData<E>,
}

impl<'a, E: Entry<'a>> Walk<'a, E> {
    #[inline]
    fn begin(layout: Layout, cursor: &mut Cursor<'a>) -> Result<Self, ParseError> {
        let topics = layout.topics_len(cursor)?;
        Ok(Self { layout, topics, partitions: 0, topic: TopicRef::Name(&[]), entries: PhantomData })
    }

    /// Whether anything is left to be read, if only topics without entries.
    const fn has_more(&self) -> bool {
        self.topics > 0 || self.partitions > 0
    }

    /// Reads an entry, and behind the last one of a topic what the topic ends in.
    #[inline(never)]
    fn entry(&mut self, cursor: &mut Cursor<'a>) -> Result<Option<E>, ParseError> {
        while self.partitions == 0 {
            let Some(topics) = self.topics.checked_sub(1) else { return Ok(None) };
            self.topics = topics;
            self.topic = self.layout.topic(cursor)?;
            self.partitions = E::count(self.layout, cursor)?;
            self.end_topic(cursor)?;
        }
        self.partitions -= 1;
        let entry = E::read(self.layout, cursor, self.topic)?;
        self.end_topic(cursor)?;
        Ok(Some(entry))
    }

    #[inline]
    fn end_topic(&self, cursor: &mut Cursor<'a>) -> Result<(), ParseError> {
        if self.partitions > 0 { Ok(()) } else { cursor.skip_tags() }
    }
}
