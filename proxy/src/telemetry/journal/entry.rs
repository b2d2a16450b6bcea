//! One event on its way to the writer: of fixed size, so that noting it down costs no allocation.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seqgate_protocol::event::{
    Action, BatchEvent, Event, Evidence, GivenUp, HeldFor, LookUpEvent, LookUpKind, LookUpOutcome, Rule, Verdict,
};
use seqgate_protocol::sequencing::{
    BatchId, ErrorCode, ProducerEpoch, ProducerId, Sequence, SequenceRange, TopicId, TopicRef,
};

use crate::relay::Totals;
use crate::runtime::ConnectionRecord;
use crate::telemetry::labels::Outcome;

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Batch,
    Gap,
    Duplicate,
    Retry,
    Suspect,
    Mismatch,
    Stale,
    ProducerNew,
    EpochBump,
    ProofsEnded,
    Held,
    OwnRequest,
    Connection,
}

/// One event.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) time: SystemTime,
    pub(super) kind: Kind,
    pub(super) client: Arc<ConnectionRecord>,
    pub(super) verdict: Option<Verdict>,
    pub(super) action: Option<Action>,
    pub(super) topic: Name,
    pub(super) topic_id: Option<TopicId>,
    pub(super) partition: Option<i32>,
    pub(super) producer: Option<(ProducerId, ProducerEpoch)>,
    pub(super) range: Option<SequenceRange>,
    pub(super) expected: Option<Sequence>,
    pub(super) size: Option<Size>,
    pub(super) crc: Option<u32>,
    pub(super) base_offset: Option<i64>,
    pub(super) error_code: Option<i16>,
    pub(super) reason: Option<&'static str>,
    pub(super) evidence: Option<&'static str>,
    pub(super) waits_for: Option<HeldFor>,
    pub(super) look: Option<Look>,
    pub(super) end: Option<End>,
}

/// What a batch's header says of its size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) records: u32,
    pub(super) bytes: u32,
}

/// What a look was for, and what it came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) kind: LookUpKind,
    pub(super) outcome: LookUpOutcome,
    pub(super) given_up: Option<GivenUp>,
    pub(super) took: Duration,
}

/// How a connection ended, and what went through it.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) totals: Totals,
    pub(super) age: Duration,
}

/// A topic's name, cut off where no broker's name is as long.
#[derive(Clone, Copy)]
pub(super) struct Name {
    len: u8,
    bytes: [u8; Self::BYTES_MAX],
}

impl Name {
    /// Above the 249 that brokers allow, so that a longer name shows as one.
    const BYTES_MAX: usize = 255;

    pub(super) const NONE: Self = Self { len: 0, bytes: [0; Self::BYTES_MAX] };

    pub(super) fn new(name: &[u8]) -> Self {
        let mut kept = Self::NONE;
        let name = &name[..name.len().min(Self::BYTES_MAX)];
        kept.bytes[..name.len()].copy_from_slice(name);
        kept.len = u8::try_from(name.len()).unwrap_or(u8::MAX);
        kept
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len.into()]
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

impl Entry {
    fn new(kind: Kind, client: &Arc<ConnectionRecord>) -> Self {
        Self {
            time: SystemTime::now(),
            kind,
            client: Arc::clone(client),
            verdict: None,
            action: None,
            topic: Name::NONE,
            topic_id: None,
            partition: None,
            producer: None,
            range: None,
            expected: None,
            size: None,
            crc: None,
            base_offset: None,
            error_code: None,
            reason: None,
            evidence: None,
            waits_for: None,
            look: None,
            end: None,
        }
    }

    /// Returns what the journal says of an event, if anything.
    pub(super) fn of(event: &Event<'_>, client: &Arc<ConnectionRecord>, every_batch: bool) -> Option<Self> {
        match *event {
            Event::Batch(ref batch) => Self::of_batch(batch, client, every_batch),
            Event::Held { topic, partition, batch, waits_for } => {
                let entry = Self::new(Kind::Held, client).at(topic, partition).with_batch(batch);
                Some(Self { waits_for: Some(waits_for), ..entry })
            }
            Event::LookedUp(ref look) => Some(Self::of_look(look, client)),
            Event::GapConfirmed { topic, partition, batch, expected } => Some(Self {
                verdict: Some(Verdict::Gap),
                action: Some(Action::Forwarded),
                expected: Some(expected),
                error_code: Some(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.0),
                ..Self::new(Kind::Gap, client).at(topic, partition).with_batch(batch)
            }),
            Event::Resolved { topic, partition, batch, base_offset } => Some(Self {
                verdict: Some(Verdict::Duplicate),
                action: Some(Action::Answered),
                base_offset: Some(base_offset),
                error_code: Some(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.0),
                reason: Some(Rule::L1.name()),
                ..Self::new(Kind::Duplicate, client).at(topic, partition).with_batch(batch)
            }),
            Event::ProofsEnded { topic, partition, evidence } => {
                let (evidence, reason) = named(evidence);
                let entry = Self::new(Kind::ProofsEnded, client).at(topic, partition);
                Some(Self { evidence: Some(evidence), reason: Some(reason), ..entry })
            }
            Event::TopicRecreated { name, old, .. } => Some(Self {
                topic: Name::new(name),
                topic_id: Some(old),
                evidence: Some("topic_recreated"),
                reason: Some("T9"),
                ..Self::new(Kind::ProofsEnded, client)
            }),
            Event::ProducerNew { producer_id, epoch } => {
                let kind = if epoch.get() > 0 { Kind::EpochBump } else { Kind::ProducerNew };
                Some(Self { producer: Some((producer_id, epoch)), ..Self::new(kind, client) })
            }
            Event::Unread(_) | Event::ResponseUndecodable => None,
        }
    }

