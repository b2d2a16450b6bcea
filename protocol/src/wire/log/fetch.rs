//! Asks for a piece of a partition's log (`FetchRequest.json`).

use super::{NO_REPLICA, READ_UNCOMMITTED, begin, finish, put_string};
use crate::sequencing::TopicRef;
use crate::wire::head::ApiKey;

/// Asks by name: not flexible, and the first version in which brokers give out batches that are compressed with zstd
/// (KIP-110); in older ones they answer with an error, 76.
const VERSION_BY_NAME: i16 = 10;

/// Asks by id: the first version that can (KIP-516).
const VERSION_BY_ID: i16 = 13;

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

/// The version of Fetch in which [`fetch`] asks: by name from Kafka 2.1 on, by id from 3.1 on.
#[must_use]
pub const fn fetch_version(topic: TopicRef<'_>) -> i16 {
    match topic {
        TopicRef::Name(_) => VERSION_BY_NAME,
        TopicRef::Id(_) => VERSION_BY_ID,
    }
}

/// Makes the whole frame, length included, that asks for what a partition's log has from `offset` on.
///
/// The broker answers with what lies below the high watermark, about `bytes_max` bytes of it: one batch it gives out
/// however large it is, and the last one it may cut off.
///
/// # Panics
///
/// For names of more than 32,767 bytes, which no request can have brought.
#[must_use]
pub fn fetch(correlation_id: i32, topic: TopicRef<'_>, partition: i32, offset: i64, bytes_max: i32) -> Vec<u8> {
    let is_flexible = matches!(topic, TopicRef::Id(_));
    let mut out = begin(ApiKey::FETCH, fetch_version(topic), correlation_id);
    put_no_tags(&mut out, is_flexible);
    for number in [NO_REPLICA, WAIT_MS_MAX, BYTES_MIN, bytes_max] {
        out.extend(number.to_be_bytes());
    }
    out.push(READ_UNCOMMITTED);
    out.extend(NO_SESSION.to_be_bytes());
    out.extend(FINAL_SESSION_EPOCH.to_be_bytes());

    put_count(&mut out, is_flexible, 1);
    match topic {
        TopicRef::Name(name) => put_string(&mut out, name),
        TopicRef::Id(id) => out.extend(id.0),
    }
    put_count(&mut out, is_flexible, 1);
    out.extend(partition.to_be_bytes());
    let current_leader_epoch = NO_EPOCH;
    out.extend(current_leader_epoch.to_be_bytes());
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

    // No topic is forgotten.
    put_count(&mut out, is_flexible, 0);
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
