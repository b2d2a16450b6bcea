//! Record batches (magic 2): made, looked at and taken apart again, without compression.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use seqgate_protocol::sequencing::{BatchId, ProducerEpoch, ProducerId, Sequence, SequenceRange};

/// The bytes before the first record (`DefaultRecordBatch.RECORD_BATCH_OVERHEAD`).
pub const HEADER_LEN: usize = 61;

/// The bytes before the part that the batch's own length counts (`Records.LOG_OVERHEAD`).
pub(crate) const PREFIX_LEN: usize = 12;

/// Where the checksum's cover begins: at the attributes.
const CRC_FROM: usize = 21;

/// What a producer puts into a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchContent<'a> {
    /// Who produces it.
    pub producer_id: ProducerId,
    /// In which epoch.
    pub epoch: ProducerEpoch,
    /// The sequence of its first record.
    pub base_sequence: Sequence,
    /// The timestamp of all its records.
    pub timestamp_ms: i64,
    /// The values of its records, one at least.
    pub values: &'a [Bytes],
}

/// Encodes an uncompressed batch with its checksum.
#[must_use]
pub fn encode(content: BatchContent<'_>) -> Bytes {
    assert!(!content.values.is_empty(), "a batch has one record at least");
    let count = i32::try_from(content.values.len()).expect("a batch has fewer than 2^31 records");
    let mut covered = BytesMut::new();
    covered.put_i16(0); // attributes: no compression, create time
    covered.put_i32(count - 1);
    covered.put_i64(content.timestamp_ms);
    covered.put_i64(content.timestamp_ms);
    covered.put_i64(content.producer_id.get());
    covered.put_i16(content.epoch.get());
    covered.put_i32(content.base_sequence.get());
    covered.put_i32(count);
    for (delta, value) in (0..).zip(content.values) {
        put_record(&mut covered, delta, value);
    }
    let mut batch = BytesMut::with_capacity(CRC_FROM + covered.len());
    batch.put_i64(0); // base offset: the broker's to give
    batch.put_i32(i32::try_from(CRC_FROM - PREFIX_LEN + covered.len()).expect("a batch is smaller than 2 GiB"));
    batch.put_i32(-1); // partition leader epoch
    batch.put_i8(2);
    batch.put_u32(crc32c::crc32c(&covered));
    batch.put(covered);
    batch.freeze()
}

fn put_record(into: &mut BytesMut, offset_delta: i64, value: &Bytes) {
    let mut record = BytesMut::with_capacity(value.len() + 16);
    record.put_i8(0); // attributes
    put_varint(&mut record, 0); // timestamp delta
    put_varint(&mut record, offset_delta);
    put_varint(&mut record, -1); // no key
    put_varint(&mut record, value.len() as i64);
    record.put_slice(value);
    put_varint(&mut record, 0); // no headers
    put_varint(into, record.len() as i64);
    into.put(record);
}

fn put_varint(into: &mut BytesMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        into.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    into.put_u8(rest as u8);
}

/// The fixed part of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The first record's offset; 0 from a producer.
    pub base_offset: i64,
    /// What follows the length field, in bytes.
    pub length: i32,
    /// The format, 2 here.
    pub magic: i8,
    /// The checksum as sent.
    pub crc: u32,
    /// Compression, timestamp type, transactional and control bits.
    pub attributes: i16,
    /// The last record's distance from the first.
    pub last_offset_delta: i32,
    /// The newest record's timestamp.
    pub max_timestamp_ms: i64,
    /// Who produced it; negative for producers that are not idempotent.
    pub producer_id: i64,
    /// In which epoch.
    pub epoch: i16,
    /// The first record's sequence; negative for producers that are not idempotent.
    pub base_sequence: i32,
    /// How many records it claims.
    pub records: i32,
}

impl BatchHeader {
    /// Reads the fixed part; `None` when there are fewer bytes than it has.
    #[must_use]
    pub fn read(batch: &[u8]) -> Option<Self> {
        let mut at: &[u8] = batch.first_chunk::<HEADER_LEN>()?;
        let (base_offset, length) = (at.get_i64(), at.get_i32());
        let _leader_epoch = at.get_i32();
        let (magic, crc, attributes, last_offset_delta) = (at.get_i8(), at.get_u32(), at.get_i16(), at.get_i32());
        let (_base_timestamp, max_timestamp_ms) = (at.get_i64(), at.get_i64());
        let (producer_id, epoch, base_sequence, records) = (at.get_i64(), at.get_i16(), at.get_i32(), at.get_i32());
        Some(Self {
            base_offset,
            length,
            magic,
            crc,
            attributes,
            last_offset_delta,
            max_timestamp_ms,
            producer_id,
            epoch,
            base_sequence,
            records,
        })
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub const fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }

