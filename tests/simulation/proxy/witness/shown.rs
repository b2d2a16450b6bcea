//! What brokers have shown of their logs: batches below the high watermark, which are acknowledged.

use super::{Asked, Place, Producer, Success, Witness};
use crate::batch::{Batch, Keeping};
use crate::proxy::Look;
use crate::wire::{Said, TopicKey};

/// A batch in a partition's log.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// The generation of the broker that has shown it.
    by: (usize, u32),
    offset: i64,
    batch: Batch,
    /// As it stands there.
    bytes: Vec<u8>,
    /// Nothing that was evidence later than in this step leaves it as it was.
    sent: u64,
    /// When it was asked for.
    since_ms: u64,
}

impl Witness {
    /// The answer to a look into a log has been read to its end.
    pub(crate) fn shown(
        &mut self,
        (partition, topic): (usize, &TopicKey),
        look: &Look,
        log: &crate::cluster::Shown,
        (step, now_ms): (u64, u64),
    ) {
        let forms = self.forms(topic);
        let asked = (partition, forms[0]);
        let mut shown = Vec::new();
        let is_good = log.error == 0 && now_ms - look.since_ms < self.ttl_ms;
        for (offset, bytes) in log.batches.iter().filter(|_| is_good) {
            let batch = Batch::read(bytes);
            let last = offset + batch.count() - 1;
            if last < log.high_watermark && !self.is_over(asked, batch.producer_id, batch.epoch, look.since) {
                let (bytes, since_ms) = (bytes.clone(), look.since_ms);
                shown.push(Shown { by: look.broker, offset: *offset, batch, bytes, sent: step + 1, since_ms });
            }
        }
        for place in forms.into_iter().map(|form| (partition, form)) {
            for shown in &shown {
                self.take_in(place, shown, (step, now_ms));
                self.partitions.entry(place).or_default().shown.push(shown.clone());
            }
        }
    }

    /// A log that may not be read is told to end there.
    pub(crate) fn log_ends(&mut self, (partition, topic): (usize, &TopicKey), look: &Look, end: i64) {
        let forms = self.forms(topic);
        if self.is_over((partition, forms[0]), -1, 0, look.since) {
            return;
        }
        for form in forms {
            self.partitions.entry((partition, form)).or_default().ends.push((look.broker, end));
        }
    }

    /// The forms of a topic that are known to be one, the given one first.
    pub(super) fn forms(&self, topic: &TopicKey) -> Vec<u8> {
        match topic {
            TopicKey::Name(name) => [Some(&0), self.ids.get(&**name)].into_iter().flatten().copied().collect(),
            TopicKey::Id(id) if self.ids.values().any(|known| known == id) => vec![*id, 0],
            TopicKey::Id(id) => vec![*id],
        }
    }

    /// Whether something speaks against what was asked of a log at a time.
    fn is_over(&self, place: Place, producer_id: i64, epoch: i16, since: u64) -> bool {
        let doubted = self.partitions.get(&place).map_or(0, |partition| partition.doubted);
        let handed_out = self.handed_out.get(&producer_id);
        since < doubted.max(self.doubted) || handed_out.is_some_and(|(at, lowest)| since < *at && epoch >= *lowest)
    }

    /// What it says of the partition and of its producer. The proxy has taken it in, or had no room for it.
    fn take_in(&mut self, place: Place, shown: &Shown, (step, now_ms): (u64, u64)) {
        let Shown { offset, batch, .. } = shown;
        let new = (*offset, offset + batch.count() - 1, Some(batch.key()));
        // That it stood elsewhere is evidence, and so is a newer batch at an older offset.
        if self.contradicts_any(place, new) || self.is_misplaced(place, batch, *offset) {
            self.begin_anew(place.0, step);
        }
        self.partitions.entry(place).or_default().perhaps.push(new);
        self.is_shown(place, batch).newest_ms = now_ms;
    }

