//! The order of answers: one slot per request that gets one.

use std::sync::Arc;
use std::time::Instant;

use seqgate_protocol::session::{Local, LookUp, Pending, Unresolved};
use seqgate_protocol::wire::head::ApiKey;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::sync::oneshot;

use super::bell::Bell;
use super::keep::Keep;
use super::link::Link;
use super::unwind;

/// The answer that comes next.
#[derive(Debug)]
pub(super) enum Expected<'a> {
    /// The broker's, passed through.
    Pass {
        /// What it must repeat.
        correlation_id: i32,
        /// Of which api.
        api: ApiKey,
    },
    /// The broker's to a request that could not be read, if there is one.
    Perhaps {
        /// What it must repeat.
        correlation_id: i32,
    },
    /// The broker's, read while it passes.
    Learn {
        /// What it must repeat.
        correlation_id: i32,
        /// Of which api.
        api: ApiKey,
        /// In which version.
        version: i16,
    },
    /// The broker's to a produce request.
    Settle(Owed<'a>),
    /// Ours.
    Local(Box<Ours<'a>>),
    /// The broker's to a request of our own: the client gets nothing of it.
    Own(Box<Own<'a>>),
}

/// A queue for at most `slots_max` answers.
pub(super) fn queue<'a>(slots_max: usize) -> (Sender<'a>, Receiver<'a>) {
    let (queue, due) = mpsc::channel(slots_max);
    let news = Arc::new(Bell::default());
    (Sender { queue, news: News(Arc::clone(&news)) }, Receiver { queue: due, news })
}

/// Where the uplink notes what comes next.
///
/// The receiver is not told of a broker's answer that is due: the answer's own bytes wake it. Told, it would be asked
/// once more for nothing. An answer that may never come has no such bytes, and leaves the queue at once: it must not keep
/// a place from those that come.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    // Dropped in this order: the receiver learns of the end when it is one.
    queue: mpsc::Sender<Expected<'a>>,
    news: News,
}

/// Where the downlink takes it.
#[derive(Debug)]
pub(super) struct Receiver<'a> {
    queue: mpsc::Receiver<Expected<'a>>,
    news: Arc<Bell>,
}

/// Nothing is due any more: the receiver has ended.
#[derive(Debug)]
pub(super) struct Closed;

#[derive(Debug)]
struct News(Arc<Bell>);

impl Drop for News {
    fn drop(&mut self) {
        self.0.ring();
    }
}

impl<'a> Sender<'a> {
    /// Notes an answer, or gives it back when the queue is full.
    pub(super) fn try_send(&self, expected: Expected<'a>) -> Result<Option<Expected<'a>>, Closed> {
        let is_told = expected.is_told();
        match self.queue.try_send(expected) {
            Ok(()) => {
                self.tell(is_told);
                Ok(None)
            }
            Err(TrySendError::Full(expected)) => Ok(Some(expected)),
            Err(TrySendError::Closed(_)) => Err(Closed),
        }
    }

    /// Notes an answer once there is room.
    pub(super) async fn send(&self, expected: Expected<'a>) -> Result<(), Closed> {
        let is_told = expected.is_told();
        self.queue.send(expected).await.map_err(|_| Closed)?;
        self.tell(is_told);
        Ok(())
    }

    /// Waits until nothing is queued.
    pub(super) async fn until_empty(&self) -> Result<(), Closed> {
        self.queue.reserve_many(self.queue.max_capacity()).await.map(drop).map_err(|_| Closed)
    }

    fn tell(&self, is_told: bool) {
        if is_told {
            self.news.0.ring();
        }
    }
}

impl<'a> Receiver<'a> {
    /// What is due next, if anything is; `Closed` when nothing will be any more.
    pub(super) fn try_recv(&mut self) -> Result<Option<Expected<'a>>, Closed> {
        match self.queue.try_recv() {
            Ok(expected) => Ok(Some(expected)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Closed),
        }
    }

    /// Waits until it is worth asking again, bytes of the broker aside. Cancel safe.
    pub(super) async fn news(&self) {
        self.news.heard().await;
    }

    /// Waits until the uplink has ended, and nothing is due but what was taken. Cancel safe.
    pub(super) async fn over(&self) {
        while !(self.queue.is_closed() && self.queue.is_empty()) {
            self.news().await;
        }
    }
}

impl Expected<'_> {
    /// Whether no bytes of the broker need come that would wake the receiver.
    const fn is_told(&self) -> bool {
        matches!(self, Self::Local(_) | Self::Perhaps { .. })
    }

    /// What the broker's answer must repeat; nothing for answers made here.
    pub(super) fn correlation_id(&self) -> Option<i32> {
        match self {
            Self::Pass { correlation_id, .. }
            | Self::Perhaps { correlation_id }
            | Self::Learn { correlation_id, .. } => Some(*correlation_id),
            Self::Settle(owed) => owed.pending.as_ref().map(|pending| pending.correlation_id()),
            Self::Own(own) => Some(own.correlation_id),
            Self::Local(_) => None,
        }
    }
}

