//! Messages read straight off their schema: slow, in one piece, and sharing nothing with what is tested but the names
//! of topics.

use seqgate_protocol::sequencing::{TopicId, TopicRef};
use seqgate_protocol::wire::produce::OwnedTopic;

/// Why a message cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It ends too early, or has a null or a negative length where there is none.
    Bytes,
    /// It claims more entries than it has bytes left: decoders that make room for them first may abort.
    Count,
    /// A varint of more than 32 bits, which decoders take for different numbers.
    Varint,
}

/// What others may judge differently, or not at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odd {
    /// A text is not UTF-8: an independent decoder refuses it.
    pub text: bool,
    /// A text has more than 0x7fff bytes: brokers refuse it, an independent decoder does not.
    pub long: bool,
    /// A known tag in a version without it, or with another value than it has: an independent decoder loses its way.
    pub tag: bool,
    /// A tag below 3: no field of an answer about the log has another, and whether it is known where it stands, and has
    /// its value there, is not looked at.
    pub low: bool,
}

/// A message, and where its parts are.
#[derive(Debug)]
pub struct Message<'a, E> {
    /// Everything ahead of the number of topics.
    pub head: &'a [u8],
    /// The topics, each as often as it stands there.
    pub topics: Vec<Topic<'a, E>>,
    /// Everything behind the topics.
    pub tail: &'a [u8],
    /// How many bytes too many there are behind it.
    pub left: usize,
}

/// A topic's part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic<'a, E> {
    pub topic: OwnedTopic,
    pub entries: Vec<E>,
    pub tail: &'a [u8],
}

/// A partition's part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent<'a> {
    pub index: i32,
    pub records: Option<&'a [u8]>,
    /// All of it, as it stands there.
    pub bytes: &'a [u8],
}

/// A partition's part of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    pub index: i32,
    pub error: i16,
    pub base_offset: i64,
    /// -1 where the version has none.
    pub log_append_time: i64,
    pub log_start_offset: Option<i64>,
    /// All of it, as it stands there.
    pub bytes: &'a [u8],
}

/// What a request says ahead of its topics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    pub transactional_id: Option<&'a [u8]>,
    pub acks: i16,
    pub timeout_ms: i32,
}

impl<E> Message<'_, E> {
    /// All entries with their topics, in the order in which they stand.
    pub fn entries(&self) -> impl Iterator<Item = (&OwnedTopic, &E)> {
        self.topics.iter().flat_map(|topic| topic.entries.iter().map(move |entry| (&topic.topic, entry)))
    }
}

/// Reads a request's body.
pub fn request(version: i16, body: &[u8]) -> (Result<(Fields<'_>, Message<'_, Sent<'_>>), Stop>, Odd) {
    let mut plain = Plain::new(version, body);
    let read = plain.request();
    (read, plain.odd)
}

/// Reads a response, given without its length.
pub fn response(version: i16, frame: &[u8]) -> (Result<(i32, Message<'_, Said<'_>>), Stop>, Odd) {
    let mut plain = Plain::new(version, frame);
    let read = plain.response();
    (read, plain.odd)
}

/// Stops the reading where something does not hold.
pub fn expect(holds: bool) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(Stop::Bytes) }
}

/// Which known field a tag of 0 is, if any.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TagZero {
    Unknown,
    CurrentLeader,
    NodeEndpoints,
}

/// Reads one value after the other, as the version of Produce writes them.
pub struct Plain<'a> {
    version: i16,
    all: &'a [u8],
    pub rest: &'a [u8],
    pub odd: Odd,
}

impl<'a> Plain<'a> {
    pub fn new(version: i16, all: &'a [u8]) -> Self {
        Self { version, all, rest: all, odd: Odd::default() }
    }

    fn request(&mut self) -> Result<(Fields<'a>, Message<'a, Sent<'a>>), Stop> {
        let mut fields = Fields::default();
        if self.version >= 3 {
            fields.transactional_id = self.text()?;
        }
        (fields.acks, fields.timeout_ms) = (self.i16()?, self.i32()?);
        let head = self.since(0);
        let topics = self.topics(Self::sent)?;
        let tail_at = self.at();
        self.tags(TagZero::Unknown)?;
        Ok((fields, Message { head, topics, tail: self.since(tail_at), left: self.rest.len() }))
    }

    fn response(&mut self) -> Result<(i32, Message<'a, Said<'a>>), Stop> {
        let correlation_id = self.i32()?;
        self.tags(TagZero::Unknown)?;
        let head = self.since(0);
        let topics = self.topics(Self::said)?;
        let tail_at = self.at();
        if self.version >= 1 {
            self.i32()?;
        }
        self.tags(TagZero::NodeEndpoints)?;
        Ok((correlation_id, Message { head, topics, tail: self.since(tail_at), left: self.rest.len() }))
    }

