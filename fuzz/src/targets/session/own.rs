//! Requests of our own: what the script has a broker answer, and what a plain reading makes of that.

use seqgate_protocol::sequencing::{TopicId, TopicRef};
use seqgate_protocol::session::LookUp;
use seqgate_protocol::wire::log::FetchVersion;

use super::super::Bytes;
use super::super::log_answer::{self, Headers, layout};
use super::super::make::{Maker, damage};
use super::super::plain::{Plain, Stop};
use super::super::producers;
use super::script::{Name, Place};
use super::truth::Shown;
use super::{Log, PRODUCER_EXPIRATION_MS, World};

const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const DESCRIBE_PRODUCERS: i16 = 61;

/// Bytes of a frame ahead of what a request header of version 1 has behind its client id.
const HEADER_BYTES: usize = 4 + 8 + 2 + b"seqgate".len();

/// A request of our own that is at the broker.
pub struct Own {
    pub look: LookUp,
    /// The batch that is looked for.
    pub wanted: Name,
    /// When the look began, by the truth's time.
    pub since: u64,
    pub cluster: usize,
    /// Nobody waits for it any more.
    pub is_orphan: bool,
    pub frame: Vec<u8>,
}

/// What a leader has said of a producer, in one look.
#[derive(Clone, Debug)]
pub struct Told {
    pub place: Place,
    pub producer: i64,
    pub epoch: i16,
    pub last_sequence: i32,
    pub last_timestamp: i64,
    /// It has said that it leads the partition, after that.
    pub leads: bool,
}

impl Told {
    /// Whether a broker does not forget the producer for as long as this may matter.
    pub const fn is_remembered(&self, asked_ms: u64) -> bool {
        self.last_timestamp > asked_ms.cast_signed() - PRODUCER_EXPIRATION_MS.cast_signed()
    }
}

/// What an answer says, by a plain reading.
#[derive(Default)]
pub struct Read {
    /// Batches of the log.
    pub shown: Vec<Shown>,
    /// It tells what brokers tell those whom they serve.
    pub serves: bool,
    /// What is known of the producer.
    pub told: Option<Told>,
    /// The place that was asked for has a leader, and it is the one that was asked.
    pub leads: bool,
}

impl Own {
    pub fn place(&self) -> Place {
        (self.look.topic().into(), self.look.partition())
    }

    fn api(&self) -> (i16, i16) {
        let i16_at = |at: usize| i16::from_be_bytes([self.frame[at], self.frame[at + 1]]);
        (i16_at(4), i16_at(6))
    }

    fn correlation_id(&self) -> i32 {
        i32::from_be_bytes(self.frame[8..12].try_into().expect("four bytes"))
    }

    fn fetch_version(&self) -> FetchVersion {
        match self.api().1 {
            5 => FetchVersion::Oldest,
            10 => FetchVersion::Zstd,
            _ => FetchVersion::ById,
        }
    }

    /// The topic's name in the request, where that has one.
    fn name(&self) -> Result<&[u8], Stop> {
        let (version, skipped) = match self.api() {
            (LIST_OFFSETS, _) => (0, 9),
            (METADATA, 4) => (0, 4),
            (METADATA, _) => (9, 18),
            _ => (9, 2),
        };
        let mut plain = Plain::new(version, &self.frame[HEADER_BYTES..]);
        plain.take(skipped)?;
        plain.text()?.ok_or(Stop::Bytes)
    }

    /// The offset from which on the log is asked for.
    fn offset(&self) -> i64 {
        let in_header = match self.fetch_version() {
            FetchVersion::Oldest => 17 + 4 + 2 + self.topic_bytes() + 4 + 4,
            FetchVersion::Zstd => 17 + 8 + 4 + 2 + self.topic_bytes() + 4 + 4 + 4,
            FetchVersion::ById => 1 + 17 + 8 + 1 + 16 + 1 + 4 + 4,
        };
        i64::from_be_bytes(self.frame[HEADER_BYTES + in_header..][..8].try_into().expect("eight bytes"))
    }

    fn topic_bytes(&self) -> usize {
        match self.look.topic() {
            TopicRef::Name(name) => name.len(),
            TopicRef::Id(_) => 16,
        }
    }

