//! Asks which cluster this is, and which topic stands under a name (`MetadataRequest.json`).

use super::{NO_TAGS, ONE, begin, finish, put_compact, put_string};
use crate::sequencing::TopicId;
use crate::wire::head::ApiKey;

/// The version asked in where nothing is known of the broker: not flexible, and the first in which a topic is not created
/// by being asked for. Every broker from Kafka 0.11 to 4.x understands it.
pub const METADATA_VERSION: i16 = 4;

/// The version for brokers that were seen to have ids for topics (KIP-516): its answers tell them.
pub const METADATA_VERSION_WITH_ID: i16 = 11;

/// The version in which a topic can be asked for by its id (KIP-516): brokers that take batches by topic id understand
/// it.
pub const METADATA_VERSION_BY_ID: i16 = 12;

/// Makes the whole frame, length included, that asks for the topic with this id.
#[must_use]
pub fn metadata_by_id(correlation_id: i32, id: TopicId) -> Vec<u8> {
    let mut out = begin(ApiKey::METADATA, METADATA_VERSION_BY_ID, correlation_id);
    out.extend([NO_TAGS, ONE]);
    out.extend(id.0);
    let no_name = 0;
    out.extend([no_name, NO_TAGS]);
    let (creates_topics, tells_operations) = (false, false);
    out.extend([creates_topics.into(), tells_operations.into(), NO_TAGS]);
    finish(out)
}

/// Makes the whole frame, length included, that asks for one topic by its name, in one of the two versions for that.
///
/// # Panics
///
/// For names of more than 32,767 bytes, which no request can have brought.
#[must_use]
pub fn metadata(version: i16, correlation_id: i32, topic_name: &[u8]) -> Vec<u8> {
    let mut out = begin(ApiKey::METADATA, version, correlation_id);
    if version < METADATA_VERSION_WITH_ID {
        out.extend(1_i32.to_be_bytes());
        put_string(&mut out, topic_name);
        out.push(false.into());
        return finish(out);
    }
    out.push(NO_TAGS);
    out.push(ONE);
    out.extend(NO_ID);
    put_compact(&mut out, topic_name);
    out.push(NO_TAGS);
    let (creates_topics, tells_operations) = (false, false);
    out.extend([creates_topics.into(), tells_operations.into(), NO_TAGS]);
    finish(out)
}

/// The topic is asked for by its name.
const NO_ID: [u8; 16] = [0; 16];
