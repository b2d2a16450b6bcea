//! The ledger of one cluster, for one thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use seqgate_protocol::sequencing::{Directory, Tracker, TrackerLimits};
use seqgate_protocol::session::Ledger;

/// What all sessions of one cluster share.
#[derive(Debug)]
pub(crate) struct Memory {
    shards: Vec<RefCell<Tracker>>,
    directory: RefCell<Directory>,
    tainted: Cell<bool>,
    /// The id that the cluster was seen to have.
    pub(crate) id: RefCell<Option<String>>,
}

/// One session's hold on it.
#[derive(Clone, Debug)]
pub(crate) struct Handle(pub Rc<Memory>);

impl Handle {
    pub(crate) fn new(limits: TrackerLimits) -> Self {
        Self(Rc::new(Memory {
            shards: (0..2).map(|_| RefCell::new(Tracker::new(limits))).collect(),
            directory: RefCell::default(),
            tainted: Cell::new(false),
            id: RefCell::default(),
        }))
    }

    /// Batches in flight or of unknown outcome.
    pub(crate) fn open_attempts(&self) -> u32 {
        self.0.shards.iter().map(|shard| shard.borrow().open_attempts()).sum()
    }
}

impl Ledger for Handle {
    fn tracker<R>(&self, partition: i32, act: impl FnOnce(&mut Tracker) -> R) -> R {
        act(&mut self.0.shards[partition.unsigned_abs() as usize % 2].borrow_mut())
    }

    fn each_tracker(&self, mut act: impl FnMut(&mut Tracker)) {
        for shard in &self.0.shards {
            act(&mut shard.borrow_mut());
        }
    }

    fn directory<R>(&self, act: impl FnOnce(&mut Directory) -> R) -> R {
        act(&mut self.0.directory.borrow_mut())
    }

    fn is_tainted(&self) -> bool {
        self.0.tainted.get()
    }

    fn taint(&self) {
        self.0.tainted.set(true);
    }

    // Whoever waits is asked again after every command.
    fn settled(&self) {}

    fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}