    /// Whether the batch is a marker, which only brokers may write.
    #[must_use]
    pub const fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }

    /// What the broker tells this batch from others by; `None` when it carries no sequences.
    #[must_use]
    pub fn id(&self) -> Option<BatchId> {
        let producer_id = ProducerId::new(self.producer_id);
        let range = SequenceRange::from_wire(self.base_sequence, self.last_offset_delta)?;
        producer_id.is_idempotent().then_some(BatchId { producer_id, epoch: ProducerEpoch::new(self.epoch), range })
    }
}

/// Whether the checksum in the header is that of the bytes that follow it.
#[must_use]
pub fn checksum_holds(batch: &[u8], header: &BatchHeader) -> bool {
    batch.get(CRC_FROM..).is_some_and(|covered| crc32c::crc32c(covered) == header.crc)
}

/// Copies a batch to its place in a log: with its offset and the leader's epoch, which the checksum does not cover.
#[must_use]
pub(crate) fn placed_at(batch: &[u8], base_offset: i64) -> Bytes {
    assert!(batch.len() >= HEADER_LEN, "checked by whoever appends");
    let mut placed = BytesMut::from(batch);
    placed[..8].copy_from_slice(&base_offset.to_be_bytes());
    placed[PREFIX_LEN..PREFIX_LEN + 4].copy_from_slice(&0_i32.to_be_bytes());
    placed.freeze()
}

/// The values of an uncompressed batch's records, in order; `None` when they are compressed or do not parse.
#[must_use]
pub fn values(batch: &Bytes) -> Option<Vec<Bytes>> {
    let header = BatchHeader::read(batch)?;
    if header.attributes & 0x07 != 0 {
        return None;
    }
    let mut rest = batch.slice(HEADER_LEN..);
    let mut values = Vec::new();
    for _ in 0..header.records {
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        if length > rest.len() {
            return None;
        }
        values.push(value(rest.split_to(length))?);
    }
    Some(values)
}

fn value(mut record: Bytes) -> Option<Bytes> {
    record.try_get_i8().ok()?;
    let _timestamp_delta = varint(&mut record)?;
    let _offset_delta = varint(&mut record)?;
    let key = usize::try_from(varint(&mut record)?).unwrap_or(0);
    if key > record.len() {
        return None;
    }
    record.advance(key);
    let length = usize::try_from(varint(&mut record)?).unwrap_or(0);
    (length <= record.len()).then(|| record.split_to(length))
}

fn varint(from: &mut Bytes) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = from.try_get_u8().ok()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(values: &[Bytes]) -> Bytes {
        encode(BatchContent {
            producer_id: ProducerId::new(7),
            epoch: ProducerEpoch::new(3),
            base_sequence: Sequence::new(5).expect("not negative"),
            timestamp_ms: 1_000,
            values,
        })
    }

    #[test]
    fn a_batch_reads_back_as_it_was_made() {
        let made = [Bytes::from_static(b"a"), Bytes::from(vec![b'x'; 300])];
        let bytes = batch(&made);
        let header = BatchHeader::read(&bytes).expect("whole");
        assert_eq!((header.magic, header.records, header.last_offset_delta), (2, 2, 1));
        assert_eq!(usize::try_from(header.length).expect("positive"), bytes.len() - PREFIX_LEN);
        assert!(checksum_holds(&bytes, &header));
        assert_eq!(header.id().expect("idempotent").range, SequenceRange::from_wire(5, 1).expect("valid"));
        assert_eq!(values(&bytes).expect("parses"), made);
    }

    #[test]
    fn a_batch_keeps_its_checksum_when_it_gets_its_offset() {
        let placed = placed_at(&batch(&[Bytes::from_static(b"a")]), 42);
        let header = BatchHeader::read(&placed).expect("whole");
        assert_eq!(header.base_offset, 42);
        assert!(checksum_holds(&placed, &header));
    }

    #[test]
    fn kafka_protocol_reads_our_batch() {
        let mut bytes = batch(&[Bytes::from_static(b"a"), Bytes::from_static(b"b")]);
        let set = kafka_protocol::records::RecordBatchDecoder::decode(&mut bytes).expect("decodes");
        let sequences: Vec<i32> = set.records.iter().map(|record| record.sequence).collect();
        assert_eq!(sequences, [5, 6]);
    }
}
