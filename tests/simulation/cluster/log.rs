//! One partition's log with what it knows of its producers, written from the rules of `ProducerStateManager` and
//! `ProducerAppendInfo`: none of seqgate's code, nor of its sandbox, is in it.

use std::collections::{BTreeMap, VecDeque};

use crate::batch::{Batch, Keeping, advance, append_time};
use crate::random::Random;

/// As many as `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`.
const RETAINED: usize = 5;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It stands at this offset now.
    New(i64),
    /// It stood at this offset before.
    Duplicate(i64),
    /// It was refused with this code.
    Refused(i16),
}

/// Something that stands in the log.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) offset: i64,
    pub(crate) what: Entry,
}

/// A batch of records, or a transaction's end.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Batch(Batch),
    /// Written by the coordinator: producer and the epoch of the marker.
    Marker(i64, i16),
}

#[derive(Clone, Debug, Default)]
struct Producer {
    /// -1: nothing of it is known.
    epoch: i16,
    /// First and last sequence and first offset of its newest batches.
    retained: VecDeque<(i32, i32, i64)>,
    in_transaction: bool,
}

/// The log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) stored: Vec<Stored>,
    /// What lies below it is not given out any more.
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Everything below it is at all in-sync replicas.
    pub(crate) high_watermark: i64,
    producers: BTreeMap<i64, Producer>,
    /// Those that it knew before it forgot some.
    before: BTreeMap<i64, Producer>,
}

/// What is told of a producer to whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i32,
    /// -1: nothing of its epoch is known but a marker.
    pub(crate) last: i32,
    /// Of its newest batch.
    pub(crate) timestamp: i64,
    /// Where its open transaction begins, or -1; to the model any place will do.
    pub(crate) transaction: i64,
}

impl Log {
    /// Takes a client's batch, after all checks that come before the log.
    pub(crate) fn append(&mut self, batch: &Batch) -> Appended {
        if !batch.is_idempotent() {
            return Appended::New(self.write(Entry::Batch(batch.clone()), batch.count()));
        }
        if let Some(known) = self.producers.get(&batch.producer_id) {
            if let Some(offset) = known.duplicate(batch) {
                return Appended::Duplicate(offset);
            }
            if let Some(code) = known.refuses(batch) {
                return Appended::Refused(code);
            }
            if known.in_transaction && !batch.transactional {
                return Appended::Refused(48);
            }
        }
        let offset = self.write(Entry::Batch(batch.clone()), batch.count());
        self.note(batch, offset);
        Appended::New(offset)
    }

    /// The coordinator ends a transaction here.
    pub(crate) fn mark(&mut self, producer_id: i64, epoch: i16) {
        self.write(Entry::Marker(producer_id, epoch), 1);
        self.note_marker(producer_id, epoch);
    }

    fn write(&mut self, what: Entry, count: i64) -> i64 {
        let offset = self.end;
        self.stored.push(Stored { offset, what });
        self.end += count;
        offset
    }

    fn note(&mut self, batch: &Batch, offset: i64) {
        let known = self.producers.entry(batch.producer_id).or_insert_with(Producer::unknown);
        known.enter(batch.epoch);
        known.retained.push_back((batch.base, batch.last(), offset));
        if known.retained.len() > RETAINED {
            known.retained.pop_front();
        }
        known.in_transaction |= batch.transactional;
    }

    fn note_marker(&mut self, producer_id: i64, epoch: i16) {
        let known = self.producers.entry(producer_id).or_insert_with(Producer::unknown);
        known.enter(epoch);
        known.in_transaction = false;
    }

    /// Every replica has what the leader has.
    pub(crate) fn replicate(&mut self) {
        self.high_watermark = self.end;
    }

    /// A snapshot holds the last batch of every producer.
    pub(crate) fn restart(&mut self) {
        for producer in self.producers.values_mut() {
            producer.retained.drain(..producer.retained.len().saturating_sub(1));
        }
    }

    /// Producers without a transaction are forgotten.
    pub(crate) fn expire(&mut self) {
        self.before = self.producers.clone();
        self.producers.retain(|_, producer| producer.in_transaction);
    }

