//! A look into the log of one partition, for batches that may stand there: which requests it takes, one after the other.

mod answers;
mod before;
mod gap;
mod kind;
mod ledger;

use std::sync::Arc;

use hashbrown::HashSet;

use super::keep::{owned_bytes, shared_bytes};
use crate::sequencing::{Batch, BatchId, BrokerGeneration, ErrorCode, LogBatch, LogMark, Proof, Sequence, TopicRef};
use crate::wire::head::ApiKey;
use crate::wire::learn::Learner;
use crate::wire::log::{self, FetchReader, FetchVersion, ProducersReader};
use crate::wire::produce::OwnedTopic;

pub(super) use gap::{Gap, Refusable};
pub use kind::{GivenUp, LookUpKind, LookUpOutcome};

/// Bytes that one request asks for; a broker gives out a batch that is larger all the same.
const FETCH_BYTES: i32 = 1024 * 1024;

/// How far before its own time a batch is searched once more where the topic stamps append times: a client's clock that is
/// ahead of the broker's has its batch stored, as the broker sees it, before it was made. Clocks that are kept by NTP differ by
/// far less; of a margin much larger than that more would have to be read than one look does.
const CLOCK_MARGIN_MS: i64 = 10_000;

/// Of a log that may keep the producers' timestamps, so that there is nothing to find, one batch is enough to tell.
const PROBE_BYTES: i32 = 1;

/// An answer that is held whole is not larger than this: the place of an offset, with the longest name, or the versions of
/// some hundred requests.
const HELD_ANSWER_BYTES_MAX: usize = 4 * 1024;

/// A batch that is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) batch: Batch,
    /// The timestamp of its first record, in ms since 1970.
    pub(super) timestamp: i64,
}

/// A batch that was looked for, and stands in the log.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) topic: OwnedTopic,
    pub(super) partition: i32,
    pub(super) ledger: usize,
    pub(super) mark: LogMark,
    pub(super) proof: Proof,
}

/// What is to be read next.
#[derive(Debug)]
enum Stage {
    /// Where in the log to begin: the place of the first record that is as young as the batches that are looked for.
    Offset(Vec<u8>),
    /// Which requests the broker understands.
    Versions(Vec<u8>),
    /// What the leader expects of a producer.
    Producers(Box<ProducersReader>),
    /// The log itself.
    Log(Box<FetchReader>),
    /// Which cluster and which topic this is.
    Metadata(Box<Learner>, i16),
    /// Nothing: a request is to be sent.
    Between,
}

/// What is asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The topic's name, which nothing has told yet: where a time begins in the log can be asked only by name.
    Name,
    /// The log; where in it to begin, if that is not known.
    Log,
    /// Which cluster and which topic this is: the log may not be read.
    Metadata,
    /// How far the log reaches; only its leader tells.
    End,
    /// Which requests the broker understands.
    Versions,
    /// What the broker expects of the producer.
    Producers,
}

/// From where on the log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// From a place that is known; or there is no use in going back.
    Place,
    /// From the batch's own time on.
    OwnTime,
    /// From some time before that.
    Margin,
}

/// Where is looked, and by whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) ledger: usize,
    /// The broker that is asked, as it is now.
    pub(super) broker: BrokerGeneration,
    pub(super) topic: TopicRef<'a>,
    pub(super) partition: i32,
}

