//! What the answers to a look's requests come to.

use super::{Found, LookUp, LookUpKind, LookUpOutcome, Since, Step, Wanted};
use crate::sequencing::{BatchId, ErrorCode, LogBatch, Proof};
use crate::session::observe::fingerprint_of;
use crate::wire::batch::BatchView;
use crate::wire::log::{self, FetchReader, FetchVersion};

/// Batches of one look that are remembered at most.
const BATCHES_MAX: usize = 16_384;

impl LookUp {
    /// A batch of the log.
    pub(super) fn show(&mut self, view: BatchView<'_>) {
        self.is_stamped.get_or_insert(append_time(view) != -1);
        let Some(range) = view.range().filter(|_| !view.is_control() && !view.is_transactional()) else { return };
        let id = BatchId { producer_id: view.producer_id(), epoch: view.epoch(), range };
        self.compare(view, id);
        // Of one that was stored twice the first is what its producer would have been told; the other is no evidence.
        if self.seen.len() < BATCHES_MAX && !self.is_full && self.seen.insert(id) {
            self.shown.push(LogBatch {
                id,
                fingerprint: fingerprint_of(view, true),
                base_offset: view.base_offset(),
                append_time: append_time(view),
            });
        }
    }

    /// The broker has said where in the log to begin, or where it ends.
    pub(super) fn take_offset(&mut self, answer: &[u8]) {
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
    pub(super) fn refuse(&mut self, error: i16) {
        self.error = Some(ErrorCode(error));
        self.outcome = Some(outcome_of(error));
    }

    /// The last offset of the batch that is to be confirmed, if it begins at `place`.
    fn ends(&self, place: i64) -> i64 {
        let len = self.wanted.first().map_or(0, |wanted| wanted.batch.id.range.len());
        place.saturating_add(i64::from(len)) - 1
    }

    /// A piece of the log has been read.
    pub(super) fn go_on(&mut self, reader: &FetchReader) {
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

    pub(super) fn found(&self, proof: Proof) -> Found {
        let Self { topic, partition, ledger, mark, .. } = self;
        Found { topic: topic.clone(), partition: *partition, ledger: *ledger, mark: *mark, proof }
    }
}

/// The bit that says that the max timestamp is the broker's (`DefaultRecordBatch.TIMESTAMP_TYPE_MASK`).
const APPEND_TIME: i16 = 0x08;

fn append_time(view: BatchView<'_>) -> i64 {
    if view.attributes() & APPEND_TIME == 0 { -1 } else { view.max_timestamp() }
}

fn outcome_of(error: i16) -> LookUpOutcome {
    match ErrorCode(error) {
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => LookUpOutcome::NotAllowed,
        ErrorCode(_) => LookUpOutcome::Failed,
    }
}
