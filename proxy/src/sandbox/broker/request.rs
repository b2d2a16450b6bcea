//! A request's frame: which request it is, and whether its body may be given to the decoder.

use std::ops::RangeInclusive;

use bytes::{Buf, Bytes};
use kafka_protocol::protocol::Decodable;

use super::shape::{Field, Kind, Malformed, Walk};

/// The requests that the sandbox answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Produce,
    Fetch,
    ListOffsets,
    Metadata,
    FindCoordinator,
    ApiVersions,
    InitProducerId,
}

impl Operation {
    pub(super) const ALL: [Self; 7] = [
        Self::Produce,
        Self::Fetch,
        Self::ListOffsets,
        Self::Metadata,
        Self::FindCoordinator,
        Self::ApiVersions,
        Self::InitProducerId,
    ];

    pub(super) const fn key(self) -> i16 {
        match self {
            Self::Produce => 0,
            Self::Fetch => 1,
            Self::ListOffsets => 2,
            Self::Metadata => 3,
            Self::FindCoordinator => 10,
            Self::ApiVersions => 18,
            Self::InitProducerId => 22,
        }
    }

    /// Fetch ends where partitions get tagged fields that kafka-protocol reads without heeding their size.
    pub(super) const fn versions(self) -> RangeInclusive<i16> {
        match self {
            Self::Produce => 3..=13,
            Self::Fetch => 4..=16,
            Self::ListOffsets => 1..=10,
            Self::Metadata => 0..=13,
            Self::FindCoordinator => 0..=6,
            Self::ApiVersions => 0..=4,
            Self::InitProducerId => 0..=5,
        }
    }

    pub(super) const fn is_flexible(self, version: i16) -> bool {
        version
            >= match self {
                Self::Produce | Self::Metadata => 9,
                Self::Fetch => 12,
                Self::ListOffsets => 6,
                Self::FindCoordinator | Self::ApiVersions => 3,
                Self::InitProducerId => 2,
            }
    }

    const fn fields(self) -> &'static [Field] {
        match self {
            Self::Produce => PRODUCE,
            Self::Fetch => FETCH,
            Self::ListOffsets => LIST_OFFSETS,
            Self::Metadata => METADATA,
            Self::FindCoordinator => FIND_COORDINATOR,
            Self::ApiVersions => API_VERSIONS,
            Self::InitProducerId => INIT_PRODUCER_ID,
        }
    }
}

/// A request whose body has been walked to its end.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) operation: Operation,
    pub(super) version: i16,
    pub(super) correlation: i32,
    body: Bytes,
}

/// What a frame turned out to be.
#[derive(Debug)]
pub(super) enum Read {
    /// A request that can be answered.
    Request(Request),
    /// An ApiVersions of a version from the future, to be answered in the oldest one.
    UnknownApiVersions { correlation: i32 },
    /// Anything else: brokers close the connection.
    Refused,
}

/// Reads a frame's header and walks its body; `frame` begins with its length.
pub(super) fn read(frame: &Bytes) -> Read {
    let mut at = frame.slice(crate::sandbox::frame::PREFIX_LEN..);
    let (Ok(key), Ok(version), Ok(correlation)) = (at.try_get_i16(), at.try_get_i16(), at.try_get_i32()) else {
        return Read::Refused;
    };
    let Some(operation) = Operation::ALL.into_iter().find(|operation| operation.key() == key) else {
        return Read::Refused;
    };
    if !operation.versions().contains(&version) {
        return if operation == Operation::ApiVersions {
            Read::UnknownApiVersions { correlation }
        } else {
            Read::Refused
        };
    }
    match body(operation, version, &at) {
        Ok(length) => Read::Request(Request { operation, version, correlation, body: at.split_off(at.len() - length) }),
        Err(Malformed) => Read::Refused,
    }
}

/// Walks what follows the correlation id and returns the length of the body within it.
fn body(operation: Operation, version: i16, rest: &[u8]) -> Result<usize, Malformed> {
    let flexible = operation.is_flexible(version);
    // The client id keeps its two-byte length also in flexible headers.
    let mut client_id = Walk::new(rest, version, false);
    client_id.structure(&[Field(ALWAYS, Kind::Text)])?;
    let mut walk = Walk::new(client_id.rest(), version, flexible);
    if flexible {
        walk.tagged_fields()?;
    }
    let length = walk.rest().len();
    walk.structure(operation.fields())?;
    Ok(length)
}

