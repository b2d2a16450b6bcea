//! What a broker tells whoever reads a log: where in it a time begins, what stands there, which topic it is of, and which
//! producers it knows.

use super::log::{Entry, Listed, Log, Stored};
use super::{Cluster, Partition};
use crate::batch::{Batch, Keeping, append_time, marker};
use crate::primitive::{Reader, Writer};
use crate::wire::TopicKey;

/// A request for one partition, as a consumer makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) topic: TopicKey,
    /// 0 where the topic itself is asked for.
    pub(crate) index: i32,
    pub(crate) what: What,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The first record that is not older (ListOffsets).
    Time(i64),
    /// Where the log ends (ListOffsets).
    End,
    /// What stands from this offset on (Fetch).
    From(i64),
    /// The topic's name and id (Metadata).
    Topic,
    /// Which requests the broker understands (ApiVersions).
    Versions,
    /// Which producers it knows (DescribeProducers).
    Producers,
}

/// How a broker answers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// With an error instead.
    pub(crate) error: Option<i16>,
    /// With so many batches, and the beginning of the next one, if there are more.
    pub(crate) batches_max: usize,
    /// It has not heard yet of the last batches that all replicas have.
    pub(crate) lags: bool,
    /// With what lies above the high watermark that it names: it read that first.
    pub(crate) overshoots: bool,
    /// A broker that does not lead the partition has no replica of it either.
    pub(crate) has_none: bool,
    /// It tells another epoch and another sequence of every producer, by so many.
    pub(crate) off: (i32, i32),
}

/// What stands in an answer, for the model's own judges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) error: i16,
    pub(crate) high_watermark: i64,
    /// Offset and bytes of each batch of a producer with sequences outside of transactions, but for one that is cut off.
    pub(crate) batches: Vec<(i64, Vec<u8>)>,
}

const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const DESCRIBE_PRODUCERS: i16 = 61;

/// From here on Fetch names topics by their ids, and lengths are varints.
const BY_ID: i16 = 13;

/// From here on Fetch has sessions, and then leader epochs.
const SESSIONS: i16 = 7;
const LEADER_EPOCHS: i16 = 9;

/// From here on batches that are compressed with zstd are given out (KIP-110).
const ZSTD: i16 = 10;

const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
const OFFSET_OUT_OF_RANGE: i16 = 1;
const NOT_LEADER: i16 = 6;

impl Read {
    /// Reads a request, and panics over anything that a consumer does not ask for.
    pub(crate) fn parse(frame: &[u8]) -> Self {
        assert_eq!(frame.len() - 4, u32::from_be_bytes(frame[..4].try_into().expect("four bytes")) as usize);
        let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
        let (api, version) = (number(4), number(6));
        let mut input = Reader::new(&frame[8..], is_flexible(api, version));
        let correlation_id = input.i32();
        let client_id = input.i16() as usize;
        assert_eq!(input.take(client_id), b"seqgate");
        let read = match (api, version) {
            (LIST_OFFSETS, 2) => Self::parse_time(version, correlation_id, &mut input),
            (FETCH, 5 | 10 | 13) => Self::parse_from(version, correlation_id, &mut input),
            (METADATA, 4 | 11 | 12) => Self::parse_topic(version, correlation_id, &mut input),
            (API_VERSIONS, 0) => {
                Self { version, correlation_id, topic: TopicKey::Name("".into()), index: 0, what: What::Versions }
            }
            (DESCRIBE_PRODUCERS, 0) => Self::parse_producers(version, correlation_id, &mut input),
            _ => panic!("version {version} of api {api} was asked for"),
        };
        assert!(input.is_empty(), "bytes are left over in a request");
        read
    }

    fn parse_time(version: i16, correlation_id: i32, input: &mut Reader<'_>) -> Self {
        assert_eq!((input.i32(), input.i8(), input.count()), (-1, 0, 1));
        let topic = input.topic(false);
        assert_eq!(input.count(), 1);
        let index = input.i32();
        let what = match input.i64() {
            -1 => What::End,
            time => What::Time(time),
        };
        Self { version, correlation_id, topic, index, what }
    }

    fn parse_topic(version: i16, correlation_id: i32, input: &mut Reader<'_>) -> Self {
        assert_eq!((input.tags(), input.count()), (None, 1));
        let id = if version >= 10 { input.take(16)[0] } else { 0 };
        let name = input.nullable_string().map(|name| TopicKey::Name(name.into()));
        let topic = name.unwrap_or(TopicKey::Id(id));
        assert_eq!(input.tags(), None);
        // No topic is to be created, and nobody asks for operations that are authorized.
        assert_eq!((input.i8(), if version >= 8 { input.i8() } else { 0 }, input.tags()), (0, 0, None));
        Self { version, correlation_id, topic, index: 0, what: What::Topic }
    }

