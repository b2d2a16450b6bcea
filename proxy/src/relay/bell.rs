//! What one pump of a connection tells the other.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Heard once for any number of rings, by one listener at a time; a ring that nobody listens to is heard later, and wakes
/// whoever listened last.
///
/// Own code because a pump listens whenever it has nothing to do, several times for every small request: tokio's `Notify`, which
/// serves many listeners in turn, enters each of them into a list and takes it out again.
#[derive(Debug, Default)]
pub(super) struct Bell {
    is_rung: AtomicBool,
    listener: Mutex<Option<Waker>>,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.is_rung.store(true, Ordering::SeqCst);
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listener) = listener {
            listener.wake();
        }
    }

    /// Waits until it is rung, or was since it was heard last. Cancel safe.
    pub(super) async fn heard(&self) {
        poll_fn(|context| self.poll_heard(context)).await;
    }

    fn poll_heard(&self, context: &Context<'_>) -> Poll<()> {
        if self.take() {
            return Poll::Ready(());
        }
        {
            let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
            if !listener.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
                *listener = Some(context.waker().clone());
            }
        }
        // A ring before the listener was noted has woken nobody.
        if self.take() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn take(&self) -> bool {
        // Read first, for it is hardly ever rung.
        self.is_rung.load(Ordering::SeqCst) && self.is_rung.swap(false, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_ring_is_heard_once_whether_it_comes_before_or_after() {
        let (bell, woken) = (Bell::default(), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let context = Context::from_waker(&waker);
        let hears = || bell.poll_heard(&context).is_ready();
        bell.ring();
        bell.ring();
        assert_eq!((hears(), hears(), hears()), (true, false, false));
        bell.ring();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert_eq!((hears(), hears()), (true, false));
    }

    #[test]
    fn who_listened_last_is_woken() {
        let bell = Bell::default();
        let woken = [Arc::new(Woken::default()), Arc::default()];
        for listener in &woken {
            let waker = Waker::from(Arc::clone(listener));
            assert!(bell.poll_heard(&Context::from_waker(&waker)).is_pending());
        }
        bell.ring();
        assert_eq!(woken.map(|woken| woken.0.load(Ordering::SeqCst)), [0, 1]);
    }
}