impl Request {
    /// Decodes the body; `None` for what only the decoder checks, such as text that is not UTF-8.
    pub(super) fn decode<R: Decodable>(&self) -> Option<R> {
        R::decode(&mut self.body.clone(), self.version).ok()
    }
}

const ALWAYS: RangeInclusive<i16> = 0..=i16::MAX;

const fn since(version: i16) -> RangeInclusive<i16> {
    version..=i16::MAX
}

const PRODUCE: &[Field] = &[
    Field(ALWAYS, Kind::Text),     // transactional id
    Field(ALWAYS, Kind::Fixed(6)), // acks, timeout
    Field(
        ALWAYS,
        Kind::Structs(&[
            Field(0..=12, Kind::Text),
            Field(since(13), Kind::Fixed(16)),
            Field(ALWAYS, Kind::Structs(&[Field(ALWAYS, Kind::Fixed(4)), Field(ALWAYS, Kind::Bytes)])),
        ]),
    ),
];

const FETCH: &[Field] = &[
    Field(0..=14, Kind::Fixed(4)),   // replica id
    Field(ALWAYS, Kind::Fixed(13)),  // wait, minimum, maximum, isolation
    Field(since(7), Kind::Fixed(8)), // session id and epoch
    Field(ALWAYS, Kind::Structs(FETCH_TOPIC)),
    Field(
        since(7),
        Kind::Structs(&[Field(0..=12, Kind::Text), Field(since(13), Kind::Fixed(16)), Field(ALWAYS, Kind::Numbers(4))]),
    ),
    Field(since(11), Kind::Text), // rack
];

const FETCH_TOPIC: &[Field] = &[
    Field(0..=12, Kind::Text),
    Field(since(13), Kind::Fixed(16)),
    Field(
        ALWAYS,
        Kind::Structs(&[
            Field(ALWAYS, Kind::Fixed(4)),    // partition
            Field(since(9), Kind::Fixed(4)),  // current leader epoch
            Field(ALWAYS, Kind::Fixed(8)),    // offset
            Field(since(12), Kind::Fixed(4)), // last fetched epoch
            Field(since(5), Kind::Fixed(8)),  // log start
            Field(ALWAYS, Kind::Fixed(4)),    // maximum
        ]),
    ),
];

const LIST_OFFSETS: &[Field] = &[
    Field(ALWAYS, Kind::Fixed(4)),   // replica id
    Field(since(2), Kind::Fixed(1)), // isolation
    Field(
        ALWAYS,
        Kind::Structs(&[
            Field(ALWAYS, Kind::Text),
            Field(
                ALWAYS,
                Kind::Structs(&[
                    Field(ALWAYS, Kind::Fixed(4)),
                    Field(since(4), Kind::Fixed(4)),
                    Field(ALWAYS, Kind::Fixed(8)),
                ]),
            ),
        ]),
    ),
    Field(since(10), Kind::Fixed(4)), // timeout
];

const METADATA: &[Field] = &[
    Field(ALWAYS, Kind::Structs(&[Field(since(10), Kind::Fixed(16)), Field(ALWAYS, Kind::Text)])),
    Field(since(4), Kind::Fixed(1)), // automatic creation
    Field(8..=10, Kind::Fixed(1)),   // authorised operations of the cluster
    Field(since(8), Kind::Fixed(1)), // and of topics
];

const FIND_COORDINATOR: &[Field] =
    &[Field(0..=3, Kind::Text), Field(since(1), Kind::Fixed(1)), Field(since(4), Kind::Texts)];

const API_VERSIONS: &[Field] = &[Field(since(3), Kind::Text), Field(since(3), Kind::Text)];

const INIT_PRODUCER_ID: &[Field] = &[
    Field(ALWAYS, Kind::Text),        // transactional id
    Field(ALWAYS, Kind::Fixed(4)),    // timeout
    Field(since(3), Kind::Fixed(10)), // producer id and epoch
];

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