    fn topics<E>(&mut self, entry: fn(&mut Self) -> Result<E, Stop>) -> Result<Vec<Topic<'a, E>>, Stop> {
        let mut topics = Vec::new();
        for _ in 0..self.count()? {
            let topic = if self.version >= 13 {
                TopicRef::Id(TopicId(self.fixed()?))
            } else {
                TopicRef::Name(self.text()?.ok_or(Stop::Bytes)?)
            };
            let mut entries = Vec::new();
            for _ in 0..self.count()? {
                entries.push(entry(self)?);
            }
            let tail_at = self.at();
            self.tags(TagZero::Unknown)?;
            topics.push(Topic { topic: topic.into(), entries, tail: self.since(tail_at) });
        }
        Ok(topics)
    }

    fn sent(&mut self) -> Result<Sent<'a>, Stop> {
        let at = self.at();
        let index = self.i32()?;
        let records = self.bytes()?;
        self.tags(TagZero::Unknown)?;
        Ok(Sent { index, records, bytes: self.since(at) })
    }

    fn said(&mut self) -> Result<Said<'a>, Stop> {
        let at = self.at();
        let (index, error, base_offset) = (self.i32()?, self.i16()?, self.i64()?);
        let log_append_time = if self.version >= 2 { self.i64()? } else { -1 };
        let log_start_offset = if self.version >= 5 { Some(self.i64()?) } else { None };
        if self.version >= 8 {
            for _ in 0..self.count()? {
                self.i32()?;
                self.text()?;
                self.tags(TagZero::Unknown)?;
            }
            self.text()?;
        }
        self.tags(TagZero::CurrentLeader)?;
        Ok(Said { index, error, base_offset, log_append_time, log_start_offset, bytes: self.since(at) })
    }

    pub fn at(&self) -> usize {
        self.all.len() - self.rest.len()
    }

    fn since(&self, at: usize) -> &'a [u8] {
        &self.all[at..self.at()]
    }

    fn is_flexible(&self) -> bool {
        self.version >= 9
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Stop::Bytes)?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        self.take(N).map(|bytes| bytes.try_into().expect("as many were asked for"))
    }

    pub fn i16(&mut self) -> Result<i16, Stop> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Stop> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, Stop> {
        self.fixed().map(i64::from_be_bytes)
    }

    pub fn uvarint(&mut self) -> Result<u32, Stop> {
        let mut value = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| Stop::Varint);
            }
        }
        Err(Stop::Varint)
    }

    /// A length, `None` for null; `classic` reads it before v9.
    pub fn length(&mut self, classic: fn(&mut Self) -> Result<i32, Stop>) -> Result<Option<usize>, Stop> {
        let length = if self.is_flexible() { i64::from(self.uvarint()?) - 1 } else { i64::from(classic(self)?) };
        match length {
            -1 => Ok(None),
            _ => usize::try_from(length).map(Some).map_err(|_| Stop::Bytes),
        }
    }

    pub fn text(&mut self) -> Result<Option<&'a [u8]>, Stop> {
        let Some(length) = self.length(|plain| plain.i16().map(i32::from))? else { return Ok(None) };
        let text = self.take(length)?;
        self.odd.long |= length > 0x7fff;
        self.odd.text |= std::str::from_utf8(text).is_err();
        Ok(Some(text))
    }

    pub fn bytes(&mut self) -> Result<Option<&'a [u8]>, Stop> {
        let Some(length) = self.length(Self::i32)? else { return Ok(None) };
        self.take(length).map(Some)
    }

    pub fn count(&mut self) -> Result<usize, Stop> {
        let count = self.length(Self::i32)?.ok_or(Stop::Bytes)?;
        if count > self.rest.len() { Err(Stop::Count) } else { Ok(count) }
    }

    pub fn tags(&mut self, zero: TagZero) -> Result<(), Stop> {
        if !self.is_flexible() {
            return Ok(());
        }
        for _ in 0..self.uvarint()? {
            let (tag, size) = (self.uvarint()?, self.uvarint()?);
            self.odd.low |= tag < 3;
            let is_known = tag == 0 && zero != TagZero::Unknown;
            let before = self.odd.tag;
            // Whatever stops the reading in here stops others elsewhere: they do not look at the size.
            self.odd.tag |= is_known;
            let value = self.take(size as usize)?;
            if is_known {
                let mut inside = Plain::new(self.version, value);
                let is_read = inside.known(zero).is_ok() && inside.rest.is_empty();
                self.odd.text |= inside.odd.text;
                self.odd.tag = before || !is_read || self.version < 10 || inside.odd.tag;
            }
        }
        Ok(())
    }

    fn known(&mut self, zero: TagZero) -> Result<(), Stop> {
        if zero == TagZero::CurrentLeader {
            self.i32()?;
            self.i32()?;
            return self.tags(TagZero::Unknown);
        }
        for _ in 0..self.count()? {
            self.i32()?;
            self.text()?.ok_or(Stop::Bytes)?;
            self.i32()?;
            self.text()?;
            self.tags(TagZero::Unknown)?;
        }
        Ok(())
    }
}
