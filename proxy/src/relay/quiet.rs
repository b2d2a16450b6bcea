//! Waits that are asked only when they have called.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A wait that is asked only when it has called for it: whatever else wakes its task costs it a glance.
pub(super) struct Quiet<'a, T = ()> {
    wait: Pin<Box<dyn Future<Output = T> + Send + Sync + 'a>>,
    call: Arc<Call>,
    /// What the wait is given to call with.
    waker: Waker,
    /// Whom the call wakes.
    wakes: Option<Waker>,
}

/// The wait wants to be asked.
#[derive(Debug)]
struct Call {
    has_come: AtomicBool,
    wakes: Mutex<Option<Waker>>,
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_come.store(true, Ordering::SeqCst);
        let wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(wakes) = wakes {
            wakes.wake();
        }
    }
}

impl<'a, T> Quiet<'a, T> {
    pub(super) fn new(wait: impl Future<Output = T> + Send + Sync + 'a) -> Self {
        // Whoever waits has to be asked once to begin with.
        let call = Arc::new(Call { has_come: AtomicBool::new(true), wakes: Mutex::new(None) });
        Self { wait: Box::pin(wait), waker: Waker::from(Arc::clone(&call)), call, wakes: None }
    }
}

impl<T> Future for Quiet<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        if !self.wakes.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            self.wakes = Some(context.waker().clone());
            // Before the question whether a call has come: one that comes after it wakes this task.
            *self.call.wakes.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        }
        // Read first, for it hardly ever has; taken before the wait is asked, which sees what has made it call.
        if !(self.call.has_come.load(Ordering::SeqCst) && self.call.has_come.swap(false, Ordering::SeqCst)) {
            return Poll::Pending;
        }
        let this = &mut *self;
        this.wait.as_mut().poll(&mut Context::from_waker(&this.waker))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn it_is_asked_once_and_then_only_when_it_calls() {
        let (asked, notify) = (AtomicUsize::new(0), Notify::new());
        let mut notified = Box::pin(notify.notified());
        let mut quiet = Quiet::new(poll_fn(|context| {
            asked.fetch_add(1, Ordering::SeqCst);
            notified.as_mut().poll(context)
        }));
        let mut is_over = async || poll_fn(|context| Poll::Ready(Pin::new(&mut quiet).poll(context).is_ready())).await;
        for _ in 0..3 {
            assert!(!is_over().await);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        notify.notify_waiters();
        assert!(is_over().await);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    /// Wherever it was polled before.
    #[tokio::test]
    async fn a_call_wakes_the_task_that_polled_it_last() {
        let notify = Arc::new(Notify::new());
        let theirs = Arc::clone(&notify);
        let mut quiet = Quiet::new(async move { theirs.notified().await });
        let polled = poll_fn(|context| Poll::Ready(Pin::new(&mut quiet).poll(context).is_pending())).await;
        assert!(polled);
        let other = tokio::spawn(async move {
            let mut quiet = pin!(quiet);
            let mut polls = 0;
            poll_fn(|context| {
                polls += 1;
                quiet.as_mut().poll(context)
            })
            .await;
            polls
        });
        // It waits by then: the test's runtime has one thread.
        tokio::task::yield_now().await;
        notify.notify_waiters();
        assert_eq!(other.await.unwrap(), 2);
    }
}
