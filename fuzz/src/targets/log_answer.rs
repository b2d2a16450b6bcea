//! Answers about the tail of a partition's log.

use bytes::Bytes as Shared;
use kafka_protocol::messages::{FetchResponse, ListOffsetsResponse, ResponseHeader};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::ByteBuf;
use seqgate_protocol::sequencing::{TopicId, TopicRef};
use seqgate_protocol::wire::batch::{BATCH_HEADER_BYTES, BatchView};
use seqgate_protocol::wire::log::{
    FetchOutcome, FetchReader, FetchVersion, LIST_OFFSETS_VERSION, ListedOffset, listed_offset,
};

use super::Bytes;
use super::guarded::Guarded;
use super::make::{Maker, damage};
use super::plain::{Plain, Stop, TagZero, expect};

/// What was asked for.
const CORRELATION_ID: i32 = 9;
const NAMED: TopicRef<'static> = TopicRef::Name(b"t");
const BY_ID: TopicRef<'static> = TopicRef::Id(TopicId([1; 16]));
const PARTITION: i32 = 0;

/// What a reader may keep of an answer, in bytes of memory.
const HELD_BYTES_MAX: usize = 2048;

/// What is ahead of the records may have so many bytes.
const HEAD_BYTES_MAX: usize = 1024;

/// An answer of which nothing is read yet.
const NOTHING: FetchOutcome =
    FetchOutcome { failed: false, error: 0, high_watermark: -1, log_start_offset: -1, next_offset: None, batches: 0 };

/// The headers of the batches that were handed out.
pub type Headers = Vec<[u8; BATCH_HEADER_BYTES]>;

/// Where the batches begin that were handed out, each with where its records end.
type Batches = Vec<(i64, i64)>;

/// What was asked of a broker.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub version: FetchVersion,
    pub correlation_id: i32,
    pub topic: TopicRef<'a>,
    pub partition: i32,
}

/// Answers are read alike in one piece and in many, by a plain reading and by an independent decoder, and no more of
/// them is kept than a head.
pub fn log_answer(data: &[u8]) {
    let mut input = Bytes(data);
    let kind = input.u8();
    let steps = [input.u8(), input.u8()].map(|step| usize::from(step) + 1);
    let topic = match kind % 3 {
        0 => Some(NAMED),
        1 => Some(BY_ID),
        _ => None,
    };
    let frame = if kind & 0x80 == 0 { input.0.to_vec() } else { made(topic, &mut input) };
    match topic {
        Some(topic) => check_fetched(topic, &frame, steps),
        None => check_listed(&frame),
    }
}

fn check_fetched(topic: TopicRef<'_>, frame: &[u8], steps: [usize; 2]) {
    let (batches, outcome) = fetched(topic, frame, [frame.len().max(1); 2]);
    assert_eq!(fetched(topic, frame, steps), (batches.clone(), outcome), "in pieces of {steps:?}");

    let mut plain = Plain::new(layout(topic), frame);
    let mut headers = Headers::new();
    let asked = Asked { version: version_of(topic), correlation_id: CORRELATION_ID, topic, partition: PARTITION };
    let expected = asked.read(&mut plain, &mut headers);
    assert_eq!(batches, headers.iter().map(place_of).collect::<Batches>());
    assert_eq!(outcome.failed, expected.is_err(), "{outcome:?}, and plainly {expected:?}");
    if let Ok(expected) = expected {
        assert_eq!(outcome, expected);
    }
    if plain.odd.low {
        return;
    }
    if outcome.failed {
        // Of one that is small enough, nothing can be too large.
        if frame.len() <= HEAD_BYTES_MAX
            && let Ok(theirs) = their_fetched(topic, Guarded::new(frame))
        {
            assert!(!is_good(topic, &theirs), "taken by an independent decoder only: {theirs:?}");
        }
        return;
    }
    // All entries that it claims to have are there: now nothing needs guarding.
    let theirs = their_fetched(topic, Shared::copy_from_slice(frame));
    let theirs = theirs.unwrap_or_else(|_| panic!("refused by an independent decoder"));
    let partition = theirs.1.responses.iter().flat_map(|topic| &topic.partitions).next();
    let of_partition = partition.map_or((0, -1, -1), |p| (p.error_code, p.high_watermark, p.log_start_offset));
    let error = if theirs.1.error_code == 0 { of_partition.0 } else { theirs.1.error_code };
    assert_eq!(
        (outcome.error, outcome.high_watermark, outcome.log_start_offset),
        (error, of_partition.1, of_partition.2)
    );
}

