//! What is kept back while the log is looked into, as the relay's downlink does: an answer that may have to be another
//! one, and all that follow it.

use std::collections::VecDeque;

use seqgate_protocol::event::Event;
use seqgate_protocol::sequencing::Millis;
use seqgate_protocol::session::{Local, LookUp, Settled, Unresolved};

use super::look::{Look, key_of};
use super::{Asked, Frame, Settle};
use crate::wire::Response;
use crate::world::World;

/// Answers in the order in which they came; the first is the one that the look is for.
#[derive(Debug, Default)]
pub(crate) struct Back {
    items: VecDeque<Item>,
    /// The number of the look that the first one waits for.
    waits_for: Option<u64>,
    next: u64,
}

/// One of them.
#[derive(Debug)]
enum Item {
    /// With a 45 in it.
    Unresolved(Box<KeptBack>, Vec<Look>),
    /// As they go to the client.
    Frame(Frame),
    /// One that was made here.
    Ours(Box<Local>, Vec<Asked>),
}

/// A broker's answer with a 45 in it that may have to be another one.
#[derive(Debug)]
pub(crate) struct KeptBack {
    unresolved: Unresolved,
    settle: Settle,
    frame: Frame,
    /// What the broker said.
    response: Response,
    /// Which of the request's entries are open still.
    open: Vec<usize>,
}

impl Back {
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether the log is looked into for the first one, or is to be.
    pub(crate) const fn waits(&self) -> bool {
        self.waits_for.is_some()
    }

    /// Of the answer that waits for the look with this number: what is open, and in which ledger it was noted.
    pub(crate) fn looked_up_for(&self, number: u64) -> (usize, Vec<Asked>) {
        match self.items.front() {
            Some(Item::Unresolved(kept, _)) if self.waits_for == Some(number) => {
                (kept.settle.ledger, kept.open.iter().map(|place| kept.settle.asked[*place].clone()).collect())
            }
            _ => (0, Vec::new()),
        }
    }

    /// What is not settled yet of what was noted in one of the proxy's ledgers.
    pub(crate) fn open(&self, ledger: usize) -> impl Iterator<Item = &Asked> {
        let kept = self.items.iter().filter_map(move |item| match item {
            Item::Unresolved(kept, _) if kept.settle.ledger == ledger => Some(kept),
            Item::Unresolved(..) | Item::Frame(_) | Item::Ours(..) => None,
        });
        kept.flat_map(|kept| kept.open.iter().map(|place| &kept.settle.asked[*place]))
    }

    /// Whether a batch is not settled yet.
    pub(crate) fn is_owed(&self) -> bool {
        self.items.iter().any(|item| matches!(item, Item::Unresolved(..)))
    }
}

impl World {
    /// An answer is kept back until its 45 has been held against the log. Which of its entries these are.
    pub(super) fn open_in(&mut self, settle: &Settle, response: &Response, ups: &[LookUp]) -> Vec<usize> {
        let Settle { asked, sent, .. } = settle;
        let is_for =
            |up: &LookUp, asked: &Asked| (key_of(up.topic()), up.partition()) == (asked.topic.clone(), asked.index);
        let open: Vec<usize> =
            sent.iter().copied().filter(|place| ups.iter().any(|up| is_for(up, &asked[*place]))).collect();
        let may = |asked: &Asked| {
            let is_refused = response.said.iter().any(|said| said.error == 45 && asked.is_in(said));
            is_refused && asked.batch.is_idempotent() && !asked.batch.transactional && !asked.opaque
        };
        if !settle.asks || open.len() != ups.len() || open.iter().any(|place| !may(&asked[*place])) {
            self.fail(format!("the log is looked into after {response:?}"));
        }
        open
    }

    pub(super) fn keep_back_unresolved(
        &mut self,
        at: usize,
        (unresolved, ups): (Unresolved, Vec<LookUp>),
        settle: Settle,
        (frame, response): (Frame, Response),
        open: Vec<usize>,
    ) {
        self.tally.kept_back += 1;
        let broker = settle.asked.first().map_or((0, 0), |asked| asked.broker);
        let looks = self.note_looks(at, ups, broker);
        let kept = Box::new(KeptBack { unresolved, settle, frame, response, open });
        let is_first = self.connections[at].back.is_empty();
        self.connections[at].back.items.push_back(Item::Unresolved(kept, looks));
        if is_first && !self.wish_for_first(at) {
            self.go_on_with_back(at, Vec::new());
        }
    }

    /// Asks the uplink to look up what the first answer waits for. False: it sends no more.
    fn wish_for_first(&mut self, at: usize) -> bool {
        let connection = &mut self.connections[at];
        let sends = connection.sends();
        let Some(Item::Unresolved(_, looks)) = connection.back.items.front_mut() else { return false };
        let looks = std::mem::take(looks);
        if sends {
            connection.back.next += 1;
            connection.back.waits_for = Some(connection.back.next);
            connection.looks.wish = Some((connection.back.next, looks));
        }
        sends
    }

