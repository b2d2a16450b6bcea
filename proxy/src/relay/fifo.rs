//! The order of answers: one slot per request that gets one.

use std::time::Instant;

use seqgate_protocol::session::{Local, Pending};
use seqgate_protocol::wire::head::ApiKey;
use tokio::sync::mpsc;

use super::keep::Keep;
use super::link::Link;

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
}

/// Where the uplink notes what comes next.
pub(super) type Sender<'a> = mpsc::Sender<Expected<'a>>;

/// Where the downlink takes it.
pub(super) type Receiver<'a> = mpsc::Receiver<Expected<'a>>;

impl Expected<'_> {
    /// What the broker's answer must repeat; nothing for answers made here.
    pub(super) fn correlation_id(&self) -> Option<i32> {
        match self {
            Self::Pass { correlation_id, .. }
            | Self::Perhaps { correlation_id }
            | Self::Learn { correlation_id, .. } => Some(*correlation_id),
            Self::Settle(owed) => owed.pending.as_ref().map(|pending| pending.correlation_id()),
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
            self.link.session().abandon(*pending, self.link.runtime.shared.now());
            self.link.note_settled();
        }
    }
}
