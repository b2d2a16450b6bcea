//! What the broker said, or that it will say nothing.

use super::super::answer::{Answer, ErrorCode, Fate};
use super::super::attempts::{Acks, Attempt, Attempts, Flag, Millis, Outcome, State, Ticket};
use super::super::entry::{Entry, NO_GAP};
use super::super::intervals::{Fit, Identity, Interval};
use super::super::sequence::{BatchId, SequenceRange};
use super::super::slab::NOWHERE;
use super::super::window::{Acked, Growth, Window};
use super::{Evidence, Settlement, Tracker};

/// What a window's append times take at first.
const APPEND_TIMES_BYTES: usize = 256;

impl Tracker {
    /// Ends an attempt. Every ticket is settled exactly once.
    pub fn settle(&mut self, ticket: Ticket, outcome: Outcome, now: Millis) -> Settlement {
        let Some(attempt) = self.attempts.get(ticket).copied() else {
            debug_assert!(false, "a ticket is settled once");
            return Settlement::default();
        };
        let before = (self.owned_bytes, self.attempts.bytes());
        let settlement = match attempt.entry {
            NOWHERE => self.settle_plain(ticket, &attempt, outcome),
            _ => self.settle_of_entry(ticket, &attempt, outcome, now),
        };
        // As a rule nothing has come or gone.
        if before != (self.owned_bytes, self.attempts.bytes()) {
            self.charge();
        }
        settlement
    }

    fn settle_of_entry(&mut self, ticket: Ticket, attempt: &Attempt, outcome: Outcome, now: Millis) -> Settlement {
        self.refresh_stamps(attempt.entry);
        let settlement = match outcome {
            Outcome::Answered(answer) | Outcome::Found(answer) => {
                let by_broker = matches!(outcome, Outcome::Answered(_));
                let fate = if by_broker { self.note_answer(attempt, &answer) } else { Fate::Acked };
                match fate {
                    Fate::Acked => self.acked(ticket, attempt, &answer, by_broker, now),
                    Fate::Unknown => self.doubted(ticket, attempt, &answer, now),
                    Fate::NotAppended => self.refused(ticket, attempt, &answer),
                }
            }
            Outcome::Missing => self.unknown(ticket, attempt, false, now),
            Outcome::Lost => self.unknown(ticket, attempt, true, now),
            Outcome::Withdrawn => {
                let entry = &mut self.entries[attempt.entry];
                if attempt.flag == Flag::NewGap {
                    entry.gap_at = NO_GAP;
                }
                self.remove(ticket, attempt);
                Settlement::default()
            }
        };
        self.drop_if_forgettable(attempt.entry);
        settlement
    }

    /// What the leader takes of the partition's batches at the moment. That it refused one for its own sequence or epoch says
    /// nothing of others.
    #[inline(always)]
    fn note_answer(&mut self, attempt: &Attempt, answer: &Answer) -> Fate {
        let fate = answer.fate();
        let partition = &mut self.partitions[attempt.partition];
        if fate == Fate::Acked {
            // A leader asks for in-sync replicas only where all of them are to acknowledge.
            partition.refuses &= attempt.acks != Acks::All;
            partition.longest_taken = partition.longest_taken.max(attempt.batch.fingerprint.length);
        } else {
            partition.refuses |= !answer.error.is_of_the_sequence();
        }
        fate
    }

    /// It has turned out that the batch cannot be told apart from another one of its request (T29): nothing that is
    /// said of it proves anything.
    pub fn doubt(&mut self, ticket: Ticket) {
        if self.attempts.get(ticket).is_some_and(|attempt| attempt.entry != NOWHERE) {
            let attempt = self.attempts.get_mut(ticket.attempt);
            // Nor is it known for which of them a 45 is, so the log is not asked either.
            (attempt.opaque, attempt.may_be_old) = (true, false);
        }
    }

    /// Of a producer without sequences only the place in the log counts.
    #[inline(never)]
    fn settle_plain(&mut self, ticket: Ticket, attempt: &Attempt, outcome: Outcome) -> Settlement {
        let mut settlement = Settlement::default();
        self.refresh_partition(attempt.partition);
        if let Outcome::Answered(answer) = outcome {
            if self.note_answer(attempt, &answer) == Fate::Acked {
                let late = attempt.partition_stamp != self.partitions[attempt.partition].stamp;
                settlement.ended = self.take_in_interval(attempt, &answer, Before::NOTHING, late);
            } else if answer.error.doubts_the_log() {
                self.doubt_partition(attempt.partition);
                settlement.ended = Some(Evidence::PartitionGone);
            }
        }
        self.attempts.remove_alone(ticket.attempt);
        self.release_partition(attempt.partition);
        settlement
    }

