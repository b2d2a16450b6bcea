//! Batches whose requests wait here, for other batches or for what a log says, though they are at no broker yet: nothing may
//! overtake the first one of its producer, and in enforce mode none of them is missing.
//!
//! Two requests never wait for each other: whoever waits for one that waits has come later, and what is at a broker waits for
//! nobody.

use super::super::allowance::allocated;
use super::super::attempts::{Acks, Attempt, Batch, ConnectionId, Millis, Sender, State};
use super::super::entry::Entry;
use super::super::sequence::{BatchId, ProducerEpoch, ProducerId, Sequence};
use super::super::topic::{TopicId, TopicRef};
use super::{Passage, Tracker};

/// Batches that are noted at most; more of them are not waited for, and may be missing or not.
const WAITING_MAX: usize = 256;

/// Longer than any request waits here: nothing stays for good, should its end not be told.
const WAITING_MS_MAX: u64 = 60_000;

/// How long one is remembered that will not go: as long as others wait for it.
const LOST_MS_MAX: u64 = 10_000;

/// A batch of a producer on a partition, in a request that waits.
#[derive(Debug)]
struct Waits {
    topic: Topic,
    partition: i32,
    producer: ProducerId,
    epoch: ProducerEpoch,
    /// Nothing of its producer may overtake it.
    is_first: bool,
    /// When its request came, and over which connection: no other has both.
    turn: (Millis, u32),
    /// It will not go: its connection has ended, or is to be reset.
    is_lost: bool,
    until: Millis,
}

#[derive(Debug)]
enum Topic {
    Name(Box<[u8]>),
    Id(TopicId),
}

/// Those of one tracker: hardly ever any.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    noted: Vec<Waits>,
    /// Until then more may wait than are noted.
    full_until: Millis,
}

impl Tracker {
    /// The request that `sender` has had since then waits, and this batch with it. Of those that are not the first of their
    /// producers it is noted only where gaps are refused, which they may fill.
    pub fn note_waiting(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        batch: &Batch,
        sender: &Sender,
        now: Millis,
    ) -> bool {
        let id = batch.id;
        let is_first = sender.guards && id.range.first == Sequence::ZERO;
        if !is_first && !sender.enforces || batch.transactional || sender.acks == Acks::None {
            return false;
        }
        let Waiting { noted, full_until } = &mut self.waiting;
        noted.retain(|other| now < other.until && !other.is(topic, partition, id, sender.connection));
        let until = Millis(now.0 + WAITING_MS_MAX);
        if noted.len() == WAITING_MAX {
            *full_until = until;
            return false;
        }
        noted.push(Waits {
            topic: match topic {
                TopicRef::Name(name) => Topic::Name(name.into()),
                TopicRef::Id(id) => Topic::Id(id),
            },
            partition,
            producer: id.producer_id,
            epoch: id.epoch,
            is_first,
            turn: turn_of(sender),
            is_lost: false,
            until,
        });
        true
    }

    /// It does not wait any more: it has gone, or will not.
    pub fn end_waiting(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        batch: BatchId,
        connection: ConnectionId,
        is_lost: bool,
        now: Millis,
    ) {
        let noted = &mut self.waiting.noted;
        let Some(at) = noted.iter().position(|other| other.is(topic, partition, batch, connection)) else { return };
        if is_lost && noted[at].is_first {
            noted[at].is_lost = true;
            noted[at].until = Millis(now.0 + LOST_MS_MAX);
        } else {
            noted.swap_remove(at);
            if noted.is_empty() {
                *noted = Vec::new();
            }
        }
    }

    pub(super) const fn has_waiting(&self) -> bool {
        !self.waiting.noted.is_empty()
    }

    /// Whether a batch of the entry's producer may wait here, on another connection.
    pub(super) fn may_wait_here(&self, entry: &Entry, batch: BatchId, sender: &Sender, now: Millis) -> bool {
        let partition = &self.partitions[entry.partition];
        let topic = self.topics.get(partition.topic);
        let is_of = |other: &Waits| other.is_of(partition.index, batch) && topic.answers_to(other.topic.as_ref());
        let is_here = |other: &Waits| !other.is_lost && other.turn.1 != sender.connection.0 && now < other.until;
        now < self.waiting.full_until || self.waiting.noted.iter().any(|other| is_of(other) && is_here(other))
    }

