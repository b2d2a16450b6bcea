//! Record batches as clients write them, and as brokers and judges read them.

use std::fmt;
use std::rc::Rc;

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

impl Keeping {
    /// What was done to a batch that stands in a log.
    pub(crate) fn of(stored: &[u8]) -> Self {
        Self { stamps: stored[22] & APPEND_TIME != 0, packs: stored[22] & ZSTD != 0 }
    }
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

    /// The bytes of a batch of magic 2.
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
        out.extend([self.time_of(0), self.time_of(self.count() - 1), self.producer_id].map(i64::to_be_bytes).concat());
        out.extend(self.epoch.to_be_bytes());
        out.extend([self.base.to_be_bytes(), count.to_be_bytes()].concat());
        out.extend(payload);
        sign(&mut out);
        out
    }

    /// When its client has made this one of its records, in ms since 1970.
    pub(crate) fn time_of(&self, place: i64) -> i64 {
        1000 + self.records.get(place as usize).map_or(0, |record| i64::from(record & 0xffff))
    }

    /// The bytes of the batch as they stand in a log, where `keeping` may change them (`LogValidator`).
    pub(crate) fn stored(&self, offset: i64, keeping: Keeping) -> Vec<u8> {
        let mut out = self.bytes();
        out[..8].copy_from_slice(&offset.to_be_bytes());
        if keeping.packs {
            out.extend(b"packed");
            let length = (out.len() - LENGTH_OVERHEAD) as i32;
            out[8..12].copy_from_slice(&length.to_be_bytes());
            out[22] |= ZSTD;
        }
        if keeping.stamps {
            out[35..43].copy_from_slice(&append_time(offset).to_be_bytes());
            out[22] |= APPEND_TIME;
        }
        if keeping != Keeping::default() {
            sign(&mut out);
        }
        out
    }

    /// Whether what stands in a log may be what was sent: what a topic has changed cannot be told from what was
    /// something else before.
    pub(crate) fn may_be_stored_as(&self, stored: &Self, keeping: Keeping) -> bool {
        let (sent, there) = (self.bytes(), stored.bytes());
        self.key() == stored.key() && (keeping.packs || sent == there || keeping.stamps && sent.len() == there.len())
    }

    /// Reads what [`Self::bytes`] has written, or [`Self::stored`].
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

/// What a topic does to the batches that it keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keeping {
    /// Puts the time of the append into them (`message.timestamp.type`).
    pub(crate) stamps: bool,
    /// Compresses them with a codec of its own (`compression.type`).
    pub(crate) packs: bool,
}

/// When the batch at this offset was appended: later than anything was made.
pub(crate) const fn append_time(offset: i64) -> i64 {
    500_000 + offset
}

/// The end of a transaction as it stands in a log: a control batch of one record.
pub(crate) fn marker(offset: i64, producer_id: i64, epoch: i16) -> Vec<u8> {
    let batch = Batch { producer_id, epoch, base: -1, transactional: true, records: [0].into(), variant: 0 };
    let mut out = batch.stored(offset, Keeping::default());
    out[22] |= CONTROL;
    out
}

const HEADER: usize = 61;
const LENGTH_OVERHEAD: usize = 12;
const ZSTD: u8 = 0x04;
const APPEND_TIME: u8 = 0x08;
const CONTROL: u8 = 0x20;

/// Puts the checksum in.
fn sign(batch: &mut [u8]) {
    let checksum = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&checksum.to_be_bytes());
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
