//! The decision table: which rule a batch falls under. Nothing is changed here.

use super::super::attempts::{Attempt, Batch, Millis, State};
use super::super::entry::Entry;
use super::super::sequence::{ProducerEpoch, Sequence, SequenceRange};
use super::super::verdict::Rule;
use super::{Proof, Tracker};

/// What the table says of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Classified {
    pub(super) rule: Rule,
    pub(super) expected: Option<Sequence>,
    pub(super) proof: Option<Proof>,
}

/// What is open of a producer in one epoch.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    /// The very range is in flight.
    same_pending: bool,
    /// The very range is of unknown outcome.
    same_unknown: bool,
    /// Another range that is in flight shares a sequence with it.
    overlaps: bool,
    /// Whether anything is open in this epoch.
    any: bool,
    /// The sequence after the furthest range in flight.
    end: Option<Sequence>,
}

impl Tracker {
    /// The rule for a batch of an idempotent producer. The entry is fresh already.
    #[inline(always)]
    pub(super) fn classify(&self, entry: &Entry, batch: &Batch, now: Millis) -> Classified {
        let (epoch, range) = (batch.id.epoch, batch.id.range);
        let Some(expected) = entry.window.expected() else {
            return Classified { rule: self.while_cold(entry, epoch, range), expected: None, proof: None };
        };
        if epoch < entry.epoch {
            return Classified { rule: Rule::D22, expected: None, proof: None };
        }
        if epoch > entry.epoch {
            let expected = self.open(entry, epoch, range).end.unwrap_or(Sequence::ZERO);
            return Classified { rule: self.in_new_epoch(entry, epoch, range), expected: Some(expected), proof: None };
        }
        if range.first == expected {
            let rule = if entry.has_nothing_open() { Rule::D8 } else { self.on_expected(entry, epoch, range) };
            return Classified { rule, expected: Some(expected), proof: None };
        }
        self.off_expected(entry, batch, expected, now)
    }

    /// Nothing was acknowledged yet: only what is open can make it anything but a first batch.
    #[inline(never)]
    fn while_cold(&self, entry: &Entry, epoch: ProducerEpoch, range: SequenceRange) -> Rule {
        match self.open(entry, epoch, range) {
            Open { same_pending: true, .. } => Rule::D10,
            Open { same_unknown: true, .. } => Rule::D11,
            Open { .. } => Rule::D5,
        }
    }

    /// The base is the expected one: only open attempts can make it anything but the next batch.
    #[inline(never)]
    fn on_expected(&self, entry: &Entry, epoch: ProducerEpoch, range: SequenceRange) -> Rule {
        match self.open(entry, epoch, range) {
            Open { same_pending: true, .. } => Rule::D10,
            Open { same_unknown: true, .. } => Rule::D11,
            Open { overlaps: true, .. } => Rule::D17,
            Open { .. } => Rule::D8,
        }
    }

    #[inline(never)]
    fn off_expected(&self, entry: &Entry, batch: &Batch, expected: Sequence, now: Millis) -> Classified {
        let range = batch.id.range;
        let of = |rule| Classified { rule, expected: Some(expected), proof: None };
        let proof = self.proof_of(entry, range, now);
        let acked = entry.window.find(range);
        // A valid proof wins over whatever is open.
        if let Some(proof) = proof
            && acked.is_some_and(|acked| acked.is_same(batch.fingerprint, -1))
        {
            // What answers it is held against the batch itself: of what is stored less can be told.
            let proof = Proof { fingerprint: batch.fingerprint, ..proof };
            return Classified { proof: Some(proof), ..of(Rule::D12) };
        }
        let open = self.open(entry, batch.id.epoch, range);
        if open.same_pending {
            return of(Rule::D10);
        }
        if open.same_unknown {
            return of(Rule::D11);
        }
        if let Some(acked) = acked {
            return of(match proof {
                Some(_) => Rule::D15,
                None if acked.leader_only && !acked.is_same(batch.fingerprint, -1) => Rule::D15,
                None if acked.leader_only => Rule::D23,
                None => Rule::D14,
            });
        }
        if entry.window.overlaps(range) {
            return of(Rule::D16);
        }
        if open.end == Some(range.first) {
            return Classified { expected: open.end, ..of(Rule::D9) };
        }
        let rule = match (range.first.is_after(expected), open.any) {
            (true, true) => Rule::D17,
            (true, false) => Rule::D18,
            (false, _) => Rule::D19,
        };
        Classified { expected: open.end.or(Some(expected)), ..of(rule) }
    }

    /// An epoch above the acknowledged one has only its open attempts to be in order with.
    #[inline(never)]
    fn in_new_epoch(&self, entry: &Entry, epoch: ProducerEpoch, range: SequenceRange) -> Rule {
        match self.open(entry, epoch, range) {
            Open { same_pending: true, .. } => Rule::D10,
            Open { same_unknown: true, .. } => Rule::D11,
            Open { end, .. } if end == Some(range.first) => Rule::D9,
            Open { .. } if range.first == Sequence::ZERO => Rule::D20,
            Open { .. } => Rule::D21,
        }
    }

    fn open(&self, entry: &Entry, epoch: ProducerEpoch, range: SequenceRange) -> Open {
        let mut open = Open::default();
        for (_, attempt) in self.attempts.list(entry.attempts) {
            if attempt.batch.id.epoch == epoch {
                open.take_in(attempt, range);
            }
        }
        open
    }
}

impl Open {
    fn take_in(&mut self, attempt: &Attempt, range: SequenceRange) {
        let other = attempt.batch.id.range;
        self.any = true;
        match attempt.state {
            State::Pending if attempt.opaque => self.same_unknown |= other == range,
            State::Pending => {
                self.same_pending |= other == range;
                self.overlaps |= other.overlaps(range);
                self.extend(other.end());
            }
            State::Sent => {
                self.same_unknown |= other == range;
                self.extend(other.end());
            }
            State::Unknown { .. } => self.same_unknown |= other == range,
        }
    }

    fn extend(&mut self, end: Sequence) {
        if self.end.is_none_or(|furthest| end.is_after(furthest)) {
            self.end = Some(end);
        }
    }
}
