//! The requests that clients send and the answers that brokers give, as the script tells them, and what a plain
//! reading makes of both.

use std::collections::HashSet;

use seqgate_protocol::sequencing::TopicId;
use seqgate_protocol::wire::head::RequestHead;
use seqgate_protocol::wire::produce::OwnedTopic;

use super::super::Bytes;
use super::super::make::{Maker, damage};
use super::super::plain::{self, Sent};

/// A partition as one form of request names it.
pub type Place = (OwnedTopic, i32);

/// A batch of a producer with sequences that a broker would take, as its entry in a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub place: Place,
    pub producer: i64,
    pub epoch: i16,
    pub first: i32,
    pub last: i32,
    pub crc: u32,
    pub length: i32,
    pub codec: u8,
}

impl Name {
    pub fn records(&self) -> i64 {
        i64::from(self.last.wrapping_sub(self.first) & i32::MAX) + 1
    }

    /// The batch as it stands in a log that keeps it as it was sent.
    pub fn stored(&self, offset: i64) -> Vec<u8> {
        let mut batch = vec![0; 12 + usize::try_from(self.length).expect("it was whole")];
        batch[..8].copy_from_slice(&offset.to_be_bytes());
        batch[8..12].copy_from_slice(&self.length.to_be_bytes());
        batch[16] = 2;
        batch[17..21].copy_from_slice(&self.crc.to_be_bytes());
        batch[22] = self.codec;
        batch[23..27].copy_from_slice(&(self.records() as i32 - 1).to_be_bytes());
        batch[43..51].copy_from_slice(&self.producer.to_be_bytes());
        batch[51..53].copy_from_slice(&self.epoch.to_be_bytes());
        batch[53..57].copy_from_slice(&self.first.to_be_bytes());
        batch[57..61].copy_from_slice(&(self.records() as i32).to_be_bytes());
        batch
    }
}

/// An entry of a request.
#[derive(Clone, Debug)]
pub struct Part {
    pub place: Place,
    /// Its place stands in the request once, and there is a batch there that tells what it is.
    pub name: Option<Name>,
    pub bytes: Vec<u8>,
    /// It is part of a transaction.
    pub transactional: bool,
    /// The session keeps track of it, and so of what brokers say of it.
    pub tracked: bool,
}

/// A request that can be read.
#[derive(Clone, Debug)]
pub struct Request {
    pub version: i16,
    pub correlation_id: i32,
    pub acks: i16,
    /// It is part of a transaction, or one of its batches is.
    pub transactional: bool,
    /// One of its entries cannot be taken at its word.
    pub opaque: bool,
    pub parts: Vec<Part>,
}

impl Request {
    /// Reads a frame, length included, as a session would.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let head = RequestHead::parse(frame.get(4..)?).ok()?;
        let (version, correlation_id) = (head.prefix.api_version, head.prefix.correlation_id);
        if !(0..=13).contains(&version) {
            return None;
        }
        let (read, odd) = plain::request(version, head.body);
        let (fields, message) = read.ok().filter(|(_, message)| message.left == 0 && !odd.long)?;
        let places: Vec<Place> = message.entries().map(|(topic, sent)| (topic.clone(), sent.index)).collect();
        let mut transactional = fields.transactional_id.is_some();
        let mut opaque = false;
        let mut parts = Vec::new();
        for (place, (_, sent)) in places.iter().zip(message.entries()) {
            let batch = Batch::read(sent).filter(|_| places.iter().filter(|other| *other == place).count() == 1);
            let header = sent.records.and_then(|records| records.get(..61)).filter(|header| header[16] == 2);
            let is_transactional = header.is_some_and(|header| header[22] & 0x10 != 0);
            transactional |= is_transactional;
            opaque |= batch.is_none();
            let name = batch.and_then(|batch| batch.name(place.clone()));
            parts.push(Part {
                place: place.clone(),
                name,
                bytes: sent.bytes.to_vec(),
                transactional: is_transactional,
                tracked: false,
            });
        }
        Some(Self { version, correlation_id, acks: fields.acks, transactional, opaque, parts })
    }

    /// Whether any of it may be answered here, if it is proven.
    pub fn may_be_answered(&self) -> bool {
        self.version >= 3 && matches!(self.acks, -1 | 1) && !self.transactional && !self.opaque
    }
}

/// A well-formed batch's header.
pub struct Batch<'a>(pub &'a [u8]);

impl<'a> Batch<'a> {
    fn read(sent: &Sent<'a>) -> Option<Self> {
        let records = sent.records?;
        let batch = Self(records.get(..61)?);
        let is_whole = batch.0[16] == 2 && i64::from(batch.i32(8)) + 12 == records.len() as i64;
        let counts = batch.i32(57) > 0 && batch.i32(23) == batch.i32(57) - 1 && batch.0[..8] == [0; 8];
        let sequences = batch.producer() < 0 || (batch.i32(53) >= 0 && batch.epoch() >= 0);
        (is_whole && counts && sequences && batch.0[22] & 0x20 == 0).then_some(batch)
    }

    pub fn name(&self, place: Place) -> Option<Name> {
        let first = self.i32(53);
        let last = first.wrapping_add(self.i32(23)) & i32::MAX;
        let (crc, length) = (self.i32(17).cast_unsigned(), self.i32(8));
        let (producer, epoch) = (self.producer(), self.epoch());
        let codec = self.0[22] & 7;
        (producer >= 0).then_some(Name { place, producer, epoch, first, last, crc, length, codec })
    }

