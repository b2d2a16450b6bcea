//! A model of a broker's idempotence, written from its rules and not from ours (`ProducerStateManager`).

use std::collections::{BTreeMap, VecDeque};

/// What a broker knows a batch by, and its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Sent {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) base: i32,
    pub(crate) count: i32,
}

impl Sent {
    fn last(self) -> i32 {
        advance(self.base, self.count - 1)
    }
}

fn advance(sequence: i32, by: i32) -> i32 {
    ((i64::from(sequence) + i64::from(by)) % (1 << 31)) as i32
}

#[derive(Clone, Debug)]
struct Producer {
    epoch: i16,
    cached: VecDeque<(Sent, i64)>,
}

/// One partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) batches: Vec<(Sent, i64)>,
    end: i64,
    producers: BTreeMap<i64, Producer>,
}

/// As many as `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`.
const CACHED: usize = 5;

impl Log {
    /// The error code, and the offset of the first record or -1.
    pub(crate) fn append(&mut self, sent: Sent) -> (i16, i64) {
        if sent.producer_id < 0 {
            return (0, self.write(sent));
        }
        if let Some(known) = self.producers.get(&sent.producer_id) {
            let same = |(cached, _): &&(Sent, i64)| cached.base == sent.base && cached.last() == sent.last();
            if let Some((_, offset)) = known.cached.iter().filter(|_| known.epoch == sent.epoch).find(same) {
                return (0, *offset);
            }
            let last = known.cached.back().map(|(cached, _)| cached.last());
            let expected = match last {
                _ if sent.epoch < known.epoch => return (47, -1),
                Some(last) if sent.epoch == known.epoch => advance(last, 1),
                _ => 0,
            };
            if sent.base != expected {
                return (45, -1);
            }
        }
        let offset = self.write(sent);
        let known = self.producers.entry(sent.producer_id);
        let known = known.or_insert_with(|| Producer { epoch: sent.epoch, cached: VecDeque::new() });
        if known.epoch != sent.epoch {
            *known = Producer { epoch: sent.epoch, cached: VecDeque::new() };
        }
        known.cached.push_back((sent, offset));
        if known.cached.len() > CACHED {
            known.cached.pop_front();
        }
        (0, offset)
    }

    fn write(&mut self, sent: Sent) -> i64 {
        let offset = self.end;
        self.batches.push((sent, offset));
        self.end += i64::from(sent.count);
        offset
    }

    /// A snapshot holds the last batch of every producer.
    pub(crate) fn restart(&mut self) {
        for producer in self.producers.values_mut() {
            producer.cached.drain(..producer.cached.len().saturating_sub(1));
        }
    }

    /// Every producer is forgotten.
    pub(crate) fn expire(&mut self) {
        self.producers.clear();
    }

    /// The newest batch is gone, and what is known is built anew from what is left.
    pub(crate) fn lose_newest(&mut self) {
        self.batches.pop();
        let left = std::mem::take(&mut self.batches);
        *self = Self::default();
        for (sent, _) in left {
            self.append(sent);
        }
    }
}

fn sent(epoch: i16, base: i32, count: i32) -> Sent {
    Sent { producer_id: 7, epoch, base, count }
}

#[test]
fn the_model_agrees_with_the_producer_state_managers_tests() {
    let mut log = Log::default();
    assert_eq!(log.append(sent(0, 0, 5)), (0, 0));
    assert_eq!(log.append(sent(0, 0, 5)), (0, 0), "duplicate");
    assert_eq!(log.append(sent(0, 7, 1)), (45, -1), "gap");
    assert_eq!(log.append(sent(0, 3, 2)), (45, -1), "overlap");
    assert_eq!(log.append(sent(1, 5, 1)), (45, -1), "testRejectNonZeroSequenceForDirectEpochBump");
    assert_eq!(log.append(sent(17, 0, 1)), (0, 5), "any jump of the epoch");
    assert_eq!(log.append(sent(0, 5, 1)), (47, -1), "testOldProducerEpoch");
    let mut log = Log::default();
    assert_eq!(log.append(sent(0, i32::MAX - 10, 21)), (0, 0), "an unknown producer begins anywhere");
    assert_eq!(log.append(sent(0, 10, 1)), (0, 21), "testProducerSequenceWithWrapAroundBatchRecord");
    let mut log = Log::default();
    assert_eq!(log.append(sent(0, i32::MAX, 1)).0, 0);
    assert_eq!(log.append(sent(0, 1, 1)).0, 45, "testProducerSequenceInvalidWrapAround");
    assert_eq!(log.append(sent(0, 0, 1)).0, 0, "testProducerSequenceWrapAround");
}

#[test]
fn the_model_remembers_five_batches_and_one_after_a_restart() {
    let mut log = Log::default();
    for n in 0..7 {
        assert_eq!(log.append(sent(0, n, 1)), (0, i64::from(n)));
    }
    assert_eq!(log.append(sent(0, 2, 1)), (0, 2));
    assert_eq!(log.append(sent(0, 1, 1)), (45, -1));
    log.restart();
    assert_eq!(log.append(sent(0, 6, 1)), (0, 6));
    assert_eq!(log.append(sent(0, 5, 1)), (45, -1));
    log.expire();
    assert_eq!(log.append(sent(0, 5, 1)), (0, 7));
}
