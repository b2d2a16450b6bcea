//! The responses that something is learnt from, as tables: one row per field, in the order of the wire.

use super::super::head::ApiKey;

/// A field of a response, or a place where a fact is complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) kind: Kind,
    first_version: i16,
    last_version: i16,
}

/// What a field is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A number or uuid of fixed size.
    Number(Number),
    /// A string that may be null.
    Text(Text),
    /// Bytes that nobody looks at.
    Bytes,
    /// An array of `int32` that nobody looks at.
    Numbers,
    /// An array of structs.
    Array(&'static [Field]),
    /// No field: all fields of a fact are read.
    Report(Report),
}

/// Which number a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Error,
    NodeId,
    Port,
    ProducerId,
    Epoch,
    SessionLifetime,
    TopicId,
    /// One that nobody looks at, of so many bytes.
    Unused(u8),
}

/// Whether a string is kept for a fact.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text {
    Kept,
    Skipped,
}

/// Which fact is complete.
#[derive(Clone, Copy, Debug)]
pub(super) enum Report {
    ClusterId,
    Broker,
    Topic,
    Producer,
    DeletedTopic,
    SaslHandshake,
    SaslAuthenticate,
}

impl Number {
    pub(super) const fn bytes(self) -> u8 {
        match self {
            Self::Error | Self::Epoch => 2,
            Self::NodeId | Self::Port => 4,
            Self::ProducerId | Self::SessionLifetime => 8,
            Self::TopicId => 16,
            Self::Unused(bytes) => bytes,
        }
    }
}

impl Field {
    pub(super) const fn is_in(self, version: i16) -> bool {
        self.first_version <= version && version <= self.last_version
    }

    /// Leaves the field out of versions before `first_version`.
    const fn since(self, first_version: i16) -> Self {
        Self { first_version, ..self }
    }

    /// Leaves the field out of versions after `last_version`.
    const fn until(self, last_version: i16) -> Self {
        Self { last_version, ..self }
    }
}

const fn field(kind: Kind) -> Field {
    Field { kind, first_version: 0, last_version: i16::MAX }
}

const fn number(number: Number) -> Field {
    field(Kind::Number(number))
}

const fn unused(bytes: u8) -> Field {
    field(Kind::Number(Number::Unused(bytes)))
}

const fn array(fields: &'static [Field]) -> Field {
    field(Kind::Array(fields))
}

const fn report(report: Report) -> Field {
    field(Kind::Report(report))
}

const TEXT: Field = field(Kind::Text(Text::Kept));
const UNUSED_TEXT: Field = field(Kind::Text(Text::Skipped));
const UNUSED_BYTES: Field = field(Kind::Bytes);
const UNUSED_NUMBERS: Field = field(Kind::Numbers);
const THROTTLE_TIME: Field = unused(4);

/// `ResponseHeader.json`: the correlation id.
pub(super) const HEADER: &[Field] = &[unused(4)];

/// `MetadataResponse.json`, 0 to 13.
const METADATA: &[Field] = &[
    THROTTLE_TIME.since(3),
    array(METADATA_BROKER),
    TEXT.since(2),
    report(Report::ClusterId).since(2),
    // Controller.
    unused(4).since(1),
    array(METADATA_TOPIC),
    // Authorized operations.
    unused(4).since(8).until(10),
    // Error, of the whole response.
    unused(2).since(13),
];

const METADATA_BROKER: &[Field] = &[
    number(Number::NodeId),
    TEXT,
    number(Number::Port),
    report(Report::Broker),
    // Rack.
    UNUSED_TEXT.since(1),
];

const METADATA_TOPIC: &[Field] = &[
    number(Number::Error),
    TEXT,
    number(Number::TopicId).since(10),
    report(Report::Topic),
    // Whether it is internal.
    unused(1).since(1),
    array(METADATA_PARTITION),
    // Authorized operations.
    unused(4).since(8),
];