    /// Whether the batch stands, or stood, elsewhere in the log, or another one of its producer and epoch on its wrong side.
    pub(super) fn is_misplaced(&self, place: Place, batch: &Batch, at: i64) -> bool {
        let Some(partition) = self.partitions.get(&place) else { return false };
        let of_log = partition.shown.iter().map(|other| (&other.batch, other.offset));
        let producer = partition.producers.get(&batch.producer_id);
        let successes = producer.map_or(&[][..], |producer| &producer.successes);
        let mut known = of_log.chain(successes.iter().map(|success| (&success.batch, success.offset)));
        known.any(|(other, offset)| {
            let is_same = (other.producer_id, other.epoch) == (batch.producer_id, batch.epoch);
            let ahead = batch.base.wrapping_sub(other.base) & i32::MAX;
            let is_right = if ahead == 0 { at == offset } else { (ahead < 1 << 30) == (at > offset) };
            is_same && !is_right
        })
    }

    /// The proxy knows the batch's producer, perhaps, and not from answers.
    fn is_shown(&mut self, place: Place, batch: &Batch) -> &mut Producer {
        let partition = self.partitions.entry(place).or_default();
        let producer = partition.producers.entry(batch.producer_id).or_insert_with(Producer::unknown);
        producer.unusual = true;
        producer.shown_in = producer.shown_in.max(batch.epoch);
        producer.cloud(batch.epoch);
        producer
    }

    /// A partition's two forms are one: what was shown under the one is known under the other. `is_new`: the name was another
    /// topic's before, of which nothing is known any more.
    pub(super) fn shown_as_one(&mut self, partition: usize, id: u8, is_new: bool, step: u64) {
        let (by_name, by_id) = ((partition, 0), (partition, id));
        // Of one that was cut off on its way the proxy has perhaps seen nothing.
        let is_blank = |it: &Producer| it.in_flight.is_empty() && it.successes.is_empty() && it.unknown.is_empty();
        let nothing_by_name = self.partitions.get(&by_name).is_none_or(|it| it.producers.values().all(is_blank));
        for (from, to) in [(by_name, by_id), (by_id, by_name)] {
            let shown = self.partitions.get(&from).map_or(Vec::new(), |partition| partition.shown.clone());
            for shown in &shown {
                let newest_ms = self.is_shown(from, &shown.batch).newest_ms;
                let known = self.is_shown(to, &shown.batch);
                known.newest_ms = known.newest_ms.max(newest_ms);
            }
            if from == by_id && (nothing_by_name || is_new) {
                // A topic that was known by its id alone is given its name, and nothing else.
                let shown = shown.into_iter().map(|shown| Shown { sent: step + 1, ..shown });
                self.partitions.entry(to).or_default().shown.extend(shown);
            }
        }
    }

    /// The proof for a local answer: an offset.
    pub(super) fn proof_by_log(&self, asked: &Asked, now_ms: u64) -> Option<i64> {
        let partition = self.partitions.get(&asked.place())?;
        let producer = partition.producers.get(&asked.batch.producer_id)?;
        let is_it = |shown: &&Shown| asked.batch.may_be_stored_as(&shown.batch, Keeping::of(&shown.bytes));
        let shown = partition.shown.iter().rev().find(|shown| is_it(shown) && self.holds(asked.place(), shown))?;
        (now_ms.saturating_sub(producer.newest_ms) < self.ttl_ms).then_some(shown.offset)
    }