    /// `by_broker`: it has said so itself.
    fn acked(
        &mut self,
        ticket: Ticket,
        attempt: &Attempt,
        answer: &Answer,
        by_broker: bool,
        now: Millis,
    ) -> Settlement {
        let mut settlement = Settlement::default();
        let (at, id) = (attempt.entry, attempt.batch.id);
        let (entry, partition) = (&mut self.entries[at], &self.partitions[attempt.partition]);
        close(&mut self.attempts, entry, ticket);
        if self.topics.get(partition.topic).retired {
            return settlement;
        }
        let late = attempt.partition_stamp != partition.stamp
            || self.handed.has_ended(id.producer_id, id.epoch, attempt.handed_serial);
        if attempt.opaque {
            settlement.ended = self.acked_opaque(attempt, answer, late);
            return settlement;
        }
        let before = Before::of(entry, id);
        if by_broker && id.epoch >= entry.epoch && !entry.alone {
            // Before what it acknowledges is remembered: that is of this generation.
            entry.enter_generation(attempt.broker);
        }
        settlement.ended = self.take_in_acknowledged(attempt, answer, before, late, now);
        let entry = &mut self.entries[at];
        if id.epoch >= entry.epoch {
            if !before.was_known() {
                entry.note_progress();
            }
            if by_broker {
                note_acknowledged(entry, attempt, late);
                if let Some(log_start) = answer.log_start_offset.filter(|start| *start >= 0 && !late) {
                    self.partitions[attempt.partition].log_start = log_start;
                }
            }
        }
        settlement
    }

    /// It is in the log, but what it was cannot be told.
    #[cold]
    fn acked_opaque(&mut self, attempt: &Attempt, answer: &Answer, late: bool) -> Option<Evidence> {
        let is_cut = !late && self.partitions[attempt.partition].intervals.are_cut_by(answer.base_offset);
        if is_cut {
            self.end_partition(attempt.partition);
        }
        self.make_cold(attempt.entry);
        self.note_untold(attempt.entry);
        is_cut.then_some(Evidence::Collision)
    }

    /// Takes in a batch of which all is known that can be: where it stands, and that it is acknowledged.
    pub(super) fn take_in_acknowledged(
        &mut self,
        attempt: &Attempt,
        answer: &Answer,
        before: Before,
        late: bool,
        now: Millis,
    ) -> Option<Evidence> {
        let (at, id) = (attempt.entry, attempt.batch.id);
        let mut evidence = self.take_in_interval(attempt, answer, before, late);
        if evidence.is_some() {
            self.renew_entry(at);
        }
        let entry = &self.entries[at];
        if id.epoch < entry.epoch {
            // Acknowledged, but its producer has moved on: the broker forgot this epoch's batches as well.
            return evidence;
        }
        if id.epoch > entry.epoch || entry.is_cold() {
            self.enter_epoch(at, attempt);
        } else if !late && is_regression(&entry.window, id.range, answer) {
            self.take_in_regression(attempt, answer);
            evidence = Some(Evidence::Regression);
        }
        let entry = &mut self.entries[at];
        if self.limits.is_past_ttl(entry, now) {
            entry.window.end_proofs();
        }
        let growth = Growth {
            slots: self.share.is_roomy(),
            append_times: answer.log_append_time == -1 || self.share.has(APPEND_TIMES_BYTES),
        };
        // Nothing has been added to the window since.
        let known = if before.is_new { None } else { entry.window.find(id.range) };
        self.owned_bytes += remember(entry, attempt, answer, (known, late), now, (self.limits.window, growth));
        if entry.unknown > 0 {
            self.resolve_unknowns(at, attempt);
        }
        evidence
    }

    /// The log has lost its end: what was known of it is not true any more, only this batch is.
    #[cold]
    fn take_in_regression(&mut self, attempt: &Attempt, answer: &Answer) {
        let at = attempt.entry;
        self.end_partition(attempt.partition);
        self.make_cold(at);
        self.entries[at].epoch = attempt.batch.id.epoch;
        self.renew_entry(at);
        if let Some(interval) = interval_of(attempt, answer) {
            self.push_interval(attempt.partition, interval);
        }
    }

