//! What responses say.

use crate::sequencing::{ProducerEpoch, ProducerId, TopicId};

/// Something that a response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact<'a> {
    /// The cluster's id (Metadata v2+, DescribeCluster).
    ClusterId(&'a [u8]),
    /// A broker of the cluster (Metadata, DescribeCluster).
    Broker {
        /// Its id.
        node_id: i32,
        /// The host that it advertises.
        host: &'a [u8],
        /// The port that it advertises.
        port: i32,
    },
    /// A topic (Metadata).
    Topic {
        /// The error code, 0 for none.
        error: i16,
        /// Its name; `None` when an unknown id was asked for (v12+).
        name: Option<&'a [u8]>,
        /// Its id (v10+); `None` when it has none.
        id: Option<TopicId>,
    },
    /// A producer that got an id or a new epoch (InitProducerId).
    Producer {
        /// The error code, 0 for none.
        error: i16,
        /// The producer's id.
        producer_id: ProducerId,
        /// Its epoch.
        epoch: ProducerEpoch,
    },
    /// A topic that was to be deleted (DeleteTopics).
    DeletedTopic {
        /// The error code, 0 for none.
        error: i16,
        /// Its name; `None` when an unknown id was asked for (v6).
        name: Option<&'a [u8]>,
        /// Its id (v6); `None` when it has none.
        id: Option<TopicId>,
    },
    /// How a handshake ended (SaslHandshake).
    SaslHandshake {
        /// The error code, 0 for none.
        error: i16,
    },
    /// How a step of an authentication ended (SaslAuthenticate).
    SaslAuthenticate {
        /// The error code, 0 for none.
        error: i16,
        /// After how many ms the client has to authenticate again; 0 for never, and before v1 (KIP-368).
        session_lifetime_ms: i64,
    },
}
