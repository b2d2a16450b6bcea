//! A batch on its way to the broker.

use super::super::attempts::{Acks, Attempt, Batch, Flag, Millis, Sender, State, Ticket};
use super::super::entry::Entry;
use super::super::sequence::{BatchId, ProducerEpoch, ProducerId, Sequence, SequenceRange};
use super::super::slab::NOWHERE;
use super::super::topic::TopicRef;
use super::super::verdict::Rule;
use super::super::window::Fingerprint;
use super::classify::Classified;
use super::log::{knows_all, may_be_old};
use super::{Observation, Passage, Tracker, UnknownTopic};

/// Batches of one producer and partition in flight at a time; more of them are forwarded untracked.
const PENDING_MAX: u16 = 128;

impl Tracker {
    /// Says what a batch of an idempotent producer is, and registers it as sent, unless the observation says that
    /// it can be answered, must wait or must not go.
    ///
    /// `held`: it was told to wait before.
    ///
    /// # Errors
    /// When the topic has no place here yet.
    pub fn observe(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        batch: &Batch,
        sender: &Sender,
        held: bool,
        now: Millis,
    ) -> Result<Observation, UnknownTopic> {
        debug_assert!(batch.id.producer_id.is_idempotent());
        let named = topic;
        let topic = self.topics.find(topic).ok_or(UnknownTopic)?;
        if !self.has_room_to_send_to(topic, now) {
            return Ok(Observation::UNTRACKED);
        }
        let found = self.find_entry_of(topic, partition, batch.id.producer_id);
        let Some(at) = found.or_else(|| self.add_entry(topic, partition, batch.id.producer_id, now)) else {
            return Ok(Observation::UNTRACKED);
        };
        let existed = found.is_some();
        self.entries[at].window.fetch();
        self.refresh_entry(at, now);
        let entry = &mut self.entries[at];
        entry.used_s = seconds(now);
        if entry.pending >= PENDING_MAX {
            return Ok(Observation::UNTRACKED);
        }
        if !existed && self.handed.has_moved_on(batch.id.producer_id, batch.id.epoch) {
            self.entries[at].note_partial();
        }
        let entry = &self.entries[at];
        let mut classified = self.classify(entry, batch, now);
        if !existed && self.is_gap_of_a_fresh_producer(batch, sender) {
            classified.rule = Rule::D5a;
            classified.expected = Some(Sequence::ZERO);
        }
        if classified.rule == Rule::D18 && is_explained(entry, batch.id.range.first) {
            classified.rule = Rule::D17;
        }
        if let Some(proof) = classified.proof
            && !batch.transactional
            && sender.acks != Acks::None
        {
            if !sender.confirms || self.is_confirmed(entry, &proof, sender.confirming()) {
                return Ok(Observation::of(classified, Passage::Free));
            }
            if sender.may_look {
                return Ok(Observation { proof: None, ..Observation::of(classified, Passage::Look) });
            }
        }
        if self.wants_look(entry, classified.rule, batch, sender) {
            return Ok(Observation { proof: None, ..Observation::of(classified, Passage::Look) });
        }
        if sender.enforces && classified.rule == Rule::D18 && self.may_refuse(&self.entries[at], batch, sender, now) {
            return Ok(Observation { proof: None, ..Observation::of(classified, Passage::Ask) });
        }
        // The retry of the one in flight is not the next one.
        let mut passage = self.passage(at, batch, sender, held);
        if classified.rule == Rule::D10 && passage == Passage::Hold && self.entries[at].alone {
            passage = Passage::Free;
        }
        if self.has_waiting() && passage == Passage::Free && sender.guards {
            passage = self.guard_waiting((named, partition), (at, batch), sender, held, now);
        }
        if passage != Passage::Free {
            self.drop_if_forgettable(at);
            return Ok(Observation { proof: None, ..Observation::of(classified, passage) });
        }
        let new_gap = self.is_new_gap(at, batch, classified.rule, sender);
        let ticket = self.send(at, batch, sender, classified.rule, now);
        if let Some(ticket) = ticket.filter(|_| new_gap) {
            self.attempts.get_mut(ticket.attempt).flag = Flag::NewGap;
        }
        Ok(Observation { ticket, new_gap, proof: None, ..Observation::of(classified, Passage::Free) })
    }

