//! A batch that follows a gap: whether its leader would refuse it.

use super::{LookUp, LookUpKind, LookUpOutcome, Place, Stage, Step, Wanted};
use crate::sequencing::{Batch, LogMark, Millis, Sequence, TopicRef};
use crate::session::{Ledger, Session};
use crate::wire::head::ApiKey;
use crate::wire::log::{self, KnownProducer, ProducersReader};
use crate::wire::produce::OwnedTopic;

/// What a leader has to say of a gap, so that it may be refused here.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Gap {
    /// The sequence that it has to expect.
    pub(in crate::session) expected: Sequence,
    /// It may forget the producer of batches that are no younger than this, in ms since 1970, at any time.
    pub(in crate::session) younger_than: i64,
}

/// A batch that its leader would refuse.
#[derive(Clone, Debug)]
pub(in crate::session) struct Refusable {
    topic: OwnedTopic,
    partition: i32,
    ledger: usize,
    mark: LogMark,
    batch: Batch,
    expected: Sequence,
}

impl<L: Ledger> Session<L> {
    /// Asks the leader whether it would refuse a batch that follows a gap.
    pub(in crate::session) fn ask_about(&self, gap: Gap, place: Place<'_>, wanted: Wanted, now: Millis) -> LookUp {
        let look = self.look_for(LookUpKind::Enforce, place, wanted, now);
        let step = if look.name.is_some() { Step::Versions } else { Step::Name };
        LookUp { gap: Some(gap), step, ..look }
    }

    /// Whether its leader has just said that it would refuse the batch, which it was asked for the request at the front.
    pub(in crate::session) fn would_be_refused(
        &self,
        (topic, partition): (TopicRef<'_>, i32),
        batch: &Batch,
        expected: Option<Sequence>,
        now: Millis,
    ) -> bool {
        self.refusable.as_ref().is_some_and(|it| {
            let producer = (batch.id.producer_id, batch.id.epoch);
            (it.ledger, it.partition, it.batch, Some(it.expected)) == (self.current, partition, *batch, expected)
                && it.topic.as_ref() == topic
                && self
                    .ledger()
                    .tracker(partition, |tracker| tracker.log_stands(topic, partition, &it.mark, producer, now))
        })
    }
}

impl LookUp {
    pub(super) fn ask_for_producers(&mut self) -> Option<Vec<u8>> {
        let (name, producer) = (self.name.as_deref()?, self.wanted.first()?.batch.id.producer_id);
        let reader = ProducersReader::new(self.correlation_id, name, self.partition, producer);
        self.stage = Stage::Producers(Box::new(reader));
        Some(log::describe_producers(self.correlation_id, name, self.partition))
    }

    /// The broker has said which requests it understands: one that it does not know would end the connection.
    pub(super) fn take_versions(&mut self, answer: &[u8]) {
        let wanted = (ApiKey::DESCRIBE_PRODUCERS, log::DESCRIBE_PRODUCERS_VERSION);
        match log::understands(self.correlation_id, wanted, answer) {
            Ok(true) => self.step = Step::Producers,
            Ok(false) | Err(_) => self.outcome = Some(LookUpOutcome::Failed),
        }
    }

    /// The broker has said what it expects of the producer. That it leads the partition is to be seen yet: a follower would
    /// have told as well.
    pub(super) fn take_producers(&mut self, reader: &ProducersReader) {
        let (Some(Wanted { batch, .. }), Some(gap)) = (self.wanted.first(), self.gap) else { return };
        let refuses = |known: KnownProducer| {
            let next = Sequence::new(known.last_sequence).map(|last| last.advance(1));
            known.epoch == batch.id.epoch && next == Some(gap.expected) && known.last_timestamp > gap.younger_than
        };
        match reader.outcome() {
            Ok(known) if known.is_some_and(refuses) => self.step = Step::End,
            Ok(_) => _ = self.outcome.get_or_insert(LookUpOutcome::NotFound),
            Err(error) if self.outcome.is_none() => self.refuse(error),
            Err(_) => {}
        }
    }

    /// The batch that its leader would refuse, if that was asked.
    pub(in crate::session) fn refusable(&self) -> Option<Refusable> {
        let Self { topic, partition, ledger, mark, .. } = self;
        let (partition, ledger, mark) = (*partition, *ledger, *mark);
        let (gap, wanted) = (self.gap?, self.wanted.first()?);
        let refusable =
            Refusable { topic: topic.clone(), partition, ledger, mark, batch: wanted.batch, expected: gap.expected };
        (self.outcome == Some(LookUpOutcome::Found)).then_some(refusable)
    }
}
