//! A produce request too large to be held: its batches are tracked while it passes.

use std::sync::Arc;

use super::keep::CLAIMS_MIN;
use super::observe::{Manner, Observed};
use super::{Claim, Claims, Ledger, Pending, Present, Report, Session};
use crate::event::{Action, Event, Unread};
use crate::sequencing::{Acks, Outcome, Passage, Rule, TopicId};
use crate::wire::frame::LENGTH_BYTES;
use crate::wire::head::RequestHead;
use crate::wire::produce::{OwnedTopic, ProduceEntry, ProduceEvent, ProduceWalk, Step};

/// What the walk over a streamed request has come to so far.
///
/// Claims are made as each batch's header passes, long before the broker has the whole frame; a frame that is cut
/// off is never executed, but its batches are of unknown outcome all the same.
#[derive(Debug)]
pub struct Streamed {
    version: i16,
    correlation_id: i32,
    ledger: usize,
    /// `None` once the body has turned out not to parse.
    walk: Option<ProduceWalk>,
    /// Bytes that the walk has to see again with more behind them; some 33 KiB at most.
    carry: Vec<u8>,
    /// Bytes of the body that the walk does not want to see.
    skip: u64,
    acks: Acks,
    timeout_ms: u32,
    topic: OwnedTopic,
    claims: Vec<Claim>,
    /// The partitions of batches that nothing is to be learnt from; they may stand in the request again. At most
    /// `UNCLAIMED_MAX`, and `None` when there are more, or some that were not seen.
    unclaimed: Option<Vec<(u64, i32)>>,
    stopped: bool,
}

/// Batches of one request that are tracked; what is beyond them goes untracked. No client comes near it, and what each
/// of them takes here is a multiple of what it takes in a frame.
const CLAIMS_MAX: usize = 16_384;

/// A partition entry takes 6 bytes of a frame at least, and more than that here.
const UNCLAIMED_MAX: usize = 65_536;

impl<L: Ledger> Session<L> {
    /// Begins with the front of a produce frame, length included, that holds its whole header. `None`: it cannot
    /// be read and goes through as it is.
    pub fn begin_stream(&mut self, front: &[u8], size: u32, report: &mut impl Report) -> Option<Streamed> {
        let head = front.get(4..).and_then(|rest| RequestHead::parse(rest).ok());
        let walk = head.and_then(|head| {
            let body_bytes = size.checked_sub(u32::try_from(head.body_at).ok()?)?;
            Some((head, ProduceWalk::new(head.prefix.api_version, body_bytes)?))
        });
        let Some((head, walk)) = walk else {
            (self.unread, self.unsure) = (true, true);
            report(self.taint_by(Unread::Undecodable));
            return None;
        };
        report(Event::Unread(Unread::TooLarge));
        Some(Streamed::new(&head, walk, self.current))
    }

    /// Takes in the next bytes of the frame, before they are sent. False: a batch in it must not go now (T27);
    /// cut the request off and reset the client.
    #[must_use]
    pub fn stream(&self, streamed: &mut Streamed, bytes: &[u8], present: &Present, report: &mut impl Report) -> bool {
        let skipped = usize::try_from(streamed.skip).unwrap_or(usize::MAX).min(bytes.len());
        streamed.skip -= skipped as u64;
        let mut rest = &bytes[skipped..];
        if streamed.claims.is_empty() {
            // Nothing of it has been noted in another one.
            streamed.ledger = self.current;
        }
        if streamed.ledger != self.current && streamed.walk.is_some() {
            // What is still to come goes to another cluster than thought; the claims so far stay where they are.
            streamed.give_up();
            self.ledger().taint();
        }
        if streamed.walk.is_none() || rest.is_empty() {
            return true;
        }
        let mut joined = std::mem::take(&mut streamed.carry);
        if !joined.is_empty() {
            joined.extend_from_slice(rest);
            rest = &joined;
        }
        self.walk(streamed, rest, present, report);
        !streamed.stopped
    }

    /// The whole frame has been taken in. `None`: there will be no answer (acks=0).
    pub fn end_stream(&self, streamed: Streamed, present: &Present) -> Option<Pending> {
        self.doubt_repeated(&streamed);
        let Streamed { version, correlation_id, ledger, acks, timeout_ms, claims, .. } = streamed;
        (acks != Acks::None).then(|| Pending {
            version,
            correlation_id,
            ledger,
            claims: Claims::from_vec(claims),
            kept: None,
            timeout_ms,
            may_look: self.asks(present),
            broker: present.broker,
        })
    }

    /// A partition that stands in the request more than once: which of its batches the broker takes, and speaks of,
    /// is not known (T29).
    fn doubt_repeated(&self, streamed: &Streamed) {
        let mut places = streamed.unclaimed.clone().unwrap_or_default();
        places.extend(streamed.claims.iter().map(|claim| (claim.topic, claim.partition)));
        places.sort_unstable();
        let repeated: Vec<_> = places.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        for claim in &streamed.claims {
            if streamed.unclaimed.is_none() || repeated.binary_search(&(claim.topic, claim.partition)).is_ok() {
                self.ledgers[streamed.ledger].tracker(claim.partition, |tracker| tracker.doubt(claim.ticket));
            }
        }
    }

    /// The frame was cut off.
    pub fn cut_stream(&self, streamed: Streamed, present: &Present) {
        for claim in streamed.claims {
            self.settle_claim(streamed.ledger, claim, Outcome::Lost, present.now);
        }
        self.ledgers[streamed.ledger].settled();
    }