/// One look into the log of one partition.
///
/// For as long as [`request`](Self::request) gives one: send it, [`feed`](Self::feed) it the answer's bytes, and tell
/// that these have ended with [`Session::end_answer`](super::Session::end_answer). What came of it is handed back to the session.
#[derive(Debug)]
pub struct LookUp {
    kind: LookUpKind,
    topic: OwnedTopic,
    /// The topic's name: where in the log a time begins can only be asked by name.
    name: Option<Arc<[u8]>>,
    /// Whether brokers of the cluster have ids for topics, and this one's is known.
    has_id: bool,
    partition: i32,
    ledger: usize,
    broker: BrokerGeneration,
    mark: LogMark,
    wanted: Vec<Wanted>,
    gap: Option<Gap>,
    found: Vec<Found>,
    /// What the present answer has shown so far; nothing of it counts before it has been read to its end.
    pub(super) shown: Vec<LogBatch>,
    /// All that was shown so far, once each.
    pub(super) seen: HashSet<BatchId>,
    /// There is no room for more of these.
    is_full: bool,
    /// The offset to read from; none while it is not known.
    next: Option<i64>,
    since: Since,
    /// Whether the topic stamps append times, by what was seen of its log.
    is_stamped: Option<bool>,
    step: Step,
    stage: Stage,
    /// In which the log is asked for: the oldest at first, for what the broker understands is not known.
    version: FetchVersion,
    correlation_id: i32,
    bytes_left: u64,
    requests_left: u32,
    log_end: Option<i64>,
    has_asked: bool,
    outcome: Option<LookUpOutcome>,
    /// With which error the broker has ended it.
    error: Option<ErrorCode>,
}

/// What a look is for: of one that is away at the broker it can be told all the same.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What it is for.
    pub kind: LookUpKind,
    /// The topic that it looks into.
    pub topic: OwnedTopic,
    /// The partition that it looks into.
    pub partition: i32,
    /// The batch that it looks for.
    pub batch: Option<BatchId>,
    /// The sequence that the leader has to expect, where it is asked for that.
    pub expected: Option<Sequence>,
}

impl LookUp {
    /// The frame to send next, length included; `None` when the look is over.
    pub fn request(&mut self, correlation_id: i32) -> Option<Vec<u8>> {
        if self.outcome.is_some() {
            return None;
        }
        self.correlation_id = correlation_id;
        let request = match (self.step, self.next) {
            (Step::Name, _) => self.ask_for_name(),
            (Step::Log, Some(next)) => self.ask_for_log(next),
            (Step::Log, None) => {
                let own = self.wanted.iter().map(|wanted| wanted.timestamp).min().unwrap_or(0);
                let margin = if self.since == Since::Margin { CLOCK_MARGIN_MS } else { 0 };
                self.ask_for_offset(own.saturating_sub(margin).max(0))
            }
            (Step::End, _) => self.ask_for_offset(log::HIGH_WATERMARK),
            (Step::Metadata, _) => self.ask_for_metadata(),
            (Step::Versions, _) => {
                self.stage = Stage::Versions(Vec::new());
                Some(log::api_versions(correlation_id))
            }
            (Step::Producers, _) => self.ask_for_producers(),
        };
        self.has_asked |= request.is_some();
        if request.is_none() {
            self.outcome.get_or_insert(LookUpOutcome::Failed);
            self.forget_shown();
        }
        request
    }

    fn ask_for_log(&mut self, next: i64) -> Option<Vec<u8>> {
        let Some(left) = self.requests_left.checked_sub(1).filter(|_| self.bytes_left > 0) else {
            self.outcome = Some(LookUpOutcome::TooFar);
            return None;
        };
        self.requests_left = left;
        let Self { version, correlation_id, partition, .. } = *self;
        let reader = FetchReader::new(version, correlation_id, self.topic.clone(), partition);
        self.stage = Stage::Log(Box::new(reader));
        let is_probe = self.since == Since::Margin && self.is_stamped.is_none();
        let bytes = if is_probe { PROBE_BYTES } else { FETCH_BYTES };
        Some(log::fetch(version, correlation_id, self.topic.as_ref(), partition, next, bytes))
    }

    fn ask_for_offset(&mut self, timestamp: i64) -> Option<Vec<u8>> {
        self.stage = Stage::Offset(Vec::new());
        Some(log::list_offset(self.correlation_id, self.name.as_deref()?, self.partition, timestamp))
    }

    fn ask_for_name(&mut self) -> Option<Vec<u8>> {
        let OwnedTopic::Id(id) = self.topic else { return None };
        let version = log::METADATA_VERSION_BY_ID;
        self.stage = Stage::Metadata(Box::new(Learner::new(ApiKey::METADATA, version)?), version);
        Some(log::metadata_by_id(self.correlation_id, id))
    }

