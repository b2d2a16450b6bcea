//! Asks for a piece of a partition's log (`FetchRequest.json`).

use super::{NO_REPLICA, READ_UNCOMMITTED, begin, finish, put_string};
use crate::sequencing::TopicRef;
use crate::wire::cursor::Encoding;
use crate::wire::head::ApiKey;

/// The version in which a piece of a log is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchVersion {
    /// 5, by name: every broker from Kafka 0.11 to 4.x understands it. Batches that are compressed with zstd are not given
    /// out in it, but answered with an error, 76.
    Oldest,
    /// 10, by name: the first in which they are (KIP-110). Brokers that answer with 76 understand it.
    Zstd,
    /// 13, by id: the first version that can (KIP-516). Brokers that take batches by topic id understand it.
    ById,
}

impl FetchVersion {
    /// The version to begin with where nothing is known of the broker.
    #[must_use]
    pub const fn of(topic: TopicRef<'_>) -> Self {
        match topic {
            TopicRef::Name(_) => Self::Oldest,
            TopicRef::Id(_) => Self::ById,
        }
    }

    /// The version's number.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Oldest => 5,
            Self::Zstd => 10,
            Self::ById => 13,
        }
    }

    pub(super) const fn is_flexible(self) -> bool {
        matches!(self, Self::ById)
    }

    pub(super) const fn encoding(self) -> Encoding {
        if self.is_flexible() { Encoding::Flexible } else { Encoding::Classic }
    }

    /// Whether there are fetch sessions (KIP-227), and errors of a whole answer with them.
    pub(super) const fn has_sessions(self) -> bool {
        !matches!(self, Self::Oldest)
    }

    /// Whether a request says which leader's epoch it expects (KIP-320).
    const fn has_leader_epoch(self) -> bool {
        !matches!(self, Self::Oldest)
    }
}

/// The broker is to answer at once, however little there is.
const WAIT_MS_MAX: i32 = 0;
const BYTES_MIN: i32 = 0;

/// No fetch session, and none to be opened (`FetchMetadata.FINAL_EPOCH`, KIP-227).
const NO_SESSION: i32 = 0;
const FINAL_SESSION_EPOCH: i32 = -1;

/// An epoch that whoever asks does not know, and does not want to be held against the broker's.
const NO_EPOCH: i32 = -1;

/// Where a follower's own log begins; a consumer has none.
const NO_LOG_START: i64 = -1;

/// Makes the whole frame, length included, that asks for what a partition's log has from `offset` on.
///
/// The broker answers with what lies below the high watermark, about `bytes_max` bytes of it: one batch it gives out
/// however large it is, and the last one it may cut off.
///
/// # Panics
///
/// For names of more than 32,767 bytes, which no request can have brought, and for topics that are not named as the version
/// names them.
#[must_use]
pub fn fetch(
    version: FetchVersion,
    correlation_id: i32,
    topic: TopicRef<'_>,
    partition: i32,
    offset: i64,
    bytes_max: i32,
) -> Vec<u8> {
    assert_eq!(version.is_flexible(), matches!(topic, TopicRef::Id(_)), "a version names topics in one way");
    let is_flexible = version.is_flexible();
    let mut out = begin(ApiKey::FETCH, version.number(), correlation_id);
    put_no_tags(&mut out, is_flexible);
    for number in [NO_REPLICA, WAIT_MS_MAX, BYTES_MIN, bytes_max] {
        out.extend(number.to_be_bytes());
    }
    out.push(READ_UNCOMMITTED);
    if version.has_sessions() {
        out.extend(NO_SESSION.to_be_bytes());
        out.extend(FINAL_SESSION_EPOCH.to_be_bytes());
    }

    put_count(&mut out, is_flexible, 1);
    match topic {
        TopicRef::Name(name) => put_string(&mut out, name),
        TopicRef::Id(id) => out.extend(id.0),
    }
    put_count(&mut out, is_flexible, 1);
    out.extend(partition.to_be_bytes());
    if version.has_leader_epoch() {
        let current_leader_epoch = NO_EPOCH;
        out.extend(current_leader_epoch.to_be_bytes());
    }
    out.extend(offset.to_be_bytes());
    if is_flexible {
        let last_fetched_epoch = NO_EPOCH;
        out.extend(last_fetched_epoch.to_be_bytes());
    }
    out.extend(NO_LOG_START.to_be_bytes());
    out.extend(bytes_max.to_be_bytes());
    // Of the partition, and of the topic.
    put_no_tags(&mut out, is_flexible);
    put_no_tags(&mut out, is_flexible);

    if version.has_sessions() {
        // No topic is forgotten.
        put_count(&mut out, is_flexible, 0);
    }
    if is_flexible {
        // No rack: without one the leader answers itself, and sends nobody to a follower (KIP-392).
        put_count(&mut out, is_flexible, 0);
    }
    put_no_tags(&mut out, is_flexible);
    finish(out)
}

/// Writes an array's count; a compact string's length is written the same way.
fn put_count(out: &mut Vec<u8>, is_flexible: bool, count: u8) {
    if is_flexible {
        debug_assert!(count < 0x7f, "one byte of a varint has room for it");
        out.push(count + 1);
    } else {
        out.extend(i32::from(count).to_be_bytes());
    }
}

fn put_no_tags(out: &mut Vec<u8>, is_flexible: bool) {
    if is_flexible {
        out.push(0);
    }
}
