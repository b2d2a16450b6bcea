//! What brokers have shown of their logs: batches below the high watermark, which are acknowledged.

use super::{Asked, Place, Witness};
use crate::batch::{Batch, Keeping};
use crate::wire::{Said, TopicKey};

/// A batch in a partition's log.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// Which look has shown it.
    look: u64,
    offset: i64,
    batch: Batch,
    /// As it stands there.
    bytes: Vec<u8>,
    /// Nothing that was evidence later than in this step leaves it as it was.
    sent: u64,
}

impl Witness {
    /// The answer to a look into a log has been read to its end.
    pub(crate) fn shown(
        &mut self,
        (partition, topic): (usize, &TopicKey),
        (look, since): (u64, u64),
        log: &crate::cluster::Shown,
        keeping: Keeping,
        (step, now_ms): (u64, u64),
    ) {
        for form in self.forms(topic) {
            self.shown_at((partition, form), (look, since), log, keeping, (step, now_ms));
        }
    }

    /// The forms of a topic that are known to be one; what others make of it is seen under theirs.
    fn forms(&self, topic: &TopicKey) -> Vec<u8> {
        match topic {
            TopicKey::Name(name) => [Some(&0), self.ids.get(&**name)].into_iter().flatten().copied().collect(),
            TopicKey::Id(id) if self.ids.values().any(|known| known == id) => vec![0, *id],
            TopicKey::Id(id) => vec![*id],
        }
    }

    fn shown_at(
        &mut self,
        place: Place,
        (look, since): (u64, u64),
        log: &crate::cluster::Shown,
        keeping: Keeping,
        (step, now_ms): (u64, u64),
    ) {
        let mut shown = Vec::new();
        for (offset, bytes) in log.batches.iter().filter(|_| log.error == 0) {
            let batch = Batch::read(bytes);
            let last = offset + batch.count() - 1;
            if last < log.high_watermark && !self.is_over(place, batch.producer_id, batch.epoch, since) {
                let bytes = bytes.clone();
                shown.push(Shown { look, offset: *offset, batch, bytes, sent: step + 1 });
            }
        }
        for batch in &shown {
            self.take_in(place, batch, keeping, (step, now_ms));
        }
        self.partitions.entry(place).or_default().shown.append(&mut shown);
    }

    /// Whether something speaks against what was asked of a log at a time.
    fn is_over(&self, place: Place, producer_id: i64, epoch: i16, since: u64) -> bool {
        let doubted = self.partitions.get(&place).map_or(0, |partition| partition.doubted);
        let handed_out = self.handed_out.get(&producer_id);
        since < doubted.max(self.doubted) || handed_out.is_some_and(|(at, lowest)| since < *at && epoch >= *lowest)
    }

    /// What it says of the partition and of its producer. The proxy has taken it in, or had no room for it.
    fn take_in(&mut self, place: Place, shown: &Shown, _keeping: Keeping, (step, now_ms): (u64, u64)) {
        let Shown { offset, batch, .. } = shown;
        let new = (*offset, offset + batch.count() - 1, Some(batch.key()));
        if self.contradicts_any(place, new) {
            self.begin_anew(place.0, step);
        }
        let partition = self.partitions.entry(place).or_default();
        partition.perhaps.push(new);
        let producer = partition.producers.entry(batch.producer_id).or_insert_with(super::Producer::unknown);
        producer.unusual = true;
        producer.shown_in = producer.shown_in.max(batch.epoch);
        producer.newest_ms = now_ms;
        producer.cloud(batch.epoch);
    }

    /// The proof for a local answer: an offset.
    pub(super) fn proof_by_log(&self, asked: &Asked, now_ms: u64) -> Option<i64> {
        let partition = self.partitions.get(&asked.place())?;
        let producer = partition.producers.get(&asked.batch.producer_id)?;
        let is_it =
            |shown: &&Shown| shown.batch.key() == asked.batch.key() && shown.bytes[8..] == asked.batch.bytes()[8..];
        let shown = partition.shown.iter().rev().find(|shown| is_it(shown) && self.holds(asked.place(), shown))?;
        (now_ms.saturating_sub(producer.newest_ms) < self.ttl_ms).then_some(shown.offset)
    }

    /// Whether a batch stands in the log, where its client is told that it does.
    pub(crate) fn stands(&self, asked: &Asked, said: Option<&Said>, keeping: Keeping) -> Result<(), &'static str> {
        let here = self.partitions.get(&asked.place()).map_or(&[][..], |partition| &partition.shown);
        let mut why = "it was not shown";
        for shown in here.iter().filter(|shown| shown.batch.key() == asked.batch.key()) {
            if said.is_some_and(|said| said.base_offset != shown.offset) {
                why = "it was shown elsewhere";
            } else if !asked.batch.may_be_stored_as(&shown.batch, keeping) {
                why = "another content was shown";
            } else if !self.holds(asked.place(), shown) {
                why = "evidence has ended what was shown";
            } else {
                return Ok(());
            }
        }
        Err(why)
    }

    fn holds(&self, place: Place, shown: &Shown) -> bool {
        // What came in the same step came before.
        !self.is_over(place, shown.batch.producer_id, shown.batch.epoch, shown.sent - 1)
    }
}
