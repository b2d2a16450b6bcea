//! What a broker says of a gap: which requests it understands, and what it expects of a producer.

use bytes::Bytes as Shared;
use kafka_protocol::messages::{ApiVersionsResponse, DescribeProducersResponse, ResponseHeader};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::ByteBuf;
use seqgate_protocol::sequencing::{ProducerEpoch, ProducerId};
use seqgate_protocol::wire::head::ApiKey;
use seqgate_protocol::wire::log::{
    API_VERSIONS_VERSION, DESCRIBE_PRODUCERS_VERSION, KnownProducer, ProducersReader, understands,
};

use super::Bytes;
use super::guarded::Guarded;
use super::make::{Maker, damage};
use super::plain::{Plain, Stop, TagZero, expect};

/// What was asked for.
const CORRELATION_ID: i32 = 9;
const NAME: &[u8] = b"t";
const PARTITION: i32 = 0;
const PRODUCER: i64 = 7;

/// No part of an answer that is read at once may have more bytes: what stands before the producers, one of them, or what
/// stands behind.
const PART_BYTES_MAX: usize = 4 * 1024;

/// A version of Produce that writes its lengths as these answers do.
const CLASSIC: i16 = 0;
const FLEXIBLE: i16 = 9;

/// What an answer says of the producer, or the error in its place: 0 where there is none to be read.
type Outcome = Result<Option<KnownProducer>, i16>;

/// Answers are read alike in one piece and in many, by a plain reading, and by an independent decoder.
pub fn producers(data: &[u8]) {
    let mut input = Bytes(data);
    let kind = input.u8();
    if kind & 1 == 0 {
        let step = usize::from(input.u8()) + 1;
        let frame = if kind & 0x80 == 0 { input.0.to_vec() } else { made_producers(&mut input) };
        check_producers(&frame, step);
    } else {
        let wanted = (ApiKey(i16::from(input.u8() % 4)), i16::from(input.u8() % 8) - 1);
        let frame = if kind & 0x80 == 0 { input.0.to_vec() } else { made_versions(&mut input) };
        check_versions(wanted, &frame);
    }
}

fn check_producers(frame: &[u8], step: usize) {
    let ours = read(frame, frame.len().max(1));
    assert_eq!(read(frame, step), ours, "in pieces of {step}");
    let mut plain = Plain::new(FLEXIBLE, frame);
    let asked = Asked { correlation_id: CORRELATION_ID, name: NAME, partition: PARTITION, producer: PRODUCER };
    assert_eq!(ours, asked.read(&mut plain));
    if plain.odd.text {
        return;
    }
    match ours {
        // All entries that it claims to have are there: nothing needs guarding.
        Ok(_) => assert_eq!(their_producers(Shared::copy_from_slice(frame)), Some(ours)),
        Err(error) => {
            // Of one that is small enough, nothing can be too large.
            let theirs = their_producers(Guarded::new(frame)).filter(|_| frame.len() <= PART_BYTES_MAX);
            assert!(theirs.is_none_or(|theirs| theirs == Err(error)), "{ours:?}, and independently {theirs:?}");
        }
    }
}

fn read(frame: &[u8], step: usize) -> Outcome {
    let mut reader = ProducersReader::new(CORRELATION_ID, NAME, PARTITION, ProducerId::new(PRODUCER));
    frame.chunks(step).for_each(|piece| reader.feed(piece));
    reader.outcome()
}

/// What was asked of a broker.
pub struct Asked<'a> {
    pub correlation_id: i32,
    pub name: &'a [u8],
    pub partition: i32,
    pub producer: i64,
}

impl Asked<'_> {
    /// Reads the answer plainly.
    pub fn read(&self, plain: &mut Plain<'_>) -> Outcome {
        let mut error = 0;
        self.read_to_end(plain, &mut error).map_err(|_| error)
    }

    fn read_to_end(&self, plain: &mut Plain<'_>, error: &mut i16) -> Result<Option<KnownProducer>, Stop> {
        expect(plain.i32()? == self.correlation_id)?;
        plain.tags(TagZero::Unknown)?;
        plain.i32()?;
        expect(plain.length(Plain::i32)? == Some(1) && plain.text()? == Some(self.name))?;
        expect(plain.length(Plain::i32)? == Some(1))?;
        let (index, said) = (plain.i32()?, plain.i16()?);
        plain.text()?;
        let count = plain.length(Plain::i32)?.ok_or(Stop::Bytes)?;
        expect(plain.at() <= PART_BYTES_MAX && !plain.odd.long)?;
        *error = said;
        expect(index == self.partition && said == 0)?;
        let mut found = None;
        for _ in 0..count {
            let at = plain.at();
            let (id, epoch, last_sequence, last_timestamp) = (plain.i64()?, plain.i32()?, plain.i32()?, plain.i64()?);
            plain.take(12)?;
            plain.tags(TagZero::Unknown)?;
            expect(plain.at() - at <= PART_BYTES_MAX)?;
            if id == self.producer {
                found = known(epoch, last_sequence, last_timestamp).or(found);
            }
        }
        let at = plain.at();
        for _ in 0..3 {
            plain.tags(TagZero::Unknown)?;
        }
        expect(plain.at() - at <= PART_BYTES_MAX && plain.rest.is_empty())?;
        Ok(found)
    }
}

