//! What the log itself says: batches below the high watermark, read from the broker that leads it.

use super::super::answer::{Answer, ErrorCode};
use super::super::attempts::{Acks, Attempt, Batch, BrokerGeneration, ConnectionId, Flag, Millis, Sender, State};
use super::super::entry::Entry;
use super::super::sequence::{BatchId, ProducerEpoch, ProducerId, Sequence};
use super::super::slab::NOWHERE;
use super::super::topic::TopicRef;
use super::super::verdict::Rule;
use super::super::window::Fingerprint;
use super::settle::Before;
use super::{Evidence, Partition, Proof, Ticket, Tracker};

/// A batch of an idempotent producer, outside of transactions, as it stands in a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBatch {
    /// Its producer, epoch and sequences.
    pub id: BatchId,
    /// Its checksum and length as they are stored: others than the producer's where the topic recompresses or stamps
    /// append times.
    pub fingerprint: Fingerprint,
    /// The offset of its first record.
    pub base_offset: i64,
    /// When the broker appended it, in ms since 1970; -1 where the topic keeps the producer's timestamps.
    pub append_time: i64,
}

/// What confirms a proof that may be older than the broker's generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirming {
    /// What this broker has said in its present generation.
    pub broker: BrokerGeneration,
    /// Also that the log reaches beyond the batch. Whatever stands there now, it does: that has to do for those who may not
    /// read it, and for nobody else.
    pub by_end: bool,
}

impl Sender {
    pub(super) const fn confirming(&self) -> Confirming {
        Confirming { broker: self.broker, by_end: self.by_end }
    }
}

/// The moment at which a look into a partition's log begins. What ends proofs makes what is found afterwards worthless:
/// it was perhaps read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogMark {
    partition_serial: u32,
    stamp: u32,
    handed_serial: u32,
    /// What was read is good for as long as an acknowledgement is.
    at: Millis,
}

impl LogMark {
    /// The mark of no partition: no log stands by it.
    pub const NONE: Self = Self { partition_serial: 0, stamp: 0, handed_serial: 0, at: Millis(0) };
}

impl Tracker {
    /// Notes the moment before the log of a partition is asked. `None`: nothing is known of the partition, so what speaks
    /// against its log would not be noted either.
    #[must_use]
    pub fn mark_log(&mut self, topic: TopicRef<'_>, partition: i32, now: Millis) -> Option<LogMark> {
        let at = self.find_fresh(topic, partition)?;
        let Partition { serial, stamp, .. } = self.partitions[at];
        Some(LogMark { partition_serial: serial, stamp, handed_serial: self.handed.serial(), at: now })
    }

    /// Whether nothing has spoken against the log of the partition since `mark`, nor against this producer.
    #[must_use]
    pub fn log_stands(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        mark: &LogMark,
        (producer, epoch): (ProducerId, ProducerEpoch),
        now: Millis,
    ) -> bool {
        self.is_same_log(topic, partition, mark)
            && now.since(mark.at) < self.limits.proof_ttl_ms
            && !self.handed.has_ended(producer, epoch, mark.handed_serial)
    }

    fn is_same_log(&mut self, topic: TopicRef<'_>, partition: i32, mark: &LogMark) -> bool {
        self.find_fresh(topic, partition).is_some_and(|at| {
            let Partition { serial, stamp, .. } = self.partitions[at];
            (serial, stamp) == (mark.partition_serial, mark.stamp)
        })
    }

    /// The partition's place, with evidence against its topic or cluster taken in.
    fn find_fresh(&mut self, topic: TopicRef<'_>, partition: i32) -> Option<u32> {
        let at = self.find_partition(self.topics.find(topic)?, partition)?;
        self.refresh_partition(at);
        Some(at)
    }

    /// Whether anything is kept of a producer on a partition.
    #[must_use]
    pub fn knows(&self, topic: TopicRef<'_>, partition: i32, producer: ProducerId) -> bool {
        self.topics.find(topic).is_some_and(|topic| self.find_entry_of(topic, partition, producer).is_some())
    }

    /// Whether batches of the producer go to the partition one at a time (T27).
    #[must_use]
    pub fn goes_alone(&self, topic: TopicRef<'_>, partition: i32, producer: ProducerId) -> bool {
        let at = self.topics.find(topic).and_then(|topic| self.find_entry_of(topic, partition, producer));
        at.is_some_and(|at| self.entries[at].alone)
    }

    /// The offset from which on a batch must stand in the log, if it stands there: behind the newest acknowledged one
    /// of its producer and epoch, which a leader has appended before.
    #[must_use]
    pub fn offset_before(&self, topic: TopicRef<'_>, partition: i32, batch: BatchId) -> Option<i64> {
        let topic = self.topics.find(topic)?;
        let entry = &self.entries[self.find_entry_of(topic, partition, batch.producer_id)?];
        let newest = entry.window.newest().filter(|_| entry.epoch == batch.epoch)?;
        let follows = batch.range.first.is_after(newest.range.last);
        (follows && newest.proof && newest.base_offset >= 0).then(|| newest.last_offset().saturating_add(1))
    }

