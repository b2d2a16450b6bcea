//! Outcomes that will not be told any more.

use super::super::attempts::{Attempt, Millis, State, Ticket};
use super::{Settlement, Tracker};

/// Ranges of unknown outcome kept per producer and partition; beyond, the oldest is forgotten.
const UNKNOWN_MAX: u16 = 64;

impl Tracker {
    /// The outcome will not be told any more. `orphan`: because the connection is gone.
    #[cold]
    pub(super) fn unknown(&mut self, ticket: Ticket, attempt: &Attempt, orphan: bool, now: Millis) -> Settlement {
        self.note_failure(attempt);
        if self.is_proven(attempt) {
            self.remove(ticket, attempt);
            return Settlement::default();
        }
        let orphan = self.take_twins(ticket, attempt) && orphan;
        let kept = self.attempts.get_mut(ticket.attempt);
        kept.state = State::Unknown { orphan };
        kept.since = now;
        let entry = &mut self.entries[attempt.entry];
        entry.pending -= 1;
        entry.unknown += 1;
        self.bound_unknowns(attempt.entry);
        Settlement::default()
    }

    /// Of several attempts of one range the newest tells how long a retry may still come. Whether the connections of the
    /// others are gone.
    fn take_twins(&mut self, ticket: Ticket, attempt: &Attempt) -> bool {
        let entry = &mut self.entries[attempt.entry];
        let (mut taken, mut are_gone) = (0, true);
        self.attempts.remove_where(
            &mut entry.attempts,
            |at, other| at != ticket.attempt && other.state != State::Pending && other.batch.id == attempt.batch.id,
            |other| {
                taken += 1;
                are_gone &= other.state != State::Unknown { orphan: false };
            },
        );
        entry.unknown -= taken;
        are_gone
    }

    /// Whether another attempt has told that the range is in the log, so that this one's outcome tells nothing more.
    fn is_proven(&self, attempt: &Attempt) -> bool {
        self.entries[attempt.entry].find(attempt.batch.id).is_some_and(|acked| acked.proof)
    }

    /// Forgets the unknown outcomes that an acknowledgement explains: those of the same range, and those of earlier
    /// ranges at the same broker, which has appended in order.
    #[inline(never)]
    pub(super) fn resolve_unknowns(&mut self, at: u32, attempt: &Attempt) {
        let id = attempt.batch.id;
        let entry = &mut self.entries[at];
        let mut resolved = 0;
        self.attempts.remove_where(
            &mut entry.attempts,
            |_, other| {
                let same = other.batch.id.range == id.range;
                let earlier =
                    id.range.first.is_after(other.batch.id.range.last) && other.broker.broker == attempt.broker.broker;
                other.state != State::Pending && other.batch.id.epoch == id.epoch && (same || earlier)
            },
            |_| resolved += 1,
        );
        entry.unknown -= resolved;
    }

    /// Unknown outcomes are forgotten after the time to live. What is proven stays so: no proof depends on them. What was forgotten may be
    /// in the log: where it lies ahead of what is acknowledged, it is not missing once something before it has been.
    #[inline(never)]
    pub(super) fn forget_old_unknowns(&mut self, at: u32, now: Millis) {
        let ttl_ms = self.limits.proof_ttl_ms;
        let entry = &mut self.entries[at];
        let (epoch, expected) = (entry.epoch, entry.window.expected());
        let (mut forgotten, mut is_ahead) = (0, false);
        self.attempts.remove_where(
            &mut entry.attempts,
            |_, attempt| attempt.state != State::Pending && now.since(attempt.since) >= ttl_ms,
            |attempt| {
                let id = attempt.batch.id;
                forgotten += 1;
                is_ahead |= id.epoch == epoch && expected.is_some_and(|expected| id.range.end().is_after(expected));
            },
        );
        entry.unknown -= forgotten;
        if forgotten > 0 {
            entry.note_unsure();
        }
        if is_ahead {
            entry.note_partial();
        }
    }

    /// Keeps the number of unknown outcomes within bounds. What is proven stays so: no proof depends on them.
    pub(super) fn bound_unknowns(&mut self, at: u32) {
        if self.entries[at].unknown <= UNKNOWN_MAX {
            return;
        }
        let head = self.entries[at].attempts;
        // The newest come first.
        let oldest = self.attempts.list(head).filter(|(_, other)| other.state != State::Pending).last();
        if let Some((oldest, _)) = oldest {
            let entry = &mut self.entries[at];
            self.attempts.remove(&mut entry.attempts, oldest);
            entry.unknown -= 1;
            entry.note_unsure();
        }
    }

    /// Something of the producer, perhaps of a later epoch, was acknowledged, perhaps, and it is not known what. No answer to what is in
    /// flight says the contrary: it may have been given before.
    #[cold]
    pub(super) fn note_untold(&mut self, at: u32) {
        let entry = &mut self.entries[at];
        entry.note_untold();
        self.attempts.for_each_mut(entry.attempts, |attempt| attempt.tells = false);
    }
}
