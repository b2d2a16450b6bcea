//! Producer ids, epochs and sequence numbers, and the arithmetic of their ring.

/// A producer's identity, handed out by the cluster; negative for producers that are not idempotent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProducerId(i64);

impl ProducerId {
    /// Wraps a producer id as it stands in a record batch.
    #[must_use]
    pub const fn new(id: i64) -> Self {
        Self(id)
    }

    /// The number as it stands on the wire.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether batches of this producer carry sequence numbers (`RecordBatch.hasProducerId`).
    #[must_use]
    pub const fn is_idempotent(self) -> bool {
        self.0 > -1
    }
}

/// A producer id's epoch, 0 to 32767; an older one is fenced by a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEpoch(i16);

impl ProducerEpoch {
    /// Wraps an epoch as it stands in a record batch.
    #[must_use]
    pub const fn new(epoch: i16) -> Self {
        Self(epoch)
    }

    /// The number as it stands on the wire.
    #[must_use]
    pub const fn get(self) -> i16 {
        self.0
    }
}

/// A sequence number on the ring of 2^31: the successor of 2147483647 is 0
/// (`DefaultRecordBatch.incrementSequence`).
///
/// Deliberately not `Ord`: on a ring, "less than" means nothing without a distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequence(u32);

impl Sequence {
    /// The first sequence of a new producer or a new epoch.
    pub const ZERO: Self = Self(0);

    /// One below the ring's size, and so its mask and its largest member.
    const MAX: u32 = i32::MAX as u32;

    /// Wraps a base sequence from the wire; `None` when it is negative, as in batches without a producer.
    #[must_use]
    pub const fn new(sequence: i32) -> Option<Self> {
        if sequence < 0 { None } else { Some(Self(sequence.cast_unsigned())) }
    }

    /// The number as it stands on the wire, 0 to 2147483647.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0.cast_signed()
    }

    /// This sequence and `count` more, around the ring.
    #[must_use]
    pub const fn advance(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count) & Self::MAX)
    }

    /// How many steps forward lead from `earlier` to this one, 0 to 2^31-1.
    #[must_use]
    pub const fn distance_from(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0) & Self::MAX
    }

    /// Whether the shorter way from `other` to this one goes forward.
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        let distance = self.distance_from(other);
        distance != 0 && distance <= Self::MAX / 2
    }
}

/// The sequences of one batch, both ends included; it may straddle the wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SequenceRange {
    /// The base sequence.
    pub first: Sequence,
    /// The sequence of the last record.
    pub last: Sequence,
}

impl SequenceRange {
    /// The range from `base` that `last_offset_delta` more records follow; `None` when either is negative.
    #[must_use]
    pub fn from_wire(base: i32, last_offset_delta: i32) -> Option<Self> {
        let first = Sequence::new(base)?;
        let delta = u32::try_from(last_offset_delta).ok()?;
        Some(Self { first, last: first.advance(delta) })
    }

    /// The sequence that follows the last one.
    #[must_use]
    pub const fn end(self) -> Sequence {
        self.last.advance(1)
    }

    /// How many sequences the range has, 1 to 2^31.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.last.distance_from(self.first) + 1
    }

    /// Never true: a range has at least its base sequence.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        false
    }

    /// Whether `sequence` lies in the range.
    #[must_use]
    pub const fn contains(self, sequence: Sequence) -> bool {
        sequence.distance_from(self.first) < self.len()
    }

    /// Whether the two ranges share a sequence.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }
}

/// What the broker tells batches of one partition apart by: `ProducerStateEntry.findDuplicateBatch` compares
/// exactly these, and nothing of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId {
    /// Who produced it.
    pub producer_id: ProducerId,
    /// In which epoch.
    pub epoch: ProducerEpoch,
    /// Which of its sequences.
    pub range: SequenceRange,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(n: i32) -> Sequence {
        Sequence::new(n).expect("not negative")
    }

    #[test]
    fn the_successor_of_the_largest_sequence_is_zero() {
        assert_eq!(seq(i32::MAX).advance(1), Sequence::ZERO);
        assert_eq!(Sequence::ZERO.distance_from(seq(i32::MAX)), 1);
        assert!(Sequence::ZERO.is_after(seq(i32::MAX)));
        assert!(!seq(i32::MAX).is_after(Sequence::ZERO));
    }

    #[test]
    fn a_range_may_straddle_the_wrap() {
        let range = SequenceRange::from_wire(i32::MAX - 10, 20).expect("valid");
        assert_eq!(range.last, seq(9));
        assert_eq!(range.end(), seq(10));
        assert_eq!((range.len(), range.is_empty()), (21, false));
        assert!(range.contains(seq(i32::MAX)) && range.contains(seq(0)));
        assert!(!range.contains(seq(10)) && !range.contains(seq(i32::MAX - 11)));
    }

    #[test]
    fn negative_numbers_make_no_range() {
        assert_eq!(SequenceRange::from_wire(-1, 0), None);
        assert_eq!(SequenceRange::from_wire(0, -1), None);
    }

    #[test]
    fn overlap_is_seen_from_both_sides() {
        let range = |base, delta| SequenceRange::from_wire(base, delta).expect("valid");
        assert!(range(6, 2).overlaps(range(7, 1)));
        assert!(range(7, 1).overlaps(range(6, 2)));
        assert!(!range(0, 4).overlaps(range(5, 4)));
    }
}
