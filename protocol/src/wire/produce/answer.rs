//! Writes produce responses of our own.

use std::sync::Arc;

use hashbrown::HashMap;

use super::layout::Layout;
use crate::sequencing::{TopicId, TopicRef};

/// A topic that outlives the frame that named it; clones share the name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OwnedTopic {
    /// By name, up to v12.
    Name(Arc<[u8]>),
    /// By id, from v13 on.
    Id(TopicId),
}

impl OwnedTopic {
    /// The topic as a request or response names it.
    #[must_use]
    pub fn as_ref(&self) -> TopicRef<'_> {
        match self {
            Self::Name(name) => TopicRef::Name(name),
            Self::Id(id) => TopicRef::Id(*id),
        }
    }
}

impl From<TopicRef<'_>> for OwnedTopic {
    fn from(topic: TopicRef<'_>) -> Self {
        match topic {
            TopicRef::Name(name) => Self::Name(name.into()),
            TopicRef::Id(id) => Self::Id(id),
        }
    }
}

/// What to answer for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerEntry {
    /// The topic, named as the request names it.
    pub topic: OwnedTopic,
    /// The partition's number in the topic.
    pub partition: i32,
    /// The error code, 0 for none.
    pub error: i16,
    /// The first record's offset.
    pub base_offset: i64,
    /// When the broker appended it, in ms since 1970; -1 for topics that keep the producer's time.
    pub log_append_time: i64,
    /// Where the partition's log begins; left out before v5.
    pub log_start_offset: i64,
}

/// Makes the whole frame, length included, that answers `entries`, with one topic entry per topic.
///
/// # Panics
///
/// For versions without a known layout, and for topics that are not named as the version names them: both come
/// from the request that is answered.
#[must_use]
pub fn answer(version: i16, correlation_id: i32, entries: &[AnswerEntry]) -> Vec<u8> {
    let layout = Layout::new(version).expect("a request that was parsed has a known version");
    let topics = by_topic(entries);
    let mut out = vec![0; 4];
    out.extend(correlation_id.to_be_bytes());
    put_no_tags(layout, &mut out);
    put_count(layout, &mut out, topics.len());
    for entries in &topics {
        put_topic(layout, &mut out, entries);
    }
    if layout.has_throttle_time() {
        out.extend(0_i32.to_be_bytes());
    }
    put_no_tags(layout, &mut out);
    let length = i32::try_from(out.len() - 4).expect("an answer is smaller than what it answers");
    out[..4].copy_from_slice(&length.to_be_bytes());
    out
}

/// Groups entries by topic, in the order in which topics first appear; no group is empty.
pub(super) fn by_topic(entries: &[AnswerEntry]) -> Vec<Vec<&AnswerEntry>> {
    let mut groups: Vec<Vec<&AnswerEntry>> = Vec::new();
    let mut places = HashMap::new();
    for entry in entries {
        let place = *places.entry(&entry.topic).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(entry),
            None => groups.push(vec![entry]),
        }
    }
    groups
}

/// Writes a topic's entry: `entries` are all of one topic, and at least one.
pub(super) fn put_topic(layout: Layout, out: &mut Vec<u8>, entries: &[&AnswerEntry]) {
    let Some(first) = entries.first() else { return };
    match (&first.topic, layout.has_topic_ids()) {
        (OwnedTopic::Name(name), false) => put_name(layout, out, name),
        (OwnedTopic::Id(id), true) => out.extend(id.0),
        (OwnedTopic::Name(_), true) | (OwnedTopic::Id(_), false) => {
            unreachable!("an answer names topics as its request does")
        }
    }
    put_count(layout, out, entries.len());
    for entry in entries {
        put_partition(layout, out, entry);
    }
    put_no_tags(layout, out);
}

/// Writes a partition's entry: no record errors, no message, no leader hint.
pub(super) fn put_partition(layout: Layout, out: &mut Vec<u8>, entry: &AnswerEntry) {
    out.extend(entry.partition.to_be_bytes());
    out.extend(entry.error.to_be_bytes());
    out.extend(entry.base_offset.to_be_bytes());
    if layout.has_log_append_time() {
        out.extend(entry.log_append_time.to_be_bytes());
    }
    if layout.has_log_start_offset() {
        out.extend(entry.log_start_offset.to_be_bytes());
    }
    if layout.has_record_errors() {
        put_count(layout, out, 0);
        // A message that is null.
        out.extend(if layout.is_flexible() { &[0][..] } else { &[0xff, 0xff] });
    }
    put_no_tags(layout, out);
}

/// Writes an array's count.
pub(super) fn put_count(layout: Layout, out: &mut Vec<u8>, count: usize) {
    let count = i32::try_from(count).expect("entries come from a frame of less than 2 GiB");
    if layout.is_flexible() {
        put_uvarint(out, count.cast_unsigned() + 1);
    } else {
        out.extend(count.to_be_bytes());
    }
}

fn put_name(layout: Layout, out: &mut Vec<u8>, name: &[u8]) {
    let length = i16::try_from(name.len()).expect("names come from the wire, which has no longer ones");
    if layout.is_flexible() {
        put_uvarint(out, u32::from(length.cast_unsigned()) + 1);
    } else {
        out.extend(length.to_be_bytes());
    }
    out.extend(name);
}

fn put_no_tags(layout: Layout, out: &mut Vec<u8>) {
    if layout.is_flexible() {
        out.push(0);
    }
}

fn put_uvarint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