    /// Whether the batch that `ticket` claims may have been in the log before it was sent.
    #[must_use]
    pub fn may_be_old(&self, ticket: Ticket) -> bool {
        self.attempts.get(ticket).is_some_and(|attempt| attempt.may_be_old)
    }

    /// The batch that `ticket` claims, while that is open.
    #[must_use]
    pub fn batch_of(&self, ticket: Ticket) -> Option<Batch> {
        self.attempts.get(ticket).map(|attempt| attempt.batch)
    }

    /// What the batch can be answered with, if it is proven, and confirmed where `confirmed_by` asks for that.
    #[must_use]
    pub fn find_proof(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        batch: &Batch,
        confirmed_by: Option<Confirming>,
        now: Millis,
    ) -> Option<Proof> {
        let topic = self.topics.find(topic)?;
        let at = self.find_entry_of(topic, partition, batch.id.producer_id)?;
        self.refresh_entry(at, now);
        let entry = &self.entries[at];
        let proof = self.proof_of(entry, batch.id.range, now)?;
        let is_confirmed = confirmed_by.is_none_or(|by| self.is_confirmed(entry, &proof, by));
        let is_same = entry.window.find(batch.id.range).is_some_and(|acked| acked.is_same(batch.fingerprint, -1));
        let proof = Proof { fingerprint: batch.fingerprint, ..proof };
        (entry.epoch == batch.id.epoch && is_same && is_confirmed).then_some(proof)
    }

    /// Takes in a batch that was read from a partition's log below its high watermark: it is acknowledged, and a proof.
    ///
    /// Whoever produced it, as long as there is room: an entry is made for it, but none is evicted. Evidence that the
    /// batch itself is does not end the look; it is the log that is right.
    pub fn take_in_log(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        broker: BrokerGeneration,
        mark: &mut LogMark,
        batch: &LogBatch,
        now: Millis,
    ) -> Option<Evidence> {
        let id = batch.id;
        if !self.log_stands(topic, partition, mark, (id.producer_id, id.epoch), now) {
            return None;
        }
        let topic = self.topics.find(topic)?;
        let at = match self.find_entry_of(topic, partition, id.producer_id) {
            Some(at) => at,
            None if self.is_full() || !self.share.is_roomy() => return None,
            // It would prove nothing, and end what is proven under the topic's other form.
            None if self.may_have_twins(topic, partition, id.producer_id) => return None,
            None => self.add_entry(topic, partition, id.producer_id, now)?,
        };
        let partition_at = self.entries[at].partition;
        self.refresh_entry(at, now);
        if self.is_proven_there(at, batch) {
            self.confirm(at, broker, batch);
            return None;
        }
        let attempt = self.read_from_log(at, batch);
        let answer = Answer {
            error: ErrorCode::NONE,
            base_offset: batch.base_offset,
            log_append_time: batch.append_time,
            log_start_offset: None,
        };
        let entry = &self.entries[at];
        let is_partial = entry.is_cold() || entry.epoch < id.epoch;
        let evidence = self.take_in_acknowledged(&attempt, &answer, Before::of(entry, id), false, now);
        if is_partial {
            // What was acknowledged of it before what is read is not known, nor what is behind that.
            self.entries[at].note_partial();
        }
        self.confirm(at, broker, batch);
        self.drop_if_forgettable(at);
        self.charge();
        if evidence.is_some() {
            mark.stamp = self.partitions[partition_at].stamp;
        }
        evidence
    }

    /// Whether a proof is known to be of the log as it is: the broker has acknowledged the batch in its present
    /// generation, or was seen to have it, or, where that may not be seen, to reach beyond it.
    pub(super) fn is_confirmed(&self, entry: &Entry, proof: &Proof, by: Confirming) -> bool {
        let Confirming { broker, by_end } = by;
        let last_offset = proof.base_offset.saturating_add(i64::from(proof.batch.range.len()) - 1);
        entry.has_of_now(broker, proof.batch.range)
            || by_end && self.partitions[entry.partition].reaches.beyond(broker, last_offset)
    }

    /// The batch was seen in the log, as its producer sent it.
    fn confirm(&mut self, at: u32, broker: BrokerGeneration, batch: &LogBatch) {
        let entry = &mut self.entries[at];
        if entry.find(batch.id).is_some_and(|known| known.is_same(batch.fingerprint, batch.append_time)) {
            entry.note_shown(broker, batch.id.range);
        }
    }

    /// The log of a partition reaches up to `end`. That has to do where it may not be read.
    pub fn confirm_below(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        broker: BrokerGeneration,
        mark: &LogMark,
        end: i64,
    ) {
        let stands = self.is_same_log(topic, partition, mark);
        if let Some(at) = self.find_fresh(topic, partition).filter(|_| stands) {
            self.partitions[at].reaches.add(broker, end);
        }
    }