    fn walk(&self, streamed: &mut Streamed, mut rest: &[u8], present: &Present, report: &mut impl Report) {
        while let Some(walk) = &mut streamed.walk {
            match walk.step(rest) {
                Ok(Step::More(_)) => {
                    streamed.carry.extend_from_slice(rest);
                    return;
                }
                Ok(Step::Event { event: ProduceEvent::End, .. }) => {
                    streamed.walk = None;
                    return;
                }
                Ok(Step::Event { consumed, skip, event }) => {
                    self.take_event(streamed, event, present, report);
                    let behind = &rest[consumed..];
                    let skipped = (skip as usize).min(behind.len());
                    streamed.skip = u64::from(skip) - skipped as u64;
                    rest = &behind[skipped..];
                    if rest.is_empty() {
                        return;
                    }
                }
                Err(_) => {
                    streamed.give_up();
                    report(self.taint_by(Unread::Undecodable));
                }
            }
        }
    }

    fn take_event(
        &self,
        streamed: &mut Streamed,
        event: ProduceEvent<'_>,
        present: &Present,
        report: &mut impl Report,
    ) {
        match event {
            ProduceEvent::Head { acks, timeout_ms, .. } => {
                streamed.acks = Acks::from_wire(acks);
                streamed.timeout_ms = u32::try_from(timeout_ms).unwrap_or(0);
            }
            ProduceEvent::Topic(topic) => streamed.topic = OwnedTopic::from(topic),
            ProduceEvent::Partition { index, records } => {
                // Lent, not copied: one long name may stand ahead of very many partitions.
                let topic = std::mem::replace(&mut streamed.topic, OwnedTopic::Id(TopicId::ZERO));
                let entry = ProduceEntry { topic: topic.as_ref(), partition: index, records };
                self.observe_streamed(streamed, &entry, present, report);
                streamed.topic = topic;
            }
            ProduceEvent::Tags(_) | ProduceEvent::End => {}
        }
    }

    fn observe_streamed(
        &self,
        streamed: &mut Streamed,
        entry: &ProduceEntry<'_>,
        present: &Present,
        report: &mut impl Report,
    ) {
        if streamed.claims.len() >= CLAIMS_MAX {
            self.ledger().taint();
            streamed.note_unclaimed((self.topic_hash(entry.topic), entry.partition));
            let untracked = Observed::new(Rule::T36, &entry.records);
            return report(Event::Batch(untracked.event(entry, Action::Forwarded, false)));
        }
        let asks = self.asks(present);
        let manner = Manner { acks: streamed.acks, repeated: false, held: false, asks, enforces: false };
        // It cannot wait, and to be cut off for it would not help: the next attempt would be as large.
        let mut observed: Observed = self.observe(entry, manner, &Present { guards: false, ..*present });
        self.register(entry, &mut observed, streamed.acks, present);
        streamed.stopped |= observed.passage != Passage::Free;
        streamed.note(&observed, (self.topic_hash(entry.topic), entry.partition));
        if streamed.claims.len() > CLAIMS_MIN && streamed.bytes() > present.keep_bytes_max {
            // Nothing more of it is noted down; what is may stand in it again.
            (streamed.walk, streamed.unclaimed) = (None, None);
            report(self.taint_by(Unread::Memory));
        }
        let authoritative = self.sender(streamed.acks, present).authoritative;
        report(Event::Batch(observed.event(entry, Action::Forwarded, authoritative)));
    }
}

impl Streamed {
    /// At the front of the frame, whose length and header come with the first bytes.
    pub(super) fn new(head: &RequestHead<'_>, walk: ProduceWalk, ledger: usize) -> Self {
        Self {
            version: head.prefix.api_version,
            correlation_id: head.prefix.correlation_id,
            ledger,
            walk: Some(walk),
            carry: Vec::new(),
            skip: (LENGTH_BYTES + head.body_at) as u64,
            acks: Acks::All,
            timeout_ms: 0,
            topic: OwnedTopic::Name(Arc::default()),
            claims: Vec::new(),
            unclaimed: Some(Vec::new()),
            stopped: false,
        }
    }

    /// Its one entry was observed ahead of its bytes, of which the walk is to see what follows the first `seen`.
    pub(super) fn by_head(
        self,
        (acks, timeout_ms): (Acks, i32),
        observed: &Observed,
        place: (u64, i32),
        seen: u64,
    ) -> Self {
        let timeout_ms = u32::try_from(timeout_ms).unwrap_or(0);
        let mut streamed = Self { acks, timeout_ms, skip: seen, ..self };
        streamed.note(observed, place);
        streamed
    }

    fn note(&mut self, observed: &Observed, place: (u64, i32)) {
        match observed.claim {
            Some(claim) => self.claims.push(claim),
            None => self.note_unclaimed(place),
        }
    }

    /// How many of the next bytes of the frame are not looked at.
    #[must_use]
    pub fn unseen(&self) -> u64 {
        if self.claims.is_empty() { 0 } else { self.skip }
    }

    /// Passes over the next bytes of the frame, if nothing of them is to be looked at. False: nothing has been done.
    pub fn pass_over(&mut self, count: usize) -> bool {
        let left = self.skip.checked_sub(count as u64).filter(|_| !self.claims.is_empty());
        self.skip = left.unwrap_or(self.skip);
        left.is_some()
    }

    /// What is noted down of it so far, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.claims.capacity() * size_of::<Claim>()
            + self.unclaimed.as_ref().map_or(0, Vec::capacity) * size_of::<(u64, i32)>()
            + self.carry.capacity()
    }

    /// The rest is not seen: it may speak of the same partitions again, and what was seen may have been misread.
    fn give_up(&mut self) {
        self.walk = None;
        self.unclaimed = None;
    }

    fn note_unclaimed(&mut self, place: (u64, i32)) {
        match &mut self.unclaimed {
            Some(unclaimed) if unclaimed.len() < UNCLAIMED_MAX => unclaimed.push(place),
            Some(_) | None => self.unclaimed = None,
        }
    }
}
