//! One partition's part of a produce request, held against what is known.

use std::hash::BuildHasher;

use super::look_up::Wanted;
use super::{Claim, Ledger, Mode, Present, Session};
use crate::event::{Action, BatchEvent, Rule};
use crate::sequencing::{
    Acks, Batch, BatchId, Fingerprint, LogMark, Observation, Passage, Proof, Sender, Sequence, TOPIC_NAME_BYTES_MAX,
    Ticket, TopicRef, UnknownTopic,
};
use crate::wire::batch::{BatchView, Records};
use crate::wire::produce::{ProduceEntry, ProduceRequest};

/// What was found out about one entry. It is `Copy` and borrows nothing, so that many fit into reused space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    pub(super) rule: Rule,
    pub(super) batch: Option<Batch>,
    pub(super) expected: Option<Sequence>,
    pub(super) claim: Option<Claim>,
    pub(super) proof: Option<Proof>,
    /// When the log was looked into, if that is where the proof comes from.
    pub(super) seen: Option<LogMark>,
    pub(super) passage: Passage,
    pub(super) new_gap: bool,
    /// Part of a transaction.
    pub(super) transactional: bool,
    /// Its leader would refuse it: it follows a gap.
    pub(super) refused: bool,
    records: u32,
    bytes: u32,
}

impl Observed {
    pub(super) fn new(rule: Rule, records: &Records<'_>) -> Self {
        let view = records.view();
        Self {
            rule,
            batch: None,
            expected: None,
            claim: None,
            proof: None,
            seen: None,
            passage: Passage::Free,
            new_gap: false,
            transactional: view.is_some_and(BatchView::is_transactional),
            refused: false,
            records: view.map_or(0, |view| u32::try_from(view.records_count()).unwrap_or(0)),
            bytes: records.len.unwrap_or(0),
        }
    }

    /// Whether nothing can be foretold of the batch, nor of the request around it (D2).
    pub(super) const fn is_opaque(&self) -> bool {
        matches!(self.rule, Rule::D2)
    }

    pub(super) fn event<'a>(&self, entry: &ProduceEntry<'a>, action: Action, authoritative: bool) -> BatchEvent<'a> {
        BatchEvent {
            verdict: self.rule.verdict(authoritative),
            action,
            rule: self.rule,
            topic: entry.topic,
            partition: entry.partition,
            batch: self.batch.map(|batch| batch.id),
            expected: self.expected,
            records: self.records,
            bytes: self.bytes,
            crc: self.batch.map(|batch| batch.fingerprint.crc),
            base_offset: self.proof.map(|proof| proof.base_offset),
            new_gap: self.new_gap,
        }
    }
}

/// How an entry is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) acks: Acks,
    /// It stands in the request more than once: which one the broker takes is not known (T29).
    pub(super) repeated: bool,
    /// The request was told to wait before.
    pub(super) held: bool,
    /// The cluster is asked what nobody has told.
    pub(super) asks: bool,
    /// A gap may be refused here, as far as the request goes.
    pub(super) enforces: bool,
}

impl<L: Ledger> Session<L> {
    /// Observes one entry; it counts as sent unless its proof or its passage says otherwise.
    pub(super) fn observe(&self, entry: &ProduceEntry<'_>, manner: Manner, present: &Present) -> Observed {
        let records = &entry.records;
        if matches!(entry.topic, TopicRef::Name(name) if name.len() > TOPIC_NAME_BYTES_MAX) {
            return Observed::new(Rule::T36, records);
        }
        let sender = Sender {
            may_look: manner.asks && present.may_look,
            confirms: manner.asks,
            by_end: self.may_not_read(entry.topic),
            guards: self.guards(present),
            enforces: manner.enforces,
            ..self.sender(manner.acks, present)
        };
        match records.batch() {
            Ok(view) if manner.repeated => self.observe_opaque(entry, Some(view), &sender, present),
            Ok(view) => match view.range() {
                Some(range) => self.observe_batch(entry, batch_of(view, range), &sender, manner.held, present),
                None => self.observe_plain(entry, view, &sender, present),
            },
            Err(_) => self.observe_opaque(entry, records.view(), &sender, present),
        }
    }

