//! Frames to measure with: the layouts of Produce v9 and v13, records as a producer writes them, valid checksums.

use std::ops::Range;

/// The topic of every request, by name and by id.
pub(crate) const TOPIC: &[u8] = b"measured";
pub(crate) const TOPIC_ID: [u8; 16] = *b"measured-topicid";

/// Records of a batch of 16 KiB, and the bytes of each one's value.
pub(crate) const RECORDS: i32 = 16;
const VALUE_BYTES: usize = 1_000;

/// Bytes of a batch that its length does not count, and the ones ahead of what its checksum covers.
const LENGTH_OVERHEAD: usize = 12;
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;
const PRODUCER_AT: usize = 43;
const SEQUENCE_AT: usize = 53;

/// A batch of `records` records without compression.
pub(crate) fn batch(records: i32, value_bytes: usize, producer: i64, sequence: i32) -> Vec<u8> {
    let mut out = vec![0; 8];
    out.extend(0_i32.to_be_bytes());
    out.extend((-1_i32).to_be_bytes());
    out.push(2);
    out.extend(0_u32.to_be_bytes());
    out.extend(0_i16.to_be_bytes());
    out.extend((records - 1).to_be_bytes());
    out.extend([1_700_000_000_000_i64.to_be_bytes(); 2].as_flattened());
    out.extend(producer.to_be_bytes());
    out.extend(0_i16.to_be_bytes());
    out.extend(sequence.to_be_bytes());
    out.extend(records.to_be_bytes());
    for n in 0..records {
        let mut record = vec![0];
        put_varint(&mut record, 0);
        put_varint(&mut record, i64::from(n));
        put_varint(&mut record, -1);
        put_varint(&mut record, i64::try_from(value_bytes).expect("a value is small"));
        record.extend((0..value_bytes).map(|at| (at * 31 + 7) as u8));
        put_varint(&mut record, 0);
        put_varint(&mut out, i64::try_from(record.len()).expect("a record is small"));
        out.extend(record);
    }
    let length = i32::try_from(out.len() - LENGTH_OVERHEAD).expect("a batch is small");
    out[8..12].copy_from_slice(&length.to_be_bytes());
    seal(&mut out);
    out
}

/// A batch of 16 KiB.
pub(crate) fn batch_16k(producer: i64, sequence: i32) -> Vec<u8> {
    batch(RECORDS, VALUE_BYTES, producer, sequence)
}

/// A produce request that is sent over and over, with other numbers each time.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The whole frame.
    pub(crate) frame: Vec<u8>,
    /// Where its batches are.
    batches: Vec<Range<usize>>,
}

impl Request {
    /// `batches` go to neighbouring partitions of one topic.
    pub(crate) fn new(version: i16, first_partition: i32, batches: &[Vec<u8>]) -> Self {
        let mut frame = vec![0; 4];
        frame.extend(0_i16.to_be_bytes());
        frame.extend(version.to_be_bytes());
        frame.extend(0_i32.to_be_bytes());
        frame.extend(6_i16.to_be_bytes());
        frame.extend(b"client");
        frame.push(0);
        // No transactional id, acks=all, 30 seconds.
        frame.push(0);
        frame.extend((-1_i16).to_be_bytes());
        frame.extend(30_000_i32.to_be_bytes());
        put_count(&mut frame, 1);
        put_topic(&mut frame, version);
        put_count(&mut frame, batches.len());
        let mut places = Vec::new();
        for (partition, batch) in (first_partition..).zip(batches) {
            frame.extend(partition.to_be_bytes());
            put_count(&mut frame, batch.len());
            places.push(frame.len()..frame.len() + batch.len());
            frame.extend(batch);
            frame.push(0);
        }
        frame.extend([0, 0]);
        close(&mut frame);
        Self { frame, batches: places }
    }

    /// One partition and a batch of 16 KiB.
    pub(crate) fn one(version: i16) -> Self {
        Self::new(version, 0, &[batch_16k(1, 0)])
    }

    pub(crate) fn set_correlation_id(&mut self, id: i32) {
        self.frame[8..12].copy_from_slice(&id.to_be_bytes());
    }

    /// Gives all batches this producer and sequence; their checksums are as they were until [`seal`](Self::seal).
    pub(crate) fn set_batches(&mut self, producer: i64, sequence: i32) {
        for at in &self.batches {
            self.frame[at.start + PRODUCER_AT..][..8].copy_from_slice(&producer.to_be_bytes());
            self.frame[at.start + SEQUENCE_AT..][..4].copy_from_slice(&sequence.to_be_bytes());
        }
    }

    /// Makes the checksums right.
    pub(crate) fn seal(&mut self) {
        for at in &self.batches {
            seal(&mut self.frame[at.clone()]);
        }
    }
}

/// The answer to a request of [`Request`], success on `partitions`.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// The whole frame.
    pub(crate) frame: Vec<u8>,
    /// Where the base offsets are; an error stands before each of them.
    offsets: Vec<usize>,
}

impl Response {
    pub(crate) fn new(version: i16, partitions: &[i32]) -> Self {
        let mut frame = vec![0; 8];
        frame.push(0);
        put_count(&mut frame, 1);
        put_topic(&mut frame, version);
        put_count(&mut frame, partitions.len());
        let mut offsets = Vec::new();
        for partition in partitions {
            frame.extend(partition.to_be_bytes());
            frame.extend(0_i16.to_be_bytes());
            offsets.push(frame.len());
            frame.extend(0_i64.to_be_bytes());
            frame.extend((-1_i64).to_be_bytes());
            frame.extend(0_i64.to_be_bytes());
            // No record errors, no message, no tags.
            frame.extend([1, 0, 0]);
        }
        frame.push(0);
        frame.extend(0_i32.to_be_bytes());
        frame.push(0);
        close(&mut frame);
        Self { frame, offsets }
    }

    pub(crate) fn set(&mut self, correlation_id: i32, base_offset: i64) {
        self.frame[4..8].copy_from_slice(&correlation_id.to_be_bytes());
        (0..self.offsets.len()).for_each(|at| self.set_partition(at, 0, base_offset));
    }

    /// The error and the base offset of the partition at this place.
    pub(crate) fn set_partition(&mut self, at: usize, error: i16, base_offset: i64) {
        let at = self.offsets[at];
        self.frame[at - 2..at].copy_from_slice(&error.to_be_bytes());
        self.frame[at..at + 8].copy_from_slice(&base_offset.to_be_bytes());
    }
}

fn put_topic(out: &mut Vec<u8>, version: i16) {
    if version >= 13 {
        out.extend(TOPIC_ID);
    } else {
        put_count(out, TOPIC.len());
        out.extend(TOPIC);
    }
}

/// The compact form: one more than the count.
fn put_count(out: &mut Vec<u8>, count: usize) {
    put_uvarint(out, count as u64 + 1);
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn close(frame: &mut [u8]) {
    let size = i32::try_from(frame.len() - 4).expect("a frame is small");
    frame[..4].copy_from_slice(&size.to_be_bytes());
}

fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}
