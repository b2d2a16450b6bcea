//! The offsets that a partition's last acknowledged batches took, whoever produced them.

use std::collections::VecDeque;

use super::allowance::allocated;
use super::sequence::{BatchId, ProducerEpoch, ProducerId, Sequence};

/// How many acknowledged intervals a partition remembers.
const INTERVALS_MAX: usize = 64;

/// Room for so many is always there.
const INTERVALS_MIN: usize = 4;

/// One acknowledged batch's place in the log, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) batch: Identity,
}

/// Which batch it is; its length is that of its interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    producer: ProducerId,
    base: Sequence,
    epoch: ProducerEpoch,
}

impl Identity {
    pub(super) const fn of(batch: BatchId) -> Self {
        Self { producer: batch.producer_id, base: batch.range.first, epoch: batch.epoch }
    }
}

impl Interval {
    /// Of producers without sequences no two batches are the same one.
    fn is_of_same_batch(&self, other: &Self) -> bool {
        self.batch.producer.is_idempotent()
            && self.batch == other.batch
            && self.last - self.first == other.last - other.first
    }
}

/// How a new interval stands to the remembered ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It intersects none.
    New,
    /// The same batch at the same place.
    Known,
    /// Another batch at the same place, or the same batch at another: the log is not what it was.
    Contradiction,
}

/// A log gives every offset once, so intersecting intervals of different batches prove that an acknowledged part
/// of it was lost.
#[derive(Debug)]
pub(super) struct Intervals {
    newest: VecDeque<Interval>,
    /// The highest offset in `newest`: what starts above it intersects nothing.
    highest: i64,
}

impl Intervals {
    /// What an empty one takes beside itself, in bytes.
    pub(super) const BYTES_MIN: usize = allocated(INTERVALS_MIN * size_of::<Interval>());

    pub(super) fn new() -> Self {
        Self { newest: VecDeque::with_capacity(INTERVALS_MIN), highest: -1 }
    }

    /// `is_new`: the batch was not acknowledged before, as far as its producer's sequences tell.
    #[inline]
    pub(super) fn fit(&self, interval: &Interval, is_new: bool) -> Fit {
        // What lies above them all need not be compared, unless the same batch may stand below as well.
        if is_new && interval.first > self.highest { Fit::New } else { self.compare(interval) }
    }

    #[cold]
    fn compare(&self, interval: &Interval) -> Fit {
        let mut fit = Fit::New;
        for known in &self.newest {
            let same_batch = interval.is_of_same_batch(known);
            // One batch is as long wherever it stands.
            let same_place = interval.first == known.first;
            let apart = interval.first > known.last || interval.last < known.first;
            match (same_batch, same_place, apart) {
                (true, true, _) => fit = Fit::Known,
                (true, false, _) | (false, _, false) => return Fit::Contradiction,
                (false, _, true) => {}
            }
        }
        fit
    }

    /// Whether one of them is of this producer.
    pub(super) fn has_any_of(&self, producer: ProducerId) -> bool {
        self.newest.iter().any(|known| known.batch.producer == producer)
    }

    /// Whether a batch that begins at `offset` would begin inside another one.
    pub(super) fn are_cut_by(&self, offset: i64) -> bool {
        self.newest.iter().any(|known| known.first < offset && offset <= known.last)
    }

    /// Returns by how many bytes it has grown. Whether it may is asked only when it would.
    #[inline]
    pub(super) fn push(&mut self, interval: Interval, may_grow: impl FnOnce() -> bool) -> usize {
        let is_full = self.newest.len() == self.newest.capacity();
        let mut grown = 0;
        if self.newest.len() == INTERVALS_MAX || is_full && !may_grow() {
            self.newest.pop_front();
        } else if is_full {
            grown = self.grow();
        }
        self.highest = self.highest.max(interval.last);
        self.newest.push_back(interval);
        grown
    }