/// What a slot takes beside what is in it.
const SLOT_BYTES: usize = size_of::<Expected<'_>>();

/// An answer made here, and the memory it takes until it has gone.
#[derive(Debug)]
pub(super) struct Ours<'a> {
    pub(super) local: Local,
    _keep: Keep<'a>,
}

impl<'a> Ours<'a> {
    pub(super) fn new(link: &'a Link, local: Local) -> Self {
        Self { _keep: link.keep(SLOT_BYTES + local.bytes()), local }
    }
}

/// A request of our own at the broker.
#[derive(Debug)]
pub(super) struct Own<'a> {
    link: &'a Link,
    pub(super) correlation_id: i32,
    /// What the answer is for; it goes back once that has been read.
    look: Option<Box<LookUp>>,
    back: Option<oneshot::Sender<Box<LookUp>>>,
    /// What is noted of the log.
    keep: Keep<'a>,
}

impl<'a> Own<'a> {
    pub(super) fn new(
        link: &'a Link,
        correlation_id: i32,
        look: Box<LookUp>,
        back: oneshot::Sender<Box<LookUp>>,
    ) -> Self {
        link.note_own(true);
        let keep = link.keep(look.noted_bytes());
        Self { link, correlation_id, look: Some(look), back: Some(back), keep }
    }

    /// The look, to be fed.
    pub(super) fn look_mut(&mut self) -> Option<&mut LookUp> {
        self.look.as_deref_mut()
    }

    /// Some of the answer has been fed to it. Without room for more, it notes nothing more of what others have in the log.
    pub(super) fn note_fed(&mut self) {
        if let Some(look) = &mut self.look {
            self.keep.set(look.noted_bytes());
            if self.link.keep_bytes_left() == 0 {
                look.note_no_more();
            }
        }
    }

    /// The answer has been read to its end: another request of our own may go.
    pub(super) fn note_read(&self) {
        self.link.note_own(false);
    }

    /// Takes in some of what the answer has shown. True while there is more of it.
    pub(super) fn take_in(&mut self) -> bool {
        let now = self.link.runtime.shared.now();
        self.look.as_deref_mut().is_some_and(|look| self.link.session().end_answer(look, now))
    }

    /// All of it has been taken in. Whether anybody waits for it still is his business.
    pub(super) fn give_back(mut self) {
        if let (Some(look), Some(back)) = (self.look.take(), self.back.take()) {
            back.send(look).ok();
        }
    }
}

/// A produce request whose answer is kept back. Dropped, what the broker said is settled as it came.
#[derive(Debug)]
pub(super) struct KeptBack<'a> {
    link: &'a Link,
    unresolved: Option<Box<Unresolved>>,
    _keep: Keep<'a>,
}

impl<'a> KeptBack<'a> {
    pub(super) fn new(link: &'a Link, unresolved: Box<Unresolved>) -> Self {
        Self { link, _keep: link.keep(unresolved.bytes()), unresolved: Some(unresolved) }
    }

    /// What is kept back.
    pub(super) fn get(&self) -> Option<&Unresolved> {
        self.unresolved.as_deref()
    }

    /// Hands it out to be resolved; the caller notes that it is settled.
    pub(super) fn take(mut self) -> Option<Box<Unresolved>> {
        self.unresolved.take()
    }
}

impl Drop for KeptBack<'_> {
    fn drop(&mut self) {
        if let Some(unresolved) = self.unresolved.take() {
            unwind::settle(|| {
                self.link.session().give_up(*unresolved, self.link.runtime.shared.now());
                self.link.note_settled();
            });
        }
    }
}

/// A produce request at the broker. Dropped unanswered, in whatever way the connection ends, it is settled as lost:
/// no ticket stays open.
#[derive(Debug)]
pub(super) struct Owed<'a> {
    link: &'a Link,
    pending: Option<Box<Pending>>,
    _keep: Keep<'a>,
    /// When the request was read.
    pub(super) since: Instant,
}

impl<'a> Owed<'a> {
    pub(super) fn new(link: &'a Link, pending: Pending, since: Instant) -> Self {
        link.note_unsettled(&pending);
        Self { link, _keep: link.keep(SLOT_BYTES + pending.bytes()), pending: Some(Box::new(pending)), since }
    }

    /// Hands out what is to be settled; the caller settles it, and notes that it did.
    pub(super) fn take(mut self) -> Option<Box<Pending>> {
        self.pending.take()
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            unwind::settle(|| {
                self.link.session().abandon(*pending, self.link.runtime.shared.now());
                self.link.note_settled();
            });
        }
    }
}
