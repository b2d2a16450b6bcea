//! Record batches as clients write them, and as brokers and judges read them.

use std::fmt;
use std::rc::Rc;

use crate::random::mix;

/// One record of one client: the partition's number in the model, and which of the client's records there it is.
pub(crate) type Record = u32;

/// A batch, as its header and its records tell.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) base: i32,
    pub(crate) transactional: bool,
    pub(crate) records: Rc<[Record]>,
    /// How often its client has compressed it anew: same records, other bytes.
    pub(crate) variant: u8,
}

/// The ring of sequence numbers ends here.
const SEQUENCE_MAX: i64 = i32::MAX as i64;

/// `DefaultRecordBatch.incrementSequence`.
pub(crate) const fn advance(sequence: i32, by: i64) -> i32 {
    ((sequence as i64 + by) & SEQUENCE_MAX) as i32
}

impl Batch {
    pub(crate) fn count(&self) -> i64 {
        self.records.len() as i64
    }

    /// The sequence of its last record.
    pub(crate) fn last(&self) -> i32 {
        advance(self.base, self.count() - 1)
    }

    /// The sequence that follows.
    pub(crate) fn end(&self) -> i32 {
        advance(self.base, self.count())
    }

    /// What the broker tells batches of one partition apart by.
    pub(crate) fn key(&self) -> Key {
        Key { producer_id: self.producer_id, epoch: self.epoch, base: self.base, last: self.last() }
    }

    pub(crate) fn is_idempotent(&self) -> bool {
        self.producer_id >= 0
    }

    /// The bytes of a batch of magic 2. What stands for its checksum is one, of another kind: nobody here computes it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let count = self.records.len() as i32;
        let mut payload: Vec<u8> = self.records.iter().flat_map(|record| record.to_be_bytes()).collect();
        payload.extend(std::iter::repeat_n(self.variant, 1 + usize::from(self.variant % 3)));
        let mut out = Vec::with_capacity(HEADER + payload.len());
        out.extend(0_i64.to_be_bytes());
        out.extend(((HEADER - 12 + payload.len()) as i32).to_be_bytes());
        out.extend((-1_i32).to_be_bytes());
        out.push(2);
        out.extend([0; 4]);
        out.extend((i16::from(self.transactional) << 4).to_be_bytes());
        out.extend((count - 1).to_be_bytes());
        out.extend([1000_i64.to_be_bytes(), 1000_i64.to_be_bytes(), self.producer_id.to_be_bytes()].concat());
        out.extend(self.epoch.to_be_bytes());
        out.extend([self.base.to_be_bytes(), count.to_be_bytes()].concat());
        out.extend(payload);
        let checksum = (checksum(&out[21..]) ^ (u64::from(self.variant) << 8)) as u32;
        out[17..21].copy_from_slice(&checksum.to_be_bytes());
        out
    }

    /// Reads what [`Self::bytes`] has written.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let int = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let count = int(57) as usize;
        let records = bytes[HEADER..HEADER + 4 * count].chunks(4);
        Self {
            producer_id: i64::from_be_bytes(bytes[43..51].try_into().expect("eight bytes")),
            epoch: i16::from_be_bytes(bytes[51..53].try_into().expect("two bytes")),
            base: int(53),
            transactional: bytes[22] & 0x10 != 0,
            records: records.map(|four| u32::from_be_bytes(four.try_into().expect("four bytes"))).collect(),
            variant: bytes.get(HEADER + 4 * count).copied().unwrap_or(0),
        }
    }
}

const HEADER: usize = 61;

fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(7, |sum, byte| mix(sum ^ u64::from(*byte)))
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid={} epoch={} seq={}..{}", self.producer_id, self.epoch, self.base, self.last())?;
        if self.transactional {
            f.write_str(" transactional")?;
        }
        // Golden scenarios tell contents apart by a word.
        write!(f, " content={}.{}", self.records.first().map_or(0, |first| *first), self.variant)
    }
}

/// Producer, epoch and sequences: `ProducerStateEntry.findDuplicateBatch` compares no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) base: i32,
    pub(crate) last: i32,
}
