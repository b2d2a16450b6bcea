//! One account of all memory that clients and brokers can make the proxy hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use seqgate_protocol::sequencing::Allowance;
use tokio::sync::Notify;

/// Counts the bytes of buffers against what the state leaves of the limit.
///
/// Whoever asks for comfort is refused before whoever asks for the least that it can go on with: as long as a frame
/// can be passed on in small pieces, frames held by slow clients keep nobody from being served.
#[derive(Debug)]
pub(super) struct Budget {
    max: usize,
    buffers: AtomicUsize,
    /// What the state takes, which is bounded by itself.
    state: Arc<Allowance>,
    waiting: AtomicUsize,
    freed: Notify,
}

/// What memory is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A whole frame at once, which could also be passed on as it comes.
    Hold,
    /// A request's bytes.
    Request,
    /// An answer's bytes. They come before requests: a broker reads no request while its answer is not taken.
    Answer,
    /// The least that anything can go on with.
    Least,
}

impl Purpose {
    /// How many sixteenths of the memory may be in use after it.
    const fn sixteenths(self) -> usize {
        match self {
            Self::Hold => 8,
            Self::Request => 12,
            Self::Answer => 14,
            Self::Least => 16,
        }
    }
}

/// This much of the limit is kept for buffers, however large the state: without it nothing would move.
const BUFFERS_SHARE: usize = 4;

impl Budget {
    pub(super) fn new(max: usize, state: Arc<Allowance>) -> Self {
        Self { max, buffers: AtomicUsize::new(0), state, waiting: AtomicUsize::new(0), freed: Notify::new() }
    }

    /// Takes `bytes` if they are there for this purpose.
    pub(super) fn try_take(&self, bytes: usize, purpose: Purpose) -> bool {
        let limit = self.limit(purpose);
        let fits = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= limit);
        self.buffers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits).is_ok()
    }

    /// What buffers may take in all when this is what for.
    fn limit(&self, purpose: Purpose) -> usize {
        let room = self.max.saturating_sub(self.state.taken()).max(self.max / BUFFERS_SHARE);
        room / 16 * purpose.sixteenths()
    }

    /// Takes `bytes` as soon as they are there; until then, nothing is read. Cancelled, it takes none.
    pub(super) async fn take(&self, bytes: usize) {
        if self.try_take(bytes, Purpose::Least) {
            return;
        }
        let _waiting = Waiting::new(&self.waiting);
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Before the question, so that nothing given back after it is missed.
            freed.as_mut().enable();
            if self.try_take(bytes, Purpose::Least) {
                return;
            }
            freed.await;
        }
    }

    /// Takes `bytes` that cannot be done without: others are refused the sooner.
    pub(super) fn add(&self, bytes: usize) {
        self.buffers.fetch_add(bytes, Ordering::SeqCst);
    }

    /// How much could be taken for this purpose.
    pub(super) fn left(&self, purpose: Purpose) -> usize {
        self.limit(purpose).saturating_sub(self.buffers())
    }

    /// Gives `bytes` back.
    pub(super) fn give(&self, bytes: usize) {
        let taken = self.buffers.fetch_sub(bytes, Ordering::SeqCst);
        debug_assert!(taken >= bytes, "no more is given back than was taken");
        self.wake();
    }

    /// What buffers take, in bytes.
    pub(super) fn buffers(&self) -> usize {
        self.buffers.load(Ordering::Relaxed)
    }

    /// The state may have become smaller.
    pub(super) fn note_state(&self) {
        self.wake();
    }

    fn wake(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_waiters();
        }
    }
}

/// Counts somebody who waits, until it stops waiting for whatever reason.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    pub(super) fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use seqgate_protocol::sequencing::Directory;

    use super::*;

    fn budget(max: usize) -> Budget {
        Budget::new(max, Arc::default())
    }

    /// Twice as much as the state takes, until that is dropped.
    fn half_full() -> (Budget, Directory) {
        let allowance = Arc::default();
        let state = Directory::sharing(&allowance);
        (Budget::new(2 * state.bytes(), allowance), state)
    }

    async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_waits_until_something_is_given_back() {
        let budget = budget(160);
        assert!(budget.try_take(100, Purpose::Least));
        assert!(!budget.try_take(100, Purpose::Least));
        let taken = budget.take(100);
        tokio::pin!(taken);
        assert!(poll_once(taken.as_mut()).await.is_none());
        budget.give(100);
        taken.await;
        assert_eq!(budget.buffers(), 100);
    }

    #[tokio::test]
    async fn a_state_that_shrinks_wakes_who_waits() {
        let (budget, state) = half_full();
        let taken = budget.take(state.bytes() * 3 / 2);
        tokio::pin!(taken);
        assert!(poll_once(taken.as_mut()).await.is_none());
        drop(state);
        budget.note_state();
        taken.await;
    }

    #[tokio::test]
    async fn who_gives_up_waiting_is_not_waited_for() {
        let budget = budget(160);
        assert!(budget.try_take(160, Purpose::Least));
        assert!(poll_once(budget.take(1)).await.is_none());
        assert_eq!((budget.waiting.load(Ordering::SeqCst), budget.buffers()), (0, 160));
    }

    #[test]
    fn frames_that_are_held_leave_room_to_read_and_to_answer() {
        let budget = budget(160);
        assert!(budget.try_take(80, Purpose::Hold) && !budget.try_take(1, Purpose::Hold));
        assert!(budget.try_take(40, Purpose::Request) && !budget.try_take(1, Purpose::Request));
        assert!(budget.try_take(20, Purpose::Answer) && !budget.try_take(1, Purpose::Answer));
        assert!(budget.try_take(20, Purpose::Least) && !budget.try_take(1, Purpose::Least));
    }

    #[test]
    fn a_large_state_leaves_a_share_to_the_buffers() {
        let allowance = Arc::default();
        let states: Vec<_> = (0..100).map(|_| Directory::sharing(&allowance)).collect();
        assert!(allowance.taken() > 6_400);
        let budget = Budget::new(6_400, allowance);
        assert!(budget.try_take(1_600, Purpose::Least));
        assert!(!budget.try_take(1, Purpose::Least));
        drop(states);
        assert!(budget.try_take(4_800, Purpose::Least));
    }
}
