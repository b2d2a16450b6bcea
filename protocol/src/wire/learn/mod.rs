//! Learns from responses that stream past: cluster, brokers, topics, producers.
//!
//! A [`Learner`] is fed a response in whatever pieces it arrives and keeps no more of it than one name. Bytes that are
//! not what they should be make it stop learning; nobody waits for it, and the response goes out regardless.

mod fact;
mod message;
mod reader;

use crate::sequencing::{ProducerEpoch, ProducerId, TopicId};
use crate::wire::head::{ApiKey, response_header_is_flexible};
pub use fact::Fact;
use message::{HEADER, Kind, Level, Number, Report, Text, message_of};
use reader::{Reader, Wanted};

/// Reads one response as it streams past.
#[derive(Clone, Debug)]
pub struct Learner {
    version: i16,
    is_flexible: bool,
    reader: Reader,
    /// The structs that are being read, the innermost last.
    levels: [Level; LEVELS_MAX],
    depth: usize,
    next: Next,
    seen: Seen,
}

/// Header or message, topics, partitions: no table nests deeper.
const LEVELS_MAX: usize = 4;

/// What the value that the reader is at means.
#[derive(Clone, Copy, Debug)]
enum Next {
    Number(Number),
    TextLength(Text),
    Text(Text),
    BytesLength,
    Skipped,
    ArrayCount(&'static [message::Field]),
    NumbersCount,
    TagsCount,
    Tag,
    TagSize,
    TagValue,
    Finished,
    Failed,
}

/// The latest value of each field that a fact may have.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    error: i16,
    node_id: i32,
    port: i32,
    producer_id: i64,
    epoch: i16,
    session_lifetime_ms: i64,
    topic_id: [u8; 16],
    /// Whether the text that the reader keeps is a value, and not null.
    has_text: bool,
    /// Tagged fields of the present section that are still to come.
    tags: u32,
}

impl Learner {
    /// Starts at the first byte behind a response's length; `None` for responses that nothing is learnt from.
    #[must_use]
    pub fn new(api: ApiKey, version: i16) -> Option<Self> {
        let message = message_of(api, version)?;
        let mut learner = Self {
            version,
            is_flexible: response_header_is_flexible(api, version),
            reader: Reader::default(),
            levels: [Level::new(message, 1), Level::new(HEADER, 1), Level::NONE, Level::NONE],
            depth: 2,
            next: Next::Failed,
            seen: Seen::default(),
        };
        learner.advance(&mut |_| {});
        Some(learner)
    }

