//! What the admin port asks of the tracker, and what it shows.

use serde::Serialize;

/// Selects tracked producers; what is absent selects all.
#[derive(Debug, Clone, Default)]
pub struct ProducerQuery {
    /// Name of the topic.
    pub topic: Option<String>,
    /// Partition of the topic.
    pub partition: Option<i32>,
    /// The producer.
    pub producer_id: Option<i64>,
    /// Rows at most.
    pub limit: usize,
}

impl ProducerQuery {
    /// Rows that one answer holds at the very most.
    pub const LIMIT_MAX: usize = 10_000;
    /// Rows where nobody says how many.
    pub const LIMIT_DEFAULT: usize = 1_000;
}

/// Shows what is known of one producer in one partition; fields are named as in the journal.
#[derive(Debug, Clone, Serialize)]
pub struct ProducerRow {
    /// Name of the topic, when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Id of the topic, when requests name it so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    /// Partition of the topic.
    pub partition: i32,
    /// The producer.
    pub producer_id: i64,
    /// The epoch of what was acknowledged; absent while nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer_epoch: Option<i16>,
    /// Sequence that comes next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_sequence: Option<i32>,
    /// Offset of the newest acknowledged batch, or -1.
    pub base_offset: i64,
    /// Acknowledged batches that are remembered.
    pub batches: usize,
    /// How many of them a retry would be answered from.
    pub proofs: usize,
    /// Batches that wait for their answer.
    pub in_flight: u16,
    /// Batches of unknown outcome.
    pub unknown: u16,
    /// Milliseconds since the producer was last heard of.
    pub idle_ms: u64,
}
