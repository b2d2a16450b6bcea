//! A look into the log of one partition, for batches that may stand there: which requests it takes, and what the answers
//! come to.

mod gap;
mod kind;

use std::sync::Arc;

use hashbrown::HashSet;

use super::observe::fingerprint_of;
use super::{Ledger, Session};
use crate::sequencing::{
    Batch, BatchId, BrokerGeneration, Confirming, ErrorCode, LogBatch, LogMark, Millis, Proof, Sequence, TopicRef,
};
use crate::wire::batch::BatchView;
use crate::wire::head::ApiKey;
use crate::wire::learn::Learner;
use crate::wire::log::{self, FetchReader, FetchVersion, ProducersReader};
use crate::wire::produce::OwnedTopic;

pub(super) use gap::{Gap, Refusable};
pub use kind::{GivenUp, LookUpKind, LookUpOutcome};

/// Bytes of the log that one look reads at most: at 100 MB/s of produce traffic to one partition, the last sixth of a
/// second; at the usual rates, minutes.
const LOOK_BACK_BYTES: u64 = 16 * 1024 * 1024;

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

/// Requests that one look makes at most: each reads some of the log, but an answer may hold no batch that counts.
const REQUESTS_MAX: u32 = 64;

/// Batches of one look that are remembered at most.
const BATCHES_MAX: usize = 16_384;

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
/// that these have ended with [`Session::end_answer`]. What came of it is handed back to the session.
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

    /// A batch of the log.
    fn show(&mut self, view: BatchView<'_>) {
        self.is_stamped.get_or_insert(append_time(view) != -1);
        let Some(range) = view.range().filter(|_| !view.is_control() && !view.is_transactional()) else { return };
        let id = BatchId { producer_id: view.producer_id(), epoch: view.epoch(), range };
        self.compare(view, id);
        // Of one that was stored twice the first is what its producer would have been told; the other is no evidence.
        if self.seen.len() < BATCHES_MAX && self.seen.insert(id) {
            self.shown.push(LogBatch {
                id,
                fingerprint: fingerprint_of(view, true),
                base_offset: view.base_offset(),
                append_time: append_time(view),
            });
        }
    }

    /// The broker has said where in the log to begin, or where it ends.
    fn take_offset(&mut self, answer: &[u8]) {
        let name = self.name.as_deref().unwrap_or_default();
        let listed = match log::listed_offset(self.correlation_id, name, self.partition, answer) {
            Ok(listed) if listed.error == 0 => listed,
            Ok(listed) => return self.refuse(listed.error),
            Err(_) => return self.outcome = Some(LookUpOutcome::Failed),
        };
        let step = self.step;
        match step {
            // It leads the partition, and has said what it expects.
            Step::End if self.gap.is_some() => self.outcome = Some(LookUpOutcome::Found),
            Step::End if self.next.is_some_and(|place| self.ends(place) < listed.offset) => {
                self.log_end = Some(listed.offset);
                self.outcome = Some(LookUpOutcome::LogEnd);
            }
            Step::Log if listed.offset >= 0 => self.next = Some(listed.offset),
            Step::Log if self.goes_back() => {}
            // No record is as young as that, or the log does not reach as far.
            Step::Name | Step::Log | Step::End | Step::Metadata | Step::Versions | Step::Producers => {
                self.outcome = Some(LookUpOutcome::NotFound);
            }
        }
    }

    /// The broker will not tell.
    fn refuse(&mut self, error: i16) {
        self.error = Some(ErrorCode(error));
        self.outcome = Some(outcome_of(error));
    }

    /// The last offset of the batch that is to be confirmed, if it begins at `place`.
    fn ends(&self, place: i64) -> i64 {
        let len = self.wanted.first().map_or(0, |wanted| wanted.batch.id.range.len());
        place.saturating_add(i64::from(len)) - 1
    }

    /// A piece of the log has been read.
    fn go_on(&mut self, reader: &FetchReader) {
        let read = reader.outcome();
        if read.failed {
            // What it seemed to say before that may be as wrong.
            self.found.clear();
            self.shown.clear();
            self.is_stamped = None;
            self.outcome = Some(LookUpOutcome::Failed);
            return;
        }
        for found in &mut self.found {
            found.proof.log_start_offset = read.log_start_offset;
        }
        if self.kind == LookUpKind::Confirm && outcome_of(read.error) == LookUpOutcome::NotAllowed {
            self.step = if self.name.is_some() { Step::Metadata } else { Step::Name };
            return;
        }
        if ErrorCode(read.error) == ErrorCode::UNSUPPORTED_COMPRESSION_TYPE && self.version == FetchVersion::Oldest {
            self.version = FetchVersion::Zstd;
            return;
        }
        if read.error != 0 {
            return self.refuse(read.error);
        }
        self.outcome = match read.next_offset {
            _ if self.found.len() == self.wanted.len() => Some(LookUpOutcome::Found),
            // It stands at its place or nowhere.
            _ if self.kind == LookUpKind::Confirm => Some(LookUpOutcome::NotFound),
            // It would have been found by its own time.
            _ if self.since == Since::Margin && self.is_stamped != Some(true) => Some(LookUpOutcome::NotFound),
            Some(next) if next < read.high_watermark => None,
            Some(_) | None if self.is_stamped == Some(true) && self.goes_back() => return,
            Some(_) | None => Some(LookUpOutcome::NotFound),
        };
        self.next = read.next_offset;
    }

    /// Goes back by the margin for clocks, if it has not and may.
    fn goes_back(&mut self) -> bool {
        let may = self.since == Since::OwnTime;
        if may {
            (self.since, self.next) = (Since::Margin, None);
        }
        may
    }

    /// Whether it is one of those that are looked for.
    fn compare(&mut self, view: BatchView<'_>, id: BatchId) {
        let (stored, is_stamped) = (fingerprint_of(view, true), append_time(view) != -1);
        let is_stored =
            |wanted: &&Wanted| wanted.batch.id == id && wanted.batch.fingerprint.is_of_same(stored, is_stamped);
        let Some(wanted) = self.wanted.iter().find(is_stored) else { return };
        let proof = Proof {
            batch: id,
            fingerprint: wanted.batch.fingerprint,
            base_offset: view.base_offset(),
            log_append_time: append_time(view),
            log_start_offset: -1,
        };
        // Of one that stands there twice, the first is what its producer would have been told.
        if self.found.iter().all(|found| found.proof.batch != id) {
            self.found.push(self.found(proof));
        }
    }

    fn found(&self, proof: Proof) -> Found {
        let Self { topic, partition, ledger, mark, .. } = self;
        Found { topic: topic.clone(), partition: *partition, ledger: *ledger, mark: *mark, proof }
    }
}

