//! Which sequence comes next, and which ranges the cluster has acknowledged.
//!
//! What every batch in order passes is inlined into [`Tracker::observe`] and [`Tracker::settle`], and what is rare stands apart, so
//! that these two meet few lines of code.

mod classify;
mod enforce;
mod evidence;
mod keep;
mod log;
mod observe;
mod report;
mod settle;
mod unknown;
mod waiting;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::allowance::{Allowance, Share};
use super::attempts::{Attempts, Ticket};
use super::entry::Entry;
use super::handed::HandedOut;
use super::index::Index;
use super::intervals::Intervals;
use super::reach::Reach;
use super::sequence::{BatchId, ProducerId, Sequence};
use super::slab::Slab;
use super::topic::TopicRef;
use super::topics::Topics;
use super::verdict::Rule;
use super::window::Fingerprint;
pub use log::{Confirming, LogBatch, LogMark};
pub use report::ProducerReport;
use waiting::Waiting;

/// What bounds a tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackerLimits {
    /// Acknowledged ranges remembered per producer and partition, 5 or more.
    pub window: usize,
    /// (Producer id, partition) pairs, over all trackers that share a count; above, the longest idle one of the
    /// tracker makes room, as it does when their bytes come to what is allowed.
    pub producers_max: u32,
    /// How long the proofs of a producer and partition hold after the newest of them, in milliseconds.
    pub proof_ttl_ms: u64,
    /// After how many idle milliseconds a pair is forgotten.
    pub idle_ms_max: u64,
}

impl Default for TrackerLimits {
    fn default() -> Self {
        Self { window: 32, producers_max: 1_000_000, proof_ttl_ms: 300_000, idle_ms_max: 86_400_000 }
    }
}

/// The topic of a batch has no place here yet: [`Tracker::introduce`] it and observe again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownTopic;

/// What a retry can be answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The batch that the cluster acknowledged.
    pub batch: BatchId,
    /// Its content.
    pub fingerprint: Fingerprint,
    /// The offset of its first record.
    pub base_offset: i64,
    /// The append time that the broker named, or -1.
    pub log_append_time: i64,
    /// The newest start of the log that a broker named; -1 when none did.
    pub log_start_offset: i64,
}

/// What is to be done with a batch beside what the mode says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It may go.
    Free,
    /// It must wait until the batch of its producer that is in flight has been answered; it is not registered.
    Hold,
    /// A batch of its producer failed that had to be acknowledged first: the client must start over, and nothing
    /// of the batch may reach the broker. It is not registered.
    Reset,
    /// It may be in the log already, and the broker may not know: the log is to be looked into first. It is not
    /// registered.
    Look,
    /// It follows a gap, and may be refused here once the leader has said that it would refuse it. It is not registered.
    Ask,
}

/// What a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The rule that it falls under.
    pub rule: Rule,
    /// The sequence that was expected, where one was.
    pub expected: Option<Sequence>,
    /// The claim on its outcome. Absent when nothing is to be learnt from it, and when `proof` or `passage` says
    /// that it may not be sent.
    pub ticket: Option<Ticket>,
    /// With D12: what it can be answered with. It is not registered then.
    pub proof: Option<Proof>,
    /// Whether it may be sent now.
    pub passage: Passage,
    /// It looks like a gap that has not been counted yet.
    pub new_gap: bool,
}

/// Why proofs ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A newer batch stands at an older offset (T7).
    Regression,
    /// Two batches stand at the same offset, or one at two (T7).
    Collision,
    /// The broker does not know the partition or its log any more (3, 56, 100).
    PartitionGone,
    /// The broker refused the sequence that had to be the next one.
    ExpectedRefused,
}

/// What an outcome taught.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// The broker's 45 confirmed that this batch, only suspected so far, follows a gap; and what was expected.
    pub confirmed_gap: Option<(BatchId, Sequence)>,
    /// All proofs of the partition ended.
    pub ended: Option<Evidence>,
}

/// Counts of what made room or was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evictions {
    /// By `producers_max`, or by the bytes that the state may take.
    pub limit: u64,
    /// By idleness.
    pub idle: u64,
    /// By evidence against what was known.
    pub evidence: u64,
}

/// A partition of one topic.
#[derive(Debug)]
struct Partition {
    topic: u32,
    index: i32,
    /// No other partition that ever was in this place has it.
    serial: u32,
    /// Goes up with every piece of evidence against its log.
    stamp: u32,
    topic_stamp: u32,
    cluster_stamp: u32,
    /// -1 while no broker has named it.
    log_start: i64,
    /// The longest batch that its leader took, by the length in its header.
    longest_taken: u32,
    /// The last answer to a batch was not a success.
    refuses: bool,
    /// Its log was seen to keep the producers' timestamps.
    keeps_times: bool,
    /// How far its log was found to reach where it may not be read.
    reaches: Reach,
    intervals: Intervals,
    /// Entries and lone attempts that point here; the partition goes with the last one.
    references: u32,
}

