//! A session without a proxy around it.

use std::cell::RefCell;

use seqgate_protocol::sequencing::{BrokerGeneration, Directory, Millis, Tracker, TrackerLimits};
use seqgate_protocol::session::{Admission, Ledger, Mixed, Mode, Pending, Policy, Present, Session};

pub(crate) const BROKER: BrokerGeneration = BrokerGeneration { broker: 0, generation: 0 };
pub(crate) const NOW: Millis = Millis(1_000);

/// Admits a request that must be forwarded.
pub(crate) fn admit(session: &mut Session<Single>, frame: &[u8]) -> Pending {
    let admission = session.admit(frame, false, &present(), &mut |_| {});
    let Admission::Forward(Some(pending)) = admission else {
        panic!("a batch in order is forwarded, not {admission:?}")
    };
    pending
}

/// Dedupe, on a listener that is known to ask for no SASL.
pub(crate) fn present() -> Present {
    let policy = Policy {
        mode: Mode::Dedupe,
        mixed: Mixed::Strip,
        authoritative: false,
        look_up: false,
        producer_expiration_ms: 0,
    };
    Present {
        now: NOW,
        broker: BROKER,
        policy,
        serves_without_sasl: true,
        keep_bytes_max: usize::MAX,
        may_look: false,
        guards: false,
        unix_ms: 0,
    }
}

/// The state of a cluster without locks: one tracker for all partitions.
pub(crate) struct Single {
    tracker: RefCell<Tracker>,
    directory: RefCell<Directory>,
}

impl Default for Single {
    fn default() -> Self {
        Self { tracker: RefCell::new(Tracker::new(TrackerLimits::default())), directory: RefCell::default() }
    }
}

impl Ledger for Single {
    fn tracker<R>(&self, _: i32, act: impl FnOnce(&mut Tracker) -> R) -> R {
        act(&mut self.tracker.borrow_mut())
    }

    fn each_tracker(&self, mut act: impl FnMut(&mut Tracker)) {
        act(&mut self.tracker.borrow_mut());
    }

    fn directory<R>(&self, act: impl FnOnce(&mut Directory) -> R) -> R {
        act(&mut self.directory.borrow_mut())
    }

    fn is_tainted(&self) -> bool {
        false
    }

    fn taint(&self) {}

    fn settled(&self) {}

    fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}