impl<L: Ledger> Session<L> {
    /// Begins a look into the log for a batch. Only what the log is asked from now on counts.
    pub(super) fn look_for(&self, kind: LookUpKind, place: Place<'_>, wanted: Wanted, now: Millis) -> LookUp {
        let Place { ledger, broker, topic, partition } = place;
        let (name, has_id) = self.name_of(ledger, topic);
        let is_nameless = name.is_none();
        let (mark, next, keeps_times) = self.ledgers[ledger].tracker(partition, |tracker| {
            let next = if kind == LookUpKind::Confirm {
                tracker.find_proof(topic, partition, &wanted.batch, None, now).map(|proof| proof.base_offset)
            } else {
                tracker.offset_before(topic, partition, wanted.batch.id)
            };
            (tracker.mark_log(topic, partition, now), next, tracker.keeps_times(topic, partition))
        });
        LookUp {
            kind,
            topic: topic.into(),
            name,
            has_id,
            partition,
            ledger,
            broker,
            mark: mark.unwrap_or(LogMark::NONE),
            wanted: vec![wanted],
            gap: None,
            found: Vec::new(),
            shown: Vec::new(),
            seen: HashSet::new(),
            next,
            since: if next.is_none() && !keeps_times { Since::OwnTime } else { Since::Place },
            is_stamped: None,
            step: if is_nameless && next.is_none() { Step::Name } else { Step::Log },
            stage: Stage::Between,
            version: FetchVersion::of(topic),
            correlation_id: 0,
            bytes_left: LOOK_BACK_BYTES,
            requests_left: REQUESTS_MAX,
            log_end: None,
            has_asked: false,
            error: None,
            outcome: if mark.is_none() { Some(LookUpOutcome::Failed) } else { None },
        }
    }

    /// The topic's name, if that is known, and whether its id is.
    fn name_of(&self, ledger: usize, topic: TopicRef<'_>) -> (Option<Arc<[u8]>>, bool) {
        self.ledgers[ledger].directory(|directory| match topic {
            TopicRef::Name(name) => (Some(name.into()), directory.id_of(name).is_some()),
            TopicRef::Id(id) => (directory.name_of(id).map(Into::into), true),
        })
    }

    /// The answer to a look's request has been read to its last byte. Every batch in it becomes known, whoever produced
    /// it.
    pub fn end_answer(&mut self, look: &mut LookUp, now: Millis) {
        let before = look.progress();
        match std::mem::replace(&mut look.stage, Stage::Between) {
            Stage::Offset(answer) => look.take_offset(&answer),
            Stage::Versions(answer) => look.take_versions(&answer),
            Stage::Producers(reader) => look.take_producers(&reader),
            Stage::Log(reader) => look.go_on(&reader),
            Stage::Metadata(learner, _) if learner.finished() => self.know_topic(look),
            Stage::Metadata(..) => look.outcome = Some(LookUpOutcome::Failed),
            Stage::Between => {}
        }
        if look.progress() != before {
            // It has told what it tells only those whom it serves.
            self.auth.served();
        }
        let topic_hash = self.topic_hash(look.topic.as_ref());
        let LookUp { topic, partition, ledger, broker, mark, shown, log_end, is_stamped, .. } = look;
        if let Some(end) = *log_end {
            self.ledgers[*ledger].tracker(*partition, |tracker| {
                tracker.confirm_below(topic.as_ref(), *partition, *broker, mark, end);
            });
            note_unreadable(&mut self.unreadable, topic_hash);
        }
        if let Some(is_stamped) = *is_stamped {
            self.ledgers[*ledger].tracker(*partition, |it| it.note_times(topic.as_ref(), *partition, !is_stamped));
        }
        for batch in shown.drain(..) {
            self.ledgers[*ledger].tracker(*partition, |tracker| {
                tracker.take_in_log(topic.as_ref(), *partition, *broker, mark, &batch, now);
            });
        }
        if look.outcome.is_some() {
            look.forget_shown();
        }
    }