    fn i32(&self, at: usize) -> i32 {
        i32::from_be_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    fn producer(&self) -> i64 {
        i64::from(self.i32(43)) << 32 | i64::from(self.i32(47).cast_unsigned())
    }

    fn epoch(&self) -> i16 {
        i16::from_be_bytes([self.0[51], self.0[52]])
    }
}

/// A produce frame of one or two topics of up to four batches.
pub fn request(script: &mut Bytes<'_>, correlation_id: i32) -> Vec<u8> {
    let (kind, more) = (script.u8(), script.u8());
    let version = [9_i16, 13, 9, 13, 3, 8, 12, 2][usize::from(kind & 7)];
    let acks = [-1_i16, -1, -1, -1, -1, 1, 0, 2][usize::from(kind >> 3 & 7)];
    let mut maker = Maker { version, input: script, out: vec![0; 6] };
    maker.out.extend(version.to_be_bytes());
    maker.out.extend(correlation_id.to_be_bytes());
    maker.out.extend([0xff, 0xff]);
    if maker.is_flexible() {
        maker.out.push(0);
    }
    if version >= 3 {
        match (kind == 0xff, maker.is_flexible()) {
            (true, _) => maker.put_text(b"x"),
            (false, true) => maker.out.push(0),
            (false, false) => maker.out.extend([0xff, 0xff]),
        }
    }
    maker.out.extend(acks.to_be_bytes());
    maker.out.extend(1_000_i32.to_be_bytes());
    let topics = 1 + usize::from(more & 1);
    maker.count(topics);
    for n in 0..topics {
        let topic = topic(version, (more >> 1 & 7) + n as u8);
        put_topic(&mut maker, &topic);
        let partitions = 1 + usize::from(more >> (4 + 2 * n) & 3);
        maker.count(partitions);
        for _ in 0..partitions {
            let index = i32::from(maker.input.u8() % 4);
            maker.out.extend(index.to_be_bytes());
            let batch = batch(maker.input);
            maker.put_bytes(batch.as_ref().map(|batch| &batch[..]));
            maker.tags(false);
        }
        maker.tags(false);
    }
    maker.tags(false);
    let mut frame = maker.out;
    if kind == 0xfe {
        damage(&mut frame[4..], script);
    }
    put_length(frame)
}

/// Three names, or three ids.
fn topic(version: i16, which: u8) -> OwnedTopic {
    match version {
        13.. => OwnedTopic::Id(TopicId([which % 3 + 1; 16])),
        _ => OwnedTopic::Name([b't' + which % 3].as_slice().into()),
    }
}

fn put_topic(maker: &mut Maker<'_, '_>, topic: &OwnedTopic) {
    match topic {
        OwnedTopic::Name(name) => maker.put_text(name),
        OwnedTopic::Id(id) => maker.out.extend(id.0),
    }
}

/// A batch of one of six producers, on few sequences, so that retries and overlaps come by themselves.
fn batch(script: &mut Bytes<'_>) -> Option<[u8; 61]> {
    let (who, sequence, content) = (script.u8(), script.u8(), script.u8());
    let count = i32::from(content & 1) + 1;
    let near_the_wrap = if sequence & 0x80 == 0 { 0 } else { i32::MAX - 3 };
    let mut batch = [0; 61];
    batch[11] = 49;
    batch[16] = 2;
    // What is in it shows in its first record's time.
    batch[34] = content >> 6;
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    let producer = if who & 0xf == 0xf { -1 } else { i64::from(who & 0xf) % 6 };
    batch[43..51].copy_from_slice(&producer.to_be_bytes());
    batch[51..53].copy_from_slice(&i16::from(who >> 6).to_be_bytes());
    let base = near_the_wrap.wrapping_add(i32::from(sequence & 0x7) * 2) & i32::MAX;
    batch[53..57].copy_from_slice(&base.to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    match content & 0x3e {
        0x3e => batch[22] = 1 << 4,
        0x3c => batch[22] = 1 << 5,
        0x3a => batch[11] = 48,
        0x38 => batch[51] = 0xff,
        0x36 => batch[26] = 9,
        0x34 => batch[16] = 1,
        0x32 => return None,
        _ => {}
    }
    let crc = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    Some(batch)
}

/// Castagnoli's polynomial, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

/// What a broker says of one partition.
#[derive(Clone, Debug)]
pub struct Said {
    pub place: Place,
    pub error: i16,
    pub base_offset: i64,
}

/// The whole frame, length included, in which a broker says it.
pub fn answer(version: i16, correlation_id: i32, said: &[Said], script: &mut Bytes<'_>) -> Vec<u8> {
    let mut seen = HashSet::new();
    let topics: Vec<_> = said.iter().map(|said| &said.place.0).filter(|topic| seen.insert(*topic)).collect();
    let mut maker = Maker { version, input: script, out: vec![0; 4] };
    maker.header(correlation_id);
    maker.count(topics.len());
    for topic in topics {
        put_topic(&mut maker, topic);
        let entries: Vec<_> = said.iter().filter(|said| said.place.0 == *topic).collect();
        maker.count(entries.len());
        for said in entries {
            maker.out.extend(said.place.1.to_be_bytes());
            maker.said(said.error, Some(said.base_offset));
        }
        maker.tags(false);
    }
    maker.end();
    put_length(maker.out)
}

/// What an answer says, if it answers this request and can be read; nothing when not.
pub fn read_answer(version: i16, correlation_id: i32, frame: &[u8]) -> Option<Vec<Said>> {
    let (read, odd) = plain::response(version, frame.get(4..)?);
    let (correlated, message) = read.ok().filter(|(_, message)| message.left == 0 && !odd.long)?;
    let said = message.entries().map(|(topic, said)| Said {
        place: (topic.clone(), said.index),
        error: said.error,
        base_offset: said.base_offset,
    });
    (correlated == correlation_id).then(|| said.collect())
}

fn put_length(mut frame: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(frame.len() - 4).expect("a small frame").to_be_bytes();
    frame[..4].copy_from_slice(&length);
    frame
}
