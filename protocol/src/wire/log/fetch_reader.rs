//! Reads a Fetch answer as it streams, and keeps no more of it than its head or one batch's header.

use std::ops::Range;

use super::FetchVersion;
use super::fetch_head::{FetchHead, HeadProblem, PartitionHead};
use crate::wire::batch::{BATCH_HEADER_BYTES, BatchProblem, BatchView, LENGTH_OVERHEAD};
use crate::wire::cursor::{Cursor, Encoding, ParseError};
use crate::wire::produce::OwnedTopic;

/// The most bytes that an answer may have ahead of its records: a topic's name has 249 at most, and aborted
/// transactions, which nobody asks for, 16 each.
const HEAD_BYTES_MAX: usize = 1024;

/// Reads the answer to [`fetch`](super::fetch()) in whatever pieces it arrives.
///
/// Of its records it looks at the batches' headers only: what they hold is stepped over.
#[derive(Clone, Debug)]
pub struct FetchReader {
    version: FetchVersion,
    correlation_id: i32,
    topic: OwnedTopic,
    partition: i32,
    state: State,
    /// Bytes that are to be dropped unseen, before any more are held.
    skip: u64,
    /// How many bytes [`held`](Self::held) must have before the next step.
    needed: usize,
    /// The head, as much of it as is here, or a batch's header, or what is read of tagged fields: never more than
    /// [`HEAD_BYTES_MAX`].
    held: Vec<u8>,
    /// Bytes of the records that are neither held nor stepped over.
    records_left: u32,
    /// The last offset of the newest batch that was seen, in the log's order; -1 ahead of the first.
    last_offset: i64,
    /// Sections of tagged fields behind the present one.
    sections: u8,
    /// Tagged fields of the present section that are still to come.
    tags: u32,
    found: Found,
}

/// What the bytes held are, once there are enough of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The answer's beginning.
    Head,
    /// A batch's header, or what is left of the records if that is less.
    BatchHeader,
    /// The header of a batch of which the rest was stepped over; it is whole.
    Batch,
    /// Nothing: the last batch is cut off, and what there is of it was stepped over.
    CutOff,
    /// How many tagged fields a section has.
    TagsCount,
    /// A tagged field's tag and size.
    Tag,
    /// Nothing: its value was stepped over.
    TagValue,
    /// The answer was read to its last byte.
    Finished,
    /// It is not what it should be.
    Failed,
}

/// What the answer said so far.
#[derive(Clone, Copy, Debug)]
struct Found {
    error: i16,
    high_watermark: i64,
    log_start_offset: i64,
    next_offset: Option<i64>,
    batches: u32,
}

/// What an answer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchOutcome {
    /// Whether the answer is none to what was asked, or not what an answer should be, or ends too early. What was
    /// handed out before that was found is no more than a beginning, and the other fields are to be left alone.
    pub failed: bool,
    /// The error code of the answer, or else of the partition; 0 for none.
    pub error: i16,
    /// The offset behind the last record that consumers may see; -1 with most errors.
    pub high_watermark: i64,
    /// The first offset of the log; -1 with most errors.
    pub log_start_offset: i64,
    /// Where to fetch on: the offset behind the last batch that was handed out; `None` if there was none. Only where
    /// this is the high watermark was the log read to its end: a broker may give out less than there is, or nothing.
    pub next_offset: Option<i64>,
    /// How many batches were handed out.
    pub batches: u32,
}

/// The answer is not what it should be.
#[derive(Clone, Copy, Debug)]
struct Malformed;

impl From<ParseError> for Malformed {
    fn from(_: ParseError) -> Self {
        Self
    }
}

impl FetchReader {
    /// Starts at the first byte behind an answer's length; the arguments are those of the request.
    #[must_use]
    pub const fn new(version: FetchVersion, correlation_id: i32, topic: OwnedTopic, partition: i32) -> Self {
        Self {
            version,
            correlation_id,
            topic,
            partition,
            state: State::Head,
            skip: 0,
            needed: size_of::<i32>(),
            held: Vec::new(),
            records_left: 0,
            last_offset: -1,
            sections: 0,
            tags: 0,
            found: Found { error: 0, high_watermark: -1, log_start_offset: -1, next_offset: None, batches: 0 },
        }
    }