    /// Registers a duplicate that is forwarded although it could be answered.
    pub fn register(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        batch: &Batch,
        sender: &Sender,
        now: Millis,
    ) -> Option<Ticket> {
        if !self.has_room_to_send(now) {
            return None;
        }
        let partition = self.find_partition(self.topics.find(topic)?, partition)?;
        self.refresh_partition(partition);
        let at = self.find_entry(partition, batch.id.producer_id)?;
        if self.entries[at].pending >= PENDING_MAX {
            return None;
        }
        self.send(at, batch, sender, Rule::D12, now)
    }

    /// A retry was answered from a proof, on a connection to `sender.broker`. If that proof is older than the
    /// broker's generation, the broker may have forgotten the producer: its next batches go one at a time (T27).
    pub fn answered(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        producer: ProducerId,
        sender: &Sender,
        now: Millis,
    ) {
        let Some(topic) = self.topics.find(topic) else { return };
        let Some(partition) = self.find_partition(topic, partition) else { return };
        let Some(at) = self.find_entry(partition, producer) else { return };
        let entry = &mut self.entries[at];
        // What was found in the log may have been idle here for long, and that it goes alone must not be forgotten.
        entry.used_s = seconds(now);
        entry.go_alone(sender.broker);
    }

    /// Whether a batch has to wait for one that is at the broker: of a producer that the broker may have forgotten (T27),
    /// or for the first one of a producer that it has yet to hear of.
    #[must_use]
    pub fn must_wait(&self, topic: TopicRef<'_>, partition: i32, batch: BatchId, sender: &Sender) -> bool {
        let at = self.topics.find(topic).and_then(|topic| self.find_entry_of(topic, partition, batch.producer_id));
        at.map(|at| &self.entries[at]).is_some_and(|entry| {
            entry.alone && entry.pending > 0 || sender.guards && self.comes_before_the_first(entry, batch, sender)
        }) || sender.guards && self.comes_before_one_that_waits(topic, partition, batch, sender)
    }

    /// A batch of a producer without sequences: where it lands is evidence about the log, if anything is known of
    /// the partition at all.
    pub fn observe_plain(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        records: u32,
        sender: &Sender,
        now: Millis,
    ) -> Option<Ticket> {
        if sender.acks == Acks::None || !self.has_room_to_send(now) {
            return None;
        }
        let partition = self.find_partition(self.topics.find(topic)?, partition)?;
        self.refresh_partition(partition);
        let last = Sequence::ZERO.advance(records.checked_sub(1)?);
        let id = BatchId {
            producer_id: ProducerId::new(-1),
            epoch: ProducerEpoch::new(-1),
            range: SequenceRange { first: Sequence::ZERO, last },
        };
        let fingerprint = Fingerprint { crc: 0, length: 0, codec: 0, stored: false };
        let batch = Batch { id, fingerprint, transactional: false };
        let attempt = self.attempt(NOWHERE, partition, &batch, sender, now);
        self.partitions[partition].references += 1;
        let ticket = self.attempts.push_alone(attempt);
        self.charge();
        Some(ticket)
    }

    /// A batch that cannot be taken at its word (T29, T37), of a producer that something is known of: its range is
    /// of unknown outcome from now on.
    pub fn observe_opaque(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        batch: &Batch,
        sender: &Sender,
        now: Millis,
    ) -> Option<Ticket> {
        // Whatever comes next of it is not its first.
        self.handed.is_forgotten(batch.id.producer_id);
        let has_room = self.has_room_to_send(now);
        let partition = self.find_partition(self.topics.find(topic)?, partition)?;
        let at = self.find_entry(partition, batch.id.producer_id)?;
        self.refresh_entry(at, now);
        if !has_room || self.entries[at].pending >= PENDING_MAX {
            // It goes, and what becomes of it will not be seen.
            self.entries[at].note_partial();
            self.note_untold(at);
            return None;
        }
        let ticket = self.send(at, batch, sender, Rule::D2, now)?;
        self.attempts.get_mut(ticket.attempt).opaque = true;
        Some(ticket)
    }