    fn parse_from(version: i16, correlation_id: i32, input: &mut Reader<'_>) -> Self {
        let by_id = version >= BY_ID;
        assert_eq!(input.tags(), None);
        // As a consumer, at once, outside of any session.
        assert_eq!((input.i32(), input.i32(), input.i32()), (-1, 0, 0));
        let (bytes_max, isolation) = (input.i32(), input.i8());
        assert_eq!(isolation, 0);
        if version >= SESSIONS {
            assert_eq!((input.i32(), input.i32()), (0, -1));
        }
        assert_eq!(input.count(), 1);
        let topic = input.topic(by_id);
        assert_eq!(input.count(), 1);
        let index = input.i32();
        if version >= LEADER_EPOCHS {
            assert_eq!(input.i32(), -1);
        }
        let offset = input.i64();
        if by_id {
            assert_eq!(input.i32(), -1, "an epoch of what was fetched last");
        }
        assert_eq!((input.i64(), input.i32()), (-1, bytes_max));
        assert_eq!((input.tags(), input.tags()), (None, None));
        if version >= SESSIONS {
            assert_eq!(input.count(), 0);
        }
        if by_id {
            assert_eq!(input.nullable_string(), Some(""), "a rack");
            assert_eq!(input.tags(), None);
        }
        Self { version, correlation_id, topic, index, what: What::From(offset) }
    }

    fn parse_producers(version: i16, correlation_id: i32, input: &mut Reader<'_>) -> Self {
        assert_eq!((input.tags(), input.count()), (None, 1));
        let topic = input.topic(false);
        assert_eq!(input.count(), 1);
        let index = input.i32();
        assert_eq!((input.tags(), input.tags()), (None, None));
        Self { version, correlation_id, topic, index, what: What::Producers }
    }

    const fn api(&self) -> i16 {
        match self.what {
            What::Time(_) | What::End => LIST_OFFSETS,
            What::From(_) => FETCH,
            What::Topic => METADATA,
            What::Versions => API_VERSIONS,
            What::Producers => DESCRIBE_PRODUCERS,
        }
    }
}

const fn is_flexible(api: i16, version: i16) -> bool {
    api == FETCH && version >= 12 || api == METADATA && version >= 9 || api == DESCRIBE_PRODUCERS
}

impl Cluster {
    /// The whole answer of `broker`, length included.
    pub(crate) fn read(&self, broker: usize, read: &Read, manner: Manner) -> Vec<u8> {
        let found = self.find(&read.topic, read.index).and_then(|at| match &self.partitions[at] {
            partition if partition.leader == broker => Ok(partition),
            _ => Err(NOT_LEADER),
        });
        let found = manner.error.map_or(found, Err);
        let mut out = Writer::new(is_flexible(read.api(), read.version));
        out.i32(read.correlation_id).tags(&[]);
        if read.what == What::Versions {
            self.versions(manner.error, &mut out);
            return out.framed();
        }
        out.i32(0);
        match read.what {
            What::Time(_) | What::End => self.list(read, found, &mut out),
            What::From(offset) => self.fetch(read, found, offset, manner, &mut out),
            What::Topic => self.topic(read, manner.error, &mut out),
            What::Versions => unreachable!("it is answered"),
            What::Producers => self.producers(broker, read, manner, &mut out),
        }
        out.framed()
    }

    fn versions(&self, error: Option<i16>, out: &mut Writer) {
        let describes = self.make.describes.then_some((DESCRIBE_PRODUCERS, 0));
        let apis: Vec<(i16, i16)> = [(0, 13), (FETCH, 13), (API_VERSIONS, 3)].into_iter().chain(describes).collect();
        out.i16(error.unwrap_or(0)).count(apis.len());
        apis.into_iter().for_each(|(api, highest)| _ = out.i16(api).i16(0).i16(highest));
    }

    /// Whoever has a replica tells what it knows by that. With an error anything may stand beside it.
    fn producers(&self, broker: usize, read: &Read, manner: Manner, out: &mut Writer) {
        let keeping = self.make.keeping;
        let (error, listed) = match self.find(&read.topic, read.index) {
            found if manner.error.is_some() => {
                let log = found.ok().map(|at| &self.partitions[at].log);
                (manner.error.unwrap_or(0), log.map_or(Vec::new(), |log| log.listed_before(keeping)))
            }
            Err(code) => (code, Vec::new()),
            Ok(at) if self.partitions[at].leader == broker => (0, self.partitions[at].log.listed(keeping)),
            Ok(_) if manner.has_none => (NOT_LEADER, Vec::new()),
            Ok(at) => {
                let mut replica = self.partitions[at].log.clone();
                replica.truncate(replica.high_watermark);
                (0, replica.listed(keeping))
            }
        };
        out.count(1).topic(&read.topic).count(1).i32(read.index).i16(error).nullable_string(None).count(listed.len());
        for Listed { producer_id, epoch, last, timestamp, transaction } in listed {
            out.i64(producer_id)
                .i32(epoch + manner.off.0)
                .i32(last.wrapping_add(manner.off.1))
                .i64(timestamp)
                .i32(-1)
                .i64(transaction);
            out.tags(&[]);
        }
        out.tags(&[]).tags(&[]).tags(&[]);
    }

