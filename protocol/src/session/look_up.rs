//! A look into the log of one partition, for batches that may stand there: which requests it takes, and what the answers
//! come to.

use super::{Ledger, Session};
use crate::sequencing::{Batch, BatchId, ErrorCode, Fingerprint, LogBatch, LogMark, Millis, Proof, TopicId, TopicRef};
use crate::wire::batch::BatchView;
use crate::wire::log::{self, FetchReader};
use crate::wire::produce::OwnedTopic;

/// Bytes of the log that one look reads at most: at 100 MB/s of produce traffic to one partition, the last sixth of a
/// second; at the usual rates, minutes.
const LOOK_BACK_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes that one request asks for; a broker gives out a batch that is larger all the same.
const FETCH_BYTES: i32 = 1024 * 1024;

/// An answer that says where in the log to begin is not larger than this, with the longest name.
const OFFSET_ANSWER_BYTES_MAX: usize = 1024;

/// Requests that one look makes at most: each reads some of the log, but an answer may hold no batch that counts.
const REQUESTS_MAX: u32 = 64;

/// Batches of one answer that are remembered at most: more than one that is as large as was asked for can have.
const BATCHES_MAX: usize = 16_384;

/// What a look into the log is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookUpKind {
    /// A batch whose acknowledgement was not seen.
    Resolve,
    /// A producer that nothing is known of and that does not begin with its first sequence.
    WarmUp,
    /// A proof that is older than the broker's generation, before it is first used.
    Confirm,
}

impl LookUpKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Resolve, Self::WarmUp, Self::Confirm];

    /// The name in metrics, journal and log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::WarmUp => "warm_up",
            Self::Confirm => "confirm",
        }
    }
}

/// What a look into the log came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookUpOutcome {
    /// All batches that it was for stand in the log.
    Found,
    /// Not all of them do: its end was reached.
    NotFound,
    /// They may stand further ahead than one look reads.
    TooFar,
    /// The client may not read the topic (29).
    NotAllowed,
    /// The broker answered with another error, or with what cannot be read.
    Failed,
    /// The broker took too long, or there was no memory to keep its other answers back meanwhile.
    GivenUp,
}

impl LookUpOutcome {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Found, Self::NotFound, Self::TooFar, Self::NotAllowed, Self::Failed, Self::GivenUp];

    /// The name in metrics, journal and log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NotFound => "not_found",
            Self::TooFar => "too_far",
            Self::NotAllowed => "not_allowed",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        }
    }
}

/// A batch that is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) batch: Batch,
    /// The compression that its producer chose, as the attributes' three bits.
    pub(super) codec: i16,
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
    /// The log itself.
    Log(Box<FetchReader>),
    /// Nothing: a request is to be sent.
    Between,
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
    name: Option<OwnedTopic>,
    partition: i32,
    ledger: usize,
    mark: LogMark,
    wanted: Vec<Wanted>,
    found: Vec<Found>,
    /// What the present answer has shown so far; nothing of it counts before it has been read to its end.
    shown: Vec<LogBatch>,
    /// The offset to read from; none while it is not known.
    next: Option<i64>,
    stage: Stage,
    correlation_id: i32,
    bytes_left: u64,
    requests_left: u32,
    outcome: Option<LookUpOutcome>,
}

impl LookUp {
    /// The frame to send next, length included; `None` when the look is over.
    pub fn request(&mut self, correlation_id: i32) -> Option<Vec<u8>> {
        if self.outcome.is_some() {
            return None;
        }
        self.correlation_id = correlation_id;
        let Some(next) = self.next else {
            let Some(OwnedTopic::Name(name)) = &self.name else {
                self.outcome = Some(LookUpOutcome::Failed);
                return None;
            };
            let since = self.wanted.iter().map(|wanted| wanted.timestamp).min().unwrap_or(0).max(0);
            self.stage = Stage::Offset(Vec::new());
            return Some(log::list_offset(correlation_id, name, self.partition, since));
        };
        let Some(left) = self.requests_left.checked_sub(1).filter(|_| self.bytes_left > 0) else {
            self.outcome = Some(LookUpOutcome::TooFar);
            return None;
        };
        self.requests_left = left;
        self.stage = Stage::Log(Box::new(FetchReader::new(correlation_id, self.topic.clone(), self.partition)));
        Some(log::fetch(correlation_id, self.topic.as_ref(), self.partition, next, FETCH_BYTES))
    }