    /// Forgets those whose time is over.
    pub(super) fn sweep_waiting(&mut self, now: Millis) {
        self.waiting.noted.retain(|other| now < other.until);
    }

    /// As what would come before a first batch that is at a broker.
    #[cold]
    pub(super) fn guard_waiting(
        &self,
        (topic, partition): (TopicRef<'_>, i32),
        (at, batch): (u32, &Batch),
        sender: &Sender,
        held: bool,
        now: Millis,
    ) -> Passage {
        let entry = &self.entries[at];
        if batch.transactional
            || sender.acks == Acks::None
            || entry.alone
            || !self.waits_for_a_first(at, batch.id, sender)
        {
            return Passage::Free;
        }
        // By the name that the request has for it, as `must_wait` asks: were the two at odds, who waits would ask for ever.
        let is_of =
            |other: &&Waits| other.is_first && other.is_of(partition, batch.id) && other.topic.as_ref() == topic;
        let mut firsts = self.waiting.noted.iter().filter(is_of).filter(|_| batch.id.range.first != Sequence::ZERO);
        if firsts.clone().any(|first| first.is_before(sender)) {
            return Passage::Hold;
        }
        let is_lost = held && entry.has_nothing_open() && firsts.any(|first| first.is_lost && now < first.until);
        if is_lost { Passage::Reset } else { Passage::Free }
    }

    /// Whether the first batch of its producer waits, in a request that came before this one's over another connection, and
    /// nothing was acknowledged of the producer so far.
    pub(super) fn comes_before_one_that_waits(
        &self,
        topic: TopicRef<'_>,
        partition: i32,
        batch: BatchId,
        sender: &Sender,
    ) -> bool {
        let is_of = |other: &Waits| other.is_first && other.is_of(partition, batch) && other.topic.as_ref() == topic;
        batch.range.first != Sequence::ZERO
            && self.waiting.noted.iter().any(|first| is_of(first) && first.is_before(sender))
            && {
                let at =
                    self.topics.find(topic).and_then(|topic| self.find_entry_of(topic, partition, batch.producer_id));
                at.is_none_or(|at| self.waits_for_a_first(at, batch, sender))
            }
    }

    /// Whether nothing was acknowledged of the producer, nor has a first batch of it gone up this connection ahead of this one:
    /// of one whose client has come back, a copy may wait on the connection that it has left.
    fn waits_for_a_first(&self, at: u32, batch: BatchId, sender: &Sender) -> bool {
        let is_first_here = |other: &Attempt| {
            let id = other.batch.id;
            other.state == State::Pending
                && other.connection == sender.connection
                && (id.epoch, id.range.first) == (batch.epoch, Sequence::ZERO)
        };
        let entry = &self.entries[at];
        entry.is_cold() && !self.attempts.list(entry.attempts).any(|(_, other)| is_first_here(other))
    }
}

impl Waiting {
    /// What they take in memory beside themselves, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let name_of = |other: &Waits| match &other.topic {
            Topic::Name(name) => allocated(name.len()),
            Topic::Id(_) => 0,
        };
        allocated(self.noted.capacity() * size_of::<Waits>()) + self.noted.iter().map(name_of).sum::<usize>()
    }
}

impl Topic {
    fn as_ref(&self) -> TopicRef<'_> {
        match self {
            Self::Name(name) => TopicRef::Name(name),
            Self::Id(id) => TopicRef::Id(*id),
        }
    }
}

impl Waits {
    fn is(&self, topic: TopicRef<'_>, partition: i32, batch: BatchId, connection: ConnectionId) -> bool {
        self.turn.1 == connection.0 && self.is_of(partition, batch) && self.topic.as_ref() == topic
    }

    fn is_of(&self, partition: i32, batch: BatchId) -> bool {
        (self.partition, self.producer, self.epoch) == (partition, batch.producer_id, batch.epoch)
    }

    /// Whether it waits, in a request that came before this one over another connection.
    fn is_before(&self, sender: &Sender) -> bool {
        !self.is_lost && self.turn < turn_of(sender) && self.turn.1 != sender.connection.0
    }
}

const fn turn_of(sender: &Sender) -> (Millis, u32) {
    (sender.since, sender.connection.0)
}