/// What the reader makes of an answer that comes so many bytes at a time.
fn fetched(topic: TopicRef<'_>, frame: &[u8], steps: [usize; 2]) -> (Batches, FetchOutcome) {
    let mut reader = FetchReader::new(version_of(topic), CORRELATION_ID, topic.into(), PARTITION);
    let (mut rest, mut steps, mut batches) = (frame, steps.into_iter().cycle(), Batches::new());
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(steps.next().unwrap_or(1).min(rest.len()));
        reader.feed(piece, &mut |batch: BatchView<'_>| {
            batches.push((batch.base_offset(), batch.base_offset() + i64::from(batch.last_offset_delta())));
        });
        assert!(reader.bytes_held() <= HELD_BYTES_MAX, "{} bytes are held", reader.bytes_held());
        assert!(!(reader.failed() && reader.finished()));
        rest = behind;
    }
    (batches, reader.outcome())
}

/// The version of Produce that writes its numbers and lengths the same way.
pub fn layout(topic: TopicRef<'_>) -> i16 {
    match topic {
        TopicRef::Name(_) => 0,
        TopicRef::Id(_) => 13,
    }
}

impl Asked<'_> {
    /// Reads the answer plainly; of one that is malformed further on, the batches count for nothing.
    pub fn read(&self, plain: &mut Plain<'_>, headers: &mut Headers) -> Result<FetchOutcome, Stop> {
        let mut outcome = NOTHING;
        expect(plain.i32()? == self.correlation_id)?;
        plain.tags(TagZero::Unknown)?;
        plain.i32()?;
        if self.version != FetchVersion::Oldest {
            outcome.error = plain.i16()?;
            plain.i32()?;
        }
        match plain.count()? {
            0 => expect(outcome.error != 0)?,
            1 => {
                self.read_partition(plain, &mut outcome, headers)?;
                plain.tags(TagZero::Unknown)?;
                plain.tags(TagZero::Unknown)?;
            }
            _ => return Err(Stop::Bytes),
        }
        plain.tags(TagZero::Unknown)?;
        expect(plain.rest.is_empty())?;
        Ok(outcome)
    }

    fn read_partition(
        &self,
        plain: &mut Plain<'_>,
        outcome: &mut FetchOutcome,
        headers: &mut Headers,
    ) -> Result<(), Stop> {
        match self.topic {
            TopicRef::Name(name) => expect(plain.text()? == Some(name))?,
            TopicRef::Id(id) => expect(plain.fixed()? == id.0)?,
        }
        expect(plain.count()? == 1 && plain.i32()? == self.partition)?;
        let error = plain.i16()?;
        if outcome.error == 0 {
            outcome.error = error;
        }
        outcome.high_watermark = plain.i64()?;
        plain.i64()?;
        outcome.log_start_offset = plain.i64()?;
        for _ in 0..plain.length(Plain::i32)?.unwrap_or(0) {
            plain.take(16)?;
            plain.tags(TagZero::Unknown)?;
        }
        if matches!(self.topic, TopicRef::Id(_)) {
            plain.i32()?;
        }
        let records = plain.length(Plain::i32)?.unwrap_or(0);
        expect(plain.at() <= HEAD_BYTES_MAX)?;
        plain_batches(records, plain, outcome, headers)
    }
}

/// Where a batch begins, and where its last record is.
fn place_of(header: &[u8; BATCH_HEADER_BYTES]) -> (i64, i64) {
    let base = i64::from_be_bytes(header[..8].try_into().expect("eight"));
    let delta = i32::from_be_bytes(header[23..27].try_into().expect("four"));
    (base, base + i64::from(delta))
}