    fn of_batch(batch: &BatchEvent<'_>, client: &Arc<ConnectionRecord>, every_batch: bool) -> Option<Self> {
        let kind = kind_of(batch.verdict, batch.rule);
        if kind == Kind::Batch && !every_batch {
            return None;
        }
        let answered = match batch.action {
            Action::Answered | Action::Stripped => Some(ErrorCode::NONE.0),
            Action::Forwarded | Action::Rejected => None,
        };
        let entry = Self::new(kind, client).at(batch.topic, batch.partition);
        let entry = Self {
            verdict: Some(batch.verdict),
            action: Some(batch.action),
            expected: batch.expected,
            size: Some(Size { records: batch.records, bytes: batch.bytes }),
            crc: batch.crc,
            base_offset: batch.base_offset,
            error_code: answered,
            reason: Some(batch.rule.name()),
            ..entry
        };
        Some(match batch.batch {
            Some(id) => entry.with_batch(id),
            None => entry,
        })
    }

    fn of_look(look: &LookUpEvent<'_>, client: &Arc<ConnectionRecord>) -> Self {
        let LookUpEvent { kind, outcome, given_up, took, .. } = *look;
        let entry = Self::new(Kind::OwnRequest, client).at(look.topic, look.partition);
        let entry = Self {
            expected: look.expected,
            base_offset: look.base_offset,
            error_code: look.error.map(|error| error.0),
            look: Some(Look { kind, outcome, given_up, took }),
            ..entry
        };
        match look.batch {
            Some(id) => entry.with_batch(id),
            None => entry,
        }
    }

    /// Returns what the journal says of a connection that has ended.
    pub(super) fn of_end(client: &Arc<ConnectionRecord>, outcome: Outcome, totals: Totals) -> Self {
        let end = End { outcome, totals, age: client.age() };
        Self { end: Some(end), ..Self::new(Kind::Connection, client) }
    }

    fn at(self, topic: TopicRef<'_>, partition: i32) -> Self {
        let (topic, topic_id) = match topic {
            TopicRef::Name(name) => (Name::new(name), None),
            TopicRef::Id(id) => (Name::NONE, Some(id)),
        };
        Self { topic, topic_id, partition: Some(partition), ..self }
    }

    fn with_batch(self, id: BatchId) -> Self {
        Self { producer: Some((id.producer_id, id.epoch)), range: Some(id.range), ..self }
    }

    /// Returns the topic's id where its name is still to be found.
    pub(super) fn unnamed(&self) -> Option<TopicId> {
        self.topic_id.filter(|_| self.topic.as_bytes().is_empty())
    }
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Gap => "gap",
            Self::Duplicate => "duplicate",
            Self::Retry => "retry",
            Self::Suspect => "suspect",
            Self::Mismatch => "mismatch",
            Self::Stale => "stale",
            Self::ProducerNew => "producer_new",
            Self::EpochBump => "epoch_bump",
            Self::ProofsEnded => "proofs_ended",
            Self::Held => "held",
            Self::OwnRequest => "own_request",
            Self::Connection => "connection",
        }
    }
}

const fn kind_of(verdict: Verdict, rule: Rule) -> Kind {
    match verdict {
        // The first batch of a higher epoch.
        Verdict::InOrder if matches!(rule, Rule::D20) => Kind::EpochBump,
        Verdict::InOrder | Verdict::Untracked => Kind::Batch,
        Verdict::Duplicate => Kind::Duplicate,
        Verdict::Gap => Kind::Gap,
        Verdict::Suspect => Kind::Suspect,
        Verdict::Retry => Kind::Retry,
        Verdict::Mismatch => Kind::Mismatch,
        Verdict::Stale => Kind::Stale,
    }
}

/// The evidence's name and the rule that makes it one.
const fn named(evidence: Evidence) -> (&'static str, &'static str) {
    match evidence {
        Evidence::Regression => ("regression", "T7"),
        Evidence::Collision => ("collision", "T7"),
        Evidence::ExpectedRefused => ("expected_refused", "T7"),
        Evidence::PartitionGone => ("partition_gone", "T9"),
    }
}