    /// Whether a batch stands in the log, where its client is told that it does.
    pub(crate) fn stands(
        &self,
        asked: &Asked,
        said: Option<&Said>,
        keeping: Keeping,
        now_ms: u64,
    ) -> Result<(), &'static str> {
        let here = self.partitions.get(&asked.place()).map_or(&[][..], |partition| &partition.shown);
        let mut why = "it was not shown";
        for shown in here.iter().filter(|shown| shown.batch.key() == asked.batch.key()) {
            if said.is_some_and(|said| said.base_offset != shown.offset) {
                why = "it was shown elsewhere";
            } else if !asked.batch.may_be_stored_as(&shown.batch, keeping) {
                why = "another content was shown";
            } else if now_ms - shown.since_ms >= self.ttl_ms {
                why = "it was shown too long ago";
            } else if !self.holds(asked.place(), shown) {
                why = "evidence has ended what was shown";
            } else {
                return Ok(());
            }
        }
        Err(why)
    }

    /// Whether a batch is known to stand in the log that this generation of the broker has: it has acknowledged the
    /// batch, or has shown it, or, where the log may not be read, that the log is as long.
    pub(crate) fn is_of_now(&self, asked: &Asked) -> bool {
        let place = asked.place();
        let Some(partition) = self.partitions.get(&place) else { return false };
        let Some(producer) = partition.producers.get(&asked.batch.producer_id) else { return false };
        let key = asked.batch.key();
        let is_shown = |it: &&Shown| it.by == asked.broker && it.batch.key() == key && self.holds(place, it);
        let of_answers = producer.successes.iter().map(|success| (success.batch.key(), success.offset));
        let of_log = partition.shown.iter().map(|shown| (shown.batch.key(), shown.offset));
        let first = of_answers.chain(of_log).filter(|(other, _)| *other == key).map(|(_, offset)| offset).min();
        let last = first.map_or(i64::MAX, |first| first + asked.batch.count() - 1);
        let reaches = |(by, end): &((usize, u32), i64)| *by == asked.broker && last < *end;
        let has_said = |success: &Success| success.by == asked.broker && success.batch.key() == key;
        (self.is_known_to_broker(asked) && producer.successes.iter().any(has_said))
            || self.is_said_in_another_form(asked)
            || partition.shown.iter().any(|it| is_shown(&it))
            || partition.ends.iter().any(reaches)
    }

    /// Whether this generation of the broker has acknowledged the batch, and no other something of its producer since. What
    /// it has shown the proxy may forget.
    pub(crate) fn has_just_acknowledged(&self, asked: &Asked) -> bool {
        let partition = self.partitions.get(&asked.place());
        let producer = partition.and_then(|partition| partition.producers.get(&asked.batch.producer_id));
        let key = asked.batch.key();
        let has_said = |success: &Success| !success.older && success.proves && success.batch.key() == key;
        self.is_known_to_broker(asked) && producer.is_some_and(|it| it.successes.iter().any(has_said))
    }

    /// Whether this generation of the broker has acknowledged something of the producer.
    fn is_known_to_broker(&self, asked: &Asked) -> bool {
        let partition = self.partitions.get(&asked.place());
        let producer = partition.and_then(|partition| partition.producers.get(&asked.batch.producer_id));
        producer.is_some_and(|it| it.acked_by == Some(asked.broker) && it.alone.is_none())
    }

    /// Whether it has acknowledged the very batch under the topic's other form, which is known to be the same one: after all
    /// was lost one producer id is two clients', who may call it by name and by id.
    fn is_said_in_another_form(&self, asked: &Asked) -> bool {
        let key = asked.batch.key();
        let is_said = |form: u8| {
            let partition = self.partitions.get(&(asked.partition, form));
            let producer = partition.and_then(|partition| partition.producers.get(&asked.batch.producer_id));
            producer.is_some_and(|it| {
                let has_said = |success: &Success| success.by == asked.broker && success.batch.key() == key;
                it.acked_by == Some(asked.broker) && it.alone.is_none() && it.successes.iter().any(has_said)
            })
        };
        self.forms(&asked.topic).into_iter().any(is_said)
    }

    /// Whether a log has shown the producer under another form of the topic, while the two were not known to be one.
    pub(super) fn is_shown_elsewhere(&self, asked: &Asked) -> bool {
        let known = self.forms(&asked.topic);
        let mut others =
            self.partitions.iter().filter(|(place, _)| place.0 == asked.partition && **place != asked.place());
        others.any(|(place, it)| {
            let is_open = |shown: &Shown| !known.contains(&place.1) || shown.sent <= self.linked_at + 1;
            it.shown.iter().any(|shown| shown.batch.producer_id == asked.batch.producer_id && is_open(shown))
        })
    }

    /// Whether nothing has spoken since against what was known at a time.
    pub(crate) fn has_stood(&self, asked: &Asked, (since, since_ms): (u64, u64), now_ms: u64) -> bool {
        let Asked { batch, .. } = asked;
        !self.is_over(asked.place(), batch.producer_id, batch.epoch, since) && now_ms - since_ms < self.ttl_ms
    }

    fn holds(&self, place: Place, shown: &Shown) -> bool {
        // What came in the same step came before.
        !self.is_over(place, shown.batch.producer_id, shown.batch.epoch, shown.sent - 1)
    }
}
