//! What is known of one cluster, with limits so small that they are reached.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use seqgate_protocol::sequencing::{Directory, Millis, Tracker, TrackerLimits};
use seqgate_protocol::session::Ledger;

use super::truth::PROOF_TTL_MS;

const PRODUCERS_MAX: u32 = 4;
const IDLE_MS_MAX: u64 = 5_000;

/// Far more than four producers with a few batches each take.
const BYTES_MAX: usize = 1 << 20;

#[derive(Clone)]
pub struct Cluster(Rc<State>);

struct State {
    tracker: RefCell<Tracker>,
    directory: RefCell<Directory>,
    tainted: Cell<bool>,
}

impl Cluster {
    pub fn new() -> Self {
        let limits = TrackerLimits {
            window: 5,
            producers_max: PRODUCERS_MAX,
            proof_ttl_ms: PROOF_TTL_MS,
            idle_ms_max: IDLE_MS_MAX,
        };
        let (tracker, directory) = (RefCell::new(Tracker::new(limits)), RefCell::default());
        Self(Rc::new(State { tracker, directory, tainted: Cell::new(false) }))
    }

    pub fn sweep(&self, now_ms: u64) {
        self.0.tracker.borrow_mut().sweep(1_000, Millis(now_ms));
    }

    pub fn check(&self) {
        let tracker = self.0.tracker.borrow();
        assert!(tracker.producers() <= PRODUCERS_MAX, "{} producers", tracker.producers());
        assert!(tracker.bytes() < BYTES_MAX, "{} bytes", tracker.bytes());
    }

    /// All connections have ended at `now_ms`.
    pub fn check_end(&self, now_ms: u64) {
        self.0.tracker.borrow().report(0, 1_000, Millis(now_ms), |report| {
            assert_eq!(report.pending, 0, "a batch stays in flight: {report:?}");
            true
        });
        let much_later = now_ms + IDLE_MS_MAX + PROOF_TTL_MS + 1_000;
        self.sweep(much_later);
        let tracker = self.0.tracker.borrow();
        assert_eq!((tracker.producers(), tracker.open_attempts()), (0, 0), "something is kept for ever");
    }
}

impl Ledger for Cluster {
    fn tracker<R>(&self, _: i32, act: impl FnOnce(&mut Tracker) -> R) -> R {
        act(&mut self.0.tracker.borrow_mut())
    }

    fn each_tracker(&self, mut act: impl FnMut(&mut Tracker)) {
        act(&mut self.0.tracker.borrow_mut());
    }

    // Whoever waits is asked again by the script.
    fn settled(&self) {}

    fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
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
}
