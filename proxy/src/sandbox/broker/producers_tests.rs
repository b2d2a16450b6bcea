//! The cases of Kafka's `ProducerStateManagerTest` and `UnifiedLogTest` that concern idempotent producers.

use super::*;

const MAX: i32 = i32::MAX;

fn batch_of(producer: i64, epoch: i16, base: i32, delta: i32) -> BatchId {
    BatchId {
        producer_id: ProducerId::new(producer),
        epoch: ProducerEpoch::new(epoch),
        range: SequenceRange::from_wire(base, delta).expect("valid"),
    }
}

fn batch(epoch: i16, base: i32, last: i32) -> BatchId {
    batch_of(7, epoch, base, last - base)
}

/// A log's producers with a next offset, so that a test reads as a list of batches.
struct Leader {
    producers: Producers,
    next_offset: i64,
}

impl Leader {
    fn new() -> Self {
        Self { producers: Producers::new(10), next_offset: 0 }
    }

    fn append(&mut self, batch: BatchId) -> Result<i64, Refusal> {
        match self.producers.admit(batch)? {
            Admission::Duplicate(original) => Ok(original.base_offset),
            Admission::Append => {
                let at = self.next_offset;
                self.producers.appended(batch, at, 1_000 + at);
                self.next_offset += i64::from(batch.range.len());
                Ok(at)
            }
        }
    }

    fn append_all(&mut self, batches: impl IntoIterator<Item = BatchId>) {
        for batch in batches {
            self.append(batch).expect("in order");
        }
    }
}

#[test]
fn basic_id_mapping() {
    let mut leader = Leader::new();
    assert_eq!(leader.append(batch(0, 0, 0)), Ok(0));
    assert_eq!(leader.append(batch(0, 1, 1)), Ok(1));
    assert_eq!(leader.append(batch(0, 1, 1)), Ok(1), "a duplicate gets the original offset");
    assert_eq!(leader.append(batch(0, 5, 5)), Err(Refusal::OutOfOrderSequence), "a gap");
    assert_eq!(leader.append(batch(1, 0, 0)), Ok(2), "a new epoch begins at zero");
    assert_eq!(leader.append(batch(0, 0, 0)), Err(Refusal::InvalidProducerEpoch), "the old epoch is fenced");
}

#[test]
fn append_to_unknown_producer_accepts_any_sequence() {
    assert_eq!(Leader::new().append(batch(0, 500, 509)), Ok(0));
    assert_eq!(Leader::new().append(batch(17, MAX, MAX)), Ok(0));
}

#[test]
fn producer_sequence_wrap_around() {
    let mut leader = Leader::new();
    leader.append_all([batch(0, MAX, MAX), batch(0, 0, 0), batch(0, 1, 1)]);
    assert_eq!(leader.append(batch(0, MAX, MAX)), Ok(0), "still remembered");
}

#[test]
fn producer_sequence_with_wrap_around_batch_record() {
    let mut leader = Leader::new();
    let straddling = batch_of(7, 0, MAX - 10, 20);
    leader.append_all([straddling, batch(0, 10, 10)]);
    assert_eq!(leader.append(straddling), Ok(0));
}

#[test]
fn producer_sequence_invalid_wrap_around() {
    let mut leader = Leader::new();
    leader.append_all([batch(0, MAX, MAX)]);
    assert_eq!(leader.append(batch(0, 1, 1)), Err(Refusal::OutOfOrderSequence));
    assert_eq!(leader.append(batch(0, 0, 0)), Ok(1));
}

#[test]
fn duplicate_appends() {
    let mut leader = Leader::new();
    leader.append_all((0..7).map(|n| batch(0, n * 3, n * 3 + 2)));
    assert_eq!(leader.append(batch(0, 18, 20)), Ok(18), "the newest");
    assert_eq!(leader.append(batch(0, 6, 8)), Ok(6), "the fifth last");
    assert_eq!(leader.append(batch(0, 3, 5)), Err(Refusal::OutOfOrderSequence), "the sixth last is forgotten");
    assert_eq!(leader.append(batch(0, 7, 8)), Err(Refusal::OutOfOrderSequence), "a part of one");
    assert_eq!(leader.append(batch(0, 6, 11)), Err(Refusal::OutOfOrderSequence), "more than one");
    assert_eq!(leader.append(batch(0, 18, 19)), Err(Refusal::OutOfOrderSequence), "same base, other length");
    assert_eq!(leader.append(batch(0, 21, 23)), Ok(21), "refusals change nothing");
}

