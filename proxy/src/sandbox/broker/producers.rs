//! What a partition's leader remembers of each producer, and what it accepts from it: the rules of Kafka's
//! `ProducerStateManager` and `ProducerAppendInfo`.
//!
//! Transactions are left out, and with them the two rules that look at a transaction's verification entry. A marker's
//! effect is here all the same, as it is what makes a producer known without a batch.

use std::collections::{HashMap, VecDeque};

use seqgate_protocol::sequencing::{BatchId, ProducerEpoch, ProducerId, Sequence, SequenceRange};

/// How many batches of a producer are remembered: `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`.
const BATCHES_MAX: usize = 5;

/// Why a batch is not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Error 45: a gap, a duplicate that is no longer remembered, or a partial overlap.
    OutOfOrderSequence,
    /// Error 47: an epoch older than the newest.
    InvalidProducerEpoch,
}

/// A batch that was appended before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its sequences.
    pub range: SequenceRange,
    /// The offset of its first record.
    pub base_offset: i64,
    /// Its newest record's timestamp, which stands as append time in the answer to a duplicate.
    pub max_timestamp_ms: i64,
}

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Append it.
    Append,
    /// Answer it as its original was answered.
    Duplicate(Remembered),
}

#[derive(Clone, Debug)]
struct Entry {
    epoch: ProducerEpoch,
    /// Oldest first; empty only after a marker of a new epoch.
    batches: VecDeque<Remembered>,
    last_timestamp_ms: i64,
}

/// The producers of one partition.
#[derive(Debug)]
pub struct Producers {
    entries: HashMap<ProducerId, Entry>,
    producers_max: usize,
}

impl Producers {
    /// No producer known yet, and `producers_max` at most later.
    #[must_use]
    pub fn new(producers_max: usize) -> Self {
        assert!(producers_max > 0, "room for one producer at least");
        Self { entries: HashMap::new(), producers_max }
    }

    /// Decides on a batch; changes nothing.
    pub fn admit(&self, batch: BatchId) -> Result<Admission, Refusal> {
        let Some(entry) = self.entries.get(&batch.producer_id) else {
            // An unknown producer may begin anywhere.
            return Ok(Admission::Append);
        };
        if let Some(original) = entry.duplicate_of(batch) {
            return Ok(Admission::Duplicate(original));
        }
        entry.check_epoch(batch)?;
        entry.check_sequence(batch)?;
        Ok(Admission::Append)
    }

    /// Remembers a batch that was appended at `base_offset`.
    pub fn appended(&mut self, batch: BatchId, base_offset: i64, max_timestamp_ms: i64) {
        let entry = self.entry(batch.producer_id, batch.epoch);
        entry.last_timestamp_ms = max_timestamp_ms;
        if entry.batches.len() == BATCHES_MAX {
            entry.batches.pop_front();
        }
        entry.batches.push_back(Remembered { range: batch.range, base_offset, max_timestamp_ms });
        debug_assert!(entry.batches.len() <= BATCHES_MAX);
    }

    /// Remembers a transaction's marker: a new epoch forgets the batches, the same one keeps them.
    pub fn marked(&mut self, producer: ProducerId, epoch: ProducerEpoch, timestamp_ms: i64) {
        self.entry(producer, epoch).last_timestamp_ms = timestamp_ms;
    }

    /// Keeps one batch of each producer, as a restarted broker does: a snapshot holds no more.
    pub fn restart(&mut self) {
        for entry in self.entries.values_mut() {
            let older = entry.batches.len().saturating_sub(1);
            entry.batches.drain(..older);
        }
    }

    /// Forgets the producers whose newest record is `expiration_ms` old. The clock is the records' own.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.entries.retain(|_, entry| now_ms.saturating_sub(entry.last_timestamp_ms) < expiration_ms);
    }

    /// How many producers are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no producer is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn entry(&mut self, producer: ProducerId, epoch: ProducerEpoch) -> &mut Entry {
        if self.entries.len() >= self.producers_max && !self.entries.contains_key(&producer) {
            self.evict_oldest();
        }
        let fresh = || Entry { epoch, batches: VecDeque::new(), last_timestamp_ms: -1 };
        let entry = self.entries.entry(producer).or_insert_with(fresh);
        if entry.epoch != epoch {
            *entry = fresh();
        }
        entry
    }

    fn evict_oldest(&mut self) {
        let oldest =
            self.entries.iter().min_by_key(|(id, entry)| (entry.last_timestamp_ms, id.get())).map(|(id, _)| *id);
        if let Some(oldest) = oldest {
            self.entries.remove(&oldest);
        }
    }
}

impl Entry {
    /// Exactly the same sequences in the same epoch; the content is not compared.
    fn duplicate_of(&self, batch: BatchId) -> Option<Remembered> {
        let same = |known: &&Remembered| self.epoch == batch.epoch && known.range == batch.range;
        self.batches.iter().find(same).copied()
    }

    fn check_epoch(&self, batch: BatchId) -> Result<(), Refusal> {
        if batch.epoch < self.epoch { Err(Refusal::InvalidProducerEpoch) } else { Ok(()) }
    }

    fn check_sequence(&self, batch: BatchId) -> Result<(), Refusal> {
        if batch.range.first == self.expected(batch.epoch) { Ok(()) } else { Err(Refusal::OutOfOrderSequence) }
    }

    /// A new epoch begins at 0, and so does one of which only a marker is known.
    fn expected(&self, epoch: ProducerEpoch) -> Sequence {
        match self.batches.back() {
            Some(newest) if epoch == self.epoch => newest.range.end(),
            Some(_) | None => Sequence::ZERO,
        }
    }
}

#[cfg(test)]
#[path = "producers_tests.rs"]
mod tests;