    /// Reads the bytes that follow what it was fed before; hands out each batch once its last byte is here.
    ///
    /// A batch whose last record is not below the high watermark is not handed out, for it may vanish from the log; nor
    /// is one that the broker cut off, nor any beside an error.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut impl FnMut(BatchView<'_>)) {
        let mut rest = bytes;
        while !matches!(self.state, State::Finished | State::Failed) {
            if !self.gather(&mut rest) {
                return;
            }
            if let Err(Malformed) = self.step(sink) {
                self.fail();
            }
        }
        if !rest.is_empty() {
            self.fail();
        }
    }

    /// What the answer came to, once its last byte was fed.
    #[must_use]
    pub const fn outcome(&self) -> FetchOutcome {
        let Found { error, high_watermark, log_start_offset, next_offset, batches } = self.found;
        let failed = !self.finished();
        FetchOutcome { failed, error, high_watermark, log_start_offset, next_offset, batches }
    }

    /// Whether the answer is not what it should be; what follows is not looked at.
    #[must_use]
    pub const fn failed(&self) -> bool {
        matches!(self.state, State::Failed)
    }

    /// Whether the answer was read to its last field, and nothing came behind it.
    #[must_use]
    pub const fn finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    /// How many bytes of memory what is kept of the answer takes: 2 KiB at most, however the answer is made.
    #[must_use]
    pub const fn bytes_held(&self) -> usize {
        self.held.capacity()
    }

    fn fail(&mut self) {
        self.want(State::Failed, 0, 0);
        self.held = Vec::new();
    }

    /// Drops and holds what it can use from the front of `bytes`; whether that is enough for the next step.
    fn gather(&mut self, bytes: &mut &[u8]) -> bool {
        let dropped = take(usize::try_from(self.skip).unwrap_or(usize::MAX), bytes);
        self.skip -= dropped.len() as u64;
        if self.skip > 0 {
            return false;
        }
        let piece = take(self.needed.saturating_sub(self.held.len()), bytes);
        self.held.extend_from_slice(piece);
        self.held.len() >= self.needed
    }

    /// Lets go of what is held, and asks for other bytes: `needed` of them, behind `skip` that nobody looks at.
    fn want(&mut self, state: State, skip: u32, needed: usize) {
        self.held.clear();
        self.state = state;
        self.skip = skip.into();
        self.needed = needed;
    }

    /// Takes what is held, and asks for what comes next.
    fn step(&mut self, sink: &mut impl FnMut(BatchView<'_>)) -> Result<(), Malformed> {
        match self.state {
            State::Head => self.head()?,
            State::BatchHeader => self.batch_header()?,
            State::Batch => self.batch(sink)?,
            State::CutOff => self.behind_records(),
            State::TagsCount => {
                if let Some(count) = self.tags_unit(|cursor| cursor.tags_len())? {
                    self.tags = count;
                    self.next_tag();
                }
            }
            State::Tag => {
                if let Some(size) = self.tags_unit(|cursor| cursor.tag())? {
                    self.want(State::TagValue, size, 0);
                }
            }
            State::TagValue => {
                self.tags = self.tags.saturating_sub(1);
                self.next_tag();
            }
            State::Finished | State::Failed => {}
        }
        Ok(())
    }

    fn head(&mut self) -> Result<(), Malformed> {
        let head = match FetchHead::parse(&self.held, self.version) {
            Ok(head) => head,
            Err(HeadProblem::Needs(needed)) if needed <= HEAD_BYTES_MAX => {
                self.needed = needed;
                return Ok(());
            }
            Err(HeadProblem::Needs(_) | HeadProblem::Malformed) => return Err(Malformed),
        };
        if head.correlation_id != self.correlation_id {
            return Err(Malformed);
        }
        match head.partition {
            Some(PartitionHead { topic, index, error, high_watermark, log_start_offset, records_bytes }) => {
                if (topic, index) != (self.topic.as_ref(), self.partition) {
                    return Err(Malformed);
                }
                let error = if head.error == 0 { error } else { head.error };
                self.found = Found { error, high_watermark, log_start_offset, ..self.found };
                self.records_left = records_bytes;
                // The partition's tagged fields are read first, then the topic's and the answer's.
                self.sections = 3;
                self.next_batch();
            }
            None if head.error == 0 => return Err(Malformed),
            None => {
                self.found.error = head.error;
                self.sections = 1;
                self.behind_records();
            }
        }
        Ok(())
    }

    /// Asks for the next batch's header, or as much as there is left of it.
    fn next_batch(&mut self) {
        match self.records_left {
            0 => self.behind_records(),
            left => {
                let needed = BATCH_HEADER_BYTES.min(left as usize);
                self.records_left -= needed as u32;
                self.want(State::BatchHeader, 0, needed);
            }
        }
    }

    fn batch_header(&mut self) -> Result<(), Malformed> {
        let view = match BatchView::new(&self.held) {
            Ok(view) => view,
            // The records end in the middle of a header.
            Err(BatchProblem::Truncated { .. }) if !is_too_short(&self.held) => {
                self.want(State::CutOff, 0, 0);
                return Ok(());
            }
            Err(_) => return Err(Malformed),
        };
        let behind_header = behind_header(view).ok_or(Malformed)?;
        if view.base_offset() <= self.last_offset {
            return Err(Malformed);
        }
        self.last_offset = last_offset(view).ok_or(Malformed)?;
        if behind_header > self.records_left {
            self.want(State::CutOff, self.records_left, 0);
            return Ok(());
        }
        self.records_left -= behind_header;
        // The header stays held: the batch is handed out once the rest has come, too.
        self.state = State::Batch;
        self.skip = behind_header.into();
        Ok(())
    }

    fn batch(&mut self, sink: &mut impl FnMut(BatchView<'_>)) -> Result<(), Malformed> {
        if self.found.error == 0 && self.last_offset < self.found.high_watermark {
            let view = BatchView::new(&self.held).map_err(|_| Malformed)?;
            sink(view);
            // Below the high watermark: there is a number behind it.
            self.found.next_offset = Some(self.last_offset + 1);
            self.found.batches += 1;
        }
        self.next_batch();
        Ok(())
    }

    fn behind_records(&mut self) {
        match self.encoding() {
            Encoding::Classic => self.want(State::Finished, 0, 0),
            Encoding::Flexible => self.next_section(),
        }
    }

    fn next_section(&mut self) {
        match self.sections.checked_sub(1) {
            Some(behind_it) => {
                self.sections = behind_it;
                self.want(State::TagsCount, 0, 1);
            }
            None => self.want(State::Finished, 0, 0),
        }
    }

    fn next_tag(&mut self) {
        match self.tags {
            0 => self.next_section(),
            _ => self.want(State::Tag, 0, 1),
        }
    }

    /// Reads one unit of a section of tagged fields; `None` if it has more bytes than are held, which it then asks for.
    fn tags_unit(
        &mut self,
        unit: impl FnOnce(&mut Cursor<'_>) -> Result<u32, ParseError>,
    ) -> Result<Option<u32>, Malformed> {
        match unit(&mut Cursor::beginning(&self.held, Encoding::Flexible)) {
            Ok(number) => Ok(Some(number)),
            // Two varints at most: no more than ten bytes.
            Err(ParseError::Truncated { needed, .. }) => {
                self.needed = needed;
                Ok(None)
            }
            Err(problem) => Err(problem.into()),
        }
    }

    const fn encoding(&self) -> Encoding {
        self.version.encoding()
    }
}

/// The fewest bytes that a batch's length counts: those of its header behind it.
const BATCH_LENGTH_MIN: i32 = BATCH_HEADER_BYTES as i32 - LENGTH_OVERHEAD as i32;

/// Where in a batch its length is.
const LENGTH_FIELD: Range<usize> = 8..LENGTH_OVERHEAD as usize;

/// How many bytes of a batch follow its header; `None` if it says that it ends in the middle of it.
fn behind_header(view: BatchView<'_>) -> Option<u32> {
    view.batch_length().checked_sub(BATCH_LENGTH_MIN)?.try_into().ok()
}

/// Whether a beginning of a header says that the batch ends in the middle of it, so that nothing is cut off.
fn is_too_short(header_start: &[u8]) -> bool {
    let length = header_start.get(LENGTH_FIELD).and_then(<[u8]>::first_chunk).copied();
    length.is_some_and(|length| i32::from_be_bytes(length) < BATCH_LENGTH_MIN)
}

/// The offset of a batch's last record; `None` for numbers that no log has.
fn last_offset(view: BatchView<'_>) -> Option<i64> {
    let delta = u32::try_from(view.last_offset_delta()).ok()?;
    view.base_offset().checked_add(delta.into())
}

fn take<'a>(count: usize, bytes: &mut &'a [u8]) -> &'a [u8] {
    let (piece, rest) = bytes.split_at(count.min(bytes.len()));
    *bytes = rest;
    piece
}