const METADATA_PARTITION: &[Field] = &[
    // Error, index and leader.
    unused(2 + 4 + 4),
    // Leader epoch.
    unused(4).since(7),
    // Replicas, those in sync, those offline.
    UNUSED_NUMBERS,
    UNUSED_NUMBERS,
    UNUSED_NUMBERS.since(5),
];

/// `DescribeClusterResponse.json`, 0 to 2.
const DESCRIBE_CLUSTER: &[Field] = &[
    THROTTLE_TIME,
    number(Number::Error),
    // Error message.
    UNUSED_TEXT,
    // Endpoint type.
    unused(1).since(1),
    TEXT,
    report(Report::ClusterId),
    // Controller.
    unused(4),
    array(DESCRIBE_CLUSTER_BROKER),
    // Authorized operations.
    unused(4),
];

const DESCRIBE_CLUSTER_BROKER: &[Field] = &[
    number(Number::NodeId),
    TEXT,
    number(Number::Port),
    report(Report::Broker),
    // Rack.
    UNUSED_TEXT,
    // Whether it is fenced.
    unused(1).since(2),
];

/// `InitProducerIdResponse.json`, 0 to 6.
const INIT_PRODUCER_ID: &[Field] = &[
    THROTTLE_TIME,
    number(Number::Error),
    number(Number::ProducerId),
    number(Number::Epoch),
    report(Report::Producer),
    // Producer id and epoch of a transaction that goes on.
    unused(8 + 2).since(6),
];

/// `DeleteTopicsResponse.json`, 0 to 6.
const DELETE_TOPICS: &[Field] = &[THROTTLE_TIME.since(1), array(DELETED_TOPIC)];

const DELETED_TOPIC: &[Field] = &[
    TEXT,
    number(Number::TopicId).since(6),
    number(Number::Error),
    report(Report::DeletedTopic),
    // Error message.
    UNUSED_TEXT.since(5),
];

/// `SaslHandshakeResponse.json`, 0 and 1.
const SASL_HANDSHAKE: &[Field] = &[
    number(Number::Error),
    report(Report::SaslHandshake),
    // Mechanisms.
    array(&[UNUSED_TEXT]),
];

/// `SaslAuthenticateResponse.json`, 0 to 2.
const SASL_AUTHENTICATE: &[Field] = &[
    number(Number::Error),
    // Error message, token.
    UNUSED_TEXT,
    UNUSED_BYTES,
    number(Number::SessionLifetime).since(1),
    report(Report::SaslAuthenticate),
];

/// The table of a response; `None` where there is none of this version.
pub(super) fn message_of(api: ApiKey, version: i16) -> Option<&'static [Field]> {
    let (table, last_version) = match api {
        ApiKey::METADATA => (METADATA, 13),
        ApiKey::DESCRIBE_CLUSTER => (DESCRIBE_CLUSTER, 2),
        ApiKey::INIT_PRODUCER_ID => (INIT_PRODUCER_ID, 6),
        ApiKey::DELETE_TOPICS => (DELETE_TOPICS, 6),
        ApiKey::SASL_HANDSHAKE => (SASL_HANDSHAKE, 1),
        ApiKey::SASL_AUTHENTICATE => (SASL_AUTHENTICATE, 2),
        _ => return None,
    };
    (0..=last_version).contains(&version).then_some(table)
}

/// A struct that is being read, alone or as an entry of an array.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    fields: &'static [Field],
    /// How many of its fields are behind.
    at: usize,
    /// How many entries are still to come, this one included.
    entries: u32,
}

impl Level {
    pub(super) const NONE: Self = Self::new(&[], 0);

    pub(super) const fn new(fields: &'static [Field], entries: u32) -> Self {
        Self { fields, at: 0, entries }
    }

    pub(super) fn next_field(&mut self) -> Option<Field> {
        let field = self.fields.get(self.at).copied()?;
        self.at += 1;
        Some(field)
    }

    /// Goes to the next entry's first field; `false` when there is none.
    pub(super) const fn next_entry(&mut self) -> bool {
        self.at = 0;
        self.entries = self.entries.saturating_sub(1);
        self.entries > 0
    }
}