/// The state of the partitions of one shard.
///
/// For every batch that is sent: [`observe`](Self::observe) (or [`register`](Self::register), for a duplicate that
/// is sent all the same), then exactly one [`settle`](Self::settle) per ticket, whatever happens to the connection.
#[derive(Debug)]
pub struct Tracker {
    limits: TrackerLimits,
    topics: Topics,
    partitions: Slab<Partition>,
    partition_index: Index,
    entries: Slab<Entry>,
    /// How many entries the trackers of the cluster have together.
    producers: Arc<AtomicU32>,
    entry_index: Index,
    attempts: Attempts,
    waiting: Waiting,
    handed: HandedOut,
    cluster_stamp: u32,
    /// How many partitions there were so far.
    partition_serial: u32,
    /// Where the search for idle entries goes on.
    hand: u32,
    /// How often entries have moved to other places.
    moves: u32,
    /// What windows and intervals own.
    owned_bytes: usize,
    share: Share,
    evictions: Evictions,
}

impl Tracker {
    /// An empty tracker on its own.
    ///
    /// # Panics
    /// When a limit is 0, or the window is smaller than the five batches that a broker remembers.
    #[must_use]
    pub fn new(limits: TrackerLimits) -> Self {
        Self::sharing(limits, Arc::default(), &Arc::default())
    }

    /// An empty tracker of several that `producers_max` bounds together; `producers` is what they count in, and
    /// `allowance` what they and those of other clusters may take.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    pub fn sharing(limits: TrackerLimits, producers: Arc<AtomicU32>, allowance: &Arc<Allowance>) -> Self {
        assert!(limits.window >= 5, "a broker remembers five batches");
        assert!(limits.producers_max > 0 && limits.proof_ttl_ms > 0, "limits are positive");
        let mut tracker = Self {
            limits,
            topics: Topics::new(),
            partitions: Slab::new(),
            partition_index: Index::new(),
            entries: Slab::new(),
            producers,
            entry_index: Index::new(),
            attempts: Attempts::new(),
            waiting: Waiting::default(),
            handed: HandedOut::new(),
            cluster_stamp: 0,
            partition_serial: 0,
            hand: 0,
            moves: 0,
            owned_bytes: 0,
            share: Share::new(allowance),
            evictions: Evictions::default(),
        };
        tracker.charge();
        tracker
    }

    /// What was known of a retired topic's producers is not found any more: whatever comes next of them is not their
    /// first batch.
    pub(super) fn note_retirements(&mut self, before: u32) {
        if self.topics.retirements() != before {
            self.handed.are_used();
        }
    }

    /// Whether the attempt that `ticket` claims went to this topic.
    #[must_use]
    pub fn is_for(&self, ticket: Ticket, topic: TopicRef<'_>) -> bool {
        let Some(attempt) = self.attempts.get(ticket) else { return false };
        let partition = &self.partitions[attempt.partition];
        self.topics.get(partition.topic).answers_to(topic)
    }

    /// How many (producer id, partition) pairs are tracked.
    #[must_use]
    pub const fn producers(&self) -> u32 {
        self.entries.len()
    }

    /// How many batches are in flight or of unknown outcome.
    #[must_use]
    pub const fn open_attempts(&self) -> u32 {
        self.attempts.len()
    }

    /// What was evicted or dropped so far.
    #[must_use]
    pub const fn evictions(&self) -> Evictions {
        self.evictions
    }

    /// What the tracker takes in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.entries.bytes()
            + self.entry_index.bytes()
            + self.partitions.bytes()
            + self.partition_index.bytes()
            + self.attempts.bytes()
            + self.topics.bytes()
            + self.handed.bytes()
            + self.waiting.bytes()
            + self.owned_bytes
    }

    fn find_partition(&self, topic: u32, index: i32) -> Option<u32> {
        let key = (topic, index);
        self.partition_index.find(&key, |at| {
            let partition = &self.partitions[at];
            (partition.topic, partition.index) == key
        })
    }

    fn find_entry(&self, partition: u32, producer: ProducerId) -> Option<u32> {
        let Partition { topic, index, .. } = self.partitions[partition];
        self.find_entry_of(topic, index, producer)
    }

    /// By what a request names, so that the usual batch is found by one look into one index.
    fn find_entry_of(&self, topic: u32, index: i32, producer: ProducerId) -> Option<u32> {
        let key = (topic, index, producer);
        self.entry_index.find(&key, |at| {
            let entry = &self.entries[at];
            let partition = &self.partitions[entry.partition];
            (partition.topic, partition.index, entry.producer) == key
        })
    }
}
