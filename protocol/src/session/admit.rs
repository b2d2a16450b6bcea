//! Decides on a produce request on its way to the broker.

use super::keep::CLAIMS_MIN;
use super::observe::{Manner, Observed};
use super::{Admission, Claim, Ledger, Mode, Present, Report, Session};
use crate::event::{Event, HeldFor, Unread};
use crate::sequencing::{Acks, Outcome, Passage};
use crate::wire::frame::LENGTH_BYTES;
use crate::wire::head::RequestHead;
use crate::wire::produce::{self, ProduceEntry, ProduceRequest};

/// The oldest version of which gaps are refused here: before it, a leader would not take zstd (KIP-110) and say so first.
const ENFORCED_VERSION_MIN: i16 = 7;

/// A request that parsed, and how it stands.
pub(super) struct Request<'a> {
    pub(super) frame: &'a [u8],
    pub(super) version: i16,
    pub(super) correlation_id: i32,
    pub(super) body: &'a ProduceRequest<'a>,
    pub(super) acks: Acks,
    /// The cluster is asked what nobody has told.
    pub(super) asks: bool,
    /// A gap in it may be refused here.
    enforces: bool,
}

impl<L: Ledger> Session<L> {
    /// Decides on a whole produce frame, length included. `held`: it was told to wait before.
    pub fn admit(&mut self, frame: &[u8], held: bool, present: &Present, report: &mut impl Report) -> Admission {
        let Some(head) = frame.get(4..).and_then(|rest| RequestHead::parse(rest).ok()) else {
            return self.unread(Unread::Undecodable, report);
        };
        let version = head.prefix.api_version;
        if !(0..=produce::VERSION_MAX).contains(&version) {
            return self.unread(Unread::Version, report);
        }
        let parsed = ProduceRequest::parse(version, head.body);
        let Ok(body) = &parsed else {
            return self.unread(Unread::Undecodable, report);
        };
        if body.partitions > PARTITIONS_MAX {
            // What is noted of each would take many times the memory of the frame.
            let size = u32::try_from(frame.len() - LENGTH_BYTES).unwrap_or(u32::MAX);
            let streamed = self.begin_stream(frame, size, report);
            return streamed.map_or(Admission::Unread, |streamed| Admission::Stream(Box::new(streamed)));
        }
        if held && self.must_still_wait(body, present) {
            return Admission::Hold;
        }
        let is_too_much = body.partitions > CLAIMS_MIN && body.partitions * size_of::<Claim>() > present.keep_bytes_max;
        let acks = Acks::from_wire(body.acks);
        let correlation_id = head.prefix.correlation_id;
        let asks = self.asks(present);
        let enforces = asks && self.may_enforce(version, body, present);
        let request = Request { frame, version, correlation_id, body, acks, asks, enforces };
        if is_too_much {
            self.unread = true;
            self.end_waiting(false, present.now);
            report(self.taint_by(Unread::Memory));
            // Nothing is noted of what it carries, but it was read: whether an answer comes is known.
            return self.expecting(&request, &[], present);
        }
        if let Some(entry) = body.only() {
            let mut observed = self.observe_entry(&request, entry, &[], held, present);
            return self.conclude(&request, std::slice::from_mut(&mut observed), held, present, report);
        }
        let mut observed = std::mem::take(&mut self.observed);
        self.observe_all(&request, held, present, &mut observed);
        let admission = self.conclude(&request, &mut observed, held, present, report);
        observed.clear();
        // Space for an unusual number of partitions is not kept for the life of the connection.
        if observed.capacity() <= OBSERVED_KEPT_MAX {
            self.observed = observed;
        }
        admission
    }

    /// Decides on what was observed; what does not go now is taken back, and what waits is noted.
    fn conclude(
        &mut self,
        request: &Request<'_>,
        observed: &mut [Observed],
        held: bool,
        present: &Present,
        report: &mut impl Report,
    ) -> Admission {
        let admission = self.decide(request, observed, present, report);
        if matches!(admission, Admission::Hold) {
            let waits = request.body.entries().zip(&*observed).filter(|(_, it)| it.passage == Passage::Hold);
            if !held {
                waits.clone().for_each(|(entry, observed)| self.report_held(&entry, observed, report));
            }
            let mut held: Vec<_> = waits.map(|(entry, _)| (self.topic_hash(entry.topic), entry.partition)).collect();
            held.sort_unstable();
            self.held = held;
        }
        if matches!(admission, Admission::Hold | Admission::Look(_)) {
            // Before it is withdrawn: at no time is nothing known of it.
            self.note_waiting(request.body, observed, present);
            self.withdraw(observed, present);
        } else if matches!(admission, Admission::Reset) {
            self.withdraw(observed, present);
            self.end_waiting(true, present.now);
        } else if self.waits_since.is_some() {
            // Behind the decision: what has gone is at the broker, and noted there.
            self.end_waiting(false, present.now);
        }
        if !matches!(admission, Admission::Hold) {
            self.found.clear();
            self.refusable = None;
        }
        admission
    }