    /// Keeps a frame back that follows. Whether it does: there may be too much by then.
    pub(super) fn keep_back_frame(&mut self, at: usize, frame: Frame) -> Result<(), Frame> {
        if self.connections[at].back.items.len() >= self.setup.back_max {
            self.give_up_back(at);
        }
        if self.connections[at].back.is_empty() {
            return Err(frame);
        }
        self.connections[at].back.items.push_back(Item::Frame(frame));
        Ok(())
    }

    pub(super) fn keep_back_ours(&mut self, at: usize, local: Box<Local>, asked: Vec<Asked>) {
        self.connections[at].back.items.push_back(Item::Ours(local, asked));
    }

    /// There is no room for more, or nothing more will come: everything goes as if the log had not been asked.
    pub(crate) fn give_up_back(&mut self, at: usize) {
        self.connections[at].back.waits_for = None;
        while let Some(item) = self.connections[at].back.items.pop_front() {
            self.deliver_item(at, item, Vec::new());
        }
    }

    /// The connection is dropped with what was kept back.
    pub(crate) fn drop_back(&mut self, at: usize) {
        let now = Millis(self.now_ms);
        for item in std::mem::take(&mut self.connections[at].back.items) {
            let Item::Unresolved(kept, _) = item else { continue };
            let KeptBack { unresolved, settle, response, open, .. } = *kept;
            if let Some(session) = &self.connections[at].session {
                session.give_up(unresolved, now);
            }
            open.iter().for_each(|place| self.note_answered(at, settle.ledger, &settle.asked[*place], &response, true));
        }
    }

    pub(super) fn answer_is_looked_up(&mut self, at: usize, number: u64, looked: Vec<LookUp>) {
        if self.connections[at].back.waits_for == Some(number) {
            self.go_on_with_back(at, looked);
        }
    }

    /// The answer has waited for too long.
    pub(crate) fn back_is_late(&mut self, at: usize) {
        self.tell(|| format!("# an answer of c{at} has waited too long"));
        self.go_on_with_back(at, Vec::new());
    }

    /// The look for the first answer is over: it goes, and what follows it up to the next one that has to be looked up.
    pub(crate) fn go_on_with_back(&mut self, at: usize, looked: Vec<LookUp>) {
        self.connections[at].back.waits_for = None;
        if let Some(first) = self.connections[at].back.items.pop_front() {
            self.deliver_item(at, first, looked);
        }
        while let Some(item) = self.connections[at].back.items.pop_front() {
            match item {
                Item::Unresolved(kept, looks) if !self.is_known(at, &kept) => {
                    self.connections[at].back.items.push_front(Item::Unresolved(kept, looks));
                    if self.wish_for_first(at) {
                        return;
                    }
                    return self.go_on_with_back(at, Vec::new());
                }
                item => self.deliver_item(at, item, Vec::new()),
            }
        }
    }

    /// Whether the look for another answer has told of this one as well.
    fn is_known(&self, at: usize, kept: &KeptBack) -> bool {
        let session = self.connections[at].session.as_ref().expect("there is a proxy");
        session.is_known(&kept.unresolved, Millis(self.now_ms))
    }

    fn deliver_item(&mut self, at: usize, item: Item, looked: Vec<LookUp>) {
        match item {
            Item::Frame(frame) => self.deliver(at, frame),
            Item::Ours(local, asked) => self.deliver_local(at, &local, &asked),
            Item::Unresolved(kept, _) => self.resolve(at, *kept, looked),
        }
    }

    fn resolve(&mut self, at: usize, kept: KeptBack, looked: Vec<LookUp>) {
        let KeptBack { unresolved, settle, frame, response, open } = kept;
        let session = self.connections[at].session.as_mut().expect("there is a proxy");
        let (mut gaps, mut found) = (Vec::new(), Vec::new());
        let settled = session.resolve(unresolved, looked, Millis(self.now_ms), &mut |event| match event {
            Event::GapConfirmed { batch, partition, .. } => {
                gaps.push((batch.producer_id.get(), partition, batch.range.first.get()));
            }
            Event::Resolved { topic, partition, base_offset, .. } => {
                found.push((key_of(topic), partition, base_offset));
            }
            _ => {}
        });
        let told = match &settled {
            Settled::Merged(bytes) => Some(Response::read(settle.version, bytes)),
            Settled::Reset(_) | Settled::Unchanged | Settled::Look(..) => None,
        };
        let resolved = self.judge_resolved(at, &settle, &open, &response, &found, told.as_ref());
        for place in &open {
            let asked = &settle.asked[*place];
            let by_broker = found.iter().all(|(topic, index, _)| (topic, *index) != (&asked.topic, asked.index));
            self.note_answered(at, settle.ledger, asked, &resolved, by_broker);
        }
        let opened: Vec<Asked> = open.iter().map(|place| settle.asked[*place].clone()).collect();
        self.judge_confirmed(at, &opened, &resolved, &gaps);
        if let Settled::Merged(bytes) = &settled
            && settle.is_whole()
            && found.is_empty()
            && *bytes != frame.bytes
        {
            self.fail(format!("{response:?} became something else, and nothing was found"));
        }
        self.give_settled(at, settled, settle, frame, &resolved, true);
    }
}
