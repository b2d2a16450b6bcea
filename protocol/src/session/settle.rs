//! A broker's answer to a produce request, or its absence.

use super::{Claim, Claims, Ledger, Pending, Report, Session};
use crate::event::Event;
use crate::sequencing::{Answer, ErrorCode, Millis, Outcome, Settlement};
use crate::wire::produce::{self, ProduceResponse, ResponseEntry};

/// What is to be done with an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Settled {
    /// It goes to the client as it came.
    Unchanged,
    /// This goes to the client in its place.
    Merged(Vec<u8>),
    /// It cannot be made whole: reset the client.
    Reset,
}

impl<L: Ledger> Session<L> {
    /// Settles everything that a request carried by its answer: a whole frame, length included.
    pub fn settle(&mut self, pending: Pending, frame: &[u8], now: Millis, report: &mut impl Report) -> Settled {
        let body = frame.get(4..).unwrap_or_default();
        let parsed = ProduceResponse::parse(pending.version, body).ok();
        let Some(response) = parsed.filter(|response| response.correlation_id == pending.correlation_id) else {
            report(Event::ResponseUndecodable);
            return if self.overlook(pending, now) { Settled::Unchanged } else { Settled::Reset };
        };
        let Pending { version, ledger, mut claims, kept, .. } = pending;
        let mut served = false;
        for entry in response.entries() {
            served |= ErrorCode(entry.error) == ErrorCode::NONE;
            self.settle_entry(ledger, &mut claims, &entry, now, report);
        }
        if served {
            self.auth.served();
        }
        self.settle_rest(ledger, claims, Outcome::Missing, now);
        let Some(stripped) = kept else { return Settled::Unchanged };
        let is_foreign = |entry: ResponseEntry<'_>| {
            stripped.sent.binary_search(&(self.topic_hash(entry.topic), entry.partition)).is_err()
        };
        if ledger != self.current || response.entries().any(is_foreign) || !self.all_hold(ledger, &stripped.kept, now) {
            return Settled::Reset;
        }
        produce::merge(version, frame, &stripped.answers).map_or(Settled::Reset, Settled::Merged)
    }

    /// Its answer will not come: the connection has ended.
    pub fn abandon(&self, pending: Pending, now: Millis) {
        self.settle_rest(pending.ledger, pending.claims, Outcome::Lost, now);
    }

    /// Its answer came and cannot be read: what it said is unknown. False when the client cannot be given the
    /// answer, because duplicates were left out of the request.
    #[must_use]
    pub fn overlook(&self, pending: Pending, now: Millis) -> bool {
        let whole = !pending.is_stripped();
        self.settle_rest(pending.ledger, pending.claims, Outcome::Missing, now);
        whole
    }

    /// Settles what an entry of the answer speaks of. One of which nothing was noted down teaches nothing, but that the
    /// log is not what it was.
    fn settle_entry(
        &self,
        ledger: usize,
        claims: &mut Claims,
        entry: &ResponseEntry<'_>,
        now: Millis,
        report: &mut impl Report,
    ) {
        let topic = entry.topic;
        let claim = claims.find(|| self.topic_hash(topic), entry.partition);
        let settlement = self.ledgers[ledger].tracker(entry.partition, |tracker| {
            // The hash may lie, the tracker does not.
            let ticket = claim.as_ref().map(|claim| claim.ticket).filter(|ticket| tracker.is_for(*ticket, topic));
            if ticket.is_none() && ErrorCode(entry.error).doubts_the_log() {
                tracker.doubt_log(topic, entry.partition);
            }
            ticket.map(|ticket| tracker.settle(ticket, Outcome::Answered(answer_of(entry)), now))
        });
        if ledger != self.current && ErrorCode(entry.error).doubts_the_log() {
            // The same broker says it, whichever cluster its request was thought to go to.
            self.ledger().tracker(entry.partition, |tracker| tracker.doubt_log(topic, entry.partition));
        }
        if let (Some(settlement), Some(claim)) = (settlement, claim) {
            claim.settled = true;
            report_settlement(entry, settlement, report);
        }
    }

    /// The last of a request's batches; whoever waits for any of them is told.
    fn settle_rest(&self, ledger: usize, claims: Claims, outcome: Outcome, now: Millis) {
        match claims {
            Claims::None => {}
            Claims::One(claim) => self.settle_claim(ledger, claim, outcome, now),
            Claims::Many(claims) => {
                for claim in claims {
                    self.settle_claim(ledger, claim, outcome, now);
                }
            }
        }
        self.ledgers[ledger].settled();
    }

    /// Settles a claim that no answer has settled.
    pub(super) fn settle_claim(&self, ledger: usize, claim: Claim, outcome: Outcome, now: Millis) {
        if !claim.settled {
            self.ledgers[ledger].tracker(claim.partition, |tracker| tracker.settle(claim.ticket, outcome, now));
        }
    }
}

impl Claims {
    /// The open claim on this partition. The hash is asked for only where there is a choice.
    fn find(&mut self, topic: impl FnOnce() -> u64, partition: i32) -> Option<&mut Claim> {
        match self {
            Self::None => None,
            Self::One(claim) => (claim.partition == partition && !claim.settled).then_some(claim),
            Self::Many(claims) => {
                let key = (topic(), partition);
                let at = claims.partition_point(|claim| (claim.topic, claim.partition) < key);
                claims.get_mut(at).filter(|claim| (claim.topic, claim.partition) == key && !claim.settled)
            }
        }
    }
}

fn answer_of(entry: &ResponseEntry<'_>) -> Answer {
    Answer {
        error: ErrorCode(entry.error),
        base_offset: entry.base_offset,
        log_append_time: entry.log_append_time,
        log_start_offset: entry.log_start_offset,
    }
}

fn report_settlement(entry: &ResponseEntry<'_>, settlement: Settlement, report: &mut impl Report) {
    let (topic, partition) = (entry.topic, entry.partition);
    if let Some((batch, expected)) = settlement.confirmed_gap {
        report(Event::GapConfirmed { topic, partition, batch, expected });
    }
    if let Some(evidence) = settlement.ended {
        report(Event::ProofsEnded { topic, partition, evidence });
    }
}