#[test]
fn duplicate_carries_the_original_batchs_max_timestamp() {
    let mut leader = Leader::new();
    leader.append_all([batch(0, 0, 4), batch(0, 5, 9)]);
    let Ok(Admission::Duplicate(original)) = leader.producers.admit(batch(0, 5, 9)) else {
        panic!("a duplicate");
    };
    assert_eq!((original.base_offset, original.max_timestamp_ms), (5, 1_005));
}

#[test]
fn reject_non_zero_sequence_for_direct_epoch_bump() {
    let mut leader = Leader::new();
    leader.append_all([batch(0, 0, 4)]);
    assert_eq!(leader.append(batch(1, 5, 5)), Err(Refusal::OutOfOrderSequence));
    assert_eq!(leader.append(batch(0, 0, 4)), Ok(0), "the old epoch is untouched");
    assert_eq!(leader.append(batch(0, 5, 5)), Ok(5));
}

#[test]
fn any_epoch_jump_is_accepted_at_zero() {
    let mut leader = Leader::new();
    leader.append_all([batch(0, 0, 4), batch(17, 0, 4)]);
    assert_eq!(leader.append(batch(17, 0, 4)), Ok(5));
    assert_eq!(leader.append(batch(16, 0, 4)), Err(Refusal::InvalidProducerEpoch));
}

#[test]
fn control_record_bumps_producer_epoch() {
    let mut leader = Leader::new();
    leader.append_all([batch(0, 0, 9)]);
    leader.producers.marked(ProducerId::new(7), ProducerEpoch::new(1), 2_000);
    assert_eq!(leader.append(batch(0, 10, 10)), Err(Refusal::InvalidProducerEpoch));
    assert_eq!(leader.append(batch(1, 10, 10)), Err(Refusal::OutOfOrderSequence));
    assert_eq!(leader.append(batch(1, 0, 0)), Ok(10));
}

#[test]
fn control_record_of_the_same_epoch_keeps_the_sequence() {
    let mut leader = Leader::new();
    leader.append_all([batch(0, 0, 9)]);
    leader.producers.marked(ProducerId::new(7), ProducerEpoch::new(0), 2_000);
    assert_eq!(leader.append(batch(0, 0, 9)), Ok(0));
    assert_eq!(leader.append(batch(0, 10, 10)), Ok(10));
}

#[test]
fn producers_are_independent() {
    let mut leader = Leader::new();
    leader.append_all([batch_of(1, 0, 0, 4), batch_of(2, 0, 0, 4)]);
    assert_eq!(leader.append(batch_of(1, 0, 0, 4)), Ok(0));
    assert_eq!(leader.append(batch_of(2, 0, 0, 4)), Ok(5));
}

#[test]
fn restart_keeps_the_last_batch() {
    let mut leader = Leader::new();
    leader.append_all((0..5).map(|n| batch(0, n, n)));
    leader.producers.restart();
    assert_eq!(leader.append(batch(0, 4, 4)), Ok(4));
    assert_eq!(leader.append(batch(0, 3, 3)), Err(Refusal::OutOfOrderSequence));
    assert_eq!(leader.append(batch(0, 6, 6)), Err(Refusal::OutOfOrderSequence), "a gap is still seen");
    assert_eq!(leader.append(batch(0, 5, 5)), Ok(5));
}

#[test]
fn pid_expiration_timeout() {
    let mut leader = Leader::new();
    leader.append_all([batch(0, 0, 0)]);
    leader.producers.expire(1_099, 100);
    assert_eq!(leader.producers.len(), 1);
    leader.producers.expire(1_100, 100);
    assert!(leader.producers.is_empty());
    assert_eq!(leader.append(batch(0, 0, 0)), Ok(1), "a retry is appended again");
}

#[test]
fn a_full_table_forgets_the_producer_idle_longest() {
    let mut producers = Producers::new(2);
    for (producer, timestamp) in [(1, 300), (2, 100), (3, 200)] {
        producers.appended(batch_of(producer, 0, 0, 0), producer, timestamp);
    }
    assert_eq!(producers.len(), 2);
    assert!(matches!(producers.admit(batch_of(1, 0, 0, 0)), Ok(Admission::Duplicate(_))));
    assert_eq!(producers.admit(batch_of(2, 0, 0, 0)), Ok(Admission::Append), "forgotten");
}
