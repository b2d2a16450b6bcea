//! One partition at its leader: what is checked before a batch reaches the log, in the broker's order.

use kafka_protocol::error::ResponseError;

use super::log::Log;
use super::producers::{Admission, Producers, Refusal, Remembered};
use crate::sandbox::batch::{BatchHeader, HEADER_LEN, PREFIX_LEN, checksum_holds};

/// The bytes that must be there before a batch is looked at: up to and with its magic.
const MAGIC_END: usize = 17;

/// The smallest length field: `LegacyRecord.RECORD_OVERHEAD_V0`.
const LENGTH_MIN: i32 = 14;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Appended, its first record at this offset.
    Appended { base_offset: i64, records: u32 },
    /// Appended before.
    Duplicate(Remembered),
    /// Refused before it reached the log.
    Refused(ResponseError),
    /// Refused by the log, which then tells where it starts.
    RefusedByLog(ResponseError),
}

/// A log, and who wrote to it.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) log: Log,
    pub(super) producers: Producers,
}

impl Partition {
    /// Appends the one batch in `records`, unless a rule is against it.
    pub(super) fn append(&mut self, records: &[u8], batch_bytes_max: usize) -> Outcome {
        let (batch, header) = match sole_batch(records) {
            Ok(found) => found,
            Err(error) => return Outcome::Refused(error),
        };
        if batch.len() > batch_bytes_max {
            return Outcome::Refused(ResponseError::MessageTooLarge);
        }
        if header.base_offset != 0 {
            return Outcome::RefusedByLog(ResponseError::InvalidRecord);
        }
        if !checksum_holds(batch, &header) {
            return Outcome::Refused(ResponseError::CorruptMessage);
        }
        if !is_valid(&header) {
            return Outcome::RefusedByLog(ResponseError::InvalidRecord);
        }
        if header.is_transactional() {
            return Outcome::Refused(ResponseError::InvalidTxnState);
        }
        self.admit(batch, &header)
    }

    fn admit(&mut self, batch: &[u8], header: &BatchHeader) -> Outcome {
        let Some(id) = header.id() else {
            return Outcome::Appended { base_offset: self.log.append(batch), records: header.records.cast_unsigned() };
        };
        match self.producers.admit(id) {
            Ok(Admission::Append) => {
                let base_offset = self.log.append(batch);
                self.producers.appended(id, base_offset, header.max_timestamp_ms);
                Outcome::Appended { base_offset, records: id.range.len() }
            }
            Ok(Admission::Duplicate(original)) => Outcome::Duplicate(original),
            Err(Refusal::OutOfOrderSequence) => Outcome::RefusedByLog(ResponseError::OutOfOrderSequenceNumber),
            Err(Refusal::InvalidProducerEpoch) => Outcome::RefusedByLog(ResponseError::InvalidProducerEpoch),
        }
    }
}

/// The one batch that a partition of a request may hold; bytes behind it that make no batch are ignored.
fn sole_batch(records: &[u8]) -> Result<(&[u8], BatchHeader), ResponseError> {
    let batch = first_batch(records)?.ok_or(ResponseError::InvalidRecord)?;
    if batch[MAGIC_END - 1] != 2 || first_batch(&records[batch.len()..])?.is_some() {
        return Err(ResponseError::InvalidRecord);
    }
    let header = BatchHeader::read(batch).ok_or(ResponseError::CorruptMessage)?;
    debug_assert!(batch.len() >= HEADER_LEN);
    Ok((batch, header))
}

fn first_batch(records: &[u8]) -> Result<Option<&[u8]>, ResponseError> {
    let Some(head) = records.first_chunk::<MAGIC_END>() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    if length < LENGTH_MIN {
        return Err(ResponseError::CorruptMessage);
    }
    let whole = PREFIX_LEN + usize::try_from(length).map_err(|_| ResponseError::CorruptMessage)?;
    Ok(records.get(..whole))
}