fn plain_batches(
    records: usize,
    plain: &mut Plain<'_>,
    outcome: &mut FetchOutcome,
    headers: &mut Headers,
) -> Result<(), Stop> {
    let (mut left, mut before) = (records, -1);
    while left > 0 {
        let header = plain.take(left.min(BATCH_HEADER_BYTES))?;
        left -= header.len();
        let i32_at =
            |at: usize| header.get(at..at + 4).map(|bytes| i32::from_be_bytes(bytes.try_into().expect("four")));
        expect(header.get(16).is_none_or(|magic| *magic == 2))?;
        let length = i32_at(8).unwrap_or(i32::MAX);
        expect(length >= 49)?;
        if header.len() < BATCH_HEADER_BYTES {
            break;
        }
        let base = i64::from_be_bytes(header[..8].try_into().expect("eight"));
        let delta = i32_at(23).expect("it is in the header");
        expect(base > before && delta >= 0)?;
        let last = base.checked_add(delta.into()).ok_or(Stop::Bytes)?;
        before = last;
        let payload = length as usize - 49;
        plain.take(payload.min(left))?;
        if payload > left {
            break;
        }
        left -= payload;
        if outcome.error == 0 && last < outcome.high_watermark {
            headers.push(header.try_into().expect("as long as a header"));
            outcome.batches += 1;
            outcome.next_offset = Some(last + 1);
        }
    }
    Ok(())
}

/// What an independent decoder reads in an answer, if it takes all of it.
fn their_fetched(topic: TopicRef<'_>, mut bytes: impl ByteBuf) -> Result<(i32, FetchResponse), ()> {
    let version = version_of(topic).number();
    let header = ResponseHeader::decode(&mut bytes, i16::from(version >= 12)).map_err(drop)?;
    let response = FetchResponse::decode(&mut bytes, version).map_err(drop)?;
    if bytes.has_remaining() { Err(()) } else { Ok((header.correlation_id, response)) }
}

/// Whether what an independent decoder read is an answer to what was asked for, with records that can be read.
fn is_good(topic: TopicRef<'_>, (correlation_id, response): &(i32, FetchResponse)) -> bool {
    if *correlation_id != CORRELATION_ID {
        return false;
    }
    let [answered] = &response.responses[..] else {
        return response.responses.is_empty() && response.error_code != 0;
    };
    let [partition] = &answered.partitions[..] else { return false };
    let is_topic = match topic {
        TopicRef::Name(name) => answered.topic.as_bytes() == name,
        TopicRef::Id(id) => *answered.topic_id.as_bytes() == id.0,
    };
    let records = partition.records.as_deref().unwrap_or_default();
    is_topic
        && partition.partition_index == PARTITION
        && plain_batches(records.len(), &mut Plain::new(0, records), &mut { NOTHING }, &mut Headers::new()).is_ok()
}

fn check_listed(frame: &[u8]) {
    let ours = listed_offset(CORRELATION_ID, b"t", PARTITION, frame).ok();
    let plain = plain_listed(frame).ok();
    assert_eq!(ours, plain);
    let theirs = match ours {
        Some(_) => their_listed(Shared::copy_from_slice(frame)),
        None => their_listed(Guarded::new(frame)),
    };
    assert_eq!(theirs, ours);
}

fn plain_listed(frame: &[u8]) -> Result<ListedOffset, Stop> {
    let mut plain = Plain::new(0, frame);
    expect(plain.i32()? == CORRELATION_ID)?;
    plain.i32()?;
    expect(plain.count()? == 1 && plain.text()? == Some(b"t"))?;
    expect(plain.count()? == 1 && plain.i32()? == PARTITION)?;
    let listed = ListedOffset { error: plain.i16()?, timestamp: plain.i64()?, offset: plain.i64()? };
    expect(plain.rest.is_empty())?;
    Ok(listed)
}

