//! A produce request on its way to the broker.

use super::keep::{CLAIMS_MIN, answer_bytes, names_bytes, strip_bytes};
use super::look_up::{Gap, Place};
use super::observe::{Manner, Observed, wanted};
use super::{
    Admission, Claim, Claims, Ledger, Local, LookUp, LookUpKind, Mixed, Mode, Pending, Present, Report, Session,
    Stripped,
};
use crate::event::{Action, Event, HeldFor, Unread};
use crate::sequencing::{Acks, ErrorCode, Millis, Outcome, Passage, Rule};
use crate::wire::batch::crc_fits;
use crate::wire::frame::LENGTH_BYTES;
use crate::wire::head::RequestHead;
use crate::wire::produce::{self, AnswerEntry, ProduceEntry, ProduceRequest};

/// The oldest version whose answers are made here: before it, batches have no producer id by the book (KIP-98).
const ANSWERED_VERSION_MIN: i16 = 3;

/// The oldest version of which gaps are refused here: before it, a leader would not take zstd (KIP-110) and say so first.
const ENFORCED_VERSION_MIN: i16 = 7;

/// A request that parsed, and how it stands.
struct Request<'a> {
    frame: &'a [u8],
    version: i16,
    correlation_id: i32,
    body: &'a ProduceRequest<'a>,
    acks: Acks,
    /// The cluster is asked what nobody has told.
    asks: bool,
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

    /// Answers what is proven, or leaves it out of the request. `None`: it goes with the rest.
    #[inline(never)]
    fn answer_proven(
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
        if present.policy.mixed == Mixed::Strip && fits { self.strip(request, observed, present, report) } else { None }
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

    /// One for each partition with a batch that may be in the log already.
    fn look_ups(&self, request: &Request<'_>, observed: &[Observed], present: &Present) -> Vec<LookUp> {
        let is_asked = |observed: &Observed| matches!(observed.passage, Passage::Look | Passage::Ask);
        let asked = request.body.entries().zip(observed).filter(|(_, observed)| is_asked(observed));
        let look = |(entry, observed): (ProduceEntry<'_>, &Observed)| {
            let place =
                Place { ledger: self.current, broker: present.broker, topic: entry.topic, partition: entry.partition };
            let wanted = wanted(observed, &entry)?;
            if observed.passage == Passage::Look {
                return Some(self.look_for(kind_of_look(observed.rule), place, wanted, present.now));
            }
            if !is_taken_otherwise(request.body, &entry, present) {
                return None;
            }
            // Half of it is margin enough: for clocks, and for a broker that forgets while it is asked.
            let young_ms = i64::try_from(present.policy.producer_expiration_ms / 2).unwrap_or(i64::MAX);
            let gap = Gap { expected: observed.expected?, younger_than: present.unix_ms.saturating_sub(young_ms) };
            Some(self.ask_about(gap, place, wanted, present.now))
        };
        asked.filter_map(look).take(LOOK_UPS_MAX).collect()
    }

    /// What came of looking into the log for the request at the front. It is asked for again; false when something has
    /// spoken against a log while it was looked into, so that another look may tell more.
    pub fn looked(&mut self, look_ups: Vec<LookUp>) -> bool {
        self.refusable = look_ups.iter().find_map(LookUp::refusable);
        self.found = look_ups.into_iter().flat_map(LookUp::into_found).collect();
        // That it is too old by now is none of what another look would help with.
        self.found.iter().all(|found| self.stands(found, Millis(0)))
    }

    /// Whether the cluster is asked at all for what goes up this connection: a broker answers only those whom it serves, and
    /// only where it can be seen which answer is whose.
    #[must_use]
    pub fn asks(&self, present: &Present) -> bool {
        present.policy.look_up
            && present.policy.mode != Mode::Observe
            && !self.is_unsure()
            && self.auth.allows_questions(present.now)
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

    /// D18, once the leader has said that it would refuse it.
    #[cold]
    fn refuse(
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

    /// D13: leaves the proven duplicates out. `None` when the request cannot be edited.
    fn strip(
        &self,
        request: &Request<'_>,
        observed: &[Observed],
        present: &Present,
        report: &mut impl Report,
    ) -> Option<Admission> {
        let frame = produce::strip(request.frame, |at| observed[at].proof.is_none()).ok()?;
        let proven = observed.iter().filter(|observed| observed.proof.is_some()).count();
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

    fn forward(
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
    fn expecting(&self, request: &Request<'_>, observed: &[Observed], present: &Present) -> Admission {
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

/// Whether a leader would take the batch but for its sequence, as far as can be told: it looks at these things first. The
/// records themselves are not looked at.
fn is_taken_otherwise(body: &ProduceRequest<'_>, entry: &ProduceEntry<'_>, present: &Present) -> bool {
    /// A topic's `message.timestamp.before.max.ms` and `.after.max.ms` are an hour at least, unless somebody is strict.
    const OLDEST_MS: i64 = 3_600_000;
    const YOUNGEST_MS: i64 = 60_000;
    /// None, gzip, snappy, LZ4 and zstd.
    const CODECS: std::ops::RangeInclusive<i16> = 0..=4;
    let Ok(view) = entry.records.batch() else { return false };
    let since = |timestamp: i64| present.unix_ms.saturating_sub(timestamp);

    // Nothing else may be said of it: whose time it has, or that it is a broker's own.
    CODECS.contains(&view.attributes())
        && since(view.base_timestamp()) < OLDEST_MS
        && since(view.max_timestamp()) > -YOUNGEST_MS
        && view.base_timestamp() <= view.max_timestamp()
        && body.only_batch().is_some_and(crc_fits)
}

/// What the log is looked into for, by what the batch is.
fn kind_of_look(rule: Rule) -> LookUpKind {
    if matches!(rule, Rule::D5 | Rule::D17 | Rule::D18 | Rule::D21) {
        LookUpKind::WarmUp
    } else if rule == Rule::D12 {
        LookUpKind::Confirm
    } else {
        LookUpKind::Resolve
    }
}

/// Partitions in a request above which none of it is answered here. Clients send as many as they have partitions ready
/// on one broker, rarely more than some hundreds.
const PARTITIONS_MAX: usize = 4_096;

/// Partitions whose logs are looked into for one request; clients that come back send fewer, as a rule.
const LOOK_UPS_MAX: usize = 64;

/// Room for this many partitions stays with the connection.
const OBSERVED_KEPT_MAX: usize = 4;

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
