//! What is kept back while the log is looked into: an answer that may have to be another one, and all that follow it.

use std::collections::VecDeque;
use std::pin::pin;

use seqgate_protocol::session::{LookUp, Settled};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::super::fifo::{KeptBack, Ours};
use super::super::keep::Keep;
use super::super::patience;
use super::{Downlink, Step};

/// Answers in the order in which they came; the first is the one that the look is for.
#[derive(Debug, Default)]
pub(super) struct Back<'a> {
    items: VecDeque<Item<'a>>,
    looked: Option<oneshot::Receiver<Vec<LookUp>>>,
    deadline: Option<Instant>,
    /// There is no room for more.
    pub(super) must_end: bool,
}

/// One of them.
#[derive(Debug)]
enum Item<'a> {
    /// With a 45 in it; when it came.
    Unresolved(KeptBack<'a>, Vec<LookUp>, Instant),
    /// As they go to the client.
    Bytes(Vec<u8>, Keep<'a>),
    /// One that was made here.
    Ours(Box<Ours<'a>>),
}

impl<'a> Downlink<'a> {
    /// Whether answers are kept back.
    pub(super) fn keeps_back(&self) -> bool {
        !self.back.items.is_empty()
    }

    /// Goes on reading what the broker says while the log is looked into, until that has come to something.
    ///
    /// Nothing of the client's is written meanwhile, so nothing of a step is lost when it is dropped.
    pub(super) async fn step_kept_back(&mut self) -> Step {
        if std::mem::take(&mut self.back.must_end) {
            self.give_up_back().await;
            return Ok(());
        }
        let (Some(mut looked), Some(deadline)) = (self.back.looked.take(), self.back.deadline) else {
            self.go_on(Vec::new()).await;
            return Ok(());
        };
        let late = pin!(sleep_until(deadline));
        let done = tokio::select! {
            biased;
            done = &mut looked => done.unwrap_or_default(),
            () = late => Vec::new(),
            step = self.step() => {
                self.back.looked = Some(looked);
                if std::mem::take(&mut self.back.must_end) {
                    self.give_up_back().await;
                }
                return step;
            }
        };
        self.go_on(done).await;
        Ok(())
    }

    /// Keeps an answer back until its 45 has been held against the log.
    pub(super) fn keep_back_unresolved(&mut self, kept: KeptBack<'a>, look_ups: Vec<LookUp>) {
        // What it takes has been taken by now, with the looks; of a request that was streamed these may be many.
        self.back.must_end |= self.link.keep_bytes_left() == 0;
        let now = Instant::now();
        match patience::of_answer(now, now).filter(|_| self.back.items.is_empty()) {
            Some(deadline) => self.wait_for_look(kept, look_ups, now, deadline),
            None => self.back.items.push_back(Item::Unresolved(kept, look_ups, now)),
        }
    }

    /// The answer, which came at `since`, stands in front of all that are kept back.
    fn wait_for_look(&mut self, kept: KeptBack<'a>, look_ups: Vec<LookUp>, since: Instant, deadline: Instant) {
        self.back.looked = Some(self.link.wish(look_ups, deadline));
        self.back.deadline = Some(deadline);
        self.back.items.push_front(Item::Unresolved(kept, Vec::new(), since));
    }

    /// Keeps bytes back that follow.
    pub(super) fn keep_back_bytes(&mut self, bytes: Vec<u8>) {
        let keep = self.link.keep(bytes.len());
        self.back.items.push_back(Item::Bytes(bytes, keep));
    }

    /// Keeps an answer back that was made here.
    pub(super) fn keep_back_ours(&mut self, ours: Box<Ours<'a>>) {
        self.back.items.push_back(Item::Ours(ours));
    }

    /// There is no room for more, or nothing more will come: everything goes as if the log had not been asked.
    pub(super) async fn give_up_back(&mut self) {
        self.back.looked = None;
        while let Some(item) = self.back.items.pop_front() {
            self.deliver_item(item, Vec::new()).await;
        }
    }

    /// The look for the first answer is over: it goes, and what follows it up to the next one that has to be looked up.
    async fn go_on(&mut self, looked: Vec<LookUp>) {
        self.back.looked = None;
        if let Some(first) = self.back.items.pop_front() {
            self.deliver_item(first, looked).await;
        }
        while let Some(item) = self.back.items.pop_front() {
            match item {
                Item::Unresolved(kept, look_ups, since) if !self.is_known(&kept) => {
                    if let Some(deadline) = patience::of_answer(since, Instant::now()) {
                        return self.wait_for_look(kept, look_ups, since, deadline);
                    }
                    self.deliver_item(Item::Unresolved(kept, look_ups, since), Vec::new()).await;
                }
                item @ (Item::Unresolved(..) | Item::Bytes(..) | Item::Ours(_)) => {
                    self.deliver_item(item, Vec::new()).await;
                }
            }
        }
    }

    /// Whether the look for another answer has told of this one as well.
    fn is_known(&self, kept: &KeptBack<'a>) -> bool {
        let now = self.link.runtime.shared.now();
        kept.get().is_none_or(|unresolved| self.link.session().is_known(unresolved, now))
    }

    async fn deliver_item(&mut self, item: Item<'a>, looked: Vec<LookUp>) {
        match item {
            Item::Bytes(bytes, _keep) => self.deliver(&bytes).await,
            Item::Ours(ours) => self.deliver_local(&ours.local).await,
            Item::Unresolved(kept, ..) => {
                let Some(settled) = self.resolve(kept, looked) else { return };
                match settled {
                    Settled::Merged(frame) => self.deliver(&frame).await,
                    Settled::Reset(why) => self.lose_client(why),
                    Settled::Unchanged | Settled::Look(..) => {}
                }
            }
        }
    }

    fn resolve(&self, kept: KeptBack<'a>, looked: Vec<LookUp>) -> Option<Settled> {
        let unresolved = kept.take()?;
        let now = self.link.runtime.shared.now();
        let mut reporter = self.link.reporter();
        let mut session = self.link.session();
        let settled = session.resolve(*unresolved, looked, now, &mut |event| reporter.take(event));
        reporter.finish(session.ledger());
        drop(session);
        self.link.note_settled();
        Some(settled)
    }
}
