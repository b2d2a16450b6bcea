//! A broker's answer to a produce request, or its absence.

use super::look_up::{Place, Wanted};
use super::{Claim, Claims, Found, Ledger, LookUp, LookUpKind, Pending, Report, Session, Stripped};
use crate::event::Event;
use crate::sequencing::{
    Answer, BrokerGeneration, Confirming, ErrorCode, Millis, Outcome, Proof, Settlement, TopicRef,
};
use crate::wire::produce::{self, AnswerEntry, OwnedTopic, ProduceResponse, ResponseEntry};

/// Batches of one answer that are held against the log at most. A look takes a request and its answer at least, and
/// answers are not kept back for longer than some seconds.
const REFUSED_MAX: usize = 1_024;

/// It says what nobody has asked for, or cannot be read.
const FOREIGN: Settled = Settled::Reset(Incomplete::Foreign);

/// What is to be done with an answer.
#[derive(Debug)]
pub enum Settled {
    /// It goes to the client as it came.
    Unchanged,
    /// This goes to the client in its place.
    Merged(Vec<u8>),
    /// It cannot be made whole: reset the client.
    Reset(Incomplete),
    /// It is kept back, and what follows it: the log tells whether a 45 in it is for a batch that stands there.
    Look(Box<Unresolved>, Vec<LookUp>),
}

/// Why an answer cannot be made whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// What was left out of the request holds no more (T22).
    Lapsed,
    /// It is not an answer to what was sent.
    Foreign,
}

/// An answer that is kept back while the log is looked into. Give it to [`Session::resolve`], exactly once.
#[derive(Debug)]
#[must_use = "its tickets stay open until it is resolved"]
pub struct Unresolved {
    /// The whole frame, length included.
    pub(super) frame: Vec<u8>,
    version: i16,
    ledger: usize,
    pub(super) kept: Option<Box<Stripped>>,
    broker: BrokerGeneration,
    pub(super) refused: Vec<Refused>,
    /// What the looks that are for it take.
    pub(super) look_bytes: usize,
}

/// A batch that the broker has answered with 45.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) topic: OwnedTopic,
    claim: Claim,
    answer: Answer,
}

impl<L: Ledger> Session<L> {
    /// Settles everything that a request carried by its answer: a whole frame, length included.
    pub fn settle(&mut self, pending: Pending, frame: &[u8], now: Millis, report: &mut impl Report) -> Settled {
        let body = frame.get(4..).unwrap_or_default();
        let parsed = ProduceResponse::parse(pending.version, body);
        let Some(response) = parsed.as_ref().ok().filter(|it| it.correlation_id == pending.correlation_id) else {
            report(Event::ResponseUndecodable);
            return if self.overlook(pending, now) { Settled::Unchanged } else { FOREIGN };
        };
        let Pending { version, ledger, mut claims, kept, may_look, broker, .. } = pending;
        let mut served = false;
        let mut refused = Vec::new();
        response.each(|entry| {
            served |= ErrorCode(entry.error) == ErrorCode::NONE;
            let may_look = may_look && ErrorCode(entry.error) == ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
            if !(may_look && self.keep_back(ledger, &mut claims, entry, &mut refused)) {
                self.settle_entry(ledger, &mut claims, entry, now, report);
            }
        });
        if served {
            self.auth.served();
        }
        self.settle_rest(ledger, claims, Outcome::Missing, now);
        if !refused.is_empty() {
            let frame = frame.to_vec();
            return self.look(Unresolved { frame, version, ledger, kept, broker, refused, look_bytes: 0 }, now);
        }
        let Some(stripped) = kept else { return Settled::Unchanged };
        self.complete(version, ledger, response, frame, &stripped, now)
    }