    /// A higher epoch leaves nothing of the lower ones.
    #[cold]
    fn enter_epoch(&mut self, at: u32, attempt: &Attempt) {
        let epoch = attempt.batch.id.epoch;
        let entry = &mut self.entries[at];
        let before = entry.window.bytes();
        entry.enter_epoch(epoch);
        self.owned_bytes = self.owned_bytes + entry.window.bytes() - before;
        let mut forgotten = 0;
        self.attempts.remove_where(
            &mut entry.attempts,
            |_, other| other.state != State::Pending && other.batch.id.epoch < epoch,
            |_| forgotten += 1,
        );
        entry.unknown -= forgotten;
    }

    /// An error that leaves open whether the batch is in the log.
    #[cold]
    fn doubted(&mut self, ticket: Ticket, attempt: &Attempt, answer: &Answer, now: Millis) -> Settlement {
        let mut settlement = self.unknown(ticket, attempt, false, now);
        if answer.error.doubts_the_log() {
            self.doubt_partition(attempt.partition);
            settlement.ended = Some(Evidence::PartitionGone);
        }
        settlement
    }

    /// This attempt left nothing in the log.
    #[cold]
    fn refused(&mut self, ticket: Ticket, attempt: &Attempt, answer: &Answer) -> Settlement {
        let mut settlement = Settlement::default();
        let at = attempt.entry;
        if attempt.opaque {
            // Nothing is learnt from an error of a request that cannot be taken at its word.
            return self.unknown(ticket, attempt, false, attempt.since);
        }
        match answer.error {
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER => settlement = self.out_of_order(attempt),
            ErrorCode::INVALID_PRODUCER_EPOCH if self.entries[at].epoch == attempt.batch.id.epoch => {
                self.make_cold(at);
                self.note_untold(at);
            }
            ErrorCode::UNKNOWN_PRODUCER_ID => self.make_cold(at),
            ErrorCode(_) => {}
        }
        self.note_failure(attempt);
        self.remove(ticket, attempt);
        settlement
    }

    fn out_of_order(&mut self, attempt: &Attempt) -> Settlement {
        let entry = &mut self.entries[attempt.entry];
        let mut settlement = Settlement::default();
        let base = attempt.batch.id.range.first;
        let gap_at = base.get().cast_unsigned();
        if attempt.flag == Flag::Suspect && entry.gap_at != gap_at {
            entry.gap_at = gap_at;
            let expected = entry.window.expected().unwrap_or(super::Sequence::ZERO);
            settlement.confirmed_gap = Some((attempt.batch.id, expected));
        }
        if attempt.on_expected {
            self.make_cold(attempt.entry);
            self.end_partition(attempt.partition);
            settlement.ended = Some(Evidence::ExpectedRefused);
        }
        settlement
    }

    pub(super) fn note_failure(&mut self, attempt: &Attempt) {
        self.entries[attempt.entry].note_failure(attempt.connection, attempt.batch.id);
    }

    /// Holds the place of an acknowledged batch against those of others; a contradiction ends the partition's proofs.
    /// A late one is not held against what comes: it is perhaps the one that is wrong.
    #[inline(always)]
    fn take_in_interval(&mut self, attempt: &Attempt, answer: &Answer, before: Before, late: bool) -> Option<Evidence> {
        let interval = interval_of(attempt, answer)?;
        let intervals = &mut self.partitions[attempt.partition].intervals;
        match intervals.fit(&interval, before.is_new) {
            Fit::Known => None,
            Fit::New if !before.is_elsewhere(answer) => {
                if !late {
                    self.owned_bytes += intervals.push(interval, || self.share.is_roomy());
                }
                None
            }
            Fit::New | Fit::Contradiction => {
                self.collide(attempt.partition, interval, late);
                Some(Evidence::Collision)
            }
        }
    }

    #[cold]
    fn collide(&mut self, partition: u32, interval: Interval, late: bool) {
        self.end_partition(partition);
        if !late {
            self.push_interval(partition, interval);
        }
    }

    fn push_interval(&mut self, partition: u32, interval: Interval) {
        let intervals = &mut self.partitions[partition].intervals;
        self.owned_bytes += intervals.push(interval, || self.share.is_roomy());
    }

    /// Takes an attempt out of its entry.
    pub(super) fn remove(&mut self, ticket: Ticket, attempt: &Attempt) {
        close(&mut self.attempts, &mut self.entries[attempt.entry], ticket);
    }
}