    /// The log of a partition keeps the producers' timestamps, or the topic stamps append times; if it is the one still that
    /// was read.
    pub fn note_times(&mut self, topic: TopicRef<'_>, partition: i32, mark: &LogMark, kept: bool) {
        let stands = self.is_same_log(topic, partition, mark);
        if let Some(at) = self.find_fresh(topic, partition).filter(|_| stands) {
            self.partitions[at].keeps_times = kept;
        }
    }

    /// Whether the log of a partition was seen to keep the producers' timestamps: a batch is found there by its own, or not at
    /// all.
    #[must_use]
    pub fn keeps_times(&mut self, topic: TopicRef<'_>, partition: i32) -> bool {
        self.find_fresh(topic, partition).is_some_and(|at| self.partitions[at].keeps_times)
    }

    /// Whether the very batch is proven at that place already. Its producer's fingerprint says more than the one of
    /// what is stored.
    fn is_proven_there(&self, at: u32, batch: &LogBatch) -> bool {
        let known = self.entries[at].find(batch.id);
        known.is_some_and(|known| known.proof && known.base_offset == batch.base_offset)
    }

    /// As if the batch had been sent now, by nobody, and acknowledged by all in-sync replicas.
    fn read_from_log(&self, at: u32, batch: &LogBatch) -> Attempt {
        let partition = self.entries[at].partition;
        Attempt {
            entry: at,
            partition,
            next: NOWHERE,
            serial: 0,
            batch: Batch { id: batch.id, fingerprint: batch.fingerprint, transactional: false },
            connection: ConnectionId(u32::MAX),
            broker: BrokerGeneration { broker: u32::MAX, generation: 0 },
            acks: Acks::All,
            state: State::Pending,
            flag: Flag::None,
            opaque: false,
            on_expected: false,
            may_be_old: false,
            guarded: false,
            tells: true,
            since: Millis(0),
            partition_stamp: self.partitions[partition].stamp,
            handed_serial: self.handed.serial(),
        }
    }

    /// Whether the log has to be looked into before the batch goes: the broker that it goes to may not know any more
    /// what it has appended, and would take it for new or refuse it.
    pub(super) fn wants_look(&self, entry: &Entry, rule: Rule, batch: &Batch, sender: &Sender) -> bool {
        if !sender.may_look || batch.transactional || sender.acks == Acks::None {
            return false;
        }
        let starts_behind = batch.id.range.first != Sequence::ZERO;
        let is_ahead = is_ahead(rule) && !knows_all(entry, sender);
        ((rule == Rule::D5 && starts_behind || is_ahead) && entry.pending == 0)
            || (rule == Rule::D11 && self.was_sent_elsewhere(entry, batch.id, sender.broker))
            || (matches!(rule, Rule::D14 | Rule::D19) && !entry.is_known_to(sender.broker))
    }

    /// Whether a batch in flight of the same epoch may be old: so may be what follows it.
    #[inline(never)]
    pub(super) fn follows_old(&self, entry: &Entry, epoch: ProducerEpoch) -> bool {
        let is_old = |other: &Attempt| other.state == State::Pending && other.may_be_old;
        self.attempts.list(entry.attempts).any(|(_, other)| other.batch.id.epoch == epoch && is_old(other))
    }

    /// Whether an attempt of unknown outcome went to another broker, or to this one before it was lost.
    fn was_sent_elsewhere(&self, entry: &Entry, batch: BatchId, broker: BrokerGeneration) -> bool {
        let is_elsewhere = |other: &Attempt| other.state != State::Pending && other.broker != broker;
        self.attempts.list(entry.attempts).any(|(_, other)| other.batch.id == batch && is_elsewhere(other))
    }
}

/// Whether a batch under this rule may stand in the log already, so that a broker's 45 does not say the contrary.
pub(super) const fn may_be_old(rule: Rule, authoritative: bool) -> bool {
    let is_behind = matches!(
        rule,
        Rule::D5 | Rule::D10 | Rule::D11 | Rule::D12 | Rule::D14 | Rule::D15 | Rule::D16 | Rule::D19 | Rule::D23
    );
    // Where everybody comes through here, nobody else can have been told of what seems to be missing.
    is_behind || is_ahead(rule) && !authoritative
}

/// Whether nothing can have been acknowledged of the producer that is not known here.
pub(super) fn knows_all(entry: &Entry, sender: &Sender) -> bool {
    sender.authoritative && !entry.is_partial() && !entry.is_twin()
}

/// Whether sequences seem to be missing before a batch under this rule.
const fn is_ahead(rule: Rule) -> bool {
    matches!(rule, Rule::D17 | Rule::D18 | Rule::D21)
}