    /// What the look came to, once it is over.
    #[must_use]
    pub const fn outcome(&self) -> Option<LookUpOutcome> {
        self.outcome
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

    /// It takes too long, or more memory than there is.
    pub fn give_up(&mut self) {
        self.outcome.get_or_insert(LookUpOutcome::GivenUp);
    }

    /// Takes in the next bytes of the answer to the last request, what stands behind the frame's length.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len() as u64);
        match std::mem::replace(&mut self.stage, Stage::Between) {
            Stage::Between => {}
            Stage::Offset(mut answer) => {
                // More than that is not the answer that was asked for, and will not parse.
                let room = OFFSET_ANSWER_BYTES_MAX.saturating_sub(answer.len());
                answer.extend_from_slice(&bytes[..bytes.len().min(room)]);
                self.stage = Stage::Offset(answer);
            }
            Stage::Log(mut reader) => {
                reader.feed(bytes, &mut |view| self.show(view));
                self.stage = Stage::Log(reader);
            }
        }
    }

    /// A batch of the log.
    fn show(&mut self, view: BatchView<'_>) {
        let Some(range) = view.range().filter(|_| !view.is_control() && !view.is_transactional()) else { return };
        let id = BatchId { producer_id: view.producer_id(), epoch: view.epoch(), range };
        self.compare(view, id);
        if self.shown.len() < BATCHES_MAX {
            self.shown.push(LogBatch {
                id,
                fingerprint: Fingerprint { crc: view.crc(), length: view.batch_length().cast_unsigned() },
                base_offset: view.base_offset(),
                append_time: append_time(view),
            });
        }
    }

    /// The broker has said where in the log to begin.
    fn begin_at(&mut self, answer: &[u8]) {
        let name = match &self.name {
            Some(OwnedTopic::Name(name)) => &**name,
            Some(OwnedTopic::Id(_)) | None => b"",
        };
        match log::listed_offset(self.correlation_id, name, self.partition, answer) {
            Ok(listed) if listed.error == 0 && listed.offset >= 0 => self.next = Some(listed.offset),
            // No record is as young as that.
            Ok(listed) if listed.error == 0 => self.outcome = Some(LookUpOutcome::NotFound),
            Ok(listed) => self.outcome = Some(outcome_of(listed.error)),
            Err(_) => self.outcome = Some(LookUpOutcome::Failed),
        }
    }

    /// A piece of the log has been read.
    fn go_on(&mut self, reader: &FetchReader) {
        let read = reader.outcome();
        if read.failed {
            // What it seemed to say before that may be as wrong.
            self.found.clear();
            self.shown.clear();
            self.outcome = Some(LookUpOutcome::Failed);
            return;
        }
        for found in &mut self.found {
            found.proof.log_start_offset = read.log_start_offset;
        }
        self.outcome = match read.next_offset {
            _ if self.found.len() == self.wanted.len() => Some(LookUpOutcome::Found),
            _ if read.error != 0 => Some(outcome_of(read.error)),
            Some(next) if next < read.high_watermark => None,
            Some(_) | None => Some(LookUpOutcome::NotFound),
        };
        self.next = read.next_offset;
    }

