//! What happened, as data: the one vocabulary of journal, metrics, log and admin port.

use std::time::Duration;

pub use crate::sequencing::{Action, Evidence, Rule, Verdict};
use crate::sequencing::{BatchId, ErrorCode, ProducerEpoch, ProducerId, Sequence, TopicId, TopicRef};
pub use crate::session::{GivenUp, LookUpKind, LookUpOutcome};

/// One batch, and what was done with it.
#[derive(Clone, Copy, Debug)]
pub struct BatchEvent<'a> {
    /// What the batch is.
    pub verdict: Verdict,
    /// What was done with it.
    pub action: Action,
    /// The rule behind both.
    pub rule: Rule,
    /// The topic as the request names it.
    pub topic: TopicRef<'a>,
    /// The partition.
    pub partition: i32,
    /// Producer, epoch and sequences, where the batch has them.
    pub batch: Option<BatchId>,
    /// The sequence that was expected, where one was.
    pub expected: Option<Sequence>,
    /// How many records the header says.
    pub records: u32,
    /// The batch's bytes.
    pub bytes: u32,
    /// The checksum in its header.
    pub crc: Option<u32>,
    /// Where the cluster has it, by the proof that answers it.
    pub base_offset: Option<i64>,
    /// It is a gap that was not counted before.
    pub new_gap: bool,
}

/// A look into a partition's log, or at what its leader expects, by requests of our own.
#[derive(Clone, Copy, Debug)]
pub struct LookUpEvent<'a> {
    /// What it was for.
    pub kind: LookUpKind,
    /// What it came to.
    pub outcome: LookUpOutcome,
    /// The topic as the client's request names it.
    pub topic: TopicRef<'a>,
    /// The partition.
    pub partition: i32,
    /// The batch that it was for.
    pub batch: Option<BatchId>,
    /// The sequence that the leader had to expect, where it was asked for that.
    pub expected: Option<Sequence>,
    /// Where the batch stands, if it was found.
    pub base_offset: Option<i64>,
    /// With which error the broker has ended it.
    pub error: Option<ErrorCode>,
    /// Why it was given up, if it was.
    pub given_up: Option<GivenUp>,
    /// How long it took.
    pub took: Duration,
}

/// What a batch is made to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeldFor {
    /// The first batch of its producer, which is on its way over another connection (KAFKA-15591).
    FirstBatch,
    /// The batch before it: the broker may have forgotten its producer (T27).
    OneAtATime,
}

impl HeldFor {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::FirstBatch, Self::OneAtATime];

    /// The name in metrics and journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FirstBatch => "first_batch",
            Self::OneAtATime => "one_at_a_time",
        }
    }
}

/// Why a frame went through unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unread {
    /// A version of Produce whose layout is not known.
    Version,
    /// It does not parse.
    Undecodable,
    /// Raw SASL tokens follow on this connection.
    SaslRaw,
    /// A produce frame above the limit for holding: its batches are tracked and never answered here.
    TooLarge,
    /// There is no memory to note down what it carries.
    Memory,
}

impl Unread {
    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Undecodable => "undecodable",
            Self::SaslRaw => "sasl_raw",
            Self::TooLarge => "too_large",
            Self::Memory => "memory",
        }
    }

    /// Whether batches may have been appended that nobody here has seen.
    #[must_use]
    pub const fn taints(self) -> bool {
        !matches!(self, Self::TooLarge)
    }
}

/// Something worth counting or telling.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A batch was decided on.
    Batch(BatchEvent<'a>),
    /// A batch has to wait. What becomes of it is told when it goes.
    Held {
        /// The topic as the request names it.
        topic: TopicRef<'a>,
        /// The partition.
        partition: i32,
        /// The batch.
        batch: BatchId,
        /// What for.
        waits_for: HeldFor,
    },
    /// A log was looked into.
    LookedUp(LookUpEvent<'a>),
    /// The broker's 45 confirmed a gap that was only suspected when the batch passed.
    GapConfirmed {
        /// The topic as the response names it.
        topic: TopicRef<'a>,
        /// The partition.
        partition: i32,
        /// The batch that was refused.
        batch: BatchId,
        /// The sequence that was expected.
        expected: Sequence,
    },
    /// The broker refused a batch with 45 that stands in the log: its producer is told where.
    Resolved {
        /// The topic as the response names it.
        topic: TopicRef<'a>,
        /// The partition.
        partition: i32,
        /// The batch.
        batch: BatchId,
        /// The offset of its first record.
        base_offset: i64,
    },
    /// All proofs of a partition ended.
    ProofsEnded {
        /// The topic as the response names it.
        topic: TopicRef<'a>,
        /// The partition.
        partition: i32,
        /// Why.
        evidence: Evidence,
    },
    /// A producer id was handed out.
    ProducerNew {
        /// The id.
        producer_id: ProducerId,
        /// Its epoch.
        epoch: ProducerEpoch,
    },
    /// A topic name stands for another topic than before.
    TopicRecreated {
        /// The name.
        name: &'a [u8],
        /// The id it had.
        old: TopicId,
        /// The id it has.
        new: TopicId,
    },
    /// A frame went through unread.
    Unread(Unread),
    /// A response does not match its request: everything it was to tell is unknown.
    ResponseUndecodable,
}
