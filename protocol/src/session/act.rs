//! What is done with a request that was decided on: it is answered, stripped, refused, or goes as it came.

use super::admit::Request;
use super::keep::{answer_bytes, names_bytes, strip_bytes};
use super::observe::Observed;
use super::{Admission, Claim, Claims, Ledger, Local, Mixed, Mode, Pending, Present, Report, Session, Stripped};
use crate::event::{Action, Event};
use crate::sequencing::{Acks, ErrorCode, Passage};
use crate::wire::produce::{self, AnswerEntry, ProduceEntry};

/// The oldest version whose answers are made here: before it, batches have no producer id by the book (KIP-98).
const ANSWERED_VERSION_MIN: i16 = 3;

impl<L: Ledger> Session<L> {
    /// Answers what is proven, or leaves it out of the request. `None`: it goes with the rest.
    #[inline(never)]
    pub(super) fn answer_proven(
        &self,
        request: &Request<'_>,
        observed: &[Observed],
        present: &Present,
        report: &mut impl Report,
    ) -> Option<Admission> {
        if !self.may_answer(request, observed, present) {
            return None;
        }
        let proven = observed.iter().filter(|observed| observed.proof.is_some()).count();
        let names = names_bytes(request.body, observed);
        if proven == observed.len() {
            let fits = answer_bytes(proven, names) <= present.keep_bytes_max;
            return fits.then(|| self.answer(request, observed, present, report));
        }
        let fits = strip_bytes(request.frame.len(), proven, observed.len(), names) <= present.keep_bytes_max;
        if present.policy.mixed == Mixed::Strip && fits {
            self.strip(request, observed, proven, present, report)
        } else {
            None
        }
    }

    /// Whether anything in the request may be answered from a proof.
    fn may_answer(&self, request: &Request<'_>, observed: &[Observed], present: &Present) -> bool {
        let transactional = request.body.transactional_id.is_some() || observed.iter().any(|o| o.transactional);
        present.policy.mode != Mode::Observe
            && request.version >= ANSWERED_VERSION_MIN
            && matches!(request.body.acks, -1 | 1)
            && !transactional
            && !observed.iter().any(Observed::is_opaque)
            // Behind a request that may have no answer one made here would wait for the next to come from the broker.
            && !self.unsure
            && self.auth.allows_answers(present.serves_without_sasl, present.now)
    }

    /// D18, once the leader has said that it would refuse it.
    #[cold]
    pub(super) fn refuse(
        &self,
        request: &Request<'_>,
        observed: &mut [Observed],
        present: &Present,
        report: &mut impl Report,
    ) -> Admission {
        let sender = self.sender(request.acks, present);
        let mut answers = Vec::new();
        for (entry, observed) in request.body.entries().zip(observed) {
            let Some(batch) = observed.batch else { continue };
            let (topic, partition) = (entry.topic, entry.partition);
            let (new_gap, log_start_offset) =
                self.ledger().tracker(partition, |tracker| tracker.refuse(topic, partition, &batch, &sender));
            observed.new_gap = new_gap;
            report(Event::Batch(observed.event(&entry, Action::Rejected, sender.authoritative)));
            answers.push(AnswerEntry {
                topic: topic.into(),
                partition,
                error: ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.0,
                base_offset: -1,
                log_append_time: -1,
                log_start_offset,
            });
        }
        let frame = produce::answer(request.version, request.correlation_id, &answers);
        Admission::Answer(Local { frame, ledger: self.current, kept: Vec::new() })
    }

    fn answer(
        &self,
        request: &Request<'_>,
        observed: &[Observed],
        present: &Present,
        report: &mut impl Report,
    ) -> Admission {
        let mut stripped = Stripped::with_room(observed.len(), 0);
        for (entry, observed) in request.body.entries().zip(observed) {
            if let Some(proof) = observed.proof {
                self.keep(&mut stripped, &entry, (proof, observed.seen), request.acks, present);
            }
            report(Event::Batch(observed.event(&entry, Action::Answered, false)));
        }
        let frame = produce::answer(request.version, request.correlation_id, &stripped.answers);
        Admission::Answer(Local { frame, ledger: self.current, kept: stripped.kept })
    }

