//! Which acknowledged batches of a partition were found in its log, in the broker's present generation.

use std::collections::VecDeque;

use super::allowance::allocated;
use super::attempts::BrokerGeneration;

/// How many are remembered; of one that is forgotten the log is asked again.
const BATCHES_MAX: usize = 256;

/// A proof that is older than the broker's generation may be of a log that is no more. It is good for an answer again
/// once the log was seen to have the very batch at its place; that holds for as long as the generation does.
///
/// Each batch for itself: that one is there says nothing of others, which were perhaps acknowledged in another log.
#[derive(Debug, Default)]
pub(super) struct Confirmed(Option<Box<Batches>>);

#[derive(Debug)]
struct Batches {
    by: BrokerGeneration,
    /// Their base offsets, the latest found last.
    offsets: VecDeque<i64>,
    /// What lies below this offset may be taken for confirmed where the log itself may not be read.
    below: i64,
}

impl Confirmed {
    /// What one more takes at most, in bytes.
    pub(super) const GROWTH_MAX: usize = allocated(size_of::<Batches>()) + allocated(BATCHES_MAX * size_of::<i64>());

    /// Whether the batch at this place was found in the log in this generation.
    pub(super) fn has(&self, by: BrokerGeneration, base_offset: i64, last_offset: i64) -> bool {
        self.0.as_ref().is_some_and(|batches| {
            batches.by == by && (last_offset < batches.below || batches.offsets.contains(&base_offset))
        })
    }

    /// The batch that begins at `base_offset` was found.
    pub(super) fn add(&mut self, by: BrokerGeneration, base_offset: i64) {
        let offsets = &mut self.of(by).offsets;
        if offsets.contains(&base_offset) {
            return;
        }
        if offsets.len() == BATCHES_MAX {
            offsets.pop_front();
        }
        offsets.push_back(base_offset);
    }

    /// The log reaches up to `end`, and is the one of the same topic of the same cluster.
    pub(super) fn add_below(&mut self, by: BrokerGeneration, end: i64) {
        let batches = self.of(by);
        batches.below = batches.below.max(end);
    }

    /// What it takes in memory beside itself, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |batches| {
            allocated(size_of::<Batches>()) + allocated(batches.offsets.capacity() * size_of::<i64>())
        })
    }

    fn of(&mut self, by: BrokerGeneration) -> &mut Batches {
        let batches = self.0.get_or_insert_with(|| Box::new(Batches { by, offsets: VecDeque::new(), below: -1 }));
        if batches.by != by {
            **batches = Batches { by, offsets: VecDeque::new(), below: -1 };
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: BrokerGeneration = BrokerGeneration { broker: 1, generation: 4 };
    const LATER: BrokerGeneration = BrokerGeneration { broker: 1, generation: 5 };

    #[test]
    fn a_batch_is_confirmed_for_one_generation() {
        let mut confirmed = Confirmed::default();
        assert!(!confirmed.has(NOW, 10, 12));
        confirmed.add(NOW, 10);
        assert!(confirmed.has(NOW, 10, 12) && !confirmed.has(NOW, 9, 9) && !confirmed.has(LATER, 10, 12));
        confirmed.add(LATER, 20);
        assert!(!confirmed.has(NOW, 10, 12) && !confirmed.has(LATER, 10, 12) && confirmed.has(LATER, 20, 20));
    }

    #[test]
    fn without_a_look_at_the_batch_the_end_of_the_log_has_to_do() {
        let mut confirmed = Confirmed::default();
        confirmed.add_below(NOW, 13);
        assert!(confirmed.has(NOW, 10, 12) && !confirmed.has(NOW, 12, 13));
    }

    #[test]
    fn the_latest_found_are_remembered() {
        let mut confirmed = Confirmed::default();
        (0..300).for_each(|offset| confirmed.add(NOW, offset));
        assert!(!confirmed.has(NOW, 43, 43) && confirmed.has(NOW, 44, 44) && confirmed.has(NOW, 299, 299));
        assert!(confirmed.bytes() <= Confirmed::GROWTH_MAX);
    }
}