    /// The same answer with the batches of a log in it the other way round.
    pub(crate) fn backwards(read: &Read, frame: &[u8]) -> Vec<u8> {
        if !matches!(read.what, What::From(_)) {
            return frame[..frame.len() - 1].into();
        }
        let batches: Vec<Vec<u8>> = read_shown(read.version, frame).batches.into_iter().map(|(_, it)| it).collect();
        let (in_order, mixed) = (batches.concat(), batches.iter().rev().flatten().copied().collect::<Vec<_>>());
        match frame.windows(in_order.len().max(1)).position(|bytes| bytes == in_order) {
            Some(at) if batches.len() > 1 => [&frame[..at], &mixed, &frame[at + in_order.len()..]].concat(),
            _ => frame[..frame.len() - 1].into(),
        }
    }

    fn list(&self, read: &Read, found: Result<&Partition, i16>, out: &mut Writer) {
        let (error, place) = match (found, read.what) {
            (Ok(partition), What::Time(time)) => (0, partition.log.first_since(time, self.make.keeping)),
            (Ok(partition), _) => (0, Some((-1, partition.log.high_watermark))),
            (Err(error), _) => (error, None),
        };
        let (time, offset) = place.unwrap_or((-1, -1));
        out.count(1).topic(&read.topic).count(1).i32(read.index).i16(error).i64(time).i64(offset);
    }

    fn fetch(&self, read: &Read, found: Result<&Partition, i16>, offset: i64, manner: Manner, out: &mut Writer) {
        let found = found.and_then(|partition| {
            let log = &partition.log;
            (log.start..=log.end).contains(&offset).then_some(log).ok_or(OFFSET_OUT_OF_RANGE)
        });
        let (error, high_watermark, log_start, records) = match found {
            Ok(log) => {
                let (high_watermark, records) = log.read(offset, manner, self.make.keeping);
                (0, high_watermark, log.start, records)
            }
            Err(error) => (error, -1, -1, Vec::new()),
        };
        let is_refused = read.version < ZSTD && self.make.keeping.packs && !records.is_empty();
        let (error, records) = if is_refused { (UNSUPPORTED_COMPRESSION_TYPE, Vec::new()) } else { (error, records) };
        if read.version >= SESSIONS {
            out.i16(0).i32(0);
        }
        out.count(1).topic(&read.topic).count(1);
        out.i32(read.index).i16(error).i64(high_watermark).i64(high_watermark).i64(log_start);
        if read.version >= BY_ID {
            // No aborted transactions are asked for, and no other replica is named.
            out.raw(&[0]).i32(-1);
        } else {
            out.i32(-1);
        }
        out.bytes(&records).tags(&[]).tags(&[]).tags(&[]);
    }

    /// Metadata of one topic.
    fn topic(&self, read: &Read, error: Option<i16>, out: &mut Writer) {
        let at = self.find(&read.topic, 0).map(|partition| &self.topics[partition / self.make.partitions]);
        let (error, topic) = match error.map_or(at, Err) {
            Ok(topic) => (0, Some(topic)),
            Err(error) => (error, None),
        };
        let asked = if let TopicKey::Name(name) = &read.topic { Some(&**name) } else { None };
        out.count(0).nullable_string(Some(&format!("cluster-{}", self.cluster_id))).i32(0).count(1);
        out.i16(error).nullable_string(topic.map(|topic| &*topic.name).or(asked));
        if read.version >= 10 {
            out.raw(&[topic.map_or(0, |topic| topic.id); 16]);
        }
        out.raw(&[0]).count(0);
        if read.version >= 8 {
            out.i32(i32::MIN);
        }
        out.tags(&[]).tags(&[]);
    }
}

/// What [`Cluster::read`] has written of a topic: the number in the cluster's id, and the topic's name and id, if it has
/// told them.
pub(crate) fn read_topic(version: i16, frame: &[u8]) -> (u32, Option<(String, u8)>) {
    let mut input = Reader::new(&frame[8..], version >= 9);
    input.tags();
    input.i32();
    input.count();
    let cluster = input.nullable_string().and_then(|id| id.strip_prefix("cluster-")?.parse().ok()).expect("an id");
    input.i32();
    input.count();
    let error = input.i16();
    let name = input.nullable_string().map(ToString::to_string);
    let id = if version >= 10 { input.take(16)[0] } else { 0 };
    (cluster, name.map(|name| (name, id)).filter(|(_, id)| error == 0 && *id != 0))
}

