//! One account of all memory that clients and brokers can make the proxy hold.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts the bytes of buffers against what the state leaves of the limit.
#[derive(Debug)]
pub(super) struct Budget {
    max: usize,
    buffers: AtomicUsize,
    state: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
}

/// This much of the limit is kept for buffers, however large the state: without it nothing would move.
const BUFFERS_SHARE: usize = 4;

impl Budget {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            buffers: AtomicUsize::new(0),
            state: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    /// Takes `bytes` if they are there.
    pub(super) fn try_take(&self, bytes: usize) -> bool {
        let max = self.max.saturating_sub(self.state.load(Ordering::Relaxed)).max(self.max / BUFFERS_SHARE);
        let fits = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= max);
        self.buffers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    /// Takes `bytes` as soon as they are there; until then, nothing is read.
    pub(super) async fn take(&self, bytes: usize) {
        if self.try_take(bytes) {
            return;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.try_take(bytes) {
                break;
            }
            freed.await;
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Gives `bytes` back.
    pub(super) fn give(&self, bytes: usize) {
        self.buffers.fetch_sub(bytes, Ordering::Relaxed);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_waiters();
        }
    }

    /// What buffers take, in bytes.
    pub(super) fn buffers(&self) -> usize {
        self.buffers.load(Ordering::Relaxed)
    }

    /// Takes in what the state has come to.
    pub(super) fn set_state(&self, bytes: usize) {
        self.state.store(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_waits_until_something_is_given_back() {
        let budget = Budget::new(100);
        assert!(budget.try_take(60));
        assert!(!budget.try_take(60));
        let taken = budget.take(60);
        tokio::pin!(taken);
        assert!(futures_poll(taken.as_mut()).await.is_none());
        budget.give(60);
        taken.await;
        assert_eq!(budget.buffers(), 60);
    }

    #[test]
    fn a_large_state_leaves_a_share_to_the_buffers() {
        let budget = Budget::new(100);
        budget.set_state(1_000);
        assert!(budget.try_take(25));
        assert!(!budget.try_take(1));
    }

    async fn futures_poll<F: Future>(future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }
}