    /// Reads the bytes that follow what it was fed before, and hands what they say to `sink`.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut impl FnMut(Fact<'_>)) {
        let mut rest = bytes;
        while !matches!(self.next, Next::Finished | Next::Failed) {
            match self.reader.read(&mut rest) {
                Ok(true) => self.take_value(sink),
                Ok(false) => return,
                Err(reader::Malformed) => self.fail(),
            }
        }
        if !rest.is_empty() {
            self.fail();
        }
    }

    /// Whether the response is not what it should be; facts may have been found ahead of that.
    #[must_use]
    pub const fn failed(&self) -> bool {
        matches!(self.next, Next::Failed)
    }

    /// Whether the response was read to its last field.
    #[must_use]
    pub const fn finished(&self) -> bool {
        matches!(self.next, Next::Finished)
    }

    fn fail(&mut self) {
        self.next = Next::Failed;
        self.reader = Reader::default();
    }

    /// The reader has a whole value: takes it, and asks for the next.
    fn take_value(&mut self, sink: &mut impl FnMut(Fact<'_>)) {
        match self.next {
            Next::Number(number) => {
                self.keep(number);
                self.advance(sink);
            }
            Next::TextLength(text) => self.begin_text(text, sink),
            Next::Text(text) => {
                self.seen.has_text |= matches!(text, Text::Kept);
                self.advance(sink);
            }
            Next::BytesLength => match self.length() {
                Some(length) => self.ask(Next::Skipped, Wanted::Skip(length.into())),
                None => self.advance_unless_failed(sink),
            },
            Next::ArrayCount(fields) => self.enter(fields, sink),
            Next::NumbersCount => match self.length() {
                Some(count) => self.ask(Next::Skipped, Wanted::Skip(u64::from(count) * 4)),
                None => self.advance_unless_failed(sink),
            },
            Next::Skipped => self.advance(sink),
            Next::TagsCount => {
                self.seen.tags = self.reader.uvarint();
                self.next_tag(sink);
            }
            Next::Tag => self.ask(Next::TagSize, Wanted::Uvarint),
            Next::TagSize => self.ask(Next::TagValue, Wanted::Skip(self.reader.uvarint().into())),
            Next::TagValue => {
                self.seen.tags -= 1;
                self.next_tag(sink);
            }
            Next::Finished | Next::Failed => {}
        }
    }

    /// Goes to the next field that has bytes, through as many fields and structs as have none.
    fn advance(&mut self, sink: &mut impl FnMut(Fact<'_>)) {
        loop {
            let Some(level) = self.depth.checked_sub(1).and_then(|top| self.levels.get_mut(top)) else {
                self.next = Next::Finished;
                return;
            };
            let Some(field) = level.next_field() else {
                if self.is_flexible {
                    return self.ask(Next::TagsCount, Wanted::Uvarint);
                }
                self.leave();
                continue;
            };
            if !field.is_in(self.version) {
                continue;
            }
            match field.kind {
                Kind::Report(report) => self.report(report, sink),
                Kind::Number(number) => return self.ask(Next::Number(number), Wanted::Fixed(number.bytes())),
                Kind::Text(text) => return self.ask(Next::TextLength(text), self.length_of(2)),
                Kind::Bytes => return self.ask(Next::BytesLength, self.length_of(4)),
                Kind::Array(fields) => return self.ask(Next::ArrayCount(fields), self.length_of(4)),
                Kind::Numbers => return self.ask(Next::NumbersCount, self.length_of(4)),
            }
        }
    }

    fn advance_unless_failed(&mut self, sink: &mut impl FnMut(Fact<'_>)) {
        if !self.failed() {
            self.advance(sink);
        }
    }

    fn ask(&mut self, next: Next, wanted: Wanted) {
        self.next = next;
        self.reader.want(wanted);
    }

    const fn length_of(&self, classic_bytes: u8) -> Wanted {
        if self.is_flexible { Wanted::Uvarint } else { Wanted::Fixed(classic_bytes) }
    }

    /// The length or count just read; `None` for null. Fails at lengths that are neither.
    fn length(&mut self) -> Option<u32> {
        if self.is_flexible {
            return self.reader.uvarint().checked_sub(1);
        }
        let length = self.reader.signed();
        if length < -1 {
            self.fail();
        }
        u32::try_from(length).ok()
    }

    fn begin_text(&mut self, text: Text, sink: &mut impl FnMut(Fact<'_>)) {
        let length = self.length();
        if matches!(text, Text::Kept) {
            self.seen.has_text = false;
        }
        match (length, text) {
            (None, _) => self.advance_unless_failed(sink),
            (Some(length), Text::Skipped) => self.ask(Next::Text(text), Wanted::Skip(length.into())),
            (Some(length), Text::Kept) if length as usize > reader::TEXT_BYTES_MAX => self.fail(),
            (Some(length), Text::Kept) => self.ask(Next::Text(text), Wanted::Text(length)),
        }
    }

    /// Begins with an array's first entry, if it has any.
    fn enter(&mut self, fields: &'static [message::Field], sink: &mut impl FnMut(Fact<'_>)) {
        match (self.length(), self.levels.get_mut(self.depth)) {
            (Some(count @ 1..), Some(level)) => {
                *level = Level::new(fields, count);
                self.depth += 1;
                self.advance(sink);
            }
            (Some(1..), None) => self.fail(),
            (Some(0) | None, _) => self.advance_unless_failed(sink),
        }
    }

    /// Ends a struct: goes back to its first field when another one follows, else to the struct around it.
    fn leave(&mut self) {
        if let Some(level) = self.depth.checked_sub(1).and_then(|top| self.levels.get_mut(top))
            && !level.next_entry()
        {
            self.depth -= 1;
        }
    }

    fn next_tag(&mut self, sink: &mut impl FnMut(Fact<'_>)) {
        if self.seen.tags > 0 {
            return self.ask(Next::Tag, Wanted::Uvarint);
        }
        self.leave();
        self.advance(sink);
    }

    fn keep(&mut self, number: Number) {
        let seen = &mut self.seen;
        match number {
            Number::Error => seen.error = self.reader.i16(),
            Number::NodeId => seen.node_id = self.reader.i32(),
            Number::Port => seen.port = self.reader.i32(),
            Number::ProducerId => seen.producer_id = self.reader.signed(),
            Number::Epoch => seen.epoch = self.reader.i16(),
            Number::SessionLifetime => seen.session_lifetime_ms = self.reader.signed(),
            Number::TopicId => seen.topic_id = self.reader.uuid(),
            Number::Unused(_) => {}
        }
    }

    fn report(&self, report: Report, sink: &mut impl FnMut(Fact<'_>)) {
        let seen = &self.seen;
        let text = seen.has_text.then(|| self.reader.text());
        let id = Some(TopicId(seen.topic_id)).filter(|&id| id != TopicId::ZERO);
        match report {
            // An error is answered with an empty id.
            Report::ClusterId => {
                if let Some(id) = text.filter(|id| !id.is_empty()) {
                    sink(Fact::ClusterId(id));
                }
            }
            Report::Broker => {
                let host = text.unwrap_or_default();
                sink(Fact::Broker { node_id: seen.node_id, host, port: seen.port });
            }
            Report::Topic => sink(Fact::Topic { error: seen.error, name: text, id }),
            Report::DeletedTopic => sink(Fact::DeletedTopic { error: seen.error, name: text, id }),
            Report::Producer => sink(Fact::Producer {
                error: seen.error,
                producer_id: ProducerId::new(seen.producer_id),
                epoch: ProducerEpoch::new(seen.epoch),
            }),
            Report::SaslHandshake => sink(Fact::SaslHandshake { error: seen.error }),
            Report::SaslAuthenticate => {
                sink(Fact::SaslAuthenticate { error: seen.error, session_lifetime_ms: seen.session_lifetime_ms })
            }
        }
    }
}

#[cfg(test)]
mod tests;
