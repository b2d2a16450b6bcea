//! Puts entries of ours in the place of a broker's, and leaves every other byte of its response as it came.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use thiserror::Error;

use super::answer::{AnswerEntry, put_partition};
use super::edit::{behind_length, mend_length};
use super::layout::Layout;
use super::response::response_body;
use crate::sequencing::TopicRef;
use crate::wire::cursor::ParseError;
use crate::wire::frame::LENGTH_BYTES;

/// Why a response cannot be amended; it can still go out as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AmendError {
    /// The response does not parse.
    #[error("produce response does not parse: {0}")]
    Parse(#[from] ParseError),
    /// The broker says nothing of a partition, so that there is nothing to be replaced.
    #[error("produce response has no entry for partition {partition}")]
    Missing {
        /// The partition's number.
        partition: i32,
    },
    /// The broker answers for one partition twice, or two entries are to take one place.
    #[error("two entries for partition {partition}")]
    Twice {
        /// The partition's number.
        partition: i32,
    },
}

/// Replaces the broker's entry for each of these partitions: no record errors, no message and no leader hint stay.
///
/// `response_frame` begins with its length. Throttle time, tags, node endpoints and all other entries stay as they
/// came; each partition has to be in the response exactly once.
pub fn amend(version: i16, response_frame: &[u8], entries: &[AnswerEntry]) -> Result<Vec<u8>, AmendError> {
    let layout = Layout::new(version).ok_or(ParseError::Version { version })?;
    let bytes = behind_length(response_frame)?;
    let (_, mut cursor) = response_body(layout, bytes)?;
    let mut places = Places::of(entries)?;
    let mut out = Vec::with_capacity(response_frame.len());
    out.extend_from_slice(&response_frame[..LENGTH_BYTES]);
    // Where the bytes begin that are not copied yet.
    let mut behind = 0;
    for _ in 0..layout.topics_len(&mut cursor)? {
        let topic = layout.topic(&mut cursor)?;
        for _ in 0..layout.response_partitions_len(&mut cursor)? {
            let start = cursor.position();
            let partition = layout.response_partition(&mut cursor)?.index;
            if let Some(entry) = places.take(topic, partition)? {
                out.extend_from_slice(&bytes[behind..start]);
                put_partition(layout, &mut out, entry);
                behind = cursor.position();
            }
        }
        cursor.skip_tags()?;
    }
    layout.response_tail(&mut cursor)?;
    places.all_taken()?;
    out.extend_from_slice(&bytes[behind..]);
    // Longer than the response it cannot be: nothing that a broker may say takes less room than an entry of ours.
    mend_length(&mut out).map_err(|size| ParseError::LeftOver { left: size })?;
    Ok(out)
}

/// Which entry is to take a partition's place; `None` once it has.
struct Places<'a>(HashMap<(TopicRef<'a>, i32), Option<&'a AnswerEntry>>);

impl<'a> Places<'a> {
    fn of(entries: &'a [AnswerEntry]) -> Result<Self, AmendError> {
        let mut places = HashMap::with_capacity(entries.len());
        for entry in entries {
            match places.entry((entry.topic.as_ref(), entry.partition)) {
                Entry::Vacant(place) => place.insert(Some(entry)),
                Entry::Occupied(_) => return Err(AmendError::Twice { partition: entry.partition }),
            };
        }
        Ok(Self(places))
    }

    /// The entry that takes the place of the broker's; `None` if the broker's stays.
    fn take(&mut self, topic: TopicRef<'a>, partition: i32) -> Result<Option<&'a AnswerEntry>, AmendError> {
        match self.0.get_mut(&(topic, partition)) {
            None => Ok(None),
            Some(entry) => entry.take().map(Some).ok_or(AmendError::Twice { partition }),
        }
    }

    fn all_taken(&self) -> Result<(), AmendError> {
        let left = self.0.values().flatten().map(|entry| entry.partition);
        left.min().map_or(Ok(()), |partition| Err(AmendError::Missing { partition }))
    }
}