    /// Another replica leads, which has the log up to `end`: what it knows of producers it has built from that.
    pub(crate) fn truncate(&mut self, end: i64) {
        self.stored.retain(|stored| stored.offset < end);
        (self.start, self.end) = (self.start.min(end), end);
        self.high_watermark = self.high_watermark.min(end);
        self.before = std::mem::take(&mut self.producers);
        for Stored { offset, what } in std::mem::take(&mut self.stored) {
            match &what {
                Entry::Batch(batch) if batch.is_idempotent() => self.note(batch, offset),
                Entry::Batch(_) => {}
                Entry::Marker(producer_id, epoch) => self.note_marker(*producer_id, *epoch),
            }
            self.stored.push(Stored { offset, what });
        }
    }

    /// What is old enough is not given out any more (retention); what is known of producers stays.
    pub(crate) fn trim(&mut self, random: &mut Random) {
        let is_old = |start: &i64| (self.start..=self.high_watermark).contains(start);
        let starts: Vec<i64> = self.stored.iter().map(|stored| stored.offset).filter(is_old).collect();
        if !starts.is_empty() {
            self.start = *random.pick(&starts);
        }
    }

    /// Whether a later epoch of the producer is known.
    pub(crate) fn is_fenced(&self, producer_id: i64, epoch: i16) -> bool {
        self.producers.get(&producer_id).is_some_and(|known| known.epoch > epoch)
    }

    /// Whether anything is known of the producer.
    pub(crate) fn knows(&self, producer_id: i64) -> bool {
        self.producers.contains_key(&producer_id)
    }

    /// The producers as DescribeProducers lists them.
    pub(crate) fn listed(&self, keeping: Keeping) -> Vec<Listed> {
        self.list(&self.producers, keeping)
    }

    /// As they were before some were forgotten.
    pub(crate) fn listed_before(&self, keeping: Keeping) -> Vec<Listed> {
        self.list(&self.before, keeping)
    }

    fn list(&self, producers: &BTreeMap<i64, Producer>, keeping: Keeping) -> Vec<Listed> {
        let list = |(producer_id, known): (&i64, &Producer)| {
            let newest = known.retained.back();
            let (last, offset) = newest.map_or((-1, -1), |(_, last, offset)| (*last, *offset));
            let batch = self.batches().find(|(at, _)| *at == offset).map(|(_, batch)| batch);
            let made = batch.map_or(-1, |batch| batch.time_of(batch.count() - 1));
            let timestamp = if keeping.stamps && batch.is_some() { append_time(offset) } else { made };
            let transaction = if known.in_transaction { 0 } else { -1 };
            Listed { producer_id: *producer_id, epoch: i32::from(known.epoch), last, timestamp, transaction }
        };
        producers.iter().map(list).collect()
    }

    /// The batches, with their offsets.
    pub(crate) fn batches(&self) -> impl Iterator<Item = (i64, &Batch)> {
        self.stored.iter().filter_map(|stored| match &stored.what {
            Entry::Batch(batch) => Some((stored.offset, batch)),
            Entry::Marker(..) => None,
        })
    }

    /// Where batches may be cut off, at or behind `from`: the offsets at which something ends.
    pub(crate) fn ends_from(&self, from: i64) -> Vec<i64> {
        let starts = self.stored.iter().map(|stored| stored.offset).chain([self.end]);
        starts.filter(|offset| *offset >= from).collect()
    }
}

impl Producer {
    fn unknown() -> Self {
        Self { epoch: -1, ..Self::default() }
    }

    /// Exactly the same range in the same epoch; the content is not compared.
    fn duplicate(&self, batch: &Batch) -> Option<i64> {
        let same = |(first, last, _): &&(i32, i32, i64)| (*first, *last) == (batch.base, batch.last());
        self.retained.iter().filter(|_| self.epoch == batch.epoch).find(same).map(|(.., offset)| *offset)
    }

    /// S3 to S9, in their order.
    fn refuses(&self, batch: &Batch) -> Option<i16> {
        let Some((_, last, _)) = self.retained.back().filter(|_| batch.epoch == self.epoch) else {
            return match batch.epoch {
                older if older < self.epoch => Some(47),
                // A new epoch, or one that only a marker was seen of, starts at 0.
                _ => (batch.base != 0).then_some(45),
            };
        };
        (batch.base != advance(*last, 1)).then_some(45)
    }

    fn enter(&mut self, epoch: i16) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.retained.clear();
        }
    }
}