    /// Whether it is one of those that are looked for.
    fn compare(&mut self, view: BatchView<'_>, id: BatchId) {
        let is_stored = |wanted: &&Wanted| wanted.batch.id == id && is_stored_as(wanted, view);
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
    pub(super) fn look_for(
        &self,
        kind: LookUpKind,
        ledger: usize,
        topic: TopicRef<'_>,
        partition: i32,
        wanted: Wanted,
    ) -> LookUp {
        let name = match topic {
            TopicRef::Name(_) => Some(OwnedTopic::from(topic)),
            TopicRef::Id(id) => self.name_of(ledger, id),
        };
        let (mark, next) = self.ledgers[ledger].tracker(partition, |tracker| {
            (tracker.mark_log(), tracker.offset_before(topic, partition, wanted.batch.id))
        });
        LookUp {
            kind,
            topic: topic.into(),
            name,
            partition,
            ledger,
            mark,
            wanted: vec![wanted],
            found: Vec::new(),
            shown: Vec::new(),
            next,
            stage: Stage::Between,
            correlation_id: 0,
            bytes_left: LOOK_BACK_BYTES,
            requests_left: REQUESTS_MAX,
            outcome: None,
        }
    }

    fn name_of(&self, ledger: usize, id: TopicId) -> Option<OwnedTopic> {
        self.ledgers[ledger].directory(|directory| directory.name_of(id).map(|name| TopicRef::Name(name).into()))
    }

    /// The answer to a look's request has been read to its last byte. Every batch in it becomes known, whoever produced
    /// it.
    pub fn end_answer(&self, look: &mut LookUp, now: Millis) {
        match std::mem::replace(&mut look.stage, Stage::Between) {
            Stage::Offset(answer) => look.begin_at(&answer),
            Stage::Log(reader) => look.go_on(&reader),
            Stage::Between => {}
        }
        let LookUp { topic, partition, ledger, mark, shown, .. } = look;
        for batch in shown.drain(..) {
            self.ledgers[*ledger].tracker(*partition, |tracker| {
                tracker.take_in_log(topic.as_ref(), *partition, mark, &batch, now);
            });
        }
    }

    /// Looks at what is known already, before anything is asked: others may have looked there meanwhile.
    pub fn look_back(&self, look: &mut LookUp, now: Millis) {
        let LookUp { topic, partition, ledger, wanted, .. } = &*look;
        let known = self.ledgers[*ledger].tracker(*partition, |tracker| {
            let mark = tracker.mark_log();
            let proof = |wanted: &Wanted| tracker.find_proof(topic.as_ref(), *partition, &wanted.batch, now);
            Some((mark, wanted.iter().map(proof).collect::<Option<Vec<_>>>()?))
        });
        let Some((mark, proofs)) = known else { return };
        look.mark = mark;
        look.found = proofs.into_iter().map(|proof| look.found(proof)).collect();
        look.outcome = Some(LookUpOutcome::Found);
    }

    /// Whether what was found is still true, as far as is known.
    pub(super) fn stands(&self, found: &Found) -> bool {
        let id = found.proof.batch;
        found.ledger == self.current
            && self.ledgers[found.ledger]
                .tracker(found.partition, |tracker| tracker.log_stands(&found.mark, id.producer_id, id.epoch))
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

/// The three bits that say how a batch is compressed (`DefaultRecordBatch.COMPRESSION_CODEC_MASK`).
const CODEC: i16 = 0x07;

/// The bit that says that the max timestamp is the broker's (`DefaultRecordBatch.TIMESTAMP_TYPE_MASK`).
const APPEND_TIME: i16 = 0x08;

/// The compression of a batch, as the attributes' three bits.
pub(super) fn codec_of(view: BatchView<'_>) -> i16 {
    view.attributes() & CODEC
}

/// Whether what is stored under the same producer, epoch and sequences can be what was sent.
///
/// A topic that compresses with a codec of its own stores other bytes than it was sent, and one that stamps append times
/// another checksum (`LogValidator`).
fn is_stored_as(wanted: &Wanted, view: BatchView<'_>) -> bool {
    let stored = Fingerprint { crc: view.crc(), length: view.batch_length().cast_unsigned() };
    let sent = wanted.batch.fingerprint;
    if codec_of(view) != wanted.codec {
        return true;
    }
    stored == sent || view.attributes() & APPEND_TIME != 0 && stored.length == sent.length
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