    /// What the broker answers, without its length: most often the truth.
    pub fn answer(&self, world: &World, script: &mut Bytes<'_>) -> Vec<u8> {
        let kind = script.u8();
        let correlation_id = self.correlation_id() ^ i32::from(kind == 0xfe);
        if kind == 0xff {
            let anything = (0..script.below(64)).map(|_| script.u8()).collect::<Vec<_>>();
            return [&correlation_id.to_be_bytes()[..], &anything].concat();
        }
        let none = Log::default();
        let log = world.logs.get(&(self.cluster, self.place())).unwrap_or(&none);
        let mut maker = Maker { version: self.layout(), input: script, out: Vec::new() };
        match self.api() {
            (FETCH, _) => self.put_log(&mut maker, correlation_id, log),
            (LIST_OFFSETS, _) => self.put_offset(&mut maker, correlation_id, log),
            (METADATA, version) => self.put_metadata(&mut maker, correlation_id, version),
            (API_VERSIONS, _) => {
                let of = maker.input.u8();
                let apis = [[0, 0, 13], [if of < 0xf0 { DESCRIBE_PRODUCERS } else { 1 }, 0, 0]];
                maker.versions(correlation_id, i16::from(of.saturating_sub(0xf8)), &apis);
            }
            _ => self.put_producers(&mut maker, correlation_id, log, world.now_ms),
        }
        let mut frame = maker.out;
        damage(&mut frame, script);
        if kind >= 0xf0 {
            frame.truncate(usize::from(script.u8()));
        }
        frame
    }

    /// The version of Produce that writes its lengths as the answer does.
    fn layout(&self) -> i16 {
        match self.api() {
            (FETCH, _) => layout(self.look.topic()),
            (METADATA, 9..) | (DESCRIBE_PRODUCERS, _) => 9,
            _ => 0,
        }
    }

    fn put_log(&self, maker: &mut Maker<'_, '_>, correlation_id: i32, log: &Log) {
        const ERRORS: [i16; 8] = [29, 76, 76, 1, 3, 6, 100, 4711];
        let error = match maker.input.u8() {
            error @ 0xe0.. => ERRORS[usize::from(error % 8)],
            _ => 0,
        };
        maker.header(correlation_id);
        maker.out.extend([0; 4]);
        if self.fetch_version() != FetchVersion::Oldest {
            maker.out.extend([0; 6]);
        }
        maker.count(1);
        match self.look.topic() {
            TopicRef::Name(name) => maker.put_text(name),
            TopicRef::Id(id) => maker.out.extend(id.0),
        }
        maker.count(1);
        maker.out.extend(self.look.partition().to_be_bytes());
        maker.out.extend(error.to_be_bytes());
        let end = log.end + i64::from(maker.input.u8().saturating_sub(0xf0));
        maker.out.extend(end.to_be_bytes());
        maker.out.extend(end.to_be_bytes());
        maker.out.extend([0; 8]);
        maker.put_bytes(None);
        if maker.is_flexible() {
            maker.out.extend([0xff; 4]);
        }
        let records = if error == 0 { self.records(maker.input, log) } else { Vec::new() };
        maker.put_bytes(Some(&records));
        (0..3).for_each(|_| maker.tags(false));
    }

    /// Batches of the log from the offset on that was asked for, some of them as no producer has sent them.
    fn records(&self, input: &mut Bytes<'_>, log: &Log) -> Vec<u8> {
        let (from, count) = (self.offset(), usize::from(8 - input.u8() % 8));
        let mut records = Vec::new();
        for (name, offset) in log.batches.iter().filter(|(name, offset)| offset + name.records() > from).take(count) {
            let mut batch = name.stored(*offset);
            let change = input.u8();
            match change {
                0xf0..=0xf3 => batch[22] ^= 3,
                0xf4..=0xf7 => batch[22] ^= 8,
                0xf8 => batch[22] ^= 0x10,
                0xf9 => batch[22] ^= 0x20,
                0xfa => batch[50] ^= 1,
                0xfb => batch[52] ^= 1,
                0xfc => batch[56] ^= 2,
                0xfd => batch[7] ^= input.u8(),
                0xfe => batch[usize::from(input.u8() % 61)] ^= input.u8(),
                _ => {}
            }
            if (0xe8..0xf8).contains(&change) {
                batch[20] ^= 0x40;
            }
            records.extend(batch);
        }
        records
    }

    fn put_offset(&self, maker: &mut Maker<'_, '_>, correlation_id: i32, log: &Log) {
        const ERRORS: [i16; 4] = [29, 6, 3, 4711];
        let (error, offset) = match maker.input.u8() {
            n @ 0xe0..0xf0 => (ERRORS[usize::from(n % 4)], -1),
            n @ 0xf0.. => (0, i64::from(n) - 0xf1),
            n if n % 4 == 0 => (0, log.end),
            n => (0, log.batches.get(usize::from(n % 4) - 1).map_or(0, |(_, offset)| *offset)),
        };
        maker.header(correlation_id);
        maker.out.extend([0; 4]);
        maker.count(1);
        maker.put_text(self.name().unwrap_or_default());
        maker.count(1);
        maker.out.extend(self.look.partition().to_be_bytes());
        maker.out.extend(error.to_be_bytes());
        maker.out.extend((-1_i64).to_be_bytes());
        maker.out.extend(offset.to_be_bytes());
    }

