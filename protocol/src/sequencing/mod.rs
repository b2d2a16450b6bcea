//! What the cluster has acknowledged, per partition and producer, and what a batch therefore is.
//!
//! Knows batches, not bytes: nothing here imports `wire`.

mod sequence;
mod topic;

pub use sequence::{BatchId, ProducerEpoch, ProducerId, Sequence, SequenceRange};
pub use topic::{TopicId, TopicRef};
