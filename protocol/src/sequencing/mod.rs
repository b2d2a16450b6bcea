//! What the cluster has acknowledged, per partition and producer, and what a batch therefore is.
//!
//! Knows batches, not bytes: nothing here imports `wire`.

mod allowance;
mod answer;
mod attempts;
mod directory;
mod entry;
mod handed;
mod index;
mod intervals;
mod reach;
mod retired;
mod sequence;
mod slab;
mod topic;
mod topics;
mod tracker;
mod verdict;
mod window;

pub use allowance::Allowance;
pub use answer::{Answer, ErrorCode};
pub use attempts::{Acks, Batch, BrokerGeneration, ConnectionId, Millis, Outcome, Sender, Ticket};
pub use directory::{Directory, Learned};
pub use sequence::{BatchId, ProducerEpoch, ProducerId, Sequence, SequenceRange};
pub use topic::{TopicId, TopicRef};
pub use topics::TOPIC_NAME_BYTES_MAX;
pub use tracker::{
    Confirming, Evictions, Evidence, LogBatch, LogMark, Observation, Passage, ProducerReport, Proof, Settlement,
    Tracker, TrackerLimits, UnknownTopic,
};
pub use verdict::{Action, Rule, Verdict};
pub use window::Fingerprint;