/// What [`Cluster::read`] has written of where a log ends: -1 with an error.
pub(crate) fn read_end(frame: &[u8]) -> i64 {
    i64::from_be_bytes(*frame.last_chunk().expect("an offset ends the answer"))
}

/// What [`Cluster::read`] has written of the producers of a partition; nothing with an error.
pub(crate) fn read_producers(frame: &[u8]) -> Vec<Listed> {
    let mut input = Reader::new(&frame[8..], true);
    input.tags();
    input.i32();
    input.count();
    input.topic(false);
    input.count();
    input.i32();
    let error = input.i16();
    input.nullable_string();
    let mut listed = Vec::new();
    for _ in 0..input.count() {
        let (producer_id, epoch, last, timestamp) = (input.i64(), input.i32(), input.i32(), input.i64());
        input.i32();
        listed.push(Listed { producer_id, epoch, last, timestamp, transaction: input.i64() });
        input.tags();
    }
    listed.retain(|_| error == 0);
    listed
}

impl Log {
    /// Time and offset of the first record, in the order of the log, that is not older: `LogSegment.findOffsetByTimestamp`.
    fn first_since(&self, time: i64, keeping: Keeping) -> Option<(i64, i64)> {
        let of_batch = |(offset, batch): (i64, &Batch)| {
            let time_of = |place| if keeping.stamps { append_time(offset) } else { batch.time_of(place) };
            (0..batch.count()).map(|place| (time_of(place), offset + place)).find(|(at, _)| *at >= time)
        };
        let is_visible = |(offset, _): &(i64, &Batch)| (self.start..self.high_watermark).contains(offset);
        self.batches().filter(is_visible).find_map(of_batch)
    }

    /// The high watermark that the broker names, and the records.
    fn read(&self, offset: i64, manner: Manner, keeping: Keeping) -> (i64, Vec<u8>) {
        let starts = || self.stored.iter().map(|stored| stored.offset);
        let lagging = starts().rfind(|start| *start < self.high_watermark).filter(|_| manner.lags);
        let high_watermark = lagging.unwrap_or(self.high_watermark).max(self.start);
        let until = if manner.overshoots { self.end } else { high_watermark };
        let is_asked_for = |stored: &&Stored| stored.offset + stored.count() > offset && stored.offset < until;
        let mut rest = self.stored.iter().filter(is_asked_for).map(|stored| stored.bytes(keeping));
        let mut records: Vec<u8> = rest.by_ref().take(manner.batches_max).flatten().collect();
        if let Some(cut_off) = rest.next() {
            records.extend(&cut_off[..cut_off.len() / 2]);
        }
        (high_watermark, records)
    }
}

impl Stored {
    fn count(&self) -> i64 {
        match &self.what {
            Entry::Batch(batch) => batch.count(),
            Entry::Marker(..) => 1,
        }
    }

    fn bytes(&self, keeping: Keeping) -> Vec<u8> {
        match &self.what {
            Entry::Batch(batch) => batch.stored(self.offset, keeping),
            Entry::Marker(producer_id, epoch) => marker(self.offset, *producer_id, *epoch),
        }
    }
}

/// What [`Cluster::read`] has written of a log.
pub(crate) fn read_shown(version: i16, frame: &[u8]) -> Shown {
    let flexible = version >= BY_ID;
    let mut input = Reader::new(&frame[8..], flexible);
    input.tags();
    input.i32();
    if version >= SESSIONS {
        assert_eq!((input.i16(), input.i32()), (0, 0));
    }
    assert_eq!(input.count(), 1);
    input.topic(flexible);
    assert_eq!(input.count(), 1);
    input.i32();
    let (error, high_watermark) = (input.i16(), input.i64());
    // The last stable offset, the start of the log, and transactions that were aborted.
    input.take(16);
    assert_eq!(input.nullable_count(), 0);
    if flexible {
        input.i32();
    }
    let mut records = input.bytes();
    let mut batches = Vec::new();
    while let Some(length) = records.get(8..12) {
        let length = 12 + i32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        let Some((batch, rest)) = records.split_at_checked(length) else { break };
        records = rest;
        let is_control = batch[22] & 0x20 != 0;
        if !is_control && Batch::read(batch).is_idempotent() && !Batch::read(batch).transactional {
            batches.push((i64::from_be_bytes(batch[..8].try_into().expect("eight bytes")), batch.to_vec()));
        }
    }
    Shown { error, high_watermark, batches }
}
