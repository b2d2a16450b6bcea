//! The header of a record batch, magic 2: all that telling duplicates apart needs.

use thiserror::Error;

use crate::sequencing::{ProducerEpoch, ProducerId, SequenceRange};

/// Bytes of a batch's header (`DefaultRecordBatch.RECORD_BATCH_OVERHEAD`).
pub const BATCH_HEADER_BYTES: usize = 61;

/// Bytes of a batch that its length does not count: base offset and the length (`Records.LOG_OVERHEAD`).
pub(super) const LENGTH_OVERHEAD: u64 = 12;

/// Where the fields of a batch's header are, in bytes (`DefaultRecordBatch`).
mod field {
    pub(super) const BASE_OFFSET: usize = 0;
    pub(super) const LENGTH: usize = 8;
    pub(super) const MAGIC: usize = 16;
    pub(super) const CRC: usize = 17;
    pub(super) const ATTRIBUTES: usize = 21;
    pub(super) const LAST_OFFSET_DELTA: usize = 23;
    pub(super) const BASE_TIMESTAMP: usize = 27;
    pub(super) const MAX_TIMESTAMP: usize = 35;
    pub(super) const PRODUCER_ID: usize = 43;
    pub(super) const PRODUCER_EPOCH: usize = 51;
    pub(super) const BASE_SEQUENCE: usize = 53;
    pub(super) const RECORDS_COUNT: usize = 57;
}

const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// A batch's header of which length and magic are checked, so that no accessor can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchView<'a>(&'a [u8; BATCH_HEADER_BYTES]);

impl<'a> BatchView<'a> {
    /// Checks that a whole header is there, and that it has the layout of magic 2.
    pub fn new(records_head: &'a [u8]) -> Result<Self, BatchProblem> {
        // Older magics have shorter headers: theirs is the better name for what is wrong.
        if let Some(&magic) = records_head.get(field::MAGIC)
            && magic != 2
        {
            return Err(BatchProblem::Magic { magic });
        }
        let bytes = records_head.len();
        records_head.first_chunk().map(Self).ok_or(BatchProblem::Truncated { bytes })
    }

    /// The first record's offset; zero from clients.
    #[must_use]
    pub fn base_offset(self) -> i64 {
        i64::from_be_bytes(self.at::<{ field::BASE_OFFSET }, 8>())
    }

    /// Bytes of the batch behind this field.
    #[must_use]
    pub fn batch_length(self) -> i32 {
        i32::from_be_bytes(self.at::<{ field::LENGTH }, 4>())
    }

    /// The CRC-32C of all that follows it, as the client wrote it; nothing here checks it.
    #[must_use]
    pub fn crc(self) -> u32 {
        u32::from_be_bytes(self.at::<{ field::CRC }, 4>())
    }

    /// Compression, timestamp type and flags, as bits.
    #[must_use]
    pub fn attributes(self) -> i16 {
        i16::from_be_bytes(self.at::<{ field::ATTRIBUTES }, 2>())
    }

    /// Whether the batch is part of a transaction.
    #[must_use]
    pub fn is_transactional(self) -> bool {
        self.attributes() & TRANSACTIONAL != 0
    }

    /// Whether the batch is a transaction's end marker, which no client may produce.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.attributes() & CONTROL != 0
    }

    /// How far the last record's offset and sequence are from the first's.
    #[must_use]
    pub fn last_offset_delta(self) -> i32 {
        i32::from_be_bytes(self.at::<{ field::LAST_OFFSET_DELTA }, 4>())
    }

    /// The first record's timestamp, in ms since 1970.
    #[must_use]
    pub fn base_timestamp(self) -> i64 {
        i64::from_be_bytes(self.at::<{ field::BASE_TIMESTAMP }, 8>())
    }

    /// The largest timestamp, in ms since 1970; a broker answers a duplicate with it as the log append time.
    #[must_use]
    pub fn max_timestamp(self) -> i64 {
        i64::from_be_bytes(self.at::<{ field::MAX_TIMESTAMP }, 8>())
    }

    /// Who produced it.
    #[must_use]
    pub fn producer_id(self) -> ProducerId {
        ProducerId::new(i64::from_be_bytes(self.at::<{ field::PRODUCER_ID }, 8>()))
    }

    /// In which epoch.
    #[must_use]
    pub fn epoch(self) -> ProducerEpoch {
        ProducerEpoch::new(i16::from_be_bytes(self.at::<{ field::PRODUCER_EPOCH }, 2>()))
    }

    /// The first record's sequence as it stands on the wire; -1 without a producer.
    #[must_use]
    pub fn base_sequence(self) -> i32 {
        i32::from_be_bytes(self.at::<{ field::BASE_SEQUENCE }, 4>())
    }

    /// How many records the batch says it has.
    #[must_use]
    pub fn records_count(self) -> i32 {
        i32::from_be_bytes(self.at::<{ field::RECORDS_COUNT }, 4>())
    }

    /// Its sequences; `None` when it has no producer, or numbers that make no range.
    #[must_use]
    pub fn range(self) -> Option<SequenceRange> {
        if !self.producer_id().is_idempotent() {
            return None;
        }
        SequenceRange::from_wire(self.base_sequence(), self.last_offset_delta())
    }

    fn at<const START: usize, const N: usize>(self) -> [u8; N] {
        const { assert!(START + N <= BATCH_HEADER_BYTES, "a field is inside the header") };
        *self.0[START..].first_chunk().expect("a field is inside the header")
    }
}