/// What was known of a batch when its acknowledgement came.
#[derive(Clone, Copy)]
pub(super) struct Before {
    /// The offset that it had, or -1, if it was acknowledged before.
    offset: Option<i64>,
    /// It follows all that was acknowledged of its epoch, and so it was not acknowledged before. Of what is not known any
    /// more it is not known.
    is_new: bool,
}

impl Before {
    /// Of a producer without sequences no batch is acknowledged twice.
    const NOTHING: Self = Self { offset: None, is_new: true };

    #[inline(always)]
    pub(super) fn of(entry: &Entry, id: BatchId) -> Self {
        let knows_all = !entry.is_cold() && !entry.is_partial() && entry.epoch == id.epoch;
        let is_new = knows_all && entry.window.is_newest(id.range);
        // What follows everything is none of it.
        let known = if is_new { None } else { entry.find(id) };
        Self { offset: known.map(|known| known.base_offset), is_new }
    }

    /// Whether it was acknowledged before.
    const fn was_known(&self) -> bool {
        self.offset.is_some()
    }

    /// Whether it was acknowledged at another offset.
    fn is_elsewhere(&self, answer: &Answer) -> bool {
        self.offset.is_some_and(|offset| offset >= 0 && offset != answer.base_offset)
    }
}

/// Takes an attempt out of its entry.
#[inline]
fn close(attempts: &mut Attempts, entry: &mut Entry, ticket: Ticket) {
    attempts.remove(&mut entry.attempts, ticket.attempt);
    entry.pending -= 1;
}

/// Adds the acknowledged range, of which `known` is known so far, to the window, which holds `slots_max` at most, as a proof
/// where it is one. Returns by how many bytes the window has grown.
fn remember(
    entry: &mut Entry,
    attempt: &Attempt,
    answer: &Answer,
    (known, late): (Option<Acked>, bool),
    now: Millis,
    (slots_max, growth): (usize, Growth),
) -> usize {
    let has_offset = answer.error == ErrorCode::NONE && answer.base_offset >= 0;
    let proof = !late && !entry.is_twin() && has_offset && attempt.acks == Acks::All && !attempt.batch.transactional;
    let base_offset = if has_offset { answer.base_offset } else { -1 };
    let range = attempt.batch.id.range;
    // Brokers do not compare contents: of two that are acknowledged at one place, which one stands there is not known.
    let is_certain = known.is_none_or(|known| {
        known.is_same(attempt.batch.fingerprint, answer.log_append_time) || known.base_offset != base_offset
    });
    // What this generation has said of it stays, when an older one says it again.
    let is_of_now = known.is_some_and(|known| !known.older && known.base_offset == base_offset);
    let (was_proof, proof) = (proof, proof && is_certain);
    if proof {
        entry.proof_at = now;
    }
    // An acknowledgement that proves less than what is known already takes nothing away.
    if !was_proof && is_certain && known.is_some_and(|known| known.proof) {
        return 0;
    }
    let acked = Acked {
        range,
        base_offset,
        fingerprint: attempt.batch.fingerprint,
        proof,
        leader_only: attempt.acks == Acks::Leader,
        older: attempt.broker != entry.acked_by && !is_of_now,
        append_time: answer.log_append_time,
    };
    entry.window.insert(acked, slots_max, growth)
}

/// The broker has said it itself, and so it knows the producer.
fn note_acknowledged(entry: &mut Entry, attempt: &Attempt, late: bool) {
    if entry.acked_by == attempt.broker {
        entry.alone = false;
    }
    if !late && attempt.tells {
        entry.note_told();
    }
    entry.note_success(attempt.connection);
    if entry.window.expected() == Some(attempt.batch.id.range.end()) {
        entry.note_sure();
    }
}

/// Whether a newer range stands at an offset that an older one of the same producer and epoch has.
fn is_regression(window: &Window, range: SequenceRange, answer: &Answer) -> bool {
    answer.base_offset >= 0
        && window.is_newest(range)
        && window.newest_end().is_some_and(|last_offset| answer.base_offset <= last_offset)
}

/// The offsets that an acknowledged batch takes.
fn interval_of(attempt: &Attempt, answer: &Answer) -> Option<Interval> {
    if answer.error != ErrorCode::NONE || answer.base_offset < 0 {
        return None;
    }
    let last = answer.base_offset.checked_add(i64::from(attempt.batch.id.range.len()) - 1)?;
    Some(Interval { first: answer.base_offset, last, batch: Identity::of(attempt.batch.id) })
}