    #[cold]
    fn grow(&mut self) -> usize {
        let before = self.bytes();
        self.newest.reserve(1);
        self.bytes() - before
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    /// What the intervals take in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        allocated(self.newest.capacity() * size_of::<Interval>())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sequence::SequenceRange;
    use super::*;

    fn interval(first: i64, last: i64, base: i32) -> Interval {
        let range = SequenceRange::from_wire(base, i32::try_from(last - first).unwrap()).unwrap();
        let batch = BatchId { producer_id: ProducerId::new(7), epoch: ProducerEpoch::new(0), range };
        Interval { first, last, batch: Identity::of(batch) }
    }

    fn nobodys(at: i64) -> Interval {
        let batch = Identity { producer: ProducerId::new(-1), ..interval(at, at, 0).batch };
        Interval { batch, ..interval(at, at, 0) }
    }

    #[test]
    fn an_interval_takes_32_bytes() {
        assert_eq!(size_of::<Interval>(), 32);
    }

    #[test]
    fn batches_without_a_producer_are_never_the_same() {
        let mut known = Intervals::new();
        known.push(nobodys(104), || true);
        assert_eq!(known.fit(&nobodys(104), false), Fit::Contradiction);
    }

    #[test]
    fn interval_collision_is_seen_under_any_order() {
        let mut known = Intervals::new();
        known.push(interval(100, 104, 0), || true);
        known.push(interval(105, 109, 5), || true);
        assert_eq!(known.fit(&interval(110, 114, 10), false), Fit::New);
        assert_eq!(known.fit(&interval(100, 104, 0), false), Fit::Known);
        assert_eq!(known.fit(&interval(103, 107, 20), false), Fit::Contradiction);
        assert_eq!(known.fit(&interval(90, 94, 0), false), Fit::Contradiction);
        assert_eq!(known.fit(&interval(90, 94, 30), false), Fit::New);
        assert_eq!(known.fit(&nobodys(104), false), Fit::Contradiction);
    }

    #[test]
    fn a_new_batch_is_compared_from_the_highest_known_offset_down() {
        let mut known = Intervals::new();
        known.push(interval(100, 104, 0), || true);
        assert_eq!(known.fit(&interval(104, 108, 5), true), Fit::Contradiction);
        assert_eq!(known.fit(&interval(105, 109, 5), true), Fit::New);
    }

    #[test]
    fn nothing_stays_of_a_log_that_is_no_more() {
        let mut known = Intervals::new();
        for n in 0..10 {
            known.push(interval(n, n, 0), || true);
        }
        known.clear();
        assert_eq!(known.fit(&interval(5, 9, 500), false), Fit::New);
        assert!(!known.are_cut_by(5));
        assert_eq!((known.newest.len(), known.bytes()), (0, Intervals::BYTES_MIN));
    }

    #[test]
    fn without_room_to_grow_the_oldest_makes_room() {
        let mut known = Intervals::new();
        for n in 0..10 {
            known.push(interval(n, n, 0), || false);
        }
        assert_eq!((known.newest.len(), known.bytes()), (INTERVALS_MIN, Intervals::BYTES_MIN));
        assert_eq!(known.fit(&interval(5, 5, 500), false), Fit::New);
        assert_eq!(known.fit(&interval(6, 6, 500), false), Fit::Contradiction);
    }

    #[test]
    fn a_batch_that_was_acknowledged_before_is_compared_wherever_it_stands() {
        let mut known = Intervals::new();
        known.push(interval(100, 104, 0), || true);
        known.push(interval(105, 109, 5), || true);
        assert_eq!(known.fit(&interval(500, 504, 0), false), Fit::Contradiction);
        assert_eq!(known.fit(&interval(500, 504, 10), true), Fit::New);
    }

    #[test]
    fn a_batch_does_not_begin_inside_another() {
        let mut known = Intervals::new();
        known.push(interval(100, 104, 0), || true);
        assert!(!known.are_cut_by(100) && known.are_cut_by(101) && known.are_cut_by(104) && !known.are_cut_by(105));
    }

    #[test]
    fn only_the_newest_are_remembered() {
        let mut known = Intervals::new();
        for n in 0..100 {
            known.push(interval(n, n, i32::try_from(n).unwrap()), || true);
        }
        assert_eq!(known.newest.len(), INTERVALS_MAX);
        assert_eq!(known.fit(&interval(0, 0, 500), false), Fit::New);
    }
}
