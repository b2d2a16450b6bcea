//! A produce request of one batch, decided on by its front: where the batch just goes, the rest need not be held for it.

use super::observe::Manner;
use super::stream::Streamed;
use super::{Ledger, Mode, Present, Report, Session};
use crate::event::{Action, Event};
use crate::sequencing::{Acks, Passage};
use crate::wire::frame::LENGTH_BYTES;
use crate::wire::head::RequestHead;
use crate::wire::produce::{ProduceEntry, ProduceEvent, ProduceWalk, Step};

/// A produce request whose front says that it holds one entry and nothing else.
struct Front<'a> {
    head: RequestHead<'a>,
    acks: i16,
    timeout_ms: i32,
    entry: ProduceEntry<'a>,
    /// What is left to see: tags at most.
    walk: ProduceWalk,
    /// Bytes from the frame's first one to those.
    seen: u64,
}

impl<L: Ledger> Session<L> {
    /// Decides on a produce frame by its front, length included, as `admit` does on a whole one. `Some`: its batch is
    /// registered and may go, so the frame can pass as it comes. `None`: nothing has been done, and `admit` has to see all
    /// of it: what it says may be answered, has to wait, or stands in more entries than one.
    pub fn admit_by_head(
        &mut self,
        front: &[u8],
        size: u32,
        present: &Present,
        report: &mut impl Report,
    ) -> Option<Streamed> {
        let Front { head, acks, timeout_ms, entry, walk, seen } = read(front, size)?;
        let acks = Acks::from_wire(acks);
        if acks == Acks::None {
            return None;
        }
        let producer = entry.records.batch().ok().and_then(|view| view.range().is_some().then(|| view.producer_id()));
        let goes_alone = |producer| {
            self.ledger().tracker(entry.partition, |it| it.goes_alone(entry.topic, entry.partition, producer))
        };
        if producer.is_some_and(goes_alone) {
            // Others wait for it until it is answered, which is not begun before all of it is here (T27).
            return None;
        }
        // What of it is only known from the whole frame is asked of the whole frame.
        let asks = self.asks(present);
        let enforces = asks && present.policy.mode == Mode::Enforce;
        let observed = self.observe(&entry, Manner { acks, repeated: false, held: false, asks, enforces }, present);
        if observed.proof.is_some() || observed.refused || observed.passage != Passage::Free {
            return None;
        }
        let authoritative = self.sender(acks, present).authoritative;
        report(Event::Batch(observed.event(&entry, Action::Forwarded, authoritative)));
        let place = (self.topic_hash(entry.topic), entry.partition);
        let streamed = Streamed::new(&head, walk, self.current);
        Some(streamed.by_head((acks, timeout_ms), &observed, place, seen))
    }
}

fn read(front: &[u8], size: u32) -> Option<Front<'_>> {
    let head = RequestHead::parse(front.get(LENGTH_BYTES..)?).ok()?;
    let body_bytes = size.checked_sub(u32::try_from(head.body_at).ok()?)?;
    let mut walk = ProduceWalk::new(head.prefix.api_version, body_bytes)?;
    let mut rest = head.body;
    let mut next = || match walk.step(rest).ok()? {
        Step::More(_) => None,
        Step::Event { consumed, skip, event } => {
            rest = &rest[consumed..];
            Some((event, skip))
        }
    };
    let (ProduceEvent::Head { acks, timeout_ms, .. }, _) = next()? else { return None };
    let (ProduceEvent::Topic(topic), _) = next()? else { return None };
    let (ProduceEvent::Partition { index, records }, skip) = next()? else { return None };
    let consumed = head.body.len() - rest.len();
    if !walk.has_only_empty_tags_left() {
        return None;
    }
    let seen = (LENGTH_BYTES + head.body_at + consumed) as u64 + u64::from(skip);
    Some(Front { acks, timeout_ms, entry: ProduceEntry { topic, partition: index, records }, walk, seen, head })
}