    /// Whether the first batch ever of a producer id, seen handed out, leaves sequences out (D5a).
    fn is_gap_of_a_fresh_producer(&self, batch: &Batch, sender: &Sender) -> bool {
        batch.id.range.first != Sequence::ZERO
            && !sender.tainted
            && self.handed.is_fresh(batch.id.producer_id, batch.id.epoch)
    }

    /// T27: while the broker has not acknowledged anything of the producer in its present generation, one batch
    /// at a time goes up, and none after one that failed.
    fn passage(&mut self, at: u32, batch: &Batch, sender: &Sender, held: bool) -> Passage {
        let entry = &self.entries[at];
        if entry.alone {
            return self.passage_alone(at, batch, sender, held);
        }
        if sender.guards && entry.is_cold() { self.guard(entry, batch, sender, held) } else { Passage::Free }
    }

    #[cold]
    fn passage_alone(&mut self, at: u32, batch: &Batch, sender: &Sender, held: bool) -> Passage {
        if sender.acks == Acks::None {
            return Passage::Free;
        }
        let entry = &mut self.entries[at];
        entry.enter_generation(sender.broker);
        if entry.pending > 0 {
            return Passage::Hold;
        }
        let first = entry.window.expected().unwrap_or(Sequence::ZERO);
        let starts_over = batch.id.epoch > entry.epoch || batch.id.range.first == first;
        let follows_a_failure = held || entry.has_failed_on(sender.connection);
        if follows_a_failure && !starts_over { Passage::Reset } else { Passage::Free }
    }

    /// A broker takes whatever it sees first of a producer, so one that overtakes the first batch has that one refused for
    /// ever (KAFKA-15591): it waits. If it is not known what became of the first one, the client is to begin with it again.
    fn guard(&self, entry: &Entry, batch: &Batch, sender: &Sender, held: bool) -> Passage {
        if batch.transactional || sender.acks == Acks::None || batch.id.range.first == Sequence::ZERO {
            return Passage::Free;
        }
        let is_lost_first = |other: &Attempt| {
            let id = other.batch.id;
            matches!(other.state, State::Unknown { .. })
                && id.epoch == batch.id.epoch
                && id.range.first == Sequence::ZERO
        };
        let is_first_lost = self.attempts.list(entry.attempts).any(|(_, other)| is_lost_first(other));
        match (self.comes_before_the_first(entry, batch.id, sender), held && is_first_lost) {
            (true, _) => Passage::Hold,
            (false, true) => Passage::Reset,
            (false, false) => Passage::Free,
        }
    }

    /// Whether the producer's first batch is at the broker over another connection, and not over this one as well.
    fn comes_before_the_first(&self, entry: &Entry, batch: BatchId, sender: &Sender) -> bool {
        let is_first = |other: &Attempt| {
            let id = other.batch.id;
            other.state == State::Pending && id.epoch == batch.epoch && id.range.first == Sequence::ZERO
        };
        let mut firsts = self.attempts.list(entry.attempts).filter(|(_, other)| is_first(other)).peekable();
        let follows = entry.is_cold() && batch.range.first != Sequence::ZERO && firsts.peek().is_some();
        // Nobody is made to wait by whom the broker may not serve.
        follows && firsts.all(|(_, first)| first.connection != sender.connection && !first.opaque && first.guarded)
    }

    #[inline(always)]
    pub(super) fn is_new_gap(&mut self, at: u32, batch: &Batch, rule: Rule, sender: &Sender) -> bool {
        let base = batch.id.range.first.get().cast_unsigned();
        if !matches!(rule, Rule::D5a | Rule::D18) || !sender.authoritative {
            return false;
        }
        std::mem::replace(&mut self.entries[at].gap_at, base) != base
    }