/// A partition's records as a produce request carries them, of which only the beginning is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Records<'a> {
    /// Their bytes in all; `None` for null.
    pub len: Option<u32>,
    /// The first of them, as many as a batch's header has.
    pub head: &'a [u8],
}

impl<'a> Records<'a> {
    /// Records of `len` bytes, of which `front` is at hand.
    #[inline]
    pub(super) fn new(len: Option<u32>, front: &'a [u8]) -> Self {
        Self { len, head: front.get(..BATCH_HEADER_BYTES).unwrap_or(front) }
    }

    /// The header of the one well-formed batch that fills the records, or why there is none.
    ///
    /// What a broker's `LogValidator.validateBatch` and `UnifiedLog.analyzeAndValidateRecords` refuse of the
    /// header's numbers is refused here: such a batch is none whose fate can be foretold.
    pub fn batch(&self) -> Result<BatchView<'a>, BatchProblem> {
        let len = self.len.ok_or(BatchProblem::Null)?;
        if len == 0 {
            return Err(BatchProblem::Empty);
        }
        let view = BatchView::new(self.head)?;
        let batch_length = view.batch_length();
        if u64::try_from(batch_length).ok().and_then(|n| n.checked_add(LENGTH_OVERHEAD)) != Some(u64::from(len)) {
            return Err(BatchProblem::Length { batch_length, records_bytes: len });
        }
        check_numbers(view)?;
        Ok(view)
    }

    /// The header of the first batch whenever there is one of magic 2, however malformed the rest.
    #[must_use]
    pub fn view(&self) -> Option<BatchView<'a>> {
        BatchView::new(self.head).ok()
    }
}

/// Whether the checksum of a whole batch is right: brokers refuse one where it is not (`CORRUPT_MESSAGE`).
#[must_use]
pub fn crc_fits(batch: &[u8]) -> bool {
    /// Everything from the attributes on is covered.
    const COVERED_FROM: usize = 21;
    let Ok(view) = BatchView::new(batch) else { return false };
    batch.get(COVERED_FROM..).is_some_and(|covered| crc32c::crc32c(covered) == view.crc())
}

fn check_numbers(view: BatchView<'_>) -> Result<(), BatchProblem> {
    if view.is_control() {
        return Err(BatchProblem::Control);
    }
    let (count, last_offset_delta) = (view.records_count(), view.last_offset_delta());
    if count <= 0 || last_offset_delta != count - 1 {
        return Err(BatchProblem::Count { count, last_offset_delta });
    }
    let base_offset = view.base_offset();
    if base_offset != 0 {
        return Err(BatchProblem::BaseOffset { base_offset });
    }
    if !view.producer_id().is_idempotent() {
        return Ok(());
    }
    let (base_sequence, epoch) = (view.base_sequence(), view.epoch().get());
    if base_sequence < 0 {
        return Err(BatchProblem::NegativeSequence { base_sequence });
    }
    if epoch < 0 {
        return Err(BatchProblem::NegativeEpoch { epoch });
    }
    Ok(())
}

/// Why records are not one well-formed batch; their entry is forwarded as it came, and nothing is foretold of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BatchProblem {
    /// No records at all: a broker never answers such a request.
    #[error("records are null")]
    Null,
    /// Records of length zero.
    #[error("records are empty")]
    Empty,
    /// Fewer bytes than a batch's header.
    #[error("batch header is cut off after {bytes} bytes")]
    Truncated {
        /// How many there are.
        bytes: usize,
    },
    /// A message format from before producer ids, or after this one.
    #[error("magic is {magic}, not 2")]
    Magic {
        /// The format's number.
        magic: u8,
    },
    /// A batch that ends before or behind the records: a second batch follows, or a part is missing.
    #[error("batch length {batch_length} does not fill records of {records_bytes} bytes")]
    Length {
        /// The batch's length field.
        batch_length: i32,
        /// The bytes of all records.
        records_bytes: u32,
    },
    /// A batch that only brokers may write.
    #[error("control batch")]
    Control,
    /// A number of records that does not agree with their offsets.
    #[error("{count} records do not agree with a last offset delta of {last_offset_delta}")]
    Count {
        /// The header's number of records.
        count: i32,
        /// The header's distance between the first and the last.
        last_offset_delta: i32,
    },
    /// An offset, which only brokers assign.
    #[error("base offset is {base_offset}, not 0")]
    BaseOffset {
        /// The offset.
        base_offset: i64,
    },
    /// A producer without a sequence.
    #[error("base sequence {base_sequence} is negative")]
    NegativeSequence {
        /// The sequence.
        base_sequence: i32,
    },
    /// A producer without an epoch.
    #[error("producer epoch {epoch} is negative")]
    NegativeEpoch {
        /// The epoch.
        epoch: i16,
    },
}

#[cfg(test)]
mod tests;
