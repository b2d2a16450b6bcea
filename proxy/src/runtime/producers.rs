//! What the admin port asks of the tracker, and what it shows.

use serde::{Deserialize, Serialize};

/// Selects tracked producers; what is absent selects all.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProducerQuery {
    /// Name of the topic.
    pub topic: Option<String>,
    /// Partition of the topic.
    pub partition: Option<i32>,
    /// The producer.
    pub producer_id: Option<i64>,
    /// Rows at most.
    #[serde(default = "ProducerQuery::limit_default")]
    pub limit: usize,
}

impl ProducerQuery {
    /// Rows that one answer holds at the very most.
    pub const LIMIT_MAX: usize = 10_000;

    fn limit_default() -> usize {
        1_000
    }
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
    /// Its epoch.
    pub producer_epoch: i16,
    /// Sequence of the last record that was acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sequence: Option<i32>,
    /// Sequence that comes next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_sequence: Option<i32>,
    /// Batches in the window.
    pub batches: usize,
    /// Batches that wait for their answer.
    pub in_flight: usize,
    /// Milliseconds since the producer was last heard of.
    pub idle_ms: u64,
}