    #[inline(always)]
    fn send(&mut self, at: u32, batch: &Batch, sender: &Sender, rule: Rule, now: Millis) -> Option<Ticket> {
        let entry = &self.entries[at];
        let mut attempt = self.attempt(at, entry.partition, batch, sender, now);
        // A broker may refuse a transactional batch for reasons that nobody outside can see (KIP-890).
        attempt.on_expected = rule == Rule::D8 && entry.has_nothing_open() && !batch.transactional;
        let follows_old = rule == Rule::D9 && self.follows_old(entry, batch.id.epoch);
        attempt.may_be_old = (may_be_old(rule, knows_all(entry, sender)) || follows_old) && !batch.transactional;
        if matches!(rule, Rule::D5a | Rule::D18) {
            attempt.flag = if sender.authoritative { Flag::Gap } else { Flag::Suspect };
        }
        if sender.acks == Acks::None {
            self.send_without_answer(at, attempt);
            return None;
        }
        let entry = &mut self.entries[at];
        entry.pending += 1;
        let grows = self.attempts.growth() > 0;
        let ticket = self.attempts.push(&mut entry.attempts, attempt);
        if grows {
            self.charge();
        }
        Some(ticket)
    }

    /// With acks=0 nothing is ever settled: consecutive ranges are kept as one.
    #[inline(never)]
    fn send_without_answer(&mut self, at: u32, attempt: Attempt) {
        const RANGE_MAX: u32 = 1 << 30;
        let id = attempt.batch.id;
        let joins = |other: &Attempt| {
            other.state == State::Sent
                && other.batch.id.epoch == id.epoch
                && other.batch.id.range.end() == id.range.first
                && other.batch.id.range.len() < RANGE_MAX
        };
        let before = self.attempts.list(self.entries[at].attempts).find(|(_, other)| joins(other)).map(|(at, _)| at);
        if let Some(before) = before {
            let joined = self.attempts.get_mut(before);
            joined.batch.id.range.last = id.range.last;
            joined.since = attempt.since;
            return;
        }
        let entry = &mut self.entries[at];
        entry.unknown += 1;
        let _never_settled = self.attempts.push(&mut entry.attempts, Attempt { state: State::Sent, ..attempt });
        self.bound_unknowns(at);
        self.charge();
    }

    #[inline(always)]
    fn attempt(&self, entry: u32, partition: u32, batch: &Batch, sender: &Sender, now: Millis) -> Attempt {
        Attempt {
            entry,
            partition,
            next: NOWHERE,
            serial: 0,
            batch: *batch,
            connection: sender.connection,
            broker: sender.broker,
            acks: sender.acks,
            state: State::Pending,
            flag: Flag::None,
            opaque: false,
            on_expected: false,
            may_be_old: false,
            guarded: sender.guards,
            tells: true,
            since: now,
            partition_stamp: self.partitions[partition].stamp,
            handed_serial: self.handed.serial(),
        }
    }
}

impl Observation {
    /// There is no room to track the batch (T36).
    pub const UNTRACKED: Self = Self::of(Classified { rule: Rule::T36, expected: None, proof: None }, Passage::Free);

    const fn of(classified: Classified, passage: Passage) -> Self {
        let Classified { rule, expected, proof } = classified;
        Self { rule, expected, ticket: None, proof, passage, new_gap: false }
    }
}

/// Whether what is missing before `base` may not be missing at all: it was refused, perhaps before the client heard of
/// it (T31), it is open and not kept in mind, it was known and is not any more, or it is under the topic's other form.
fn is_explained(entry: &Entry, base: Sequence) -> bool {
    entry.is_unsure() || entry.is_partial() || entry.is_twin() || entry.follows_refused(base)
}

/// As entries keep it: whole seconds last for 136 years in 32 bits.
fn seconds(now: Millis) -> u32 {
    u32::try_from(now.0 / 1000).unwrap_or(u32::MAX)
}