    /// A frame that goes through unread may append what nobody here has seen.
    #[cold]
    fn unread(&mut self, why: Unread, report: &mut impl Report) -> Admission {
        (self.unread, self.unsure) = (true, true);
        report(self.taint_by(why));
        Admission::Unread
    }

    pub(super) fn taint_by(&self, why: Unread) -> Event<'static> {
        if why.taints() {
            self.ledger().taint();
        }
        Event::Unread(why)
    }

    fn observe_all(&self, request: &Request<'_>, held: bool, present: &Present, observed: &mut Vec<Observed>) {
        let repeated = self.repeated(request.body);
        request.body.each(|entry| observed.push(self.observe_entry(request, entry, &repeated, held, present)));
    }

    /// `repeated`: the partitions that stand in the request more than once, sorted.
    fn observe_entry(
        &self,
        request: &Request<'_>,
        entry: &ProduceEntry<'_>,
        repeated: &[(u64, i32)],
        held: bool,
        present: &Present,
    ) -> Observed {
        let stands_in =
            |places: &[(u64, i32)]| places.binary_search(&(self.topic_hash(entry.topic), entry.partition)).is_ok();
        let repeated = !repeated.is_empty() && stands_in(repeated);
        // Only what was told to wait is held back behind something; the rest of its request is not.
        let held = held && stands_in(&self.held);
        let Request { acks, asks, enforces, .. } = *request;
        self.observe(entry, Manner { acks, repeated, held, asks, enforces }, present)
    }

    /// The partitions that stand in the request more than once, sorted.
    fn repeated(&self, body: &ProduceRequest<'_>) -> Vec<(u64, i32)> {
        if body.partitions < 2 {
            return Vec::new();
        }
        let mut keys: Vec<_> = body.entries().map(|e| (self.topic_hash(e.topic), e.partition)).collect();
        keys.sort_unstable();
        keys.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
    }

    fn decide(
        &self,
        request: &Request<'_>,
        observed: &mut [Observed],
        present: &Present,
        report: &mut impl Report,
    ) -> Admission {
        if observed.iter().any(|observed| observed.passage != Passage::Free)
            && let Some(stop) = self.stop(request, observed, present)
        {
            return stop;
        }
        if observed.iter().any(|observed| observed.refused) {
            return self.refuse(request, observed, present, report);
        }
        if observed.iter().any(|observed| observed.proof.is_some())
            && let Some(answered) = self.answer_proven(request, observed, present, report)
        {
            return answered;
        }
        self.forward(request, observed, present, report)
    }

    /// T27: a request of which one batch must wait, or must not go, does not go.
    #[cold]
    fn stop(&self, request: &Request<'_>, observed: &[Observed], present: &Present) -> Option<Admission> {
        if present.policy.mode == Mode::Observe {
            return None;
        }
        let any = |passage| observed.iter().any(|observed| observed.passage == passage);
        let looks = any(Passage::Look) || any(Passage::Ask);
        let stop = match (any(Passage::Reset), looks, any(Passage::Hold)) {
            (true, _, _) => Admission::Reset,
            (false, true, _) => Admission::Look(self.look_ups(request, observed, present)),
            (false, false, true) => Admission::Hold,
            (false, false, false) => return None,
        };
        Some(stop)
    }

    /// The request does not go now: what was registered of it is taken back.
    #[cold]
    fn withdraw(&self, observed: &mut [Observed], present: &Present) {
        let mut withdrawn = false;
        for claim in observed.iter_mut().filter_map(|observed| observed.claim.take()) {
            self.settle_claim(self.current, claim, Outcome::Withdrawn, present.now);
            withdrawn = true;
        }
        if withdrawn {
            // Somebody may have been told to wait for it meanwhile.
            self.ledger().settled();
        }
    }

    #[cold]
    fn report_held(&self, entry: &ProduceEntry<'_>, observed: &Observed, report: &mut impl Report) {
        let (topic, partition) = (entry.topic, entry.partition);
        let Some(batch) = observed.batch.map(|batch| batch.id) else { return };
        let is_alone = self.ledger().tracker(partition, |it| it.goes_alone(topic, partition, batch.producer_id));
        let waits_for = if is_alone { HeldFor::OneAtATime } else { HeldFor::FirstBatch };
        report(Event::Held { topic, partition, batch, waits_for });
    }

    /// Whether a gap in the request may be refused here. A request of several partitions goes to the broker, which
    /// refuses what it has to refuse of it.
    fn may_enforce(&self, version: i16, body: &ProduceRequest<'_>, present: &Present) -> bool {
        present.policy.mode == Mode::Enforce
            && version >= ENFORCED_VERSION_MIN
            && body.partitions == 1
            && matches!(body.acks, -1 | 1)
            && body.transactional_id.is_none()
            && !self.unsure
            && self.auth.allows_answers(present.serves_without_sasl, present.now)
    }
}

/// Partitions in a request above which none of it is answered here. Clients send as many as they have partitions ready
/// on one broker, rarely more than some hundreds.
const PARTITIONS_MAX: usize = 4_096;

/// Room for this many partitions stays with the connection.
const OBSERVED_KEPT_MAX: usize = 4;