/// The one offset that an independent decoder reads, if it is what was asked for.
fn their_listed(mut bytes: impl ByteBuf) -> Option<ListedOffset> {
    let header = ResponseHeader::decode(&mut bytes, 0).ok()?;
    let response = ListOffsetsResponse::decode(&mut bytes, LIST_OFFSETS_VERSION).ok()?;
    let [topic] = &response.topics[..] else { return None };
    let [partition] = &topic.partitions[..] else { return None };
    let is_asked = header.correlation_id == CORRELATION_ID
        && topic.name.as_bytes() == b"t"
        && partition.partition_index == PARTITION
        && !bytes.has_remaining();
    let (error, timestamp, offset) = (partition.error_code, partition.timestamp, partition.offset);
    is_asked.then_some(ListedOffset { error, timestamp, offset })
}

/// An answer as the input says: one to what was asked for, most often.
fn made(topic: Option<TopicRef<'_>>, input: &mut Bytes<'_>) -> Vec<u8> {
    let mut maker = Maker { version: topic.map_or(0, layout), input, out: Vec::new() };
    maker.header(CORRELATION_ID);
    maker.out.extend([0; 4]);
    if topic.is_some() {
        let error = i16::from(maker.input.u8().saturating_sub(0xf0));
        maker.out.extend(error.to_be_bytes());
        maker.out.extend([0; 4]);
    }
    let topics = match maker.input.u8() {
        0xfe => 2,
        0xff => 0,
        _ => 1,
    };
    maker.count(topics);
    for _ in 0..topics {
        maker.topic(u8::from(matches!(topic, Some(TopicRef::Id(_)))));
        maker.count(1);
        maker.out.extend(PARTITION.to_be_bytes());
        let error = i16::from(maker.input.u8().saturating_sub(0xf0));
        maker.out.extend(error.to_be_bytes());
        for _ in 0..2 {
            let offset = i64::from(maker.input.u8()) - 1;
            maker.out.extend(offset.to_be_bytes());
        }
        if topic.is_some() {
            made_rest_of_partition(&mut maker);
        }
    }
    maker.tags(false);
    let mut frame = maker.out;
    damage(&mut frame, input);
    frame
}

/// What a partition of a Fetch answer has behind the high watermark and the last stable offset.
fn made_rest_of_partition(maker: &mut Maker<'_, '_>) {
    maker.out.extend([0; 8]);
    match maker.input.u8() {
        0 => maker.put_bytes(None),
        count => {
            maker.count(usize::from(count % 80));
            for _ in 0..count % 80 {
                maker.out.extend([0; 16]);
                maker.tags(false);
            }
        }
    }
    if maker.is_flexible() {
        maker.out.extend([0xff; 4]);
    }
    let records = made_records(maker.input);
    maker.put_bytes(records.as_deref());
    maker.tags(true);
    maker.tags(false);
}

/// Null, or some batches of which the last may be cut off.
fn made_records(input: &mut Bytes<'_>) -> Option<Vec<u8>> {
    let count = input.u8() % 8;
    if count == 7 {
        return None;
    }
    let (mut bytes, mut base) = (Vec::new(), 0_i64);
    for _ in 0..count {
        let (gap, delta, payload) = (input.u8() % 4, i32::from(input.u8() % 16) - 1, input.u8() % 64);
        base += i64::from(gap);
        let mut batch = vec![0; BATCH_HEADER_BYTES + usize::from(payload)];
        batch[..8].copy_from_slice(&base.to_be_bytes());
        batch[11] = 49 + payload;
        batch[16] = 2;
        batch[23..27].copy_from_slice(&delta.to_be_bytes());
        base += i64::from(delta) + 1;
        bytes.extend(batch);
    }
    bytes.truncate(bytes.len() - usize::from(input.u8().saturating_sub(0x7f)).min(bytes.len()));
    Some(bytes)
}

/// By name in the version with the more to it.
const fn version_of(topic: TopicRef<'_>) -> FetchVersion {
    match topic {
        TopicRef::Name(_) => FetchVersion::Zstd,
        TopicRef::Id(_) => FetchVersion::ById,
    }
}