    fn put_metadata(&self, maker: &mut Maker<'_, '_>, correlation_id: i32, version: i16) {
        let n = maker.input.u8();
        let (topic, id) = match self.look.topic() {
            TopicRef::Id(TopicId(id)) => (vec![b't' + n % 3], id),
            TopicRef::Name(name) => (name.to_vec(), [n % 3 + 1; 16]),
        };
        maker.header(correlation_id);
        maker.out.extend([0; 4]);
        maker.count(usize::from(n & 1));
        if n & 1 == 1 {
            maker.out.extend([0, 0, 0, 1]);
            maker.put_text(b"h");
            maker.out.extend([0, 0, 0, 9]);
            put_null(maker);
            maker.tags(false);
        }
        put_null(maker);
        maker.out.extend([0; 4]);
        maker.count(1);
        let error = i16::from(n.saturating_sub(0xf0));
        maker.out.extend(error.to_be_bytes());
        maker.put_text(&topic);
        if version >= 10 {
            maker.out.extend(id);
        }
        maker.out.push(0);
        maker.count(0);
        if version >= 8 {
            maker.out.extend([0; 4]);
        }
        (0..2).for_each(|_| maker.tags(false));
    }

    fn put_producers(&self, maker: &mut Maker<'_, '_>, correlation_id: i32, log: &Log, now_ms: u64) {
        let error = i16::from(maker.input.u8().saturating_sub(0xf0));
        let mut producers: Vec<(i64, i32, i32, i64)> = Vec::new();
        for (name, _) in &log.batches {
            producers.retain(|(id, ..)| *id != name.producer);
            producers.push((name.producer, name.epoch.into(), name.last, now_ms.cast_signed()));
        }
        for (_, epoch, last_sequence, last_timestamp) in &mut producers {
            match maker.input.u8() {
                0xf0..=0xf3 => *epoch += 1,
                0xf4..=0xf7 => *last_sequence += 2,
                0xf8..=0xfb => *last_timestamp -= 20_000,
                0xfc.. => *last_sequence = -1,
                _ => {}
            }
        }
        let name = self.name().unwrap_or_default();
        maker.producers(correlation_id, name, (self.look.partition(), error), &producers);
    }

    /// What an answer says.
    pub fn read(&self, frame: &[u8]) -> Read {
        let mut plain = Plain::new(self.layout(), frame);
        match self.api() {
            (FETCH, _) => self.read_log(&mut plain),
            (LIST_OFFSETS, _) => {
                let is_good = self.read_offset(&mut plain).is_ok_and(|error| error == 0);
                Read { serves: is_good, leads: is_good, ..Read::default() }
            }
            (DESCRIBE_PRODUCERS, _) => Read { told: self.read_producers(&mut plain), ..Read::default() },
            _ => Read::default(),
        }
    }

    fn read_log(&self, plain: &mut Plain<'_>) -> Read {
        let (version, correlation_id) = (self.fetch_version(), self.correlation_id());
        let (topic, partition) = (self.look.topic(), self.look.partition());
        let asked = log_answer::Asked { version, correlation_id, topic, partition };
        let mut headers = Headers::new();
        let Ok(outcome) = asked.read(plain, &mut headers) else { return Read::default() };
        let shown = headers.iter().filter_map(|header| Shown::read(self.place(), header)).collect();
        Read { shown, serves: outcome.error == 0, ..Read::default() }
    }

    fn read_offset(&self, plain: &mut Plain<'_>) -> Result<i16, Stop> {
        let expect = super::super::plain::expect;
        expect(plain.i32()? == self.correlation_id())?;
        plain.i32()?;
        expect(plain.count()? == 1 && plain.text()? == Some(self.name()?))?;
        expect(plain.count()? == 1 && plain.i32()? == self.look.partition())?;
        let error = plain.i16()?;
        plain.take(16)?;
        expect(plain.rest.is_empty())?;
        Ok(error)
    }

    fn read_producers(&self, plain: &mut Plain<'_>) -> Option<Told> {
        let (correlation_id, producer) = (self.correlation_id(), self.wanted.producer);
        let (name, partition) = (self.name().ok()?, self.look.partition());
        let known = producers::Asked { correlation_id, name, partition, producer }.read(plain).ok()??;
        Some(Told {
            place: self.place(),
            producer,
            epoch: known.epoch.get(),
            last_sequence: known.last_sequence,
            last_timestamp: known.last_timestamp,
            leads: false,
        })
    }
}

fn put_null(maker: &mut Maker<'_, '_>) {
    maker.out.extend(if maker.is_flexible() { &[0][..] } else { &[0xff, 0xff] });
}