/// What `LogValidator` asks of a client's batch, as far as its header shows it.
fn is_valid(header: &BatchHeader) -> bool {
    let counted = header.records > 0 && header.last_offset_delta.checked_add(1) == Some(header.records);
    let sequenced = header.producer_id < 0 || header.base_sequence >= 0;
    counted && sequenced && !header.is_control()
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use seqgate_protocol::sequencing::{ProducerEpoch, ProducerId, Sequence};

    use super::*;
    use crate::sandbox::batch::{BatchContent, encode};

    const SIZE_MAX: usize = 1_000;

    fn partition() -> Partition {
        Partition { log: Log::new(10_000), producers: Producers::new(10) }
    }

    fn batch(producer: i64, sequence: i32) -> BytesMut {
        let content = BatchContent {
            producer_id: ProducerId::new(producer),
            epoch: ProducerEpoch::new(0),
            base_sequence: Sequence::new(sequence).expect("not negative"),
            timestamp_ms: 5,
            values: &[Bytes::from_static(b"a")],
        };
        BytesMut::from(&encode(content)[..])
    }

    /// Writes `bytes` at `at`, and the checksum anew.
    fn patched(mut batch: BytesMut, at: usize, bytes: &[u8]) -> BytesMut {
        batch[at..at + bytes.len()].copy_from_slice(bytes);
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        batch
    }

    #[test]
    fn non_idempotent_batches_are_appended_each_time() {
        let mut partition = partition();
        let batch = patched(batch(0, 0), 43, &(-1_i64).to_be_bytes());
        for base_offset in 0..2 {
            assert_eq!(partition.append(&batch, SIZE_MAX), Outcome::Appended { base_offset, records: 1 });
        }
    }

    #[test]
    fn a_flipped_byte_under_the_old_checksum_is_corrupt_also_in_a_duplicate() {
        let mut partition = partition();
        let mut bytes = batch(7, 0);
        assert!(matches!(partition.append(&bytes, SIZE_MAX), Outcome::Appended { .. }));
        *bytes.last_mut().expect("not empty") ^= 1;
        assert_eq!(partition.append(&bytes, SIZE_MAX), Outcome::Refused(ResponseError::CorruptMessage));
    }

    #[test]
    fn content_is_not_compared() {
        let mut partition = partition();
        assert!(matches!(partition.append(&batch(7, 0), SIZE_MAX), Outcome::Appended { .. }));
        let other = patched(batch(7, 0), 35, &99_i64.to_be_bytes());
        assert!(matches!(partition.append(&other, SIZE_MAX), Outcome::Duplicate(_)));
    }

    #[test]
    fn invalid_batches_are_refused_where_the_broker_refuses_them() {
        let twice = [&batch(7, 0)[..], &batch(7, 1)[..]].concat();
        let cases: [(&str, Vec<u8>, Outcome); 8] = [
            ("nothing", vec![], Outcome::Refused(ResponseError::InvalidRecord)),
            ("two batches", twice, Outcome::Refused(ResponseError::InvalidRecord)),
            ("magic", patched(batch(7, 0), 16, &[1]).to_vec(), Outcome::Refused(ResponseError::InvalidRecord)),
            ("length", patched(batch(7, 0), 8, &[0xff]).to_vec(), Outcome::Refused(ResponseError::CorruptMessage)),
            ("offset", patched(batch(7, 0), 7, &[1]).to_vec(), Outcome::RefusedByLog(ResponseError::InvalidRecord)),
            (
                "control",
                patched(batch(7, 0), 22, &[0x20]).to_vec(),
                Outcome::RefusedByLog(ResponseError::InvalidRecord),
            ),
            (
                "sequence",
                patched(batch(7, 0), 53, &[0xff]).to_vec(),
                Outcome::RefusedByLog(ResponseError::InvalidRecord),
            ),
            ("count", patched(batch(7, 0), 60, &[2]).to_vec(), Outcome::RefusedByLog(ResponseError::InvalidRecord)),
        ];
        for (name, records, expected) in cases {
            assert_eq!(partition().append(&records, SIZE_MAX), expected, "{name}");
        }
        assert_eq!(partition().append(&batch(7, 0), 10), Outcome::Refused(ResponseError::MessageTooLarge));
    }

    #[test]
    fn bytes_behind_the_batch_are_ignored() {
        let records = [&batch(7, 0)[..], &[1, 2, 3, 4, 5]].concat();
        assert_eq!(partition().append(&records, SIZE_MAX), Outcome::Appended { base_offset: 0, records: 1 });
    }
}