    /// Whether the log of a topic may not be read by the client, as far as it was told so.
    pub(super) fn may_not_read(&self, topic: TopicRef<'_>) -> bool {
        !self.unreadable.is_empty() && self.unreadable.contains(&self.topic_hash(topic))
    }

    /// What an answer has told of the topic is in the directory.
    fn know_topic(&self, look: &mut LookUp) {
        // Of one that is to be confirmed the place is known, and the log may not be read.
        let is_confirmed_by_end = look.kind == LookUpKind::Confirm;
        look.step = match look.step == Step::Name {
            true if look.gap.is_some() => Step::Versions,
            true if !is_confirmed_by_end => Step::Log,
            true | false => Step::End,
        };
        if look.name.is_none() {
            look.name = self.name_of(look.ledger, look.topic.as_ref()).0;
        }
    }

    /// Looks at what is known already, before anything is asked: others may have looked there meanwhile.
    pub fn look_back(&self, look: &mut LookUp, now: Millis) {
        if look.gap.is_some() {
            // What the leader expects it has to say itself, and now.
            return;
        }
        let LookUp { topic, partition, ledger, broker, wanted, .. } = &*look;
        let confirmed_by = Some(Confirming { broker: *broker, by_end: self.may_not_read(topic.as_ref()) });
        let (mark, proofs) = self.ledgers[*ledger].tracker(*partition, |tracker| {
            let mark = tracker.mark_log(topic.as_ref(), *partition, now);
            let proof =
                |wanted: &Wanted| tracker.find_proof(topic.as_ref(), *partition, &wanted.batch, confirmed_by, now);
            (mark, wanted.iter().map(proof).collect::<Option<Vec<_>>>())
        });
        // What was said of the log until now is known, and ends no look that has yet to begin.
        let Some(mark) = mark else { return };
        look.mark = mark;
        let Some(proofs) = proofs else { return };
        look.found = proofs.into_iter().map(|proof| look.found(proof)).collect();
        look.outcome = Some(LookUpOutcome::Found);
    }

    /// Whether what was found is still true, as far as is known, and can be told: that it was is to be noted (T27).
    pub(super) fn stands(&self, found: &Found, now: Millis) -> bool {
        let (topic, partition, id) = (found.topic.as_ref(), found.partition, found.proof.batch);
        found.ledger == self.current
            && self.ledgers[found.ledger].tracker(partition, |tracker| {
                tracker.log_stands(topic, partition, &found.mark, (id.producer_id, id.epoch), now)
                    && tracker.knows(topic, partition, id.producer_id)
            })
    }
}

impl Found {
    /// Whether this is what was found of the batch.
    pub(super) fn is(&self, topic: TopicRef<'_>, partition: i32, batch: &Batch) -> bool {
        let proof = &self.proof;
        self.partition == partition
            && proof.batch == batch.id
            && proof.fingerprint == batch.fingerprint
            && self.topic.as_ref() == topic
    }
}

impl LookUp {
    /// What it found.
    pub(super) fn into_found(self) -> Vec<Found> {
        let mark = self.mark;
        self.found.into_iter().map(|found| Found { mark, ..found }).collect()
    }
}

/// Topics that a session remembers as not to be read; of more of them the first are asked for again.
const UNREADABLE_MAX: usize = 64;

fn note_unreadable(unreadable: &mut Vec<u64>, topic: u64) {
    if unreadable.contains(&topic) {
        return;
    }
    if unreadable.len() == UNREADABLE_MAX {
        unreadable.remove(0);
    }
    unreadable.push(topic);
}

/// The bit that says that the max timestamp is the broker's (`DefaultRecordBatch.TIMESTAMP_TYPE_MASK`).
const APPEND_TIME: i16 = 0x08;

/// Holds more of an answer. More than that is not the one that was asked for, and will not parse.
fn hold(answer: &mut Vec<u8>, bytes: &[u8]) {
    let room = HELD_ANSWER_BYTES_MAX.saturating_sub(answer.len());
    answer.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

fn append_time(view: BatchView<'_>) -> i64 {
    if view.attributes() & APPEND_TIME == 0 { -1 } else { view.max_timestamp() }
}

fn outcome_of(error: i16) -> LookUpOutcome {
    match ErrorCode(error) {
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => LookUpOutcome::NotAllowed,
        ErrorCode(_) => LookUpOutcome::Failed,
    }
}
