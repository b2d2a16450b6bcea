//! One partition's log: the newest batches as bytes, and where it starts and ends.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

use crate::sandbox::batch::{self, BatchHeader};

/// A batch in its place.
#[derive(Clone, Debug)]
pub struct StoredBatch {
    /// Its fixed part, with the offset it was given.
    pub header: BatchHeader,
    /// Its bytes, as a consumer gets them.
    pub bytes: Bytes,
}

impl StoredBatch {
    fn end(&self) -> i64 {
        self.header.base_offset + i64::from(self.header.last_offset_delta) + 1
    }
}

/// An append-only log that forgets its oldest batches when it outgrows its limit.
///
/// One broker keeps it, so the high watermark is its end.
#[derive(Debug)]
pub struct Log {
    batches: VecDeque<StoredBatch>,
    bytes: usize,
    bytes_max: usize,
    start: i64,
    end: i64,
}

impl Log {
    /// An empty log that keeps `bytes_max` bytes, or its newest batch when that alone is larger.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { batches: VecDeque::new(), bytes: 0, bytes_max, start: 0, end: 0 }
    }

    /// Appends one checked batch and returns the offset of its first record.
    pub fn append(&mut self, batch: &[u8]) -> i64 {
        let base_offset = self.end;
        let bytes = batch::placed_at(batch, base_offset);
        let header = BatchHeader::read(&bytes).expect("a placed batch has a header");
        assert!(header.last_offset_delta >= 0, "checked by whoever appends");
        let stored = StoredBatch { header, bytes };
        self.end = stored.end();
        self.bytes += stored.bytes.len();
        self.batches.push_back(stored);
        while self.bytes > self.bytes_max && self.batches.len() > 1 {
            self.forget_oldest();
        }
        base_offset
    }

    /// Forgets what lies before `offset`, which stays within the log (`DeleteRecords`).
    pub fn delete_before(&mut self, offset: i64) {
        let start = offset.clamp(self.start, self.end);
        while self.batches.front().is_some_and(|oldest| oldest.end() <= start) {
            self.forget_oldest();
        }
        self.start = start;
    }

    /// The offset of the first record that can be read.
    #[must_use]
    pub const fn start(&self) -> i64 {
        self.start
    }

    /// The offset that the next record will get; the high watermark as well.
    #[must_use]
    pub const fn end(&self) -> i64 {
        self.end
    }

    /// The batches that are still there, oldest first.
    pub fn batches(&self) -> impl Iterator<Item = &StoredBatch> {
        self.batches.iter()
    }

    /// Whole batches from the one that holds `offset` on: `bytes_max` at most, except that the first is always whole
    /// when `first_whole` says so, or a consumer with a small limit would never get on.
    #[must_use]
    pub fn read(&self, offset: i64, bytes_max: usize, first_whole: bool) -> Bytes {
        let from = self.batches.partition_point(|batch| batch.end() <= offset);
        let mut read = BytesMut::new();
        for stored in self.batches.range(from..) {
            let always = first_whole && read.is_empty();
            if !always && read.len() + stored.bytes.len() > bytes_max {
                break;
            }
            read.put_slice(&stored.bytes);
        }
        read.freeze()
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.batches.pop_front() {
            self.bytes -= oldest.bytes.len();
            self.start = oldest.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use seqgate_protocol::sequencing::{ProducerEpoch, ProducerId, Sequence};

    use super::*;
    use crate::sandbox::batch::BatchContent;

    fn two_records() -> Bytes {
        batch::encode(BatchContent {
            producer_id: ProducerId::new(1),
            epoch: ProducerEpoch::new(0),
            base_sequence: Sequence::ZERO,
            timestamp_ms: 0,
            values: &[Bytes::from_static(b"a"), Bytes::from_static(b"b")],
        })
    }

    fn offsets(mut read: Bytes) -> Vec<i64> {
        let mut offsets = Vec::new();
        while let Some(header) = BatchHeader::read(&read) {
            offsets.push(header.base_offset);
            let length = usize::try_from(header.length).expect("positive") + batch::PREFIX_LEN;
            let _ = read.split_to(length);
        }
        offsets
    }

    #[test]
    fn offsets_follow_each_other() {
        let mut log = Log::new(1_000);
        assert_eq!([log.append(&two_records()), log.append(&two_records())], [0, 2]);
        assert_eq!((log.start(), log.end()), (0, 4));
    }

    #[test]
    fn a_read_begins_with_the_batch_that_holds_the_offset() {
        let mut log = Log::new(10_000);
        (0..4).for_each(|_| _ = log.append(&two_records()));
        assert_eq!(offsets(log.read(3, 10_000, true)), [2, 4, 6]);
        assert_eq!(offsets(log.read(3, 1, true)), [2], "the first is always whole");
        assert_eq!(offsets(log.read(3, 1, false)), [0; 0]);
        assert_eq!(offsets(log.read(8, 10_000, true)), [0; 0]);
    }

    #[test]
    fn the_oldest_batches_make_room() {
        let size = two_records().len();
        let mut log = Log::new(size * 2);
        (0..5).for_each(|_| _ = log.append(&two_records()));
        assert_eq!((log.start(), log.end(), log.batches().count()), (6, 10, 2));
    }

    #[test]
    fn deleted_records_move_the_start() {
        let mut log = Log::new(10_000);
        (0..3).for_each(|_| _ = log.append(&two_records()));
        log.delete_before(3);
        assert_eq!((log.start(), log.batches().count()), (3, 2), "a batch stays while one of its records does");
        log.delete_before(100);
        assert_eq!((log.start(), log.end()), (6, 6));
    }
}