    /// D13: leaves the duplicates out, so many of which are proven. `None` when the request cannot be edited.
    fn strip(
        &self,
        request: &Request<'_>,
        observed: &[Observed],
        proven: usize,
        present: &Present,
        report: &mut impl Report,
    ) -> Option<Admission> {
        let frame = produce::strip(request.frame, |at| observed[at].proof.is_none()).ok()?;
        let mut stripped = Stripped::with_room(proven, observed.len() - proven);
        let authoritative = self.sender(request.acks, present).authoritative;
        for (entry, observed) in request.body.entries().zip(observed) {
            let action = match observed.proof {
                Some(proof) => {
                    self.keep(&mut stripped, &entry, (proof, observed.seen), request.acks, present);
                    Action::Stripped
                }
                None => {
                    stripped.sent.push((self.topic_hash(entry.topic), entry.partition));
                    Action::Forwarded
                }
            };
            report(Event::Batch(observed.event(&entry, action, authoritative)));
        }
        stripped.sent.sort_unstable();
        let pending = self.pending(request, observed, Some(Box::new(stripped)), present);
        Some(Admission::Strip { frame, pending })
    }

    pub(super) fn forward(
        &self,
        request: &Request<'_>,
        observed: &mut [Observed],
        present: &Present,
        report: &mut impl Report,
    ) -> Admission {
        let sender = self.sender(request.acks, present);
        request.body.each_with(observed, |entry, observed| {
            self.register(entry, observed, request.acks, present);
            report(Event::Batch(observed.event(entry, Action::Forwarded, sender.authoritative)));
        });
        self.expecting(request, observed, present)
    }

    /// It goes as it came, with these of its batches noted.
    pub(super) fn expecting(&self, request: &Request<'_>, observed: &[Observed], present: &Present) -> Admission {
        let is_answered = request.acks != Acks::None;
        Admission::Forward(is_answered.then(|| self.pending(request, observed, None, present)))
    }

    /// A duplicate that could be answered goes to the broker all the same, and in observe mode one that would have
    /// to wait.
    pub(super) fn register(&self, entry: &ProduceEntry<'_>, observed: &mut Observed, acks: Acks, present: &Present) {
        if present.policy.mode == Mode::Observe && observed.passage != Passage::Free {
            observed.passage = Passage::Free;
        } else if observed.proof.take().is_none() {
            return;
        }
        let Some(batch) = observed.batch else { return };
        let (topic, partition) = (entry.topic, entry.partition);
        let sender = self.sender(acks, present);
        let ticket = self
            .ledger()
            .tracker(partition, |tracker| tracker.register(topic, partition, &batch, &sender, present.now));
        observed.claim = ticket.map(|ticket| self.claim(entry, ticket));
    }

    fn pending(
        &self,
        request: &Request<'_>,
        observed: &[Observed],
        kept: Option<Box<Stripped>>,
        present: &Present,
    ) -> Pending {
        Pending {
            version: request.version,
            correlation_id: request.correlation_id,
            ledger: self.current,
            claims: Claims::of(observed),
            kept,
            timeout_ms: u32::try_from(request.body.timeout_ms).unwrap_or(0),
            may_look: request.asks,
            broker: present.broker,
        }
    }
}

impl Claims {
    fn of(observed: &[Observed]) -> Self {
        match observed {
            [] => Self::None,
            [one] => one.claim.map_or(Self::None, Self::One),
            many => Self::from_vec(many.iter().filter_map(|observed| observed.claim).collect()),
        }
    }

    pub(super) fn from_vec(mut claims: Vec<Claim>) -> Self {
        claims.sort_unstable_by_key(|claim| (claim.topic, claim.partition));
        match claims.as_slice() {
            [] => Self::None,
            [one] => Self::One(*one),
            _ => Self::Many(claims),
        }
    }
}