    /// Whether a request that was told to wait has to go on waiting. Nothing is registered to find out: two that wait
    /// would wake each other for ever by what they withdraw.
    pub(super) fn must_still_wait(&self, body: &ProduceRequest<'_>, present: &Present) -> bool {
        let sender = Sender { guards: self.guards(present), ..self.sender(Acks::from_wire(body.acks), present) };
        let waits = |entry: &ProduceEntry<'_>| {
            self.held.binary_search(&(self.topic_hash(entry.topic), entry.partition)).is_ok()
                && entry.records.batch().is_ok_and(|view| {
                    let Some(range) = view.range() else { return false };
                    let batch = batch_of(view, range).id;
                    self.ledger()
                        .tracker(entry.partition, |it| it.must_wait(entry.topic, entry.partition, batch, &sender))
                })
        };
        present.policy.mode != Mode::Observe && body.entries().any(|entry| waits(&entry))
    }

    /// Whether first batches wait for each other: only those of whoever the broker is known to serve.
    pub(super) fn guards(&self, present: &Present) -> bool {
        present.guards
            && present.policy.mode != Mode::Observe
            && self.auth.allows_answers(present.serves_without_sasl, present.now)
    }

    pub(super) fn sender(&self, acks: Acks, present: &Present) -> Sender {
        let tainted = self.ledger().is_tainted();
        Sender {
            connection: self.connection,
            since: self.waits_since.unwrap_or(present.now),
            broker: present.broker,
            acks,
            authoritative: present.policy.authoritative && !tainted,
            tainted,
            may_look: false,
            confirms: false,
            by_end: false,
            guards: false,
            enforces: false,
        }
    }

    /// Of a name that is too long to be tracked the beginning will do: it may stand ahead of very many partitions.
    pub(super) fn topic_hash(&self, topic: TopicRef<'_>) -> u64 {
        match topic {
            TopicRef::Name(name) => self.hasher.hash_one(&name[..name.len().min(TOPIC_NAME_BYTES_MAX + 1)]),
            TopicRef::Id(id) => self.hasher.hash_one(id),
        }
    }

    fn observe_batch(
        &self,
        entry: &ProduceEntry<'_>,
        batch: Batch,
        sender: &Sender,
        held: bool,
        present: &Present,
    ) -> Observed {
        let (topic, partition) = (entry.topic, entry.partition);
        let ledger = self.ledger();
        if let Some(found) =
            self.found.iter().find(|found| found.is(topic, partition, &batch)).filter(|it| self.stands(it, present.now))
        {
            let (proof, seen) = (Some(found.proof), Some(found.mark));
            return Observed { batch: Some(batch), proof, seen, ..Observed::new(Rule::L1, &entry.records) };
        }
        let observe = |tracker: &mut crate::sequencing::Tracker| {
            tracker.observe(topic, partition, &batch, sender, held, present.now)
        };
        let observation = ledger.tracker(partition, observe).unwrap_or_else(|UnknownTopic| {
            let (name, id) = self.other_name(topic);
            ledger.tracker(partition, |tracker| {
                tracker.introduce(topic, name.as_deref(), id, present.now);
                observe(tracker).unwrap_or(Observation::UNTRACKED)
            })
        });
        if observation.rule == Rule::T36 {
            ledger.taint();
        }
        if observation.passage == Passage::Ask {
            if self.would_be_refused((topic, partition), &batch, observation.expected, present.now) {
                let Observation { rule, expected, .. } = observation;
                return Observed { batch: Some(batch), expected, refused: true, ..Observed::new(rule, &entry.records) };
            }
            if !present.may_look {
                // It was asked, and has not said so.
                return self.observe_batch(entry, batch, &Sender { enforces: false, ..*sender }, held, present);
            }
        }
        let Observation { rule, expected, ticket, proof, passage, new_gap } = observation;
        let claim = ticket.map(|ticket| self.claim(entry, ticket));
        let batch = Some(batch);
        Observed { batch, expected, claim, proof, passage, new_gap, ..Observed::new(rule, &entry.records) }
    }

    /// What else a topic is known by.
    fn other_name(&self, topic: TopicRef<'_>) -> (Option<Box<[u8]>>, Option<crate::sequencing::TopicId>) {
        self.ledger().directory(|directory| match topic {
            TopicRef::Name(name) => (None, directory.id_of(name)),
            TopicRef::Id(id) => (directory.name_of(id).map(Into::into), None),
        })
    }

    fn observe_plain(
        &self,
        entry: &ProduceEntry<'_>,
        view: BatchView<'_>,
        sender: &Sender,
        present: &Present,
    ) -> Observed {
        let records = u32::try_from(view.records_count()).unwrap_or(0);
        let (topic, partition) = (entry.topic, entry.partition);
        let ticket = self
            .ledger()
            .tracker(partition, |tracker| tracker.observe_plain(topic, partition, records, sender, present.now));
        let claim = ticket.map(|ticket| self.claim(entry, ticket));
        Observed { claim, ..Observed::new(Rule::D1, &entry.records) }
    }

    fn observe_opaque(
        &self,
        entry: &ProduceEntry<'_>,
        view: Option<BatchView<'_>>,
        sender: &Sender,
        present: &Present,
    ) -> Observed {
        let mut observed = Observed::new(Rule::D2, &entry.records);
        let Some((view, range)) = view.and_then(|view| Some((view, view.range()?))) else { return observed };
        let batch = batch_of(view, range);
        let (topic, partition) = (entry.topic, entry.partition);
        let ticket = self
            .ledger()
            .tracker(partition, |tracker| tracker.observe_opaque(topic, partition, &batch, sender, present.now));
        observed.batch = Some(batch);
        observed.claim = ticket.map(|ticket| self.claim(entry, ticket));
        observed
    }

    pub(super) fn claim(&self, entry: &ProduceEntry<'_>, ticket: Ticket) -> Claim {
        let view = entry.records.view();
        Claim {
            topic: self.topic_hash(entry.topic),
            partition: entry.partition,
            ticket,
            settled: false,
            timestamp: view.map_or(0, BatchView::base_timestamp),
        }
    }
}

/// What finds a batch in the log.
pub(super) fn wanted(observed: &Observed, entry: &ProduceEntry<'_>) -> Option<Wanted> {
    let view = entry.records.view()?;
    Some(Wanted { batch: observed.batch?, timestamp: view.base_timestamp() })
}

pub(super) fn batch_of(view: BatchView<'_>, range: crate::sequencing::SequenceRange) -> Batch {
    Batch {
        id: BatchId { producer_id: view.producer_id(), epoch: view.epoch(), range },
        fingerprint: fingerprint_of(view, false),
        transactional: view.is_transactional(),
    }
}

/// What a batch is compared by; `stored`: as it stands in a log.
pub(super) fn fingerprint_of(view: BatchView<'_>, stored: bool) -> Fingerprint {
    // `DefaultRecordBatch.COMPRESSION_CODEC_MASK`
    let codec = (view.attributes() & 0x07) as u8;
    Fingerprint { crc: view.crc(), length: view.batch_length().cast_unsigned(), codec, stored }
}