fn known(epoch: i32, last_sequence: i32, last_timestamp: i64) -> Option<KnownProducer> {
    let epoch = ProducerEpoch::new(i16::try_from(epoch).ok()?);
    Some(KnownProducer { epoch, last_sequence, last_timestamp })
}

/// What an independent decoder reads, if it takes all of it for an answer to what was asked.
fn their_producers(mut bytes: impl ByteBuf) -> Option<Outcome> {
    let header = ResponseHeader::decode(&mut bytes, 1).ok()?;
    let response = DescribeProducersResponse::decode(&mut bytes, DESCRIBE_PRODUCERS_VERSION).ok()?;
    let [topic] = &response.topics[..] else { return None };
    let [partition] = &topic.partitions[..] else { return None };
    let is_asked = header.correlation_id == CORRELATION_ID
        && topic.name.as_bytes() == NAME
        && (partition.partition_index == PARTITION || partition.error_code != 0)
        && !bytes.has_remaining();
    let mut newest_first =
        partition.active_producers.iter().rev().filter(|producer| producer.producer_id.0 == PRODUCER);
    let found = newest_first.find_map(|it| known(it.producer_epoch, it.last_sequence, it.last_timestamp));
    let outcome = if partition.error_code == 0 { Ok(found) } else { Err(partition.error_code) };
    is_asked.then_some(outcome)
}

fn check_versions(wanted: (ApiKey, i16), frame: &[u8]) {
    let ours = understands(CORRELATION_ID, wanted, frame).ok();
    assert_eq!(ours, plain_versions(wanted, frame).ok());
    let theirs = match ours {
        Some(_) => their_versions(wanted, Shared::copy_from_slice(frame)),
        None => their_versions(wanted, Guarded::new(frame)),
    };
    assert_eq!(ours, theirs);
}

fn plain_versions((key, version): (ApiKey, i16), frame: &[u8]) -> Result<bool, Stop> {
    let mut plain = Plain::new(CLASSIC, frame);
    let is_good = plain.i32()? == CORRELATION_ID;
    let is_good = plain.i16()? == 0 && is_good;
    let mut is_understood = false;
    for _ in 0..plain.count()? {
        let [of, lowest, highest] = [plain.i16()?, plain.i16()?, plain.i16()?];
        is_understood |= of == key.0 && lowest <= version && version <= highest;
    }
    expect(plain.rest.is_empty())?;
    Ok(is_good && is_understood)
}

fn their_versions((key, version): (ApiKey, i16), mut bytes: impl ByteBuf) -> Option<bool> {
    let header = ResponseHeader::decode(&mut bytes, 0).ok()?;
    let response = ApiVersionsResponse::decode(&mut bytes, API_VERSIONS_VERSION).ok()?;
    let mut apis = response.api_keys.iter().filter(|api| api.api_key == key.0);
    let is_understood = apis.any(|api| (api.min_version..=api.max_version).contains(&version));
    let is_good = header.correlation_id == CORRELATION_ID && response.error_code == 0;
    (!bytes.has_remaining()).then_some(is_good && is_understood)
}

/// An answer as the input says: one to what was asked for, most often.
fn made_producers(input: &mut Bytes<'_>) -> Vec<u8> {
    let mut maker = Maker { version: FLEXIBLE, input, out: Vec::new() };
    let error = i16::from(maker.input.u8().saturating_sub(0xe0));
    let count = maker.input.below(8);
    let producers = (0..count).map(|_| made_producer(maker.input)).collect::<Vec<_>>();
    maker.producers(CORRELATION_ID, NAME, (PARTITION, error), &producers);
    let mut frame = maker.out;
    damage(&mut frame, input);
    frame
}

fn made_producer(input: &mut Bytes<'_>) -> (i64, i32, i32, i64) {
    let (id, epoch) = (i64::from(input.u8() % 4) + 5, i32::from(input.u8()));
    let epoch = if epoch < 0x80 { epoch } else { (epoch - 0x90) << 12 };
    (id, epoch, i32::from(input.u8()) - 1, i64::from(input.i32()))
}

fn made_versions(input: &mut Bytes<'_>) -> Vec<u8> {
    let mut maker = Maker { version: CLASSIC, input, out: Vec::new() };
    let error = i16::from(maker.input.u8().saturating_sub(0xe0));
    let count = maker.input.below(8);
    let apis = (0..count).map(|_| [maker.input.u8() % 4, maker.input.u8() % 8, maker.input.u8() % 8].map(i16::from));
    let apis = apis.collect::<Vec<_>>();
    maker.versions(CORRELATION_ID, error, &apis);
    let mut frame = maker.out;
    damage(&mut frame, input);
    frame
}
