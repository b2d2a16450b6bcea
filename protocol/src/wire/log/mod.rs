//! Asks brokers what nobody has told: the committed tail of a partition's log, and the producers that its leader knows. Requests
//! of our own, and what is answered to them.
//!
//! Both are asked for one partition at a time. A ListOffsets answer is tiny and held whole; a Fetch answer carries
//! records, so it is read as it streams, and only the headers of its batches are looked at.

mod api_versions;
mod fetch;
mod fetch_head;
mod fetch_reader;
mod list_offset;
mod metadata;
mod producers;

pub use api_versions::{API_VERSIONS_VERSION, api_versions, understands};
pub use fetch::{FetchVersion, fetch};
pub use fetch_reader::{FetchOutcome, FetchReader};
pub use list_offset::{
    HIGH_WATERMARK, LIST_OFFSETS_VERSION, ListOffsetError, ListedOffset, list_offset, listed_offset,
};
pub use metadata::{METADATA_VERSION, METADATA_VERSION_BY_ID, METADATA_VERSION_WITH_ID, metadata, metadata_by_id};
pub use producers::{DESCRIBE_PRODUCERS_VERSION, KnownProducer, ProducersReader, describe_producers};

use crate::wire::frame::LENGTH_BYTES;
use crate::wire::head::ApiKey;

/// How these requests name who sends them, in a broker's log and quotas.
const CLIENT_ID: &[u8] = b"seqgate";

/// What a request says as the id of the replica that asks: a consumer has none.
const NO_REPLICA: i32 = -1;

/// `IsolationLevel.READ_UNCOMMITTED`: all that lies below the high watermark, open transactions included.
const READ_UNCOMMITTED: u8 = 0;

const NO_TAGS: u8 = 0;

/// One entry, as compact arrays count.
const ONE: u8 = 2;

/// Begins a frame with a request header of version 1; the length in front is filled in by [`finish`].
fn begin(api_key: ApiKey, version: i16, correlation_id: i32) -> Vec<u8> {
    let mut out = vec![0; LENGTH_BYTES];
    out.extend(api_key.0.to_be_bytes());
    out.extend(version.to_be_bytes());
    out.extend(correlation_id.to_be_bytes());
    put_string(&mut out, CLIENT_ID);
    out
}

/// Fills in the length of a frame that is complete.
fn finish(mut out: Vec<u8>) -> Vec<u8> {
    let length = i32::try_from(out.len() - LENGTH_BYTES).expect("a request has one name of less than 32 KiB");
    out[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    out
}

/// Writes a string in the classic encoding.
fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    let length = i16::try_from(text.len()).expect("names come from the wire, which has no longer ones");
    out.extend(length.to_be_bytes());
    out.extend(text);
}

/// Writes a string in the flexible encoding.
fn put_compact(out: &mut Vec<u8>, text: &[u8]) {
    let mut length = text.len() + 1;
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(text);
}

#[cfg(test)]
mod tests;