    fn ask_for_metadata(&mut self) -> Option<Vec<u8>> {
        let version = if self.has_id { log::METADATA_VERSION_WITH_ID } else { log::METADATA_VERSION };
        self.stage = Stage::Metadata(Box::new(Learner::new(ApiKey::METADATA, version)?), version);
        Some(log::metadata(version, self.correlation_id, self.name.as_deref()?))
    }

    /// What the look came to, once it is over.
    #[must_use]
    pub const fn outcome(&self) -> Option<LookUpOutcome> {
        self.outcome
    }

    /// Whether the broker was asked anything.
    #[must_use]
    pub const fn has_asked(&self) -> bool {
        self.has_asked
    }

    /// With which error the broker has ended it.
    #[must_use]
    pub const fn error(&self) -> Option<ErrorCode> {
        self.error
    }

    /// Where the batch that it is for stands, if it was found.
    #[must_use]
    pub fn place(&self) -> Option<i64> {
        self.found.first().map(|found| found.proof.base_offset)
    }

    /// All that it is for.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject {
            kind: self.kind,
            topic: self.topic.clone(),
            partition: self.partition,
            batch: self.wanted.first().map(|wanted| wanted.batch.id),
            expected: self.gap.map(|gap| gap.expected),
        }
    }

    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> LookUpKind {
        self.kind
    }

    /// The topic that it looks into.
    #[must_use]
    pub fn topic(&self) -> TopicRef<'_> {
        self.topic.as_ref()
    }

    /// The partition that it looks into.
    #[must_use]
    pub const fn partition(&self) -> i32 {
        self.partition
    }

    /// What it has noted of the log on its way, in bytes; up to some 2 MB.
    #[must_use]
    pub fn noted_bytes(&self) -> usize {
        self.shown.capacity() * size_of::<LogBatch>() + self.seen.allocation_size()
    }

    /// What it takes in memory beside that, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let name = self.name.as_deref().map_or(0, shared_bytes);
        size_of::<Self>() + self.wanted.capacity() * size_of::<Wanted>() + owned_bytes(&self.topic) + name
    }

    /// There is no room for more: of what the log has it sees only what it looks for.
    pub const fn note_no_more(&mut self) {
        self.is_full = true;
    }

    /// What it has noted on the way is nobody's once it is over: others are kept until the last one is.
    fn forget_shown(&mut self) {
        (self.shown, self.seen) = (Vec::new(), HashSet::new());
    }

    /// What the broker has said so far without an error.
    const fn progress(&self) -> (Option<i64>, bool, usize) {
        (self.next, self.log_end.is_some(), self.found.len())
    }

    /// Takes in the next bytes of the answer to the last request, what stands behind the frame's length.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len() as u64);
        match std::mem::replace(&mut self.stage, Stage::Between) {
            Stage::Between => {}
            Stage::Offset(mut answer) => {
                hold(&mut answer, bytes);
                self.stage = Stage::Offset(answer);
            }
            Stage::Versions(mut answer) => {
                hold(&mut answer, bytes);
                self.stage = Stage::Versions(answer);
            }
            Stage::Producers(mut reader) => {
                if self.bytes_left == 0 {
                    self.outcome.get_or_insert(LookUpOutcome::TooFar);
                }
                reader.feed(bytes);
                self.stage = Stage::Producers(reader);
            }
            Stage::Log(mut reader) => {
                reader.feed(bytes, &mut |view| self.show(view));
                self.stage = Stage::Log(reader);
            }
            Stage::Metadata(learner, version) => self.stage = Stage::Metadata(learner, version),
        }
    }

    /// Reads the answer while it is one that anybody would learn from, and its version.
    pub fn learner(&mut self) -> Option<(&mut Learner, i16)> {
        match &mut self.stage {
            Stage::Metadata(learner, version) => Some((learner, *version)),
            Stage::Offset(_) | Stage::Versions(_) | Stage::Producers(_) | Stage::Log(_) | Stage::Between => None,
        }
    }
}

/// Holds more of an answer. More than that is not the one that was asked for, and will not parse.
fn hold(answer: &mut Vec<u8>, bytes: &[u8]) {
    let room = HELD_ANSWER_BYTES_MAX.saturating_sub(answer.len());
    answer.extend_from_slice(&bytes[..bytes.len().min(room)]);
}