    /// Puts what was left out of the request into its answer.
    fn complete(
        &self,
        version: i16,
        ledger: usize,
        response: &ProduceResponse<'_>,
        frame: &[u8],
        stripped: &Stripped,
        now: Millis,
    ) -> Settled {
        let is_foreign = |entry: ResponseEntry<'_>| {
            stripped.sent.binary_search(&(self.topic_hash(entry.topic), entry.partition)).is_err()
        };
        if response.entries().any(is_foreign) {
            return FOREIGN;
        }
        if ledger != self.current || !self.all_hold(ledger, &stripped.kept, now) {
            return Settled::Reset(Incomplete::Lapsed);
        }
        produce::merge(version, frame, &stripped.answers).map_or(FOREIGN, Settled::Merged)
    }

    /// Notes a batch that was refused and may stand in the log all the same. False: it is settled as the answer says.
    #[cold]
    fn keep_back(
        &self,
        ledger: usize,
        claims: &mut Claims,
        entry: &ResponseEntry<'_>,
        refused: &mut Vec<Refused>,
    ) -> bool {
        if refused.len() >= REFUSED_MAX {
            return false;
        }
        let Some(claim) = self.take_doubtful(ledger, claims, entry) else { return false };
        let same = refused.last().filter(|last| last.topic.as_ref() == entry.topic);
        let topic = same.map_or_else(|| entry.topic.into(), |last| last.topic.clone());
        refused.push(Refused { topic, claim, answer: answer_of(entry) });
        true
    }

    /// Takes out the claim of a batch that was refused and may stand in the log all the same.
    fn take_doubtful(&self, ledger: usize, claims: &mut Claims, entry: &ResponseEntry<'_>) -> Option<Claim> {
        let topic = entry.topic;
        let claim = claims.find(|| self.topic_hash(topic), entry.partition)?;
        let ticket = claim.ticket;
        let is_doubtful = self.ledgers[ledger]
            .tracker(entry.partition, |tracker| tracker.is_for(ticket, topic) && tracker.may_be_old(ticket));
        if ledger != self.current || !is_doubtful {
            return None;
        }
        let taken = *claim;
        claim.settled = true;
        Some(taken)
    }

    /// The answer is kept back until the logs have told.
    #[cold]
    fn look(&self, mut unresolved: Unresolved, now: Millis) -> Settled {
        let look_ups = self.look_for_refused(&unresolved, now);
        unresolved.look_bytes = look_ups.iter().map(LookUp::bytes).sum();
        Settled::Look(Box::new(unresolved), look_ups)
    }

    /// One look for each partition, whatever is wanted of it.
    fn look_for_refused(&self, unresolved: &Unresolved, now: Millis) -> Vec<LookUp> {
        let mut look_ups = Vec::with_capacity(unresolved.refused.len());
        for Refused { topic, claim, .. } in &unresolved.refused {
            let (topic, partition) = (topic.as_ref(), claim.partition);
            let batch = self.ledgers[unresolved.ledger].tracker(partition, |tracker| tracker.batch_of(claim.ticket));
            let Some(batch) = batch else { continue };
            let wanted = Wanted { batch, timestamp: claim.timestamp };
            let place = Place { ledger: unresolved.ledger, broker: unresolved.broker, topic, partition };
            look_ups.push(self.look_for(LookUpKind::Resolve, place, wanted, now));
        }
        look_ups
    }

    /// Whether the answer can be resolved without looking: what was refused is proven by now.
    #[must_use]
    pub fn is_known(&self, unresolved: &Unresolved, now: Millis) -> bool {
        let Unresolved { ledger, broker, refused, .. } = unresolved;
        refused.iter().all(|refused| self.proof_of_refused(*ledger, *broker, refused, now).is_some())
    }

    /// Only what is known to be true of the log as it is: the broker has said otherwise.
    fn proof_of_refused(
        &self,
        ledger: usize,
        broker: BrokerGeneration,
        refused: &Refused,
        now: Millis,
    ) -> Option<Proof> {
        if ledger != self.current {
            return None;
        }
        let (topic, partition) = (refused.topic.as_ref(), refused.claim.partition);
        let by_end = self.may_not_read(topic);
        self.ledgers[ledger].tracker(partition, |tracker| {
            let batch = tracker.batch_of(refused.claim.ticket)?;
            tracker.find_proof(topic, partition, &batch, Some(Confirming { broker, by_end }), now)
        })
    }

    /// The connection ends before the look does: what the broker said is what is known.
    pub fn give_up(&self, unresolved: Unresolved, now: Millis) {
        for Refused { claim, answer, .. } in unresolved.refused {
            self.settle_claim(unresolved.ledger, claim, Outcome::Answered(answer), now);
        }
        self.ledgers[unresolved.ledger].settled();
    }

    /// Settles what was kept back, in the light of what the looks into the log have found.
    ///
    /// A batch that stands there was acknowledged: its producer is told where. All others were refused, as the broker
    /// said.
    pub fn resolve(
        &mut self,
        unresolved: Unresolved,
        look_ups: Vec<LookUp>,
        now: Millis,
        report: &mut impl Report,
    ) -> Settled {
        let Unresolved { frame, version, ledger, kept, broker, refused, .. } = unresolved;
        let found: Vec<Found> = look_ups.into_iter().flat_map(LookUp::into_found).collect();
        let mut answers = Vec::new();
        for refused in refused {
            let known = self.proof_of_refused(ledger, broker, &refused, now);
            let Refused { topic, claim, answer } = refused;
            let batch = self.ledgers[ledger].tracker(claim.partition, |tracker| tracker.batch_of(claim.ticket));
            let found = batch.and_then(|batch| {
                found.iter().find(|found| found.is(topic.as_ref(), claim.partition, &batch) && self.stands(found, now))
            });
            let answer = match found.map(|found| found.proof).or(known) {
                Some(proof) => {
                    answers.push(AnswerEntry {
                        topic: topic.clone(),
                        partition: claim.partition,
                        error: 0,
                        base_offset: proof.base_offset,
                        log_append_time: proof.log_append_time,
                        log_start_offset: proof.log_start_offset,
                    });
                    Answer {
                        error: ErrorCode::NONE,
                        base_offset: proof.base_offset,
                        log_append_time: proof.log_append_time,
                        log_start_offset: None,
                    }
                }
                None => answer,
            };
            // That it stands in the log does not say that the broker knows its producer.
            let outcome = match answer.error {
                ErrorCode::NONE => Outcome::Found(answer),
                ErrorCode(_) => Outcome::Answered(answer),
            };
            let settlement =
                self.ledgers[ledger].tracker(claim.partition, |tracker| tracker.settle(claim.ticket, outcome, now));
            report_settlement(topic.as_ref(), claim.partition, settlement, report);
            if let Some(batch) = batch.filter(|_| answer.error == ErrorCode::NONE) {
                report(Event::Resolved {
                    topic: topic.as_ref(),
                    partition: claim.partition,
                    batch: batch.id,
                    base_offset: answer.base_offset,
                });
            }
        }
        self.ledgers[ledger].settled();
        let amended = if answers.is_empty() { None } else { produce::amend(version, &frame, &answers).ok() };
        let frame = amended.unwrap_or(frame);
        match kept {
            None => Settled::Merged(frame),
            Some(stripped) => match ProduceResponse::parse(version, &frame[4..]) {
                Ok(response) => self.complete(version, ledger, &response, &frame, &stripped, now),
                Err(_) => FOREIGN,
            },
        }
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
    /// log is not what it was, or that the leader takes no batches.
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
            if ticket.is_none() && entry.error != 0 {
                tracker.note_error(topic, entry.partition, ErrorCode(entry.error));
            }
            ticket.map(|ticket| tracker.settle(ticket, Outcome::Answered(answer_of(entry)), now))
        });
        if ledger != self.current && ErrorCode(entry.error).doubts_the_log() {
            // The same broker says it, whichever cluster its request was thought to go to.
            self.ledger().tracker(entry.partition, |tracker| tracker.doubt_log(topic, entry.partition));
        }
        if let (Some(settlement), Some(claim)) = (settlement, claim) {
            claim.settled = true;
            report_settlement(topic, entry.partition, settlement, report);
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

fn report_settlement(topic: TopicRef<'_>, partition: i32, settlement: Settlement, report: &mut impl Report) {
    if let Some((batch, expected)) = settlement.confirmed_gap {
        report(Event::GapConfirmed { topic, partition, batch, expected });
    }
    if let Some(evidence) = settlement.ended {
        report(Event::ProofsEnded { topic, partition, evidence });
    }
}
